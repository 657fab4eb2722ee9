//! Two origins that record all they are told: which secrets a redirect takes where.

use std::sync::Arc;

use etl::config::{Header, HttpConfig, Login, Method, Netrc, OAuth2Config, RequestConfig, Secret};
use etl::model::{Location, PageOptions};

use crate::bench::*;
use crate::server::*;

/// All that must not be found elsewhere: as it is, and as HTTP Basic has `bob:hunter2`.
const MARKS: [&str; 2] = ["hunter2", "Ym9iOmh1bnRlcjI="];
/// What servers set and nobody gives back.
const COOKIE: &str = "Set-Cookie: sid=theirs; Path=/";
const STATUSES: [&str; 6] = [
    "300 Multiple Choices",
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "307 Temporary Redirect",
    "308 Permanent Redirect",
];
/// Where redirects lead, with HOME and AWAY for the addresses of the two, and whether that is home.
const TARGETS: [(&str, bool); 10] = [
    ("http://HOME/end", true),
    ("end", true),
    ("http://eve:evil@HOME/end", true),
    ("/end?token=theirs", true),
    ("http://AWAY/end", false),
    ("http://localhost:PORT/end", false),
    ("//AWAY/end", false),
    ("http://eve:evil@AWAY/end", false),
    ("http://AWAY/end?token=theirs", false),
    ("http://AWAY/back", false),
];

/// A secret, as it is given.
struct Given {
    name: &'static str,
    request: RequestConfig,
    options: PageOptions,
    userinfo: &'static str,
}

fn given(name: &'static str, request: RequestConfig) -> Given {
    Given { name, request, options: PageOptions::default(), userinfo: "" }
}

fn headers(lines: &[&str]) -> Vec<Header> {
    lines.iter().map(|line| Header::parse(line).unwrap()).collect()
}

