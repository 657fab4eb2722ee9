//! Pages that must wait long: others go first, and the rows stand in their order all the same.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Api, Server};
use crate::table::{Table, row_groups};

const REJECTS: &str = "out.parquet.rejects.ndjson";
const PAGE_COUNT: u64 = 60;
/// Longer than others are waited for, where those before were answered at once.
const LONG: Duration = Duration::from_millis(2500);

#[track_caller]
fn run(site: &Folder, options: &str, code: i32) -> (Outcome, Folder) {
    let output = Folder::new();
    let outcome = Etl::between(site, &output).with(options).run().exits(code);
    (outcome, output)
}

fn number_in(target: &str) -> u64 {
    let digits: String = target.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Two lines of each page; every seventh has one that is none, and some bring columns of their own.
fn lines(number: u64) -> String {
    let first = match number {
        3 => json!({"id": 6, "early": true}),
        10 => json!({"id": 20, "later": 1}),
        20 => json!({"early": "no", "id": 40}),
        _ => json!({"id": 2 * number}),
    };
    let broken = if number % 7 == 4 { "{\"id\":}\n" } else { "" };
    format!("{first}\n{broken}{}\n", json!({"id": 2 * number + 1}))
}

fn api(late: &'static [u64]) -> (Api, Folder) {
    let api = Api::new(move |target| {
        let number = number_in(target);
        if late.contains(&number) {
            sleep(LONG);
        }
        ("Content-Type: application/x-ndjson\r\n".to_owned(), lines(number))
    });
    let targets: Vec<_> = (0..PAGE_COUNT).map(|number| format!("/page/{number}")).collect();
    let site = api.site(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    (api, site)
}

/// Where each reject stands, in the order of the file.
fn rejects(output: &Folder) -> Vec<(Value, Value)> {
    let lines = output.json_lines(REJECTS);
    lines.iter().map(|reject| (reject["line"].clone(), reject["record"].clone())).collect()
}

#[test]
fn rows_and_rejects_of_pages_that_others_went_before_stand_in_their_place() {
    let (_prompt, prompt_site) = api(&[]);
    let (_slow, slow_site) = api(&[3, 4, 17, 39, 40, 41]);
    for options in ["", "--row-group-rows 7 -j 8", "--nested json --row-group-rows 50 --threads 1"] {
        let (on_time, in_order) = run(&prompt_site, options, 3);
        assert_eq!(on_time.count("/pages/deferred"), 0);
        let (outcome, output) = run(&slow_site, options, 3);
        assert!(outcome.count("/pages/deferred") >= 3, "{}", outcome.stdout);
        let (expected, found) =
            (Table::read(&in_order.path("out.parquet")), Table::read(&output.path("out.parquet")));
        assert_eq!(found.columns, expected.columns, "columns in the order in which rows bring them");
        assert_eq!(found, expected, "{options}");
        assert_eq!(rejects(&output), rejects(&in_order));
        assert_eq!(output.names(), in_order.names(), "nothing is left beside the output");
        for key in ["/pages/fetched", "/records/seen", "/records/written", "/records/rejected"] {
            assert_eq!(outcome.count(key), on_time.count(key), "{key}");
        }
        let counts = row_groups(&output.path("out.parquet"));
        let rows_max = if options.contains("rows 7") { 7 } else { 64_000 };
        assert!(counts.iter().all(|count| *count <= rows_max), "{counts:?}");
    }
}

#[test]
fn host_that_asks_to_wait_holds_up_no_other() {
    let busy = Folder::new();
    busy.write("p.json", "[{\"id\":1}]");
    let busy = Server::over(busy.root());
    let (prompt, _) = api(&[]);
    let site = Folder::new();
    let mut lines = String::new();
    for number in 0..PAGE_COUNT {
        if number % 10 == 5 {
            lines += &format!("{}/p.json?status=429&retry_after=3&times=1&n={number}\n", busy.origin);
        }
        lines += &format!("{}/page/{number}\n", prompt.origin);
    }
    site.write("urls.txt", lines);
    let (outcome, output) = run(&site, "", 3);
    assert_eq!(outcome.count("/pages/failed"), 0, "{}", outcome.stdout);
    assert!(outcome.count("/pages/deferred") > 0, "{}", outcome.stdout);
    let urls = Table::read(&output.path("out.parquet")).column("id");
    let expected = (0..PAGE_COUNT).flat_map(|number| {
        let busy = (number % 10 == 5).then(|| json!(1));
        busy.into_iter().chain([json!(2 * number), json!(2 * number + 1)])
    });
    assert_eq!(urls, expected.collect::<Vec<_>>());
}

#[test]
fn chain_that_falls_behind_is_put_in_order_and_replayed_in_it() {
    let api = Api::new(|target| {
        let number = number_in(target);
        let (chain, page) = (number / 100, number % 100);
        if number == 202 {
            sleep(LONG);
        }
        let link = format!("Link: <{}>; rel=\"next\"\r\n", number + 1);
        let head = if page < 12 { link } else { String::new() };
        (head, json!([{"id": number, "chain": chain}]).to_string())
    });
    let site = api.site(&["/c/101", "/c/201", "/c/301", "/c/401"]);
    let raw = Folder::new();
    let options = format!("--paginate link --keep-raw {}", raw.root().display());
    let (outcome, output) = run(&site, &options, 0);
    assert!(outcome.count("/pages/deferred") > 0, "{}", outcome.stdout);
    let expected: Vec<_> =
        (1..=12).flat_map(|page| (1..=4).map(move |chain| json!(chain * 100 + page))).collect();
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.column("id"), expected);
    let replayed = Folder::new();
    let replay = Etl::bare().arg("--replay").arg(raw.root()).arg("--out").arg(replayed.path("out.parquet"));
    replay.run().exits(0);
    assert_eq!(Table::read(&replayed.path("out.parquet")), table);
}

#[test]
fn page_without_a_byte_is_asked_for_twice_and_no_longer_than_allowed() {
    let (api, site) = api(&[]);
    let silent = Api::new(move |target| {
        if number_in(target) % 10 == 5 {
            sleep(Duration::from_secs(60));
        }
        (String::new(), json!([{"id": number_in(target)}]).to_string())
    });
    drop(api);
    let targets: Vec<_> =
        (0..PAGE_COUNT).map(|number| format!("{}/page/{number}\n", silent.origin)).collect();
    site.write("urls.txt", targets.concat());
    let (outcome, output) = run(&site, "--read-timeout 3s --retry 4", 3);
    assert_eq!(outcome.count("/pages/failed"), PAGE_COUNT / 10);
    let reasons = outcome.summary()["failures"].clone();
    for failure in reasons.as_array().unwrap() {
        let reason = failure["reason"].as_str().unwrap();
        assert!(reason.starts_with("no answer within"), "{reason}");
        assert!(reason.contains("(--read-timeout)"), "{reason}");
    }
    let asked = silent.asked();
    for number in (5..PAGE_COUNT).step_by(10) {
        let count = asked.iter().filter(|target| **target == format!("/page/{number}")).count();
        assert_eq!(count, 2, "page {number}");
    }
    let ids = Table::read(&output.path("out.parquet")).column("id");
    let expected: Vec<_> =
        (0..PAGE_COUNT).filter(|number| number % 10 != 5).map(|number| json!(number)).collect();
    assert_eq!(ids, expected);
    assert!(outcome.summary()["elapsed_ms"].as_u64().unwrap() < 3 * 3000, "{}", outcome.stdout);
}

#[test]
fn declared_columns_are_there_and_as_wide_as_declared_where_pages_come_late() {
    let (_prompt, prompt_site) = api(&[]);
    let (_slow, slow_site) = api(&[3, 17]);
    let schema =
        "[[column]]\nname = \"none\"\ntype = \"double\"\n[[column]]\nname = \"id\"\ntype = \"double\"\n";
    let schema = slow_site.write("schema.toml", schema);
    for contract in ["evolve", "discard_value"] {
        let options = format!("--schema {} --schema-contract {contract}", schema.display());
        let (_, in_order) = run(&prompt_site, &options, 3);
        let (outcome, output) = run(&slow_site, &options, 3);
        assert!(outcome.count("/pages/deferred") > 0, "{}", outcome.stdout);
        assert_eq!(Table::read(&output.path("out.parquet")), Table::read(&in_order.path("out.parquet")));
    }
}

#[test]
fn large_pages_that_come_late_find_their_place_in_a_small_memory() {
    let api = Api::new(|target| {
        let number = number_in(target);
        if number % 10 == 2 {
            sleep(LONG);
        }
        let text = "x".repeat(if number % 10 == 2 { 3 << 20 } else { 200 });
        (String::new(), json!([{"id": number, "text": text}]).to_string())
    });
    let targets: Vec<_> = (0..PAGE_COUNT).map(|number| format!("/page/{number}")).collect();
    let site = api.site(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    let (outcome, output) = run(&site, "--memory 64MiB -j 8", 0);
    assert!(outcome.count("/pages/deferred") > 0, "{}", outcome.stdout);
    let ids = Table::read(&output.path("out.parquet")).column("id");
    assert_eq!(ids, (0..PAGE_COUNT).map(|number| json!(number)).collect::<Vec<_>>());
}
