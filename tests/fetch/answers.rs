//! Answers that are no page, redirects, and what is sent and said about a URL.

use std::time::Duration;

use etl::config::HttpConfig;
use etl::model::DeclaredForm;

use crate::bench::*;
use crate::server::*;

#[tokio::test]
async fn unknown_content_encoding_fails_the_page() {
    let fault =
        outcome(Reply::Close(complete("200 OK", &["Content-Encoding: compress"], BODY))).await.unwrap_err();
    assert_eq!(fault.reason, "expected Content-Encoding gzip, zstd, br or deflate, got compress");
}

#[tokio::test]
async fn answer_without_content_is_a_page_and_an_empty_one_is_not() {
    let page = outcome(Reply::Close(answer("204 No Content", &[], b""))).await.unwrap();
    assert_eq!((page.body.len(), page.form), (0, DeclaredForm::NoContent));
    let empty = |headers: &[&str]| Reply::Close(complete("200 OK", headers, b""));
    let fault = outcome(empty(&[])).await.unwrap_err();
    assert_eq!((fault.reason.as_str(), fault.received), ("expected JSON, got an empty body", None));
    let page = outcome(empty(&["Content-Type: application/x-ndjson"])).await.unwrap();
    assert_eq!((page.body.len(), page.form, page.end_proven), (0, DeclaredForm::Ndjson, true));
    let cut = Reply::Close(answer("200 OK", &["Content-Type: application/x-ndjson"], b""));
    let fault = outcome(cut).await.unwrap_err();
    assert!(fault.reason.contains("before its first byte"), "{}", fault.reason);
}

#[tokio::test]
async fn answer_that_is_no_page_fails_it_and_keeps_its_head() {
    for (status, reason) in [
        ("404 Not Found", "HTTP 404 Not Found"),
        ("401 Unauthorized", "HTTP 401 Unauthorized"),
        ("206 Partial Content", "HTTP 206 Partial Content"),
        ("202 Accepted", "HTTP 202 Accepted"),
        ("302 Found", "HTTP 302 Found without a Location"),
        ("501 Not Implemented", "HTTP 501 Not Implemented after 5 attempts"),
        ("599 Whatever", "HTTP 599 after 5 attempts"),
        ("418 ", "HTTP 418 I'm a teapot"),
    ] {
        let server = Server::always(Reply::Keep(complete(status, &[], b"<html>no</html>"))).await;
        let fault = Bench::new(&retrying()).get(&server.origin).await.unwrap_err();
        assert_eq!(fault.reason, reason);
        assert_eq!(fault.received.unwrap().head, b"<html>no</html>", "{reason}");
    }
}

#[tokio::test]
async fn head_of_an_error_is_bounded_and_decompressed() {
    let long = vec![b'x'; 300_000];
    for (headers, body) in [(vec![], long.clone()), (vec!["Content-Encoding: gzip"], gzip(&long))] {
        let bytes = complete("400 Bad Request", &headers, &body);
        let received = outcome(Reply::Close(bytes)).await.unwrap_err().received.unwrap();
        assert_eq!((received.head.len(), received.size), (65_536, 65_536));
        assert!(received.head.iter().all(|byte| *byte == b'x'));
    }
    let config = HttpConfig { read_timeout: Duration::from_millis(150), ..once() };
    let half = answer("400 Bad Request", &["Content-Length: 90"], b"half an error");
    let server = Server::always(Reply::Stall(half)).await;
    let fault = Bench::new(&config).get(&server.origin).await.unwrap_err();
    assert_eq!(
        (fault.reason.as_str(), fault.received.unwrap().head),
        ("HTTP 400 Bad Request", b"half an error".to_vec())
    );
}

