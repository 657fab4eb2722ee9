//! `--retry-failed` asks for the pages that failed in the last complete run, and for no others.

use std::fs;

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::runs::Scene;
use crate::server::Gate;
use crate::table::Table;

const RETRIED: &str = "retried.parquet";

fn retry(scene: &Scene, options: &str) -> Etl {
    let run = Etl::new(&scene.input.path("urls.txt"), &scene.output.path(RETRIED));
    run.arg("--json").arg("--retry-failed").arg("--state").arg(scene.folder()).with("--retry 0").with(options)
}

/// What was asked for since so many requests.
fn asked_since(scene: &Scene, request_count: usize) -> Vec<String> {
    let log = scene.server.log();
    let mut asked: Vec<_> =
        log[request_count..].iter().map(|line| line["target"].as_str().unwrap().to_owned()).collect();
    asked.sort();
    asked
}

/// Two of the three pages that failed are there now.
fn mend(scene: &Scene) {
    scene.site.write("nowhere.json", r#"[{"id":20}]"#);
    scene.site.write("bad.json", r#"[{"id":30},7]"#);
}

fn ids(scene: &Scene, name: &str) -> Vec<Value> {
    Table::read(&scene.output.path(name)).column("id")
}

#[track_caller]
fn check_refused(outcome: &Outcome, needles: &[&str]) {
    assert_eq!(outcome.code, 2, "{outcome:?}");
    for needle in needles {
        assert!(outcome.stderr.contains(needle), "{needle}: {outcome:?}");
    }
}

#[test]
fn pages_that_failed_are_asked_for_alone_until_none_is_left() {
    let scene = Scene::new();
    let first = scene.kept("--retry 0").run_as_typed().exits(3).summary();
    mend(&scene);
    let before = scene.server.log().len();
    // A page twice in the list is asked for once, and a new one is none that failed.
    scene.add(&format!("{}/bad.json\n{}/new.json", scene.server.origin, scene.server.origin));
    let outcome = retry(&scene, "").run_as_typed().exits(3);
    let summary = outcome.summary();
    assert_eq!(asked_since(&scene, before), ["/bad.json", "/nowhere.json?token=hunter2"]);
    assert_eq!(
        summary["retry"],
        json!({"run_id": first["run_id"], "started_at": first["started_at"], "pages": 3})
    );
    assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/failed")), (3, 1));
    assert_eq!(outcome.count("/records/rejected"), 1);
    assert_eq!(ids(&scene, RETRIED), [json!(20), json!(30)]);
    assert_eq!(ids(&scene, "out.parquet"), [json!(1), json!(2)]);
    let lines: Vec<_> = scene
        .output
        .json_lines("retried.parquet.rejects.ndjson")
        .iter()
        .map(|line| line["line"].clone())
        .collect();
    assert_eq!(lines, [3, 4]);

    let listed = Etl::bare().with("runs --json").arg(scene.folder()).run_as_typed().summary();
    assert_eq!(listed[0]["retried"], first["run_id"]);

    // What failed again is asked for alone the next time; where nothing comes of that, the old file stays.
    let before = scene.server.log().len();
    let outcome = retry(&scene, "").run_as_typed().exits(5);
    assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/failed")), (1, 1));
    assert!(asked_since(&scene, before).is_empty());
    assert_eq!(ids(&scene, RETRIED), [json!(20), json!(30)]);

    let list = fs::read_to_string(scene.input.path("urls.txt")).unwrap();
    let list: Vec<_> = list.lines().filter(|line| !line.ends_with("away.json")).collect();
    scene.input.write("urls.txt", list.join("\n"));
    let outcome = retry(&scene, "").run_as_typed().exits(0);
    assert!(
        outcome.summary()["hints"].to_string().contains("not in the list any more"),
        "{}",
        outcome.stdout
    );
    let before = (scene.server.log().len(), scene.output.names());
    let outcome = retry(&scene, "").run_as_typed().exits(0);
    assert_eq!(outcome.summary()["status"], "nothing_new");
    assert!(outcome.stderr.contains("nothing to do: no page of run"), "{}", outcome.stderr);
    assert_eq!((scene.server.log().len(), scene.output.names()), before);
}

#[test]
fn retry_that_was_stopped_is_gone_on_with_and_a_run_of_all_pages_is_not_fooled_by_it() {
    let (scene, gate) = (Scene::new(), Gate::new());
    scene.add(&format!("{}/late.json", gate.origin));
    let run = scene.kept("--retry 0").start();
    gate.arrival().send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    run.finish().exits(3);
    mend(&scene);
    let stop = || {
        let run = retry(&scene, "").start();
        let held = gate.arrival();
        assert!(run.finished_within(std::time::Duration::from_millis(500)).is_none());
        run.end_by("TERM").0.exits(143);
        drop(held);
    };
    stop();
    let run = retry(&scene, "").start();
    gate.arrival().answer("[{\"id\":50}]");
    let outcome = run.finish().exits(3);
    assert_eq!(outcome.count("/resumed/pages"), 2);
    assert_eq!(ids(&scene, RETRIED), [json!(20), json!(30), json!(50)]);

    scene.site.write("bad.json", "<html>");
    let run = scene.kept("--retry 0").start();
    gate.arrival().send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    run.finish().exits(3);
    scene.site.write("bad.json", r#"[{"id":30}]"#);
    stop();
    let run = scene.kept("--retry 0").start();
    gate.arrival().answer("[{\"id\":50}]");
    let outcome = run.finish().exits(3);
    assert!(outcome.summary()["hints"].to_string().contains("--retry-failed"), "{}", outcome.stdout);
    assert_eq!(ids(&scene, "out.parquet"), [1, 2, 20, 30, 50].map(|id| json!(id)));
}

#[test]
fn work_that_could_be_gone_on_with_is_not_thrown_away() {
    let (scene, gate) = (Scene::new(), Gate::new());
    scene.kept("--retry 0").run_as_typed().exits(3);
    scene.add(&format!("{}/late.json", gate.origin));
    let run = scene.kept("--retry 0").start();
    let held = gate.arrival();
    assert!(run.finished_within(std::time::Duration::from_millis(500)).is_none());
    let id = run.end_by("TERM").0.exits(143).summary()["run_id"].as_str().unwrap().to_owned();
    drop(held);
    check_refused(&retry(&scene, "").run_as_typed(), &["--retry-failed", &id, "run its own command again"]);
    let run = scene.kept("--retry 0").start();
    gate.arrival().answer("[{\"id\":50}]");
    assert_eq!(run.finish().exits(3).count("/resumed/pages"), 1);
}

#[test]
fn what_can_not_be_retried_is_named_before_any_request() {
    let scene = Scene::new();
    let plain = Etl::between(&scene.input, &scene.output).arg("--retry-failed");
    check_refused(&plain.run_as_typed(), &["--state"]);
    check_refused(&retry(&scene, "").run_as_typed(), &["--retry-failed", "run without"]);
    assert!(scene.state.names().is_empty() && scene.output.names().is_empty());
    for options in ["--fresh", "--keep-raw raw", "--paginate link"] {
        let name = options.split(' ').next().unwrap();
        check_refused(&retry(&scene, options).run_as_typed(), &["--retry-failed", name]);
    }
    // A run that published nothing came to no end.
    scene.kept("--retry 0 --strict").run_as_typed().exits(4);
    check_refused(&retry(&scene, "").run_as_typed(), &["--retry-failed", "run without"]);
    scene.kept("--retry 0").run_as_typed().exits(3);
    let before = (scene.server.log().len(), Folder::read(&scene.output, "out.parquet"));
    let same = scene.kept("--retry 0 --retry-failed").run_as_typed();
    check_refused(&same, &["out.parquet", "another name"]);
    assert_eq!((scene.server.log().len(), scene.output.read("out.parquet")), before);
}
