//! One run, made from its seed: settings, machines, pages and what the server does with them.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use etl::config::RowGroupConfig;
use fastrand::Rng;

use crate::pages::{Form, Page, Site, gzip};
use crate::records::Drift;
use crate::seeded::{Machine, between};
use crate::server::{Answer, End, Piece};

const CONCURRENCY_MAX: usize = 32;
/// Encoding a row group takes a debug build a millisecond, and a run should not take a second.
const ROW_GROUPS_MAX: usize = 60;

/// A run and all that will be served to it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    /// What the run is done with: once, or twice with the same outcome.
    pub(crate) machines: Vec<Machine>,
    pub(crate) pages: Vec<PlannedPage>,
    /// The list: a page for each line, some of them again.
    pub(crate) lines: Vec<usize>,
    /// Where the server listens.
    pub(crate) origin: String,
}

/// What the output may depend on.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) chunk_bytes: usize,
    pub(crate) record_bytes_max: usize,
    pub(crate) row_group: RowGroupConfig,
    pub(crate) retry_count: u32,
    pub(crate) retry_base: Duration,
    pub(crate) has_pointer: bool,
}

#[derive(Debug)]
pub(crate) struct PlannedPage {
    pub(crate) page: Page,
    pub(crate) source: Source,
    /// Whether its records are rows and rejects in the end, or it is a failed page.
    pub(crate) is_taken: bool,
    /// Whether all of its answers may be cut inside their heads, so that nobody has answered.
    pub(crate) may_be_silent: bool,
}

/// Where a page comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The answers to one attempt after the other, and in words what they are.
    Server { answers: Vec<Answer>, attempt_count: usize, shown: String },
    /// A file beside the list, if it is there.
    File { name: String, bytes: Option<Vec<u8>> },
}

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    /// By the end of the connection, which proves nothing.
    Close,
}

/// How slow a server is.
#[derive(Debug)]
struct Pace {
    /// Most milliseconds of a pause.
    pause_ms_max: u64,
    /// One answer in so many is held back until a later page was answered.
    one_hold_in: u32,
    /// One attempt in so many fails.
    one_fault_in: u32,
}

impl Plan {
    pub(crate) fn of(seed: u64, origin: &str) -> Self {
        // Neighbouring seeds should have nothing in common.
        let rng = &mut Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let settings = Settings::random(rng);
        let machine_count = if rng.u8(..4) == 0 { 2 } else { 1 };
        let machines = (0..machine_count).map(|_| Machine::random(rng, CONCURRENCY_MAX)).collect();
        let page_count = rng.usize(1..=30);
        let site = Site {
            drift: Drift::new(rng, page_count),
            record_bytes_max: settings.record_bytes_max,
            one_reject_in: [20, 100, 1000][rng.usize(..3)],
            has_pointer: settings.has_pointer,
        };
        let pace = Pace {
            pause_ms_max: rng.u64(..=3),
            one_hold_in: [3, 10, 1000][rng.usize(..3)],
            one_fault_in: [1, 2, 5, 30][rng.usize(..4)],
        };
        let has_files = rng.u8(..4) == 0;
        let mut bytes_left = settings.body_bytes_max();
        let pages: Vec<_> = (0..page_count)
            .map(|number| {
                // Half of what is left at most, so that the last pages are not all empty.
                let bytes = settings.page_bytes(rng).min(bytes_left / 2);
                bytes_left -= bytes;
                let page = site.page(rng, number, bytes);
                if has_files && rng.u8(..3) == 0 {
                    in_a_file(rng, page, number)
                } else {
                    on_the_server(rng, page, number, &settings, &pace)
                }
            })
            .collect();
        let mut lines = Vec::new();
        for number in 0..page_count {
            lines.push(number);
            if rng.u8(..20) == 0 {
                lines.push(rng.usize(..=number));
            }
        }
        Self { seed, settings, machines, pages, lines, origin: origin.to_owned() }
    }

    /// The line of the list that stands for each page.
    pub(crate) fn line_of(&self, page: usize) -> u64 {
        self.lines.iter().position(|listed| *listed == page).expect("every page is listed") as u64 + 1
    }
}

impl Settings {
    fn random(rng: &mut Rng) -> Self {
        let row_group =
            RowGroupConfig { rows_max: between(rng, 5, 500), bytes_max: between(rng, 500, 50_000) };
        Self {
            chunk_bytes: between(rng, 200, 4000),
            record_bytes_max: between(rng, 400, 8000),
            row_group,
            retry_count: rng.u32(3..=4),
            retry_base: Duration::from_millis(rng.u64(..=1)),
            has_pointer: rng.u8(..8) == 0,
        }
    }

    /// Bytes of all pages together, of which at most [`ROW_GROUPS_MAX`] row groups can be made.
    fn body_bytes_max(&self) -> usize {
        /// Less than a usual record has.
        const RECORD_BYTES: usize = 100;
        /// More than most records have in columns, when a few of them are decoded together.
        const ROW_BYTES: usize = 800;
        let rows = self.row_group.rows_max.min(self.row_group.bytes_max / ROW_BYTES).max(1);
        ROW_GROUPS_MAX * rows * RECORD_BYTES
    }

    fn page_bytes(&self, rng: &mut Rng) -> usize {
        let chunk = self.chunk_bytes;
        match rng.u8(..20) {
            0 | 1 => 0,
            2..=10 => rng.usize(1..chunk),
            11..=17 => rng.usize(chunk..10 * chunk),
            _ => rng.usize(10 * chunk..=200 * chunk),
        }
    }
}

