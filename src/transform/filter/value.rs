//! Records as values of jaq, and back: what a filter leaves alone comes out as it went in.

use std::io::Write as _;

use jaq_json::{Error, Map, Num, Rc, Val, ValR};

use super::super::decode::too_large;
use super::super::reader::{Fault, FaultKind, Number, Read, Reader, kind_of_value};
use crate::schema::write_json_string;

/// Digits up to which an integer beyond 64 bits can be computed with; reading more takes time that grows with their
/// square. A longer one keeps its digits.
const BIG_INTEGER_DIGITS_MAX: usize = 1_000;

/// Bytes of a list or an object besides its elements or members: what is counted, and the allocator's own.
const CONTAINER_BYTES: usize = 128;
/// Bytes of a text besides its own.
const TEXT_BYTES: usize = 80;
/// Bytes of a member besides its key and its value.
const MEMBER_BYTES: usize = 64;

/// Counts of the values that are read.
pub(super) struct Reading {
    /// Bytes of memory that they may still take.
    pub(super) room_bytes: usize,
    /// Keys that stood twice in one object; the last one won.
    pub(super) duplicate_key_count: u64,
}

impl Reading {
    pub(super) fn within(room_bytes: usize) -> Self {
        Self { room_bytes, duplicate_key_count: 0 }
    }

    fn take(&mut self, bytes: usize, reader: &Reader<'_>) -> Read<()> {
        let left = self.room_bytes.checked_sub(bytes).ok_or_else(|| too_large(reader.position()))?;
        self.room_bytes = left;
        Ok(())
    }
}

/// Reads the value that is next, at `depth` if it is an object or a list.
///
/// # Errors
/// The value is not one that a record may hold, or takes more memory than it may.
pub(super) fn read(reader: &mut Reader<'_>, depth: u32, reading: &mut Reading) -> Read<Val> {
    reading.take(size_of::<Val>(), reader)?;
    match reader.peek_token() {
        Some(b'{') => read_object(reader, depth, reading),
        Some(b'[') => read_list(reader, depth, reading),
        Some(b'"') => {
            let text = reader.string()?;
            reading.take(TEXT_BYTES + text.len(), reader)?;
            Ok(Val::utf8_str(text.into_owned()))
        }
        Some(b'-' | b'0'..=b'9') => Ok(Val::Num(number(reader.number()?))),
        Some(b't') => reader.literal("true").map(|()| Val::Bool(true)),
        Some(b'f') => reader.literal("false").map(|()| Val::Bool(false)),
        Some(b'n') => reader.literal("null").map(|()| Val::Null),
        _ => Err(reader.expected("a value")),
    }
}

fn read_object(reader: &mut Reader<'_>, depth: u32, reading: &mut Reading) -> Read<Val> {
    reader.check_depth(depth)?;
    reading.take(CONTAINER_BYTES, reader)?;
    let mut members = Map::default();
    let mut goes_on = reader.enter(b'}');
    while goes_on {
        let key = reader.key()?.0.into_owned();
        reading.take(MEMBER_BYTES + TEXT_BYTES + key.len(), reader)?;
        let value =
            read(reader, depth + 1, reading).map_err(|fault| fault.below(&String::from_utf8_lossy(&key)))?;
        // In the loser's place: columns stand in the order of first appearance.
        reading.duplicate_key_count += u64::from(members.insert(Val::utf8_str(key), value).is_some());
        goes_on = reader.goes_on(b'}')?;
    }
    Ok(Val::obj(members))
}

fn read_list(reader: &mut Reader<'_>, depth: u32, reading: &mut Reading) -> Read<Val> {
    reader.check_depth(depth)?;
    reading.take(CONTAINER_BYTES, reader)?;
    let mut elements = Vec::new();
    let mut goes_on = reader.enter(b']');
    while goes_on {
        let element =
            read(reader, depth + 1, reading).map_err(|fault| fault.below(&elements.len().to_string()))?;
        elements.push(element);
        goes_on = reader.goes_on(b']')?;
    }
    Ok(Val::Arr(Rc::new(elements)))
}

