//! Records straight into columns: no tree of values on the way.
//!
//! A record is first read with growth forbidden. If it would change a column (a new key, another type),
//! it is read once more into columns of its own; only when it is right throughout is it read a third
//! time with growth allowed. A record that is refused therefore leaves no trace, and such records are
//! rare: each one changes the schema of its page. The first record of a batch, before which there is nothing to
//! keep clean, needs no columns of its own. Nothing here knows how records stand in a page.

mod record;

use std::sync::Arc;

use self::record::RecordReader;
use super::columns::{Column, Growth, NeedsGrowth};
use super::duplicates::write_last_values;
use super::marks::Marks;
use super::members_text::MembersText;
use super::reader::{Fault, FaultKind, Read, Reader};
use super::text::NAME_IS_TAKEN;
use super::values::Values;
use crate::config::TransformConfig;
use crate::schema::LEAF_COLUMNS_MAX;

/// Bytes from which on columns are no longer added to. Records that are each small can make columns of any
/// size, where every record has keys of its own or many features; those of a usual chunk stay far below.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Rows after which the size of the columns is looked at again at the latest.
const LOOK_ROWS_MAX: usize = 1 << 16;

/// A record that changes columns has their size looked at after so many rows more, and a part of those there are.
const ROWS_BEFORE_LOOK: usize = 16;
/// Bytes of text after which the size is looked at again at the earliest.
const LOOK_TEXT_BYTES_MIN: usize = 4 << 10;
/// Column bytes for each byte of text at most, but for elements of lists: a number and a comma have two.
const COLUMN_BYTES_FOR_TEXT_BYTE: usize = 8;
/// Bytes that a number of a list takes while its record is read: in its column, and beside it for the features.
const BYTES_FOR_NUMBER: usize = 2 * size_of::<f64>();
/// The shortest text of an element that has a row in each column of its list: `{},`.
const ELEMENT_TEXT_BYTES_MIN: usize = 3;

/// Reads records into the columns of one batch.
#[derive(Debug)]
pub(super) struct Decoder<'c> {
    records: Column,
    values: Values,
    duplicate_key_count: u64,
    config: &'c TransformConfig,
    marks: Arc<Marks>,
    members: MembersText,
    /// Bytes that the columns may take.
    room: Room,
    /// Rows from which on the size of the columns is looked at.
    next_look_rows: usize,
    /// Bytes of text until it is looked at.
    text_bytes_to_look: usize,
    /// Tells whether no record more should be added.
    is_full: bool,
    /// Leaf columns that there are at most.
    leaf_count_bound: usize,
    /// Places of the columns that the record which is being read has reached: thousands of others may be there.
    touched: Vec<usize>,
    /// Whether the record belongs to the batch of those before it, however large that becomes.
    is_bound: bool,
}

/// Bytes that the columns of one batch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: usize,
    /// Tells whether there is no more to be had: a record that takes more by itself is refused. Else nothing is decoded.
    pub(super) is_last: bool,
}

/// The fault of a record whose columns take more than there is room for.
#[cold]
pub(super) fn too_large(position: usize) -> Box<Fault> {
    Fault::new(FaultKind::TooLarge, position, "the record takes too much memory")
}

/// What follows a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Anything; the caller looks.
    Any,
    /// Nothing but white space: the record has its text for itself.
    Nothing,
}

/// Why a record was not taken.
#[derive(Debug)]
pub(super) enum Stop {
    /// It would change a column and may not.
    NeedsGrowth,
    /// A key stands twice in one object, and its first value may have changed a column already.
    DuplicateKey,
    /// The objects of a column have too many keys to be a struct.
    TooManyKeys,
    /// It is wrong.
    Fault(Box<Fault>),
}

impl From<NeedsGrowth> for Stop {
    #[cold]
    fn from(NeedsGrowth: NeedsGrowth) -> Self {
        Self::NeedsGrowth
    }
}

impl From<Box<Fault>> for Stop {
    #[cold]
    fn from(fault: Box<Fault>) -> Self {
        Self::Fault(fault)
    }
}

impl Stop {
    #[cold]
    pub(super) fn below(self, token: &str) -> Self {
        match self {
            Self::NeedsGrowth | Self::DuplicateKey | Self::TooManyKeys => self,
            Self::Fault(fault) => Self::Fault(fault.below(token)),
        }
    }
}

impl Stop {
    fn is_of_columns_limit(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.kind == FaultKind::ColumnsLimit)
    }
}

