//! The lists of numbers of one record: what `--values` fields may hold, and what is wrong with them.
//!
//! A fault in such a list is kept until the record ends, since a key that stands twice counts by its
//! last value. Numbers are exact or refused: an integer that a double can't hold rejects the record.

use super::columns::{Column, Store};
use super::decode::{Stop, too_large};
use super::features::FeatureColumns;
use super::marks::Marks;
use super::reader::{Fault, FaultKind, Number, Read, Reader, kind_of_value};
use crate::config::{FeatureConfig, OnNonfinite};
use crate::schema::write_json_double;

/// The summarised lists of a page, and those of the record that is being read.
#[derive(Debug)]
pub(super) struct Values {
    fields: Vec<Field>,
    on_nonfinite: OnNonfinite,
    /// Numbers that one list may have.
    numbers_max: usize,
}

#[derive(Debug)]
struct Field {
    keys: Vec<String>,
    columns: FeatureColumns,
    is_seen: bool,
    record: RecordList,
}

/// One list of the record that is being read. The buffer is reused.
#[derive(Debug, Default)]
struct RecordList {
    is_seen: bool,
    is_list: bool,
    /// The numbers that count.
    numbers: Vec<f64>,
    null_count: usize,
    fault: Option<Box<Fault>>,
}

impl RecordList {
    fn clear(&mut self) {
        self.is_seen = false;
        self.is_list = false;
        self.numbers.clear();
        self.null_count = 0;
        self.fault = None;
    }
}

/// An element of a list.
enum Element {
    Null,
    Number(f64),
}

/// Where all elements of a list go.
trait Elements {
    fn push_numbers(&mut self, numbers: &[f64]);
    fn push_null(&mut self);
}

impl Elements for Column {
    #[inline]
    fn push_numbers(&mut self, numbers: &[f64]) {
        self.push_doubles(numbers);
    }

    fn push_null(&mut self) {
        self.push_nulls(1);
    }
}

/// A text, each element with a comma behind it.
impl Elements for Vec<u8> {
    fn push_numbers(&mut self, numbers: &[f64]) {
        for number in numbers {
            write_json_double(*number, self);
            self.push(b',');
        }
    }

    fn push_null(&mut self) {
        self.extend_from_slice(b"null,");
    }
}

/// Nowhere.
impl Elements for () {
    fn push_numbers(&mut self, _: &[f64]) {}

    fn push_null(&mut self) {}
}

/// Kind of what stood where a list was expected.
enum Taken {
    List,
    Null,
    /// The record is refused for it.
    Faulty,
}

impl Values {
    pub(super) fn new(config: &FeatureConfig, numbers_max: usize) -> Self {
        let fields = config
            .fields
            .iter()
            .map(|field| Field {
                keys: field.path.keys().to_vec(),
                columns: FeatureColumns::new(&config.features),
                is_seen: false,
                record: RecordList::default(),
            })
            .collect();
        Self { fields, on_nonfinite: config.on_nonfinite, numbers_max }
    }

    /// The feature columns of each field, and whether a record had it.
    pub(super) fn into_columns(self) -> Vec<(FeatureColumns, bool)> {
        self.fields.into_iter().map(|field| (field.columns, field.is_seen)).collect()
    }

    /// Bytes of the feature columns, once they have `row_count` rows.
    pub(super) fn frozen_bytes(&self, row_count: usize) -> usize {
        self.fields.iter().map(|field| field.columns.width() * row_count * size_of::<f64>()).sum()
    }

    /// Takes the list that is next into its column; what is wrong with it shows in [`Self::check_record`].
    ///
    /// # Errors
    /// The syntax is wrong, so that the end of the list can't be told.
    #[inline]
    pub(super) fn take_list(
        &mut self,
        field: usize,
        reader: &mut Reader<'_>,
        column: &mut Column,
        depth: u32,
    ) -> Read<()> {
        let row = column.len();
        let Store::List(list) = &mut column.store else { unreachable!("a --values column is a list") };
        match self.take_numbers(field, reader, &mut *list.element, depth + 1)? {
            Taken::List => column.finish_row(),
            Taken::Null => column.push_nulls(1),
            Taken::Faulty => {
                column.truncate(row);
                column.push_nulls(1);
            }
        }
        Ok(())
    }

