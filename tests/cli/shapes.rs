//! Shapes of pages: arrays, lines, concatenated documents, single objects, and what is none of them.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::table::Table;

fn run(name: &str, body: impl AsRef<[u8]>, code: i32) -> (Vec<Value>, Vec<Value>, Outcome) {
    let site = Folder::with_pages(&[("first.json", b"[{\"id\":0}]".as_slice()), (name, body.as_ref())]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).run().exits(code);
    let rejects = if code == 3 { output.json_lines("out.parquet.rejects.ndjson") } else { Vec::new() };
    (Table::read(&output.path("out.parquet")).column("id"), rejects, outcome)
}

#[track_caller]
fn check_ids(name: &str, body: impl AsRef<[u8]>, ids: &[i64]) {
    let (found, _, outcome) = run(name, body, 0);
    assert_eq!(found[1..], ids.iter().map(|id| json!(id)).collect::<Vec<_>>(), "{}", outcome.stderr);
}

#[track_caller]
fn check_failed(name: &str, body: impl AsRef<[u8]>) {
    let (found, rejects, outcome) = run(name, body, 3);
    assert_eq!(found, [json!(0)], "records of a failed page are visible");
    assert_eq!(outcome.count("/pages/failed"), 1);
    assert_eq!(outcome.count("/records/seen"), 1);
    assert_eq!(rejects.len(), 1);
    assert_eq!((&rejects[0]["line"], &rejects[0]["record"]), (&json!(2), &Value::Null));
    assert!(!rejects[0]["reason"].as_str().unwrap().is_empty());
}

#[test]
fn byte_order_mark_crlf_and_blank_lines_are_no_part_of_records() {
    check_ids("a.json", "\u{feff}[{\"id\":1},\r\n{\"id\":2}]\r\n", &[1, 2]);
    check_ids("a.ndjson", "\u{feff}{\"id\":1}\r\n\r\n{\"id\":2}\r\n\n", &[1, 2]);
    check_ids("a.json", "\u{feff}{\"id\":1}\r\n{\"id\":2}", &[1, 2]);
    check_ids("a.json", "  \r\n\t[ {\"id\":1} ]  \r\n", &[1]);
}

#[test]
fn lines_and_concatenated_documents_are_told_by_their_first_bytes() {
    check_ids("a.json", "{\"id\":1}\n{\"id\":2}\n", &[1, 2]);
    check_ids("a.json", "{\"id\":1}{\"id\":2} {\"id\":3}", &[1, 2, 3]);
    check_ids("a.json", "{\n \"id\":1\n}\n{\n \"id\":2\n}\n", &[1, 2]);
    check_ids("a.json", "{\"id\":\n1}", &[1]);
    check_ids("a.json", "{\"id\":1}", &[1]);
    check_ids("a.txt", "[{\"id\":1}]", &[1]);
}

#[test]
fn compressed_files_are_told_by_magic_bytes() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"[{\"id\":1}]").unwrap();
    let first = gzip.finish().unwrap();
    check_ids("a.json.gz", &first, &[1]);
    check_ids("a.json", &first, &[1]);
    check_ids("a.ndjson", zstd::encode_all(b"{\"id\":1}\n{\"id\":2}".as_slice(), 1).unwrap(), &[1, 2]);
    // A file of two members is both of them.
    let mut gzip = flate2::write::GzEncoder::new(first.clone(), flate2::Compression::fast());
    gzip.write_all(b"  ").unwrap();
    check_ids("a.json.gz", gzip.finish().unwrap(), &[1]);
    check_failed("a.json.gz", &first[..first.len() - 3]);
}

#[test]
fn first_line_that_breaks_before_its_newline_is_a_reject_among_lines() {
    let (ids, rejects, _) = run("a.json", "{\"id\":O1}\n{\"id\":2}\n{\"id\":3}\n", 3);
    assert_eq!(ids, [json!(0), json!(2), json!(3)]);
    assert_eq!(rejects.len(), 1);
    assert_eq!((&rejects[0]["raw"], &rejects[0]["byte_offset"]), (&json!("{\"id\":O1}"), &json!(0)));
}

