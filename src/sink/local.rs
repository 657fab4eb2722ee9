//! A local output file: locked while a run works on it, replaced whole or not at all.
//!
//! Everything that a run leaves half-made stands beside the target under a hidden name that begins
//! with the target's own, so that the next run, which holds the lock, can sweep it. Bytes are synced
//! before the rename and the folder after it; a sync that failed is never tried again and believed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::places::WrittenFiles;
use super::system::NO_FOLLOW;
use crate::error::{Error, ErrorKind, Result};

/// Words behind the hidden prefix of a target: what may be swept.
const LOCK: &str = "lock";
const PART: &str = "part-";
const PROBE: &str = "probe";
const REJECTS: &str = "rejects";
const SPOOL: &str = "spool-";

/// Most bytes of a file's name on the file systems of Linux.
const NAME_BYTES_MAX: usize = 255;
/// Bits of a mode that a file keeps: who may read, write and run it.
const MODE_BITS: u32 = 0o777;
const GROUP_BITS: u32 = 0o070;
/// Symbolic links that are followed from `--out`; more is a cycle.
const LINKS_MAX: usize = 40;
/// Times that the lock file is opened anew because another run took it away in between.
const LOCK_ATTEMPTS_MAX: usize = 100;

/// An output file and its rejects file, locked by this run.
#[derive(Debug)]
pub struct LocalOutput {
    target: PathBuf,
    rejects: PathBuf,
    part_count: u32,
    // Dropped last, after the sweep: whoever gets them next finds nothing of ours.
    _locks: [Lock; 2],
}

/// The lock of one file; given back, and its own file removed, when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Held open: closing it gives the lock back.
    _file: File,
}

/// A file that nobody sees yet.
#[derive(Debug)]
pub struct Scratch {
    /// Where it stands.
    pub path: PathBuf,
    /// Open for writing.
    pub file: File,
}

/// Where bytes that do not fit the memory are put: beside the output, if there is one.
#[derive(Debug, Clone)]
pub struct Spools {
    target: PathBuf,
    count: Arc<AtomicU64>,
}

/// A file that has no name any more: it is gone once it is closed, however the run ends.
#[derive(Debug)]
pub struct Spool {
    /// Where it stood, for messages.
    pub path: PathBuf,
    /// Open for reading and writing.
    pub file: File,
}

impl Spools {
    /// In a folder for temporary files, under a name that nobody else has.
    pub fn in_folder(folder: &Path, name: &str) -> Self {
        Self { target: folder.join(name), count: Arc::default() }
    }

    /// A new file, empty.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create(&self) -> Result<Spool> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = hidden(&self.target, &format!("{SPOOL}{number}"));
        let opened = OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| Error::storage("create", &path, error))?;
        remove(&path)?;
        Ok(Spool { path, file })
    }
}

impl LocalOutput {
    /// Locks `out` and sweeps what a killed run left beside it.
    ///
    /// # Errors
    /// `out` or `rejects` is no file that can be written ([`ErrorKind::Usage`] or
    /// [`ErrorKind::Storage`]), or another run holds the lock ([`ErrorKind::Locked`]).
    pub fn lock(out: &Path, rejects: Option<&Path>) -> Result<Self> {
        let target = resolve("--out", out)?;
        let rejects = match rejects {
            Some(path) => resolve("--rejects", path)?,
            None => with_suffix(&target, ".rejects.ndjson"),
        };
        check_names(&target, &rejects)?;
        let locks = [Lock::acquire(&target, "--out")?, Lock::acquire(&rejects, "--rejects")?];
        let output = Self { target, rejects, part_count: 0, _locks: locks };
        output.sweep()?;
        // A folder that can't be written is found now and not after the last page.
        for path in [&output.target, &output.rejects] {
            remove(&open_scratch(&hidden(path, PROBE), 0o600)?.path)?;
        }
        Ok(output)
    }

    /// The files that will be replaced or removed.
    pub fn written_files(&self) -> WrittenFiles {
        WrittenFiles::new(&[&self.target, &self.rejects])
    }

    /// Where bytes that do not fit the memory are put.
    pub fn spools(&self) -> Spools {
        Spools { target: self.target.clone(), count: Arc::default() }
    }

