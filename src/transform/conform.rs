//! Records held to a declared schema: whether columns fit it, and what of a record does not.
//!
//! A chunk is decoded as if there were no schema. Only if its columns then do not fit is it decoded once more, and
//! each record walked through before it is taken: what fits costs next to nothing.

use std::cell::OnceCell;
use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

use super::marks::{Marks, Usage};
use super::reader::{Number, Read, Reader, kind_of_value};
use crate::model::{BatchColumn, PageBatch};
use crate::schema::{
    DOUBLE_INTEGER_MAX, DeclaredField, DeclaredSchema, DeclaredType, Kinds, SchemaContract, Shape,
    read_timestamp,
};

/// Characters of a number that are shown.
const SHOWN_CHARS_MAX: usize = 40;

/// A record without what does not fit the schema.
#[derive(Debug)]
pub(super) struct Conformed {
    /// The record with null in place of values that do not fit, and without fields that are not declared.
    pub(super) record: Vec<u8>,
    /// The first differences.
    pub(super) differences: Vec<Difference>,
    /// How many there are.
    pub(super) difference_count: usize,
}

/// What of a record does not fit the schema.
#[derive(Debug)]
pub(super) struct Difference {
    /// Reference tokens of the JSON Pointer to it.
    pub(super) keys: Vec<String>,
    pub(super) reason: String,
    /// The value, as it is in the record; `None` if it is the lack of one.
    pub(super) value: Option<Vec<u8>>,
}

/// Whether the columns of a batch, as they were decoded, can be those of the schema.
pub(super) fn fits(batch: &PageBatch, schema: &DeclaredSchema, contract: SchemaContract) -> bool {
    // Where values may be discarded, there may be none as well.
    let needs_values = contract != SchemaContract::DiscardValue && batch.row_count > 0;
    let mut columns = batch.shape.fields.iter().zip(&batch.columns);
    columns
        .all(|((name, shape), column)| schema.admits(name, shape) || is_of_times(schema, name, shape, column))
        && (!needs_values || has_all_values(batch, &schema.fields))
}

/// Whether a column is one of times that are not spelled alike, as a declared column of timestamps may be.
fn is_of_times(schema: &DeclaredSchema, name: &str, shape: &Shape, column: &BatchColumn) -> bool {
    let Some(DeclaredType::Timestamp(unit)) = schema.field(name).map(|field| &field.of) else { return false };
    let is_time = |text: &str| read_timestamp(text.as_bytes()).is_some_and(|(_, forms)| forms.fit(*unit));
    shape.kinds == Kinds::STRING
        && shape.is_text()
        && column.values().as_string::<i32>().iter().flatten().all(is_time)
}

fn has_all_values(batch: &PageBatch, fields: &[DeclaredField]) -> bool {
    fields.iter().filter(|field| needs_values(field)).all(|field| {
        let place = batch.shape.fields.iter().position(|(name, _)| *name == field.name);
        let Some(column) = place.map(|place| &batch.columns[place]) else { return field.is_nullable };
        (field.is_nullable || column.null_count() == 0) && holds_all_values(column.values(), &field.of)
    })
}

/// Whether a field, or one in it, must have a value.
fn needs_values(field: &DeclaredField) -> bool {
    fn inside(of: &DeclaredType) -> bool {
        match of {
            DeclaredType::Struct(fields) => fields.iter().any(needs_values),
            DeclaredType::List(element) => inside(element),
            _ => false,
        }
    }
    !field.is_nullable || inside(&field.of)
}

/// Whether the objects in an array have values where they must.
fn holds_all_values(array: &dyn Array, of: &DeclaredType) -> bool {
    match (array.data_type(), of) {
        (DataType::Struct(members), DeclaredType::Struct(fields)) => {
            let objects = array.as_struct();
            fields.iter().filter(|field| needs_values(field)).all(|field| {
                let place = members.iter().position(|member| *member.name() == *field.name);
                let Some(member) = place.map(|place| objects.column(place)) else {
                    return field.is_nullable || objects.null_count() == objects.len();
                };
                let nulls = member.logical_nulls();
                let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                let lacks_one = || (0..objects.len()).any(|row| objects.is_valid(row) && is_null(row));
                (field.is_nullable || !lacks_one()) && holds_all_values(member, &field.of)
            })
        }
        (DataType::List(_), DeclaredType::List(element)) => {
            holds_all_values(array.as_list::<i32>().values(), element)
        }
        _ => true,
    }
}

/// Takes what does not fit the schema out of the record that is next, in which no key stands twice. So many differences are
/// kept, the others counted.
///
/// # Errors
/// The record is no object, or holds what no record may.
pub(super) fn conform(
    reader: &mut Reader<'_>,
    schema: &DeclaredSchema,
    marks: &Marks,
    differences_max: usize,
) -> Read<Conformed> {
    let conformed = Conformed { record: Vec::new(), differences: Vec::new(), difference_count: 0 };
    let mut walk = Walk { reader, conformed, differences_max, keys: Vec::new() };
    if walk.reader.peek_token() != Some(b'{') {
        return Err(walk.reader.expected("an object"));
    }
    walk.object(&schema.fields, Some(marks))?;
    Ok(walk.conformed)
}

