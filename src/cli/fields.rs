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
    let path = if field.starts_with('/') {
        FieldPath::Pointer(pointer::parse(field)?)
    } else {
        FieldPath::Key(field.to_owned())
    };
    Ok(ValuesField { name: name.to_owned(), path })
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
}
