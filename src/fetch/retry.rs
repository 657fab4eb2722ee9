//! Retry as three things: what may be tried again, how long to wait, when to stop.
//!
//! Nothing here sends a request. Time is tokio's clock and randomness a seeded generator, so that a
//! test can hold both.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::warn;

use super::latency::LATE_MIN;
use super::waiting::Waiting;
use crate::calendar::parse_http_date;
use crate::config::RetryConfig;
use crate::model::{PageFault, PageId};

/// Why one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFault {
    /// What failed, without the number of attempts.
    pub(super) reason: String,
    /// What was received of the body.
    pub(super) received: Vec<u8>,
    /// Whether and when it may be tried again.
    pub(super) again: Again,
    /// Whether its host refused it together with others that were in flight.
    pub(super) is_of_crowd: bool,
}

/// Whether an attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// The answer will be the same.
    Never,
    /// It may have been bad luck.
    Soon,
    /// The server asks for this pause.
    After(Duration),
    /// Others are answered: once nobody else is held up by it. It was waited for so long.
    Last(Duration),
    /// This process has as many files open as it may: once others are closed. No attempt was made.
    OnceFilesClose,
}

/// Tells whether no file or connection more can be opened.
pub(super) fn is_out_of_files(error: &std::io::Error) -> bool {
    // EMFILE and ENFILE, of this process and of the system.
    matches!(error.raw_os_error(), Some(24 | 23))
}

impl AttemptFault {
    pub(super) fn new(reason: impl Into<String>, again: Again) -> Self {
        Self { reason: reason.into(), received: Vec::new(), again, is_of_crowd: false }
    }

    pub(super) fn with_received(mut self, received: Vec<u8>) -> Self {
        self.received = received;
        self
    }

    pub(super) fn of_crowd(mut self, is_of_crowd: bool) -> Self {
        self.is_of_crowd = is_of_crowd;
        self
    }
}

/// Whether an answer with this status may be followed by another attempt.
///
/// 408, 429 and 5xx may pass: behind a load balancer even 501 and 505 can come from one bad machine.
pub(super) fn classify(status: u16, retry_after: Option<&str>, now: SystemTime) -> Again {
    match status {
        408 | 429 | 500..=599 => {
            retry_after.and_then(|value| parse_retry_after(value, now)).map_or(Again::Soon, Again::After)
        }
        _ => Again::Never,
    }
}

/// `Retry-After` in seconds or as an HTTP date; a date that has passed is no wait at all.
pub(super) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are longer than any run waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    parse_http_date(value).map(|date| date.duration_since(now).unwrap_or_default())
}

/// When all time for a page is over. Only a wait for the network ends by it; what has been received is used
/// however late its turn comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    began: Instant,
    max_time: Option<Duration>,
}

impl Deadline {
    /// Waits for `network` as long as there is time.
    pub(super) async fn within<T>(self, network: impl Future<Output = T>) -> Result<T, AttemptFault> {
        let Some(max_time) = self.max_time else { return Ok(network.await) };
        let in_time = tokio::time::timeout_at(self.began + max_time, network).await;
        in_time.map_err(|_| self.fault(max_time))
    }

    fn fault(self, max_time: Duration) -> AttemptFault {
        let reason = format!("no complete answer within {} s (--max-time)", max_time.as_secs_f64());
        AttemptFault::new(reason, Again::Never)
    }
}

/// The attempts of one page.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    config: &'a RetryConfig,
    page: PageId,
    waiting: Arc<Waiting>,
    random: fastrand::Rng,
    began: Instant,
    deadline: Deadline,
    /// Attempts, and those of them that count against `retry_count`.
    count: u32,
    spent_count: u32,
    answered: bool,
    /// Of the last answer.
    http_status: Option<u16>,
    are_clocks_started: bool,
    /// Whether the attempt is one more, and has sent nothing yet.
    is_uncounted_retry: bool,
    /// How long the page was waited for before it was given up for now.
    silence: Option<Duration>,
}

impl<'a> Attempts<'a> {
    /// No attempt yet; the clocks of `retry_max_time` and `max_time` start now, or with [`Self::start_clocks`].
    pub(super) fn new(
        config: &'a RetryConfig,
        max_time: Option<Duration>,
        page: PageId,
        waiting: Arc<Waiting>,
        seed: u64,
    ) -> Self {
        let began = Instant::now();
        Self {
            config,
            page,
            waiting,
            random: fastrand::Rng::with_seed(seed),
            began,
            deadline: Deadline { began, max_time },
            count: 0,
            spent_count: 0,
            answered: false,
            http_status: None,
            are_clocks_started: false,
            is_uncounted_retry: false,
            silence: None,
        }
    }

