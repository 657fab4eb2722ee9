//! `etl runs`: what the ledger of a state folder knows of its runs. Changes nothing there.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use etl::error::{Error, ErrorKind};
use etl::ledger::{Ledger, PageRow, RunRow};
use etl::model::PageId;
use etl::report::grouped;
use etl::shown;

use crate::process::{print, print_json, say_error};

/// Text that is put together before it is printed: a run may have failed pages without number.
const PRINTED_BYTES: usize = 64 << 10;
/// Heads of the table, the numbers to the right.
const HEADS: [&str; 10] =
    ["run", "started", "took", "status", "exit", "pages", "failed", "rows", "resumed", "retried"];
const NUMBERS: [&str; 5] = ["took", "exit", "pages", "failed", "rows"];

/// What is asked of a state folder.
#[derive(Debug, Clone)]
pub(crate) struct RunsConfig {
    /// The state folder.
    pub(crate) folder: PathBuf,
    /// The run whose failed pages are shown; all runs are listed where there is none.
    pub(crate) run_id: Option<String>,
    /// Whether JSON is printed.
    pub(crate) json: bool,
}

/// A run as it is shown. Keys are only ever added.
#[derive(Debug, Serialize)]
struct Shown {
    run_id: String,
    started_at: String,
    ended_at: Option<String>,
    elapsed_ms: Option<u64>,
    /// As in the summary; `killed` where it never ended.
    status: String,
    exit_code: Option<u8>,
    version: String,
    /// The run that it took up.
    resumed: Option<String>,
    /// The run whose failed pages alone it asked for.
    retried: Option<String>,
    /// When the first of the runs began that took each other up.
    work_started_at: String,
    error: Option<String>,
    outputs: Vec<String>,
    pages: Option<Value>,
    records: Option<Value>,
}

/// What is taken of the summary of a run, as another version may have written it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Summary {
    status: Option<String>,
    elapsed_ms: Option<u64>,
    error: Option<String>,
    outputs: Vec<String>,
    retry: Option<Retried>,
    pages: Option<Value>,
    records: Option<Value>,
    failures: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
struct Retried {
    run_id: String,
}

/// A page that failed.
#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    line: u64,
    page: u32,
    url: String,
    #[serde(default)]
    http_status: Option<u16>,
    /// Unknown where only the summary has the page.
    #[serde(default)]
    attempts: Option<u32>,
    reason: String,
}

