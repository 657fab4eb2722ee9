//! Hosts that take only so many requests, at once or in a time.

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;

const PAGE_COUNT: usize = 60;

/// A server with these parameters for every URL, and a list of small pages.
fn scene(faults: &str) -> (Server, Folder, Folder) {
    let pages: Vec<_> = (0..PAGE_COUNT)
        .map(|page| (format!("p{page}.json"), format!("[{{\"id\":{page},\"values\":[{page},1]}}]")))
        .collect();
    let site =
        Folder::with_pages(&pages.iter().map(|(name, body)| (name.as_str(), body)).collect::<Vec<_>>());
    let server = Server::with_faults(site.root(), faults);
    let input = Folder::new();
    server.list(&input, &pages.iter().map(|(name, _)| name).collect::<Vec<_>>());
    (server, input, site)
}

fn run(input: &Folder, options: &str) -> (Outcome, Vec<u8>) {
    let output = Folder::new();
    let outcome = Etl::between(input, &output).with(options).run().exits(0);
    (outcome, output.read("out.parquet"))
}

#[test]
fn host_that_refuses_what_is_too_much_at_once_loses_no_page_and_changes_no_byte() {
    let (_server, input, _site) = scene("at_once=3&latency_ms=10");
    let (alone, file) = run(&input, "--concurrency-per-host 1");
    assert_eq!(alone.count("/requests/throttled"), 0);
    assert_eq!(alone.summary()["hints"].as_array().unwrap().len(), 0);
    let (many, same_file) = run(&input, "--retry 1");
    let throttled_count = many.count("/requests/throttled");
    assert!(throttled_count > 0, "sixteen at once were not too much");
    assert_eq!(many.count("/requests/by_status/429"), throttled_count);
    assert_eq!(many.count("/requests/sent"), PAGE_COUNT as u64 + throttled_count);
    let hints = many.summary()["hints"].to_string();
    assert!(hints.contains(&format!("refused {throttled_count} requests")), "{hints}");
    assert!(file == same_file);
}

#[test]
fn host_that_asks_to_wait_is_left_alone_and_the_summary_says_how_long() {
    let (server, input, _site) = scene("at_once=3&latency_ms=10&retry_after=1");
    let (outcome, _) = run(&input, "");
    let log = server.log();
    let at_ms = |line: &serde_json::Value| line["at_ms"].as_u64().unwrap();
    let refused_at = log.iter().find(|line| line["status"] == 429).map(at_ms).expect("a refusal");
    // What was under way then may still arrive, and a busy machine is late.
    let early = log.iter().filter(|line| (refused_at + 300..refused_at + 990).contains(&at_ms(line))).count();
    assert_eq!(early, 0, "requests in the second after the first refusal");
    assert!(outcome.count("/requests/paused_ms") >= 900);
}

#[test]
fn rate_holds_from_the_first_second_on() {
    let (server, input, _site) = scene("");
    run(&input, "--rate 40/s");
    let times: Vec<_> = server.log().iter().map(|line| line["at_ms"].as_u64().unwrap()).collect();
    for (first, begin) in times.iter().enumerate() {
        let count = times[first..].iter().filter(|time| **time < begin + 1000).count();
        assert!(count <= 42, "{count} in a second");
    }
    assert!(times.last().unwrap() - times[0] >= 1400, "60 requests at 40 a second");
}
