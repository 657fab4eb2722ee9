//! The token of a client (RFC 6749, section 4.4): had once for all pages, anew before it expires, and anew once a page
//! refuses it. Sends nothing itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded;

use super::credentials::basic;
use super::retry::AttemptFault;
use crate::config::{ClientAuth, Header, OAuth2Config, Secret};

/// Bytes of an answer of the token endpoint at most: a token is a header.
pub(super) const GRANT_BYTES_MAX: usize = 64 << 10;
/// A token is replaced this long before it expires, so that no request on its way meets the end: a request waits for its
/// answer as long by default. A tenth of its life where that is shorter.
const EARLY_MAX: Duration = Duration::from_secs(30);
/// The errors of RFC 6749, section 5.2. Other words may repeat what was sent.
const ERRORS: [&str; 6] = [
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// What the token endpoint gives.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    token: Secret,
    lifetime: Option<Duration>,
}

/// A token that may be sent.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Secret,
    /// From 1.
    number: u64,
    refresh_at: Option<Instant>,
    /// It was asked for because the one before was refused.
    is_renewal: bool,
}

/// The token of a run. Whoever wants it while it is asked for waits for the same answer.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    state: Mutex<State>,
    /// Answers so far, good and bad.
    answer_count: AtomicU64,
    /// The latest token that a page took.
    accepted_number: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    given_count: u64,
    was_refused: bool,
    fault: Option<AttemptFault>,
}

impl Token {
    pub(super) fn text(&self) -> &Secret {
        &self.text
    }
}

impl Tokens {
    /// The token to be sent now; `ask` asks for one where it is needed.
    ///
    /// Dropping the future leaves the question to the next that wants the token.
    ///
    /// # Errors
    /// None was given, to this request or to the one that asked while this one waited.
    pub(super) async fn current(
        &self,
        ask: impl Future<Output = Result<Grant, AttemptFault>>,
    ) -> Result<Token, AttemptFault> {
        let answer_count = self.answer_count.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let is_due = |token: &Token| token.refresh_at.is_some_and(|due| due <= Instant::now());
        if let Some(token) = state.token.as_ref().filter(|token| !is_due(token)) {
            return Ok(token.clone());
        }
        if let Some(fault) = &state.fault
            && answer_count != self.answer_count.load(Ordering::Acquire)
        {
            return Err(fault.clone());
        }
        let asked = Instant::now();
        let answer = ask.await;
        self.answer_count.fetch_add(1, Ordering::Release);
        match answer {
            Ok(Grant { token, lifetime }) => {
                state.given_count += 1;
                let life = lifetime.map(|lifetime| lifetime - EARLY_MAX.min(lifetime / 10));
                let token = Token {
                    text: token,
                    number: state.given_count,
                    // A life that no clock can hold has no end.
                    refresh_at: life.and_then(|life| asked.checked_add(life)),
                    is_renewal: std::mem::take(&mut state.was_refused),
                };
                state.fault = None;
                Ok(state.token.insert(token).clone())
            }
            Err(fault) => {
                state.fault = Some(fault.clone());
                Err(fault)
            }
        }
    }

    /// Notes that a page took the token.
    pub(super) fn note_accepted(&self, token: &Token) {
        self.accepted_number.fetch_max(token.number, Ordering::Relaxed);
    }

    /// Notes that a page refused the token. Returns whether another one may do better: a token that was had because the one
    /// before was refused, and that no page has taken yet, shows that it would not.
    pub(super) async fn note_refused(&self, token: &Token) -> bool {
        let mut state = self.state.lock().await;
        if state.token.as_ref().is_some_and(|current| current.number != token.number) {
            return true;
        }
        if token.is_renewal && self.accepted_number.load(Ordering::Relaxed) < token.number {
            return false;
        }
        state.token = None;
        state.was_refused = true;
        true
    }
}

/// Headers and body of the question for a token.
pub(super) fn question(config: &OAuth2Config) -> (Vec<Header>, Secret) {
    let secret = String::from_utf8_lossy(config.client_secret.bytes());
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, value) in [("scope", &config.scope), ("audience", &config.audience)] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    let mut headers = vec![
        Header::known("accept", "application/json"),
        Header::known("content-type", "application/x-www-form-urlencoded"),
    ];
    match config.client_auth {
        ClientAuth::Basic => {
            let encoded = |text: &str| {
                form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().into_bytes()
            };
            headers.push(basic(&encoded(&config.client_id), &encoded(&secret)));
        }
        ClientAuth::Body => {
            form.append_pair("client_id", &config.client_id).append_pair("client_secret", &secret);
        }
    }
    (headers, Secret::new(form.finish()))
}

/// Reads the answer to the question.
///
/// # Errors
/// What it lacks, in words that repeat nothing of it.
pub(super) fn read_grant(body: &[u8]) -> Result<Grant, String> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        token_type: Option<String>,
        expires_in: Option<Seconds>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(f64),
        /// As some servers have it.
        Text(String),
    }
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| "expected a JSON object with an access_token, got something else".to_owned())?;
    if !answer.token_type.is_none_or(|name| name.eq_ignore_ascii_case("bearer")) {
        return Err("expected a token_type of Bearer, got another one".to_owned());
    }
    if Header::new("authorization", &answer.access_token).is_err() || answer.access_token.contains(' ') {
        return Err("expected an access_token that fits into a header, got another one".to_owned());
    }
    let seconds = match answer.expires_in {
        None => None,
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => {
            Some(text.parse().map_err(|_| "expected expires_in in seconds, got something else".to_owned())?)
        }
    };
    let lifetime = seconds.map(|seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    Ok(Grant { token: Secret::new(answer.access_token), lifetime })
}

