//! Records that go through a filter on their way to the columns: none, one or many rows of each.

use super::decode::{Room, Tail};
use super::filter::{Filter, Record, Results};
use super::reader::{Read, Reader};
use crate::config::RejectsRaw;

/// A filter, and what is counted of the records of one batch that went through it.
#[derive(Debug)]
pub(super) struct Filtered<'f> {
    filter: &'f Filter,
    bytes_max: usize,
    /// Bytes that the values of a record may take.
    room_bytes: usize,
    shows_values: bool,
    results: Results,
    pub(super) kept_count: u64,
    pub(super) filtered_count: u64,
    pub(super) duplicate_key_count: u64,
    /// The key of the only array of objects in the first record.
    pub(super) array_of_objects: Option<String>,
    /// The record that each row came from, in its batch.
    pub(super) records_of_rows: Vec<u64>,
}

impl<'f> Filtered<'f> {
    pub(super) fn new(filter: &'f Filter, (bytes_max, room): (usize, Room), rejects_raw: RejectsRaw) -> Self {
        Self {
            filter,
            bytes_max,
            // They are gone before the columns of the results are there, and are never encoded.
            room_bytes: room.bytes.saturating_mul(2),
            shows_values: rejects_raw == RejectsRaw::Full,
            results: Results::default(),
            kept_count: 0,
            filtered_count: 0,
            duplicate_key_count: 0,
            array_of_objects: None,
            records_of_rows: Vec::new(),
        }
    }

    /// Runs the record that `reader` stands before through the filter; [`Self::results`] has what comes out.
    ///
    /// # Errors
    /// What is wrong with the record, or what the filter says.
    pub(super) fn run(&mut self, reader: &mut Reader<'_>, tail: Tail, record: u64) -> Read<Run> {
        let read = Record::read(reader, tail, self.room_bytes)?;
        let duplicate_key_count = read.duplicate_key_count;
        let array_of_objects = if record == 0 { read.only_array_of_objects() } else { None };
        let limits = (self.bytes_max, self.room_bytes);
        self.filter.run(read, limits, self.shows_values, &mut self.results)?;
        Ok(Run { duplicate_key_count, array_of_objects })
    }

    /// What came out of the record that was run last, as JSON.
    pub(super) fn results(&self) -> Vec<&[u8]> {
        self.results.texts()
    }

    /// Counts a record whose results were taken; with them there are `row_count` rows.
    pub(super) fn count(&mut self, run: Run, is_kept: bool, row_count: usize, record: u64) {
        self.array_of_objects = self.array_of_objects.take().or(run.array_of_objects);
        self.kept_count += u64::from(is_kept);
        self.filtered_count += u64::from(!is_kept);
        self.duplicate_key_count += run.duplicate_key_count;
        self.records_of_rows.resize(row_count, record);
    }
}

/// What is counted of a record, should its results be taken.
#[derive(Debug)]
pub(super) struct Run {
    duplicate_key_count: u64,
    array_of_objects: Option<String>,
}
