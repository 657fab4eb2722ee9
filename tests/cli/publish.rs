//! What a reader finds at the output after each kind of end: the old file or the new one, and nothing else.

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Gate, Server, closed_origin};
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";
const GOOD: (&str, &str) = ("good.json", "[{\"id\":1,\"values\":[1,2]},{\"id\":2,\"values\":[3]}]");
const WRONG: (&str, &str) = ("wrong.ndjson", "{\"id\":3,\"values\":[1]}\n{\"id\":4,\"values\":7}\n");

/// An output of yesterday, rejects too.
fn yesterday() -> (Folder, Vec<u8>) {
    let site = Folder::with_pages(&[("old.json", "[{\"old\":true}]")]);
    let output = Folder::new();
    Etl::between(&site, &output).run().exits(0);
    let old = output.read("out.parquet");
    output.write(REJECTS, "yesterday's\n");
    (output, old)
}

fn run(pages: &[(&str, &str)], options: &str) -> (Outcome, Folder, Vec<u8>) {
    let site = Folder::with_pages(pages);
    let (output, old) = yesterday();
    let outcome = Etl::between(&site, &output).with(options).run();
    (outcome, output, old)
}

/// Nothing published, the old file stays, and the rejects are today's.
#[track_caller]
fn check_old_stays(pages: &[(&str, &str)], options: &str, code: i32, reject_count: usize) {
    let (outcome, output, old) = run(pages, options);
    let outcome = outcome.exits(code);
    assert_eq!(output.read("out.parquet"), old);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    check_rejects(&output, reject_count);
    assert_eq!(outcome.summary()["outputs"].as_array().unwrap().len(), 0);
    assert_eq!(outcome.summary()["status"], "failed");
    assert!(!outcome.stderr.is_empty());
}