fn number(number: Number<'_>) -> Num {
    match number {
        Number::Int(value) => Num::from_integral(value),
        Number::Double(value) => Num::Float(value),
        Number::Huge(digits) if digits.len() <= BIG_INTEGER_DIGITS_MAX => {
            Num::from_str_radix(digits, 10).expect("these are digits")
        }
        Number::Huge(digits) => Num::Dec(Rc::new(digits.to_owned())),
    }
}

/// Reads a string that holds one JSON value, as strictly as a record. That of jaq takes more than JSON, and values so
/// deep that the stack is too small for them.
pub(super) fn parse(text: &Val, room_bytes: usize) -> ValR {
    let text = text.try_as_utf8_bytes_owned()?;
    let mut reader = Reader::new(&text);
    let value = read(&mut reader, 1, &mut Reading::within(room_bytes))
        .and_then(|value| reader.expect_end().map(|()| value));
    value.map_err(|fault| Error::str(format_args!("cannot parse as JSON: {}", fault.reason)))
}

/// An object without one of its members; the others keep their order.
pub(super) fn without_key(mut object: Val, key: &Val) -> Val {
    if let Val::Obj(members) = &mut object {
        Rc::make_mut(members).shift_remove(key);
    }
    object
}

/// Appends a result as JSON, up to a length of `out` or little more.
///
/// # Errors
/// It is not one that a record may be.
pub(super) fn write_record(result: &Val, out: &mut Vec<u8>, length_max: usize) -> Read<()> {
    if !matches!(result, Val::Obj(_)) {
        return Err(wrong(format!("expected an object, got {}", kind_of(result))));
    }
    write(result, out, length_max, 1)
}

fn write(value: &Val, out: &mut Vec<u8>, length_max: usize, depth: u32) -> Read<()> {
    // The caller sees that it is too long.
    if out.len() > length_max {
        return Ok(());
    }
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Val::Num(number) => write_number(number, out)?,
        Val::TStr(text) => write_json_string(checked(text)?, out),
        Val::BStr(_) => return Err(wrong("expected text, got bytes that are none".to_owned())),
        Val::Arr(elements) => {
            Reader::new(b"").check_depth(depth)?;
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(element, out, length_max, depth + 1)
                    .map_err(|fault| fault.below(&index.to_string()))?;
                if out.len() > length_max {
                    return Ok(());
                }
            }
            out.push(b']');
        }
        Val::Obj(members) => {
            Reader::new(b"").check_depth(depth)?;
            out.push(b'{');
            for (index, (key, member)) in members.iter().enumerate() {
                let Val::TStr(key) = key else {
                    return Err(wrong(format!("expected text for a key, got {}", kind_of(key))));
                };
                if index > 0 {
                    out.push(b',');
                }
                write_json_string(checked(key)?, out);
                out.push(b':');
                write(member, out, length_max, depth + 1)
                    .map_err(|fault| fault.below(&String::from_utf8_lossy(key)))?;
                if out.len() > length_max {
                    return Ok(());
                }
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Num, out: &mut Vec<u8>) -> Read<()> {
    let written = match number {
        Num::Int(value) => write!(out, "{value}"),
        Num::BigInt(value) => write!(out, "{value}"),
        // With a point or an exponent, so that it stays a double.
        Num::Float(value) if value.is_finite() => write!(out, "{value:?}"),
        Num::Float(value) => return Err(wrong(format!("expected a finite number, got {value}"))),
        Num::Dec(digits) if is_integer(digits) => write!(out, "{digits}"),
        // A number of the filter's own text.
        Num::Dec(text) => return write_number(&Num::from_dec_str(text), out),
    };
    written.expect("writing to a Vec does not fail");
    Ok(())
}

fn is_integer(text: &str) -> bool {
    text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit())
}

fn checked(text: &[u8]) -> Read<&[u8]> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(wrong("expected text, got bytes that are no UTF-8".to_owned())),
    }
}

fn wrong(reason: String) -> Box<Fault> {
    Fault::new(FaultKind::Value, 0, reason)
}

fn kind_of(value: &Val) -> &'static str {
    kind_of_value(Some(match value {
        Val::Null => b'n',
        Val::Bool(true) => b't',
        Val::Bool(false) => b'f',
        Val::Num(_) => b'0',
        Val::BStr(_) | Val::TStr(_) => b'"',
        Val::Arr(_) => b'[',
        Val::Obj(_) => b'{',
    }))
}
