//! The body of one answer, decompressed while it arrives.
//!
//! Whoever can't take bytes for a while waits through [`Body::wait_for`], which goes on receiving into a backlog:
//! no server is left talking to a full socket until it gives up. A body has ended once all of its layers have;
//! everything else is a fault.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::backlog::Backlog;
use super::client::HttpBody;
use super::decompress::{Coding, Filled, Layers};
use super::file::FileBody;
use super::retry::{Again, AttemptFault};
use crate::cpu::CpuPool;
use crate::error::{Error, Result as RunResult};
use crate::metrics::Metrics;
use crate::model::{Answer, AnswerNotes, DeclaredForm};
use crate::sink::{RawObject, StoredBody};

/// Bytes that tell whether a body is compressed.
const MAGIC_BYTES: usize = 4;

/// What a connection holds at most beside what is taken from it: three buffers of 408 KiB, to which hyper lets each
/// of its buffers grow where bytes rush in. One is read into, one waits behind it, one we take from.
const CONNECTION_BYTES_MAX: u64 = 3 * (408 << 10);

/// Why a body, or its head, did not come.
#[derive(Debug)]
pub enum FetchError {
    /// This attempt failed; another one may not.
    Attempt(AttemptFault),
    /// The run can't go on.
    Run(Error),
}

impl From<AttemptFault> for FetchError {
    fn from(fault: AttemptFault) -> Self {
        Self::Attempt(fault)
    }
}

impl From<Error> for FetchError {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

type Fetch<T> = Result<T, FetchError>;

/// What the head of an answer says of its body.
#[derive(Debug)]
pub(super) struct BodyHead {
    /// Outermost first.
    pub(super) codings: Vec<Coding>,
    pub(super) form: DeclaredForm,
    pub(super) end_proven: bool,
    pub(super) is_compressed_by_name: bool,
    pub(super) expected_bytes: Option<u64>,
    /// The target of a link to the next page.
    pub(super) link: Option<String>,
    /// The URL that answered, where there is one.
    pub(super) answered_url: Option<Url>,
    /// What is worth keeping beside the body.
    pub(super) notes: AnswerNotes,
}

impl BodyHead {
    /// The head of a `204 No Content` from this URL.
    pub(super) fn no_content(link: Option<String>, answered_url: Url, notes: AnswerNotes) -> Self {
        Self {
            notes,
            link,
            answered_url: Some(answered_url),
            codings: Vec::new(),
            form: DeclaredForm::NoContent,
            end_proven: true,
            is_compressed_by_name: false,
            expected_bytes: Some(0),
        }
    }
}

/// Where the bytes of a body come from.
#[derive(Debug)]
pub(super) enum Source {
    Http(Box<HttpBody>),
    File(FileBody),
    Nothing,
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        match self {
            Self::Http(body) => body.next().await,
            Self::File(body) => body.next().await,
            Self::Nothing => Ok(None),
        }
    }

    /// Whether a second attempt may find other bytes.
    fn again_if_damaged(&self) -> Again {
        match self {
            Self::Http(_) => Again::Soon,
            Self::File(_) | Self::Nothing => Again::Never,
        }
    }
}

/// A body on its way.
#[derive(Debug)]
pub struct Body {
    head: BodyHead,
    incoming: Incoming,
    layers: Layers,
    /// Received and not given out yet; where there are layers, they hold what is not.
    rest: Bytes,
    is_coding_known: bool,
    was_coded: bool,
    body_bytes: u64,
    page_bytes_max: u64,
    pool: CpuPool,
    metrics: Arc<Metrics>,
}

/// Bytes as they are received, the oldest first.
#[derive(Debug)]
pub(super) struct Incoming {
    source: Source,
    received_bytes: u64,
    backlog: Backlog,
    /// Where they are kept as they came.
    raw: Option<RawObject>,
    /// How the source ended, once it has.
    end: Option<Result<(), AttemptFault>>,
}

impl Incoming {
    pub(super) fn new(source: Source, backlog: Backlog, raw: Option<RawObject>) -> Self {
        Self { source, received_bytes: 0, backlog, raw, end: None }
    }

    async fn next(&mut self) -> Fetch<Option<Bytes>> {
        if let Some(bytes) = self.backlog.pop().await? {
            return Ok(Some(bytes));
        }
        if let Some(end) = &self.end {
            return Ok(end.clone().map(|()| None)?);
        }
        let received = self.receive().await?;
        if let Some(bytes) = &received {
            self.keep(bytes).await?;
        }
        Ok(received)
    }

    /// Keeps bytes that were just received. Not a part of receiving them, which may be broken off and begun anew.
    async fn keep(&mut self, bytes: &[u8]) -> RunResult<()> {
        match &mut self.raw {
            Some(raw) => raw.write(bytes).await,
            None => Ok(()),
        }
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        let received = self.source.next().await;
        if let Ok(Some(bytes)) = &received {
            self.received_bytes += bytes.len() as u64;
        }
        if let Ok(None) | Err(_) = received {
            self.end = Some(received.clone().map(|_| ()));
        }
        received
    }
}

