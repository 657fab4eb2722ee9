//! All rows of a run, in order, to one Parquet file.
//!
//! Rows are cut into row groups; while one is encoded on the pool the next one fills. A row group
//! that knows more than the open part (a new column, a wider type) closes it and begins the next; at
//! the end parts of different schemas are read back, widened and written as one.

use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::footer::Footer;
use super::part::{FinishedPart, PartColumns, PartFile, check_columns, dictionaries_of, encoding_failed};
use super::row_group::{RowGroup, RowGroups, Rows};
use crate::config::{FeatureConfig, RowGroupConfig};
use crate::cpu::CpuPool;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::model::PageBatch;
use crate::schema::{Form, Kinds, Shape, holds_fragments};
use crate::sink::LocalOutput;

/// Rows of a batch that is read back from a part, at most.
const REREAD_ROWS_MAX: usize = 16_384;

/// What a finished table came to.
#[derive(Debug, Clone)]
pub struct TableStats {
    /// Where the file stands, synced, before it is published.
    pub path: std::path::PathBuf,
    /// Its rows.
    pub row_count: u64,
    /// Its row groups.
    pub row_group_count: usize,
    /// Its size.
    pub bytes: u64,
    /// Its columns.
    pub schema: Arc<Schema>,
}

/// Writes the rows of a run.
pub struct TableWriter {
    pool: CpuPool,
    metrics: Arc<Metrics>,
    features: Arc<FeatureConfig>,
    row_group: RowGroupConfig,
    row_groups: RowGroups,
    shape: Shape,
    seen_fields: Vec<bool>,
    form: Form,
    open: Option<OpenPart>,
    /// Row groups of records without members, held back until there is a column.
    without_columns: Vec<RowGroup>,
    finished: Vec<(PartColumns, FinishedPart)>,
}

struct OpenPart {
    columns: PartColumns,
    state: PartState,
}

type Appending = Pin<Box<dyn Future<Output = Result<PartFile>> + Send>>;

enum PartState {
    /// No row group yet: how it is encoded is decided by the first one.
    Empty,
    /// A row group is encoded and appended; the file comes back when that is done.
    Appending(Appending),
}

impl TableWriter {
    /// A table without rows.
    pub fn new(
        pool: CpuPool,
        metrics: Arc<Metrics>,
        features: Arc<FeatureConfig>,
        row_group: RowGroupConfig,
    ) -> Self {
        let seen_fields = vec![features.fields_are_explicit; features.fields.len()];
        let shape = Shape::of_kinds(Kinds::OBJECT);
        Self::with_schema(pool, metrics, features, row_group, shape, seen_fields, Form::Part)
    }

    fn with_schema(
        pool: CpuPool,
        metrics: Arc<Metrics>,
        features: Arc<FeatureConfig>,
        row_group: RowGroupConfig,
        shape: Shape,
        seen_fields: Vec<bool>,
        form: Form,
    ) -> Self {
        let row_groups = RowGroups::new(row_group);
        Self {
            pool,
            metrics,
            features,
            row_group,
            row_groups,
            shape,
            seen_fields,
            form,
            open: None,
            without_columns: Vec::new(),
            finished: Vec::new(),
        }
    }

    /// Adds the rows of a page behind those of the pages before.
    ///
    /// # Errors
    /// The output can't be written, or the columns break a rule of the output.
    pub async fn push(&mut self, output: &mut LocalOutput, batch: PageBatch) -> Result<()> {
        self.push_rows(output, Rows::of_page(batch)).await
    }

    async fn push_rows(&mut self, output: &mut LocalOutput, rows: Rows) -> Result<()> {
        if rows.row_count == 0 {
            return Ok(());
        }
        // Found here and not once the row group is full: nothing that comes later can make it right.
        check_columns(&rows.types)?;
        self.row_groups.push(rows);
        while let Some(row_group) = self.row_groups.pop_full() {
            self.write(output, row_group).await?;
        }
        Ok(())
    }

