//! All rows of a run, in order, to one Parquet file.
//!
//! Rows are cut into row groups; while one is encoded on the pool the next one fills. A row group
//! that knows more than the open part (a new column, a wider type) closes it and begins the next; at
//! the end parts of different schemas become one, and rows that came out of order are put in order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::Schema;

use super::footer::Footer;
use super::order::Sequence;
use super::part::{FinishedPart, PartColumns, PartFile, check_columns, could_not_encode, verify};
use super::part_reader::PartReader;
use super::row_group::{RowGroup, RowGroups, Rows, Slice};
use super::saved::{SavedColumns, SavedFile, SavedPart, SavedShapes, SavedTable};
use super::summed::Sum;
use super::unify::unify;
use crate::config::{RowGroupConfig, TransformConfig};
use crate::cpu::CpuPool;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::model::PageBatch;
use crate::schema::{Form, Kinds, Shape};
use crate::sink::{LocalOutput, StateFolder};

/// Runs before one that may have brought the same.
const RUN_SHAPES_COMPARED: usize = 4;

/// What a finished table came to.
#[derive(Debug, Clone)]
pub struct TableStats {
    /// Where the file stands, synced, before it is published.
    pub path: PathBuf,
    /// Its rows.
    pub row_count: u64,
    /// Its row groups.
    pub row_group_count: usize,
    /// Its size.
    pub bytes: u64,
    /// XXH3 (64 bits) of its bytes.
    pub checksum: u64,
    /// Its columns.
    pub schema: Arc<Schema>,
    /// JSON Pointers to the columns that are kept as JSON text, for their many keys or their depth.
    pub json_columns: Vec<String>,
}

/// Writes the rows of a run, or those of one page that is too large to be held.
pub struct TableWriter {
    tools: Tools,
    row_groups: RowGroups,
    shape: Shape,
    seen_fields: Vec<bool>,
    row_count: u64,
    /// What the rows of each run brought; alike ones are shared. The last run is going on.
    run_shapes: Vec<Arc<Shape>>,
    run_shape: Shape,
    open: Option<OpenPart>,
    /// Row groups of records without members, held back until there is a column.
    without_columns: Vec<RowGroup>,
    finished: Vec<(Arc<PartColumns>, FinishedPart)>,
    /// Those of the finished parts, and of the runs, that are saved.
    saved_count: usize,
    saved_run_count: usize,
    /// Whether it goes on where another process stopped.
    is_resumed: bool,
    /// Tells whether rows were lost on their way to a file that could not be written.
    is_broken: bool,
    tails: Tails,
}

/// What is saved of the rows from which no row group has been cut: they are in files of their own until it is.
#[derive(Default)]
struct Tails {
    row_count: usize,
    files: Vec<PathBuf>,
    /// Files that are of no use once the row groups that were cut are saved.
    void: Vec<PathBuf>,
}

/// What a table is written with.
#[derive(Clone)]
struct Tools {
    pool: CpuPool,
    metrics: Arc<Metrics>,
    transform: Arc<TransformConfig>,
    row_group: RowGroupConfig,
    /// Whether what is written is saved now and then.
    is_saved: bool,
}

struct OpenPart {
    columns: Arc<PartColumns>,
    file: Appending,
}

/// A row group is encoded and appended; the file comes back when that is done.
type Appending = Pin<Box<dyn Future<Output = Result<PartFile>> + Send>>;

/// A file to which nothing is being appended.
fn settled(file: PartFile) -> Appending {
    Box::pin(std::future::ready(Ok(file)))
}

impl TableWriter {
    /// A table without rows; with the columns of a schema, if one is declared.
    pub fn new(
        pool: CpuPool,
        metrics: Arc<Metrics>,
        transform: Arc<TransformConfig>,
        row_group: RowGroupConfig,
    ) -> Self {
        let features = &transform.features;
        let is_known = |values| features.fields_are_explicit || transform.declared_values(values).is_some();
        let seen_fields = features.fields.iter().map(is_known).collect();
        let shape = match &transform.schema {
            Some(schema) => schema.shape(),
            None => Shape::of_kinds(Kinds::OBJECT),
        };
        let tools = Tools { pool, metrics, transform, row_group, is_saved: false };
        Self::with_schema(tools, shape, seen_fields)
    }

