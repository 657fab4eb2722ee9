//! `--select`, `--drop`, `--rename`, `--hash`: what is left out is nowhere to be found.

use serde_json::{Value, json};

use crate::bench::{Etl, Folder};
use crate::table::Table;

const KEY: &str = "a key of sixteen bytes or more";
const REJECTS: &str = "out.parquet.rejects.ndjson";

/// Records with a secret in several forms, so that the object around it is a struct in some pages and text in others.
const RECORDS: &[&str] = &[
    r#"{"id":1,"user":{"mail":"SECRET-1","name":"a"},"values":[1,2,3]}"#,
    r#"{"id":2,"user":{"mail":["SECRET-2"],"name":"b"},"values":null,"mail":"SECRET-3"}"#,
    r#"{"id":3,"user":"nobody","values":[4]}"#,
    r#"{"id":4,"user":null}"#,
];

/// Runs over `records`, each a page, in row groups of one.
fn run(records: &[&str], options: &str, code: i32) -> Folder {
    let pages: Vec<_> = records.iter().enumerate().map(|(id, body)| (format!("p{id}.json"), body)).collect();
    let site = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let key = site.write("key", format!("{KEY}\n"));
    let output = Folder::new();
    let options = options.replace("KEY", key.to_str().unwrap());
    Etl::between(&site, &output).with("--row-group-rows 1").with(&options).run().exits(code);
    output
}

fn names(table: &Table) -> Vec<&str> {
    table.columns.iter().map(|(name, _)| name.as_str()).collect()
}

/// No file of the output holds this text.
#[track_caller]
fn assert_hidden(output: &Folder, text: &str) {
    for name in output.names() {
        let bytes = output.read(&name);
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in {name}");
    }
}

