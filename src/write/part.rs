//! One Parquet file in the making: its columns, its encoders, its footer. The only import of the Parquet writer.
//!
//! Columns of a row group are encoded side by side on the CPU pool and appended in order. The file is
//! a pure function of the rows: nothing in it depends on time, threads or the machine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions,
    compute_leaves,
};
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::dictionary::dictionary_pays;
use super::footer::Footer;
use super::part_reader::PartReader;
use super::row_group::{RowGroup, Slice, WIDE_LEAF_COUNT, top_types};
use super::saved::SavedFile;
use super::summed::{Sum, SummedFile};
use super::unfinished::{PageIndexes, footer_of};
use crate::config::{Feature, TransformConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Provenance;
use crate::schema::{
    ColumnType, Form, Shape, are_stored_alike, check_leaf_columns, convert, holds_fragments, leaf_count,
    output_field, to_form,
};
use crate::sink::{Scratch, Writeback};

/// Bytes of a data page before compression. The codec makes room for each page anew; so much fits the caches of
/// a core and of the allocator, a usual megabyte does not.
const DATA_PAGE_BYTES_MAX: usize = 128 << 10;
/// Bytes that a value which all rows have alike is spelled out to at once.
const SPELLED_BYTES_MAX: usize = 1 << 20;
/// Bytes that a column with columns below it may take as a whole while it is encoded; a larger one is spread out and
/// encoded leaf by leaf. Objects in a long list may each have a few of its columns.
const WHOLE_COLUMN_BYTES_MAX: usize = 16 << 20;
/// Bytes for each value of a list then: the value, its place, and its two levels.
const LIST_VALUE_BYTES: usize = 20;
/// Row groups are numbered with 16 bits in Parquet.
const ROW_GROUPS_MAX: usize = i16::MAX as usize;

/// The columns of a part, fixed when it is begun.
#[derive(Debug)]
pub(super) struct PartColumns {
    pub(super) shape: Shape,
    pub(super) seen_fields: Vec<bool>,
    columns: Vec<PartColumn>,
    pub(super) schema: Arc<Schema>,
    form: Form,
}

#[derive(Debug)]
struct PartColumn {
    source: Source,
    field: Field,
}

#[derive(Debug)]
enum Source {
    /// A column of the records: where it stood in the shape, and its type in this part.
    Record { place: usize, name: Arc<str>, of: ColumnType },
    /// A feature of a `--values` field.
    Feature { field: usize, feature: usize },
    /// A column that says where a row comes from.
    Provenance { place: usize },
}

/// What a column of the output is in a part.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Not there yet: all of its rows are null.
    Absent,
    /// The column in this place, stored in the same way.
    Same { place: usize },
    /// The column in this place, whose values are to be converted.
    Narrower { place: usize, from: ColumnType, to: ColumnType },
}

impl PartColumns {
    /// The columns for records of this shape, and for the features of the fields that were seen.
    ///
    /// # Errors
    /// A feature has the name of a record's column, or there are too many columns.
    pub(super) fn new(
        shape: Shape,
        seen_fields: Vec<bool>,
        transform: &TransformConfig,
        form: Form,
    ) -> Result<Self> {
        let features = &*transform.features;
        let types = top_types(&shape);
        check_columns(&types)?;
        let mut columns: Vec<_> = types
            .into_iter()
            .enumerate()
            .map(|(place, (name, of))| PartColumn {
                field: output_field(&name, &of),
                source: Source::Record { place, name, of },
            })
            .collect();
        for (index, values) in features.fields.iter().enumerate().filter(|(index, _)| seen_fields[*index]) {
            for (place, feature) in features.features.iter().enumerate() {
                let name = format!("{}_{}", values.name, feature.name());
                check_is_free(&columns, &name, || {
                    format!("give the list another name with --values NAME={}", values.path.shown())
                })?;
                columns.push(PartColumn {
                    field: Field::new(name, feature_type(*feature), true),
                    source: Source::Feature { field: index, feature: place },
                });
            }
        }
        for (place, of) in Provenance::ALL.into_iter().enumerate().filter(|_| transform.has_provenance) {
            check_is_free(&columns, of.name(), || "leave --provenance out".to_owned())?;
            let field = Field::new(of.name(), of.data_type(), true);
            columns.push(PartColumn { field, source: Source::Provenance { place } });
        }
        let schema =
            Arc::new(Schema::new(columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>()));
        Ok(Self { shape, seen_fields, columns, schema, form })
    }

