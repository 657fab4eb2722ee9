//! What a run keeps so that the next one can go on with it, should it be stopped.
//!
//! Rows and rejects are brought into synced files, these into the state folder, that is synced, and then one transaction
//! of the ledger makes them known and their pages done. What the ledger does not know is swept by the next run.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use url::Url;

use super::retried::{Retried, nothing_to_retry};
use super::verdict::Tally;
use super::writer::Sinks;
use crate::calendar::{now_rfc3339, time_since};
use crate::config::{Config, StateConfig};
use crate::digest::sha256_hex;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Redaction, remember};
use crate::ledger::{Ledger, PageRow, PageState, PartFile, PartRow, RunEnd, RunRow, RunStart};
use crate::model::{PageEnd, PageFault, PageId, PageKey};
use crate::report::{RecordCounts, Report, ResumedReport, Status};
use crate::sink::{LocalOutput, StateFolder, name_of};
use crate::write::{Footer, Run, SavedColumns, SavedFile, SavedPart, SavedShapes, SavedTable};

/// Pages, done or failed, that are not made to last at most, whatever the time: each takes some hundred bytes of memory.
const PAGES_MAX: usize = 20_000;
/// And bytes of what they said of the next ones.
const SAID_BYTES_MAX: usize = 4 << 20;

/// What a run keeps.
#[derive(Debug)]
pub(super) struct Saving {
    config: StateConfig,
    folder: StateFolder,
    /// Opened with the first thing that is kept.
    ledger: Option<Ledger>,
    start: RunStart,
    part_count: u64,
    redaction: Redaction,
    has_chains: bool,
    /// URLs of the list.
    listed: u64,
    /// Pages that are written and not kept yet.
    pages: Vec<PageRow>,
    /// Pages that failed, and are not kept yet.
    failed_pages: Vec<PageRow>,
    /// Bytes of what pages said that are not kept yet.
    said_bytes: usize,
    saved_at: Instant,
}

/// A run that begins.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) saving: Saving,
    /// What there is of the work.
    pub(super) earlier: Option<Earlier>,
    /// The pages that alone are asked for.
    pub(super) retried: Option<Retried>,
}

/// What an earlier run had done.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pub(super) table: SavedTable,
    pub(super) rejects: Vec<SavedFile>,
    pub(super) runs: Vec<Run>,
    pub(super) counts: SavedCounts,
    /// Pages that need not be fetched again, where each URL is one page.
    pub(super) done: HashSet<PageKey>,
    /// Where it is a chain: what its pages said of the next one, in their order, by the position of its URL in the list.
    pub(super) chains: HashMap<u64, Vec<Vec<u8>>>,
}

/// What was counted of the pages that are done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedCounts {
    pub(super) pages_fetched: u64,
    /// Pages that are known by others.
    pub(super) pages_behind: u64,
    pub(super) records: RecordCounts,
    pub(super) values_discarded: u64,
    pub(super) duplicate_keys: u64,
    pub(super) overflows: u64,
}

/// What the ledger knows of a part beside its files.
#[derive(Debug, Serialize, Deserialize)]
struct PartNotes {
    /// Of its rows, if it has any.
    columns: Option<SavedColumns>,
    /// Of all parts since the last one that has them.
    order: Option<OrderNotes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OrderNotes {
    runs: Vec<Run>,
    shapes: SavedShapes,
    counts: SavedCounts,
}

impl Saving {
    /// Looks for what an earlier run had done, and begins; none if there is nothing to do, since no page had failed.
    ///
    /// # Errors
    /// The state folder can't be used, or what is in it is damaged.
    pub(super) fn open(
        config: &Config,
        output: &LocalOutput,
        report: &mut Report,
        (list_sha256, key_sha256): (&str, &str),
    ) -> Result<Option<Opened>> {
        let state = &config.state;
        if let Some(folder) = state.folder.as_deref().filter(|_| state.retries_failed) {
            // It is not made, only to have nothing in it.
            let is_there = folder.is_dir() && Ledger::is_in(folder)?;
            is_there.then_some(()).ok_or_else(nothing_to_retry)?;
        }
        let folder = StateFolder::open(output, state.folder.as_deref())?;
        let start = RunStart {
            run_id: report.run_id.clone(),
            started_at: report.started_at.clone(),
            version: report.version.clone(),
            list_sha256: list_sha256.to_owned(),
            options_sha256: sha256_hex(format!("{} {key_sha256}", options_of(config)).as_bytes()),
        };
        let mut saving = Self {
            config: state.clone(),
            folder,
            ledger: None,
            start,
            part_count: 0,
            redaction: Redaction::new(&config.input.redact),
            has_chains: config.http.pagination.is_on(),
            listed: report.pages.listed,
            pages: Vec::new(),
            failed_pages: Vec::new(),
            said_bytes: 0,
            saved_at: Instant::now(),
        };
        if state.is_fresh {
            remove(&mut saving.folder)?;
        }
        if !saving.folder.is_there() {
            return Ok(Some(Opened { saving, earlier: None, retried: None }));
        }
        let ledger = Ledger::open(saving.folder.path())?;
        let retried = state.retries_failed.then(|| Retried::find(&ledger, output)).transpose()?;
        if let Some(Retried { run, .. }) = &retried {
            report.pages.listed = run.pages;
            saving.listed = run.pages;
            report.retry = Some(run.clone());
            if run.pages == 0 {
                report.status = Status::NothingNew;
                return ledger.close().map(|()| None);
            }
            // What is done of these pages is nothing that a run of all pages could go on with.
            let options = format!("{} of those that failed in {}", saving.start.options_sha256, run.run_id);
            saving.start.options_sha256 = sha256_hex(options.as_bytes());
        }
        let earlier = saving.take_up(ledger, report)?;
        Ok(Some(Opened { saving, earlier, retried }))
    }

