//! What a run counts besides its report, and whether it may publish. Never looks at files or pages.

use super::chains::Turned;
use super::earlier::SavedCounts;
use crate::config::{ContractConfig, RejectsRaw};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::Note;
use crate::model::{PageBatch, PageFault, PageId, Place, Wholeness};
use crate::report::{FAILURES_MAX, FailureReport, Report, grouped};

/// Choices for chains that are told apart.
const CHOICES_MAX: usize = 5;

/// What is counted while pages are written and belongs to no other count.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whether nothing of a failed page is shown.
    hides_pages: bool,
    was_answered: bool,
    /// Where the failed pages stand that are reported.
    failures: Vec<Place>,
    duplicate_key_count: u64,
    overflow_count: u64,
    /// Pages of which nothing says that they came whole.
    unknown_end_count: u64,
    records_hint: Option<(PageId, String)>,
    /// What a person should know of the first chain of which there is something.
    note: Option<(PageId, String)>,
    /// What was chosen for chains, in the order in which it came up.
    choices: Vec<Chosen>,
    /// Chains for which something else was.
    other_choices: u64,
}

/// What was chosen for some chains.
#[derive(Debug)]
struct Chosen {
    options: String,
    why: String,
    first: PageId,
    chain_count: u64,
}

/// What is counted of one page, until it is complete.
#[derive(Debug, Default)]
pub(super) struct PageCounts {
    record_count: u64,
    kept_count: u64,
    filtered_count: u64,
    row_count: u64,
    reject_count: u64,
    discarded_value_count: u64,
    duplicate_key_count: u64,
    overflow_count: u64,
    records_hint: Option<String>,
}

impl PageCounts {
    pub(super) fn record_count(&self) -> u64 {
        self.record_count
    }

    pub(super) fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Rejected records and discarded values.
    pub(super) fn reject_count(&self) -> u64 {
        self.reject_count + self.discarded_value_count
    }

    pub(super) fn add(&mut self, batch: &PageBatch) {
        self.record_count += batch.record_count;
        self.kept_count += batch.kept_count;
        self.filtered_count += batch.filtered_count;
        self.row_count += batch.row_count as u64;
        let reject_count = batch.rejected_records().count();
        self.reject_count += reject_count as u64;
        self.discarded_value_count += (batch.rejects.len() - reject_count) as u64;
        self.duplicate_key_count += batch.duplicate_key_count;
        self.overflow_count += batch.overflow_count;
        self.records_hint = self.records_hint.take().or_else(|| batch.records_hint.clone());
    }
}

impl Tally {
    /// Nothing yet. Of failed pages as much is shown as of rejected records.
    pub(super) fn new(rejects_raw: RejectsRaw) -> Self {
        // What stands where in a page that is none can't be told.
        Self { hides_pages: rejects_raw != RejectsRaw::Full, ..Self::default() }
    }

    /// What is counted of the pages that were taken.
    pub(super) fn saved_counts(&self, report: &Report, listed: u64) -> SavedCounts {
        SavedCounts {
            pages_fetched: report.pages.fetched,
            pages_behind: report.pages.listed - listed,
            records: report.records,
            values_discarded: report.values_discarded,
            duplicate_keys: self.duplicate_key_count,
            overflows: self.overflow_count,
            pages_close_delimited: report.pages.close_delimited,
            pages_of_unknown_end: self.unknown_end_count,
        }
    }

    /// Counts the pages that an earlier run took.
    pub(super) fn resume(&mut self, report: &mut Report, counts: SavedCounts) {
        self.was_answered = true;
        report.pages.fetched = counts.pages_fetched;
        report.pages.listed += counts.pages_behind;
        report.records = counts.records;
        report.values_discarded = counts.values_discarded;
        self.duplicate_key_count = counts.duplicate_keys;
        self.overflow_count = counts.overflows;
        report.pages.close_delimited = counts.pages_close_delimited;
        self.unknown_end_count = counts.pages_of_unknown_end;
    }

    pub(super) fn count_page(&mut self, report: &mut Report, id: PageId, page: &PageCounts) {
        self.was_answered = true;
        report.pages.fetched += 1;
        report.records.seen += page.record_count;
        report.records.kept += page.kept_count;
        report.records.filtered += page.filtered_count;
        report.records.written += page.row_count;
        report.records.rejected += page.reject_count;
        report.values_discarded += page.discarded_value_count;
        self.duplicate_key_count += page.duplicate_key_count;
        self.overflow_count += page.overflow_count;
        if let (None, Some(pointer)) = (&self.records_hint, &page.records_hint) {
            self.records_hint = Some((id, pointer.clone()));
        }
    }

    /// Counts how it is known that a page came whole.
    pub(super) fn count_wholeness(&mut self, report: &mut Report, wholeness: Wholeness) {
        report.pages.close_delimited += u64::from(wholeness != Wholeness::Framed);
        self.unknown_end_count += u64::from(wholeness == Wholeness::Unknown);
    }

