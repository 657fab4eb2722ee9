//! The index of a folder of raw bodies: a line where a run begins, one for each page in the order in which they were
//! written, one where it ends. Lines are only ever added.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{OBJECTS, RawObjects, index_of, lock, object_of, shard_of, sweep};
use crate::calendar::now_rfc3339;
use crate::error::{Error, Result};
use crate::model::{KeptBody, KeptPage, Place};
use crate::sink::local::{Lock, sync};
use crate::sink::marker::is_file;
use crate::sink::system::NO_FOLLOW;

/// Longest line: a URL of 64 KiB, where it led, and headers, of which an HTTP client takes some 400 KiB.
const LINE_BYTES_MAX: u64 = 2 << 20;
/// Characters of a SHA-256.
const SHA256_CHARS: usize = 64;

/// A line of the index.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    /// A run begins.
    Begin {
        run_id: String,
        version: String,
        started_at: String,
        /// What identifies its URL list.
        list_sha256: String,
    },
    /// A page of it came whole.
    Page {
        run_id: String,
        #[serde(flatten)]
        page: Box<KeptPage>,
    },
    /// All of its pages came or failed.
    End { run_id: String, ended_at: String, pages_listed: u64, pages_failed: u64, pages_duplicate: u64 },
}

/// Tells whether the folder has an index that a run has begun.
pub(super) fn is_begun(folder: &Path) -> bool {
    let path = index_of(folder);
    if !is_file(&path) {
        return false;
    }
    let mut first = String::new();
    let read = File::open(path).map(|file| BufReader::new(file.take(LINE_BYTES_MAX)).read_line(&mut first));
    matches!(read, Ok(Ok(_))) && matches!(serde_json::from_str(&first), Ok(Line::Begin { .. }))
}

/// Writes what a run keeps into a folder that it holds the lock of.
#[derive(Debug)]
pub struct RawIndex {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    run_id: String,
    page_count: u64,
    bytes: u64,
    /// Folders that got objects.
    shards: BTreeSet<String>,
    // Dropped last, after the sweep.
    _lock: Lock,
}

impl RawIndex {
    /// Locks the folder, which is made if it is not there, sweeps what a killed run left half-written, and says that a run
    /// begins, of the list that `list_sha256` identifies.
    ///
    /// # Errors
    /// It is no folder ([`Usage`](crate::error::ErrorKind::Usage)), can't be written
    /// ([`Storage`](crate::error::ErrorKind::Storage)), or another run holds its lock
    /// ([`Locked`](crate::error::ErrorKind::Locked)).
    pub fn begin(folder: &Path, run_id: &str, started_at: &str, list_sha256: &str) -> Result<Self> {
        let lock = lock(folder)?;
        let path = index_of(folder);
        let opened = File::options()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(&path);
        let file = opened.map_err(|error| Error::storage("open", &path, error))?;
        let run_id = run_id.to_owned();
        let mut index = Self {
            folder: folder.to_owned(),
            path,
            file,
            run_id: run_id.clone(),
            page_count: 0,
            bytes: 0,
            shards: BTreeSet::new(),
            _lock: lock,
        };
        index.end_torn_line()?;
        index.push_line(&Line::Begin {
            run_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started_at.to_owned(),
            list_sha256: list_sha256.to_owned(),
        })?;
        Ok(index)
    }

    /// Where its bodies are put.
    pub fn objects(&self) -> Arc<RawObjects> {
        RawObjects::new(&self.folder)
    }

    /// Adds a page, whose object is in its place.
    ///
    /// # Errors
    /// It can't be written.
    pub fn push(&mut self, page: KeptPage) -> Result<()> {
        self.page_count += 1;
        self.bytes += page.bytes;
        self.shards.insert(shard_of(&page.sha256).to_owned());
        let line = Line::Page { run_id: self.run_id.clone(), page: Box::new(page) };
        self.push_line(&line)
    }

    /// Says that the run has ended, with so many pages, and syncs all of it.
    ///
    /// # Errors
    /// It can't be written or synced.
    pub fn end(&mut self, pages_listed: u64, pages_failed: u64, pages_duplicate: u64) -> Result<()> {
        let objects = self.folder.join(OBJECTS);
        for shard in &self.shards {
            sync(&objects.join(shard))?;
        }
        sync(&objects)?;
        let (run_id, ended_at) = (self.run_id.clone(), now_rfc3339());
        self.push_line(&Line::End { run_id, ended_at, pages_listed, pages_failed, pages_duplicate })?;
        self.file.sync_all().map_err(|error| Error::storage("sync", &self.path, error))?;
        sync(&self.folder)
    }

