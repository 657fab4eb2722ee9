//! Which headers, and which body, go to which URL. Pure.
//!
//! The origin that the list names for a page, its home, gets all that was given for it. Any other origin that a redirect
//! leads to gets nothing but Accept and User-Agent, whatever else was given: a header that looks harmless may be a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::redirect::Hop;
use crate::config::{Header, Login, Method, RequestConfig, Secret};
use crate::model::Ask;

/// What says nothing but how to answer.
const EVERYWHERE: [&str; 2] = ["accept", "user-agent"];
const AUTHORIZATION: &str = "authorization";
const CONTENT_TYPE: &str = "content-type";

/// The body that goes with this request.
pub(super) fn body_for<'a>(ask: &'a Ask, hop: &Hop) -> Option<&'a Secret> {
    let is_sent = hop.method == Method::Post && hop.is_home;
    ask.own().body.as_ref().filter(|_| is_sent)
}

/// Whether the request goes with a token that must be had first.
pub(super) fn wants_token(config: &RequestConfig, ask: &Ask, hop: &Hop) -> bool {
    let has_its_own = ask.userinfo().is_some() || ask.own().headers.iter().any(is_authorization);
    hop.is_home && matches!(config.login, Login::OAuth2(_)) && !has_its_own
}

/// The headers of a request. `token` is what it goes with if it wants one.
///
/// The narrowest credentials win: those of the page's own line, as a header or as userinfo, then those for all pages.
pub(super) fn headers_for(
    config: &RequestConfig,
    ask: &Ask,
    hop: &Hop,
    token: Option<&Secret>,
) -> Vec<Header> {
    let own = &ask.own().headers;
    let is_replaced = |header: &&Header| own.iter().any(|of_page| of_page.name() == header.name());
    let given = config.headers.iter().filter(|header| !is_replaced(header)).chain(own);
    if !hop.is_home {
        return given.filter(|header| EVERYWHERE.contains(&header.name())).cloned().collect();
    }
    let mut headers: Vec<Header> = given.cloned().collect();
    let body = body_for(ask, hop);
    if body.is_none() && ask.own().method == Method::Post {
        // What described the body goes with it.
        headers.retain(|header| !header.name().starts_with("content-"));
    }
    if body.is_some() && headers.iter().all(|header| header.name() != CONTENT_TYPE) {
        headers.push(Header::known(CONTENT_TYPE, "application/json"));
    }
    if let Some((name, password)) = ask.userinfo() {
        headers.retain(|header| !is_authorization(header));
        let password = percent_decoded(password.bytes());
        headers.push(basic(&percent_decoded(name.as_bytes()), &password));
    } else if headers.iter().all(|header| !is_authorization(header)) {
        headers.extend(login_for(&config.login, hop, token));
    }
    headers
}

fn login_for(login: &Login, hop: &Hop, token: Option<&Secret>) -> Option<Header> {
    match login {
        Login::None => None,
        Login::Bearer(token) => Some(bearer(token)),
        Login::OAuth2(_) => token.map(bearer),
        Login::Netrc(netrc) => {
            let (name, password) = netrc.login_for(hop.url.host_str()?)?;
            Some(basic(name.as_bytes(), password))
        }
    }
}

fn is_authorization(header: &Header) -> bool {
    header.name() == AUTHORIZATION
}

/// HTTP Basic (RFC 7617).
pub(super) fn basic(name: &[u8], password: &[u8]) -> Header {
    let encoded = STANDARD.encode([name, b":", password].concat());
    Header::known(AUTHORIZATION, &format!("Basic {encoded}"))
}