/// The name of the error that a refusal holds, if it is one of the standard.
pub(super) fn error_name(body: &[u8]) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    ERRORS.into_iter().find(|name| *name == refusal.error)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use url::Url;

    use super::*;
    use crate::fetch::retry::Again;

    fn grant(text: &'static str, seconds: Option<u64>) -> Grant {
        Grant { token: Secret::new(text), lifetime: seconds.map(Duration::from_secs) }
    }

    async fn take(tokens: &Tokens, text: &'static str, seconds: Option<u64>) -> Token {
        tokens.current(async { Ok(grant(text, seconds)) }).await.unwrap()
    }

    fn is(token: &Token, text: &'static str) -> bool {
        *token.text() == Secret::new(text)
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_replaced_before_it_expires() {
        for (lifetime_s, early_s) in [(3600, 30), (300, 30), (100, 10), (10, 1)] {
            let tokens = Tokens::default();
            assert!(is(&take(&tokens, "a", Some(lifetime_s)).await, "a"));
            tokio::time::sleep(Duration::from_secs(lifetime_s - early_s) - Duration::from_millis(5)).await;
            assert!(is(&take(&tokens, "b", Some(lifetime_s)).await, "a"), "{lifetime_s}");
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(is(&take(&tokens, "b", Some(lifetime_s)).await, "b"), "{lifetime_s}");
        }
        let tokens = Tokens::default();
        take(&tokens, "a", None).await;
        tokio::time::sleep(Duration::from_secs(1 << 30)).await;
        assert!(is(&take(&tokens, "b", None).await, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_answer_whether_it_is_good_or_bad() {
        for is_good in [true, false] {
            let tokens = Tokens::default();
            let asked = AtomicU32::new(0);
            let ask = async || {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                if is_good { Ok(grant("a", None)) } else { Err(AttemptFault::new("no", Again::Soon)) }
            };
            let want = || tokens.current(ask());
            let (a, b, c) = tokio::join!(want(), want(), want());
            assert!([a, b, c].iter().all(|answer| answer.is_ok() == is_good));
            assert_eq!(asked.load(Ordering::Relaxed), 1);
            drop(want().await);
            assert_eq!(asked.load(Ordering::Relaxed), if is_good { 1 } else { 2 });
        }
    }

    #[tokio::test]
    async fn refused_token_is_replaced_once_until_a_page_takes_one() {
        let tokens = Tokens::default();
        let first = take(&tokens, "a", None).await;
        assert!(tokens.note_refused(&first).await);
        let second = take(&tokens, "b", None).await;
        assert!(is(&second, "b"));
        // Another page had sent the first one too: the second one is there for it.
        assert!(tokens.note_refused(&first).await);
        assert!(is(&take(&tokens, "c", None).await, "b"));
        assert!(!tokens.note_refused(&second).await, "a third one would be refused as well");
        tokens.note_accepted(&second);
        assert!(tokens.note_refused(&second).await);
        assert!(is(&take(&tokens, "c", None).await, "c"));
    }

    fn config(client_auth: ClientAuth) -> OAuth2Config {
        OAuth2Config {
            token_url: Url::parse("https://h/token").unwrap(),
            client_id: "my id".into(),
            client_secret: Secret::new("s:1&%"),
            scope: Some("read logs".into()),
            audience: Some("api".into()),
            client_auth,
        }
    }

    #[test]
    fn question_is_the_one_of_the_standard() {
        let (headers, body) = question(&config(ClientAuth::Basic));
        let form = |form: &Secret| String::from_utf8(form.bytes().to_vec()).unwrap();
        let asked = "grant_type=client_credentials&scope=read+logs&audience=api";
        assert_eq!(form(&body), asked);
        // my+id:s%3A1%26%25
        assert_eq!(headers[2], Header::known("authorization", "Basic bXkraWQ6cyUzQTElMjYlMjU="));
        let (headers, body) = question(&config(ClientAuth::Body));
        assert_eq!(headers.len(), 2);
        assert_eq!(form(&body), format!("{asked}&client_id=my+id&client_secret=s%3A1%26%25"));
    }

    #[test]
    fn answer_is_read_and_a_wrong_one_is_not_repeated() {
        let read = |text: &str| read_grant(text.as_bytes());
        let grant = read(r#"{"access_token":"abc","token_type":"bearer","expires_in":"60","x":1}"#).unwrap();
        assert_eq!((grant.token, grant.lifetime), (Secret::new("abc"), Some(Duration::from_secs(60))));
        assert_eq!(read(r#"{"access_token":"abc"}"#).unwrap().lifetime, None);
        let negative = read(r#"{"access_token":"abc","expires_in":-3.5}"#).unwrap().lifetime;
        assert_eq!(negative, Some(Duration::ZERO));
        for wrong in [
            "hunter2",
            r#"{"token":"hunter2"}"#,
            r#"{"access_token":["hunter2"]}"#,
            r#"{"access_token":"hunter2\n"}"#,
            r#"{"access_token":"hunter2 x"}"#,
            r#"{"access_token":""}"#,
            r#"{"access_token":"hunter2","token_type":"mac"}"#,
            r#"{"access_token":"hunter2","expires_in":"soon"}"#,
        ] {
            let fault = read(wrong).unwrap_err();
            assert!(fault.starts_with("expected") && !fault.contains("hunter2"), "{fault}");
        }
        assert_eq!(
            error_name(br#"{"error":"invalid_client","error_description":"x"}"#),
            Some("invalid_client")
        );
        assert_eq!(error_name(br#"{"error":"hunter2"}"#), None);
    }
}
