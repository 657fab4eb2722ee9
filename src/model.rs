//! The nouns that travel down the line: which page is asked for, what came back, what was refused.
//!
//! Plain data only. Nothing here does I/O, waits, or knows how a page is fetched, decoded or written.

mod ask;
mod column;
mod page_end;
mod raw;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use url::Url;

pub use ask::{Ask, PageOptions};
pub use column::BatchColumn;
pub(crate) use column::spread;
pub use page_end::{Around, Beside, PageEnd, RecordsDigest, Wholeness};
pub use raw::{AnswerNotes, KeptBody, KeptPage};

use crate::digest::{RunningDigest, sha256_hex};
use crate::schema::Shape;

/// How many bytes of a failed page are kept in the rejects file.
///
/// Enough to see the HTML of a captive portal or the error object of an API, small enough that a
/// thousand failed pages stay a small file.
pub const FAILED_PAGE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// How many bytes of a failed page its hash is computed of.
///
/// It has to be computed of every large page, for any of them may fail at its end, and took a seventh of the time
/// of the good ones. So many bytes, and the size, tell pages apart.
pub const FAILED_PAGE_HASHED_BYTES_MAX: u64 = 64 << 20;

/// Mark of an SQLite database that is a ledger of etl: "etlL".
pub const LEDGER_APPLICATION_ID: i32 = 0x6574_6C4C;

/// Names a page: where its rows stand, and where a person finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageId {
    /// Position of the URL that its chain begins with among those of the run, from 0.
    pub ordinal: u64,
    /// Line of the URL list, from 1; 0 for a URL given as an argument.
    pub line: u64,
    /// Page within the chain that begins at this line, from 1.
    pub page: u32,
}

/// Where the rows of a page stand among those of all pages: all first pages of chains come before all second ones, so
/// that no chain has to be held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Page within its chain, from 1.
    pub page: u32,
    /// Position of the URL that the chain begins with.
    pub ordinal: u64,
}

impl PageId {
    /// Where its rows stand.
    pub fn place(self) -> Place {
        Place { page: self.page, ordinal: self.ordinal }
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "argument page {}", self.page),
            line => write!(f, "line {line} page {}", self.page),
        }
    }
}

/// Where the bytes of a page are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An `http` or `https` URL.
    Http(Url),
    /// A local file, from a `file` URL or a path relative to the list.
    File(PathBuf),
    /// A local file with a record a line, which the run has made itself.
    Records(PathBuf),
    /// A body that an earlier run kept.
    Kept(Box<KeptBody>),
}

impl Location {
    /// SHA-256 of the URL or path, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        match self {
            Self::Http(url) => sha256_hex(url.as_str().as_bytes()),
            Self::File(path) | Self::Records(path) => sha256_hex(path.as_os_str().as_encoded_bytes()),
            Self::Kept(body) => body.page.url_sha256.clone(),
        }
    }
}

/// Tells pages apart by what is asked for: 16 bytes of a SHA-256.
pub type PageKey = [u8; 16];

/// A page to be fetched.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Its name in the run.
    pub id: PageId,
    /// Where its bytes are; may hold secrets, so it is never shown.
    pub location: Location,
    /// By which it is known again: a digest of what is asked for.
    pub key: PageKey,
    /// The location as it may be shown: secrets hidden, otherwise as it stands in the list.
    pub shown: Arc<str>,
    /// How it is asked for, and where its secrets may go.
    pub ask: Ask,
}

/// What Content-Type, extension or status say of a body before its first byte is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclaredForm {
    /// Nothing that helps: the first byte decides.
    Unknown,
    /// Newline-delimited JSON, so that an empty body is zero records.
    Ndjson,
    /// A record a line, whatever the first of them begins with.
    Records,
    /// `204 No Content`: zero records.
    NoContent,
    /// A report of an error (RFC 9457), whatever the status says: no records.
    ErrorReport,
}

/// A record that was not written, or a value of one that was, kept byte for byte unless it is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What was lost.
    pub loss: Loss,
    /// Position of the record in its batch, from 0; in its page once the batch is counted there.
    pub record: u64,
    /// Offset of the record's first byte in the decompressed body.
    pub byte_offset: u64,
    /// JSON Pointer to the place that was refused; empty for the record itself.
    pub pointer: String,
    /// What was expected and what was found.
    pub reason: String,
    /// The record as it was served, or the value that was discarded.
    pub raw: RawRecord,
}

