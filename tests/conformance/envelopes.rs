//! `--records`: what it finds, what fails the page, and the hint to those who did without it.

use etl::config::TransformConfig;
use etl::model::{DeclaredForm, PageBatch, PageFault};

use crate::page::{checked, decode_plain, page, raw, transform};
use crate::records::{check, check_rows, refused};

fn decode_behind(pointer: &[&str], body: impl Into<Vec<u8>>) -> Result<PageBatch, PageFault> {
    let records = Some(pointer.iter().map(|token| (*token).to_owned()).collect());
    let config = TransformConfig { records, ..TransformConfig::default() };
    checked(transform(&page(body, DeclaredForm::Unknown), &config))
}

#[test]
fn records_are_found_behind_their_pointer() {
    let rows = "{\"a\":1}\n{\"a\":2}";
    check(decode_behind(&["Records"], r#"{"next":"x","Records":[{"a":1},{"a":2}],"n":2}"#), rows);
    check(decode_behind(&["d", "m~/n"], r#"{"d":{"x":[],"m~/n":[{"a":1},{"a":2}]}}"#), rows);
    check(decode_behind(&["d", ""], r#"{"d":{"":[{"a":1},{"a":2}]}}"#), rows);
    check(decode_behind(&["1", "r"], r#"[{"r":[{"a":9}]},{"r":[{"a":1},{"a":2}]}]"#), rows);
    check(decode_behind(&["R"], "{\"\\u0052\" :\n[ {\"a\":1} ,{\"a\":2}]}"), rows);
    check(decode_behind(&["r"], "\u{feff}{\"r\":[{\"a\":1},{\"a\":2}]}"), rows);
    check(decode_behind(&[], r#"[{"a":1},{"a":2}]"#), rows);
}

#[test]
fn null_and_an_empty_array_behind_the_pointer_are_zero_records() {
    for body in [r#"{"r":null}"#, r#"{"r":[]}"#, r#"{"r": [ ] ,"n":0}"#] {
        check(decode_behind(&["r"], body), "");
    }
}

#[test]
fn a_pointer_that_finds_no_array_fails_the_page() {
    for body in [
        "{}",
        r#"{"R":[{}]}"#,
        r#"{"a":{"r":[{}]}}"#,
        "[]",
        r#"[{"r":[{}]}]"#,
        "null",
        r#"{"r":"text"}"#,
        r#"{"r":7}"#,
        r#"{"r":true}"#,
    ] {
        assert!(decode_behind(&["r"], body).is_err(), "{body}");
    }
    assert!(decode_behind(&["2", "r"], r#"[{"r":[{}]},{"r":[{}]}]"#).is_err());
    assert!(decode_behind(&["01"], "[[{}],[{}]]").is_err(), "RFC 6901 knows no leading zeros");
    assert!(decode_behind(&["r", "x"], r#"{"r":[{}]}"#).is_err());
}

#[test]
fn what_stands_around_the_records_must_be_right_too() {
    for body in [
        r#"{"r":[{"a":1}],"n":}"#,
        r#"{"r":[{"a":1}]"#,
        r#"{"n":tru,"r":[{"a":1}]}"#,
        r#"{"r":[{"a":1}]}]"#,
        r#"{"r":[{"a":1}],"n":"\x"}"#,
    ] {
        assert!(decode_behind(&["r"], body).is_err(), "{body}");
    }
}

#[test]
fn bytes_that_are_no_utf8_fail_the_page_around_the_records_and_reject_the_record_inside() {
    let batch = decode_behind(&["r"], &b"{\"n\":1,\"r\":[{\"a\":1},{\"a\":\"\xff\"}]}"[..]).unwrap();
    check_rows(&batch, r#"{"a":1}"#);
    assert_eq!(raw(&batch.rejects[0]), b"{\"a\":\"\xff\"}");
    assert_eq!(batch.rejects[0].byte_offset, 20);
    for around in [&b"{\"n\":\"\xff\",\"r\":[{\"a\":1}]}"[..], b"{\"r\":[{\"a\":1}],\"\xc3\":1}"] {
        let outcome = decode_behind(&["r"], around);
        assert!(outcome.is_err(), "{}", String::from_utf8_lossy(around));
    }
}

#[test]
fn nesting_of_any_depth_around_the_records_does_no_harm() {
    for depth in [127, 128, 1_000, 1_000_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for body in
            [format!(r#"{{"n":{deep},"r":[{{"a":1}}]}}"#), format!(r#"{{"r":[{{"a":1}}],"n":{deep}}}"#)]
        {
            check(decode_behind(&["r"], body), r#"{"a":1}"#);
        }
        let inside = decode_behind(&["r"], format!(r#"{{"r":[{{"a":1}},{{"b":{deep}}}]}}"#)).unwrap();
        assert_eq!(inside.row_count, 1 + usize::from(depth < 127));
    }
}

#[test]
fn rejects_behind_a_pointer_have_their_place_in_the_body() {
    let batch = decode_behind(&["r"], r#"{"n":1,"r":[{"a":1},7,{"a":[1e999]},{"a":2}]}"#).unwrap();
    check_rows(&batch, "{\"a\":1}\n{\"a\":2}");
    assert_eq!(refused(&batch), [(1, 20, "7".into()), (2, 22, r#"{"a":[1e999]}"#.into())]);
    assert_eq!(batch.rejects[1].pointer, "/a/0");
}

#[test]
fn an_object_around_one_array_of_objects_is_one_record_with_a_hint() {
    let hint = |body: &str| decode_plain(&page(body, DeclaredForm::Unknown)).unwrap().records_hint;
    let body = r#"{"Records":[{"a":1},{"a":2}],"n":2}"#;
    check(decode_plain(&page(body, DeclaredForm::Unknown)), body);
    assert_eq!(hint(r#"{"Records":[{"a":1},{"a":2}],"n":2}"#).as_deref(), Some("/Records"));
    assert_eq!(hint("{\n\"n\":2,\n\"rows\":[{}]}").as_deref(), Some("/rows"));
    assert_eq!(hint(r#"{"a/b~c":[{"a":1}],"tags":["x"],"none":[]}"#).as_deref(), Some("/a~1b~0c"));
    assert_eq!(hint(r#"{"r":[{"a":1}],"s":[{"a":1}]}"#), None);
    assert_eq!(hint(r#"{"r":[1,2]}"#), None);
    assert_eq!(hint(r#"{"r":[]}"#), None);
    assert_eq!(hint(r#"{"r":{"a":1}}"#), None);
    assert_eq!(hint("{\"r\":[{\"a\":1}]}\n{\"r\":[{\"a\":1}]}"), None);
    assert_eq!(decode_behind(&["x"], r#"{"x":[{"r":[{"a":1}]}]}"#).unwrap().records_hint, None);
}

#[test]
fn an_array_of_one_record_is_no_object_around_records() {
    let batch = decode_plain(&page(r#"[{"r":[{"a":1}]}]"#, DeclaredForm::Unknown)).unwrap();
    assert_eq!(batch.records_hint, None);
}