    /// How many pages were added.
    pub fn page_count(&self) -> u64 {
        self.page_count
    }

    /// Bytes of the bodies that were added, repeated ones included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A killed run may have left the beginning of a line.
    fn end_torn_line(&mut self) -> Result<()> {
        let mut ended = || {
            if self.file.seek(SeekFrom::End(0))? == 0 {
                return Ok(());
            }
            self.file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            self.file.read_exact(&mut last)?;
            if last == *b"\n" { Ok(()) } else { self.file.write_all(b"\n") }
        };
        ended().map_err(|error| Error::storage("write", &self.path, error))
    }

    fn push_line(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line).expect("a line has only string keys");
        text.push(b'\n');
        // One call for one line, so that a kill leaves whole ones but for a full disk.
        self.file.write_all(&text).map_err(|error| Error::storage("write", &self.path, error))
    }
}

impl Drop for RawIndex {
    fn drop(&mut self) {
        // A run that is stopped drops it while its pages still have bodies on their way.
        if let Err(error) = sweep(&self.folder) {
            tracing::warn!(error = error.one_line(), "leaving half-written bodies for the next run to sweep");
        }
    }
}

/// The run of an index that is replayed: the last one that ended, or the last one if none did.
#[derive(Debug)]
pub struct KeptRun {
    folder: PathBuf,
    /// Names it.
    pub run_id: String,
    /// When it began.
    pub started_at: String,
    /// What identifies its URL list.
    pub list_sha256: String,
    /// Its pages that came whole.
    pub page_count: u64,
    /// What it said of its pages when it ended; none if it did not.
    pub end: Option<KeptRunEnd>,
    /// When a run began that came later and has not ended.
    pub unended_since: Option<String>,
    /// Chains of which a page stands behind pages that belong behind it, by the positions of their URLs in the list.
    pub late: BTreeSet<u64>,
    hindmost: Option<Place>,
    offset: u64,
    line_count_before: u64,
}

/// What a run said of its pages when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRunEnd {
    /// All of them.
    pub listed: u64,
    /// Those that failed, whether they came whole or not.
    pub failed: u64,
    /// Those that were listed before.
    pub duplicate: u64,
}

impl KeptRun {
    /// Tells how many of its pages failed before all of their body had come; none are known of a run that did not end.
    pub fn unkept_count(&self) -> u64 {
        self.end.map_or(0, |end| end.listed.saturating_sub(end.duplicate + self.page_count))
    }

    /// Looks for the run in the index of `folder`. Reads all of it and keeps no page.
    ///
    /// # Errors
    /// A usage error: there is no index, or it has no run, or the lines of its run are not as they were written.
    pub fn find(folder: &Path) -> Result<Self> {
        let mut reader = IndexReader::open(folder)?;
        let (mut ended, mut open): (Option<Self>, Option<Self>) = (None, None);
        loop {
            let (offset, line_count_before) = (reader.offset, reader.line_count);
            let Some(line) = reader.next()? else { break };
            match line {
                Ok(Line::Begin { run_id, started_at, list_sha256, .. }) => {
                    open = Some(Self {
                        folder: folder.to_owned(),
                        run_id,
                        started_at,
                        list_sha256,
                        page_count: 0,
                        end: None,
                        unended_since: None,
                        late: BTreeSet::new(),
                        hindmost: None,
                        offset,
                        line_count_before,
                    });
                }
                Ok(Line::Page { run_id, page }) => {
                    if let Some(run) = open.as_mut().filter(|run| run.run_id == run_id) {
                        run.add(page.place());
                    }
                }
                Ok(Line::End { run_id, pages_listed, pages_failed, pages_duplicate, .. }) => {
                    if let Some(mut run) = open.take_if(|run| run.run_id == run_id) {
                        run.end = Some(KeptRunEnd {
                            listed: pages_listed,
                            failed: pages_failed,
                            duplicate: pages_duplicate,
                        });
                        ended = Some(run);
                    }
                }
                // The torn line of a killed run, or one of a run that is read again: that is told then.
                Err(_) => {}
            }
        }
        let found = match (ended, open) {
            (Some(run), open) => Some(Self { unended_since: open.map(|open| open.started_at), ..run }),
            (None, open) => open,
        };
        found.ok_or_else(|| {
            let index = index_of(folder);
            Error::usage(format!("--replay: expected a run in {}, got none", index.display()))
        })
    }

