//! Keys that stand twice in one object: the last value wins, as if the others had not been there.

use super::marks::{Marks, Usage};
use super::members_text::MembersText;
use super::reader::{Read, Reader};

/// Copies the value that is next to `out` without the members whose key stands again later in their
/// object, and returns how many those were. Members that `marks` skip are left out and not counted. Every other byte
/// but white space is copied as it is.
///
/// # Errors
/// The value is no JSON, or nested too deep.
pub(super) fn write_last_values(reader: &mut Reader<'_>, marks: &Marks, out: &mut Vec<u8>) -> Read<u64> {
    let mut copy = Copy { reader, members: MembersText::default(), out, loser_count: 0 };
    copy.value(Some(marks), 1)?;
    Ok(copy.loser_count)
}

struct Copy<'c, 'a> {
    reader: &'c mut Reader<'a>,
    members: MembersText,
    out: &'c mut Vec<u8>,
    loser_count: u64,
}

impl Copy<'_, '_> {
    fn value(&mut self, marks: Option<&Marks>, depth: u32) -> Read<()> {
        match self.reader.peek_token() {
            Some(b'{') => self.object(marks, depth),
            Some(b'[') => self.list(depth),
            _ => {
                let start = self.reader.position();
                self.reader.skip_value()?;
                self.out.extend_from_slice(self.reader.taken_since(start));
                Ok(())
            }
        }
    }

    fn object(&mut self, marks: Option<&Marks>, depth: u32) -> Read<()> {
        self.reader.check_depth(depth)?;
        self.out.push(b'{');
        let mut object = self.members.open();
        let mut goes_on = self.reader.enter(b'}');
        while goes_on {
            let (key, token) = self.reader.key()?;
            if marks.is_some_and(|marks| marks.usage_of(&key) == Usage::Skipped) {
                self.reader
                    .skip_value_at(depth + 1)
                    .map_err(|fault| fault.below(&String::from_utf8_lossy(&key)))?;
            } else {
                let start = self.out.len();
                self.out.extend_from_slice(token);
                self.out.push(b':');
                let marks = marks.and_then(|marks| marks.child(&key)).map(|marks| &**marks);
                self.value(marks, depth + 1)?;
                self.out.push(b',');
                self.members.push(&mut object, &key, start..self.out.len());
            }
            goes_on = self.reader.goes_on(b'}')?;
        }
        // Columns stand in the order of first appearance, and so do the members.
        self.loser_count += self.members.close_with_last_values(&object, self.out);
        if self.out.last() == Some(&b',') {
            self.out.pop();
        }
        self.out.push(b'}');
        Ok(())
    }

    fn list(&mut self, depth: u32) -> Read<()> {
        self.reader.check_depth(depth)?;
        self.out.push(b'[');
        let mut goes_on = self.reader.enter(b']');
        while goes_on {
            self.value(None, depth + 1)?;
            goes_on = self.reader.goes_on(b']')?;
            if goes_on {
                self.out.push(b',');
            }
        }
        self.out.push(b']');
        Ok(())
    }
}