#[track_caller]
fn check_rejects(output: &Folder, count: usize) {
    assert_eq!(output.json_lines(REJECTS).len(), count);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(output.path(REJECTS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn clean_run_replaces_the_file_and_removes_yesterdays_rejects() {
    let (outcome, output, old) = run(&[GOOD], "");
    let outcome = outcome.exits(0);
    assert_ne!(output.read("out.parquet"), old);
    assert_eq!(Table::read(&output.path("out.parquet")).rows.len(), 2);
    assert_eq!(output.names(), ["out.parquet"]);
    assert_eq!(outcome.summary()["status"], "ok");
}

#[test]
fn run_with_rejects_replaces_the_file_and_exits_3() {
    let (outcome, output, _) = run(&[GOOD, WRONG], "");
    let outcome = outcome.exits(3);
    assert_eq!(Table::read(&output.path("out.parquet")).rows.len(), 3);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    check_rejects(&output, 1);
    assert_eq!(outcome.summary()["status"], "partial");
}

#[test]
fn run_with_a_failed_page_replaces_the_file_and_exits_3() {
    let (outcome, output, _) = run(&[GOOD, ("cut.json", "[{\"id\":9}")], "");
    outcome.exits(3);
    assert_eq!(Table::read(&output.path("out.parquet")).rows.len(), 2);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    check_rejects(&output, 1);
}

#[test]
fn old_file_stays_when_every_page_failed() {
    check_old_stays(&[("cut.json", "[{\"id\":9}"), ("no.json", "<html>")], "", 1, 2);
}

#[test]
fn old_file_stays_when_the_server_answers_every_page_with_an_error() {
    let site = Folder::with_pages(&[GOOD]);
    let server = Server::over(site.root());
    let (output, old) = yesterday();
    let input = Folder::new();
    server.list(&input, &["good.json?status=404", "good.json?status=503"]);
    Etl::between(&input, &output).with("--retry 0").run().exits(1);
    assert_eq!(output.read("out.parquet"), old);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    check_rejects(&output, 2);
}

#[test]
fn old_file_stays_when_no_server_answers() {
    let (output, old) = yesterday();
    let input = Folder::new();
    input.write("urls.txt", format!("{0}/a.json\n{0}/b.json\n", closed_origin()));
    Etl::between(&input, &output).with("--retry 1").run().exits(5);
    assert_eq!(output.read("out.parquet"), old);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    check_rejects(&output, 2);
}

#[test]
fn strict_publishes_nothing_after_a_reject_or_a_failed_page() {
    check_old_stays(&[GOOD, WRONG], "--strict", 4, 1);
    check_old_stays(&[GOOD, ("no.json", "<html>")], "--strict", 4, 1);
    run(&[GOOD], "--strict").0.exits(0);
}

#[test]
fn more_rejects_than_allowed_publish_nothing() {
    check_old_stays(&[GOOD, WRONG], "--max-rejects 0", 4, 1);
    // One of four records is 25 %.
    check_old_stays(&[GOOD, WRONG], "--max-rejects 24%", 4, 1);
    run(&[GOOD, WRONG], "--max-rejects 1").0.exits(3);
    run(&[GOOD, WRONG], "--max-rejects 25%").0.exits(3);
}

#[test]
fn more_failed_pages_than_allowed_publish_nothing() {
    let pages = [GOOD, ("no.json", "<html>"), WRONG];
    check_old_stays(&pages, "--max-failed 0", 4, 2);
    check_old_stays(&pages, "--max-failed 33%", 4, 2);
    run(&pages, "--max-failed 1").0.exits(3);
    run(&pages, "--max-failed 34%").0.exits(3);
}

#[test]
fn fewer_records_than_asked_for_publish_nothing() {
    check_old_stays(&[GOOD, WRONG], "--min-records 4", 4, 1);
    run(&[GOOD, WRONG], "--min-records 3").0.exits(3);
    run(&[GOOD], "--min-records 2").0.exits(0);
}

#[test]
fn rejects_of_yesterday_do_not_survive_a_run_without_any() {
    let (outcome, output, old) = run(&[GOOD], "--min-records 3");
    outcome.exits(4);
    assert_eq!(output.read("out.parquet"), old);
    assert_ne!(std::fs::read(output.path(REJECTS)).unwrap_or_default(), b"yesterday's\n");
}

#[test]
fn column_with_the_name_of_a_feature_publishes_nothing() {
    let clash = ("clash.json", "[{\"values\":[1,2],\"values_mean\":3}]");
    // The reject comes first: how far a run goes on after the clash is its own affair.
    check_old_stays(&[WRONG, clash, GOOD], "", 4, 1);
    let late = ("late.json", "[{\"values_mean\":3}]");
    check_old_stays(&[WRONG, late, GOOD], "--row-group-rows 1", 4, 1);
    run(&[GOOD, clash], "--features none").0.exits(0);
}

#[test]
fn too_many_columns_publish_nothing_and_name_the_object() {
    let members: Vec<_> = (0..5_001).map(|index| format!("\"k{index}\":1")).collect();
    let page = format!("{{\"id\":1,\"labels\":{{{}}}}}", members.join(","));
    let (outcome, output, old) = run(&[GOOD, ("wide.json", &page)], "--nested struct");
    let outcome = outcome.exits(4);
    assert!(outcome.stderr.contains("labels"), "{}", outcome.stderr);
    assert_eq!(output.read("out.parquet"), old);
}

#[test]
fn zero_records_and_no_columns_leave_the_old_file_and_say_so() {
    let (outcome, output, old) = run(&[("none.json", "[]"), ("none.ndjson", "")], "");
    let outcome = outcome.exits(0);
    assert_eq!(output.read("out.parquet"), old);
    assert_eq!(output.names(), ["out.parquet"]);
    assert_eq!(outcome.summary()["status"], "nothing_new");
    assert!(outcome.stderr.contains("nothing to publish"), "{}", outcome.stderr);
}

#[test]
fn zero_records_with_named_values_publish_an_empty_file_with_feature_columns() {
    let (outcome, output, _) = run(&[("none.json", "[]")], "--values latency");
    outcome.exits(0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.rows.len(), 0);
    let features = ["count", "mean", "variance", "stddev", "min", "max"];
    assert_eq!(table.names(), features.map(|name| format!("latency_{name}")));
    assert_eq!(output.names(), ["out.parquet"]);
}

#[test]
fn output_folder_that_vanishes_during_the_run_is_a_storage_error() {
    let (gate, input, output) = (Gate::new(), Folder::new(), Folder::new());
    input.write("urls.txt", format!("{}/a.json\n", gate.origin));
    let out = output.write("lake/old.txt", "old").with_file_name("out.parquet");
    let run = Etl::new(&input.path("urls.txt"), &out).arg("--json").start();
    let held = gate.arrival();
    std::fs::remove_dir_all(output.path("lake")).unwrap();
    held.answer("[{\"id\":1}]");
    run.finish().exits(6);
    assert!(output.names().is_empty(), "{:?}", output.names());
}

#[test]
fn summary_tells_what_was_published() {
    let (outcome, output, _) = run(&[GOOD, WRONG], "");
    let summary = outcome.summary();
    let path = output.path("out.parquet");
    let file_bytes = std::fs::metadata(&path).unwrap().len();
    assert_eq!(summary["outputs"], serde_json::json!([path]));
    assert_eq!(outcome.count("/bytes/written"), file_bytes);
    assert_eq!(outcome.count("/bytes/body"), (GOOD.1.len() + WRONG.1.len()) as u64);
    let parts = summary["parts"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| part["rows"].as_u64().unwrap()).sum::<u64>(), 3);
    let columns = summary["schema"].as_array().unwrap().iter();
    let columns = columns.map(|column| (column["name"].as_str().unwrap(), column["type"].as_str().unwrap()));
    let table = Table::read(&path);
    let found = table.columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str()));
    assert_eq!(columns.collect::<Vec<_>>(), found.collect::<Vec<_>>());
}