    fn add(&mut self, place: Place) {
        self.page_count += 1;
        if self.hindmost.is_some_and(|hindmost| hindmost > place) {
            self.late.insert(place.ordinal);
        }
        self.hindmost = self.hindmost.max(Some(place));
    }

    /// Its pages, in the order in which they were written.
    ///
    /// # Errors
    /// The index can't be read again.
    pub fn pages(self) -> Result<KeptPages> {
        let mut reader = IndexReader::open(&self.folder)?;
        reader.go_to(self.offset, self.line_count_before)?;
        Ok(KeptPages { reader, run: self, is_over: false })
    }
}

/// The pages of a run, read lazily. An error is the last item: a line is not as it was written.
#[derive(Debug)]
pub struct KeptPages {
    reader: IndexReader,
    run: KeptRun,
    is_over: bool,
}

impl KeptPages {
    /// The run.
    pub fn run(&self) -> &KeptRun {
        &self.run
    }

    fn advance(&mut self) -> Result<Option<KeptBody>> {
        let is_ended = self.run.end.is_some();
        while let Some(line) = self.reader.next()? {
            let page = match line {
                Ok(Line::Page { run_id, page }) if run_id == self.run.run_id => page,
                Ok(Line::End { run_id, .. }) if run_id == self.run.run_id => return Ok(None),
                Ok(Line::Begin { run_id, .. }) if run_id != self.run.run_id => return Ok(None),
                Ok(_) => continue,
                // What a killed run wrote last.
                Err(_) if !is_ended && self.reader.is_last_line()? => return Ok(None),
                Err(reason) => return Err(self.reader.wrong(&reason)),
            };
            if !is_sha256(&page.sha256) {
                return Err(self.reader.wrong("expected a SHA-256, got something else"));
            }
            let object = object_of(&self.run.folder, &page.sha256);
            return Ok(Some(KeptBody { object, page: *page }));
        }
        if is_ended {
            return Err(self
                .reader
                .wrong("expected the end of the run, got none; it changed while it was read"));
        }
        Ok(None)
    }
}

impl Iterator for KeptPages {
    type Item = Result<KeptBody>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.advance().transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Whether a text can be the name of an object, and nothing else.
fn is_sha256(text: &str) -> bool {
    text.len() == SHA256_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[derive(Debug)]
struct IndexReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    line_count: u64,
}

impl IndexReader {
    fn open(folder: &Path) -> Result<Self> {
        let path = index_of(folder);
        let file = File::open(&path).map_err(|error| {
            Error::usage(format!(
                "--replay {}: expected a folder that --keep-raw has filled, got one without {}",
                folder.display(),
                super::INDEX
            ))
            .because(error)
        })?;
        Ok(Self { path, file: BufReader::new(file), offset: 0, line_count: 0 })
    }

    fn go_to(&mut self, offset: u64, line_count: u64) -> Result<()> {
        (self.offset, self.line_count) = (offset, line_count);
        self.file.seek(SeekFrom::Start(offset)).map(drop).map_err(|error| self.unread(error))
    }

    /// The next line, or what is wrong with it.
    fn next(&mut self) -> Result<Option<Result<Line, String>>> {
        let mut text = Vec::new();
        let read = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        read.map_err(|error| self.unread(error))?;
        if text.is_empty() {
            return Ok(None);
        }
        self.offset += text.len() as u64;
        self.line_count += 1;
        // Position and kind are told; a value is not, for it may be a URL.
        Ok(Some(serde_json::from_slice(&text).map_err(|error| {
            format!("expected a line as --keep-raw writes it, got a fault in column {}", error.column())
        })))
    }

    fn is_last_line(&mut self) -> Result<bool> {
        let rest = self.file.fill_buf().map(|rest| rest.is_empty());
        rest.map_err(|error| self.unread(error))
    }

