//! What a run keeps so that the next one can go on with it, should it be stopped.
//!
//! Rows and rejects are brought into synced files, these into the state folder, that is synced, and then one transaction
//! of the ledger makes them known and their pages done. What the ledger does not know is swept by the next run.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use url::Url;

use super::earlier::{Earlier, PartNotes};
use super::retried::{Retried, nothing_to_retry};
use super::verdict::Tally;
use super::writer::Sinks;
use crate::calendar::{now_rfc3339, time_since};
use crate::config::{Config, StateConfig};
use crate::digest::sha256_hex;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Redaction, remember};
use crate::ledger::{Ledger, PageRow, PageState, PartFile, PartRow, Publishing, RunEnd, RunRow, RunStart};
use crate::model::{PageEnd, PageFault, PageId, PageKey};
use crate::report::{Report, ResumedReport, Status};
use crate::sink::{LocalOutput, StateFolder, name_of, sync_folder_of};
use crate::write::{Footer, SavedFile, SavedPart, SavedTable, TableStats};

/// Pages, done or failed, that are not made to last at most, whatever the time: each takes some hundred bytes of memory.
const PAGES_MAX: usize = 20_000;
/// And bytes of what they said of the next ones.
const SAID_BYTES_MAX: usize = 4 << 20;

/// What a run keeps.
#[derive(Debug)]
pub(super) struct Saving {
    config: StateConfig,
    folder: StateFolder,
    /// The folder that the output would have if none was named: what a run had done there is out of date once this one has
    /// published.
    unnamed: Option<StateFolder>,
    /// Opened with the first thing that is kept.
    ledger: Option<Ledger>,
    start: RunStart,
    part_count: u64,
    /// The parts that this run told the ledger, by the names of their files.
    known: HashMap<String, u64>,
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
    /// Tells whether a page is being written, of which some rows may be there and it is not noted.
    is_in_a_page: bool,
    /// Set while what is written is being kept, and for good where that failed: what is there is not known then.
    is_half_saved: bool,
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
        folder.check_is_ours()?;
        let unnamed = state.folder.is_some().then(|| StateFolder::open(output, None)).transpose()?;
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
            unnamed,
            ledger: None,
            start,
            part_count: 0,
            known: HashMap::new(),
            redaction: Redaction::new(&config.input.redact),
            has_chains: config.http.pagination.is_on(),
            listed: report.pages.listed,
            pages: Vec::new(),
            failed_pages: Vec::new(),
            said_bytes: 0,
            saved_at: Instant::now(),
            is_in_a_page: false,
            is_half_saved: false,
        };
        if state.is_fresh && !saving.folder.is_named() {
            remove(&mut saving.folder)?;
        }
        if !saving.folder.is_there() {
            return Ok(Some(Opened { saving, earlier: None, retried: None }));
        }
        let mut ledger = saving.open_ledger()?;
        Self::settle_published(&mut ledger, report)?;
        if ledger.unfinished_run().is_none() && !saving.folder.is_named() {
            ledger.close()?;
            remove(&mut saving.folder)?;
            return Ok(Some(Opened { saving, earlier: None, retried: None }));
        }
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

    /// The ledger of the folder. One that is damaged is made anew on purpose only.
    fn open_ledger(&mut self) -> Result<Ledger> {
        match Ledger::open(self.folder.path()) {
            Err(error) if self.config.is_fresh && error.kind() == ErrorKind::Storage => {
                remove(&mut self.folder)?;
                Ledger::open(self.folder.path())
            }
            opened => opened,
        }
    }

    fn take_up(&mut self, mut ledger: Ledger, report: &mut Report) -> Result<Option<Earlier>> {
        let Some(run) = ledger.unfinished_run().cloned() else {
            self.folder.sweep(&HashSet::new())?;
            ledger.begin_run(self.start.clone())?;
            self.ledger = Some(ledger);
            return Ok(None);
        };
        let on_purpose = self.config.is_fresh.then(|| "--fresh".to_owned());
        let reason = on_purpose.or_else(|| self.why_other(&run)).or_else(|| self.why_over(&run));
        if let Some(reason) = reason {
            return self.begin_afresh(ledger, &run, &reason, report).map(|()| None);
        }
        let (earlier, part_count) = Earlier::read(&ledger, &mut self.folder, self.has_chains)?;
        if let Some(missing) = earlier.missing_file() {
            // It was published, and taken away from there; or the ledger lost its last words.
            let reason = format!("{} is not there any more", missing.display());
            return self.begin_afresh(ledger, &run, &reason, report).map(|()| None);
        }
        self.part_count = part_count;
        self.folder.sweep(&earlier.file_names())?;
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

    /// Throws away what an unfinished run had done.
    fn begin_afresh(
        &mut self,
        mut ledger: Ledger,
        run: &RunRow,
        reason: &str,
        report: &mut Report,
    ) -> Result<()> {
        self.check_may_be_thrown_away(run, &ledger)?;
        report.hints.push(format!("what run {} had done is not used: {reason}", run.start.run_id));
        ledger.start_afresh()?;
        self.folder.sweep(&HashSet::new())?;
        ledger.begin_run(self.start.clone())?;
        self.ledger = Some(ledger);
        Ok(())
    }

    /// Finds out whether a run of which nothing was heard any more had published its output.
    fn settle_published(ledger: &mut Ledger, report: &mut Report) -> Result<()> {
        let run_id = ledger.unfinished_run().map(|run| run.start.run_id.clone());
        let Some((run_id, publishing)) = run_id.zip(ledger.publishing()) else { return Ok(()) };
        let Publishing { path, bytes, checksum, .. } = publishing.clone();
        let published = SavedFile { path, bytes, checksum };
        if published.path.exists() && published.is_as_written()? {
            // That it is there may be known to nobody but the system yet.
            sync_folder_of(&published.path)?;
            report.hints.push(format!("run {run_id} had published its output when it was stopped"));
            ledger.end_published()?;
        }
        Ok(())
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
        let began = &run.work_started_at;
        // Whatever was done since then is younger, so it tells of a clock that was set back, too.
        let Some(age) = time_since(&run.start.started_at).and_then(|_| time_since(began)) else {
            return Some(format!(
                "it began at {began}, and this machine's clock was set back since, so that its age is not known"
            ));
        };
        let oldest = self.config.resume_within;
        if age > oldest {
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

    /// Notes that the rows of a page are written next.
    pub(super) fn begin_page(&mut self) {
        self.is_in_a_page = true;
    }

    /// Notes that a page is written and noted.
    pub(super) fn end_page(&mut self) {
        self.is_in_a_page = false;
    }

    /// Keeps what is written of a run whose output can't be written any more, if that is whole.
    ///
    /// # Errors
    /// It can't be kept either.
    pub(super) async fn save_at_last(
        &mut self,
        sinks: &mut Sinks<'_>,
        report: &Report,
        tally: &Tally,
    ) -> Result<()> {
        if self.is_in_a_page || self.is_half_saved {
            return Ok(());
        }
        let saved = self.save(sinks, report, tally).await;
        self.is_half_saved = false;
        saved
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
        self.is_half_saved = true;
        self.save_all(sinks, report, tally).await?;
        self.is_half_saved = false;
        Ok(())
    }

    async fn save_all(&mut self, sinks: &mut Sinks<'_>, report: &Report, tally: &Tally) -> Result<()> {
        self.saved_at = Instant::now();
        if self.pages.is_empty() {
            return self.save_failed_pages();
        }
        self.folder.make()?;
        // First of all, so that the folder is known for ours.
        self.ledger()?;
        let table = sinks.table.save(sinks.output, &mut self.folder).await?;
        // Rows that wait for the first column can't be kept, nor what comes behind them.
        let Some(SavedTable { parts, shapes, void }) = table else { return self.save_failed_pages() };
        let rejects = sinks.rejects.save(|rejects| self.folder.keep_rejects(rejects))?;
        self.folder.sync()?;
        let mut rows = Vec::new();
        for SavedPart { file, footers, row_count, columns } in parts {
            for footer in footers {
                rows.push(self.row(Some(footer), 0, None, &PartNotes::Footer));
            }
            rows.push(self.row(Some(file), row_count, None, &PartNotes::Rows(columns)));
        }
        let counts = tally.saved_counts(report, self.listed);
        let end = PartNotes::End { runs: sinks.order.cut(), shapes, counts };
        rows.push(self.row(None, 0, rejects, &end));
        let pages = std::mem::take(&mut self.pages);
        self.said_bytes = 0;
        let mut gone: Vec<_> = void.iter().filter_map(|file| self.known.remove(&name_of(file))).collect();
        let files = rows.iter().filter_map(|row| row.file.as_ref().map(|file| (file.name.clone(), row.id)));
        gone.extend(files.filter_map(|(name, id)| self.known.insert(name, id)));
        self.ledger()?.replace_parts(&gone, &rows, &pages)?;
        void.iter().try_for_each(|file| self.folder.remove(file))?;
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

    fn row(
        &mut self,
        file: Option<SavedFile>,
        row_count: u64,
        rejects: Option<SavedFile>,
        notes: &PartNotes,
    ) -> PartRow {
        self.part_count += 1;
        let meta = serde_json::to_vec(notes).expect("notes have only string keys");
        let (file, rejects) = (file.map(file_of), rejects.map(file_of));
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

    /// Says that the output is about to be replaced: should this process be killed, it can be told whether it was.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn begin_publishing(
        &mut self,
        output: &LocalOutput,
        stats: &TableStats,
        report: &Report,
    ) -> Result<()> {
        self.save_failed_pages()?;
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let (path, bytes, checksum) = (output.target().to_owned(), stats.bytes, stats.checksum);
        ledger.begin_publishing(Publishing { path, bytes, checksum, end: end_of(report) }, &self.pages)
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
        let is_stopped = matches!(report.status, Status::Interrupted)
            || report.exit_code == ErrorKind::Storage.exit_code();
        // Where keeping failed, nothing more is done to what is there.
        let is_left = is_stopped && (self.has_saved() || self.folder.is_named() || self.is_half_saved);
        self.save_failed_pages()?;
        if let Some(ledger) = &mut self.ledger {
            let is_complete = matches!(report.status, Status::Ok | Status::NothingNew | Status::Partial);
            // What was written since the last time is published, and needs no part any more.
            let pages = if is_complete { std::mem::take(&mut self.pages) } else { Vec::new() };
            // Of a run that could not publish what it was about to, it is found out next time whether it did.
            if is_complete || ledger.publishing().is_none() {
                ledger.end_run_with(end_of(report), &pages)?;
            }
        }
        if let Some(ledger) = self.ledger.take() {
            ledger.close()?;
        }
        if is_left {
            return Ok(());
        }
        self.unnamed.as_mut().map_or(Ok(()), remove)?;
        if self.folder.is_named() { self.folder.clear() } else { remove(&mut self.folder) }
    }
}

fn end_of(report: &Report) -> RunEnd {
    RunEnd {
        ended_at: now_rfc3339(),
        status: report.status,
        exit_code: report.exit_code,
        summary_json: report.to_json(),
    }
}

fn remove(folder: &mut StateFolder) -> Result<()> {
    if folder.is_there() {
        folder.begin_clearing()?;
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
    PartFile { name: name_of(&path), bytes, checksum }
}
