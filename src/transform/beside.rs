//! Values beside the records of a page: where an API puts the next page, or how many records there are.

use super::locate::value_at;
use super::reader::Reader;
use crate::model::Beside;

/// The value that these keys lead to in a value that was read before; `None` if they lead to none.
pub(super) fn beside_at(value: &[u8], keys: &[String]) -> Option<Beside> {
    let found = value_at(&mut Reader::new(value), keys)?;
    Some(match found.first() {
        Some(b'n') => Beside::Null,
        Some(b'f') => Beside::False,
        Some(b'-' | b'0'..=b'9') => Beside::Number(String::from_utf8_lossy(found).into_owned()),
        Some(b'"') => match Reader::new(found).string() {
            Ok(text) => Beside::Text(String::from_utf8_lossy(&text).into_owned()),
            // Half a surrogate pair is no link.
            Err(_) => Beside::Other,
        },
        _ => Beside::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_told_from_its_text() {
        let value = br#" {"a":{"b":"x\u00e9/","n": 12.5,"z":null,"f":false,"t":true,"s":"\ud800"},"c":[1]} "#;
        let at = |keys: &[&str]| beside_at(value, &keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(at(&["a", "b"]), Some(Beside::Text("xé/".into())));
        assert_eq!(at(&["a", "n"]), Some(Beside::Number("12.5".into())));
        assert_eq!([at(&["a", "z"]), at(&["a", "f"])], [Some(Beside::Null), Some(Beside::False)]);
        for other in [&["a", "t"][..], &["a", "s"], &["c"], &["a"]] {
            assert_eq!(at(other), Some(Beside::Other), "{other:?}");
        }
        assert_eq!([at(&["x"]), at(&["a", "x"])], [const { None }; 2]);
    }
}
