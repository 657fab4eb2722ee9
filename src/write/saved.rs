//! What was written so far, as another process can go on with it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::RunningChecksum;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Shape;

/// Bytes that are read at once.
const STEP_BYTES: usize = 256 << 10;

/// A synced file of a table that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFile {
    /// Where it stands.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// XXH3 (64 bits) of its bytes.
    pub checksum: u64,
}

/// What a table saved since it saved last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedTable {
    /// Parts, in the order of their rows.
    pub parts: Vec<SavedPart>,
    /// The runs of rows in them.
    pub shapes: SavedShapes,
}

/// A part of a table, and what has to be known beside its file to go on with it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPart {
    /// Its file.
    pub file: SavedFile,
    /// Its rows.
    pub row_count: u64,
    /// The rest.
    pub columns: SavedColumns,
}

/// The columns of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedColumns {
    pub(super) shape: Shape,
    pub(super) seen_fields: Vec<bool>,
    pub(super) dictionaries: Vec<Vec<bool>>,
    pub(super) row_group_count: usize,
}

/// What the rows of each run brought, by which columns are put in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SavedShapes {
    shapes: Vec<Arc<Shape>>,
    /// By run, one of the shapes.
    of_runs: Vec<usize>,
}

impl SavedShapes {
    pub(super) fn of(runs: &[Arc<Shape>]) -> Self {
        let mut saved = Self::default();
        for shape in runs {
            let known = saved.shapes.iter().rposition(|known| Arc::ptr_eq(known, shape));
            let place = known.unwrap_or_else(|| {
                saved.shapes.push(Arc::clone(shape));
                saved.shapes.len() - 1
            });
            saved.of_runs.push(place);
        }
        saved
    }

    /// Adds those of later runs.
    pub fn extend(&mut self, later: Self) {
        let begin = self.shapes.len();
        self.shapes.extend(later.shapes);
        self.of_runs.extend(later.of_runs.into_iter().map(|shape| begin + shape));
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = Arc<Shape>> {
        self.of_runs.iter().filter_map(|shape| self.shapes.get(*shape)).map(Arc::clone)
    }
}

impl SavedFile {
    /// The file at `path`, read once.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn read(path: PathBuf) -> Result<Self> {
        let (bytes, checksum) = checksum_of(&path)?;
        Ok(Self { path, bytes, checksum })
    }

    /// Looks whether the file is as it was written.
    ///
    /// # Errors
    /// It is not, or can't be read.
    pub fn check(&self) -> Result<()> {
        let (bytes, checksum) = checksum_of(&self.path)?;
        if (bytes, checksum) == (self.bytes, self.checksum) {
            return Ok(());
        }
        let (path, expected) = (self.path.display(), self.bytes);
        let found = if bytes == expected { "others".to_owned() } else { format!("{bytes} bytes") };
        Err(Error::new(
            ErrorKind::Storage,
            format!(
                "{path} is damaged: expected the {expected} bytes that were written, got {found}; --fresh starts anew"
            ),
        ))
    }
}

fn checksum_of(path: &Path) -> Result<(u64, u64)> {
    let failed = |error| Error::storage("read back", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; STEP_BYTES];
    let (mut checksum, mut bytes) = (RunningChecksum::default(), 0);
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok((bytes, checksum.finish()));
        }
        checksum.update(&buffer[..read]);
        bytes += read as u64;
    }
}