fn all_secrets(token_origin: &str) -> Vec<Given> {
    let with_header = |line: &str| RequestConfig { headers: headers(&[line]), ..RequestConfig::default() };
    let with_login = |login| RequestConfig { login, ..RequestConfig::default() };
    let netrc = "machine localhost login x password hunter2 machine 127.0.0.1 login bob password hunter2 \
                 default login bob password hunter2";
    let oauth2 = OAuth2Config {
        token_url: format!("{token_origin}/token").parse().unwrap(),
        client_id: "me".into(),
        client_secret: Secret::new("hunter2-of-the-client"),
        scope: None,
        audience: None,
        client_auth: Default::default(),
    };
    let body = Some(Secret::new(r#"{"q":"hunter2"}"#));
    let post = PageOptions { method: Method::Post, body, ..PageOptions::default() };
    let none = RequestConfig::default;
    vec![
        given("-H Authorization", with_header("Authorization: Custom hunter2")),
        given("-H X-Api-Key", with_header("X-Api-Key: hunter2")),
        given("-H Cookie", with_header("Cookie: sid=hunter2")),
        given("-H that looks harmless", with_header("X-Tenant: hunter2")),
        given("bearer file", with_login(Login::Bearer(Secret::new("hunter2")))),
        given("netrc", with_login(Login::Netrc(Arc::new(Netrc::parse(netrc).unwrap())))),
        given("oauth2", with_login(Login::OAuth2(Arc::new(oauth2)))),
        Given { userinfo: "bob:hunter2@", ..given("userinfo", none()) },
        Given {
            options: PageOptions { headers: headers(&["X-Own: hunter2"]), ..PageOptions::default() },
            ..given("header of a line", none())
        },
        Given { options: post, ..given("body", none()) },
    ]
}

/// Answers `/<status>/<target>` with that redirect, `/back` with one home, all else with a page.
fn script(away: Option<String>) -> impl Fn(usize, &str) -> Reply + Send + Sync + 'static {
    move |_, request| {
        let host = line_of(request, "host");
        let path = request.split(' ').nth(1).unwrap_or_default();
        let mut parts = path.split(['/', '?']).skip(1).map(str::parse::<usize>);
        let (Some(Ok(status)), Some(Ok(target)), Some(away)) = (parts.next(), parts.next(), &away) else {
            return Reply::Keep(complete("200 OK", &[COOKIE], BODY));
        };
        let port = host.rsplit(':').next().unwrap_or_default();
        let location = TARGETS[target].0.replace("HOME", &host).replace("AWAY", away).replace("PORT", port);
        Reply::Keep(complete(STATUSES[status], &[COOKIE, &format!("Location: {location}")], b""))
    }
}

fn line_of(request: &str, name: &str) -> String {
    let line = request.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_default().to_owned()
}

/// The names of the headers, in order.
fn names(request: &str) -> Vec<&str> {
    let head = request.split("\r\n\r\n").next().unwrap();
    let mut names: Vec<_> = head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
    names.sort_unstable();
    names
}

fn is_told(request: &str) -> bool {
    // The query token of the page's own URL stands in its own request alone, and is no news there.
    let told = request.split_once("\r\n").unwrap().1;
    MARKS.iter().any(|mark| told.contains(mark))
}

#[tokio::test]
async fn no_redirect_takes_a_secret_to_another_origin() {
    let token = Reply::Keep(complete("200 OK", &[COOKIE], br#"{"access_token":"hunter2"}"#));
    let tokens = Server::always(token).await;
    let home_host = Arc::new(std::sync::OnceLock::<String>::new());
    let away = Server::start({
        let home_host = Arc::clone(&home_host);
        move |_, request| match request.split(' ').nth(1) {
            Some("/back") => {
                let location = format!("Location: http://{}/end", home_host.get().unwrap());
                Reply::Keep(complete("302 Found", &[COOKIE, &location], b""))
            }
            _ => Reply::Keep(complete("200 OK", &[COOKIE], BODY)),
        }
    });
    let away = away.await;
    let home = Server::start(script(Some(away.origin.replace("http://", "")))).await;
    let host = home.origin.replace("http://", "");
    home_host.set(host.clone()).unwrap();
    for Given { name, request, options, userinfo } in all_secrets(&tokens.origin) {
        let is_post = options.method == Method::Post;
        let bench = Bench::new(&HttpConfig { request, ..once() });
        for (status_index, status) in STATUSES.iter().enumerate() {
            for (target_index, (target, stays_home)) in TARGETS.iter().enumerate() {
                let what = format!("{name}, {status}, {target}");
                let (home_before, away_before) = (home.requests().len(), away.requests().len());
                let url = format!("http://{userinfo}{host}/{status_index}/{target_index}?token=hunter2");
                let ended = bench.fetch_with(Location::Http(url.parse().unwrap()), options.clone()).await;
                let at_home = home.requests().split_off(home_before);
                let at_away = away.requests().split_off(away_before);

                assert!(is_told(&at_home[0]), "{what}: home was not told: {}", at_home[0]);
                let repeats = status.starts_with("307") || status.starts_with("308");
                if status.starts_with("300") || is_post && repeats && !stays_home {
                    let fault = ended.unwrap_err();
                    assert!(!fault.reason.contains("hunter2"), "{what}: {}", fault.reason);
                    let is_clear = fault.reason == "HTTP 300 Multiple Choices"
                        || fault.reason.contains("another origin, where a POST is not repeated");
                    assert!(is_clear, "{what}: {}", fault.reason);
                    assert_eq!((at_home.len(), at_away.len()), (1, 0), "{what}");
                    continue;
                }
                ended.unwrap_or_else(|fault| panic!("{what}: {}", fault.reason));
                let last = at_home[1..].iter().chain(&at_away).collect::<Vec<_>>();
                assert!(!last.is_empty(), "{what}: nobody was asked");
                for request in last {
                    let is_repeated_post = is_post && repeats;
                    assert_eq!(request.starts_with("POST "), is_repeated_post, "{what}: {request}");
                    assert!(!request.contains("sid=theirs"), "{what}: {request}");
                    assert!(!request.contains("ZXZlOmV2aWw"), "{what}: {request}");
                    assert!(!request.contains("referer"), "{what}: {request}");
                    if *stays_home {
                        assert_eq!(is_told(request), !is_post || repeats, "{what}: {request}");
                    } else {
                        assert!(!request.contains("hunter2") && !is_told(request), "{what}: {request}");
                        let told = ["accept", "accept-encoding", "host", "user-agent"];
                        assert_eq!(names(request), told, "{what}: {request}");
                    }
                }
            }
        }
    }
    // The token endpoint was told of the client once, and of no page.
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /token ") && !asked[0].contains("?token"), "{}", asked[0]);
}

#[tokio::test]
async fn body_is_left_behind_with_what_describes_it() {
    let away = Server::always(Reply::Keep(complete("200 OK", &[], BODY))).await;
    let home = Server::start(script(Some(away.origin.replace("http://", "")))).await;
    let request = RequestConfig {
        headers: headers(&["Content-Type: text/x", "X-Tenant: t"]),
        ..RequestConfig::default()
    };
    let post =
        PageOptions { method: Method::Post, body: Some(Secret::new("hunter2")), ..PageOptions::default() };
    let bench = Bench::new(&HttpConfig { request, ..once() });
    for (status, is_repeated) in [(1, false), (2, false), (3, false), (4, true), (5, true)] {
        let url = format!("{}/{status}/0", home.origin).parse().unwrap();
        bench.fetch_with(Location::Http(url), post.clone()).await.unwrap();
        let [first, second] = home.requests().split_off(home.requests().len() - 2).try_into().unwrap();
        assert!(first.starts_with("POST /") && first.ends_with("\r\n\r\nhunter2"), "{first}");
        assert_eq!(line_of(&first, "content-type"), "text/x");
        assert_eq!(line_of(&second, "x-tenant"), "t");
        let content_type = if is_repeated { "text/x" } else { "" };
        assert_eq!(line_of(&second, "content-type"), content_type, "{second}");
        assert_eq!(second.ends_with("hunter2"), is_repeated, "{second}");
    }
}

#[tokio::test]
async fn every_host_of_the_list_is_home_to_its_own_pages() {
    let (one, two) = (
        Server::always(Reply::Keep(complete("200 OK", &[], BODY))).await,
        Server::always(Reply::Keep(complete("200 OK", &[], BODY))).await,
    );
    let request = RequestConfig { headers: headers(&["X-Api-Key: k"]), ..RequestConfig::default() };
    let bench = Bench::new(&HttpConfig { request, ..once() });
    for server in [&one, &two] {
        bench.get(&server.origin).await.unwrap();
        assert_eq!(line_of(&server.requests()[0], "x-api-key"), "k");
    }
}

#[tokio::test]
async fn accept_and_user_agent_may_be_given_and_go_everywhere() {
    let away = Server::always(Reply::Keep(complete("200 OK", &[], BODY))).await;
    let home = Server::start(script(Some(away.origin.replace("http://", "")))).await;
    let given = headers(&["Accept: text/x", "User-Agent: me/1"]);
    let request = RequestConfig { headers: given, ..RequestConfig::default() };
    Bench::new(&HttpConfig { request, ..once() }).get(&format!("{}/2/4", home.origin)).await.unwrap();
    for request in [&home.requests()[0], &away.requests()[0]] {
        assert_eq!(line_of(request, "accept"), "text/x");
        assert_eq!(line_of(request, "user-agent"), "me/1");
        assert_eq!(names(request), ["accept", "accept-encoding", "host", "user-agent"], "{request}");
    }
}
