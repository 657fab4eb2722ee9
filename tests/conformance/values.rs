//! What a list of numbers may hold, what rejects its record, and where the fault is said to be.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use etl::config::{Feature, FeatureConfig, FieldPath, OnNonfinite, TransformConfig, ValuesField};
use etl::model::{DeclaredForm, PageBatch};
use etl::schema::ColumnType;

use crate::page::{checked, page, raw, transform};

fn config(paths: &[FieldPath], on_nonfinite: OnNonfinite) -> TransformConfig {
    let fields = paths.iter().map(|path| ValuesField { name: path.shown(), path: path.clone() }).collect();
    let features = FeatureConfig {
        fields,
        fields_are_explicit: true,
        features: vec![Feature::Count, Feature::Mean, Feature::Min, Feature::Max],
        on_nonfinite,
    };
    TransformConfig { features: features.into(), ..TransformConfig::default() }
}

fn key(name: &str) -> FieldPath {
    FieldPath::Key(name.into())
}

fn pointer(tokens: &[&str]) -> FieldPath {
    FieldPath::Pointer(tokens.iter().map(|token| (*token).to_owned()).collect())
}

fn decode_with(lines: &[&str], config: &TransformConfig) -> PageBatch {
    checked(transform(&page(lines.join("\n"), DeclaredForm::Ndjson), config))
        .expect("lines do not fail a page")
}

fn decode(lines: &[&str]) -> PageBatch {
    decode_with(lines, &config(&[key("values")], OnNonfinite::Skip))
}

/// Count and mean of a row; `None` where the feature is null.
type Summary = (Option<i64>, Option<f64>);

fn summaries_of(batch: &PageBatch, field: usize) -> Vec<Summary> {
    let columns = &batch.features[field].columns;
    if !batch.features[field].is_seen {
        assert!(columns.is_empty(), "a field that no record has needs no columns");
        return vec![(None, None); batch.row_count];
    }
    let (count, mean) = (columns[0].as_primitive::<Int64Type>(), columns[1].as_primitive::<Float64Type>());
    assert!(columns.iter().all(|column| column.len() == batch.row_count));
    (0..batch.row_count)
        .map(|row| {
            let count = count.is_valid(row).then(|| count.value(row));
            let mean = mean.is_valid(row).then(|| mean.value(row));
            for bound in &columns[2..] {
                assert_eq!(bound.is_valid(row), mean.is_some(), "row {row}: a bound without a mean");
            }
            (count, mean)
        })
        .collect()
}

fn summaries(batch: &PageBatch) -> Vec<Summary> {
    summaries_of(batch, 0)
}

/// The elements of the list in this row, NaN and -0 told apart.
fn list_of(batch: &PageBatch, name: &str, row: usize) -> Option<Vec<String>> {
    let place =
        batch.shape.fields.iter().position(|(field, _)| **field == *name).expect("the column is there");
    let of = batch.shape.fields[place].1.column_type();
    assert_eq!(of, ColumnType::List(Box::new(ColumnType::Double)), "{name}");
    let column = batch.columns[place].to_array();
    let list = column.as_list::<i32>();
    list.is_valid(row).then(|| {
        let elements = list.value(row);
        let doubles = elements.as_primitive::<Float64Type>();
        doubles.iter().map(|value| value.map_or("null".into(), |value| format!("{value:?}"))).collect()
    })
}

