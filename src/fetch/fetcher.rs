//! The attempts at one page: each one gives a body, or a fault that may be worth another.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backlog::{Backlog, BacklogRoom};
use super::body::{Body, FetchError, Incoming, Source};
use super::client::HttpClient;
use super::file;
use super::keep::RawKeeper;
use super::retry::{Again, AttemptFault, Attempts};
use super::waiting::{Calm, Phase, Waiting};
use crate::config::HttpConfig;
use crate::cpu::CpuPool;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::model::{KeptPage, Location, PageFault, PageRequest, Received};

/// Time that a page waits for others to close their files before that is a failed attempt, and between two looks.
const FILES_WAIT_MAX: Duration = Duration::from_secs(60);
const FILES_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Fetches pages; shared by all of a run.
#[derive(Debug)]
pub struct Fetcher {
    config: HttpConfig,
    backlog: BacklogRoom,
    raw: Option<RawKeeper>,
    client: Arc<HttpClient>,
    metrics: Arc<Metrics>,
    pool: CpuPool,
    calm: Calm,
    seed: u64,
}

/// The attempts at one page.
#[derive(Debug)]
pub struct PageFetch<'a> {
    fetcher: &'a Fetcher,
    request: &'a PageRequest,
    attempts: Attempts<'a>,
    /// Since when no connection or file more can be opened.
    out_of_files_since: Option<Instant>,
}

impl Fetcher {
    /// A fetcher that decompresses on `pool` and counts in `metrics`. Opens no connection yet.
    ///
    /// Bytes that nobody takes yet are kept in `backlog`.
    ///
    /// # Errors
    /// A usage error: what is to be sent contradicts itself, or certificates can't be used.
    pub fn new(
        config: &HttpConfig,
        backlog: BacklogRoom,
        metrics: Arc<Metrics>,
        pool: CpuPool,
    ) -> Result<Self> {
        Ok(Self {
            backlog,
            raw: None,
            client: Arc::new(HttpClient::new(config.clone(), Arc::clone(&metrics), pool.clone())?),
            config: config.clone(),
            metrics,
            pool,
            calm: Calm::default(),
            seed: fastrand::u64(..),
        })
    }

    /// The same fetcher, which keeps bodies as they come.
    #[must_use]
    pub fn keeping(mut self, raw: Option<RawKeeper>) -> Self {
        self.raw = raw;
        self
    }

    /// The same fetcher with this seed for its retry delays, so that a test can foretell them.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The attempts at a page, none of them begun. The clock of its longest time starts with the first request.
    pub fn begin<'a>(&'a self, request: &'a PageRequest, waiting: Arc<Waiting>) -> PageFetch<'a> {
        let seed = self.seed ^ waiting.turn();
        let attempts = Attempts::new(&self.config.retry, self.config.max_time, request.id, waiting, seed);
        PageFetch { fetcher: self, request, attempts, out_of_files_since: None }
    }

    /// Says that all pages have been asked for: those that were given up for now are asked for again.
    pub fn all_are_asked_for(&self) {
        self.calm.come();
    }

    /// Says that the run is over: no page is asked for any more, and those that would be wait until they are given up.
    pub fn run_is_over(&self) {
        self.client.run_is_over();
    }

    /// Says that nobody goes on: those that were given up for now hold up nobody.
    pub fn nobody_goes_on(&self) {
        self.calm.call();
    }
}

impl PageFetch<'_> {
    /// Begins an attempt: asks for the page and reads the head of the answer.
    ///
    /// Dropping the future or the body ends the request.
    ///
    /// # Errors
    /// No answer, or one that is no page. The reason holds no URL.
    pub async fn open(&mut self) -> Result<Body, FetchError> {
        let Fetcher { config, backlog, raw, client, metrics, pool, .. } = self.fetcher;
        self.attempts.begin();
        let (head, source) = match &self.request.location {
            Location::Http(url) => client.ask(url, &self.request.ask, &mut self.attempts).await?,
            Location::File(path) => {
                self.attempts.note_answer(None);
                let (head, file) = file::open(path, metrics).await?;
                (head, Source::File(file))
            }
            Location::Records(path) => {
                self.attempts.note_answer(None);
                let (head, file) = file::open_records(path, metrics).await?;
                (head, Source::File(file))
            }
            Location::Kept(body) => {
                self.attempts.note_answer(None);
                let (head, file) = file::open_kept(body, metrics).await?;
                (head, Source::File(file))
            }
        };
        let raw = raw.as_ref().map(RawKeeper::begin).transpose()?;
        let incoming = Incoming::new(source, Backlog::new(backlog.clone()), raw);
        Ok(Body::new(head, incoming, config.page_bytes_max, pool.clone(), Arc::clone(metrics)))
    }

    /// Attempts so far.
    pub fn attempt_count(&self) -> u32 {
        self.attempts.count()
    }

    /// The status of the last answer, if there was one over HTTP.
    pub fn http_status(&self) -> Option<u16> {
        self.attempts.http_status()
    }

    /// Keeps a body as it came, if the fetcher does so and all of it has come.
    ///
    /// # Errors
    /// It can't be stored.
    pub async fn keep(&self, body: &mut Body) -> Result<Option<KeptPage>> {
        match &self.fetcher.raw {
            Some(raw) => raw.keep(self.request, body).await,
            None => Ok(None),
        }
    }

    /// As [`Self::keep`], of a body that can't be read: what is left of it is received first.
    ///
    /// # Errors
    /// It can't be stored.
    pub async fn keep_unread(&self, body: &mut Body) -> Result<Option<KeptPage>> {
        if self.fetcher.raw.is_some() && body.came_whole().await? { self.keep(body).await } else { Ok(None) }
    }

    /// Waits until the next attempt may begin.
    ///
    /// # Errors
    /// There is none: the page failed. Its trace is what `fault` received.
    pub async fn wait_after(&mut self, fault: AttemptFault) -> Result<(), PageFault> {
        let waiting = Arc::clone(self.attempts.waiting());
        if let Again::Last(silence) = fault.again {
            self.attempts.give_up_for_now(silence);
            waiting.enter(Phase::GivenUpForNow);
            tokio::select! {
                () = self.fetcher.calm.wait() => {}
                () = waiting.urged() => {}
            }
            return Ok(());
        }
        if fault.again == Again::OnceFilesClose {
            let since = *self.out_of_files_since.get_or_insert_with(Instant::now);
            if since.elapsed() < FILES_WAIT_MAX {
                self.attempts.take_back();
                tokio::time::sleep(FILES_LOOK_INTERVAL).await;
                return Ok(());
            }
        }
        let end = match self.attempts.delay_before_next(&fault) {
            Ok(delay) => {
                waiting.enter(Phase::Pausing { until: Instant::now() + delay });
                let slept = self.attempts.deadline().within(tokio::time::sleep(delay)).await;
                waiting.enter(Phase::Moving);
                match slept {
                    Ok(()) => return Ok(()),
                    Err(late) => self.attempts.give_up(&late),
                }
            }
            Err(end) => end,
        };
        let received = (!fault.received.is_empty()).then(|| Received::of(&fault.received));
        Err(PageFault { received, ..end })
    }
}