impl Body {
    pub(super) fn new(
        head: BodyHead,
        incoming: Incoming,
        page_bytes_max: u64,
        pool: CpuPool,
        metrics: Arc<Metrics>,
    ) -> Self {
        let mut layers = Layers::default();
        head.codings.iter().for_each(|coding| layers.add(*coding));
        Self {
            was_coded: !head.codings.is_empty(),
            head,
            incoming,
            layers,
            rest: Bytes::new(),
            is_coding_known: false,
            body_bytes: 0,
            page_bytes_max,
            pool,
            metrics,
        }
    }

    /// What the sender said of the body's form.
    pub fn form(&self) -> DeclaredForm {
        self.head.form
    }

    /// Status and headers of the answer; `None` of a file, and of an answer without a body.
    pub fn answer(&self) -> Option<Answer> {
        match &self.incoming.source {
            Source::Http(body) => Some(body.answer()),
            Source::File(_) | Source::Nothing => None,
        }
    }

    /// What the head of the answer says of the next page: the target of its `Link` with `rel="next"`, and the URL that
    /// answered.
    pub fn next_page(&self) -> (Option<String>, Option<Url>) {
        (self.head.link.clone(), self.head.answered_url.clone())
    }

    /// Whether the end of the body is proven once it comes (Content-Length, last chunk, end of file), so that an
    /// unfinished last line is the sender's and not a cut connection's.
    pub fn end_proven(&self) -> bool {
        self.head.end_proven
    }

    /// Tells whether it was compressed, so that it has an end of its own.
    pub fn was_coded(&self) -> bool {
        self.was_coded
    }

    /// Bytes of the whole body, where the sender has said so and it is not compressed.
    pub fn expected_bytes(&self) -> Option<u64> {
        self.head.expected_bytes.filter(|_| self.layers.is_empty())
    }

    /// Bytes of memory that it holds, or wants for the decoder that it makes next, beside those that it gives out.
    pub fn memory_bytes(&self) -> u64 {
        let expected_bytes = self.head.expected_bytes.unwrap_or_default();
        let connection_bytes = match (&self.incoming.source, &self.incoming.end) {
            (Source::Http(_), None) => {
                self.incoming.received_bytes.max(expected_bytes).min(CONNECTION_BYTES_MAX)
            }
            _ => 0,
        };
        let raw_bytes = self.incoming.raw.as_ref().map_or(0, RawObject::memory_bytes);
        connection_bytes + self.layers.memory_bytes() + raw_bytes
    }

    /// What its answer said.
    pub fn notes(&self) -> &AnswerNotes {
        &self.head.notes
    }

