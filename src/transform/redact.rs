//! Rejected records, without what must not be seen.

use super::marks::{Marks, Usage};
use super::reader::{Read, Reader};
use crate::model::RawRecord;

/// Stands in place of a value that is not shown.
const HIDDEN: &[u8] = b"\"[redacted]\"";

/// The record with a word in place of each value that is dropped or hashed; `None` if it is no object, or so broken
/// that it can't be told what is where. Every other byte but white space is as it was.
pub(super) fn redacted(record: &[u8], marks: &Marks) -> Option<RawRecord> {
    let mut reader = Reader::new(record);
    let mut shown = Shown { bytes: Vec::with_capacity(record.len()), hides: false };
    if reader.peek_token() != Some(b'{') {
        return None;
    }
    write_object(&mut reader, marks, &mut shown).and_then(|()| reader.expect_end()).ok()?;
    let Shown { bytes, hides } = shown;
    Some(if hides { RawRecord::Redacted(bytes) } else { RawRecord::Bytes(bytes) })
}

/// What may be seen of a record.
struct Shown {
    bytes: Vec<u8>,
    /// Whether a value is not there.
    hides: bool,
}

fn write_object(reader: &mut Reader<'_>, marks: &Marks, out: &mut Shown) -> Read<()> {
    out.bytes.push(b'{');
    let mut goes_on = reader.enter(b'}');
    while goes_on {
        let (key, token) = reader.key()?;
        out.bytes.extend_from_slice(token);
        out.bytes.push(b':');
        write_value(reader, marks.usage_of(&key), marks.child(&key).map(|marks| &**marks), out)?;
        goes_on = reader.goes_on(b'}')?;
        if goes_on {
            out.bytes.push(b',');
        }
    }
    out.bytes.push(b'}');
    Ok(())
}

fn write_value(reader: &mut Reader<'_>, usage: Usage, marks: Option<&Marks>, out: &mut Shown) -> Read<()> {
    let first_byte = reader.peek_token();
    let projecting = marks.filter(|marks| marks.projects);
    match (usage, projecting) {
        (Usage::Column, Some(marks)) if first_byte == Some(b'{') => write_object(reader, marks, out),
        (Usage::Column, None) => {
            let start = reader.position();
            reader.skip_value()?;
            out.bytes.extend_from_slice(reader.taken_since(start));
            Ok(())
        }
        _ => {
            reader.skip_value()?;
            out.bytes.extend_from_slice(HIDDEN);
            out.hides = true;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FieldPath, Projection, TransformConfig};

    #[test]
    fn what_is_dropped_or_hashed_is_not_shown() {
        let drop = [&["secret"][..], &["user", "mail"]]
            .map(|keys| FieldPath::Pointer(keys.iter().map(ToString::to_string).collect()));
        let projection = Projection { drop: drop.into(), ..Projection::default() }.into();
        let marks = Marks::of(&TransformConfig { projection, ..TransformConfig::default() });
        let shown = |record: &str| {
            redacted(record.as_bytes(), &marks).map(|shown| match shown {
                RawRecord::Redacted(shown) => String::from_utf8(shown).unwrap(),
                shown => panic!("nothing is hidden: {shown:?}"),
            })
        };
        assert_eq!(
            shown(r#"{"a": 1, "secret":{"x":[1]},"user":{"mail":"m","id":7},"b":[true]}"#).unwrap(),
            r#"{"a":1,"secret":"[redacted]","user":{"mail":"[redacted]","id":7},"b":[true]}"#
        );
        assert_eq!(shown(r#"{"user":["m"]}"#).unwrap(), r#"{"user":"[redacted]"}"#);
        assert_eq!(shown(r#"{"user":"m"}"#).unwrap(), r#"{"user":"[redacted]"}"#);
        let open = redacted(br#"{"a": [1]}"#, &marks);
        assert_eq!(open, Some(RawRecord::Bytes(br#"{"a":[1]}"#.to_vec())));
        for broken in ["{\"secret\":\"x", "\"secret\"", "", "{\"a\":1}x"] {
            assert_eq!(shown(broken), None, "{broken}");
        }
    }
}
