//! What was written so far, as another process can go on with it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::summed::Sum;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::Shape;

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

/// What a table saved since it saved last, or all that it saved.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedTable {
    /// Parts, in the order of their rows.
    pub parts: Vec<SavedPart>,
    /// The runs of rows in them.
    pub shapes: SavedShapes,
    /// Files that are of no use any more, once the parts are known.
    pub void: Vec<PathBuf>,
}

/// A part of a table, and what has to be known beside its file to go on with it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPart {
    /// Its file; of one that is not finished, what has its row groups, behind which there may be more. It takes the place
    /// of one that was saved before.
    pub file: SavedFile,
    /// What the row groups say, if it is not finished: of those since it was saved last, or of all.
    pub footers: Vec<SavedFile>,
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

impl SavedPart {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &SavedFile> {
        std::iter::once(&self.file).chain(&self.footers)
    }

    /// Looks whether its files are as they were written.
    ///
    /// # Errors
    /// One is not, or can't be read.
    pub fn check(&self) -> Result<()> {
        self.file.check_beginning(!self.footers.is_empty())?;
        self.footers.iter().try_for_each(SavedFile::check)
    }
}

impl SavedFile {
    pub(super) fn new(path: PathBuf, Sum { bytes, checksum }: Sum) -> Self {
        Self { path, bytes, checksum }
    }

    /// Looks whether the file is as it was written.
    ///
    /// # Errors
    /// It is not, or can't be read.
    pub fn check(&self) -> Result<()> {
        self.check_beginning(false)
    }

    /// Whether the file is as it was written.
    ///
    /// # Errors
    /// It can't be read.
    pub fn is_as_written(&self) -> Result<bool> {
        Ok(Sum::of_file(&self.path, u64::MAX)? == self.sum())
    }

    fn sum(&self) -> Sum {
        Sum { bytes: self.bytes, checksum: self.checksum }
    }

    fn check_beginning(&self, may_be_longer: bool) -> Result<()> {
        let bytes_max = if may_be_longer { self.bytes } else { u64::MAX };
        let (path, expected) = (self.path.display(), self.bytes);
        let found = if self.path.exists() {
            match Sum::of_file(&self.path, bytes_max)? {
                found if found == self.sum() => return Ok(()),
                Sum { bytes, .. } if bytes == expected => "others".to_owned(),
                Sum { bytes, .. } => format!("{bytes} bytes"),
            }
        } else {
            "no file".to_owned()
        };
        Err(Error::new(
            ErrorKind::Storage,
            format!(
                "{path} is damaged: expected the {expected} bytes that were written, got {found}; --fresh starts anew"
            ),
        ))
    }
}
