//! The lists of numbers of one record: what `--values` fields may hold, and what is wrong with them.
//!
//! A fault in such a list is kept until the record ends, since a key that stands twice counts by its
//! last value. Numbers are exact or refused: an integer that a double can't hold rejects the record.

use super::columns::{Column, Store};
use super::features::FeatureColumns;
use super::marks::Marks;
use super::reader::{Fault, FaultKind, Number, Read, Reader, kind_of_value};
use super::tree::Tree;
use crate::config::{FeatureConfig, OnNonfinite};

/// The summarised lists of a page, and those of the record that is being read.
#[derive(Debug)]
pub(super) struct Values {
    fields: Vec<Field>,
    on_nonfinite: OnNonfinite,
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

impl Values {
    pub(super) fn new(config: &FeatureConfig) -> Self {
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
        Self { fields, on_nonfinite: config.on_nonfinite }
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
        let Field { record, keys, .. } = &mut self.fields[field];
        record.clear();
        record.is_seen = true;
        let row = column.len();
        let first_byte = reader.peek_token();
        if first_byte == Some(b'n') {
            reader.literal("null")?;
            column.push_nulls(1);
            return Ok(());
        }
        let start = reader.clone();
        let outcome = if first_byte == Some(b'[') {
            take_elements(reader, record, column, depth + 1, self.on_nonfinite)
        } else {
            let reason = format!("expected a list of numbers or null, got {}", kind_of_value(first_byte));
            Err(Fault::new(FaultKind::Value, reader.position(), reason))
        };
        match outcome {
            Ok(()) => {
                record.is_list = true;
                column.finish_row();
                Ok(())
            }
            Err(fault) if fault.kind == FaultKind::Value => {
                record.fault = Some(keys.iter().rev().fold(fault, |fault, key| fault.below(key)));
                column.truncate(row);
                column.push_nulls(1);
                *reader = start;
                reader.skip_value()
            }
            Err(fault) => Err(fault),
        }
    }

    /// Takes the lists below `marks` from a value that its column keeps as text, and makes them lists of
    /// doubles there too, so that their text is the one that they have when they are widened later.
    #[cold]
    pub(super) fn take_from_tree(&mut self, marks: &Marks, tree: &mut Tree<'_>) {
        if let Some(field) = marks.field {
            let Field { record, keys, .. } = &mut self.fields[field];
            record.clear();
            record.is_seen = true;
            match numbers_of_tree(tree, record, self.on_nonfinite) {
                Ok(is_list) => record.is_list = is_list,
                Err(fault) => {
                    record.fault = Some(keys.iter().rev().fold(fault, |fault, key| fault.below(key)));
                }
            }
        }
        for (key, marks) in &marks.below {
            match tree {
                Tree::Object(members) => {
                    if let Some(value) = members.get_mut(key.as_bytes()) {
                        self.take_from_tree(marks, value);
                    }
                }
                // Elements share a column that keeps its own type, so their text stays as it is.
                Tree::List(elements) => {
                    let index = key.parse::<usize>().ok().filter(|index| index.to_string() == *key);
                    let element = index.and_then(|index| elements.get(index));
                    if let Some(mut element) = element.cloned() {
                        self.take_from_tree(marks, &mut element);
                    }
                }
                _ => {}
            }
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

/// Takes the array that is next: every element into the column, those that count into the record.
fn take_elements(
    reader: &mut Reader<'_>,
    record: &mut RecordList,
    column: &mut Column,
    depth: u32,
    on_nonfinite: OnNonfinite,
) -> Read<()> {
    reader.check_depth(depth)?;
    let Store::List(list) = &mut column.store else { unreachable!("a --values column is a list") };
    let elements = &mut *list.element;
    // Numbers from here on are not in the column yet.
    let mut run_start = 0;
    let mut index = 0_usize;
    let mut goes_on = reader.enter(b']');
    while goes_on {
        let position = reader.position();
        let element = element(reader, position).map_err(|fault| fault.below(&index.to_string()))?;
        match element {
            Element::Number(number) if number.is_finite() => record.numbers.push(number),
            Element::Number(number) => {
                elements.push_doubles(&record.numbers[run_start..]);
                elements.push_doubles(&[number]);
                count_nonfinite(number, position, record, on_nonfinite)
                    .map_err(|fault| fault.below(&index.to_string()))?;
                run_start = record.numbers.len();
            }
            Element::Null => {
                elements.push_doubles(&record.numbers[run_start..]);
                elements.push_nulls(1);
                record.null_count += 1;
                run_start = record.numbers.len();
            }
        }
        index += 1;
        goes_on = reader.goes_on(b']')?;
    }
    elements.push_doubles(&record.numbers[run_start..]);
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

fn numbers_of_tree(tree: &mut Tree<'_>, record: &mut RecordList, on_nonfinite: OnNonfinite) -> Read<bool> {
    let wrong = |reason: String| Fault::new(FaultKind::Value, 0, reason);
    let elements = match tree {
        Tree::Null => return Ok(false),
        Tree::List(elements) => elements,
        other => {
            return Err(wrong(format!("expected a list of numbers or null, got {}", kind_of_tree(other))));
        }
    };
    for (index, element) in elements.iter_mut().enumerate() {
        let number = match &*element {
            Tree::Null => {
                record.null_count += 1;
                continue;
            }
            Tree::Number(number) => exact_double(*number, 0),
            Tree::Text(text) => double_of_text(text, 0),
            other => Err(wrong(format!("expected a number, got {}", kind_of_tree(other)))),
        };
        let counted = number.and_then(|number| {
            *element = Tree::Number(Number::Double(number));
            if number.is_finite() {
                record.numbers.push(number);
                return Ok(());
            }
            count_nonfinite(number, 0, record, on_nonfinite)
        });
        counted.map_err(|fault| fault.below(&index.to_string()))?;
    }
    Ok(true)
}

fn kind_of_tree(tree: &Tree<'_>) -> &'static str {
    kind_of_value(Some(match tree {
        Tree::Null => b'n',
        Tree::Bool(true) => b't',
        Tree::Bool(false) => b'f',
        Tree::Number(_) => b'0',
        Tree::Text(_) => b'"',
        Tree::List(_) => b'[',
        Tree::Object(_) => b'{',
    }))
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