    /// Whether a part with the other columns can go on with these.
    pub(super) fn are_stored_like(&self, other: &Self) -> bool {
        self.seen_fields == other.seen_fields
            && are_stored_alike(&top_types(&self.shape), &top_types(&other.shape))
    }

    pub(super) fn count(&self) -> usize {
        self.columns.len()
    }

    /// What each of these columns is in a part whose schema they have outgrown.
    pub(super) fn origins_in(&self, part: &Self) -> Vec<Origin> {
        let places: HashMap<&str, usize> = part
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| (column.field.name().as_str(), place))
            .collect();
        let origin = |column: &PartColumn| {
            let Some(place) = places.get(column.field.name().as_str()).copied() else {
                return Origin::Absent;
            };
            match (&part.columns[place].source, &column.source) {
                (Source::Record { of: from, .. }, Source::Record { of: to, .. })
                    if !from.is_stored_like(to) || self.form != part.form && holds_fragments(to) =>
                {
                    Origin::Narrower { place, from: from.clone(), to: to.clone() }
                }
                _ => Origin::Same { place },
            }
        };
        self.columns.iter().map(origin).collect()
    }

    /// Whether a part with these columns can be the output.
    pub(super) fn are_final(&self) -> bool {
        let holds_fragments = |column: &PartColumn| match &column.source {
            Source::Record { of, .. } => holds_fragments(of),
            Source::Feature { .. } | Source::Provenance { .. } => false,
        };
        self.form == Form::Published || !self.columns.iter().any(holds_fragments)
    }

    /// An array of a part's column in the type and form that it has here.
    pub(super) fn widened(&self, array: &ArrayRef, from: &ColumnType, to: &ColumnType) -> ArrayRef {
        to_form(&convert(array, from, to), to, self.form)
    }

    /// Encodes one column of a row group, in the types of this part.
    pub(super) fn encode(
        &self,
        place: usize,
        row_group: &RowGroup,
        encoder: &mut ColumnEncoder,
    ) -> Result<(), ParquetError> {
        let column = &self.columns[place];
        for piece in row_group.slices.iter().flat_map(|slice| column.pieces(slice)) {
            match column.type_by_leaves(&piece) {
                Some(of) => encoder.encode_by_leaves(of, |of| column.array_as(&piece, of, self.form))?,
                None => encoder.encode(&column.array(&piece, self.form))?,
            }
        }
        Ok(())
    }

    /// Which leaves of a column get a dictionary, from its arrays in the first row group.
    pub(super) fn dictionaries(&self, place: usize, row_group: &RowGroup) -> Vec<bool> {
        match self.columns[place].source {
            Source::Provenance { place } => vec![Provenance::ALL[place] != Provenance::Record],
            _ => self.columns[place].dictionaries(&row_group.slices, self.form),
        }
    }
}

impl PartColumn {
    /// A slice in pieces that can each be spelled out: a value that all rows have alike may be a long one.
    fn pieces(&self, slice: &Slice) -> impl Iterator<Item = Slice> {
        let piece_rows = match &self.source {
            Source::Provenance { place } if slice.rows.provenance[*place].is_alike() => {
                SPELLED_BYTES_MAX / slice.rows.provenance[*place].value_bytes().max(1)
            }
            _ => slice.length,
        };
        let (rows, start, length) = (Arc::clone(&slice.rows), slice.start, slice.length);
        let piece_rows = piece_rows.max(1);
        (0..length).step_by(piece_rows).map(move |from| Slice {
            rows: Arc::clone(&rows),
            start: start + from,
            length: piece_rows.min(length - from),
        })
    }

    /// Which leaves get a dictionary, from these slices.
    fn dictionaries(&self, slices: &[Slice], form: Form) -> Vec<bool> {
        match slices.iter().find_map(|slice| self.type_by_leaves(slice)) {
            Some(of) => (0..of.leaf_count())
                .flat_map(|leaf| {
                    let of = of.only_leaf(leaf);
                    let arrays = slices.iter().map(|slice| self.array_as(slice, &of, form));
                    dictionary_pays(&arrays.collect::<Vec<_>>())
                })
                .collect(),
            None => dictionary_pays(&slices.iter().map(|slice| self.array(slice, form)).collect::<Vec<_>>()),
        }
    }

