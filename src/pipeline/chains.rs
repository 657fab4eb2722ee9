//! What follows a page: the next one of its chain, which is asked for once the writer has this one.
//!
//! Rows stand in the order of the page in its chain, then of the line, so that no chain is buffered: all first pages, then
//! all second ones. So each chain is one page ahead of the writer at most, and chains are fetched side by side.

use tokio::sync::mpsc;
use url::Url;

use super::life::Ended;
use crate::config::{Method, PaginationConfig};
use crate::digest::RunningDigest;
use crate::fetch::Chain;
use crate::model::{Ask, Beside, Location, PageBatch, PageEnd, PageFault, PageId, PageRequest};

/// What became of a page's chain.
pub(super) enum Turn {
    /// There is another page.
    Next(Box<NextPage>),
    /// It is over.
    End,
}

/// A page that is known by another one.
pub(super) struct NextPage {
    pub(super) id: PageId,
    pub(super) url: Url,
    pub(super) chain: OpenChain,
}

/// A chain, and how its pages are asked for.
pub(super) struct OpenChain {
    chain: Chain,
    pub(super) ask: Ask,
}

/// How a chain goes on behind a page.
#[derive(Debug, Default)]
pub(super) struct Turned {
    pub(super) has_next: bool,
    /// What a person should know of the chain.
    pub(super) note: Option<String>,
}

/// What is learned of the page behind one while its chunks are taken.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    record_count: u64,
    beside: Vec<(usize, Beside)>,
    digest: RunningDigest,
}

impl Outlook {
    pub(super) fn add(&mut self, batch: &PageBatch) {
        self.record_count += batch.record_count;
        for (place, value) in &batch.beside {
            // One document behind another may say it again: the last one counts.
            self.beside.retain(|(other, _)| other != place);
            self.beside.push((*place, value.clone()));
        }
        if let Some(digest) = &batch.digest {
            self.digest.update(digest);
        }
    }

    /// What the page tells, now that it has ended.
    pub(super) fn end(self, ended: Ended) -> PageEnd {
        PageEnd {
            record_count: self.record_count,
            digest: self.digest.finish(),
            link: ended.link,
            answered_url: ended.answered_url,
            beside: self.beside,
            notes: ended.notes,
            attempt_count: ended.attempt_count,
            body_bytes: ended.body_bytes,
        }
    }
}

/// Turns the pages of all chains.
pub(super) struct Chains {
    config: PaginationConfig,
    turns: mpsc::UnboundedSender<Turn>,
}

impl Chains {
    /// The chains of a run, and where the pages behind the listed ones are heard of, in their order.
    pub(super) fn new(config: &PaginationConfig) -> (Self, mpsc::UnboundedReceiver<Turn>) {
        let (turns, receiver) = mpsc::unbounded_channel();
        (Self { config: config.clone(), turns }, receiver)
    }

    /// The chain that begins with a page, if more may follow it.
    pub(super) fn begin(config: &PaginationConfig, request: &PageRequest) -> Option<OpenChain> {
        match &request.location {
            Location::Http(url) if config.is_on() => {
                Some(OpenChain { chain: Chain::new(url, config), ask: request.ask.clone() })
            }
            // What is behind a page that was kept was kept too.
            Location::Http(_) | Location::File(_) | Location::Records(_) | Location::Kept(_) => None,
        }
    }

    /// Whether the page is one that its chain has not had yet.
    ///
    /// # Errors
    /// It is not, so it fails.
    pub(super) fn check_is_new(&self, chain: &mut Option<OpenChain>, end: &PageEnd) -> Result<(), PageFault> {
        let checked = chain.as_mut().map_or(Ok(()), |open| open.chain.check_is_new(end));
        checked.map_err(broken)
    }

    /// Goes on behind a page that was taken.
    ///
    /// # Errors
    /// The chain is broken: the page behind this one, which is named, fails.
    pub(super) fn go_on(
        &self,
        id: PageId,
        chain: Option<OpenChain>,
        end: &PageEnd,
    ) -> Result<Turned, Box<(PageId, PageFault)>> {
        let Some(OpenChain { mut chain, ask }) = chain else {
            self.end();
            return Ok(Turned::default());
        };
        let turned = chain.turn(end, &self.config).and_then(|next| match next {
            // What it sends may be secret, and is for its origin alone.
            Some(url) if ask.own().method == Method::Post && !ask.is_home(&url) => {
                Err("expected the next page of a POST at its own origin, got a link to another one"
                    .to_owned())
            }
            next => Ok(next),
        });
        let note = chain.take_note();
        match turned {
            Ok(Some(url)) => {
                let id = PageId { page: chain.page_count(), ..id };
                let ask = if ask.is_home(&url) { ask } else { ask.away() };
                let next = NextPage { id, url, chain: OpenChain { chain, ask } };
                self.send(Turn::Next(Box::new(next)));
                Ok(Turned { has_next: true, note })
            }
            Ok(None) => {
                self.end();
                Ok(Turned { has_next: false, note })
            }
            Err(reason) => {
                self.end();
                Err(Box::new((PageId { page: id.page + 1, ..id }, broken(reason))))
            }
        }
    }

    /// Ends the chain of a page that failed: what would be behind it is not known.
    pub(super) fn end(&self) {
        self.send(Turn::End);
    }

    fn send(&self, turn: Turn) {
        if !self.config.is_on() {
            return;
        }
        // Nobody listens where a run is stopped.
        drop(self.turns.send(turn));
    }
}

fn broken(reason: String) -> PageFault {
    PageFault {
        reason,
        byte_offset: None,
        received: None,
        answered: true,
        http_status: None,
        attempt_count: 0,
    }
}
