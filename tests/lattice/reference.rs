//! The lattice of types, slowly: the type of a set of values, and what its column must hold.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use chrono::{DateTime, FixedOffset};
use etl::model::PageBatch;
use etl::schema::{ColumnType, Quoting, TimestampText};

use crate::NESTING;
use crate::json::Json;

/// Integers up to here may stand beside doubles.
const EXACT: u64 = 1 << 53;

/// The type that the lattice gives to a set of values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int64,
    Double,
    Timestamp(TimeUnit),
    Text(Quoting),
    EmptyObject,
    Struct(Vec<(String, Type)>),
    List(Box<Type>),
}

impl Type {
    /// The type of all these values together; nulls have no say.
    pub(crate) fn of(values: &[&Json]) -> Self {
        let values: Vec<&Json> = values.iter().copied().filter(|value| **value != Json::Null).collect();
        let all = |is_kind: fn(&Json) -> bool| values.iter().all(|value| is_kind(value));
        if values.is_empty() {
            return Self::Null;
        }
        if all(|value| matches!(value, Json::Bool(_))) {
            return Self::Bool;
        }
        if all(|value| matches!(value, Json::Int(_))) {
            return Self::Int64;
        }
        let is_exact = |value: &Json| match value {
            Json::Int(value) => value.unsigned_abs() <= EXACT,
            value => matches!(value, Json::Double(_)),
        };
        if all(is_exact) {
            return Self::Double;
        }
        if all(|value| matches!(value, Json::Object(_))) {
            return Self::of_objects(&values, NESTING.keys_max);
        }
        if all(|value| matches!(value, Json::List(_))) {
            let elements: Vec<&Json> = values
                .iter()
                .flat_map(|value| match value {
                    Json::List(elements) => elements.iter(),
                    _ => [].iter(),
                })
                .collect();
            return Self::List(Box::new(Self::of(&elements)));
        }
        let texts: Vec<&str> = values
            .iter()
            .filter_map(|value| match value {
                Json::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        match (texts.len() == values.len(), texts.is_empty()) {
            (true, _) => unit_of_timestamps(&texts).map_or(Self::Text(Quoting::Strings), Self::Timestamp),
            (false, true) => Self::Text(Quoting::Tokens),
            (false, false) => Self::Text(Quoting::Mixed),
        }
    }

    fn of_objects(objects: &[&Json], keys_max: usize) -> Self {
        let mut members: Vec<(String, Vec<&Json>)> = Vec::new();
        for object in objects {
            let Json::Object(of_object) = object else { unreachable!("all are objects") };
            for (key, value) in of_object {
                match members.iter_mut().find(|(name, _)| name == key) {
                    Some((_, values)) => values.push(value),
                    None => members.push((key.clone(), vec![value])),
                }
            }
        }
        if members.len() > keys_max {
            return Self::Text(Quoting::Tokens);
        }
        if members.is_empty() {
            return Self::EmptyObject;
        }
        Self::Struct(members.into_iter().map(|(key, values)| (key, Self::of(&values))).collect())
    }

    fn is_of(&self, of: &ColumnType) -> bool {
        match (self, of) {
            (Self::Null, ColumnType::Null)
            | (Self::Bool, ColumnType::Bool)
            | (Self::Int64, ColumnType::Int64)
            | (Self::Double, ColumnType::Double)
            | (Self::EmptyObject, ColumnType::EmptyObject) => true,
            (Self::Timestamp(ours), ColumnType::Timestamp(theirs)) => *ours == theirs.unit(),
            (Self::Text(ours), ColumnType::Text(theirs)) => ours == theirs,
            (Self::List(ours), ColumnType::List(theirs)) => ours.is_of(theirs),
            (Self::Struct(ours), ColumnType::Struct(theirs)) => {
                ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|((our_name, ours), (their_name, theirs))| {
                        **our_name == **their_name && ours.is_of(theirs)
                    })
            }
            _ => false,
        }
    }
}

/// The digits of the fraction, the suffix and the time of a timestamp that can be given back.
fn read_timestamp(text: &str) -> Option<(&str, &str, DateTime<FixedOffset>)> {
    let suffix = ["Z", "+00:00"].into_iter().find(|suffix| text.ends_with(suffix))?;
    let (clock, fraction) = text.strip_suffix(suffix)?.split_at_checked(19)?;
    let digits =
        if fraction.is_empty() { "" } else { fraction.strip_prefix('.').filter(|d| !d.is_empty())? };
    let is_plain = clock.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, pattern)| match pattern {
        b'0' => byte.is_ascii_digit(),
        other => byte == *other,
    });
    let is_leap = clock.ends_with(":60");
    if !is_plain || is_leap || digits.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    // Year 0 is none in the calendars of most readers.
    (!text.starts_with("0000")).then_some((digits, suffix, time))
}

