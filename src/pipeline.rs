//! One run, from the list to the published file: the only place that spawns tasks and owns queues.
//!
//! One page is one task. A bounded queue carries the handles of the tasks in page order, so pages are
//! fetched and decoded side by side and written in the order of the list. A page that must wait long is put off:
//! the others go on, it stands in the line again once it has an answer, and its rows are put in their place at the end.
//! Everything a run starts it also ends: dropping the run's future aborts its tasks, and dropping the output sweeps its
//! scratch.

mod asker;
mod chains;
mod earlier;
mod intake;
mod life;
mod probe;
mod provenance;
mod retried;
mod saving;
mod stop;
mod survey;
mod ticket;
mod verdict;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::calendar::now_rfc3339;
use crate::config::{Config, InputConfig, TransformConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{PageList, RawKeeper, Redaction, RejectedRecords};
use crate::metrics::Metrics;
use crate::model::{PageId, PageKey};
use crate::report::{
    ColumnReport, EXIT_PARTIAL, PartReport, RawReport, ReplayReport, Report, RequestCounts, StageTime,
    StageTimes, Status, grouped,
};
use crate::schema::{NESTED_LEVELS_MAX, Nesting, type_name};
use crate::sink::{KeptRun, LocalOutput, Places, RawIndex, index_of};
use crate::write::{Footer, RejectsWriter, Sequence, TableStats, TableWriter, Written, WrittenOrder};

use asker::Asker;
use chains::{Chains, OpenChain};
use earlier::Earlier;
use life::{Line, PAGES_AHEAD_MAX, Step};
use retried::Retried;
use saving::Saving;
use stop::Stopping;
use ticket::Ticket;
use verdict::Tally;
use writer::{Sinks, Writer};

pub use probe::{Probed, ProbedPage, Prober};
pub use stop::StopSignal;
pub use survey::Surveyor;

/// How often it is looked whether another run still holds the lock.
const LOCK_LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A run that is set up and may begin.
#[derive(Debug)]
pub struct Pipeline {
    config: Config,
    metrics: Arc<Metrics>,
    stop: StopSignal,
}

/// A page on its way: its task, what to call it, and what becomes of it.
struct QueuedPage {
    /// By which it stands in the line.
    turn: u64,
    id: PageId,
    key: PageKey,
    shown: Arc<str>,
    chain: Option<OpenChain>,
    /// Whether others went before it once.
    was_put_off: bool,
    ticket: Arc<Ticket>,
    task: AbortOnDropHandle<Result<()>>,
    steps: mpsc::Receiver<Step>,
}

impl Pipeline {
    /// A run of `config` that counts in `metrics` and ends early when `stop` says so.
    pub fn new(config: Config, metrics: Arc<Metrics>, stop: StopSignal) -> Self {
        Self { config, metrics, stop }
    }

    /// Runs to the end and says what happened. Never panics on input; never leaves scratch behind.
    pub async fn run(mut self) -> Report {
        let started = Instant::now();
        let mut report = begun_report(&self.config.transform);
        let stop = self.stop.clone();
        let listens = Arc::new(AtomicBool::new(false));
        let mut is_told = false;
        let outcome = tokio::select! {
            biased;
            // The line is dropped where it stands: its tasks are aborted, its scratch is swept.
            kind = stop.unheard(&listens) => Err(Error::new(kind, "stopped by a signal; nothing was published")),
            outcome = self.run_and_tell(&mut report, started, &listens) => {
                is_told = true;
                outcome
            }
        };
        if let Err(error) = outcome {
            report.fail(&error);
            count_left(&mut report);
        }
        if !is_told {
            add_metrics(&mut report, &self.metrics);
            report.elapsed_ms = started.elapsed().as_millis() as u64;
        }
        report
    }

    /// Runs to the end, and says in the state folder how that was. `listens` is set while the line itself hears a signal.
    async fn run_and_tell(
        &mut self,
        report: &mut Report,
        started: Instant,
        listens: &AtomicBool,
    ) -> Result<()> {
        let mut saving = None;
        // The lock is held until all is told.
        let mut output = None;
        let outcome = self.run_line(report, started, &mut output, &mut saving, listens).await;
        listens.store(false, Ordering::Relaxed);
        if let Err(error) = &outcome {
            report.fail(error);
            count_left(report);
        }
        add_metrics(report, &self.metrics);
        report.elapsed_ms = started.elapsed().as_millis() as u64;
        match saving.map(|saving: Saving| saving.end(report)) {
            // The first error is the one to report.
            Some(Err(error)) if outcome.is_ok() => Err(error),
            _ => outcome,
        }
    }

    async fn run_line(
        &mut self,
        report: &mut Report,
        started: Instant,
        locked: &mut Option<LocalOutput>,
        kept: &mut Option<Saving>,
        listens: &AtomicBool,
    ) -> Result<()> {
        let list = open_list(&self.config.input, report).await?;
        let (list_digest, key_digest) = (list.digest().to_owned(), list.key_digest().to_owned());
        let output = locked.insert(self.lock_output().await?);
        let (mut earlier, mut retried) = (None, None);
        if self.can_be_resumed() {
            let opened = Saving::open(&self.config, output, report, (&list_digest, &key_digest))?;
            let Some(opened) = opened else { return Ok(()) };
            *kept = Some(opened.saving);
            (earlier, retried) = (opened.earlier, opened.retried);
        } else {
            Saving::discard(output)?;
        }
        self.metrics.pages_listed.add(report.pages.listed);
        let remembers = kept.as_ref().is_some_and(Saving::remembers_answers);
        let (keeper, mut raw) = self.keep_raw(report, &list_digest)?.unzip();
        let spools = output.spools();
        let Config { http, transform, resources, .. } = &self.config;
        let memory_bytes = self.config.page_memory_bytes();
        let line =
            Line::new(http, transform, resources, memory_bytes, Arc::clone(&self.metrics), spools.clone());
        let line = line?.keeping(keeper).remembering(remembers).sparing(output.written_files());
        let line = Arc::new(line);
        let mut table = TableWriter::new(
            line.pool.clone(),
            Arc::clone(&self.metrics),
            line.transform(),
            self.config.output.row_group,
        );
        if kept.is_some() {
            table = table.saved();
        }
        let mut rejects = RejectsWriter::new(self.config.transform.rejects_raw);
        let late = list.kept_run().map(|run| run.late.clone()).unwrap_or_default();
        let unkept = list.kept_run().map_or(0, KeptRun::unkept_count);

        let mut order = WrittenOrder::default();
        let mut tally = Tally::new(self.config.transform.rejects_raw);
        let mut requests = list.requests()?;
        let mut chains_begun = HashMap::new();
        if let Some(Retried { pages, .. }) = retried {
            requests = requests.only(pages);
        }
        if let Some(earlier) = earlier {
            earlier.check(&line.pool).await?;
            let Earlier { table: saved, rejects: saved_rejects, runs, counts, done, chains } = earlier;
            table.resume(saved)?;
            rejects.resume(saved_rejects);
            order.resume(runs);
            tally.resume(report, counts);
            self.metrics.pages_listed.add(counts.pages_behind);
            requests = requests.without(done);
            // They may be pages behind one another.
            chains.keys().for_each(|ordinal| order.put_off(*ordinal));
            chains_begun = chains;
        }
        late.into_iter().for_each(|ordinal| order.put_off(ordinal));
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD_MAX);
        let (put_off, pages_put_off) = mpsc::unbounded_channel();
        let sinks = Sinks {
            output: &mut *output,
            spools,
            table: &mut table,
            rejects: &mut rejects,
            raw: raw.as_mut(),
            order: &mut order,
        };
        let (chains, turns) = Chains::new(&self.config.http.pagination);
        let asker = Asker::new(&line, &self.config.http, sender, pages_put_off)
            .at_most(self.config.state.pages_max)
            .behind(chains_begun);
        let stopping = Stopping::new(self.stop.clone(), started, self.config.state.deadline);
        let writer = Writer { line: &line, metrics: &self.metrics, sinks, saving: kept.as_mut(), stopping };
        listens.store(writer.saving.is_some(), Ordering::Relaxed);
        let written = tokio::try_join!(
            asker.ask_for_all(requests, turns),
            writer.write_pages((receiver, put_off), chains, report, &mut tally),
        );
        listens.store(false, Ordering::Relaxed);
        let verdict = written.and_then(|(asked, ())| {
            report.pages.duplicate = asked.duplicate_count;
            if asked.missing_count > 0 {
                report.pages.listed -= asked.missing_count;
                let missing = grouped(asked.missing_count);
                report.hints.push(format!("{missing} of the pages that failed are not in the list any more"));
            }
            if let Some(raw) = &mut raw {
                raw.end(report.pages.listed, report.pages.failed, asked.duplicate_count)?;
            }
            tally.verdict(report, &self.config.contract)
        });
        report.raw = self.config.output.keep_raw.as_ref().zip(raw.as_ref()).map(|(folder, raw)| RawReport {
            dir: folder.display().to_string(),
            pages: raw.page_count(),
            bytes: raw.bytes(),
        });
        let all_pages_done = Instant::now();
        let written = Written { rows: table.row_count(), reject_bytes: rejects.written_bytes() };
        let sequence = order.sequence(written);
        let finished = match verdict {
            Ok(()) => {
                let footer = Footer::of_run(&self.config, report, &list_digest, unkept);
                let stats = table.finish(output, sequence.as_ref(), &footer).await;
                stats.and_then(|stats| check_rows(report, stats))
            }
            Err(error) => Err(error),
        };
        match finished {
            Ok(stats) => {
                publish_rejects(rejects, sequence.as_ref(), report, output)?;
                report.elapsed_ms = started.elapsed().as_millis() as u64;
                self.publish(report, output, stats, kept.as_mut())?;
                self.metrics.publish_time.add(all_pages_done.elapsed());
                Ok(())
            }
            // The output can't be trusted with one more file; but what is done is done.
            Err(error) if error.kind() == ErrorKind::Storage => {
                let Some(saving) = kept else { return Err(error) };
                let (table, rejects, order) = (&mut table, &mut rejects, &mut order);
                let spools = output.spools();
                let mut sinks = Sinks { output, spools, table, rejects, raw: None, order };
                if let Err(second) = saving.save_at_last(&mut sinks, report, &tally).await {
                    report.hints.push(format!("what was done last is not kept: {}", second.one_line()));
                }
                if saving.has_saved() {
                    report.hints.push("what is done is kept: run it again to go on".to_owned());
                }
                Err(error)
            }
            // A page is one of the files that would be replaced.
            Err(error) if error.kind() == ErrorKind::Usage => Err(error),
            Err(error) => {
                // The first error is the one to report.
                if let Err(second) = publish_rejects(rejects, sequence.as_ref(), report, output) {
                    report.hints.push(format!("the rejects file is not there: {}", second.one_line()));
                }
                Err(error)
            }
        }
    }

    /// Locks the output, as soon as no other run holds it, or none does for as long as that is waited for.
    async fn lock_output(&self) -> Result<LocalOutput> {
        self.check_places()?;
        let end = self.config.state.lock_wait.map(|wait| Instant::now() + wait);
        loop {
            match LocalOutput::lock(&self.config.output.out, self.config.output.rejects.as_deref()) {
                Err(error)
                    if error.kind() == ErrorKind::Locked && end.is_some_and(|end| Instant::now() < end) =>
                {
                    tokio::time::sleep(LOCK_LOOK_INTERVAL).await;
                }
                locked => return locked,
            }
        }
    }

    /// Refuses files that are read and written, and outputs in folders that are swept, before anything is touched.
    fn check_places(&self) -> Result<()> {
        let Config { input, output, state, .. } = &self.config;
        let index = input.replay.as_deref().map(index_of);
        let named = [
            ("--urls", input.urls_file.as_deref().filter(|file| *file != Path::new("-"))),
            ("the rejects file", input.rejected.as_deref()),
            ("--replay", index.as_deref()),
        ];
        let named = named.into_iter().filter_map(|(option, path)| Some((option, path?)));
        let read = self.config.files_read.iter().map(|(option, path)| (*option, path.as_path()));
        let folders = [("--state", state.folder.as_deref()), ("--keep-raw", output.keep_raw.as_deref())];
        let places = Places {
            out: &output.out,
            rejects: output.rejects.as_deref(),
            folders: folders.into_iter().filter_map(|(option, path)| Some((option, path?))).collect(),
            reads: named.chain(read).collect(),
        };
        places.check()
    }

    /// Whether another run can go on with this one: what was kept of bodies is known to this process alone.
    fn can_be_resumed(&self) -> bool {
        let Config { input, output, .. } = &self.config;
        input.replay.is_none() && input.rejected.is_none() && output.keep_raw.is_none()
    }

    /// Makes ready to keep bodies as they come, if that is asked for.
    fn keep_raw(&self, report: &Report, list_digest: &str) -> Result<Option<(RawKeeper, RawIndex)>> {
        let Some(folder) = &self.config.output.keep_raw else { return Ok(None) };
        let index = RawIndex::begin(folder, &report.run_id, &report.started_at, list_digest)?;
        let keeper = RawKeeper::new(index.objects(), Redaction::new(&self.config.input.redact));
        Ok(Some((keeper, index)))
    }

    fn publish(
        &self,
        report: &mut Report,
        output: &LocalOutput,
        stats: Option<TableStats>,
        saving: Option<&mut Saving>,
    ) -> Result<()> {
        let Some(stats) = stats else {
            (report.status, report.exit_code) = (Status::NothingNew, exit_code_of(report));
            return Ok(());
        };
        let mut published = report.clone();
        self.tell_of_output(&mut published, &stats);
        if let Some(saving) = saving {
            let mut told = published.clone();
            add_metrics(&mut told, &self.metrics);
            saving.begin_publishing(output, &stats, &told)?;
        }
        output.publish_part(&stats.path)?;
        *report = published;
        Ok(())
    }

    /// Says what is published.
    fn tell_of_output(&self, report: &mut Report, stats: &TableStats) {
        report.exit_code = exit_code_of(report);
        report.status = if report.exit_code == EXIT_PARTIAL { Status::Partial } else { Status::Ok };
        let path = self.config.output.out.display().to_string();
        report.bytes.written = stats.bytes;
        report.schema = stats
            .schema
            .fields()
            .iter()
            .map(|field| ColumnReport { name: field.name().clone(), data_type: type_name(field.data_type()) })
            .collect();
        report.parts = vec![PartReport {
            path: path.clone(),
            rows: stats.row_count,
            row_groups: stats.row_group_count as u64,
            bytes: stats.bytes,
        }];
        report.outputs = vec![path];
        let nesting = self.config.transform.nesting;
        if let (Some(first), true) = (stats.json_columns.first(), nesting != Nesting::JSON) {
            report.hints.push(format!(
                "{} columns of objects with more than {} distinct keys, or below {NESTED_LEVELS_MAX} levels, became JSON \
                 text, the first of them {first} (--max-object-keys, --nested struct)",
                stats.json_columns.len(),
                nesting.keys_max
            ));
        }
    }
}

