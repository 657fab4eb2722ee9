//! Trying again: as long as the server asks for, and no longer than the user allows.

use std::time::{Duration, Instant};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;

/// One good page and one at `target`; the server stays for its log.
fn run(target: &str, options: &str, code: i32) -> (Outcome, Server, Duration) {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.json", "[{\"id\":2}]")]);
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    server.list(&input, &["a.json", target]);
    let begun = Instant::now();
    let outcome = Etl::between(&input, &output).with(options).run().exits(code);
    (outcome, server, begun.elapsed())
}

#[test]
fn retry_after_is_waited_for() {
    for status in [429, 503] {
        let (_, server, _) = run(&format!("b.json?status={status}&retry_after=1&times=1"), "", 0);
        let log = server.log();
        let times: Vec<_> = log
            .iter()
            .filter(|line| line["target"].as_str().unwrap().starts_with("/b.json"))
            .map(|line| line["at_ms"].as_u64().unwrap())
            .collect();
        assert_eq!(times.len(), 2);
        assert!(times[1] - times[0] >= 995, "asked again after {} ms", times[1] - times[0]);
    }
}

#[test]
fn retry_after_beyond_the_allowed_time_fails_the_page_soon() {
    let (outcome, _, time) = run("b.json?status=503&retry_after=3600", "--retry-max-time 1s", 3);
    assert!(time < Duration::from_secs(10), "took {time:?}");
    assert_eq!(outcome.count("/pages/failed"), 1);
}

#[test]
fn max_time_bounds_a_page_with_all_its_attempts() {
    for target in ["b.json?status=503&retry_after=20", "b.json?stall=3", "b.json?latency_ms=20000"] {
        let (outcome, _, time) = run(target, "--max-time 1s", 3);
        assert!(time < Duration::from_secs(10), "{target} took {time:?}");
        assert_eq!(outcome.count("/pages/failed"), 1);
        let reason = outcome.summary()["failures"][0]["reason"].as_str().unwrap().to_owned();
        assert!(!reason.is_empty());
    }
}

#[test]
fn retry_says_how_many_attempts_come_after_the_first() {
    for (options, attempts) in [("--retry 0", 1), ("--retry 1", 2), ("--retry 3", 4)] {
        let (outcome, server, _) = run("b.json?status=502&retry_after=0", options, 3);
        assert_eq!(server.log().len(), 1 + attempts, "{options}");
        assert_eq!(outcome.count("/requests/retried") as usize, attempts - 1);
        assert_eq!(outcome.count("/requests/by_status/502") as usize, attempts);
    }
}

#[test]
fn relative_redirect_is_followed_and_counted() {
    let (outcome, server, _) = run("b.json?redirect=b.json", "", 0);
    assert_eq!(outcome.count("/requests/sent"), 3);
    assert_eq!(outcome.count("/requests/retried"), 0);
    assert_eq!(server.log().len(), 3);
}

#[test]
fn redirects_without_end_fail_the_page() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    // With this for every URL, the target is a redirect too.
    let server = Server::with_faults(site.root(), "redirect=/a.json");
    let (input, output) = (Folder::new(), Folder::new());
    server.list(&input, &["a.json"]);
    let outcome = Etl::between(&input, &output).run().exits(1);
    assert_eq!(outcome.count("/requests/sent"), server.log().len() as u64);
    assert!(server.log().len() < 100);
}
