//! A local output file: locked while a run works on it, replaced whole or not at all.
//!
//! Everything that a run leaves half-made stands beside the target under a hidden name that begins
//! with the target's own, so that the next run, which holds the lock, can sweep it. Bytes are synced
//! before the rename and the folder after it; a sync that failed is never tried again and believed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Symbolic links that are followed from `--out`; more is a cycle.
const LINKS_MAX: usize = 40;
/// Times that the lock file is opened anew because another run took it away in between.
const LOCK_ATTEMPTS_MAX: usize = 100;

/// An output file that this run has locked.
#[derive(Debug)]
pub struct LocalOutput {
    target: PathBuf,
    rejects: PathBuf,
    lock_path: PathBuf,
    /// Held open: closing it gives the lock back.
    _lock: File,
    scratch_count: u32,
}

/// A file that nobody sees yet.
#[derive(Debug)]
pub struct Scratch {
    /// Where it stands.
    pub path: PathBuf,
    /// Open for writing.
    pub file: File,
}

impl LocalOutput {
    /// Locks `out` and sweeps what a killed run left beside it.
    ///
    /// # Errors
    /// `out` or `rejects` is no file that can be written ([`ErrorKind::Usage`] or
    /// [`ErrorKind::Storage`]), or another run holds the lock ([`ErrorKind::Locked`]).
    pub fn lock(out: &Path, rejects: Option<&Path>) -> Result<Self> {
        let target = resolve(out)?;
        let rejects = match rejects {
            Some(path) => resolve(path)?,
            None => with_name(&target, |name| format!("{name}.rejects.ndjson")),
        };
        if rejects == target {
            return Err(Error::usage(format!("--rejects and --out are the same file: {}", out.display())));
        }
        let lock_path = hidden(&target, "lock");
        let lock = acquire(&lock_path, out)?;
        let output = Self { target, rejects, lock_path, _lock: lock, scratch_count: 0 };
        output.sweep()?;
        // A folder that can't be written is found now and not after the last page.
        let probe = open_new(&hidden(&output.rejects, "probe"), 0o600)?;
        remove(&probe.path)?;
        Ok(output)
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
        self.scratch_count += 1;
        open_new(&hidden(&self.target, &format!("part-{}", self.scratch_count)), 0o666)
    }

    /// A new file for the rejects: only its owner may read it, for it holds raw records.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create_rejects(&self) -> Result<Scratch> {
        open_new(&hidden(&self.rejects, "rejects"), 0o600)
    }

    /// Puts a synced part in the place of the target.
    ///
    /// # Errors
    /// The rename or the sync of the folder failed.
    pub fn publish_part(&self, part: &Path) -> Result<()> {
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
                sync_folder(&self.rejects)
            }
            None => Ok(()),
        }
    }

    /// Removes every scratch file of this output.
    fn sweep(&self) -> Result<()> {
        let prefix = hidden_prefix(&self.target);
        let folder = folder_of(&self.target);
        let entries = fs::read_dir(folder).map_err(|error| Error::storage("list", folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Error::storage("list", folder, error))?.path();
            let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
            if is_ours && path != self.lock_path {
                remove(&path)?;
            }
        }
        for word in ["rejects", "probe"] {
            let path = hidden(&self.rejects, word);
            if path.exists() {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

impl Drop for LocalOutput {
    fn drop(&mut self) {
        if let Err(error) = self.sweep().and_then(|()| remove(&self.lock_path)) {
            tracing::warn!(error = error.one_line(), "leaving scratch files for the next run to sweep");
        }
    }
}

/// The file that `path` names, symbolic links followed, even when it does not exist yet.
fn resolve(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(link) => path = folder_of(&path).join(link),
            Err(_) => return check_target(path),
        }
    }
    Err(Error::usage(format!("{} is a cycle of symbolic links", path.display())))
}

fn check_target(path: PathBuf) -> Result<PathBuf> {
    let wrong = |what: &str| {
        Err(Error::usage(format!("{}: expected the name of a file to write, got {what}", path.display())))
    };
    if path.as_os_str() == "-" || path.as_os_str().is_empty() || path.file_name().is_none() {
        return wrong(if path.as_os_str() == "-" { "standard output" } else { "no file name" });
    }
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => return wrong("a folder"),
        Ok(metadata) if !metadata.is_file() => {
            let of = metadata.file_type();
            return wrong(if of.is_fifo() || of.is_socket() { "a pipe or socket" } else { "a device" });
        }
        _ => {}
    }
    let folder = folder_of(&path);
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(Error::usage(format!(
            "--out {}: expected {} to be a folder, got a file; mend the path",
            path.display(),
            folder.display()
        ))),
        Err(error) => Err(Error::usage(format!(
            "--out {}: the folder {} can't be used; create it or mend the path",
            path.display(),
            folder.display()
        ))
        .because(error)),
    }
}

fn acquire(lock_path: &Path, out: &Path) -> Result<File> {
    for _ in 0..LOCK_ATTEMPTS_MAX {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock_path)
            .map_err(|error| Error::storage("create the lock", lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message =
                    format!("another run of etl holds the lock of {}; let it end first", out.display());
                return Err(Error::new(ErrorKind::Locked, message));
            }
            Err(TryLockError::Error(error)) => return Err(Error::storage("lock", lock_path, error)),
        }
        // The run that held the lock may have removed its file after we opened it: then we hold the
        // lock of a file that nobody else will find.
        let ours = lock.metadata().map_err(|error| Error::storage("look at", lock_path, error))?;
        match fs::metadata(lock_path) {
            Ok(found) if found.ino() == ours.ino() && found.dev() == ours.dev() => return Ok(lock),
            _ => {}
        }
    }
    let message = format!("other runs of etl keep taking the lock of {}", out.display());
    Err(Error::new(ErrorKind::Locked, message))
}

fn open_new(path: &Path, mode: u32) -> Result<Scratch> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .mode(mode)
        .open(path)
        .map_err(|error| Error::storage("create", path, error))?;
    Ok(Scratch { path: path.to_path_buf(), file })
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::storage("replace", to, error))?;
    sync_folder(to)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::storage("remove", path, error)),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::storage("sync the folder", folder, error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn hidden(target: &Path, word: &str) -> PathBuf {
    folder_of(target).join(format!("{}{word}", hidden_prefix(target)))
}

fn hidden_prefix(target: &Path) -> String {
    format!(".{}.etl-", target.file_name().unwrap_or_default().to_string_lossy())
}

fn with_name(target: &Path, name: impl Fn(&str) -> String) -> PathBuf {
    target.with_file_name(name(&target.file_name().unwrap_or_default().to_string_lossy()))
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
        for name in [".out.parquet.etl-part-1", ".out.parquet.etl-lock", "out.parquet", ".other.etl-part-1"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        drop(LocalOutput::lock(&out, None).unwrap());
        assert_eq!(names(folder.path()), [".other.etl-part-1", "out.parquet"]);
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
    fn folders_devices_and_dashes_are_no_outputs() {
        let folder = tempfile::tempdir().unwrap();
        for out in [folder.path(), Path::new("/dev/null"), Path::new("-"), &folder.path().join("missing/out")]
        {
            let error = LocalOutput::lock(out, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{}", out.display());
        }
    }
}