/// "RFC 3339 with `T`, one UTC suffix and up to 9 digits in one form (n digits, n or none, or trailing
/// zeros trimmed), so that the text can be given back"; nanoseconds where there are 7 digits or more.
fn unit_of_timestamps(texts: &[&str]) -> Option<TimeUnit> {
    let read = texts.iter().map(|text| read_timestamp(text)).collect::<Option<Vec<_>>>()?;
    let one_suffix = read.iter().all(|(_, suffix, _)| *suffix == read[0].1);
    let is_zero = |digits: &str| digits.bytes().all(|digit| digit == b'0');
    let has_form = |fits: &dyn Fn(&str) -> bool| read.iter().all(|(digits, ..)| fits(digits));
    let fixed = (0..=9).any(|count| has_form(&|digits| digits.len() == count));
    let or_none = (1..=9)
        .any(|count| has_form(&|digits| digits.is_empty() || digits.len() == count && !is_zero(digits)));
    let trimmed = has_form(&|digits| !digits.ends_with('0'));
    let is_long = read.iter().any(|(digits, ..)| digits.len() > 6);
    let unit = if is_long { TimeUnit::Nanosecond } else { TimeUnit::Microsecond };
    let fits = !is_long || read.iter().all(|(.., time)| time.timestamp_nanos_opt().is_some());
    (one_suffix && fits && (fixed || or_none || trimmed)).then_some(unit)
}

/// A value of a column: its row, and what it must be; `None` where the record has nothing.
type Cell<'a> = (usize, Option<&'a Json>);

