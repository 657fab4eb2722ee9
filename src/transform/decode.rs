//! Records straight into columns: no tree of values on the way.
//!
//! A record is first read with growth forbidden. If it would change a column (a new key, another type),
//! it is read once more into columns of its own; only when it is right throughout is it read a third
//! time with growth allowed. A record that is refused therefore leaves no trace, and such records are
//! rare: each one changes the schema of its page. The first record of a batch, before which there is nothing to
//! keep clean, needs no columns of its own. Nothing here knows how records stand in a page.

use std::io::Write as _;
use std::sync::Arc;

use super::columns::{Column, Growth, NeedsGrowth, Store};
use super::duplicates::write_last_values;
use super::marks::{Marks, Usage};
use super::members::{Member, StructStore};
use super::projection::{LIST_IS_NO_OBJECT, NAME_IS_TAKEN, hash, project};
use super::reader::{Fault, FaultKind, Number, Read, Reader, kind_of_value};
use super::tree::Tree;
use super::values::Values;
use crate::config::TransformConfig;
use crate::schema::{
    DOUBLE_INTEGER_MAX, Kinds, LEAF_COLUMNS_MAX, NESTED_LEVELS_MAX, TimestampForms, read_timestamp,
    write_double, write_json_string,
};

/// Bytes from which on columns are no longer added to. Records that are each small can make columns of any
/// size, where every record has keys of its own or many features; those of a usual chunk stay far below.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;
/// Rows after which the size of the columns is looked at again at the latest.
const LOOK_ROWS_MAX: usize = 1 << 16;

/// A record that changes columns has their size looked at after so many rows more, and a part of those there are.
const ROWS_BEFORE_LOOK: usize = 16;
/// Members of an object up to which skipped ones are remembered, so that they are expected and found fast.
const SKIPPED_MEMBERS_MAX: usize = 1_000;
/// Keys of which one is expected next: that of the next member, and those behind it where that one is absent.
const EXPECTED_KEYS: usize = 4;
/// The depth of a record, in levels of objects and lists.
const RECORD_DEPTH: u32 = 1;
/// Objects and lists that are deeper are text.
const COLUMN_DEPTH_MAX: u32 = RECORD_DEPTH + NESTED_LEVELS_MAX;

/// Reads records into the columns of one batch.
#[derive(Debug)]
pub(super) struct Decoder<'c> {
    records: Column,
    values: Values,
    duplicate_key_count: u64,
    config: &'c TransformConfig,
    marks: Arc<Marks>,
    /// Rows from which on the size of the columns is looked at.
    next_look_rows: usize,
    /// Leaf columns that there are at most.
    leaf_count_bound: usize,
    /// Places of the columns that the record which is being read has reached: thousands of others may be there.
    touched: Vec<usize>,
    /// Whether the record belongs to the batch of those before it, however large that becomes.
    is_bound: bool,
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
enum Stop {
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
    fn below(self, token: &str) -> Self {
        match self {
            Self::NeedsGrowth | Self::DuplicateKey | Self::TooManyKeys => self,
            Self::Fault(fault) => Self::Fault(fault.below(token)),
        }
    }
}

impl<'c> Decoder<'c> {
    pub(super) fn new(config: &'c TransformConfig) -> Self {
        Self::with_marks(config, Arc::new(Marks::of(config)))
    }

    fn with_marks(config: &'c TransformConfig, marks: Arc<Marks>) -> Self {
        Self {
            records: Column::of_records(Arc::clone(&marks)),
            values: Values::new(&config.features),
            duplicate_key_count: 0,
            config,
            marks,
            next_look_rows: 1,
            leaf_count_bound: 0,
            touched: Vec::new(),
            is_bound: false,
        }
    }

