//! The line in front of each host: who may send the next request, and when.
//!
//! All requests to an origin (scheme, host and port) stand in one line: first attempts, retries and redirects. The
//! earliest page goes first. Its request is sent once fewer are in flight than the host's [`Level`] allows, no pause
//! that the host asked for is on, and `--rate` has a turn. Who stands in line holds no connection and no buffer.
//!
//! What a host asks for holds for all of its pages, and once: requests that were in flight when it asked to wait tell
//! nothing new. A host that served nobody, or answered nobody, for as long as a page may be tried again is given up for
//! the run.
//!
//! A request that is left behind, without a byte while others are answered, is given up for now: it holds a place that
//! others could use. Its page is asked for again once nobody else is (see [`Calm`](super::waiting::Calm)).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use url::{Origin, Url};

use super::latency::{LATE_MIN, Latencies};
use super::level::{Level, Sign};
use super::rate::Pace;
use super::waiting::{Phase, Waiting};
use crate::config::HttpConfig;
use crate::metrics::Metrics;

/// Hosts of which more is kept than what goes on there: those of usual lists. Beyond, what was learnt of a host
/// is forgotten as soon as nothing goes on.
const HOSTS_KEPT_MAX: usize = 256;
/// Pages that were asked for again, and again without an answer, until it is clear that this host stays silent.
const SILENT_AGAIN_MIN: u32 = 8;

/// The lines in front of all hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    config: HttpConfig,
    metrics: Arc<Metrics>,
    hosts: Mutex<HashMap<Origin, Arc<Host>>>,
    /// Leave to have a request in flight, wherever to; and, beside it, to have one in flight that is late, so that a host
    /// that stays silent takes nothing from the others.
    requests: Arc<Semaphore>,
    late_requests: Arc<Semaphore>,
    /// Of all hosts.
    latencies: Arc<Mutex<Latencies>>,
    /// Whether nobody gets leave any more.
    is_over: AtomicBool,
}

/// What an answer says beside its page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notice {
    /// That the request was more than the host takes.
    pub(super) sign: Option<Sign>,
    /// For how long the host wants no requests.
    pub(super) pause: Option<Duration>,
}

/// Why a host is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It refused every request.
    Refusing,
    /// It answered none.
    Silent,
}

/// Leave to have a request in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Leave {
    host: Arc<Host>,
    sent_at: Instant,
    /// Answers of the host until then.
    answer_count: u64,
    is_late: bool,
    _request: Option<OwnedSemaphorePermit>,
}

/// A host, as far as requests to it go.
#[derive(Debug)]
pub(super) struct Host {
    retry_max_time: Duration,
    metrics: Arc<Metrics>,
    line: Mutex<Line>,
    latencies_of_all: Arc<Mutex<Latencies>>,
}

/// A place in a line: by the turn of the page, then by who came first.
type Place = (u64, u64);

#[derive(Debug)]
struct Line {
    level: Level,
    pace: Option<Pace>,
    in_flight: usize,
    waiting: BTreeMap<Place, Arc<Notify>>,
    arrival_count: u64,
    pause: Option<Pause>,
    /// Since when somebody stands in front of the pause.
    standing_since: Option<Instant>,
    /// When the last request was refused that no other had been refused before it while it was in flight.
    refused_at: Option<Instant>,
    /// When the first request was refused of those since the last good answer.
    refusing_since: Option<Instant>,
    /// When the first request failed, without an answer, of those since the last answer.
    failing_since: Option<Instant>,
    /// Since when requests in flight wait for an answer, whichever it is.
    quiet_since: Option<Instant>,
    latencies: Latencies,
    answer_count: u64,
    /// Pages in vain asked for again, since when, and whether one was answered.
    silent_again_count: u32,
    silent_again_since: Option<Instant>,
    has_answered_again: bool,
    given_up: Option<GivenUp>,
    /// Until when forgetting this host could do harm.
    busy_until: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    began: Instant,
    asked: Duration,
}

/// What somebody in the line may do.
enum Turn {
    Go,
    /// Look again then, or when called.
    At(Instant),
    WhenCalled,
    Never(GivenUp),
}

/// Somebody who stands in line, and leaves it when dropped.
struct Waiter<'a> {
    host: &'a Arc<Host>,
    place: Place,
}

impl Hosts {
    pub(super) fn new(config: HttpConfig, metrics: Arc<Metrics>) -> Self {
        let [requests, late_requests] = [(); 2].map(|()| Arc::new(Semaphore::new(config.concurrency)));
        let (hosts, latencies) = (Mutex::default(), Arc::default());
        Self { config, metrics, hosts, requests, late_requests, latencies, is_over: AtomicBool::new(false) }
    }