#[test]
fn object_that_wraps_one_array_is_one_record_with_a_hint() {
    let site = Folder::with_pages(&[("a.json", "{\"next\":null,\"Records\":[{\"id\":1},{\"id\":2}]}")]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).run().exits(0);
    assert_eq!(outcome.count("/records/written"), 1);
    let summary = outcome.summary();
    let hints = summary["hints"].as_array().unwrap();
    assert!(hints.iter().any(|hint| hint.to_string().contains("--records /Records")), "{summary}");
    let typed = Etl::between(&site, &output).run_as_typed();
    assert!(typed.stderr.contains("--records /Records"), "{}", typed.stderr);
    let two = Folder::with_pages(&[("a.json", "{\"x\":[{\"id\":1}],\"y\":[{\"id\":2}]}")]);
    let outcome = Etl::between(&two, &output).run().exits(0);
    assert_eq!(outcome.summary()["hints"].as_array().unwrap().len(), 0);
}

#[test]
fn top_level_scalars_are_rejects_among_lines_and_elements() {
    let (ids, rejects, outcome) = run("a.ndjson", "7\n{\"id\":1}\nnull\n\"x\"\n[{\"id\":9}]\n", 3);
    assert_eq!(ids, [json!(0), json!(1)]);
    let raws: Vec<_> = rejects.iter().map(|reject| reject["raw"].as_str().unwrap()).collect();
    assert_eq!(raws, ["7", "null", "\"x\"", "[{\"id\":9}]"]);
    assert_eq!(outcome.count("/records/seen"), 6);
    let (ids, rejects, _) = run("a.json", "[7,{\"id\":1},null,[]]", 3);
    assert_eq!(ids, [json!(0), json!(1)]);
    assert_eq!(rejects.iter().map(|reject| &reject["byte_offset"]).collect::<Vec<_>>(), [1, 12, 17]);
}

#[test]
fn pages_that_are_no_records_fail() {
    check_failed("a.json", "");
    check_failed("a.json", " \n");
    check_failed("a.json", "42");
    check_failed("a.json", "\"text\"");
    check_failed("a.html", "<html></html>");
    check_failed("a.json", "[{\"id\":1},{\"id\":2");
    check_failed("a.json", "[{\"id\":1},{\"id\":2}");
    check_failed("a.json", "[{\"id\":1} {\"id\":2}]");
    check_failed("a.json", "[{\"id\":1},,{\"id\":2}]");
    check_failed("a.json", "[{\"id\":1}] [");
    check_failed("a.json", b"[{\"id\":1},\xff]");
}

#[test]
fn empty_lines_page_is_zero_records() {
    check_ids("a.ndjson", "", &[]);
    check_ids("a.ndjson", "\n\n", &[]);
    check_ids("a.json", "[]", &[]);
}

#[test]
fn unfinished_last_line_of_a_file_is_a_reject_byte_for_byte() {
    let (ids, rejects, _) = run("a.ndjson", "{\"id\":1}\n{\"id\":2}\n{\"id\":3,\"t\":\"é", 3);
    assert_eq!(ids, [json!(0), json!(1), json!(2)]);
    assert_eq!(rejects.len(), 1);
    assert_eq!((&rejects[0]["record"], &rejects[0]["byte_offset"]), (&json!(2), &json!(18)));
    assert_eq!(rejects[0]["raw"], "{\"id\":3,\"t\":\"é");
}

#[test]
fn record_is_judged_whole_also_where_nobody_looks() {
    let deep = |depth: usize| format!("{{\"id\":9,\"d\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    for depth in [200, 100_000] {
        let body = format!("{{\"id\":1}}\n{}\n{{\"id\":2}}\n", deep(depth));
        let (ids, rejects, _) = run("a.ndjson", body, 3);
        assert_eq!(ids, [json!(0), json!(1), json!(2)]);
        assert_eq!(rejects[0]["raw"], deep(depth));
    }
    let surrogate = "{\"id\":1,\"s\":\"\\ud800\"}";
    let (ids, rejects, _) = run("a.ndjson", format!("{surrogate}\n{{\"id\":2}}\n"), 3);
    assert_eq!((ids.len(), rejects[0]["raw"].as_str()), (2, Some(surrogate)));
}

