//! Counters that every stage adds to and that progress and summary read.
//!
//! Relaxed atomics: each counter is right by itself, and a snapshot taken while the run goes on may
//! mix two moments. The identity of the summary is computed from the writer's own counts, not here.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// Buckets of a [`Durations`] for each doubling of the time: a percentile is at most 19 % too long.
const BUCKETS_PER_DOUBLING: u32 = 4;
/// From one microsecond to two days.
const BUCKET_COUNT: usize = 38 * BUCKETS_PER_DOUBLING as usize;

/// How long something took, many times over: a histogram of fixed size.
#[derive(Debug)]
pub struct Durations {
    buckets: [AtomicU64; BUCKET_COUNT],
    total_micros: Counter,
}

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), total_micros: Counter::default() }
    }
}

impl Durations {
    /// Adds one time.
    pub fn add(&self, time: Duration) {
        let micros = time.as_micros().clamp(1, u128::from(u64::MAX)) as u64;
        self.total_micros.add(micros);
        let bucket = (f64::from(BUCKETS_PER_DOUBLING) * (micros as f64).log2()).ceil() as usize;
        self.buckets[bucket.min(BUCKET_COUNT - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// All times together, in milliseconds.
    pub fn total_ms(&self) -> f64 {
        self.total_micros.get() as f64 / 1000.0
    }

    /// The time, in milliseconds, that `percent` of all times are not longer than; 0 when there are none.
    pub fn percentile_ms(&self, percent: u64) -> f64 {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let rank = (counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if rank > 0 && seen >= rank {
                return (bucket as f64 / f64::from(BUCKETS_PER_DOUBLING)).exp2() / 1000.0;
            }
        }
        0.0
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
    /// Bodies that broke off and were gone on with.
    pub requests_resumed: Counter,
    /// HTTP requests sent, retries included.
    pub requests_sent: Counter,
    /// Requests that were a second or later attempt.
    pub requests_retried: Counter,
    /// Requests that a host refused because they were too many.
    pub requests_throttled: Counter,
    /// Milliseconds in which pages waited because a host had asked for a pause; those of all hosts together.
    pub hosts_paused_ms: Counter,
    /// Time of an attempt at a page, waits for its host, for memory, for the writer and for the pages before included.
    pub fetch_time: Durations,
    /// Time to decode a chunk of a page and to compute its features, on its thread.
    pub decode_time: Durations,
    /// Time to encode one column of a row group.
    pub encode_time: Durations,
    /// Time to finish, verify and publish the output.
    pub publish_time: Durations,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_a_fifth_too_long_and_never_too_short() {
        let durations = Durations::default();
        assert_eq!(durations.percentile_ms(50), 0.0);
        for millis in 1..=1000 {
            durations.add(Duration::from_millis(millis));
        }
        for (percent, exact) in [(50, 500.0), (90, 900.0), (99, 990.0)] {
            let found = durations.percentile_ms(percent);
            assert!((exact..exact * 1.2).contains(&found), "{percent} % is {found} ms");
        }
        assert_eq!(durations.total_ms(), 500_500.0);
    }
}
