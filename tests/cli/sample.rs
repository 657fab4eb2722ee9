//! The sample data, from files and over HTTP, against its golden results.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;
use crate::table::{Table, agree};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data")
}

fn expected(name: &str) -> Value {
    let text = std::fs::read(root().join("expected.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()[name].take()
}

#[test]
fn clean_sample_from_files_equals_the_golden_results() {
    let output = Folder::new();
    let expected = expected("clean");
    // As a newcomer types it: a path relative to the working folder, whose pages are relative to the list.
    let outcome = Etl::new(Path::new("sample_data/urls.txt"), &output.path("out.parquet"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .run();
    check(&outcome.exits(0), &output, &expected, "");
    assert_eq!(output.names(), ["out.parquet"]);
}

#[test]
fn sample_with_faults_from_files_equals_the_golden_results() {
    let output = Folder::new();
    let expected = expected("faults");
    let outcome = Etl::new(Path::new("sample_data/urls-with-faults.txt"), &output.path("out.parquet"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .run();
    check(&outcome.exits(3), &output, &expected, "");
    assert_eq!(output.names(), ["out.parquet", "out.parquet.rejects.ndjson"]);
}

#[test]
fn clean_sample_over_http_equals_the_golden_results() {
    over_http("clean", "urls.txt", 0);
}

#[test]
fn sample_with_faults_over_http_equals_the_golden_results() {
    over_http("faults", "urls-with-faults.txt", 3);
}

fn over_http(name: &str, list: &str, code: i32) {
    let server = Server::over(&root());
    let (input, output) = (Folder::new(), Folder::new());
    // The same lines at the same places, so that the numbers of the lines stay.
    let text = std::fs::read_to_string(root().join(list)).unwrap();
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line if line.starts_with('#') => format!("{line}\n"),
        path => format!("{}/{path}\n", server.origin),
    });
    input.write("urls.txt", lines.collect::<String>());
    let expected = expected(name);
    let outcome = Etl::between(&input, &output).run().exits(code);
    check(&outcome, &output, &expected, &format!("{}/", server.origin));
    let asked =
        expected["pages"]["listed"].as_u64().unwrap() - expected["pages"]["duplicate"].as_u64().unwrap();
    assert_eq!(outcome.count("/requests/sent"), asked);
    assert_eq!(server.log().len() as u64, asked);
}

/// Compares everything: counts, columns, rows in their order, rejects byte for byte, failed pages.
fn check(outcome: &Outcome, output: &Folder, expected: &Value, prefix: &str) {
    let summary = outcome.summary();
    for group in ["pages", "records"] {
        for (name, count) in expected[group].as_object().unwrap() {
            assert_eq!(summary[group][name], *count, "{group} {name}");
        }
    }
    let table = Table::read(&output.path("out.parquet"));
    let columns = expected["columns"].as_array().unwrap();
    let known: Vec<_> = columns
        .iter()
        .map(|column| {
            (column["name"].as_str().unwrap().to_owned(), column["type"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(table.columns, known);
    for column in columns {
        let name = column["name"].as_str().unwrap();
        let null_count = table.column(name).iter().filter(|value| value.is_null()).count();
        assert_eq!(column["nulls"], null_count, "nulls of {name}");
    }
    let rows = expected["rows"].as_array().unwrap();
    assert_eq!(table.rows.len(), rows.len());
    for (index, (found, expected)) in table.rows.iter().zip(rows).enumerate() {
        for (name, value) in expected.as_object().unwrap() {
            assert!(agree(&found[name], value, 1e-12), "row {index} {name}: {} is not {value}", found[name]);
        }
    }
    check_rejects(output, expected, prefix);
    check_failures(&summary, expected, prefix);
}

fn check_rejects(output: &Folder, expected: &Value, prefix: &str) {
    let mut known: Vec<&Value> = expected["rejects"].as_array().unwrap().iter().collect();
    known.extend(expected["failed"].as_array().unwrap());
    if known.is_empty() {
        return;
    }
    // In the order of the rows; a failed page has no record.
    known.sort_by_key(|reject| (reject["line"].as_u64(), reject["record"].as_u64()));
    let found = output.json_lines("out.parquet.rejects.ndjson");
    assert_eq!(found.len(), known.len());
    for (found, known) in found.iter().zip(known) {
        assert_eq!(found["url"], format!("{prefix}{}", known["url"].as_str().unwrap()));
        assert_eq!(found["record"], known["record"], "{found}");
        assert!(!found["reason"].as_str().unwrap().is_empty(), "{found}");
        // A page that never came has no bytes: what a server sends beside a 404 is its own affair.
        let names = ["line", "page", "byte_offset", "pointer", "raw", "raw_base64", "size", "sha256"];
        for name in names.iter().filter(|name| known.get(**name).is_some()) {
            assert_eq!(found[name], known[name], "{name} of {found}");
        }
        if known.get("raw").is_some() != known.get("raw_base64").is_some() {
            let other = if known.get("raw").is_some() { "raw_base64" } else { "raw" };
            assert_eq!(found.get(other), None, "{found}");
        }
    }
}

fn check_failures(summary: &Value, expected: &Value, prefix: &str) {
    let known = expected["failed"].as_array().unwrap();
    let found = summary["failures"].as_array().unwrap();
    assert_eq!(found.len(), known.len(), "{summary}");
    for (found, known) in found.iter().zip(known) {
        assert_eq!(found["url"], format!("{prefix}{}", known["url"].as_str().unwrap()));
        assert_eq!(found["line"], known["line"]);
        assert!(!found["reason"].as_str().unwrap().is_empty());
    }
}
