//! Runs of the whole line at sizes so small that every wait, cut and hand-over happens all the time.
//!
//! Each run is made from a seed: its settings, its pages, and a server that is slow, breaks off and holds answers
//! back. It must end, with every row once, in the order of the list and with its values, whatever the timing.
//! `ETL_PACE_RUNS` says how many runs there are and `ETL_PACE_SEED` where their seeds begin, so that a run that
//! failed is repeated alone by its seed and a count of one.

#[path = "pace/check.rs"]
mod check;
#[path = "pace/pages.rs"]
mod pages;
#[path = "pace/plan.rs"]
mod plan;
#[path = "pace/records.rs"]
mod records;
#[path = "pace/run.rs"]
mod run;
#[path = "pace/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use plan::Plan;
use server::Server;

/// A few seconds in a debug build.
const RUNS_DEFAULT: u64 = 150;
/// Its runs, found by trying, meet every kind of page and fault.
const SEED_DEFAULT: u64 = 1;
/// Runs at once: most of a run is waiting, and runs that disturb each other have other timings.
const RUNS_AT_ONCE: usize = 4;
/// Failures that are told before the test gives up: a defect that every run meets is told often enough.
const FAILURES_MAX: usize = 50;

fn number_from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// What a panic said.
fn message_of(error: JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "a failure is repeated by the seed that is printed here")]
async fn every_run_ends_and_gives_each_row_once_in_order() {
    let run_count = number_from_environment("ETL_PACE_RUNS", RUNS_DEFAULT);
    let first_seed = number_from_environment("ETL_PACE_SEED", SEED_DEFAULT);
    eprintln!("{run_count} runs from ETL_PACE_SEED={first_seed} on");
    let started = Instant::now();
    let server = Arc::new(Server::start().await);
    let mut seeds = (0..run_count).map(|index| first_seed.wrapping_add(index));
    let mut runs = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        while runs.len() < RUNS_AT_ONCE
            && failures.len() < FAILURES_MAX
            && let Some(seed) = seeds.next()
        {
            let (server, runtime) = (Arc::clone(&server), Handle::current());
            runs.spawn(async move {
                let plan = Plan::of(seed, &server.origin);
                let shown = format!("ETL_PACE_SEED={seed} ETL_PACE_RUNS=1: {plan}");
                // On a thread of its own, for reading back what a run left takes a while.
                let run = spawn_blocking(move || runtime.block_on(run::check_all(&plan, &server)));
                run.await.map_err(|error| format!("{shown}\n{}", message_of(error)))
            });
        }
        let Some(checked) = runs.join_next().await else { break };
        if let Err(failure) = checked.unwrap() {
            eprintln!("{failure}\n");
            failures.push(failure);
        }
    }
    eprintln!("{run_count} runs took {:.1} s", started.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} runs failed:\n{}", failures.len(), failures.join("\n"));
}
