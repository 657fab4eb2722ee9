//! Asks for pages: those of the list, those that the pages before tell of, and those that were put off.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::SendError};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::QueuedPage;
use super::chains::{Chains, NextPage, OpenChain, Turn};
use super::life::Line;
use crate::config::{HttpConfig, PaginationConfig};
use crate::error::{Error, Result};
use crate::fetch::PageRequests;
use crate::model::PageRequest;

/// Starts a task for every page, and keeps the line.
pub(super) struct Asker<'a> {
    line: &'a Arc<Line>,
    pagination: &'a PaginationConfig,
    queue: mpsc::Sender<QueuedPage>,
    /// Turns that were given out.
    turn_count: u64,
    /// Pages that may be asked for.
    left_count: u64,
    /// Pages that are not in the line, until they have an answer.
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
    pub(super) fn new(line: &'a Arc<Line>, http: &'a HttpConfig, queue: mpsc::Sender<QueuedPage>) -> Self {
        Self {
            line,
            pagination: &http.pagination,
            queue,
            turn_count: 0,
            left_count: u64::MAX,
            put_off: JoinSet::new(),
        }
    }

    /// One that asks for no more pages than these.
    pub(super) fn at_most(self, pages_max: Option<u64>) -> Self {
        Self { left_count: pages_max.unwrap_or(u64::MAX), ..self }
    }

    /// Asks for every page, in page order. Returns how many URLs were listed twice.
    ///
    /// # Errors
    /// The list can't be read.
    pub(super) async fn ask_for_all(
        mut self,
        mut requests: PageRequests,
        turns: mpsc::UnboundedReceiver<Turn>,
        put_off: mpsc::UnboundedReceiver<QueuedPage>,
    ) -> Result<Asked> {
        match self.ask(&mut requests, turns, put_off).await? {
            Ok(()) | Err(Stopped) => {
                Ok(Asked { duplicate_count: requests.duplicates(), missing_count: requests.missing() })
            }
        }
    }

    async fn ask(
        &mut self,
        requests: &mut PageRequests,
        mut turns: mpsc::UnboundedReceiver<Turn>,
        mut put_off: mpsc::UnboundedReceiver<QueuedPage>,
    ) -> Result<Result<(), Stopped>> {
        for request in requests.by_ref() {
            let request = request?;
            while let Ok(page) = put_off.try_recv() {
                self.wait_beside(page);
            }
            while let Some(page) = self.put_off.try_join_next() {
                if let Err(stopped) = self.let_in(page.map_err(task_stopped)?).await {
                    return Ok(Err(stopped));
                }
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
        self.line.list_is_over();
        loop {
            let went_on = tokio::select! {
                biased;
                () = self.queue.closed() => Err(Stopped),
                Some(turn) = turns.recv() => match turn {
                    Turn::Next(next) => self.follow(requests, *next).await,
                    Turn::End => Ok(()),
                },
                Some(page) = put_off.recv() => {
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

    /// Starts the task of a page.
    async fn begin(&mut self, request: PageRequest, chain: Option<OpenChain>) -> Result<(), Stopped> {
        // What it reserves is had in page order: whatever this page waits for, all earlier pages have theirs and go on,
        // so they are written and give theirs back.
        let turn = self.next_turn();
        let ticket = tokio::select! {
            biased;
            // Who takes no more pages gives nothing back either, and would be waited for without end. What is dropped is a
            // place in the line.
            () = self.queue.closed() => return Err(Stopped),
            ticket = async {
                self.line.go_ahead().await;
                self.line.ticket(turn).await
            } => Arc::new(ticket),
        };
        let (sender, steps) = mpsc::channel(self.line.steps_max());
        let (id, key, shown) = (request.id, request.key, Arc::clone(&request.shown));
        let life = Arc::clone(self.line).life_of_a_page(request, Arc::clone(&ticket), sender);
        let task = AbortOnDropHandle::new(tokio::spawn(life));
        Ok(self.queue.send(QueuedPage { turn, id, key, shown, chain, ticket, task, steps }).await?)
    }

    /// Keeps a page that was put off until it has an answer.
    fn wait_beside(&mut self, page: QueuedPage) {
        self.put_off.spawn(async move {
            page.ticket.wants_in().await;
            page
        });
    }

    async fn let_in(&mut self, mut page: QueuedPage) -> Result<(), Stopped> {
        page.turn = self.next_turn();
        self.line.let_in(page.turn, &page.ticket).await;
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