/// That of a run that came to its end.
fn exit_code_of(report: &Report) -> u8 {
    let lost_something = report.pages.failed + report.records.rejected > 0;
    if lost_something { EXIT_PARTIAL } else { 0 }
}

fn begun_report(transform: &TransformConfig) -> Report {
    Report {
        has_filter: transform.jq.is_some(),
        run_id: format!("{:016x}", fastrand::u64(..)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now_rfc3339(),
        ..Report::default()
    }
}

/// Counts the pages that nothing is known of.
fn count_left(report: &mut Report) {
    let pages = &mut report.pages;
    pages.left = pages.listed.saturating_sub(pages.fetched + pages.failed + pages.duplicate);
}

/// Adds what was counted and timed on the way.
fn add_metrics(report: &mut Report, metrics: &Metrics) {
    report.bytes.wire = metrics.wire_bytes.get();
    report.bytes.body = metrics.body_bytes.get();
    report.requests = RequestCounts {
        sent: metrics.requests_sent.get(),
        retried: metrics.requests_retried.get(),
        throttled: metrics.requests_throttled.get(),
        resumed: metrics.requests_resumed.get(),
        paused_ms: metrics.hosts_paused_ms.get(),
        by_status: metrics.by_status(),
    };
    hint_at_limits(report);
    report.stages = StageTimes {
        fetch: StageTime::of(&metrics.fetch_time),
        decode: StageTime::of(&metrics.decode_time),
        features: None,
        encode: StageTime::of(&metrics.encode_time),
        publish: StageTime::of(&metrics.publish_time),
    };
}

/// Says that a host wanted fewer requests, so that a slow run is not a riddle.
fn hint_at_limits(report: &mut Report) {
    let RequestCounts { throttled, paused_ms, .. } = report.requests;
    if throttled > 0 || paused_ms > 0 {
        report.hints.push(format!(
            "hosts asked to slow down: they refused {} requests, and pages waited {:.1} s for pauses that they \
             asked for (--concurrency-per-host, --rate)",
            grouped(throttled),
            paused_ms as f64 / 1000.0
        ));
    }
}

/// Reads and checks the list: on a thread of its own, since standard input may stay silent for ever, and a signal must
/// be heard then.
async fn open_list(input: &InputConfig, report: &mut Report) -> Result<PageList> {
    let input = input.clone();
    let folder = input.replay.clone();
    let list = tokio::task::spawn_blocking(move || PageList::open(&input))
        .await
        .map_err(|error| Error::failed("could not read the list").because(error))??;
    report.pages.listed = list.listed();
    if let (Some(run), Some(folder)) = (list.kept_run(), folder) {
        tell_of_replay(report, run, &folder);
    }
    if let Some(records) = list.rejected() {
        tell_of_rejected(report, records);
    }
    Ok(list)
}

/// Says what of a rejects file is not fed through again.
fn tell_of_rejected(report: &mut Report, records: &RejectedRecords) {
    let told = [
        (records.page_count, "failed pages, which have no record to feed; they must be asked for again"),
        (
            records.absent_count,
            "records that are there by their size alone (--rejects-raw, --max-record-bytes), and can't be fed",
        ),
        (
            records.redacted_count,
            "records with values that are blacked out (--rejects-raw redacted), and can't be fed",
        ),
        (records.value_count, "discarded values of records that were written"),
    ];
    for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
        report.hints.push(format!("left in the rejects file that was read: {} {what}", grouped(count)));
    }
}