    fn unread(&self, error: std::io::Error) -> Error {
        Error::failed(format!("could not read {}", self.path.display())).because(error)
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::failed(format!("{}:{}: {reason}", self.path.display(), self.line_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256_hex;
    use crate::error::ErrorKind;
    use crate::model::{AnswerNotes, DeclaredForm};

    fn page(line: u64, page: u32) -> KeptPage {
        KeptPage {
            ordinal: line,
            url: format!("http://h/{line}?token=***"),
            url_sha256: sha256_hex(b"url"),
            line,
            page,
            fetched_at: "2026-01-31T00:00:00.000Z".to_owned(),
            notes: AnswerNotes { status: Some(200), etag: Some("\"x\"".to_owned()), ..Default::default() },
            answered_url: None,
            link: None,
            form: DeclaredForm::Ndjson,
            end_proven: true,
            is_compressed_by_name: false,
            bytes: 3,
            sha256: sha256_hex(b"abc"),
        }
    }

    fn index(folder: &Path, run_id: &str) -> RawIndex {
        RawIndex::begin(folder, run_id, "then", "list").unwrap()
    }

    fn write_run(folder: &Path, run_id: &str, lines: &[u64], is_ended: bool) {
        let mut index = index(folder, run_id);
        std::fs::create_dir_all(folder.join("objects/ba")).unwrap();
        for line in lines {
            index.push(page(*line, 1)).unwrap();
        }
        if is_ended {
            index.end(9, 1, 2).unwrap();
        }
    }

    fn lines(folder: &Path) -> Vec<u64> {
        let pages = KeptRun::find(folder).unwrap().pages().unwrap();
        pages.map(|body| body.unwrap().page.line).collect()
    }

    #[test]
    fn last_run_that_ended_is_found_whatever_a_killed_one_left() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("raw");
        write_run(&folder, "a", &[1, 2], false);
        assert_eq!(lines(&folder), [1, 2], "none has ended");
        let mut torn = File::options().append(true).open(index_of(&folder)).unwrap();
        torn.write_all(b"{\"event\":\"page\",\"run").unwrap();
        assert_eq!(lines(&folder), [1, 2]);
        write_run(&folder, "b", &[3, 4, 5], true);
        write_run(&folder, "c", &[6], false);
        assert_eq!(lines(&folder), [3, 4, 5]);
        let run = KeptRun::find(&folder).unwrap();
        assert_eq!((run.run_id.as_str(), run.page_count), ("b", 3));
        assert_eq!(run.end, Some(KeptRunEnd { listed: 9, failed: 1, duplicate: 2 }));
        assert_eq!(run.unended_since.as_deref(), Some("then"));
        write_run(&folder, "d", &[7], true);
        assert_eq!(lines(&folder), [7]);
        assert_eq!(KeptRun::find(&folder).unwrap().unended_since, None);
    }

    #[test]
    fn page_is_read_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("raw");
        write_run(&folder, "a", &[4], true);
        let body = KeptRun::find(&folder).unwrap().pages().unwrap().next().unwrap().unwrap();
        assert_eq!(body.page, page(4, 1));
        assert_eq!(body.object, object_of(&folder, &page(4, 1).sha256));
    }

    #[test]
    fn line_that_was_altered_is_told_by_its_place_and_names_no_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("raw");
        write_run(&folder, "a", &[1, 2], true);
        let text = std::fs::read_to_string(index_of(&folder)).unwrap();
        let sha256 = page(1, 1).sha256;
        let outside = format!("../../{}", &sha256[..58]);
        for (from, to) in [(sha256.as_str(), outside.as_str()), ("\"line\":1", "\"line\":\"hunter2\"")] {
            std::fs::write(index_of(&folder), text.replacen(from, to, 1)).unwrap();
            let error = KeptRun::find(&folder).unwrap().pages().unwrap().next().unwrap().unwrap_err();
            let shown = error.one_line();
            assert!(shown.contains("index.ndjson:2: expected") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn folder_without_a_run_is_a_usage_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(KeptRun::find(root.path()).unwrap_err().kind(), ErrorKind::Usage);
        std::fs::write(index_of(root.path()), "").unwrap();
        assert_eq!(KeptRun::find(root.path()).unwrap_err().kind(), ErrorKind::Usage);
    }
}