    /// The folder in which a run on this output keeps what it has done.
    pub fn state(&self) -> PathBuf {
        with_suffix(&self.target, ".etl")
    }

    /// The file that will be replaced.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The rejects file that will be replaced or removed.
    pub fn rejects(&self) -> &Path {
        &self.rejects
    }

    /// A new file for a part of the output.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create_part(&mut self) -> Result<Scratch> {
        self.part_count += 1;
        open_scratch(&hidden(&self.target, &format!("{PART}{}", self.part_count)), 0o666)
    }

    /// Removes a part that will not be published.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove_part(&self, part: &Path) -> Result<()> {
        remove(part)
    }

    /// A new file for the rejects: only its owner may read it, for it holds raw records.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create_rejects(&self) -> Result<Scratch> {
        open_scratch(&hidden(&self.rejects, REJECTS), 0o600)
    }

    /// Puts a synced part in the place of the target.
    ///
    /// # Errors
    /// The rename or the sync of the folder failed.
    pub fn publish_part(&self, part: &Path) -> Result<()> {
        take_after(part, &self.target).map_err(|error| Error::storage("set the mode of", part, error))?;
        replace(part, &self.target)
    }

    /// Puts a synced file in the place of the rejects file, or removes the old one when there is none.
    ///
    /// # Errors
    /// The rename, the removal or the sync of the folder failed.
    pub fn publish_rejects(&self, rejects: Option<&Path>) -> Result<()> {
        match rejects {
            Some(path) => replace(path, &self.rejects),
            None if self.rejects.exists() => {
                remove(&self.rejects)?;
                sync_folder_of(&self.rejects)
            }
            None => Ok(()),
        }
    }

    /// Removes every scratch file of this output.
    fn sweep(&self) -> Result<()> {
        let folder = folder_of(&self.target);
        let prefix = hidden(&self.target, "");
        let prefix = prefix.file_name().unwrap_or_default().as_encoded_bytes();
        let entries = fs::read_dir(folder).map_err(|error| Error::storage("list", folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Error::storage("list", folder, error))?;
            let name = entry.file_name();
            let Some(word) = name.as_encoded_bytes().strip_prefix(prefix) else { continue };
            let numbered = [PART, SPOOL].iter().find_map(|kind| word.strip_prefix(kind.as_bytes()));
            let number = numbered.unwrap_or_default();
            if !number.is_empty() && number.iter().all(u8::is_ascii_digit) {
                remove_ours(&entry.path())?;
            }
        }
        remove_ours(&hidden(&self.target, PROBE))?;
        remove_ours(&hidden(&self.rejects, PROBE))?;
        remove_ours(&hidden(&self.rejects, REJECTS))
    }
}

impl Drop for LocalOutput {
    fn drop(&mut self) {
        if let Err(error) = self.sweep() {
            tracing::warn!(error = error.one_line(), "leaving scratch files for the next run to sweep");
        }
    }
}

impl Lock {
    /// Takes the lock, which stands beside `target`; `option` is the one that names the target.
    ///
    /// # Errors
    /// Another run holds it, or the folder can't be written.
    pub(super) fn acquire(target: &Path, option: &str) -> Result<Self> {
        let path = hidden(target, LOCK);
        for _ in 0..LOCK_ATTEMPTS_MAX {
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
                return Err(not_ours(&path));
            }
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .custom_flags(NO_FOLLOW)
                .open(&path)
                .map_err(|error| not_writable(&path, option).because(error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let target = target.display();
                    let message =
                        format!("another run of etl holds the lock of {target} ({option}); let it end first");
                    return Err(Error::new(ErrorKind::Locked, message));
                }
                Err(TryLockError::Error(error)) => return Err(Error::storage("lock", &path, error)),
            }
            // The run that held the lock may have removed its file after we opened it: then we hold the
            // lock of a file that nobody else will find.
            let ours = file.metadata().map_err(|error| Error::storage("look at", &path, error))?;
            match fs::metadata(&path) {
                Ok(found) if found.ino() == ours.ino() && found.dev() == ours.dev() => {
                    return Ok(Self { path, _file: file });
                }
                _ => {}
            }
        }
        let message = format!("other runs of etl keep taking the lock of {} ({option})", target.display());
        Err(Error::new(ErrorKind::Locked, message))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held. What can't be removed is taken over by the next run.
        drop(fs::remove_file(&self.path));
    }
}

