//! Calls that the standard library has not: opening without following links, and having a file written to its disk
//! while more is written to it, so that the sync at the end is short.
//!
//! Nothing is promised by the latter: whether the bytes are safe is for the sync to say, which hears of every fault.

use std::fs::File;

/// The flag with which a link is not opened.
pub(super) const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Bytes after which the system is asked to begin: some tenths of a second of a disk.
const STEP_BYTES: u64 = 32 << 20;

/// How far the system was asked to write a file.
#[derive(Debug, Default)]
pub struct Writeback {
    begun_bytes: u64,
}

impl Writeback {
    /// Says that the file has so many bytes.
    pub fn reach(&mut self, file: &File, written_bytes: u64) {
        if written_bytes >= self.begun_bytes + STEP_BYTES {
            begin(file, self.begun_bytes, written_bytes - self.begun_bytes);
            self.begun_bytes = written_bytes;
        }
    }
}

/// "Not needed soon" makes Linux write pages that are not written yet, without waiting for them.
#[cfg(target_os = "linux")]
fn begin(file: &File, offset: u64, length: u64) {
    // It is advice: where it is not taken the sync takes longer.
    let _ =
        rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(length), rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn begin(_file: &File, _offset: u64, _length: u64) {}
