//! `--schema-contract`: what does not fit fails the run, rejects its record, or vanishes with a line.

use std::fs::File;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::forms::{FORMS, Form, plain_text, record, rejects};
use crate::schema::{KEY, apply, assert_hidden, run_into, run_plainly, table, toml};
use crate::server::Server;

const REJECTS: &str = "out.parquet.rejects.ndjson";
const FREEZE: &str = "--schema-contract freeze";
const DISCARD_ROW: &str = "--schema-contract discard_row";
const DISCARD_VALUE: &str = "--schema-contract discard_value";

/// A folder with one page of lines.
fn lines(body: impl AsRef<[u8]>) -> Folder {
    Folder::with_pages(&[("p.ndjson", body)])
}

/// A run over one page of lines under this contract.
#[track_caller]
fn apply_to_lines(schema: &str, body: &str, contract: &str, code: i32) -> (Outcome, Folder) {
    apply(schema, &lines(body), contract, code)
}

/// The frozen schema refuses this list: exit 4, yesterday's file stays to the byte, all `needles` are told.
#[track_caller]
fn check_refused(schema: &str, site: &Folder, options: &str, needles: &[&str]) {
    let output = Folder::new();
    let old = b"PAR1 yesterday's bytes PAR1";
    output.write("out.parquet", old);
    let outcome = run_into(&output, schema, site, &format!("{options} {FREEZE}")).exits(4);
    assert_eq!(output.read("out.parquet"), old);
    let summary = outcome.summary();
    assert_eq!((&summary["status"], &summary["outputs"]), (&json!("failed"), &json!([])), "{summary}");
    for needle in needles {
        assert!(outcome.stderr.contains(needle), "{needle:?} is missing: {}", outcome.stderr);
    }
}

/// A line of the rejects file about a value, and not about its record.
#[track_caller]
fn check_discarded(line: &Value, record: usize, pointer: &str, raw: &str) {
    assert_eq!(line["value_discarded"], true, "{line}");
    let found = (&line["record"], &line["pointer"], &line["raw"]);
    assert_eq!(found, (&json!(record), &json!(pointer), &json!(raw)), "{line}");
    assert!(line["reason"].as_str().unwrap().contains("expected "), "{line}");
}

/// A line of the rejects file about a record.
#[track_caller]
fn check_rejected(line: &Value, record: usize, pointer: &str, raw: &str) {
    assert_ne!(line["value_discarded"], true, "{line}");
    let found = (&line["record"], &line["pointer"], &line["raw"]);
    assert_eq!(found, (&json!(record), &json!(pointer), &json!(raw)), "{line}");
    assert!(line["reason"].as_str().unwrap().contains("expected "), "{line}");
}

/// Seen, written, rejected and discarded.
fn counts(outcome: &Outcome) -> [u64; 4] {
    ["/records/seen", "/records/written", "/records/rejected", "/values_discarded"]
        .map(|name| outcome.count(name))
}

#[test]
fn frozen_schema_refuses_a_new_field_and_keeps_the_old_output() {
    let schema = toml(&[("id", "int64")]);
    let site =
        Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.json", "[{\"id\":2},{\"id\":3,\"b\":\"x\"}]")]);
    check_refused(&schema, &site, "", &["b.json", "/b: expected no such field, got a string"]);
    let one = lines("{\"id\":1,\"b\":null}\n");
    check_refused(&schema, &one, "", &["p.ndjson", "/b: expected no such field"]);
}

#[test]
fn frozen_schema_names_the_page_the_record_and_each_difference() {
    let schema =
        toml(&[("id", "int64"), ("user", "struct"), ("user.id", "int64!"), ("t", "timestamp[us, UTC]")]);
    let good = "{\"id\":1,\"user\":{\"id\":1}}\n".repeat(7);
    let body =
        format!("{good}{{\"id\":\"x\",\"b\":\"t\",\"user\":{{\"id\":null,\"c\":[1]}},\"t\":5}}\n{good}");
    let site = Folder::with_pages(&[("a.ndjson", good), ("b.ndjson", body)]);
    let differences = [
        "b.ndjson",
        "record 7",
        "/id: expected int64, got a string",
        "/b: expected no such field, got a string",
        "/user/id: expected a value (nullable = false), got ",
        "/user/c: expected no such field",
        "/t: expected timestamp[us, UTC], got ",
    ];
    check_refused(&schema, &site, "", &differences);
    let absent = lines("{\"user\":{}}\n");
    check_refused(&schema, &absent, "", &["/user/id: expected a value (nullable = false), got none"]);
}

