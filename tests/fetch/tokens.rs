//! OAuth2 client credentials: how often a token is asked for, when anew, and what is said when there is none.

use std::sync::Arc;

use etl::config::{ClientAuth, HttpConfig, Login, OAuth2Config, RequestConfig, Secret};

use crate::bench::*;
use crate::server::*;

/// Fetches with tokens of this server.
fn bench(tokens: &Server, config: HttpConfig) -> Bench {
    let oauth2 = OAuth2Config {
        token_url: format!("{}/token", tokens.origin).parse().unwrap(),
        client_id: "me".into(),
        client_secret: Secret::new("hunter2"),
        scope: Some("read".into()),
        audience: None,
        client_auth: ClientAuth::Basic,
    };
    let request = RequestConfig { login: Login::OAuth2(Arc::new(oauth2)), ..RequestConfig::default() };
    Bench::new(&HttpConfig { request, ..config })
}

/// Gives t0, t1, t2 ...
async fn counting(expires_in_s: u64) -> Server {
    Server::start(move |number, _| {
        let body =
            format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":{expires_in_s}}}"#);
        Reply::Keep(complete("200 OK", &[], body.as_bytes()))
    })
    .await
}

/// Answers those whose token is one of these, refuses the others.
async fn taking(tokens: &'static [&'static str]) -> Server {
    Server::start(move |_, request| {
        let is_taken =
            tokens.iter().any(|token| request.contains(&format!("authorization: Bearer {token}\r\n")));
        match is_taken {
            true => Reply::Keep(complete("200 OK", &[], BODY)),
            false => Reply::Keep(complete("401 Unauthorized", &[], b"no")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_is_had_for_all_pages() {
    let (tokens, pages) = (counting(3600).await, taking(&["t0"]).await);
    let bench = Arc::new(bench(&tokens, once()));
    let mut fetches = tokio::task::JoinSet::new();
    for number in 0..32 {
        let (bench, url) = (Arc::clone(&bench), format!("{}/{number}", pages.origin));
        fetches.spawn(async move { bench.get(&url).await.unwrap() });
    }
    assert_eq!(fetches.join_all().await.len(), 32);
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    // me:hunter2
    assert!(asked[0].contains("authorization: Basic bWU6aHVudGVyMg==\r\n"), "{}", asked[0]);
    assert!(asked[0].ends_with("\r\n\r\ngrant_type=client_credentials&scope=read"), "{}", asked[0]);
    assert_eq!(bench.metrics.requests_sent.get(), 33);
}

#[tokio::test]
async fn refused_token_is_replaced_once_and_then_the_page_fails() {
    let (tokens, pages) = (counting(3600).await, taking(&["t1"]).await);
    let revoked = bench(&tokens, once());
    revoked.get(&pages.origin).await.unwrap();
    revoked.get(&pages.origin).await.unwrap();
    assert_eq!((tokens.requests().len(), pages.requests().len()), (2, 3));

    let (tokens, pages) = (counting(3600).await, taking(&[]).await);
    let never = bench(&tokens, retrying());
    for _ in 0..5 {
        let fault = never.get(&pages.origin).await.unwrap_err();
        assert_eq!(fault.reason, "HTTP 401 Unauthorized");
        assert_eq!(fault.received.unwrap().head, b"no");
    }
    // The first page alone is worth another token and another try.
    assert_eq!((tokens.requests().len(), pages.requests().len()), (2, 6));
}

#[tokio::test]
async fn token_that_has_expired_is_not_sent() {
    let (tokens, pages) = (counting(0).await, taking(&["t0", "t1"]).await);
    let bench = bench(&tokens, once());
    bench.get(&pages.origin).await.unwrap();
    bench.get(&pages.origin).await.unwrap();
    assert_eq!(tokens.requests().len(), 2);
    assert!(pages.requests()[1].contains("Bearer t1"));
}

#[tokio::test]
async fn endpoint_that_fails_is_asked_again_as_a_page_is() {
    let tokens = Server::start(|number, _| match number {
        0 => Reply::Reset,
        1 => Reply::Keep(complete("503 Service Unavailable", &["Retry-After: 0"], b"")),
        _ => Reply::Keep(complete("200 OK", &[], br#"{"access_token":"t"}"#)),
    });
    let (tokens, pages) = (tokens.await, taking(&["t"]).await);
    bench(&tokens, retrying()).get(&pages.origin).await.unwrap();
    assert_eq!((tokens.requests().len(), pages.requests().len()), (3, 1));
}

#[tokio::test]
async fn endpoint_that_gives_no_token_fails_the_page_with_a_reason_that_holds_no_secret() {
    let refusal = br#"{"error":"invalid_client","error_description":"hunter2"}"#;
    let moved = complete("307 Temporary Redirect", &["Location: http://127.0.0.1:1/hunter2"], b"");
    for (reply, reason) in [
        (complete("401 Unauthorized", &[], refusal), "HTTP 401 Unauthorized: invalid_client"),
        (complete("400 Bad Request", &[], br#"{"error":"hunter2"}"#), "HTTP 400 Bad Request"),
        (
            complete("200 OK", &[], b"hunter2"),
            "expected a JSON object with an access_token, got something else",
        ),
        (moved, "HTTP 307 Temporary Redirect"),
    ] {
        let (tokens, pages) = (Server::always(Reply::Close(reply)).await, taking(&[]).await);
        let fault = bench(&tokens, retrying()).get(&pages.origin).await.unwrap_err();
        assert_eq!(fault.reason, format!("no token to ask with (--oauth2): {reason}"));
        assert_eq!((tokens.requests().len(), pages.requests().len(), fault.received), (1, 0, None));
    }
}

#[tokio::test]
async fn page_with_a_login_of_its_own_needs_no_token() {
    let tokens = counting(3600).await;
    let pages = Server::always(Reply::Keep(complete("200 OK", &[], BODY))).await;
    let url = pages.origin.replace("http://", "http://bob:p@");
    bench(&tokens, once()).get(&url).await.unwrap();
    assert!(tokens.requests().is_empty());
    assert!(pages.requests()[0].contains("authorization: Basic Ym9iOnA="));
}