    /// Writes what is left and finishes the file; `None` when there is no column to write.
    ///
    /// # Errors
    /// The output can't be written, or does not read back as it was written.
    pub async fn finish(mut self, output: &mut LocalOutput, footer: &Footer) -> Result<Option<TableStats>> {
        if let Some(row_group) = self.row_groups.pop_last() {
            self.write(output, row_group).await?;
        }
        if !self.without_columns.is_empty() {
            return Err(Error::new(
                ErrorKind::Contract,
                "no record has a field, so there is no column to write; name a list with --values to keep the rows",
            ));
        }
        if self.open.is_none() {
            let columns = self.columns()?;
            if columns.count() == 0 {
                return Ok(None);
            }
            self.open = Some(OpenPart { columns, state: PartState::Empty });
        }
        self.finish_part(output, footer).await?;
        let is_final = |(columns, _): &(PartColumns, FinishedPart)| {
            self.form == Form::Published
                || !columns.shape.fields.iter().any(|(_, shape)| holds_fragments(&shape.column_type()))
        };
        match self.finished.as_slice() {
            [part] if is_final(part) => {
                let (columns, part) = part.clone();
                Ok(Some(TableStats {
                    path: part.path,
                    row_count: part.row_count,
                    row_group_count: part.row_group_count,
                    bytes: part.bytes,
                    schema: columns.schema,
                }))
            }
            _ => Box::pin(self.unify(output, footer)).await,
        }
    }

    /// Reads all parts back and writes them as one, with the schema that holds them all.
    async fn unify(self, output: &mut LocalOutput, footer: &Footer) -> Result<Option<TableStats>> {
        let Self { pool, metrics, features, row_group, shape, seen_fields, finished, .. } = self;
        let mut table = Self::with_schema(
            pool.clone(),
            metrics,
            features,
            row_group,
            shape,
            seen_fields,
            Form::Published,
        );
        for (columns, part) in finished {
            // One row group at a time: it was cut by its bytes, so it fits, whatever its rows are.
            for row_group in 0..part.row_group_count {
                let part = part.clone();
                let batches = pool.run(move || read_row_group(&part, row_group)).await??;
                for batch in batches {
                    table.push_rows(output, rows_of_part(&batch, &columns, &table.features)).await?;
                }
            }
        }
        table.finish(output, footer).await
    }

    fn columns(&self) -> Result<PartColumns> {
        PartColumns::new(self.shape.clone(), self.seen_fields.clone(), &self.features, self.form)
    }

    async fn write(&mut self, output: &mut LocalOutput, row_group: RowGroup) -> Result<()> {
        let mut grew = false;
        for slice in &row_group.slices {
            grew |= self.shape.unite(&slice.rows.shape);
            for (ours, theirs) in self.seen_fields.iter_mut().zip(slice.rows.seen_fields()) {
                grew |= theirs && !*ours;
                *ours |= theirs;
            }
        }
        if grew {
            self.follow_schema(output).await?;
        }
        if self.open.is_none() && self.columns()?.count() == 0 {
            // Records without members: Parquet has no rows without columns, so they wait for one.
            self.without_columns.push(row_group);
            return Ok(());
        }
        for row_group in std::mem::take(&mut self.without_columns).into_iter().chain([row_group]) {
            self.encode(output, &row_group).await?;
        }
        Ok(())
    }

    async fn encode(&mut self, output: &mut LocalOutput, row_group: &RowGroup) -> Result<()> {
        let (columns, state) = match self.open.take() {
            Some(OpenPart { columns, state }) => (columns, state),
            None => (self.columns()?, PartState::Empty),
        };
        let appending = match state {
            PartState::Empty => self.begin(output, &columns, row_group).await?,
            PartState::Appending(appending) => self.append(appending.await?, &columns, row_group)?,
        };
        self.open = Some(OpenPart { columns, state: PartState::Appending(appending) });
        Ok(())
    }

