//! Columns that change from page to page: the values are those of a run that knew the types from the start.

use serde_json::{Value, json};

use crate::bench::{Etl, Folder};
use crate::table::Table;

/// Reads one column `c` out of pages that each hold one record, in tiny row groups, in middling ones and in one
/// huge one; also as elements of a single page.
#[track_caller]
fn check(values: &[&str], kind: &str, expected: &[Value]) {
    // What is absent is spelled `-`.
    let record = |(id, value): (usize, &&str)| match *value {
        "-" => format!("{{\"id\":{id}}}"),
        value => format!("{{\"id\":{id},\"c\":{value}}}"),
    };
    let records: Vec<_> = values.iter().enumerate().map(record).collect();
    let pages: Vec<_> = records.iter().enumerate().map(|(id, body)| (format!("p{id}.json"), body)).collect();
    let apart = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let together = Folder::with_pages(&[("all.json", format!("[{}]", records.join(",")))]);
    for (site, options) in [
        (&apart, "--row-group-rows 1"),
        (&apart, "--row-group-rows 2"),
        (&apart, "--row-group-rows 1000000"),
        (&together, "--row-group-rows 1"),
        (&together, "--row-group-rows 1000000"),
    ] {
        let output = Folder::new();
        let outcome = Etl::between(site, &output).with(options).run().exits(0);
        let table = Table::read(&output.path("out.parquet"));
        assert_eq!(table.column("id"), (0..values.len()).map(|id| json!(id)).collect::<Vec<_>>());
        assert_eq!(table.column("c"), expected, "{options}, {values:?}");
        assert_eq!(table.type_of("c"), kind, "{options}, {values:?}");
        assert_eq!(outcome.count("/records/written"), values.len() as u64);
    }
}

#[test]
fn late_column_is_null_before_it_came() {
    check(&["-", "-", "7", "-"], "int64", &[json!(null), json!(null), json!(7), json!(null)]);
}

#[test]
fn integers_become_doubles() {
    check(&["1", "-3", "2.5", "4"], "double", &[json!(1.0), json!(-3.0), json!(2.5), json!(4.0)]);
}

#[test]
fn integers_beyond_2_to_53_and_doubles_become_text_without_loss() {
    check(&["9007199254740993", "0.1"], "string", &[json!("9007199254740993"), json!("0.1")]);
    check(&["0.5", "9007199254740993"], "string", &[json!("0.5"), json!("9007199254740993")]);
    check(&["1", "18446744073709551615"], "string", &[json!("1"), json!("18446744073709551615")]);
    check(
        &["123456789012345678901234567890", "2"],
        "string",
        &[json!("123456789012345678901234567890"), json!("2")],
    );
}

#[test]
fn integers_at_2_to_53_still_become_doubles() {
    check(&["9007199254740992", "0.5"], "double", &[json!(9_007_199_254_740_992.0), json!(0.5)]);
}

#[test]
fn numbers_and_strings_become_text() {
    check(&["1", "\"a\""], "string", &[json!("1"), json!("a")]);
    check(&["\"a\"", "1"], "string", &[json!("a"), json!("1")]);
    check(&["2.50", "3.0", "\"1\""], "string", &[json!("2.5"), json!("3"), json!("1")]);
    check(&["1", "2.5", "\"x\"", "4"], "string", &[json!("1"), json!("2.5"), json!("x"), json!("4")]);
}

#[test]
fn bools_against_anything_become_text() {
    check(&["true", "1", "false"], "string", &[json!("true"), json!("1"), json!("false")]);
    check(&["\"a\"", "true"], "string", &[json!("a"), json!("true")]);
    check(&["[1]", "true"], "string", &[json!("[1]"), json!("true")]);
}

#[test]
fn timestamps_given_back_as_text_are_what_they_were() {
    let (z, offset) = ("2026-01-02T03:04:05.120Z", "2026-01-02T03:04:05+00:00");
    check(&[&format!("{z:?}"), "\"soon\""], "string", &[json!(z), json!("soon")]);
    check(&[&format!("{offset:?}"), "5"], "string", &[json!(offset), json!("5")]);
    check(&[&format!("{z:?}"), &format!("{offset:?}")], "string", &[json!(z), json!(offset)]);
}

#[test]
fn timestamps_of_one_form_stay_timestamps() {
    check(
        &["\"1970-01-01T00:00:01.5Z\"", "null", "\"1970-01-01T00:00:02.25Z\"", "\"1970-01-01T00:00:03Z\""],
        "timestamp[us, UTC]",
        &[json!(1_500_000), json!(null), json!(2_250_000), json!(3_000_000)],
    );
}