    fn with_schema(tools: Tools, shape: Shape, seen_fields: Vec<bool>) -> Self {
        let row_groups = RowGroups::new(tools.row_group);
        Self {
            tools,
            row_groups,
            shape,
            seen_fields,
            row_count: 0,
            run_shapes: Vec::new(),
            run_shape: Shape::of_kinds(Kinds::OBJECT),
            open: None,
            without_columns: Vec::new(),
            finished: Vec::new(),
            saved_count: 0,
            saved_run_count: 0,
            is_resumed: false,
            is_broken: false,
            tails: Tails::default(),
        }
    }

    /// The same table, which can be [saved](Self::save).
    pub fn saved(mut self) -> Self {
        self.tools.is_saved = true;
        self
    }

    /// Rows so far.
    pub fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Says that the rows that come next need not belong behind those so far.
    pub fn end_run(&mut self) {
        let shape = std::mem::replace(&mut self.run_shape, Shape::of_kinds(Kinds::OBJECT));
        // Most runs bring the same, or, where a page failed, nothing.
        let known = self.run_shapes.iter().rev().take(RUN_SHAPES_COMPARED);
        let shared = known.into_iter().find(|known| ***known == shape).map(Arc::clone);
        self.run_shapes.push(shared.unwrap_or_else(|| Arc::new(shape)));
    }

    /// A table for the rows of one page, which join this one by [`Self::append_page`] or vanish.
    ///
    /// It begins with the columns of this one, so that what it writes can be taken over as it is. Waits until
    /// nothing of this table is being encoded, so that one row group is at a time.
    ///
    /// # Errors
    /// The output can't be written.
    pub async fn begin_page(&mut self) -> Result<Self> {
        self.settle().await?;
        let (shape, seen_fields) = self.schema_with_open_rows();
        Ok(Self::with_schema(self.tools.clone(), shape, seen_fields))
    }

    /// Waits until nothing of this table is being encoded.
    ///
    /// # Errors
    /// The output can't be written.
    pub async fn settle(&mut self) -> Result<()> {
        if let Some(OpenPart { columns, file }) = self.open.take() {
            self.is_broken = true;
            let file = settled(file.await?);
            self.is_broken = false;
            self.open = Some(OpenPart { columns, file });
        }
        Ok(())
    }

    /// Adds the rows of a page that was written to a table of its own, behind all rows so far.
    ///
    /// # Errors
    /// The output can't be written.
    pub async fn append_page(&mut self, output: &mut LocalOutput, mut page: Self) -> Result<()> {
        if page.open.is_none() && page.without_columns.is_empty() {
            for rows in page.row_groups.into_rows() {
                self.push_rows(output, rows).await?;
            }
            return Ok(());
        }
        if let Some(row_group) = self.row_groups.pop_last() {
            self.write(output, row_group).await?;
        }
        self.row_count += page.row_count;
        self.run_shape.unite(&page.run_shape, self.tools.transform.nesting);
        // The page began with our columns, so it knows them all.
        self.shape.unite(&page.shape, self.tools.transform.nesting);
        unite_fields(&mut self.seen_fields, page.seen_fields.iter().copied());
        let mut held_back = std::mem::take(&mut self.without_columns);
        held_back.append(&mut page.without_columns);
        for row_group in held_back {
            self.write(output, row_group).await?;
        }
        self.row_groups.go_on_with(page.row_groups);
        let Some(written) = page.open.take() else { return Ok(()) };
        match self.open.take() {
            Some(ours) if page.finished.is_empty() && written.columns.are_stored_like(&ours.columns) => {
                let columns = Arc::clone(&written.columns);
                let part = written.close(&self.tools.pool).await?;
                let file = settled(self.copy_part(output, ours.file.await?, part).await?);
                self.open = Some(OpenPart { columns, file });
            }
            ours => {
                self.open = ours;
                self.close_part().await?;
                self.finished.append(&mut page.finished);
                self.open = Some(written);
            }
        }
        Ok(())
    }

