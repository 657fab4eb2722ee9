//! Tests that are made from seeds: how many there are, several at once, and what is told of those that fail.

use std::time::Instant;

use fastrand::Rng;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

/// Checks at once: most of a check is waiting, and checks that disturb each other have other timings.
const CHECKS_AT_ONCE: usize = 4;
/// Failures that are told before the test gives up: a defect that every check meets is told often enough.
const FAILURES_MAX: usize = 10;
/// Its checks, found by trying, meet every kind of page and fault.
const SEED_DEFAULT: u64 = 1;

/// What a seed is made into: in words, and the check.
pub(crate) type Seeded = (String, Box<dyn FnOnce(&Handle) + Send>);

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

/// Makes and runs `{prefix}_RUNS` checks with the seeds from `{prefix}_SEED` on.
///
/// # Panics
/// A check panicked; how it is repeated alone is printed.
#[expect(clippy::print_stderr, reason = "a failure is repeated by the seed that is printed here")]
pub(crate) async fn check(
    prefix: &str,
    runs_default: u64,
    make: impl Fn(u64) -> Seeded + Clone + Send + 'static,
) {
    let run_count = number_from_environment(&format!("{prefix}_RUNS"), runs_default);
    let first_seed = number_from_environment(&format!("{prefix}_SEED"), SEED_DEFAULT);
    eprintln!("{run_count} runs from {prefix}_SEED={first_seed} on");
    let started = Instant::now();
    let mut seeds = (0..run_count).map(|index| first_seed.wrapping_add(index));
    let mut runs = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        while runs.len() < CHECKS_AT_ONCE
            && failures.len() < FAILURES_MAX
            && let Some(seed) = seeds.next()
        {
            let (make, runtime) = (make.clone(), Handle::current());
            let alone = format!("{prefix}_SEED={seed} {prefix}_RUNS=1");
            runs.spawn(async move {
                let (shown, check) = make(seed);
                // On a thread of its own, for reading back what a run left takes a while.
                let checked = spawn_blocking(move || check(&runtime)).await;
                checked.map_err(|error| format!("{alone}: {shown}\n{}", message_of(error)))
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

/// What an output must not depend on, to the byte.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) memory_bytes: u64,
    pub(crate) concurrency: usize,
    pub(crate) thread_count: usize,
}

impl Machine {
    pub(crate) fn random(rng: &mut Rng, concurrency_max: usize) -> Self {
        Self {
            memory_bytes: between(rng, 4 << 10, 1 << 20) as u64,
            concurrency: between(rng, 1, concurrency_max),
            thread_count: rng.usize(1..=3),
        }
    }
}

/// A number of these magnitudes, each as likely as another.
pub(crate) fn between(rng: &mut Rng, least: usize, most: usize) -> usize {
    let (low, high) = ((least as f64).ln(), (most as f64 + 1.0).ln());
    ((low + rng.f64() * (high - low)).exp() as usize).clamp(least, most)
}