    /// Gives nobody leave any more: pages are given up one after the other, and the place of one is not for the next.
    pub(super) fn close(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits for leave to ask the host of `url` for a page.
    ///
    /// Dropping the future gives the place in the line up.
    pub(super) async fn leave(&self, url: &Url, page: &Waiting) -> Result<Leave, GivenUp> {
        let host = self.host(url.origin());
        let (place, called) = host.line().join(page.turn());
        page.enter(Phase::Standing(Arc::clone(&host)));
        let waiter = Waiter { host: &host, place };
        loop {
            let turn = host.line().turn(place, &host.metrics);
            match turn {
                Turn::Go => break,
                Turn::Never(given_up) => {
                    page.enter(Phase::Moving);
                    return Err(given_up);
                }
                Turn::WhenCalled => called.notified().await,
                Turn::At(time) => tokio::select! {
                    biased;
                    // Both only lead to another look.
                    () = called.notified() => {}
                    () = sleep_until(time) => {}
                },
            }
        }
        drop(waiter);
        let mut leave =
            Leave { host, sent_at: Instant::now(), answer_count: 0, is_late: false, _request: None };
        // Pages that wait for their turn may hold all of them, so the one that the writer waits for goes on without.
        leave._request = tokio::select! {
            biased;
            request = Arc::clone(&self.requests).acquire_owned() => {
                Some(request.expect("the semaphore of the requests is never closed"))
            }
            () = page.urged() => None,
        };
        if self.is_over.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        leave.sent_at = Instant::now();
        leave.answer_count = leave.host.line().answer_count;
        page.enter(Phase::Sent { host: Arc::clone(&leave.host), at: leave.sent_at });
        Ok(leave)
    }

    fn host(&self, origin: Origin) -> Arc<Host> {
        let mut hosts = self.hosts.lock().expect("nobody panics while holding it");
        if hosts.len() >= HOSTS_KEPT_MAX && !hosts.contains_key(&origin) {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.line().is_worth_keeping());
        }
        let host = hosts.entry(origin).or_insert_with(|| {
            Arc::new(Host {
                retry_max_time: self.config.retry.retry_max_time,
                metrics: Arc::clone(&self.metrics),
                line: Mutex::new(Line::new(&self.config)),
                latencies_of_all: Arc::clone(&self.latencies),
            })
        });
        Arc::clone(host)
    }
}

impl Leave {
    /// Takes account of an answer. Returns whether the request was refused together with others that were in
    /// flight: the first of them has told all there is to tell.
    pub(super) fn answered(&self, notice: Notice) -> bool {
        let retry_max_time = self.host.retry_max_time;
        let latency = self.sent_at.elapsed();
        let mut line = self.host.line();
        line.answered();
        let pause = notice.pause.map(|asked| asked.min(retry_max_time));
        if let Some(asked) = pause {
            line.pause(self.sent_at, asked);
        }
        let is_of_crowd = match notice.sign {
            None => {
                line.served(self.sent_at, latency);
                self.host.latencies_of_all().add(latency);
                false
            }
            Some(sign) => {
                line.level.refused(self.sent_at, sign, pause.unwrap_or_default());
                sign == Sign::Refusal && line.refused(self.sent_at, retry_max_time)
            }
        };
        line.call_next();
        is_of_crowd
    }

    /// Takes account of a request, or a body, without a byte for as long as one is waited for.
    pub(super) fn timed_out(&self) {
        self.host.line().level.refused(self.sent_at, Sign::Vague, Duration::ZERO);
    }

    /// Takes account of a request that came to nothing: no connection, no answer.
    pub(super) fn failed(&self) {
        self.host.line().failed(self.sent_at, self.host.retry_max_time);
    }

    /// When the request was sent.
    pub(super) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// How long the host usually takes at most, as far as that is known.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.host.line().latencies.patience()
    }

    /// Takes account of a request that is late: it is in flight beside the others, if there are not too many such.
    pub(super) fn be_late(&mut self, hosts: &Hosts) {
        if !self.is_late
            && let Ok(late) = Arc::clone(&hosts.late_requests).try_acquire_owned()
        {
            self.is_late = true;
            self._request = Some(late);
        }
    }

    /// Whether others have been answered instead, and lately: a host that stays silent to all leaves nobody behind.
    pub(super) fn is_left_behind(&self) -> bool {
        let line = self.host.line();
        let is_quiet = line
            .latencies
            .patience()
            .zip(line.quiet_since)
            .is_none_or(|(patience, quiet_since)| quiet_since.elapsed() >= 2 * patience);
        line.answer_count > self.answer_count && !is_quiet
    }

    /// Whether no page of this host that was asked for again ever had an answer, though several before this one were given
    /// their whole time.
    pub(super) fn is_again_in_vain(&self) -> bool {
        let line = self.host.line();
        let is_after = line.silent_again_since.is_some_and(|since| self.sent_at >= since);
        is_after && !line.has_answered_again && line.silent_again_count >= SILENT_AGAIN_MIN
    }

    /// Takes account of a page that was asked for again after it had been given up for now.
    pub(super) fn ended_again(&self, is_answered: bool) {
        let mut line = self.host.line();
        line.has_answered_again |= is_answered;
        if !is_answered {
            line.silent_again_count += 1;
            line.silent_again_since.get_or_insert_with(Instant::now);
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut line = self.host.line();
        line.in_flight -= 1;
        if line.in_flight == 0 {
            line.quiet_since = None;
        }
        line.call_next();
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut line = self.host.line();
        line.waiting.remove(&self.place);
        line.call_next();
    }
}