    /// Removes what was written; for a page that failed.
    ///
    /// # Errors
    /// A file can't be removed.
    pub async fn discard(self, output: &LocalOutput) -> Result<()> {
        if let Some(open) = self.open {
            output.remove_part(open.file.await?.path())?;
        }
        for (_, part) in self.finished {
            output.remove_part(&part.path)?;
        }
        Ok(())
    }

    /// Adds rows behind those that were added before.
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
        self.row_count += rows.row_count as u64;
        self.run_shape.unite(&rows.shape, self.tools.transform.nesting);
        self.row_groups.push(rows);
        while let Some(row_group) = self.row_groups.pop_full() {
            self.write(output, row_group).await?;
        }
        Ok(())
    }

    /// Brings all rows so far into synced files in `folder`, and gives what was not saved before; `None`, and nothing is
    /// saved, where rows wait for the first column. The folder itself is for the caller to sync.
    ///
    /// What this table writes is the same with it and without: the open part goes on, and rows that no row group has been
    /// cut from are saved beside it.
    ///
    /// # Errors
    /// The output can't be written, or could not be before, or what was written can't be moved.
    pub async fn save(
        &mut self,
        output: &mut LocalOutput,
        folder: &mut StateFolder,
    ) -> Result<Option<SavedTable>> {
        if self.is_broken {
            return Err(Error::new(
                ErrorKind::Storage,
                "rows were lost with a file that could not be written",
            ));
        }
        if !self.without_columns.is_empty() {
            return Ok(None);
        }
        let tail = self.row_groups.open_behind(self.tails.row_count);
        let tail_columns = self.tail_columns()?;
        if tail.row_count > 0 && tail_columns.count() == 0 {
            return Ok(None);
        }
        self.end_run();
        let mut saved = SavedTable::default();
        let open = self.save_open_part(folder).await?;
        self.save_finished_parts(folder, &mut saved).await?;
        saved.parts.extend(open);
        if tail.row_count > 0 {
            let part = self.save_tail(output, folder, (tail, tail_columns)).await?;
            saved.parts.push(part);
        }
        saved.void.append(&mut self.tails.void);
        saved.shapes = SavedShapes::of(&self.run_shapes[self.saved_run_count..]);
        self.saved_run_count = self.run_shapes.len();
        Ok(Some(saved))
    }

    /// Saves what came to the open part. One that can't be moved while it is written is closed.
    async fn save_open_part(&mut self, folder: &mut StateFolder) -> Result<Option<SavedPart>> {
        let Some(OpenPart { columns, file }) = self.open.take() else { return Ok(None) };
        let mut file = file.await?;
        if !file.has_unsaved() {
            self.open = Some(OpenPart { columns, file: settled(file) });
            return Ok(None);
        }
        let pool = self.tools.pool.clone();
        file = pool.run(move || file.sync().map(|()| file)).await??;
        if !file.is_kept() {
            match folder.keep_open_part(file.path())? {
                Some(path) => file.keep_at(path),
                None => {
                    self.open = Some(OpenPart { columns, file: settled(file) });
                    return self.close_part().await.map(|()| None);
                }
            }
        }
        let scratch = folder.create_part()?;
        let save = move || file.save(scratch).map(|(part, footer)| (file, part, footer));
        let (file, part, footer) = pool.run(save).await??;
        let saved = saved_part(&columns, &part, vec![footer]);
        self.open = Some(OpenPart { columns, file: settled(file) });
        Ok(Some(saved))
    }

    /// Saves the parts that were closed since the last time.
    async fn save_finished_parts(&mut self, folder: &mut StateFolder, saved: &mut SavedTable) -> Result<()> {
        for (columns, part) in &mut self.finished[self.saved_count..] {
            let path = part.path.clone();
            self.tools.pool.run(move || sync(&path)).await??;
            if !part.is_kept {
                part.path = folder.keep_part(&part.path)?;
                part.is_kept = true;
            }
            saved.parts.push(saved_part(columns, part, Vec::new()));
        }
        self.saved_count = self.finished.len();
        Ok(())
    }

    async fn save_tail(
        &mut self,
        output: &mut LocalOutput,
        folder: &mut StateFolder,
        (tail, columns): (RowGroup, Arc<PartColumns>),
    ) -> Result<SavedPart> {
        self.tails.row_count += tail.row_count;
        let file = self.begin(output, &columns, &Arc::new(tail), false).await?;
        let mut part = OpenPart { columns: Arc::clone(&columns), file }.close(&self.tools.pool).await?;
        let path = part.path.clone();
        self.tools.pool.run(move || sync(&path)).await??;
        part.path = folder.keep_part(&part.path)?;
        self.tails.files.push(part.path.clone());
        Ok(saved_part(&columns, &part, Vec::new()))
    }

    /// The columns of the rows that no row group has been cut from.
    fn tail_columns(&self) -> Result<Arc<PartColumns>> {
        let (shape, seen_fields) = self.schema_with_open_rows();
        PartColumns::new(shape, seen_fields, &self.tools.transform, Form::Part).map(Arc::new)
    }

    fn schema_with_open_rows(&self) -> (Shape, Vec<bool>) {
        let (mut shape, mut seen_fields) = (self.shape.clone(), self.seen_fields.clone());
        for slice in self.row_groups.open_slices() {
            self.tools.learn_schema(&mut shape, &mut seen_fields, slice);
        }
        (shape, seen_fields)
    }

    /// Goes on behind the parts that an earlier process saved.
    ///
    /// # Errors
    /// A computed column has the name of one of theirs.
    pub fn resume(&mut self, saved: SavedTable) -> Result<()> {
        for SavedPart { file, footers, row_count, columns, .. } in saved.parts {
            let SavedColumns { shape, seen_fields, dictionaries, row_group_count } = columns;
            self.shape.unite(&shape, self.tools.transform.nesting);
            unite_fields(&mut self.seen_fields, seen_fields.iter().copied());
            self.row_count += row_count;
            // Most parts have the columns of the one before.
            let last = self.finished.last().map(|(last, _)| Arc::clone(last));
            let shared = last.filter(|last| last.shape == shape && last.seen_fields == seen_fields);
            let columns = match shared {
                Some(shared) => shared,
                None => Arc::new(PartColumns::new(shape, seen_fields, &self.tools.transform, Form::Part)?),
            };
            let SavedFile { path, bytes, checksum } = file;
            let part = FinishedPart {
                path,
                dictionaries,
                row_count,
                row_group_count,
                sum: Sum { bytes, checksum },
                footers: footers.into_iter().map(|footer| footer.path).collect(),
                is_kept: true,
            };
            self.finished.push((columns, part));
        }
        self.saved_count = self.finished.len();
        self.run_shapes.extend(saved.shapes.runs());
        self.saved_run_count = self.run_shapes.len();
        self.is_resumed = !self.finished.is_empty();
        Ok(())
    }

    /// Writes what is left and finishes the file, its rows put in this order if they are not; `None` when there is no
    /// column to write.
    ///
    /// # Errors
    /// The output can't be written, or does not read back as it was written.
    pub async fn finish(
        &mut self,
        output: &mut LocalOutput,
        sequence: Option<&Sequence>,
        footer: &Footer,
    ) -> Result<Option<TableStats>> {
        if let Some(row_group) = self.row_groups.pop_last() {
            self.write(output, row_group).await?;
        }
        self.settle().await?;
        if !self.without_columns.is_empty() {
            return Err(Error::new(
                ErrorKind::Contract,
                "no record has a field, so there is no column to write; name a list with --values to keep the rows",
            ));
        }
        if self.open.is_none() {
            let columns = self.columns(Form::Part)?;
            if columns.count() == 0 {
                return Ok(None);
            }
            let file = PartFile::begin(output.create_part()?, &columns, Vec::new(), false).map(settled)?;
            self.open = Some(OpenPart { columns, file });
        }
        let sequence = sequence.filter(|sequence| sequence.rows.len() > 1);
        if let Some(sequence) = sequence {
            self.order_columns(sequence);
        }
        // Where a process was stopped, a row group was cut for no reason of its own: they are made as large as they may be.
        let as_written = 0..self.row_count;
        let rows = match sequence {
            Some(sequence) => Some(&*sequence.rows),
            None => self.is_resumed.then_some(std::slice::from_ref(&as_written)),
        };
        let is_only_part = self.finished.is_empty() && rows.is_none();
        let (columns, part) = match self.open.take() {
            Some(open) if is_only_part && open.columns.are_final() => {
                self.is_broken = true;
                let (columns, file, footer) = (open.columns, open.file.await?, footer.clone());
                let part = self.tools.pool.run(move || file.finish(&footer)).await??;
                self.finished.push((Arc::clone(&columns), part.clone()));
                self.is_broken = false;
                let written = part.clone();
                self.tools.pool.run(move || verify(&written)).await??;
                (columns, part)
            }
            open => {
                self.open = open;
                self.close_part().await?;
                let (columns, Tools { pool, metrics, .. }) = (self.columns(Form::Published)?, &self.tools);
                let rows = rows.map(|rows| (rows, self.tools.row_group));
                let parts = self.finished.clone();
                let part = unify((pool, metrics), output, &columns, parts, rows, footer).await?;
                (columns, part)
            }
        };
        Ok(Some(TableStats {
            path: part.path,
            row_count: part.row_count,
            row_group_count: part.row_group_count,
            bytes: part.sum.bytes,
            checksum: part.sum.checksum,
            schema: Arc::clone(&columns.schema),
            json_columns: columns.shape.json_columns(),
        }))
    }

    /// Puts the columns in the order in which they appear once the rows are in theirs.
    fn order_columns(&mut self, sequence: &Sequence) {
        self.end_run();
        if self.tools.transform.fixed_schema().is_some() {
            return;
        }
        let declared = self.tools.transform.schema.as_ref();
        let mut shape = declared.map_or_else(|| Shape::of_kinds(Kinds::OBJECT), |schema| schema.shape());
        let mut last = None;
        for run in sequence.runs.iter().map(|run| &self.run_shapes[*run]) {
            if last.is_none_or(|last| !Arc::ptr_eq(last, run)) {
                shape.unite(run, self.tools.transform.nesting);
            }
            last = Some(run);
        }
        self.shape = shape;
    }

    async fn copy_part(
        &self,
        output: &LocalOutput,
        mut file: PartFile,
        part: FinishedPart,
    ) -> Result<PartFile> {
        let path = part.path.clone();
        let file = self
            .tools
            .pool
            .run(move || PartReader::open(&part).and_then(|part| file.append_part(&part)).map(|()| file))
            .await??;
        output.remove_part(&path)?;
        Ok(file)
    }

    fn columns(&self, form: Form) -> Result<Arc<PartColumns>> {
        PartColumns::new(self.shape.clone(), self.seen_fields.clone(), &self.tools.transform, form)
            .map(Arc::new)
    }

    async fn write(&mut self, output: &mut LocalOutput, row_group: RowGroup) -> Result<()> {
        let was_broken = std::mem::replace(&mut self.is_broken, true);
        self.write_rows(output, row_group).await?;
        self.is_broken = was_broken;
        Ok(())
    }

    async fn write_rows(&mut self, output: &mut LocalOutput, row_group: RowGroup) -> Result<()> {
        // It has all rows that were open.
        self.tails.row_count = 0;
        self.tails.void.append(&mut self.tails.files);
        let mut grew = false;
        for slice in &row_group.slices {
            grew |= self.tools.learn_schema(&mut self.shape, &mut self.seen_fields, slice);
        }
        if grew {
            self.follow_schema().await?;
        }
        if self.open.is_none() && self.columns(Form::Part)?.count() == 0 {
            // Records without members: Parquet has no rows without columns, so they wait for one.
            self.without_columns.push(row_group);
            return Ok(());
        }
        for row_group in std::mem::take(&mut self.without_columns).into_iter().chain([row_group]) {
            self.encode(output, row_group).await?;
        }
        Ok(())
    }

    async fn encode(&mut self, output: &mut LocalOutput, row_group: RowGroup) -> Result<()> {
        let row_group = Arc::new(row_group);
        let (columns, file) = match self.open.take() {
            Some(OpenPart { columns, file }) => {
                let file = self.append(file.await?, &columns, &row_group)?;
                (columns, file)
            }
            None => {
                let columns = self.columns(Form::Part)?;
                let file = self.begin(output, &columns, &row_group, self.tools.is_saved).await?;
                (columns, file)
            }
        };
        self.open = Some(OpenPart { columns, file });
        Ok(())
    }

    /// Closes the open part, unless it can go on under the schema as it is now.
    async fn follow_schema(&mut self) -> Result<()> {
        let columns = self.columns(Form::Part)?;
        match &mut self.open {
            Some(open) if columns.are_stored_like(&open.columns) => {
                open.columns = columns;
                Ok(())
            }
            _ => self.close_part().await,
        }
    }

    /// Begins a file with its first row group, whose data decide how columns are encoded.
    async fn begin(
        &self,
        output: &mut LocalOutput,
        columns: &Arc<PartColumns>,
        row_group: &Arc<RowGroup>,
        may_be_saved: bool,
    ) -> Result<Appending> {
        let looks: Vec<_> = (0..columns.count())
            .map(|place| {
                let (columns, row_group) = (Arc::clone(columns), Arc::clone(row_group));
                self.tools.pool.run(move || columns.dictionaries(place, &row_group))
            })
            .collect();
        let mut dictionaries = Vec::with_capacity(looks.len());
        for look in looks {
            dictionaries.push(look.await?);
        }
        let file = PartFile::begin(output.create_part()?, columns, dictionaries, may_be_saved)?;
        self.append(file, columns, row_group)
    }

    /// Starts to encode the columns of a row group; the future appends them to the file.
    fn append(
        &self,
        mut file: PartFile,
        columns: &Arc<PartColumns>,
        row_group: &Arc<RowGroup>,
    ) -> Result<Appending> {
        let row_count = row_group.row_count;
        let encoders = file.encoders(columns)?;
        let encoded: Vec<_> = encoders
            .into_iter()
            .enumerate()
            .map(|(place, mut encoder)| {
                let (columns, row_group) = (Arc::clone(columns), Arc::clone(row_group));
                let metrics = Arc::clone(&self.tools.metrics);
                self.tools.pool.run(move || {
                    let begun = Instant::now();
                    columns.encode(place, &row_group, &mut encoder)?;
                    let chunks = encoder.close();
                    metrics.encode_time.add(begun.elapsed());
                    chunks
                })
            })
            .collect();
        let pool = self.tools.pool.clone();
        Ok(Box::pin(async move {
            let mut chunks = Vec::new();
            for column in encoded {
                chunks.extend(column.await?.map_err(could_not_encode)?);
            }
            pool.run(move || file.append(chunks, row_count).map(|()| file)).await?
        }))
    }

    /// Closes the open part, if there is one: it is not the last.
    async fn close_part(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let was_broken = std::mem::replace(&mut self.is_broken, true);
        let columns = Arc::clone(&open.columns);
        let file = open.file.await?;
        self.tails.void.extend_from_slice(file.footers());
        let part =
            OpenPart { columns: Arc::clone(&columns), file: settled(file) }.close(&self.tools.pool).await?;
        self.finished.push((columns, part));
        self.is_broken = was_broken;
        Ok(())
    }
}