    /// The type of the column, if this slice of it is too large to be encoded as a whole.
    fn type_by_leaves(&self, slice: &Slice) -> Option<&ColumnType> {
        let Source::Record { place, name, of } = &self.source else { return None };
        let found = slice.rows.place_of(name, *place)?;
        is_by_leaves(slice.rows.columns[found].values(), of).then_some(of)
    }

    /// The column of records in a type that has all of this slice's values, or some of its leaves.
    fn array_as(&self, Slice { rows, start, length }: &Slice, of: &ColumnType, form: Form) -> ArrayRef {
        let Source::Record { place, name, .. } = &self.source else {
            unreachable!("computed columns have no leaves")
        };
        match rows.place_of(name, *place) {
            Some(found) => rows.columns[found].array(*start, *length, |values| {
                to_form(&convert(values, &rows.types[found].1, of), of, form)
            }),
            None => new_null_array(output_field(name, of).data_type(), *length),
        }
    }

    fn array(&self, slice: &Slice, form: Form) -> ArrayRef {
        let Slice { rows, start, length } = slice;
        let absent = || new_null_array(self.field.data_type(), *length);
        match &self.source {
            Source::Feature { field, feature } => match &rows.features[*field] {
                Some(columns) => columns[*feature].slice(*start, *length),
                None => absent(),
            },
            Source::Provenance { place } => rows.provenance[*place].array(*start, *length, Arc::clone),
            Source::Record { of, .. } => self.array_as(slice, of, form),
        }
    }
}

/// Tells whether an array is so large once it has this type that it is encoded leaf by leaf.
pub(super) fn is_by_leaves(array: &ArrayRef, of: &ColumnType) -> bool {
    let leaf_count = of.leaf_count();
    leaf_count > 1 && list_values_count(array) * leaf_count * LIST_VALUE_BYTES > WHOLE_COLUMN_BYTES_MAX
}

/// Values of the longest list column in an array.
fn list_values_count(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::List(_) => {
            let values = array.as_list::<i32>().values();
            values.len().max(list_values_count(values))
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().map(list_values_count).max().unwrap_or_default()
        }
        _ => 0,
    }
}

/// # Errors
/// A field of the records, or another computed column, has this name.
fn check_is_free(columns: &[PartColumn], name: &str, mend: impl Fn() -> String) -> Result<()> {
    if columns.iter().all(|column| column.field.name() != name) {
        return Ok(());
    }
    let message = format!("the computed column {name} has the name of a field of the records; {}", mend());
    Err(Error::new(ErrorKind::Contract, message))
}

/// The type of a feature's column.
fn feature_type(feature: Feature) -> DataType {
    if feature.is_count() { DataType::Int64 } else { DataType::Float64 }
}

/// # Errors
/// There are more leaf columns than a file may have.
pub(super) fn check_columns(types: &[(Arc<str>, ColumnType)]) -> Result<()> {
    check_leaf_columns(types).map_err(|error| Error::new(ErrorKind::Contract, error.to_string()))
}

/// An open Parquet file.
pub(super) struct PartFile {
    writer: SerializedFileWriter<SummedFile>,
    encoders: ArrowRowGroupWriterFactory,
    path: PathBuf,
    dictionaries: Vec<Vec<bool>>,
    has_page_index: bool,
    writeback: Writeback,
    row_group_count: usize,
    row_count: u64,
    /// Of its row groups that were not saved yet, if they will be.
    unsaved_indexes: Option<Vec<PageIndexes>>,
    /// Where the footers of those are that were.
    footers: Vec<PathBuf>,
    /// Whether it is where it outlasts the run.
    is_kept: bool,
}

/// A Parquet file that is finished, or was saved before it was.
#[derive(Debug, Clone)]
pub(super) struct FinishedPart {
    pub(super) path: PathBuf,
    /// By column, which of its leaves may have a dictionary.
    pub(super) dictionaries: Vec<Vec<bool>>,
    pub(super) row_count: u64,
    pub(super) row_group_count: usize,
    pub(super) sum: Sum,
    /// The files of its footers, if it has none itself: it was not finished.
    pub(super) footers: Vec<PathBuf>,
    /// Whether it is where it outlasts the run, and stays when it was taken over.
    pub(super) is_kept: bool,
}

/// Encodes the arrays of one top-level column with the writers of its leaves.
#[derive(Debug)]
pub(super) struct ColumnEncoder {
    field: Field,
    writers: Vec<ArrowColumnWriter>,
}