impl Host {
    /// Whether who stands in its line must wait long: for the end of a pause, or for answers that don't come.
    pub(super) fn is_stuck(&self) -> bool {
        let patience = self.patience();
        let line = self.line();
        let is_paused = line.pause.is_some_and(|pause| pause.end() > Instant::now() + LATE_MIN);
        is_paused
            || patience
                .zip(line.quiet_since)
                .is_some_and(|(patience, quiet_since)| quiet_since.elapsed() >= patience)
    }

    /// How long answers usually take at most: its own or, while that is not known, those of all hosts.
    pub(super) fn patience(&self) -> Option<Duration> {
        let own = self.line().latencies.patience();
        own.or_else(|| self.latencies_of_all().patience())
    }

    fn latencies_of_all(&self) -> MutexGuard<'_, Latencies> {
        self.latencies_of_all.lock().expect("nobody panics while holding it")
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("nobody panics while holding it")
    }
}

impl Line {
    fn new(config: &HttpConfig) -> Self {
        let level = match config.concurrency_per_host {
            Some(size) => Level::fixed(size),
            None => Level::adaptive(config.concurrency),
        };
        Self {
            level,
            pace: config.rate.map(Pace::new),
            in_flight: 0,
            waiting: BTreeMap::new(),
            arrival_count: 0,
            pause: None,
            standing_since: None,
            refused_at: None,
            refusing_since: None,
            failing_since: None,
            quiet_since: None,
            latencies: Latencies::default(),
            answer_count: 0,
            silent_again_count: 0,
            silent_again_since: None,
            has_answered_again: false,
            given_up: None,
            busy_until: Instant::now(),
        }
    }

    fn join(&mut self, turn: u64) -> (Place, Arc<Notify>) {
        self.arrival_count += 1;
        let place = (turn, self.arrival_count);
        let called = Arc::new(Notify::new());
        self.waiting.insert(place, Arc::clone(&called));
        (place, called)
    }

    fn turn(&mut self, place: Place, metrics: &Metrics) -> Turn {
        if let Some(given_up) = self.given_up {
            return Turn::Never(given_up);
        }
        let is_first = self.waiting.first_key_value().is_some_and(|(first, _)| *first == place);
        if !is_first || self.in_flight >= self.level.size() {
            return Turn::WhenCalled;
        }
        let now = Instant::now();
        if let Some(end) = self.pause.map(Pause::end).filter(|end| *end > now) {
            self.standing_since.get_or_insert(now);
            return Turn::At(end);
        }
        if let Some(since) = self.standing_since.take() {
            metrics.hosts_paused_ms.add((now - since).as_millis() as u64);
        }
        if let Some(pace) = &self.pace {
            if let Err(time) = pace.take_turn() {
                return Turn::At(time);
            }
            self.busy_until = self.busy_until.max(now + pace.interval());
        }
        self.in_flight += 1;
        self.quiet_since.get_or_insert(now);
        self.level.sent(self.in_flight);
        Turn::Go
    }

    fn answered(&mut self) {
        self.answer_count += 1;
        self.failing_since = None;
        self.quiet_since = Some(Instant::now());
    }

    fn served(&mut self, sent_at: Instant, latency: Duration) {
        self.refusing_since = None;
        self.latencies.add(latency);
        self.level.answered(sent_at, latency);
    }

    fn failed(&mut self, sent_at: Instant, retry_max_time: Duration) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= retry_max_time && sent_at > since {
            self.give_up(GivenUp::Silent);
        }
    }

    fn give_up(&mut self, why: GivenUp) {
        self.given_up = Some(why);
        self.waiting.values().for_each(|called| called.notify_one());
    }

    /// Whether another was refused while this one was in flight.
    fn refused(&mut self, sent_at: Instant, retry_max_time: Duration) -> bool {
        let since = *self.refusing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= retry_max_time && sent_at > since {
            self.give_up(GivenUp::Refusing);
        }
        let is_of_crowd = self.refused_at.is_some_and(|refused_at| sent_at <= refused_at);
        if !is_of_crowd {
            self.refused_at = Some(Instant::now());
        }
        is_of_crowd
    }

    fn pause(&mut self, sent_at: Instant, asked: Duration) {
        let pause = match self.pause {
            // It was in flight already: the same request to wait, which only a longer time makes another one.
            Some(pause) if sent_at <= pause.began => Pause { asked: asked.max(pause.asked), ..pause },
            _ => Pause { began: Instant::now(), asked },
        };
        self.busy_until = self.busy_until.max(pause.end());
        self.pause = Some(pause);
    }

    fn is_worth_keeping(&self) -> bool {
        self.given_up.is_some() || self.busy_until > Instant::now()
    }

    fn call_next(&self) {
        if let Some((_, called)) = self.waiting.first_key_value() {
            called.notify_one();
        }
    }
}

impl Pause {
    fn end(self) -> Instant {
        self.began + self.asked
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
