//! `--jq`: none, one or many rows of a record, and what the filter leaves alone comes out as it went in.

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";

/// Four records, the last of which is none.
const LINES: &str = "{\"id\":1,\"level\":\"error\",\"tags\":[\"a\",\"b\"]}\n{\"id\":2,\"level\":\"info\",\"tags\":[]}\n\
                     {\"id\":3,\"level\":\"error\"}\n7\n";

fn start(site: &Folder, output: &Folder, filter: &str, options: &str) -> Outcome {
    Etl::between(site, output).arg("--jq").arg(filter).with(options).run()
}

/// Runs a filter over one page of lines.
fn run(lines: &str, filter: &str, options: &str, code: i32) -> (Folder, Outcome) {
    let output = Folder::new();
    let outcome = start(&Folder::with_pages(&[("a.ndjson", lines)]), &output, filter, options).exits(code);
    (output, outcome)
}

fn table(output: &Folder) -> Table {
    Table::read(&output.path("out.parquet"))
}

fn records(outcome: &Outcome) -> [u64; 5] {
    ["seen", "kept", "rejected", "filtered", "written"].map(|name| outcome.count(&format!("/records/{name}")))
}

/// The reasons of all rejects.
fn reasons(output: &Folder) -> Vec<String> {
    let rejects = output.json_lines(REJECTS);
    rejects.iter().map(|reject| reject["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn filter_that_changes_nothing_gives_what_no_filter_gives() {
    let digits = "9".repeat(400);
    let pages = [
        ("a.ndjson", "{\"z\":1,\"a\":9007199254740993,\"m\":{\"y\":1,\"b\":[1.0,2.5]},\"z\":2}\n\
                      {\"z\":9223372036854775807,\"d\":1.0,\"e\":0.1,\"f\":-0.0,\"g\":1e308,\"h\":5e-324,\"i\":-0}\n\
                      {\"z\":-9223372036854775808,\"d\":1E2,\"m\":{\"y\":2,\"n\":null,\"b\":[]},\"values\":[1,\"2\",null]}\n"
            .to_owned()),
        ("b.json", format!("[{{\"u\":18446744073709551615,\"v\":9223372036854775808,\"w\":{digits},\"x\":-{digits}1}}]")),
        ("c.json", "{\"s\":\"\\u0000\\ud83d\\ude00ключ\\\"\\\\\\/\\n\",\"ключ\":\"2024-01-01T00:00:00.5Z\",\"\":{},\
                    \"t\":[[],[{\"k\":{\"l\":null}}],true,null,\"x\"]}".to_owned()),
        ("d.ndjson", "{\"a\":\"\\ud800\"}\n{\"a\":1e999}\n[]\n{\"a\":01}\n{\"values\":[{}]}\n".to_owned()),
    ];
    let site = Folder::with_pages(&pages);
    let (plain, filtered) = (Folder::new(), Folder::new());
    let expected = Etl::between(&site, &plain).run().exits(3);
    let found = start(&site, &filtered, ".", "").exits(3);
    assert_eq!(table(&filtered), table(&plain));
    assert_eq!(found.summary()["hints"], expected.summary()["hints"]);
    assert_eq!(found.summary()["records"], expected.summary()["records"]);
    let without_prefix = |mut reject: Value| {
        let reason = reject["reason"].as_str().unwrap().trim_start_matches("--jq: result 1: ").to_owned();
        reject["reason"] = json!(reason);
        reject
    };
    let rejects: Vec<_> = filtered.json_lines(REJECTS).into_iter().map(without_prefix).collect();
    assert_eq!(rejects, plain.json_lines(REJECTS));
}

#[test]
fn records_without_a_result_are_filtered_and_no_loss() {
    let lines = LINES.replace("7\n", "");
    let (output, outcome) = run(&lines, "select(.level == \"error\")", "", 0);
    assert_eq!(records(&outcome), [3, 2, 0, 1, 2]);
    assert_eq!(outcome.summary()["status"], "ok");
    assert_eq!(table(&output).column("id"), [json!(1), json!(3)]);
    assert_eq!(output.names(), ["out.parquet"]);
    let line = "3 seen = 2 kept + 0 rejected + 1 filtered, 2 rows written";
    assert!(outcome.stderr.contains(line), "{}", outcome.stderr);
    let footer = String::from_utf8_lossy(&output.read("out.parquet")).into_owned();
    assert!(footer.contains("etl.records_filtered"), "{footer}");
    assert!(footer.contains(r#""jq":"select(.level == \"error\")""#), "{footer}");
}

#[test]
fn run_of_filtered_records_alone_has_nothing_to_publish() {
    let lines = LINES.replace("7\n", "");
    let (output, outcome) = run(&lines, "empty", "", 0);
    assert_eq!(outcome.summary()["status"], "nothing_new");
    assert_eq!(records(&outcome), [3, 0, 0, 3, 0]);
    assert_eq!(output.names(), Vec::<String>::new());
    // Known columns make a file without rows.
    let (output, _) = run(&lines, "empty", "--values x", 0);
    assert_eq!(table(&output).rows, Vec::<Value>::new());
    run(&lines, "empty", "--min-records 1", 4);
}

#[test]
fn every_result_is_a_row_that_names_its_record() {
    let filter = ".id as $id | (.tags // [])[] | {$id, tag: .}";
    let (output, outcome) = run(LINES, filter, "--provenance --min-records 2", 3);
    assert_eq!(records(&outcome), [4, 1, 1, 2, 2]);
    let table = table(&output);
    assert_eq!(table.column("tag"), [json!("a"), json!("b")]);
    assert_eq!(table.column("_etl_record"), [json!(0), json!(0)]);
    assert_eq!(reasons(&output), ["expected an object, got a number"]);
}

#[test]
fn rows_of_a_page_of_many_chunks_stay_together_and_in_order() {
    // Some results bring a column, some records none, some an error behind two results.
    let filter = "if .id % 7 == 0 then empty else range(.id % 4) as $i | {id, $i, pad, (\"k\\(.id % 50)\"): {x: $i}} \
                  end, if .id % 97 == 0 then {id}, {id}, error(\"no\") else empty end";
    let pad = "x".repeat(500);
    let lines: Vec<_> = (0..9_000).map(|id| format!("{{\"id\":{id},\"pad\":\"{pad}\"}}")).collect();
    let site = Folder::with_pages(&[("a.ndjson", lines.join("\n"))]);
    let outputs = ["--threads 1", "--threads 4 -j 1"].map(|options| {
        let output = Folder::new();
        let outcome = start(&site, &output, filter, &format!("{options} --provenance")).exits(3);
        (output, outcome)
    });
    let [(one, outcome), (other, _)] = &outputs;
    assert_eq!(one.read("out.parquet"), other.read("out.parquet"));
    let is_rejected = |id: u64| id.is_multiple_of(97);
    let expected: Vec<_> = (0..9_000)
        .filter(|id| id % 7 != 0 && !is_rejected(*id))
        .flat_map(|id| (0..id % 4).map(move |i| (json!(id), json!(i))))
        .collect();
    let table = table(one);
    let found: Vec<_> = table.column("id").into_iter().zip(table.column("i")).collect();
    assert_eq!(found, expected);
    assert_eq!(table.column("_etl_record"), table.column("id"));
    let [seen, kept, rejected, filtered, written] = records(outcome);
    assert_eq!((seen, rejected, written), (9_000, 93, expected.len() as u64));
    assert_eq!(kept + filtered, 9_000 - 93);
}

#[test]
fn record_is_rejected_as_a_whole_and_as_it_was_served() {
    let record = r#"{"id":1, "b":"x"}"#;
    for (filter, reason, pointer) in [
        (".id.a", "--jq: cannot index 1 with \"a\"", ""),
        ("., error(\"no luck\")", "--jq: no luck", ""),
        ("., .id", "--jq: result 2: expected an object, got a number", ""),
        ("{a: 1}, {values: [1, \"n/a\"]}", "--jq: result 2: expected a number, got \"n/a\"", "/values/1"),
        ("{a: nan}", "--jq: result 1: expected a finite number, got NaN", "/a"),
        ("{a: {b: [infinite]}}", "--jq: result 1: expected a finite number, got inf", "/a/b/0"),
        ("{a: (.b | tobytes)}", "--jq: result 1: expected text, got bytes that are none", "/a"),
        ("{a: (\"/w==\" | @base64d)}", "--jq: result 1: expected text, got bytes that are no UTF-8", "/a"),
        ("{(.b): 1} * {a: {(1): 2}}", "--jq: result 1: expected text for a key, got a number", "/a"),
        (
            "reduce range(200) as $i ({}; {a: .})",
            "--jq: result 1: expected fewer than 128 levels of nesting, got more",
            "/a",
        ),
        ("{a: (.b | fromjson)}", "--jq: cannot parse as JSON: expected a value, got `x`", ""),
    ] {
        let (output, outcome) = run(
            &format!("{record}\n{{\"id\":{{}},\"b\":\"7\",\"skip\":true}}\n"),
            &format!("if .skip then {{ok: 1}} else {filter} end"),
            "",
            3,
        );
        let reject = &output.json_lines(REJECTS)[0];
        assert_eq!(reject["reason"], reason, "{filter}");
        assert!(reject["pointer"].as_str().unwrap().starts_with(pointer), "{filter}: {reject}");
        assert_eq!(reject["raw"], record, "{filter}");
        assert_eq!(records(&outcome), [2, 1, 1, 0, 1], "{filter}");
        assert_eq!(table(&output).names(), ["ok"], "{filter} left a trace");
    }
}

#[test]
fn filter_that_does_not_end_rejects_its_record() {
    for (filter, word) in [
        ("repeat(.)", "--max-record-bytes"),
        ("repeat({})", "--max-record-bytes"),
        ("{a: (\"x\" * 2000)}", "--max-record-bytes"),
        ("reduce range(60) as $i (.; {a: ., b: .})", "--max-record-bytes"),
        ("range(infinite) | empty", "steps"),
        ("{a: [range(infinite)]}", "steps"),
        ("last(range(infinite))", "steps"),
        ("until(false; .)", "steps"),
        ("def f: 1 + f; f", "stack"),
        ("def f: [f]; f", "stack"),
    ] {
        let (output, outcome) = run(
            "{\"id\":1}\n{\"id\":2}\n",
            &format!("if .id == 1 then {filter} else . end"),
            "--max-record-bytes 1KiB",
            3,
        );
        assert_eq!(records(&outcome), [2, 1, 1, 0, 1], "{filter}");
        let reasons = reasons(&output);
        assert!(reasons[0].contains(word) && reasons[0].starts_with("--jq: "), "{filter}: {reasons:?}");
    }
}

#[test]
fn what_is_no_json_is_refused_before_the_filter_sees_it() {
    let lines =
        "{\"a\":NaN}\n{\"a\":1} # a comment\n{\"a\":+1}\n{a:1}\n{\"a\":b\"\"}\n{\"a\":Infinity}\n{\"a\":1}\n";
    let site = Folder::with_pages(&[("a.ndjson", lines)]);
    let (plain, filtered) = (Folder::new(), Folder::new());
    Etl::between(&site, &plain).run().exits(3);
    start(&site, &filtered, "{ok: 1}", "").exits(3);
    assert_eq!(filtered.json_lines(REJECTS), plain.json_lines(REJECTS));
    assert_eq!(filtered.json_lines(REJECTS).len(), 6);
}

#[test]
fn filter_that_is_none_is_found_before_any_request() {
    let server = Server::over(Folder::new().root());
    for (filter, words) in [
        (".a |", "expected term at character 5, got the end"),
        ("\"abc", "closing quote at character 5"),
        (".a ? ключ", "`ключ"),
        ("", "expected term"),
        ("{\"ключ\": frob(1)}", "`frob/1` at character 10"),
        ("$x", "expected a variable that is known, got `$x`"),
        ("import \"a\" as a; .", "no module"),
        ("import \"a\" as $a; .", "no module"),
        ("env", "sees its record"),
        ("$ENV.HOME", "sees its record"),
        ("{at: now}", "`now` at character 6"),
        ("input", "sees its record"),
        ("[inputs]", "sees its record"),
        ("debug", "sees its record"),
        ("debug(\"x\")", "sees its record"),
        ("stderr", "sees its record"),
        ("halt", "sees its record"),
        ("halt_error(1)", "sees its record"),
        ("localtime", "sees its record"),
    ] {
        let (input, output) = (Folder::new(), Folder::new());
        server.list(&input, &["a.json"]);
        let outcome = Etl::between(&input, &output).arg("--jq").arg(filter).run_as_typed().exits(2);
        let line = outcome.stderr.trim_end();
        assert!(line.starts_with("etl: --jq: ") && line.contains(words), "{filter}: {line}");
        assert!(!line.contains('\n'), "{filter}: {line}");
        assert_eq!(output.names(), Vec::<String>::new());
    }
    assert_eq!(server.log(), Vec::<Value>::new());
}

#[test]
fn what_comes_out_is_what_fields_and_features_are_asked_of() {
    let line = r#"{"m":{"list":[1,2,6]},"who":"a","more":1}"#;
    let filter = "{values: .m.list, name: .who, n: .more}";
    let (output, _) = run(line, filter, "--drop n --rename name=user --features mean", 0);
    let table = table(&output);
    assert_eq!(table.names(), ["values", "user", "values_mean"]);
    assert_eq!(table.column("values_mean"), [json!(3.0)]);
}

#[test]
fn hidden_values_are_neither_in_reasons_nor_in_records() {
    let lines = "{\"id\":1,\"mail\":\"SECRET-1\"}\n{\"id\":2,\"mail\":{\"SECRET-2\":\"\\ud800\"}}\n{\"id\":3,\"mail\":\"m\"}\n";
    // The hidden field has another name in the pages, and an error of the filter quotes its value.
    let filter = "{id, secret: .mail} | if .id == 1 then .secret.x else . end";
    let (output, _) = run(lines, filter, "--drop secret", 3);
    let rejects = output.json_lines(REJECTS);
    assert_eq!(rejects.len(), 2, "{rejects:?}");
    assert!(rejects[0]["reason"].as_str().unwrap().starts_with("--jq: "), "{rejects:?}");
    for name in output.names() {
        let bytes = output.read(&name);
        assert!(!bytes.windows(6).any(|window| window == b"SECRET"), "{name}: {rejects:?}");
    }
}

#[test]
fn keys_stay_in_order_where_some_are_deleted() {
    let line = r#"{"a":1,"b":{"x":1,"y":2,"z":3},"c":3,"d":[1,2,3]}"#;
    let (output, _) = run(line, "del(.a, .b.x, .b.none, .none.x, .d[0], .d[1])", "", 0);
    let table = table(&output);
    assert_eq!(table.names(), ["b", "c", "d"]);
    assert_eq!(table.type_of("b"), "struct<y: int64, z: int64>");
    assert_eq!(table.column("d"), [json!([3])]);
}

#[test]
fn object_around_records_is_hinted_at_through_a_filter_too() {
    let site = Folder::with_pages(&[("a.json", r#"{"total":2,"Records":[{"id":1},{"id":2}]}"#)]);
    let outcome = start(&site, &Folder::new(), "{page: .}", "").exits(0);
    assert!(outcome.summary()["hints"].to_string().contains("--records /Records "), "{}", outcome.summary());
}

#[test]
fn help_says_that_a_filter_is_the_slow_path() {
    let help = Etl::bare().arg("--help").run_as_typed().stdout;
    let words: Vec<_> = help.split_ascii_whitespace().collect();
    let help = words.join(" ");
    assert!(help.contains("--jq <FILTER>") && help.contains("slow path"), "{help}");
}