/// A bearer token (RFC 6750).
fn bearer(token: &Secret) -> Header {
    Header::known(AUTHORIZATION, &format!("Bearer {}", String::from_utf8_lossy(token.bytes())))
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let escaped = match behind {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &behind[2..];
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use url::Url;

    use super::*;
    use crate::config::Netrc;
    use crate::model::{Location, PageOptions};

    fn ask(url: &str, own: PageOptions) -> (Ask, Hop) {
        let url = Url::parse(url).unwrap();
        let ask = Ask::new(&Location::Http(url.clone()), Arc::new(own)).unwrap();
        let hop = Hop::first(&url, &ask);
        (ask, hop)
    }

    fn sent(config: &RequestConfig, url: &str, own: PageOptions) -> Vec<String> {
        let (ask, hop) = ask(url, own);
        let show = |header: &Header| {
            format!("{}: {}", header.name(), String::from_utf8_lossy(header.value().bytes()))
        };
        headers_for(config, &ask, &hop, Some(&Secret::new("granted"))).iter().map(show).collect()
    }

    fn headers(lines: &[&str]) -> Vec<Header> {
        lines.iter().map(|line| Header::parse(line).unwrap()).collect()
    }

    #[test]
    fn narrowest_credentials_win() {
        let login = Login::Bearer(Secret::new("all"));
        let config =
            RequestConfig { login, headers: headers(&["X-A: 1", "X-B: 2"]), ..RequestConfig::default() };
        let own =
            PageOptions { headers: headers(&["x-b: 3", "Authorization: own"]), ..PageOptions::default() };
        assert_eq!(sent(&config, "http://h/", own), ["x-a: 1", "x-b: 3", "authorization: own"]);
        let all = ["x-a: 1", "x-b: 2", "authorization: Bearer all"];
        assert_eq!(sent(&config, "http://h/", PageOptions::default()), all);
        let userinfo = ["x-a: 1", "x-b: 2", "authorization: Basic Ym9iOmE6YiU="];
        assert_eq!(sent(&config, "http://bob:a%3Ab%@h/", PageOptions::default()), userinfo);
        let config = RequestConfig { headers: headers(&["Authorization: all"]), ..RequestConfig::default() };
        let userinfo = ["authorization: Basic Ym9iOg=="];
        assert_eq!(sent(&config, "http://bob@h/", PageOptions::default()), userinfo);
    }

    #[test]
    fn netrc_is_asked_for_the_host_of_the_page() {
        let netrc = Netrc::parse("machine h login bob password p").unwrap();
        let config = RequestConfig { login: Login::Netrc(Arc::new(netrc)), ..RequestConfig::default() };
        assert_eq!(sent(&config, "http://h:81/", PageOptions::default()), ["authorization: Basic Ym9iOnA="]);
        assert!(sent(&config, "http://o/", PageOptions::default()).is_empty());
    }

    #[test]
    fn body_is_json_unless_a_header_says_otherwise_and_goes_with_a_post_alone() {
        let config = RequestConfig::default();
        let post =
            PageOptions { method: Method::Post, body: Some(Secret::new("{}")), ..PageOptions::default() };
        assert_eq!(sent(&config, "http://h/", post.clone()), ["content-type: application/json"]);
        let own = PageOptions { headers: headers(&["Content-Type: text/x"]), ..post.clone() };
        assert_eq!(sent(&config, "http://h/", own.clone()), ["content-type: text/x"]);
        let (asked, hop) = ask("http://h/", own);
        let hop = Hop { method: Method::Get, ..hop };
        assert!(headers_for(&config, &asked, &hop, None).is_empty(), "a redirect made it a GET");
        assert!(sent(&config, "http://h/", PageOptions { method: Method::Get, ..post }).is_empty());
    }

    #[test]
    fn origin_elsewhere_is_told_nothing() {
        let given =
            headers(&["Accept: a/b", "User-Agent: me", "X-Tenant: t", "Cookie: c", "Authorization: a"]);
        let config = RequestConfig { headers: given, ..RequestConfig::default() };
        let own = PageOptions { headers: headers(&["Accept: c/d", "X-Own: o"]), ..PageOptions::default() };
        let (ask, hop) = ask("http://h/", own);
        let hop = Hop { is_home: false, ..hop };
        let names: Vec<_> = headers_for(&config, &ask, &hop, Some(&Secret::new("t")))
            .iter()
            .map(|header| (header.name().to_owned(), header.value().clone()))
            .collect();
        assert_eq!(
            names,
            [("user-agent".to_owned(), Secret::new("me")), ("accept".to_owned(), Secret::new("c/d"))]
        );
    }
}
