//! HTTP: one attempt at one page, redirects included. The only reqwest import.
//!
//! reqwest follows no redirect, decompresses nothing and keeps no read timer here. Its redirects know
//! neither our two clients nor that https must not become http; its read timer runs on while a page
//! waits for memory, so that a healthy connection would be dropped for our own waiting.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Client, Response, StatusCode, Version};
use tokio::time::timeout;
use url::Url;

use super::answer;
use super::body::{BodyHead, Source};
use super::decompress::{self, Coding};
use super::level::Sign;
use super::limits::{GivenUp, Hosts, Leave, Notice};
use super::retry::{Again, AttemptFault, Attempts, Deadline, classify, parse_retry_after};
use crate::config::HttpConfig;
use crate::cpu::CpuPool;
use crate::metrics::Metrics;
use crate::model::{DeclaredForm, FAILED_PAGE_HEAD_BYTES_MAX};

const USER_AGENT: &str = concat!("etl/", env!("CARGO_PKG_VERSION"));
/// A login and a few moves of an API; more is a loop or a maze.
const REDIRECT_COUNT_MAX: usize = 10;
/// Bytes of one HTTP/2 stream on their way: 20 MB/s at 50 ms.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Sends requests over plain TCP and TLS.
#[derive(Debug)]
pub(super) struct HttpClient {
    config: HttpConfig,
    metrics: Arc<Metrics>,
    pool: CpuPool,
    hosts: Hosts,
    plain: OnceLock<Result<Client, String>>,
    tls: OnceLock<Result<Client, String>>,
}

impl HttpClient {
    pub(super) fn new(config: HttpConfig, metrics: Arc<Metrics>, pool: CpuPool) -> Self {
        let hosts = Hosts::new(config.clone(), Arc::clone(&metrics));
        Self { config, metrics, pool, hosts, plain: OnceLock::new(), tls: OnceLock::new() }
    }

    /// Asks for `url` once and reads the head of the answer.
    pub(super) async fn get(
        &self,
        url: &Url,
        attempts: &mut Attempts<'_>,
    ) -> Result<(BodyHead, Source), AttemptFault> {
        let (exchange, answered_url) = self.follow(url, attempts).await?;
        match exchange.response.status() {
            StatusCode::NO_CONTENT => return Ok((BodyHead::no_content(), Source::Nothing)),
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {}
            _ => return Err(self.status_fault(exchange).await),
        }
        let Exchange { response, leave, .. } = exchange;
        let codings = codings(&response).map_err(|reason| AttemptFault::new(reason, Again::Never))?;
        let head = BodyHead {
            codings,
            form: form(&response, url, &answered_url),
            end_proven: has_proven_end(&response)?,
            is_compressed_by_name: answer::has_compressed_extension(answered_url.path()),
            expected_bytes: response.content_length(),
        };
        let body = HttpBody {
            expected_bytes: response.content_length(),
            response,
            leave: Some(leave),
            received_bytes: 0,
            page_bytes_max: self.config.page_bytes_max,
            silence_max: self.config.read_timeout,
            deadline: attempts.deadline(),
            metrics: Arc::clone(&self.metrics),
        };
        body.check_size(body.expected_bytes.unwrap_or_default())?;
        Ok((head, Source::Http(body)))
    }

