//! A run that writes nothing: what the records are.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::asker::Asker;
use super::chains::{Chains, Outlook, Turned};
use super::life::{Decoding, Line, PAGES_AHEAD_MAX, Step};
use super::verdict::{PageCounts, Tally};
use super::writer::wait_for_step;
use super::{QueuedPage, StopSignal, add_metrics, begun_report, count_left, open_list};
use crate::config::{ContractConfig, SurveyConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::model::{PageBatch, PageEnd, PageFault};
use crate::report::{EXIT_PARTIAL, Report, Status};
use crate::schema::{Nesting, Profile, Survey, TooManyColumns};
use crate::sink::Spools;
use crate::transform::Decoded;

/// A survey that is set up and may begin.
#[derive(Debug)]
pub struct Surveyor {
    config: SurveyConfig,
    metrics: Arc<Metrics>,
    stop: StopSignal,
}

/// What one page came to.
#[derive(Default)]
struct SurveyedPage {
    counts: PageCounts,
    outlook: Outlook,
    survey: Survey,
    /// What one of its chunks came to, which decides once its body has ended well.
    fault: Option<PageFault>,
}

impl Surveyor {
    /// A survey by `config` that counts in `metrics` and ends early when `stop` says so.
    pub fn new(config: SurveyConfig, metrics: Arc<Metrics>, stop: StopSignal) -> Self {
        Self { config, metrics, stop }
    }

    /// Reads the pages, or as many as give the sample, and says what was seen and what happened.
    pub async fn run(self) -> (Report, Survey) {
        let started = Instant::now();
        let mut report = begun_report(&self.config.transform);
        let mut stop = self.stop.clone();
        let outcome = tokio::select! {
            biased;
            kind = stop.stopped() => Err(Error::new(kind, "stopped by a signal")),
            outcome = self.survey(&mut report) => outcome,
        };
        let survey = outcome.unwrap_or_else(|error| {
            report.fail(&error);
            count_left(&mut report);
            Survey::default()
        });
        add_metrics(&mut report, &self.metrics);
        report.elapsed_ms = started.elapsed().as_millis() as u64;
        (report, survey)
    }

    async fn survey(&self, report: &mut Report) -> Result<Survey> {
        let SurveyConfig { input, http, transform, resources, .. } = &self.config;
        let list = open_list(input, report).await?;
        self.metrics.pages_listed.add(list.listed());
        let spools = Spools::in_folder(&std::env::temp_dir(), &format!("etl-{}", report.run_id));
        let metrics = Arc::clone(&self.metrics);
        let line = Line::new(http, transform, resources, resources.memory_bytes / 2, metrics, spools)?;
        let line = Arc::new(line);
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD_MAX);
        // A sample is of the first pages, so none is put off.
        let (_put_off, pages_put_off) = mpsc::unbounded_channel();
        let (chains, turns) = Chains::new(&http.pagination);
        let (asked, (tally, survey)) = tokio::try_join!(
            Asker::new(&line, http, sender, pages_put_off).ask_for_all(list.requests()?, turns),
            self.take_pages(&line, receiver, chains, report),
        )?;
        report.pages.duplicate = asked.duplicate_count;
        // Those behind the sample.
        count_left(report);
        tally.verdict(report, &ContractConfig::default())?;
        let lost_something = report.pages.failed + report.records.rejected > 0;
        (report.status, report.exit_code) =
            if lost_something { (Status::Partial, EXIT_PARTIAL) } else { (Status::Ok, 0) };
        Ok(survey)
    }

    /// Takes pages in their order until there are records enough.
    async fn take_pages(
        &self,
        line: &Line,
        mut queue: mpsc::Receiver<QueuedPage>,
        chains: Chains,
        report: &mut Report,
    ) -> Result<(Tally, Survey)> {
        let record_count_max = self.config.sample.unwrap_or(u64::MAX);
        let nesting = self.config.transform.nesting;
        let mut tally = Tally::new(self.config.transform.rejects_raw);
        let mut survey = Survey::default();
        while survey.record_count < record_count_max
            && let Some(mut page) = queue.recv().await
        {
            line.budget.advance_head(page.turn);
            let (id, shown, mut chain) = (page.id, Arc::clone(&page.shown), page.chain.take());
            let wanted_count = record_count_max - survey.record_count;
            let (of_page, taken) = survey_page(line, page, wanted_count, nesting).await?;
            let taken = taken.and_then(|end| match end {
                Some(end) => chains.check(&mut chain, end, &mut None).map(Some),
                None => Ok(None),
            });
            let broken = match taken {
                Ok(end) => {
                    tally.count_page(report, id, &of_page.counts);
                    let wholeness = end.as_ref().map(|end| end.wholeness).unwrap_or_default();
                    tally.count_wholeness(report, wholeness);
                    self.metrics.records_written.add(of_page.survey.record_count);
                    survey.unite(of_page.survey, nesting);
                    survey.check_columns().map_err(|error| too_many_columns(&error))?;
                    // Of a page that was not read to its end, nothing is known of the next one.
                    let turned = match end {
                        Some(end) => chains.go_on(id, chain, &end),
                        None => Ok(Turned::default()),
                    };
                    turned.map(|turned| {
                        self.metrics.pages_listed.add(u64::from(turned.has_next));
                        tally.count_turn(report, id, turned);
                    })
                }
                Err(fault) => {
                    chains.end();
                    tracing::warn!(page = %id, url = %shown, reason = fault.reason, "page failed");
                    tally.count_fault(report, id, &shown, &fault);
                    Ok(())
                }
            };
            if let Err(broken) = broken {
                let (next, fault) = *broken;
                report.pages.listed += 1;
                tally.count_fault(report, next, &shown, &fault);
            }
            line.page_done();
        }
        Ok((tally, survey))
    }
}

