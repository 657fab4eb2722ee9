//! JSONTestSuite (data/json_test_suite/LICENSE): every body as a page, as a record and in an unused field.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use etl::model::{DeclaredForm, PageBatch};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::json::Json;
use crate::page::{decode_plain, page, raw};
use crate::reference::check_page;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bodies whose integers `serde_json` rounds; `huge_integers_keep_their_digits` looks at them.
const HUGE_INTEGERS: [&str; 3] =
    ["i_number_too_big_neg_int", "i_number_too_big_pos_int", "i_number_very_big_negative_int"];

#[derive(Deserialize)]
struct Line {
    name: String,
    base64: String,
}

fn bodies() -> Vec<(String, Vec<u8>)> {
    let mut bodies: Vec<(String, Vec<u8>)> = include_str!("../data/json_test_suite/bodies.ndjson")
        .lines()
        .map(|line| {
            let Line { name, base64 } = serde_json::from_str(line).unwrap();
            (name, BASE64_STANDARD.decode(base64).unwrap())
        })
        .collect();
    bodies.push(("n_structure_100000_opening_arrays".into(), b"[".repeat(100_000)));
    let mut open_array_object = br#"[{"":"#.repeat(50_000);
    open_array_object.push(b'\n');
    bodies.push(("n_structure_open_array_object".into(), open_array_object));
    bodies
}

