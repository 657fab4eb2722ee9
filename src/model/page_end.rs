//! What a page tells of itself and of the page behind it, around its records.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{AnswerNotes, PageFault};

/// A value beside the records of a page, in the object that holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beside {
    /// `null`.
    Null,
    /// `false`.
    False,
    /// `true`.
    True,
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// Anything else.
    Other,
}

/// What stands around the records of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Values, each with the place of its pointer among those that are looked at.
    pub beside: Vec<(usize, Beside)>,
    /// Digests of the members, each of its place and its value: but for those that are looked at, that say nothing (null,
    /// or empty), or that are another one on every page.
    pub members: HashSet<[u8; 16]>,
    /// Whether there were more members than are kept.
    pub is_partial: bool,
    /// Whether a page that was taken for one record holds a list that is empty or of objects, so that it may as well be an
    /// object around its records.
    pub holds_list: bool,
}

impl Around {
    /// Takes a value for the one at this place: of several, the last counts.
    pub fn put(&mut self, place: usize, value: Beside) {
        self.beside.retain(|(other, _)| *other != place);
        self.beside.push((place, value));
    }

    /// Adds what stands around the records of the next chunk.
    pub fn add(&mut self, next: &Self) {
        for (place, value) in &next.beside {
            self.put(*place, value.clone());
        }
        self.members.extend(&next.members);
        self.is_partial |= next.is_partial;
        self.holds_list |= next.holds_list;
    }

    /// Whether all that it says was said by `other`, too, as far as it is no matter of the single page.
    pub fn says_no_more_than(&self, other: &Self) -> bool {
        !self.is_partial && self.members.is_subset(&other.members)
    }
}

/// What tells records of a page from those of another one, however they were cut into chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsDigest {
    /// The sum of the hashes of all records: the same records in another order are the same. 64 bits are enough: two
    /// pages are compared, and a server that would make them seem alike may as well send the same.
    sum: u64,
    first: Option<u64>,
    count: u64,
}

impl RecordsDigest {
    /// Adds a record, by its hash.
    pub fn push(&mut self, hash: u64) {
        self.sum = self.sum.wrapping_add(hash);
        self.first.get_or_insert(hash);
        self.count += 1;
    }

    /// Adds the records of the next chunk.
    pub fn add(&mut self, next: &Self) {
        self.sum = self.sum.wrapping_add(next.sum);
        self.first = self.first.or(next.first);
        self.count += next.count;
    }

    /// Whether it is of no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all records are one and the same, so that another page may well hold as many of it.
    pub fn is_uniform(&self) -> bool {
        self.first.is_some_and(|first| first.wrapping_mul(self.count) == self.sum)
    }
}

/// What a page tells of the one behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageEnd {
    /// Its records, rejected ones included.
    pub record_count: u64,
    /// SHA-256 of what it held.
    pub digest: [u8; 32],
    /// Its records, where something stands around them.
    pub records: RecordsDigest,
    /// The target of its `Link` header with `rel="next"`, as it was sent.
    pub link: Option<String>,
    /// The URL that answered, after redirects.
    pub answered_url: Option<Url>,
    /// What stands around its records.
    pub around: Around,
    /// JSON Pointer to what look like its records, where it was taken for one.
    pub records_hint: Option<String>,
    /// The fault that it has unless its chain excuses it: there is no place of records in it.
    #[serde(skip)]
    pub lack: Option<PageFault>,
    /// What its answer said, where that is of interest.
    #[serde(skip)]
    pub notes: Option<Box<AnswerNotes>>,
    /// Attempts that it took.
    pub attempt_count: u32,
    /// Bytes of its body, decompressed.
    pub body_bytes: u64,
    /// Ground on which its body is taken for whole.
    #[serde(skip)]
    pub wholeness: Wholeness,
}

/// Ground on which a body is taken for whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wholeness {
    /// By its framing: a length, a last chunk, the end of a stream or of a file.
    #[default]
    Framed,
    /// By what it holds: its compression, its array or its envelope ended. The framing is that the connection is closed.
    SelfContained,
    /// Not at all: the connection was closed, and lines or documents that are missing leave no trace.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_however_they_are_cut() {
        let of = |records: &[u64]| {
            let mut digest = RecordsDigest::default();
            records.iter().for_each(|record| digest.push(*record));
            digest
        };
        let mut joined = of(&[7, u64::MAX]);
        joined.add(&RecordsDigest::default());
        joined.add(&of(&[3]));
        assert_eq!(joined, of(&[7, u64::MAX, 3]));
        assert_ne!(joined, of(&[7, 3]));
        assert!(of(&[9]).is_uniform() && of(&[u64::MAX; 3]).is_uniform());
        assert!(!joined.is_uniform() && !RecordsDigest::default().is_uniform());
    }
}