    /// Throws away what an earlier run on this output had done.
    ///
    /// # Errors
    /// It can't be removed.
    pub(super) fn discard(output: &LocalOutput) -> Result<()> {
        remove(&mut StateFolder::open(output, None)?)
    }

    /// Whether what answers say is remembered.
    pub(super) fn remembers_answers(&self) -> bool {
        self.folder.is_named()
    }

    fn take_up(&mut self, mut ledger: Ledger, report: &mut Report) -> Result<Option<Earlier>> {
        let Some(run) = ledger.unfinished_run().cloned() else {
            self.folder.sweep(&HashSet::new())?;
            ledger.begin_run(self.start.clone())?;
            self.ledger = Some(ledger);
            return Ok(None);
        };
        if let Some(reason) = self.why_other(&run).or_else(|| self.why_over(&run)) {
            self.check_may_be_thrown_away(&run, &ledger)?;
            report.hints.push(format!("what run {} had done is not used: {reason}", run.start.run_id));
            ledger.start_afresh()?;
            self.folder.sweep(&HashSet::new())?;
            ledger.begin_run(self.start.clone())?;
            self.ledger = Some(ledger);
            return Ok(None);
        }
        let mut earlier = Earlier::default();
        let mut known = HashSet::new();
        for part in ledger.parts() {
            let part = part?;
            self.part_count = self.part_count.max(part.id);
            known.extend([&part.file, &part.rejects].into_iter().flatten().map(|file| file.name.clone()));
            self.take_up_part(part, &mut earlier)?;
        }
        for page in ledger.done_pages() {
            let page = page?;
            if self.has_chains {
                earlier.chains.entry(page.place.ordinal).or_default().extend(page.chain);
            } else {
                earlier.done.insert(page.url_key);
            }
        }
        self.folder.sweep(&known)?;
        ledger.resume_run(&run.start.run_id, self.start.clone())?;
        self.ledger = Some(ledger);
        report.resumed = Some(ResumedReport {
            run_id: run.start.run_id,
            started_at: run.work_started_at,
            pages: earlier.counts.pages_fetched,
            records: earlier.counts.records.seen,
        });
        Ok(Some(earlier))
    }

    fn take_up_part(&self, part: PartRow, earlier: &mut Earlier) -> Result<()> {
        let notes: PartNotes =
            serde_json::from_slice(&part.meta).map_err(|error| self.damaged(&part, error))?;
        let saved = |PartFile { name, bytes, checksum }: PartFile| {
            let file = SavedFile { path: self.folder.file(&name), bytes, checksum };
            file.check().map(|()| file)
        };
        if let (Some(file), Some(columns)) = (part.file, notes.columns) {
            earlier.table.parts.push(SavedPart { file: saved(file)?, row_count: part.row_count, columns });
        }
        if let Some(rejects) = part.rejects {
            earlier.rejects.push(saved(rejects)?);
        }
        if let Some(OrderNotes { runs, shapes, counts }) = notes.order {
            earlier.runs.extend(runs);
            earlier.table.shapes.extend(shapes);
            earlier.counts = counts;
        }
        Ok(())
    }

    fn damaged(&self, part: &PartRow, error: serde_json::Error) -> Error {
        let folder = self.folder.path().display();
        let message = format!("{folder}: part {} of the ledger can't be read; --fresh starts anew", part.id);
        Error::new(ErrorKind::Storage, message).because(error)
    }

