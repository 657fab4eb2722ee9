//! An error object with status 200 is a failed page that says what the server says; a record that has such keys is none.

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Api, Server};
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";
const TOKEN_EXPIRED: &str = r#"{"error": {"code": 401, "message": "token expired"}}"#;
const GOOD: &str = r#"[{"id":1},{"id":2}]"#;

/// An API with a good page at `/good` and this one elsewhere.
fn api(head: &'static str, body: &'static str) -> Api {
    Api::new(move |target| {
        let (head, body) = if target.starts_with("/good") { ("", GOOD) } else { (head, body) };
        (head.to_owned(), body.to_owned())
    })
}

/// Runs a good page and this one behind it.
#[track_caller]
fn run(head: &'static str, body: &'static str, options: &[&str], code: i32) -> (Folder, Outcome) {
    let api = api(head, body);
    let (site, output) = (api.site(&["/good", "/x"]), Folder::new());
    let etl = options.iter().fold(Etl::between(&site, &output), |etl, option| etl.arg(option));
    let outcome = etl.run().exits(code);
    assert_eq!(api.asked().len(), 2, "{body}: nothing is asked for again");
    (output, outcome)
}

/// The reason for which the page behind the good one failed.
#[track_caller]
fn reason(head: &'static str, body: &'static str, options: &[&str]) -> String {
    let (_, outcome) = run(head, body, options, 3);
    assert_eq!((outcome.count("/pages/fetched"), outcome.count("/pages/failed")), (1, 1), "{body}");
    outcome.summary()["failures"][0]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn error_object_is_a_failed_page_that_shows_its_beginning() {
    let (output, outcome) = run("", TOKEN_EXPIRED, &[], 3);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!((table.names(), table.column("id")), (vec!["id"], vec![json!(1), json!(2)]));
    assert_eq!((outcome.count("/pages/failed"), outcome.count("/records/seen")), (1, 2));
    let failure = &outcome.summary()["failures"][0];
    let reason = failure["reason"].as_str().unwrap();
    assert!(reason.starts_with("expected records, got an error object: token expired (401)"), "{reason}");
    assert!(reason.ends_with("--records '' would make it a record"), "{reason}");
    assert!(failure["begins_with"].as_str().unwrap().contains("token expired"), "{failure}");
    let rejects = output.json_lines(REJECTS);
    assert_eq!((&rejects[0]["record"], &rejects[0]["reason"]), (&Value::Null, &failure["reason"]));
    assert_eq!(rejects[0]["raw"], TOKEN_EXPIRED);
}

#[test]
fn error_objects_of_real_apis_are_told_in_their_words() {
    for (body, told) in [
        (r#"{"ok":false,"error":"invalid_auth"}"#, "invalid_auth"),
        (r#"{"errors":[{"message":"Not allowed","path":["logs"]}],"data":null}"#, "Not allowed"),
        (
            r#"{"error":{"type":"parsing_exception","reason":"unknown query"},"status":400}"#,
            "unknown query (400)",
        ),
        (r#"{"errors":["Forbidden"]}"#, "Forbidden"),
        (r#"{"Message":"Rate exceeded","Code":429,"RequestId":"x"}"#, "Rate exceeded (429)"),
        ("{\"success\":false,\n \"message\":\"Try\\n later\"}\n", "Try later"),
        ("\u{feff}{\"error\":\"boom\"}", "boom"),
    ] {
        let reason = reason("", body, &[]);
        assert!(reason.starts_with(&format!("expected records, got an error object: {told};")), "{reason}");
    }
}

#[test]
fn list_of_which_all_pages_are_error_objects_publishes_nothing() {
    let api = api("", TOKEN_EXPIRED);
    let (site, output) = (api.site(&["/a", "/b"]), Folder::new());
    output.write("out.parquet", "yesterday's");
    let outcome = Etl::between(&site, &output).run().exits(1);
    assert_eq!(outcome.count("/pages/failed"), 2);
    assert!(outcome.stderr.contains("every page failed; the first: expected records, got an error object"));
    assert_eq!(output.read("out.parquet"), b"yesterday's");
}

#[test]
fn record_with_the_keys_of_an_error_is_a_record() {
    for body in [
        r#"{"error":"boom","id":3}"#,
        r#"{"level":"error","message":"boom","code":500}"#,
        r#"{"timestamp":"2026-01-01T00:00:00Z","message":"refused","error":"ECONNREFUSED"}"#,
        r#"{"message":"started","status":200,"path":"/"}"#,
        r#"{"message":"done","error":null}"#,
        r#"{"error":0.25}"#,
        "{\"error\":\"a\"}\n{\"error\":\"b\"}\n",
        r#"[{"error":"boom"}]"#,
    ] {
        let (_, outcome) = run("", body, &[], 0);
        assert!(outcome.count("/records/written") >= 3, "{body}");
    }
    let (_, outcome) = run("Content-Type: application/x-ndjson\r\n", "{\"error\":\"boom\"}\n", &[], 0);
    assert_eq!(outcome.count("/records/written"), 3, "a line is a record");
    // As it was: an object without any key.
    assert_eq!(run("", "{}", &[], 0).1.count("/records/written"), 3);
}

#[test]
fn page_that_is_declared_an_error_report_fails_whatever_it_holds() {
    const PROBLEM: &str = "Content-Type: application/problem+json; charset=utf-8\r\n";
    let body = r#"{"type":"https://e/credit","title":"No credit","detail":"30 are left","balance":30}"#;
    assert!(reason(PROBLEM, body, &[]).contains("got an error object: 30 are left;"));
    assert!(reason("Content-Type: application/vnd.error+json\r\n", body, &[]).contains("30 are left"));
    assert!(reason(PROBLEM, r#"[{"id":3}]"#, &[]).contains("got an error object: [{"));
    // Also where the pointer would find records.
    assert!(reason(PROBLEM, r#"{"0":[{"id":3}]}"#, &["--records", "/0"]).contains("an error object: {"));
    // One that is more than a chunk, too, and one that is known as such only behind the first chunk.
    for blank_bytes in [0, 2 << 20] {
        let body = format!("{}[{}7]", " ".repeat(blank_bytes), "7,".repeat(1 << 20));
        let api = Api::new(move |target| match target {
            "/good" => (String::new(), GOOD.to_owned()),
            _ => (PROBLEM.to_owned(), body.clone()),
        });
        let (site, output) = (api.site(&["/good", "/large"]), Folder::new());
        let outcome = Etl::between(&site, &output).run().exits(3);
        assert_eq!((outcome.count("/pages/failed"), outcome.count("/records/seen")), (1, 2));
        assert!(outcome.stdout.contains("expected records, got an error object"), "{}", outcome.stdout);
    }
}

#[test]
fn pointer_to_the_whole_page_takes_error_objects_as_records() {
    for head in ["", "Content-Type: application/problem+json\r\n"] {
        let (output, outcome) = run(head, r#"{"error":"boom"}"#, &["--records", ""], 0);
        assert_eq!(outcome.count("/records/written"), 3);
        let table = Table::read(&output.path("out.parquet"));
        assert_eq!(table.column("error"), [json!(null), json!(null), json!("boom")]);
    }
    let (_, outcome) = run("", "{\"error\":\"a\"}\n{\"error\":\"b\"}\n", &["--records="], 0);
    assert_eq!(outcome.count("/records/written"), 4);
}

#[test]
fn page_in_which_records_points_to_none_is_told_to_be_an_error_object() {
    for (body, told) in [
        (
            TOKEN_EXPIRED,
            "--records /items finds nothing in the page; the page is an error object: token expired (401)",
        ),
        (
            r#"{"errors":[{"message":"Not allowed"}],"items":[]}"#,
            "expected records where --records points, got none; the page is an error object: Not allowed",
        ),
        (
            r#"{"success":false,"message":"Try later","items":null}"#,
            "expected records where --records points, got none; the page is an error object: Try later",
        ),
    ] {
        let api = api_of_items(body);
        let (site, output) = (api.site(&["/good", "/x"]), Folder::new());
        let outcome = Etl::between(&site, &output).with("--records /items").run().exits(3);
        assert_eq!((outcome.count("/pages/failed"), outcome.count("/records/seen")), (1, 1));
        assert_eq!(outcome.summary()["failures"][0]["reason"], told);
    }
    for (body, count) in [
        (r#"{"errors":[],"items":[]}"#, 1),
        (r#"{"error":null,"items":null}"#, 1),
        (r#"{"error":"partly","items":[{"id":2}]}"#, 2),
    ] {
        let api = api_of_items(body);
        let (site, output) = (api.site(&["/good", "/x"]), Folder::new());
        let outcome = Etl::between(&site, &output).with("--records /items").run().exits(0);
        assert_eq!(outcome.count("/records/seen"), count, "{body}");
    }
    // What the pointer finds are records, whatever they look like.
    let api = Api::new(|_| (String::new(), r#"{"errors":[{"message":"a"},{"message":"b"}]}"#.to_owned()));
    let (site, output) = (api.site(&["/x"]), Folder::new());
    Etl::between(&site, &output).with("--records /errors").run().exits(0);
    assert_eq!(Table::read(&output.path("out.parquet")).column("message"), [json!("a"), json!("b")]);
    let schema = site.write("schema.toml", "[[column]]\nname = \"id\"\ntype = \"int64\"\nnullable = true\n");
    let etl = Etl::between(&site, &output).with("--records /errors --schema-contract freeze");
    let outcome = etl.arg("--schema").arg(schema).run().exits(4);
    assert!(!outcome.stderr.contains("error object"), "{}", outcome.stderr);
}

/// An API whose good page has its record at `/items`.
fn api_of_items(body: &'static str) -> Api {
    let good = r#"{"items":[{"id":1}]}"#;
    Api::new(move |target| (String::new(), if target == "/good" { good } else { body }.to_owned()))
}

#[test]
fn page_is_judged_before_filter_schema_and_lists_see_it() {
    for options in [&["--jq", ".id |= . + 1"][..], &["--values", "error"], &["--select", "id"]] {
        assert!(reason("", TOKEN_EXPIRED, options).contains("token expired (401)"), "{options:?}");
    }
    let schema = Folder::new();
    let path = schema.write("schema.toml", "[[column]]\nname = \"id\"\ntype = \"int64\"\nnullable = false\n");
    for contract in ["freeze", "discard_row"] {
        let options = ["--schema", path.to_str().unwrap(), "--schema-contract", contract];
        assert!(reason("", TOKEN_EXPIRED, &options).contains("token expired (401)"), "{contract}");
    }
}

#[test]
fn nothing_of_an_error_object_is_quoted_where_pages_are_hidden() {
    for options in [&["--rejects-raw", "none"][..], &["--drop", "user"]] {
        let (output, outcome) = run("", r#"{"error":"SECRET"}"#, options, 3);
        assert!(!outcome.stdout.contains("SECRET") && !outcome.stderr.contains("SECRET"));
        assert!(!String::from_utf8(output.read(REJECTS)).unwrap().contains("SECRET"));
        assert!(outcome.stdout.contains("got an error object;"), "{}", outcome.stdout);
    }
}

#[test]
fn compressed_page_and_local_file_are_judged_alike() {
    let pages =
        Folder::with_pages(&[("good.json", GOOD), ("x.json", TOKEN_EXPIRED), ("x.ndjson", TOKEN_EXPIRED)]);
    let server = Server::over(pages.root());
    let (site, output) = (Folder::new(), Folder::new());
    server.list(&site, &["good.json", "x.json?encoding=gzip", "x.json?chunked=1", "x.json?close=1"]);
    let outcome = Etl::between(&site, &output).run().exits(3);
    assert_eq!(outcome.count("/pages/failed"), 3);
    let outcome = Etl::between(&pages, &output).run().exits(3);
    assert_eq!((outcome.count("/pages/failed"), outcome.count("/records/written")), (1, 3));
}

#[test]
fn chain_with_an_error_object_does_not_end_quietly() {
    let api = Api::new(|target| {
        let body = if target.ends_with("page=1") { GOOD } else { r#"{"ok":false,"error":"ratelimited"}"# };
        (String::new(), body.to_owned())
    });
    let (site, output) = (api.site(&["/logs?page=1"]), Folder::new());
    let outcome = Etl::between(&site, &output).with("--paginate page").run().exits(3);
    let failure = &outcome.summary()["failures"][0];
    assert_eq!((&failure["page"], outcome.count("/records/written")), (&json!(2), 2));
    assert!(failure["reason"].as_str().unwrap().contains("ratelimited"), "{failure}");
}

#[test]
fn kept_error_object_fails_its_page_in_a_replay_too_and_may_be_taken_there() {
    for head in ["", "Content-Type: application/problem+json\r\n"] {
        let api = api(head, TOKEN_EXPIRED);
        let (site, kept) = (api.site(&["/good", "/x"]), Folder::new());
        let first = Etl::between(&site, &kept).arg("--keep-raw").arg(kept.path("raw")).run().exits(3);
        let again = |options: &[&str], code: i32| {
            let output = Folder::new();
            let etl = Etl::bare()
                .arg("--replay")
                .arg(kept.path("raw"))
                .arg("--out")
                .arg(output.path("out.parquet"));
            options.iter().fold(etl, |etl, option| etl.arg(option)).run().exits(code)
        };
        assert_eq!(again(&[], 3).summary()["failures"], first.summary()["failures"]);
        assert_eq!(again(&["--records", ""], 0).count("/records/written"), 3);
    }
}

#[test]
fn probe_and_schema_say_the_same() {
    let api = api("", TOKEN_EXPIRED);
    let probe = |options: &[&str]| {
        let etl = Etl::bare().arg("probe").arg(format!("{}/x", api.origin));
        options.iter().fold(etl, |etl, option| etl.arg(option)).run_as_typed()
    };
    let outcome = probe(&[]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("got an error object: token expired (401)"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains(r#"begins with {\"error\": {"#), "{}", outcome.stdout);
    let outcome = probe(&["--records", ""]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("shape       one record\n"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("--records ''"), "{}", outcome.stdout);

    let site = api.site(&["/good", "/x"]);
    let outcome = Etl::bare().arg("schema").arg("--urls").arg(site.path("urls.txt")).run_as_typed();
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("got an error object: token expired (401)"), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("name = \"error\""), "{}", outcome.stdout);
}
