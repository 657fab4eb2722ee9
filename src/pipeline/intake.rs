//! What the writer has taken of a page that may still fail: rows, rejects and counts, to be committed together
//! or forgotten.

use std::sync::Arc;

use super::chains::Outlook;
use super::life::Ended;
use super::provenance::provenance_of;
use super::verdict::PageCounts;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{KeptPage, PageBatch, PageEnd, PageFault, PageId, RunningTrace};
use crate::sink::{LocalOutput, Spools};
use crate::transform::{BATCH_BYTES_MAX, Chunk, ChunkFault, Decoded};
use crate::write::{PageRejects, RejectsWriter, TableWriter};

/// A batch of so many bytes is more than the writer's row groups leave room for while they are encoded: it is that of one
/// record.
const LARGE_BATCH_BYTES_MIN: u64 = BATCH_BYTES_MAX as u64 + (1 << 20);

/// One page in the hands of the writer.
pub(super) struct Intake {
    pub(super) counts: PageCounts,
    outlook: Outlook,
    /// Its body as it came, if that is kept.
    pub(super) kept: Option<Box<KeptPage>>,
    /// What one of its chunks came to that decides the page, should its body end well.
    verdict: Option<Verdict>,
    rows: PageRows,
    /// Tells whether a record is so large that it is to be encoded before more is decoded: it takes several times its columns
    /// until it is written.
    is_large: bool,
    rejects: PageRejects,
    id: PageId,
    shown: Arc<str>,
    has_provenance: bool,
}

/// Why a page, or the run, fails once the body of the page is proven to be what was sent.
enum Verdict {
    Page(PageFault),
    Run(Error),
}

/// The rows of a page.
enum PageRows {
    None,
    /// All of a small page's.
    Batch(Box<PageBatch>),
    /// In a table of their own, whose row groups go to a part of their own.
    Table(Box<TableWriter>),
}

impl Intake {
    pub(super) fn new(id: PageId, shown: Arc<str>, has_provenance: bool) -> Self {
        Self {
            counts: PageCounts::default(),
            outlook: Outlook::default(),
            kept: None,
            verdict: None,
            rows: PageRows::None,
            is_large: false,
            rejects: PageRejects::new(id, Arc::clone(&shown)),
            id,
            shown,
            has_provenance,
        }
    }

    /// Whether nothing of the page is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.verdict.is_none() && self.counts.record_count() == 0 && matches!(self.rows, PageRows::None)
    }

    /// Takes a chunk behind those before; what is left of it comes back. `table` is that of the run.
    ///
    /// Chunks behind a fault are of no interest.
    ///
    /// # Errors
    /// The output can't be written.
    pub(super) async fn take(
        &mut self,
        decoded: Result<Decoded, ChunkFault>,
        table: &mut TableWriter,
        output: &mut LocalOutput,
        spools: &Spools,
    ) -> Result<Option<Chunk>> {
        if self.verdict.is_some() {
            return Ok(None);
        }
        let Decoded { batch, rest, .. } = match decoded {
            Ok(decoded) => decoded,
            Err(mut fault) => {
                let breaks_schema = fault.breaks_schema();
                if let (Some(around), 0) = (fault.take_lack(), self.counts.record_count()) {
                    self.outlook.add_lack(&around);
                }
                let fault = fault.in_page(self.counts.record_count());
                self.verdict = Some(if breaks_schema {
                    Verdict::Run(self.schema_broken(&fault.reason))
                } else {
                    Verdict::Page(fault)
                });
                return Ok(None);
            }
        };
        match self.take_batch(batch, table, output, spools).await {
            Ok(()) => Ok(rest),
            Err(error) if error.kind() == ErrorKind::Contract => {
                self.verdict = Some(Verdict::Run(error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What a record that does not fit a frozen schema does to the run.
    fn schema_broken(&self, reason: &str) -> Error {
        let (id, url) = (self.id, &self.shown);
        Error::new(ErrorKind::Contract, format!("--schema-contract freeze: {id} ({url}), {reason}"))
    }

    /// Says that the body ended well, and what is known of it: what it tells of the next page, or its fault, if a chunk
    /// has one.
    ///
    /// # Errors
    /// The columns break a rule of the output.
    pub(super) fn end(&mut self, mut ended: Ended) -> Result<Result<PageEnd, PageFault>> {
        self.kept = ended.kept.take();
        match self.verdict.take() {
            None => Ok(std::mem::take(&mut self.outlook).end(ended, None)),
            Some(Verdict::Page(fault)) => {
                let received = fault.received.or_else(|| ended.trace.take().map(RunningTrace::finish));
                let Ended { http_status, attempt_count, .. } = ended;
                let fault = PageFault { received, http_status, attempt_count, ..fault };
                Ok(std::mem::take(&mut self.outlook).end(ended, Some(fault)))
            }
            Some(Verdict::Run(error)) => Err(error),
        }
    }

    async fn take_batch(
        &mut self,
        mut batch: PageBatch,
        table: &mut TableWriter,
        output: &mut LocalOutput,
        spools: &Spools,
    ) -> Result<()> {
        if self.has_provenance {
            batch.provenance = provenance_of(&batch, self.id, &self.shown, self.counts.record_count());
        }
        for reject in &mut batch.rejects {
            reject.record += self.counts.record_count();
        }
        self.counts.add(&batch);
        self.outlook.add(&batch);
        self.rejects.push(spools, &std::mem::take(&mut batch.rejects))?;
        if batch.row_count == 0 {
            return Ok(());
        }
        let is_large = batch.memory_bytes() > LARGE_BATCH_BYTES_MIN;
        self.is_large |= is_large;
        let mut page = match std::mem::replace(&mut self.rows, PageRows::None) {
            PageRows::None if !is_large => {
                self.rows = PageRows::Batch(Box::new(batch));
                return Ok(());
            }
            PageRows::None => Box::new(table.begin_page().await?),
            PageRows::Batch(first) => {
                let mut page = table.begin_page().await?;
                page.push(output, *first).await?;
                Box::new(page)
            }
            PageRows::Table(page) => page,
        };
        page.push(output, batch).await?;
        if is_large {
            page.settle().await?;
        }
        self.rows = PageRows::Table(page);
        Ok(())
    }

    /// Forgets everything, as if no attempt had been made.
    ///
    /// # Errors
    /// What was written can't be removed.
    pub(super) async fn forget(&mut self, output: &LocalOutput) -> Result<()> {
        self.counts = PageCounts::default();
        self.outlook = Outlook::default();
        self.verdict = None;
        self.rejects = PageRejects::new(self.id, Arc::clone(&self.shown));
        match std::mem::replace(&mut self.rows, PageRows::None) {
            PageRows::Table(page) => page.discard(output).await,
            PageRows::None | PageRows::Batch(_) => Ok(()),
        }
    }

    /// Adds the page to the run, behind the pages before.
    ///
    /// # Errors
    /// The output can't be written, or the columns break a rule of the output.
    pub(super) async fn commit(
        self,
        table: &mut TableWriter,
        rejects: &mut RejectsWriter,
        output: &mut LocalOutput,
    ) -> Result<()> {
        rejects.push_records(output, self.rejects)?;
        match self.rows {
            PageRows::None => {}
            PageRows::Batch(batch) => table.push(output, *batch).await?,
            PageRows::Table(page) => table.append_page(output, *page).await?,
        }
        if self.is_large { table.settle().await } else { Ok(()) }
    }
}