    /// Refuses to lose what another run has done that could still be gone on with, for the sake of pages that failed.
    fn check_may_be_thrown_away(&self, run: &RunRow, ledger: &Ledger) -> Result<()> {
        let is_of_use = self.why_over(run).is_none() && ledger.done_pages().next().is_some();
        if !(self.config.retries_failed && is_of_use) {
            return Ok(());
        }
        let id = &run.start.run_id;
        Err(Error::usage(format!(
            "--retry-failed: expected the last run to have come to its end, got run {id}, which was stopped and has \
             pages that are done; run its own command again first"
        )))
    }

    /// Why an unfinished run is not the one that this one could go on with.
    fn why_other(&self, run: &RunRow) -> Option<String> {
        let (theirs, ours) = (&run.start, &self.start);
        if theirs.list_sha256 != ours.list_sha256 {
            return Some("the list is another one now".to_owned());
        }
        if (&theirs.options_sha256, &theirs.version) != (&ours.options_sha256, &ours.version) {
            return Some("options that shape the rows, headers or the folder of the list, or --retry-failed, are others now".to_owned());
        }
        None
    }

    /// Why nothing goes on with an unfinished run any more.
    fn why_over(&self, run: &RunRow) -> Option<String> {
        let age = time_since(&run.work_started_at);
        let oldest = self.config.resume_within;
        if age.is_none_or(|age| age > oldest) {
            let began = &run.work_started_at;
            let within = oldest.as_secs_f64();
            return Some(format!("it began at {began}, more than {within} s ago (--resume-within)"));
        }
        // The same pages would be refused again.
        let end = run.end.as_ref().filter(|end| end.status == Status::Failed);
        let is_final = end.is_some_and(|end| end.exit_code != ErrorKind::Storage.exit_code());
        is_final.then(|| "it came to its end and published nothing".to_owned())
    }

    /// What a page said of the next one of its chain, as it may be kept; `None` if it can't be.
    pub(super) fn remember(&self, end: &PageEnd, first: &Url) -> Option<Vec<u8>> {
        remember(end, first, &self.redaction)
    }

    /// Notes a page that is written, and what it said of the next one.
    pub(super) fn note_page(
        &mut self,
        (id, key, shown): (PageId, PageKey, &str),
        end: &PageEnd,
        reject_count: u64,
        said: Option<Vec<u8>>,
    ) {
        let notes = end.notes.as_deref();
        self.said_bytes += said.as_ref().map_or(0, Vec::len);
        self.pages.push(PageRow {
            place: id.place(),
            line: id.line,
            url_key: key,
            url: shown.to_owned(),
            state: PageState::Done,
            part: None,
            attempts: end.attempt_count,
            http_status: notes.and_then(|notes| notes.status),
            body_bytes: end.body_bytes,
            record_count: end.record_count,
            reject_count,
            etag: notes.and_then(|notes| notes.etag.clone()),
            last_modified: notes.and_then(|notes| notes.last_modified.clone()),
            content_sha256: self.remembers_answers().then_some(end.digest),
            error: None,
            chain: said,
        });
    }

    /// Notes a page that failed for good: it is told of, and asked for again by the next run.
    pub(super) fn note_failed_page(&mut self, (id, key, shown): (PageId, PageKey, &str), fault: &PageFault) {
        self.failed_pages.push(PageRow {
            place: id.place(),
            line: id.line,
            url_key: key,
            url: shown.to_owned(),
            state: PageState::Failed,
            part: None,
            attempts: fault.attempt_count,
            http_status: fault.http_status,
            body_bytes: fault.received.as_ref().map_or(0, |received| received.size),
            record_count: 0,
            reject_count: 0,
            etag: None,
            last_modified: None,
            content_sha256: None,
            error: Some(fault.reason.clone()),
            chain: None,
        });
    }

    /// Whether what is written is to be kept now.
    pub(super) fn is_due(&self) -> bool {
        self.saved_at.elapsed() >= self.config.checkpoint
            || self.pages.len().max(self.failed_pages.len()) >= PAGES_MAX
            || self.said_bytes >= SAID_BYTES_MAX
    }