/// Shows the runs of a state folder, or one of them.
pub(crate) fn runs(config: &RunsConfig) -> ExitCode {
    match show(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn show(config: &RunsConfig) -> Result<(), Error> {
    let RunsConfig { folder, run_id, json } = config;
    let ledger = find(folder)?;
    let shown = match run_id {
        None => show_all(&ledger, *json),
        Some(run_id) => show_one(&ledger, folder, run_id, *json),
    };
    // What was found out is the error to tell.
    shown.and(ledger.close())
}

fn find(folder: &Path) -> Result<Ledger, Error> {
    let shown = folder.display();
    let found = if folder.is_dir() { Ledger::find(folder) } else { Ok(None) };
    let found = found.map_err(|error| match error.kind() {
        ErrorKind::Locked => {
            let message = format!("{shown}: a run works there now; look again when it has ended");
            Error::new(ErrorKind::Locked, message).because(error)
        }
        _ => error,
    })?;
    found.ok_or_else(|| {
        Error::usage(format!(
            "{shown}: expected a state folder, got none with a ledger; name that of --state, or the folder OUT.etl \
             beside an output whose run was stopped"
        ))
    })
}

fn show_all(ledger: &Ledger, json: bool) -> Result<(), Error> {
    let runs: Vec<Shown> = ledger.runs()?.iter().map(shown_run).collect();
    if json {
        return print_json(&(to_json(&runs) + "\n"));
    }
    print(&if runs.is_empty() { "no runs yet\n".to_owned() } else { table(&runs) })
}

fn show_one(ledger: &Ledger, folder: &Path, run_id: &str, json: bool) -> Result<(), Error> {
    let row = ledger.runs()?.into_iter().find(|run| run.start.run_id == run_id).ok_or_else(|| {
        let folder = folder.display();
        Error::usage(format!(
            "{folder}: expected one of its runs, got {run_id}; `etl runs {folder}` lists them"
        ))
    })?;
    let run = shown_run(&row);
    let mut listed = Listed::begin(&run, json);
    // The ledger forgets pages that a later run asked for again; the summary has the first of them still.
    let mut others = summary_of(&row).failures;
    for page in ledger.failed_pages(run_id)? {
        let failure = failure_of(page?);
        others.retain(|other| !other.is_same(&failure));
        listed.push(&failure)?;
    }
    for failure in &others {
        listed.push(failure)?;
    }
    listed.end()
}

/// The failed pages of a run, printed by and by.
struct Listed<'a> {
    run: &'a Shown,
    json: bool,
    text: String,
    page_count: u64,
}

impl<'a> Listed<'a> {
    fn begin(run: &'a Shown, json: bool) -> Self {
        let mut text = if json { to_json(run) } else { table(std::slice::from_ref(run)) };
        if json {
            // The object goes on.
            text.pop();
            text.push_str(",\"failures\":[");
        } else if let Some(error) = &run.error {
            text += &format!("error: {}\n", shown::line(error));
        }
        Self { run, json, text, page_count: 0 }
    }

    fn push(&mut self, failure: &Failure) -> Result<(), Error> {
        if self.json {
            let comma = if self.page_count > 0 { "," } else { "" };
            self.text += &format!("{comma}{}", to_json(failure));
        } else {
            self.text += &failure.to_line();
        }
        self.page_count += 1;
        if self.text.len() > PRINTED_BYTES {
            self.print()?;
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), Error> {
        let unknown_count = self.run.count("failed").unwrap_or_default().saturating_sub(self.page_count);
        if self.json {
            self.text.push_str("]}\n");
        } else if unknown_count > 0 {
            let count = grouped(unknown_count);
            self.text += &format!(
                "{count} more failed pages are not known any more: later runs asked for them again\n"
            );
        } else if self.page_count == 0 {
            self.text.push_str("no failed pages\n");
        }
        self.print()
    }

    fn print(&mut self) -> Result<(), Error> {
        let text = std::mem::take(&mut self.text);
        if self.json { print_json(&text) } else { print(&text) }
    }
}

impl Failure {
    fn is_same(&self, other: &Self) -> bool {
        (self.line, self.page, &self.url) == (other.line, other.page, &other.url)
    }

    fn to_line(&self) -> String {
        let Self { line, page, url, http_status, attempts, reason } = self;
        let place = PageId { ordinal: 0, line: *line, page: *page };
        let status = http_status.map_or_else(|| "no status".to_owned(), |status| format!("HTTP {status}"));
        let attempts = match attempts {
            None => String::new(),
            Some(1) => ", 1 attempt".to_owned(),
            Some(count) => format!(", {} attempts", grouped((*count).into())),
        };
        format!("{place}  {}  {status}{attempts}: {}\n", shown::line(url), shown::line(reason))
    }
}

fn failure_of(page: PageRow) -> Failure {
    Failure {
        line: page.line,
        page: page.place.page,
        url: page.url,
        http_status: page.http_status,
        attempts: Some(page.attempts),
        reason: page.error.unwrap_or_default(),
    }
}

impl Shown {
    /// A count of its pages.
    fn count(&self, name: &str) -> Option<u64> {
        self.pages.as_ref()?.get(name)?.as_u64()
    }

    fn cells(&self) -> [String; 10] {
        let counted = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), grouped);
        let rows = self.records.as_ref().and_then(|records| records.get("written")?.as_u64());
        [
            self.run_id.clone(),
            self.started_at.clone(),
            self.elapsed_ms.map_or_else(|| "-".to_owned(), |ms| format!("{:.2} s", ms as f64 / 1000.0)),
            self.status.clone(),
            self.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string()),
            counted(self.count("fetched")),
            counted(self.count("failed")),
            counted(rows),
            self.resumed.clone().unwrap_or_else(|| "-".to_owned()),
            self.retried.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

fn shown_run(run: &RunRow) -> Shown {
    let RunRow { start, resumes, work_started_at, end } = run;
    let Summary { status, elapsed_ms, error, outputs, retry, pages, records, .. } = summary_of(run);
    Shown {
        run_id: start.run_id.clone(),
        started_at: start.started_at.clone(),
        ended_at: end.as_ref().map(|end| end.ended_at.clone()),
        elapsed_ms,
        status: status.unwrap_or_else(|| "killed".to_owned()),
        exit_code: end.as_ref().map(|end| end.exit_code),
        version: start.version.clone(),
        resumed: resumes.clone(),
        retried: retry.map(|retry| retry.run_id),
        work_started_at: work_started_at.clone(),
        error,
        outputs,
        pages,
        records,
    }
}

fn summary_of(run: &RunRow) -> Summary {
    // The ledger has checked that it is what was written; a summary that is none tells nothing.
    let end = run.end.as_ref();
    end.and_then(|end| serde_json::from_str(&end.summary_json).ok()).unwrap_or_default()
}

/// The runs, each a line, below their heads.
fn table(runs: &[Shown]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(runs.iter().map(Shown::cells));
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
    let widths: [usize; HEADS.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).zip(HEADS).map(|((cell, width), head)| {
            if NUMBERS.contains(&head) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is shown has only string keys")
}
