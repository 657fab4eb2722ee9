//! A part, read back: column chunks as they are encoded, or a column's values.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::part::FinishedPart;
use super::unfinished::read_footers;
use crate::error::{Error, Result};

/// Rows of a column that are decoded at once, at most; and where several row groups are read side by side.
const BATCH_ROWS_MAX: usize = 16_384;
const BATCH_ROWS_BESIDE: usize = 1024;

/// The columns of a table that is there already.
///
/// # Errors
/// What is wrong with it.
pub fn schema_of_table(path: &Path) -> Result<SchemaRef, String> {
    let file = File::open(path).map_err(|error| format!("could not be read: {error}"))?;
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
        .map_err(|error| format!("could not be read as Parquet: {error}"))?;
    Ok(Arc::clone(footer.schema()))
}

/// A part, and its footer.
#[derive(Debug)]
pub(super) struct PartReader {
    path: PathBuf,
    footer: ArrowReaderMetadata,
}

impl PartReader {
    pub(super) fn open(part: &FinishedPart) -> Result<Self> {
        let path = part.path.clone();
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let footer = if part.footers.is_empty() {
            ArrowReaderMetadata::load(&reopen(&path)?, options)
        } else {
            ArrowReaderMetadata::try_new(Arc::new(read_footers(&part.footers)?), options)
        };
        let footer = footer.map_err(|error| Error::storage("read back", &path, error))?;
        Ok(Self { path, footer })
    }

    /// The file once more, with a place of its own: readers at the same time would move a shared one.
    pub(super) fn reopen(&self) -> Result<File> {
        reopen(&self.path)
    }

    fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.footer.metadata()
    }

    pub(super) fn row_group_count(&self) -> usize {
        self.metadata().num_row_groups()
    }

    pub(super) fn row_count(&self, row_group: usize) -> usize {
        self.metadata().row_group(row_group).num_rows() as usize
    }

    pub(super) fn leaf_count(&self) -> usize {
        self.metadata().file_metadata().schema_descr().num_columns()
    }

    /// What the footer says of the column chunk of a leaf; with the index of its pages, if the output has one.
    pub(super) fn column_chunk(
        &self,
        row_group: usize,
        leaf: usize,
        has_page_index: bool,
    ) -> ColumnCloseResult {
        let metadata = self.metadata();
        let column_index = metadata.column_index().filter(|_| has_page_index);
        let offset_index = metadata.offset_index().filter(|_| has_page_index);
        let column = metadata.row_group(row_group).column(leaf);
        ColumnCloseResult {
            bytes_written: column.compressed_size() as u64,
            rows_written: self.row_count(row_group) as u64,
            metadata: column.clone(),
            bloom_filter: None,
            column_index: column_index.map(|of| of[row_group][leaf].clone()),
            offset_index: offset_index.map(|of| of[row_group][leaf].clone()),
        }
    }

    /// Bytes of a row group, encoded and not compressed.
    pub(super) fn encoded_bytes(&self, row_group: usize) -> u64 {
        self.metadata().row_group(row_group).total_byte_size().unsigned_abs()
    }

    /// The values of the top-level column in this place, some rows at a time.
    pub(super) fn values(
        &self,
        row_group: usize,
        place: usize,
    ) -> Result<impl Iterator<Item = Result<ArrayRef>> + use<>> {
        self.batches(row_group, place, BATCH_ROWS_MAX)
    }

    /// The values of the top-level column in this place, in runs of rows.
    pub(super) fn cursor(&self, row_group: usize, place: usize) -> Result<ColumnCursor> {
        let batches = Box::new(self.batches(row_group, place, BATCH_ROWS_BESIDE)?);
        Ok(ColumnCursor { batches, rest: None, next_row: 0 })
    }

    fn batches(
        &self,
        row_group: usize,
        place: usize,
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<ArrayRef>> + use<>> {
        let columns = ProjectionMask::roots(self.metadata().file_metadata().schema_descr(), [place]);
        let reader: ParquetRecordBatchReader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.reopen()?, self.footer.clone())
                .with_row_groups(vec![row_group])
                .with_projection(columns)
                .with_batch_size(batch_rows)
                .build()
                .map_err(|error| Error::storage("read back", &self.path, error))?;
        let path = self.path.clone();
        Ok(reader.map(move |batch| {
            let batch = batch.map_err(|error| Error::storage("read back", &path, error))?;
            Ok(ArrayRef::clone(batch.column(0)))
        }))
    }
}

/// Reads a column of a row group from its beginning to its end, in runs of rows.
pub(super) struct ColumnCursor {
    batches: Box<dyn Iterator<Item = Result<ArrayRef>> + Send>,
    /// Read and not taken yet.
    rest: Option<ArrayRef>,
    next_row: usize,
}

impl ColumnCursor {
    /// The row that comes next.
    pub(super) fn next_row(&self) -> usize {
        self.next_row
    }

    /// The values of these rows, which begin at the next one or later.
    pub(super) fn take(&mut self, rows: Range<usize>) -> Result<Vec<ArrayRef>> {
        let mut taken = Vec::new();
        while self.next_row < rows.end {
            let Some(array) =
                self.rest.take().map_or_else(|| self.batches.next().transpose(), |rest| Ok(Some(rest)))?
            else {
                return Err(Error::defect("a row group ends before its last row"));
            };
            let wanted = if self.next_row < rows.start { rows.start } else { rows.end };
            let length = array.len().min(wanted - self.next_row);
            if self.next_row >= rows.start {
                taken.push(array.slice(0, length));
            }
            self.rest = (length < array.len()).then(|| array.slice(length, array.len() - length));
            self.next_row += length;
        }
        Ok(taken)
    }
}

fn reopen(path: &PathBuf) -> Result<File> {
    File::open(path).map_err(|error| Error::storage("reopen", path, error))
}