impl OpenPart {
    async fn close(self, pool: &CpuPool) -> Result<FinishedPart> {
        let file = self.file.await?;
        pool.run(move || file.close(&Footer::default())).await?
    }
}

impl Tools {
    /// Adds what a slice of rows knows. Returns whether it is more than was known.
    fn learn_schema(&self, shape: &mut Shape, seen_fields: &mut [bool], slice: &Slice) -> bool {
        let is_fixed = self.transform.fixed_schema().is_some();
        let grew = !is_fixed && shape.unite(&slice.rows.shape, self.transform.nesting);
        unite_fields(seen_fields, slice.rows.seen_fields()) | grew
    }
}

fn saved_part(columns: &PartColumns, part: &FinishedPart, footers: Vec<SavedFile>) -> SavedPart {
    SavedPart {
        file: SavedFile::new(part.path.clone(), part.sum),
        footers,
        row_count: part.row_count,
        columns: SavedColumns {
            shape: columns.shape.clone(),
            seen_fields: columns.seen_fields.clone(),
            dictionaries: part.dictionaries.clone(),
            row_group_count: part.row_group_count,
        },
    }
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::storage("sync", path, error))
}

fn unite_fields(ours: &mut [bool], theirs: impl Iterator<Item = bool>) -> bool {
    let mut grew = false;
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        grew |= theirs && !*ours;
        *ours |= theirs;
    }
    grew
}
