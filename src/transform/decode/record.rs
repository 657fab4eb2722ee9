//! One record into columns, or nothing of it: what it would change and may not, and what is wrong with it.

use std::io::Write as _;

use super::{Stop, Tail, too_large, too_many_columns};
use crate::config::TransformConfig;
use crate::schema::{
    DOUBLE_INTEGER_MAX, Kinds, LEAF_COLUMNS_MAX, NESTED_LEVELS_MAX, TimestampForms, read_timestamp,
    write_double, write_json_string,
};
use crate::transform::columns::{Column, Growth, Store};
use crate::transform::marks::{Marks, Usage};
use crate::transform::members::{Member, StructStore};
use crate::transform::members_text::MembersText;
use crate::transform::reader::{Fault, FaultKind, Number, Reader, kind_of_value};
use crate::transform::text::{LIST_IS_NO_OBJECT, NAME_IS_TAKEN, TextWriter};
use crate::transform::values::Values;

/// Members of an object up to which skipped ones are remembered, so that they are expected and found fast.
const SKIPPED_MEMBERS_MAX: usize = 1_000;
/// Keys of which one is expected next: that of the next member, and those behind it where that one is absent.
const EXPECTED_KEYS: usize = 4;
/// The depth of a record, in levels of objects and lists.
const RECORD_DEPTH: u32 = 1;
/// Objects and lists that are deeper are text.
const COLUMN_DEPTH_MAX: u32 = RECORD_DEPTH + NESTED_LEVELS_MAX;
/// Bytes of an object or a list after which the size of its columns is looked at.
const LOOK_TEXT_BYTES: usize = 64 << 10;

/// Reads one record.
pub(super) struct RecordReader<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) values: &'r mut Values,
    pub(super) touched: &'r mut Vec<usize>,
    pub(super) members: &'r mut MembersText,
    pub(super) growth: Growth,
    pub(super) config: &'r TransformConfig,
    /// Bytes that the columns of a list may take.
    pub(super) room_bytes: usize,
}

impl<'a> RecordReader<'_, 'a> {
    pub(super) fn take(&mut self, records: &mut Column, tail: Tail) -> Result<(), Stop> {
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
        let mut next_look = self.reader.position() + LOOK_TEXT_BYTES;
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
            if self.reader.position() >= next_look {
                next_look = self.reader.position() + LOOK_TEXT_BYTES;
                self.check_size(store, row + 1)?;
            }
            goes_on = self.reader.goes_on(b'}')?;
        }
        column.finish_row();
        Ok(())
    }

    /// Looks at what an object that is long has come to so far.
    #[cold]
    fn check_size(&self, store: &StructStore, row_count: usize) -> Result<(), Stop> {
        if store.leaf_count() > LEAF_COLUMNS_MAX {
            return Err(too_many_columns(self.reader.position()).into());
        }
        match store.frozen_bytes(row_count) > self.room_bytes {
            true => Err(too_large(self.reader.position()).into()),
            false => Ok(()),
        }
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

    fn text_writer(&mut self) -> TextWriter<'_, 'a> {
        TextWriter {
            reader: self.reader,
            values: self.values,
            members: self.members,
            hash_key: self.config.projection.hash_key.as_ref(),
        }
    }

    /// Takes the hash of the value that is next into a column.
    fn hashed(&mut self, column: &mut Column, depth: u32) -> Result<(), Stop> {
        let mut hash = Vec::new();
        if !self.text_writer().hash(&mut hash, depth + 1)? {
            column.push_nulls(1);
            return Ok(());
        }
        column.admit(Kinds::STRING, TimestampForms::NONE, self.growth)?;
        column.text().extend_from_slice(&hash);
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
            self.values.look_into_list(marks, &mut self.reader.clone(), depth + 1)?;
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
                let (start, row) = (self.reader.clone(), column.len());
                match self.object(column, depth) {
                    Err(Stop::TooManyKeys) => {
                        *self.reader = start;
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
        let marks = column.marks.clone();
        self.text_writer().value(marks.as_deref(), column.text(), depth)?;
        column.finish_row();
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
        if let Some(marks) = marks {
            self.values.look_into_list(marks, &mut self.reader.clone(), depth)?;
        }
        let mut index = 0_usize;
        let mut next_look = self.reader.position() + LOOK_TEXT_BYTES;
        let mut goes_on = self.reader.enter(b']');
        while goes_on {
            self.value(&mut store.element, depth).map_err(|stop| stop.below(&index.to_string()))?;
            index += 1;
            if self.reader.position() >= next_look {
                next_look = self.reader.position() + LOOK_TEXT_BYTES;
                if store.element.frozen_bytes(store.element.len()) > self.room_bytes {
                    return Err(too_large(self.reader.position()).into());
                }
            }
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