impl ColumnEncoder {
    pub(super) fn encode(&mut self, array: &ArrayRef) -> Result<(), ParquetError> {
        for (leaf, writer) in compute_leaves(&self.field, array)?.iter().zip(&mut self.writers) {
            writer.write(leaf)?;
        }
        Ok(())
    }

    /// Encodes an array of this type leaf by leaf, as `array_of` gives it with each of them alone.
    pub(super) fn encode_by_leaves(
        &mut self,
        of: &ColumnType,
        array_of: impl Fn(&ColumnType) -> ArrayRef,
    ) -> Result<(), ParquetError> {
        for (leaf, writer) in self.writers.iter_mut().enumerate() {
            let of = of.only_leaf(leaf);
            for leaf in compute_leaves(&output_field(self.field.name(), &of), &array_of(&of))? {
                writer.write(&leaf)?;
            }
        }
        Ok(())
    }

    pub(super) fn encode_nulls(&mut self, row_count: usize) -> Result<(), ParquetError> {
        self.encode(&new_null_array(self.field.data_type(), row_count))
    }

    /// What was encoded, a chunk for each leaf.
    pub(super) fn close(self) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
        self.writers.into_iter().map(ArrowColumnWriter::close).collect()
    }
}

/// Column chunks that a row group gets next.
#[derive(Debug)]
pub(super) enum ColumnChunks {
    Encoded(Vec<ArrowColumnChunk>),
    /// Those of these leaves, as they are encoded in a part.
    Copied(Range<usize>),
}

