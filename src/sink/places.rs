//! Files that a run reads and files that it writes: no file may be both, and no output may stand in a folder that is swept.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::local::{folder_of, hidden, resolve, with_suffix};
use crate::error::{Error, Result};

/// The files and folders of a run, each with the option that names it.
#[derive(Debug, Clone)]
pub struct Places<'a> {
    /// The output.
    pub out: &'a Path,
    /// The rejects file, if it is named.
    pub rejects: Option<&'a Path>,
    /// Folders of the run.
    pub folders: Vec<(&'static str, &'a Path)>,
    /// Files that are read.
    pub reads: Vec<(&'static str, &'a Path)>,
}

/// The files that are replaced or removed when a run publishes.
#[derive(Debug, Clone, Default)]
pub struct WrittenFiles {
    paths: Arc<[PathBuf]>,
    /// Device and inode of those that are there.
    inodes: Arc<HashSet<(u64, u64)>>,
}

impl WrittenFiles {
    pub(super) fn new(paths: &[&Path]) -> Self {
        let inode = |path: &&Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        Self {
            inodes: Arc::new(paths.iter().filter_map(inode).collect()),
            paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        }
    }

    /// Tells whether this is one of them, by whatever name.
    pub fn have(&self, path: &Path) -> bool {
        let is_inode =
            fs::metadata(path).is_ok_and(|found| self.inodes.contains(&(found.dev(), found.ino())));
        is_inode || fs::canonicalize(path).is_ok_and(|found| self.paths.contains(&found))
    }

    /// Refuses a file that is read and would be replaced.
    ///
    /// # Errors
    /// It is one of these ([`Usage`](crate::error::ErrorKind::Usage)). `what` says what it is read for.
    pub fn check_is_none(&self, what: &str, path: &Path) -> Result<()> {
        if !self.have(path) {
            return Ok(());
        }
        let path = path.display();
        Err(Error::usage(format!(
            "{what} {path} is read and would be replaced; give --out or --rejects another name"
        )))
    }
}

impl Places<'_> {
    /// Refuses places that get in each other's way, before anything is made or removed.
    ///
    /// # Errors
    /// The output can't be written, or two places are one, or one stands in another
    /// ([`Usage`](crate::error::ErrorKind::Usage)).
    pub fn check(&self) -> Result<()> {
        let target = resolve("--out", self.out)?;
        let rejects = match self.rejects {
            Some(path) => resolve("--rejects", path)?,
            None => with_suffix(&target, ".rejects.ndjson"),
        };
        let own_state = with_suffix(&target, ".etl");
        let mut folders = vec![("the state of --out", own_state.clone())];
        for (option, folder) in &self.folders {
            let folder = resolved_folder(folder);
            if folder != own_state || *option != "--state" {
                folders.push((option, folder));
            }
        }
        for (option, file) in [("--out", &target), ("--rejects", &rejects)] {
            if let Some((of, folder)) = folders.iter().find(|(_, folder)| file.starts_with(folder)) {
                let (file, folder) = (file.display(), folder.display());
                return Err(Error::usage(format!(
                    "{option} {file} stands in {folder} ({of}), whose files are swept; choose another place"
                )));
            }
        }
        for (place, (one, outer)) in folders.iter().enumerate() {
            for (other, (two, inner)) in folders.iter().enumerate() {
                if place != other && inner.starts_with(outer) {
                    let (outer, inner) = (outer.display(), inner.display());
                    return Err(Error::usage(format!(
                        "{two} {inner} stands in {outer} ({one}), whose files are swept; choose another place"
                    )));
                }
            }
        }
        let (written, rejected) = (WrittenFiles::new(&[&target, &rejects]), WrittenFiles::new(&[&rejects]));
        for (option, path) in &self.reads {
            // An output has the schema of the next one, which may replace it.
            let replaced = if *option == "--schema" && is_parquet(path) { &rejected } else { &written };
            replaced.check_is_none(option, path)?;
            let Ok(path) = fs::canonicalize(path) else { continue };
            let is_scratch = [&target, &rejects].into_iter().any(|of| {
                let prefix = hidden(of, "");
                path.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes())
            });
            if is_scratch {
                let path = path.display();
                return Err(Error::usage(format!(
                    "{option} {path}: names that begin like this are swept; give it another one"
                )));
            }
        }
        Ok(())
    }
}

fn is_parquet(path: &Path) -> bool {
    let mut begin = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && &begin == b"PAR1"
}

/// One spelling of a folder, which need not be there.
fn resolved_folder(folder: &Path) -> PathBuf {
    if let Ok(found) = fs::canonicalize(folder) {
        return found;
    }
    let Some(name) = folder.file_name() else { return folder.to_owned() };
    fs::canonicalize(folder_of(folder)).map_or_else(|_| folder.to_owned(), |around| around.join(name))
}
