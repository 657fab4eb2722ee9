//! How a page is getting on that has no answer yet: what the writer must know, who may let others go first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::latency::LATE_MIN;
use super::limits::Host;

/// Turns of pages that were given up for now: behind all others, whoever asks for their host.
const LAST_TURNS: u64 = 1 << 63;

/// One page's wait for its answer.
#[derive(Debug)]
pub struct Waiting {
    turn: u64,
    phase: Mutex<Phase>,
    /// Whether it was given up for now once.
    is_last: AtomicBool,
    /// Whether the writer waits for it, for what it does now.
    is_urged: AtomicBool,
    urged: Notify,
}

/// What a page waits for.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing that takes long by itself.
    Moving,
    /// Leave to ask this host.
    Standing(Arc<Host>),
    /// The answer of this host.
    Sent { host: Arc<Host>, at: Instant },
    /// The time of the next attempt.
    Pausing { until: Instant },
    /// That nobody else is asked for.
    GivenUpForNow,
}

impl Waiting {
    /// That of a page which is asked for after `turn` others.
    pub fn new(turn: u64) -> Self {
        Self {
            turn,
            phase: Mutex::new(Phase::Moving),
            is_last: AtomicBool::new(false),
            is_urged: AtomicBool::new(false),
            urged: Notify::new(),
        }
    }

    /// Whether it must wait so long that others should go first.
    pub fn is_late(&self) -> bool {
        match &*self.phase() {
            Phase::Moving => false,
            _ if self.is_last.load(Ordering::Relaxed) => true,
            Phase::Standing(host) => host.is_stuck(),
            Phase::Sent { host, at } => host.patience().is_some_and(|patience| at.elapsed() >= patience),
            Phase::Pausing { until } => *until > Instant::now() + LATE_MIN,
            Phase::GivenUpForNow => true,
        }
    }

    /// Says that the writer waits for this page, and for no other.
    pub fn urge(&self) {
        self.is_urged.store(true, Ordering::Release);
        self.urged.notify_one();
    }

    pub(super) async fn urged(&self) {
        // A call from before may be kept.
        while !self.is_urged.load(Ordering::Acquire) {
            self.urged.notified().await;
        }
    }

    /// By which it stands in lines.
    pub(super) fn turn(&self) -> u64 {
        if self.is_last.load(Ordering::Relaxed) { LAST_TURNS + self.turn } else { self.turn }
    }

    pub(super) fn enter(&self, phase: Phase) {
        if matches!(phase, Phase::GivenUpForNow) {
            self.is_last.store(true, Ordering::Relaxed);
        }
        self.is_urged.store(false, Ordering::Release);
        *self.phase() = phase;
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nobody panics while holding it")
    }
}

/// When pages that were given up for now are asked for again: once nobody else is held up by that.
#[derive(Debug, Default)]
pub(super) struct Calm {
    has_come: AtomicBool,
    called: Notify,
}

impl Calm {
    /// Lets all that wait now go on.
    pub(super) fn call(&self) {
        self.called.notify_waiters();
    }

    /// Lets all go on, from now on.
    pub(super) fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        self.call();
    }

    pub(super) async fn wait(&self) {
        let called = self.called.notified();
        let mut called = std::pin::pin!(called);
        // Heard from here on, so that no call falls between the look and the wait.
        called.as_mut().enable();
        if !self.has_come.load(Ordering::Acquire) {
            called.await;
        }
    }
}
