//! What happened in a run: the counts, whether they add up, and how they are shown.
//!
//! One [`Report`] serves the summary that people read and the JSON that programs read (`--json`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::metrics::Durations;
use crate::shown;

/// Failures that are listed one by one; the rest are counted, and all are in the rejects file.
pub const FAILURES_MAX: usize = 100;
/// Characters of the beginning of a failed page that are shown: enough to know a login page.
const BEGINNING_CHARS_MAX: usize = 80;
/// Failures that the text summary shows.
const FAILURES_SHOWN: usize = 10;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything that was listed is in the output.
    Ok,
    /// There was nothing to publish, and nothing went wrong.
    NothingNew,
    /// Published, but pages failed or records were rejected.
    Partial,
    /// Nothing was published.
    #[default]
    Failed,
    /// A signal stopped the run; nothing was published.
    Interrupted,
}

/// Exit code of a run that published, but lost pages or rejected records.
pub const EXIT_PARTIAL: u8 = 3;

/// What happened in a run. Keys are only ever added.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Names the run in logs.
    pub run_id: String,
    /// Version of etl.
    pub version: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// How it ended.
    pub status: Status,
    /// Exit code of the process.
    pub exit_code: u8,
    /// Why nothing was published, when that is a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Files that were published.
    pub outputs: Vec<String>,
    /// The rejects file, when there is one.
    pub rejects: Option<String>,
    /// What was kept of the bodies as they came, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawReport>,
    /// The earlier run whose pages were read again, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayReport>,
    /// What was there of a run that was stopped, if this one went on with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<ResumedReport>,
    /// The run whose failed pages were asked for, if only those were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryReport>,
    /// Pages by outcome.
    pub pages: PageCounts,
    /// Records by outcome.
    pub records: RecordCounts,
    /// Values that the schema could not hold and that are null in the output; the rejects file has them.
    pub values_discarded: u64,
    /// Whether records went through a filter.
    #[serde(skip)]
    pub has_filter: bool,
    /// Bytes by place.
    pub bytes: ByteCounts,
    /// HTTP requests.
    pub requests: RequestCounts,
    /// The parts of the output.
    pub parts: Vec<PartReport>,
    /// Columns of the output.
    pub schema: Vec<ColumnReport>,
    /// How long the stages took.
    pub stages: StageTimes,
    /// The first [`FAILURES_MAX`] failed pages.
    pub failures: Vec<FailureReport>,
    /// What the user may want to change.
    pub hints: Vec<String>,
    /// Wall time.
    pub elapsed_ms: u64,
    /// Most memory that the process held.
    pub peak_rss_bytes: Option<u64>,
}

/// `listed = fetched + unchanged + failed + duplicate + left`; `deferred` is counted besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PageCounts {
    /// URLs of the list after expansion.
    pub listed: u64,
    /// Fetched whole and decoded.
    pub fetched: u64,
    /// Not fetched again because the server said that nothing changed.
    pub unchanged: u64,
    /// Not fetched whole, or not decodable; none of its records counts.
    pub failed: u64,
    /// Listed before.
    pub duplicate: u64,
    /// Not asked for before the run was stopped.
    pub left: u64,
    /// Put off and fetched later.
    pub deferred: u64,
    /// Of those fetched, the ones whose body ended because the connection was closed: neither a length nor a last chunk
    /// says that it was whole.
    pub close_delimited: u64,
}

/// `seen = kept + rejected + filtered`; rows written are counted besides, which are the records kept but for a filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCounts {
    /// Records of the fetched pages.
    pub seen: u64,
    /// Records that became rows.
    pub kept: u64,
    /// Rows of the output.
    pub written: u64,
    /// Records in the rejects file.
    pub rejected: u64,
    /// Records that a filter left out.
    pub filtered: u64,
}

/// Bytes by place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ByteCounts {
    /// Bodies as they came.
    pub wire: u64,
    /// Bodies after decompression.
    pub body: u64,
    /// The output.
    pub written: u64,
}