/// Finds fields by name: records mostly have them in the order of the schema.
struct Places<'f> {
    fields: &'f [DeclaredField],
    next: usize,
    by_name: OnceCell<HashMap<&'f str, usize>>,
}

impl<'f> Places<'f> {
    fn new(fields: &'f [DeclaredField]) -> Self {
        Self { fields, next: 0, by_name: OnceCell::new() }
    }

    fn of(&mut self, name: &str) -> Option<usize> {
        let place = match self.fields.get(self.next).filter(|field| *field.name == *name) {
            Some(_) => Some(self.next),
            None => {
                let by_name = self.by_name.get_or_init(|| {
                    self.fields.iter().enumerate().map(|(place, field)| (&*field.name, place)).collect()
                });
                by_name.get(name).copied()
            }
        };
        self.next = place.map_or(self.next, |place| place + 1);
        place
    }
}

struct Walk<'r, 'a> {
    reader: &'r mut Reader<'a>,
    conformed: Conformed,
    differences_max: usize,
    /// The keys that lead to where the reader stands.
    keys: Vec<String>,
}

/// What stands in the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// A value, be it one that does not fit.
    Value,
    Null,
}

impl Walk<'_, '_> {
    fn object(&mut self, fields: &[DeclaredField], marks: Option<&Marks>) -> Read<()> {
        let mut has_value = vec![false; fields.len()];
        let mut places = Places::new(fields);
        self.conformed.record.push(b'{');
        let mut goes_on = self.reader.enter(b'}');
        while goes_on {
            let (key, token) = self.reader.key()?;
            let key = String::from_utf8_lossy(&key).into_owned();
            let start = self.conformed.record.len();
            if start > 0 && self.conformed.record[start - 1] != b'{' {
                self.conformed.record.push(b',');
            }
            self.conformed.record.extend_from_slice(token);
            self.conformed.record.push(b':');
            let usage = marks.map_or(Usage::Column, |marks| marks.usage_of(key.as_bytes()));
            let below = marks.and_then(|marks| marks.child(key.as_bytes())).map(|below| &**below);
            let name = below.and_then(|below| below.name.as_deref()).unwrap_or(&key);
            let place = places.of(name);
            self.keys.push(key.clone());
            match place {
                // It is no column.
                _ if !usage.is_shown() => self.copy()?,
                None => {
                    let value = self.skip()?;
                    let found = kind_of_value(value.first().copied());
                    self.differ(format!("expected no such field, got {found}"), Some(value));
                    self.conformed.record.truncate(start);
                }
                Some(place) => {
                    let field = &fields[place];
                    // The decoder says what is wrong with a list that is summarised.
                    let is_decided =
                        usage == Usage::Hashed || below.is_some_and(|below| below.field.is_some());
                    let taken = match is_decided {
                        true if self.reader.peek_token() != Some(b'n') => {
                            self.copy().map(|()| Taken::Value)?
                        }
                        _ => self.value(&field.of, below)?,
                    };
                    has_value[place] |= taken == Taken::Value;
                }
            }
            self.keys.pop();
            goes_on = self.reader.goes_on(b'}')?;
        }
        self.conformed.record.push(b'}');
        for (field, _) in fields.iter().zip(has_value).filter(|(field, has)| !field.is_nullable && !has) {
            let hidden_key = marks.and_then(|marks| marks.key_of(&field.name));
            self.keys.push(hidden_key.unwrap_or(&field.name).to_owned());
            self.differ("expected a value (nullable = false), got none".to_owned(), None);
            self.keys.pop();
        }
        Ok(())
    }

    fn value(&mut self, of: &DeclaredType, marks: Option<&Marks>) -> Read<Taken> {
        let first_byte = self.reader.peek_token();
        let start = self.reader.clone();
        match (of, first_byte) {
            (_, Some(b'n')) => return self.copy().map(|()| Taken::Null),
            // Nothing of it is selected, so it is a null.
            (_, first_byte) if first_byte != Some(b'{') && marks.is_some_and(|marks| marks.drops_others) => {
                return self.copy().map(|()| Taken::Null);
            }
            (DeclaredType::Text, _) | (DeclaredType::Bool, Some(b't' | b'f')) => {
                return self.copy().map(|()| Taken::Value);
            }
            (DeclaredType::Struct(fields), Some(b'{')) => {
                return self.object(fields, marks).map(|()| Taken::Value);
            }
            (DeclaredType::List(element), Some(b'[')) => return self.list(element).map(|()| Taken::Value),
            (DeclaredType::Int64 | DeclaredType::Double, Some(b'-' | b'0'..=b'9')) => {
                let fits = match (self.reader.number()?, of) {
                    (Number::Int(_), DeclaredType::Int64) | (Number::Double(_), DeclaredType::Double) => true,
                    (Number::Int(value), DeclaredType::Double) => value.unsigned_abs() <= DOUBLE_INTEGER_MAX,
                    _ => false,
                };
                *self.reader = start.clone();
                if fits {
                    return self.copy().map(|()| Taken::Value);
                }
            }
            (DeclaredType::Timestamp(unit), Some(b'"')) => {
                let timestamp = read_timestamp(&self.reader.string()?);
                *self.reader = start.clone();
                if timestamp.is_some_and(|(_, forms)| forms.fit(*unit)) {
                    return self.copy().map(|()| Taken::Value);
                }
            }
            _ => {}
        }
        let value = self.skip()?;
        let found = match first_byte {
            Some(b'-' | b'0'..=b'9') => {
                value.iter().take(SHOWN_CHARS_MAX).map(|byte| char::from(*byte)).collect()
            }
            _ => kind_of_value(first_byte).to_owned(),
        };
        self.differ(format!("expected {of}, got {found}"), Some(value));
        self.conformed.record.extend_from_slice(b"null");
        Ok(Taken::Value)
    }

