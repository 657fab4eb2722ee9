//! The rejects file: what was not written, byte for byte, one JSON object a line.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use base64::Engine as _;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::{PageFault, PageId, Reject};
use crate::sink::{LocalOutput, Scratch};

/// Writes rejects in the order of the rows. The file exists only once there is one.
#[derive(Debug, Default)]
pub struct RejectsWriter {
    file: Option<(PathBuf, BufWriter<std::fs::File>)>,
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
}

impl<'a> Line<'a> {
    /// A line about this page, its other fields empty.
    fn about(id: PageId, url: &'a str) -> Self {
        Self { url, line: id.line, page: id.page, ..Self::default() }
    }
}

impl RejectsWriter {
    /// Writes the rejected records of a page.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn push_records(
        &mut self,
        output: &LocalOutput,
        id: PageId,
        url: &str,
        rejects: &[Reject],
    ) -> Result<()> {
        for reject in rejects {
            let (raw, raw_base64) = raw_of(&reject.raw);
            self.write(
                output,
                &Line {
                    record: Some(reject.record),
                    byte_offset: Some(reject.byte_offset),
                    pointer: &reject.pointer,
                    reason: &reject.reason,
                    raw,
                    raw_base64,
                    ..Line::about(id, url)
                },
            )?;
        }
        Ok(())
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
        let (raw, raw_base64) = received.map_or((None, None), |received| raw_of(&received.head));
        self.write(
            output,
            &Line {
                byte_offset: fault.byte_offset,
                reason: &fault.reason,
                raw,
                raw_base64,
                size: received.map(|received| received.size),
                sha256: received.map(|received| received.sha256.as_str()),
                ..Line::about(id, url)
            },
        )
    }

    /// Syncs the file; its path, if there was a reject.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(self) -> Result<Option<PathBuf>> {
        let Some((path, file)) = self.file else { return Ok(None) };
        let file = file.into_inner().map_err(|error| Error::storage("write", &path, error.into_error()))?;
        file.sync_all().map_err(|error| Error::storage("sync", &path, error))?;
        Ok(Some(path))
    }

    fn write(&mut self, output: &LocalOutput, line: &Line<'_>) -> Result<()> {
        if self.file.is_none() {
            let Scratch { path, file } = output.create_rejects()?;
            self.file = Some((path, BufWriter::new(file)));
        }
        let (path, file) = self.file.as_mut().expect("it was just opened");
        serde_json::to_writer(&mut *file, line)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| Error::storage("write", path, error))
    }
}

/// The raw bytes as text where they are UTF-8, else in base64.
fn raw_of(raw: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(raw) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(base64::engine::general_purpose::STANDARD.encode(raw))),
    }
}