impl PartFile {
    /// Begins a file. `dictionaries` says, by column, which of its leaves get a dictionary. Only one that `may_be_saved` can
    /// be before it is finished.
    pub(super) fn begin(
        scratch: Scratch,
        columns: &PartColumns,
        dictionaries: Vec<Vec<bool>>,
        may_be_saved: bool,
    ) -> Result<Self> {
        let Scratch { path, file } = scratch;
        let parquet_schema = parquet::arrow::ArrowSchemaConverter::new()
            .convert(&columns.schema)
            .map_err(|error| encoding_failed(&path, error))?;
        // The index of its pages takes more than a kilobyte of memory for each column of each row group, until
        // the footer is written; in a wide table a column has few pages there, mostly one.
        let is_wide = parquet_schema.num_columns() > WIDE_LEAF_COUNT;
        let statistics = if is_wide { EnabledStatistics::Chunk } else { EnabledStatistics::Page };
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("etl version {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(statistics)
            .set_offset_index_disabled(is_wide)
            .set_data_page_size_limit(DATA_PAGE_BYTES_MAX)
            .set_dictionary_enabled(false);
        let leaves = parquet_schema.columns().iter().zip(dictionaries.iter().flatten());
        for (leaf, _) in leaves.filter(|(_, pays)| **pays) {
            properties = properties.set_column_dictionary_enabled(leaf.path().clone(), true);
        }
        // Parquet's own types say all that there is to say; the Arrow schema beside them would only make
        // files unreadable where objects or lists are nested deeper than Flatbuffers allow.
        let options =
            ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let (writer, encoders) =
            ArrowWriter::try_new_with_options(SummedFile::new(file), Arc::clone(&columns.schema), options)
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(|error| encoding_failed(&path, error))?;
        Ok(Self {
            writer,
            encoders,
            path,
            dictionaries,
            has_page_index: !is_wide,
            writeback: Writeback::default(),
            row_group_count: 0,
            row_count: 0,
            unsaved_indexes: may_be_saved.then(Vec::new),
            footers: Vec::new(),
            is_kept: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The encoders of the next row group, one per top-level column.
    pub(super) fn encoders(&self, columns: &PartColumns) -> Result<Vec<ColumnEncoder>> {
        let writers = self
            .encoders
            .create_column_writers(self.row_group_count)
            .map_err(|error| encoding_failed(&self.path, error))?;
        let mut writers = writers.into_iter();
        Ok(columns
            .schema
            .fields()
            .iter()
            .map(|field| ColumnEncoder {
                field: field.as_ref().clone(),
                writers: writers.by_ref().take(leaf_count(field.data_type())).collect(),
            })
            .collect())
    }

    /// Appends the encoded columns of a row group, in the order of the columns.
    pub(super) fn append(&mut self, chunks: Vec<ArrowColumnChunk>, row_count: usize) -> Result<()> {
        self.append_row_group([ColumnChunks::Encoded(chunks)], row_count, |leaf, _| {
            unreachable!("leaf {leaf} is encoded")
        })
    }

    /// Appends a row group of columns that are encoded, or to be copied from this row group of a part.
    pub(super) fn append_from(
        &mut self,
        (part, row_group): (&PartReader, usize),
        columns: impl IntoIterator<Item = ColumnChunks>,
        row_count: usize,
    ) -> Result<()> {
        let (input, has_page_index) = (part.reopen()?, self.has_page_index);
        self.append_row_group(columns, row_count, |leaf, appending| {
            appending.copy(&input, part.column_chunk(row_group, leaf, has_page_index))
        })
    }

    /// Appends the row groups of a finished part with the same columns, as they are encoded there.
    pub(super) fn append_part(&mut self, part: &PartReader) -> Result<()> {
        for row_group in 0..part.row_group_count() {
            let columns = [ColumnChunks::Copied(0..part.leaf_count())];
            self.append_from((part, row_group), columns, part.row_count(row_group))?;
        }
        Ok(())
    }

    fn append_row_group(
        &mut self,
        columns: impl IntoIterator<Item = ColumnChunks>,
        row_count: usize,
        copy: impl Fn(usize, &mut AppendingRowGroup<'_>) -> Result<(), ParquetError>,
    ) -> Result<()> {
        check_row_group_count(self.row_group_count)?;
        let path = &self.path;
        let row_group = self.writer.next_row_group().map_err(|error| encoding_failed(path, error))?;
        let indexes = self.unsaved_indexes.is_some().then(PageIndexes::default);
        let indexes = AppendingRowGroup { row_group, indexes }
            .append_columns(columns, copy)
            .map_err(|error| encoding_failed(path, error))?;
        if let Some(unsaved) = &mut self.unsaved_indexes {
            unsaved.extend(indexes);
        }
        self.writeback.reach(self.writer.inner().file(), self.writer.bytes_written() as u64);
        self.row_group_count += 1;
        self.row_count += row_count as u64;
        Ok(())
    }

    /// Says that the file stands elsewhere now, where it outlasts the run.
    pub(super) fn keep_at(&mut self, path: PathBuf) {
        self.path = path;
        self.is_kept = true;
    }

    /// Whether it is where it outlasts the run.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Whether row groups came since it was saved.
    pub(super) fn has_unsaved(&self) -> bool {
        self.unsaved_indexes.as_ref().is_some_and(|unsaved| !unsaved.is_empty())
    }

    /// Syncs all row groups so far.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| Error::storage("write", &self.path, error))?;
        sync(self.writer.inner().file(), &self.path)
    }

    /// Writes and syncs a file with what the row groups say that were not saved before, and gives the part as it is now,
    /// which is synced.
    pub(super) fn save(&mut self, footer: Scratch) -> Result<(FinishedPart, SavedFile)> {
        let path = &self.path;
        let indexes = self.unsaved_indexes.as_mut().map(std::mem::take).unwrap_or_default();
        let row_groups = self.writer.flushed_row_groups();
        let row_groups = &row_groups[row_groups.len() - indexes.len()..];
        let bytes = footer_of(self.writer.schema_descr(), row_groups, indexes)
            .map_err(|error| encoding_failed(&footer.path, error))?;
        let mut file = SummedFile::new(footer.file);
        file.write_all(&bytes).map_err(|error| Error::storage("write", &footer.path, error))?;
        sync(file.file(), &footer.path)?;
        self.footers.push(footer.path.clone());
        let part = FinishedPart {
            path: path.clone(),
            dictionaries: self.dictionaries.clone(),
            row_count: self.row_count,
            row_group_count: self.row_group_count,
            sum: self.writer.inner().sum(),
            footers: Vec::new(),
            is_kept: self.is_kept,
        };
        Ok((part, SavedFile::new(footer.path, file.sum())))
    }

    /// Where the footers are that it was saved with.
    pub(super) fn footers(&self) -> &[PathBuf] {
        &self.footers
    }

    /// Writes the footer. The part may be read now, but not be believed to outlast a crash, unless it is kept: the ledger
    /// hears of nothing while a file of the state folder is not synced.
    pub(super) fn close(self, footer: &Footer) -> Result<FinishedPart> {
        let (part, file) = self.write_footer(footer)?;
        if part.is_kept {
            sync(&file, &part.path)?;
        }
        Ok(part)
    }

    /// Writes the footer and syncs the file, which is to be [verified](verify).
    pub(super) fn finish(self, footer: &Footer) -> Result<FinishedPart> {
        let (part, file) = self.write_footer(footer)?;
        sync(&file, &part.path)?;
        Ok(part)
    }

    fn write_footer(mut self, footer: &Footer) -> Result<(FinishedPart, File)> {
        for (key, value) in &footer.0 {
            self.writer.append_key_value_metadata(KeyValue::new(key.clone(), value.clone()));
        }
        let Self { writer, path, dictionaries, row_count, row_group_count, is_kept, .. } = self;
        let file = writer.into_inner().map_err(|error| encoding_failed(&path, error))?;
        let (sum, footers) = (file.sum(), Vec::new());
        let part = FinishedPart { path, dictionaries, row_count, row_group_count, sum, footers, is_kept };
        Ok((part, file.into_file()))
    }
}

/// A row group that gets its columns.
struct AppendingRowGroup<'a> {
    row_group: SerializedRowGroupWriter<'a, SummedFile>,
    /// Of the columns so far, if they are to be known.
    indexes: Option<PageIndexes>,
}

impl AppendingRowGroup<'_> {
    fn append_columns(
        mut self,
        columns: impl IntoIterator<Item = ColumnChunks>,
        copy: impl Fn(usize, &mut Self) -> Result<(), ParquetError>,
    ) -> Result<Option<PageIndexes>, ParquetError> {
        for chunks in columns {
            match chunks {
                ColumnChunks::Encoded(chunks) => {
                    chunks.into_iter().try_for_each(|chunk| self.append(chunk))?;
                }
                ColumnChunks::Copied(mut leaves) => leaves.try_for_each(|leaf| copy(leaf, &mut self))?,
            }
        }
        let row_group = self.row_group.close()?;
        Ok(self.indexes.map(|mut indexes| {
            indexes.settle(&row_group);
            indexes
        }))
    }

    fn append(&mut self, chunk: ArrowColumnChunk) -> Result<(), ParquetError> {
        if let Some(indexes) = &mut self.indexes {
            indexes.push(chunk.close());
        }
        chunk.append_to_row_group(&mut self.row_group)
    }

    fn copy(&mut self, input: &File, chunk: ColumnCloseResult) -> Result<(), ParquetError> {
        if let Some(indexes) = &mut self.indexes {
            indexes.push(&chunk);
        }
        self.row_group.append_column(input, chunk)
    }
}

fn check_row_group_count(row_group_count: usize) -> Result<()> {
    if row_group_count < ROW_GROUPS_MAX {
        return Ok(());
    }
    let message = format!(
        "a Parquet file has at most {ROW_GROUPS_MAX} row groups; raise --row-group-rows or --row-group-bytes"
    );
    Err(Error::new(ErrorKind::Contract, message))
}

/// Syncs a file.
fn sync(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(|error| Error::storage("sync", path, error))
}

/// Reads the footer of a part that was just written, and compares it with the counts.
///
/// # Errors
/// It can't be read, or says something else.
pub(super) fn verify(part: &FinishedPart) -> Result<()> {
    let path = &part.path;
    let file = File::open(path).map_err(|error| Error::storage("reopen", path, error))?;
    let metadata =
        ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|error| encoding_failed(path, error))?;
    let (row_count, row_group_count) = (metadata.file_metadata().num_rows(), metadata.num_row_groups());
    if (row_count, row_group_count) != (part.row_count as i64, part.row_group_count) {
        return Err(Error::new(
            ErrorKind::Storage,
            format!(
                "{} does not hold what was written: expected {} rows in {} row groups, got {row_count} in \
                 {row_group_count}",
                path.display(),
                part.row_count,
                part.row_group_count
            ),
        ));
    }
    Ok(())
}

fn encoding_failed(path: &Path, error: ParquetError) -> Error {
    // The encoder wraps what the file system says, in the same words.
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => Error::storage("write", path, *cause),
            Err(cause) => Error::storage("write", path, ParquetError::External(cause)),
        },
        error => Error::storage("write", path, error),
    }
}

pub(super) fn could_not_encode(error: ParquetError) -> Error {
    Error::failed("could not encode a column").because(error)
}