#[test]
fn dropped_fields_are_nowhere() {
    let output = run(RECORDS, "--drop /user/mail --drop mail", 0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(names(&table)[..3], ["id", "user", "values"]);
    let users = [json!(r#"{"name":"a"}"#), json!(r#"{"name":"b"}"#), json!("nobody"), json!(null)];
    assert_eq!(table.column("user"), users);
    assert_hidden(&output, "SECRET");
}

#[test]
fn list_that_is_dropped_is_summarised_all_the_same() {
    let output = run(RECORDS, "--drop values --features mean,count", 0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(names(&table), ["id", "user", "mail", "values_mean", "values_count"]);
    assert_eq!(table.column("values_mean"), [json!(2.0), json!(null), json!(4.0), json!(null)]);
}

#[test]
fn only_selected_fields_are_columns() {
    let output = run(RECORDS, "--select id --select /user/name", 0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(names(&table)[..2], ["id", "user"]);
    assert_eq!(table.columns[2].0, "values_count", "features stay where their list is left out");
    let users = [json!({"name": "a"}), json!({"name": "b"}), json!(null), json!(null)];
    assert_eq!(table.column("user"), users);
    assert_hidden(&output, "SECRET");
}

#[test]
fn renamed_fields_keep_their_place_and_their_values() {
    let output = run(RECORDS, "--rename id=number --rename /user/name=who --features none", 0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(names(&table), ["number", "user", "values", "mail"]);
    assert_eq!(table.column("number"), (1..5).map(|id| json!(id)).collect::<Vec<_>>());
    assert_eq!(table.column("user")[0], json!(r#"{"mail":"SECRET-1","who":"a"}"#));
}

#[test]
fn two_fields_of_one_name_are_one_column_unless_a_record_has_both() {
    let records = [r#"{"old":1}"#, r#"{"new":2}"#, r#"[{"new":3},{"old":4}]"#, r#"{"old":5,"new":6}"#];
    let output = run(&records, "--rename old=new", 3);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.columns, [("new".to_owned(), "int64".to_owned())]);
    assert_eq!(table.column("new"), [json!(1), json!(2), json!(3), json!(4)]);
    let reject = &output.json_lines(REJECTS)[0];
    assert!(reject["reason"].as_str().unwrap().contains("--rename"), "{reject}");
}

#[test]
fn hashed_fields_are_keyed_hashes_of_their_text() {
    let records = [r#"{"ip":"10.0.0.1"}"#, r#"{"ip":7}"#, r#"{"ip":{"b":1,"a":[2]}}"#, r#"{"ip":null}"#];
    let output = run(&records, "--hash ip --hash-key KEY", 0);
    let table = Table::read(&output.path("out.parquet"));
    let hash = |text: &str| json!(etl::config::HashKey::new(KEY.as_bytes()).hash(text.as_bytes()));
    let expected = [hash("10.0.0.1"), hash("7"), hash(r#"{"a":[2],"b":1}"#), Value::Null];
    assert_eq!(table.column("ip"), expected);
    assert_hidden(&output, "10.0.0.1");
    assert_hidden(&output, KEY);
}

#[test]
fn what_is_hidden_is_redacted_in_rejects_too() {
    let wrong = r#"{"id":9,"mail":"SECRET-4","values":["SECRET-5"],"other":"seen"}"#;
    let broken = r#"{"id":9,"mail":"SECRET-6"#;
    for (options, is_raw) in [("--drop mail --drop values", true), ("--drop mail --rejects-raw none", false)]
    {
        let site = Folder::with_pages(&[("a.ndjson", format!("{}\n{wrong}\n{broken}\n", RECORDS[3]))]);
        site.write("b.json", "<html>SECRET-7");
        site.write("urls.txt", "a.ndjson\nb.json\n");
        let output = Folder::new();
        Etl::between(&site, &output).with(options).run().exits(3);
        let rejects = output.json_lines(REJECTS);
        assert_eq!(rejects.len(), 3, "{rejects:?}");
        assert_eq!(rejects[0]["pointer"], if is_raw { "/values" } else { "" });
        assert_eq!(rejects[0]["raw"].is_string(), is_raw, "{rejects:?}");
        if is_raw {
            let raw: Value = serde_json::from_str(rejects[0]["raw"].as_str().unwrap()).unwrap();
            assert_eq!((&raw["other"], &raw["mail"]), (&json!("seen"), &json!("[redacted]")));
        }
        assert_eq!(rejects[1]["size"], broken.len(), "what can't be read is told by its size");
        assert_hidden(&output, "SECRET");
    }
    // Without anything to hide, records are kept whole; a person may ask for it all the same.
    let output = run(&[wrong], "--drop mail --rejects-raw full", 1);
    assert_eq!(output.json_lines(REJECTS)[0]["raw"], wrong);
}

#[test]
fn list_in_which_a_field_should_be_left_out_rejects_its_record() {
    let records = [r#"{"id":1,"m":[{"x":"SECRET"}]}"#, r#"{"id":2,"m":{"x":1,"y":2}}"#];
    let output = run(&records, "--drop /m/x", 3);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!((table.column("id"), table.column("m")), (vec![json!(2)], vec![json!({"y": 2})]));
    let reject = &output.json_lines(REJECTS)[0];
    assert_eq!(reject["pointer"], "/m");
    assert_hidden(&output, "SECRET");
}

#[test]
fn fields_that_are_left_out_are_still_judged() {
    let deep = format!("{{\"id\":1,\"m\":{}{}}}", "[".repeat(127), "]".repeat(127));
    let wide = format!("{{\"id\":2,\"m\":{}{}}}", "[".repeat(126), "]".repeat(126));
    for records in [[deep.as_str(), &wide], [&wide, deep.as_str()]] {
        let output = run(&records, "--drop m", 3);
        let table = Table::read(&output.path("out.parquet"));
        assert_eq!(table.column("id"), [json!(2)]);
        assert!(output.json_lines(REJECTS)[0]["reason"].as_str().unwrap().contains("128"));
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_before_any_request() {
    let site = Folder::with_pages(&[("a.json", "[{\"a\":1}]")]);
    let short = site.write("short", "too short");
    for (options, word) in [
        ("--drop a --drop a", "--drop"),
        ("--select a --drop a", "--drop"),
        ("--hash a", "--hash-key"),
        (&format!("--hash a --hash-key {}", short.display()), "16"),
        ("--rename a", "FIELD=NAME"),
        ("--rename a=x --rename b=x", "x"),
        ("--rename a=b --rename b=a", "no other option"),
        ("--rename a=b --drop b", "no other option"),
        ("--rename a=values --values values", "no other option"),
        (&format!("--hash a --hash-key {} --drop /a/b", site.write("key", KEY).display()), "--hash a"),
    ] {
        let output = Folder::new();
        let outcome = Etl::between(&site, &output).with(options).run_as_typed().exits(2);
        assert!(outcome.stderr.contains(word), "{options}: {}", outcome.stderr);
    }
}

#[test]
fn name_of_a_hashed_field_is_its_own() {
    let records =
        [r#"{"id":1,"b":"x"}"#, r#"{"id":2,"a":"SECRET"}"#, r#"[{"id":3,"b":1},{"id":4,"a":"SECRET"}]"#];
    for records in [records, [records[2], records[1], records[0]]] {
        let output = run(&records, "--hash a --hash-key KEY --rename a=b", 3);
        let table = Table::read(&output.path("out.parquet"));
        assert_eq!(table.rows.len(), 2, "records with a plain b are rejected");
        let hash = etl::config::HashKey::new(KEY.as_bytes()).hash(b"SECRET");
        assert_eq!(table.column("b"), [json!(hash), json!(hash)]);
        assert_hidden(&output, "SECRET");
    }
}

#[test]
fn renamed_members_of_an_object_that_is_text_do_not_follow_each_other() {
    let output = run(&[r#"{"o":{"a":1,"c":2}}"#], "--nested json --rename /o/a=b --rename /o/c=d", 0);
    assert_eq!(Table::read(&output.path("out.parquet")).column("o"), [json!(r#"{"b":1,"d":2}"#)]);
}

#[test]
fn neither_keys_nor_values_below_what_is_hidden_are_told() {
    let records = [r#"{"secret":{"SECRET-1@example.com":"\ud800"}}"#, r#"{"id":1}"#];
    for options in ["--hash secret --hash-key KEY", "--hash secret --hash-key KEY --rejects-raw none"] {
        let output = run(&records, options, 3);
        let reject = &output.json_lines(REJECTS)[0];
        assert_eq!(reject["pointer"], if options.ends_with("none") { "" } else { "/secret" });
        assert_hidden(&output, "SECRET");
    }
    let output = run(&["\"SECRET-2\"", r#"{"id":1}"#], "--drop secret", 3);
    let reject = &output.json_lines(REJECTS)[0];
    assert_eq!(
        (&reject["size"], &reject["sha256"]),
        (&json!(10), &Value::Null),
        "a short text is told by its hash"
    );
}

#[test]
fn lists_of_what_is_not_selected_are_summarised_wherever_they_stand() {
    let records = [
        r#"{"ts":1,"samples":[{"values":[1,2,3]}],"m":{"v":[1],"w":{"x":7}}}"#,
        r#"{"ts":2,"samples":null,"m":[{"v":9}]}"#,
        r#"{"ts":3,"samples":"none","m":{"v":[5,7]}}"#,
    ];
    let options = "--select ts --values s=/samples/0/values --values v=/m/v --features mean";
    let output = run(&records, options, 0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(names(&table), ["ts", "s_mean", "v_mean"]);
    assert_eq!(table.column("s_mean"), [json!(2.0), json!(null), json!(null)]);
    assert_eq!(table.column("v_mean"), [json!(1.0), json!(null), json!(6.0)]);
}

#[test]
fn columns_that_are_not_written_are_small_all_the_same() {
    let wide: Vec<_> = (0..3_600).map(|key| format!("\"k{key}\":{{\"x\":1}}")).collect();
    let mut lines = vec!["{\"m\":{}}".to_owned(); 80_000];
    lines.insert(0, "{\"a\":1,\"m\":{}}".to_owned());
    lines.push(format!("{{\"m\":{{{}}}}}", wide.join(",")));
    lines.push("{\"m\":\"x\"}".to_owned());
    let site = Folder::with_pages(&[("a.ndjson", lines.join("\n"))]);
    let output = Folder::new();
    let options = "--drop m --values v=/m/v --nested struct --memory 64MiB";
    let outcome = Etl::between(&site, &output).with(options).run().exits(0);
    assert_eq!(outcome.count("/records/written"), 80_003);
    let peak = outcome.count("/peak_rss_bytes");
    assert!(peak < 128 << 20, "{peak} bytes");
}
