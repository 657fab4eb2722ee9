//! The lines of a URL list, then the arguments: bounded, checked to be text, read from the start twice.
//!
//! Nothing here knows what a line means.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use super::spool;
use crate::error::{Error, Result};

/// Longest line. Presigned URLs take 2 KiB; a file whose lines are longer is not a URL list.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A line that is neither blank nor a comment.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) text: String,
    /// From 1; 0 for an argument.
    pub(super) number: u64,
    /// From 1; 0 for a line of the list.
    pub(super) argument: usize,
}

impl Line {
    pub(super) fn usage_error(&self, name: &str, fault: &str) -> Error {
        Error::usage(match self.argument {
            0 => format!("{name}:{}: {fault}", self.number),
            argument => format!("URL argument {argument}: {fault}"),
        })
    }
}

/// The lines of the list, then the arguments.
#[derive(Debug)]
pub(super) struct Lines {
    name: String,
    source: Option<BufReader<Source>>,
    arguments: Vec<String>,
    line: u64,
    pub(super) argument: usize,
}

impl Lines {
    /// The lines of `source`, called `name` in messages, and the arguments behind them.
    pub(super) fn new(name: &str, source: Option<Source>, arguments: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            source: source.map(BufReader::new),
            arguments: arguments.to_vec(),
            line: 0,
            argument: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next line that says something.
    ///
    /// # Errors
    /// A usage error that names the line: it is too long, no UTF-8, or holds control characters.
    pub(super) fn next(&mut self) -> Result<Option<Line>> {
        while let Some(text) = self.next_of_list()? {
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                return Ok(Some(Line { text: text.to_owned(), number: self.line, argument: 0 }));
            }
        }
        let Some(text) = self.arguments.get(self.argument) else { return Ok(None) };
        self.argument += 1;
        let line = Line { text: text.trim().to_owned(), number: 0, argument: self.argument };
        if line.text.is_empty() {
            return Err(line.usage_error(&self.name, "expected a URL or a path, got nothing"));
        }
        Ok(Some(line))
    }

    fn next_of_list(&mut self) -> Result<Option<String>> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let mut bytes = Vec::new();
        source.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes).map_err(|error| {
            Error::usage(format!("could not read the URL list {} (--urls)", self.name)).because(error)
        })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let place = format!("{}:{}", self.name, self.line);
        if bytes.len() as u64 > LINE_BYTES_MAX {
            return Err(Error::usage(format!(
                "{place}: expected a URL list, got a line longer than {LINE_BYTES_MAX} bytes"
            )));
        }
        let mut text = String::from_utf8(bytes)
            .map_err(|_| Error::usage(format!("{place}: expected UTF-8, got bytes that are not")))?;
        if self.line == 1 && text.starts_with('\u{feff}') {
            text.remove(0);
        }
        if text.trim().contains(char::is_control) {
            return Err(Error::usage(format!("{place}: expected text, got a control character")));
        }
        Ok(Some(text))
    }

    /// Goes back to the first line.
    pub(super) fn rewind(&mut self) -> Result<()> {
        (self.line, self.argument) = (0, 0);
        match &mut self.source {
            Some(source) => source.seek(SeekFrom::Start(0)).map(drop).map_err(|error| {
                Error::failed(format!("could not read the URL list {} again", self.name)).because(error)
            }),
            None => Ok(()),
        }
    }

    /// The error for a list that reads differently the second time.
    pub(super) fn changed(&self) -> Error {
        Error::failed(format!("the URL list {} changed while it was read; run again", self.name))
    }
}

/// Where the bytes of the list are; both can be read again from their start.
#[derive(Debug)]
pub(super) enum Source {
    Memory(Cursor<Vec<u8>>),
    File(File),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::Memory(bytes) => bytes.seek(position),
            Self::File(file) => file.seek(position),
        }
    }
}

/// Opens a list, or copies what can be read only once.
pub(super) fn open_source(path: &Path) -> std::io::Result<Source> {
    let file = File::open(path)?;
    // The open file stays the one that was checked, even when another is renamed over it.
    if file.metadata()?.is_file() { Ok(Source::File(file)) } else { spool::keep(file) }
}
