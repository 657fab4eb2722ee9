//! The folder in which a run that may be stopped keeps what it has done, for the next run to go on with.
//!
//! Unless it is named (`--state`), it stands beside the output and is gone after a complete run.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind as IoErrorKind, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::local::{LocalOutput, Lock, Scratch, folder_of, not_ours, open_scratch, remove, sync};
use super::marker::{Marker, is_file};
use crate::error::{Error, Result};
use crate::model::LEDGER_APPLICATION_ID;

/// Beginnings of the names of files that parts of the output, and of the rejects, are kept under.
const PART: &str = "etl-part-";
const REJECTS: &str = "etl-rejects-";

/// Marks by which a folder is one of these.
const MARKER: Marker = Marker {
    option: "--state",
    is_there: |folder| has_ledger(folder) || is_file(&folder.join(LEAVING)),
    comes_before: |path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name == LOCK_NAME || name.starts_with("ledger.sqlite.new")
    },
};
/// Stands there while the folder is emptied, so that it is known for ours to the end.
const LEAVING: &str = ".etl-leaving";
/// Name that the lock of a named folder stands beside, and its own.
const LOCKED: &str = "run";
const LOCK_NAME: &str = ".run.etl-lock";
/// Where an SQLite database says what it is, and whose.
const SQLITE_BEGIN: &[u8] = b"SQLite format 3\0";
const APPLICATION_ID_PLACE: usize = 68;

/// The folder of one output.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    is_named: bool,
    /// Tells whether something stands there that is not ours.
    is_foreign: bool,
    file_count: u64,
    /// Of a named folder, which runs on different outputs might share.
    _lock: Option<Lock>,
}

impl StateFolder {
    /// The folder at `named`, which is made if it is not there, or the one of this output.
    ///
    /// # Errors
    /// It is no folder, can't be made, is somebody else's, or another run works in it
    /// ([`Locked`](crate::error::ErrorKind::Locked)).
    pub fn open(output: &LocalOutput, named: Option<&Path>) -> Result<Self> {
        let Some(path) = named else {
            let path = output.state();
            let is_foreign = match fs::symlink_metadata(&path) {
                Ok(found) => !found.is_dir() || !MARKER.is_of(&path)?,
                Err(_) => false,
            };
            return Ok(Self { path, is_named: false, is_foreign, file_count: 0, _lock: None });
        };
        if path.is_dir() {
            MARKER.check(path)?;
        }
        make(path)?;
        let lock = Lock::acquire(&path.join(LOCKED), "--state")?;
        Ok(Self {
            path: path.to_owned(),
            is_named: true,
            is_foreign: false,
            file_count: 0,
            _lock: Some(lock),
        })
    }

    /// # Errors
    /// What stands there is not ours ([`Usage`](crate::error::ErrorKind::Usage)).
    pub fn check_is_ours(&self) -> Result<()> {
        if !self.is_foreign {
            return Ok(());
        }
        Err(Error::usage(format!(
            "{}: expected nothing or a folder that etl has made, for what this run does on its way; move it away, or name \
             another folder with --state",
            self.path.display()
        )))
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was named, and so stays.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// Tells whether it is there, and ours.
    pub fn is_there(&self) -> bool {
        !self.is_foreign && self.path.is_dir()
    }

    /// Makes it, if it is not there, synced.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make(&self) -> Result<()> {
        make(&self.path)
    }

    /// Where the file with this name stands, or stood: no other one will have it.
    pub fn known_file(&mut self, name: &str) -> PathBuf {
        self.file_count = self.file_count.max(number_of(name).unwrap_or_default());
        self.path.join(name)
    }

    /// Moves a synced part of the output into the folder.
    ///
    /// # Errors
    /// It can't be moved.
    pub fn keep_part(&mut self, part: &Path) -> Result<PathBuf> {
        self.keep(part, PART)
    }

    /// Moves a part of the output into the folder that somebody is writing; `None` if that can't be, since the folder is on
    /// another device.
    ///
    /// # Errors
    /// It can't be moved.
    pub fn keep_open_part(&mut self, part: &Path) -> Result<Option<PathBuf>> {
        let kept = self.next(PART);
        move_file(part, &kept).map(|is_moved| is_moved.then_some(kept))
    }

    /// A new file in the folder.
    ///
    /// # Errors
    /// It can't be created.
    pub fn create_part(&mut self) -> Result<Scratch> {
        open_scratch(&self.next(PART), 0o666)
    }

    /// Moves synced rejects into the folder.
    ///
    /// # Errors
    /// They can't be moved.
    pub fn keep_rejects(&mut self, rejects: &Path) -> Result<PathBuf> {
        self.keep(rejects, REJECTS)
    }

