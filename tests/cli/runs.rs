//! `etl runs` tells what a state folder knows, and changes nothing there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Gate, Server, closed_origin};

fn runs(folder: &Path, words: &[&str]) -> Outcome {
    words.iter().fold(Etl::bare().arg("runs").arg(folder), Etl::arg).run_as_typed()
}

#[track_caller]
fn listed(folder: &Path, words: &[&str]) -> Value {
    let outcome = runs(folder, &[&["--json"], words].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    outcome.summary()
}

/// Everything that is in a folder, by name.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// A list of one good page, one that is not found, one that is no JSON and one that nobody serves.
pub(crate) struct Scene {
    pub(crate) site: Folder,
    pub(crate) server: Server,
    pub(crate) input: Folder,
    pub(crate) output: Folder,
    pub(crate) state: Folder,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let site = Folder::new();
        site.write("good.json", r#"[{"id":1},{"id":2}]"#);
        site.write("bad.json", "<html>");
        let (server, input) = (Server::over(site.root()), Folder::new());
        server.list(&input, &["good.json", "nowhere.json?token=hunter2", "bad.json"]);
        let scene = Self { site, server, input, output: Folder::new(), state: Folder::new() };
        scene.add(&format!("{}/away.json", closed_origin()));
        scene
    }

    /// Adds a line to the list.
    pub(crate) fn add(&self, line: &str) {
        let list = fs::read_to_string(self.input.path("urls.txt")).unwrap();
        self.input.write("urls.txt", format!("{list}{line}\n"));
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.state.path("s")
    }

    pub(crate) fn etl(&self, options: &str) -> Etl {
        Etl::between(&self.input, &self.output).with("--json").with(options)
    }

    /// A run with the state folder.
    pub(crate) fn kept(&self, options: &str) -> Etl {
        self.etl(options).arg("--state").arg(self.folder())
    }
}

#[test]
fn runs_are_listed_newest_first_and_one_of_them_with_its_failed_pages() {
    let scene = Scene::new();
    let folder = scene.folder();
    let first = scene.kept("--retry 1").run_as_typed().exits(3).summary();
    let second = scene.kept("--retry 1").run_as_typed().exits(3).summary();
    let before = (contents(&folder), scene.server.log().len());

    let all = listed(&folder, &[]);
    let ids: Vec<_> = all.as_array().unwrap().iter().map(|run| run["run_id"].clone()).collect();
    assert_eq!(ids, [second["run_id"].clone(), first["run_id"].clone()]);
    for (run, summary) in all.as_array().unwrap().iter().zip([&second, &first]) {
        for key in ["started_at", "status", "exit_code", "pages", "records", "elapsed_ms", "outputs"] {
            assert_eq!(run[key], summary[key], "{key}");
        }
        assert_eq!(run["resumed"], json!(null));
    }

    let id = second["run_id"].as_str().unwrap();
    let one = listed(&folder, &[id]);
    assert_eq!(one["run_id"], id);
    let failures: Vec<_> = one["failures"].as_array().unwrap().iter().collect();
    let told = |key: &str| failures.iter().map(|failure| failure[key].clone()).collect::<Vec<_>>();
    assert_eq!(told("line"), [2, 3, 4]);
    assert_eq!(told("page"), [1, 1, 1]);
    assert_eq!(told("http_status"), [json!(404), json!(200), json!(null)]);
    assert_eq!(told("attempts"), [1, 1, 2]);
    let reasons: Vec<_> =
        second["failures"].as_array().unwrap().iter().map(|f| f["reason"].clone()).collect();
    assert_eq!(told("reason"), reasons);
    assert!(failures[0]["url"].as_str().unwrap().ends_with("/nowhere.json?token=***"), "{one}");
    // The pages of the first run were asked for again, and are those of the second one now.
    let earlier = listed(&folder, &[first["run_id"].as_str().unwrap()]);
    assert_eq!(earlier["failures"].as_array().unwrap().len(), 3);

    let text = runs(&folder, &[]).stdout;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("run ") && lines[1].starts_with(id), "{text}");
    assert!(lines[1].contains("  partial ") && lines[1].ends_with('-'), "{text}");
    let text = runs(&folder, &[id]).stdout;
    assert_eq!(text.lines().count(), 5, "{text}");
    for needle in ["line 2 page 1", "HTTP 404, 1 attempt:", "no status, 2 attempts:", "<html>"] {
        assert_eq!(text.contains(needle), needle != "<html>", "{needle}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!((contents(&folder), scene.server.log().len()), before);
}

#[test]
fn stopped_and_killed_runs_are_told_with_the_run_that_went_on() {
    let (scene, gate) = (Scene::new(), Gate::new());
    scene.add(&format!("{}/late.json", gate.origin));
    let folder = scene.folder();
    let start = || scene.kept("--retry 0").start();

    let run = start();
    let held = gate.arrival();
    assert!(run.finished_within(Duration::from_millis(300)).is_none());
    let busy = runs(&folder, &[]);
    assert_eq!(busy.code, 75, "{busy:?}");
    assert_eq!(busy.stderr.lines().count(), 1, "{busy:?}");
    assert!(busy.stderr.contains("a run works there now"), "{busy:?}");
    run.end_by("TERM").0.exits(143);
    drop(held);
    let stopped = listed(&folder, &[])[0].clone();
    assert_eq!((&stopped["status"], &stopped["exit_code"]), (&json!("interrupted"), &json!(143)));
    let one = listed(&folder, &[stopped["run_id"].as_str().unwrap()]);
    assert_eq!(one["failures"].as_array().unwrap().len(), 3, "{one}");

    let run = start();
    let held = gate.arrival();
    run.end_by("KILL");
    drop(held);
    let killed = listed(&folder, &[])[0].clone();
    assert_eq!((&killed["status"], &killed["exit_code"]), (&json!("killed"), &json!(null)));
    assert_eq!(killed["resumed"], stopped["run_id"]);

    scene.site.write("bad.json", r#"[{"id":3}]"#);
    let run = start();
    gate.arrival().answer("[{\"id\":7}]");
    // Pages that failed were asked for again, though the ledger knew them.
    let summary = run.finish().exits(3).summary();
    assert_eq!(summary["pages"]["failed"], 2);
    let all = listed(&folder, &[]);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[0]["resumed"], killed["run_id"]);
    assert_eq!(all[0]["work_started_at"], stopped["started_at"]);
    assert_eq!(
        listed(&folder, &[summary["run_id"].as_str().unwrap()])["failures"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn folder_of_a_run_that_was_stopped_can_be_looked_at_without_a_name() {
    let (scene, gate) = (Scene::new(), Gate::new());
    scene.add(&format!("{}/late.json", gate.origin));
    let run = scene.etl("--retry 0").start();
    let held = gate.arrival();
    assert!(run.finished_within(Duration::from_millis(500)).is_none());
    let id = run.end_by("TERM").0.exits(143).summary()["run_id"].as_str().unwrap().to_owned();
    drop(held);
    let one = listed(&scene.output.path("out.parquet.etl"), &[&id]);
    assert_eq!(one["failures"].as_array().unwrap().len(), 3, "{one}");
    assert_eq!(one["pages"]["fetched"], 1);
}

#[test]
fn what_is_no_state_folder_is_named_and_so_is_a_damaged_ledger() {
    let scene = Scene::new();
    let list = scene.input.path("urls.txt");
    for wrong in [&scene.state.path("nowhere"), scene.state.root(), list.as_path()] {
        let outcome = runs(wrong, &[]);
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (2, 1), "{outcome:?}");
        assert!(outcome.stderr.contains(wrong.to_str().unwrap()) && outcome.stderr.contains("--state"));
    }
    assert!(scene.state.names().is_empty());
    assert_eq!(Etl::bare().arg("runs").run_as_typed().code, 2);

    let folder = scene.folder();
    scene.kept("--retry 0").run_as_typed().exits(3);
    let outcome = runs(&folder, &["0123456789abcdef"]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (2, 1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("0123456789abcdef") && outcome.stderr.contains("etl runs"),
        "{outcome:?}"
    );

    let ledger = folder.join("ledger.sqlite");
    let mut bytes = fs::read(&ledger).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&ledger, &bytes).unwrap();
    let outcome = runs(&folder, &["--json"]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (6, 1), "{outcome:?}");
    assert!(outcome.stderr.contains("ledger.sqlite") && outcome.stdout.is_empty(), "{outcome:?}");
    assert_eq!(fs::read(&ledger).unwrap(), bytes);
}
