//! The order of the list is the order of the rows, and one input is one file.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::bench::{Etl, Folder};
use crate::server::Server;
use crate::table::{Table, row_groups};

/// Pages whose columns drift, 20 records each.
fn drifting_pages(count: usize) -> Vec<(String, String)> {
    let page = |page: usize| {
        let records = (0..20).map(|record| {
            let id = page * 100 + record;
            let mut value = json!({"id": id, "values": [id, 0.5, record], "name": format!("n{record}")});
            value["text"] = json!(format!("{id} ").repeat(100));
            match page % 6 {
                1 => value["late"] = json!({"a": id}),
                2 => value["late"] = json!({"a": 0.25, "b": ["x"]}),
                3 => value["name"] = json!(id),
                4 => value["at"] = json!("2026-01-02T03:04:05Z"),
                5 if page > 6 => value["late"] = json!("text"),
                _ => {}
            }
            value.to_string()
        });
        format!("[{}]", records.collect::<Vec<_>>().join(","))
    };
    (0..count).map(|index| (format!("p{index}.json"), page(index))).collect()
}

fn digest(folder: &Folder) -> Vec<u8> {
    Sha256::digest(folder.read("out.parquet")).to_vec()
}

#[test]
fn slow_first_page_does_not_reorder_rows() {
    let site =
        Folder::with_pages(&drifting_pages(12).iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    let slow = |page: usize| match page {
        0 => "latency_ms=600",
        5 => "latency_ms=300",
        7 => "status=503&times=1",
        _ => "",
    };
    let targets: Vec<_> = (0..12).map(|page| format!("p{page}.json?{}", slow(page))).collect();
    server.list(&input, &targets);
    Etl::between(&input, &output).with("-j 8").run().exits(0);
    let ids = Table::read(&output.path("out.parquet")).column("id");
    let expected = (0..12).flat_map(|page| (0..20).map(move |record| json!(page * 100 + record)));
    assert_eq!(ids, expected.collect::<Vec<_>>());
    let first_answered = server.log()[0]["target"].as_str().unwrap().to_owned();
    assert!(!first_answered.starts_with("/p0.json"), "the first page was not slow");
}

#[test]
fn same_pages_are_the_same_file_whatever_the_machine_settings() {
    let pages = drifting_pages(24);
    let site = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let server = Server::over(site.root());
    let input = Folder::new();
    let mut targets: Vec<_> =
        (0..24).map(|page| format!("p{page}.json?latency_ms={}", (page * 7) % 5 * 10)).collect();
    site.write("wrong.ndjson", "{\"id\":5}\n{\"id\":\n7\n{\"id\":{\"late\":1},\"values\":[true]}\n");
    targets.insert(3, "wrong.ndjson?latency_ms=30".to_owned());
    targets.insert(9, "gone.json?latency_ms=20".to_owned());
    targets.push("wrong.ndjson".to_owned());
    server.list(&input, &targets);
    for row_group in ["", "--row-group-rows 7", "--row-group-rows 50", "--row-group-bytes 64KiB"] {
        let mut digests = Vec::new();
        for machine in [
            "--threads 1 -j 1",
            "--threads 1 -j 64",
            "--threads 2 -j 64",
            "--threads 8 -j 1",
            "--threads 8 -j 64",
            "--threads 2 -j 5 --memory 64MiB",
        ] {
            let output = Folder::new();
            Etl::between(&input, &output).with(row_group).with(machine).run().exits(3);
            let rejects = output.read("out.parquet.rejects.ndjson");
            digests.push(((digest(&output), rejects), machine));
        }
        for (other, machine) in &digests {
            assert_eq!(*other, digests[0].0, "{row_group} {machine} is not {}", digests[0].1);
        }
    }
}

#[test]
fn file_is_the_same_when_run_again_and_whatever_was_there_before() {
    let pages = drifting_pages(6);
    let site = Folder::with_pages(&pages.iter().map(|(n, b)| (n.as_str(), b)).collect::<Vec<_>>());
    let output = Folder::new();
    Etl::between(&site, &output).run().exits(0);
    let first = digest(&output);
    Etl::between(&site, &output).run().exits(0);
    assert_eq!(digest(&output), first);
    assert_eq!(output.names(), ["out.parquet"]);
}

#[test]
fn row_groups_hold_as_many_rows_as_asked_for() {
    let page: Vec<_> = (0..25).map(|id| json!({"id": id}).to_string()).collect();
    let page = format!("[{}]", page.join(","));
    let site = Folder::with_pages(&[("a.json", &page), ("b.json", &page), ("c.json", &page)]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--row-group-rows 20").run().exits(0);
    let groups = row_groups(&output.path("out.parquet"));
    assert_eq!(groups.iter().sum::<i64>(), 75);
    assert!(groups.iter().all(|rows| *rows <= 20), "{groups:?}");
}

#[test]
fn list_expands_ranges_with_zeros_and_dates_in_order() {
    let site = Folder::new();
    for (name, id) in [("p08", 8), ("p09", 9), ("p10", 10)] {
        for (day, add) in [("2026-02-28", 0), ("x", 100)] {
            site.write(&format!("{day}-{name}.json"), format!("{{\"id\":{}}}", id + add));
        }
    }
    let text = "\u{feff}# a comment\r\n{date:%Y-%m-%d}-p{08..10}.json\r\n\r\nx-p{08..10}.json\r\n";
    site.write("urls.txt", text);
    let output = Folder::new();
    Etl::new(&site.path("urls.txt"), &output.path("out-{date:%Y%m%d}.parquet"))
        .with("--as-of 2026-02-28")
        .run()
        .exits(0);
    assert_eq!(output.names(), ["out-20260228.parquet"]);
    let ids = Table::read(&output.path("out-20260228.parquet")).column("id");
    assert_eq!(ids, [8, 9, 10, 108, 109, 110].map(|id| json!(id)));
}
