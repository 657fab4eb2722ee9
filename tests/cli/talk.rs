//! What the program says, and where: data on stdout, talk on stderr, secrets nowhere.

use serde_json::Value;

use crate::bench::{Etl, Folder};
use crate::server::{Server, closed_origin};

fn site() -> Folder {
    Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.ndjson", "{\"id\":2}\n{\"id\":\n")])
}

#[test]
fn help_and_version_exit_0_on_stdout() {
    for arg in ["--help", "-h", "--version", "-V"] {
        let outcome = Etl::bare().arg(arg).run_as_typed();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{arg}");
        assert!(outcome.stdout.contains("etl") || arg.contains('h'), "{arg}: {}", outcome.stdout);
    }
    let help = Etl::bare().arg("--help").run_as_typed().stdout;
    for option in ["--urls", "--out", "--values", "--features", "--memory", "--rejects", "--json"] {
        assert!(help.contains(option), "{option} is missing");
    }
    let version = Etl::bare().arg("--version").run_as_typed().stdout;
    assert_eq!(version.trim(), format!("etl {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn stdout_is_empty_unless_the_summary_is_asked_for() {
    let output = Folder::new();
    let outcome = Etl::between(&site(), &output).run_as_typed();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""));
    for part in ["out.parquet", "2 listed", "3 seen", "2 written", "1 rejected"] {
        assert!(outcome.stderr.contains(part), "{part:?} is missing: {}", outcome.stderr);
    }
}

#[test]
fn stdout_is_one_json_object_with_json() {
    let output = Folder::new();
    let bad = Folder::with_pages(&[("no.json", "<html>")]);
    for (site, options, code) in
        [(&site(), "", 3), (&site(), "-q", 3), (&site(), "-v", 3), (&site(), "--strict", 4), (&bad, "-vv", 1)]
    {
        let outcome = Etl::between(site, &output).with(options).run().exits(code);
        let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert!(summary.is_object());
        assert!(outcome.stdout.ends_with("}\n") && outcome.stdout.lines().count() == 1);
    }
}

#[test]
fn quiet_run_that_succeeds_is_silent() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let outcome = Etl::between(&site, &Folder::new()).with("-q").run_as_typed();
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (0, "", ""));
}

#[test]
fn quiet_run_that_fails_says_so() {
    let site = Folder::with_pages(&[("a.json", "<html>")]);
    let outcome = Etl::between(&site, &Folder::new()).with("-q").run_as_typed();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert_ne!(outcome.stderr, "");
}

#[test]
fn urls_may_stand_as_arguments_after_the_list() {
    let (site, output) = (site(), Folder::new());
    site.write("c.json", "[{\"id\":3}]");
    site.write("urls.txt", "a.json\n");
    let server = Server::over(site.root());
    let outcome = Etl::between(&site, &output).arg(format!("{}/c.json", server.origin)).run().exits(0);
    assert_eq!(outcome.count("/pages/listed"), 2);
    let ids = crate::table::Table::read(&output.path("out.parquet")).column("id");
    assert_eq!(ids, [Value::from(1), Value::from(3)]);
}

#[test]
fn summary_has_every_key_of_the_contract() {
    let site = site();
    let server = Server::over(site.root());
    let input = Folder::new();
    server.list(&input, &["a.json", "b.ndjson"]);
    let summary = Etl::between(&input, &Folder::new()).run().exits(3).summary();
    let pointers = "run_id version started_at status exit_code outputs pages/listed pages/fetched \
        pages/unchanged pages/failed pages/duplicate pages/left pages/deferred records/seen records/written \
        records/rejected records/filtered records/kept bytes/wire bytes/body bytes/written requests/sent requests/retried \
        requests/by_status/200 parts schema failures hints elapsed_ms peak_rss_bytes";
    check_keys(&summary, pointers);
}

