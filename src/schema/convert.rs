//! Widening arrays that are already built: from the type of a page or part to the type of the run.
//!
//! Never narrows, never rounds. Inside objects and lists, text that was a string in one record and
//! another value in the next is kept as JSON fragments (`"a"`, `1`), so that an object that becomes
//! text later has the text that it would have had from the start; [`to_form`] takes the quotes off.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, ListArray, StringArray, StructArray, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Int64Type};

use super::output::stored_data_type;
use super::text::{JsonText, write_json_string};
use super::timestamp::{in_unit_of, read_timestamp, timestamp_array};
use super::{ColumnType, Quoting, TimestampForms, element_field};

/// Where a column stands: by itself in the record, or inside an object or a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Inside,
}

/// Converts a top-level column from one type to one that holds all of its values.
///
/// `from` may be in the form of memory or of a part; the result is in the form of memory.
///
/// # Panics
/// `to` is narrower than `from`, which is a defect of the caller.
pub fn convert(array: &ArrayRef, from: &ColumnType, to: &ColumnType) -> ArrayRef {
    widen(array, from, to, Place::Top)
}

/// As [`convert`], for a column inside an object or a list.
pub(crate) fn convert_inside(array: &ArrayRef, from: &ColumnType, to: &ColumnType) -> ArrayRef {
    widen(array, from, to, Place::Inside)
}

fn widen(array: &ArrayRef, from: &ColumnType, to: &ColumnType, place: Place) -> ArrayRef {
    match (from, to) {
        _ if from == to => Arc::clone(array),
        (ColumnType::Null, _) => new_null_array(&to.data_type(), array.len()),
        (ColumnType::Timestamp(_), ColumnType::Timestamp(to)) => in_unit_of(array, *to),
        (ColumnType::Int64, ColumnType::Double) => {
            let integers = array.as_primitive::<Int64Type>();
            let doubles = integers.values().iter().map(|value| *value as f64).collect::<Vec<_>>();
            Arc::new(Float64Array::new(doubles.into(), integers.nulls().cloned()))
        }
        (ColumnType::Text(from), ColumnType::Text(to)) => match (place, from, to) {
            (Place::Inside, Quoting::Strings, Quoting::Mixed) => quote(array.as_string()),
            // Text that is declared is what it will be: it has no fragments.
            (Place::Inside, Quoting::Mixed, Quoting::Strings) => unquote(array.as_string()),
            _ => Arc::clone(array),
        },
        // Of one declared type, but not of one spelling.
        (ColumnType::Text(_), ColumnType::Timestamp(to)) => timestamps_of(array.as_string(), *to),
        (_, ColumnType::Text(quoting)) => {
            let text = JsonText::new(array, from);
            let as_json = place == Place::Inside && *quoting == Quoting::Mixed;
            text_array(array.len(), |row, out| {
                let is_valid = !text.is_null(row);
                match is_valid {
                    true if as_json => text.write_json(row, out),
                    true => text.write_text(row, out),
                    false => {}
                }
                is_valid
            })
        }
        (ColumnType::EmptyObject, ColumnType::Struct(fields)) => {
            let columns = fields.iter().map(|(_, of)| new_null_array(&of.data_type(), array.len())).collect();
            struct_array(fields, columns, array.nulls().cloned(), array.len())
        }
        (ColumnType::Struct(from), ColumnType::Struct(to)) => {
            let array = array.as_struct();
            let columns = to
                .iter()
                .map(|(name, to)| match from.iter().position(|(candidate, _)| candidate == name) {
                    Some(place) => convert_inside(array.column(place), &from[place].1, to),
                    None => new_null_array(&to.data_type(), array.len()),
                })
                .collect();
            struct_array(to, columns, array.nulls().cloned(), array.len())
        }
        (ColumnType::List(from), ColumnType::List(to)) => {
            let list = array.as_list::<i32>();
            let elements = convert_inside(list.values(), from, to);
            list_array(list, elements)
        }
        _ => unreachable!("a column never narrows, here from {from:?} to {to:?}"),
    }
}

/// How far an array is brought towards what readers of the file see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Open types are closed (null and `{}` become text), but mixed text inside objects and lists
    /// stays as JSON fragments, so that the part can still be widened.
    Part,
    /// Mixed text is text(v).
    Published,
}

/// Brings a top-level column from the form of memory (or of a part) to `form`.
pub(crate) fn to_form(array: &ArrayRef, of: &ColumnType, form: Form) -> ArrayRef {
    bring(array, of, form, Place::Top)
}

