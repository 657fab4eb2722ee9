//! `etl probe` says what a page is, and its command line takes the page.

use serde_json::json;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Api, closed_origin};
use crate::table::Table;

fn probe(url: &str, options: &str) -> Outcome {
    Etl::bare().arg("probe").arg(url).with(options).run_as_typed()
}

/// What stands behind a word at the beginning of a line.
#[track_caller]
fn told<'a>(outcome: &'a Outcome, word: &str) -> &'a str {
    let line = outcome.stdout.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {word} in {}\n{}", outcome.stdout, outcome.stderr)).trim()
}

#[test]
fn page_of_an_api_is_told_apart_and_its_command_line_takes_it() {
    let api = Api::new(|target| {
        let next = if target.contains("p=2") { json!(null) } else { json!("/logs?p=2") };
        let id = u64::from(target.contains("p=2"));
        let record =
            json!({"id": id, "at": "2026-01-01T00:00:00Z", "latency": {"ms": [1, 2.5]}, "tags": ["a"]});
        let head = "Content-Type: application/json\r\nETag: \"v1\"\r\nX-RateLimit-Remaining: 59\r\n";
        (head.to_owned(), json!({"next": next, "items": [record, 7]}).to_string())
    });
    let outcome = probe(&format!("{}/logs?token=SECRET", api.origin), "");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(told(&outcome, "status"), "200 OK");
    assert_eq!(told(&outcome, "type"), "application/json");
    assert_eq!(told(&outcome, "validators"), "etag: \"v1\"");
    assert_eq!(told(&outcome, "limits"), "x-ratelimit-remaining: 59");
    assert_eq!(told(&outcome, "shape"), "an object with its records at /items");
    assert_eq!(
        told(&outcome, "records"),
        "2, 1 of them rejected; the first: expected an object, got a number"
    );
    assert!(outcome.stdout.contains("at: timestamp[us, UTC]"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("latency: struct<ms: list<double>>"), "{}", outcome.stdout);
    assert_eq!(told(&outcome, "lists"), "/latency/ms");
    assert!(told(&outcome, "next page").starts_with("--paginate json-link --next-path /next: "));
    assert!(!outcome.stdout.contains("SECRET") && !outcome.stderr.contains("SECRET"));

    let outcome = probe(&format!("{}/logs", api.origin), "");
    let command = told(&outcome, "command").strip_prefix("etl --out out.parquet ").unwrap();
    let output = Folder::new();
    let run = Etl::bare().arg("--out").arg(output.path("out.parquet")).with(command);
    run.run().exits(3);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.column("id"), [json!(0), json!(1)]);
    assert_eq!(table.column("/latency/ms_mean"), [json!(1.75), json!(1.75)]);
}

#[test]
fn plain_pages_are_told_by_how_their_records_stand() {
    for (body, shape, records) in [
        (r#"[{"id":1},{"id":2}]"#, "an array of records", "2"),
        ("{\"id\":1}\n{\"id\":2}\n", "records one a line, or behind each other", "2"),
        (r#"{"id":1}"#, "one record", "1"),
        ("[]", "an array of records", "0"),
    ] {
        let api = Api::new(move |_| (String::new(), body.to_owned()));
        let outcome = probe(&format!("{}/x", api.origin), "");
        assert_eq!(
            (told(&outcome, "shape"), told(&outcome, "records")),
            (shape, records),
            "{}",
            outcome.stdout
        );
        assert!(told(&outcome, "next page").starts_with("--paginate none: "));
        assert_eq!(told(&outcome, "command"), format!("etl --out out.parquet {}/x", api.origin));
    }
}

#[test]
fn page_that_is_none_shows_how_it_begins_and_fails() {
    let api =
        Api::new(|_| ("Content-Type: text/html\r\n".to_owned(), "<html>\u{1b}[31mLog in</html>".to_owned()));
    let outcome = probe(&format!("{}/x", api.origin), "");
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert_eq!(told(&outcome, "type"), "text/html");
    assert_eq!(told(&outcome, "begins with"), r"<html>\u{1b}[31mLog in</html>");
    assert!(outcome.stderr.contains("expected a page of JSON"), "{}", outcome.stderr);
    let nobody = probe(&closed_origin(), "--retry 0");
    assert_eq!(nobody.code, 5, "{}", nobody.stderr);
    assert_eq!(probe("ftp://host/", "").code, 2);
}

#[test]
fn next_page_is_told_where_the_records_are_not_known() {
    let page = |body: serde_json::Value| Api::new(move |_| (String::new(), body.to_string()));
    let empty = page(json!({"value": [], "nextLink": "/x?o=1"}));
    let url = format!("{}/x", empty.origin);
    let outcome = probe(&url, "");
    assert!(told(&outcome, "next page").starts_with("--paginate json-link --next-path /nextLink: "));
    assert_eq!(
        told(&outcome, "command"),
        "not known: name the place of the records with --records, such as /value"
    );
    let outcome = probe(&url, "--records /value");
    let command = told(&outcome, "command");
    assert!(command.contains("--records /value --paginate json-link --next-path /nextLink "), "{command}");

    let two = page(json!({"data": [{"id": 1}], "included": [{"id": 2}], "links": {"next": "/x?o=1"}}));
    let outcome = probe(&format!("{}/x", two.origin), "");
    assert!(told(&outcome, "next page").starts_with("--paginate json-link --next-path /links/next: "));
    assert!(told(&outcome, "command").ends_with("such as /data or /included"), "{}", outcome.stdout);
}

#[test]
fn command_line_that_may_not_take_the_page_is_not_given() {
    for (body, reason) in [
        (json!({"items": [{"id": 1}], "next_cursor": "x"}), "--cursor-param"),
        (json!({"items": [{"id": 1}], "has_more": true}), "says at /has_more that there are more"),
    ] {
        let api = Api::new(move |_| (String::new(), body.to_string()));
        let outcome = probe(&format!("{}/x", api.origin), "");
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let next = told(&outcome, "next page");
        assert!(next.starts_with("not known: ") && next.contains(reason), "{next}");
        assert!(told(&outcome, "command").starts_with("not known"), "{}", outcome.stdout);
    }
    let notion = Api::new(|_| {
        (String::new(), json!({"object": "list", "results": [{"id": 1}], "next_cursor": "x"}).to_string())
    });
    let outcome = probe(&format!("{}/x", notion.origin), "");
    let command = told(&outcome, "command");
    assert!(command.contains("--next-path /next_cursor --cursor-param start_cursor "), "{command}");
}
