//! Two runs on one output: the second one goes away, the first one never notices.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::{Etl, Folder};
use crate::server::Gate;
use crate::table::Table;

/// A list of a page that is there and one that waits at `gate`.
fn site(gate: &Gate) -> Folder {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    site.write("urls.txt", format!("a.json\n{}/slow.json\n", gate.origin));
    site
}

#[test]
fn second_run_on_the_same_output_exits_75_at_once_and_the_first_is_unharmed() {
    for has_old in [false, true] {
        let (gate, other_gate, output) = (Gate::new(), Gate::new(), Folder::new());
        if has_old {
            let old = Folder::with_pages(&[("old.json", "[{\"old\":1}]")]);
            Etl::between(&old, &output).run().exits(0);
        }
        let (site, other_site) = (site(&gate), site(&other_gate));
        let first = Etl::between(&site, &output).arg("--json").start();
        let held = gate.arrival();
        let asked = Instant::now();
        let second = Etl::between(&other_site, &output).run_as_typed().exits(75);
        assert!(asked.elapsed() < Duration::from_secs(10), "took {:?}", asked.elapsed());
        assert!(second.stderr.contains("out.parquet"), "{}", second.stderr);
        assert_eq!(second.stderr.lines().count(), 1, "{}", second.stderr);
        // The same output by another way of writing it.
        let detour = output.path("../").join(output.root().file_name().unwrap()).join("out.parquet");
        Etl::new(&other_site.path("urls.txt"), &detour).run_as_typed().exits(75);
        assert!(other_gate.is_untouched(), "the second run asked for pages");
        held.answer("[{\"id\":2}]");
        first.finish().exits(0);
        assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1), json!(2)]);
        assert_eq!(output.names(), ["out.parquet"]);
    }
}

#[test]
fn runs_on_two_outputs_of_one_folder_do_not_hinder_each_other() {
    let (gate, output) = (Gate::new(), Folder::new());
    let site = site(&gate);
    let first = Etl::between(&site, &output).start();
    let held = gate.arrival();
    let other = Folder::with_pages(&[("b.json", "[{\"id\":7}]")]);
    Etl::new(&other.path("urls.txt"), &output.path("out.parquet.other")).run().exits(0);
    held.answer("[{\"id\":2}]");
    first.finish().exits(0);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1), json!(2)]);
    assert_eq!(output.names(), ["out.parquet", "out.parquet.other"]);
}

#[test]
fn killed_run_holds_no_lock_and_the_next_one_sweeps_after_it() {
    for has_old in [false, true] {
        let (gate, output) = (Gate::new(), Folder::new());
        let next = Folder::with_pages(&[("a.json", "[{\"id\":5}]")]);
        if has_old {
            Etl::between(&next, &output).run().exits(0);
        }
        let before = has_old.then(|| output.read("out.parquet"));
        let site = site(&gate);
        let first = Etl::between(&site, &output).with("--row-group-rows 1").start();
        let _held = gate.arrival();
        let (outcome, _) = first.end_by("KILL");
        assert_eq!(outcome.code, -9);
        assert_eq!(std::fs::read(output.path("out.parquet")).ok(), before);
        Etl::between(&next, &output).run().exits(0);
        assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(5)]);
        assert_eq!(output.names(), ["out.parquet"]);
    }
}

#[test]
fn of_many_runs_at_once_each_publishes_or_exits_75() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.json", "[{\"id\":2}]")]);
    let output = Folder::new();
    for _ in 0..5 {
        let runs: Vec<_> = (0..6).map(|_| Etl::between(&site, &output).start()).collect();
        let outcomes: Vec<_> = runs.into_iter().map(|run| run.finish()).collect();
        assert!(outcomes.iter().any(|outcome| outcome.code == 0), "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| [0, 75].contains(&outcome.code)), "{outcomes:?}");
        assert_eq!(Table::read(&output.path("out.parquet")).rows.len(), 2);
        assert_eq!(output.names(), ["out.parquet"]);
    }
}