/// What a reject keeps from the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// A record.
    Record,
    /// A value of a record that was written, with null in its place (`--schema-contract discard_value`).
    Value,
}

/// What is kept of a record, or a value, that was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawRecord {
    /// All of it.
    Bytes(Vec<u8>),
    /// The record with a word in place of each value that must not be seen.
    Redacted(Vec<u8>),
    /// It is larger than a record may be: what identifies it.
    Digest {
        /// Its bytes.
        size: u64,
        /// Its SHA-256, in lower-case hexadecimal.
        sha256: String,
    },
    /// It must not be seen, and is so short that its hash would tell it.
    Hidden {
        /// Its bytes.
        size: u64,
    },
}

impl Reject {
    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> usize {
        let raw_bytes = match &self.raw {
            RawRecord::Bytes(bytes) | RawRecord::Redacted(bytes) => bytes.capacity(),
            RawRecord::Digest { sha256, .. } => sha256.capacity(),
            RawRecord::Hidden { .. } => 0,
        };
        size_of::<Self>() + self.pointer.capacity() + self.reason.capacity() + raw_bytes
    }
}

impl RawRecord {
    /// What identifies `record`.
    pub fn digest_of(record: &[u8]) -> Self {
        Self::Digest { size: record.len() as u64, sha256: sha256_hex(record) }
    }

    /// Bytes of the record.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) | Self::Redacted(bytes) => bytes.len() as u64,
            Self::Digest { size, .. } | Self::Hidden { size } => *size,
        }
    }
}

/// A page none of whose records count: it was not fetched whole, or its boundaries can't be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFault {
    /// What failed, in words that a person can act on.
    pub reason: String,
    /// Where in the decompressed body, when that is known.
    pub byte_offset: Option<u64>,
    /// What was received, if anything.
    pub received: Option<Received>,
    /// Whether a server (or the file system) gave an answer at all.
    pub answered: bool,
    /// The status of the last answer, if there was one over HTTP.
    pub http_status: Option<u16>,
    /// Attempts that were made.
    pub attempt_count: u32,
}

/// The trace that a failed page leaves: its head, and what identifies the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The first [`FAILED_PAGE_HEAD_BYTES_MAX`] bytes.
    pub head: Vec<u8>,
    /// Bytes received altogether.
    pub size: u64,
    /// SHA-256 of the first [`FAILED_PAGE_HASHED_BYTES_MAX`] bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl Received {
    /// How many bytes the hash is of, where it is not all of them.
    pub fn hashed_bytes(&self) -> Option<u64> {
        (self.size > FAILED_PAGE_HASHED_BYTES_MAX).then_some(FAILED_PAGE_HASHED_BYTES_MAX)
    }

    /// The trace of `body`.
    pub fn of(body: &[u8]) -> Self {
        let mut trace = RunningTrace::default();
        trace.update(body);
        trace.finish()
    }
}

/// The trace of a body that is too large to be kept while it arrives.
#[derive(Debug, Clone, Default)]
pub struct RunningTrace {
    head: Vec<u8>,
    size: u64,
    digest: RunningDigest,
}

impl RunningTrace {
    /// Adds the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        let room = FAILED_PAGE_HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let hashed = FAILED_PAGE_HASHED_BYTES_MAX.saturating_sub(self.size).min(bytes.len() as u64);
        self.digest.update(&bytes[..hashed as usize]);
        self.size += bytes.len() as u64;
    }

    /// The trace of all bytes so far.
    pub fn finish(self) -> Received {
        Received { head: self.head, size: self.size, sha256: self.digest.finish_hex() }
    }
}

