//! `text(v)`: the one text of a JSON value, the same whether it is decoded as text or widened later.
//!
//! A string is its own text; an integer its digits; a double its shortest round-trip digits without a
//! trailing `.0`; a list or an object compact JSON, keys sorted by code point, null members left out.

use std::io::Write as _;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray,
};
use arrow::datatypes::{Float64Type, Int64Type};

use super::{ColumnType, Quoting, TimestampText, timestamp_values};

/// Appends the shortest text that reads back as `value`; integral values have no `.0`.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    write!(out, "{value:?}").expect("writing to a Vec does not fail");
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
}

/// Appends `value` as JSON: like [`write_double`], but what JSON has no number for (NaN, infinities, which
/// only a list of numbers can hold) is a string, as it came.
pub fn write_json_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        write_double(value, out);
    } else {
        write!(out, "\"{value}\"").expect("writing to a Vec does not fail");
    }
}

/// Appends `text` as a JSON string: only what JSON demands is escaped.
pub fn write_json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    while let Some(position) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        out.extend_from_slice(&rest[..position]);
        match rest[position] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control => write!(out, "\\u{control:04x}").expect("writing to a Vec does not fail"),
        }
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Reads values of one array back as JSON or as text.
#[derive(Debug)]
pub struct JsonText<'a> {
    array: &'a dyn Array,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int64(&'a Int64Array),
    Double(&'a Float64Array),
    Timestamp(&'a [i64], TimestampText),
    Text(&'a StringArray, Quoting),
    EmptyObject,
    /// Members sorted by name, as they are written.
    Struct(Vec<(Vec<u8>, JsonText<'a>)>),
    List(&'a ListArray, Box<JsonText<'a>>),
}

impl<'a> JsonText<'a> {
    /// A reader of `array`, whose values are of type `column_type` in the form of memory or parts.
    pub fn new(array: &'a ArrayRef, column_type: &ColumnType) -> Self {
        let values = match column_type {
            ColumnType::Null => Values::Null,
            ColumnType::Bool => Values::Bool(array.as_boolean()),
            ColumnType::Int64 => Values::Int64(array.as_primitive::<Int64Type>()),
            ColumnType::Double => Values::Double(array.as_primitive::<Float64Type>()),
            ColumnType::Timestamp(forms) => {
                Values::Timestamp(timestamp_values(array), TimestampText::new(*forms))
            }
            ColumnType::Text(quoting) => Values::Text(array.as_string(), *quoting),
            ColumnType::EmptyObject => Values::EmptyObject,
            ColumnType::Struct(fields) => Values::Struct(members(array.as_struct(), fields)),
            ColumnType::List(element) => {
                let list = array.as_list::<i32>();
                Values::List(list, Box::new(JsonText::new(list.values(), element)))
            }
        };
        Self { array: array.as_ref(), values }
    }

    /// Whether the value of this row is null.
    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.array.is_null(row)
    }

    /// Appends the value of this row as JSON; `null` for a null.
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.values {
            Values::Timestamp(values, spelling) => {
                out.push(b'"');
                spelling.write(values[row], out);
                out.push(b'"');
            }
            Values::Double(values) => write_json_double(values.value(row), out),
            Values::Text(values, Quoting::Strings) => write_json_string(values.value(row).as_bytes(), out),
            Values::Struct(members) => {
                let mut separator = b'{';
                for (name, member) in members.iter().filter(|(_, member)| !member.is_null(row)) {
                    out.push(separator);
                    separator = b',';
                    write_json_string(name, out);
                    out.push(b':');
                    member.write_json(row, out);
                }
                out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
            }
            Values::List(list, element) => {
                out.push(b'[');
                let offsets = list.value_offsets();
                for position in offsets[row]..offsets[row + 1] {
                    if position > offsets[row] {
                        out.push(b',');
                    }
                    element.write_json(position as usize, out);
                }
                out.push(b']');
            }
            _ => self.write_text(row, out),
        }
    }

    /// Appends `text(v)` of the value of this row, which is not null.
    ///
    /// Mixed text is taken to be JSON fragments when it stands inside an object or a list, and to be
    /// text already when it stands alone: both are copied.
    pub fn write_text(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Null => {}
            Values::Bool(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Int64(values) => {
                write!(out, "{}", values.value(row)).expect("writing to a Vec does not fail");
            }
            Values::Double(values) => write_double(values.value(row), out),
            Values::Timestamp(values, spelling) => spelling.write(values[row], out),
            Values::Text(values, _) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::EmptyObject => out.extend_from_slice(b"{}"),
            Values::Struct(_) | Values::List(..) => self.write_json(row, out),
        }
    }
}

fn members<'a>(
    array: &'a StructArray,
    fields: &[(std::sync::Arc<str>, ColumnType)],
) -> Vec<(Vec<u8>, JsonText<'a>)> {
    let mut members: Vec<_> = fields
        .iter()
        .zip(array.columns())
        .map(|((name, of), column)| (name.as_bytes().to_vec(), JsonText::new(column, of)))
        .collect();
    members.sort_by(|(left, _), (right, _)| left.cmp(right));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_with_the_fewest_digits_that_read_back() {
        let text = |value: f64| {
            let mut out = Vec::new();
            write_double(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(1.0), "1");
        assert_eq!(text(-0.0), "-0");
        assert_eq!(text(0.1), "0.1");
        assert_eq!(text(1e308), "1e308");
        assert_eq!(text(5e-324), "5e-324");
        assert_eq!(text(9_007_199_254_740_993.0), "9007199254740992");
    }

    #[test]
    fn json_strings_escape_what_json_demands_and_nothing_else() {
        let mut out = Vec::new();
        write_json_string("a\"\\\n\r\t\u{8}\u{c}\u{1}/é".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\"\\\n\r\t\b\f\u0001/é""#);
    }
}
