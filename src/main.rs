//! The process edge: what was asked for, done, and its exit code. Everything else is the library.

mod cli;
mod commands;
mod machine;
mod process;
mod progress;

use std::io;
use std::process::ExitCode;

use cli::{Parsed, Talk};
use etl::config::Config;
use etl::error::ErrorKind;
use etl::pipeline::Pipeline;
use etl::report::Report;
use process::{print_json, say, say_error, shown_list, tell, watched};

fn main() -> ExitCode {
    match cli::parse() {
        Parsed::Run(config, talk) => run(*config, &talk),
        Parsed::Schema(config, talk) => commands::schema(*config, &talk),
        Parsed::Probe(config, talk) => commands::probe(*config, &talk),
        Parsed::Runs(config) => commands::runs(&config),
        Parsed::Show(text) => {
            say(&mut io::stdout(), &text);
            ExitCode::SUCCESS
        }
        Parsed::Wrong(line) => {
            say(&mut io::stderr(), &format!("etl: {line}\n"));
            ExitCode::from(ErrorKind::Usage.exit_code())
        }
    }
}

fn run(config: Config, talk: &Talk) -> ExitCode {
    let list = shown_list(&config.input);
    let resources = config.resources.clone();
    let ended = watched(&resources, talk, |metrics, stop| Pipeline::new(config, metrics, stop).run());
    let mut report = ended.unwrap_or_else(|error| Report::of_error(&error));
    report.peak_rss_bytes = machine::peak_rss_bytes();
    tell(&report, talk, || report.to_text(&list));
    let printed = if talk.json { print_json(&format!("{}\n", report.to_json())) } else { Ok(()) };
    if let Err(error) = printed {
        // The run itself is over, and is what the exit code tells of.
        say_error(&error);
    }
    ExitCode::from(report.exit_code)
}
