//! Signals and sudden death: the old file or the new one, byte for byte, and beside it nothing but what is done.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::bench::{Etl, Folder, Running};
use crate::server::{Gate, Server};

/// Within 2 s is promised; the rest is for a machine that runs all tests at once.
const END_MAX: Duration = Duration::from_millis(2_500);

/// Interrupts a run that waits for a slow page and has rows behind it.
#[track_caller]
fn check_interruption(signal: &str, code: i32, has_old: bool, has_begun: bool) {
    let (gate, output) = (Gate::new(), Folder::new());
    let site =
        Folder::with_pages(&[("a.json", "[{\"id\":1},{\"id\":2},{\"id\":3}]"), ("b.json", "{\"id\":4}")]);
    let mut names = Vec::new();
    if has_old {
        Etl::between(&site, &output).run().exits(0);
        names.push("out.parquet");
    }
    let old = has_old.then(|| output.read("out.parquet"));
    site.write("urls.txt", format!("a.json\nb.json\n{0}/c.json\na.json\n{0}/d.json\n", gate.origin));
    let run = Etl::between(&site, &output).with("--json --row-group-rows 2").start();
    let mut held = [gate.arrival(), gate.arrival()];
    if has_begun {
        held[0].begin("[{\"id\":5},");
    }
    let (outcome, time) = run.end_by(signal);
    let outcome = outcome.exits(code);
    assert!(time < END_MAX, "{signal}: took {time:?}");
    assert_eq!(std::fs::read(output.path("out.parquet")).ok(), old);
    if outcome.count("/pages/fetched") > 0 {
        names.push("out.parquet.etl");
    }
    assert_eq!(output.names(), names);
    assert_eq!(outcome.summary()["status"], "interrupted");
    assert_eq!(outcome.summary()["outputs"].as_array().unwrap().len(), 0);
}

#[test]
fn sigint_ends_a_run_on_slow_pages_with_130_and_keeps_what_is_done() {
    check_interruption("INT", 130, true, false);
    check_interruption("INT", 130, false, true);
}

#[test]
fn sigterm_ends_a_run_on_slow_pages_with_143_and_keeps_what_is_done() {
    check_interruption("TERM", 143, true, true);
    check_interruption("TERM", 143, false, false);
}

#[test]
fn sigterm_ends_a_run_that_waits_to_try_again() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let server = Server::over(site.root());
    let (gate, input, output) = (Gate::new(), Folder::new(), Folder::new());
    let list = format!("{}/a.json?status=503&retry_after=30\n{}/b.json\n", server.origin, gate.origin);
    input.write("urls.txt", list);
    // One at a time would wait for ever at the first; with two the gate says that the run is under way.
    let run = Etl::between(&input, &output).with("-j 2").start();
    let _held = gate.arrival();
    let (outcome, time) = run.end_by("TERM");
    outcome.exits(143);
    assert!(time < END_MAX, "took {time:?}");
    assert!(output.names().is_empty(), "{:?}", output.names());
}

/// A run of some 300 ms over another one's output, again and again.
struct Relay {
    big: Folder,
    small: Folder,
    output: Folder,
    whole_time: Duration,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Relay {
    fn new() -> Self {
        let mut page = String::new();
        for id in 0..1_500 {
            let values = format!("[{id},0.5,{id}.25,3]");
            writeln!(page, "{{\"id\":{id},\"name\":\"name {id}\",\"values\":{values},\"o\":{{\"x\":{id}}}}}")
                .unwrap();
        }
        page.push_str("{\"id\":wrong}\n");
        let names: Vec<_> = (0..6).map(|index| format!("p{index}.ndjson")).collect();
        let big = Folder::with_pages(&names.iter().map(|name| (name.as_str(), &page)).collect::<Vec<_>>());
        let small = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
        let mut relay = Self {
            big,
            small,
            output: Folder::new(),
            whole_time: Duration::ZERO,
            old: Vec::new(),
            new: Vec::new(),
        };
        let begun = Instant::now();
        relay.start().finish().exits(3);
        relay.whole_time = begun.elapsed();
        relay.new = relay.output.read("out.parquet");
        Etl::between(&relay.small, &relay.output).run().exits(0);
        relay.old = relay.output.read("out.parquet");
        relay
    }

    fn start(&self) -> Running {
        Etl::between(&self.big, &self.output).with("--row-group-rows 800").start()
    }

    /// A share of a whole run's time; every third one lies near the end, where the file is published.
    fn moment(&self, rng: &mut Rng, round: usize) -> Duration {
        self.whole_time.mul_f64(if round.is_multiple_of(3) { 0.8 + 0.3 * rng.f64() } else { rng.f64() })
    }

    /// Whether the output is the old file; it is the new one otherwise.
    #[track_caller]
    fn is_old(&self) -> bool {
        let found = self.output.read("out.parquet");
        assert!(found == self.old || found == self.new, "neither the old file nor the new one");
        found == self.old
    }

    /// The small run, which leaves the old file and nothing beside it.
    #[track_caller]
    fn sweep(&self) {
        Etl::between(&self.small, &self.output).run().exits(0);
        assert!(self.is_old());
        assert_eq!(self.output.names(), ["out.parquet"]);
    }
}

#[test]
fn kill_at_any_moment_leaves_the_old_file_or_the_new_one_and_the_next_run_sweeps() {
    let (relay, mut rng) = (Relay::new(), Rng::with_seed(20_260_302));
    let (mut killed_count, mut old_count) = (0, 0);
    for round in 0..30 {
        let run = relay.start();
        if run.finished_within(relay.moment(&mut rng, round)).is_none() {
            let (outcome, _) = run.end_by("KILL");
            killed_count += i32::from(outcome.code == -9);
        }
        old_count += i32::from(relay.is_old());
        relay.sweep();
    }
    assert!(
        killed_count > 5 && old_count > 0,
        "{killed_count} runs were killed, {old_count} left the old file"
    );
}

#[test]
fn sigterm_at_any_moment_leaves_the_old_file_or_the_new_one_and_sweeps_itself() {
    let (relay, mut rng) = (Relay::new(), Rng::with_seed(20_260_303));
    let mut interrupted_count = 0;
    for round in 0..12 {
        let run = relay.start();
        if run.finished_within(relay.moment(&mut rng, round)).is_none() {
            let (outcome, time) = run.end_by("TERM");
            assert!(time < END_MAX, "took {time:?}");
            // It may come before the run listens to signals, and after the file was published.
            assert!([143, -15, 3].contains(&outcome.code), "{outcome:?}");
            assert_eq!(relay.is_old(), outcome.code != 3, "{outcome:?}");
            interrupted_count += i32::from(outcome.code == 143);
        }
        let names = relay.output.names();
        let known = ["out.parquet", "out.parquet.etl", "out.parquet.rejects.ndjson"];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
        relay.sweep();
    }
    assert!(interrupted_count > 0, "no run was interrupted");
}
