//! HTTP: one attempt at one page, redirects included. The only reqwest import.
//!
//! reqwest follows no redirect, decompresses nothing, keeps no cookie and no read timer here. Its redirects know
//! neither our clients nor what is secret; its read timer runs on while a page waits for memory, so that a healthy
//! connection would be dropped for our own waiting. What goes where is decided in `redirect.rs` and `credentials.rs`.

mod http_body;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, LINK, LOCATION, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{
    Body as StreamBody, Certificate, Client, Error as NetworkError, Identity, NoProxy, Proxy, RequestBuilder,
    Response, StatusCode, Version,
};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::answer;
use super::body::{BodyHead, Source};
use super::credentials::{body_for, headers_for, wants_token};
use super::decompress::{self, Coding};
use super::level::Sign;
use super::limits::{GivenUp, Hosts, Leave, Notice};
use super::oauth::{self, GRANT_BYTES_MAX, Grant, Token, Tokens};
use super::paginate::next_link;
use super::private::{Guard, PrivateAddress, public_addresses};
use super::redirect::{Hop, is_redirect};
use super::resume;
use super::retry::{Again, AttemptFault, Attempts, classify, is_out_of_files, parse_retry_after};
use super::waiting::{Phase, Waiting};
use crate::config::{Header, HttpConfig, Login, Method, OAuth2Config, Secret};
use crate::cpu::CpuPool;
use crate::error::{Error, Result as RunResult};
use crate::metrics::Metrics;
use crate::model::{AnswerNotes, Ask, DeclaredForm, FAILED_PAGE_HEAD_BYTES_MAX};

use http_body::{Rest, RestOfBody};

pub(super) use http_body::HttpBody;

const USER_AGENT: &str = concat!("etl/", env!("CARGO_PKG_VERSION"));
/// A login and a few moves of an API; more is a loop or a maze.
const REDIRECT_COUNT_MAX: usize = 10;
/// Time that a connection stays open for a next request: hosts may be many, and open connections are not.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);
/// How often it is looked whether a request is left behind.
const LATE_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Bytes of one HTTP/2 stream on their way: 20 MB/s at 50 ms.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Sends requests over plain TCP and TLS.
#[derive(Debug)]
pub(super) struct HttpClient {
    config: HttpConfig,
    metrics: Arc<Metrics>,
    pool: CpuPool,
    tokens: Tokens,
    hosts: Hosts,
    guard: Guard,
    plain: OnceLock<Result<Client, String>>,
    guarded_plain: OnceLock<Result<Client, String>>,
    guarded_tls: OnceLock<Result<Client, String>>,
    tls: OnceLock<Result<Client, String>>,
    tls_with_identity: OnceLock<Result<Client, String>>,
}

/// Connections are shared by requests of one kind alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientKind {
    Plain,
    Tls,
    /// Connects to public addresses alone.
    GuardedPlain,
    GuardedTls,
    /// Shows the certificate of `--cert` to whoever wants one.
    TlsWithIdentity,
}

impl HttpClient {
    /// # Errors
    /// A usage error: what is to be sent contradicts itself, or certificates can't be used.
    pub(super) fn new(config: HttpConfig, metrics: Arc<Metrics>, pool: CpuPool) -> RunResult<Self> {
        config.request.check().map_err(Error::usage)?;
        let hosts = Hosts::new(config.clone(), Arc::clone(&metrics));
        let (allows_private, has_proxy) = (config.allows_private, config.request.proxy.is_some());
        let client = Self {
            config,
            metrics,
            pool,
            tokens: Tokens::default(),
            hosts,
            guard: Guard::new(allows_private, has_proxy),
            plain: OnceLock::new(),
            guarded_plain: OnceLock::new(),
            guarded_tls: OnceLock::new(),
            tls: OnceLock::new(),
            tls_with_identity: OnceLock::new(),
        };
        let tls = &client.config.request.tls;
        if tls.authorities.is_some() {
            client.client_of(ClientKind::Tls).map_err(Error::usage)?;
        }
        if tls.identity.is_some() {
            client.client_of(ClientKind::TlsWithIdentity).map_err(Error::usage)?;
        }
        Ok(client)
    }

    /// Says that no page is asked for any more.
    pub(super) fn run_is_over(&self) {
        self.hosts.close();
    }