#[test]
fn depth_127_is_allowed_and_128_is_a_reject() {
    // The record itself is the first level.
    let nested = |depth: usize| format!("{{\"d\":{}1{}}}\n", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let site = Folder::with_pages(&[("a.ndjson", nested(127) + &nested(128))]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).run().exits(3);
    assert_eq!(outcome.count("/records/written"), 1);
    assert_eq!(output.json_lines("out.parquet.rejects.ndjson")[0]["record"], 1);
}

#[test]
fn record_as_deep_as_allowed_can_be_read_back() {
    for depth in [10, 50, 100] {
        let body = format!("{{\"id\":1,\"d\":{}1{}}}\n", "[".repeat(depth), "]".repeat(depth));
        check_ids("a.ndjson", body, &[1]);
    }
}

#[test]
fn last_of_duplicate_keys_wins_with_a_hint() {
    let (ids, _, outcome) = run("a.json", "[{\"id\":1,\"id\":2},{\"id\":3}]", 0);
    assert_eq!(ids, [json!(0), json!(2), json!(3)]);
    assert_eq!(outcome.summary()["hints"].as_array().unwrap().len(), 1, "{}", outcome.stdout);
}

#[test]
fn strings_keep_every_character() {
    let site = Folder::with_pages(&[(
        "a.json",
        "[{\"s\":\"\\u00e9\\ud83d\\ude00\\n\\u0000\\/\\\"é😀\",\"k\\u0065y\":1}]",
    )]);
    let output = Folder::new();
    Etl::between(&site, &output).run().exits(0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.column("s"), [json!("é😀\n\0/\"é😀")]);
    assert_eq!(table.names(), ["s", "key"]);
}

/// A value below so many levels of objects (`o`) and lists (`l`), taken in turn from `levels`.
fn nested(levels: &str, depth: usize, value: &str) -> String {
    let levels: Vec<_> = levels.chars().cycle().take(depth).collect();
    let open: String = levels.iter().map(|level| if *level == 'o' { "{\"k\":" } else { "[" }).collect();
    let close: String = levels.iter().rev().map(|level| if *level == 'o' { '}' } else { ']' }).collect();
    format!("{open}{value}{close}")
}

#[test]
fn what_is_deeper_than_readers_follow_is_json_text() {
    for levels in ["o", "l", "ol", "lo"] {
        let deep = nested(levels, 100, "1");
        for lines in [
            format!("{{\"a\":{deep}}}\n{{\"a\":null}}\n"),
            // Whatever comes first: the column is the same.
            format!("{{\"a\":{}}}\n{{\"a\":{deep}}}\n", nested(levels, 3, "null")),
        ] {
            let site = Folder::with_pages(&[("p.ndjson", &lines)]);
            let output = Folder::new();
            let outcome = Etl::between(&site, &output).run().exits(0);
            let table = Table::read(&output.path("out.parquet"));
            let kind = &table.columns[0].1;
            assert_eq!(kind.matches(['<']).count(), 16, "{levels}: {kind}");
            assert!(outcome.stdout.contains("JSON text"), "{levels}");
            let mut value =
                table.rows.iter().map(|row| &row["a"]).find(|a| a.to_string().len() > 90).unwrap();
            for level in levels.chars().cycle().take(16) {
                value = if level == 'o' { &value["k"] } else { &value[0] };
            }
            let rest = value.as_str().unwrap();
            assert!(deep.contains(rest) && rest.matches('1').count() == 1, "{levels}: {rest}");
        }
    }
}

#[test]
fn value_that_lost_has_no_say_whatever_it_was() {
    for (record, a) in [
        (r#"{"a":1e999,"a":1}"#, 1),
        (r#"{"a":1,"a":1e999,"a":1}"#, 1),
        (r#"{"b":1,"b":2,"a":1e999,"a":1}"#, 1),
        (r#"{"a":1e999,"b":1,"b":2,"a":1}"#, 1),
        (r#"{"a":"\ud800","a":1}"#, 1),
        (r#"{"x":{"k":1e999,"k":2},"a":1}"#, 1),
    ] {
        for nested in ["", " --nested json"] {
            let site = Folder::with_pages(&[("p.ndjson", record)]);
            let output = Folder::new();
            Etl::between(&site, &output).with(nested).run().exits(0);
            assert_eq!(Table::read(&output.path("out.parquet")).column("a"), [json!(a)], "{record}{nested}");
        }
    }
    // The one that counts is judged.
    let (_, rejects, _) = run("p.ndjson", "{\"a\":1,\"a\":1e999}", 3);
    assert_eq!(rejects[0]["pointer"], "/a");
}