impl<'c> Decoder<'c> {
    pub(super) fn new(config: &'c TransformConfig, room: Room) -> Self {
        Self::with_marks(config, Arc::new(Marks::of(config)), room)
    }

    fn with_marks(config: &'c TransformConfig, marks: Arc<Marks>, room: Room) -> Self {
        Self {
            records: Column::of_records(Arc::clone(&marks)),
            values: Values::new(&config.features, room.bytes / BYTES_FOR_NUMBER),
            duplicate_key_count: 0,
            config,
            marks,
            members: MembersText::default(),
            room,
            next_look_rows: 1,
            text_bytes_to_look: LOOK_TEXT_BYTES_MIN,
            is_full: false,
            leaf_count_bound: 0,
            touched: Vec::new(),
            is_bound: false,
        }
    }

    /// What is asked of the fields of records.
    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// A decoder without records, to try one.
    fn trial(&self) -> Self {
        Self::with_marks(self.config, Arc::clone(&self.marks), self.room)
    }

    /// Counts keys that stood twice in a record before it was handed over.
    pub(super) fn count_duplicate_keys(&mut self, count: u64) {
        self.duplicate_key_count += count;
    }

    /// Records taken so far.
    pub(super) fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Whether the records have more columns than any output may have.
    pub(super) fn has_too_many_columns(&mut self) -> bool {
        self.leaf_count_bound = self.records.leaf_count();
        self.leaf_count_bound > LEAF_COLUMNS_MAX
    }

    /// Whether the columns are so large that no record more should be added to them.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Bytes of the columns, once they are frozen.
    pub(super) fn column_bytes(&self) -> usize {
        let row_count = self.records.len();
        self.records.frozen_bytes(row_count) + self.values.frozen_bytes(row_count)
    }

    /// Sizes the columns up, with those of a record that was just read, and foretells when to look again: by rows,
    /// half-way to where they are full if the records go on as they were; by text, before the next ones can take more
    /// than is left, whatever they are.
    #[cold]
    fn look_at_size(&mut self) -> Read<()> {
        let (row_count, bytes) = (self.records.len(), self.column_bytes());
        if bytes > self.room.bytes || row_count > 1 && !self.is_bound && bytes > 2 * BATCH_BYTES_MAX {
            return Err(too_large(0));
        }
        self.is_full = bytes >= BATCH_BYTES_MAX;
        let left_bytes = BATCH_BYTES_MAX.saturating_sub(bytes);
        let row_bytes = bytes / row_count.max(1) + 1;
        self.next_look_rows = row_count + (left_bytes / row_bytes / 2).clamp(1, LOOK_ROWS_MAX);
        let element_bytes = self.records.list_leaf_count() * size_of::<i64>() / ELEMENT_TEXT_BYTES_MIN;
        let most_bytes = COLUMN_BYTES_FOR_TEXT_BYTE + element_bytes;
        self.text_bytes_to_look = (left_bytes / most_bytes).max(LOOK_TEXT_BYTES_MIN);
        Ok(())
    }

    /// The columns of the records taken, their summarised lists, and how many keys stood twice.
    pub(super) fn into_parts(self) -> (Column, Values, u64) {
        (self.records, self.values, self.duplicate_key_count)
    }

