//! Retries, timeouts, connections and memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etl::config::{HttpConfig, RetryConfig};
use etl::model::Location;

use crate::bench::*;
use crate::server::*;

#[tokio::test]
async fn reset_connection_is_tried_again() {
    let server = Server::start(|number, _| match number {
        0 | 1 => Reply::Reset,
        _ => Reply::Close(complete("200 OK", &[], BODY)),
    });
    let server = server.await;
    let bench = Bench::new(&retrying());
    assert_eq!(&bench.get(&server.origin).await.unwrap().body[..], BODY);
    assert_eq!((bench.metrics.requests_sent.get(), bench.metrics.requests_retried.get()), (3, 2));
}

#[tokio::test]
async fn server_that_is_not_there_is_no_answer() {
    let server = Server::always(Reply::Reset).await;
    let fault = Bench::new(&retrying()).get(&server.origin).await.unwrap_err();
    assert!(fault.reason.ends_with(" after 5 attempts"), "{}", fault.reason);
    assert!(!fault.answered);
    let origin = server.origin.clone();
    drop(server);
    let fault = Bench::new(&once()).get(&origin).await.unwrap_err();
    assert!(fault.reason.starts_with("could not connect: "), "{}", fault.reason);
    assert!(!fault.answered);
}

#[tokio::test]
async fn silence_is_a_fault_before_and_within_a_body() {
    let config = HttpConfig { read_timeout: Duration::from_millis(150), ..once() };
    let server = Server::always(Reply::Stall(Vec::new())).await;
    let fault = Bench::new(&config).get(&server.origin).await.unwrap_err();
    assert_eq!((fault.reason.as_str(), fault.answered), ("no answer within 0.15 s (--read-timeout)", false));
    let half = answer("200 OK", &["Content-Length: 20"], b"[1,2");
    let server = Server::always(Reply::Stall(half)).await;
    let fault = Bench::new(&config).get(&server.origin).await.unwrap_err();
    assert_eq!(fault.reason, "the body broke off after 4 bytes: no byte more within 0.15 s (--read-timeout)");
    assert!(fault.answered);
    assert_eq!(fault.received.unwrap().head, b"[1,2");
}

#[tokio::test]
async fn longest_time_of_a_page_includes_its_attempts() {
    let config = HttpConfig { max_time: Some(Duration::from_millis(200)), ..retrying() };
    let server = Server::start(|number, _| match number {
        0 => Reply::Close(complete("503 Service Unavailable", &[], b"")),
        _ => Reply::Stall(Vec::new()),
    });
    let server = server.await;
    let fault = Bench::new(&config).get(&server.origin).await.unwrap_err();
    assert_eq!(fault.reason, "no complete answer within 0.2 s (--max-time) after 2 attempts");
    assert!(fault.answered);
}

#[tokio::test]
async fn server_that_asks_to_wait_is_asked_again() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Keep(complete("429 Too Many Requests", &["Retry-After: 0"], b"slow down")),
        1 => Reply::Keep(complete("503 X", &["Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"], b"")),
        _ => Reply::Keep(complete("200 OK", &[], BODY)),
    });
    let server = server.await;
    let bench = Bench::new(&retrying());
    assert_eq!(&bench.get(&server.origin).await.unwrap().body[..], BODY);
    assert_eq!(bench.metrics.by_status().into_iter().collect::<Vec<_>>(), [(200, 1), (429, 1), (503, 1)]);
    assert_eq!(bench.metrics.requests_retried.get(), 2);
}

