//! `--rate`: when the next request may be sent. The only governor import.
//!
//! Without governor's features: its own waiting brings a second timer and a lock of its own, and its default clock
//! can't be held by a test.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::config::Rate;

/// What may be sent at once after a moment without requests. It makes up for timers, which fire a millisecond late,
/// and is a fortieth of a second's requests, so that no second has more than 2.5 % too many.
const BURST: Duration = Duration::from_millis(25);

/// The pace of the requests to one host.
#[derive(Debug)]
pub(super) struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    began: Instant,
    interval: Duration,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        let interval = rate.interval.max(Duration::from_nanos(1));
        let burst = u32::try_from(BURST.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).expect("the interval is not zero").allow_burst(burst);
        let began = Instant::now();
        Self { limiter: RateLimiter::direct_with_clock(quota, TokioClock(began)), began, interval }
    }

    /// Time from one request to the next.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes the turn of one request, or says when there is one.
    pub(super) fn take_turn(&self) -> Result<(), Instant> {
        self.limiter.check().map_err(|not_yet| self.began + not_yet.earliest_possible())
    }
}

/// Time since a moment, by tokio's clock.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as fast as allowed for so long; returns when, in seconds.
    async fn sent(interval: Duration, lateness: Duration, seconds: u64) -> Vec<f64> {
        let pace = Pace::new(Rate { interval });
        let began = Instant::now();
        let mut sent = Vec::new();
        while began.elapsed() < Duration::from_secs(seconds) {
            match pace.take_turn() {
                Ok(()) => sent.push(began.elapsed().as_secs_f64()),
                Err(turn) => tokio::time::sleep_until(turn + lateness).await,
            }
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_than_the_rate_and_a_twentieth_or_one_request() {
        for (per_second, lateness_ms) in [(1, 0), (7, 1), (40, 3), (100, 0), (100, 1), (1000, 1), (1000, 9)] {
            let interval = Duration::from_secs(1) / per_second;
            let sent = sent(interval, Duration::from_millis(lateness_ms), 5).await;
            let most = (f64::from(per_second) * 1.05).max(f64::from(per_second + 1)) as usize;
            for (first, begin) in sent.iter().enumerate() {
                let count = sent[first..].iter().take_while(|at| **at < begin + 1.0).count();
                assert!(count <= most, "{per_second}/s: {count} in the second from {begin}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn late_timers_do_not_slow_the_pace() {
        for (per_second, least) in [(20, 95), (100, 490), (1000, 4950)] {
            let sent = sent(Duration::from_secs(1) / per_second, Duration::from_millis(1), 5).await;
            assert!(sent.len() >= least, "{} of {} were sent", sent.len(), 5 * per_second);
        }
    }
}
