//! How a location is shown: what looks like a secret is hidden, all else stays as it was written.
//!
//! Two thousand URLs that differ in a query value must be told apart in a log, so only the values of
//! keys with a secret-looking name are hidden, never the whole query. A secret in the path can't be
//! recognised and is shown.

use std::borrow::Cow;

use url::{Url, form_urlencoded};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Words that make a key secret: the whole key, or a part of it (`api_key`, `accessToken`, `X-Auth`).
const SECRET_WORDS: [&str; 11] =
    ["key", "sig", "auth", "authorization", "bearer", "code", "pass", "assertion", "jwt", "hmac", "otp"];

/// Ends of words that make a key secret, for names that are written as one word (`accesstoken`, `subscriptionkey`). A
/// word may end in `key` and be none, so those that are stand here whole.
const SECRET_ENDS: [&str; 21] = [
    "token",
    "secret",
    "signature",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "credential",
    "credentials",
    "sessionid",
    "sessid",
    "apikey",
    "appkey",
    "authkey",
    "accesskey",
    "accountkey",
    "clientkey",
    "masterkey",
    "privatekey",
    "sharedkey",
    "subscriptionkey",
];

/// Words that make a key with a secret-looking name that of a cursor: `nextPageToken`, `continuation_token`.
const CURSOR_WORDS: [&str; 8] =
    ["page", "next", "cursor", "continuation", "pagination", "scroll", "after", "start"];

/// Headers that are credentials whatever their names are made of.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Every parameter of a presigned S3 URL; together they are the permission.
const SECRET_PREFIX: &str = "x-amz-";

/// Hides secrets in locations.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    names: Vec<String>,
}

impl Redaction {
    /// A redaction that hides the values of these query keys too, in any case of letters.
    pub fn new(names: &[String]) -> Self {
        Self { names: names.iter().map(|name| name.to_lowercase()).collect() }
    }

    /// The URL as it may be shown: `written` itself, without its fragment, where it holds no secret.
    pub fn show(&self, url: &Url, written: &str) -> String {
        let hidden = self.hide(url);
        let mut plain = url.clone();
        plain.set_fragment(None);
        if hidden == plain.as_str() {
            return written.split('#').next().unwrap_or_default().to_owned();
        }
        hidden
    }

    /// Whether a header of this name is a secret: one that is known as such, or named as a secret query key is.
    pub fn hides_header(&self, name: &str) -> bool {
        SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) || self.is_secret(name)
    }

    /// Whether the value of this query key is a secret, and no cursor by its name.
    pub(super) fn hides_value(&self, key: &str) -> bool {
        self.is_secret(key) && !words(key).any(|word| is_of_cursor(&word.to_lowercase()))
    }

    fn hide(&self, url: &Url) -> String {
        let mut shown = url.clone();
        shown.set_fragment(None);
        let query = shown.query().map(|query| self.hide_in_query(query));
        shown.set_query(None);
        // Both fail only for URLs without a host, which have no userinfo either.
        let has_userinfo = shown.password().is_some() || !shown.username().is_empty();
        let _ = shown.set_password(None);
        let _ = shown.set_username("");
        let mut text = String::from(shown);
        if has_userinfo && let Some(host) = text.find("://") {
            text.insert_str(host + 3, "***@");
        }
        if let Some(query) = query {
            text.push('?');
            text.push_str(&query);
        }
        text
    }

    fn hide_in_query(&self, query: &str) -> String {
        let mut shown = String::with_capacity(query.len());
        // Some servers separate by `;`, so a secret may stand behind one.
        for pair in query.split_inclusive(['&', ';']) {
            let (pair, separator) = match pair.strip_suffix(['&', ';']) {
                Some(bare) => (bare, &pair[bare.len()..]),
                None => (pair, ""),
            };
            match pair.split_once('=') {
                Some((key, value)) if !value.is_empty() && self.is_secret(key) => {
                    shown.push_str(key);
                    shown.push('=');
                    shown.push_str(HIDDEN);
                }
                _ => shown.push_str(pair),
            }
            shown.push_str(separator);
        }
        shown
    }

    fn is_secret(&self, written_key: &str) -> bool {
        let key = form_urlencoded::parse(written_key.as_bytes())
            .next()
            .map_or(Cow::Borrowed(written_key), |(key, _)| key);
        let lower = key.to_lowercase();
        lower.starts_with(SECRET_PREFIX)
            || self.names.contains(&lower)
            || self.is_secret_word(&lower)
            || words(&key).any(|word| self.is_secret_word(&word.to_lowercase()))
            // `session_id` is as `sessionid`.
            || has_secret_end(&words(&lower).collect::<String>())
    }

    fn is_secret_word(&self, word: &str) -> bool {
        SECRET_WORDS.contains(&word) || has_secret_end(word) || self.names.iter().any(|name| name == word)
    }
}

fn has_secret_end(word: &str) -> bool {
    SECRET_ENDS.iter().any(|end| word.ends_with(end))
}

/// Tells whether a word of a key that looks secret makes it that of a cursor, written apart or as one word (`pagetoken`).
fn is_of_cursor(word: &str) -> bool {
    CURSOR_WORDS.contains(&word)
        || word
            .strip_suffix("token")
            .is_some_and(|of| CURSOR_WORDS.iter().any(|cursor| of.starts_with(cursor)))
}

