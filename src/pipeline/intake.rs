//! What the writer has taken of a page that may still fail: rows, rejects and counts, to be committed together
//! or forgotten.

use std::sync::Arc;

use super::verdict::PageCounts;
use crate::error::Result;
use crate::model::{PageBatch, PageId};
use crate::sink::{LocalOutput, Spools};
use crate::write::{PageRejects, RejectsWriter, TableWriter};

/// One page in the hands of the writer.
pub(super) struct Intake {
    pub(super) counts: PageCounts,
    rows: PageRows,
    rejects: PageRejects,
    id: PageId,
    shown: Arc<str>,
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
    pub(super) fn new(id: PageId, shown: Arc<str>) -> Self {
        let rejects = PageRejects::new(id, Arc::clone(&shown));
        Self { counts: PageCounts::default(), rows: PageRows::None, rejects, id, shown }
    }

    /// Takes a batch behind those before. `table` is that of the run.
    ///
    /// # Errors
    /// The output can't be written.
    pub(super) async fn take(
        &mut self,
        mut batch: PageBatch,
        table: &TableWriter,
        output: &mut LocalOutput,
        spools: &Spools,
    ) -> Result<()> {
        for reject in &mut batch.rejects {
            reject.record += self.counts.record_count();
        }
        self.counts.add(&batch);
        self.rejects.push(spools, &std::mem::take(&mut batch.rejects))?;
        self.rows = match std::mem::replace(&mut self.rows, PageRows::None) {
            PageRows::None => PageRows::Batch(Box::new(batch)),
            PageRows::Batch(first) => {
                let mut page = table.begin_page();
                page.push(output, *first).await?;
                page.push(output, batch).await?;
                PageRows::Table(Box::new(page))
            }
            PageRows::Table(mut page) => {
                page.push(output, batch).await?;
                PageRows::Table(page)
            }
        };
        Ok(())
    }

    /// Forgets everything, as if no attempt had been made.
    ///
    /// # Errors
    /// What was written can't be removed.
    pub(super) async fn forget(&mut self, output: &LocalOutput) -> Result<()> {
        self.counts = PageCounts::default();
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
            PageRows::None => Ok(()),
            PageRows::Batch(batch) => table.push(output, *batch).await,
            PageRows::Table(page) => table.append_page(output, *page).await,
        }
    }
}
