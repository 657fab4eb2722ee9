//! A folder of bodies as they came: `objects/ab/abcd...` by the SHA-256 of their bytes, and `index.ndjson`, which says
//! what they are the bodies of.
//!
//! An object is written under another name, synced and renamed; its line follows once it is in place. Only the owner may
//! read any of it, for bodies are as they are. Nothing is ever removed but what a killed run left half-written; an object
//! without a line is of an attempt that another one followed, or of a run that was stopped.

mod index;

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind as IoErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt as _;

use super::local::{Lock, remove_ours};
use super::marker::Marker;
use crate::digest::RunningDigest;
use crate::error::{Error, Result};

pub use index::{KeptPages, KeptRun, RawIndex};

const INDEX: &str = "index.ndjson";
const OBJECTS: &str = "objects";
/// What the names of half-written objects begin with: these may be swept.
const INCOMING: &str = ".etl-incoming-";
/// Marks by which a folder is one of these.
const MARKER: Marker = Marker {
    option: "--keep-raw",
    is_there: index::is_begun,
    comes_before: |path| {
        let name = path.file_name().unwrap_or_default();
        let is_empty = || fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0);
        name == ".index.ndjson.etl-lock" || name == OBJECTS || name == INDEX && is_empty()
    },
};
/// Bytes that wait in memory for the disk, of each body.
const BUFFER_BYTES: usize = 128 << 10;
/// Bytes of the name that are the name of the folder that an object stands in.
const SHARD_BYTES: usize = 2;

/// Where bodies are put; shared by all pages of a run.
#[derive(Debug)]
pub struct RawObjects {
    folder: PathBuf,
    incoming_count: AtomicU64,
}

/// A body on its way into the folder; gone if it is dropped before it is stored.
#[derive(Debug)]
pub struct RawObject {
    objects: Arc<RawObjects>,
    incoming: IncomingPath,
    file: tokio::fs::File,
    digest: RunningDigest,
    bytes: u64,
}

/// A body that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBody {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

/// The name of a half-written object, removed when it is dropped.
#[derive(Debug)]
struct IncomingPath(PathBuf);

/// Locks the folder, which is made if it is not there, and sweeps what a killed run left half-written.
fn lock(folder: &Path) -> Result<Lock> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => MARKER.check(folder)?,
        Ok(_) => {
            let folder = folder.display();
            return Err(Error::usage(format!("--keep-raw {folder}: expected a folder, got a file")));
        }
        Err(_) => make_folder(folder).map_err(|error| match error.kind() {
            IoErrorKind::NotFound => Error::usage(format!(
                "--keep-raw {}: the folder around it is not there; create it or mend the path",
                folder.display()
            )),
            _ => Error::storage("create the folder", folder, error),
        })?,
    }
    let lock = Lock::acquire(&index_of(folder), "--keep-raw")?;
    let objects = folder.join(OBJECTS);
    make_folder(&objects).map_err(|error| Error::storage("create the folder", &objects, error))?;
    sweep(folder)?;
    Ok(lock)
}

impl RawObjects {
    fn new(folder: &Path) -> Arc<Self> {
        Arc::new(Self { folder: folder.to_owned(), incoming_count: AtomicU64::new(0) })
    }

    /// Begins a body.
    ///
    /// # Errors
    /// Its file can't be created.
    pub fn begin(self: &Arc<Self>) -> Result<RawObject> {
        let number = self.incoming_count.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{INCOMING}{number}"));
        let opened = File::options().create_new(true).write(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| Error::storage("create", &path, error))?;
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(BUFFER_BYTES);
        Ok(RawObject {
            objects: Arc::clone(self),
            incoming: IncomingPath(path),
            file,
            digest: RunningDigest::default(),
            bytes: 0,
        })
    }
}

