//! The pages that failed in an earlier run, which a run asks for alone.

use std::collections::HashSet;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::ledger::{Ledger, RunRow};
use crate::model::PageKey;
use crate::report::RetryReport;
use crate::sink::LocalOutput;

/// Pages that failed in the last complete run of a state folder.
#[derive(Debug)]
pub(super) struct Retried {
    pub(super) run: RetryReport,
    pub(super) pages: HashSet<PageKey>,
}

/// What is taken of the summary of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Summary {
    outputs: Vec<String>,
    retry: Option<RetriedRun>,
}

#[derive(Debug, Deserialize)]
struct RetriedRun {
    run_id: String,
}

impl Retried {
    /// Looks for them. A key of 16 bytes is kept of each.
    ///
    /// # Errors
    /// No run of the ledger is complete, or the output is one that has all other pages ([`Usage`]).
    ///
    /// [`Usage`]: crate::error::ErrorKind::Usage
    pub(super) fn find(ledger: &Ledger, output: &LocalOutput) -> Result<Self> {
        let runs = ledger.runs()?;
        let run = runs.iter().find(|run| run.end.as_ref().is_some_and(|end| end.is_complete()));
        let run = run.ok_or_else(nothing_to_retry)?;
        check_output(&runs, run, output)?;
        let failed = ledger.failed_pages(&run.start.run_id)?;
        let pages: HashSet<PageKey> =
            failed.map(|page| page.map(|page| page.url_key)).collect::<Result<_>>()?;
        let run = RetryReport {
            run_id: run.start.run_id.clone(),
            started_at: run.start.started_at.clone(),
            pages: pages.len() as u64,
        };
        Ok(Self { run, pages })
    }
}

/// There is no run whose pages could be asked for.
pub(super) fn nothing_to_retry() -> Error {
    Error::usage(
        "--retry-failed: expected a --state folder in which a run came to its end, got one without; run without \
         --retry-failed first",
    )
}

/// Refuses to put a few pages in the place of all: what the run published, and the one whose pages it had asked for
/// again, and so on.
fn check_output(runs: &[RunRow], run: &RunRow, output: &LocalOutput) -> Result<()> {
    let mut next = Some(run);
    // As often as there are runs at most, whatever their summaries say.
    for _ in runs {
        let Some(run) = next else { break };
        let end = run.end.as_ref();
        let summary: Summary =
            end.and_then(|end| serde_json::from_str(&end.summary_json).ok()).unwrap_or_default();
        let is_retry = summary.retry.is_some();
        if let (false, Some(path)) =
            (is_retry, summary.outputs.iter().find(|path| output.written_files().have(path.as_ref())))
        {
            let id = &run.start.run_id;
            return Err(Error::usage(format!(
                "--retry-failed: {path} has the other pages of run {id} and would be replaced by those that failed \
                 alone; give --out another name"
            )));
        }
        next = summary.retry.and_then(|retry| runs.iter().find(|run| run.start.run_id == retry.run_id));
    }
    Ok(())
}