/// The file that `path` names, symbolic links followed, even when it does not exist yet.
pub(super) fn resolve(option: &str, path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(link) => path = folder_of(&path).join(link),
            Err(_) => return check_target(option, &path),
        }
    }
    Err(Error::usage(format!("{option} {}: expected a file, got a cycle of symbolic links", path.display())))
}

fn check_target(option: &str, path: &Path) -> Result<PathBuf> {
    let wrong = |what: &str| {
        Err(Error::usage(format!(
            "{option} {}: expected the name of a file to write, got {what}",
            path.display()
        )))
    };
    let bytes = path.as_os_str().as_encoded_bytes();
    if [b"/".as_slice(), b"/.", b"/.."].iter().any(|end| bytes.ends_with(end)) {
        return wrong("the name of a folder");
    }
    if path.as_os_str() == "-" || path.as_os_str().is_empty() || path.file_name().is_none() {
        return wrong(if path.as_os_str() == "-" { "standard output" } else { "no file name" });
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return wrong("a folder"),
        Ok(metadata) if !metadata.is_file() => {
            let of = metadata.file_type();
            return wrong(if of.is_fifo() || of.is_socket() { "a pipe or socket" } else { "a device" });
        }
        _ => {}
    }
    let folder = folder_of(path);
    let name = path.file_name().unwrap_or_default();
    match fs::canonicalize(folder) {
        // One spelling for each file, so that two spellings of one are seen to be the same.
        Ok(folder) if folder.is_dir() => Ok(folder.join(name)),
        Ok(_) => Err(Error::usage(format!(
            "{option} {}: expected {} to be a folder, got a file; mend the path",
            path.display(),
            folder.display()
        ))),
        Err(error) => Err(Error::usage(format!(
            "{option} {}: the folder {} can't be used; create it or mend the path",
            path.display(),
            folder.display()
        ))
        .because(error)),
    }
}

fn not_writable(path: &Path, option: &str) -> Error {
    let folder = folder_of(path).display();
    let message =
        format!("could not write to the folder {folder}; make it writable or choose another {option}");
    Error::new(ErrorKind::Storage, message)
}

/// Refuses names that would get in each other's way, or are too long for the hidden ones beside them.
fn check_names(target: &Path, rejects: &Path) -> Result<()> {
    if rejects == target {
        return Err(Error::usage(format!("--rejects and --out are the same file: {}", target.display())));
    }
    let longest = [("--out", hidden(target, "part-4294967295")), ("--rejects", hidden(rejects, REJECTS))];
    for (option, path) in longest {
        let excess = path.file_name().unwrap_or_default().len().saturating_sub(NAME_BYTES_MAX);
        if excess > 0 {
            return Err(Error::usage(format!(
                "{option}: expected a file name that is {excess} bytes shorter"
            )));
        }
    }
    let hidden_prefix = hidden(target, "");
    if rejects.as_os_str().as_encoded_bytes().starts_with(hidden_prefix.as_os_str().as_encoded_bytes()) {
        return Err(Error::usage(format!(
            "--rejects {}: names that begin like this are swept; choose another",
            rejects.display()
        )));
    }
    Ok(())
}

/// Creates a file where nothing stands, not even a link.
pub(super) fn open_scratch(path: &Path, mode: u32) -> Result<Scratch> {
    match OpenOptions::new().create_new(true).read(true).write(true).mode(mode).open(path) {
        Ok(file) => Ok(Scratch { path: path.to_path_buf(), file }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(not_ours(path)),
        Err(error) => Err(Error::storage("create", path, error)),
    }
}

/// The fault of finding something under a name that only we make.
pub(super) fn not_ours(path: &Path) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::Storage,
        format!(
            "{path}: expected no file but one of etl's own, got something else; move it away and run again"
        ),
    )
}

/// Gives a file that is about to replace another one its mode and, where that is permitted, its owner.
fn take_after(new: &Path, old: &Path) -> io::Result<()> {
    let Ok(old) = fs::metadata(old) else { return Ok(()) };
    let file = File::open(new)?;
    let ours = file.metadata()?;
    let mut mode = old.mode() & MODE_BITS;
    if ours.uid() != old.uid() {
        // Only root may give files away.
        drop(fchown(&file, Some(old.uid()), None));
    }
    if ours.gid() != old.gid() && fchown(&file, None, Some(old.gid())).is_err() {
        // What the one group may do is not for another.
        mode &= !GROUP_BITS;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::storage("replace", to, error))?;
    sync_folder_of(to)
}

pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::storage("remove", path, error)),
        _ => Ok(()),
    }
}

/// Removes a file under a name that only we make. Anything but a file was put there by somebody else.
pub(super) fn remove_ours(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(not_ours(path)),
        _ => remove(path),
    }
}

/// Syncs the folder of a file: its name is there after a crash.
///
/// # Errors
/// It can't be synced.
pub fn sync_folder_of(path: &Path) -> Result<()> {
    sync(folder_of(path))
}

/// Syncs a folder: the names in it are there after a crash.
pub(super) fn sync(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::storage("sync the folder", folder, error))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

pub(super) fn hidden(target: &Path, word: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".etl-");
    name.push(word);
    target.with_file_name(name)
}

pub(super) fn with_suffix(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn second_lock_on_one_output_is_refused_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.parquet");
        let first = LocalOutput::lock(&out, None).unwrap();
        let error = LocalOutput::lock(&out, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        drop(first);
        drop(LocalOutput::lock(&out, None).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_a_killed_run_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.parquet");
        let swept = [
            ".out.parquet.etl-part-1",
            ".out.parquet.etl-spool-2",
            ".out.parquet.etl-lock",
            ".out.parquet.rejects.ndjson.etl-rejects",
        ];
        let kept = [".other.etl-part-1", ".out.parquet.etl-notes", "out.parquet"];
        for name in swept.iter().chain(&kept) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        drop(LocalOutput::lock(&out, None).unwrap());
        assert_eq!(names(folder.path()), kept);
    }

    #[test]
    fn part_replaces_the_target_of_a_symbolic_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.parquet"), folder.path().join("link.parquet"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real.parquet", &link).unwrap();
        let mut output = LocalOutput::lock(&link, None).unwrap();
        let mut part = output.create_part().unwrap();
        part.file.write_all(b"new").unwrap();
        output.publish_part(&part.path).unwrap();
        drop(output);
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["link.parquet", "real.parquet"]);
    }

    #[test]
    fn two_outputs_with_one_rejects_file_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, rejects] = ["a.parquet", "b.parquet", "r.ndjson"].map(|name| folder.path().join(name));
        let first = LocalOutput::lock(&a, Some(&rejects)).unwrap();
        assert_eq!(LocalOutput::lock(&b, Some(&rejects)).unwrap_err().kind(), ErrorKind::Locked);
        drop(first);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn rejects_file_that_is_the_output_or_would_be_swept_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.parquet");
        fs::write(&out, "old").unwrap();
        for rejects in ["./out.parquet", ".out.parquet.etl-lock", ".out.parquet.etl-part-1", "sub/", "sub/."]
        {
            let error = LocalOutput::lock(&out, Some(&folder.path().join(rejects))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{rejects}");
        }
        assert_eq!(fs::read(&out).unwrap(), b"old");
    }

    #[test]
    fn file_that_is_read_can_not_be_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("urls.txt");
        fs::write(&list, "a.json").unwrap();
        let output = LocalOutput::lock(&folder.path().join("out.parquet"), Some(&list)).unwrap();
        let written = output.written_files();
        assert_eq!(written.check_is_none("--urls", &list).unwrap_err().kind(), ErrorKind::Usage);
        assert!(written.check_is_none("--urls", &folder.path().join("other.txt")).is_ok());
    }

    #[test]
    fn name_that_leaves_no_room_for_the_hidden_ones_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = LocalOutput::lock(&folder.path().join("x".repeat(240)), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        drop(LocalOutput::lock(&folder.path().join("x".repeat(220)), None).unwrap());
    }

    #[test]
    fn folders_devices_and_dashes_are_no_outputs() {
        let folder = tempfile::tempdir().unwrap();
        for out in [folder.path(), Path::new("/dev/null"), Path::new("-"), &folder.path().join("missing/out")]
        {
            let error = LocalOutput::lock(out, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{}", out.display());
        }
    }
}