/// The parts of a key: `access_token`, `api-key` and `accessToken` have two each.
fn words(key: &str) -> impl Iterator<Item = &str> {
    key.split(|letter: char| !letter.is_alphanumeric()).flat_map(|part| {
        let mut starts: Vec<usize> = vec![0];
        let mut last_is_lower = false;
        for (index, letter) in part.char_indices() {
            if letter.is_uppercase() && last_is_lower {
                starts.push(index);
            }
            last_is_lower = letter.is_lowercase();
        }
        starts.push(part.len());
        (1..starts.len()).map(move |end| &part[starts[end - 1]..starts[end]]).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Redaction::new(&["Tenant".into()]).show(&Url::parse(text).unwrap(), text)
    }

    /// Names of secrets, as the README has them.
    const SECRETS: [&str; 44] = [
        "token",
        "access_token",
        "accessToken",
        "accesstoken",
        "ACCESSTOKEN",
        "authtoken",
        "apitoken",
        "sessiontoken",
        "refresh-token",
        "csrftoken",
        "sessionid",
        "session_id",
        "sessionId",
        "JSESSIONID",
        "PHPSESSID",
        "key",
        "api_key",
        "apikey",
        "ApiKey",
        "x-api-key",
        "subscriptionkey",
        "Ocp-Apim-Subscription-Key",
        "authkey",
        "auth",
        "X-Auth",
        "X-Authtoken",
        "authorization",
        "bearer",
        "jwt",
        "pass",
        "user_pass",
        "password",
        "userpassword",
        "passwd",
        "pwd",
        "hmac",
        "assertion",
        "client_assertion",
        "credential",
        "credentials",
        "client_secret",
        "sig",
        "signature",
        "code",
    ];
    /// Names that look like those of secrets, and are none.
    const NO_SECRETS: [&str; 30] = [
        "page",
        "keyword",
        "keywords",
        "monkey",
        "turkey",
        "hockey",
        "tokenize",
        "tokens_used",
        "passenger",
        "passengers",
        "bypass",
        "compass",
        "author",
        "authors",
        "authority",
        "zipcode",
        "postcode",
        "barcode",
        "encoding",
        "design",
        "signal",
        "assign",
        "session",
        "id",
        "user_id",
        "user",
        "host",
        "limit",
        "offset",
        "keyspace",
    ];

    #[test]
    fn key_is_secret_by_parts_of_its_words_as_query_key_and_as_header() {
        let redaction = Redaction::default();
        for name in SECRETS {
            assert!(redaction.is_secret(name) && redaction.hides_header(name), "{name}");
        }
        for name in NO_SECRETS {
            assert!(!redaction.is_secret(name) && !redaction.hides_header(name), "{name}");
        }
    }

    #[test]
    fn cursor_is_no_secret_to_be_kept_from_the_next_run_however_it_is_written() {
        let redaction = Redaction::default();
        for name in [
            "next_token",
            "nextToken",
            "nexttoken",
            "pageToken",
            "pagetoken",
            "nextpagetoken",
            "continuationtoken",
        ] {
            assert!(redaction.is_secret(name) && !redaction.hides_value(name), "{name}");
        }
    }

    #[test]
    fn location_without_a_secret_is_shown_as_it_is_written() {
        for text in ["http://h", "HTTP://Host/a?page=7&b=%7B", "https://h:8443/x/../y?keyboard=1&monkey=2"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn userinfo_is_hidden() {
        assert_eq!(shown("http://bob:s3cret@h/p?page=1"), "http://***@h/p?page=1");
        assert_eq!(shown("http://bob@h/p"), "http://***@h/p");
        assert_eq!(shown("http://:s3cret@h/p"), "http://***@h/p");
        assert_eq!(shown(r"http:\\bob:s3cret@h\p"), "http://***@h/p");
    }

    #[test]
    fn values_of_secret_keys_are_hidden_and_others_stay() {
        assert_eq!(
            shown("http://h/p?page=7&token=abc&access_token=d&api-key=e&accessToken=f&TOKEN=g#x"),
            "http://h/p?page=7&token=***&access_token=***&api-key=***&accessToken=***&TOKEN=***"
        );
        assert_eq!(shown("http://h/?X-Amz-Date=1&x=2;sig=3"), "http://h/?X-Amz-Date=***&x=2;sig=***");
        assert_eq!(shown("http://h/?%74oken=1&to%6Ben=2"), "http://h/?%74oken=***&to%6Ben=***");
        assert_eq!(shown("http://h/?tenant=a&tenant_id=b&id=c"), "http://h/?tenant=***&tenant_id=***&id=c");
        assert_eq!(shown("http://h/?token&token="), "http://h/?token&token=");
    }

    #[test]
    fn header_is_secret_by_its_name() {
        let redaction = Redaction::new(&["Tenant".into()]);
        for secret in
            ["Authorization", "cookie", "X-Api-Key", "x-auth-token", "X-Amz-Date", "X-Tenant", "ApiKey"]
        {
            assert!(redaction.hides_header(secret), "{secret}");
        }
        for plain in ["Accept", "X-Request-Id", "Content-Type", "If-None-Match", "X-Keyboard"] {
            assert!(!redaction.hides_header(plain), "{plain}");
        }
    }

    #[test]
    fn fragment_is_never_shown() {
        assert_eq!(shown("http://h/p#access_token=abc"), "http://h/p");
    }

    proptest::proptest! {
        #[test]
        fn secret_is_never_shown(
            key in "(token|api_key|x-amz-[a-z]{1,5}|[a-z]{1,4}[-_.]secret|Signature)",
            before in "[a-z]{0,3}=?[0-9]{0,3}",
            separator in "[&;]",
        ) {
            let text = format!("https://user:QQZZ7@h/p?{before}{separator}{key}=QQZZ7&z=1#QQZZ7");
            proptest::prop_assert!(!shown(&text).contains("QQZZ7"), "{}", shown(&text));
        }
    }
}
