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
#[path = "seeded/mod.rs"]
mod seeded;
#[path = "pace/server.rs"]
mod server;

use std::sync::Arc;

use plan::Plan;
use server::Server;

/// A few seconds in a debug build.
const RUNS_DEFAULT: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_ends_and_gives_each_row_once_in_order() {
    let server = Arc::new(Server::start().await);
    seeded::check("ETL_PACE", RUNS_DEFAULT, move |seed| {
        let (server, plan) = (Arc::clone(&server), Plan::of(seed, &server.origin));
        (plan.to_string(), Box::new(move |runtime| runtime.block_on(run::check_all(&plan, &server))))
    })
    .await;
}