    /// Bytes that were given out so far.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    pub(super) fn head(&self) -> &BodyHead {
        &self.head
    }

    /// Puts what came in the place of its object, if it is kept and came whole.
    pub(super) async fn store(&mut self) -> RunResult<Option<StoredBody>> {
        match (&self.incoming.end, self.incoming.raw.take()) {
            (Some(Ok(())), Some(raw)) => Ok(Some(raw.store().await?)),
            _ => Ok(None),
        }
    }

    /// Receives what is left of a body that can't be read, if it is kept, and looks whether it came whole.
    pub(super) async fn came_whole(&mut self) -> RunResult<bool> {
        let incoming = &mut self.incoming;
        while incoming.raw.is_some() && incoming.end.is_none() {
            // Its fault is the end that is looked at below.
            if let Ok(Some(bytes)) = incoming.receive().await {
                incoming.keep(&bytes).await?;
            }
        }
        Ok(self.head.end_proven && matches!(incoming.end, Some(Ok(()))))
    }

    /// Says that all of [`Self::memory_bytes`] is paid for.
    pub fn pay(&mut self) {
        self.layers.pay();
    }

    /// Appends to `bytes` until they are `len_max` long or the body ends. Returns whether it has ended.
    ///
    /// Returns without a byte where more memory is wanted than was paid for.
    ///
    /// # Errors
    /// The body broke off, can't be decompressed or is too large, or the backlog can't be kept.
    pub async fn fill(&mut self, bytes: &mut Vec<u8>, len_max: usize) -> Fetch<bool> {
        if !self.is_coding_known {
            self.look_for_a_coding(bytes).await?;
            if !self.is_coding_known {
                return Ok(false);
            }
        }
        let len_before = bytes.len();
        let is_over = if self.layers.is_empty() {
            self.fill_plainly(bytes, len_max).await?
        } else {
            self.decompress(bytes, len_max).await?
        };
        self.count((bytes.len() - len_before) as u64)?;
        if is_over {
            self.check_not_empty()?;
        }
        Ok(is_over)
    }

    /// Waits for `other`, and receives into the backlog meanwhile.
    ///
    /// # Errors
    /// The body broke off, or the backlog can't be kept.
    pub async fn wait_for<T>(&mut self, other: impl Future<Output = T>) -> Fetch<T> {
        let mut other = std::pin::pin!(other);
        loop {
            let can_receive = self.incoming.end.is_none() && !matches!(self.incoming.source, Source::File(_));
            let received = tokio::select! {
                biased;
                // What was received so far is in the backlog; a piece on its way stays with its connection.
                done = &mut other => return Ok(done),
                received = self.incoming.receive(), if can_receive => received?,
            };
            // Outside of the choice above, so that a piece is kept whole or not received at all.
            if let Some(bytes) = received {
                self.incoming.keep(&bytes).await?;
                self.incoming.backlog.push(bytes).await?;
            }
        }
    }

    async fn fill_plainly(&mut self, bytes: &mut Vec<u8>, len_max: usize) -> Fetch<bool> {
        loop {
            let taken = self.rest.split_to(self.rest.len().min(len_max - bytes.len()));
            bytes.extend_from_slice(&taken);
            if bytes.len() == len_max {
                return Ok(false);
            }
            match self.incoming.next().await? {
                Some(received) => self.rest = received,
                None => return Ok(true),
            }
        }
    }

    async fn decompress(&mut self, bytes: &mut Vec<u8>, len_max: usize) -> Fetch<bool> {
        bytes.extend_from_slice(&self.rest.split_to(self.rest.len().min(len_max - bytes.len())));
        loop {
            if bytes.len() == len_max {
                return Ok(false);
            }
            match self.step(bytes, len_max).await? {
                Filled::Full | Filled::Unpaid => return Ok(false),
                Filled::End => return Ok(true),
                Filled::Hungry => match self.incoming.next().await? {
                    Some(received) => self.layers.feed(received),
                    None => self.layers.end(),
                },
            }
        }
    }

    async fn step(&mut self, bytes: &mut Vec<u8>, len_max: usize) -> Fetch<Filled> {
        let mut layers = std::mem::take(&mut self.layers);
        let mut output = std::mem::take(bytes);
        let work = self.pool.run(move || {
            let step = layers.step(&mut output, len_max);
            (layers, output, step)
        });
        let step;
        (self.layers, *bytes, step) = work.await?;
        Ok(step.map_err(|error| {
            let fault = AttemptFault::new(error.to_string(), self.incoming.source.again_if_damaged());
            // Where nothing could be decompressed, the bytes themselves tell what came instead.
            let is_shown_raw = self.body_bytes == 0 && bytes.is_empty();
            if is_shown_raw { fault.with_received(self.layers.input().to_vec()) } else { fault }
        })?)
    }

    /// Looks whether the bytes are those of a file that was compressed before it was served, with or without a
    /// Content-Encoding.
    async fn look_for_a_coding(&mut self, bytes: &mut Vec<u8>) -> Fetch<()> {
        let mut begin = Vec::new();
        let looked = if self.layers.is_empty() {
            self.fill_plainly(&mut begin, MAGIC_BYTES).await
        } else {
            self.decompress(&mut begin, MAGIC_BYTES).await
        };
        match looked {
            Ok(is_over) if is_over || begin.len() == MAGIC_BYTES => {}
            Ok(_) => {
                self.rest = begin.into();
                return Ok(());
            }
            Err(error) => {
                // All that came, for the trace of the page.
                bytes.append(&mut begin);
                return Err(error);
            }
        }
        self.is_coding_known = true;
        let coding = Coding::of_magic(&begin);
        let is_plain = self.layers.is_empty();
        // What was looked at goes back before what follows it.
        let begin = match is_plain {
            true => [&begin, &std::mem::take(&mut self.rest)[..]].concat().into(),
            false => Bytes::from(begin),
        };
        match coding {
            Some(coding) => {
                self.layers.add(coding);
                self.layers.feed_last(begin);
                self.was_coded = true;
            }
            None => self.rest = begin,
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> Result<(), AttemptFault> {
        self.metrics.body_bytes.add(bytes);
        self.body_bytes += bytes;
        if self.body_bytes <= self.page_bytes_max {
            return Ok(());
        }
        let when = if self.was_coded { " when decompressed" } else { "" };
        let most = self.page_bytes_max;
        let reason = format!("the page is larger than {most} bytes{when} (--max-page-bytes)");
        Err(AttemptFault::new(reason, Again::Never))
    }

    fn check_not_empty(&self) -> Result<(), AttemptFault> {
        let BodyHead { form, end_proven, is_compressed_by_name, .. } = self.head;
        if self.body_bytes > 0 || form == DeclaredForm::NoContent {
            return Ok(());
        }
        if !end_proven {
            let reason = "the body broke off before its first byte, or it is empty and does not say so";
            return Err(AttemptFault::new(reason, self.incoming.source.again_if_damaged()));
        }
        let is_cut_to_nothing = is_compressed_by_name && !self.was_coded;
        if form != DeclaredForm::Ndjson || is_cut_to_nothing {
            return Err(AttemptFault::new("expected JSON, got an empty body", Again::Never));
        }
        Ok(())
    }
}
