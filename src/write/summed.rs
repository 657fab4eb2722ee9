//! A file whose checksum is known once it is written: to read it back for that would take longer than to write it.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use crate::digest::RunningChecksum;
use crate::error::{Error, Result};

/// Bytes that are read at once.
const STEP_BYTES: usize = 256 << 10;

/// Sums up what is written to a file, which nobody else writes.
#[derive(Debug)]
pub(super) struct SummedFile {
    file: File,
    sum: RunningChecksum,
    bytes: u64,
}

/// What was written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    /// XXH3 (64 bits) of the bytes.
    pub(super) checksum: u64,
}

impl Sum {
    /// Reads a file, or the beginning of a larger one.
    pub(super) fn of_file(path: &Path, bytes_max: u64) -> Result<Self> {
        let failed = |error| Error::storage("read back", path, error);
        let mut file = File::open(path).map_err(failed)?.take(bytes_max);
        let mut buffer = vec![0; STEP_BYTES];
        let (mut sum, mut bytes) = (RunningChecksum::default(), 0);
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                return Ok(Self { bytes, checksum: sum.finish() });
            }
            sum.update(&buffer[..read]);
            bytes += read as u64;
        }
    }
}

impl SummedFile {
    /// Writes to a file that is empty.
    pub(super) fn new(file: File) -> Self {
        Self { file, sum: RunningChecksum::default(), bytes: 0 }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }

    pub(super) fn sum(&self) -> Sum {
        Sum { bytes: self.bytes, checksum: self.sum.finish() }
    }
}

impl Write for SummedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
