//! Values beside the records of a page: where an API puts the next page, or how many records there are.

use super::locate::value_at;
use super::reader::{Read, Reader};
use crate::config::{CHANGING_KEYS, is_mark};
use crate::digest::RunningDigest;
use crate::model::{Around, Beside};

/// Bytes of a member that is compared with those of other pages, and members of a page, at most: what stands around
/// records is small.
const MEMBER_BYTES_MAX: usize = 64 << 10;
const MEMBERS_MAX: usize = 1_000;

/// Looks at what stands around the records of a page.
#[derive(Debug)]
pub(super) struct Lookout<'a> {
    /// The places whose values are wanted.
    pub(super) looked_at: &'a [Vec<String>],
    pub(super) around: Around,
}

impl<'a> Lookout<'a> {
    pub(super) fn new(looked_at: &'a [Vec<String>]) -> Self {
        Self { looked_at, around: Around::default() }
    }

    /// Whether anything is wanted.
    pub(super) fn is_on(&self) -> bool {
        !self.looked_at.is_empty()
    }

    /// Looks at a value that these keys lead to, and in which no record is.
    pub(super) fn look(&mut self, keys: &[&str], value: &[u8]) {
        if !self.is_on() {
            return;
        }
        for (place, pointer) in self.looked_at.iter().enumerate() {
            let leads_on =
                keys.len() <= pointer.len() && keys.iter().zip(pointer).all(|(key, wanted)| key == wanted);
            if let Some(found) = leads_on.then(|| beside_at(value, &pointer[keys.len()..])).flatten() {
                self.around.put(place, found);
            }
        }
        if value.len() > MEMBER_BYTES_MAX {
            self.around.is_partial = true;
            return;
        }
        let mut keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        // The value was read before.
        drop(self.add_members(&mut Reader::new(value), &mut keys));
    }

    /// Looks at a document that is a record by itself, or an object around its records.
    pub(super) fn look_at_document(&mut self, document: &[u8]) {
        drop(self.try_document(&mut Reader::new(document)));
    }

    fn try_document(&mut self, reader: &mut Reader<'_>) -> Read<()> {
        if reader.peek_token() != Some(b'{') {
            return Ok(());
        }
        let mut goes_on = reader.enter(b'}');
        while goes_on {
            let key = String::from_utf8_lossy(&reader.key()?.0).into_owned();
            reader.peek_token();
            let start = reader.position();
            reader.skip_value()?;
            let value = reader.taken_since(start);
            self.around.holds_list |= holds_list(value);
            self.look(&[&key], value);
            goes_on = reader.goes_on(b'}')?;
        }
        Ok(())
    }

    fn add_members(&mut self, reader: &mut Reader<'_>, keys: &mut Vec<String>) -> Read<()> {
        if reader.peek_token() == Some(b'{') {
            let mut goes_on = reader.enter(b'}');
            while goes_on {
                keys.push(String::from_utf8_lossy(&reader.key()?.0).into_owned());
                self.add_members(reader, keys)?;
                keys.pop();
                goes_on = reader.goes_on(b'}')?;
            }
            return Ok(());
        }
        let start = reader.position();
        reader.skip_value()?;
        let value = reader.taken_since(start);
        let says_nothing = matches!(value, b"null" | b"\"\"") || is_empty_list(value);
        let changes = keys.iter().any(|key| CHANGING_KEYS.contains(&key.as_str()));
        let is_judged = self.looked_at.contains(keys) && !is_mark(keys);
        if says_nothing || changes || is_judged {
            return Ok(());
        }
        if self.around.members.len() == MEMBERS_MAX {
            self.around.is_partial = true;
            return Ok(());
        }
        let mut digest = RunningDigest::default();
        for part in keys.iter().map(String::as_bytes).chain([value]) {
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finish()[..16]);
        self.around.members.insert(short);
        Ok(())
    }
}

/// Whether a value is a list that may be one of records, or has one among its members.
fn holds_list(value: &[u8]) -> bool {
    let is_of_records = |reader: &mut Reader<'_>| match reader.peek_token() {
        Some(b'[') => !reader.enter(b']') || reader.peek_token() == Some(b'{'),
        _ => false,
    };
    let mut reader = Reader::new(value);
    if reader.peek_token() != Some(b'{') {
        return is_of_records(&mut reader);
    }
    let mut has_list = || -> Read<bool> {
        let mut goes_on = reader.enter(b'}');
        while goes_on {
            reader.key()?;
            if is_of_records(&mut reader.clone()) {
                return Ok(true);
            }
            reader.skip_value()?;
            goes_on = reader.goes_on(b'}')?;
        }
        Ok(false)
    };
    has_list().unwrap_or(false)
}

fn is_empty_list(value: &[u8]) -> bool {
    let mut reader = Reader::new(value);
    reader.peek_token() == Some(b'[') && !reader.enter(b']')
}

/// The value that these keys lead to in a value that was read before; `None` if they lead to none.
fn beside_at(value: &[u8], keys: &[String]) -> Option<Beside> {
    let found = value_at(&mut Reader::new(value), keys)?;
    Some(match found.first() {
        Some(b'n') => Beside::Null,
        Some(b'f') => Beside::False,
        Some(b't') => Beside::True,
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
        assert_eq!(at(&["a", "t"]), Some(Beside::True));
        for other in [&["a", "s"][..], &["c"], &["a"]] {
            assert_eq!(at(other), Some(Beside::Other), "{other:?}");
        }
        assert_eq!([at(&["x"]), at(&["a", "x"])], [const { None }; 2]);
    }

    #[test]
    fn members_are_told_apart_by_place_and_value() {
        let looked_at = [vec!["next".to_owned()], vec!["kind".to_owned()]];
        let of = |page: &str| {
            let mut lookout = Lookout::new(&looked_at);
            lookout.look_at_document(page.as_bytes());
            lookout.around
        };
        let first = of(r#"{"kind":"list","meta":{"ok":true,"at":[1]},"etag":"a","next":"x","items":[]}"#);
        assert_eq!((first.members.len(), first.holds_list, first.is_partial), (3, true, false));
        for page in [r"{}", r#"{"meta":{"ok":true},"etag":"b","next":null,"error":null,"more":""}"#] {
            assert!(of(page).says_no_more_than(&first), "{page}");
        }
        // A mark of an API is looked at, but says nothing of pages.
        for page in
            [r#"{"ok":true}"#, r#"{"meta":{"ok":false}}"#, r#"{"kind":"error"}"#, r#"{"meta":{"at":[2]}}"#]
        {
            assert!(!of(page).says_no_more_than(&first), "{page}");
        }
        for (page, holds_list) in [
            (r#"{"a":["x"]}"#, false),
            (r#"{"a":[{}]}"#, true),
            (r#"{"a":{"b":[]}}"#, true),
            (r#"{"a":{"b":[1]}}"#, false),
        ] {
            assert_eq!(of(page).holds_list, holds_list, "{page}");
        }
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MEMBER_BYTES_MAX));
        assert!(of(&large).is_partial && !of(&large).says_no_more_than(&first));
        let many: Vec<_> = (0..=MEMBERS_MAX).map(|key| format!("\"k{key}\":1")).collect();
        assert!(of(&format!("{{{}}}", many.join(","))).is_partial);
    }
}
