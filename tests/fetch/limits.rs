//! What a host says of the requests that it takes, and what it gets then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etl::config::{HttpConfig, Rate, RetryConfig};
use etl::model::Location;
use tokio::task::JoinSet;

use crate::bench::*;
use crate::server::*;

fn refusal(headers: &[&str]) -> Reply {
    Reply::Keep(complete("429 Too Many Requests", headers, b"slow down"))
}

fn page() -> Reply {
    Reply::Keep(complete("200 OK", &[], BODY))
}

/// Asks for the first page, then for `count` others at once. Returns how long the last of them took.
async fn time_after_first(server: &Server, config: &HttpConfig, count: usize) -> Duration {
    let bench = Arc::new(Bench::new(config));
    drop(bench.get(&format!("{}/first", server.origin)).await);
    let begun = Instant::now();
    let mut fetches = JoinSet::new();
    for number in 0..count {
        let (bench, url) = (Arc::clone(&bench), format!("{}/{number}", server.origin));
        fetches.spawn(async move { bench.get(&url).await.unwrap() });
    }
    fetches.join_all().await;
    begun.elapsed()
}

#[tokio::test]
async fn pause_that_one_page_is_told_holds_for_the_others() {
    let mut cases = JoinSet::new();
    for (status, headers) in [
        ("429 X", &["Retry-After: 1"][..]),
        ("503 X", &["Retry-After: 1"]),
        ("429 X", &["RateLimit: \"default\";r=0;t=1"]),
        ("200 OK", &["RateLimit: \"default\";r=0;t=1"]),
        ("200 OK", &["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1"]),
        ("403 X", &["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1"]),
    ] {
        cases.spawn(async move {
            let first = Reply::Keep(complete(status, headers, BODY));
            let server = Server::start(move |number, _| if number == 0 { first.clone() } else { page() });
            let time = time_after_first(&server.await, &once(), 20).await;
            // More would be more than one pause.
            assert!((980..1900).contains(&time.as_millis()), "{status} {headers:?}: {time:?}");
        });
    }
    cases.join_all().await;
}

#[tokio::test]
async fn quota_that_is_not_used_up_is_no_pause() {
    let headers = ["RateLimit: \"default\";r=5;t=9", "X-RateLimit-Remaining: 1", "X-RateLimit-Reset: 9"];
    let server = Server::always(Reply::Keep(complete("200 OK", &headers, BODY))).await;
    let time = time_after_first(&server, &once(), 4).await;
    assert!(time < Duration::from_secs(5), "{time:?}");
}

#[tokio::test]
async fn pages_that_are_refused_together_keep_their_attempts() {
    // Every page is refused twice, together with the others, where each may be refused once.
    let server =
        Server::start(|number, _| if number < 80 { refusal(&["Retry-After: 1"]) } else { page() }).await;
    let retry = RetryConfig { retry_count: 1, ..retrying().retry };
    let config = HttpConfig { concurrency_per_host: Some(40), retry, ..retrying() };
    let bench = Arc::new(Bench::new(&config));
    let mut fetches = JoinSet::new();
    for number in 0..40 {
        let (bench, url) = (Arc::clone(&bench), format!("{}/{number}", server.origin));
        fetches.spawn(async move { bench.get(&url).await.is_ok() });
    }
    let served_count = fetches.join_all().await.into_iter().filter(|is_served| *is_served).count();
    // Each time one page of those that are in flight has used its attempt.
    assert!(served_count >= 36, "{served_count} of 40");
    assert_eq!(bench.metrics.requests_throttled.get(), 80);
}

#[tokio::test]
async fn page_that_is_refused_alone_fails_after_its_attempts() {
    let server = Server::always(refusal(&["Retry-After: 0"])).await;
    let fault = Bench::new(&retrying()).get(&server.origin).await.unwrap_err();
    assert_eq!(fault.reason, "HTTP 429 Too Many Requests after 5 attempts");
    let none = HttpConfig { retry: once().retry, ..retrying() };
    let bench = Bench::new(&none);
    let server = Server::start(|number, _| if number == 0 { page() } else { refusal(&[]) }).await;
    bench.get(&server.origin).await.unwrap();
    let fault = bench.get(&server.origin).await.unwrap_err();
    assert_eq!(fault.reason, "HTTP 429 Too Many Requests", "without retries there is one attempt");
}

#[tokio::test]
async fn redirects_and_retries_count_for_the_rate() {
    let server = Server::start(|_, head| {
        let step =
            head.split([' ', '/']).nth(2).and_then(|step| step.parse::<usize>().ok()).unwrap_or_default();
        match step {
            0..5 => Reply::Keep(complete("302 Found", &[&format!("Location: /{}", step + 1)], b"")),
            5 => Reply::Keep(complete("503 X", &[], b"")),
            _ => page(),
        }
    });
    let server = server.await;
    let rate = Some(Rate { interval: Duration::from_millis(20) });
    let config = HttpConfig { rate, ..retrying() };
    let bench = Bench::new(&config);
    let begun = Instant::now();
    bench.get(&format!("{}/0", server.origin)).await.unwrap_err();
    let count = server.requests().len() as u32;
    assert_eq!(count, 30, "five attempts with five redirects each");
    assert!(begun.elapsed() >= Duration::from_millis(20) * (count - 2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn request_is_over_for_its_host_with_the_last_byte_of_its_body() {
    let server = Server::always(page()).await;
    let bench = Bench::new(&HttpConfig { concurrency_per_host: Some(1), ..once() });
    let request = request(Location::Http(server.origin.parse().unwrap()));
    let (mut first, mut second) = (bench.begin(&request), bench.begin(&request));
    let mut answer = first.open().await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), second.open()).await;
    assert!(early.is_err(), "the first body has not been read yet");
    read(&mut answer, &mut Vec::new()).await.unwrap();
    second.open().await.unwrap();
}

#[tokio::test]
async fn longest_time_of_a_page_begins_when_its_host_takes_it() {
    let server = Server::always(page()).await;
    let rate = Some(Rate { interval: Duration::from_millis(400) });
    let config = HttpConfig { rate, max_time: Some(Duration::from_millis(300)), ..once() };
    let time = time_after_first(&server, &config, 3).await;
    assert!(time >= Duration::from_millis(1190), "{time:?}");
}