#[test]
fn frozen_schema_refuses_another_type_at_any_depth() {
    let schema = toml(&[
        ("n", "int64"),
        ("l", "list<int64>"),
        ("ll", "list<list<bool>>"),
        ("o", "struct"),
        ("o.in", "struct"),
        ("o.in.x", "bool"),
        ("ls", "list<struct>"),
        ("ls.k", "string"),
        ("ls.m", "list<struct>"),
        ("ls.m.d", "double"),
    ]);
    for (record, difference) in [
        (r#"{"n":"x"}"#, "/n: expected int64, got a string"),
        (r#"{"n":1.5}"#, "/n: expected int64, got "),
        (r#"{"l":7}"#, "/l: expected "),
        (r#"{"l":[1,"x"]}"#, "/l/1: expected int64, got a string"),
        (r#"{"ll":[[],[true,null,1]]}"#, "/ll/1/2: expected bool, got "),
        (r#"{"o":"x"}"#, "/o: expected "),
        (r#"{"o":{"in":[]}}"#, "/o/in: expected "),
        (r#"{"o":{"in":{"x":"true"}}}"#, "/o/in/x: expected bool, got a string"),
        (r#"{"o":{"new":1}}"#, "/o/new: expected no such field"),
        (r#"{"o":{"in":{"new":null}}}"#, "/o/in/new: expected no such field"),
        (r#"{"ls":{}}"#, "/ls: expected "),
        (r#"{"ls":[{"k":"a"},5]}"#, "/ls/1: expected "),
        (r#"{"ls":[{"k":"a"},{"new":5}]}"#, "/ls/1/new: expected no such field"),
        (r#"{"ls":[null,{"m":[{"d":1},{"d":true}]}]}"#, "/ls/1/m/1/d: expected double, got "),
    ] {
        check_refused(&schema, &lines(format!("{{}}\n{record}\n")), "", &["p.ndjson", difference]);
    }
    let fine = r#"{"n":null,"l":[null,1],"ll":[null,[]],"o":{"in":null},"ls":[null,{},{"m":[]}]}"#;
    let (_, output) = apply_to_lines(&schema, fine, FREEZE, 0);
    assert_eq!(table(&output).column("ls"), [json!([null, {"k": null, "m": null}, {"k": null, "m": []}])]);
}

#[test]
fn pointers_of_differences_are_escaped() {
    let site = lines(r#"{"a/b":{"x~y":1}}"#);
    check_refused(
        "[[column]]\nname = \"id\"\ntype = \"int64\"\n",
        &site,
        "",
        &["/a~1b: expected no such field"],
    );
    let schema =
        "[[column]]\nname = \"a/b\"\ntype = \"struct\"\n[[column.field]]\nname = \"x\"\ntype = \"bool\"\n";
    check_refused(schema, &site, "", &["/a~1b/x~0y: expected no such field"]);
}

#[test]
fn frozen_schema_asks_for_required_values() {
    let schema = toml(&[
        ("id", "int64!"),
        ("o", "struct"),
        ("o.x", "int64!"),
        ("l", "list<struct>"),
        ("l.y", "bool!"),
    ]);
    for (record, difference) in [
        ("{}", "/id: expected a value (nullable = false), got none"),
        (r#"{"id":null}"#, "/id: expected a value (nullable = false), got "),
        (r#"{"id":1,"o":{}}"#, "/o/x: expected a value (nullable = false), got none"),
        (r#"{"id":1,"l":[{"y":true},{}]}"#, "/l/1/y: expected a value (nullable = false), got none"),
    ] {
        check_refused(&schema, &lines(format!("{record}\n")), "", &[difference]);
    }
    // Members are required of objects; where there is none, nothing is missing.
    let body = "{\"id\":1}\n{\"id\":2,\"o\":null,\"l\":[]}\n{\"id\":3,\"l\":[null]}\n";
    let (outcome, _) = apply_to_lines(&schema, body, FREEZE, 0);
    assert_eq!(counts(&outcome), [3, 3, 0, 0]);
}

#[test]
fn output_has_exactly_the_columns_of_the_schema() {
    let schema = toml(&[
        ("z", "double"),
        ("gone", "timestamp[ns, UTC]"),
        ("a", "string"),
        ("o", "struct"),
        ("o.y", "int64"),
        ("o.x", "list<string>"),
    ]);
    let site = Folder::with_pages(&[
        ("a.json", r#"[{"a":1,"z":2,"new":[1]},{"o":{"x":[5,"t"],"new":1}}]"#),
        ("b.json", r#"[{"z":"wrong"},{"o":{"y":7},"a":{"k":1}}]"#),
    ]);
    let expected = [
        ("z", "double"),
        ("gone", "timestamp[ns, UTC]"),
        ("a", "string"),
        ("o", "struct<y: int64, x: list<string>>"),
    ];
    let expected = expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let last = json!({"z": null, "gone": null, "a": "{\"k\":1}", "o": {"y": 7, "x": null}});
    for group in ["", "--row-group-rows 1"] {
        let (outcome, output) = apply(&schema, &site, &format!("{DISCARD_VALUE} {group}"), 0);
        assert_eq!(counts(&outcome), [4, 4, 0, 3]);
        let found = table(&output);
        assert_eq!(found.columns, expected);
        let rows = [
            json!({"z": 2.0, "gone": null, "a": "1", "o": null}),
            json!({"z": null, "gone": null, "a": null, "o": {"y": null, "x": ["5", "t"]}}),
            json!({"z": null, "gone": null, "a": null, "o": null}),
            last.clone(),
        ];
        assert_eq!(found.rows, rows);
        let (outcome, output) = apply(&schema, &site, &format!("{DISCARD_ROW} {group}"), 3);
        assert_eq!(counts(&outcome), [4, 1, 3, 0]);
        assert_eq!(table(&output).columns, expected);
        assert_eq!(table(&output).rows, std::slice::from_ref(&last));
    }
}

#[test]
fn frozen_schema_leaves_what_a_run_rejects_to_the_run() {
    let schema = toml(&[("id", "int64"), ("values", "list<double>")]);
    let site = Folder::with_pages(&[
        ("a.ndjson", "{\"id\":1,\"values\":[1,\"2\"]}\n{\"id\":}\n7\n[1]\n"),
        ("b.json", "<html>"),
    ]);
    let (outcome, output) = apply(&schema, &site, FREEZE, 3);
    assert_eq!(counts(&outcome), [4, 1, 3, 0]);
    assert_eq!(outcome.count("/pages/failed"), 1);
    assert_eq!(table(&output).column("values"), [json!([1.0, 2.0])]);
}

#[test]
fn differences_are_told_by_the_names_in_the_pages() {
    let schema = toml(&[("number", "int64"), ("user", "struct"), ("user.who", "string!")]);
    let options = "--rename id=number --rename /user/name=who --drop secret --drop /user/mail";
    let good = lines("{\"id\":1,\"secret\":[1],\"user\":{\"name\":\"a\",\"mail\":5}}\n");
    let (_, output) = apply(&schema, &good, &format!("{options} {FREEZE}"), 0);
    assert_eq!(table(&output).rows, [json!({"number": 1, "user": {"who": "a"}})]);
    check_refused(&schema, &lines("{\"id\":\"x\"}\n"), options, &["/id: expected int64, got a string"]);
    check_refused(&schema, &lines("{\"user\":{}}\n"), options, &["/user/name: expected a value"]);
    check_refused(
        &schema,
        &lines("{\"number\":1,\"other\":2}\n"),
        options,
        &["/other: expected no such field"],
    );
}

/// What a column `c` of the schema holds and how it looks then, and what it refuses, under each contract.
#[track_caller]
fn check_holds(column: &[(&str, &str)], held: &[(&str, Value)], refused: &[&str]) {
    let schema = toml(&[[("id", "int64")].as_slice(), column].concat());
    let record = |(id, value): (usize, &str)| format!("{{\"id\":{id},\"c\":{value}}}");
    let values = held.iter().map(|(value, _)| *value).chain(refused.iter().copied());
    let records: Vec<_> = values.enumerate().map(record).collect();
    let site = lines(records.join("\n"));
    let kept: Vec<_> = held.iter().map(|(_, value)| value.clone()).collect();
    let (held_count, refused_count) = (held.len() as u64, refused.len() as u64);
    let places = || held.len()..held.len() + refused.len();

    let (outcome, output) = apply(&schema, &site, DISCARD_VALUE, 0);
    let seen = held_count + refused_count;
    assert_eq!(counts(&outcome), [seen, seen, 0, refused_count], "{column:?}: {:?}", rejects(&output));
    let nulled: Vec<_> = kept.iter().cloned().chain(refused.iter().map(|_| Value::Null)).collect();
    assert_eq!(table(&output).column("c"), nulled, "{column:?}");
    assert_eq!(rejects(&output).len(), refused.len(), "{column:?}");
    for (line, (place, value)) in rejects(&output).iter().zip(places().zip(refused)) {
        check_discarded(line, place, "/c", value);
    }

    let (outcome, output) = apply(&schema, &site, DISCARD_ROW, if refused.is_empty() { 0 } else { 3 });
    assert_eq!(counts(&outcome), [seen, held_count, refused_count, 0], "{column:?}");
    assert_eq!(table(&output).column("c"), kept, "{column:?}");
    assert_eq!(rejects(&output).len(), refused.len(), "{column:?}");
    for (line, place) in rejects(&output).iter().zip(places()) {
        check_rejected(line, place, "/c", &records[place]);
    }

    let (_, output) = apply(&schema, &lines(records[..held.len()].join("\n")), FREEZE, 0);
    assert_eq!(table(&output).column("c"), kept, "{column:?}");
    for place in places() {
        check_refused(
            &schema,
            &lines(format!("{}\n{}\n", records[0], records[place])),
            "",
            &["/c: expected "],
        );
    }
}

#[test]
fn bool_column_holds_bools() {
    let held = [("true", json!(true)), ("false", json!(false)), ("null", json!(null))];
    check_holds(&[("c", "bool")], &held, &["1", "0", "\"true\"", "\"\"", "[]", "{}", "1.5"]);
}

#[test]
fn int64_column_holds_integers_of_64_bits() {
    let held = [
        ("0", json!(0)),
        ("null", json!(null)),
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("9223372036854775807", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
    ];
    let refused = [
        "1.0",
        "1.5",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "123456789012345678901234567890",
        "\"7\"",
        "true",
        "[1]",
        "{\"a\":1}",
    ];
    check_holds(&[("c", "int64")], &held, &refused);
}

#[test]
fn double_column_holds_doubles_and_integers_that_a_double_holds() {
    let held = [
        ("1.5", json!(1.5)),
        ("1.0", json!(1.0)),
        ("-3", json!(-3.0)),
        ("9007199254740992", json!(9_007_199_254_740_992.0)),
        ("-9007199254740992", json!(-9_007_199_254_740_992.0)),
        ("1e300", json!(1e300)),
        ("0.1", json!(0.1)),
        ("null", json!(null)),
    ];
    let refused = [
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "18446744073709551615",
        "\"1.5\"",
        "\"NaN\"",
        "false",
        "[1.5]",
        "{}",
    ];
    check_holds(&[("c", "double")], &held, &refused);
}

#[test]
fn string_column_holds_every_value_as_its_text() {
    let held = [
        ("\"x\"", json!("x")),
        ("\"\"", json!("")),
        ("\"caf\\u00e9 \\ud83d\\ude00\"", json!("café 😀")),
        ("7", json!("7")),
        ("2.50", json!("2.5")),
        ("3.0", json!("3")),
        ("1e2", json!("100")),
        ("true", json!("true")),
        ("null", json!(null)),
        ("9007199254740993", json!("9007199254740993")),
        ("18446744073709551615", json!("18446744073709551615")),
        ("-123456789012345678901234567890", json!("-123456789012345678901234567890")),
        ("{ \"z\" : 1, \"n\": null, \"b\": [2, 3.0, \"x\"] }", json!("{\"b\":[2,3,\"x\"],\"z\":1}")),
        ("{\"o\":{\"y\":null,\"x\":{}}}", json!("{\"o\":{\"x\":{}}}")),
        ("{}", json!("{}")),
        ("[]", json!("[]")),
        ("[1, null, \"1\", [true]]", json!("[1,null,\"1\",[true]]")),
        ("\"2026-01-02T03:04:05.120+00:00\"", json!("2026-01-02T03:04:05.120+00:00")),
    ];
    check_holds(&[("c", "string")], &held, &[]);
}

#[test]
fn timestamp_column_holds_every_spelling_of_a_time_in_utc() {
    let held = [
        ("\"1970-01-01T00:00:01Z\"", json!(1_000_000)),
        ("\"1970-01-01T00:00:01+00:00\"", json!(1_000_000)),
        ("\"1970-01-01T00:00:01.5Z\"", json!(1_500_000)),
        ("\"1970-01-01T00:00:01.500+00:00\"", json!(1_500_000)),
        ("\"1970-01-01T00:00:01.123456Z\"", json!(1_123_456)),
        ("\"1970-01-01T00:00:01.000000Z\"", json!(1_000_000)),
        ("null", json!(null)),
        ("\"1969-12-31T23:59:59.5Z\"", json!(-500_000)),
        ("\"9999-12-31T23:59:59.5Z\"", json!(253_402_300_799_500_000_i64)),
        ("\"1970-01-01T00:00:0\\u0031Z\"", json!(1_000_000)),
    ];
    let refused = [
        "\"1970-01-01T00:00:01.1234567Z\"",
        "\"1970-01-01T01:00:00+01:00\"",
        "\"2026-02-30T00:00:00Z\"",
        "\"1970-01-01T24:00:00Z\"",
        "\"1970-01-01T00:00:01\"",
        "\"1970-01-01\"",
        "\"soon\"",
        "\"\"",
        "1000000",
        "true",
        "[\"1970-01-01T00:00:01Z\"]",
        "{}",
    ];
    check_holds(&[("c", "timestamp[us, UTC]")], &held, &refused);
}

#[test]
fn timestamp_column_of_nanoseconds_holds_nine_digits_within_its_years() {
    let held = [
        ("\"1970-01-01T00:00:01Z\"", json!(1_000_000_000)),
        ("\"1970-01-01T00:00:01.5+00:00\"", json!(1_500_000_000)),
        ("\"1970-01-01T00:00:01.1234567Z\"", json!(1_123_456_700)),
        ("\"1970-01-01T00:00:01.123456789+00:00\"", json!(1_123_456_789)),
        ("null", json!(null)),
        ("\"1678-01-01T00:00:00Z\"", json!(-9_214_560_000_000_000_000_i64)),
        ("\"2262-01-01T00:00:00Z\"", json!(9_214_646_400_000_000_000_i64)),
    ];
    let refused = [
        "\"1970-01-01T00:00:01.1234567891Z\"",
        "\"1677-01-01T00:00:00Z\"",
        "\"2263-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59.5Z\"",
        "\"soon\"",
        "5",
    ];
    check_holds(&[("c", "timestamp[ns, UTC]")], &held, &refused);
}

#[test]
fn list_column_holds_lists_of_what_its_elements_hold() {
    let held = [
        ("[1,2.5]", json!([1.0, 2.5])),
        ("[]", json!([])),
        ("[null]", json!([null])),
        ("null", json!(null)),
        ("[ -3 ]", json!([-3.0])),
    ];
    check_holds(&[("c", "list<double>")], &held, &["7", "\"[1]\"", "{}", "true"]);
    let held =
        [("[1,\"1\",{\"b\":1,\"a\":2}]", json!(["1", "1", "{\"a\":2,\"b\":1}"])), ("[[]]", json!(["[]"]))];
    check_holds(&[("c", "list<string>")], &held, &["\"x\"", "1"]);
    let second = "\"1970-01-01T00:00:01Z\"";
    let other = "\"1970-01-01T00:00:02.5+00:00\"";
    let times = format!("[{second},null,{other}]");
    let held = [(times.as_str(), json!([1_000_000, null, 2_500_000]))];
    check_holds(&[("c", "list<timestamp[us, UTC]>")], &held, &[second]);
    let held = [("[[true],[],null]", json!([[true], [], null]))];
    check_holds(&[("c", "list<list<bool>>")], &held, &["true", "{\"a\":[]}"]);
}

#[test]
fn struct_column_holds_objects_of_its_members() {
    let column = [("c", "struct"), ("c.x", "int64"), ("c.in", "struct"), ("c.in.t", "string")];
    let held = [
        ("{\"x\":1,\"in\":{\"t\":5}}", json!({"x": 1, "in": {"t": "5"}})),
        ("{\"in\":{}}", json!({"x": null, "in": {"t": null}})),
        ("{}", json!({"x": null, "in": null})),
        ("null", json!(null)),
        (" { \"in\" : null , \"x\" : -1 } ", json!({"x": -1, "in": null})),
    ];
    check_holds(&column, &held, &["\"{}\"", "[]", "5", "true"]);
    let column = [("c", "list<struct>"), ("c.x", "bool")];
    let held = [("[{\"x\":true},{},null]", json!([{"x": true}, {"x": null}, null])), ("[]", json!([]))];
    check_holds(&column, &held, &["{\"x\":true}", "\"x\""]);
}

#[test]
fn record_that_does_not_fit_is_rejected_whole_with_its_place() {
    let schema = toml(&[("id", "int64!"), ("o", "struct"), ("o.k", "list<bool>"), ("t", "string")]);
    let records = [
        "{\"id\":0}",
        "{\"id\":1,\"o\":{\"k\":[true,\"no\"]}, \"t\":\"\\u00e9\"}",
        "{ \"id\" : \"2\" }",
        "{\"id\":3,\"t\":4}",
        "{\"id\":4,\"new\":[{}]}",
        "{\"t\":\"5\"}",
    ];
    let (outcome, output) = apply_to_lines(&schema, &records.join("\n"), DISCARD_ROW, 3);
    assert_eq!(counts(&outcome), [6, 2, 4, 0]);
    assert_eq!(outcome.summary()["status"], "partial");
    assert_eq!(table(&output).column("id"), [json!(0), json!(3)]);
    assert_eq!(table(&output).column("t"), [json!(null), json!("4")]);
    let rejects = rejects(&output);
    assert_eq!(rejects.len(), 4);
    for (line, (record, pointer, reason)) in rejects.iter().zip([
        (1, "/o/k/1", "expected bool, got a string"),
        (2, "/id", "expected int64, got a string"),
        (4, "/new", "expected no such field"),
        (5, "/id", "expected a value (nullable = false), got none"),
    ]) {
        check_rejected(line, record, pointer, records[record]);
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
        let offset: usize = records[..record].iter().map(|record| record.len() + 1).sum();
        assert_eq!(line["byte_offset"], offset, "{line}");
        assert_eq!((&line["line"], &line["page"]), (&json!(1), &json!(1)), "{line}");
        assert!(line["url"].as_str().unwrap().ends_with("p.ndjson"), "{line}");
    }
}

#[test]
fn record_with_many_differences_is_one_reject_with_the_first_of_them() {
    let schema = toml(&[("a", "int64"), ("b", "struct"), ("b.x", "int64"), ("c", "bool")]);
    let wrong = r#"{"a":1,"b":{"x":[],"y":2},"c":"no","d":5}"#;
    let (outcome, output) = apply_to_lines(&schema, &format!("{{\"a\":0}}\n{wrong}\n"), DISCARD_ROW, 3);
    assert_eq!(counts(&outcome), [2, 1, 1, 0]);
    let rejects = rejects(&output);
    assert_eq!(rejects.len(), 1);
    check_rejected(&rejects[0], 1, "/b/x", wrong);
}

#[test]
fn records_that_do_not_fit_count_as_rejects_do() {
    let schema = toml(&[("id", "int64")]);
    let body = "{\"id\":1}\n{\"id\":\"x\"}\n";
    for (options, code) in
        [("--strict", 4), ("--max-rejects 0", 4), ("--max-rejects 1", 3), ("--min-records 2", 4)]
    {
        let (_, output) = apply_to_lines(&schema, body, &format!("{DISCARD_ROW} {options}"), code);
        assert_eq!(output.path("out.parquet").exists(), code == 3, "{options}");
        assert_eq!(output.json_lines(REJECTS).len(), 1);
    }
}

#[test]
fn rejected_record_leaves_no_trace_in_the_rows_around_it() {
    let schema = toml(&[
        ("id", "int64"),
        ("o", "struct"),
        ("o.l", "list<struct>"),
        ("o.l.x", "string"),
        ("z", "bool"),
    ]);
    let good = |id: usize| format!("{{\"id\":{id},\"o\":{{\"l\":[{{\"x\":\"{id}\"}}]}},\"z\":true}}");
    let wrong = r#"{"id":99,"o":{"l":[{"x":"ghost"},{"x":"ghost"}]},"z":"ghost"}"#;
    let body = [good(0), wrong.to_owned(), good(1), wrong.to_owned(), wrong.to_owned(), good(2)].join("\n");
    let (_, output) = apply_to_lines(&schema, &body, DISCARD_ROW, 3);
    let rows = [0, 1, 2].map(|id| json!({"id": id, "o": {"l": [{"x": id.to_string()}]}, "z": true}));
    assert_eq!(table(&output).rows, rows);
}

#[test]
fn discarded_value_is_a_line_of_the_rejects_file() {
    let schema = toml(&[("id", "int64"), ("t", "string")]);
    let records =
        ["{\"t\":\"a\",\"id\":1}", "{\"t\":\"b\", \"id\" : \"caf\\u00e9\" }", "{\"t\":\"c\",\"id\":3}"];
    let site = Folder::with_pages(&[
        ("first.json", "[]".to_owned()),
        ("p.json", format!("[{}]", records.join(", "))),
    ]);
    let (outcome, output) = apply(&schema, &site, DISCARD_VALUE, 0);
    assert_eq!(counts(&outcome), [3, 3, 0, 1]);
    assert_eq!(outcome.summary()["status"], "ok");
    let found = table(&output);
    assert_eq!(found.column("id"), [json!(1), json!(null), json!(3)]);
    assert_eq!(found.column("t"), [json!("a"), json!("b"), json!("c")]);
    let lines = output.json_lines(REJECTS);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    check_discarded(line, 1, "/id", "\"caf\\u00e9\"");
    assert!(line["reason"].as_str().unwrap().contains("expected int64, got a string"), "{line}");
    assert!(line["url"].as_str().unwrap().ends_with("p.json"), "{line}");
    let offset = 1 + records[0].len() + 2;
    let place = (&line["line"], &line["page"], &line["byte_offset"]);
    assert_eq!(place, (&json!(2), &json!(1), &json!(offset)));
    let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected =
        ["byte_offset", "line", "page", "pointer", "raw", "reason", "record", "url", "value_discarded"];
    assert_eq!(keys, expected);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(output.path(REJECTS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn values_are_discarded_where_they_stand_and_nowhere_else() {
    let schema = toml(&[
        ("o", "struct"),
        ("o.x", "int64"),
        ("o.l", "list<int64>"),
        ("o.in", "struct"),
        ("o.in.b", "bool"),
        ("ls", "list<struct>"),
        ("ls.k", "double"),
        ("ls.m", "list<list<string>>"),
        ("n", "int64"),
    ]);
    let body = r#"{"o":{"x":"1","l":[1,"2",3],"in":{"b":0,"new":{ "s" : [1] }}},"n":1}
{"o":{"x":2,"l":"no","in":[true]},"n":2}
{"ls":[{"k":1.5,"m":[[1],7,["x"]]},"no",{"k":"2","late":null}],"n":3}
{"o":"no","ls":{"k":1},"n":4.5,"new":"x"}
{"n":5}
"#;
    let (outcome, output) = apply_to_lines(&schema, body, DISCARD_VALUE, 0);
    let expected = [
        (0, "/o/x", r#""1""#),
        (0, "/o/l/1", r#""2""#),
        (0, "/o/in/b", "0"),
        (0, "/o/in/new", r#"{ "s" : [1] }"#),
        (1, "/o/l", r#""no""#),
        (1, "/o/in", "[true]"),
        (2, "/ls/0/m/1", "7"),
        (2, "/ls/1", r#""no""#),
        (2, "/ls/2/k", r#""2""#),
        (2, "/ls/2/late", "null"),
        (3, "/o", r#""no""#),
        (3, "/ls", r#"{"k":1}"#),
        (3, "/n", "4.5"),
        (3, "/new", r#""x""#),
    ];
    let lines = output.json_lines(REJECTS);
    let found: Vec<_> = lines.iter().map(|line| line["pointer"].as_str().unwrap()).collect();
    assert_eq!(found, expected.map(|(_, pointer, _)| pointer));
    for (line, (record, pointer, raw)) in lines.iter().zip(expected) {
        check_discarded(line, record, pointer, raw);
        let offset: usize = body.lines().take(record).map(|line| line.len() + 1).sum();
        assert_eq!(line["byte_offset"], offset, "the place of the record: {line}");
    }
    assert_eq!(counts(&outcome), [5, 5, 0, expected.len() as u64]);
    let rows = [
        json!({"o": {"x": null, "l": [1, null, 3], "in": {"b": null}}, "ls": null, "n": 1}),
        json!({"o": {"x": 2, "l": null, "in": null}, "ls": null, "n": 2}),
        json!({"o": null, "ls": [{"k": 1.5, "m": [["1"], null, ["x"]]}, null, {"k": null, "m": null}], "n": 3}),
        json!({"o": null, "ls": null, "n": null}),
        json!({"o": null, "ls": null, "n": 5}),
    ];
    assert_eq!(table(&output).rows, rows);
}

#[test]
fn value_that_does_not_fit_is_discarded_even_where_one_is_required() {
    let schema = toml(&[
        ("id", "int64!"),
        ("b", "bool"),
        ("o", "struct"),
        ("o.x", "int64!"),
        ("l", "list<struct>"),
        ("l.y", "string!"),
    ]);
    let records = [
        r#"{"id":0,"b":"no"}"#,
        r#"{"b":"no","id":"1"}"#,
        r#"{"b":true}"#,
        r#"{"id":null}"#,
        r#"{"id":4,"o":{}}"#,
        r#"{"id":5,"o":{"x":true}}"#,
        r#"{"id":6,"l":[{"y":"a"},{"y":null}]}"#,
        r#"{"id":7,"o":5,"l":[5]}"#,
    ];
    let (outcome, output) = apply_to_lines(&schema, &records.join("\n"), DISCARD_VALUE, 0);
    assert_eq!(counts(&outcome), [8, 8, 0, 6]);
    let rows = [
        json!({"id": 0, "b": null, "o": null, "l": null}),
        json!({"id": null, "b": null, "o": null, "l": null}),
        json!({"id": null, "b": true, "o": null, "l": null}),
        json!({"id": null, "b": null, "o": null, "l": null}),
        json!({"id": 4, "b": null, "o": {"x": null}, "l": null}),
        json!({"id": 5, "b": null, "o": {"x": null}, "l": null}),
        json!({"id": 6, "b": null, "o": null, "l": [{"y": "a"}, {"y": null}]}),
        json!({"id": 7, "b": null, "o": null, "l": [null]}),
    ];
    assert_eq!(table(&output).rows, rows);
    let expected = [
        (0, "/b", "\"no\""),
        (1, "/b", "\"no\""),
        (1, "/id", "\"1\""),
        (5, "/o/x", "true"),
        (7, "/o", "5"),
        (7, "/l/0", "5"),
    ];
    let lines = output.json_lines(REJECTS);
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, (record, pointer, raw)) in lines.iter().zip(expected) {
        check_discarded(line, record, pointer, raw);
    }
}

#[test]
fn discarded_values_change_neither_the_exit_code_nor_the_limits() {
    let schema = toml(&[("id", "int64")]);
    let body = "{\"id\":1}\n{\"id\":\"x\",\"new\":{}}\n";
    for options in ["", "--strict", "--max-rejects 0", "--max-rejects 0%", "--min-records 2"] {
        let (outcome, output) = apply_to_lines(&schema, body, &format!("{DISCARD_VALUE} {options}"), 0);
        assert_eq!(counts(&outcome), [2, 2, 0, 2], "{options}");
        assert_eq!(output.names(), ["out.parquet", REJECTS], "{options}");
    }
    // With a reject beside it, the code is the reject's.
    let body = format!("{body}7\n");
    let (outcome, output) = apply_to_lines(&schema, &body, DISCARD_VALUE, 3);
    assert_eq!(counts(&outcome), [3, 2, 1, 2]);
    assert_eq!(output.json_lines(REJECTS).len(), 3);
    apply_to_lines(&schema, &body, &format!("{DISCARD_VALUE} --strict"), 4);
}

#[test]
fn discarded_values_are_counted_in_the_text_of_the_summary_where_there_are_any() {
    let site = lines("{\"id\":1}\n{\"id\":\"x\"}\n{\"id\":\"y\"}\n");
    let schema = site.write("s.toml", toml(&[("id", "int64")]));
    let output = Folder::new();
    let run = || Etl::between(&site, &output).arg("--schema").arg(&schema).with(DISCARD_VALUE).run_as_typed();
    let outcome = run();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let line = outcome.stderr.lines().find(|line| line.contains("discarded"));
    assert!(line.is_some_and(|line| line.contains('2')), "{}", outcome.stderr);
    site.write("urls.txt", "fine.json\n");
    site.write("fine.json", "[{\"id\":1}]");
    let outcome = run();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("discarded"), "{}", outcome.stderr);
    let outcome = Etl::between(&site, &output).run().exits(0);
    assert_eq!(outcome.count("/values_discarded"), 0, "the key is there without a schema too");
}

#[test]
fn yesterdays_lines_about_values_do_not_survive_a_clean_run() {
    let schema = toml(&[("id", "int64")]);
    let output = Folder::new();
    run_into(&output, &schema, &lines("{\"id\":\"x\"}\n"), DISCARD_VALUE).exits(0);
    assert_eq!(output.names(), ["out.parquet", REJECTS]);
    run_into(&output, &schema, &lines("{\"id\":1}\n"), DISCARD_VALUE).exits(0);
    assert_eq!(output.names(), ["out.parquet"]);
}

#[test]
fn lines_about_values_and_records_stand_in_the_order_of_the_rows() {
    let schema = toml(&[("id", "int64")]);
    let site = Folder::with_pages(&[
        ("a.ndjson", "{\"id\":\"a\"}\n7\n{\"id\":\"b\",\"c\":1}\n{\"id\":\n"),
        ("b.json", "<html>"),
        ("c.ndjson", "8\n{\"id\":[]}\n"),
    ]);
    let (outcome, output) = apply(&schema, &site, DISCARD_VALUE, 3);
    assert_eq!(counts(&outcome), [6, 3, 3, 4]);
    let lines = output.json_lines(REJECTS);
    let found: Vec<_> = lines
        .iter()
        .map(|line| (line["line"].clone(), line["record"].clone(), line["value_discarded"] == true))
        .collect();
    let expected = [
        (json!(1), json!(0), true),
        (json!(1), json!(1), false),
        (json!(1), json!(2), true),
        (json!(1), json!(2), true),
        (json!(1), json!(3), false),
        (json!(2), json!(null), false),
        (json!(3), json!(0), false),
        (json!(3), json!(1), true),
    ];
    assert_eq!(found, expected);
}

#[test]
fn last_of_duplicate_keys_counts_under_a_contract_too() {
    let schema = toml(&[("id", "int64"), ("o", "struct"), ("o.x", "bool")]);
    let body = "{\"id\":\"x\",\"id\":1}\n{\"id\":2,\"id\":\"x\"}\n{\"id\":3,\"o\":{\"x\":5,\"x\":true}}\n";
    let (_, output) = apply_to_lines(&schema, body, DISCARD_VALUE, 0);
    let found = table(&output);
    assert_eq!(found.column("id"), [json!(1), json!(null), json!(3)]);
    assert_eq!(found.column("o"), [json!(null), json!(null), json!({"x": true})]);
}

#[test]
fn what_is_left_out_or_hashed_stays_hidden_when_values_are_discarded() {
    let body = r#"{"id":1,"user":{"mail":"SECRET-1","name":"a"},"ip":"SECRET-2","key":"SECRET-3"}
{"id":{"shown":"yes"},"user":{"mail":"SECRET-4","name":"b","new":{"shown":"too"}},"ip":{"SECRET-5":1}}
{"id":3}
"#;
    let fields = "--drop /user/mail --drop key --hash ip --hash-key KEY";
    for (columns, discarded) in [
        // An object in the place of a number.
        ([("id", "int64"), ("user", "int64"), ("ip", "string")].as_slice(), 3),
        ([("id", "int64"), ("user", "struct"), ("user.name", "string"), ("ip", "string")].as_slice(), 2),
        // None of the hidden fields is in the schema.
        ([("id", "int64")].as_slice(), 5),
    ] {
        let site = lines(body);
        let (outcome, output) = apply(toml(columns), &site, &format!("{fields} {DISCARD_VALUE}"), 0);
        assert_eq!(counts(&outcome), [3, 3, 0, discarded], "{columns:?}");
        assert_hidden(&outcome, &output, "SECRET");
        assert_hidden(&outcome, &output, KEY);
        let lines = output.json_lines(REJECTS);
        let of_id = lines.iter().find(|line| line["pointer"] == "/id").unwrap();
        assert_eq!(of_id["raw"], r#"{"shown":"yes"}"#, "what is not hidden is shown");

        let options = format!("{fields} {DISCARD_VALUE} --rejects-raw none");
        let (outcome, output) = apply(toml(columns), &site, &options, 0);
        assert_hidden(&outcome, &output, "SECRET");
        for line in output.json_lines(REJECTS) {
            assert_eq!((&line["pointer"], line.get("raw")), (&json!(""), None), "{line}");
            assert_eq!(line["value_discarded"], true, "{line}");
        }
        assert_hidden(&outcome, &output, "shown");

        let (outcome, output) = apply(toml(columns), &site, &format!("{fields} {DISCARD_ROW}"), 3);
        assert_hidden(&outcome, &output, "SECRET");
        assert_hidden(&outcome, &output, KEY);
    }
}

#[test]
fn hidden_fields_are_not_told_when_the_run_fails() {
    let site = lines("{\"id\":1,\"ip\":\"SECRET\",\"user\":{\"mail\":\"SECRET\"},\"key\":\"SECRET\"}\n");
    let schema = toml(&[("id", "int64"), ("user", "int64")]);
    let output = Folder::new();
    let options = format!("--drop /user/mail --drop key --hash ip --hash-key KEY {FREEZE}");
    let outcome = run_into(&output, schema, &site, &options).exits(4);
    assert!(outcome.stderr.contains("/ip: expected no such field"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("/user: expected int64, got an object"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("/key"), "{}", outcome.stderr);
    assert_hidden(&outcome, &output, "SECRET");
}

#[test]
fn hashed_and_dropped_fields_fit_the_schema_that_a_run_with_them_has() {
    let site =
        lines("{\"id\":1,\"ip\":{\"b\":1},\"key\":[1],\"o\":{\"k\":5,\"v\":true}}\n{\"id\":2,\"ip\":null}\n");
    let schema = toml(&[("id", "int64!"), ("ip", "string"), ("o", "struct"), ("o.v", "bool")]);
    let fields = "--drop key --drop /o/k --hash ip --hash-key KEY";
    let (outcome, output) = apply(schema, &site, &format!("{fields} {FREEZE}"), 0);
    assert_eq!(counts(&outcome), [2, 2, 0, 0]);
    let hash = etl::config::HashKey::new(KEY.as_bytes()).hash(b"{\"b\":1}");
    assert_eq!(table(&output).column("ip"), [json!(hash), json!(null)]);
    assert_eq!(table(&output).column("o"), [json!({"v": true}), json!(null)]);
}

/// Records of a page of some 5 MB, which is decoded in several chunks.
const LARGE: usize = 3_600;

/// A record that fits, or one whose id is no number, or that has a field too many.
fn mixed(id: usize) -> String {
    match id % 400 {
        7 => format!("{{\"id\":\"{id}\",\"text\":\"{}\",\"values\":[1]}}", plain_text()),
        200 => format!(
            "{{\"id\":{id},\"extra\":{{ \"k\":[{id}] }},\"text\":\"{}\",\"values\":[2]}}",
            plain_text()
        ),
        _ => record(id),
    }
}

/// Which of [`mixed`] do not fit: the record, the pointer and the value.
fn misfits() -> impl Iterator<Item = (usize, &'static str, String)> {
    (0..LARGE).filter_map(|id| match id % 400 {
        7 => Some((id, "/id", format!("\"{id}\""))),
        200 => Some((id, "/extra", format!("{{ \"k\":[{id}] }}"))),
        _ => None,
    })
}

fn mixed_schema() -> String {
    toml(&[("id", "int64"), ("text", "string"), ("values", "list<double>")])
}

#[test]
fn contract_of_a_large_page_is_kept_in_every_chunk_whatever_the_threads() {
    let records: Vec<_> = (0..LARGE).map(mixed).collect();
    let misfit_count = misfits().count();
    for form in FORMS {
        let site = Folder::with_pages(&[(form.name("large").as_str(), form.page(&records))]);
        let offsets = form.offsets(&records);
        for (contract, code) in [(DISCARD_VALUE, 0), (DISCARD_ROW, 3)] {
            let mut outputs = Vec::new();
            for threads in ["--threads 1", "--threads 2"] {
                let options = format!("{contract} --memory 64MiB {threads} {}", form.options());
                let (outcome, output) = apply(mixed_schema(), &site, &options, code);
                let misfit_count = misfit_count as u64;
                let (seen, written) = (LARGE as u64, LARGE as u64 - misfit_count);
                let expected = if contract == DISCARD_ROW {
                    [seen, written, misfit_count, 0]
                } else {
                    [seen, seen, 0, misfit_count]
                };
                assert_eq!(counts(&outcome), expected, "{form:?} {options}");
                let lines = output.json_lines(REJECTS);
                assert_eq!(lines.len(), misfits().count());
                for (line, (record, pointer, value)) in lines.iter().zip(misfits()) {
                    match contract {
                        DISCARD_ROW => check_rejected(line, record, pointer, &records[record]),
                        _ => check_discarded(line, record, pointer, &value),
                    }
                    assert_eq!(line["byte_offset"], offsets[record], "{form:?} {record}");
                }
                outputs.push((output.read("out.parquet"), output.read(REJECTS), output));
            }
            assert!(outputs[0].0 == outputs[1].0, "{form:?} {contract}: not one file");
            assert!(outputs[0].1 == outputs[1].1, "{form:?} {contract}: not the same rejects");
            let found = table(&outputs[0].2);
            let is_misfit = |id: usize| matches!(id % 400, 7 | 200);
            let ids: Vec<_> = match contract {
                DISCARD_ROW => (0..LARGE).filter(|id| !is_misfit(*id)).map(|id| json!(id)).collect(),
                _ => (0..LARGE).map(|id| if id % 400 == 7 { Value::Null } else { json!(id) }).collect(),
            };
            assert!(found.column("id") == ids, "{form:?} {contract}: not the ids");
            assert_eq!(found.names()[..4], ["id", "text", "values", "values_count"]);
        }
    }
}

#[test]
fn large_page_is_the_same_table_as_its_records_in_small_pages_under_a_contract() {
    let records: Vec<_> = (0..LARGE).map(mixed).collect();
    let large = Folder::with_pages(&[("large.json", Form::Array.page(&records))]);
    let pages: Vec<_> = records
        .chunks(90)
        .enumerate()
        .map(|(index, records)| (format!("p{index}.json"), Form::Array.page(records)))
        .collect();
    let small =
        Folder::with_pages(&pages.iter().map(|(name, body)| (name.as_str(), body)).collect::<Vec<_>>());
    for (contract, code) in [(DISCARD_VALUE, 0), (DISCARD_ROW, 3)] {
        let (_, of_large) = apply(mixed_schema(), &large, contract, code);
        let (_, of_small) = apply(mixed_schema(), &small, contract, code);
        assert!(table(&of_large) == table(&of_small), "{contract}: not one table");
    }
}

#[test]
fn difference_late_in_a_large_page_fails_the_run_and_names_its_record() {
    let mut records: Vec<_> = (0..LARGE).map(record).collect();
    records[3_300] = mixed(7);
    for form in [Form::Lines, Form::Array] {
        let site = Folder::with_pages(&[(form.name("large").as_str(), form.page(&records))]);
        for threads in ["--threads 1", "--threads 2"] {
            let needles = ["large", "record 3300", "/id: expected int64, got a string"];
            check_refused(&mixed_schema(), &site, threads, &needles);
        }
    }
}

#[test]
fn page_that_fails_after_discarded_values_counts_none_of_them() {
    let schema = toml(&[("id", "int64")]);
    let good = ("a.json", "[{\"id\":1},{\"id\":\"x\"}]");
    for bad in ["[{\"id\":\"y\"},{\"id\":2}", "[{\"id\":\"y\"},{\"new\":2}] x", "[{\"id\":\"y\"},,{}]"] {
        let site = Folder::with_pages(&[good, ("b.json", bad)]);
        let (outcome, output) = apply(&schema, &site, DISCARD_VALUE, 3);
        assert_eq!(counts(&outcome), [2, 2, 0, 1], "{bad}");
        let lines = output.json_lines(REJECTS);
        assert_eq!(lines.len(), 2, "{lines:?}");
        check_discarded(&lines[0], 1, "/id", "\"x\"");
        assert_eq!(lines[1]["record"], Value::Null);
        let (outcome, output) = apply(&schema, &site, DISCARD_ROW, 3);
        assert_eq!(counts(&outcome), [2, 1, 1, 0], "{bad}");
        assert_eq!(output.json_lines(REJECTS).len(), 2);
    }
}

#[test]
fn large_page_that_breaks_off_leaves_no_discarded_value_and_counts_them_once_when_it_comes_again() {
    let records: Vec<_> = (0..LARGE).map(mixed).collect();
    let misfit_count = misfits().count();
    for form in [Form::Lines, Form::Array] {
        let (site, page) = (Folder::new(), form.page(&records));
        let large = form.name("large");
        site.write(&large, &page);
        site.write("small.json", small_page(form));
        let cut = form.offsets(&records)[3_300] + 700;
        let server = Server::over(site.root());
        let input = Folder::new();
        server.list(
            &input,
            &["small.json".to_owned(), format!("{large}?cut={cut}"), format!("{large}?cut={cut}&chunked=1")],
        );
        let options = format!("{DISCARD_VALUE} --memory 64MiB --retry 0 {}", form.options());
        let (outcome, output) = apply(mixed_schema(), &input, &options, 3);
        assert_eq!(outcome.count("/pages/failed"), 2);
        assert_eq!(counts(&outcome), [1, 1, 0, 1]);
        let lines = output.json_lines(REJECTS);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line["value_discarded"] == true).count(), 1);

        server.list(&input, &[format!("{large}?cut={cut}&times=1")]);
        let options = format!("{DISCARD_VALUE} --memory 64MiB --retry 2 {}", form.options());
        let (outcome, output) = apply(mixed_schema(), &input, &options, 0);
        assert_eq!(outcome.count("/requests/retried"), 1);
        assert_eq!(counts(&outcome), [LARGE as u64, LARGE as u64, 0, misfit_count as u64]);
        let lines = output.json_lines(REJECTS);
        assert_eq!(lines.len(), misfit_count);
        for (line, (record, pointer, value)) in lines.iter().zip(misfits()) {
            check_discarded(line, record, pointer, &value);
        }
    }
}

/// A page of one record with a value that does not fit.
fn small_page(form: Form) -> String {
    form.page(&["{\"id\":true,\"text\":\"small\"}".to_owned()])
}

#[test]
fn features_under_a_contract_are_those_without_one() {
    let body = r#"{"id":1,"values":[1,2.5,null],"m":{"v":[3,"4"]}}
{"id":2,"values":["1.5"," 2 ","NaN"]}
{"id":3,"values":[]}
{"id":4,"values":null,"m":null}
{"id":5}
"#;
    let site = lines(body);
    let options = "--values values --values v=/m/v --features count,mean,variance,null_count";
    let schema =
        toml(&[("id", "int64"), ("values", "list<double>"), ("m", "struct"), ("m.v", "list<double>")]);
    let expected = run_plainly(&site, options, 0);
    for contract in [FREEZE, DISCARD_ROW, DISCARD_VALUE] {
        let (outcome, output) = apply(&schema, &site, &format!("{options} {contract}"), 0);
        assert_eq!(table(&output), expected, "{contract}");
        assert_eq!(counts(&outcome), [5, 5, 0, 0], "{contract}");
    }
}

#[test]
fn value_that_can_not_be_summarised_is_told_once() {
    let schema = toml(&[("id", "int64"), ("values", "list<double>")]);
    for wrong in ["[1,{}]", "[1,\"x\"]", "7", "{}", "[9007199254740993]"] {
        let body = format!("{{\"id\":1,\"values\":[1,2]}}\n{{\"id\":2,\"values\":{wrong}}}\n");
        // Rejected as without a contract, or discarded as this one has it: but told, and once.
        let output = Folder::new();
        let outcome = run_into(&output, &schema, &lines(&body), DISCARD_VALUE);
        let code = outcome.code;
        let outcome = outcome.exits(code);
        let [seen, _, rejected, discarded] = counts(&outcome);
        assert_eq!((seen, rejected + discarded), (2, 1), "{wrong}");
        assert_eq!(code, if rejected == 1 { 3 } else { 0 }, "{wrong}");
        let lines_found = output.json_lines(REJECTS);
        assert_eq!(lines_found.len(), 1, "{wrong}");
        assert!(lines_found[0]["pointer"].as_str().unwrap().starts_with("/values"), "{lines_found:?}");

        let (outcome, output) = apply_to_lines(&schema, &body, DISCARD_ROW, 3);
        assert_eq!(counts(&outcome), [2, 1, 1, 0], "{wrong}");
        assert_eq!(table(&output).column("values_count"), [json!(2)]);
    }
}

#[test]
fn nonfinite_numbers_are_rejected_under_a_contract_where_that_is_asked_for() {
    let schema = toml(&[("id", "int64"), ("values", "list<double>")]);
    let body = "{\"id\":1,\"values\":[1,\"inf\"]}\n{\"id\":\"x\",\"values\":[1,3]}\n";
    let (outcome, output) =
        apply_to_lines(&schema, body, &format!("{DISCARD_VALUE} --on-nonfinite reject"), 3);
    assert_eq!(counts(&outcome), [2, 1, 1, 1]);
    assert_eq!(table(&output).column("values_mean"), [json!(2.0)]);
    let lines = output.json_lines(REJECTS);
    check_rejected(&lines[0], 0, "/values/1", "{\"id\":1,\"values\":[1,\"inf\"]}");
    check_discarded(&lines[1], 1, "/id", "\"x\"");
}

#[test]
fn computed_columns_follow_those_of_the_schema() {
    let schema = toml(&[("values", "list<double>"), ("gone", "string"), ("id", "int64")]);
    let site = lines("{\"id\":1,\"values\":[1,3]}\n{\"id\":\"x\"}\n{\"id\":3}\n");
    let expected =
        ["values", "gone", "id", "values_count", "values_mean", "_etl_url", "_etl_page", "_etl_record"];
    let options = "--provenance --features count,mean";
    let (_, output) = apply(&schema, &site, &format!("{options} {DISCARD_VALUE}"), 0);
    assert_eq!(table(&output).names(), expected);
    assert_eq!(table(&output).column("_etl_record"), [0, 1, 2].map(|record| json!(record)));
    let (_, output) = apply(&schema, &site, &format!("{options} {DISCARD_ROW}"), 3);
    assert_eq!(table(&output).names(), expected);
    assert_eq!(table(&output).column("_etl_record"), [0, 2].map(|record| json!(record)));
}

#[test]
fn footer_records_the_contract() {
    let site = lines("{\"id\":1}\n");
    let options_of = |output: &Folder| {
        let file = File::open(output.path("out.parquet")).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let pairs = builder.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let options = pairs.into_iter().find(|pair| pair.key == "etl.options").unwrap();
        options.value.unwrap()
    };
    for contract in ["evolve", "freeze", "discard_row", "discard_value"] {
        let (_, output) = apply(toml(&[("id", "int64")]), &site, &format!("--schema-contract {contract}"), 0);
        let options = options_of(&output);
        assert!(serde_json::from_str::<Value>(&options).unwrap().is_object(), "{options}");
        assert!(options.contains(&format!("\"{contract}\"")), "{options}");
    }
}

#[test]
fn what_becomes_of_a_record_does_not_depend_on_those_around_it() {
    let schema = toml(&[("id", "int64"), ("b", "bool"), ("t", "timestamp[us, UTC]")]);
    let records = [
        r#"{"id":1,"b":"\ud800"}"#,
        r#"{"id":2}"#,
        r#"{"id":3,"zz":1e999}"#,
        r#"{"id":4,"zz":1}"#,
        r#"{"id":5,"b":[5],"t":"2026-01-01T00:00:00Z"}"#,
        r#"{"id":6,"t":"2026-01-01T00:00:00+00:00"}"#,
        r#"{"id":7,"b":1e999}"#,
        "7",
    ];
    for contract in [DISCARD_ROW, DISCARD_VALUE] {
        for fields in ["", " --drop /b/q"] {
            let options = format!("{contract}{fields}");
            let one = lines(records.join("\n"));
            let names: Vec<_> = (0..records.len()).map(|page| format!("{page}.ndjson")).collect();
            let pages: Vec<_> =
                names.iter().zip(records).map(|(name, record)| (name.as_str(), record)).collect();
            let many = Folder::with_pages(&pages);
            let outputs = [&one, &many].map(|site| {
                let output = Folder::new();
                let outcome = run_into(&output, &schema, site, &options).exits(3);
                let rejects = output.json_lines(REJECTS);
                let told: Vec<_> =
                    rejects.iter().map(|line| (line["pointer"].clone(), line["reason"].clone())).collect();
                (counts(&outcome), table(&output).rows, told)
            });
            assert_eq!(outputs[0], outputs[1], "{options}");
        }
    }
}

#[test]
fn record_with_too_many_values_that_do_not_fit_is_rejected() {
    let schema = toml(&[("id", "int64"), ("b", "list<bool>")]);
    let list = |count| format!("{{\"id\":1,\"b\":[{}]}}", vec!["1"; count].join(","));
    let (outcome, output) =
        apply_to_lines(&schema, &format!("{}\n{}\n", list(10_000), list(10_001)), DISCARD_VALUE, 3);
    assert_eq!(counts(&outcome), [2, 1, 1, 10_000]);
    let lines = output.json_lines(REJECTS);
    let rejected = lines.last().unwrap();
    assert_eq!(
        (&rejected["pointer"], rejected["reason"].as_str().unwrap()),
        (&json!("/b/0"), "expected bool, got 1; 1 more values do not fit, too many for one record")
    );
}

#[test]
fn discarded_value_is_kept_as_it_was_served_beside_keys_that_stand_twice() {
    let schema = toml(&[("id", "int64")]);
    let body = r#"{"id":1,"id":2,"new":{"a" : 1, "a":2},"list":[ {"x": 1,"x":2} ]}"#;
    let (_, output) = apply_to_lines(&schema, body, DISCARD_VALUE, 0);
    let raws: Vec<_> = output.json_lines(REJECTS).iter().map(|line| line["raw"].clone()).collect();
    assert_eq!(raws, [json!(r#"{"a" : 1, "a":2}"#), json!(r#"[ {"x": 1,"x":2} ]"#)]);
    assert_eq!(table(&output).column("id"), [json!(2)]);
}

#[test]
fn text_column_holds_objects_of_any_width() {
    let members = |count: usize, value: &str| {
        let members: Vec<_> = (100..100 + count).map(|key| format!("\"k{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let wide = members(60, &members(60, "{\"x\":1,\"y\":[2]}"));
    let body = format!("{{\"t\":{wide}}}\n{{\"t\":5}}\n{{\"t\":\"five\"}}\n");
    for contract in [FREEZE, DISCARD_ROW, DISCARD_VALUE, "--schema-contract evolve"] {
        let (_, output) = apply_to_lines(&toml(&[("t", "string")]), &body, contract, 0);
        assert_eq!(table(&output).column("t"), [json!(wide), json!("5"), json!("five")], "{contract}");
    }
}

#[test]
fn frozen_schema_names_no_key_where_none_is_to_be_shown() {
    let site = lines("{\"alice@example.org\":\"SECRET\"}\n");
    let output = Folder::new();
    let options = format!("{FREEZE} --rejects-raw none");
    let outcome = run_into(&output, toml(&[("id", "int64")]), &site, &options).exits(4);
    assert!(outcome.stderr.contains("expected no such field"), "{}", outcome.stderr);
    assert_hidden(&outcome, &output, "alice");
}

#[test]
fn results_of_a_filter_are_held_to_the_schema() {
    let schema = toml(&[("id", "int64"), ("b", "bool")]);
    let site = lines("{\"ids\":[1,\"x\",3],\"b\":true}\n{\"ids\":[],\"b\":1}\n{\"ids\":[4],\"b\":null}\n");
    let run = |contract: &str, code: i32| {
        let output = Folder::new();
        let path = site.write("schema.toml", &schema);
        let run = Etl::between(&site, &output).arg("--schema").arg(path).with(contract);
        let outcome = run.arg("--jq").arg("{id: .ids[], b}").run().exits(code);
        (outcome, output)
    };
    let (outcome, output) = run(DISCARD_VALUE, 0);
    assert_eq!(table(&output).column("id"), [json!(1), json!(null), json!(3), json!(4)]);
    assert_eq!(output.json_lines(REJECTS)[0]["raw"], "\"x\"");
    assert_eq!(
        ["seen", "kept", "rejected", "filtered", "written"]
            .map(|of| outcome.count(&format!("/records/{of}"))),
        [3, 2, 0, 1, 4]
    );
    let (outcome, output) = run(DISCARD_ROW, 3);
    assert_eq!(table(&output).column("id"), [json!(4)], "all results of a record are rejected with one");
    assert_eq!(
        ["seen", "kept", "rejected", "filtered", "written"]
            .map(|of| outcome.count(&format!("/records/{of}"))),
        [3, 1, 1, 1, 1]
    );
    let (outcome, _) = run(FREEZE, 4);
    assert!(outcome.stderr.contains("/id: expected int64, got a string"), "{}", outcome.stderr);
}
