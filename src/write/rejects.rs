//! The rejects file: what was not written, byte for byte, one JSON object a line.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use serde::Serialize;

use super::order::Sequence;
use super::saved::SavedFile;
use super::summed::SummedFile;
use crate::config::RejectsRaw;
use crate::error::{Error, Result};
use crate::model::{Loss, PageFault, PageId, RawRecord, Received, Reject};
use crate::sink::{LocalOutput, Scratch, Spool, Spools};

/// Bytes of a page's lines that are kept in memory.
const LINES_BYTES_MAX: usize = 256 << 10;

/// Writes rejects in the order of the rows. The file exists only once there is one.
#[derive(Debug)]
pub struct RejectsWriter {
    file: Option<Lines>,
    written_bytes: u64,
    /// The files of the bytes before those in `file`.
    saved: Vec<SavedFile>,
    /// How much is shown of a failed page.
    rejects_raw: RejectsRaw,
}

/// The rejected records of one page, which join those of the run or vanish.
#[derive(Debug)]
pub struct PageRejects {
    id: PageId,
    url: Arc<str>,
    /// Lines that are whole, until they are too many to be kept in memory.
    lines: Vec<u8>,
    spooled: Option<Lines>,
}

/// Lines of a file.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: BufWriter<SummedFile>,
}

impl Lines {
    fn new(path: PathBuf, file: File) -> Self {
        Self { path, file: BufWriter::new(SummedFile::new(file)) }
    }

    fn write(&mut self, lines: &[u8]) -> Result<()> {
        self.file.write_all(lines).map_err(|error| Error::storage("write", &self.path, error))
    }

    /// Writes a line that may be too large for memory once its bytes are escaped.
    fn write_line(&mut self, line: &Line<'_>) -> Result<()> {
        serde_json::to_writer(&mut self.file, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| Error::storage("write", &self.path, error))
    }

    /// The file, with all lines in it.
    fn close(self) -> Result<(PathBuf, SummedFile)> {
        match self.file.into_inner() {
            Ok(file) => Ok((self.path, file)),
            Err(error) => Err(Error::storage("write", &self.path, error.into_error())),
        }
    }

    /// The file, synced.
    fn finish(self) -> Result<(PathBuf, SummedFile)> {
        let (path, file) = self.close()?;
        file.file().sync_all().map_err(|error| Error::storage("sync", &path, error))?;
        Ok((path, file))
    }
}

/// One line of the rejects file.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    url: &'a str,
    line: u64,
    page: u32,
    record: Option<u64>,
    byte_offset: Option<u64>,
    pointer: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
    /// Of how many bytes the hash is, where not of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256_bytes: Option<u64>,
    /// Whether values of the record are blacked out.
    #[serde(skip_serializing_if = "is_false")]
    redacted: bool,
    /// Whether it is one value of a record that was written.
    #[serde(skip_serializing_if = "is_false")]
    value_discarded: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'a> Line<'a> {
    fn write_to(&self, lines: &mut Vec<u8>) {
        serde_json::to_writer(&mut *lines, self).expect("a line is plain data, and memory takes it");
        lines.push(b'\n');
    }

    /// A line about this page, its other fields empty.
    fn about(id: PageId, url: &'a str) -> Self {
        Self { url, line: id.line, page: id.page, ..Self::default() }
    }
}

impl PageRejects {
    /// Those of a page of which none is known yet.
    pub fn new(id: PageId, url: Arc<str>) -> Self {
        Self { id, url, lines: Vec::new(), spooled: None }
    }

    /// Adds rejected records and discarded values.
    ///
    /// # Errors
    /// They are too many to be kept in memory, and can't be written.
    pub fn push(&mut self, spools: &Spools, rejects: &[Reject]) -> Result<()> {
        let (id, url) = (self.id, Arc::clone(&self.url));
        for reject in rejects {
            let (raw, raw_base64) = match &reject.raw {
                RawRecord::Bytes(raw) | RawRecord::Redacted(raw) => raw_of(raw),
                RawRecord::Digest { .. } | RawRecord::Hidden { .. } => (None, None),
            };
            let (size, sha256) = match &reject.raw {
                RawRecord::Bytes(_) | RawRecord::Redacted(_) => (None, None),
                RawRecord::Hidden { size } => (Some(*size), None),
                RawRecord::Digest { size, sha256 } => (Some(*size), Some(sha256.as_str())),
            };
            let line = Line {
                record: Some(reject.record),
                byte_offset: Some(reject.byte_offset),
                pointer: &reject.pointer,
                reason: &reject.reason,
                raw,
                raw_base64,
                size,
                sha256,
                redacted: matches!(reject.raw, RawRecord::Redacted(_)),
                value_discarded: reject.loss == Loss::Value,
                ..Line::about(id, &url)
            };
            if reject.memory_bytes() > LINES_BYTES_MAX {
                self.spool(spools)?.write_line(&line)?;
                continue;
            }
            line.write_to(&mut self.lines);
            if self.lines.len() > LINES_BYTES_MAX {
                self.spool(spools)?;
            }
        }
        Ok(())
    }

    /// Writes the lines so far to a file of their own, which more may go to.
    fn spool(&mut self, spools: &Spools) -> Result<&mut Lines> {
        let spooled = match &mut self.spooled {
            Some(spooled) => spooled,
            empty => {
                let Spool { path, file } = spools.create()?;
                empty.insert(Lines::new(path, file))
            }
        };
        spooled.write(&self.lines)?;
        self.lines.clear();
        Ok(spooled)
    }
}

