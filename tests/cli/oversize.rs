//! Records that are larger than a record may be: named by place, size and hash, and no part of the memory.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::bench::{Etl, Folder};
use crate::forms::{FORMS, Form, record, rejects};
use crate::server::Gate;
use crate::table::Table;

const MIB: usize = 1 << 20;

/// A record of exactly so many bytes.
fn sized(id: usize, record_bytes: usize) -> String {
    let frame_bytes = format!("{{\"id\":{id},\"text\":\"\"}}").len();
    format!("{{\"id\":{id},\"text\":\"{}\"}}", "x".repeat(record_bytes - frame_bytes))
}

/// Only the records at `expected` are rejected, named by size and hash, and the others are written.
#[track_caller]
fn check_oversize(form: Form, records: &[String], options: &str, expected: &[usize]) {
    let site = Folder::with_pages(&[(form.name("large").as_str(), form.page(records))]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with(form.options()).with(options).run().exits(3);
    assert_eq!(outcome.count("/records/seen"), records.len() as u64);
    let ids = Table::read(&output.path("out.parquet")).column("id");
    let written = (0..records.len()).filter(|id| !expected.contains(id));
    assert_eq!(ids, written.map(|id| json!(id)).collect::<Vec<_>>(), "{form:?}");
    let (rejects, offsets) = (rejects(&output), form.offsets(records));
    assert_eq!(rejects.len(), expected.len(), "{form:?}");
    for (reject, index) in rejects.iter().zip(expected.iter().copied()) {
        let digest = Sha256::digest(&records[index]);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&reject["line"], &reject["record"]), (&json!(1), &json!(index)), "{form:?}");
        assert_eq!(reject["byte_offset"], offsets[index], "{form:?}");
        assert_eq!(reject["size"], records[index].len(), "{form:?}");
        assert_eq!(reject["sha256"], digest, "{form:?}");
        for name in ["raw", "raw_base64"] {
            assert!(reject.get(name).is_none_or(Value::is_null), "{form:?}: {name} is kept");
        }
        let reason = reject["reason"].as_str().unwrap();
        assert!(reason.contains("--max-record-bytes"), "{reason}");
    }
}

#[test]
fn record_larger_than_allowed_is_a_reject_without_its_bytes_wherever_it_stands() {
    let records = [
        sized(0, MIB + 1),
        record(1),
        sized(2, MIB),
        sized(3, 3 * MIB),
        record(4),
        record(5),
        sized(6, 2 * MIB),
    ];
    for form in FORMS {
        check_oversize(form, &records, "--memory 64MiB --max-record-bytes 1MiB", &[0, 3, 6]);
    }
}

#[test]
fn record_may_have_16_mib_unless_something_else_is_asked_for() {
    let records = [record(0), sized(1, 16 * MIB), sized(2, 16 * MIB + 1), record(3)];
    check_oversize(Form::Lines, &records, "", &[2]);
    // The smallest memory allows for it too.
    check_oversize(Form::Array, &records, "--memory 64MiB", &[2]);
}

#[test]
fn record_limit_beyond_a_quarter_of_the_memory_is_refused_before_any_request() {
    for options in ["--memory 64MiB --max-record-bytes 17MiB", "--memory 512MiB --max-record-bytes 129MiB"] {
        let (gate, input, output) = (Gate::new(), Folder::new(), Folder::new());
        input.write("urls.txt", format!("{}/a.json\n", gate.origin));
        let outcome = Etl::between(&input, &output).with(options).run_as_typed();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        for option in ["--max-record-bytes", "--memory"] {
            assert!(outcome.stderr.contains(option), "{option} is missing: {}", outcome.stderr);
        }
        assert!(gate.is_untouched(), "a request was sent");
        assert!(output.names().is_empty(), "{:?}", output.names());
    }
}