/// Takes a page, or as much of it as has so many records: what was seen, and what it tells of the next page, if it was
/// read to its end, or its fault.
async fn survey_page(
    line: &Line,
    mut page: QueuedPage,
    wanted_count: u64,
    nesting: Nesting,
) -> Result<(SurveyedPage, Result<Option<PageEnd>, PageFault>)> {
    let mut surveyed = SurveyedPage::default();
    while let Ok(Some(step)) = wait_for_step(line, &mut page, false).await {
        match step {
            Step::Chunk(Decoding { decoded, reservation }) => {
                let mut next = Some(decoded.await?);
                while let Some(decoded) = next.take().filter(|_| surveyed.fault.is_none()) {
                    match decoded {
                        Ok(Decoded { batch, rest, .. }) => {
                            surveyed.counts.add(&batch);
                            surveyed.outlook.add(&batch);
                            surveyed.survey.unite(survey_of(&batch), nesting);
                            surveyed.survey.check_columns().map_err(|error| too_many_columns(&error))?;
                            if surveyed.survey.record_count >= wanted_count {
                                return Ok((surveyed, Ok(None)));
                            }
                            if let Some(rest) = rest {
                                next = Some(line.decode_rest(rest).await?);
                            }
                        }
                        Err(mut fault) => {
                            if let (Some(around), 0) = (fault.take_lack(), surveyed.counts.record_count()) {
                                surveyed.outlook.add_lack(&around);
                            }
                            surveyed.fault = Some(fault.in_page(surveyed.counts.record_count()));
                        }
                    }
                }
                drop(reservation);
            }
            Step::Void => surveyed = SurveyedPage::default(),
            Step::End(ended) => {
                let fault = surveyed.fault.take();
                let end = std::mem::take(&mut surveyed.outlook).end(ended, fault);
                return Ok((surveyed, end.map(Some)));
            }
            Step::Failed(fault, _) => return Ok((surveyed, Err(fault))),
        }
    }
    page.task.await.map_err(|error| Error::failed("a page's task stopped").because(error))??;
    Err(Error::defect("a page's task ended without saying how"))
}

fn too_many_columns(error: &TooManyColumns) -> Error {
    Error::new(ErrorKind::Contract, error.to_string())
}

fn survey_of(batch: &PageBatch) -> Survey {
    let fields = batch.shape.fields.iter().zip(&batch.columns).map(|((name, shape), column)| {
        (Arc::clone(name), Profile::of(column.values(), &shape.column_type()))
    });
    Survey { shape: batch.shape.clone(), fields: fields.collect(), record_count: batch.row_count as u64 }
}