    /// Keeps what is written.
    ///
    /// # Errors
    /// It can't be kept.
    pub(super) async fn save(&mut self, sinks: &mut Sinks<'_>, report: &Report, tally: &Tally) -> Result<()> {
        self.saved_at = Instant::now();
        if self.pages.is_empty() {
            return self.save_failed_pages();
        }
        self.folder.make()?;
        let folder = &mut self.folder;
        let table = sinks.table.save(sinks.output, |part| folder.keep_part(part)).await?;
        // Rows that wait for the first column can't be kept, nor what comes behind them.
        let Some(SavedTable { parts, shapes }) = table else { return self.save_failed_pages() };
        let rejects = sinks.rejects.save(|rejects| folder.keep_rejects(rejects))?;
        folder.sync()?;
        let order =
            OrderNotes { runs: sinks.order.cut(), shapes, counts: tally.saved_counts(report, self.listed) };
        let mut rows: Vec<PartRow> = parts.into_iter().map(|part| self.row_of(part)).collect();
        rows.push(self.row(None, 0, rejects.map(file_of), &PartNotes { columns: None, order: Some(order) }));
        let pages = std::mem::take(&mut self.pages);
        self.said_bytes = 0;
        self.ledger()?.commit_parts(&rows, &pages)?;
        self.save_failed_pages()?;
        tracing::info!(pages = pages.len(), folder = %self.folder.path().display(), "kept what is done");
        self.saved_at = Instant::now();
        Ok(())
    }

    /// Tells the ledger, if there is one, which pages have failed. Where there is none, no page is done that the next run
    /// could go on with, and it asks for all of them.
    fn save_failed_pages(&mut self) -> Result<()> {
        let pages = std::mem::take(&mut self.failed_pages);
        match &mut self.ledger {
            Some(ledger) if !pages.is_empty() => ledger.record_failed(&pages),
            Some(_) => Ok(()),
            None => {
                self.failed_pages = pages;
                // One less than makes the next look due.
                self.failed_pages.truncate(PAGES_MAX - 1);
                Ok(())
            }
        }
    }

    fn row_of(&mut self, part: SavedPart) -> PartRow {
        let SavedPart { file, row_count, columns } = part;
        let notes = PartNotes { columns: Some(columns), order: None };
        self.row(Some(file_of(file)), row_count, None, &notes)
    }

    fn row(
        &mut self,
        file: Option<PartFile>,
        row_count: u64,
        rejects: Option<PartFile>,
        notes: &PartNotes,
    ) -> PartRow {
        self.part_count += 1;
        let meta = serde_json::to_vec(notes).expect("notes have only string keys");
        PartRow { id: self.part_count, file, row_count, rejects, meta }
    }

    fn ledger(&mut self) -> Result<&mut Ledger> {
        Ok(match &mut self.ledger {
            Some(ledger) => ledger,
            empty => {
                let mut ledger = Ledger::open(self.folder.path())?;
                ledger.begin_run(self.start.clone())?;
                empty.insert(ledger)
            }
        })
    }

    /// Whether there is something that a next run could go on with.
    pub(super) fn has_saved(&self) -> bool {
        self.part_count > 0
    }

    /// Says how the run ended. What was kept of a run that has published, or that would end in the same way again, is
    /// removed.
    ///
    /// # Errors
    /// It can't be written, or removed.
    pub(super) fn end(mut self, report: &Report) -> Result<()> {
        let is_left = matches!(report.status, Status::Interrupted)
            || report.exit_code == ErrorKind::Storage.exit_code();
        self.save_failed_pages()?;
        if let Some(ledger) = &mut self.ledger {
            let is_complete = matches!(report.status, Status::Ok | Status::NothingNew | Status::Partial);
            // What was written since the last time is published, and needs no part any more.
            let pages = if is_complete { std::mem::take(&mut self.pages) } else { Vec::new() };
            let end = RunEnd {
                ended_at: now_rfc3339(),
                status: report.status,
                exit_code: report.exit_code,
                summary_json: report.to_json(),
            };
            ledger.end_run_with(end, &pages)?;
        }
        if let Some(ledger) = self.ledger.take() {
            ledger.close()?;
        }
        if is_left {
            return Ok(());
        }
        if self.folder.is_named() { self.folder.clear() } else { remove(&mut self.folder) }
    }
}

fn remove(folder: &mut StateFolder) -> Result<()> {
    if folder.is_there() {
        Ledger::remove(folder.path())?;
        folder.clear()?;
    }
    Ok(())
}

/// All that rows and rejects depend on, beside the list.
fn options_of(config: &Config) -> String {
    let transform = &config.transform;
    // A key is told from another by what it makes of a text that nobody hashes.
    let key = transform.projection.hash_key.as_ref().map(|key| key.hash(b"which key"));
    let options = Footer::options(config);
    let redact = &config.input.redact;
    format!("{options} {:?} {:?} {key:?} {redact:?}", transform.rejects_raw, config.http.pagination)
}

fn file_of(SavedFile { path, bytes, checksum }: SavedFile) -> PartFile {
    let path: PathBuf = path;
    PartFile { name: name_of(&path), bytes, checksum }
}