    /// Closes the open part, unless it can go on under the schema as it is now.
    async fn follow_schema(&mut self, output: &mut LocalOutput) -> Result<()> {
        let columns = self.columns()?;
        match &mut self.open {
            Some(open) if columns.are_stored_like(&open.columns) => {
                open.columns = columns;
                Ok(())
            }
            _ => self.finish_part(output, &Footer::default()).await,
        }
    }

    /// Begins a file with its first row group, whose data decide how columns are encoded.
    async fn begin(
        &self,
        output: &mut LocalOutput,
        columns: &PartColumns,
        row_group: &RowGroup,
    ) -> Result<Appending> {
        let looks: Vec<_> = (0..columns.count())
            .map(|place| {
                let (columns, row_group) = (columns.clone(), row_group.clone());
                self.pool.run(move || {
                    let arrays = columns.arrays(place, &row_group);
                    dictionaries_of(&arrays, columns.schema.field(place).data_type())
                })
            })
            .collect();
        let mut dictionaries = Vec::with_capacity(looks.len());
        for look in looks {
            dictionaries.push(look.await?);
        }
        let file = PartFile::begin(output.create_part()?, columns, &dictionaries)?;
        self.append(file, columns, row_group)
    }

    /// Starts to encode the columns of a row group; the future appends them to the file.
    fn append(&self, mut file: PartFile, columns: &PartColumns, row_group: &RowGroup) -> Result<Appending> {
        let row_count = row_group.row_count;
        let encoders = file.encoders(columns)?;
        let encoded: Vec<_> = encoders
            .into_iter()
            .enumerate()
            .map(|(place, encoder)| {
                let (columns, row_group) = (columns.clone(), row_group.clone());
                let metrics = Arc::clone(&self.metrics);
                self.pool.run(move || {
                    let begun = Instant::now();
                    let chunks = encoder.encode(&columns.arrays(place, &row_group));
                    metrics.encode_time.add(begun.elapsed());
                    chunks
                })
            })
            .collect();
        let pool = self.pool.clone();
        Ok(Box::pin(async move {
            let mut chunks = Vec::new();
            for column in encoded {
                let column = column
                    .await?
                    .map_err(|error| Error::failed("could not encode a column").because(error))?;
                chunks.extend(column);
            }
            pool.run(move || file.append(chunks, row_count).map(|()| file)).await?
        }))
    }

    /// Finishes the open part, if there is one.
    async fn finish_part(&mut self, output: &mut LocalOutput, footer: &Footer) -> Result<()> {
        let Some(OpenPart { columns, state }) = self.open.take() else { return Ok(()) };
        let file = match state {
            PartState::Appending(appending) => appending.await?,
            PartState::Empty => PartFile::begin(output.create_part()?, &columns, &[])?,
        };
        let footer = footer.clone();
        let part = self.pool.run(move || file.finish(&footer)).await??;
        self.finished.push((columns, part));
        Ok(())
    }
}

fn read_row_group(part: &FinishedPart, row_group: usize) -> Result<Vec<RecordBatch>> {
    let file = File::open(&part.path).map_err(|error| Error::storage("reopen", &part.path, error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_row_groups(vec![row_group]).with_batch_size(REREAD_ROWS_MAX).build())
        .map_err(|error| encoding_failed(&part.path, error))?;
    reader
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| Error::storage("read back", &part.path, error))
}

/// The rows of a part, under the types that the part was written with.
fn rows_of_part(batch: &RecordBatch, columns: &PartColumns, features: &FeatureConfig) -> Rows {
    let mut arrays = batch.columns().iter().cloned();
    let record_columns = arrays.by_ref().take(columns.shape.fields.len()).collect();
    let features = columns
        .seen_fields
        .iter()
        .map(|is_seen| is_seen.then(|| arrays.by_ref().take(features.features.len()).collect()))
        .collect();
    Rows::new(batch.num_rows(), columns.shape.clone(), record_columns, features)
}