#[test]
fn timestamps_with_more_than_six_digits_are_nanoseconds() {
    check(
        &["\"1970-01-01T00:00:01.5Z\"", "null", "\"1970-01-01T00:00:02.123456789Z\""],
        "timestamp[ns, UTC]",
        &[json!(1_500_000_000), json!(null), json!(2_123_456_789)],
    );
    // No nanosecond of 64 bits is so late, so that only text can give both back.
    let (late, fine) = ("9999-12-31T23:59:59.5Z", "1970-01-01T00:00:02.123456789Z");
    check(&[&format!("{late:?}"), &format!("{fine:?}")], "string", &[json!(late), json!(fine)]);
    check(&[&format!("{fine:?}"), "{}"], "string", &[json!(fine), json!("{}")]);
    check(
        &["{\"t\":\"1970-01-01T00:00:00.5Z\"}", "{\"t\":\"1970-01-01T00:00:00.0000001Z\"}", "7"],
        "string",
        &[
            json!("{\"t\":\"1970-01-01T00:00:00.5Z\"}"),
            json!("{\"t\":\"1970-01-01T00:00:00.0000001Z\"}"),
            json!("7"),
        ],
    );
}

#[test]
fn null_only_column_takes_the_type_that_comes() {
    check(&["null", "-", "7"], "int64", &[json!(null), json!(null), json!(7)]);
    check(&["null", "[\"a\"]"], "list<string>", &[json!(null), json!(["a"])]);
    check(&["null", "{\"a\":1}"], "struct<a: int64>", &[json!(null), json!({"a": 1})]);
    check(&["null", "null"], "string", &[json!(null), json!(null)]);
}

#[test]
fn empty_lists_and_objects_take_the_type_that_comes() {
    check(&["[]", "[1]", "[]"], "list<int64>", &[json!([]), json!([1]), json!([])]);
    check(
        &["[]", "[null]", "[{\"a\":true}]"],
        "list<struct<a: bool>>",
        &[json!([]), json!([null]), json!([{"a": true}])],
    );
    check(&["[]", "[]"], "list<string>", &[json!([]), json!([])]);
    check(&["{}", "{\"a\":1}"], "struct<a: int64>", &[json!({"a": null}), json!({"a": 1})]);
    check(&["{}", "{}"], "string", &[json!("{}"), json!("{}")]);
    check(&["[]", "\"x\""], "string", &[json!("[]"), json!("x")]);
    check(&["{}", "3"], "string", &[json!("{}"), json!("3")]);
}

#[test]
fn elements_of_lists_widen_together() {
    check(&["[1]", "[2.5,null]"], "list<double>", &[json!([1.0]), json!([2.5, null])]);
    check(&["[1,2]", "[\"x\"]"], "list<string>", &[json!(["1", "2"]), json!(["x"])]);
    check(&["[1,\"x\",null]", "[[2]]"], "list<string>", &[json!(["1", "x", null]), json!(["[2]"])]);
    check(&["[[1]]", "[[0.5],[]]"], "list<list<double>>", &[json!([[1.0]]), json!([[0.5], []])]);
}

#[test]
fn objects_grow_members_of_any_page() {
    check(
        &["{\"a\":1}", "{\"b\":[true]}", "{\"a\":1.5}"],
        "struct<a: double, b: list<bool>>",
        &[json!({"a": 1.0, "b": null}), json!({"a": null, "b": [true]}), json!({"a": 1.5, "b": null})],
    );
    check(
        &["{\"o\":{\"x\":1}}", "{\"o\":{\"x\":\"y\"}}"],
        "struct<o: struct<x: string>>",
        &[json!({"o": {"x": "1"}}), json!({"o": {"x": "y"}})],
    );
}

#[test]
fn object_against_text_is_compact_json_with_sorted_keys_and_no_nulls() {
    check(
        &["{\"z\": 1, \"n\": null, \"b\": \"x\"}", "\"t\""],
        "string",
        &[json!("{\"b\":\"x\",\"z\":1}"), json!("t")],
    );
    check(
        &["\"t\"", "{\"z\": 1, \"n\": null, \"b\": \"x\"}"],
        "string",
        &[json!("t"), json!("{\"b\":\"x\",\"z\":1}")],
    );
    check(&["{\"a\":1}", "[1]"], "string", &[json!("{\"a\":1}"), json!("[1]")]);
}