    /// Asks for the page at `url` once and reads the head of the answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        url: &Url,
        ask: &Ask,
        attempts: &mut Attempts<'_>,
    ) -> Result<(BodyHead, Source), AttemptFault> {
        let (exchange, hop) = self.follow(url, ask, attempts).await?;
        let answered_url = hop.url.clone();
        let link = next_link(links(&exchange.response).iter().map(String::as_str));
        let notes = notes(&exchange.response);
        match exchange.response.status() {
            StatusCode::NO_CONTENT => {
                return Ok((BodyHead::no_content(link, answered_url, notes), Source::Nothing));
            }
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
            link,
            answered_url: Some(answered_url),
            notes,
        };
        let body = HttpBody {
            expected_bytes: response.content_length(),
            rest: self.rest(hop, ask, &response, attempts.waiting()),
            broke_off: None,
            response: response.into(),
            leave: Some(leave),
            received_bytes: 0,
            page_bytes_max: self.config.page_bytes_max,
            silence_max: self.config.read_timeout,
            deadline: attempts.deadline(),
            metrics: Arc::clone(&self.metrics),
        };
        body.check_size(body.expected_bytes.unwrap_or_default())?;
        Ok((head, Source::Http(Box::new(body))))
    }

    /// Sends the request and those that the answers redirect to.
    async fn follow(
        &self,
        url: &Url,
        ask: &Ask,
        attempts: &mut Attempts<'_>,
    ) -> Result<(Exchange, Hop), AttemptFault> {
        let mut hop = Hop::first(url, ask);
        let refused = |reason| AttemptFault::new(reason, Again::Never);
        hop.is_guarded = self.guard.check(&hop.url, ask).await.map_err(refused)?;
        for _ in 0..=REDIRECT_COUNT_MAX {
            let exchange = self.send(&hop, ask, attempts).await?;
            let response = &exchange.response;
            let status = response.status();
            let location = response.headers().get(LOCATION).filter(|_| is_redirect(status.as_u16()));
            let Some(location) = location else { return Ok((exchange, hop)) };
            hop = hop
                .redirected(status.as_u16(), location.as_bytes(), ask)
                .map_err(|reason| AttemptFault::new(format!("HTTP {status}: {reason}"), Again::Never))?;
            hop.is_guarded = self.guard.check(&hop.url, ask).await.map_err(|reason| {
                AttemptFault::new(format!("HTTP {status}: its Location is refused: {reason}"), Again::Never)
            })?;
        }
        let reason = format!("expected an answer after {REDIRECT_COUNT_MAX} redirects, got one more");
        Err(AttemptFault::new(reason, Again::Never))
    }

    /// Sends one request, with a token if it wants one; twice, with another token, if the first one is refused.
    async fn send(
        &self,
        hop: &Hop,
        ask: &Ask,
        attempts: &mut Attempts<'_>,
    ) -> Result<Exchange, AttemptFault> {
        let request = &self.config.request;
        let oauth2 = match &request.login {
            Login::OAuth2(oauth2) if wants_token(request, ask, hop) => oauth2,
            _ => return self.exchange(&hop.url, self.request(hop, ask, None)?, attempts).await,
        };
        let token = self.token(oauth2, attempts).await?;
        let exchange = self.exchange(&hop.url, self.request(hop, ask, Some(&token))?, attempts).await?;
        if exchange.response.status() != StatusCode::UNAUTHORIZED {
            self.tokens.note_accepted(&token);
            return Ok(exchange);
        }
        if !self.tokens.note_refused(&token).await {
            return Ok(exchange);
        }
        // Its leave is given back before another one is waited for.
        drop(exchange);
        let token = self.token(oauth2, attempts).await?;
        let exchange = self.exchange(&hop.url, self.request(hop, ask, Some(&token))?, attempts).await?;
        if exchange.response.status() != StatusCode::UNAUTHORIZED {
            self.tokens.note_accepted(&token);
        }
        Ok(exchange)
    }

    fn request(&self, hop: &Hop, ask: &Ask, token: Option<&Token>) -> Result<RequestBuilder, AttemptFault> {
        let config = &self.config.request;
        let headers = headers_for(config, ask, hop, token.map(Token::text));
        let body = body_for(ask, hop);
        self.builder((&hop.url, hop.is_guarded), hop.method, hop.is_home, &headers, body)
    }

    fn builder(
        &self,
        (url, is_guarded): (&Url, bool),
        method: Method,
        is_home: bool,
        headers: &[Header],
        body: Option<&Secret>,
    ) -> Result<RequestBuilder, AttemptFault> {
        let kind = match url.scheme() {
            "https" if is_home && self.config.request.tls.identity.is_some() => ClientKind::TlsWithIdentity,
            "https" if is_guarded => ClientKind::GuardedTls,
            "https" => ClientKind::Tls,
            _ if is_guarded => ClientKind::GuardedPlain,
            _ => ClientKind::Plain,
        };
        let client = self.client_of(kind).map_err(|reason| AttemptFault::new(reason, Again::Never))?;
        let mut builder = match method {
            Method::Get => client.get(url.clone()),
            Method::Post => client.post(url.clone()),
        };
        for header in headers {
            let name = HeaderName::from_bytes(header.name().as_bytes());
            let value = HeaderValue::from_maybe_shared(header.value().bytes().clone());
            let (Ok(name), Ok(mut value)) = (name, value) else {
                unreachable!("headers are checked where they are read");
            };
            // Not for logs, nor for the tables of HTTP/2.
            value.set_sensitive(true);
            builder = builder.header(name, value);
        }
        if let Some(body) = body {
            builder = builder.body(body.bytes().clone());
        }
        Ok(builder)
    }

    /// Sends a request to `url`, once its host may be asked, and waits for the head of the answer.
    async fn exchange(
        &self,
        url: &Url,
        request: RequestBuilder,
        attempts: &mut Attempts<'_>,
    ) -> Result<Exchange, AttemptFault> {
        let mut leave = self.stand_in_line(url, attempts).await?;
        self.metrics.requests_sent.add(1);
        if attempts.note_sent() {
            self.metrics.requests_retried.add(1);
        }
        let answer = self.wait_for_answer(request, &mut leave, attempts);
        let response = attempts.deadline().within(answer).await??;
        attempts.waiting().enter(Phase::Moving);
        let status = response.status().as_u16();
        attempts.note_answer(Some(status));
        self.metrics.count_status(status);
        let notice = notice(&response);
        if notice.sign == Some(Sign::Refusal) {
            self.metrics.requests_throttled.add(1);
        }
        let is_of_crowd = leave.answered(notice);
        Ok(Exchange { response, leave, notice, is_of_crowd })
    }

    /// Waits for the head of an answer, as long as it may take: for `--read-timeout`, in two requests where others are
    /// answered meanwhile.
    async fn wait_for_answer(
        &self,
        request: RequestBuilder,
        leave: &mut Leave,
        attempts: &Attempts<'_>,
    ) -> Result<Response, AttemptFault> {
        let silence_max = attempts.silence_left(self.config.read_timeout);
        let is_asked_again = attempts.is_asked_again();
        let end = leave.sent_at() + silence_max;
        let mut answer = std::pin::pin!(request.send());
        let is_in_vain = loop {
            // What is usual may become known, and others may be answered, while this one is waited for.
            let is_late = leave.patience().is_some_and(|patience| leave.sent_at().elapsed() >= patience);
            if attempts.waiting().is_late() {
                leave.be_late(&self.hosts);
            }
            if is_late && is_asked_again && leave.is_again_in_vain() {
                break true;
            }
            if is_late && !is_asked_again && leave.is_left_behind() {
                let silence = leave.sent_at().elapsed();
                let reason =
                    format!("no answer within {:.1} s, while others were answered", silence.as_secs_f64());
                return Err(AttemptFault::new(reason, Again::Last(silence)));
            }
            let look = (Instant::now() + LATE_LOOK_INTERVAL).min(end);
            match timeout_at(look, answer.as_mut()).await {
                Ok(Ok(response)) => {
                    if is_asked_again {
                        leave.ended_again(true);
                    }
                    return Ok(response);
                }
                Ok(Err(error)) => {
                    if error.is_timeout() {
                        leave.timed_out();
                    }
                    leave.failed();
                    return Err(self.send_fault(error));
                }
                Err(_) if look >= end => break false,
                Err(_) => {}
            }
        };
        let seconds = self.config.read_timeout.as_secs_f64();
        if !is_asked_again {
            leave.timed_out();
            leave.failed();
            let reason = format!("no answer within {seconds} s (--read-timeout)");
            return Err(AttemptFault::new(reason, Again::Soon));
        }
        leave.ended_again(false);
        let reason = if is_in_vain {
            let silence = leave.sent_at().elapsed().as_secs_f64();
            format!(
                "no answer within {silence:.1} s, nor to others of its host within {seconds} s (--read-timeout)"
            )
        } else {
            format!("no answer within {seconds} s (--read-timeout)")
        };
        Err(AttemptFault::new(reason, Again::Never))
    }

    /// How to go on with the body of this answer, should it break off.
    fn rest(
        self: &Arc<Self>,
        hop: Hop,
        ask: &Ask,
        response: &Response,
        waiting: &Arc<Waiting>,
    ) -> Option<Rest> {
        let etag = header_text(response, ETAG.as_str());
        let validator = resume::validator(etag, header_text(response, ACCEPT_RANGES.as_str()))?;
        // Another request for a token may be another wait; such a page begins anew.
        let is_plain = hop.method == Method::Get
            && response.status() == StatusCode::OK
            && !wants_token(&self.config.request, ask, &hop);
        is_plain.then(|| Rest {
            client: Arc::clone(self),
            validator: validator.to_owned(),
            codings: header_text(response, CONTENT_ENCODING.as_str()).map(ToOwned::to_owned),
            hop,
            ask: ask.clone(),
            waiting: Arc::clone(waiting),
            left_count: self.config.retry.retry_count,
        })
    }

    /// Asks for the bytes of a body from `start` on; `None` if the server has others now, or serves no part of it.
    async fn ask_for_rest(&self, rest: &Rest, start: u64, expected: Option<u64>) -> Option<RestOfBody> {
        let range = HeaderValue::try_from(format!("bytes={start}-")).ok()?;
        let validator = HeaderValue::try_from(&rest.validator).ok()?;
        let request = self.request(&rest.hop, &rest.ask, None).ok()?;
        let request = request.header(RANGE, range).header(IF_RANGE, validator);
        let leave = self.hosts.leave(&rest.hop.url, &rest.waiting).await.ok()?;
        self.metrics.requests_sent.add(1);
        let response = timeout(self.config.read_timeout, request.send()).await.ok()?.ok()?;
        self.metrics.count_status(response.status().as_u16());
        let notice = notice(&response);
        if notice.sign == Some(Sign::Refusal) {
            self.metrics.requests_throttled.add(1);
        }
        leave.answered(notice);
        // A server that knows ranges and not If-Range sends the rest of whatever it has now.
        let is_of_the_same = response.status() == StatusCode::PARTIAL_CONTENT
            && header_text(&response, ETAG.as_str()) == Some(&rest.validator)
            && header_text(&response, CONTENT_ENCODING.as_str()) == rest.codings.as_deref()
            && has_proven_end(&response).is_ok_and(|is_proven| is_proven);
        let content_range = header_text(&response, CONTENT_RANGE.as_str()).filter(|_| is_of_the_same);
        let size = resume::size_by_rest(content_range, start, expected)?;
        self.metrics.requests_resumed.add(1);
        Some(RestOfBody { response: response.into(), leave, size })
    }

    /// Waits for leave to send a request. The time of a page begins with its first one.
    async fn stand_in_line(&self, url: &Url, attempts: &mut Attempts<'_>) -> Result<Leave, AttemptFault> {
        let waiting = Arc::clone(attempts.waiting());
        let leave = self.hosts.leave(url, &waiting);
        let leave = if attempts.are_clocks_started() {
            attempts.deadline().within(leave).await?
        } else {
            let leave = leave.await;
            attempts.start_clocks();
            leave
        };
        leave.map_err(|given_up| {
            let seconds = self.config.retry.retry_max_time.as_secs_f64();
            let did = match given_up {
                GivenUp::Refusing => "refused",
                GivenUp::Silent => "answered none and failed",
            };
            let reason =
                format!("not asked for: its host {did} every request for {seconds} s (--retry-max-time)");
            AttemptFault::new(reason, Again::Never)
        })
    }

    /// The token to be sent now.
    async fn token(&self, oauth2: &OAuth2Config, attempts: &mut Attempts<'_>) -> Result<Token, AttemptFault> {
        let deadline = attempts.deadline();
        let token = deadline.within(self.tokens.current(self.grant(oauth2, attempts))).await?;
        token.map_err(|fault| AttemptFault {
            reason: format!("no token to ask with (--oauth2): {}", fault.reason),
            ..fault
        })
    }

    /// Asks for a token. A redirect is not followed: the secret is for this URL.
    async fn grant(&self, oauth2: &OAuth2Config, attempts: &mut Attempts<'_>) -> Result<Grant, AttemptFault> {
        let (headers, form) = oauth::question(oauth2);
        let request = self.builder((&oauth2.token_url, false), Method::Post, true, &headers, Some(&form))?;
        let Exchange { mut response, leave, notice, .. } =
            self.exchange(&oauth2.token_url, request, attempts).await?;
        let mut body = Vec::new();
        let read =
            timeout(self.config.read_timeout, self.read_head(&mut response, &mut body, GRANT_BYTES_MAX));
        let is_read = read.await.is_ok();
        drop(leave);
        if response.status() == StatusCode::OK {
            // Cut short, it is no JSON.
            let again = if is_read { Again::Never } else { Again::Soon };
            return oauth::read_grant(&body).map_err(|reason| AttemptFault::new(reason, again));
        }
        let AttemptFault { mut reason, again, .. } = status_fault_of(&response, notice);
        if let Some(name) = oauth::error_name(&body) {
            reason = format!("{reason}: {name}");
        }
        Err(AttemptFault::new(reason, again))
    }

    fn client_of(&self, kind: ClientKind) -> Result<&Client, String> {
        // Loading the CA certificates takes 15 ms and fails where there are none, so a list without https never does it.
        let built = match kind {
            ClientKind::Plain => &self.plain,
            ClientKind::GuardedPlain => &self.guarded_plain,
            ClientKind::GuardedTls => &self.guarded_tls,
            ClientKind::Tls => &self.tls,
            ClientKind::TlsWithIdentity => &self.tls_with_identity,
        };
        built.get_or_init(|| build(&self.config, kind)).as_ref().map_err(String::clone)
    }

    /// The fault of an answer that holds no page, with the head of what it holds instead.
    async fn status_fault(&self, exchange: Exchange) -> AttemptFault {
        let Exchange { mut response, leave, notice, is_of_crowd } = exchange;
        let status = response.status();
        let mut fault = status_fault_of(&response, notice);
        if is_redirect(status.as_u16()) {
            fault.reason.push_str(" without a Location");
        }
        // A 503 may be the page's own.
        let fault = fault.of_crowd(is_of_crowd && status != StatusCode::SERVICE_UNAVAILABLE);
        let mut head = Vec::new();
        // One silence for the whole head: a server that drips an error is not listened to for long.
        // What came until then is kept.
        let read = self.read_head(&mut response, &mut head, FAILED_PAGE_HEAD_BYTES_MAX);
        let _ = timeout(self.config.read_timeout, read).await;
        let codings = codings(&response).unwrap_or_default();
        drop((response, leave));
        fault.with_received(self.readable(head, codings).await)
    }

    async fn read_head(&self, response: &mut Response, head: &mut Vec<u8>, bytes_max: usize) {
        while head.len() < bytes_max
            && let Ok(Some(chunk)) = response.chunk().await
        {
            self.metrics.wire_bytes.add(chunk.len() as u64);
            let room = bytes_max - head.len();
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

    fn send_fault(&self, error: NetworkError) -> AttemptFault {
        let again = match () {
            () if error.is_builder() || is_of_tls(&error) => Again::Never,
            () if has_cause(&error, |_: &PrivateAddress| true) => Again::Never,
            () if error.is_connect() && has_cause(&error, is_out_of_files) => Again::OnceFilesClose,
            () => Again::Soon,
        };
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

/// What the status of an answer that is of no use says.
fn status_fault_of(response: &Response, notice: Notice) -> AttemptFault {
    let status = response.status();
    let again = match notice.sign {
        Some(Sign::Refusal) => notice.pause.map_or(Again::Soon, Again::After),
        _ => classify(status.as_u16(), header_text(response, RETRY_AFTER.as_str()), SystemTime::now()),
    };
    let reason = match status.canonical_reason() {
        Some(words) => format!("HTTP {} {words}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    };
    AttemptFault::new(reason, again)
}

/// Resolves names to public addresses alone.
struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = public_addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn build(config: &HttpConfig, kind: ClientKind) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/x-ndjson, */*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd, br, deflate"));
    // A page at the head of the line that waits for the writer leaves its stream unread. The connection's window has room for all
    // of them, or they would starve each other where they share a connection.
    let stream_count = u32::try_from(config.concurrency).unwrap_or(u32::MAX).max(1);
    let connection_window_bytes = STREAM_WINDOW_BYTES.saturating_mul(stream_count).min(i32::MAX as u32);
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(config.connect_timeout)
        .pool_max_idle_per_host(config.concurrency)
        .pool_idle_timeout(IDLE_TIME_MAX)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(connection_window_bytes);
    if let Some(proxy) = &config.request.proxy {
        let proxy = Proxy::all(proxy.clone())
            .map_err(|error| format!("--proxy: expected an http or https URL: {}", deepest_cause(error)))?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
    }
    if matches!(kind, ClientKind::GuardedPlain | ClientKind::GuardedTls) {
        builder = builder.dns_resolver(PublicResolver);
    }
    if matches!(kind, ClientKind::Plain | ClientKind::GuardedPlain) {
        builder = builder.tls_certs_only([]).http1_only();
    } else if let Some(pem) = &config.request.tls.authorities {
        let authorities = Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty());
        builder =
            builder.tls_certs_only(authorities.ok_or("--cacert: expected certificates in PEM, got none")?);
    }
    if kind == ClientKind::TlsWithIdentity
        && let Some(pem) = &config.request.tls.identity
    {
        let identity = Identity::from_pem(pem.bytes())
            .map_err(|_| "--cert, --key: expected a certificate and its key in PEM, got not both")?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| {
        let cause = deepest_cause(error);
        match (kind, &config.request.tls.authorities) {
            (ClientKind::Plain | ClientKind::GuardedPlain, _) => format!("could not set up HTTP: {cause}"),
            (ClientKind::TlsWithIdentity, _) => {
                format!("could not set up https with --cert and --key: {cause}")
            }
            (ClientKind::Tls | ClientKind::GuardedTls, Some(_)) => {
                format!("could not set up https with --cacert: {cause}")
            }
            (ClientKind::Tls | ClientKind::GuardedTls, None) => format!(
                "could not load the CA certificates that https needs (is ca-certificates installed?): {cause}"
            ),
        }
    })
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

/// What is worth keeping of an answer beside its body.
fn notes(response: &Response) -> AnswerNotes {
    let text = |name: HeaderName| header_text(response, name.as_str()).map(ToOwned::to_owned);
    let codings = header_values(response, CONTENT_ENCODING);
    AnswerNotes {
        status: Some(response.status().as_u16()),
        content_type: text(CONTENT_TYPE),
        content_encoding: (!codings.is_empty()).then(|| codings.join(", ")),
        etag: text(ETAG),
        last_modified: text(LAST_MODIFIED),
    }
}

/// The `Link` headers; what is no UTF-8 in one, such as a title, is none of the link's.
fn links(response: &Response) -> Vec<String> {
    let headers = response.headers().get_all(LINK).iter();
    headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
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

/// Tells whether what was received is no TLS that can be spoken or trusted, which another attempt does not change. A connection
/// that ends in its handshake is no such fault.
fn is_of_tls(error: &NetworkError) -> bool {
    has_cause(error, |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidData)
}

/// Tells whether one of the errors that led to this one is of a type, and it.
fn has_cause<E: std::error::Error + 'static>(error: &NetworkError, is_it: impl Fn(&E) -> bool) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<E>().is_some_and(&is_it) {
            return true;
        }
        let io = error.downcast_ref::<std::io::Error>();
        // Its source is that of the error that it wraps, and not that error.
        let wrapped = io.and_then(std::io::Error::get_ref).map(|error| error as &dyn std::error::Error);
        cause = wrapped.or_else(|| error.source());
    }
    false
}

/// What happened, without the layers that passed it on and without the URL, which may hold secrets.
fn deepest_cause(error: NetworkError) -> String {
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

    #[test]
    fn plain_client_needs_no_certificates() {
        assert!(build(&HttpConfig::default(), ClientKind::Plain).is_ok());
    }
}
