//! Long bodies that break off: gone on with where the server can tell that it is the same body, else begun anew.

use std::ops::Range;

use crate::bench::*;
use crate::server::*;

/// A strong tag.
const ETAG: &str = "ETag: \"v1\"";

/// Lines that no other part of the body repeats, of about a megabyte.
fn long_body() -> Vec<u8> {
    (0..60_000).flat_map(|id| format!("{{\"id\":{id},\"n\":{}}}\n", id * 7).into_bytes()).collect()
}

/// Where a request wants the body to begin.
fn asked_from(head: &str) -> Option<usize> {
    let range = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes=").map(ToOwned::to_owned));
    range.map(|range| range.strip_suffix('-').unwrap().parse().unwrap())
}

/// The head of an answer with these bytes of a body, and as many of them as `sent` says.
fn part(body: &[u8], range: Range<usize>, headers: &[&str], sent: usize) -> Vec<u8> {
    let content_range = format!("Content-Range: bytes {}-{}/{}", range.start, range.end - 1, body.len());
    let headers = [headers, &[content_range.as_str()]].concat();
    cut(complete("206 Partial Content", &headers, &body[range.clone()]), range.len(), sent)
}

fn whole(body: &[u8], headers: &[&str], sent: usize) -> Vec<u8> {
    cut(complete("200 OK", headers, body), body.len(), sent)
}

fn cut(mut answer: Vec<u8>, body_bytes: usize, sent: usize) -> Vec<u8> {
    answer.truncate(answer.len() - body_bytes + sent);
    answer
}

#[tokio::test]
async fn long_body_that_breaks_off_is_gone_on_with() {
    let body = long_body();
    for (coding, sent) in [(None, body.clone()), (Some("Content-Encoding: gzip"), gzip(&body.repeat(4)))] {
        let expected = if coding.is_some() { body.repeat(4) } else { body.clone() };
        let first = sent.len() * 2 / 3;
        let of_server = sent.clone();
        let server = Server::start(move |_, head| {
            let mut headers = vec!["ETag: \"v1\"", "Accept-Ranges: bytes"];
            headers.extend(coding);
            Reply::Close(match asked_from(head) {
                None => whole(&of_server, &headers, first),
                // It breaks off once more, after some bytes.
                Some(from) if from == first => part(&of_server, from..of_server.len(), &headers, 1000),
                Some(from) => part(&of_server, from..of_server.len(), &headers, of_server.len() - from),
            })
        });
        let server = server.await;
        let bench = Bench::new(&retrying());
        let page = bench.get(&server.origin).await.unwrap();
        assert!(page.body == expected, "{coding:?}: {} of {} bytes", page.body.len(), expected.len());
        assert!(page.end_proven);
        let requests = server.requests();
        let starts: Vec<_> = requests.iter().map(|head| asked_from(head)).collect();
        assert_eq!(starts, [None, Some(first), Some(first + 1000)]);
        assert!(requests[1..].iter().all(|head| head.to_lowercase().contains("if-range: \"v1\"\r\n")));
        assert_eq!(bench.metrics.requests_resumed.get(), 2);
        assert_eq!(bench.metrics.requests_retried.get(), 0);
    }
}

#[tokio::test]
async fn body_that_can_not_be_told_to_be_the_same_is_begun_anew() {
    let (old, new) = (long_body(), long_body().to_ascii_uppercase());
    let first = old.len() * 2 / 3;
    type Rest = fn(&[u8], &[u8], usize) -> Vec<u8>;
    let others: [(&str, &[&str], Rest); 9] = [
        ("another version", &["ETag: \"v1\""], |_, new, _| whole(new, &["ETag: \"v2\""], new.len())),
        ("another place", &["ETag: \"v1\""], |old, _, from| {
            part(old, from - 1..old.len(), &[ETAG], old.len() - from + 1)
        }),
        ("not all of it", &[ETAG], |old, _, from| part(old, from..old.len() - 1, &[ETAG], 10)),
        ("another tag", &[ETAG], |old, _, from| {
            part(old, from..old.len(), &["ETag: \"v2\""], old.len() - from)
        }),
        ("no tag", &[ETAG], |old, _, from| part(old, from..old.len(), &[], old.len() - from)),
        ("less than it says", &[ETAG], |old, _, from| {
            let range = format!("Content-Range: bytes {from}-{}/{}", old.len() - 1, old.len());
            let headers = ["Transfer-Encoding: chunked", ETAG, &range];
            answer("206 Partial Content", &headers, &chunked(&old[from..from + 1000]))
        }),
        ("another coding", &["ETag: \"v1\""], |old, _, from| {
            part(old, from..old.len(), &[ETAG, "Content-Encoding: gzip"], old.len() - from)
        }),
        ("no such range", &["ETag: \"v1\""], |_, _, _| complete("416 Range Not Satisfiable", &[], b"")),
        ("no proven end", &["ETag: \"v1\""], |old, _, from| {
            let range = format!("Content-Range: bytes {from}-{}/{}", old.len() - 1, old.len());
            answer("206 Partial Content", &[ETAG, &range], &old[from..])
        }),
    ];
    for (what, headers, rest) in others {
        let (old, new, expected) = (old.clone(), new.clone(), new.clone());
        let server = Server::start(move |number, head| {
            Reply::Close(match (number, asked_from(head)) {
                (0, _) => whole(&old, headers, first),
                (_, Some(from)) => rest(&old, &new, from),
                (_, None) => whole(&new, &[], new.len()),
            })
        });
        let server = server.await;
        let bench = Bench::new(&retrying());
        let page = bench.get(&server.origin).await.unwrap();
        assert!(page.body == expected, "{what}: {} bytes", page.body.len());
        // Only what came short was taken for the rest, until it ended.
        let resumed_count = u64::from(what == "less than it says");
        assert!(bench.metrics.requests_resumed.get() <= 4 * resumed_count, "{what}");
    }
}

#[tokio::test]
async fn no_part_is_asked_for_without_a_strong_validator_or_of_a_short_body() {
    let long = long_body();
    for (headers, first) in [
        (&["ETag: W/\"v1\""][..], 700_000),
        (&["Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], 700_000),
        (&["ETag: \"v1\"", "Accept-Ranges: none"], 700_000),
        (&[], 700_000),
        (&["ETag: \"v1\""], 1_000),
    ] {
        let body = long.clone();
        let server = Server::start(move |number, _| {
            Reply::Close(whole(&body, headers, if number == 0 { first } else { body.len() }))
        });
        let server = server.await;
        let page = Bench::new(&retrying()).get(&server.origin).await.unwrap();
        assert!(page.body == long, "{headers:?}");
        assert!(server.requests().iter().all(|head| asked_from(head).is_none()), "{headers:?}");
    }
}

#[tokio::test]
async fn body_that_breaks_off_again_and_again_fails_in_the_end() {
    let body = long_body();
    let first = body.len() / 2;
    let server = Server::start(move |_, head| {
        Reply::Close(match asked_from(head) {
            None => whole(&body, &["ETag: \"v1\""], first),
            Some(from) => part(&body, from..body.len(), &[ETAG], 1),
        })
    });
    let server = server.await;
    let fault = Bench::new(&retrying()).get(&server.origin).await.unwrap_err();
    assert!(fault.reason.contains("the body broke off after"), "{}", fault.reason);
    // Five attempts, each of which goes on four times.
    assert_eq!(server.requests().len(), 25);
}