#[tokio::test]
async fn redirects_are_followed_and_a_loop_of_them_ends() {
    let server = Server::start(|_, head| {
        if head.starts_with("GET /old?x=1 ") {
            Reply::Keep(complete("302 Found", &["Location: new.ndjson#f"], b""))
        } else if head.starts_with("GET /new.ndjson ") {
            Reply::Keep(complete("200 OK", &[], BODY))
        } else {
            Reply::Keep(complete("301 Moved Permanently", &["Location: /loop"], b""))
        }
    });
    let server = server.await;
    let bench = Bench::new(&retrying());
    let page = bench.get(&format!("{}/old?x=1", server.origin)).await.unwrap();
    assert_eq!((&page.body[..], page.form), (BODY, DeclaredForm::Ndjson));
    let fault = bench.get(&format!("{}/loop", server.origin)).await.unwrap_err();
    assert_eq!(fault.reason, "expected an answer after 10 redirects, got one more");
    assert_eq!(bench.metrics.requests_sent.get(), 2 + 11);
}

#[tokio::test]
async fn redirect_to_another_scheme_is_refused() {
    let reply = Reply::Close(complete("302 Found", &["Location: file:///etc/passwd"], b""));
    let fault = outcome(reply).await.unwrap_err();
    assert_eq!(fault.reason, "HTTP 302 Found: expected a Location with http or https, got file");
}

#[tokio::test]
async fn credentials_are_sent_to_their_origin_and_to_no_other() {
    let other = Server::always(Reply::Close(complete("200 OK", &[], BODY))).await;
    let location = format!("Location: {}/there", other.origin);
    let server = Server::start(move |_, head| match head.starts_with("GET /here ") {
        true => Reply::Keep(complete("302 Found", &[&location], b"")),
        false => Reply::Keep(complete("302 Found", &["Location: /here"], b"")),
    });
    let server = server.await;
    let url = server.origin.replace("http://", "http://bob:s3cret@");
    Bench::new(&once()).get(&url).await.unwrap();
    let has_credentials =
        |head: &String| head.to_lowercase().contains("authorization: basic ym9ionmzy3jlda==");
    assert_eq!(server.requests().iter().map(has_credentials).collect::<Vec<_>>(), [true, true]);
    assert!(!other.requests()[0].to_lowercase().contains("authorization"));
    assert!(!other.requests()[0].to_lowercase().contains("referer"));
}

#[tokio::test]
async fn request_says_who_asks_and_what_it_takes() {
    let server = Server::always(Reply::Close(complete("200 OK", &[], BODY))).await;
    Bench::new(&once()).get(&format!("{}/p?q=1#fragment", server.origin)).await.unwrap();
    let head = server.requests()[0].to_lowercase();
    assert!(head.starts_with("get /p?q=1 http/1.1\r\n"), "{head}");
    for line in [
        concat!("user-agent: etl/", env!("CARGO_PKG_VERSION")),
        "accept-encoding: gzip, zstd, br, deflate",
        "accept: application/json, application/x-ndjson, */*",
    ] {
        assert!(head.lines().any(|sent| sent == line), "{head}");
    }
}

#[tokio::test]
async fn no_reason_holds_the_url() {
    let config = HttpConfig { read_timeout: Duration::from_millis(150), ..once() };
    let bench = Bench::new(&config);
    let cut = answer("200 OK", &["Content-Length: 90"], BODY);
    for reply in
        [Reply::Reset, Reply::Close(b"nonsense\r\n\r\n".to_vec()), Reply::Close(cut), Reply::Stall(vec![])]
    {
        let server = Server::always(reply).await;
        for scheme in ["http", "https"] {
            let url = format!("{}/s3cret?token=s3cret", server.origin)
                .replace("http://", &format!("{scheme}://u:s3cret@"));
            let fault = bench.get(&url).await.unwrap_err();
            assert!(
                !fault.reason.contains("s3cret") && !fault.reason.contains("127.0.0.1"),
                "{}",
                fault.reason
            );
        }
    }
    for url in ["http://s3cret.invalid/", "http://127.0.0.1:1/s3cret"] {
        let fault = bench.get(url).await.unwrap_err();
        assert!(!fault.reason.contains("s3cret"), "{}", fault.reason);
    }
}
