//! Asks for pages: those of the list, those that the pages before tell of, and those that were put off.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, error::SendError};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::QueuedPage;
use super::chains::{Chains, NextPage, OpenChain, Turn};
use super::life::{Line, Step};
use crate::config::{HttpConfig, PaginationConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{PageRequests, recall};
use crate::model::{PageFault, PageId, PageKey, PageRequest};

/// How often it is looked whether the task of a page that was put off has ended.
const TASK_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Starts a task for every page, and keeps the line.
pub(super) struct Asker<'a> {
    line: &'a Arc<Line>,
    pagination: &'a PaginationConfig,
    queue: mpsc::Sender<QueuedPage>,
    /// Turns that were given out.
    turn_count: u64,
    /// Pages that may be asked for.
    left_count: u64,
    /// What the pages of chains said that an earlier run began, by the positions of their URLs in the list.
    begun: HashMap<u64, Vec<Vec<u8>>>,
    /// Pages that the writer puts off, and those that are, until they have an answer.
    pages_put_off: mpsc::UnboundedReceiver<QueuedPage>,
    put_off: JoinSet<QueuedPage>,
}

/// What was asked for.
pub(super) struct Asked {
    /// URLs that were listed before.
    pub(super) duplicate_count: u64,
    /// Pages that were to be asked for, and that the list does not have.
    pub(super) missing_count: u64,
}

/// The writer stopped; its error is the one to report.
struct Stopped;

