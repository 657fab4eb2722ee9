//! Whatever drifts from page to page, the output is that of a run that knew the schema from the start.
//!
//! Each comparison is made from a seed: pages of records whose fields come late, vanish, widen and grow, read by
//! runs that cut them into chunks and row groups in many ways, and by one that sees all records before it writes
//! any. `ETL_DRIFT_RUNS` says how many comparisons there are and `ETL_DRIFT_SEED` where their seeds begin, so that
//! one that failed is repeated alone by its seed and a count of one.

#[path = "drift/expected.rs"]
mod expected;
#[path = "lattice/generate.rs"]
#[expect(dead_code, reason = "only its dice are thrown, by the writer of hostile JSON")]
mod generate;
#[path = "lattice/json.rs"]
mod json;
#[path = "drift/plan.rs"]
mod plan;
#[path = "lattice/reference.rs"]
#[expect(dead_code, reason = "columns in the form of memory are another test's")]
mod reference;
#[path = "drift/run.rs"]
mod run;
#[path = "seeded/mod.rs"]
mod seeded;
#[path = "drift/table.rs"]
mod table;
#[path = "drift/values.rs"]
mod values;
#[path = "lattice/write.rs"]
#[expect(dead_code, reason = "nobody counts keys that stand twice here")]
mod write;

use etl::schema::Nesting;

use plan::Plan;

/// The reference's own limit, which no object meets here: how many keys make text of one is part of a plan.
const NESTING: Nesting = Nesting::STRUCT;

/// A few seconds in a debug build.
const RUNS_DEFAULT: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_learns_the_schema_writes_what_one_writes_that_knew_it_from_the_start() {
    seeded::check("ETL_DRIFT", RUNS_DEFAULT, |seed| {
        let plan = Plan::of(seed);
        (plan.to_string(), Box::new(move |runtime| runtime.block_on(run::check_all(&plan))))
    })
    .await;
}
