//! Takes the pages as they stand in the line, writes what they came to, and keeps it for a next run now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::QueuedPage;
use super::chains::{Chains, OpenChain};
use super::intake::Intake;
use super::life::{Decoding, Line, Step};
use super::saving::Saving;
use super::stop::Stopping;
use super::verdict::Tally;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::model::{PageEnd, PageFault, PageId, PageKey};
use crate::report::{Report, grouped};
use crate::sink::{LocalOutput, RawIndex, Spools};
use crate::write::{RejectsWriter, TableWriter, Written, WrittenOrder};

/// How often it is looked whether the page that the writer waits for must wait long.
const LATENESS_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the writer writes to.
pub(super) struct Sinks<'a> {
    pub(super) output: &'a mut LocalOutput,
    pub(super) spools: Spools,
    pub(super) table: &'a mut TableWriter,
    pub(super) rejects: &'a mut RejectsWriter,
    pub(super) raw: Option<&'a mut RawIndex>,
    pub(super) order: &'a mut WrittenOrder,
}

impl Sinks<'_> {
    /// Says which page is written next.
    fn begin_page(&mut self, id: PageId, has_failed: bool) {
        let from = Written { rows: self.table.row_count(), reject_bytes: self.rejects.written_bytes() };
        if self.order.begin_page(id.place(), from, has_failed) {
            self.table.end_run();
        }
    }
}

/// Sees to it, when it is dropped, that pages which are given up then let no others be asked for in their place.
struct LastRequests<'a>(&'a Line);

impl Drop for LastRequests<'_> {
    fn drop(&mut self) {
        self.0.run_is_over();
    }
}

/// A page is put off: others go first.
pub(super) struct PutOff;

/// What came of a page.
enum Taken {
    Ended(Box<Result<PageEnd, PageFault>>),
    PutOff,
    /// The run is to stop.
    Stopped(ErrorKind),
}

/// Writes the pages of a run.
pub(super) struct Writer<'a> {
    pub(super) line: &'a Line,
    pub(super) metrics: &'a Metrics,
    pub(super) sinks: Sinks<'a>,
    pub(super) saving: Option<&'a mut Saving>,
    pub(super) stopping: Stopping,
}

impl Writer<'_> {
    /// Takes the pages as they stand in the line and writes what they came to.
    pub(super) async fn write_pages(
        mut self,
        (mut queue, put_off): (mpsc::Receiver<QueuedPage>, mpsc::UnboundedSender<QueuedPage>),
        chains: Chains,
        report: &mut Report,
        tally: &mut Tally,
    ) -> Result<()> {
        // Dropped before the pages in the line are.
        let _last_requests = LastRequests(self.line);
        let mut stopped = None;
        loop {
            let page = match stopped {
                None => tokio::select! {
                    biased;
                    kind = self.stopping.stopped() => {
                        stopped = Some(kind);
                        continue;
                    }
                    page = queue.recv() => page,
                },
                // Those that have come need not be asked for again.
                Some(_) => received(&mut queue).await.filter(|page| page.task.is_finished()),
            };
            let Some(mut page) = page else { break };
            let (line, metrics, sinks, saving) = (self.line, self.metrics, &mut self.sinks, &mut self.saving);
            line.budget.advance_head(page.turn);
            let (id, key, shown, mut chain) = (page.id, page.key, Arc::clone(&page.shown), page.chain.take());
            let mut intake = Intake::new(id, Arc::clone(&shown), line.transform().has_provenance);
            let taken = match take_page(line, &mut page, &mut intake, sinks, &mut self.stopping).await? {
                Taken::PutOff => {
                    tracing::info!(page = %id, url = %shown, "page must wait long; others go first");
                    report.pages.deferred += u64::from(!page.was_put_off);
                    sinks.order.put_off(id.ordinal);
                    // Nobody listens where a run is stopped.
                    drop(put_off.send(QueuedPage { chain, was_put_off: true, ..page }));
                    continue;
                }
                Taken::Stopped(kind) => {
                    intake.forget(sinks.output).await?;
                    sinks.order.put_off(id.ordinal);
                    stopped = Some(kind);
                    continue;
                }
                Taken::Ended(ended) => ended.and_then(|end| chains.check(&mut chain, end, &mut intake.kept)),
            };
            if let (Some(raw), Some(kept)) = (&mut sinks.raw, intake.kept.take()) {
                raw.push(*kept)?;
            }
            sinks.begin_page(id, taken.is_err());
            if let Some(saving) = saving {
                saving.begin_page();
            }
            match taken {
                Ok(end) => {
                    tally.count_page(report, id, &intake.counts);
                    tally.count_wholeness(report, end.wholeness);
                    metrics.records_written.add(intake.counts.row_count());
                    let reject_count = intake.counts.reject_count();
                    intake.commit(sinks.table, sinks.rejects, sinks.output).await?;
                    note_page(saving, (id, key, &shown), chain.as_ref(), &end, reject_count);
                    match chains.go_on(id, chain, &end) {
                        Ok(turned) => {
                            metrics.pages_listed.add(u64::from(turned.has_next));
                            tally.count_turn(report, id, turned);
                        }
                        Err(broken) => {
                            let (next, fault) = *broken;
                            report.pages.listed += 1;
                            metrics.pages_listed.add(1);
                            // It is known now, and belongs behind those of other chains.
                            sinks.order.put_off(next.ordinal);
                            sinks.begin_page(next, true);
                            fail_page(tally, report, sinks, next, &shown, &fault)?;
                            metrics.pages_done.add(1);
                        }
                    }
                }
                Err(fault) => {
                    intake.forget(sinks.output).await?;
                    fail_page(tally, report, sinks, id, &shown, &fault)?;
                    if let Some(saving) = &mut self.saving {
                        saving.note_failed_page((id, key, &shown), &fault);
                    }
                    chains.end();
                    line.page_failed();
                }
            }
            if let Some(saving) = &mut self.saving {
                saving.end_page();
            }
            line.page_done();
            if let Some(saving) = self.saving.as_mut().filter(|saving| saving.is_due()) {
                saving.save(&mut self.sinks, report, tally).await?;
            }
        }
        let stopped = stopped.or(self.line.is_cut_short().then_some(ErrorKind::Unfinished));
        match stopped {
            Some(kind) => Err(self.stop(kind, report, tally).await?),
            None => Ok(()),
        }
    }

    /// Keeps what is written for the next run, and says that this one is over.
    async fn stop(&mut self, kind: ErrorKind, report: &Report, tally: &Tally) -> Result<Error> {
        let by = if kind == ErrorKind::Unfinished { "its time or number of pages" } else { "a signal" };
        // Not while it is kept what is written, either.
        self.line.run_is_over();
        let mut message = format!("stopped by {by}; nothing was published");
        if let Some(saving) = &mut self.saving {
            saving.save(&mut self.sinks, report, tally).await?;
            if saving.has_saved() {
                let done = grouped(report.pages.fetched);
                let listed = grouped(report.pages.listed);
                message += &format!("; {done} of {listed} pages are done and kept: run it again to go on");
            }
        }
        Ok(Error::new(kind, message))
    }
}

