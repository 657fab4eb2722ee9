//! Draws one line about the run on standard error, from snapshots of its [`Metrics`].

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etl::metrics::Metrics;
use etl::report::{grouped, shown_bytes};

use crate::cli::ProgressWhen;

/// Time between two drawings: steady to the eye, free to the machine.
const INTERVAL: Duration = Duration::from_millis(200);
/// Back to the start of the line, and the rest of it wiped.
const CLEAR_LINE: &[u8] = b"\r\x1b[K";

/// Whether a progress line is to be drawn.
pub(crate) fn is_wanted(when: ProgressWhen, is_quiet: bool) -> bool {
    match when {
        ProgressWhen::Always => !is_quiet,
        ProgressWhen::Never => false,
        ProgressWhen::Auto => !is_quiet && io::stderr().is_terminal(),
    }
}

/// Draws until it is dropped by its caller; [`clear`] then takes the line away.
pub(crate) async fn draw(metrics: Arc<Metrics>) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let line = line(&metrics, started.elapsed());
        let mut stderr = io::stderr().lock();
        // A terminal that went away is no reason to stop the run.
        drop(stderr.write_all(CLEAR_LINE).and_then(|()| stderr.write_all(line.as_bytes())));
    }
}

/// Takes the progress line away.
pub(crate) fn clear() {
    drop(io::stderr().lock().write_all(CLEAR_LINE));
}

fn line(metrics: &Metrics, elapsed: Duration) -> String {
    let rate = metrics.wire_bytes.get() as f64 / elapsed.as_secs_f64().max(0.001);
    format!(
        "{}/{} pages  {} rows  {}/s",
        grouped(metrics.pages_done.get()),
        grouped(metrics.pages_listed.get()),
        grouped(metrics.records_written.get()),
        shown_bytes(rate as u64)
    )
}
