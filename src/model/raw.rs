//! A page whose body was kept as it came, and what has to be known beside the body to read it again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DeclaredForm, Place};

/// What an answer says that is worth keeping beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerNotes {
    /// Its status; none for a local file.
    pub status: Option<u16>,
    /// Its Content-Type, as it was sent.
    pub content_type: Option<String>,
    /// Its Content-Encoding, as it was sent; several are joined by commas.
    pub content_encoding: Option<String>,
    /// Its validators, as they were sent.
    pub etag: Option<String>,
    /// See [`Self::etag`].
    pub last_modified: Option<String>,
}

/// A page that came whole, whether it could be decoded or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPage {
    /// Its URL as it may be shown: secrets hidden.
    pub url: String,
    /// SHA-256 of its real URL or path, by which URLs with hidden parts are told apart.
    pub url_sha256: String,
    /// Position of the URL that its chain begins with in the list, from 0.
    pub ordinal: u64,
    /// Line of the URL list, from 1; 0 for an argument.
    pub line: u64,
    /// Page in the chain that begins at the line, from 1.
    pub page: u32,
    /// When its last byte had come, RFC 3339 in UTC.
    pub fetched_at: String,
    /// What its answer said.
    #[serde(flatten)]
    pub notes: AnswerNotes,
    /// The URL that answered, secrets hidden; none for a local file.
    pub answered_url: Option<String>,
    /// The page that its `Link` header names as the next one, secrets hidden.
    pub link: Option<String>,
    /// What was declared of its form.
    pub form: DeclaredForm,
    /// Whether the end of its body was proven.
    pub end_proven: bool,
    /// Whether its name says that it is a compressed file.
    pub is_compressed_by_name: bool,
    /// Bytes of its body as they came, still compressed.
    pub bytes: u64,
    /// Their SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

impl KeptPage {
    /// Where its rows stand.
    pub fn place(&self) -> Place {
        Place { page: self.page, ordinal: self.ordinal }
    }
}

/// A kept page, and the file that holds its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody {
    /// The file.
    pub object: PathBuf,
    /// The page.
    pub page: KeptPage,
}
