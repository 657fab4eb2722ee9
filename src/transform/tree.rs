//! A value as a tree: only for values that a text column takes, where keys must be sorted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use super::marks::{Marks, Usage};
use super::projection::NAME_IS_TAKEN;
use super::reader::{Fault, FaultKind, Number, Read, Reader};
use crate::schema::{write_json_double, write_json_string};

#[derive(Debug, Clone)]
pub(super) enum Tree<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Text(Cow<'a, [u8]>),
    List(Vec<Tree<'a>>),
    Object(BTreeMap<Vec<u8>, Tree<'a>>),
}

impl<'a> Tree<'a> {
    /// Reads the value that is next, without the members that `marks` skip; `depth` is its level if it is an object or
    /// an array.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        depth: u32,
        marks: Option<&Marks>,
        duplicate_key_count: &mut u64,
    ) -> Read<Self> {
        match reader.peek_token() {
            // Nothing of it is selected.
            first_byte if first_byte != Some(b'{') && marks.is_some_and(Marks::skips_all_but_objects) => {
                reader.skip_value_at(depth)?;
                Ok(Self::Null)
            }
            Some(b'{') => Self::read_object(reader, depth, marks, duplicate_key_count),
            Some(b'[') => Self::read_list(reader, depth, duplicate_key_count),
            Some(b'"') => Ok(Self::Text(reader.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Self::Number(reader.number()?)),
            Some(b't') => reader.literal("true").map(|()| Self::Bool(true)),
            Some(b'f') => reader.literal("false").map(|()| Self::Bool(false)),
            Some(b'n') => reader.literal("null").map(|()| Self::Null),
            _ => Err(reader.expected("a value")),
        }
    }

    fn read_object(
        reader: &mut Reader<'a>,
        depth: u32,
        marks: Option<&Marks>,
        duplicate_key_count: &mut u64,
    ) -> Read<Self> {
        reader.check_depth(depth)?;
        let mut members = BTreeMap::new();
        let mut goes_on = reader.enter(b'}');
        while goes_on {
            let key = reader.key()?.0.into_owned();
            let below = |fault: Box<Fault>| fault.below(&String::from_utf8_lossy(&key));
            match marks.map_or(Usage::Column, |marks| marks.usage_of(&key)) {
                Usage::Skipped => reader.skip_value_at(depth + 1).map_err(below)?,
                Usage::Refused => {
                    return Err(below(Fault::new(FaultKind::Value, reader.position(), NAME_IS_TAKEN)));
                }
                usage => {
                    let marks = marks.filter(|_| usage != Usage::Hashed).and_then(|marks| marks.child(&key));
                    let marks = marks.map(|marks| &**marks);
                    let value = Self::read(reader, depth + 1, marks, duplicate_key_count).map_err(below)?;
                    *duplicate_key_count += u64::from(members.insert(key, value).is_some());
                }
            }
            goes_on = reader.goes_on(b'}')?;
        }
        Ok(Self::Object(members))
    }

    fn read_list(reader: &mut Reader<'a>, depth: u32, duplicate_key_count: &mut u64) -> Read<Self> {
        reader.check_depth(depth)?;
        let mut elements = Vec::new();
        let mut goes_on = reader.enter(b']');
        while goes_on {
            let element = Self::read(reader, depth + 1, None, duplicate_key_count)
                .map_err(|fault| fault.below(&elements.len().to_string()))?;
            elements.push(element);
            goes_on = reader.goes_on(b']')?;
        }
        Ok(Self::List(elements))
    }

    /// Appends the value as `text(v)` has it: compact, keys sorted, null members left out.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Number(Number::Int(value)) => {
                write!(out, "{value}").expect("writing to a Vec does not fail");
            }
            Self::Number(Number::Double(value)) => write_json_double(*value, out),
            Self::Number(Number::Huge(digits)) => out.extend_from_slice(digits.as_bytes()),
            Self::Text(text) => write_json_string(text, out),
            Self::List(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    element.write_json(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                let mut separator = b'{';
                for (key, value) in members.iter().filter(|(_, value)| !matches!(value, Self::Null)) {
                    out.push(separator);
                    separator = b',';
                    write_json_string(key, out);
                    out.push(b':');
                    value.write_json(out);
                }
                out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
            }
        }
    }
}