    /// As [`Self::take_list`], for a list that its column keeps as text: it is a list of doubles there too, so that its
    /// text is the one that it has when it is widened later.
    ///
    /// # Errors
    /// As those of [`Self::take_list`].
    #[cold]
    pub(super) fn take_list_as_text(
        &mut self,
        field: usize,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Read<()> {
        let start = out.len();
        out.push(b'[');
        match self.take_numbers(field, reader, out as &mut dyn Elements, depth)? {
            Taken::List => {
                if out.len() > start + 1 {
                    out.pop();
                }
                out.push(b']');
            }
            Taken::Null | Taken::Faulty => {
                out.truncate(start);
                out.extend_from_slice(b"null");
            }
        }
        Ok(())
    }

    /// Takes the lists at and below `marks` from the value that is next, whose own text is of no interest.
    ///
    /// # Errors
    /// The syntax is wrong, or a key that leads to a list stands twice.
    #[cold]
    pub(super) fn look_into(
        &mut self,
        marks: &Marks,
        reader: &mut Reader<'_>,
        depth: u32,
    ) -> Result<(), Stop> {
        if let Some(field) = marks.field {
            self.take_numbers(field, &mut reader.clone(), &mut () as &mut dyn Elements, depth)?;
        }
        if reader.peek_token() != Some(b'{') {
            self.look_into_list(marks, &mut reader.clone(), depth)?;
            return Ok(reader.skip_value_at(depth)?);
        }
        reader.check_depth(depth)?;
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let mut goes_on = reader.enter(b'}');
        while goes_on {
            let (key, _) = reader.key()?;
            match marks.child(&key).filter(|child| child.is_summarised()) {
                Some(_) if seen.iter().any(|seen| **seen == *key) => return Err(Stop::DuplicateKey),
                Some(child) => {
                    seen.push(key.into_owned());
                    self.look_into(child, reader, depth + 1)?;
                }
                None => reader.skip_value_at(depth + 1)?,
            }
            goes_on = reader.goes_on(b'}')?;
        }
        Ok(())
    }

    /// Takes the lists in the elements that `marks` name, if a list is next. Elements share a column, which a pointer to
    /// one of them must not change: so this is done beside it.
    ///
    /// # Errors
    /// As those of [`Self::look_into`].
    pub(super) fn look_into_list(
        &mut self,
        marks: &Marks,
        reader: &mut Reader<'_>,
        depth: u32,
    ) -> Result<(), Stop> {
        if marks.below.is_empty() || reader.peek_token() != Some(b'[') {
            return Ok(());
        }
        reader.check_depth(depth)?;
        let mut index = 0_usize;
        let mut goes_on = reader.enter(b']');
        while goes_on {
            let token = index.to_string();
            match marks.child(token.as_bytes()).filter(|child| child.is_summarised()) {
                Some(child) => {
                    self.look_into(child, reader, depth + 1).map_err(|stop| stop.below(&token))?;
                }
                None => reader.skip_value_at(depth + 1)?,
            }
            index += 1;
            goes_on = reader.goes_on(b']')?;
        }
        Ok(())
    }

    /// Takes the numbers of the list that is next; what is wrong with it shows in [`Self::check_record`].
    #[inline]
    fn take_numbers(
        &mut self,
        field: usize,
        reader: &mut Reader<'_>,
        elements: &mut (impl Elements + ?Sized),
        depth: u32,
    ) -> Read<Taken> {
        let Field { record, keys, .. } = &mut self.fields[field];
        record.clear();
        record.is_seen = true;
        let first_byte = reader.peek_token();
        if first_byte == Some(b'n') {
            reader.literal("null")?;
            return Ok(Taken::Null);
        }
        let start = reader.clone();
        let outcome = if first_byte == Some(b'[') {
            take_elements(reader, record, elements, depth, (self.on_nonfinite, self.numbers_max))
        } else {
            let reason = format!("expected a list of numbers or null, got {}", kind_of_value(first_byte));
            Err(Fault::new(FaultKind::Value, reader.position(), reason))
        };
        match outcome {
            Ok(()) => {
                record.is_list = true;
                Ok(Taken::List)
            }
            Err(fault) if fault.kind == FaultKind::Value => {
                record.fault = Some(keys.iter().rev().fold(fault, |fault, key| fault.below(key)));
                *reader = start;
                reader.skip_value().map(|()| Taken::Faulty)
            }
            Err(fault) => Err(fault),
        }
    }

    /// # Errors
    /// The first fault of the record's lists, in the order of the fields.
    pub(super) fn check_record(&mut self) -> Read<()> {
        match self.fields.iter_mut().find_map(|field| field.record.fault.take()) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// Computes the features of the record that was read.
    pub(super) fn commit_record(&mut self) {
        for Field { columns, is_seen, record, .. } in &mut self.fields {
            *is_seen |= record.is_seen;
            if record.is_list {
                columns.push(&record.numbers, record.null_count);
            } else {
                columns.push_absent();
            }
            record.clear();
        }
    }

    /// Forgets the record that was read.
    pub(super) fn forget_record(&mut self) {
        self.fields.iter_mut().for_each(|field| field.record.clear());
    }
}

/// Takes the array that is next: every element into the elements, those that count into the record.
#[inline]
fn take_elements(
    reader: &mut Reader<'_>,
    record: &mut RecordList,
    elements: &mut (impl Elements + ?Sized),
    depth: u32,
    (on_nonfinite, numbers_max): (OnNonfinite, usize),
) -> Read<()> {
    reader.check_depth(depth)?;
    // Numbers from here on are not with the elements yet.
    let mut run_start = 0;
    let mut index = 0_usize;
    let mut goes_on = reader.enter(b']');
    while goes_on {
        let position = reader.position();
        let element = element(reader, position).map_err(|fault| fault.below(&index.to_string()))?;
        match element {
            Element::Number(number) if number.is_finite() => {
                record.numbers.push(number);
                if record.numbers.len() > numbers_max {
                    return Err(too_large(position));
                }
            }
            Element::Number(number) => {
                elements.push_numbers(&record.numbers[run_start..]);
                elements.push_numbers(&[number]);
                count_nonfinite(number, position, record, on_nonfinite)
                    .map_err(|fault| fault.below(&index.to_string()))?;
                run_start = record.numbers.len();
            }
            Element::Null => {
                elements.push_numbers(&record.numbers[run_start..]);
                elements.push_null();
                record.null_count += 1;
                run_start = record.numbers.len();
            }
        }
        index += 1;
        goes_on = reader.goes_on(b']')?;
    }
    elements.push_numbers(&record.numbers[run_start..]);
    Ok(())
}

#[inline]
fn element(reader: &mut Reader<'_>, position: usize) -> Read<Element> {
    match reader.peek() {
        Some(b'-' | b'0'..=b'9') => Ok(Element::Number(exact_double(reader.number()?, position)?)),
        Some(b'"') => Ok(Element::Number(double_of_text(&reader.string()?, position)?)),
        Some(b'n') => reader.literal("null").map(|()| Element::Null),
        first_byte @ Some(b'{' | b'[' | b't' | b'f') => {
            // A wrong literal is wrong syntax before it is a wrong type.
            reader.skip_value()?;
            let reason = format!("expected a number, got {}", kind_of_value(first_byte));
            Err(Fault::new(FaultKind::Value, position, reason))
        }
        _ => Err(reader.expected("a number")),
    }
}

fn count_nonfinite(
    number: f64,
    position: usize,
    record: &mut RecordList,
    on_nonfinite: OnNonfinite,
) -> Read<()> {
    match on_nonfinite {
        OnNonfinite::Skip => Ok(()),
        OnNonfinite::Keep => {
            record.numbers.push(number);
            Ok(())
        }
        OnNonfinite::Reject => {
            Err(Fault::new(FaultKind::Value, position, format!("expected a finite number, got {number}")))
        }
    }
}

/// The double that is this number exactly; for a fraction, the nearest one.
fn exact_double(number: Number<'_>, position: usize) -> Read<f64> {
    match number {
        Number::Double(value) => Ok(value),
        Number::Int(value) if i128::from(value) == (value as f64) as i128 => Ok(value as f64),
        Number::Int(value) => Err(inexact(&value.to_string(), position)),
        Number::Huge(digits) => exact_integer(digits).ok_or_else(|| inexact(digits, position)),
    }
}

/// The double that a string of decimal digits is exactly.
fn exact_integer(digits: &str) -> Option<f64> {
    let value: f64 = digits.parse().ok()?;
    let significant = digits.trim_start_matches(['+', '-']).trim_start_matches('0');
    // Rust writes integral doubles out exactly, however long they are.
    (value.is_finite() && format!("{:.0}", value.abs()).trim_start_matches('0') == significant)
        .then_some(value)
}

fn double_of_text(text: &[u8], position: usize) -> Read<f64> {
    let text = String::from_utf8_lossy(text);
    let trimmed = text.trim_matches(|character: char| character.is_ascii_whitespace());
    let Ok(value) = trimmed.parse::<f64>() else {
        let shown: String = text.chars().take(40).collect();
        let reason = format!("expected a number, got {shown:?}");
        return Err(Fault::new(FaultKind::Value, position, reason));
    };
    let unsigned = trimmed.trim_start_matches(['+', '-']);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return exact_integer(trimmed).ok_or_else(|| inexact(trimmed, position));
    }
    Ok(value)
}

#[cold]
fn inexact(digits: &str, position: usize) -> Box<Fault> {
    let shown: String = digits.chars().take(40).collect();
    let reason = format!("expected a number that a double can hold, got {shown}");
    Fault::new(FaultKind::Value, position, reason)
}
