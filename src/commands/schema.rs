//! `etl schema`: what the records of the pages are, as TOML on standard output.

use std::process::ExitCode;

use etl::config::SurveyConfig;
use etl::pipeline::Surveyor;
use etl::report::{Report, grouped};
use etl::schema::{Survey, show_schema};

use crate::cli::Talk;
use crate::machine;
use crate::process::{print, shown_list, tell, watched};

/// Surveys the pages and prints the schema.
pub(crate) fn schema(config: SurveyConfig, talk: &Talk) -> ExitCode {
    let list = shown_list(&config.input);
    let resources = config.resources.clone();
    let ended = watched(&resources, talk, |metrics, stop| Surveyor::new(config, metrics, stop).run());
    let (mut report, survey) = ended.unwrap_or_else(|error| (Report::of_error(&error), Survey::default()));
    report.peak_rss_bytes = machine::peak_rss_bytes();
    if report.error.is_none()
        && let Err(error) = print(&show_schema(&survey, &comment(&report, &survey)))
    {
        report.fail(&error);
    }
    tell(&report, talk, || report.to_survey_text(&list, survey.shape.fields.len()));
    ExitCode::from(report.exit_code)
}

fn comment(report: &Report, survey: &Survey) -> Vec<String> {
    vec![
        format!(
            "The schema of {}, inferred by etl {}.",
            counted(survey.record_count, "record") + " of " + &counted(report.pages.fetched, "page"),
            report.version
        ),
        "etl --schema takes it back: name, type, nullable and field count there; seen (values that are not null), null"
            .to_owned(),
        "(null or absent) and example (the first value) are for you.".to_owned(),
    ]
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}
