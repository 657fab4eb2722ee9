//! The fetch of one page: attempts until one gives a complete body, then its decompression.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

use super::client::HttpClient;
use super::decompress::{Coding, DecompressError, decompress};
use super::file;
use super::retry::{Again, AttemptFault, Attempts};
use crate::budget::Reservation;
use crate::config::HttpConfig;
use crate::cpu::CpuPool;
use crate::metrics::Metrics;
use crate::model::{DeclaredForm, Location, Page, PageFault, PageRequest, Received};

/// Fetches pages; shared by all of a run.
#[derive(Debug)]
pub struct Fetcher {
    config: HttpConfig,
    client: HttpClient,
    metrics: Arc<Metrics>,
    pool: CpuPool,
    seed: u64,
}

impl Fetcher {
    /// A fetcher that decompresses on `pool` and counts in `metrics`. Opens no connection yet.
    pub fn new(config: &HttpConfig, metrics: Arc<Metrics>, pool: CpuPool) -> Self {
        Self {
            config: config.clone(),
            client: HttpClient::new(config.clone(), Arc::clone(&metrics), pool.clone()),
            metrics,
            pool,
            seed: fastrand::u64(..),
        }
    }

    /// The same fetcher with this seed for its retry delays, so that a test can foretell them.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Fetches the page whole, retrying what may pass.
    ///
    /// `reservation` pays for every byte before it is kept, and for the body when this returns; a wait
    /// for memory counts against the longest time of the page, not against its read timeout. Dropping
    /// the future ends the request and keeps nothing.
    ///
    /// # Errors
    /// The page failed: no answer, an answer that is no page, a body that is not complete, that can't be
    /// decompressed or is too large. The reason holds no URL.
    pub async fn fetch(
        &self,
        request: &PageRequest,
        reservation: &mut Reservation,
    ) -> Result<Page, PageFault> {
        let mut attempts = Attempts::new(&self.config.retry, request.id, self.seed ^ request.id.ordinal);
        let page = self.try_until_done(request, reservation, &mut attempts);
        let Some(max_time) = self.config.max_time else { return page.await };
        let in_time = timeout(max_time, page).await;
        in_time.unwrap_or_else(|_| Err(attempts.out_of_time(max_time)))
    }

    async fn try_until_done(
        &self,
        request: &PageRequest,
        reservation: &mut Reservation,
        attempts: &mut Attempts<'_>,
    ) -> Result<Page, PageFault> {
        loop {
            if attempts.begin() > 1 {
                self.metrics.requests_retried.add(1);
            }
            let fault = match self.try_once(&request.location, reservation, attempts).await {
                Ok(page) => return Ok(page),
                Err(fault) => fault,
            };
            match attempts.delay_before_next(&fault) {
                Ok(delay) => {
                    // The bytes go before their reservation, and both before the wait.
                    drop(fault);
                    reservation.shrink_to(0);
                    tokio::time::sleep(delay).await;
                }
                Err(end) => return Err(PageFault { received: self.trace(fault.received).await, ..end }),
            }
        }
    }

    async fn try_once(
        &self,
        location: &Location,
        reservation: &mut Reservation,
        attempts: &mut Attempts<'_>,
    ) -> Result<Page, AttemptFault> {
        let (raw, again_if_damaged) = match location {
            Location::Http(url) => (self.client.get(url, reservation, attempts).await?, Again::Soon),
            Location::File(path) => {
                attempts.note_answer();
                let page_bytes_max = self.config.page_bytes_max;
                (file::read(path, page_bytes_max, reservation, &self.metrics).await?, Again::Never)
            }
        };
        let page = self.complete(raw, again_if_damaged, reservation).await?;
        self.metrics.body_bytes.add(page.body.len() as u64);
        Ok(page)
    }

    /// Undoes the codings, declared and recognised, and refuses a page of nothing.
    async fn complete(
        &self,
        raw: RawPage,
        again_if_damaged: Again,
        reservation: &mut Reservation,
    ) -> Result<Page, AttemptFault> {
        let was_coded = !raw.codings.is_empty();
        let mut body = Bytes::from(raw.body);
        for coding in raw.codings {
            body = self.decompress(coding, body, again_if_damaged, reservation).await?;
        }
        // A file that was compressed before it was served, with or without a Content-Encoding.
        if let Some(coding) = Coding::of_magic(&body) {
            body = self.decompress(coding, body, again_if_damaged, reservation).await?;
        }
        reservation.shrink_to(body.len() as u64);
        if body.is_empty() && raw.form != DeclaredForm::NoContent {
            if !raw.end_proven {
                let reason = "the body broke off before its first byte, or it is empty and does not say so";
                return Err(AttemptFault::new(reason, again_if_damaged));
            }
            let is_cut_to_nothing = raw.is_compressed_by_name && !was_coded;
            if raw.form != DeclaredForm::Ndjson || is_cut_to_nothing {
                return Err(AttemptFault::new("expected JSON, got an empty body", Again::Never));
            }
        }
        Ok(Page { body, form: raw.form, end_proven: raw.end_proven })
    }

    async fn decompress(
        &self,
        coding: Coding,
        body: Bytes,
        again_if_damaged: Again,
        reservation: &mut Reservation,
    ) -> Result<Bytes, AttemptFault> {
        let compressed = body.clone();
        match decompress(coding, body, self.config.page_bytes_max, reservation, &self.pool).await {
            Ok(decompressed) => {
                drop(compressed);
                reservation.shrink_to(decompressed.capacity() as u64);
                Ok(Bytes::from(decompressed))
            }
            Err(error) => {
                let again = match error {
                    DecompressError::Cut(_) | DecompressError::Damaged(..) | DecompressError::Trailing(_) => {
                        again_if_damaged
                    }
                    DecompressError::TooLong(_) | DecompressError::TooLarge(_) | DecompressError::Pool(_) => {
                        Again::Never
                    }
                };
                Err(AttemptFault::new(error.to_string(), again).with_received(Vec::from(compressed)))
            }
        }
    }

    /// What is kept of a failed page. Hashing a large one takes a second, so the pool does it.
    async fn trace(&self, received: Vec<u8>) -> Option<Received> {
        if received.is_empty() {
            return None;
        }
        self.pool.run(move || Received::of(&received)).await.ok()
    }
}

/// A whole body as it was sent, and what was said of it.
#[derive(Debug)]
pub(super) struct RawPage {
    pub(super) body: Vec<u8>,
    /// Outermost first.
    pub(super) codings: Vec<Coding>,
    pub(super) form: DeclaredForm,
    pub(super) end_proven: bool,
    pub(super) is_compressed_by_name: bool,
}

impl RawPage {
    /// The page of a `204 No Content`.
    pub(super) fn no_content() -> Self {
        Self {
            body: Vec::new(),
            codings: Vec::new(),
            form: DeclaredForm::NoContent,
            end_proven: true,
            is_compressed_by_name: false,
        }
    }
}