#[track_caller]
fn check_keys(summary: &Value, pointers: &str) {
    let missing = pointers.split_ascii_whitespace().filter(|p| summary.pointer(&format!("/{p}")).is_none());
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn summary_has_the_times_of_every_stage() {
    let summary = Etl::between(&site(), &Folder::new()).run().exits(3).summary();
    // Features are computed while a page is decoded, so they have no time of their own.
    assert!(summary["stages"].get("features").is_some_and(Value::is_null));
    for stage in ["fetch", "decode", "encode", "publish"] {
        let times = ["p50_ms", "p90_ms", "p99_ms", "total_ms"].map(|name| format!("stages/{stage}/{name}"));
        check_keys(&summary, &times.join(" "));
    }
}

#[test]
fn secrets_of_urls_are_shown_nowhere() {
    let site = site();
    let server = Server::over(site.root());
    let host = server.origin.strip_prefix("http://").unwrap().to_owned();
    let closed = closed_origin();
    let input = Folder::new();
    let keys =
        ["token", "key", "sig", "signature", "secret", "password", "auth", "code", "X-Amz-Signature", "mine"];
    let mut list: String = keys
        .iter()
        .map(|key| {
            format!(
                "http://{host}/gone.json?day=monday&{key}=hunter2\nhttp://{host}/b.ndjson?{key}=hunter2\n"
            )
        })
        .collect();
    list.push_str(&format!("http://me:hunter2@{host}/gone.json\n{closed}/x.json?token=hunter2\n"));
    list.push_str(&format!("http://{host}/gone.json?redirect=/b.ndjson%3Ftoken%3Dhunter3\n"));
    list.push_str(&format!(
        "http://{host}/a.json?status=302&redirect=/none.json%3Ftoken%3Dhunter2%26code%3Dhunter2\n"
    ));
    input.write("urls.txt", list);
    let output = Folder::new();
    let options = "--redact mine --redact redirect --retry 1";
    let outcome = Etl::between(&input, &output).with(options).with("-vv").run().exits(3);
    let typed = Etl::between(&input, &output).with(options).run_as_typed();
    let rejects = String::from_utf8(output.read("out.parquet.rejects.ndjson")).unwrap();
    let file = String::from_utf8_lossy(&output.read("out.parquet")).into_owned();
    for (place, text) in [
        ("stdout", &outcome.stdout),
        ("stderr with -vv", &outcome.stderr),
        ("stderr", &typed.stderr),
        ("rejects", &rejects),
        ("output", &file),
    ] {
        assert!(!text.contains("hunter"), "{place}: {text}");
    }
    assert!(outcome.stdout.contains("day=monday"), "other values stay: {}", outcome.stdout);
    assert!(server.log().iter().any(|line| line["target"].as_str().unwrap().contains("hunter2")));
}

#[cfg(unix)]
#[test]
fn list_comes_from_standard_input_too() {
    let (site, output) = (site(), Folder::new());
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_etl"))
        .current_dir(site.root())
        .args(["-q", "--urls", "-", "--out"])
        .arg(output.path("out.parquet"))
        .stdin(std::fs::File::open(site.write("list", "a.json\n")).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(crate::table::Table::read(&output.path("out.parquet")).rows.len(), 1);
}

#[test]
fn failed_page_shows_how_it_begins_unless_that_may_hold_what_is_hidden() {
    let page = "\r\n<!doctype html>\n<title>Log in\u{1b}</title> SECRET".to_owned() + &"x".repeat(100);
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.json", &page)]);
    let run = |options: &str| Etl::between(&site, &Folder::new()).with(options).run().exits(3);
    let open = run("");
    let shown = "it begins with <!doctype html> <title>Log in\\u{1b}</title> SECRETx";
    assert!(open.stderr.contains(shown), "{}", open.stderr);
    assert!(open.stdout.contains("\"begins_with\":\"<!doctype html>"), "{}", open.stdout);
    for options in ["--drop secret", "--rejects-raw none"] {
        let hidden = run(options);
        assert!(!hidden.stderr.contains("SECRET") && !hidden.stdout.contains("SECRET"), "{options}");
    }
}