    /// Sends the request and those that the answers redirect to.
    async fn follow(&self, url: &Url, attempts: &mut Attempts<'_>) -> Result<(Exchange, Url), AttemptFault> {
        let mut url = url.clone();
        for _ in 0..=REDIRECT_COUNT_MAX {
            let exchange = self.send(&url, attempts).await?;
            let response = &exchange.response;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) else {
                return Ok((exchange, url));
            };
            url = redirect_target(&url, location.as_bytes()).map_err(|reason| {
                AttemptFault::new(format!("HTTP {}: {reason}", response.status()), Again::Never)
            })?;
        }
        let reason = format!("expected an answer after {REDIRECT_COUNT_MAX} redirects, got one more");
        Err(AttemptFault::new(reason, Again::Never))
    }

    async fn send(&self, url: &Url, attempts: &mut Attempts<'_>) -> Result<Exchange, AttemptFault> {
        let client = self.client(url)?;
        let leave = self.stand_in_line(url, attempts).await?;
        self.metrics.requests_sent.add(1);
        let silence_max = self.config.read_timeout;
        let sent = attempts.deadline().within(timeout(silence_max, client.get(url.clone()).send()));
        let response = match sent.await? {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                if error.is_timeout() {
                    leave.timed_out();
                }
                return Err(self.send_fault(error));
            }
            Err(_) => {
                leave.timed_out();
                let reason = format!("no answer within {} s (--read-timeout)", silence_max.as_secs_f64());
                return Err(AttemptFault::new(reason, Again::Soon));
            }
        };
        attempts.note_answer();
        self.metrics.count_status(response.status().as_u16());
        let notice = notice(&response);
        if notice.sign == Some(Sign::Refusal) {
            self.metrics.requests_throttled.add(1);
        }
        let is_of_crowd = leave.answered(notice);
        Ok(Exchange { response, leave, notice, is_of_crowd })
    }

    /// Waits for leave to send a request. The time of a page begins with its first one.
    async fn stand_in_line(&self, url: &Url, attempts: &mut Attempts<'_>) -> Result<Leave, AttemptFault> {
        let leave = self.hosts.leave(url, attempts.ordinal());
        let leave = if attempts.are_clocks_started() {
            attempts.deadline().within(leave).await?
        } else {
            let leave = leave.await;
            attempts.start_clocks();
            leave
        };
        leave.map_err(|GivenUp| {
            let seconds = self.config.retry.retry_max_time.as_secs_f64();
            let reason =
                format!("not asked for: its host refused every request for {seconds} s (--retry-max-time)");
            AttemptFault::new(reason, Again::Never)
        })
    }

    fn client(&self, url: &Url) -> Result<&Client, AttemptFault> {
        let client = if url.scheme() == "https" {
            // Loading the CA certificates takes 15 ms and fails where there are none, so a list without
            // https never does it.
            self.tls.get_or_init(|| build(&self.config, true))
        } else {
            self.plain.get_or_init(|| build(&self.config, false))
        };
        client.as_ref().map_err(|reason| AttemptFault::new(reason.clone(), Again::Never))
    }

    /// The fault of an answer that holds no page, with the head of what it holds instead.
    async fn status_fault(&self, exchange: Exchange) -> AttemptFault {
        let Exchange { mut response, leave, notice, is_of_crowd } = exchange;
        let status = response.status();
        let again = match notice.sign {
            Some(Sign::Refusal) => notice.pause.map_or(Again::Soon, Again::After),
            _ => classify(status.as_u16(), header_text(&response, RETRY_AFTER.as_str()), SystemTime::now()),
        };
        let mut reason = match status.canonical_reason() {
            Some(words) => format!("HTTP {} {words}", status.as_u16()),
            None => format!("HTTP {}", status.as_u16()),
        };
        if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            reason.push_str(" without a Location");
        }
        // A 503 may be the page's own.
        let is_of_crowd = is_of_crowd && status != StatusCode::SERVICE_UNAVAILABLE;
        let fault = AttemptFault::new(reason, again).of_crowd(is_of_crowd);
        let mut head = Vec::new();
        // One silence for the whole head: a server that drips an error is not listened to for long.
        // What came until then is kept.
        let _ = timeout(self.config.read_timeout, self.read_head(&mut response, &mut head)).await;
        let codings = codings(&response).unwrap_or_default();
        drop((response, leave));
        fault.with_received(self.readable(head, codings).await)
    }

    async fn read_head(&self, response: &mut Response, head: &mut Vec<u8>) {
        while head.len() < FAILED_PAGE_HEAD_BYTES_MAX
            && let Ok(Some(chunk)) = response.chunk().await
        {
            self.metrics.wire_bytes.add(chunk.len() as u64);
            let room = FAILED_PAGE_HEAD_BYTES_MAX - head.len();
            head.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    }

    async fn readable(&self, head: Vec<u8>, codings: Vec<Coding>) -> Vec<u8> {
        if codings.is_empty() {
            return head;
        }
        let decompressed = self.pool.run(move || {
            codings
                .into_iter()
                .fold(head, |head, coding| decompress::head(coding, head.into(), FAILED_PAGE_HEAD_BYTES_MAX))
        });
        // An error answer is only shown; a decoder that panics on it leaves nothing to show.
        decompressed.await.unwrap_or_default()
    }

    fn send_fault(&self, error: reqwest::Error) -> AttemptFault {
        let again = if error.is_builder() { Again::Never } else { Again::Soon };
        let reason = if error.is_connect() && error.is_timeout() {
            format!(
                "no connection within {} s (--connect-timeout)",
                self.config.connect_timeout.as_secs_f64()
            )
        } else if error.is_connect() {
            format!("could not connect: {}", deepest_cause(error))
        } else {
            format!("the request failed: {}", deepest_cause(error))
        };
        AttemptFault::new(reason, again)
    }
}

