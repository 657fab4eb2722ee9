//! Members of objects as they stand in a text that is being written: put in the order of their keys, or without those
//! that lost to a later one of the same key. No object is held as a tree, so that what is held is as large as the text.

use std::ops::Range;

/// The members of the objects that are open, the innermost ones last. The buffers are reused.
#[derive(Debug, Default)]
pub(super) struct MembersText {
    keys: Vec<u8>,
    members: Vec<MemberText>,
    scratch: Vec<u8>,
}

/// Where a key stands in the keys, and its member, with what separates it from the next, in the text.
#[derive(Debug, Clone)]
struct MemberText {
    key: Range<u32>,
    text: Range<u32>,
}

/// An object that is open.
#[derive(Debug)]
pub(super) struct OpenObject {
    key_start: usize,
    first: usize,
    /// Tells whether each key so far is greater than the one before.
    is_sorted: bool,
}

/// A key stands twice in one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyStandsTwice;

impl MembersText {
    /// Opens an object inside those that are open.
    pub(super) fn open(&self) -> OpenObject {
        OpenObject { key_start: self.keys.len(), first: self.members.len(), is_sorted: true }
    }

    /// Forgets all objects that are open.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.members.clear();
    }

    /// Adds a member, whose text may be empty, behind those that the object has. Texts follow each other without a gap.
    pub(super) fn push(&mut self, object: &mut OpenObject, key: &[u8], text: Range<usize>) {
        let last = self.members[object.first..].last();
        object.is_sorted &= last.is_none_or(|last| self.keys[bytes(&last.key)] < *key);
        let key_start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.members.push(MemberText { key: place(key_start..self.keys.len()), text: place(text) });
    }

    /// Closes an object, whose members end `out`, and puts them in the order of their keys.
    ///
    /// # Errors
    /// A key stands twice.
    pub(super) fn close_sorted(
        &mut self,
        object: &OpenObject,
        out: &mut Vec<u8>,
    ) -> Result<(), KeyStandsTwice> {
        let (keys, members) = (&self.keys, &mut self.members[object.first..]);
        if !object.is_sorted {
            let start = members.first().map_or(0, |first| bytes(&first.text).start);
            let key_of = |member: &MemberText| &keys[bytes(&member.key)];
            members.sort_unstable_by(|one, other| key_of(one).cmp(key_of(other)));
            if members.windows(2).any(|pair| key_of(&pair[0]) == key_of(&pair[1])) {
                return Err(KeyStandsTwice);
            }
            self.scratch.clear();
            self.scratch.extend_from_slice(&out[start..]);
            out.truncate(start);
            for member in members {
                let text = bytes(&member.text);
                out.extend_from_slice(&self.scratch[text.start - start..text.end - start]);
            }
        }
        self.close(object);
        Ok(())
    }

    /// Closes an object, whose members end `out`, and leaves out those whose key stands again later: the last one
    /// stands in the place of the first. Returns how many are left out.
    pub(super) fn close_with_last_values(&mut self, object: &OpenObject, out: &mut Vec<u8>) -> u64 {
        let mut loser_count = 0;
        if !object.is_sorted {
            let (keys, members) = (&self.keys, &mut self.members[object.first..]);
            let start = members.first().map_or(0, |first| bytes(&first.text).start);
            let key_of = |member: &MemberText| &keys[bytes(&member.key)];
            members.sort_unstable_by(|one, other| {
                key_of(one).cmp(key_of(other)).then(one.text.start.cmp(&other.text.start))
            });
            // Where the first of each key stood, the text of the last.
            let mut winners = Vec::new();
            for alike in members.chunk_by(|one, other| key_of(one) == key_of(other)) {
                loser_count += alike.len() as u64 - 1;
                winners.push((alike[0].text.start, alike[alike.len() - 1].text.clone()));
            }
            if loser_count > 0 {
                winners.sort_unstable_by_key(|(first, _)| *first);
                self.scratch.clear();
                self.scratch.extend_from_slice(&out[start..]);
                out.truncate(start);
                for (_, text) in winners {
                    let text = bytes(&text);
                    out.extend_from_slice(&self.scratch[text.start - start..text.end - start]);
                }
            }
        }
        self.close(object);
        loser_count
    }

    fn close(&mut self, object: &OpenObject) {
        self.keys.truncate(object.key_start);
        self.members.truncate(object.first);
    }
}

fn place(range: Range<usize>) -> Range<u32> {
    let offset = |at: usize| u32::try_from(at).expect("the text of a record is below 4 GiB");
    offset(range.start)..offset(range.end)
}

fn bytes(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes members as `key=value;`, and closes their object.
    fn closed<T>(
        members: &[(&str, &str)],
        close: impl FnOnce(&mut MembersText, &OpenObject, &mut Vec<u8>) -> T,
    ) -> (String, T) {
        let (mut text, mut out) = (MembersText::default(), b"before ".to_vec());
        let mut object = text.open();
        for (key, value) in members {
            let start = out.len();
            out.extend_from_slice(format!("{key}={value};").as_bytes());
            text.push(&mut object, key.as_bytes(), start..out.len());
        }
        let returned = close(&mut text, &object, &mut out);
        (String::from_utf8(out).unwrap(), returned)
    }

    #[test]
    fn members_stand_in_the_order_of_their_keys() {
        let (out, returned) = closed(&[("b", "1"), ("a", "22"), ("c", "")], MembersText::close_sorted);
        assert_eq!((out.as_str(), returned), ("before a=22;b=1;c=;", Ok(())));
        let (out, returned) = closed(&[], MembersText::close_sorted);
        assert_eq!((out.as_str(), returned), ("before ", Ok(())));
    }

    #[test]
    fn key_that_stands_twice_is_told_wherever_it_stands() {
        for members in [[("a", "1"), ("a", "1"), ("b", "")], [("a", "1"), ("b", "1"), ("a", "2")]] {
            assert_eq!(closed(&members, MembersText::close_sorted).1, Err(KeyStandsTwice), "{members:?}");
        }
    }

    #[test]
    fn last_value_stands_where_the_first_one_stood() {
        let members = [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("b", "55")];
        let (out, loser_count) = closed(&members, MembersText::close_with_last_values);
        assert_eq!((out.as_str(), loser_count), ("before b=55;a=2;c=4;", 2));
    }
}