#[tokio::test]
async fn server_that_asks_for_an_hour_is_asked_once_more_at_the_end_of_the_allowed_time() {
    let reply = Reply::Close(complete("429 Too Many Requests", &["Retry-After: 3600"], b"slow down"));
    let server = Server::always(reply).await;
    let config = retrying();
    let retry = RetryConfig { retry_max_time: Duration::from_millis(300), ..config.retry.clone() };
    let begun = Instant::now();
    let fault = Bench::new(&HttpConfig { retry, ..config }).get(&server.origin).await.unwrap_err();
    assert_eq!(
        fault.reason,
        "HTTP 429 Too Many Requests after 2 attempts; the server asks to wait 3600 s more, \
         and the 0.3 s of --retry-max-time are over"
    );
    assert_eq!(fault.received.unwrap().head, b"slow down");
    assert_eq!(server.requests().len(), 2);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn server_that_stays_down_fails_the_page_after_all_attempts() {
    let server = Server::always(Reply::Keep(complete("503 Service Unavailable", &[], b"down"))).await;
    let fault = Bench::new(&retrying()).get(&server.origin).await.unwrap_err();
    assert_eq!(fault.reason, "HTTP 503 Service Unavailable after 5 attempts");
    assert_eq!((fault.answered, server.requests().len()), (true, 5));
    assert_eq!(fault.received.unwrap().head, b"down");
}

#[tokio::test]
async fn connection_is_used_again() {
    let server = Server::always(Reply::Keep(complete("200 OK", &[], BODY))).await;
    let bench = Bench::new(&once());
    for _ in 0..5 {
        bench.get(&server.origin).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connection_count()), (5, 1));
}

#[tokio::test]
async fn page_that_nobody_takes_is_received_all_the_same() {
    let body: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let server = Server::always(Reply::Close(complete("200 OK", &[], &body))).await;
    let bench = Bench::new(&HttpConfig { read_timeout: Duration::from_millis(300), ..once() });
    let request = request(Location::Http(server.origin.parse().unwrap()));
    let mut fetch = bench.begin(&request);
    let mut answer = fetch.open().await.unwrap();
    let mut begin = Vec::new();
    assert!(!answer.fill(&mut begin, 100).await.unwrap());
    answer.wait_for(tokio::time::sleep(Duration::from_millis(900))).await.unwrap();
    // Nothing is listening any more: what is still to come was kept.
    drop(server);
    let mut whole = begin;
    read(&mut answer, &mut whole).await.unwrap();
    assert!(whole == body);
}

#[tokio::test]
async fn leave_to_use_the_network_is_given_back_with_the_last_byte() {
    let servers = [
        Server::always(Reply::Close(complete("200 OK", &[], BODY))).await,
        Server::always(Reply::Close(complete("200 OK", &[], BODY))).await,
    ];
    let bench = Bench::new(&HttpConfig { concurrency: 1, ..once() });
    let requests = servers.each_ref().map(|server| request(Location::Http(server.origin.parse().unwrap())));
    let mut answer = bench.begin(&requests[0]).open().await.unwrap();
    let mut second = bench.begin(&requests[1]);
    let early = tokio::time::timeout(Duration::from_millis(100), second.open()).await;
    assert!(early.is_err(), "one request at once, wherever to, and its body has not been read yet");
    // The page waits for its turn, and the next request need not.
    answer.wait_for(second.open()).await.unwrap().unwrap();
    let mut body = Vec::new();
    read(&mut answer, &mut body).await.unwrap();
    assert_eq!(body, BODY);
}

#[tokio::test]
async fn bytes_are_counted_as_they_came_and_as_they_are() {
    let compressed = gzip(&text());
    let server =
        Server::always(Reply::Keep(complete("200 OK", &["Content-Encoding: gzip"], &compressed))).await;
    let bench = Bench::new(&once());
    bench.get(&server.origin).await.unwrap();
    assert_eq!(bench.metrics.wire_bytes.get(), compressed.len() as u64);
    assert_eq!(bench.metrics.body_bytes.get(), text().len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pages_are_fetched_at_once_by_one_fetcher() {
    let server = Server::start(|_, head| {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        Reply::Keep(complete("200 OK", &["Content-Encoding: gzip"], &gzip(path.as_bytes())))
    });
    let server = server.await;
    let bench = Arc::new(Bench::new(&once()));
    let mut fetches = tokio::task::JoinSet::new();
    for number in 0..64 {
        let url = format!("{}/{number}", server.origin);
        let bench = Arc::clone(&bench);
        fetches.spawn(async move { (number, bench.get(&url).await.unwrap().body) });
    }
    for (number, body) in fetches.join_all().await {
        assert_eq!(body, format!("/{number}").into_bytes());
    }
}
