//! `etl schema` says what a run would write, and `--schema` begins a run with it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::forms::record;
use crate::server::{Server, closed_origin};
use crate::table::Table;

/// The key of every `--hash` of these tests; `KEY` in options is a file with it.
pub(crate) const KEY: &str = "a key of sixteen bytes or more";
const SCHEMA: &str = "schema.toml";

/// A schema as TOML. A path such as `user.id` is a member of the struct before it; `!` behind a type means
/// that there is always a value.
pub(crate) fn toml(columns: &[(&str, &str)]) -> String {
    let tables = columns.iter().map(|(path, kind)| {
        let header = path.split('.').skip(1).fold("column".to_owned(), |header, _| header + ".field");
        let name = path.rsplit('.').next().unwrap();
        let (bare, nullable) = (kind.trim_end_matches('!'), !kind.ends_with('!'));
        format!("[[{header}]]\nname = \"{name}\"\ntype = \"{bare}\"\nnullable = {nullable}\n\n")
    });
    tables.collect()
}

/// Options with the path of the key in the place of `KEY`.
fn with_key(site: &Folder, options: &str) -> String {
    let key = site.write("key", format!("{KEY}\n"));
    options.replace("KEY", key.to_str().unwrap())
}

/// Runs over the list of `site` with this schema; whatever is in `output` is its yesterday.
pub(crate) fn run_into(output: &Folder, schema: impl AsRef<[u8]>, site: &Folder, options: &str) -> Outcome {
    let schema = site.write(SCHEMA, schema);
    Etl::between(site, output).arg("--schema").arg(schema).with(&with_key(site, options)).run()
}

/// The same to an output of its own, with an exit code that is known.
#[track_caller]
pub(crate) fn apply(schema: impl AsRef<[u8]>, site: &Folder, options: &str, code: i32) -> (Outcome, Folder) {
    let output = Folder::new();
    let outcome = run_into(&output, schema, site, options).exits(code);
    (outcome, output)
}

/// A run without a schema.
#[track_caller]
pub(crate) fn run_plainly(site: &Folder, options: &str, code: i32) -> Table {
    let output = Folder::new();
    Etl::between(site, &output).with(&with_key(site, options)).run().exits(code);
    table(&output)
}

pub(crate) fn table(output: &Folder) -> Table {
    Table::read(&output.path("out.parquet"))
}

/// Neither what was said nor a file of the output holds this text.
#[track_caller]
pub(crate) fn assert_hidden(outcome: &Outcome, output: &Folder, text: &str) {
    for said in [&outcome.stdout, &outcome.stderr] {
        assert!(!said.contains(text), "{text} is told: {said}");
    }
    for name in output.names() {
        let bytes = output.read(&name);
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in {name}");
    }
}

/// `etl schema` over the list of a folder.
fn ask(site: &Folder, options: &str) -> Outcome {
    let run = Etl::bare().arg("schema").arg("--urls").arg(site.path("urls.txt"));
    run.with(&with_key(site, options)).run_as_typed()
}

/// What `etl schema` prints.
#[track_caller]
pub(crate) fn printed(site: &Folder, options: &str, code: i32) -> String {
    let outcome = ask(site, options);
    assert_eq!(outcome.code, code, "stdout: {}\nstderr: {}", outcome.stdout, outcome.stderr);
    outcome.stdout
}

/// The columns of a printed schema, each an object of its keys; members of a struct are in `field`.
#[track_caller]
fn columns_of(text: &str) -> Vec<Value> {
    let root: Value = toml::from_str(text).unwrap();
    root.get("column").map_or_else(Vec::new, |columns| columns.as_array().unwrap().clone())
}

/// Names and types as [`Table`] has them.
fn names_and_types(columns: &[Value]) -> Vec<(String, String)> {
    columns.iter().map(|column| (column["name"].as_str().unwrap().to_owned(), type_of(column))).collect()
}

fn type_of(column: &Value) -> String {
    let kind = column["type"].as_str().unwrap();
    let Some(members) = column["field"].as_array() else { return kind.to_owned() };
    let members: Vec<_> =
        names_and_types(members).iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    kind.replace("struct", &format!("struct<{}>", members.join(", ")))
}

/// A column, or one of its members below it, has these counts and this example.
#[track_caller]
fn check_facts(columns: &[Value], path: &str, seen: u64, null: u64, example: Option<&str>) {
    let mut members = columns;
    let mut found = &Value::Null;
    for name in path.split('.') {
        found = members.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("no {path}"));
        members = found["field"].as_array().map(Vec::as_slice).unwrap_or_default();
    }
    let facts = (&found["nullable"], &found["seen"], &found["null"]);
    assert_eq!(facts, (&json!(null > 0), &json!(seen), &Value::from(null)), "{path}: {found}");
    match example {
        // Members of an object may stand in any order.
        Some(json) if json.starts_with(['{', '[']) => {
            let found: Value = serde_json::from_str(found["example"].as_str().unwrap()).unwrap();
            assert_eq!(found, serde_json::from_str::<Value>(json).unwrap(), "{path}");
        }
        Some(text) => assert_eq!(found["example"], text, "{path}: {found}"),
        None => assert_eq!(found.get("example"), None, "{path}: {found}"),
    }
}

const ALL_TYPES: &str = r#"{"b":true,"i":7,"d":1.5,"s":"x","us":"2026-01-02T03:04:05.5Z","ns":"2026-01-02T03:04:05.1234567Z","l":[1,2],"ll":[[0.5],[]],"o":{"mail":"a@b.c","id":1},"ls":[{"x":1,"t":["u"]},{}]}
{"b":null,"i":-3,"o":{"id":2,"in":{"z":true}},"l":null,"ls":[]}
{"i":8,"o":null,"n":null,"e":{},"el":[]}
"#;