#[test]
fn rejects_are_written_when_every_record_is_one() {
    let (output, old) = yesterday();
    let site = Folder::with_pages(&[("a.ndjson", "7\n8\n")]);
    let outcome = Etl::between(&site, &output).run();
    assert_ne!(outcome.code, 0, "{}", outcome.stdout);
    assert_eq!(output.read("out.parquet"), old);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    check_rejects(&output, 2);
}

#[test]
fn failed_first_run_leaves_rejects_and_no_other_file() {
    let site = Folder::with_pages(&[("no.json", "<html>")]);
    let output = Folder::new();
    Etl::between(&site, &output).run().exits(1);
    assert_eq!(output.names(), [REJECTS]);
    Etl::between(&site, &output).with("--strict").run();
    assert_eq!(output.names(), [REJECTS]);
}

#[test]
fn rejects_go_where_they_are_asked_to() {
    let site = Folder::with_pages(&[GOOD, WRONG]);
    let (output, other) = (Folder::new(), Folder::new());
    Etl::between(&site, &output).arg("--rejects").arg(other.path("bad.ndjson")).run().exits(3);
    assert_eq!(output.names(), ["out.parquet"]);
    assert_eq!(other.json_lines("bad.ndjson").len(), 1);
}

#[cfg(unix)]
#[test]
fn target_of_a_symlink_is_replaced_and_the_link_stays() {
    let site = Folder::with_pages(&[GOOD]);
    let (output, lake) = (Folder::new(), Folder::new());
    lake.write("real.parquet", "old");
    std::os::unix::fs::symlink(lake.path("real.parquet"), output.path("out.parquet")).unwrap();
    Etl::between(&site, &output).run().exits(0);
    assert!(std::fs::symlink_metadata(output.path("out.parquet")).unwrap().is_symlink());
    assert_eq!(Table::read(&lake.path("real.parquet")).rows.len(), 2);
    assert_eq!((output.names(), lake.names()), (vec!["out.parquet".into()], vec!["real.parquet".into()]));
}

#[cfg(unix)]
#[test]
fn output_follows_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Folder::with_pages(&[GOOD, WRONG]);
    let output = Folder::new();
    let status = std::process::Command::new("sh")
        .args(["-c", "umask 027; exec \"$0\" -q --urls \"$1\" --out \"$2\""])
        .arg(env!("CARGO_BIN_EXE_etl"))
        .arg(site.path("urls.txt"))
        .arg(output.path("out.parquet"))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    let mode = std::fs::metadata(output.path("out.parquet")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    check_rejects(&output, 1);
}
