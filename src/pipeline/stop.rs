//! What stops a run before its end: a signal, or its deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::ErrorKind;

/// How long a run may take to keep what it has done once it is told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// Tells a run to stop: resolves to the kind of signal that asked for it.
#[derive(Debug, Clone)]
pub struct StopSignal(tokio::sync::watch::Receiver<Option<ErrorKind>>);

impl StopSignal {
    /// A signal, and the sender that sets it off.
    pub fn new() -> (tokio::sync::watch::Sender<Option<ErrorKind>>, Self) {
        let (sender, receiver) = tokio::sync::watch::channel(None);
        (sender, Self(receiver))
    }

    /// Waits until the run is told to stop and nobody else hears it: at once, or after a while where somebody `listens`.
    pub(super) async fn unheard(&self, listens: &AtomicBool) -> ErrorKind {
        let kind = self.clone().stopped().await;
        if listens.load(Ordering::Relaxed) {
            tokio::time::sleep(STOP_TIME_MAX).await;
        }
        kind
    }

    /// Waits until the run is told to stop; for ever when nobody can tell it any more.
    pub(super) async fn stopped(&mut self) -> ErrorKind {
        match self.0.wait_for(Option::is_some).await.map(|kind| *kind) {
            Ok(Some(kind)) => kind,
            _ => std::future::pending().await,
        }
    }
}

/// When a run stops that can be gone on with.
#[derive(Debug)]
pub(super) struct Stopping {
    signal: StopSignal,
    deadline: Option<tokio::time::Instant>,
}

impl Stopping {
    /// By the signal, or so long after the run began.
    pub(super) fn new(signal: StopSignal, started: Instant, deadline: Option<Duration>) -> Self {
        let deadline = deadline.map(|deadline| tokio::time::Instant::from_std(started) + deadline);
        Self { signal, deadline }
    }

    pub(super) async fn stopped(&mut self) -> ErrorKind {
        let Some(deadline) = self.deadline else { return self.signal.stopped().await };
        tokio::select! {
            biased;
            kind = self.signal.stopped() => kind,
            () = tokio::time::sleep_until(deadline) => ErrorKind::Unfinished,
        }
    }
}
