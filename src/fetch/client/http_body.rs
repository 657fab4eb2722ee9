//! The body of an answer while it arrives, and how it is gone on with where it broke off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::{HeaderMap, HttpClient, NetworkError, Response, StatusCode, StreamBody, Version, deepest_cause};
use crate::fetch::limits::Leave;
use crate::fetch::redirect::Hop;
use crate::fetch::resume::RESUMED_BYTES_MIN;
use crate::fetch::retry::{Again, AttemptFault, Deadline};
use crate::fetch::waiting::Waiting;
use crate::metrics::Metrics;
use crate::model::{Answer, Ask};

/// What is needed to go on with a body that broke off.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) client: Arc<HttpClient>,
    pub(super) hop: Hop,
    pub(super) ask: Ask,
    /// The strong entity tag of what came so far.
    pub(super) validator: String,
    pub(super) codings: Option<String>,
    pub(super) waiting: Arc<Waiting>,
    /// How often it may be tried still.
    pub(super) left_count: u32,
}

/// An answer whose body is being received.
#[derive(Debug)]
pub(super) struct Answering {
    status: StatusCode,
    headers: HeaderMap,
    /// Tells whether the stream of the body says itself where it ends, apart from any length.
    has_stream_end: bool,
    body: StreamBody,
}

impl From<Response> for Answering {
    fn from(mut response: Response) -> Self {
        Self {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            has_stream_end: response.version() >= Version::HTTP_2,
            body: response.into(),
        }
    }
}

impl Answering {
    /// The next bytes; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, NetworkError> {
        while let Some(frame) = self.body.frame().await.transpose()? {
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Tells whether the body, of which no more comes, was cut: hyper takes a stream that is reset with NO_ERROR for one that
    /// has ended, but only END_STREAM says so.
    fn is_cut(&self) -> bool {
        self.has_stream_end && !self.body.is_end_stream()
    }
}

/// The bytes of a body behind those that came.
pub(super) struct RestOfBody {
    pub(super) response: Answering,
    pub(super) leave: Leave,
    /// Bytes of the whole body.
    pub(super) size: u64,
}

/// The body of an answer, as it was sent.
#[derive(Debug)]
pub(in crate::fetch) struct HttpBody {
    pub(super) response: Answering,
    /// How to go on, should it break off.
    pub(super) rest: Option<Rest>,
    /// Why nothing more can be had of the response.
    pub(super) broke_off: Option<AttemptFault>,
    /// Given back with the last byte, so that the next request need not wait until this one's are used; and however it
    /// ends, for the page that the writer waits for may be the next one.
    pub(super) leave: Option<Leave>,
    pub(super) expected_bytes: Option<u64>,
    pub(super) received_bytes: u64,
    pub(super) page_bytes_max: u64,
    pub(super) silence_max: Duration,
    pub(super) deadline: Deadline,
    pub(super) metrics: Arc<Metrics>,
}

impl HttpBody {
    /// Status and headers of the answer.
    pub(in crate::fetch) fn answer(&self) -> Answer {
        let headers = self.response.headers.iter().map(|(name, value)| {
            // A value that is no text is shown as far as it is.
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Answer { status: self.response.status.to_string(), headers: headers.collect() }
    }

    /// The next bytes; `None` at the end.
    ///
    /// Dropping the future loses nothing.
    pub(in crate::fetch) async fn next(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        let received = self.receive().await;
        if !matches!(received, Ok(Some(_))) {
            self.leave = None;
        }
        received
    }

    /// As [`Self::receive_as_sent`]; a body that breaks off is gone on with, where that can be told to be the same.
    async fn receive(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        loop {
            if self.broke_off.is_none() {
                match self.receive_as_sent().await {
                    Err(fault) => self.broke_off = Some(fault),
                    received => return received,
                }
            }
            // Kept until the body goes on: this future may be dropped while it waits.
            if !self.go_on().await {
                return Err(self.broke_off.clone().expect("the body broke off"));
            }
            self.broke_off = None;
        }
    }

    /// Goes on behind what was received. Returns whether the server lets it.
    async fn go_on(&mut self) -> bool {
        let is_worth_it = self.received_bytes >= RESUMED_BYTES_MIN
            && self.broke_off.as_ref().is_some_and(|fault| fault.again != Again::Never);
        let Some(rest) = self.rest.as_mut().filter(|rest| is_worth_it && rest.left_count > 0) else {
            return false;
        };
        rest.left_count -= 1;
        self.leave = None;
        let client = Arc::clone(&rest.client);
        let pause = client.config.retry.base.mul_f64(fastrand::f64());
        let (start, expected) = (self.received_bytes, self.expected_bytes);
        let gone_on = self.deadline.within(async {
            tokio::time::sleep(pause).await;
            client.ask_for_rest(rest, start, expected).await
        });
        let Ok(Some(RestOfBody { response, leave, size })) = gone_on.await else { return false };
        tracing::info!(bytes = start, "going on with a body that broke off");
        (self.response, self.leave, self.expected_bytes) = (response, Some(leave), Some(size));
        true
    }

    async fn receive_as_sent(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        let received = self.deadline.within(timeout(self.silence_max, self.response.chunk())).await?;
        let bytes = match received {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => match self.expected_bytes {
                Some(expected) if expected != self.received_bytes => {
                    return Err(short_fault(self.received_bytes, expected));
                }
                None if self.response.is_cut() => return Err(reset_fault(self.received_bytes)),
                _ => return Ok(None),
            },
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

    pub(super) fn check_size(&self, bytes: u64) -> Result<(), AttemptFault> {
        let most = self.page_bytes_max;
        if bytes <= most {
            return Ok(());
        }
        let reason = format!("the page is larger than {most} bytes (--max-page-bytes)");
        Err(AttemptFault::new(reason, Again::Never))
    }
}

fn body_fault(error: NetworkError, received: u64, expected: Option<u64>) -> AttemptFault {
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

/// The fault of a body whose parts ended well, but before its end.
fn short_fault(received: u64, expected: u64) -> AttemptFault {
    AttemptFault::new(format!("the body broke off after {received} of {expected} bytes"), Again::Soon)
}

/// The fault of a body whose stream was reset, though without an error, before it had ended.
fn reset_fault(received: u64) -> AttemptFault {
    let reason = format!("the body broke off after {received} bytes: its stream was reset before its end");
    AttemptFault::new(reason, Again::Soon)
}
