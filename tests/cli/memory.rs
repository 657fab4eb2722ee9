//! The ceiling on memory: what is large or many gets through, what is too large is refused in words.

use std::io::Write as _;

use serde_json::json;

use crate::bench::{Etl, Folder};
use crate::server::Server;
use crate::table::{Table, row_groups};

const MIB: usize = 1 << 20;

/// An array of records of `record_bytes` each, ids from `first`.
fn page(first: usize, record_count: usize, record_bytes: usize) -> String {
    let text = "x".repeat(record_bytes);
    let records = (first..first + record_count).map(|id| format!("{{\"id\":{id},\"text\":\"{text}\"}}"));
    format!("[{}]", records.collect::<Vec<_>>().join(",\n"))
}

#[test]
fn page_as_large_as_the_memory_gets_through_in_every_form() {
    let site = Folder::new();
    site.write("huge.json", page(100, 40, MIB));
    site.write("a.json", "[{\"id\":1}]");
    site.write("b.json", "[{\"id\":2}]");
    let server = Server::over(site.root());
    let input = Folder::new();
    server.list(&input, &["a.json", "huge.json", "huge.json?chunked=1", "huge.json?encoding=gzip", "b.json"]);
    site.write("urls.txt", "a.json\nhuge.json\nb.json\n");
    for (folder, page_count) in [(&input, 3), (&site, 1)] {
        let output = Folder::new();
        Etl::between(folder, &output).with("--memory 64MiB").run().exits(0);
        let huge = (0..page_count).flat_map(|_| 100..140);
        let ids: Vec<_> = [1].into_iter().chain(huge).chain([2]).map(|id| json!(id)).collect();
        assert_eq!(Table::read(&output.path("out.parquet")).column("id"), ids);
    }
}

#[test]
fn row_groups_as_large_as_allowed_do_not_deadlock() {
    let site = Folder::new();
    let mut targets = Vec::new();
    for index in 0..80 {
        site.write(&format!("p{index}.json"), page(index * 16, 16, MIB / 16));
        let query = if index == 0 { "?latency_ms=800" } else { "" };
        targets.push(format!("p{index}.json{query}"));
    }
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    server.list(&input, &targets);
    Etl::between(&input, &output)
        .with("--memory 64MiB -j 32 --row-group-rows 1000000 --row-group-bytes 16MiB")
        .run()
        .exits(0);
    let ids = Table::read(&output.path("out.parquet")).column("id");
    assert_eq!(ids, (0..80 * 16).map(|id| json!(id)).collect::<Vec<_>>());
    assert!(row_groups(&output.path("out.parquet")).len() < 8);
}

#[test]
fn large_pages_pass_whatever_the_concurrency() {
    let site = Folder::new();
    for index in 0..6 {
        site.write(&format!("p{index}.json"), page(index * 24, 24, MIB));
    }
    site.write("urls.txt", "p{0..5}.json\n");
    let output = Folder::new();
    Etl::between(&site, &output).with("--memory 64MiB -j 6").run().exits(0);
    let ids = Table::read(&output.path("out.parquet")).column("id");
    assert_eq!(ids, (0..144).map(|id| json!(id)).collect::<Vec<_>>());
}

#[test]
fn windows_of_decoders_are_part_of_the_memory() {
    // More than a window of 8 MiB fills while it is decompressed, and some of the pages wait for their turn then.
    let (page_count, record_count) = (112, 144);
    let letters: String =
        (0..MIB / 16).map(|place| char::from(b'a' + (place * place / 7 % 26) as u8)).collect();
    let records = (0..record_count).map(|id| format!("{{\"id\":{id},\"text\":\"{id}{letters}\"}}\n"));
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(23).unwrap();
    encoder.write_all(records.collect::<String>().as_bytes()).unwrap();
    let site = Folder::new();
    site.write("page.ndjson.zst", encoder.finish().unwrap());
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    let targets: Vec<_> = (0..page_count).map(|index| format!("page.ndjson.zst?number={index}")).collect();
    server.list(&input, &targets);
    let outcome =
        Etl::between(&input, &output).with("--memory 256MiB -j 64 --concurrency-per-host 64").run().exits(0);
    let ids = Table::read(&output.path("out.parquet")).column("id");
    assert_eq!(ids, (0..page_count).flat_map(|_| (0..record_count).map(|id| json!(id))).collect::<Vec<_>>());
    let peak = outcome.count("/peak_rss_bytes");
    assert!(peak < 320 << 20, "{peak} bytes");
}

#[test]
fn page_beyond_max_page_bytes_fails_and_names_the_option() {
    let site = Folder::with_pages(&[("a.json", page(0, 4, 1000)), ("b.json", page(9, 1, 10))]);
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    server.list(&input, &["a.json", "a.json?encoding=gzip", "b.json"]);
    let outcome = Etl::between(&input, &output).with("--max-page-bytes 2KiB").run().exits(3);
    assert_eq!(outcome.count("/pages/failed"), 2);
    for failure in outcome.summary()["failures"].as_array().unwrap() {
        let reason = failure["reason"].as_str().unwrap();
        assert!(reason.contains("--max-page-bytes"), "{reason}");
    }
}

#[test]
fn long_list_has_the_columns_of_other_lists_whichever_comes_first() {
    let wide = |id: usize| {
        let members: Vec<_> = (0..60).map(|key| format!("\"k{key:02}\":{key}")).collect();
        format!("{{\"id\":{id},\"items\":[{{{}}}]}}\n", members.join(","))
    };
    // Spread out, its columns would be larger than a row group.
    let objects: Vec<_> = (0..20_000).map(|place| format!("{{\"k{:02}\":{place}}}", place % 3)).collect();
    let long = |id: usize| format!("{{\"id\":{id},\"items\":[{}]}}\n", objects.join(","));
    for (first, second, place) in [(wide(0), long(1), 1), (long(0), wide(1), 0)] {
        let site = Folder::with_pages(&[("a.ndjson", first), ("b.ndjson", second)]);
        let output = Folder::new();
        Etl::between(&site, &output).run().exits(0);
        let table = Table::read(&output.path("out.parquet"));
        let items = table.column("items");
        let [long, wide] = [&items[place], &items[1 - place]].map(|items| items.as_array().unwrap());
        assert_eq!((long.len(), wide.len()), (20_000, 1));
        for (place, object) in long.iter().enumerate() {
            let members = object.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
            let members: Vec<_> =
                members.map(|(key, value)| (key.as_str(), value.as_u64().unwrap())).collect();
            assert_eq!(members, [(format!("k{:02}", place % 3).as_str(), place as u64)]);
        }
        let all = wide[0].as_object().unwrap();
        assert!((0..60).all(|key| all[&format!("k{key:02}")] == key), "{all:?}");
    }
}