/// HTTP requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestCounts {
    /// All of them, retries included.
    pub sent: u64,
    /// Second and later attempts.
    pub retried: u64,
    /// Requests that a host refused because they were too many (429, 503 with `Retry-After`).
    pub throttled: u64,
    /// Bodies that broke off and were gone on with.
    pub resumed: u64,
    /// Milliseconds in which pages waited because a host had asked for a pause.
    pub paused_ms: u64,
    /// Responses by status code.
    pub by_status: BTreeMap<u16, u64>,
}

/// Bodies that were kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RawReport {
    /// Their folder.
    pub dir: String,
    /// Pages that came whole.
    pub pages: u64,
    /// Bytes of their bodies; those of equal bodies stand in the folder once.
    pub bytes: u64,
}

/// The run whose pages were read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// The folder that has them.
    pub dir: String,
    /// Names the run.
    pub run_id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Its pages that came whole.
    pub pages: u64,
}

/// The run whose failed pages were asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// Names the run.
    pub run_id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Its pages that had failed.
    pub pages: u64,
}

/// What an earlier run had done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumedReport {
    /// Names the run.
    pub run_id: String,
    /// When the first of the runs that were stopped began, RFC 3339 in UTC.
    pub started_at: String,
    /// Its pages that need not be fetched again.
    pub pages: u64,
    /// Their records.
    pub records: u64,
}

/// A part of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// Its file.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its row groups.
    pub row_groups: u64,
    /// Its size.
    pub bytes: u64,
}

/// A column of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow spells it in Python: `list<double>`.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// How long the stages took. Stages overlap, so the totals may exceed the wall time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StageTimes {
    /// Per attempt at a page.
    pub fetch: StageTime,
    /// Per chunk of a page, with the features, which are computed while it is decoded.
    pub decode: StageTime,
    /// Always null: part of `decode`.
    pub features: Option<StageTime>,
    /// Per column of a row group.
    pub encode: StageTime,
    /// Once.
    pub publish: StageTime,
}

/// How long one stage took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it: percentiles and the sum")]
pub struct StageTime {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub total_ms: f64,
}

impl StageTime {
    /// The times in a histogram.
    pub fn of(durations: &Durations) -> Self {
        Self {
            p50_ms: durations.percentile_ms(50),
            p90_ms: durations.percentile_ms(90),
            p99_ms: durations.percentile_ms(99),
            total_ms: durations.total_ms(),
        }
    }
}

/// A page that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureReport {
    /// Its URL, secrets hidden.
    pub url: String,
    /// Line of the list; 0 for an argument.
    pub line: u64,
    /// Page in its chain.
    pub page: u32,
    /// What failed.
    pub reason: String,
    /// How the page begins that came instead, where it may be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins_with: Option<String>,
}

impl FailureReport {
    /// How a page with this head begins, as a line can hold it.
    pub fn beginning(head: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(head);
        let shown: String = text.trim_start().chars().take(BEGINNING_CHARS_MAX).collect();
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ").escape_debug().to_string();
        (!shown.is_empty()).then_some(shown)
    }
}

impl Report {
    /// Checks that every page and every record is accounted for.
    ///
    /// # Errors
    /// The counts do not add up, which is a defect of etl: nothing may be published then.
    pub fn check_identity(&self) -> Result<(), Error> {
        let pages = self.pages;
        let records = self.records;
        let pages_accounted = pages.fetched + pages.unchanged + pages.failed + pages.duplicate + pages.left;
        if pages.listed != pages_accounted {
            let message =
                format!("{} pages were listed but {pages_accounted} are accounted for", pages.listed);
            return Err(Error::defect(message));
        }
        let records_accounted = records.kept + records.rejected + records.filtered;
        if records.seen != records_accounted {
            let message =
                format!("{} records were seen but {records_accounted} are accounted for", records.seen);
            return Err(Error::defect(message));
        }
        if !self.has_filter && records.written != records.kept {
            let message = format!("{} records were kept but {} became rows", records.kept, records.written);
            return Err(Error::defect(message));
        }
        Ok(())
    }