#[test]
fn every_type_is_printed_with_its_counts_and_an_example() {
    let site = Folder::with_pages(&[("p.ndjson", ALL_TYPES)]);
    let columns = columns_of(&printed(&site, "", 0));
    let expected = [
        ("b", "bool"),
        ("i", "int64"),
        ("d", "double"),
        ("s", "string"),
        ("us", "timestamp[us, UTC]"),
        ("ns", "timestamp[ns, UTC]"),
        ("l", "list<int64>"),
        ("ll", "list<list<double>>"),
        ("o", "struct<mail: string, id: int64, in: struct<z: bool>>"),
        ("ls", "list<struct<x: int64, t: list<string>>>"),
        ("n", "string"),
        ("e", "string"),
        ("el", "list<string>"),
    ];
    assert_eq!(names_and_types(&columns), expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    for (path, seen, null, example) in [
        ("b", 1, 2, Some("true")),
        ("i", 3, 0, Some("7")),
        ("d", 1, 2, Some("1.5")),
        ("s", 1, 2, Some("x")),
        ("us", 1, 2, Some("2026-01-02T03:04:05.5Z")),
        ("ns", 1, 2, Some("2026-01-02T03:04:05.1234567Z")),
        ("l", 1, 2, Some("[1,2]")),
        ("ll", 1, 2, Some("[[0.5],[]]")),
        ("o", 2, 1, Some(r#"{"mail":"a@b.c","id":1}"#)),
        // Members are counted among objects, not among records.
        ("o.mail", 1, 1, Some("a@b.c")),
        ("o.id", 2, 0, Some("1")),
        ("o.in", 1, 1, Some(r#"{"z":true}"#)),
        ("o.in.z", 1, 0, Some("true")),
        ("ls", 2, 1, Some(r#"[{"x":1,"t":["u"]},{}]"#)),
        ("ls.x", 1, 1, Some("1")),
        ("ls.t", 1, 1, Some(r#"["u"]"#)),
        ("n", 0, 3, None),
        ("e", 1, 2, Some("{}")),
        ("el", 1, 2, Some("[]")),
    ] {
        check_facts(&columns, path, seen, null, example);
    }
}

#[test]
fn printed_schema_has_the_form_that_the_readme_shows() {
    let pages: Vec<_> = (0..2).map(|page| (format!("p{page}.ndjson"), "{\"id\":7}\n".repeat(500))).collect();
    let site = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let text = printed(&site, "", 0);
    let heading =
        format!("# The schema of 1,000 records of 2 pages, inferred by etl {}", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&heading), "{text}");
    let column = "[[column]]\nname = \"id\"\ntype = \"int64\"\nnullable = false\nseen = 1000\nnull = 0\nexample = \"7\"\n";
    assert!(text.contains(column), "{text}");
    assert!(text.ends_with('\n'), "{text}");
}

#[test]
fn columns_are_those_of_a_run_in_its_order() {
    let site = Folder::with_pages(&[
        ("a.json", r#"[{"z":1,"values":[1,2]},{"b":null,"o":{"y":1}}]"#),
        ("b.ndjson", "{\"a\":1,\"z\":2.5}\n{\"o\":{\"x\":[1,\"t\"],\"y\":2},\"b\":\"x\"}\n"),
        (
            "c.json",
            r#"[{"o":{"x":[{"k":1}]},"t":"2026-01-02T03:04:05Z"},{"t":"soon","late":9007199254740993}]"#,
        ),
        ("d.json", r#"[{"late":0.5,"m":"1"},{"m":{"n":1}},{"q":"2026-01-02T03:04:05Z"}]"#),
    ]);
    for options in ["", "--max-object-keys 1", "--nested json", "--features none"] {
        let columns = names_and_types(&columns_of(&printed(&site, options, 0)));
        let mut written = run_plainly(&site, options, 0).columns;
        written.retain(|(name, _)| !name.starts_with("values_"));
        assert_eq!(columns, written, "{options}");
        assert_eq!(columns[0].0, "z");
    }
}

#[test]
fn columns_that_a_run_computes_are_not_printed() {
    let site = Folder::with_pages(&[("a.json", r#"[{"m":{"v":[1,"2"]},"id":1}]"#)]);
    let columns = columns_of(&printed(&site, "--values v=/m/v --features mean,count", 0));
    let expected = [("m", "struct<v: list<double>>"), ("id", "int64")];
    assert_eq!(names_and_types(&columns), expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    let absent = columns_of(&printed(&site, "--values latency", 0));
    assert!(names_and_types(&absent).iter().all(|(name, _)| !name.starts_with("latency")), "{absent:?}");
}

#[test]
fn long_examples_are_cut_between_characters() {
    let (long, fits) = ("é".repeat(300), "x".repeat(60));
    let list: Vec<_> = (1_000..1_300).map(|number| number.to_string()).collect();
    let body = format!("{{\"long\":\"{long}\",\"fits\":\"{fits}\",\"list\":[{}]}}\n", list.join(","));
    let site = Folder::with_pages(&[("p.ndjson", body)]);
    let columns = columns_of(&printed(&site, "", 0));
    check_facts(&columns, "fits", 1, 0, Some(&fits));
    for (column, begin) in [(0, "é".repeat(50)), (2, list.join(",")[..50].to_owned())] {
        let example = columns[column]["example"].as_str().unwrap();
        assert!(example.contains(&begin), "{example}");
        assert!(example.ends_with('…') || example.ends_with("..."), "{example}");
        assert!((60..=90).contains(&example.chars().count()), "{example}");
    }
}

#[test]
fn example_is_the_first_value_of_the_list_whichever_page_comes_first() {
    let site = Folder::with_pages(&[
        ("a.json", r#"[{"c":null},{"c":"of a"},{"c":"later"}]"#),
        ("b.json", r#"[{"c":"of b","d":1}]"#),
    ]);
    let server = Server::over(site.root());
    let input = Folder::new();
    server.list(&input, &["a.json?latency_ms=400", "b.json"]);
    let text = printed(&input, "-j 8", 0);
    let columns = columns_of(&text);
    check_facts(&columns, "c", 3, 1, Some("of a"));
    check_facts(&columns, "d", 1, 3, Some("1"));
    assert_eq!(text, printed(&input, "-j 1", 0), "one text whatever the machine settings");
}

#[test]
fn odd_names_and_examples_are_given_back() {
    let names = ["", "a.b", "q\"'", "n\n\t\\", "é😀", "#", "[[x]]", "\u{1}\u{7f}", " = "];
    let record: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!(name))).collect();
    let nested = json!({"plain": 1, "nested": {"a b": {"'\"": [1]}}});
    let body = format!("{}\n{nested}\n", Value::Object(record));
    let site = Folder::with_pages(&[("p.ndjson", body)]);
    let text = printed(&site, "", 0);
    let columns = columns_of(&text);
    for name in names {
        let column = columns.iter().find(|column| column["name"] == name);
        let column = column.unwrap_or_else(|| panic!("no {name:?}: {text}"));
        assert_eq!(column["example"], name, "{text}");
    }
    let (_, output) = apply(text, &site, "--schema-contract freeze", 0);
    assert_eq!(table(&output), run_plainly(&site, "", 0));
}

#[test]
fn what_is_left_out_or_hashed_is_not_told() {
    let body = "{\"id\":1,\"user\":{\"mail\":\"SECRET-1\",\"name\":\"a\"},\"ip\":\"SECRET-2\",\"key\":\"SECRET-3\"}\n\
                {\"id\":2,\"user\":{\"mail\":[\"SECRET-4\"],\"name\":\"b\"},\"ip\":{\"SECRET-5\":1},\"key\":null}\n\
                {\"id\":\n\
                {\"key\":\"SECRET-6\",\"user\":[{\"mail\":\"SECRET-7\"}]}\n";
    let site = Folder::with_pages(&[("p.ndjson", body)]);
    let outcome = ask(&site, "--drop /user/mail --drop key --hash ip --hash-key KEY");
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let columns = columns_of(&outcome.stdout);
    let expected = [("id", "int64"), ("user", "struct<name: string>"), ("ip", "string")];
    assert_eq!(names_and_types(&columns), expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    check_facts(&columns, "user", 2, 0, Some(r#"{"name":"a"}"#));
    let hash = etl::config::HashKey::new(KEY.as_bytes()).hash(b"SECRET-2");
    check_facts(&columns, "ip", 2, 0, Some(&hash));
    assert_hidden(&outcome, &Folder::new(), "SECRET");
    assert_hidden(&outcome, &Folder::new(), KEY);
}

#[test]
fn only_selected_fields_are_printed_under_their_new_names() {
    let body = "{\"id\":1,\"user\":{\"mail\":\"SECRET\",\"name\":\"a\"},\"other\":\"SECRET\"}\n{\"id\":2}\n";
    let site = Folder::with_pages(&[("p.ndjson", body)]);
    let options = "--select /user/name --select id --rename id=number --rename /user/name=who";
    let outcome = ask(&site, options);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let columns = columns_of(&outcome.stdout);
    let expected = [("number", "int64"), ("user", "struct<who: string>")];
    assert_eq!(names_and_types(&columns), expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    check_facts(&columns, "number", 2, 0, Some("1"));
    check_facts(&columns, "user.who", 1, 0, Some("a"));
    assert_hidden(&outcome, &Folder::new(), "SECRET");
}

#[test]
fn sample_leaves_pages_unread_once_it_has_enough() {
    let site = Folder::with_pages(&[("p.ndjson", "{\"id\":1}\n".repeat(10))]);
    let server = Server::over(site.root());
    let input = Folder::new();
    let targets: Vec<_> = (0..300).map(|page| format!("p.ndjson?number={page}")).collect();
    server.list(&input, &targets);
    let columns = columns_of(&printed(&input, "--sample 15 -j 2", 0));
    let seen = columns[0]["seen"].as_u64().unwrap();
    assert!((15..3_000).contains(&seen), "{seen} records");
    let asked = server.log().len();
    assert!((2..300).contains(&asked), "{asked} requests");
}

#[test]
fn sample_leaves_the_rest_of_a_large_page_unread() {
    let lines: Vec<_> = (0..7_200).map(record).collect();
    let site = Folder::with_pages(&[("large.ndjson", lines.join("\n"))]);
    let columns = columns_of(&printed(&site, "--sample 10", 0));
    let seen = columns[0]["seen"].as_u64().unwrap();
    assert!((10..7_200).contains(&seen), "{seen} records");
}

#[test]
fn sample_that_is_larger_than_the_pages_is_all_of_them() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1},{\"id\":2}]"), ("b.json", "{\"id\":3}")]);
    check_facts(&columns_of(&printed(&site, "--sample 1000", 0)), "id", 3, 0, Some("1"));
    check_facts(&columns_of(&printed(&site, "--sample 3", 0)), "id", 3, 0, Some("1"));
}

#[test]
fn records_of_a_large_page_are_all_counted() {
    let lines: Vec<_> = (0..3_600).map(record).collect();
    let site = Folder::with_pages(&[("large.json", format!("[{}]", lines.join(",")))]);
    let columns = columns_of(&printed(&site, "", 0));
    check_facts(&columns, "id", 3_600, 0, Some("0"));
    check_facts(&columns, "values", 3_600, 0, Some("[0,0.5,3]"));
    assert_eq!(columns[2]["type"], "list<double>");
}

#[test]
fn question_leaves_no_file_behind() {
    let site = Folder::with_pages(&[("a.ndjson", "{\"id\":1}\n7\n"), ("b.json", "<html>")]);
    let before = site.names();
    let elsewhere = Folder::new();
    let run = Etl::bare().arg("schema").arg("--urls").arg(site.path("urls.txt"));
    let outcome = run.current_dir(elsewhere.root()).run_as_typed();
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert_eq!((site.names(), elsewhere.names()), (before, Vec::new()));
}

#[test]
fn urls_may_be_arguments_of_the_question_too() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.json", "[{\"id\":2}]")]);
    let server = Server::over(site.root());
    let run = Etl::bare().arg("schema").arg(format!("{}/a.json", server.origin));
    let outcome = run.arg(format!("{}/b.json", server.origin)).run_as_typed();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    check_facts(&columns_of(&outcome.stdout), "id", 2, 0, Some("1"));
}

#[test]
fn schema_is_printed_though_pages_failed_or_records_were_rejected() {
    let good = ("a.json", "[{\"id\":1},{\"id\":2}]");
    for bad in [
        ("b.json", "[{\"id\":\"x\",\"late\":1}"),
        ("b.json", "<html>"),
        ("b.ndjson", "{\"id\":}\n{\"id\":3}\n"),
    ] {
        let site = Folder::with_pages(&[good, bad]);
        let outcome = ask(&site, "");
        assert_eq!(outcome.code, 3, "{bad:?}: {}", outcome.stderr);
        assert_ne!(outcome.stderr, "", "it is told on stderr");
        let columns = columns_of(&outcome.stdout);
        assert_eq!(names_and_types(&columns), [("id".to_owned(), "int64".to_owned())], "{bad:?}");
        let count = if bad.1.ends_with("3}\n") { 3 } else { 2 };
        check_facts(&columns, "id", count, 0, Some("1"));
    }
}

#[test]
fn question_without_any_record_read_fails_as_a_run_does() {
    for pages in
        [[("a.json", "<html>"), ("b.json", "[{\"id\":1}")], [("a.ndjson", "7\n8\n"), ("b.json", "[9]")]]
    {
        let outcome = ask(&Folder::with_pages(&pages), "");
        assert_eq!(outcome.code, 1, "{pages:?}: {}", outcome.stderr);
        assert!(!outcome.stdout.contains("[[column]]"), "{}", outcome.stdout);
        assert_ne!(outcome.stderr, "");
    }
    let input = Folder::new();
    input.write("urls.txt", format!("{0}/a.json\n{0}/b.json\n", closed_origin()));
    let outcome = ask(&input, "--retry 0");
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("[[column]]"), "{}", outcome.stdout);
}

#[test]
fn zero_records_are_a_schema_without_columns() {
    let site = Folder::with_pages(&[("a.json", "[]"), ("b.ndjson", "")]);
    let text = printed(&site, "", 0);
    assert!(text.starts_with('#'), "{text}");
    assert_eq!(columns_of(&text), Vec::<Value>::new());
}

#[test]
fn options_that_only_a_run_has_are_unknown_to_the_question() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let server = Server::over(site.root());
    let input = Folder::new();
    server.list(&input, &["a.json"]);
    for options in [
        "--out out.parquet",
        "-o out.parquet",
        "--rejects r.ndjson",
        "--row-group-rows 5",
        "--row-group-bytes 1MiB",
        "--provenance",
        "--min-records 1",
        "--schema s.toml",
        "--schema-contract freeze",
        "--json",
        "--sample many",
        "--frobnicate",
    ] {
        let outcome = ask(&input, options);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{options}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{options}: {}", outcome.stderr);
        let name = options.split(' ').next().unwrap();
        assert!(outcome.stderr.contains(name), "{options}: {}", outcome.stderr);
    }
    let outcome = Etl::bare().arg("schema").run_as_typed();
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (2, 1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--urls"), "{}", outcome.stderr);
    assert_eq!(server.log().len(), 0, "a request was sent");
}

/// Pages of every type, with conflicts that became text, and with what is hard to give back.
fn varied() -> Folder {
    let body = r#"{"t":"2026-01-02T03:04:05Z","m":"2026-01-02T03:04:05+00:00","x":7,"w":1,"big":9007199254740993,"o":{"k":[null,1]}}
{"t":"2026-01-02T03:04:05.25Z","m":"2026-01-02T03:04:05Z","x":2.50,"w":0.5,"big":0.1,"o":{"k":null,"q":{"z":1,"a":null}}}
{"t":null,"x":{"z":[3.0,1e2],"b":"\u00e9","n":null},"w":-0.0,"o":null,"n":null,"e":{},"el":[],"es":[{}],"huge":123456789012345678901234567890}
{"x":"1","x2":[1,"1",[true]],"o":{"q":{}},"es":[null,{"y":"s"},{"y":2}],"values":["1.5",null,"NaN",3]}
{"x":true,"ns":"2026-01-02T03:04:05.123456789Z","values":[]}
{}
"#;
    Folder::with_pages(&[("a.ndjson", ALL_TYPES), ("b.ndjson", body), ("c.json", "[]")])
}

#[test]
fn schema_given_back_frozen_is_the_same_table() {
    for options in [
        "",
        "--features none",
        "--nested json",
        "--max-object-keys 2",
        "--values l --values values --features mean,median",
        "--drop o --rename s=text --rename ls=list",
        "--hash s --hash x --hash-key KEY --select s --select x --select ls",
        "--row-group-rows 1",
    ] {
        let site = varied();
        let expected = run_plainly(&site, options, 0);
        let asked = options.replace("--row-group-rows 1", "");
        let schema = printed(&site, &asked, 0);
        for contract in ["freeze", "discard_row", "discard_value", "evolve"] {
            let (outcome, output) =
                apply(&schema, &site, &format!("{options} --schema-contract {contract}"), 0);
            let found = table(&output);
            assert_eq!(found.columns, expected.columns, "{options}, {contract}\n{schema}");
            assert_eq!(found.rows, expected.rows, "{options}, {contract}\n{schema}");
            assert_eq!(outcome.count("/values_discarded"), 0, "{options}, {contract}");
            assert_eq!(output.names(), ["out.parquet"]);
        }
    }
}

#[test]
fn object_with_many_keys_is_the_struct_that_the_schema_says() {
    let members: Vec<_> = (0..70).map(|key| format!("\"k{key}\":{key}")).collect();
    let site = Folder::with_pages(&[("a.ndjson", format!("{{\"m\":{{{}}}}}\n{{}}\n", members.join(",")))]);
    let schema = printed(&site, "--nested struct", 0);
    let expected = run_plainly(&site, "--nested struct", 0);
    assert!(expected.type_of("m").starts_with("struct<k0: int64, "), "{expected:?}");
    let (_, output) = apply(schema, &site, "--schema-contract freeze", 0);
    assert_eq!(table(&output), expected);
}

/// A run that should not begin.
struct Scene {
    server: Server,
    input: Folder,
}

impl Scene {
    fn new() -> Self {
        let input = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
        let server = Server::over(input.root());
        server.list(&input, &["a.json"]);
        Self { server, input }
    }

    /// Exit 2, one line with all of `needles`, nothing asked, nothing left.
    #[track_caller]
    fn check(&self, options: &str, needles: &[&str]) {
        let output = Folder::new();
        let outcome = Etl::between(&self.input, &output).with(options).run_as_typed();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{options}: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "not one line: {}", outcome.stderr);
        for needle in needles {
            assert!(outcome.stderr.contains(needle), "{needle:?} is missing: {}", outcome.stderr);
        }
        assert_eq!(self.server.log().len(), 0, "a request was sent");
        assert!(output.names().is_empty(), "{:?}", output.names());
    }

    #[track_caller]
    fn check_schema(&self, schema: impl AsRef<[u8]>, needles: &[&str]) {
        let path = self.input.write(SCHEMA, schema);
        let needles: Vec<_> = needles.iter().copied().chain([SCHEMA]).collect();
        self.check(&format!("--schema {}", path.display()), &needles);
    }
}

#[test]
fn schema_that_is_no_toml_is_named_with_its_line() {
    let scene = Scene::new();
    for text in [
        "[[column]]\nname = \"a\"\ntype = \n",
        "[[column]]\nname = \"a\"\ntype = \"int64\n",
        "[[column]]\nname = \"a\"\n[[column\ntype = \"int64\"\n",
        "# a comment\n\nnonsense\n",
    ] {
        let path = scene.input.write(SCHEMA, text);
        scene.check_schema(text, &[]);
        let outcome = Etl::between(&scene.input, &Folder::new()).arg("--schema").arg(path).run_as_typed();
        let is_placed = outcome.stderr.contains("line 3") || outcome.stderr.contains(":3");
        assert!(is_placed, "{text:?}: {}", outcome.stderr);
    }
    scene.check_schema(b"[[column]]\nname = \"\xff\"\n", &[]);
}

#[test]
fn schema_that_means_nothing_is_named_with_its_place() {
    let scene = Scene::new();
    for kind in [
        "int32",
        "text",
        "",
        "Int64",
        "list<int64",
        "list<>",
        "list",
        "list<int32>",
        "timestamp",
        "timestamp[ms, UTC]",
        "timestamp[us, CET]",
    ] {
        scene.check_schema(toml(&[("fine", "int64"), ("wrong", kind)]), &["wrong"]);
    }
    scene.check_schema(toml(&[("fine", "int64"), ("odd", "int32")]), &["int32"]);
    for columns in [
        [("twice", "int64"), ("other", "int64"), ("twice", "string")].as_slice(),
        &[("o", "struct"), ("o.twice", "int64"), ("o.twice", "int64")],
        &[("twice", "struct"), ("id", "int64")],
        &[("twice", "list<struct>"), ("id", "int64")],
        &[("twice", "int64"), ("twice.a", "int64")],
        &[("o", "struct"), ("o.twice", "struct")],
        &[("twice", "list<int64>"), ("twice.a", "int64")],
    ] {
        scene.check_schema(toml(columns), &["twice"]);
    }
}

#[test]
fn schema_with_unknown_or_missing_keys_is_named() {
    let scene = Scene::new();
    for (text, needle) in [
        ("[[column]]\nname = \"a\"\ntype = \"int64\"\nnulable = true\n", "nulable"),
        ("[[column]]\nname = \"a\"\ntype = \"int64\"\nformat = \"hex\"\n", "format"),
        ("[[colum]]\nname = \"a\"\ntype = \"int64\"\n", "colum"),
        ("version = 1\n[[column]]\nname = \"a\"\ntype = \"int64\"\n", "version"),
        (
            "[[column]]\nname = \"a\"\ntype = \"struct\"\n[[column.fields]]\nname = \"b\"\ntype = \"bool\"\n",
            "fields",
        ),
        ("[[column]]\ntype = \"int64\"\n", "name"),
        ("[[column]]\nname = \"a\"\n", "type"),
        ("[[column]]\nname = 7\ntype = \"int64\"\n", "line 2"),
        ("[[column]]\nname = \"a\"\ntype = \"int64\"\nnullable = \"yes\"\n", "line 4"),
    ] {
        scene.check_schema(text, &[needle]);
    }
}

#[test]
fn schema_file_that_can_not_be_read_is_named() {
    let scene = Scene::new();
    let missing = scene.input.path("nowhere.toml");
    scene.check(&format!("--schema {}", missing.display()), &["nowhere.toml", "--schema"]);
    scene.check(&format!("--schema {}", scene.input.root().display()), &["--schema"]);
    scene.check_schema("PAR1 and nothing of Parquet", &[]);
    scene.check_schema("PAR1", &[]);
}

#[test]
fn contract_is_one_that_is_known_and_stands_beside_a_schema() {
    let scene = Scene::new();
    let path = scene.input.write(SCHEMA, toml(&[("id", "int64")]));
    for contract in ["evolve", "freeze", "discard_row", "discard_value"] {
        scene.check(&format!("--schema-contract {contract}"), &["--schema"]);
    }
    scene.check(
        &format!("--schema {} --schema-contract strict", path.display()),
        &["--schema-contract", "strict", "freeze"],
    );
}

#[test]
fn schema_may_be_written_by_hand() {
    let text = "# mine\r\n\r\n[[column]] # first\r\n  type = 'double'   # any number\r\n  name = 'late \"one\"'\r\n\
                example = \"1\"\r\nseen = 5\r\nnull = 0\r\n\r\n[[column]]\r\n\"name\" = \"o\"\r\ntype=\"struct\"\r\n\
                nullable = false\r\n[[ column.field ]]\r\nname = \"\\u00e9\"\r\ntype = \"string\"\r\n";
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1,\"o\":{\"é\":5}}]")]);
    let (_, output) = apply(text, &site, "", 0);
    let found = table(&output);
    let expected = [("late \"one\"", "double"), ("o", "struct<é: string>"), ("id", "int64")];
    assert_eq!(found.columns, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    assert_eq!(found.column("o"), [json!({"é": "5"})]);
}

#[test]
fn columns_of_the_schema_come_first_and_are_always_there() {
    let site = Folder::with_pages(&[
        ("a.json", r#"[{"a":"x","b":1,"z":2}]"#),
        ("b.json", r#"[{"z":3,"c":true},{"o":{"new":1,"y":2}}]"#),
    ]);
    let schema = toml(&[
        ("z", "int64"),
        ("gone", "double"),
        ("a", "string"),
        ("o", "struct"),
        ("o.y", "int64"),
        ("o.x", "bool"),
    ]);
    for options in ["", "--schema-contract evolve", "--row-group-rows 1", "--row-group-rows 2 --threads 1"] {
        let (outcome, output) = apply(&schema, &site, options, 0);
        let found = table(&output);
        let expected = [
            ("z", "int64"),
            ("gone", "double"),
            ("a", "string"),
            ("o", "struct<y: int64, x: bool, new: int64>"),
            ("b", "int64"),
            ("c", "bool"),
        ];
        assert_eq!(
            found.columns,
            expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())),
            "{options}"
        );
        assert_eq!(found.column("z"), [json!(2), json!(3), json!(null)]);
        assert_eq!(found.column("gone"), vec![json!(null); 3]);
        let objects = [json!(null), json!(null), json!({"y": 2, "x": null, "new": 1})];
        assert_eq!(found.column("o"), objects);
        assert_eq!(outcome.count("/values_discarded"), 0);
        assert_eq!(output.names(), ["out.parquet"]);
    }
}

/// One column `c` that begins as `begin`: in pages of one record each, in row groups of one and in one; and in
/// one page.
#[track_caller]
fn check_evolved(begin: &str, values: &[&str], kind: &str, expected: &[Value]) {
    let records: Vec<_> = values.iter().map(|value| format!("{{\"c\":{value}}}")).collect();
    let pages: Vec<_> = records.iter().enumerate().map(|(id, body)| (format!("p{id}.json"), body)).collect();
    let apart = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let together = Folder::with_pages(&[("all.json", format!("[{}]", records.join(",")))]);
    for (site, options) in [(&apart, "--row-group-rows 1"), (&apart, ""), (&together, "")] {
        let (_, output) = apply(toml(&[("c", begin)]), site, options, 0);
        let found = table(&output);
        assert_eq!(found.columns, [("c".to_owned(), kind.to_owned())], "{begin}, {options}, {values:?}");
        assert_eq!(found.column("c"), expected, "{begin}, {options}, {values:?}");
    }
}

#[test]
fn column_of_the_schema_has_at_least_its_type() {
    check_evolved("double", &["1", "2"], "double", &[json!(1.0), json!(2.0)]);
    check_evolved("int64", &["null"], "int64", &[json!(null)]);
    check_evolved("bool", &["null", "true"], "bool", &[json!(null), json!(true)]);
    check_evolved(
        "list<double>",
        &["[1]", "[]", "null"],
        "list<double>",
        &[json!([1.0]), json!([]), json!(null)],
    );
    let second = "\"1970-01-01T00:00:01Z\"";
    check_evolved(
        "timestamp[us, UTC]",
        &["null", second],
        "timestamp[us, UTC]",
        &[json!(null), json!(1_000_000)],
    );
    check_evolved("timestamp[ns, UTC]", &[second], "timestamp[ns, UTC]", &[json!(1_000_000_000)]);
    check_evolved("string", &[second, "null"], "string", &[json!("1970-01-01T00:00:01Z"), json!(null)]);
    check_evolved(
        "string",
        &["7", "2.50", "3.0", "true", "{\"z\":1,\"n\":null,\"b\":[2]}", "123456789012345678901234567890"],
        "string",
        &["7", "2.5", "3", "true", "{\"b\":[2],\"z\":1}", "123456789012345678901234567890"]
            .map(|text| json!(text)),
    );
}

#[test]
fn column_of_the_schema_widens_where_it_must() {
    check_evolved("int64", &["1", "2.5"], "double", &[json!(1.0), json!(2.5)]);
    check_evolved("int64", &["1", "\"x\""], "string", &[json!("1"), json!("x")]);
    check_evolved("double", &["1", "9007199254740993"], "string", &[json!("1"), json!("9007199254740993")]);
    check_evolved("double", &["0.5", "\"x\"", "2"], "string", &[json!("0.5"), json!("x"), json!("2")]);
    check_evolved("bool", &["true", "1"], "string", &[json!("true"), json!("1")]);
    check_evolved("int64", &["{\"a\":1}"], "string", &[json!("{\"a\":1}")]);
    check_evolved("list<int64>", &["[1]", "[\"x\"]"], "list<string>", &[json!(["1"]), json!(["x"])]);
    check_evolved("list<string>", &["7", "[\"x\"]"], "string", &[json!("7"), json!("[\"x\"]")]);
    let (second, fine) = ("1970-01-01T00:00:01.5Z", "1970-01-01T00:00:02.1234567Z");
    check_evolved(
        "timestamp[us, UTC]",
        &[&format!("{second:?}"), "\"soon\""],
        "string",
        &[json!(second), json!("soon")],
    );
    check_evolved(
        "timestamp[us, UTC]",
        &[&format!("{second:?}"), &format!("{fine:?}")],
        "timestamp[ns, UTC]",
        &[json!(1_500_000_000), json!(2_123_456_700_i64)],
    );
}

#[test]
fn struct_of_the_schema_becomes_text_against_anything_else() {
    let site =
        Folder::with_pages(&[("a.json", r#"[{"o":{"b":1,"a":"t"}},{"o":"x"},{"l":[{"k":1}]},{"l":[5]}]"#)]);
    let schema = toml(&[
        ("o", "struct"),
        ("o.a", "string"),
        ("o.gone", "int64"),
        ("l", "list<struct>"),
        ("l.k", "int64"),
    ]);
    let (_, output) = apply(schema, &site, "", 0);
    let found = table(&output);
    assert_eq!((found.type_of("o"), found.type_of("l")), ("string", "list<string>"));
    assert_eq!(found.column("o"), [json!(r#"{"a":"t","b":1}"#), json!("x"), json!(null), json!(null)]);
    assert_eq!(found.column("l")[2..], [json!([r#"{"k":1}"#]), json!(["5"])]);
}

#[test]
fn evolving_schema_does_not_ask_for_values() {
    let site = Folder::with_pages(&[("a.json", r#"[{"id":null},{"o":{}},{"o":null}]"#)]);
    let schema = toml(&[("id", "int64!"), ("need", "string!"), ("o", "struct!"), ("o.x", "int64!")]);
    let (outcome, output) = apply(schema, &site, "", 0);
    assert_eq!(outcome.count("/records/written"), 3);
    assert_eq!(table(&output).column("need"), vec![json!(null); 3]);
    assert_eq!(table(&output).column("o"), [json!(null), json!({"x": null}), json!(null)]);
}

#[test]
fn zero_records_with_a_schema_publish_an_empty_table() {
    let site = Folder::with_pages(&[("a.json", "[]"), ("b.ndjson", "")]);
    let schema =
        toml(&[("id", "int64!"), ("o", "struct"), ("o.t", "timestamp[ns, UTC]"), ("l", "list<string>")]);
    for options in
        ["", "--schema-contract freeze", "--schema-contract discard_row", "--schema-contract discard_value"]
    {
        let output = Folder::new();
        output.write("out.parquet", "yesterday's");
        let outcome = run_into(&output, &schema, &site, options).exits(0);
        let found = table(&output);
        let expected = [("id", "int64"), ("o", "struct<t: timestamp[ns, UTC]>"), ("l", "list<string>")];
        assert_eq!(
            found.columns,
            expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())),
            "{options}"
        );
        assert_eq!(found.rows.len(), 0);
        assert_eq!(outcome.summary()["outputs"].as_array().unwrap().len(), 1, "{options}");
        assert_eq!(output.names(), ["out.parquet"]);
    }
}

#[test]
fn schema_publishes_nothing_where_a_run_would_not() {
    let schema = toml(&[("id", "int64")]);
    for (pages, options, code) in [
        ([("a.json", "<html>"), ("b.json", "[{\"id\":1}")], "", 1),
        ([("a.json", "[]"), ("b.ndjson", "")], "--min-records 1", 4),
        ([("a.json", "[{\"id\":1}]"), ("b.json", "<html>")], "--strict", 4),
    ] {
        let output = Folder::new();
        output.write("out.parquet", "yesterday's");
        run_into(&output, &schema, &Folder::with_pages(&pages), options).exits(code);
        assert_eq!(output.read("out.parquet"), b"yesterday's");
    }
}

#[test]
fn summarised_field_of_the_schema_has_features_always() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let none = Folder::with_pages(&[("a.json", "[]")]);
    for site in [&site, &none] {
        let (_, output) =
            apply(toml(&[("values", "list<double>"), ("id", "int64")]), site, "--features count,mean", 0);
        assert_eq!(table(&output).names(), ["values", "id", "values_count", "values_mean"]);
        let schema = toml(&[("m", "struct"), ("m.v", "list<double>"), ("id", "int64")]);
        let (_, output) = apply(schema, site, "--values v=/m/v --features mean", 0);
        assert_eq!(table(&output).names(), ["m", "id", "v_mean"]);
    }
}

#[test]
fn summarised_field_of_the_schema_must_be_a_list_of_doubles() {
    let scene = Scene::new();
    for kind in ["list<int64>", "list<string>", "double", "string", "list<list<double>>"] {
        for (columns, values, name) in [
            ([("id", "int64"), ("values", kind)], "", "values"),
            ([("id", "int64"), ("latency", kind)], "--values latency", "latency"),
            ([("m", "struct"), ("m.latency", kind)], "--values v=/m/latency", "latency"),
        ] {
            let path = scene.input.write(SCHEMA, toml(&columns));
            scene.check(&format!("{values} --schema {}", path.display()), &[name, "list<double>"]);
        }
    }
}

/// A Parquet file without rows; a plain one does not tell the types of Arrow.
fn parquet_of(fields: &[Field], is_plain: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(is_plain);
    ArrowWriter::try_new_with_options(&mut bytes, schema, options).unwrap().close().unwrap();
    bytes
}

fn utc(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("UTC".into()))
}

#[test]
fn types_of_a_parquet_file_are_those_of_the_schema() {
    let list = |element: DataType| DataType::List(Arc::new(Field::new_list_field(element, true)));
    let members = Fields::from(vec![
        Field::new("f", DataType::Float32, true),
        Field::new("t", utc(TimeUnit::Nanosecond), true),
        Field::new("l", list(DataType::UInt16), true),
    ]);
    let large = DataType::LargeList(Arc::new(Field::new_list_field(DataType::LargeUtf8, true)));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let kinds = [
        (DataType::Boolean, "bool"),
        (DataType::Int8, "int64"),
        (DataType::Int16, "int64"),
        (DataType::Int32, "int64"),
        (DataType::Int64, "int64"),
        (DataType::UInt8, "int64"),
        (DataType::UInt16, "int64"),
        (DataType::UInt32, "int64"),
        (DataType::Float32, "double"),
        (DataType::Float64, "double"),
        (DataType::Utf8, "string"),
        (DataType::LargeUtf8, "string"),
        (DataType::Utf8View, "string"),
        (dictionary, "string"),
        (utc(TimeUnit::Millisecond), "timestamp[us, UTC]"),
        (utc(TimeUnit::Microsecond), "timestamp[us, UTC]"),
        (utc(TimeUnit::Nanosecond), "timestamp[ns, UTC]"),
        (DataType::Struct(members.clone()), "struct<f: double, t: timestamp[ns, UTC], l: list<int64>>"),
        (list(DataType::Int32), "list<int64>"),
        (large, "list<string>"),
        (list(DataType::Struct(members)), "list<struct<f: double, t: timestamp[ns, UTC], l: list<int64>>>"),
    ];
    let name = |index: usize| format!("c{index}");
    let fields: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(index, (kind, _))| Field::new(name(index), kind.clone(), true))
        .collect();
    let expected: Vec<_> =
        kinds.iter().enumerate().map(|(index, (_, kind))| (name(index), (*kind).to_owned())).collect();
    let site = Folder::with_pages(&[("a.json", "[]")]);
    for is_plain in [false, true] {
        for options in ["", "--schema-contract freeze"] {
            let (_, output) = apply(parquet_of(&fields, is_plain), &site, options, 0);
            assert_eq!(table(&output).columns, expected, "{is_plain}, {options}");
        }
    }
}

#[test]
fn required_columns_of_a_parquet_file_ask_for_a_value() {
    let member = Field::new("x", DataType::Int32, false);
    let fields = [
        Field::new("id", DataType::Int32, false),
        Field::new("text", DataType::Utf8, true),
        Field::new_struct("o", vec![member], true),
    ];
    let schema = parquet_of(&fields, false);
    let good =
        Folder::with_pages(&[("a.json", r#"[{"id":1},{"id":2,"text":"t","o":{"x":5}},{"id":3,"o":null}]"#)]);
    let (_, output) = apply(&schema, &good, "--schema-contract freeze", 0);
    assert_eq!(table(&output).column("o"), [json!(null), json!({"x": 5}), json!(null)]);
    for (body, difference) in
        [(r#"[{"text":"t"}]"#, "/id: expected a value"), (r#"[{"id":1,"o":{}}]"#, "/o/x: expected a value")]
    {
        let site = Folder::with_pages(&[("a.json", body)]);
        let (outcome, output) = apply(&schema, &site, "--schema-contract freeze", 4);
        assert!(outcome.stderr.contains(difference), "{}", outcome.stderr);
        assert!(!output.path("out.parquet").exists());
    }
}

#[test]
fn schema_that_contradicts_another_option_is_named() {
    let scene = Scene::new();
    let schema = scene.input.write(SCHEMA, toml(&[("ip", "int64"), ("o", "struct"), ("o.x", "bool")]));
    let key = scene.input.write("key", KEY);
    let schema = format!("--schema {}", schema.display());
    scene.check(&format!("{schema} --hash ip --hash-key {}", key.display()), &["--schema", "string", "ip"]);
    scene.check(&format!("{schema} --nested json"), &["--schema", "struct", "--nested json"]);
}

#[test]
fn fields_of_the_schema_that_are_left_out_are_no_columns() {
    let site = Folder::with_pages(&[(
        "p.ndjson",
        "{\"id\":1,\"key\":\"SECRET\",\"o\":{\"a\":1,\"b\":\"SECRET\"},\"p\":{\"q\":\"SECRET\"}}\n",
    )]);
    let names = ["id", "key", "o", "o.a", "o.b", "p", "p.q"];
    let schema =
        toml(&names.map(|name| (name, if ["o", "p"].contains(&name) { "struct" } else { "string!" })));
    for (fields, row) in [
        ("--drop key --drop /o/b --drop /p/q", json!({"id": "1", "o": {"a": "1"}, "p": "{}"})),
        ("--select id --select /o/a", json!({"id": "1", "o": {"a": "1"}})),
    ] {
        let (outcome, output) = apply(&schema, &site, &format!("{fields} --schema-contract freeze"), 0);
        assert_eq!(table(&output).rows, [row], "{fields}");
        assert_hidden(&outcome, &output, "SECRET");
    }
}

#[test]
fn types_of_a_parquet_file_that_no_column_can_have_are_named() {
    let scene = Scene::new();
    let kinds = [
        DataType::UInt64,
        DataType::Date32,
        DataType::Decimal128(20, 2),
        DataType::Binary,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::List(Arc::new(Field::new_list_field(DataType::Date32, true))),
    ];
    for kind in kinds {
        let fields = [Field::new("fine", DataType::Int64, true), Field::new("oddity", kind, true)];
        scene.check_schema(parquet_of(&fields, false), &["oddity"]);
        let inside = Field::new_struct("around", fields.to_vec(), true);
        scene.check_schema(parquet_of(&[inside], false), &["around", "oddity"]);
    }
}

#[test]
fn own_output_is_a_schema_without_what_is_computed_again() {
    let options = "--provenance --values values --values v=/m/v --features count,mean,null_count";
    let body = r#"{"id":1,"values":[1,2.5,null],"m":{"v":[1]},"t":"2026-01-02T03:04:05.5Z","o":[{"k":"x"},{}]}
{"id":2,"values":null,"m":null,"t":"2026-01-02T03:04:06Z"}
{"n":null,"e":{},"el":[],"b":true,"ns":"2026-01-02T03:04:05.123456789Z"}
"#;
    let site = Folder::with_pages(&[("a.ndjson", body)]);
    let output = Folder::new();
    Etl::between(&site, &output).with(options).run().exits(0);
    let expected = table(&output);
    assert!(expected.names().contains(&"v_mean") && expected.names().contains(&"_etl_record"));
    for contract in ["evolve", "freeze", "discard_row", "discard_value"] {
        let (_, again) =
            apply(output.read("out.parquet"), &site, &format!("{options} --schema-contract {contract}"), 0);
        assert_eq!(table(&again), expected, "{contract}");
    }
    // And as the file that is replaced.
    let run = Etl::between(&site, &output).arg("--schema").arg(output.path("out.parquet"));
    run.with(options).with("--schema-contract freeze").run().exits(0);
    assert_eq!(table(&output), expected);
}

#[test]
fn late_page_is_frozen_out_by_yesterdays_output() {
    let yesterday = Folder::with_pages(&[("a.json", r#"[{"id":1,"values":[1,2]}]"#)]);
    let today = Folder::with_pages(&[
        ("a.json", r#"[{"id":2,"values":[3]}]"#),
        ("b.json", r#"[{"id":3,"new":true}]"#),
    ]);
    let output = Folder::new();
    Etl::between(&yesterday, &output).run().exits(0);
    let old = output.read("out.parquet");
    let outcome = run_into(&output, &old, &today, "--schema-contract freeze").exits(4);
    assert!(outcome.stderr.contains("/new: expected no such field"), "{}", outcome.stderr);
    assert_eq!(output.read("out.parquet"), old);
    run_into(&output, &old, &today, "").exits(0);
    assert_eq!(table(&output).names()[..3], ["id", "values", "new"]);
}

#[test]
fn schema_that_no_output_can_have_is_named_before_any_request() {
    let scene = Scene::new();
    let names: Vec<_> = (0..5_001).map(|column| format!("k{column}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), "bool")).collect();
    scene.check_schema(toml(&columns), &["5000", "5001"]);
    scene.check_schema(
        toml(&[("deep", &format!("{}bool{}", "list<".repeat(17), ">".repeat(17)))]),
        &["deep", "16"],
    );
    scene.check_schema(toml(&[("deep", &"list<".repeat(200_000))]), &["deep", "16"]);
    scene.check_schema(
        toml(&[("values", "list<double>"), ("values_mean", "double")]),
        &["values_mean", "computed"],
    );
    let path = scene.input.write(SCHEMA, toml(&[("id", "int64"), ("_etl_url", "string")]));
    let schema = format!("--schema {}", path.display());
    scene.check(&format!("{schema} --provenance"), &["_etl_url", "computed"]);
    scene.check(&format!("{schema} --select other --schema-contract freeze"), &["expected a column"]);
    scene.check(&format!("{schema} --values v --schema-contract freeze"), &["--values", "--drop v"]);
}

#[test]
fn name_that_stands_twice_in_a_parquet_file_is_named() {
    let scene = Scene::new();
    let fields = [Field::new("a", DataType::Int64, true), Field::new("a", DataType::Utf8, true)];
    let path = scene.input.write("twice.parquet", parquet_of(&fields, true));
    scene.check(&format!("--schema {}", path.display()), &["twice.parquet", "\"a\"", "twice"]);
}

#[test]
fn question_about_more_columns_than_an_output_has_fails() {
    let lines: String = (0..9_000).map(|key| format!("{{\"k{key}\":1}}\n")).collect();
    let site = Folder::with_pages(&[("p.ndjson", lines)]);
    let outcome = ask(&site, "");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (4, ""), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("5000 is the limit"), "{}", outcome.stderr);
}

#[test]
fn schema_that_can_not_be_printed_is_an_error() {
    let site = Folder::with_pages(&[("p.ndjson", "{\"id\":1}\n")]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_etl"))
        .args(["schema", "-q", "--urls"])
        .arg(site.path("urls.txt"))
        .stdout(full)
        .stderr(std::process::Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(6));
}
