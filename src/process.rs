//! The process around a piece of work: runtime, signals, log, progress, and what is said when it has ended.

use std::io::{self, Write as _};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use etl::config::{InputConfig, ResourceConfig};
use etl::error::{Error, ErrorKind};
use etl::metrics::Metrics;
use etl::pipeline::StopSignal;
use etl::report::Report;
use etl::shown;

use crate::cli::Talk;
use crate::machine;
use crate::progress;

/// Threads that wait: they move bytes between sockets and memory and do little else.
const IO_THREADS_MAX: usize = 2;

/// The URL list, as messages name it.
pub(crate) fn shown_list(input: &InputConfig) -> String {
    match &input.urls_file {
        Some(path) => path.display().to_string(),
        // The lines are those of the list that was read then.
        None if input.replay.is_some() => "list".to_owned(),
        None => String::new(),
    }
}

/// Drives what `begin` makes on a runtime of its own, until it has ended or a signal has stopped it; logs, and draws its
/// progress.
pub(crate) fn watched<F: Future>(
    resources: &ResourceConfig,
    talk: &Talk,
    begin: impl FnOnce(Arc<Metrics>, StopSignal) -> F,
) -> Result<F::Output, Error> {
    let draws_progress = progress::is_wanted(talk.progress, talk.quiet);
    log_to_stderr(talk.verbosity, draws_progress);
    let memory_warning = machine::memory_warning(resources.memory_bytes);
    for warning in talk.warnings.iter().chain(&memory_warning).filter(|_| !talk.quiet) {
        say(&mut io::stderr(), &format!("etl: {warning}\n"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(resources.thread_count.min(IO_THREADS_MAX))
        .enable_all()
        .build()
        .map_err(|error| Error::failed("could not start the runtime").because(error))?;
    let ended = runtime.block_on(async {
        let metrics = Arc::new(Metrics::default());
        let (stop_sender, stop) = StopSignal::new();
        listen_for_signals(stop_sender)
            .map_err(|error| Error::failed("could not listen for signals").because(error))?;
        let work = begin(Arc::clone(&metrics), stop);
        if !draws_progress {
            return Ok(work.await);
        }
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            () = progress::draw(metrics) => unreachable!("progress is drawn until it is dropped"),
        };
        progress::clear();
        Ok(ended)
    });
    // A task that is still being cancelled must not hold the process back.
    runtime.shutdown_background();
    ended
}

/// The first SIGINT, SIGTERM or SIGHUP stops the run in order; the second one ends the process at once, and
/// the next run sweeps what is left. A SIGHUP that is ignored, as `nohup` has it, stays so.
fn listen_for_signals(stop: watch::Sender<Option<ErrorKind>>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let hears_hangup = !machine::ignores_hangup();
    let mut hangup = hears_hangup.then(|| signal(SignalKind::hangup())).transpose()?;
    tokio::spawn(async move {
        loop {
            // All arms only wait; a signal that loses the race is received in the next round.
            let kind = tokio::select! {
                biased;
                _ = interrupt.recv() => ErrorKind::Interrupted,
                _ = terminate.recv() => ErrorKind::Terminated,
                Some(_) = async { hangup.as_mut()?.recv().await } => ErrorKind::HungUp,
            };
            if stop.send_replace(Some(kind)).is_some() {
                std::process::exit(kind.exit_code().into());
            }
        }
    });
    Ok(())
}

/// Says how it ended.
pub(crate) fn tell(report: &Report, talk: &Talk, text: impl FnOnce() -> String) {
    if let Some(error) = &report.error {
        say(&mut io::stderr(), &format!("etl: {error}\n"));
    }
    // An error before the first page says all in its one line.
    let has_begun = report.requests.sent + report.pages.fetched + report.pages.failed > 0;
    if !talk.quiet && (has_begun || report.error.is_none()) {
        say(&mut io::stderr(), &text());
    }
}

/// Writes text that was asked for to standard output.
///
/// # Errors
/// As those of [`print_json`].
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write_out(&shown::lines(text))
}

/// Writes JSON that was asked for to standard output.
///
/// # Errors
/// It can't be written; that a reader went away is no error.
pub(crate) fn print_json(text: &str) -> Result<(), Error> {
    write_out(&shown::json(text))
}

fn write_out(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Storage, "could not write to standard output").because(error))
        }
        _ => Ok(()),
    }
}

/// Says what went wrong, in one line.
pub(crate) fn say_error(error: &Error) {
    say(&mut io::stderr(), &format!("etl: {}\n", error.one_line()));
}

/// Writes text; a reader that went away is no reason to fail a run that is over.
pub(crate) fn say(to: &mut dyn io::Write, text: &str) {
    drop(to.write_all(shown::lines(text).as_bytes()).and_then(|()| to.flush()));
}

/// Standard error, for the log: each write is of whole lines.
struct LogWriter(io::Stderr);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(shown::lines(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn log_to_stderr(verbosity: u8, draws_progress: bool) {
    let level = match verbosity {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || {
            if draws_progress {
                progress::clear();
            }
            LogWriter(io::stderr())
        })
        .init();
}
