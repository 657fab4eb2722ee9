//! What is sent with the requests for pages, and how the other end is trusted.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::{Netrc, Secret};

/// Headers that belong to the connection or to the reading of the body: another value would break either.
const OWN_HEADERS: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is asked of all pages alike.
#[derive(Debug, Clone, Default)]
pub struct RequestConfig {
    /// Headers for the origin of each page.
    pub headers: Vec<Header>,
    /// Who asks.
    pub login: Login,
    /// The proxy of all requests; those that the environment names where there is none. Without userinfo.
    pub proxy: Option<Url>,
    /// Who is trusted, and what is shown to them.
    pub tls: TlsConfig,
}

impl RequestConfig {
    /// # Errors
    /// What contradicts what, in words.
    pub fn check(&self) -> Result<(), String> {
        let login = match &self.login {
            Login::None => return Ok(()),
            Login::Bearer(token) => {
                let token = std::str::from_utf8(token.bytes()).unwrap_or_default();
                if token.contains(' ') || Header::new("authorization", token).is_err() {
                    return Err("--bearer-file: expected one token in one line, without spaces".to_owned());
                }
                "--bearer-file"
            }
            Login::Netrc(_) => "--netrc-file",
            Login::OAuth2(_) => "--oauth2",
        };
        if self.headers.iter().any(|header| header.name() == "authorization") {
            return Err(format!("expected one Authorization, got -H and {login}; leave one of them out"));
        }
        Ok(())
    }
}

/// The credentials for all pages that bring none of their own.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// There are none.
    #[default]
    None,
    /// A bearer token.
    Bearer(Secret),
    /// A login for each host.
    Netrc(Arc<Netrc>),
    /// A bearer token that is asked for, and anew before it expires.
    OAuth2(Arc<OAuth2Config>),
}

/// How a page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST, for search APIs. It is sent again after a fault, as a GET is.
    Post,
}

impl Method {
    /// Its name in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// The method called `name`, in any case of letters.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Get, Self::Post].into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }
}

/// A header of a request, checked: it can be sent, and nothing that etl sends itself has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Secret,
}

impl Header {
    /// The header `name` with this value.
    ///
    /// # Errors
    /// In words that do not repeat the value: neither is what RFC 9110 allows, or etl sets the header itself.
    pub fn new(name: &str, value: &str) -> Result<Self, String> {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(
                "expected a header name of letters, digits and hyphens, got something else".to_owned()
            );
        }
        let name = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&&*name) {
            return Err(format!("expected a header that etl does not set itself, got {name}; leave it out"));
        }
        if name == "proxy-authorization" {
            return Err("expected a header for the pages, got proxy-authorization; \
                        put the proxy's login into the URL in HTTPS_PROXY or HTTP_PROXY"
                .to_owned());
        }
        let value = value.trim_matches([' ', '\t']);
        if value.is_empty() {
            return Err(format!("expected a value for the header {name}, got nothing"));
        }
        if value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
            return Err(format!(
                "expected a value in one line for the header {name}, got a control character in it"
            ));
        }
        Ok(Self { name, value: Secret::new(value.to_owned()) })
    }

    /// Reads `Name: value`.
    ///
    /// # Errors
    /// As [`Self::new`] has them; there is no colon.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("expected 'Name: value', got no colon")?;
        Self::new(name, value)
    }

    /// A header that is known to be right.
    ///
    /// # Panics
    /// It is wrong.
    pub(crate) fn known(name: &str, value: &str) -> Self {
        Self::new(name, value).expect("a header of etl's own is right")
    }

    /// Its name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &Secret {
        &self.value
    }
}

/// The letters of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A client that asks for tokens in its own name (RFC 6749, section 4.4).
#[derive(Debug, Clone)]
pub struct OAuth2Config {
    /// Where tokens are had. Without userinfo.
    pub token_url: Url,
    /// The name of the client.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// What the token shall allow.
    pub scope: Option<String>,
    /// Whom the token shall be for.
    pub audience: Option<String>,
    /// How name and secret are sent.
    pub client_auth: ClientAuth,
}

/// How a client proves itself to the token endpoint (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// By HTTP Basic, which every server has to know.
    #[default]
    Basic,
    /// In the body, for servers that know nothing else.
    Body,
}

/// Who is trusted, and what is shown to them. All of it is PEM.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// The certificates that are trusted instead of those of the system.
    pub authorities: Option<Bytes>,
    /// The client's certificate and its key, shown to the origins of pages and to the token endpoint.
    pub identity: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_a_name_and_a_value_in_one_line() {
        let header = Header::parse("X-Tenant:  blue sky\t").unwrap();
        assert_eq!((header.name(), &header.value().bytes()[..]), ("x-tenant", &b"blue sky"[..]));
        assert_eq!(&Header::parse("A:b:c").unwrap().value().bytes()[..], b"b:c");
        for wrong in [
            "hunter2",
            ": hunter2",
            "X Y: hunter2",
            "X-Y : hunter2",
            "X-Y:",
            "X-Y: hunter2\r\nX-Z: 1",
            "X-Y: hunter2\0",
            "X\u{e9}: hunter2",
            "Host: hunter2",
            "content-length: 7",
            "Transfer-Encoding: hunter2",
            "ACCEPT-ENCODING: hunter2",
            "Connection: hunter2",
            "Proxy-Authorization: hunter2",
        ] {
            let fault = Header::parse(wrong).unwrap_err();
            assert!(fault.starts_with("expected") && !fault.contains("hunter2"), "{wrong:?}: {fault}");
        }
    }

    #[test]
    fn only_one_authorization_is_sent() {
        let headers = vec![Header::known("Authorization", "Basic eA==")];
        let bearer = Login::Bearer(Secret::new("t"));
        assert!(RequestConfig { headers: headers.clone(), ..RequestConfig::default() }.check().is_ok());
        assert!(RequestConfig { login: bearer.clone(), ..RequestConfig::default() }.check().is_ok());
        let both = RequestConfig { headers, login: bearer, ..RequestConfig::default() };
        assert!(both.check().unwrap_err().contains("-H and --bearer-file"));
        let login = Login::Bearer(Secret::new("two words"));
        assert!(RequestConfig { login, ..RequestConfig::default() }.check().is_err());
    }
}