    /// Syncs the folder: what was moved into it is there after a crash.
    ///
    /// # Errors
    /// It can't be synced.
    pub fn sync(&self) -> Result<()> {
        sync(&self.path)
    }

    /// Removes a file of the folder.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&self, file: &Path) -> Result<()> {
        remove(file)
    }

    /// Removes the parts and rejects that are not among `known`: those that were moved here and never made known.
    ///
    /// # Errors
    /// One can't be removed.
    pub fn sweep(&mut self, known: &HashSet<String>) -> Result<()> {
        for name in self.names()? {
            if number_of(&name).is_some() && !known.contains(&name) {
                remove(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// Notes that what stands in the folder is removed next: all of it but the ledger by [`Self::clear`].
    ///
    /// # Errors
    /// It can't be said.
    pub fn begin_clearing(&self) -> Result<()> {
        let path = self.path.join(LEAVING);
        if is_file(&path) { Ok(()) } else { open_scratch(&path, 0o600).map(drop) }
    }

    /// Removes the folder, which has nothing in it that is not ours; a named one stays.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn clear(&mut self) -> Result<()> {
        if !self.is_there() {
            return Ok(());
        }
        self.sweep(&HashSet::new())?;
        remove(&self.path.join(LEAVING))?;
        if self.is_named {
            return Ok(());
        }
        match fs::remove_dir(&self.path) {
            // What is not ours stays.
            Err(error) if error.kind() == IoErrorKind::DirectoryNotEmpty => {
                tracing::warn!(folder = %self.path.display(), "leaving a folder with files that are not of etl");
                Ok(())
            }
            Err(error) if error.kind() != IoErrorKind::NotFound => {
                Err(Error::storage("remove the folder", &self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, file: &Path, kind: &str) -> Result<PathBuf> {
        let kept = self.next(kind);
        if !move_file(file, &kept)? {
            let mut copy = open_scratch(&kept, 0o600)?.file;
            let copied = File::open(file).and_then(|mut file| io::copy(&mut file, &mut copy));
            copied.and_then(|_| copy.sync_all()).map_err(|error| Error::storage("copy", &kept, error))?;
            remove(file)?;
        }
        Ok(kept)
    }

    fn next(&mut self, kind: &str) -> PathBuf {
        self.file_count += 1;
        self.path.join(format!("{kind}{}", self.file_count))
    }

    fn names(&self) -> Result<Vec<String>> {
        let failed = |error| Error::storage("list", &self.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // What is no text is none of ours.
            names.extend(name.to_str().map(ToOwned::to_owned));
        }
        Ok(names)
    }
}

/// The number in the name of a file that parts of the output, or of the rejects, are kept under.
fn number_of(name: &str) -> Option<u64> {
    let number = [PART, REJECTS].iter().find_map(|kind| name.strip_prefix(kind));
    number
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|number| number.parse().ok())
}

/// Tells whether a ledger of ours stands in the folder: it is what is made there first. One of which some bytes are damaged is
/// one still.
fn has_ledger(folder: &Path) -> bool {
    let path = folder.join("ledger.sqlite");
    if !is_file(&path) {
        return false;
    }
    let mut begin = [0; APPLICATION_ID_PLACE + size_of::<i32>()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    let is_ours = begin[APPLICATION_ID_PLACE..] == LEDGER_APPLICATION_ID.to_be_bytes();
    match read {
        Ok(()) => begin.starts_with(SQLITE_BEGIN) || is_ours,
        // What it holds can't be told: whoever opens it says why.
        Err(error) => error.kind() != IoErrorKind::UnexpectedEof,
    }
}

/// The name of a file in its folder.
///
/// # Panics
/// It has none that is text, and so is none of ours.
pub fn name_of(path: &Path) -> String {
    path.file_name().and_then(OsStr::to_str).expect("files of the state have names in ASCII").to_owned()
}

/// Returns whether it could be: there is no moving to another device.
fn move_file(from: &Path, to: &Path) -> Result<bool> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(not_ours(to));
    }
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == IoErrorKind::CrossesDevices => Ok(false),
        Err(error) => Err(Error::storage("move", from, error)),
    }
}

fn make(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(path).map_err(|error| match error.kind() {
        IoErrorKind::AlreadyExists => {
            Error::usage(format!("{}: expected a folder for the state, got a file", path.display()))
        }
        IoErrorKind::NotFound => Error::usage(format!(
            "--state {}: the folder around it is not there; create it or mend the path",
            path.display()
        )),
        _ => Error::storage("create the folder", path, error),
    })?;
    sync(folder_of(path))
}
