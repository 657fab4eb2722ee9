//! Places in a record, as they are typed: keys and JSON Pointers (RFC 6901).

use etl::config::{FieldPath, ValuesField};
use etl::pointer;

pub(super) fn parse_values(text: &str) -> Result<ValuesField, String> {
    let (name, field) = match text.split_once('=') {
        Some((name, field)) if !name.starts_with('/') => (name, field),
        _ => (text, text),
    };
    if name.is_empty() || field.is_empty() {
        return Err("expected FIELD or NAME=FIELD".to_owned());
    }
    Ok(ValuesField { name: name.to_owned(), path: parse_field(field)? })
}

/// A field: a top-level key as it stands, or a JSON Pointer when it begins with `/`.
pub(super) fn parse_field(text: &str) -> Result<FieldPath, String> {
    match text {
        "" => Err("expected a top-level key, or a JSON Pointer such as /user/mail".to_owned()),
        _ if text.starts_with('/') => Ok(FieldPath::Pointer(pointer::parse(text)?)),
        _ => Ok(FieldPath::Key(text.to_owned())),
    }
}

/// A field and the name that its column gets.
#[derive(Debug, Clone)]
pub(super) struct Renamed(pub(super) FieldPath, pub(super) String);

pub(super) fn parse_renamed(text: &str) -> Result<Renamed, String> {
    match text.rsplit_once('=') {
        Some((field, name)) if !name.is_empty() => Ok(Renamed(parse_field(field)?, name.to_owned())),
        _ => Err("expected FIELD=NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_keys_or_pointers_and_may_have_a_name() {
        let key = parse_values("id.orig_h").unwrap();
        assert_eq!((key.name.as_str(), key.path.keys()), ("id.orig_h", &["id.orig_h".to_owned()][..]));
        let pointer = parse_values("lat=/a~1b/c~0d").unwrap();
        assert_eq!(
            (pointer.name.as_str(), pointer.path.keys()),
            ("lat", &["a/b".to_owned(), "c~d".to_owned()][..])
        );
        assert!(parse_values("=x").is_err());
        assert!(parse_values("/a~2").is_err());
    }

    #[test]
    fn renamed_field_ends_at_the_last_equals_sign() {
        let Renamed(field, name) = parse_renamed("a=b=c").unwrap();
        assert_eq!((field.shown().as_str(), name.as_str()), ("a=b", "c"));
        for wrong in ["a", "a=", "=b", "/a~2=b"] {
            assert!(parse_renamed(wrong).is_err(), "{wrong}");
        }
    }
}
