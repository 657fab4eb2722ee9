//! What the row groups of a file say that has no footer yet, in files of their own: with them it can be read, should
//! nobody finish it.
//!
//! Each is a Parquet footer with the indexes of pages before it, as the `_metadata` files of other tools are, and has the row
//! groups that came since the one before.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, PageIndexPolicy, ParquetColumnIndex, ParquetMetaData, ParquetMetaDataBuilder,
    ParquetMetaDataReader, ParquetMetaDataWriter, ParquetOffsetIndex, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::schema::types::SchemaDescriptor;

use crate::error::{Error, Result};

/// Version of the format that says no more than that there is a footer.
const FORMAT_VERSION: i32 = 1;

/// The indexes of the pages of one row group, by leaf; empty where the file has none.
#[derive(Debug, Default)]
pub(super) struct PageIndexes {
    columns: Vec<ColumnIndexMetaData>,
    offsets: Vec<OffsetIndexMetaData>,
}

impl PageIndexes {
    /// Adds those of the next column chunk, before it gets its place in the file.
    pub(super) fn push(&mut self, chunk: &ColumnCloseResult) {
        let Some(offsets) = &chunk.offset_index else { return };
        self.columns.push(chunk.column_index.clone().unwrap_or(ColumnIndexMetaData::NONE));
        self.offsets.push(offsets.clone());
    }

    /// Moves the offsets to where the column chunks of this row group stand.
    pub(super) fn settle(&mut self, row_group: &RowGroupMetaData) {
        for (offsets, chunk) in self.offsets.iter_mut().zip(row_group.columns()) {
            // An index has no page of a dictionary, which comes before the first page that it has.
            let Some(first) = offsets.page_locations.first().map(|page| page.offset) else { continue };
            for page in &mut offsets.page_locations {
                page.offset += chunk.data_page_offset() - first;
            }
        }
    }
}

/// What these row groups say, as it is written.
pub(super) fn footer_of(
    schema: &SchemaDescriptor,
    row_groups: &[RowGroupMetaData],
    indexes: Vec<PageIndexes>,
) -> Result<Vec<u8>, ParquetError> {
    let row_count = row_groups.iter().map(RowGroupMetaData::num_rows).sum();
    let schema = Arc::new(SchemaDescriptor::new(schema.root_schema_ptr()));
    let about = FileMetaData::new(FORMAT_VERSION, row_count, None, None, schema, None);
    let has_indexes = indexes.iter().any(|of| !of.offsets.is_empty());
    let (columns, offsets) = indexes.into_iter().map(|of| (of.columns, of.offsets)).unzip();
    let footer = ParquetMetaDataBuilder::new(about)
        .set_row_groups(row_groups.to_vec())
        .set_column_index(Some(columns).filter(|_| has_indexes))
        .set_offset_index(Some(offsets).filter(|_| has_indexes))
        .build();
    // To memory: the writer of the library keeps an error of its last bytes to itself.
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &footer).finish()?;
    Ok(bytes)
}

/// What all row groups of a file say, from the files beside it, of which there is one at least.
///
/// # Errors
/// One of them can't be read.
pub(super) fn read_footers(paths: &[PathBuf]) -> Result<ParquetMetaData> {
    let mut about = None;
    let mut row_groups = Vec::new();
    let (mut columns, mut offsets) = (ParquetColumnIndex::new(), ParquetOffsetIndex::new());
    for path in paths {
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let file = File::open(path).map_err(|error| Error::storage("reopen", path, error))?;
        let footer = reader.parse_and_finish(&file);
        let mut footer = footer.map_err(|error| Error::storage("read back", path, error))?.into_builder();
        columns.extend(footer.take_column_index().unwrap_or_default());
        offsets.extend(footer.take_offset_index().unwrap_or_default());
        row_groups.append(&mut footer.take_row_groups());
        about.get_or_insert_with(|| footer.build().file_metadata().clone());
    }
    let about = about.ok_or_else(|| Error::defect("a file without a footer has none beside it either"))?;
    let has_indexes = offsets.len() == row_groups.len();
    Ok(ParquetMetaDataBuilder::new(about)
        .set_row_groups(row_groups)
        .set_column_index(Some(columns).filter(|_| has_indexes))
        .set_offset_index(Some(offsets).filter(|_| has_indexes))
        .build())
}
