//! Open files: a run gets along with few of them, and what it has done is kept where its output can't be written.

use std::fs;
use std::process::Command;

use crate::bench::{Etl, Folder};
use crate::server::{Gate, Server};

const PAGE_COUNT: usize = 600;

/// Runs `etl` with so many open files at most, to `out.parquet` in the folder.
#[track_caller]
fn run_with(open_files: usize, list: &std::path::Path, output: &Folder, options: &str) -> String {
    let command = format!("ulimit -n {open_files}; exec \"$0\" --urls \"$1\" --out \"$2\" --json {options}",);
    let run = Command::new("sh")
        .args(["-c", &command, env!("CARGO_BIN_EXE_etl")])
        .arg(list)
        .arg(output.path("out.parquet"))
        .current_dir(output.root())
        .env_remove("http_proxy")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{open_files} {options}: {stdout} {stderr}");
    let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(summary["pages"]["fetched"], PAGE_COUNT, "{open_files} {options}: {summary}");
    assert_eq!(summary["requests"]["retried"], 0, "{open_files} {options}: {summary}");
    stderr.into_owned()
}

#[test]
fn every_page_is_fetched_with_few_open_files() {
    // Records that differ, so that there are parts to be opened at the end.
    let site = Folder::new();
    for kind in 0..8 {
        site.write(&format!("p{kind}.ndjson"), format!("{{\"id\":{kind},\"k{kind}\":1}}\n"));
    }
    let server = Server::over(site.root());
    let targets: Vec<_> = (0..PAGE_COUNT).map(|page| format!("p{}.ndjson?n={page}", page % 8)).collect();
    let list = server.list(&site, &targets);
    for open_files in [64, 256, 1024] {
        for options in ["", "--state state --checkpoint 1ms", "--keep-raw raw", "--memory 64MiB"] {
            let output = Folder::new();
            let many = format!("-j 1024 --concurrency-per-host 1024 {options}");
            let said = run_with(open_files, &list, &output, &many);
            assert!(said.contains("files may be open at once (ulimit -n)"), "{said}");
        }
        // As many as there can be are nothing to speak of.
        let said = run_with(open_files, &list, &Folder::new(), "-j 8");
        assert!(!said.contains("warning"), "{said}");
    }
}

#[test]
fn local_pages_are_read_with_few_open_files() {
    let site = Folder::new();
    let lines: String = (0..PAGE_COUNT).map(|page| format!("p{page}.ndjson\n")).collect();
    (0..PAGE_COUNT).for_each(|page| drop(site.write(&format!("p{page}.ndjson"), "{\"id\":1}\n")));
    let list = site.write("urls.txt", lines);
    run_with(64, &list, &Folder::new(), "-j 1024");
}

#[test]
fn what_is_done_is_kept_where_the_output_can_not_be_finished() {
    // The second page makes a column wider, so that a second and a third part are begun.
    let site = Folder::with_pages(&[("a.ndjson", "{\"id\":1}\n"), ("b.ndjson", "{\"id\":\"x\"}\n")]);
    let gate = Gate::new();
    let list = site.write("urls.txt", format!("a.ndjson\nb.ndjson\n{}/slow.ndjson\n", gate.origin));
    let output = Folder::new();
    let etl = || Etl::new(&list, &output.path("out.parquet")).with("--row-group-rows 1");
    let running = etl().arg("--json").start();
    let held = gate.arrival();
    // Somebody puts a file where the one would stand that the parts are united in.
    let strangers: Vec<_> = (3..9).map(|part| format!(".out.parquet.etl-part-{part}")).collect();
    strangers.iter().for_each(|name| drop(output.write(name, "mine")));
    held.answer("{\"id\":2}\n");
    let outcome = running.finish().exits(6);
    assert!(outcome.stderr.contains(".out.parquet.etl-part-"), "{}", outcome.stderr);
    assert!(!output.path("out.parquet").exists());
    strangers.iter().for_each(|name| drop(fs::remove_file(output.path(name))));

    let running = etl().arg("--json").start();
    let outcome = running.finish().exits(0);
    assert_eq!(outcome.count("/resumed/pages"), 3, "{}", outcome.stdout);
    assert_eq!(outcome.count("/requests/sent"), 0, "{}", outcome.stdout);
    assert_eq!(outcome.count("/records/written"), 3, "{}", outcome.stdout);
}
