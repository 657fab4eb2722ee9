//! Values that a column keeps as text, written as they are read: compact, keys sorted, null members left out, without
//! what is dropped, with hashes and new names in their places.

use std::io::Write as _;

use super::decode::Stop;
use super::marks::{Marks, Usage};
use super::members_text::{KeyStandsTwice, MembersText, OpenObject};
use super::reader::{Fault, FaultKind, Number, Reader};
use super::values::Values;
use crate::config::HashKey;
use crate::schema::{write_json_double, write_json_string};

/// Why a record is refused in which a list stands where fields are to be left out, hashed or renamed.
pub(super) const LIST_IS_NO_OBJECT: &str =
    "expected an object, of which --drop, --hash or --rename name a field, got a list";
/// Why a record is refused in which two fields want one column.
pub(super) const NAME_IS_TAKEN: &str = "expected no two fields that --rename gives one name, got both";

impl From<KeyStandsTwice> for Stop {
    #[cold]
    fn from(KeyStandsTwice: KeyStandsTwice) -> Self {
        Self::DuplicateKey
    }
}

/// Writes values as `text(v)` has them.
pub(super) struct TextWriter<'t, 'a> {
    pub(super) reader: &'t mut Reader<'a>,
    pub(super) values: &'t mut Values,
    pub(super) members: &'t mut MembersText,
    pub(super) hash_key: Option<&'t HashKey>,
}

impl TextWriter<'_, '_> {
    /// Appends the value that is next to `out`, as `marks` ask for it; `depth` is its level if it is an object or a list.
    pub(super) fn value(&mut self, marks: Option<&Marks>, out: &mut Vec<u8>, depth: u32) -> Result<(), Stop> {
        let first_byte = self.reader.peek_token();
        if let Some(marks) = marks
            && first_byte != Some(b'{')
        {
            self.values.look_into_list(marks, &mut self.reader.clone(), depth)?;
            if let Some(field) = marks.field {
                return Ok(self.values.take_list_as_text(field, self.reader, out, depth)?);
            }
            if marks.drops_others {
                // Nothing of it is selected.
                self.reader.skip_value_at(depth)?;
                out.extend_from_slice(b"null");
                return Ok(());
            }
            if marks.projects && first_byte == Some(b'[') {
                return Err(Fault::new(FaultKind::Value, self.reader.position(), LIST_IS_NO_OBJECT).into());
            }
        }
        match first_byte {
            Some(b'{') => self.object(marks, out, depth),
            Some(b'[') => self.list(out, depth),
            Some(b'"') => {
                write_json_string(&self.reader.string()?, out);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => {
                match self.reader.number()? {
                    Number::Int(value) => write!(out, "{value}").expect("writing to a Vec does not fail"),
                    Number::Double(value) => write_json_double(value, out),
                    Number::Huge(digits) => out.extend_from_slice(digits.as_bytes()),
                }
                Ok(())
            }
            Some(b't') => self.literal("true", out),
            Some(b'f') => self.literal("false", out),
            Some(b'n') => self.literal("null", out),
            _ => Err(self.reader.expected("a value").into()),
        }
    }

    /// Appends the hash of the text of the value that is next to `out`; a null has none. Returns whether there is one.
    pub(super) fn hash(&mut self, out: &mut Vec<u8>, depth: u32) -> Result<bool, Stop> {
        let hash_key = self.hash_key.expect("a configuration that hashes has a key");
        let hash = match self.reader.peek_token() {
            Some(b'n') => {
                self.reader.literal("null")?;
                return Ok(false);
            }
            Some(b'"') => hash_key.hash(&self.reader.string()?),
            _ => {
                let mut text = Vec::new();
                self.value(None, &mut text, depth)?;
                hash_key.hash(&text)
            }
        };
        out.extend_from_slice(hash.as_bytes());
        Ok(true)
    }

    fn object(&mut self, marks: Option<&Marks>, out: &mut Vec<u8>, depth: u32) -> Result<(), Stop> {
        self.reader.check_depth(depth)?;
        if let Some(field) = marks.and_then(|marks| marks.field) {
            return Ok(self.values.take_list_as_text(field, self.reader, out, depth)?);
        }
        out.push(b'{');
        let mut object = self.members.open();
        let mut goes_on = self.reader.enter(b'}');
        while goes_on {
            let (key, _) = self.reader.key()?;
            self.member(marks, &key, &mut object, out, depth + 1)
                .map_err(|stop| stop.below(&String::from_utf8_lossy(&key)))?;
            goes_on = self.reader.goes_on(b'}')?;
        }
        self.members.close_sorted(&object, out)?;
        if out.last() == Some(&b',') {
            out.pop();
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends the member whose value is next, with a comma behind it, or nothing if it is null or left out.
    fn member(
        &mut self,
        marks: Option<&Marks>,
        key: &[u8],
        object: &mut OpenObject,
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Stop> {
        let child = marks.and_then(|marks| marks.child(key)).map(|child| &**child);
        let start = out.len();
        let name = child.and_then(|child| child.name.as_deref()).map_or(key, str::as_bytes);
        match marks.map_or(Usage::Column, |marks| marks.usage_of(key)) {
            Usage::Skipped => return Ok(self.reader.skip_value_at(depth)?),
            Usage::Refused => {
                return Err(Fault::new(FaultKind::Value, self.reader.position(), NAME_IS_TAKEN).into());
            }
            Usage::Unseen => {
                let child = child.expect("it leads to a list that is summarised");
                self.values.look_into(child, self.reader, depth)?;
            }
            Usage::Hashed => {
                write_key(name, out);
                out.push(b'"');
                match self.hash(out, depth)? {
                    true => out.extend_from_slice(b"\","),
                    false => out.truncate(start),
                }
            }
            Usage::Column => {
                write_key(name, out);
                let value_start = out.len();
                self.value(child, out, depth)?;
                match &out[value_start..] {
                    b"null" => out.truncate(start),
                    _ => out.push(b','),
                }
            }
        }
        self.members.push(object, name, start..out.len());
        Ok(())
    }

    fn list(&mut self, out: &mut Vec<u8>, depth: u32) -> Result<(), Stop> {
        self.reader.check_depth(depth)?;
        out.push(b'[');
        let mut index = 0_usize;
        let mut goes_on = self.reader.enter(b']');
        while goes_on {
            self.value(None, out, depth + 1).map_err(|stop| stop.below(&index.to_string()))?;
            index += 1;
            goes_on = self.reader.goes_on(b']')?;
            if goes_on {
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    fn literal(&mut self, text: &'static str, out: &mut Vec<u8>) -> Result<(), Stop> {
        self.reader.literal(text)?;
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn write_key(key: &[u8], out: &mut Vec<u8>) {
    write_json_string(key, out);
    out.push(b':');
}