impl<T> From<SendError<T>> for Stopped {
    fn from(_: SendError<T>) -> Self {
        Self
    }
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        line: &'a Arc<Line>,
        http: &'a HttpConfig,
        queue: mpsc::Sender<QueuedPage>,
        pages_put_off: mpsc::UnboundedReceiver<QueuedPage>,
    ) -> Self {
        Self {
            line,
            pagination: &http.pagination,
            queue,
            turn_count: 0,
            left_count: u64::MAX,
            begun: HashMap::new(),
            pages_put_off,
            put_off: JoinSet::new(),
        }
    }

    /// One that asks for no more pages than these.
    pub(super) fn at_most(self, pages_max: Option<u64>) -> Self {
        Self { left_count: pages_max.unwrap_or(u64::MAX), ..self }
    }

    /// One that goes on with chains that an earlier run began.
    pub(super) fn behind(self, begun: HashMap<u64, Vec<Vec<u8>>>) -> Self {
        Self { begun, ..self }
    }

    /// Asks for every page, in page order. Returns how many URLs were listed twice.
    ///
    /// # Errors
    /// The list can't be read.
    pub(super) async fn ask_for_all(
        mut self,
        mut requests: PageRequests,
        turns: mpsc::UnboundedReceiver<Turn>,
    ) -> Result<Asked> {
        match self.ask(&mut requests, turns).await? {
            Ok(()) | Err(Stopped) => {
                Ok(Asked { duplicate_count: requests.duplicates(), missing_count: requests.missing() })
            }
        }
    }

    async fn ask(
        &mut self,
        requests: &mut PageRequests,
        mut turns: mpsc::UnboundedReceiver<Turn>,
    ) -> Result<Result<(), Stopped>> {
        let mut begun = Vec::new();
        for request in requests.by_ref() {
            let request = request?;
            if let Some(said) = self.begun.remove(&request.id.ordinal) {
                begun.push((request, said));
                continue;
            }
            if self.left_count == 0 {
                self.left_count = self.one_may_be_asked_for_instead().await;
            }
            if self.left_count == 0 {
                self.line.cut_short();
                break;
            }
            self.left_count -= 1;
            let chain = Chains::begin(self.pagination, &request);
            if let Err(stopped) = self.begin(request, chain).await {
                return Ok(Err(stopped));
            }
        }
        if let Err(stopped) = self.go_on_with(begun, requests).await? {
            return Ok(Err(stopped));
        }
        self.line.list_is_over();
        loop {
            let went_on = tokio::select! {
                biased;
                () = self.queue.closed() => Err(Stopped),
                Some(turn) = turns.recv() => match turn {
                    Turn::Next(next) => self.follow(requests, *next).await,
                    Turn::End => Ok(()),
                },
                Some(page) = self.pages_put_off.recv() => {
                    self.wait_beside(page);
                    Ok(())
                }
                Some(page) = self.put_off.join_next() => self.let_in(page.map_err(task_stopped)?).await,
                () = self.line.all_done() => return Ok(Ok(())),
            };
            if went_on.is_err() {
                return Ok(went_on);
            }
        }
    }

    /// Asks for the pages behind those of chains that an earlier run has done, in their order.
    async fn go_on_with(
        &mut self,
        begun: Vec<(PageRequest, Vec<Vec<u8>>)>,
        requests: &mut PageRequests,
    ) -> Result<Result<(), Stopped>> {
        let mut next_pages = Vec::new();
        for (request, said) in begun {
            let mut id = request.id;
            let mut open = Chains::begin(self.pagination, &request);
            let last = said.len().saturating_sub(1);
            for (index, said) in said.iter().enumerate() {
                let Some(chain) = open.take() else { break };
                let Some(end) = recall(said, chain.first()) else {
                    return Err(Error::new(
                        ErrorKind::Storage,
                        format!(
                            "what the ledger knows of the chain of {id} can't be read; --fresh starts anew"
                        ),
                    ));
                };
                match chain.turn_again(id, &end, self.pagination) {
                    Ok(Some(next)) if index == last => next_pages.push(next),
                    Ok(Some(next)) => {
                        let NextPage { id: next_id, url, chain } = *next;
                        // It is done, and not to be asked for where another chain leads to it.
                        drop(requests.follow(next_id, url, chain.ask.clone()));
                        (id, open) = (next_id, Some(chain));
                    }
                    Ok(None) => {}
                    Err(broken) => {
                        let (id, fault) = *broken;
                        if let Err(stopped) = self.fail(id, Arc::clone(&request.shown), fault).await {
                            return Ok(Err(stopped));
                        }
                    }
                }
            }
        }
        next_pages.sort_by_key(|next| next.id.place());
        for next in next_pages {
            if let Err(stopped) = self.follow(requests, *next).await {
                return Ok(Err(stopped));
            }
        }
        Ok(Ok(()))
    }

    /// Puts a page into the line that can't be asked for.
    async fn fail(&mut self, id: PageId, shown: Arc<str>, fault: PageFault) -> Result<(), Stopped> {
        let turn = self.next_turn();
        let ticket = Arc::new(self.line.ticket_without_files(turn).await);
        let (sender, steps) = mpsc::channel(1);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // The writer may be gone.
            drop(sender.send(Step::Failed(fault, None)).await);
            Ok(())
        }));
        let key = PageKey::default();
        Ok(self
            .queue
            .send(QueuedPage { turn, id, key, shown, chain: None, was_put_off: false, ticket, task, steps })
            .await?)
    }

    async fn follow(&mut self, requests: &mut PageRequests, next: NextPage) -> Result<(), Stopped> {
        let NextPage { id, url, chain } = next;
        match requests.follow(id, url, chain.ask.clone()) {
            Some(_) if self.left_count == 0 => {
                self.line.cut_short();
                Ok(())
            }
            Some(request) => {
                self.left_count -= 1;
                self.begin(request, Some(chain)).await
            }
            None => Ok(()),
        }
    }

    /// How many pages may be asked for instead of those that failed, once some have or all are done.
    async fn one_may_be_asked_for_instead(&mut self) -> u64 {
        loop {
            tokio::select! {
                biased;
                () = self.queue.closed() => return 0,
                Some(page) = self.pages_put_off.recv() => self.wait_beside(page),
                Some(page) = self.put_off.join_next() => {
                    let Ok(page) = page else { return 0 };
                    if self.let_in(page).await.is_err() {
                        return 0;
                    }
                }
                failed_count = self.line.failures() => return failed_count,
            }
        }
    }

    /// Starts the task of a page.
    async fn begin(&mut self, request: PageRequest, chain: Option<OpenChain>) -> Result<(), Stopped> {
        let (turn, ticket) = loop {
            let turn = self.next_turn();
            tokio::select! {
                biased;
                () = self.queue.closed() => return Err(Stopped),
                // What these have received may be all that there is to reserve.
                Some(page) = self.pages_put_off.recv() => self.wait_beside(page),
                Some(page) = self.put_off.join_next() => self.let_in(page.map_err(|_| Stopped)?).await?,
                // What it reserves is had in page order: whatever this page waits for, all earlier pages have theirs and
                // go on, so they are written and give theirs back.
                ticket = async {
                    self.line.go_ahead().await;
                    self.line.ticket(turn).await
                } => break (turn, Arc::new(ticket)),
            }
        };
        let (sender, steps) = mpsc::channel(self.line.steps_max());
        let (id, key, shown) = (request.id, request.key, Arc::clone(&request.shown));
        let life = Arc::clone(self.line).life_of_a_page(request, Arc::clone(&ticket), sender);
        let task = AbortOnDropHandle::new(tokio::spawn(life));
        Ok(self
            .queue
            .send(QueuedPage { turn, id, key, shown, chain, was_put_off: false, ticket, task, steps })
            .await?)
    }

    /// Keeps a page that was put off until it has an answer.
    fn wait_beside(&mut self, page: QueuedPage) {
        self.put_off.spawn(async move {
            // A task that ended with an error of the run wants nothing any more; the writer finds out.
            while !page.task.is_finished() {
                tokio::select! {
                    () = page.ticket.wants_in() => break,
                    () = tokio::time::sleep(TASK_LOOK_INTERVAL) => {}
                }
            }
            page
        });
    }

    async fn let_in(&mut self, mut page: QueuedPage) -> Result<(), Stopped> {
        page.turn = self.next_turn();
        self.line.let_in(page.turn, &page.ticket);
        Ok(self.queue.send(page).await?)
    }

    fn next_turn(&mut self) -> u64 {
        let turn = self.turn_count;
        self.turn_count += 1;
        turn
    }
}

fn task_stopped(error: tokio::task::JoinError) -> Error {
    Error::failed("a page's task stopped").because(error)
}