fn bring(array: &ArrayRef, of: &ColumnType, form: Form, place: Place) -> ArrayRef {
    match of {
        ColumnType::Null => new_null_array(&stored_data_type(of), array.len()),
        ColumnType::EmptyObject => text_array(array.len(), |row, out| {
            out.extend_from_slice(if array.is_valid(row) { b"{}" } else { b"" });
            array.is_valid(row)
        }),
        ColumnType::Text(Quoting::Mixed) if place == Place::Inside && form == Form::Published => {
            unquote(array.as_string())
        }
        ColumnType::Struct(fields) => {
            let array = array.as_struct();
            let columns: Vec<_> = array
                .columns()
                .iter()
                .zip(fields)
                .map(|(column, (_, of))| bring(column, of, form, Place::Inside))
                .collect();
            struct_array(fields, columns, array.nulls().cloned(), array.len())
        }
        ColumnType::List(element) => {
            let list = array.as_list::<i32>();
            list_array(list, bring(list.values(), element, form, Place::Inside))
        }
        _ => Arc::clone(array),
    }
}

/// Whether a column holds mixed text inside objects or lists, which differs between part and output.
pub(crate) fn holds_fragments(of: &ColumnType) -> bool {
    fn inside(of: &ColumnType) -> bool {
        matches!(of, ColumnType::Text(Quoting::Mixed)) || holds_fragments(of)
    }
    match of {
        ColumnType::Struct(fields) => fields.iter().any(|(_, of)| inside(of)),
        ColumnType::List(element) => inside(element),
        _ => false,
    }
}

fn quote(texts: &StringArray) -> ArrayRef {
    text_array(texts.len(), |row, out| {
        if texts.is_valid(row) {
            write_json_string(texts.value(row).as_bytes(), out);
        }
        texts.is_valid(row)
    })
}

fn unquote(fragments: &StringArray) -> ArrayRef {
    text_array(fragments.len(), |row, out| {
        let is_valid = fragments.is_valid(row);
        let fragment = if is_valid { fragments.value(row) } else { "" };
        if fragment.starts_with('"') {
            let text: String = serde_json::from_str(fragment).expect("fragments are JSON that etl wrote");
            out.extend_from_slice(text.as_bytes());
        } else {
            out.extend_from_slice(fragment.as_bytes());
        }
        is_valid
    })
}

/// # Panics
/// A text is no timestamp.
fn timestamps_of(texts: &StringArray, to: TimestampForms) -> ArrayRef {
    let value_of = |row| {
        let text = if texts.is_valid(row) { texts.value(row) } else { return 0 };
        let (instant, _) = read_timestamp(text.as_bytes()).expect("the column holds timestamps only");
        instant.in_unit(to.unit())
    };
    timestamp_array((0..texts.len()).map(value_of).collect(), texts.nulls().cloned(), to)
}

/// Builds a text column; `write` appends the value of a row and says whether there is one.
fn text_array(row_count: usize, mut write: impl FnMut(usize, &mut Vec<u8>) -> bool) -> ArrayRef {
    let mut bytes = Vec::new();
    let mut offsets = Vec::with_capacity(row_count + 1);
    let mut validity = Vec::with_capacity(row_count);
    offsets.push(0);
    for row in 0..row_count {
        validity.push(write(row, &mut bytes));
        offsets.push(i32::try_from(bytes.len()).expect("a row group's text is far below 2 GiB"));
    }
    let nulls = NullBuffer::from(validity);
    Arc::new(StringArray::new(
        OffsetBuffer::new(offsets.into()),
        Buffer::from_vec(bytes),
        (nulls.null_count() > 0).then_some(nulls),
    ))
}

/// Fields are named after `members` and typed after their arrays, which may be in either form.
fn struct_array(
    members: &[(Arc<str>, ColumnType)],
    columns: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
    row_count: usize,
) -> ArrayRef {
    let fields: Vec<_> = members
        .iter()
        .zip(&columns)
        .map(|((name, _), column)| Field::new(name.as_ref(), column.data_type().clone(), true))
        .collect();
    Arc::new(
        StructArray::try_new_with_length(fields.into(), columns, nulls, row_count)
            .expect("members have the rows of their object"),
    )
}

fn list_array(list: &ListArray, elements: ArrayRef) -> ArrayRef {
    let field = Arc::new(element_field(elements.data_type().clone()));
    Arc::new(ListArray::new(field, list.offsets().clone(), elements, list.nulls().cloned()))
}