/// Notes a page that is done, and what it said of the next one, if that may be kept.
fn note_page(
    saving: &mut Option<&mut Saving>,
    (id, key, shown): (PageId, PageKey, &str),
    chain: Option<&OpenChain>,
    end: &PageEnd,
    reject_count: u64,
) {
    let Some(keeper) = saving else { return };
    let said = chain.map(|open| keeper.remember(end, open.first()));
    if let Some(None) = said {
        // What was kept so far can be gone on with; what comes now can't.
        tracing::warn!(page = %id, "a link holds a secret that the list has not: no more is kept for a next run");
        *saving = None;
        return;
    }
    keeper.note_page((id, key, shown), end, reject_count, said.flatten());
}

/// Takes all that becomes of a page: what it tells of the next one, or its fault.
async fn take_page(
    line: &Line,
    page: &mut QueuedPage,
    intake: &mut Intake,
    sinks: &mut Sinks<'_>,
    stopping: &mut Stopping,
) -> Result<Taken> {
    loop {
        let waited = tokio::select! {
            biased;
            kind = stopping.stopped(), if !page.task.is_finished() => return Ok(Taken::Stopped(kind)),
            waited = wait_for_step(line, page, intake.is_empty()) => waited,
        };
        let step = match waited {
            Ok(Some(step)) => step,
            Ok(None) => break,
            Err(PutOff) => return Ok(Taken::PutOff),
        };
        match step {
            Step::Chunk(Decoding { decoded, reservation }) => {
                let mut decoded = decoded.await?;
                while let Some(rest) = intake.take(decoded, sinks.table, sinks.output, &sinks.spools).await? {
                    decoded = line.decode_rest(rest).await?;
                }
                // The rows are the writer's now, which is bounded by its row groups.
                drop(reservation);
            }
            Step::Void => intake.forget(sinks.output).await?,
            Step::End(ended) => return intake.end(ended).map(Box::new).map(Taken::Ended),
            Step::Failed(fault, kept) => {
                intake.kept = kept;
                return Ok(Taken::Ended(Box::new(Err(fault))));
            }
        }
    }
    (&mut page.task).await.map_err(|error| Error::failed("a page's task stopped").because(error))??;
    Err(Error::defect("a page's task ended without saying how"))
}

/// Waits for the next step of the page that the writer waits for, and puts the page off where that takes long and it
/// `may_be_put_off`.
pub(super) async fn wait_for_step(
    line: &Line,
    page: &mut QueuedPage,
    may_be_put_off: bool,
) -> Result<Option<Step>, PutOff> {
    loop {
        if let Some(step) = received(&mut page.steps).await {
            return Ok(Some(step));
        }
        if line.put_off(&page.ticket, may_be_put_off) {
            return Err(PutOff);
        }
        tokio::select! {
            biased;
            step = page.steps.recv() => return Ok(step),
            () = tokio::time::sleep(LATENESS_LOOK_INTERVAL) => {}
        }
    }
}

/// What has come, if anything has.
async fn received<T>(queue: &mut mpsc::Receiver<T>) -> Option<T> {
    tokio::select! {
        biased;
        message = queue.recv() => message,
        () = std::future::ready(()) => None,
    }
}

fn fail_page(
    tally: &mut Tally,
    report: &mut Report,
    sinks: &mut Sinks<'_>,
    id: PageId,
    shown: &str,
    fault: &PageFault,
) -> Result<()> {
    tracing::warn!(page = %id, url = %shown, reason = fault.reason, "page failed");
    tally.count_fault(report, id, shown, fault);
    sinks.rejects.push_page(sinks.output, id, shown, fault)
}
