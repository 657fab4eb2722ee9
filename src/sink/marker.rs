//! Folders that are of etl: known by what the run which makes them leaves there first. In any other folder that is not
//! empty nothing is made, changed or removed.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Purpose of a folder, and the marks by which it is known.
#[derive(Debug)]
pub(super) struct Marker {
    /// The option that names the folder.
    pub(super) option: &'static str,
    /// Tells whether a folder has the mark of ours.
    pub(super) is_there: fn(&Path) -> bool,
    /// Tells whether something of this path stands in a folder before the mark does, should its run be killed then.
    pub(super) comes_before: fn(&Path) -> bool,
}

/// Tells whether this is a file, and no link to one.
pub(super) fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

impl Marker {
    /// Tells whether the folder is ours, or nobody's because it is empty. A link is no folder.
    pub(super) fn is_of(&self, folder: &Path) -> Result<bool> {
        self.stranger_in(folder).map(|stranger| stranger.is_none())
    }

    /// # Errors
    /// The folder is somebody else's ([`Usage`](crate::error::ErrorKind::Usage)).
    pub(super) fn check(&self, folder: &Path) -> Result<()> {
        let Some(stranger) = self.stranger_in(folder)? else { return Ok(()) };
        let (option, shown) = (self.option, folder.display());
        Err(Error::usage(format!(
            "{option} {shown}: expected an empty folder or one that etl has made, got one with {stranger}; nothing in it \
             was touched, choose another folder"
        )))
    }

    /// Tells what stands in a folder that is not ours.
    fn stranger_in(&self, folder: &Path) -> Result<Option<String>> {
        if (self.is_there)(folder) {
            return Ok(None);
        }
        let failed = |error| Error::storage("list", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !(self.comes_before)(&entry.path()) {
                return Ok(Some(entry.file_name().display().to_string()));
            }
        }
        Ok(None)
    }
}
