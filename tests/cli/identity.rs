//! Every fault of the server in one list: what the run says equals what the server's log says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;
use crate::table::Table;

/// Pages that end well, some of them at the second or third attempt.
///
/// One page alone, of the bad ones, is refused for being too much: of two that were refused together each would be
/// given more attempts.
const GOOD: &[&str] = &[
    "a.json",
    "a.json?latency_ms=300",
    "l.ndjson?latency_ms=100&chunked=1",
    "a.json?status=503&times=2",
    "a.json?status=500&times=1",
    "a.json?status=408&times=1",
    "a.json?encoding=gzip",
    "l.ndjson?encoding=deflate",
    "a.json?encoding=zstd",
    "a.json?encoding=gzip&chunked=1",
    "a.json?encoding=zstd&close=1",
    "a.json?chunked=1",
    "a.json?close=1",
    "l.ndjson?close=1",
    "a.json?reset=1&times=1",
    "a.json?reset=1&cut=70&times=1",
    "a.json?cut=70&times=1",
    "a.json?cut=70&chunked=1&times=1",
    "a.json?cut=30&encoding=gzip&close=1&times=1",
    "a.json?stall=70&times=1",
    "a.json?redirect=/a.json%3Fhop=1",
    "a.json?status=307&redirect=/l.ndjson%3Fhop=2",
    "a.json?type=text/plain",
];
/// Pages that are complete and hold nothing.
const EMPTY: &[&str] =
    &["a.json?status=204", "empty.ndjson", "none.json", "empty.json?type=application/x-ndjson"];
/// Pages that never become complete, with whether another attempt may help.
const BAD: &[(&str, bool)] = &[
    ("a.json?status=503", true),
    ("a.json?status=429&retry_after=0", true),
    ("a.json?status=404", false),
    ("a.json?status=403", false),
    ("gone.json", false),
    ("a.json?reset=1", true),
    ("a.json?reset=1&cut=70", true),
    ("a.json?cut=70", true),
    ("l.ndjson?cut=70", true),
    ("a.json?cut=70&chunked=1", true),
    ("l.ndjson?cut=70&chunked=1", true),
    ("a.json?cut=30&encoding=gzip", true),
    ("l.ndjson?stall=70", true),
    ("a.json?redirect=/gone.json%3Fhop=3", false),
    ("a.json?redirect=file:///none.json", false),
    ("empty.json", false),
    ("login.html", false),
];
/// Pages whose end is not proven and that end within a record; attempts are not counted on.
const CUT_UNSEEN: &[&str] =
    &["a.json?cut=70&close=1", "l.ndjson?cut=70&close=1", "l.ndjson?cut=30&encoding=gzip&close=1"];

fn site() -> Folder {
    let folder = Folder::new();
    folder.write("a.json", "[{\"id\":1,\"values\":[1,2]},\n{\"id\":2,\"values\":[3,5]},\n{\"id\":3,\"values\":[4,8]},\n{\"id\":4,\"values\":[]}]");
    folder.write("l.ndjson", "{\"id\":1,\"values\":[1,2]}\n{\"id\":2,\"values\":[3,5]}\n{\"id\":3,\"values\":[4,8]}\n{\"id\":4,\"values\":[]}\n");
    folder.write("mixed.ndjson", "{\"id\":1}\n{\"id\":}\n{\"id\":3}\n");
    folder.write("none.json", "[]");
    folder.write("empty.json", "");
    folder.write("empty.ndjson", "");
    folder.write("login.html", "<html><body>Sign in</body></html>");
    folder
}

/// Good and bad pages in turn, a page with a reject, and one URL twice.
fn targets() -> Vec<&'static str> {
    let mut targets = vec!["mixed.ndjson"];
    let bad: Vec<_> = BAD.iter().map(|(target, _)| *target).chain(CUT_UNSEEN.iter().copied()).collect();
    for index in 0..GOOD.len().max(bad.len()) {
        targets.extend(GOOD.get(index));
        targets.extend(bad.get(index));
        targets.extend(EMPTY.get(index));
    }
    targets.push(GOOD[1]);
    targets
}