    /// Takes the record that `reader` stands before, or leaves no trace of it.
    ///
    /// # Errors
    /// The first fault of the record; `reader` then stands anywhere inside it. With
    /// [`FaultKind::BatchFull`] the record is right, but for another batch. After
    /// [`FaultKind::ColumnsLimit`] the record is taken, but no other one may be.
    pub(super) fn take_record(&mut self, reader: &mut Reader<'_>, tail: Tail) -> Read<()> {
        let start = reader.clone();
        match self.attempt(reader, tail, Growth::Forbidden) {
            Ok(()) => return Ok(()),
            Err(Stop::Fault(fault)) => return self.take_without_losers(fault, start, reader, tail),
            Err(Stop::DuplicateKey) => return self.take_last_values(start, reader, tail),
            Err(Stop::NeedsGrowth | Stop::TooManyKeys) => {}
        }
        *reader = start.clone();
        if self.records.len() == 0 {
            // There is nothing yet that could keep a trace, so the columns themselves are the trial.
            let taken = self.attempt(reader, tail, Growth::Allowed);
            if taken.as_ref().is_err_and(|stop| !stop.is_of_columns_limit()) {
                self.records = Column::of_records(Arc::clone(&self.marks));
            }
            match taken {
                Ok(()) => self.leaf_count_bound = self.records.leaf_count(),
                Err(Stop::Fault(fault)) => return self.take_without_losers(fault, start, reader, tail),
                Err(Stop::DuplicateKey) => return self.take_last_values(start, reader, tail),
                Err(Stop::NeedsGrowth | Stop::TooManyKeys) => unreachable!("growth is allowed here"),
            }
            return self.after_growth(&start, reader);
        }
        let mut trial = self.trial();
        let tried = trial.attempt(reader, tail, Growth::Allowed);
        match tried.map_err(|stop| self.for_another_batch(stop, start.position())) {
            // Every row before it would get the new columns of its objects.
            Ok(()) if !self.is_bound && self.is_too_much(&trial) => return Err(batch_full(start.position())),
            Ok(()) => self.leaf_count_bound += trial.records.leaf_count(),
            // The columns are to be here, where they are named.
            Err(stop) if stop.is_of_columns_limit() => {}
            Err(Stop::Fault(fault)) => return self.take_without_losers(fault, start, reader, tail),
            Err(Stop::DuplicateKey) => return self.take_last_values(start, reader, tail),
            Err(Stop::NeedsGrowth | Stop::TooManyKeys) => unreachable!("growth is allowed here"),
        }
        drop(trial);
        *reader = start.clone();
        match self.attempt(reader, tail, Growth::Allowed) {
            Ok(()) => {}
            Err(Stop::Fault(fault)) => return self.take_without_losers(fault, start, reader, tail),
            // Its fields share columns that were apart in the trial.
            Err(Stop::DuplicateKey) => return self.take_last_values(start, reader, tail),
            Err(Stop::NeedsGrowth | Stop::TooManyKeys) => unreachable!("growth is allowed here"),
        }
        self.after_growth(&start, reader)
    }

    /// Takes these records, all into this batch, or leaves no trace of any.
    ///
    /// # Errors
    /// The first fault, with the place of the record that has it; see [`Self::take_record`].
    pub(super) fn take_records(&mut self, records: &[&[u8]]) -> Result<(), (usize, Box<Fault>)> {
        let take =
            |decoder: &mut Self, record: &[u8]| decoder.take_record(&mut Reader::new(record), Tail::Nothing);
        match records {
            [] => return Ok(()),
            [record] => return take(self, record).map_err(|fault| (0, fault)),
            _ => {}
        }
        // Whether a record is taken does not depend on those before it, so that others can be the trial.
        let mut trial = self.trial();
        trial.is_bound = true;
        let mut inside_leaf_count = 0;
        for (place, record) in records.iter().enumerate() {
            match take(&mut trial, record) {
                Err(fault) if fault.kind != FaultKind::ColumnsLimit => return Err((place, fault)),
                Ok(()) => {}
                // They may be fewer together with those that are there already.
                Err(_) => {
                    inside_leaf_count += trial.records.inside_leaf_count();
                    trial = self.trial();
                    trial.is_bound = true;
                }
            }
        }
        inside_leaf_count += trial.records.inside_leaf_count();
        let widened_bytes = self.records.len() * inside_leaf_count * size_of::<i64>();
        let trial_bytes = if self.records.len() > 0 { trial.column_bytes() } else { 0 };
        if widened_bytes.max(trial_bytes) > BATCH_BYTES_MAX {
            return Err((0, batch_full(0)));
        }
        drop(trial);
        // The trial has told that there is room.
        let room_bytes = std::mem::replace(&mut self.room.bytes, usize::MAX);
        self.is_bound = true;
        let mut taken = records.iter().enumerate().map(|(place, record)| (place, take(self, record)));
        let first_fault = taken.find_map(|(place, taken)| taken.err().map(|fault| (place, fault)));
        self.is_bound = false;
        self.room.bytes = room_bytes;
        match first_fault {
            None => Ok(()),
            Some((0, fault)) => Err((0, fault)),
            Some((place, fault)) if fault.kind == FaultKind::ColumnsLimit => Err((place, fault)),
            Some((_, fault)) => unreachable!("a trial took what is refused now: {}", fault.reason),
        }
    }

    /// Tells whether a record is for another batch: every row before it would get the new columns of its objects, or it is
    /// as large as a batch by itself.
    fn is_too_much(&self, trial: &Self) -> bool {
        let widened_bytes = self.records.len() * trial.records.inside_leaf_count() * size_of::<i64>();
        widened_bytes.max(trial.column_bytes()) > BATCH_BYTES_MAX
    }