fn text_column(batch: &PageBatch, name: &str) -> Vec<Option<String>> {
    let place =
        batch.shape.fields.iter().position(|(field, _)| **field == *name).expect("the column is there");
    let of = batch.shape.fields[place].1.column_type();
    assert!(matches!(of, ColumnType::Text(_)), "{name} is {of:?}");
    batch.columns[place].to_array().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn lists_that_are_right_are_kept_as_doubles_and_summarised() {
    let infinity = "inf";
    let cases: &[(&str, &[&str], Summary)] = &[
        ("[]", &[], (Some(0), None)),
        ("[1]", &["1.0"], (Some(1), Some(1.0))),
        ("[1,2.5,-3e0]", &["1.0", "2.5", "-3.0"], (Some(3), Some(0.5 / 3.0))),
        (r#"["1.5"]"#, &["1.5"], (Some(1), Some(1.5))),
        (r#"[" 2 "]"#, &["2.0"], (Some(1), Some(2.0))),
        (r#"["+4",".5","5.","1e2"]"#, &["4.0", "0.5", "5.0", "100.0"], (Some(4), Some(27.375))),
        (r#"["\u0031"]"#, &["1.0"], (Some(1), Some(1.0))),
        (r#"["NaN",1]"#, &["NaN", "1.0"], (Some(1), Some(1.0))),
        (
            r#"["nan","inf","-inf","Infinity","+infinity",3]"#,
            &["NaN", infinity, "-inf", infinity, infinity, "3.0"],
            (Some(1), Some(3.0)),
        ),
        (r#"["-inf"]"#, &["-inf"], (Some(0), None)),
        ("[null]", &["null"], (Some(0), None)),
        ("[null,4,null]", &["null", "4.0", "null"], (Some(1), Some(4.0))),
        (r#"[null,"NaN"]"#, &["null", "NaN"], (Some(0), None)),
        ("[-0.0]", &["-0.0"], (Some(1), Some(0.0))),
        ("[-0]", &["-0.0"], (Some(1), Some(0.0))),
        ("[9007199254740992]", &["9007199254740992.0"], (Some(1), Some(9_007_199_254_740_992.0))),
        ("[9007199254740994]", &["9007199254740994.0"], (Some(1), Some(9_007_199_254_740_994.0))),
        ("[18446744073709551616]", &["1.8446744073709552e19"], (Some(1), Some(18_446_744_073_709_551_616.0))),
        ("[-9223372036854775808]", &["-9.223372036854776e18"], (Some(1), Some(-9_223_372_036_854_775_808.0))),
        ("[1e308]", &["1e308"], (Some(1), Some(1e308))),
        ("[123e-10000000]", &["0.0"], (Some(1), Some(0.0))),
        ("[0.1,5e-324]", &["0.1", "5e-324"], (Some(2), Some(0.05))),
        (" [ 1 , 2 ] ", &["1.0", "2.0"], (Some(2), Some(1.5))),
    ];
    for (list, elements, summary) in cases {
        let line = format!(r#"{{"id":1,"values":{list}}}"#);
        let batch = decode(&[r#"{"id":0,"values":[7]}"#, &line, r#"{"id":2,"values":[9,11]}"#]);
        assert!(batch.rejects.is_empty(), "{list}: {:?}", batch.rejects);
        let expected = [(Some(1), Some(7.0)), *summary, (Some(2), Some(10.0))];
        assert_eq!(summaries(&batch), expected, "{list}");
        assert_eq!(list_of(&batch, "values", 1).unwrap(), *elements, "{list}");
        assert_eq!(list_of(&batch, "values", 2).unwrap(), ["9.0", "11.0"], "{list}");
    }
}

#[test]
fn an_integer_of_a_thousand_bits_is_taken_if_a_double_holds_it() {
    let digits = format!("{:.0}", 2_f64.powi(1000));
    let batch = decode(&[&format!(r#"{{"values":[{digits}]}}"#)]);
    assert_eq!(summaries(&batch), [(Some(1), Some(2_f64.powi(1000)))]);
}

#[test]
fn absent_and_null_lists_have_no_features_at_all() {
    let batch = decode(&[r#"{"id":1}"#, r#"{"values":null}"#, "{}", r#"{"values":[]}"#, r#"{"values":[2]}"#]);
    let nothing = (None, None);
    assert_eq!(summaries(&batch), [nothing, nothing, nothing, (Some(0), None), (Some(1), Some(2.0))]);
    assert!(batch.features[0].is_seen);
    assert_eq!(list_of(&batch, "values", 0), None);
    assert_eq!(list_of(&batch, "values", 1), None);
    assert_eq!(list_of(&batch, "values", 3), Some(Vec::new()));
}

#[test]
fn a_field_that_no_record_has_is_not_seen() {
    let batch = decode(&[r#"{"id":1}"#, r#"{"value":[1]}"#]);
    assert!(!batch.features[0].is_seen);
    assert_eq!(summaries(&batch), [(None, None), (None, None)]);
}

/// Checks that each list rejects its record at the given place, with a reason that begins and ends so.
fn check_refused(cases: &[(&str, &str, &str)]) {
    for (values, at, reason) in cases {
        let line = format!(r#"{{"id":1,"values":{values},"more":[1]}}"#);
        let batch = decode(&[r#"{"id":0,"values":[7]}"#, &line, r#"{"id":2,"values":[9,11]}"#]);
        assert_eq!(batch.rejects.len(), 1, "{values} was taken: {batch:?}");
        let reject = &batch.rejects[0];
        assert_eq!(reject.record, 1, "{values}");
        assert_eq!(reject.byte_offset, 22, "{values}");
        assert_eq!(raw(reject), line.as_bytes(), "{values}");
        assert_eq!(reject.pointer, *at, "{values}: {}", reject.reason);
        assert!(reject.reason.starts_with(reason), "{values}: {}", reject.reason);
        assert_eq!(summaries(&batch), [(Some(1), Some(7.0)), (Some(2), Some(10.0))], "{values}");
        assert_eq!(list_of(&batch, "values", 1).unwrap(), ["9.0", "11.0"], "{values}");
        assert!(!batch.shape.fields.iter().any(|(name, _)| &**name == "more"), "{values} left a trace");
    }
}

#[test]
fn an_element_that_is_no_number_rejects_its_record_and_is_named() {
    check_refused(&[
        ("[1,2,3,{}]", "/values/3", "expected a number, got an object"),
        (r#"[{"a":[1]}]"#, "/values/0", "expected a number, got an object"),
        ("[[1]]", "/values/0", "expected a number, got "),
        ("[1,[]]", "/values/1", "expected a number, got "),
        ("[true]", "/values/0", "expected a number, got "),
        ("[null,false]", "/values/1", "expected a number, got "),
        (r#"[1,2,"n/a"]"#, "/values/2", r#"expected a number, got "n/a""#),
        (r#"[""]"#, "/values/0", "expected a number, got "),
        (r#"[" "]"#, "/values/0", "expected a number, got "),
        (r#"["1 2"]"#, "/values/0", "expected a number, got "),
        (r#"["1,5"]"#, "/values/0", "expected a number, got "),
        (r#"["0x10"]"#, "/values/0", "expected a number, got "),
        (r#"["1_000"]"#, "/values/0", "expected a number, got "),
        (r#"["null"]"#, "/values/0", "expected a number, got "),
        (r#"["\u00a02"]"#, "/values/0", "expected a number, got "),
        (r#"["\uff11"]"#, "/values/0", "expected a number, got "),
    ]);
}

#[test]
fn a_number_that_no_double_holds_rejects_its_record_and_is_named() {
    let digits_400 = format!("[1,{}]", "9".repeat(400));
    let power_of_ten = format!("[1{}]", "0".repeat(300));
    check_refused(&[
        ("[9007199254740993]", "/values/0", "expected a number that a double can hold, got 9007199254740993"),
        ("[0,-9007199254740993]", "/values/1", "expected a number"),
        ("[9223372036854775807]", "/values/0", "expected a number"),
        ("[18446744073709551615]", "/values/0", "expected a number"),
        ("[18446744073709551617]", "/values/0", "expected a number"),
        (&digits_400, "/values/1", "expected a number"),
        (&power_of_ten, "/values/0", "expected a number"),
        ("[1e999]", "/values/0", "expected a number"),
        ("[1,-1e309]", "/values/1", "expected a number"),
    ]);
}

#[test]
fn a_field_that_is_neither_a_list_nor_null_rejects_its_record() {
    for (value, got) in [
        ("1", "a number"),
        ("1.5", "a number"),
        ("{}", "an object"),
        (r#"{"0":1}"#, "an object"),
        ("\"\"", "a string"),
        (r#""[1,2]""#, "a string"),
        ("true", ""),
        ("false", ""),
    ] {
        check_refused(&[(value, "/values", "expected ")]);
        let batch = decode(&[&format!(r#"{{"values":{value}}}"#)]);
        let reason = &batch.rejects[0].reason;
        assert!(reason.contains("list") && reason.contains(&format!("got {got}")), "{value}: {reason}");
    }
}

#[test]
fn faults_that_any_field_may_have_are_faults_of_a_list_too() {
    let too_deep = format!("[1,{}{}]", "[".repeat(126), "]".repeat(126));
    check_refused(&[
        (r#"["\ud800"]"#, "/values/0", "expected "),
        (r#"[1,{"a":"\ud800"}]"#, "/values/1", "expected "),
        (&too_deep, "/values/1", "expected "),
    ]);
}

#[test]
fn only_the_last_of_two_lists_counts() {
    let batch = decode(&[
        r#"{"values":[true],"values":[1]}"#,
        r#"{"values":7,"values":[2],"id":1}"#,
        r#"{"values":{"a":1},"values":null}"#,
        r#"{"values":[5,6],"values":[]}"#,
        r#"{"values":[5],"v\u0061lues":[3,5]}"#,
        r#"{"values":[1],"values":[true]}"#,
        r#"{"values":[1],"values":"x"}"#,
    ]);
    let expected =
        [(Some(1), Some(1.0)), (Some(1), Some(2.0)), (None, None), (Some(0), None), (Some(2), Some(4.0))];
    assert_eq!(summaries(&batch), expected);
    let refused: Vec<_> =
        batch.rejects.iter().map(|reject| (reject.record, reject.pointer.as_str())).collect();
    assert_eq!(refused, [(5, "/values/0"), (6, "/values")]);
    assert_eq!(batch.duplicate_key_count, 5);
}

#[test]
fn nonfinite_values_are_skipped_kept_or_refused_as_asked() {
    let lines = [r#"{"values":[1,"inf"]}"#, r#"{"values":[2]}"#, r#"{"values":[null,3,"NaN"]}"#];
    let of = |mode| decode_with(&lines, &config(&[key("values")], mode));
    let skipped = of(OnNonfinite::Skip);
    assert_eq!(summaries(&skipped), [(Some(1), Some(1.0)), (Some(1), Some(2.0)), (Some(1), Some(3.0))]);
    let kept = summaries(&of(OnNonfinite::Keep));
    assert_eq!(kept.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [Some(2), Some(1), Some(2)]);
    assert!(kept[2].1.is_none_or(f64::is_nan), "{kept:?}");
    let refused = of(OnNonfinite::Reject);
    assert_eq!(summaries(&refused), [(Some(1), Some(2.0))]);
    let places: Vec<_> =
        refused.rejects.iter().map(|reject| (reject.record, reject.pointer.as_str())).collect();
    assert_eq!(places, [(0, "/values/1"), (2, "/values/2")]);
}

#[test]
fn a_key_is_taken_as_it_stands_and_a_pointer_is_followed() {
    let lines = [
        r#"{"id.orig_h":[1],"a/b":[2],"a":{"b":[3]},"m~n":{"x/y":[4]}}"#,
        r#"{"id":{"orig_h":[9]},"a":{"b":null},"m~n":{}}"#,
        r#"{"a":null,"m~n":null}"#,
    ];
    let paths =
        [key("id.orig_h"), key("a/b"), pointer(&["a", "b"]), pointer(&["m~n", "x/y"]), pointer(&["a", "zz"])];
    let batch = decode_with(&lines, &config(&paths, OnNonfinite::Skip));
    assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
    for (field, mean) in [1.0, 2.0, 3.0, 4.0].into_iter().enumerate() {
        let expected = [(Some(1), Some(mean)), (None, None), (None, None)];
        assert_eq!(summaries_of(&batch, field), expected, "{}", paths[field].shown());
        assert!(batch.features[field].is_seen);
    }
    assert_eq!(summaries_of(&batch, 4), [(None, None); 3]);
    assert!(!batch.features[4].is_seen);
}

#[test]
fn a_fault_behind_a_pointer_is_named_by_the_whole_way() {
    let batch = decode_with(
        &[r#"{"m~n":{"x/y":[1,{}]}}"#, r#"{"m~n":{"x/y":true}}"#, r#"{"m~n":{"x/y":[1]}}"#],
        &config(&[pointer(&["m~n", "x/y"])], OnNonfinite::Skip),
    );
    let places: Vec<_> = batch.rejects.iter().map(|reject| reject.pointer.as_str()).collect();
    assert_eq!(places, ["/m~0n/x~1y/1", "/m~0n/x~1y"]);
    assert_eq!(batch.rejects[0].reason, "expected a number, got an object");
    assert_eq!(summaries(&batch), [(Some(1), Some(1.0))]);
}

#[test]
fn lists_in_an_object_that_became_text_are_still_summarised_and_judged() {
    let object = r#"{"a":{"b":[1,3],"c":"x"},"id":0}"#;
    let text = r#"{"a":"s","id":1}"#;
    let later = r#"{"a":{"b":[null,"5"],"c":"y"},"id":2}"#;
    let wrong = r#"{"a":{"c":"z","b":[1,true]},"id":3}"#;
    let config = config(&[pointer(&["a", "b"])], OnNonfinite::Skip);
    for order in [[object, text, later, wrong], [text, object, wrong, later], [text, wrong, object, later]] {
        let batch = decode_with(&order, &config);
        let texts = text_column(&batch, "a");
        let place =
            |line: &str| order.iter().filter(|other| **other != wrong).position(|other| *other == line);
        let found = summaries(&batch);
        assert_eq!(found[place(object).unwrap()], (Some(2), Some(2.0)), "{order:?}");
        assert_eq!(found[place(text).unwrap()], (None, None), "{order:?}");
        assert_eq!(found[place(later).unwrap()], (Some(1), Some(5.0)), "{order:?}");
        assert_eq!(texts[place(object).unwrap()].as_deref(), Some(r#"{"b":[1,3],"c":"x"}"#), "{order:?}");
        assert_eq!(texts[place(text).unwrap()].as_deref(), Some("s"), "{order:?}");
        assert_eq!(batch.rejects.len(), 1, "{order:?}");
        assert_eq!(batch.rejects[0].pointer, "/a/b/1", "{order:?}");
        assert_eq!(batch.rejects[0].reason.split(", ").next(), Some("expected a number"), "{order:?}");
    }
}

/// "`text(v)` is one function, the same whether a value is decoded as text or converted later."
#[test]
fn a_list_has_one_text_whether_its_object_became_text_before_or_after() {
    let config = config(&[pointer(&["a", "b"])], OnNonfinite::Skip);
    let mut different = Vec::new();
    for list in [
        "[1,2.5,-0.0]",
        "[1.0,1e2]",
        "[null]",
        "[]",
        r#"["1.5"]"#,
        r#"[" 2 "]"#,
        r#"["NaN","-inf"]"#,
        "[18446744073709551616]",
        "[9223372036854775808]",
        "[-9223372036854775808]",
        "[36028797018963968]",
    ] {
        let object = format!(r#"{{"a":{{"b":{list}}}}}"#);
        let before = decode_with(&[r#"{"a":"s"}"#, &object], &config);
        let after = decode_with(&[&object, r#"{"a":"s"}"#], &config);
        assert!(before.rejects.is_empty() && after.rejects.is_empty(), "{list}");
        let texts = [text_column(&before, "a").remove(1), text_column(&after, "a").remove(0)];
        if texts[0] != texts[1] {
            different.push(texts);
        }
        assert_eq!(summaries(&before)[1], summaries(&after)[0], "{list}");
    }
    assert!(different.is_empty(), "decoded as text, and widened later: {different:#?}");
}

#[test]
fn the_parent_of_a_list_that_stands_twice_counts_by_its_last_value() {
    let batch = decode_with(
        &[
            r#"{"a":{"b":[1]},"a":{"b":[2]}}"#,
            r#"{"a":{"b":[1]},"a":{}}"#,
            r#"{"a":{"b":[true]},"a":{"b":[3]}}"#,
            r#"{"a":{"b":[1]},"a":null}"#,
            r#"{"a":{"b":[true]},"a":null}"#,
        ],
        &config(&[pointer(&["a", "b"])], OnNonfinite::Skip),
    );
    assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
    let nothing = (None, None);
    assert_eq!(summaries(&batch), [(Some(1), Some(2.0)), nothing, (Some(1), Some(3.0)), nothing, nothing]);
}

#[test]
fn a_parent_that_is_no_object_has_no_list() {
    let batch = decode_with(
        &[r#"{"a":[{"b":[1]}]}"#, r#"{"a":7}"#, r#"{"a":{"b":[2]}}"#, r#"{"a":[]}"#, r#"{"a":true}"#],
        &config(&[pointer(&["a", "b"])], OnNonfinite::Skip),
    );
    assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
    assert_eq!(
        summaries(&batch),
        [(None, None), (None, None), (Some(1), Some(2.0)), (None, None), (None, None)]
    );
}

#[test]
fn without_features_a_list_is_a_column_like_any_other() {
    let config = TransformConfig { features: FeatureConfig::none().into(), ..TransformConfig::default() };
    let batch = decode_with(&[r#"{"values":[1]}"#, r#"{"values":"x"}"#, r#"{"values":[true]}"#], &config);
    assert!(batch.rejects.is_empty() && batch.features.is_empty());
    let texts: Vec<_> = text_column(&batch, "values").into_iter().flatten().collect();
    assert_eq!(texts, ["[1]", "x", "[true]"]);
}