    fn list(&mut self, element: &DeclaredType) -> Read<()> {
        self.conformed.record.push(b'[');
        let mut index = 0_usize;
        let mut goes_on = self.reader.enter(b']');
        while goes_on {
            self.keys.push(index.to_string());
            self.value(element, None)?;
            self.keys.pop();
            index += 1;
            goes_on = self.reader.goes_on(b']')?;
            if goes_on {
                self.conformed.record.push(b',');
            }
        }
        self.conformed.record.push(b']');
        Ok(())
    }

    /// Passes the value that is next, and returns it.
    fn skip(&mut self) -> Read<Vec<u8>> {
        self.reader.skip_whitespace();
        let start = self.reader.position();
        self.reader.skip_value()?;
        Ok(self.reader.taken_since(start).to_vec())
    }

    fn copy(&mut self) -> Read<()> {
        let value = self.skip()?;
        self.conformed.record.extend_from_slice(&value);
        Ok(())
    }

    fn differ(&mut self, reason: String, value: Option<Vec<u8>>) {
        self.conformed.difference_count += 1;
        if self.conformed.differences.len() < self.differences_max {
            self.conformed.differences.push(Difference { keys: self.keys.clone(), reason, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TransformConfig;
    use crate::schema::read_schema;

    fn schema() -> DeclaredSchema {
        read_schema(
            r#"
            column = [
                { name = "id", type = "int64", nullable = false },
                { name = "share", type = "double" },
                { name = "at", type = "timestamp[us, UTC]" },
                { name = "text", type = "string" },
                { name = "tags", type = "list<bool>" },
                { name = "user", type = "struct", field = [{ name = "n", type = "int64", nullable = false }] },
            ]
            "#,
        )
        .unwrap()
    }

    /// The record without what does not fit, and the places and reasons.
    fn conformed(record: &str) -> (String, Vec<(String, String)>) {
        let marks = Marks::of(&TransformConfig::default());
        let conformed = conform(&mut Reader::new(record.as_bytes()), &schema(), &marks, 100).unwrap();
        let differences = conformed
            .differences
            .iter()
            .map(|of| (crate::pointer::show(of.keys.iter().map(String::as_str)), of.reason.clone()));
        (String::from_utf8(conformed.record).unwrap(), differences.collect())
    }

    #[test]
    fn record_that_fits_stays_as_it_is() {
        for record in [
            r#"{"id":1}"#,
            r#"{"id":-9223372036854775808,"share":9007199254740992,"at":"2026-01-01T00:00:00.1+00:00","tags":[]}"#,
            r#"{"text":{"b":[1]},"id":1,"tags":[true,null],"user":{"n":0}}"#,
            r#"{"id":1,"share":null,"at":null,"text":null,"tags":null,"user":null}"#,
        ] {
            assert_eq!(conformed(record), (record.to_owned(), vec![]));
        }
    }

    #[test]
    fn each_difference_is_named_and_taken_out_alone() {
        let (record, differences) = conformed(
            r#" { "new":{}, "id" : 1.0,"share":9007199254740993, "at":"2026-01-01T00:00:00.1234567Z","tags":[1,true],
                "user":{"x":2} , "text":1, "user2":3 }"#,
        );
        assert_eq!(record, r#"{"id":null,"share":null,"at":null,"tags":[null,true],"user":{},"text":1}"#);
        let differences: Vec<_> =
            differences.iter().map(|(pointer, reason)| (pointer.as_str(), reason.as_str())).collect();
        assert_eq!(
            differences,
            [
                ("/new", "expected no such field, got an object"),
                ("/id", "expected int64, got 1.0"),
                ("/share", "expected double, got 9007199254740993"),
                ("/at", "expected timestamp[us, UTC], got a string"),
                ("/tags/0", "expected bool, got 1"),
                ("/user/x", "expected no such field, got a number"),
                ("/user/n", "expected a value (nullable = false), got none"),
                ("/user2", "expected no such field, got a number"),
            ]
        );
    }
}
