//! `etl rejects retry` feeds rejected records through again, and loses none of them.

use std::path::Path;

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";
const AGAIN: &str = "again.parquet";
const REJECTED_AGAIN: &str = "again.parquet.rejects.ndjson";

fn retry(rejects: &Path, output: &Folder, options: &str) -> Etl {
    Etl::bare().with("rejects retry --json --out").arg(output.path(AGAIN)).arg(rejects).with(options)
}

fn raws(output: &Folder, name: &str) -> Vec<Value> {
    let lines = output.json_lines(name).into_iter().filter(|line| !line["record"].is_null());
    lines.map(|line| line.get("raw").or_else(|| line.get("raw_base64")).unwrap().clone()).collect()
}

#[track_caller]
fn check_hint(outcome: &Outcome, needles: &[&str]) {
    let hints = outcome.summary()["hints"].to_string();
    for needle in needles {
        assert!(hints.contains(needle), "{needle}: {hints}");
    }
}

#[test]
fn what_fits_now_is_written_and_everything_else_is_rejected_as_it_was() {
    let lines =
        ["{\"id\":5}", "[1]", "{\"id\":}", "\u{feff}{\"id\":3}", "7", "{\"id\":4,\"values\":{\"a\":1}}"];
    let lines = [lines.join("\n").as_bytes(), b"\n{\"id\":\"\xff\"}\n{\"id\":6,\"values\":[1]"].concat();
    let input = Folder::with_pages(&[
        ("a.json", b"[{\"id\":1,\n  \"values\":[true]},{\"id\":2,\"values\":[1]}]".to_vec()),
        ("b.ndjson", lines),
    ]);
    let list = String::from_utf8(input.read("urls.txt")).unwrap();
    input.write("urls.txt", format!("{list}missing.json\n"));
    let output = Folder::new();
    Etl::between(&input, &output).run().exits(3);
    let (before, rejected) = (output.read(REJECTS), raws(&output, REJECTS));
    assert_eq!(rejected.len(), 8, "{rejected:?}");

    let temporary = Folder::new();
    let again = |options: &str| {
        let run = retry(&output.path(REJECTS), &output, options);
        run.env("TMPDIR", temporary.root().to_str().unwrap()).run_as_typed()
    };
    let outcome = again("--features none --provenance").exits(3);
    let counts = ["seen", "written", "rejected"].map(|name| outcome.count(&format!("/records/{name}")));
    assert_eq!(counts, [8, 2, 6]);
    check_hint(&outcome, &["1 failed pages"]);
    let table = Table::read(&output.path(AGAIN));
    assert_eq!(table.column("id"), [json!(1), json!(4)]);
    assert_eq!(table.column("values"), [json!("[true]"), json!("{\"a\":1}")]);
    assert_eq!(table.column("_etl_record"), [json!(0), json!(5)]);
    assert_eq!(table.column("_etl_url")[0], output.path(REJECTS).to_str().unwrap());
    let left: Vec<_> = rejected
        .iter()
        .enumerate()
        .filter(|(at, _)| ![0, 5].contains(at))
        .map(|(_, raw)| raw.clone())
        .collect();
    assert_eq!(raws(&output, REJECTED_AGAIN), left);
    assert_eq!(output.read(REJECTS), before, "what was read stays");
    assert!(temporary.names().is_empty(), "{:?}", temporary.names());

    // The same records give the same file.
    let published = output.read(AGAIN);
    again("--features none --provenance").exits(3);
    assert_eq!(output.read(AGAIN), published);

    // With the options of before, all of them are rejected again.
    let outcome = again("").exits(1);
    assert_eq!(outcome.count("/records/rejected"), 8);
    let as_lines = |raw: &Value| json!(raw.as_str().unwrap().replace('\n', "\t"));
    assert_eq!(raws(&output, REJECTED_AGAIN), rejected.iter().map(as_lines).collect::<Vec<_>>());
    assert_eq!(output.read(AGAIN), published);
}

#[test]
fn what_is_not_there_as_it_was_is_told_and_not_fed() {
    let body = "{\"id\":1,\"secret\":\"s\",\"values\":[true]}\n{\"id\":2,\"values\":[true]}\n{\"id\":3}\n";
    let (input, output) = (Folder::with_pages(&[("a.ndjson", body)]), Folder::new());
    Etl::between(&input, &output).with("--drop secret").run().exits(3);
    let outcome = retry(&output.path(REJECTS), &output, "--features none").run_as_typed().exits(0);
    assert_eq!(outcome.count("/records/seen"), 1);
    check_hint(&outcome, &["1 records with values that are blacked out"]);
    assert_eq!(Table::read(&output.path(AGAIN)).column("id"), [json!(2)]);

    let published = output.read(AGAIN);
    Etl::between(&input, &output).with("--rejects-raw none").run().exits(3);
    let outcome = retry(&output.path(REJECTS), &output, "").run_as_typed().exits(0);
    assert_eq!((outcome.count("/records/seen"), &outcome.summary()["status"]), (0, &json!("nothing_new")));
    check_hint(&outcome, &["2 records that are there by their size alone"]);
    assert_eq!(output.read(AGAIN), published);

    let schema = input.write("schema.toml", "[[column]]\nname = \"id\"\ntype = \"int64\"\nnullable = true\n");
    input.write("a.ndjson", "{\"id\":\"x\"}\n{\"id\":7}\n");
    let fixed = "--features none --schema-contract discard_value --schema";
    Etl::between(&input, &output).with(fixed).arg(&schema).arg("--json").run_as_typed();
    assert_eq!(output.json_lines(REJECTS)[0]["value_discarded"], true);
    let outcome = retry(&output.path(REJECTS), &output, "").run_as_typed().exits(0);
    assert_eq!(outcome.count("/records/seen"), 0);
    check_hint(&outcome, &["1 discarded values"]);
}

#[test]
fn what_is_no_rejects_file_or_would_be_replaced_is_refused() {
    let (input, output) = (Folder::new(), Folder::new());
    let good = "{\"url\":\"a\",\"line\":1,\"page\":1,\"record\":0,\"reason\":\"x\",\"raw\":\"{}\"}\n";
    let rejects = input.write("r.ndjson", good);
    let wrong = input.write("wrong.ndjson", format!("{good}{{\"id\":1}}\n"));
    for (run, needles) in [
        (retry(&input.path("nowhere"), &output, ""), &["nowhere"][..]),
        (retry(&wrong, &output, ""), &["wrong.ndjson:2", "rejects file"]),
        (retry(&rejects, &output, "--records /a"), &["--records", "leave it out"]),
        (retry(&rejects, &output, "--rejects").arg(&rejects), &["r.ndjson", "--rejects"]),
        (Etl::bare().with("rejects retry").arg(&rejects), &["--out"]),
        (Etl::bare().with("rejects"), &["retry"]),
    ] {
        let outcome = run.run_as_typed();
        assert_eq!(outcome.code, 2, "{outcome:?}");
        for needle in needles {
            assert!(outcome.stderr.contains(needle), "{needle}: {outcome:?}");
        }
    }
    assert!(output.names().is_empty(), "{:?}", output.names());
    assert_eq!(input.read("r.ndjson"), good.as_bytes());
}
