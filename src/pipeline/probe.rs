//! A look at one page: what it is, and what `etl` would have to be told to take it.

use std::sync::Arc;

use super::{StopSignal, begun_report, open_list};
use crate::budget::ByteBudget;
use crate::config::{PaginationConfig, Paging, SurveyConfig, TransformConfig};
use crate::cpu::CpuPool;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{BacklogRoom, Body, Choice, FetchError, Fetcher, Waiting, propose_paging};
use crate::metrics::Metrics;
use crate::model::{Answer, DeclaredForm, PageBatch, PageEnd, PageFault, PageRequest, Received};
use crate::pointer;
use crate::schema::{Kinds, Shape};
use crate::sink::Spools;
use crate::transform::{Chunk, decode};

/// Bytes that are asked for at once.
const STEP_BYTES: usize = 256 << 10;

/// A probe that is set up and may begin.
#[derive(Debug)]
pub struct Prober {
    config: SurveyConfig,
    metrics: Arc<Metrics>,
    stop: StopSignal,
}

/// What was found at a URL.
#[derive(Debug)]
pub struct Probed {
    /// The URL, secrets hidden.
    pub url: String,
    /// What the answer said before its body.
    pub answer: Option<Answer>,
    /// Bytes of the body as it came.
    pub wire_bytes: u64,
    /// Bytes of the body after decompression.
    pub body_bytes: u64,
    /// What the page holds, or why it is none.
    pub page: Result<ProbedPage, PageFault>,
}

/// What a page holds.
#[derive(Debug)]
pub struct ProbedPage {
    /// How its records stand in it, in words.
    pub layout: String,
    /// JSON Pointer to its records, where they stand in an object.
    pub records: Option<String>,
    /// Its records.
    pub record_count: u64,
    /// Those that can't be taken.
    pub reject_count: u64,
    /// Why the first of those can't be.
    pub first_reject: Option<String>,
    /// What the records have been seen to be.
    pub shape: Shape,
    /// Lists of numbers in the records, as `--values` takes them.
    pub lists: Vec<String>,
    /// JSON Pointers to lists one of which may be the records, where it is not known which.
    pub candidates: Vec<String>,
    /// The options that lead to the next page; `None` where those are not known.
    pub paging: Option<String>,
    /// Why these, or why none.
    pub paging_reason: String,
}

/// A page that came whole.
struct Fetched {
    bytes: Vec<u8>,
    form: DeclaredForm,
    end_proven: bool,
    end: PageEnd,
}

impl Prober {
    /// A probe by `config` that counts in `metrics` and ends early when `stop` says so.
    pub fn new(config: SurveyConfig, metrics: Arc<Metrics>, stop: StopSignal) -> Self {
        Self { config, metrics, stop }
    }

    /// Asks for the first page of the list and looks at it.
    ///
    /// # Errors
    /// The list is wrong, a signal stopped it, or there was an error of this machine.
    pub async fn run(self) -> Result<Probed> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            kind = stop.stopped() => Err(Error::new(kind, "stopped by a signal")),
            probed = self.probe() => probed,
        }
    }

    async fn probe(&self) -> Result<Probed> {
        let SurveyConfig { input, http, transform, resources, .. } = &self.config;
        let mut report = begun_report(transform);
        let list = open_list(input, &mut report).await?;
        self.metrics.pages_listed.add(list.listed());
        let request = list.requests()?.next().transpose()?;
        let request = request.ok_or_else(|| Error::usage("expected a URL to look at, got none"))?;
        let pool = CpuPool::new(resources.thread_count)?;
        let budget = ByteBudget::new(resources.memory_bytes);
        let spools = Spools::in_folder(&std::env::temp_dir(), &format!("etl-{}", report.run_id));
        let backlog = BacklogRoom { budget, memory_bytes_max: 0, spools };
        let fetcher = Fetcher::new(http, backlog, Arc::clone(&self.metrics), pool)?;
        let mut answer = None;
        let fetched = fetch(&fetcher, &request, &mut answer).await?;
        Ok(Probed {
            url: request.shown.to_string(),
            answer,
            wire_bytes: self.metrics.wire_bytes.get(),
            body_bytes: self.metrics.body_bytes.get(),
            page: fetched.and_then(|fetched| look(fetched, transform)),
        })
    }
}

impl Probed {
    /// The kind of error that a page which can't be taken is to its caller; `None` if it can.
    pub fn error_kind(&self) -> Option<ErrorKind> {
        let fault = self.page.as_ref().err()?;
        Some(if fault.answered { ErrorKind::Failed } else { ErrorKind::Unreachable })
    }
}

/// Fetches a page as often as it takes; `answer` is that of the last attempt that had one.
async fn fetch(
    fetcher: &Fetcher,
    request: &PageRequest,
    answer: &mut Option<Answer>,
) -> Result<Result<Fetched, PageFault>> {
    let mut attempts = fetcher.begin(request, Arc::new(Waiting::new(0)));
    loop {
        let attempt = match attempts.open().await {
            Ok(body) => {
                *answer = body.answer();
                receive(body).await
            }
            Err(error) => Err(error),
        };
        match attempt {
            Ok(fetched) => return Ok(Ok(fetched)),
            Err(FetchError::Run(error)) => return Err(error),
            Err(FetchError::Attempt(fault)) => {
                if let Err(end) = attempts.wait_after(fault).await {
                    return Ok(Err(end));
                }
            }
        }
    }
}

