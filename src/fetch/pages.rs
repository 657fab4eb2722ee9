//! The pages of a run, wherever they are named: in a URL list, in a folder in which an earlier run kept their bodies, or
//! in a rejects file, whose records are one page.

use std::collections::HashSet;
use std::sync::Arc;

use super::list::{Requests, UrlList};
use super::paginate::NextUrl;
use super::rejected::{RejectedRecords, RejectedRequest};
use crate::config::InputConfig;
use crate::error::Result;
use crate::model::{Ask, KeptPage, Location, PageId, PageKey, PageOptions, PageRequest};
use crate::sink::{KeptPages, KeptRun};

/// What is to be read.
#[derive(Debug)]
pub enum PageList {
    /// The pages of a list, and those behind them.
    Listed(Box<UrlList>),
    /// The pages of an earlier run, those behind others included.
    Kept(Box<KeptRun>),
    /// The records that a run has rejected, as one page.
    Rejected(Box<RejectedRecords>),
}

impl PageList {
    /// Reads and checks all of it. Blocks while it reads.
    ///
    /// # Errors
    /// A usage error: see [`UrlList::open`], [`KeptRun::find`] and [`RejectedRecords::read`].
    pub fn open(config: &InputConfig) -> Result<Self> {
        if let Some(path) = &config.rejected {
            return RejectedRecords::read(path).map(Box::new).map(Self::Rejected);
        }
        match &config.replay {
            Some(folder) => KeptRun::find(folder).map(Box::new).map(Self::Kept),
            None => UrlList::open(config).map(Box::new).map(Self::Listed),
        }
    }

    /// How many pages it has, repeated ones included.
    pub fn listed(&self) -> u64 {
        match self {
            Self::Listed(list) => list.listed(),
            Self::Kept(run) => run.page_count + duplicates_of(run),
            Self::Rejected(_) => 1,
        }
    }

    /// What identifies the URL list; also where its pages were kept.
    pub fn digest(&self) -> &str {
        match self {
            Self::Listed(list) => list.digest(),
            Self::Kept(run) => &run.list_sha256,
            Self::Rejected(records) => records.digest(),
        }
    }

    /// What identifies the keys of its pages; nothing where they were kept.
    pub fn key_digest(&self) -> &str {
        match self {
            Self::Listed(list) => list.key_digest(),
            Self::Kept(_) | Self::Rejected(_) => "",
        }
    }

    /// The run whose pages they are, if they were kept.
    pub fn kept_run(&self) -> Option<&KeptRun> {
        match self {
            Self::Listed(_) | Self::Rejected(_) => None,
            Self::Kept(run) => Some(run),
        }
    }

    /// The rejects file whose records they are.
    pub fn rejected(&self) -> Option<&RejectedRecords> {
        match self {
            Self::Listed(_) | Self::Kept(_) => None,
            Self::Rejected(records) => Some(records),
        }
    }

    /// The requests, in their order.
    ///
    /// # Errors
    /// It can't be read again.
    pub fn requests(self) -> Result<PageRequests> {
        match self {
            Self::Listed(list) => list.requests().map(Box::new).map(PageRequests::Listed),
            Self::Kept(run) => run.pages().map(|pages| PageRequests::Kept(Box::new(KeptRequests { pages }))),
            Self::Rejected(records) => Ok(PageRequests::Rejected(Box::new(RejectedRequest::new(*records)))),
        }
    }
}

/// The page requests of a run, read lazily. An error is the last item.
#[derive(Debug)]
pub enum PageRequests {
    /// Those of a list.
    Listed(Box<Requests>),
    /// Those of an earlier run.
    Kept(Box<KeptRequests>),
    /// That for the records of a rejects file.
    Rejected(Box<RejectedRequest>),
}

impl PageRequests {
    /// How many URLs were left out so far because they came before.
    pub fn duplicates(&self) -> u64 {
        match self {
            Self::Listed(requests) => requests.duplicates(),
            // As many as then, so that the output says the same of its pages.
            Self::Kept(requests) => duplicates_of(requests.pages.run()),
            Self::Rejected(_) => 0,
        }
    }

    /// These pages of the requests alone: see [`Requests::only`].
    #[must_use]
    pub fn only(self, pages: HashSet<PageKey>) -> Self {
        match self {
            Self::Listed(requests) => Self::Listed(Box::new(requests.only(pages))),
            Self::Kept(_) | Self::Rejected(_) => self,
        }
    }

    /// How many of the pages that alone are asked for have not been found.
    pub fn missing(&self) -> u64 {
        match self {
            Self::Listed(requests) => requests.missing(),
            Self::Kept(_) | Self::Rejected(_) => 0,
        }
    }

    /// The same requests but for pages that are done: see [`Requests::without`].
    #[must_use]
    pub fn without(self, done: HashSet<PageKey>) -> Self {
        match self {
            Self::Listed(requests) => Self::Listed(Box::new(requests.without(done))),
            Self::Kept(_) | Self::Rejected(_) => self,
        }
    }

    /// The request for a page that was found behind another one: see [`Requests::follow`]. Those that were kept lead
    /// nowhere, since what is behind them was kept too.
    pub fn follow(&mut self, id: PageId, next: NextUrl, ask: Ask) -> Option<PageRequest> {
        match self {
            Self::Listed(requests) => requests.follow(id, next, ask),
            Self::Kept(_) | Self::Rejected(_) => None,
        }
    }
}

impl Iterator for PageRequests {
    type Item = Result<PageRequest>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Listed(requests) => requests.next(),
            Self::Kept(requests) => requests.next(),
            Self::Rejected(request) => request.next(),
        }
    }
}

/// The pages that an earlier run kept, in the order in which it wrote them.
#[derive(Debug)]
pub struct KeptRequests {
    pages: KeptPages,
}

impl Iterator for KeptRequests {
    type Item = Result<PageRequest>;

    fn next(&mut self) -> Option<Self::Item> {
        let body = match self.pages.next()? {
            Ok(body) => body,
            Err(error) => return Some(Err(error)),
        };
        let KeptPage { ordinal, line, page, .. } = body.page;
        let id = PageId { ordinal, line, page };
        let shown = Arc::from(body.page.url.as_str());
        let location = Location::Kept(Box::new(body));
        let ask = Ask::new(&location, Arc::new(PageOptions::default())).expect("it brings no credentials");
        Some(Ok(PageRequest { id, location, key: PageKey::default(), shown, ask }))
    }
}

fn duplicates_of(run: &KeptRun) -> u64 {
    run.end.map_or(0, |end| end.duplicate)
}
