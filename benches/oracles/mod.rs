//! What the decoder is measured against: the same pages, read with `serde_json` in the three ways that programs do.
//!
//! Each way checks the page to be UTF-8 in one go and reads the records from the text with one parser. Of the uses
//! of `serde_json` that is the fastest: a parser for each line, or one over bytes, takes up to a third longer. The
//! package has it read numbers exactly (`float_roundtrip`), as the decoder does.

mod rows;
mod table;
mod trail;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::pages::Kind;
use table::Table;

/// Reads a page as typed rows; returns how many there were.
pub(crate) fn read_rows(kind: Kind, page: &[u8]) -> usize {
    match kind {
        Kind::Flat => read_each::<rows::Flat>(page),
        Kind::Wide => read_each::<rows::Wide>(page),
        Kind::Nested => read_each::<trail::Event>(page),
        Kind::Strings => read_each::<rows::Strings>(page),
    }
}

/// Reads a page as trees; returns how many there were.
pub(crate) fn read_values(page: &[u8]) -> usize {
    read_each::<Value>(page)
}

/// Reads a page as trees and puts these into columns.
pub(crate) fn read_table(page: &[u8]) -> Table {
    let mut table = Table::default();
    for record in records::<Map<String, Value>>(page) {
        table.push(&record);
    }
    table.finish()
}

/// Rows are dropped as they come: who keeps those of a page pays for fresh memory besides.
fn read_each<T: DeserializeOwned>(page: &[u8]) -> usize {
    records::<T>(page).map(divan::black_box).count()
}

fn records<T: DeserializeOwned>(page: &[u8]) -> impl Iterator<Item = T> {
    let text = std::str::from_utf8(page).expect("the page is UTF-8");
    let records = serde_json::Deserializer::from_str(text).into_iter::<T>();
    records.map(|record| record.expect("the page is right"))
}