/// Records of one page as columns: all of a small page's, or as many as were decoded together.
#[derive(Debug)]
pub struct PageBatch {
    /// Records seen, counted where they begin: those kept, filtered and rejected must add up to it.
    pub record_count: u64,
    /// Records that became rows: one each, but for a filter.
    pub kept_count: u64,
    /// Records that a filter left out.
    pub filtered_count: u64,
    /// Rows.
    pub row_count: usize,
    /// The record that each row came from, by its position in the batch, where a filter decides that.
    pub records_of_rows: Option<Vec<u64>>,
    /// What the columns have seen: an object whose fields are the columns.
    pub shape: Shape,
    /// One column per field of `shape`, of the type that the shape gives, in the form of memory.
    pub columns: Vec<BatchColumn>,
    /// Features of each `--values` field, in the order of the configuration.
    pub features: Vec<FieldFeatures>,
    /// Where the rows come from: the columns that [`Provenance`] names, or none.
    pub provenance: Vec<BatchColumn>,
    /// Records that did not become rows, and discarded values of others, in the order of the page.
    pub rejects: Vec<Reject>,
    /// Keys that stood twice in one object; the last one won.
    pub duplicate_key_count: u64,
    /// Features that overflowed and became null.
    pub overflow_count: u64,
    /// JSON Pointer to the array that looks like the page's records, when the page is one object around it.
    pub records_hint: Option<String>,
    /// What stands around the records.
    pub around: Around,
    /// Tells whether the text that they stand in has an end of its own.
    pub is_self_contained: bool,
    /// The records, where something stands around them and pages are told apart.
    pub records: RecordsDigest,
    /// SHA-256 of the bytes that were decoded, where pages are told apart by it.
    pub digest: Option<[u8; 32]>,
}

impl PageBatch {
    /// The records that did not become rows.
    pub fn rejected_records(&self) -> impl Iterator<Item = &Reject> {
        self.rejects.iter().filter(|reject| reject.loss == Loss::Record)
    }

    /// Bytes of memory that the columns and rejects hold.
    pub fn memory_bytes(&self) -> u64 {
        let columns = self.columns.iter().map(BatchColumn::memory_bytes);
        let features = self.features.iter().flat_map(|field| &field.columns);
        let features = features.map(|column| column.get_array_memory_size());
        let rejects = self.rejects.iter().map(Reject::memory_bytes);
        let records_of_rows =
            self.records_of_rows.as_ref().map_or(0, |rows| rows.capacity() * size_of::<u64>());
        (columns.sum::<usize>() + features.sum::<usize>() + rejects.sum::<usize>() + records_of_rows) as u64
    }
}

/// What an answer says before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `200 OK`.
    pub status: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Answer {
    /// The value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A column that says where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// The URL of its page, as it may be shown.
    Url,
    /// The page in the chain that begins at a line of the list, from 1.
    Page,
    /// The record in its page, from 0; rejected ones count.
    Record,
}

impl Provenance {
    /// All of them, in the order of their columns.
    pub const ALL: [Self; 3] = [Self::Url, Self::Page, Self::Record];

    /// The name of the column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Url => "_etl_url",
            Self::Page => "_etl_page",
            Self::Record => "_etl_record",
        }
    }

    /// Its type.
    pub const fn data_type(self) -> DataType {
        match self {
            Self::Url => DataType::Utf8,
            Self::Page | Self::Record => DataType::Int64,
        }
    }
}

/// The feature columns of one `--values` field.
#[derive(Debug)]
pub struct FieldFeatures {
    /// Whether a record had the field at all.
    pub is_seen: bool,
    /// One array per feature, in the order of the configuration; none if no record had the field.
    pub columns: Vec<ArrayRef>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_of_a_huge_body_hashes_its_beginning_and_counts_all_of_it() {
        let piece = vec![b'x'; 1 << 20];
        let (mut trace, mut same_beginning) = (RunningTrace::default(), RunningTrace::default());
        for count in 0..65 {
            trace.update(if count == 64 { b"another end" } else { &piece });
            same_beginning.update(&piece);
        }
        let (trace, other) = (trace.finish(), same_beginning.finish());
        assert_eq!((trace.size, other.size), ((64 << 20) + 11, 65 << 20));
        assert_eq!(trace.sha256, other.sha256);
        assert_eq!(trace.hashed_bytes(), Some(64 << 20));
        let whole = Received::of(&piece);
        assert_eq!((whole.hashed_bytes(), whole.sha256), (None, sha256_hex(&piece)));
    }
}