    /// What is asked of the fields of records.
    pub(super) fn marks(&self) -> &Marks {
        &self.marks
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
    pub(super) fn is_full(&mut self) -> bool {
        self.records.len() >= self.next_look_rows && self.look_at_size()
    }

    /// Sizes the columns up, and foretells when to look again: half-way to where they are full if the
    /// records go on as they were.
    #[cold]
    fn look_at_size(&mut self) -> bool {
        let row_count = self.records.len();
        let bytes = self.records.frozen_bytes(row_count) + self.values.frozen_bytes(row_count);
        if bytes >= BATCH_BYTES_MAX {
            return true;
        }
        let row_bytes = bytes / row_count.max(1) + 1;
        self.next_look_rows = row_count + ((BATCH_BYTES_MAX - bytes) / row_bytes / 2).clamp(1, LOOK_ROWS_MAX);
        false
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
            if taken.is_err() {
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
        let mut trial = Self::with_marks(self.config, Arc::clone(&self.marks));
        match trial.attempt(reader, tail, Growth::Allowed) {
            // Every row before it would get the new columns of its objects.
            Ok(())
                if !self.is_bound
                    && self.records.len() * trial.records.inside_leaf_count() * size_of::<i64>()
                        > BATCH_BYTES_MAX =>
            {
                return Err(Fault::new(FaultKind::BatchFull, start.position(), "the batch is full"));
            }
            Ok(()) => self.leaf_count_bound += trial.records.leaf_count(),
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
        let mut trial = Self::with_marks(self.config, Arc::clone(&self.marks));
        trial.is_bound = true;
        let mut inside_leaf_count = 0;
        for (place, record) in records.iter().enumerate() {
            match take(&mut trial, record) {
                Err(fault) if fault.kind != FaultKind::ColumnsLimit => return Err((place, fault)),
                Ok(()) => {}
                // They may be fewer together with those that are there already.
                Err(_) => {
                    inside_leaf_count += trial.records.inside_leaf_count();
                    trial = Self::with_marks(self.config, Arc::clone(&self.marks));
                    trial.is_bound = true;
                }
            }
        }
        inside_leaf_count += trial.records.inside_leaf_count();
        if self.records.len() * inside_leaf_count * size_of::<i64>() > BATCH_BYTES_MAX {
            return Err((0, Fault::new(FaultKind::BatchFull, 0, "the batch is full")));
        }
        drop(trial);
        self.is_bound = true;
        let mut taken = records.iter().enumerate().map(|(place, record)| (place, take(self, record)));
        let first_fault = taken.find_map(|(place, taken)| taken.err().map(|fault| (place, fault)));
        self.is_bound = false;
        match first_fault {
            None => Ok(()),
            Some((0, fault)) => Err((0, fault)),
            Some((place, fault)) if fault.kind == FaultKind::ColumnsLimit => Err((place, fault)),
            Some((_, fault)) => unreachable!("a trial took what is refused now: {}", fault.reason),
        }
    }

    /// Takes account of a record that changed columns and ends where `reader` stands.
    fn after_growth(&mut self, start: &Reader<'_>, reader: &Reader<'_>) -> Read<()> {
        if self.leaf_count_bound > LEAF_COLUMNS_MAX && self.has_too_many_columns() {
            let reason = format!("expected at most {LEAF_COLUMNS_MAX} columns");
            return Err(Fault::new(FaultKind::ColumnsLimit, start.position(), reason));
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
        let row = self.records.len();
        self.touched.clear();
        let (values, touched) = (&mut self.values, &mut self.touched);
        let mut record =
            RecordReader { reader, values, touched, growth, config: self.config, duplicate_key_count: 0 };
        let outcome = record.take(&mut self.records, tail);
        let duplicate_key_count = record.duplicate_key_count;
        match outcome {
            Ok(()) => {
                self.duplicate_key_count += duplicate_key_count;
                self.values.commit_record();
                Ok(())
            }
            Err(stop) => {
                self.records.forget_row(row, &self.touched);
                self.values.forget_record();
                Err(stop)
            }
        }
    }
}

/// Reads one record.
struct RecordReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    values: &'r mut Values,
    touched: &'r mut Vec<usize>,
    growth: Growth,
    config: &'r TransformConfig,
    duplicate_key_count: u64,
}

impl<'a> RecordReader<'_, 'a> {
    fn take(&mut self, records: &mut Column, tail: Tail) -> Result<(), Stop> {
        let start = self.reader.position();
        let first_byte = self.reader.peek_token();
        if first_byte != Some(b'{') {
            self.reader.skip_value()?;
            if tail == Tail::Nothing {
                self.reader.expect_end()?;
            }
            let reason = format!("expected an object, got {}", kind_of_value(first_byte));
            return Err(Fault::new(FaultKind::Value, start, reason).into());
        }
        self.object(records, RECORD_DEPTH)?;
        if tail == Tail::Nothing {
            self.reader.expect_end()?;
        }
        self.values.check_record().map_err(Stop::Fault)
    }

    /// Takes the object that is next into an object column.
    fn object(&mut self, column: &mut Column, depth: u32) -> Result<(), Stop> {
        let row = column.len();
        let Column { store: Store::Struct(store), marks, .. } = column else {
            unreachable!("the column admitted an object")
        };
        let keys_max = if depth == RECORD_DEPTH { usize::MAX } else { self.config.nesting.keys_max };
        let mut expected = 0;
        let mut goes_on = self.reader.enter(b'}');
        while goes_on {
            if let Some(place) = self.member_place(store, expected, keys_max, marks.as_deref())? {
                if depth == RECORD_DEPTH {
                    self.touched.push(place);
                }
                self.member(&mut store.members[place], row, depth)?;
                expected = place + 1;
            } else {
                // Its key was not kept: nothing of it is shown, so neither is where in it a fault is.
                self.reader.skip_value_at(depth + 1)?;
            }
            goes_on = self.reader.goes_on(b'}')?;
        }
        column.finish_row();
        Ok(())
    }

    /// Takes a key and its colon; returns the place of its member, if it need be told from others.
    #[inline]
    fn member_place(
        &mut self,
        store: &mut StructStore,
        expected: usize,
        keys_max: usize,
        marks: Option<&Marks>,
    ) -> Result<Option<usize>, Stop> {
        // Records of one source have their keys in one order, but for some that are absent: compare the bytes whole
        // before reading them.
        let candidates = store.members.iter().enumerate().skip(expected).take(EXPECTED_KEYS);
        for (place, member) in candidates {
            if member.is_plain && self.reader.take_plain_key(member.key.as_bytes()) {
                self.reader.take_colon()?;
                return Ok(Some(place));
            }
        }
        let (key, _) = self.reader.key()?;
        match store.find(&key, expected) {
            Some(place) => Ok(Some(place)),
            // It leaves no trace in the columns, so it may be added at any time; it is found faster then.
            None if marks.is_some_and(|marks| marks.usage_of(&key) == Usage::Skipped) => {
                let is_worth_it = store.members.len() < SKIPPED_MEMBERS_MAX;
                Ok(is_worth_it.then(|| store.add(text_of(&key), marks)))
            }
            None if marks.is_some_and(|marks| marks.usage_of(&key) == Usage::Refused) => {
                let fault = Fault::new(FaultKind::Value, self.reader.position(), NAME_IS_TAKEN);
                Err(fault.below(text_of(&key)).into())
            }
            None if self.growth == Growth::Forbidden => Err(Stop::NeedsGrowth),
            None if store.shown_count() >= keys_max && store.shared_place(text_of(&key), marks).is_none() => {
                Err(Stop::TooManyKeys)
            }
            None => Ok(Some(store.add(text_of(&key), marks))),
        }
    }

    #[inline]
    fn member(&mut self, member: &mut Member, row: usize, depth: u32) -> Result<(), Stop> {
        if member.usage == Usage::Skipped {
            return Ok(self.reader.skip_value_at(depth + 1).map_err(|fault| fault.below(&member.key))?);
        }
        if member.row_count() > row {
            return Err(Stop::DuplicateKey);
        }
        let is_hashed = member.usage == Usage::Hashed;
        let column = member.column_at(row);
        let taken = if is_hashed { self.hashed(column, depth) } else { self.value(column, depth) };
        taken.map_err(|stop| stop.below(&member.key))
    }

    /// Takes the hash of the value that is next into a column.
    fn hashed(&mut self, column: &mut Column, depth: u32) -> Result<(), Stop> {
        let mut tree = Tree::read(self.reader, depth + 1, None, &mut self.duplicate_key_count)?;
        hash(&mut tree, self.config.projection.hash_key.as_ref());
        let Tree::Text(text) = tree else {
            column.push_nulls(1);
            return Ok(());
        };
        column.admit(Kinds::STRING, TimestampForms::NONE, self.growth)?;
        column.text().extend_from_slice(&text);
        column.finish_row();
        Ok(())
    }

    /// Takes the value that is next into a column.
    fn value(&mut self, column: &mut Column, depth: u32) -> Result<(), Stop> {
        if let Some(field) = column.values_field() {
            return Ok(self.values.take_list(field, self.reader, column, depth)?);
        }
        let first_byte = self.reader.peek_token();
        if let Some(marks) = column.marks.as_deref().filter(|marks| marks.drops_others)
            && first_byte != Some(b'{')
        {
            // Nothing of it is selected; but a list in it may be summarised.
            if marks.is_summarised() && first_byte == Some(b'[') {
                self.look_ahead(marks, depth + 1)?;
            }
            self.reader.skip_value_at(depth + 1)?;
            column.push_nulls(1);
            return Ok(());
        }
        match first_byte {
            Some(b'"') => self.string(column),
            Some(b'-' | b'0'..=b'9') => self.number(column),
            Some(b'{') => self.container(column, Kinds::OBJECT, depth + 1),
            Some(b'[') => self.container(column, Kinds::LIST, depth + 1),
            Some(b't' | b'f') => self.boolean(column, first_byte == Some(b't')),
            Some(b'n') => {
                self.reader.literal("null")?;
                column.push_nulls(1);
                Ok(())
            }
            _ => Err(self.reader.expected("a value").into()),
        }
    }

    #[inline]
    fn string(&mut self, column: &mut Column) -> Result<(), Stop> {
        if matches!(column.store, Store::Text(_)) {
            column.admit(Kinds::STRING, TimestampForms::NONE, self.growth)?;
            if column.keeps_fragments() {
                let text = self.reader.string()?;
                write_json_string(&text, column.text());
            } else {
                self.reader.string_into(column.text())?;
            }
            column.finish_row();
            return Ok(());
        }
        let text = self.reader.string()?;
        let timestamp = read_timestamp(&text);
        let forms = timestamp.map_or(TimestampForms::NONE, |(_, forms)| forms);
        column.admit(Kinds::STRING, forms, self.growth)?;
        let (keeps_fragments, unit) = (column.keeps_fragments(), column.timestamp_unit());
        match (&mut column.store, timestamp) {
            (Store::Timestamp(values), Some((instant, _))) => values.push(instant.in_unit(unit)),
            _ if keeps_fragments => write_json_string(&text, column.text()),
            _ => column.text().extend_from_slice(&text),
        }
        column.finish_row();
        Ok(())
    }

    #[inline]
    fn number(&mut self, column: &mut Column) -> Result<(), Stop> {
        match self.reader.number()? {
            Number::Int(value) => {
                let is_wide = value.unsigned_abs() > DOUBLE_INTEGER_MAX;
                let kind = if is_wide { Kinds::INT_WIDE } else { Kinds::INT };
                column.admit(kind, TimestampForms::NONE, self.growth)?;
                match &mut column.store {
                    Store::Int64(values) => values.push(value),
                    Store::Double(values) => values.push(value as f64),
                    _ => write!(column.text(), "{value}").expect("writing to a Vec does not fail"),
                }
            }
            Number::Double(value) => {
                column.admit(Kinds::DOUBLE, TimestampForms::NONE, self.growth)?;
                match &mut column.store {
                    Store::Double(values) => values.push(value),
                    _ => write_double(value, column.text()),
                }
            }
            Number::Huge(digits) => {
                column.admit(Kinds::INT_HUGE, TimestampForms::NONE, self.growth)?;
                column.text().extend_from_slice(digits.as_bytes());
            }
        }
        column.finish_row();
        Ok(())
    }

    fn boolean(&mut self, column: &mut Column, value: bool) -> Result<(), Stop> {
        self.reader.literal(if value { "true" } else { "false" })?;
        column.admit(Kinds::BOOL, TimestampForms::NONE, self.growth)?;
        match &mut column.store {
            Store::Bool(values) => values.append(value),
            _ => column.text().extend_from_slice(if value { b"true" } else { b"false" }),
        }
        column.finish_row();
        Ok(())
    }

    fn container(&mut self, column: &mut Column, kind: Kinds, depth: u32) -> Result<(), Stop> {
        self.reader.check_depth(depth)?;
        // Text takes it in as it is.
        let is_too_deep = depth > COLUMN_DEPTH_MAX && !matches!(column.store, Store::Text(_));
        let kind = if is_too_deep { kind.with(Kinds::JSON) } else { kind };
        column.admit(kind, TimestampForms::NONE, self.growth)?;
        match &column.store {
            Store::Struct(_) => {
                let (start, row, duplicate_key_count) =
                    (self.reader.clone(), column.len(), self.duplicate_key_count);
                match self.object(column, depth) {
                    Err(Stop::TooManyKeys) => {
                        *self.reader = start;
                        self.duplicate_key_count = duplicate_key_count;
                        column.truncate(row);
                        column.admit(Kinds::JSON, TimestampForms::NONE, self.growth)?;
                        self.json_text(column, depth)
                    }
                    taken => taken,
                }
            }
            Store::List(_) => self.list(column, depth),
            _ => self.json_text(column, depth),
        }
    }

    /// Takes the object or list that is next into a text column.
    fn json_text(&mut self, column: &mut Column, depth: u32) -> Result<(), Stop> {
        let mut tree =
            Tree::read(self.reader, depth, column.marks.as_deref(), &mut self.duplicate_key_count)?;
        if let Some(marks) = &column.marks {
            self.values.take_from_tree(marks, &mut tree);
            project(&mut tree, marks, self.config.projection.hash_key.as_ref())?;
        }
        tree.write_json(column.text());
        column.finish_row();
        Ok(())
    }

    /// Takes the lists below `marks` from the value that is next, and leaves it where it is: elements of a
    /// list share one column, which a pointer to one of them must not change.
    #[cold]
    fn look_ahead(&mut self, marks: &Marks, depth: u32) -> Result<(), Stop> {
        let mut tree = Tree::read(&mut self.reader.clone(), depth, None, &mut 0)?;
        self.values.take_from_tree(marks, &mut tree);
        Ok(())
    }

    /// Takes the array that is next into a list column.
    fn list(&mut self, column: &mut Column, depth: u32) -> Result<(), Stop> {
        let Column { store: Store::List(store), marks, .. } = column else {
            unreachable!("the column admitted a list")
        };
        let marks = marks.as_deref().filter(|marks| !marks.below.is_empty());
        if marks.is_some_and(|marks| marks.projects) {
            return Err(Fault::new(FaultKind::Value, self.reader.position(), LIST_IS_NO_OBJECT).into());
        }
        let mut index = 0_usize;
        let mut goes_on = self.reader.enter(b']');
        while goes_on {
            if let Some(marks) = marks.and_then(|marks| marks.child(index.to_string().as_bytes())) {
                self.look_ahead(marks, depth + 1).map_err(|stop| stop.below(&index.to_string()))?;
            }
            self.value(&mut store.element, depth).map_err(|stop| stop.below(&index.to_string()))?;
            index += 1;
            goes_on = self.reader.goes_on(b']')?;
        }
        column.finish_row();
        Ok(())
    }
}

/// The text of a key that came from bytes known to be UTF-8.
fn text_of(key: &[u8]) -> &str {
    std::str::from_utf8(key).expect("the record was checked to be UTF-8")
}
