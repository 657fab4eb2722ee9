//! How one page is asked for, and which origin its secrets are for.

use std::sync::Arc;

use url::{Host, Origin, Url};

use super::Location;
use crate::config::{Header, Method, Secret};

/// How a page is asked for beside what is asked of all, and its home: the origin that the list names, the only one
/// that credentials, headers and body are for.
///
/// A page that is asked for because another one led to it is asked for with a clone of the other's: it has the same
/// home, wherever it is itself. Never shown.
#[derive(Debug, Clone)]
pub struct Ask {
    home: Option<Origin>,
    /// The host that the list names, wherever it is led from there.
    listed_host: Option<Host<String>>,
    userinfo: Option<(String, Secret)>,
    own: Arc<PageOptions>,
}

/// What belongs to a page beside its URL; another page where it is another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageOptions {
    /// How it is asked for.
    pub method: Method,
    /// Headers instead of those of all pages that have their names, and beside the others.
    pub headers: Vec<Header>,
    /// What is sent with a POST.
    pub body: Option<Secret>,
}

impl Ask {
    /// How a page that the list names is asked for. Userinfo in its URL are credentials for its origin.
    ///
    /// # Errors
    /// It brings two credentials.
    pub fn new(location: &Location, own: Arc<PageOptions>) -> Result<Self, String> {
        let Location::Http(url) = location else {
            return Ok(Self { home: None, listed_host: None, userinfo: None, own });
        };
        let has_userinfo = !url.username().is_empty() || url.password().is_some();
        if has_userinfo && own.headers.iter().any(|header| header.name() == "authorization") {
            return Err(
                "expected one Authorization, got a header and userinfo in the URL; leave one of them out"
                    .to_owned(),
            );
        }
        let userinfo = has_userinfo
            .then(|| (url.username().to_owned(), Secret::new(url.password().unwrap_or_default().to_owned())));
        Ok(Self {
            home: Some(url.origin()),
            listed_host: url.host().map(|host| host.to_owned()),
            userinfo,
            own,
        })
    }

    /// How a page is asked for that is found where the secrets may not go: without them, even if it leads back.
    #[must_use]
    pub fn away(&self) -> Self {
        let listed_host = self.listed_host.clone();
        Self { home: None, listed_host, userinfo: None, own: Arc::clone(&self.own) }
    }

    /// Whether `url` is where its secrets may go.
    pub fn is_home(&self, url: &Url) -> bool {
        self.home.as_ref() == Some(&url.origin())
    }

    /// The host of the URL in the list from which it was led on.
    pub fn listed_host(&self) -> Option<&Host<String>> {
        self.listed_host.as_ref()
    }

    /// Name and password of the URL in the list, percent-encoded as they stand there.
    pub fn userinfo(&self) -> Option<&(String, Secret)> {
        self.userinfo.as_ref()
    }

    /// What belongs to it.
    pub fn own(&self) -> &PageOptions {
        &self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn home_is_scheme_host_and_port() {
        let ask = Ask::new(&Location::Http(url("http://u:p@H/a?b#c")), Arc::default()).unwrap();
        for home in ["http://h", "http://h:80/x", "http://x:y@h/"] {
            assert!(ask.is_home(&url(home)), "{home}");
        }
        for elsewhere in ["https://h/", "http://h:81/", "http://h.h/", "http://127.0.0.1/", "file:///a"] {
            assert!(!ask.is_home(&url(elsewhere)), "{elsewhere}");
        }
        let file = Ask::new(&Location::File("/a".into()), Arc::default()).unwrap();
        assert!(!file.is_home(&url("file:///a")));
    }

    #[test]
    fn two_credentials_are_refused() {
        let own =
            PageOptions { headers: vec![Header::known("Authorization", "x")], ..PageOptions::default() };
        let own = Arc::new(own);
        assert!(Ask::new(&Location::Http(url("http://h")), Arc::clone(&own)).is_ok());
        assert!(Ask::new(&Location::Http(url("http://u@h")), own).is_err());
    }
}
