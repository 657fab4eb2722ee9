//! The line in front of each host: who may send the next request, and when.
//!
//! All requests to an origin (scheme, host and port) stand in one line: first attempts, retries and redirects. The
//! earliest page goes first. Its request is sent once fewer are in flight than the host's [`Level`] allows, no pause
//! that the host asked for is on, and `--rate` has a turn. Who stands in line holds no connection and no buffer.
//!
//! What a host asks for holds for all of its pages, and once: requests that were in flight when it asked to wait tell
//! nothing new. A host that served nobody for as long as a page may be tried again is given up for the run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use url::{Origin, Url};

use super::level::{Level, Sign};
use super::rate::Pace;
use crate::config::HttpConfig;
use crate::metrics::Metrics;

/// Hosts of which more is kept than what goes on there: those of usual lists. Beyond, what was learnt of a host
/// is forgotten as soon as nothing goes on.
const HOSTS_KEPT_MAX: usize = 256;

/// The lines in front of all hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    config: HttpConfig,
    metrics: Arc<Metrics>,
    hosts: Mutex<HashMap<Origin, Arc<Host>>>,
}

/// What an answer says beside its page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notice {
    /// That the request was more than the host takes.
    pub(super) sign: Option<Sign>,
    /// For how long the host wants no requests.
    pub(super) pause: Option<Duration>,
}

/// The host is given up.
#[derive(Debug)]
pub(super) struct GivenUp;

/// Leave to have a request in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Leave {
    host: Arc<Host>,
    sent_at: Instant,
}

#[derive(Debug)]
struct Host {
    retry_max_time: Duration,
    metrics: Arc<Metrics>,
    line: Mutex<Line>,
}

/// A place in a line: by the ordinal of the page, then by who came first.
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
    is_given_up: bool,
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
    Never,
}

/// Somebody who stands in line, and leaves it when dropped.
struct Waiter<'a> {
    host: &'a Arc<Host>,
    place: Place,
}

impl Hosts {
    pub(super) fn new(config: HttpConfig, metrics: Arc<Metrics>) -> Self {
        Self { config, metrics, hosts: Mutex::default() }
    }

    /// Waits for leave to ask the host of `url` for the page with this ordinal.
    ///
    /// Dropping the future gives the place in the line up.
    pub(super) async fn leave(&self, url: &Url, ordinal: u64) -> Result<Leave, GivenUp> {
        let host = self.host(url.origin());
        let (place, called) = host.line().join(ordinal);
        let waiter = Waiter { host: &host, place };
        loop {
            let turn = host.line().turn(place, &host.metrics);
            match turn {
                Turn::Go => break,
                Turn::Never => return Err(GivenUp),
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
        Ok(Leave { host, sent_at: Instant::now() })
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
        let mut line = self.host.line();
        let pause = notice.pause.map(|asked| asked.min(retry_max_time));
        if let Some(asked) = pause {
            line.pause(self.sent_at, asked);
        }
        let is_of_crowd = match notice.sign {
            None => {
                line.served(self.sent_at);
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

    /// Takes account of a request without an answer for as long as one is waited for.
    pub(super) fn timed_out(&self) {
        self.host.line().level.refused(self.sent_at, Sign::Vague, Duration::ZERO);
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut line = self.host.line();
        line.in_flight -= 1;
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
            is_given_up: false,
            busy_until: Instant::now(),
        }
    }

    fn join(&mut self, ordinal: u64) -> (Place, Arc<Notify>) {
        self.arrival_count += 1;
        let place = (ordinal, self.arrival_count);
        let called = Arc::new(Notify::new());
        self.waiting.insert(place, Arc::clone(&called));
        (place, called)
    }

    fn turn(&mut self, place: Place, metrics: &Metrics) -> Turn {
        if self.is_given_up {
            return Turn::Never;
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
        self.level.sent(self.in_flight);
        Turn::Go
    }

    fn served(&mut self, sent_at: Instant) {
        self.refusing_since = None;
        self.level.answered(sent_at, sent_at.elapsed());
    }

    /// Whether another was refused while this one was in flight.
    fn refused(&mut self, sent_at: Instant, retry_max_time: Duration) -> bool {
        let since = *self.refusing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= retry_max_time && sent_at > since {
            self.is_given_up = true;
            self.waiting.values().for_each(|called| called.notify_one());
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
        self.is_given_up || self.busy_until > Instant::now()
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