impl RejectsWriter {
    /// Without rejects. Records come with as much as may be shown; of failed pages, in which it can't be told what
    /// stands where, anything but [`RejectsRaw::Full`] shows the size.
    pub fn new(rejects_raw: RejectsRaw) -> Self {
        Self { file: None, written_bytes: 0, saved: Vec::new(), rejects_raw }
    }

    /// Bytes of the file so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Adds the rejected records of a page behind all rejects so far.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn push_records(&mut self, output: &LocalOutput, page: PageRejects) -> Result<()> {
        if let Some(spooled) = page.spooled {
            let (path, spooled) = spooled.close()?;
            let mut spooled = spooled.into_file();
            spooled.rewind().map_err(|error| Error::storage("read back", &path, error))?;
            let ours = self.file(output)?;
            let copied = std::io::copy(&mut spooled, &mut ours.file);
            self.written_bytes += copied.map_err(|error| Error::storage("write", &ours.path, error))?;
        }
        if page.lines.is_empty() { Ok(()) } else { self.write(output, &page.lines) }
    }

    /// Writes a failed page.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn push_page(
        &mut self,
        output: &LocalOutput,
        id: PageId,
        url: &str,
        fault: &PageFault,
    ) -> Result<()> {
        let received = fault.received.as_ref();
        let shown = received.filter(|_| self.rejects_raw == RejectsRaw::Full);
        let (raw, raw_base64) = shown.map_or((None, None), |received| raw_of(&received.head));
        let line = Line {
            byte_offset: fault.byte_offset,
            reason: &fault.reason,
            raw,
            raw_base64,
            size: received.map(|received| received.size),
            // The hash of a short page would tell what stands in it.
            sha256: shown.map(|received| received.sha256.as_str()),
            sha256_bytes: shown.and_then(Received::hashed_bytes),
            ..Line::about(id, url)
        };
        let mut text = Vec::new();
        line.write_to(&mut text);
        self.write(output, &text)
    }

    /// Syncs the file, put in this order if it is not; its path, if there was a reject.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self, output: &LocalOutput, sequence: Option<&Sequence>) -> Result<Option<PathBuf>> {
        let as_written = 0..self.written_bytes;
        match sequence.filter(|sequence| sequence.reject_bytes.len() > 1 || !self.saved.is_empty()) {
            Some(sequence) => self.put_in_order(output, &sequence.reject_bytes)?,
            None if !self.saved.is_empty() => self.put_in_order(output, &[as_written])?,
            None => {}
        }
        self.file.map(|lines| Ok(lines.finish()?.0)).transpose()
    }

    fn put_in_order(&mut self, output: &LocalOutput, ranges: &[Range<u64>]) -> Result<()> {
        // Each with where its bytes begin.
        let mut written = Vec::new();
        let mut begin = 0;
        for SavedFile { path, bytes, .. } in std::mem::take(&mut self.saved) {
            let file = File::open(&path).map_err(|error| Error::storage("reopen", &path, error))?;
            written.push((begin, path, file));
            begin += bytes;
        }
        if let Some(lines) = self.file.take() {
            let (path, file) = lines.close()?;
            // Its name is for the one in order; what was written so far is there as long as it is open.
            output.remove_part(&path)?;
            written.push((begin, path, file.into_file()));
        }
        if ranges.is_empty() {
            return Ok(());
        }
        let end = self.written_bytes;
        let ours = self.file(output)?;
        for range in ranges {
            for index in 0..written.len() {
                let until = written.get(index + 1).map_or(end, |(begin, ..)| *begin);
                let (begin, path, file) = &mut written[index];
                let (from, to) = (range.start.max(*begin), range.end.min(until));
                if from < to {
                    let copied = file
                        .seek(SeekFrom::Start(from - *begin))
                        .and_then(|_| std::io::copy(&mut file.take(to - from), &mut ours.file));
                    let operation = format!("copy {} to", path.display());
                    copied.map_err(|error| Error::storage(&operation, &ours.path, error))?;
                }
            }
        }
        Ok(())
    }

    /// Brings all rejects so far into files that are synced, and gives the one that was not saved before, where `keep` has
    /// put it.
    ///
    /// # Errors
    /// The file can't be written, or `keep` fails.
    pub fn save(&mut self, keep: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<Option<SavedFile>> {
        let Some(lines) = self.file.take() else { return Ok(None) };
        let (path, file) = lines.finish()?;
        let saved = SavedFile::new(keep(&path)?, file.sum());
        self.saved.push(saved.clone());
        Ok(Some(saved))
    }

    /// Goes on behind the rejects that an earlier process saved.
    pub fn resume(&mut self, saved: Vec<SavedFile>) {
        self.written_bytes = saved.iter().map(|file| file.bytes).sum();
        self.saved = saved;
    }

    fn write(&mut self, output: &LocalOutput, lines: &[u8]) -> Result<()> {
        self.file(output)?.write(lines)?;
        self.written_bytes += lines.len() as u64;
        Ok(())
    }

    fn file(&mut self, output: &LocalOutput) -> Result<&mut Lines> {
        Ok(match &mut self.file {
            Some(file) => file,
            empty => {
                let Scratch { path, file } = output.create_rejects()?;
                empty.insert(Lines::new(path, file))
            }
        })
    }
}

/// The raw bytes as text where they are UTF-8, else in base64.
fn raw_of(raw: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(raw) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(base64::engine::general_purpose::STANDARD.encode(raw))),
    }
}