#[test]
fn run_accounts_for_every_page_record_and_request_of_a_faulty_server() {
    let (site, input, output) = (site(), Folder::new(), Folder::new());
    let server = Server::over(site.root());
    let targets = targets();
    server.list(&input, &targets);
    let outcome = Etl::between(&input, &output).with("--retry 2 --read-timeout 1s").run().exits(3);

    let bad_count = BAD.len() + CUT_UNSEEN.len();
    let good_count = GOOD.len() + EMPTY.len() + 1;
    assert_eq!(outcome.count("/pages/listed"), targets.len() as u64);
    assert_eq!(outcome.count("/pages/fetched"), good_count as u64, "{}", outcome.stderr);
    assert_eq!(outcome.count("/pages/failed"), bad_count as u64, "{}", outcome.stderr);
    assert_eq!(outcome.count("/pages/duplicate"), 1);
    assert_eq!(outcome.count("/pages/left"), 0);
    assert_eq!(outcome.count("/records/written"), 2 + 4 * GOOD.len() as u64);
    assert_eq!(outcome.count("/records/rejected"), 1);

    let ids = Table::read(&output.path("out.parquet")).column("id");
    let mut expected = vec![json!(1), json!(3)];
    expected.extend((0..GOOD.len()).flat_map(|_| (1..=4).map(|id| json!(id))));
    assert_eq!(ids, expected, "rows of the good pages and of no other");

    check_requests(&outcome, &server.log());
    check_attempts(&server.log());
    check_rejects(&output, &targets);
    assert_eq!(output.names(), ["out.parquet", "out.parquet.rejects.ndjson"]);
}

fn check_requests(outcome: &Outcome, log: &[Value]) {
    assert_eq!(outcome.count("/requests/sent"), log.len() as u64, "{log:#?}");
    let distinct: BTreeSet<_> = log.iter().map(|line| line["target"].as_str().unwrap()).collect();
    assert_eq!(outcome.count("/requests/retried"), (log.len() - distinct.len()) as u64);
    let mut by_status = BTreeMap::<String, u64>::new();
    for status in log.iter().filter_map(|line| line["status"].as_u64()) {
        *by_status.entry(status.to_string()).or_default() += 1;
    }
    let counted = &outcome.summary()["requests"]["by_status"];
    for (status, count) in by_status {
        assert_eq!(counted[&status], count, "{status} of {counted}");
    }
}

/// What may pass is tried three times, what can't is asked for once.
fn check_attempts(log: &[Value]) {
    for (target, is_tried_again) in BAD {
        let count = log.iter().filter(|line| line["target"] == format!("/{target}")).count();
        assert_eq!(count, if *is_tried_again { 3 } else { 1 }, "{target}");
    }
}

/// Each failed page is named with its line and a reason, in the order of the list.
fn check_rejects(output: &Folder, targets: &[&str]) {
    let rejects = output.json_lines("out.parquet.rejects.ndjson");
    let failed = rejects.iter().filter(|reject| reject["record"].is_null());
    let failed: Vec<_> = failed.map(|reject| reject["line"].as_u64().unwrap()).collect();
    let is_bad = |target: &str| BAD.iter().any(|(bad, _)| *bad == target) || CUT_UNSEEN.contains(&target);
    let lines = (1..).zip(targets).filter(|(_, target)| is_bad(target)).map(|(line, _)| line);
    assert_eq!(failed, lines.collect::<Vec<u64>>());
    for reject in &rejects {
        assert!(!reject["reason"].as_str().unwrap().is_empty(), "{reject}");
    }
    let record = &rejects[0];
    assert_eq!(record["line"], 1);
    assert_eq!(record["record"], 1);
    assert_eq!(record["byte_offset"], 9);
    assert_eq!(record["raw"], "{\"id\":}");
}
