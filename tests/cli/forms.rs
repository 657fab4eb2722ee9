//! Records of some size in every form of a page, and what is found of them in the output.

use serde_json::{Value, json};

use crate::bench::Folder;
use crate::table::Table;

/// How records stand in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Lines,
    Array,
    Documents,
    Envelope,
}

/// All of them.
pub(crate) const FORMS: [Form; 4] = [Form::Lines, Form::Array, Form::Documents, Form::Envelope];

impl Form {
    /// What opens a page, stands between records, and closes a page.
    fn frame(self) -> [&'static str; 3] {
        match self {
            Self::Lines => ["", "\n", "\n"],
            Self::Array => ["[", ",\n", "]"],
            Self::Documents => ["", "", ""],
            Self::Envelope => ["{\"next\":null,\"Records\":[", ",", "],\"count\":1}\n"],
        }
    }

    pub(crate) fn page(self, records: &[String]) -> String {
        let [opening, between, closing] = self.frame();
        [opening, records.join(between).as_str(), closing].concat()
    }

    /// Where each record begins in the page.
    pub(crate) fn offsets(self, records: &[String]) -> Vec<usize> {
        let [opening, between, _] = self.frame();
        let mut next = opening.len();
        let places = records.iter().map(|record| {
            let place = next;
            next += record.len() + between.len();
            place
        });
        places.collect()
    }

    pub(crate) fn name(self, stem: &str) -> String {
        format!("{stem}.{}", if self == Self::Lines { "ndjson" } else { "json" })
    }

    pub(crate) fn options(self) -> &'static str {
        if self == Self::Envelope { "--records /Records" } else { "" }
    }
}

pub(crate) fn plain_text() -> String {
    "the quick brown fox ".repeat(64)
}

/// A record of some 1,400 bytes, with escapes and with characters of several bytes.
pub(crate) fn record(id: usize) -> String {
    let text = format!("caf\\u00e9 \\ud83d\\ude00 é漢 \\\"{id}\\\" {}", plain_text());
    format!("{{\"id\":{id},\"text\":\"{text}\",\"values\":[{id},0.5,3]}}")
}

/// The rows are [`record`]s of these ids in this order, to the last character.
#[track_caller]
pub(crate) fn check_rows(output: &Folder, ids: impl IntoIterator<Item = usize>) {
    let table = Table::read(&output.path("out.parquet"));
    let (ids, plain_text) = (ids.into_iter().collect::<Vec<_>>(), plain_text());
    assert_eq!(table.rows.len(), ids.len());
    for (index, (row, id)) in table.rows.iter().zip(ids).enumerate() {
        assert_eq!(row["id"], id, "row {index}");
        assert_eq!(row["text"], format!("café 😀 é漢 \"{id}\" {plain_text}"), "row {index}");
        assert_eq!(row["values"], json!([id as f64, 0.5, 3.0]), "row {index}");
        assert_eq!(row["values_count"], 3, "row {index}");
    }
}

/// The rejects of the run; none if there is no file.
pub(crate) fn rejects(output: &Folder) -> Vec<Value> {
    let name = "out.parquet.rejects.ndjson";
    if output.path(name).exists() { output.json_lines(name) } else { Vec::new() }
}
