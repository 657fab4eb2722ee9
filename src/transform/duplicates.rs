//! Keys that stand twice in one object: the last value wins, as if the others had not been there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::marks::{Marks, Usage};
use super::reader::{Read, Reader};

/// Copies the value that is next to `out` without the members whose key stands again later in their
/// object, and returns how many those were. Members that `marks` skip are left out and not counted. Every other byte
/// but white space is copied as it is.
///
/// # Errors
/// The value is no JSON, or nested too deep.
pub(super) fn write_last_values(reader: &mut Reader<'_>, marks: &Marks, out: &mut Vec<u8>) -> Read<u64> {
    write_value(reader, Some(marks), out, 1)
}

fn write_value(reader: &mut Reader<'_>, marks: Option<&Marks>, out: &mut Vec<u8>, depth: u32) -> Read<u64> {
    match reader.peek_token() {
        Some(b'{') => write_object(reader, marks, out, depth),
        Some(b'[') => write_list(reader, out, depth),
        _ => {
            let start = reader.position();
            reader.skip_value()?;
            out.extend_from_slice(reader.taken_since(start));
            Ok(0)
        }
    }
}

fn write_object(reader: &mut Reader<'_>, marks: Option<&Marks>, out: &mut Vec<u8>, depth: u32) -> Read<u64> {
    reader.check_depth(depth)?;
    let mut members: Vec<Vec<u8>> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut loser_count = 0;
    let mut goes_on = reader.enter(b'}');
    while goes_on {
        let (key, token) = reader.key()?;
        let (key, mut member) = (key.into_owned(), token.to_vec());
        member.push(b':');
        if marks.is_some_and(|marks| marks.usage_of(&key) == Usage::Skipped) {
            reader.skip_value_at(depth + 1).map_err(|fault| fault.below(&String::from_utf8_lossy(&key)))?;
        } else {
            let marks = marks.and_then(|marks| marks.child(&key)).map(|marks| &**marks);
            loser_count += write_value(reader, marks, &mut member, depth + 1)?;
            match places.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(members.len());
                    members.push(member);
                }
                // In the loser's place: columns stand in the order of first appearance.
                Entry::Occupied(place) => {
                    members[*place.get()] = member;
                    loser_count += 1;
                }
            }
        }
        goes_on = reader.goes_on(b'}')?;
    }
    out.push(b'{');
    out.extend_from_slice(&members.join(&b','));
    out.push(b'}');
    Ok(loser_count)
}

fn write_list(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: u32) -> Read<u64> {
    reader.check_depth(depth)?;
    out.push(b'[');
    let mut loser_count = 0;
    let mut goes_on = reader.enter(b']');
    while goes_on {
        loser_count += write_value(reader, None, out, depth + 1)?;
        goes_on = reader.goes_on(b']')?;
        if goes_on {
            out.push(b',');
        }
    }
    out.push(b']');
    Ok(loser_count)
}
