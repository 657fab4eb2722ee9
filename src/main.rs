//! The process edge: command line, runtime, signals, talk, exit code. Everything else is the library.

mod cli;
mod machine;
mod progress;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use cli::{Parsed, Talk};
use etl::config::Config;
use etl::error::{Error, ErrorKind};
use etl::metrics::Metrics;
use etl::pipeline::{Pipeline, StopSignal};
use etl::report::Report;

/// Threads that wait: they move bytes between sockets and memory and do little else.
const IO_THREADS_MAX: usize = 2;

fn main() -> ExitCode {
    let (config, talk) = match cli::parse() {
        Parsed::Run(config, talk) => (*config, talk),
        Parsed::Show(text) => {
            say(&mut io::stdout(), &text);
            return ExitCode::SUCCESS;
        }
        Parsed::Wrong(line) => {
            say(&mut io::stderr(), &format!("etl: {line}\n"));
            return ExitCode::from(ErrorKind::Usage.exit_code());
        }
    };
    let draws_progress = progress::is_wanted(talk.progress, talk.quiet);
    log_to_stderr(talk.verbosity, draws_progress);
    if let Some(warning) = machine::memory_warning(config.resources.memory_bytes).filter(|_| !talk.quiet) {
        say(&mut io::stderr(), &format!("etl: {warning}\n"));
    }
    let list = config.input.urls_file.as_ref().map_or_else(String::new, |path| path.display().to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.resources.thread_count.min(IO_THREADS_MAX))
        .enable_all()
        .build();
    let mut report = match runtime {
        Ok(runtime) => {
            let report = runtime.block_on(run(config, draws_progress));
            // A task that is still being cancelled must not hold the process back.
            runtime.shutdown_background();
            report
        }
        Err(error) => {
            let mut report = Report::default();
            report.fail(&Error::failed("could not start the runtime").because(error));
            report
        }
    };
    report.peak_rss_bytes = machine::peak_rss_bytes();
    tell(&report, &list, talk);
    ExitCode::from(report.exit_code)
}

async fn run(config: Config, draws_progress: bool) -> Report {
    let metrics = Arc::new(Metrics::default());
    let (stop_sender, stop) = StopSignal::new();
    if let Err(error) = listen_for_signals(stop_sender) {
        let mut report = Report::default();
        report.fail(&Error::failed("could not listen for signals").because(error));
        return report;
    }
    let run = Pipeline::new(config, Arc::clone(&metrics), stop).run();
    if !draws_progress {
        return run.await;
    }
    let report = tokio::select! {
        biased;
        report = run => report,
        () = progress::draw(metrics) => unreachable!("progress is drawn until it is dropped"),
    };
    progress::clear();
    report
}

/// The first SIGINT or SIGTERM stops the run in order; the second one ends the process at once, and
/// the next run sweeps what is left.
fn listen_for_signals(stop: watch::Sender<Option<ErrorKind>>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            // Both arms only wait; a signal that loses the race is received in the next round.
            let kind = tokio::select! {
                biased;
                _ = interrupt.recv() => ErrorKind::Interrupted,
                _ = terminate.recv() => ErrorKind::Terminated,
            };
            if stop.send_replace(Some(kind)).is_some() {
                std::process::exit(kind.exit_code().into());
            }
        }
    });
    Ok(())
}

fn tell(report: &Report, list: &str, talk: Talk) {
    if let Some(error) = &report.error {
        say(&mut io::stderr(), &format!("etl: {error}\n"));
    }
    // An error before the first page says all in its one line.
    let has_begun = report.requests.sent + report.pages.fetched + report.pages.failed > 0;
    if !talk.quiet && (has_begun || report.error.is_none()) {
        say(&mut io::stderr(), &report.to_text(list));
    }
    if talk.json {
        say(&mut io::stdout(), &format!("{}\n", report.to_json()));
    }
}

/// Writes text; a reader that went away is no reason to fail a run that is over.
fn say(to: &mut dyn io::Write, text: &str) {
    drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
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
            io::stderr()
        })
        .init();
}
