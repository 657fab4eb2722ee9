//! Where a redirect leads, and what may go there.
//!
//! Only http and https, never out of encryption. What is secret stays with the origin that the list names: once a
//! redirect has led away from it, nothing of it is sent any more, should another one lead back. The body of a POST may
//! be a secret too, so a redirect that wants it repeated elsewhere is refused.

use url::Url;

use crate::config::Method;
use crate::model::Ask;

/// One request on the way to a page.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    /// Without userinfo, which the URL of a page brings as credentials and no server can set.
    pub(super) url: Url,
    pub(super) method: Method,
    /// Whether all requests so far, and this one, are for the origin that the list names.
    pub(super) is_home: bool,
    /// Tells whether the addresses of its host are judged when they are known.
    pub(super) is_guarded: bool,
}

impl Hop {
    /// The first request for a page.
    pub(super) fn first(url: &Url, ask: &Ask) -> Self {
        let mut url = url.clone();
        // Both fail only for URLs without a host, which have no userinfo.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let is_home = ask.is_home(&url);
        Self { url, method: ask.own().method, is_home, is_guarded: false }
    }

    /// The request that an answer to this one asks for.
    ///
    /// 301, 302 and 303 make a GET of a POST, as browsers do; 307 and 308 repeat it.
    ///
    /// # Errors
    /// In words, why it is not followed.
    pub(super) fn redirected(&self, status: u16, location: &[u8], ask: &Ask) -> Result<Self, String> {
        let to = redirect_target(&self.url, location)?;
        let is_home = self.is_home && ask.is_home(&to);
        let is_repeated = matches!(status, 307 | 308);
        if self.method == Method::Post && is_repeated && !is_home {
            return Err("its Location leads to another origin, where a POST is not repeated, since its body may hold \
                        secrets; list the URL that it leads to"
                .to_owned());
        }
        let method = if is_repeated { self.method } else { Method::Get };
        Ok(Self { is_home, method, ..Self::first(&to, ask) })
    }
}

/// Whether an answer with this status and a Location sends us elsewhere. 300 leaves the choice to a person.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn redirect_target(from: &Url, location: &[u8]) -> Result<Url, String> {
    let location = std::str::from_utf8(location).map_err(|_| "its Location is no UTF-8".to_owned())?;
    let to = from.join(location).map_err(|error| format!("its Location is no URL: {error}"))?;
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => Ok(to),
        ("https", "http") => Err("its Location leads from https to http, which is refused".into()),
        (_, other) => Err(format!("expected a Location with http or https, got {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Location, PageOptions};

    fn first(url: &str, method: Method) -> (Hop, Ask) {
        let url = Url::parse(url).unwrap();
        let options = PageOptions { method, ..PageOptions::default() };
        let ask = Ask::new(&Location::Http(url.clone()), Arc::new(options)).unwrap();
        (Hop::first(&url, &ask), ask)
    }

    fn target(from: &str, location: &str) -> Result<String, String> {
        let (hop, ask) = first(from, Method::Get);
        Ok(hop.redirected(302, location.as_bytes(), &ask)?.url.into())
    }

    #[test]
    fn redirect_never_leaves_encryption() {
        let refused = target("https://h/a", "http://h/b").unwrap_err();
        assert_eq!(refused, "its Location leads from https to http, which is refused");
        assert_eq!(target("http://h/a", "https://h/b").unwrap(), "https://h/b");
        assert_eq!(target("https://h/a", "//o/b").unwrap(), "https://o/b");
    }

    #[test]
    fn redirect_goes_to_http_and_https_alone() {
        for location in ["file:///etc/passwd", "ftp://h/", "data:,x", "mailto:a@b"] {
            assert!(target("http://h/", location).unwrap_err().starts_with("expected a Location with http"));
        }
        assert!(target("http://h/", "http://").unwrap_err().starts_with("its Location is no URL"));
        let (hop, ask) = first("http://h/", Method::Get);
        assert!(hop.redirected(302, b"\xff", &ask).is_err());
    }

    #[test]
    fn home_is_left_for_good_and_userinfo_is_never_taken_from_a_server() {
        let (start, ask) = first("http://u:p@h/a", Method::Get);
        assert!(start.is_home);
        for (location, is_home) in [
            ("/b", true),
            ("http://h:80/b", true),
            ("http://x:y@h/b", true),
            ("http://h:81/b", false),
            ("https://h/b", false),
            ("//o/b", false),
            ("http://x:y@o/b", false),
        ] {
            let there = start.redirected(302, location.as_bytes(), &ask).unwrap();
            assert_eq!((there.is_home, there.url.as_str().contains('@')), (is_home, false), "{location}");
            if there.url.scheme() == "http" {
                let back = there.redirected(302, b"http://h/a", &ask).unwrap();
                assert_eq!(back.is_home, is_home, "{location} and back");
            }
        }
    }

    #[test]
    fn post_becomes_a_get_or_is_repeated_at_home_alone() {
        let (post, ask) = first("http://h/", Method::Post);
        let (get, _) = first("http://h/", Method::Get);
        for status in [301, 302, 303] {
            for location in ["/b", "http://o/b"] {
                let hop = post.redirected(status, location.as_bytes(), &ask).unwrap();
                assert_eq!(hop.method, Method::Get, "{status} {location}");
            }
        }
        for status in [307, 308] {
            assert_eq!(post.redirected(status, b"/b", &ask).unwrap().method, Method::Post);
            assert!(post.redirected(status, b"http://o/b", &ask).unwrap_err().contains("another origin"));
            assert_eq!(get.redirected(status, b"http://o/b", &ask).unwrap().method, Method::Get);
        }
    }
}
