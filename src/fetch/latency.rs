//! How long answers usually take, and so how long is unusual.

use std::time::Duration;

/// A page is not late before, however fast the others are.
pub(super) const LATE_MIN: Duration = Duration::from_secs(1);
/// It is late after so many times the median.
const LATE_MEDIANS: u32 = 10;
/// Answers that the median is of: enough for a steady one, few enough to follow a host that changes.
const RECENT_COUNT: usize = 64;
/// With fewer nothing is usual.
const USUAL_COUNT_MIN: usize = 8;

/// The latencies of the last answers.
#[derive(Debug)]
pub(super) struct Latencies {
    recent_micros: [u32; RECENT_COUNT],
    count: usize,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { recent_micros: [0; RECENT_COUNT], count: 0 }
    }
}

impl Latencies {
    /// Takes account of an answer.
    pub(super) fn add(&mut self, latency: Duration) {
        self.recent_micros[self.count % RECENT_COUNT] =
            u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        self.count += 1;
    }

    /// How long an answer may take before it is late; `None` while nothing is usual.
    pub(super) fn patience(&self) -> Option<Duration> {
        if self.count < USUAL_COUNT_MIN {
            return None;
        }
        let count = self.count.min(RECENT_COUNT);
        let mut micros = self.recent_micros;
        let (_, median, _) = micros[..count].select_nth_unstable(count / 2);
        Some(LATE_MIN.max(Duration::from_micros(u64::from(*median)) * LATE_MEDIANS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_what_takes_ten_times_the_median_and_a_second_at_least() {
        let mut latencies = Latencies::default();
        for _ in 0..USUAL_COUNT_MIN {
            assert_eq!(latencies.patience(), None);
            latencies.add(Duration::from_millis(5));
        }
        assert_eq!(latencies.patience(), Some(LATE_MIN));
        for millis in 0..RECENT_COUNT as u64 {
            latencies.add(Duration::from_millis(400 + millis % 3));
        }
        assert_eq!(latencies.patience(), Some(Duration::from_millis(4010)));
    }
}
