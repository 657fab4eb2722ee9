//! Does a run as it is planned, in this process, and looks at what it left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etl::config::{
    Config, ContractConfig, HttpConfig, InputConfig, OutputConfig, ResourceConfig, RetryConfig, StateConfig,
    TransformConfig,
};
use etl::metrics::Metrics;
use etl::pipeline::{Pipeline, StopSignal};

use crate::check::{Outcome, check};
use crate::pages::POINTER;
use crate::plan::{Plan, Source};
use crate::seeded::Machine;
use crate::server::{Script, Server};

/// Hundreds of times what a run takes: one that needs longer waits for something that will not come.
const RUN_TIME_MAX: Duration = Duration::from_secs(10);

/// Does the run on each of its machines; all must come to what the plan says, and to the same file.
pub(crate) async fn check_all(plan: &Plan, server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let list = write_list(plan, folder.path());
    let mut first: Option<Outcome> = None;
    for (place, machine) in plan.machines.iter().enumerate() {
        let output = folder.path().join(format!("output-{place}"));
        std::fs::create_dir(&output).unwrap();
        server.play(plan.seed, script(plan));
        let (_running, stop) = StopSignal::new();
        let config = config(plan, machine, &list, &output);
        let run = Pipeline::new(config, Arc::new(Metrics::default()), stop).run();
        let report = tokio::time::timeout(RUN_TIME_MAX, run).await;
        let report = report.unwrap_or_else(|_| panic!("the run hangs on {machine:?}"));
        server.end(plan.seed);
        let outcome = check(plan, &report, &output);
        match &first {
            Some(first) => {
                assert!(*first == outcome, "another machine made another file: {first:?}\n{outcome:?}");
            }
            None => first = Some(outcome),
        }
    }
}

/// Writes the list, and the pages that are files beside it.
fn write_list(plan: &Plan, folder: &Path) -> PathBuf {
    let mut list = String::new();
    for &page in &plan.lines {
        match &plan.pages[page].source {
            Source::Server { .. } => list.push_str(&format!("{}/{}/{page}\n", plan.origin, plan.seed)),
            Source::File { name, .. } => list.push_str(&format!("{name}\n")),
        }
    }
    for page in &plan.pages {
        if let Source::File { name, bytes: Some(bytes) } = &page.source {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let path = folder.join("urls.txt");
    std::fs::write(&path, list).unwrap();
    path
}

fn script(plan: &Plan) -> Script {
    let answers = plan.pages.iter().map(|page| match &page.source {
        Source::Server { answers, .. } => answers.clone(),
        Source::File { .. } => Vec::new(),
    });
    Script::new(answers.collect())
}

fn config(plan: &Plan, machine: &Machine, list: &Path, output: &Path) -> Config {
    let settings = &plan.settings;
    Config {
        input: InputConfig { urls_file: Some(list.to_owned()), ..InputConfig::default() },
        http: HttpConfig {
            concurrency: machine.concurrency,
            // Half of the machines find out by themselves how many requests the server takes.
            concurrency_per_host: machine.concurrency.is_multiple_of(2).then_some(machine.concurrency),
            retry: RetryConfig {
                retry_count: settings.retry_count,
                base: settings.retry_base,
                cap: settings.retry_base,
                ..RetryConfig::default()
            },
            ..HttpConfig::default()
        },
        transform: TransformConfig {
            records: settings.has_pointer.then(|| POINTER.map(str::to_owned).into()),
            chunk_bytes: settings.chunk_bytes,
            record_bytes_max: settings.record_bytes_max as u64,
            ..TransformConfig::default()
        },
        contract: ContractConfig::default(),
        output: OutputConfig {
            out: output.join("out.parquet"),
            rejects: None,
            keep_raw: None,
            row_group: settings.row_group,
        },
        resources: ResourceConfig {
            memory_bytes: machine.memory_bytes,
            thread_count: machine.thread_count,
            open_files_max: None,
        },
        state: StateConfig::default(),
        files_read: Vec::new(),
    }
}
