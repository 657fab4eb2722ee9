//! The bytes of a value in another one, by the keys that lead to it.

use super::reader::{Read, Reader};

/// The value that these keys, or indexes, lead to in the value that is next; `None` if they lead to none. Of a key that
/// stands twice the last one counts. In a list, `rel=next` leads to the first element whose `rel` is `next`.
pub(super) fn value_at<'a>(reader: &mut Reader<'a>, keys: &[String]) -> Option<&'a [u8]> {
    find(reader, keys).ok().flatten()
}

fn find<'a>(reader: &mut Reader<'a>, keys: &[String]) -> Read<Option<&'a [u8]>> {
    let first_byte = reader.peek_token();
    let Some((wanted, rest)) = keys.split_first() else {
        let start = reader.position();
        reader.skip_value()?;
        return Ok(Some(reader.taken_since(start)));
    };
    let close = match first_byte {
        Some(b'{') => b'}',
        Some(b'[') => b']',
        _ => {
            reader.skip_value()?;
            return Ok(None);
        }
    };
    let mut found = None;
    let mut index = 0_usize;
    let mut goes_on = reader.enter(close);
    while goes_on {
        let is_it = match close {
            b'}' => *reader.key()?.0 == *wanted.as_bytes(),
            _ => match wanted.split_once('=') {
                Some((key, text)) => found.is_none() && is_named(reader.clone(), key, text),
                None => index.to_string() == *wanted,
            },
        };
        if is_it {
            found = find(reader, rest)?;
        } else {
            reader.skip_value()?;
        }
        index += 1;
        goes_on = reader.goes_on(close)?;
    }
    Ok(found)
}

/// Whether the value that is next is an object with this text at this key.
fn is_named(mut element: Reader<'_>, key: &str, text: &str) -> bool {
    let found = value_at(&mut element, &[key.to_owned()]);
    found.is_some_and(|found| {
        found.first() == Some(&b'"')
            && Reader::new(found).string().is_ok_and(|found| *found == *text.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_found_by_its_keys() {
        let value = br#" {"a":{"b":"x","n": [ 12.5, {"z" : 1} ],"b":"y"},"c":1} "#;
        let at = |keys: &[&str]| {
            let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
            value_at(&mut Reader::new(value), &keys).map(|found| std::str::from_utf8(found).unwrap())
        };
        assert_eq!(at(&["a", "b"]), Some("\"y\""));
        assert_eq!(at(&["a", "n", "1"]), Some("{\"z\" : 1}"));
        assert_eq!(at(&["a", "n", "1", "z"]), Some("1"));
        let links = br#"{"links":[{"rel":"self","href":1},{"rel":"next","href":2},{"rel":"next","href":3}],"next":4}"#;
        let at_link = |keys: &[&str]| {
            let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
            value_at(&mut Reader::new(links), &keys).map(|found| std::str::from_utf8(found).unwrap())
        };
        assert_eq!(at_link(&["links", "rel=next", "href"]), Some("2"));
        assert_eq!([at_link(&["links", "rel=prev", "href"]), at_link(&["links", "href=2"])], [None; 2]);
        assert_eq!([at(&["x"]), at(&["a", "x"]), at(&["a", "n", "2"]), at(&["c", "0"])], [None; 4]);
    }
}