/// Whether the bytes are JSON as far as their grammar goes: any depth, any number, any surrogate.
fn is_syntax(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// The record that these bytes are, if they are one: an object, whole, below the depth limit.
fn record(bytes: &[u8]) -> Option<Json> {
    serde_json::from_slice::<Json>(bytes).ok().filter(|value| matches!(value, Json::Object(_)))
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let Some(start) = bytes.iter().position(|byte| !is_space(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Checks a page made of these records against the oracle: each one a row with its values, or a reject
/// with its bytes and its place.
fn check_records(name: &str, body: &[u8], offsets: &[usize], records: &[&[u8]], batch: &PageBatch) {
    assert_eq!(batch.record_count, records.len() as u64, "{name}: {batch:?}");
    let mut rows = Vec::new();
    let mut rejects = batch.rejects.iter();
    for (index, (bytes, offset)) in records.iter().zip(offsets).enumerate() {
        if let Some(record) = record(bytes) {
            rows.push(record);
            continue;
        }
        let reject = rejects.next().unwrap_or_else(|| panic!("{name}: record {index} was not refused"));
        assert_eq!(reject.record, index as u64, "{name}");
        assert_eq!(raw(reject), *bytes, "{name}: raw");
        assert_eq!(reject.byte_offset, *offset as u64, "{name}: byte offset");
        assert!(body[*offset..].starts_with(raw(reject)), "{name}: the offset leads elsewhere");
        assert!(!reject.reason.is_empty(), "{name}: no reason");
    }
    assert!(rejects.next().is_none(), "{name}: refused too much: {:?}", batch.rejects);
    if HUGE_INTEGERS.contains(&name) {
        assert_eq!(batch.row_count, rows.len(), "{name}");
        return;
    }
    check_page(&rows.iter().collect::<Vec<_>>(), batch).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
}

#[test]
fn the_suite_is_whole_and_serde_json_agrees_with_its_names() {
    let bodies = bodies();
    assert_eq!(bodies.len(), 318);
    for (name, body) in bodies {
        let is_value = serde_json::from_slice::<Json>(&body).is_ok();
        match &name[..2] {
            "y_" => assert!(is_value, "{name}"),
            "n_" => assert!(!is_value, "{name}"),
            prefix => assert_eq!(prefix, "i_"),
        }
    }
}

#[test]
fn a_body_as_a_page_is_accepted_or_refused_as_its_name_says() {
    for (name, body) in bodies() {
        let outcome = decode_plain(&page(body.clone(), DeclaredForm::Unknown));
        let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
        let first_byte = trimmed(text).first();
        match (first_byte, outcome) {
            (Some(b'['), outcome) if is_syntax(text) => {
                // An array of whatever: each element is a record, and only objects are rows.
                let batch = outcome.unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
                if let Ok(Json::List(elements)) = serde_json::from_slice(text) {
                    assert_eq!(batch.record_count, elements.len() as u64, "{name}");
                    let rows: Vec<_> =
                        elements.iter().filter(|element| matches!(element, Json::Object(_))).collect();
                    assert_eq!(batch.row_count, rows.len(), "{name}");
                    check_page(&rows, &batch).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
                } else {
                    assert_eq!(batch.row_count, 0, "{name}: {batch:?}");
                    assert_eq!(batch.rejects.len(), 1, "{name}: {batch:?}");
                }
            }
            (Some(b'{'), outcome) if is_syntax(text) => {
                let batch = outcome.unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
                let document = trimmed(text);
                let offset = body.len() - text.len()
                    + text.windows(document.len()).position(|w| w == document).unwrap();
                check_records(&name, &body, &[offset], &[document], &batch);
            }
            (Some(b'{'), Ok(batch)) => {
                // Wrong lines are rejects; what they hold is never a row.
                assert_eq!(batch.row_count, 0, "{name}: {batch:?}");
                assert_eq!(batch.rejects[0].byte_offset, 0, "{name}");
                assert_eq!(raw(&batch.rejects[0]), trimmed(&body), "{name}");
            }
            (_, Ok(batch)) => panic!("{name}: expected a failed page, got {batch:?}"),
            (_, Err(fault)) => {
                assert!(fault.answered, "{name}");
                assert!(!fault.reason.is_empty(), "{name}");
                let received = fault.received.unwrap_or_else(|| panic!("{name}: nothing is kept"));
                assert_eq!(received.size, body.len() as u64, "{name}");
                assert_eq!(received.head, body[..body.len().min(64 * 1024)], "{name}");
            }
        }
    }
}

/// Decodes `[before, record, after]` and checks it against the oracle.
fn check_array(name: &str, before: &[u8], record: &[u8], after: &[u8]) {
    let body = joined(&[b"[", before, b", ", record, b" ,", after, b"]"]);
    let outcome = decode_plain(&page(body.clone(), DeclaredForm::Unknown));
    // White space and nothing else is no record; a byte order mark is none either.
    if is_syntax(&body) {
        let batch = outcome.unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        let shift = record.len() - record.trim_ascii_start().len();
        let offsets = [1, 1 + before.len() + 2 + shift, 1 + before.len() + 2 + record.len() + 2];
        check_records(name, &body, &offsets, &[before, trimmed(record), after], &batch);
    } else if let Ok(batch) = outcome {
        panic!("{name}: expected a failed page, got {batch:?}");
    }
}

/// Decodes three lines and checks them against the oracle.
fn check_lines(name: &str, before: &[u8], record: &[u8], after: &[u8]) {
    let body = joined(&[before, b"\n", record, b"\n", after, b"\n"]);
    for form in [DeclaredForm::Unknown, DeclaredForm::Ndjson] {
        let batch =
            decode_plain(&page(body.clone(), form)).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        let document = trimmed(record);
        let shift = record.len() - record.trim_ascii_start().len();
        let offset_after = before.len() + 1 + record.len() + 1;
        if document.is_empty() {
            // A blank line is no record.
            check_records(name, &body, &[0, offset_after], &[before, after], &batch);
        } else {
            let offsets = [0, before.len() + 1 + shift, offset_after];
            check_records(name, &body, &offsets, &[before, document, after], &batch);
        }
    }
}

fn without_newline_at_end(body: &[u8]) -> Option<&[u8]> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    (!body.contains(&b'\n')).then_some(body)
}

#[test]
fn a_body_as_an_array_element_is_a_row_a_reject_or_the_end_of_its_page() {
    for (name, body) in bodies() {
        check_array(&name, br#"{"a":1}"#, &body, br#"{"a":2}"#);
    }
}

#[test]
fn a_body_as_the_last_array_element_leaves_the_good_one_or_fails_the_page() {
    for (name, body) in bodies() {
        let page_body = joined(&[br#"[{"a":1}, "#, &body, b"]"]);
        let outcome = decode_plain(&page(page_body.clone(), DeclaredForm::Unknown));
        if is_syntax(&page_body) {
            let batch = outcome.unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            let shift = body.len() - body.trim_ascii_start().len();
            check_records(&name, &page_body, &[1, 10 + shift], &[br#"{"a":1}"#, trimmed(&body)], &batch);
        } else {
            assert!(outcome.is_err(), "{name}: {outcome:?}");
        }
    }
}

#[test]
fn a_body_as_a_line_is_a_row_or_a_reject_and_its_neighbours_stand() {
    for (name, body) in bodies() {
        if let Some(line) = without_newline_at_end(&body) {
            check_lines(&name, br#"{"a":1}"#, line, br#"{"a":2}"#);
        }
    }
}

#[test]
fn a_body_in_an_unused_field_is_judged_with_its_record() {
    for (name, body) in bodies() {
        let in_field = joined(&[br#"{"id":1,"x":"#, &body, b"}"]);
        check_array(&name, br#"{"id":0}"#, &in_field, br#"{"id":2}"#);
        if let Some(line) = without_newline_at_end(&body) {
            let in_field = joined(&[br#"{"id":1,"x":"#, line, b"}"]);
            check_lines(&name, br#"{"id":0}"#, &in_field, br#"{"id":2}"#);
        }
    }
}

#[test]
fn a_body_beside_values_of_another_type_is_judged_alike() {
    // The column is text by then, so the value is read by another way.
    for (name, body) in bodies() {
        if let Some(line) = without_newline_at_end(&body) {
            let in_field = joined(&[br#"{"id":1,"x":"#, line, b"}"]);
            let body = joined(&[b"{\"x\":\"s\"}\n{\"x\":true}\n", &in_field, b"\n{\"id\":2}"]);
            let batch = decode_plain(&page(body.clone(), DeclaredForm::Unknown)).unwrap();
            let offsets = [0, 10, 21, 21 + in_field.len() + 1];
            let records: [&[u8]; 4] = [br#"{"x":"s"}"#, br#"{"x":true}"#, &in_field, br#"{"id":2}"#];
            check_records(&name, &body, &offsets, &records, &batch);
        }
    }
}

/// What is promised of the bodies on which RFC 8259 leaves a choice.
#[test]
fn implementation_defined_bodies_go_the_way_that_the_design_says() {
    let accepted = [
        "i_number_double_huge_neg_exp",
        "i_number_real_underflow",
        "i_number_too_big_neg_int",
        "i_number_too_big_pos_int",
        "i_number_very_big_negative_int",
    ];
    for (name, body) in bodies().into_iter().filter(|(name, _)| name.starts_with("i_")) {
        let line = joined(&[br#"{"x":"#, &body, b"}\n{\"x\":null}"]);
        let batch = decode_plain(&page(line, DeclaredForm::Ndjson)).unwrap();
        let is_accepted = batch.row_count == 2;
        assert_eq!(is_accepted, accepted.contains(&name.as_str()), "{name}: {batch:?}");
    }
}

#[test]
fn huge_integers_keep_their_digits() {
    for (name, body) in bodies().into_iter().filter(|(name, _)| HUGE_INTEGERS.contains(&name.as_str())) {
        let digits = String::from_utf8(body.clone()).unwrap();
        let digits = digits.trim().trim_start_matches('[').trim_end_matches(']').trim().to_owned();
        let batch = decode_plain(&page(joined(&[br#"{"x":"#, &body, b"}"]), DeclaredForm::Unknown)).unwrap();
        let record = Json::Object(vec![("x".into(), Json::List(vec![Json::Huge(digits)]))]);
        check_page(&[&record], &batch).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    }
}