    /// Starts the clocks anew with the first request: what a page waited for its host until then is not its own time.
    pub(super) fn start_clocks(&mut self) {
        self.began = Instant::now();
        self.deadline.began = self.began;
        self.are_clocks_started = true;
    }

    pub(super) fn are_clocks_started(&self) -> bool {
        self.are_clocks_started
    }

    /// The page's wait for its answer.
    pub(super) fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self) {
        self.is_uncounted_retry = self.count > 0;
        self.count += 1;
        self.spent_count += 1;
    }

    /// How many have begun.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Notes that a request is sent. Returns whether it is the first one of another attempt.
    pub(super) fn note_sent(&mut self) -> bool {
        std::mem::take(&mut self.is_uncounted_retry)
    }

    /// Notes that the page is given up for now, which is no failed attempt.
    pub(super) fn give_up_for_now(&mut self, silence: Duration) {
        self.silence = Some(silence);
        self.spent_count -= 1;
        // Its time begins anew with the next request: until then it waits for others.
        self.are_clocks_started = false;
    }

    /// Whether the page was given up for now, and is asked for again.
    pub(super) fn is_asked_again(&self) -> bool {
        self.silence.is_some()
    }

    /// How long the host may stay silent still, of `silence_max` in all.
    pub(super) fn silence_left(&self, silence_max: Duration) -> Duration {
        silence_max.saturating_sub(self.silence.unwrap_or_default()).max(LATE_MIN.min(silence_max))
    }

    /// Notes that a server, or the file system, which has no status, gave an answer.
    pub(super) fn note_answer(&mut self, http_status: Option<u16>) {
        self.answered = true;
        self.http_status = http_status;
    }

    /// The status of the last answer.
    pub(super) fn http_status(&self) -> Option<u16> {
        self.http_status
    }

    /// How long to wait until the next attempt begins.
    ///
    /// # Errors
    /// There is none: the page fails, for the reason of the last attempt. What was received is left to
    /// the caller.
    pub(super) fn delay_before_next(&mut self, fault: &AttemptFault) -> Result<Duration, PageFault> {
        let delay = self.delay(fault).map_err(|limit| self.end(&fault.reason, limit.as_deref()))?;
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        warn!(page = %self.page, attempt = self.count, reason = fault.reason, delay_ms, "retrying fetch");
        Ok(delay)
    }

    /// Notes that the attempt could not be made, and is none.
    pub(super) fn take_back(&mut self) {
        self.spent_count -= 1;
    }

    /// When all time for the page is over.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// `Err` holds the limit that was met, where it is worth telling.
    fn delay(&mut self, fault: &AttemptFault) -> Result<Duration, Option<String>> {
        if fault.is_of_crowd && self.config.retry_count > 0 {
            // The page has not failed: its host takes fewer at once, and it goes back to its place in the line, where
            // only `retry_max_time` ends it.
            self.spent_count -= 1;
        }
        let asked = match fault.again {
            Again::Never => return Err(None),
            Again::Soon | Again::OnceFilesClose => Duration::ZERO,
            Again::After(pause) => pause,
            Again::Last(_) => unreachable!("what is given up for now is no failed attempt"),
        };
        if self.spent_count > self.config.retry_count {
            return Err(None);
        }
        let delay = asked.max(if fault.is_of_crowd { Duration::ZERO } else { self.jitter() });
        let left = self.config.retry_max_time.saturating_sub(self.began.elapsed());
        if delay <= left {
            return Ok(delay);
        }
        let limit = self.config.retry_max_time.as_secs_f64();
        if asked <= left {
            return Err(Some(format!("no attempt more fits into the {limit} s of --retry-max-time")));
        }
        if !left.is_zero() {
            // The last attempt, at the end of the time.
            return Ok(left);
        }
        let asked = asked.as_secs_f64();
        Err(Some(format!(
            "the server asks to wait {asked:.0} s more, and the {limit} s of --retry-max-time are over"
        )))
    }

    /// Full jitter: evenly from nothing to the exponential bound, so that clients that failed together
    /// do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter").
    fn jitter(&mut self) -> Duration {
        let doublings = self.spent_count.saturating_sub(1).min(31);
        let bound = self.config.base.saturating_mul(1 << doublings).min(self.config.cap);
        bound.mul_f64(self.random.f64())
    }

    /// The page's fault after this one.
    pub(super) fn give_up(&self, fault: &AttemptFault) -> PageFault {
        self.end(&fault.reason, None)
    }

    fn end(&self, fault: &str, limit: Option<&str>) -> PageFault {
        let mut reason = fault.to_owned();
        if self.count > 1 {
            reason.push_str(&format!(" after {} attempts", self.count));
        }
        if let Some(limit) = limit {
            reason.push_str("; ");
            reason.push_str(limit);
        }
        PageFault {
            reason,
            byte_offset: None,
            received: None,
            answered: self.answered,
            http_status: self.http_status,
            attempt_count: self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageId = PageId { ordinal: 0, line: 7, page: 1 };

    fn config() -> RetryConfig {
        RetryConfig::default()
    }

    fn fault(again: Again) -> AttemptFault {
        AttemptFault::new("HTTP 503 Service Unavailable", again)
    }

    #[test]
    fn passing_faults_are_tried_again_and_lasting_ones_are_not() {
        let now = SystemTime::now();
        for status in [408, 429, 500, 501, 502, 503, 504, 505, 599] {
            assert_eq!(classify(status, None, now), Again::Soon, "{status}");
        }
        for status in [100, 206, 301, 304, 400, 401, 403, 404, 410] {
            assert_eq!(classify(status, Some("3"), now), Again::Never, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let seconds = |value| match classify(503, Some(value), now) {
            Again::After(pause) => Some(pause.as_secs()),
            _ => None,
        };
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:00 GMT"), Some(23));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(u64::from(u32::MAX)));
        for wrong in ["", "-1", "1.5", "soon"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn drawn_delay_is_within_its_doubling_bound_and_below_the_cap() {
        let config = config();
        for seed in 0..200 {
            let mut attempts = Attempts::new(&config, None, PAGE, Arc::new(Waiting::new(0)), seed);
            for bound_s in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
                attempts.begin();
                assert!(attempts.jitter() <= Duration::from_secs_f64(bound_s));
            }
            attempts.spent_count = u32::MAX;
            assert!(attempts.jitter() <= config.cap);
        }
    }

    #[test]
    fn jitter_uses_the_whole_range() {
        let config = config();
        let mut attempts = Attempts::new(&config, None, PAGE, Arc::new(Waiting::new(0)), 1);
        attempts.begin();
        let drawn: Vec<Duration> = (0..200).map(|_| attempts.jitter()).collect();
        assert!(drawn.iter().any(|delay| *delay < config.base / 10));
        assert!(drawn.iter().any(|delay| *delay > config.base.mul_f64(0.9)));
    }

    /// Goes through attempts that all fail like this and returns how long it took and the end.
    async fn exhaust(config: &RetryConfig, again: Again) -> (Duration, PageFault) {
        let mut attempts = Attempts::new(config, None, PAGE, Arc::new(Waiting::new(0)), 1);
        let before = Instant::now();
        loop {
            attempts.begin();
            attempts.note_answer(Some(503));
            match attempts.delay_before_next(&fault(again)) {
                Ok(delay) => tokio::time::sleep(delay).await,
                Err(end) => return (before.elapsed(), end),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_with_their_number_in_the_reason() {
        let (_, end) = exhaust(&config(), Again::Soon).await;
        assert_eq!(end.reason, "HTTP 503 Service Unavailable after 5 attempts");
        assert!(end.answered);
    }

    #[tokio::test(start_paused = true)]
    async fn server_that_asks_for_a_pause_is_given_it() {
        let (elapsed, end) = exhaust(&config(), Again::After(Duration::from_secs(60))).await;
        assert_eq!(end.reason, "HTTP 503 Service Unavailable after 5 attempts");
        assert!(elapsed >= Duration::from_secs(240), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn server_that_asks_for_too_long_a_pause_is_asked_again_at_the_end_of_the_time() {
        let (elapsed, end) = exhaust(&config(), Again::After(Duration::from_secs(3600))).await;
        assert_eq!(
            end.reason,
            "HTTP 503 Service Unavailable after 2 attempts; the server asks to wait 3600 s more, \
             and the 300 s of --retry-max-time are over"
        );
        assert!((300_000..300_010).contains(&elapsed.as_millis()), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_longest_time() {
        let config = RetryConfig { retry_count: 1000, ..config() };
        let (elapsed, end) = exhaust(&config, Again::Soon).await;
        assert!(elapsed <= config.retry_max_time);
        assert!(elapsed >= config.retry_max_time - config.cap);
        assert!(
            end.reason.ends_with("no attempt more fits into the 300 s of --retry-max-time"),
            "{}",
            end.reason
        );
    }

    #[test]
    fn lasting_fault_ends_the_first_attempt_without_a_count() {
        let config = config();
        let mut attempts = Attempts::new(&config, None, PAGE, Arc::new(Waiting::new(0)), 1);
        attempts.begin();
        let end =
            attempts.delay_before_next(&AttemptFault::new("HTTP 404 Not Found", Again::Never)).unwrap_err();
        assert_eq!((end.reason.as_str(), end.answered), ("HTTP 404 Not Found", false));
    }
}