#[test]
fn members_that_late_pages_add_leave_no_trace_in_the_text_of_early_ones() {
    check(
        &["{\"b\":1}", "{\"a\":[{\"y\":2,\"x\":null}]}", "5"],
        "string",
        &[json!("{\"b\":1}"), json!("{\"a\":[{\"y\":2}]}"), json!("5")],
    );
}

#[test]
fn number_and_string_of_one_member_stay_apart_when_the_object_becomes_text() {
    check(
        &["{\"m\":1}", "{\"m\":\"x\"}", "{\"m\":\"1\"}", "5"],
        "string",
        &[json!("{\"m\":1}"), json!("{\"m\":\"x\"}"), json!("{\"m\":\"1\"}"), json!("5")],
    );
    check(
        &["{\"m\":1}", "{\"m\":2.5}", "\"t\"", "{\"m\":3.0}"],
        "string",
        &[json!("{\"m\":1}"), json!("{\"m\":2.5}"), json!("t"), json!("{\"m\":3}")],
    );
    check(
        &["[1,\"1\"]", "[true,{\"k\":\"v\"}]", "7"],
        "string",
        &[json!("[1,\"1\"]"), json!("[true,{\"k\":\"v\"}]"), json!("7")],
    );
}

#[test]
fn timestamps_inside_an_object_that_becomes_text_are_what_they_were() {
    check(
        &["{\"t\":\"2026-01-02T03:04:05.100Z\"}", "1"],
        "string",
        &[json!("{\"t\":\"2026-01-02T03:04:05.100Z\"}"), json!("1")],
    );
}

#[test]
fn rejected_record_leaves_no_trace_in_columns_or_types() {
    let page =
        "{\"a\":1}\n{\"late\":5,\"a\":\"x\",\"values\":3}\n{\"other\":{\"x\":[1]},\"a\":tru}\n{\"a\":2}\n";
    let site = Folder::with_pages(&[("p.ndjson", page)]);
    let output = Folder::new();
    Etl::between(&site, &output).run().exits(3);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.columns, [("a".to_owned(), "int64".to_owned())]);
    assert_eq!(table.column("a"), [json!(1), json!(2)]);
}

/// Records with an object whose keys are data, three of them each; and what its text is in the record of this id.
fn labelled(id: usize) -> (String, String) {
    let labels: Vec<_> = (0..3).map(|place| format!("\"k{:03}\":{place}", id * 3 + place)).collect();
    (format!("{{\"id\":{id},\"labels\":{{{}}}}}", labels.join(",")), format!("{{{}}}", labels.join(",")))
}

#[test]
fn object_with_too_many_keys_is_text_in_the_whole_output() {
    // The first pages are structs of three keys each; only all of them together are too many.
    let pages: Vec<_> = (0..40).map(|id| (format!("p{id:02}.json"), labelled(id).0)).collect();
    let site = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let texts: Vec<_> = (0..40).map(|id| json!(labelled(id).1)).collect();
    for (options, kind) in [
        ("", "string"),
        ("--row-group-rows 1", "string"),
        ("--row-group-rows 7 --max-object-keys 119", "string"),
        ("--nested json", "string"),
        ("--row-group-rows 7 --max-object-keys 120", "struct"),
        ("--nested struct", "struct"),
    ] {
        let output = Folder::new();
        let outcome = Etl::between(&site, &output).with(options).run().exits(0);
        let is_told = outcome.summary()["hints"].to_string().contains("/labels");
        assert_eq!(is_told, kind == "string" && options != "--nested json", "{options}");
        let table = Table::read(&output.path("out.parquet"));
        assert_eq!(table.column("id"), (0..40).map(|id| json!(id)).collect::<Vec<_>>(), "{options}");
        assert!(table.type_of("labels").starts_with(kind), "{options}: {}", table.type_of("labels"));
        if kind == "string" {
            assert_eq!(table.column("labels"), texts, "{options}");
        }
    }
}

#[test]
fn summarised_list_in_an_object_with_too_many_keys_keeps_its_features() {
    let records = (0..40)
        .map(|id| format!("{{\"id\":{id},\"m\":{{\"k{id}a\":1,\"k{id}b\":2,\"v\":[{id},{}]}}}}", id + 2));
    let site = Folder::with_pages(&[("a.ndjson", records.collect::<Vec<_>>().join("\n"))]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--values v=/m/v --features mean,count").run().exits(0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.type_of("m"), "string");
    assert_eq!(table.column("v_mean"), (1..41).map(|id| json!(f64::from(id))).collect::<Vec<_>>());
    assert_eq!(table.column("v_count"), vec![json!(2); 40]);
}