    /// Counts the page that is known to follow one.
    pub(super) fn count_turn(&mut self, report: &mut Report, id: PageId, turned: Turned) {
        report.pages.listed += u64::from(turned.has_next);
        match turned.note {
            Some(Note::Chosen(options, why)) => {
                tracing::info!(page = %id, options, why, "pagination");
                self.count_choice(id, options, why);
            }
            Some(Note::Other(note)) => {
                tracing::info!(page = %id, note, "pagination");
                self.note.get_or_insert((id, note));
            }
            None => {}
        }
    }

    fn count_choice(&mut self, first: PageId, options: String, why: String) {
        let is_it = |chosen: &&mut Chosen| chosen.options == options && chosen.why == why;
        if let Some(chosen) = self.choices.iter_mut().find(is_it) {
            chosen.chain_count += 1;
        } else if self.choices.len() < CHOICES_MAX {
            self.choices.push(Chosen { options, why, first, chain_count: 1 });
        } else {
            self.other_choices += 1;
        }
    }

    pub(super) fn count_fault(&mut self, report: &mut Report, id: PageId, shown: &str, fault: &PageFault) {
        self.was_answered |= fault.answered;
        report.pages.failed += 1;
        let shown_page = fault.received.as_ref().filter(|_| !self.hides_pages);
        let at = self.failures.partition_point(|place| *place < id.place());
        if at < FAILURES_MAX {
            let failure = FailureReport {
                url: shown.to_owned(),
                line: id.line,
                page: id.page,
                reason: fault.reason.clone(),
                begins_with: shown_page.and_then(|received| FailureReport::beginning(&received.head)),
            };
            self.failures.insert(at, id.place());
            report.failures.insert(at, failure);
            self.failures.truncate(FAILURES_MAX);
            report.failures.truncate(FAILURES_MAX);
        }
    }

    /// Whether the run may publish, once all pages are counted.
    pub(super) fn verdict(&self, report: &mut Report, contract: &ContractConfig) -> Result<()> {
        report.check_identity()?;
        self.add_hints(report);
        let (pages, records) = (report.pages, report.records);
        if pages.failed > 0 && pages.fetched == 0 {
            let kind = if self.was_answered { ErrorKind::Failed } else { ErrorKind::Unreachable };
            let answer = if self.was_answered { "" } else { " and no server answered" };
            let first = report.failures.first().map_or_else(String::new, |failure| {
                format!("; the first: {} ({})", failure.reason, failure.url)
            });
            let message = format!("every page failed{answer}{first}");
            return Err(Error::new(kind, message));
        }
        let broken = |message: String| Err(Error::new(ErrorKind::Contract, message));
        if contract.strict && pages.failed + records.rejected > 0 {
            return broken(format!(
                "--strict: {} pages failed and {} records were rejected; the rejects file has them",
                pages.failed, records.rejected
            ));
        }
        if contract.strict && self.unknown_end_count > 0 {
            return broken(format!(
                "--strict: {} pages ended only because the connection was closed, and lines may be missing; let the \
                 server send Content-Length or chunks, or leave --strict out",
                self.unknown_end_count
            ));
        }
        if contract.rejects_max.is_some_and(|most| most.is_exceeded_by(records.rejected, records.seen)) {
            return broken(format!(
                "--max-rejects: {} of {} records were rejected; the rejects file has them",
                records.rejected, records.seen
            ));
        }
        if contract.failed_max.is_some_and(|most| most.is_exceeded_by(pages.failed, pages.listed)) {
            return broken(format!(
                "--max-failed: {} of {} pages failed; the rejects file has them",
                pages.failed, pages.listed
            ));
        }
        if let Some(least) = contract.records_min.filter(|least| records.written < *least) {
            return broken(format!(
                "--min-records: expected at least {least} records, got {}",
                records.written
            ));
        }
        if records.written == 0 && pages.failed + records.rejected > 0 {
            return Err(Error::failed(format!(
                "no record could be written: {} pages failed and {} records were rejected",
                pages.failed, records.rejected
            )));
        }
        Ok(())
    }

    fn add_hints(&self, report: &mut Report) {
        if let Some((id, pointer)) = &self.records_hint {
            report.hints.push(format!(
                "the page of {id} is one object around an array of objects: --records {pointer} makes each of \
                 them a record"
            ));
        }
        if let Some((id, note)) = &self.note {
            report.hints.push(format!("{note} (the chain of {id})"));
        }
        report.hints.extend(self.choices_hint());
        if self.duplicate_key_count > 0 {
            report.hints.push(format!(
                "{} keys stood twice in one object; the last value was taken",
                self.duplicate_key_count
            ));
        }
        if self.overflow_count > 0 {
            report.hints.push(format!("{} features overflowed and are null", self.overflow_count));
        }
    }

    /// What `auto` chose, in one line: what for how many chains.
    fn choices_hint(&self) -> Option<String> {
        let mut told: Vec<String> = self
            .choices
            .iter()
            .map(|Chosen { options, why, first, chain_count }| {
                let of = match chain_count {
                    1 => format!("the chain of {first}"),
                    count => format!("{} chains, the first of {first}", grouped(*count)),
                };
                format!("{options}: {why} ({of})")
            })
            .collect();
        if self.other_choices > 0 {
            told.push(format!("something else for {} chains", grouped(self.other_choices)));
        }
        (!told.is_empty()).then(|| format!("--paginate auto chose {}", told.join("; ")))
    }
}
