//! What follows a page: the next one of its chain, which is asked for once the writer has this one.
//!
//! Rows stand in the order of the page in its chain, then of the line, so that no chain is buffered: all first pages, then
//! all second ones. So each chain is one page ahead of the writer at most, and chains are fetched side by side.

use tokio::sync::mpsc;
use url::Url;

use super::life::Ended;
use crate::config::{Method, PaginationConfig};
use crate::digest::RunningDigest;
use crate::fetch::{Chain, NextUrl, Note};
use crate::model::{
    Around, Ask, DeclaredForm, KeptPage, Location, PageBatch, PageEnd, PageFault, PageId, PageRequest,
    RecordsDigest, Wholeness,
};

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
    pub(super) url: NextUrl,
    pub(super) chain: OpenChain,
}

/// The page behind one, if there is one; or the page that fails because the chain is broken, and how.
type Turning = Result<Option<Box<NextPage>>, Box<(PageId, PageFault)>>;

/// A chain, and how its pages are asked for.
pub(super) struct OpenChain {
    chain: Chain,
    pub(super) ask: Ask,
}

impl OpenChain {
    /// Its first URL.
    pub(super) fn first(&self) -> &Url {
        self.chain.first()
    }

    /// The page behind one that ended so, if there is one, and what a person should know.
    fn turn(self, id: PageId, end: &PageEnd, config: &PaginationConfig) -> (Turning, Option<Note>) {
        let Self { mut chain, ask } = self;
        let turned = chain.turn(end, config).and_then(|next| match next {
            // What it sends may be secret, and is for its origin alone.
            Some(next) if ask.own().method == Method::Post && !ask.is_home(&next.url) => {
                Err("expected the next page of a POST at its own origin, got a link to another one"
                    .to_owned())
            }
            next => Ok(next),
        });
        let note = chain.take_note();
        let turned = match turned {
            Ok(Some(url)) => {
                let id = PageId { page: chain.page_count(), ..id };
                let ask = if ask.is_home(&url.url) { ask } else { ask.away() };
                Ok(Some(Box::new(NextPage { id, url, chain: Self { chain, ask } })))
            }
            Ok(None) => Ok(None),
            Err(reason) => Err(Box::new((PageId { page: id.page + 1, ..id }, broken(reason)))),
        };
        (turned, note)
    }

    /// Goes on behind a page that an earlier run took: see [`Self::turn`].
    pub(super) fn turn_again(mut self, id: PageId, end: &PageEnd, config: &PaginationConfig) -> Turning {
        // It was new then, and what comes behind it must be.
        drop(self.chain.check_is_new(end, config));
        self.chain.go_on_with();
        self.turn(id, end, config).0
    }
}

/// How a chain goes on behind a page.
#[derive(Debug, Default)]
pub(super) struct Turned {
    pub(super) has_next: bool,
    /// What a person should know of the chain.
    pub(super) note: Option<Note>,
}

/// What is learned of the page behind one while its chunks are taken.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    record_count: u64,
    around: Around,
    records: RecordsDigest,
    records_hint: Option<String>,
    /// Whether the page is an object without a place of records.
    lacks_records: bool,
    /// Tells whether the text that its records stand in has an end of its own.
    is_self_contained: bool,
    digest: RunningDigest,
}

impl Outlook {
    pub(super) fn add(&mut self, batch: &PageBatch) {
        self.record_count += batch.record_count;
        self.around.add(&batch.around);
        self.records.add(&batch.records);
        self.is_self_contained |= batch.is_self_contained;
        self.records_hint = self.records_hint.take().or_else(|| batch.records_hint.clone());
        if let Some(digest) = &batch.digest {
            self.digest.update(digest);
        }
    }

    /// Says what stands in a page in which there is no place of records.
    pub(super) fn add_lack(&mut self, around: &Around) {
        self.around.add(around);
        self.lacks_records = true;
    }

    /// What the page tells, now that it has ended, and whether it did so with this fault.
    ///
    /// # Errors
    /// The fault, unless it is one that the chain of the page may excuse.
    pub(super) fn end(self, ended: Ended, fault: Option<PageFault>) -> Result<PageEnd, PageFault> {
        if let (Some(fault), false) = (&fault, self.lacks_records) {
            return Err(fault.clone());
        }
        let wholeness = match (ended.end_proven, ended.was_coded || self.is_self_contained) {
            (true, _) => Wholeness::Framed,
            (false, true) => Wholeness::SelfContained,
            (false, false) => Wholeness::Unknown,
        };
        Ok(PageEnd {
            wholeness,
            record_count: self.record_count,
            digest: self.digest.finish(),
            records: self.records,
            link: ended.link,
            answered_url: ended.answered_url,
            around: self.around,
            records_hint: self.records_hint,
            lack: fault,
            notes: ended.notes,
            attempt_count: ended.attempt_count,
            body_bytes: ended.body_bytes,
        })
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

    /// Whether a page that came whole is one of its chain: one that the chain has not had yet, with records, or without
    /// a place of them where it may be so. `kept` is its body, if that is kept.
    ///
    /// # Errors
    /// It is none, so it fails.
    pub(super) fn check(
        &self,
        chain: &mut Option<OpenChain>,
        mut end: PageEnd,
        kept: &mut Option<Box<KeptPage>>,
    ) -> Result<PageEnd, PageFault> {
        if let Some(fault) = end.lack.take() {
            if !chain.as_ref().is_some_and(|open| open.chain.excuses(&end)) {
                return Err(fault);
            }
            // Replayed, it has no chain that would excuse it.
            if let Some(kept) = kept {
                kept.form = DeclaredForm::NoContent;
            }
            return Ok(end);
        }
        let checked = chain.as_mut().map_or(Ok(()), |open| open.chain.check_is_new(&end, &self.config));
        checked.map_err(|reason| {
            // It is one that has been: replayed, its records would be there twice.
            *kept = None;
            broken(reason)
        })?;
        Ok(end)
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
        let (turned, note) = match chain {
            Some(open) => open.turn(id, end, &self.config),
            None => (Ok(None), None),
        };
        match turned {
            Ok(Some(next)) => {
                self.send(Turn::Next(next));
                Ok(Turned { has_next: true, note })
            }
            Ok(None) => {
                self.end();
                Ok(Turned { has_next: false, note })
            }
            Err(broken) => {
                self.end();
                Err(broken)
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