    /// The report of a run that could not begin.
    pub fn of_error(error: &Error) -> Self {
        let mut report = Self::default();
        report.fail(error);
        report
    }

    /// Says that the run stopped with this error.
    pub fn fail(&mut self, error: &Error) {
        self.exit_code = error.kind().exit_code();
        self.status = match error.kind() {
            ErrorKind::Interrupted | ErrorKind::Terminated | ErrorKind::HungUp | ErrorKind::Unfinished => {
                Status::Interrupted
            }
            _ => Status::Failed,
        };
        self.error = Some(error.one_line());
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report has only string keys")
    }

    /// The report as people read it, ending with a line feed. `list` names the URL list.
    pub fn to_text(&self, list: &str) -> String {
        let mut text = String::new();
        let written =
            self.write_headline(&mut text).and_then(|()| self.write_counts(&mut text, list, "written"));
        written.expect("writing to a String does not fail");
        text
    }

    /// As [`Self::to_text`], of a run that wrote nothing but read records with so many columns.
    pub fn to_survey_text(&self, list: &str, column_count: usize) -> String {
        let mut text = String::new();
        let seconds = self.elapsed_ms as f64 / 1000.0;
        let records = grouped(self.records.written);
        let headline = match self.error {
            Some(_) => writeln!(text, "no schema, after {seconds:.2} s (exit {})", self.exit_code),
            None => writeln!(text, "read {records} records: {column_count} columns, in {seconds:.2} s"),
        };
        let written = headline.and_then(|()| self.write_counts(&mut text, list, "read"));
        written.expect("writing to a String does not fail");
        text
    }

    fn write_headline(&self, out: &mut String) -> std::fmt::Result {
        let Self { records, bytes, .. } = self;
        let seconds = self.elapsed_ms as f64 / 1000.0;
        if let (None, Some(RetryReport { pages: 0, run_id, started_at })) = (&self.error, &self.retry) {
            return writeln!(out, "nothing to do: no page of run {run_id} of {started_at} failed");
        }
        match (&self.error, self.outputs.first()) {
            (Some(_), _) => writeln!(out, "nothing published in {seconds:.2} s (exit {})", self.exit_code)?,
            (None, Some(path)) => writeln!(
                out,
                "published {}: {} rows, {} columns, {} in {seconds:.2} s",
                shown::line(path),
                grouped(records.written),
                self.schema.len(),
                shown_bytes(bytes.written)
            )?,
            (None, None) => {
                let what = if self.has_filter { "rows" } else { "records" };
                writeln!(out, "nothing to publish: no {what} and no known columns ({seconds:.2} s)")?;
            }
        }
        Ok(())
    }