async fn receive(mut body: Body) -> Result<Fetched, FetchError> {
    let mut bytes = Vec::new();
    loop {
        body.pay();
        let length = bytes.len() + STEP_BYTES;
        if body.fill(&mut bytes, length).await? {
            break;
        }
    }
    let (link, answered_url) = body.next_page();
    let end = PageEnd { link, answered_url, ..PageEnd::default() };
    Ok(Fetched { bytes, form: body.form(), end_proven: body.end_proven(), end })
}

fn look(fetched: Fetched, config: &TransformConfig) -> Result<ProbedPage, PageFault> {
    let Fetched { bytes, form, end_proven, mut end } = fetched;
    let decoded_by = |config: &TransformConfig| {
        let decoded = decode(Chunk::whole(bytes.clone(), form, end_proven), config);
        decoded.map_err(|fault| PageFault { received: Some(Received::of(&bytes)), ..fault.in_page(0) })
    };
    let auto_around = |records: Option<&[String]>| {
        PaginationConfig { paging: Paging::Auto, ..PaginationConfig::default() }.looking_around(records)
    };
    let mut auto = auto_around(config.records.as_deref());
    let mut pointed = TransformConfig { looked_at: Arc::clone(&auto.looked_at), ..config.clone() };
    let mut decoded = decoded_by(&pointed)?;
    let hint = decoded.batch.records_hint.as_deref().and_then(|pointer| pointer::parse(pointer).ok());
    if let Some(records) = hint {
        auto = auto_around(Some(&records));
        pointed.records = Some(records.into());
        pointed.looked_at = Arc::clone(&auto.looked_at);
        decoded = decoded_by(&pointed)?;
    }
    let is_part = decoded.rest.is_some();
    let PageBatch { record_count, rejects, shape, around, .. } = decoded.batch;
    let mut candidates = Vec::new();
    if around.holds_list {
        find_candidates(&shape, &mut Vec::new(), &mut candidates);
    }
    end.record_count = record_count;
    end.around = around;
    let (paging, paging_reason) = match propose_paging(&end, &auto) {
        Choice::Known { paging, why } => (Some(format!("--paginate {}", paging.shown())), why),
        Choice::None { why } => (Some("--paginate none".to_owned()), why),
        Choice::Unknown { reason } => (None, reason),
    };
    let records = pointed.records.as_ref().map(|tokens| pointer::show(tokens.iter().map(String::as_str)));
    let mut lists = Vec::new();
    find_lists(&shape, &mut Vec::new(), &mut lists);
    let first_reject = rejects.first().map(|reject| format!("{} {}", reject.pointer, reject.reason));
    Ok(ProbedPage {
        layout: layout(&bytes, records.as_deref(), record_count, is_part),
        records,
        record_count,
        reject_count: rejects.len() as u64,
        first_reject: first_reject.map(|text| text.trim().to_owned()),
        shape,
        lists,
        candidates,
        paging,
        paging_reason,
    })
}

fn layout(bytes: &[u8], records: Option<&str>, record_count: u64, is_part: bool) -> String {
    let more = if is_part { "; the first of many" } else { "" };
    let is_array = bytes.trim_ascii_start().first() == Some(&b'[');
    match records {
        Some(pointer) if !pointer.is_empty() => format!("an object with its records at {pointer}{more}"),
        _ if is_array => format!("an array of records{more}"),
        _ if record_count == 1 => "one record".to_owned(),
        _ => format!("records one a line, or behind each other{more}"),
    }
}

/// Finds the lists in an object, and in those in it, which may be the records of a page.
fn find_candidates(shape: &Shape, keys: &mut Vec<String>, found: &mut Vec<String>) {
    for (name, shape) in &shape.fields {
        keys.push(name.to_string());
        if shape.kinds == Kinds::LIST {
            found.push(pointer::show(keys.iter().map(String::as_str)));
        } else if keys.len() == 1 {
            find_candidates(shape, keys, found);
        }
        keys.pop();
    }
}

/// Finds the lists of numbers in records of this shape, not those in lists.
fn find_lists(shape: &Shape, keys: &mut Vec<String>, found: &mut Vec<String>) {
    for (name, shape) in &shape.fields {
        keys.push(name.to_string());
        let element = shape.element.as_ref().filter(|_| shape.kinds == Kinds::LIST);
        if element.is_some_and(|element| element.kinds.is_of_numbers()) {
            let is_plain = keys.len() == 1 && !name.starts_with('/') && !name.contains('=');
            let pointer = || pointer::show(keys.iter().map(String::as_str));
            found.push(if is_plain { name.to_string() } else { pointer() });
        }
        find_lists(shape, keys, found);
        keys.pop();
    }
}