/// A request and the head of its answer.
#[derive(Debug)]
struct Exchange {
    response: Response,
    leave: Leave,
    notice: Notice,
    /// Whether it was refused together with others that were in flight.
    is_of_crowd: bool,
}

/// The body of an answer, as it was sent.
#[derive(Debug)]
pub(super) struct HttpBody {
    response: Response,
    /// Given back with the last byte, so that the next request need not wait until this one's are used; and however it
    /// ends, for the page that the writer waits for may be the next one.
    leave: Option<Leave>,
    expected_bytes: Option<u64>,
    received_bytes: u64,
    page_bytes_max: u64,
    silence_max: Duration,
    deadline: Deadline,
    metrics: Arc<Metrics>,
}

impl HttpBody {
    /// The next bytes; `None` at the end.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        let received = self.receive().await;
        if !matches!(received, Ok(Some(_))) {
            self.leave = None;
        }
        received
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        let received = self.deadline.within(timeout(self.silence_max, self.response.chunk())).await?;
        let bytes = match received {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Err(body_fault(error, self.received_bytes, self.expected_bytes)),
            Err(_) => {
                if let Some(leave) = &self.leave {
                    leave.timed_out();
                }
                return Err(silence_fault(self.silence_max, self.received_bytes));
            }
        };
        self.metrics.wire_bytes.add(bytes.len() as u64);
        self.received_bytes += bytes.len() as u64;
        self.check_size(self.received_bytes)?;
        Ok(Some(bytes))
    }

    fn check_size(&self, bytes: u64) -> Result<(), AttemptFault> {
        let most = self.page_bytes_max;
        if bytes <= most {
            return Ok(());
        }
        let reason = format!("the page is larger than {most} bytes (--max-page-bytes)");
        Err(AttemptFault::new(reason, Again::Never))
    }
}