    /// `taken` says what became of the records that were not rejected.
    fn write_counts(&self, out: &mut String, list: &str, taken: &str) -> std::fmt::Result {
        let Self { pages, records, bytes, requests, .. } = self;
        writeln!(
            out,
            "  pages    {} listed = {} fetched + {} unchanged + {} failed + {} duplicate + {} left",
            grouped(pages.listed),
            grouped(pages.fetched),
            grouped(pages.unchanged),
            grouped(pages.failed),
            grouped(pages.duplicate),
            grouped(pages.left)
        )?;
        if pages.deferred > 0 {
            let deferred = grouped(pages.deferred);
            writeln!(
                out,
                "           {deferred} of them deferred: they had to wait long, and others went first"
            )?;
        }
        if pages.close_delimited > 0 {
            let close_delimited = grouped(pages.close_delimited);
            writeln!(
                out,
                "           {close_delimited} of them close-delimited: no length and no last chunk says that they \
                 are whole"
            )?;
        }
        let [seen, kept, rejected] = [records.seen, records.kept, records.rejected].map(grouped);
        if self.has_filter {
            let [filtered, written] = [records.filtered, records.written].map(grouped);
            writeln!(
                out,
                "  records  {seen} seen = {kept} kept + {rejected} rejected + {filtered} filtered, {written} rows \
                 written"
            )?;
        } else {
            writeln!(out, "  records  {seen} seen = {kept} {taken} + {rejected} rejected")?;
        }
        if self.values_discarded > 0 {
            let discarded = grouped(self.values_discarded);
            writeln!(
                out,
                "  values   {discarded} discarded and null instead (--schema-contract discard_value)"
            )?;
        }
        writeln!(
            out,
            "  bytes    {} received, {} decompressed, {} written",
            shown_bytes(bytes.wire),
            shown_bytes(bytes.body),
            shown_bytes(bytes.written)
        )?;
        writeln!(
            out,
            "  requests {} sent, {} of them retries",
            grouped(requests.sent),
            grouped(requests.retried)
        )?;
        if let Some(RetryReport { run_id, started_at, pages }) = &self.retry {
            let pages = grouped(*pages);
            writeln!(out, "  retry    {pages} pages that failed in run {run_id} of {started_at}")?;
        }
        if let Some(ReplayReport { dir, run_id, started_at, pages }) = &self.replay {
            let pages = grouped(*pages);
            writeln!(
                out,
                "  replay   {pages} pages of run {run_id} of {started_at}, from {}",
                shown::line(dir)
            )?;
        }
        if let Some(ResumedReport { run_id, started_at, pages, records }) = &self.resumed {
            let [pages, records] = [*pages, *records].map(grouped);
            writeln!(
                out,
                "  resumed  {pages} pages with {records} records of run {run_id}, begun at {started_at}"
            )?;
        }
        if let Some(RawReport { dir, pages, bytes }) = &self.raw {
            let dir = shown::line(dir);
            writeln!(out, "  raw      {} pages, {}, in {dir}", grouped(*pages), shown_bytes(*bytes))?;
        }
        if let Some(rejects) = &self.rejects {
            writeln!(out, "  rejects  {}", shown::line(rejects))?;
        }
        self.write_failures(out, list)?;
        for hint in &self.hints {
            writeln!(out, "  hint     {}", shown::line(hint))?;
        }
        Ok(())
    }

    fn write_failures(&self, out: &mut String, list: &str) -> std::fmt::Result {
        for failure in self.failures.iter().take(FAILURES_SHOWN) {
            let FailureReport { url, line, page, reason, begins_with } = failure;
            let place = if *line == 0 { "argument".to_owned() } else { format!("{list}:{line}") };
            let failed = format!("{place} page {page} {url}: {reason}");
            write!(out, "  failed   {}", shown::line(&failed))?;
            match begins_with {
                Some(beginning) => writeln!(out, "; it begins with {beginning}")?,
                None => writeln!(out)?,
            }
        }
        let unshown = self.pages.failed.saturating_sub(self.failures.len().min(FAILURES_SHOWN) as u64);
        if unshown > 0 {
            writeln!(out, "  failed   {} more; the rejects file has them all", grouped(unshown))?;
        }
        Ok(())
    }
}

/// A count with its thousands set apart: `12,345`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves a number of at least one: `1.5 MiB`.
pub fn shown_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_bytes_are_shown_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(shown_bytes(1023), "1023 B");
        assert_eq!(shown_bytes(3 << 19), "1.5 MiB");
    }

    #[test]
    fn report_whose_counts_do_not_add_up_is_a_defect() {
        let mut report = Report::default();
        assert!(report.check_identity().is_ok());
        report.records.seen = 1;
        assert!(report.check_identity().is_err());
        report.records.rejected = 1;
        assert!(report.check_identity().is_ok());
        report.pages.listed = 1;
        assert!(report.check_identity().is_err());
    }
}