impl RawObject {
    /// Adds the next bytes. They may be on their way to the disk when it returns.
    ///
    /// # Errors
    /// The disk is full, or broken.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // Less than a millisecond: a hop to a thread takes as long.
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        let written = self.file.write_all(bytes).await;
        written.map_err(|error| Error::storage("write", &self.incoming.0, error))
    }

    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> u64 {
        self.bytes.min(BUFFER_BYTES as u64)
    }

    /// Syncs all of it and puts it in its place. One that is there has the same bytes, or was altered: it is replaced.
    ///
    /// # Errors
    /// The disk is full, or broken.
    pub async fn store(self) -> Result<StoredBody> {
        let Self { objects, incoming, mut file, digest, bytes } = self;
        file.flush().await.map_err(|error| Error::storage("write", &incoming.0, error))?;
        let file = file.into_std().await;
        let sha256 = digest.finish_hex();
        let object = object_of(&objects.folder, &sha256);
        let stored = tokio::task::spawn_blocking(move || {
            file.sync_all().map_err(|error| Error::storage("sync", &incoming.0, error))?;
            let shard = object.parent().expect("objects stand in folders");
            make_folder(shard).map_err(|error| Error::storage("create the folder", shard, error))?;
            fs::rename(&incoming.0, &object).map_err(|error| Error::storage("replace", &object, error))
        });
        stored.await.map_err(|error| Error::failed("a raw body could not be stored").because(error))??;
        Ok(StoredBody { bytes, sha256 })
    }
}

impl Drop for IncomingPath {
    fn drop(&mut self) {
        // It has another name once it is stored. What can't be removed is swept by the next run.
        drop(fs::remove_file(&self.0));
    }
}

/// The index of a folder of raw bodies.
pub fn index_of(folder: &Path) -> PathBuf {
    folder.join(INDEX)
}

/// Where the body with this SHA-256 stands.
fn object_of(folder: &Path, sha256: &str) -> PathBuf {
    folder.join(OBJECTS).join(shard_of(sha256)).join(sha256)
}

fn shard_of(sha256: &str) -> &str {
    &sha256[..SHARD_BYTES]
}

/// Makes a folder that only its owner may look into, if it is not there.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn sweep(folder: &Path) -> Result<()> {
    let listed = |error| Error::storage("list", folder, error);
    for entry in fs::read_dir(folder).map_err(listed)? {
        let entry = entry.map_err(listed)?;
        let name = entry.file_name();
        let number = name.as_encoded_bytes().strip_prefix(INCOMING.as_bytes()).unwrap_or_default();
        if !number.is_empty() && number.iter().all(u8::is_ascii_digit) {
            // A page that is given up removes its own.
            remove_ours(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256_hex;
    use crate::error::ErrorKind;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn body_is_stored_by_its_digest_and_an_altered_one_is_mended() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("raw");
        let _lock = lock(&folder).unwrap();
        let objects = RawObjects::new(&folder);
        let body = vec![b'x'; 3 * BUFFER_BYTES + 1];
        let sha256 = sha256_hex(&body);
        let object = object_of(&folder, &sha256);
        for _ in 0..2 {
            let mut incoming = objects.begin().unwrap();
            for piece in body.chunks(100_000) {
                incoming.write(piece).await.unwrap();
            }
            assert_eq!(incoming.memory_bytes(), BUFFER_BYTES as u64);
            let stored = incoming.store().await.unwrap();
            assert_eq!(stored, StoredBody { bytes: body.len() as u64, sha256: sha256.clone() });
            assert_eq!(fs::read(&object).unwrap(), body);
            fs::write(&object, "altered").unwrap();
        }
    }

    #[tokio::test]
    async fn body_that_is_not_stored_leaves_nothing_and_a_killed_one_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("raw");
        let first = lock(&path).unwrap();
        let mut incoming = RawObjects::new(&path).begin().unwrap();
        incoming.write(b"some").await.unwrap();
        drop(incoming);
        drop(first);
        assert_eq!(names(&path), [OBJECTS]);
        drop(RawIndex::begin(&path, "run", "2026-01-01T00:00:00Z", "list").unwrap());
        for name in [".etl-incoming-7", "incoming-7", "incoming-mine"] {
            fs::write(path.join(name), "x").unwrap();
        }
        drop(lock(&path).unwrap());
        assert_eq!(names(&path), ["incoming-7", "incoming-mine", INDEX, OBJECTS]);
    }

    #[test]
    fn second_lock_is_refused_and_so_is_what_can_be_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("raw");
        let first = lock(&path).unwrap();
        assert_eq!(lock(&path).unwrap_err().kind(), ErrorKind::Locked);
        drop(first);
        drop(lock(&path).unwrap());
        fs::write(root.path().join("file"), "").unwrap();
        for wrong in ["file", "missing/raw"] {
            let error = lock(&root.path().join(wrong)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{wrong}");
        }
    }
}