fn build(config: &HttpConfig, with_tls: bool) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/x-ndjson, */*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, br, deflate"));
    // A page at the head of the line that waits for the writer leaves its stream unread. The connection's window has room for all
    // of them, or they would starve each other where they share a connection.
    let stream_count = u32::try_from(config.concurrency).unwrap_or(u32::MAX).max(1);
    let connection_window_bytes = STREAM_WINDOW_BYTES.saturating_mul(stream_count).min(i32::MAX as u32);
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(config.connect_timeout)
        .pool_max_idle_per_host(config.concurrency)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(connection_window_bytes);
    let builder = if with_tls { builder } else { builder.tls_certs_only([]).http1_only() };
    builder.build().map_err(|error| {
        let cause = deepest_cause(error);
        if with_tls {
            format!(
                "could not load the CA certificates that https needs (is ca-certificates installed?): {cause}"
            )
        } else {
            format!("could not set up HTTP: {cause}")
        }
    })
}

/// Where a redirect leads, refused unless it keeps http or https and does not leave encryption.
fn redirect_target(from: &Url, location: &[u8]) -> Result<Url, String> {
    let location = std::str::from_utf8(location).map_err(|_| "its Location is no UTF-8".to_owned())?;
    let mut to = from.join(location).map_err(|error| format!("its Location is no URL: {error}"))?;
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err("its Location leads from https to http, which is refused".into()),
        (_, other) => return Err(format!("expected a Location with http or https, got {other}")),
    }
    // Credentials stay with the origin that they were given for, and a server can't set any.
    let (user, password) = if from.origin() == to.origin() {
        (from.username().to_owned(), from.password().map(ToOwned::to_owned))
    } else {
        (String::new(), None)
    };
    let is_set = to.set_username(&user).is_ok() && to.set_password(password.as_deref()).is_ok();
    if is_set { Ok(to) } else { Err("its Location has no host".into()) }
}

fn header_text<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// What an answer says of the requests that its host takes.
fn notice(response: &Response) -> Notice {
    let now = SystemTime::now();
    let retry_after =
        header_text(response, RETRY_AFTER.as_str()).and_then(|text| parse_retry_after(text, now));
    let quota_pause = answer::quota_pause(|name| header_text(response, name), now);
    let sign = match response.status().as_u16() {
        429 => Some(Sign::Refusal),
        // Some APIs refuse what is beyond a quota like this.
        403 if quota_pause.is_some() => Some(Sign::Refusal),
        503 if retry_after.is_some() => Some(Sign::Refusal),
        503 => Some(Sign::Vague),
        _ => None,
    };
    let retry_after = retry_after.filter(|_| sign == Some(Sign::Refusal));
    Notice { sign, pause: retry_after.or(quota_pause) }
}

fn header_values(response: &Response, name: HeaderName) -> Vec<&str> {
    // A value that is no text is no coding that we know either.
    response.headers().get_all(name).iter().map(|value| value.to_str().unwrap_or("(no text)")).collect()
}

fn codings(response: &Response) -> Result<Vec<Coding>, String> {
    answer::codings(header_values(response, CONTENT_ENCODING))
}

/// Whether the protocol tells a complete body from a cut one: by its length, its last chunk, its
/// last frame. hyper reports a body that is cut; one that ends with its connection it can't judge.
fn has_proven_end(response: &Response) -> Result<bool, AttemptFault> {
    let transfer_codings = header_values(response, TRANSFER_ENCODING);
    let is_chunked =
        answer::is_chunked(transfer_codings).map_err(|reason| AttemptFault::new(reason, Again::Never))?;
    Ok(is_chunked || response.content_length().is_some() || response.version() >= Version::HTTP_2)
}

fn form(response: &Response, asked: &Url, answered: &Url) -> DeclaredForm {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match answer::declared_form(content_type, answered.path()) {
        DeclaredForm::Unknown => answer::declared_form(None, asked.path()),
        declared => declared,
    }
}

fn body_fault(error: reqwest::Error, received: u64, expected: Option<u64>) -> AttemptFault {
    let cause = deepest_cause(error);
    let reason = match expected {
        Some(expected) => format!("the body broke off after {received} of {expected} bytes: {cause}"),
        None => format!("the body broke off after {received} bytes: {cause}"),
    };
    AttemptFault::new(reason, Again::Soon)
}

fn silence_fault(silence_max: Duration, received: u64) -> AttemptFault {
    let silence_s = silence_max.as_secs_f64();
    AttemptFault::new(
        format!(
            "the body broke off after {received} bytes: no byte more within {silence_s} s (--read-timeout)"
        ),
        Again::Soon,
    )
}

/// What happened, without the layers that passed it on and without the URL, which may hold secrets.
fn deepest_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(from: &str, location: &str) -> Result<String, String> {
        redirect_target(&Url::parse(from).unwrap(), location.as_bytes()).map(String::from)
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
        assert!(redirect_target(&Url::parse("http://h/").unwrap(), b"\xff").is_err());
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        assert_eq!(target("http://u:p@h/a", "/b").unwrap(), "http://u:p@h/b");
        assert_eq!(target("http://u:p@h/a", "http://h:80/b").unwrap(), "http://u:p@h/b");
        for elsewhere in ["http://h:81/b", "https://h/b", "http://o/b", "//o/b", "http://x:y@o/b"] {
            let to = target("http://u:p@h/a", elsewhere).unwrap();
            assert!(!to.contains('@'), "{to}");
        }
        assert_eq!(target("http://u:p@h/a", "http://x:y@h/b").unwrap(), "http://u:p@h/b");
    }

    #[test]
    fn plain_client_needs_no_certificates() {
        assert!(build(&HttpConfig::default(), false).is_ok());
    }
}
