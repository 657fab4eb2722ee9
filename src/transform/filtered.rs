//! Records that go through a filter on their way to the columns: none, one or many rows of each.

use super::decode::{Decoder, Tail};
use super::filter::{Filter, Record, Results, in_result};
use super::reader::{FaultKind, Read, Reader};
use crate::config::RejectsRaw;

/// A filter, and what is counted of the records of one batch that went through it.
#[derive(Debug)]
pub(super) struct Filtered<'f> {
    filter: &'f Filter,
    bytes_max: usize,
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
    pub(super) fn new(filter: &'f Filter, bytes_max: usize, rejects_raw: RejectsRaw) -> Self {
        Self {
            filter,
            bytes_max,
            shows_values: rejects_raw == RejectsRaw::Full,
            results: Results::default(),
            kept_count: 0,
            filtered_count: 0,
            duplicate_key_count: 0,
            array_of_objects: None,
            records_of_rows: Vec::new(),
        }
    }

    /// Takes all that comes out of the record that `reader` stands before, or leaves no trace of it.
    ///
    /// # Errors
    /// As [`Decoder::take_record`]: of the record, of the filter, or of a result.
    pub(super) fn take_record(
        &mut self,
        decoder: &mut Decoder<'_>,
        reader: &mut Reader<'_>,
        tail: Tail,
        record: u64,
    ) -> Read<()> {
        let read = Record::read(reader, tail)?;
        let duplicate_key_count = read.duplicate_key_count;
        let array_of_objects = if record == 0 { read.only_array_of_objects() } else { None };
        self.filter.run(read, self.bytes_max, self.shows_values, &mut self.results)?;
        let results = self.results.texts();
        let taken = match decoder.take_records(&results) {
            Ok(()) => Ok(()),
            Err((_, fault)) if fault.kind == FaultKind::ColumnsLimit => Err(fault),
            Err((place, fault)) if fault.kind == FaultKind::Value => return Err(in_result(place, fault)),
            Err((_, fault)) => return Err(fault),
        };
        self.array_of_objects = self.array_of_objects.take().or(array_of_objects);
        let is_kept = !results.is_empty();
        self.kept_count += u64::from(is_kept);
        self.filtered_count += u64::from(!is_kept);
        self.duplicate_key_count += duplicate_key_count;
        self.records_of_rows.resize(decoder.record_count(), record);
        taken
    }
}
