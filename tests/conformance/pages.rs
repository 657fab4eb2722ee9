//! Pages, records, rejects: a test for each sentence of the contract that one page can show.

use etl::model::{DeclaredForm, FAILED_PAGE_HEAD_BYTES_MAX, PageBatch, PageFault};
use sha2::{Digest as _, Sha256};

use crate::json::Json;
use crate::page::{Page, decode_plain, page, raw};
use crate::records::{check, check_rows, refused};
use crate::reference::check_page;

fn decode(body: impl Into<Vec<u8>>) -> Result<PageBatch, PageFault> {
    decode_plain(&page(body, DeclaredForm::Unknown))
}

fn decode_lines(body: impl Into<Vec<u8>>) -> Result<PageBatch, PageFault> {
    decode_plain(&page(body, DeclaredForm::Ndjson))
}

fn cut(body: &str, form: DeclaredForm) -> Page {
    Page { end_proven: false, ..page(body, form) }
}

#[test]
fn a_byte_order_mark_is_skipped_and_counts_in_offsets() {
    check(decode("\u{feff}[{\"a\":1}]"), r#"{"a":1}"#);
    check(decode("\u{feff}{\"a\":1}"), r#"{"a":1}"#);
    check(decode("\u{feff} \n {\"a\":1}\n{\"a\":2}"), "{\"a\":1}\n{\"a\":2}");
    check(decode_lines("\u{feff}"), "");
    assert!(decode("\u{feff}").is_err());
    assert_eq!(refused(&decode("\u{feff}[7]").unwrap()), [(0, 4, "7".into())]);
    let lines = decode("\u{feff}{\"a\":1}\n{\"a\":}\n").unwrap();
    assert_eq!(refused(&lines), [(1, 11, r#"{"a":}"#.into())]);
}

#[test]
fn a_page_that_begins_with_a_bracket_is_an_array_of_records() {
    check(decode(r#"[{"a":1},{"a":2}]"#), "{\"a\":1}\n{\"a\":2}");
    check(decode(" \r\n\t[ {\"a\" : 1 } ,\n {\"a\":2}\n ]\n\n"), "{\"a\":1}\n{\"a\":2}");
    check(decode_lines("[{\"a\":1},\n{\"a\":2}]\n"), "{\"a\":1}\n{\"a\":2}");
    check(decode("[]"), "");
    check(decode(" [ \n ] \n"), "");
    check(decode("[{}]"), "{}");
}

#[test]
fn what_stands_behind_the_array_fails_the_page() {
    for tail in ["{}", "[]", ",", "]", "null", "\u{feff}", "\0", "x"] {
        for array in ["[]", r#"[{"a":1}]"#] {
            assert!(decode(format!("{array} {tail}")).is_err(), "{array} {tail}");
        }
    }
}

#[test]
fn one_object_is_one_record_however_it_is_broken_over_lines() {
    for body in [
        r#"{"a":1,"b":{"c":[2]}}"#,
        "{\"a\":1,\n\"b\":\n{\"c\":[2]}}",
        "{\"a\":1,\"b\":\n{\"c\":[2]}}",
        "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": [\n      2\n    ]\n  }\n}\n",
        "\n\n{\"a\":1,\"b\":{\"c\":[2]}}\n\n",
        "{\r\n\"a\":1,\"b\":\r\n{\"c\":[2]}\r\n}",
    ] {
        check(decode(body), r#"{"a":1,"b":{"c":[2]}}"#);
    }
}

#[test]
fn a_first_line_that_is_a_whole_document_makes_the_page_lines() {
    check(decode("{\"a\":1}\n{\"a\":2}"), "{\"a\":1}\n{\"a\":2}");
    check(decode("{\"a\":1}\r\n{\"a\":2}\r\n"), "{\"a\":1}\n{\"a\":2}");
    check(decode("{\"a\":1} \n\n \t\r\n\n {\"a\":2}\t\n\n"), "{\"a\":1}\n{\"a\":2}");
    let batch = decode("{\"a\":1}\n{\"a\":\n2}\n{\"a\":3}").unwrap();
    check_rows(&batch, "{\"a\":1}\n{\"a\":3}");
    assert_eq!(refused(&batch), [(1, 8, "{\"a\":".into()), (2, 14, "2}".into())]);
}

#[test]
fn a_first_line_that_breaks_before_the_next_object_makes_the_page_lines() {
    for first in ["{\"a\":x}", "{\"a\":1}}", "{\"a\":1},", "{a:1}", "{\"a\":\"tab\there\"}", "{\"a\":01}"] {
        let batch = decode(format!("{first}\n{{\"a\":2}}\n{{\"a\":3}}\n")).unwrap();
        check_rows(&batch, "{\"a\":2}\n{\"a\":3}");
        assert_eq!(refused(&batch), [(0, 0, first.into())]);
    }
}

#[test]
fn documents_may_stand_behind_each_other() {
    check(decode(r#"{"a":1}{"a":2}"#), "{\"a\":1}\n{\"a\":2}");
    check(decode("{\"a\":1} {\"a\":\n2}\n\n{\n\"a\":3}"), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}");
    check(decode("{\n\"a\":1}\n{\n\"a\":2}\n"), "{\"a\":1}\n{\"a\":2}");
}

#[test]
fn a_page_that_begins_otherwise_has_failed() {
    for body in [
        "<!DOCTYPE html>",
        "null",
        "true",
        "7",
        "\"text\"",
        "oops",
        "id,name\n1,2",
        "\0",
        "\u{1f}\u{8b}",
        "]",
        "}",
    ] {
        let fault = decode(body).expect_err(body);
        assert!(fault.answered && fault.byte_offset == Some(0), "{fault:?}");
        assert!(fault.reason.contains("expected"), "{fault:?}");
    }
}

#[test]
fn declared_lines_may_begin_with_anything() {
    let batch = decode_lines("<html>\n{\"a\":1}\n7\n\"s\"\nnull\n{\"a\":2}\n").unwrap();
    check_rows(&batch, "{\"a\":1}\n{\"a\":2}");
    assert_eq!(
        refused(&batch),
        [(0, 0, "<html>".into()), (2, 15, "7".into()), (3, 17, "\"s\"".into()), (4, 21, "null".into())]
    );
}

#[test]
fn no_content_is_zero_records_and_an_empty_page_is_a_failed_one() {
    for body in ["", "\n", " \t\r\n ", "\u{feff}"] {
        check(decode_plain(&page(body, DeclaredForm::NoContent)), "");
        check(decode_lines(body), "");
        let fault = decode(body).expect_err("an empty page has failed");
        assert_eq!(fault.received.expect("a body arrived").size, body.len() as u64);
    }
}

#[test]
fn a_record_that_is_wrong_inside_is_rejected_alone() {
    let wrong = [
        (r#"{"a":1e999}"#, "/a"),
        (r#"{"a":{"x/y":["\udfff"]}}"#, "/a/x~1y/0"),
        (r#"{"m~n":[0,[-1e309]]}"#, "/m~0n/1/0"),
        ("7", ""),
        ("null", ""),
        (r#"[{"a":1}]"#, ""),
    ];
    for (record, pointer) in wrong {
        let array = decode(format!(r#"[{{"a":1}}, {record} ,{{"a":2}}]"#)).unwrap();
        assert_eq!(refused(&array), [(1, 10, record.into())]);
        let lines = decode(format!("{{\"a\":1}}\n  {record} \n{{\"a\":2}}")).unwrap();
        assert_eq!(refused(&lines), [(1, 10, record.into())]);
        for batch in [array, lines] {
            check_rows(&batch, "{\"a\":1}\n{\"a\":2}");
            assert_eq!(batch.rejects[0].pointer, pointer, "{record}");
            assert!(batch.rejects[0].reason.starts_with("expected "), "{}", batch.rejects[0].reason);
        }
    }
}

#[test]
fn a_syntax_error_in_an_array_element_fails_the_page() {
    for element in [
        "{\"a\":}",
        "{\"a\":1",
        "{a:1}",
        "{\"a\":01}",
        "tru",
        "",
        "{} {}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\q\"}",
        "{\"a\":1,}",
    ] {
        for body in [format!(r#"[{{"a":1}},{element},{{"a":2}}]"#), format!(r#"[{{"a":1e999}},{element}]"#)] {
            let fault = decode(body.clone()).expect_err(&body);
            let offset = fault.byte_offset.expect("the place is known") as usize;
            assert!((8..=body.len()).contains(&offset), "{body}: {offset}");
            let received = fault.received.expect("a body arrived");
            assert_eq!(received.head, body.as_bytes());
        }
    }
}

#[test]
fn bytes_that_are_no_utf8_outside_a_record_fail_the_page() {
    for body in [
        &b"[{\"a\":1}\xff]"[..],
        b"\xff[{\"a\":1}]",
        b"[{\"a\":1},\xc3\xa9]",
        b"[{\"a\":1}]\xff",
        b"{\"a\":1}{\"a\":2}\xff",
    ] {
        assert!(decode(body).is_err(), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_failed_page_keeps_its_head_its_size_and_its_digest() {
    let mut body = b"[{\"a\":1},".to_vec();
    body.resize(200_000, b'x');
    let received = decode(body.clone()).unwrap_err().received.unwrap();
    assert_eq!(received.head, body[..FAILED_PAGE_HEAD_BYTES_MAX]);
    assert_eq!(received.size, 200_000);
    let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received.sha256, digest);
}

#[test]
fn an_unfinished_last_line_is_a_reject_only_where_the_end_was_proven() {
    for tail in ["{\"a\":2", "{\"a\":\"x", "{\"a\"", "{", "{\"a\":tru", "{\"a\":[1,"] {
        for (body, offset) in
            [(format!("{{\"a\":1}}\n{tail}"), 8), (format!("{{\"a\":1}}{{\"a\":1}}{tail}"), 14)]
        {
            let proven = decode(body.clone()).unwrap_or_else(|fault| panic!("{body}: {fault:?}"));
            let record = if offset == 8 { 1 } else { 2 };
            assert_eq!(refused(&proven), [(record, offset, tail.into())], "{body}");
            assert_eq!(proven.row_count as u64, record, "{body}");
            assert!(decode_plain(&cut(&body, DeclaredForm::Unknown)).is_err(), "{body}");
        }
        let lines = format!("{{\"a\":1}}\n{tail}");
        assert!(decode_plain(&cut(&lines, DeclaredForm::Ndjson)).is_err(), "{lines}");
        assert_eq!(decode_lines(lines).unwrap().row_count, 1);
    }
}

#[test]
fn a_finished_last_line_needs_no_proof_and_no_newline() {
    for body in ["{\"a\":1}\n{\"a\":2}", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}{\"a\":2}"] {
        check(decode_plain(&cut(body, DeclaredForm::Unknown)), "{\"a\":1}\n{\"a\":2}");
    }
    // Wrong lines before the end are rejects as ever.
    let batch = decode_plain(&cut("{\"a\":1}\n{\"a\":\n{\"a\":2}\n", DeclaredForm::Unknown)).unwrap();
    assert_eq!(refused(&batch), [(1, 8, "{\"a\":".into())]);
}

#[test]
fn an_unfinished_array_fails_its_page_even_where_the_end_was_proven() {
    for body in ["[", "[{\"a\":1}", "[{\"a\":1},", "[{\"a\":1},{\"a\":2", "[{\"a\":1},7"] {
        assert!(decode(body).is_err(), "{body}");
        assert!(decode_plain(&cut(body, DeclaredForm::Unknown)).is_err(), "{body}");
    }
}

#[test]
fn the_last_of_equal_keys_wins_and_each_loser_is_counted() {
    let batch = decode("{\"a\":1,\"a\":2,\"b\":{\"c\":1,\"\\u0063\":5},\"a\":3}\n{\"a\":4}").unwrap();
    check_rows(&batch, "{\"a\":3,\"b\":{\"c\":5}}\n{\"a\":4}");
    assert_eq!(batch.duplicate_key_count, 3);
    let in_list = decode(r#"[{"l":[{"x":1,"x":2},{"x":3}]}]"#).unwrap();
    check_rows(&in_list, r#"{"l":[{"x":2},{"x":3}]}"#);
    assert_eq!(in_list.duplicate_key_count, 1);
    let in_text = decode(r#"[{"t":"s"},{"t":{"x":1,"y":0,"x":2}}]"#).unwrap();
    check_rows(&in_text, "{\"t\":\"s\"}\n{\"t\":{\"x\":2,\"y\":0}}");
    assert_eq!(in_text.duplicate_key_count, 1);
}

#[test]
fn a_value_that_lost_to_an_equal_key_has_no_say_in_the_type() {
    let losers = [
        "\"s\"",
        "true",
        "1.5",
        "9007199254740993",
        "18446744073709551616",
        "[1]",
        "{\"x\":1}",
        "\"2026-01-01T00:00:00Z\"",
    ];
    let mut wrong = Vec::new();
    for loser in losers {
        let batch = decode(format!("{{\"a\":{loser},\"a\":3}}\n{{\"a\":4}}")).unwrap();
        let records = [3, 4].map(|value| Json::Object(vec![("a".into(), Json::Int(value))]));
        wrong.extend(check_page(&[&records[0], &records[1]], &batch).err().map(|wrong| (loser, wrong)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_top_level_scalar_is_a_reject() {
    let scalars = ["1", "-0.5e3", "\"text\"", "true", "false", "null"];
    let body = format!("[{}]", scalars.join(","));
    let batch = decode(body).unwrap();
    assert_eq!((batch.record_count, batch.row_count), (6, 0));
    for (reject, scalar) in batch.rejects.iter().zip(scalars) {
        assert_eq!(raw(reject), scalar.as_bytes());
        assert!(reject.reason.starts_with("expected an object, got "), "{}", reject.reason);
    }
    let lines = decode(format!("{{}}\n{}\n", scalars.join("\n"))).unwrap();
    assert_eq!((lines.record_count, lines.row_count), (7, 1));
}
