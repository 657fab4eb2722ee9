//! Compares what a run left with what its plan says: counts, rows, rejects, files.

use std::fmt::Debug;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use etl::report::{Report, Status};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::plan::{Plan, PlannedPage, Source};
use crate::records::{Cell, Column, Row, columns_of};

/// Features may be off by what the order of their sums does.
const RELATIVE_ERROR_MAX: f64 = 1e-12;

/// What does not depend on the machine.
#[derive(PartialEq)]
pub(crate) struct Outcome {
    file: Option<Vec<u8>>,
    reject_lines: Vec<Value>,
}

impl Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hash = self.file.as_ref().map(|file| hex(&Sha256::digest(file)));
        write!(f, "file {hash:?}, rejects {:?}", self.reject_lines)
    }
}

/// Checks all that a run left in the folder `output` and says of itself.
pub(crate) fn check(plan: &Plan, report: &Report, output: &Path) -> Outcome {
    let rows: Vec<&Row> =
        taken(plan).flat_map(|page| &page.page.records).filter_map(|record| record.row.as_ref()).collect();
    check_report(plan, report, rows.len() as u64);
    let is_published = matches!(report.status, Status::Ok | Status::Partial);
    let expected_rejects = reject_lines(plan);
    let mut names = Vec::new();
    if is_published {
        names.push("out.parquet");
    }
    if !expected_rejects.is_empty() {
        names.push("out.parquet.rejects.ndjson");
    }
    assert_eq!(names_in(output), names, "the files of the output folder");
    let reject_lines = check_rejects(&output.join("out.parquet.rejects.ndjson"), expected_rejects);
    let out = output.join("out.parquet");
    let file = is_published.then(|| {
        check_columns(&read_columns(&out), &columns_of(&rows));
        std::fs::read(&out).unwrap()
    });
    Outcome { file, reject_lines }
}

fn taken(plan: &Plan) -> impl Iterator<Item = &PlannedPage> {
    plan.pages.iter().filter(|page| page.is_taken)
}

fn check_report(plan: &Plan, report: &Report, written: u64) {
    let pages = report.pages;
    let (listed, asked) = (plan.lines.len() as u64, plan.pages.len() as u64);
    let fetched = taken(plan).count() as u64;
    let seen: usize = taken(plan).map(|page| page.page.records.len()).sum();
    let rejected = seen as u64 - written;
    let counts = [pages.listed, pages.fetched, pages.failed, pages.duplicate, pages.left];
    assert_eq!(counts, [listed, fetched, asked - fetched, listed - asked, 0], "pages: {report:?}");
    let records = report.records;
    assert_eq!(
        [records.seen, records.written, records.rejected],
        [seen as u64, written, rejected],
        "records: {report:?}"
    );
    let lost_something = fetched < asked || rejected > 0;
    let may_be_silent = plan.pages.iter().all(|page| page.may_be_silent);
    let end = match (lost_something, written) {
        (true, 0) if may_be_silent && report.exit_code == 5 => (Status::Failed, 5),
        (true, 0) => (Status::Failed, 1),
        (true, _) => (Status::Partial, 3),
        (false, 0) => (Status::NothingNew, 0),
        (false, _) => (Status::Ok, 0),
    };
    assert_eq!((report.status, report.exit_code), end, "{report:?}");
    // A page that fails while it is decoded may be given up in the middle of an attempt.
    if !plan.pages.iter().any(|page| page.page.is_broken) {
        let attempts = || {
            plan.pages.iter().filter_map(|page| match page.source {
                Source::Server { attempt_count, .. } => Some(attempt_count as u64),
                Source::File { .. } => None,
            })
        };
        let (sent, retried) = (attempts().sum::<u64>(), attempts().map(|count| count - 1).sum::<u64>());
        assert_eq!((report.requests.sent, report.requests.retried), (sent, retried), "requests: {report:?}");
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What the rejects file says of records and failed pages, without its reasons.
fn reject_lines(plan: &Plan) -> Vec<Value> {
    let mut lines = Vec::new();
    for (number, PlannedPage { page, is_taken, .. }) in plan.pages.iter().enumerate() {
        let line = plan.line_of(number);
        if !is_taken {
            lines.push(json!({ "line": line, "record": null }));
            continue;
        }
        let rejected = page.records.iter().zip(&page.places).enumerate();
        for (index, (record, place)) in rejected.filter(|(_, (record, _))| record.row.is_none()) {
            let mut reject = json!({ "line": line, "record": index, "byte_offset": place.start });
            if record.text.len() > plan.settings.record_bytes_max {
                reject["size"] = record.text.len().into();
                reject["sha256"] = hex(&Sha256::digest(&record.text)).into();
            } else {
                reject["raw"] = record.text.as_str().into();
            }
            lines.push(reject);
        }
    }
    lines
}

/// Compares the rejects file with these lines. Returns its lines, but for how much was received of a failed page,
/// which is a matter of time.
fn check_rejects(path: &Path, expected: Vec<Value>) -> Vec<Value> {
    if expected.is_empty() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), expected.len(), "lines of the rejects file: {found:?}\n{expected:?}");
    for (found, expected) in found.iter().zip(&expected) {
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(found[key], *value, "{key} of a reject: {found}\n{expected}");
        }
        assert!(!found["reason"].as_str().unwrap().is_empty(), "{found}");
    }
    let of_a_record = |line: &Value| !line["record"].is_null();
    found
        .into_iter()
        .zip(expected)
        .map(|(found, known)| if of_a_record(&found) { found } else { known })
        .collect()
}

fn read_columns(path: &Path) -> Vec<Column> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let schema = builder.schema().clone();
    let mut columns: Vec<Column> =
        schema.fields().iter().map(|field| (field.name().clone(), Vec::new())).collect();
    for batch in builder.build().unwrap() {
        for ((_, cells), array) in columns.iter_mut().zip(batch.unwrap().columns()) {
            cells.extend((0..array.len()).map(|row| cell_at(array, row)));
        }
    }
    columns
}

fn cell_at(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            Cell::List((0..elements.len()).map(|element| cell_at(&elements, element)).collect())
        }
        DataType::Struct(fields) => {
            let members = fields.iter().zip(array.as_struct().columns());
            let cell = |(field, column)| {
                let (field, column): (&arrow::datatypes::FieldRef, &arrow::array::ArrayRef) = (field, column);
                (field.name().clone(), cell_at(column, row))
            };
            Cell::Object(members.map(cell).collect())
        }
        other => panic!("no page has a value that becomes {other}"),
    }
}

fn check_columns(found: &[Column], expected: &[Column]) {
    let names = |columns: &[Column]| columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "columns");
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        assert_eq!(found.len(), expected.len(), "rows of {name}");
        for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(are_alike(found, expected), "{name} of row {row}: expected {expected:?}, got {found:?}");
        }
    }
}

fn are_alike(found: &Cell, expected: &Cell) -> bool {
    match (found, expected) {
        (Cell::Double(found), Cell::Double(expected)) => {
            (found - expected).abs() <= RELATIVE_ERROR_MAX * expected.abs()
        }
        _ => found == expected,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