fn in_a_file(rng: &mut Rng, page: Page, number: usize) -> PlannedPage {
    let extension = if page.form == (Form::Lines { is_declared: true }) { "ndjson" } else { "json" };
    let is_there = rng.u8(..20) > 0;
    let is_taken = is_there && !page.is_broken;
    let bytes = if rng.u8(..8) == 0 { gzip(&page.body) } else { page.body.clone() };
    let source =
        Source::File { name: format!("page-{number}.{extension}"), bytes: is_there.then_some(bytes) };
    PlannedPage { page, source, is_taken, may_be_silent: false }
}

fn on_the_server(rng: &mut Rng, page: Page, number: usize, settings: &Settings, pace: &Pace) -> PlannedPage {
    let is_gzip = rng.u8(..6) == 0;
    let framing = match rng.u8(..5) {
        // A page that may be empty must say so.
        0 if !page.body.is_empty() && !page.needs_a_proven_end() => Framing::Close,
        1 | 2 => Framing::Chunked,
        _ => Framing::Length,
    };
    let mut head = String::from("HTTP/1.1 200 OK\r\n");
    if page.form == (Form::Lines { is_declared: true }) {
        head.push_str("Content-Type: application/x-ndjson\r\n");
    }
    let body = if is_gzip { gzip(&page.body) } else { page.body.clone() };
    if is_gzip && rng.bool() {
        head.push_str("Content-Encoding: gzip\r\n");
    }
    let (wire, proof_bytes) = framed(rng, head, &body, framing);
    // A clean end of a plain body that nothing frames can't be told from its end, so that it is reset.
    let cut = if framing == Framing::Close && !is_gzip { End::Reset } else { End::Close };
    let cut_answer = |rng: &mut Rng| {
        let length = rng.usize(1..=wire.len() - proof_bytes);
        answer(rng, &wire.slice(..length), number, cut, pace)
    };
    let fault = |rng: &mut Rng| match rng.u8(..4) {
        0 => {
            let retry_after = if rng.bool() { "Retry-After: 0\r\n" } else { "" };
            let head =
                format!("HTTP/1.1 503 Service Unavailable\r\n{retry_after}Content-Length: 5\r\n\r\nlater");
            answer(rng, &head.into(), number, End::Keep, pace)
        }
        _ => cut_answer(rng),
    };
    let mut answers = Vec::new();
    while answers.len() < 3 && rng.u32(..pace.one_fault_in) == 0 {
        answers.push(fault(rng));
    }
    let mut shown = format!("{framing:?}{}, {} faults", if is_gzip { " gzip" } else { "" }, answers.len());
    let mut is_taken = !page.is_broken;
    let mut may_be_silent = false;
    let attempt_count = match rng.u8(..40) {
        0 => {
            shown.push_str(", cut for ever");
            is_taken = false;
            may_be_silent = true;
            answers.extend((0..8).map(|_| cut_answer(rng)));
            settings.retry_count as usize + 1
        }
        1 => {
            shown.push_str(", gone");
            is_taken = false;
            let gone = Bytes::from("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
            answers.push(answer(rng, &gone, number, End::Keep, pace));
            answers.len()
        }
        _ => {
            let end = if framing == Framing::Close { End::Close } else { End::Keep };
            answers.push(answer(rng, &wire, number, end, pace));
            answers.len()
        }
    };
    PlannedPage { page, source: Source::Server { answers, attempt_count, shown }, is_taken, may_be_silent }
}

/// The whole answer, and how many of its last bytes prove that it is whole.
fn framed(rng: &mut Rng, head: String, body: &[u8], framing: Framing) -> (Bytes, usize) {
    let mut wire = head.into_bytes();
    let proof_bytes = match framing {
        Framing::Length => {
            wire.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            wire.extend_from_slice(body);
            1
        }
        Framing::Chunked => {
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = body;
            while !rest.is_empty() {
                let length = between(rng, 1, 20_000).min(rest.len());
                wire.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                wire.extend_from_slice(&rest[..length]);
                wire.extend_from_slice(b"\r\n");
                rest = &rest[length..];
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            b"0\r\n\r\n".len()
        }
        Framing::Close => {
            wire.extend_from_slice(b"Connection: close\r\n\r\n");
            wire.extend_from_slice(body);
            1
        }
    };
    (wire.into(), proof_bytes)
}

/// Sends these bytes in a few pieces, some of them late.
fn answer(rng: &mut Rng, wire: &Bytes, page: usize, end: End, pace: &Pace) -> Answer {
    let mut cuts: Vec<_> = (0..rng.usize(..4)).map(|_| rng.usize(..=wire.len())).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    let mut pieces: Vec<_> = cuts
        .windows(2)
        .map(|cut| Piece {
            pause: Duration::from_millis(if rng.u8(..3) == 0 { rng.u64(..=pace.pause_ms_max) } else { 0 }),
            waits_for: None,
            bytes: wire.slice(cut[0]..cut[1]),
        })
        .collect();
    if rng.u32(..pace.one_hold_in) == 0 {
        let piece = rng.usize(..pieces.len());
        pieces[piece].waits_for = Some(page + between(rng, 1, 32));
    }
    Answer { pieces, end }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, machines, pages, lines, .. } = self;
        write!(f, "{settings:?} {machines:?}, {} lines", lines.len())?;
        for (number, PlannedPage { page, source, is_taken, .. }) in pages.iter().enumerate() {
            let shown = match source {
                Source::Server { shown, .. } => shown,
                Source::File { name, .. } => name,
            };
            let (form, bytes, records) = (page.form, page.body.len(), page.records.len());
            let outcome = if *is_taken { "" } else { ", fails" };
            write!(f, "\n  {number}: {form:?}, {bytes} bytes, {records} records, {shown}{outcome}")?;
        }
        Ok(())
    }
}