/// Says where an array differs from what a column of type `expected` must hold, if it does.
///
/// Inside objects and lists, mixed text is in the form of memory: JSON fragments.
pub(crate) fn check_column(
    array: &ArrayRef,
    of: &ColumnType,
    expected: &Type,
    cells: &[Cell<'_>],
    is_inside: bool,
) -> Result<(), String> {
    if !expected.is_of(of) {
        return Err(format!("expected the type {expected:?}, got {of:?}"));
    }
    if *array.data_type() != of.data_type() {
        return Err(format!("an array of {of:?} has the Arrow type {}", array.data_type()));
    }
    for (row, value) in cells {
        let is_null = value.is_none_or(|value| *value == Json::Null);
        let array_is_null = matches!(of, ColumnType::Null) || array.is_null(*row);
        if is_null != array_is_null {
            return Err(format!("row {row}: expected {value:?}, got is_null = {array_is_null}"));
        }
    }
    let present: Vec<(usize, &Json)> = cells
        .iter()
        .filter_map(|(row, value)| value.filter(|value| **value != Json::Null).map(|value| (*row, value)))
        .collect();
    match (expected, of) {
        (Type::Struct(members), ColumnType::Struct(types)) => {
            for ((column, (name, expected)), (_, of)) in
                array.as_struct().columns().iter().zip(members).zip(types)
            {
                let cells: Vec<Cell<'_>> =
                    present.iter().map(|(row, object)| (*row, member(object, name))).collect();
                check_column(column, of, expected, &cells, true)
                    .map_err(|wrong| format!("{name}: {wrong}"))?;
            }
            Ok(())
        }
        (Type::List(expected), ColumnType::List(of)) => {
            let list = array.as_list::<i32>();
            let mut cells: Vec<Cell<'_>> = Vec::new();
            for (row, value) in present {
                let Json::List(elements) = value else { unreachable!("the reference said list") };
                let start = list.value_offsets()[row] as usize;
                let length = list.value_length(row) as usize;
                if length != elements.len() {
                    return Err(format!("row {row}: expected {} elements, got {length}", elements.len()));
                }
                cells.extend(elements.iter().enumerate().map(|(place, value)| (start + place, Some(value))));
            }
            check_column(list.values(), of, expected, &cells, true).map_err(|wrong| format!("[]: {wrong}"))
        }
        _ => present.iter().try_for_each(|(row, value)| {
            let found = shown(array, of, *row);
            let wanted = wanted(value, expected, is_inside);
            if found == wanted { Ok(()) } else { Err(format!("row {row}: expected {wanted}, got {found}")) }
        }),
    }
}

fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let Json::Object(members) = object else { unreachable!("the reference said object") };
    members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// A scalar as a column of this type must hold it, in words that tell -0 from 0.
fn wanted(value: &Json, expected: &Type, is_inside: bool) -> String {
    match (expected, value) {
        (Type::Double, Json::Int(value)) => format!("{:?}", *value as f64),
        (Type::Double, Json::Double(value)) => format!("{value:?}"),
        (Type::Timestamp(unit), Json::Text(text)) => {
            let (.., time) = read_timestamp(text).expect("the reference said timestamp");
            let number = match unit {
                TimeUnit::Nanosecond => time.timestamp_nanos_opt().expect("it fits"),
                _ => time.timestamp_micros(),
            };
            format!("{number} = {text}")
        }
        (Type::Text(Quoting::Mixed), value) if is_inside => value.compact(),
        (_, value) => value.text(),
    }
}

fn shown(array: &ArrayRef, of: &ColumnType, row: usize) -> String {
    match of {
        ColumnType::Bool => array.as_boolean().value(row).to_string(),
        ColumnType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        ColumnType::Double => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Timestamp(forms) => {
            let number = match forms.unit() {
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
                _ => array.as_primitive::<TimestampMicrosecondType>().value(row),
            };
            let mut text = Vec::new();
            TimestampText::new(*forms).write(number, &mut text);
            format!("{number} = {}", String::from_utf8_lossy(&text))
        }
        ColumnType::Text(_) => array.as_string::<i32>().value(row).to_owned(),
        ColumnType::EmptyObject => "{}".into(),
        other => format!("{other:?}"),
    }
}

/// Says where the columns of a page differ from what these records make of it, if they do.
pub(crate) fn check_page(records: &[&Json], batch: &PageBatch) -> Result<(), String> {
    if batch.row_count != records.len() {
        return Err(format!("expected {} rows, got {}", records.len(), batch.row_count));
    }
    let members = match Type::of_objects(records, usize::MAX) {
        Type::Struct(members) => members,
        _ => Vec::new(),
    };
    let names: Vec<&str> = batch.shape.fields.iter().map(|(name, _)| &**name).collect();
    if names != members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>() {
        return Err(format!("expected the columns {members:?}, got {names:?}"));
    }
    for ((column, (name, expected)), (_, shape)) in
        batch.columns.iter().zip(&members).zip(&batch.shape.fields)
    {
        if column.row_count() != records.len() {
            return Err(format!("{name}: {} rows of {}", column.row_count(), records.len()));
        }
        let cells: Vec<Cell<'_>> =
            records.iter().enumerate().map(|(row, record)| (row, member(record, name))).collect();
        check_column(&column.to_array(), &shape.column_type(), expected, &cells, false)
            .map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    Ok(())
}
