//! Pages: records in one of the forms that bodies have, and where each of them begins.

use std::io::Write as _;
use std::ops::Range;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::records::{Drift, Record, broken_line, oversize_record, unfinished_record, wrong_record};

/// How records stand in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Lines {
        is_declared: bool,
    },
    Array,
    Documents,
    /// Behind a pointer.
    Envelopes,
}

/// The pointer to the records of [`Form::Envelopes`].
pub(crate) const POINTER: [&str; 2] = ["data", "rows"];

/// A page before it is compressed and sent.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) form: Form,
    pub(crate) body: Vec<u8>,
    pub(crate) records: Vec<Record>,
    /// Where each record stands in the body.
    pub(crate) places: Vec<Range<usize>>,
    /// Whether it holds something that loses the borders between its records.
    pub(crate) is_broken: bool,
}

/// What the pages of a run have in common.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) drift: Drift,
    pub(crate) record_bytes_max: usize,
    /// How often a record is refused: one in so many.
    pub(crate) one_reject_in: u32,
    pub(crate) has_pointer: bool,
}

impl Page {
    /// Whether its last record is only then known to be a reject when the end of the body is proven.
    pub(crate) fn needs_a_proven_end(&self) -> bool {
        self.records.last().is_some_and(|last| last.row.is_none())
    }
}

impl Site {
    /// The page with this number, of some `bytes`.
    pub(crate) fn page(&self, rng: &mut Rng, number: usize, bytes: usize) -> Page {
        let mut form = match rng.u8(..6) {
            _ if self.has_pointer => Form::Envelopes,
            0..=2 => Form::Lines { is_declared: rng.bool() },
            3 | 4 => Form::Array,
            _ => Form::Documents,
        };
        if bytes == 0 && matches!(form, Form::Documents | Form::Lines { is_declared: false }) {
            // Without a record nothing would tell these from an empty answer, which is a fault.
            form = Form::Array;
        }
        let mut records = self.records(rng, form, number, bytes);
        let is_broken =
            matches!(form, Form::Array | Form::Envelopes) && records.len() > 1 && rng.u8(..25) == 0;
        if is_broken {
            let place = rng.usize(..records.len());
            records[place] = Record { text: r#"{"id":]"#.into(), row: None };
        }
        let (body, places) = write(rng, form, &records);
        Page { form, body, records, places, is_broken }
    }

    fn records(&self, rng: &mut Rng, form: Form, number: usize, bytes: usize) -> Vec<Record> {
        let most = self.record_bytes_max;
        let mut records: Vec<Record> = Vec::new();
        let mut written = 0;
        while written < bytes {
            let id = (number * 1_000_000 + records.len()) as i64;
            let is_rejected = rng.u32(..self.one_reject_in) == 0;
            // How lines are told from documents depends on the first of them, so it is never a broken one.
            let may_break = form == (Form::Lines { is_declared: true }) && !records.is_empty();
            let record = match rng.u8(..3) {
                _ if !is_rejected => self.drift.record(rng, number, id, most),
                0 => oversize_record(rng, id, most),
                1 if may_break => broken_line(id),
                _ => wrong_record(rng, id),
            };
            written += record.text.len() + 1;
            records.push(record);
        }
        if !records.is_empty() && matches!(form, Form::Lines { .. } | Form::Documents) && rng.u8(..15) == 0 {
            records.push(unfinished_record((number * 1_000_000 + records.len()) as i64));
        }
        records
    }
}

fn pick<'a>(rng: &mut Rng, among: &[&'a str]) -> &'a str {
    among[rng.usize(..among.len())]
}

/// Writes the records, and notes where they stand.
fn write(rng: &mut Rng, form: Form, records: &[Record]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut body = String::new();
    let mut places = Vec::new();
    if rng.u8(..10) == 0 {
        body.push('\u{feff}');
    }
    if form == Form::Envelopes {
        let mut rest = records;
        for envelopes_left in (1..=rng.usize(1..4)).rev() {
            let taken = if envelopes_left == 1 { rest.len() } else { rng.usize(..=rest.len()) };
            let (these, others) = rest.split_at(taken);
            rest = others;
            write_envelope(rng, &mut body, these, &mut places);
        }
        return (body.into_bytes(), places);
    }
    if form == Form::Array {
        body.push_str(pick(rng, &["[", "[\n", " [ "]));
    }
    for (index, record) in records.iter().enumerate() {
        body.push_str(match form {
            _ if index == 0 => "",
            Form::Lines { .. } => pick(rng, &["\n", "\n", "\n", "\r\n", "\n\n", " \n "]),
            // The first two share a line, so that they are not taken for lines.
            Form::Documents if index == 1 => "",
            Form::Documents => pick(rng, &["", " ", "\n", "\r\n\n"]),
            Form::Array | Form::Envelopes => pick(rng, &[",", ",", ", ", ",\n"]),
        });
        push(&mut body, record, &mut places);
    }
    body.push_str(match form {
        Form::Array => pick(rng, &["]", "]\n", "\n]\n\n"]),
        _ if records.is_empty() => "",
        _ => pick(rng, &["", "\n", "\r\n", "\n \n"]),
    });
    (body.into_bytes(), places)
}

fn write_envelope(rng: &mut Rng, body: &mut String, records: &[Record], places: &mut Vec<Range<usize>>) {
    let space = pick(rng, &["", " ", "\n"]);
    body.push_str(&format!(r#"{{"meta":{{"count":{}}},{space}"data":{{"rows":"#, records.len()));
    if records.is_empty() && rng.bool() {
        body.push_str("null");
    } else {
        for (index, record) in records.iter().enumerate() {
            body.push_str(if index == 0 { "[" } else { "," });
            body.push_str(space);
            push(body, record, places);
        }
        body.push_str(if records.is_empty() { "[]" } else { "]" });
    }
    body.push_str(&format!(r#"}},{space}"next":[1,2]}}{space}"#));
}

fn push(body: &mut String, record: &Record, places: &mut Vec<Range<usize>>) {
    let start = body.len();
    body.push_str(&record.text);
    places.push(start..body.len());
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
