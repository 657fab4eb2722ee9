//! Counters that every stage adds to and that progress and summary read.
//!
//! Relaxed atomics: each counter is right by itself, and a snapshot taken while the run goes on may
//! mix two moments. The identity of the summary is computed from the writer's own counts, not here.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a run counts while it goes on.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Pages in the list, duplicates included; 0 until the list was read once.
    pub pages_listed: Counter,
    /// Pages that are done, whatever their outcome.
    pub pages_done: Counter,
    /// Rows handed to the writer.
    pub records_written: Counter,
    /// Bytes of bodies as they came over the wire (compressed).
    pub wire_bytes: Counter,
    /// Bytes of bodies after decompression.
    pub body_bytes: Counter,
    /// HTTP requests sent, retries included.
    pub requests_sent: Counter,
    /// Requests that were a second or later attempt.
    pub requests_retried: Counter,
    by_status: Mutex<BTreeMap<u16, u64>>,
}

impl Metrics {
    /// Counts one response with this status.
    pub fn count_status(&self, status: u16) {
        *self.by_status.lock().expect("no holder of this lock panics").entry(status).or_default() += 1;
    }

    /// Responses by status, in the order of the codes.
    pub fn by_status(&self) -> BTreeMap<u16, u64> {
        self.by_status.lock().expect("no holder of this lock panics").clone()
    }
}