    /// Takes account of a record that changed columns and ends where `reader` stands.
    fn after_growth(&mut self, start: &Reader<'_>, reader: &Reader<'_>) -> Read<()> {
        if self.leaf_count_bound > LEAF_COLUMNS_MAX && self.has_too_many_columns() {
            return Err(too_many_columns(start.position()));
        }
        // The record may have widened the rows before it; where each record does, looking would be most of the work.
        let row_count = self.records.len();
        self.next_look_rows =
            self.next_look_rows.min(row_count + row_count / ROWS_BEFORE_LOOK + ROWS_BEFORE_LOOK);
        if self.records.len() == 1 {
            let record_bytes = reader.position() - start.position();
            self.records.reserve_like_first_row(reader.rest_bytes() / record_bytes.max(1));
        }
        Ok(())
    }

    /// Takes a record with a fault, if that is in a value which lost to another one of its key: as if it had not been
    /// there.
    #[cold]
    fn take_without_losers<'a>(
        &mut self,
        fault: Box<Fault>,
        start: Reader<'a>,
        reader: &mut Reader<'a>,
        tail: Tail,
    ) -> Read<()> {
        let has_losers = || {
            write_last_values(&mut start.clone(), &self.marks, &mut Vec::new()).is_ok_and(|count| count > 0)
        };
        if fault.kind == FaultKind::Value && has_losers() {
            return self.take_last_values(start, reader, tail);
        }
        Err(fault)
    }

    /// Takes a record in which a key stands twice in one object: without the values that lost, so that
    /// they have no say in the types.
    #[cold]
    fn take_last_values<'a>(&mut self, start: Reader<'a>, reader: &mut Reader<'a>, tail: Tail) -> Read<()> {
        *reader = start;
        let mut record = Vec::new();
        let duplicate_key_count = write_last_values(reader, &self.marks, &mut record)?;
        if tail == Tail::Nothing {
            reader.expect_end()?;
        }
        if duplicate_key_count == 0 {
            return Err(Fault::new(FaultKind::Value, reader.position(), NAME_IS_TAKEN));
        }
        self.take_record(&mut Reader::new(&record), Tail::Nothing)?;
        self.duplicate_key_count += duplicate_key_count;
        Ok(())
    }

    fn attempt(&mut self, reader: &mut Reader<'_>, tail: Tail, growth: Growth) -> Result<(), Stop> {
        let (row, start) = (self.records.len(), reader.position());
        self.touched.clear();
        let mut record = RecordReader {
            reader,
            values: &mut self.values,
            touched: &mut self.touched,
            members: &mut self.members,
            growth,
            config: self.config,
            room_bytes: self.room.bytes,
        };
        let mut outcome = record.take(&mut self.records, tail);
        let text_bytes = reader.position() - start;
        if outcome.is_ok() && (row >= self.next_look_rows || text_bytes >= self.text_bytes_to_look) {
            outcome = self.look_at_size().map_err(Stop::Fault);
        } else {
            self.text_bytes_to_look = self.text_bytes_to_look.saturating_sub(text_bytes);
        }
        match outcome {
            Ok(()) => {
                self.values.commit_record();
                Ok(())
            }
            Err(stop) => {
                self.records.forget_row(row, &self.touched);
                self.values.forget_record();
                self.members.clear();
                if stop.is_of_columns_limit() {
                    // Whoever refuses the columns looks at those of rows.
                    self.records.finish_row();
                    self.values.commit_record();
                }
                Err(self.for_another_batch(stop, start))
            }
        }
    }

    /// A record that has no room is for another batch, unless it is the only one here.
    fn for_another_batch(&self, stop: Stop, start: usize) -> Stop {
        match stop {
            Stop::Fault(fault)
                if fault.kind == FaultKind::TooLarge
                    && self.room.is_last
                    && self.records.len() > 0
                    && !self.is_bound =>
            {
                Stop::Fault(batch_full(start))
            }
            stop => stop,
        }
    }
}

/// The fault of a record with which there are more columns than any output may have.
#[cold]
fn too_many_columns(position: usize) -> Box<Fault> {
    let reason = format!("expected at most {LEAF_COLUMNS_MAX} columns");
    Fault::new(FaultKind::ColumnsLimit, position, reason)
}

#[cold]
fn batch_full(position: usize) -> Box<Fault> {
    Fault::new(FaultKind::BatchFull, position, "the batch is full")
}
