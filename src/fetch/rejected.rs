//! The records of a rejects file, which are fed through again: one page with a record a line.
//!
//! They stand in a temporary file, in the order of the rejects file, each as it was but for line feeds, which become
//! tabs: between values both are white space, inside a string neither may stand, so a record is as right or wrong as
//! before. What has no record to feed is counted. Nothing here looks into a record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::digest::RunningDigest;
use crate::error::{Error, Result};
use crate::model::{Ask, Location, PageId, PageKey, PageOptions, PageRequest};

/// Bytes of a line at most: a record of the largest size, escaped as control characters are, has no more.
const LINE_BYTES_MAX: u64 = 6 << 29;

/// The records of a rejects file, and what else it has.
#[derive(Debug)]
pub struct RejectedRecords {
    shown: Arc<str>,
    records: TemporaryFile,
    digest: String,
    /// Records that are fed.
    pub record_count: u64,
    /// Failed pages.
    pub page_count: u64,
    /// Records of which only the size, or a hash, is there.
    pub absent_count: u64,
    /// Records of which values are blacked out.
    pub redacted_count: u64,
    /// Values of records that were written.
    pub value_count: u64,
}

/// A file that is gone when it is dropped.
#[derive(Debug)]
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // What can't be removed is for whoever empties the folder for temporary files.
        drop(fs::remove_file(&self.0));
    }
}

/// What is taken of a line.
#[derive(Debug, Deserialize)]
struct Line {
    /// Every line has one.
    #[serde(rename = "reason")]
    _reason: String,
    record: Option<u64>,
    raw: Option<String>,
    raw_base64: Option<String>,
    #[serde(default)]
    redacted: bool,
    #[serde(default)]
    value_discarded: bool,
}

impl RejectedRecords {
    /// Reads all of a rejects file. Blocks while it reads; holds a line in memory at a time.
    ///
    /// # Errors
    /// It can't be read, or a line is none of a rejects file ([`Usage`]); the temporary file can't be written.
    ///
    /// [`Usage`]: crate::error::ErrorKind::Usage
    pub fn read(path: &Path) -> Result<Self> {
        let unread = |error| {
            Error::usage(format!("could not read the rejects file {}", path.display())).because(error)
        };
        let mut rejects = BufReader::new(File::open(path).map_err(unread)?);
        let name = format!("etl-records-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let temporary = std::env::temp_dir().join(name);
        let unwritten = |error| Error::storage("write", &temporary, error);
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let mut out = BufWriter::new(created.map_err(unwritten)?);
        let mut found = Self {
            shown: path.display().to_string().into(),
            records: TemporaryFile(temporary.clone()),
            digest: String::new(),
            record_count: 0,
            page_count: 0,
            absent_count: 0,
            redacted_count: 0,
            value_count: 0,
        };
        let mut digest = RunningDigest::default();
        // A byte order mark belongs to the record that begins with it, which it would not at the start of the file.
        out.write_all(b"\n").map_err(unwritten)?;
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = (&mut rejects).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if read.map_err(unread)? == 0 {
                break;
            }
            let wrong = |error: &dyn std::fmt::Display| {
                let path = path.display();
                Error::usage(format!(
                    "{path}:{number}: expected a line of a rejects file, got another: {error}"
                ))
            };
            let Some(mut record) = found.take(&line).map_err(|error| wrong(&error))? else { continue };
            record.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b'\t');
            record.push(b'\n');
            digest.update(&record);
            out.write_all(&record).map_err(unwritten)?;
        }
        out.flush().map_err(unwritten)?;
        found.digest = digest.finish_hex();
        Ok(found)
    }

    /// Counts a line, and gives its record if that is there as it was.
    fn take(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, io::Error> {
        let Line { record, raw, raw_base64, redacted, value_discarded, .. } = serde_json::from_slice(line)?;
        let raw = match (raw, raw_base64) {
            (Some(raw), _) => Some(raw.into_bytes()),
            (None, Some(raw)) => Some(
                STANDARD.decode(raw).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
            ),
            (None, None) => None,
        };
        // White space alone would be no record in the file.
        let raw = raw.filter(|raw| !raw.trim_ascii().is_empty());
        let count = match &raw {
            _ if record.is_none() => &mut self.page_count,
            _ if value_discarded => &mut self.value_count,
            None => &mut self.absent_count,
            Some(_) if redacted => &mut self.redacted_count,
            Some(_) => {
                self.record_count += 1;
                return Ok(raw);
            }
        };
        *count += 1;
        Ok(None)
    }

    /// What identifies the records: SHA-256 of them.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// The request for the page that has them.
#[derive(Debug)]
pub struct RejectedRequest {
    /// They are there as long as they may be asked for.
    records: RejectedRecords,
    is_given: bool,
}

impl RejectedRequest {
    pub(super) fn new(records: RejectedRecords) -> Self {
        Self { records, is_given: false }
    }
}

impl Iterator for RejectedRequest {
    type Item = Result<PageRequest>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::replace(&mut self.is_given, true) {
            return None;
        }
        let location = Location::Records(self.records.records.0.clone());
        let ask = Ask::new(&location, Arc::new(PageOptions::default())).expect("it brings no credentials");
        let id = PageId { ordinal: 0, line: 0, page: 1 };
        Some(Ok(PageRequest {
            id,
            location,
            key: PageKey::default(),
            shown: Arc::clone(&self.records.shown),
            ask,
        }))
    }
}