/// Says which run is replayed, and what is not there of it.
fn tell_of_replay(report: &mut Report, run: &KeptRun, folder: &Path) {
    report.replay = Some(ReplayReport {
        dir: folder.display().to_string(),
        run_id: run.run_id.clone(),
        started_at: run.started_at.clone(),
        pages: run.page_count,
    });
    let missing_count = run.unkept_count();
    if missing_count > 0 {
        report.hints.push(format!(
            "{} pages of the run that is replayed failed then and were not kept",
            grouped(missing_count)
        ));
    }
    if run.end.is_none() {
        report
            .hints
            .push("the run that is replayed did not come to its end: what it had kept is there".to_owned());
    }
    if let Some(started_at) = &run.unended_since {
        report.hints.push(format!(
            "a later run, of {started_at}, did not come to its end; the last one that did is replayed"
        ));
    }
}

/// The rejects file is about this run, whether the run publishes or not.
fn publish_rejects(
    rejects: RejectsWriter,
    sequence: Option<&Sequence>,
    report: &mut Report,
    output: &LocalOutput,
) -> Result<()> {
    let rejects = rejects.finish(output, sequence)?;
    output.publish_rejects(rejects.as_deref())?;
    report.rejects = rejects.map(|_| output.rejects().display().to_string());
    Ok(())
}

fn check_rows(report: &Report, stats: Option<TableStats>) -> Result<Option<TableStats>> {
    let written = stats.as_ref().map_or(0, |stats| stats.row_count);
    if written == report.records.written {
        return Ok(stats);
    }
    let message = format!("{} rows were decoded but {written} were written", report.records.written);
    Err(Error::defect(message))
}
