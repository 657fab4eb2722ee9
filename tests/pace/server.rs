//! A server whose answers are laid down to the byte: in which pieces, after which pauses, and where they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Longest time that an answer is held back. A run may have no room to ask for the page that is waited for, so the
/// wait must end by itself; it is long enough for one that has.
const HOLD_MAX: Duration = Duration::from_millis(15);

/// An answer to one attempt.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) end: End,
}

/// Bytes that are sent together.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) pause: Duration,
    /// Held back until this page was answered, or for a while.
    pub(crate) waits_for: Option<usize>,
    pub(crate) bytes: Bytes,
}

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It takes the next request.
    Keep,
    Close,
    /// It is reset, which a client can tell from an end.
    Reset,
}

/// The answers of one run.
#[derive(Debug)]
pub(crate) struct Script {
    /// By page and attempt; the last answer is given to all attempts beyond.
    answers: Vec<Vec<Answer>>,
    attempts: Vec<AtomicUsize>,
    /// Pages up to the latest that was answered.
    answered: watch::Sender<usize>,
}

impl Script {
    pub(crate) fn new(answers: Vec<Vec<Answer>>) -> Self {
        let attempts = answers.iter().map(|_| AtomicUsize::new(0)).collect();
        Self { answers, attempts, answered: watch::Sender::new(0) }
    }

    fn answer(&self, page: usize) -> &Answer {
        let attempt = self.attempts[page].fetch_add(1, Ordering::Relaxed);
        let answers = &self.answers[page];
        &answers[attempt.min(answers.len() - 1)]
    }

    async fn hold(&self, page: usize) {
        let mut answered = self.answered.subscribe();
        let wait = answered.wait_for(|answered| *answered > page);
        // Either way the answer goes on.
        drop(tokio::time::timeout(HOLD_MAX, wait).await);
    }
}

type Scripts = Arc<Mutex<HashMap<u64, Arc<Script>>>>;

/// A listening server; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) origin: String,
    scripts: Scripts,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let scripts = Scripts::default();
        let accepting = tokio::spawn({
            let scripts = Arc::clone(&scripts);
            async move {
                let mut connections = JoinSet::new();
                while let Ok((connection, _)) = listener.accept().await {
                    connections.spawn(serve(connection, Arc::clone(&scripts)));
                    while connections.try_join_next().is_some() {}
                }
            }
        });
        Self { origin, scripts, accepting }
    }

    /// Answers the requests of `run` by this script from now on.
    pub(crate) fn play(&self, run: u64, script: Script) {
        self.scripts.lock().unwrap().insert(run, Arc::new(script));
    }

    /// Forgets the script of `run`.
    pub(crate) fn end(&self, run: u64) {
        self.scripts.lock().unwrap().remove(&run);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(connection: TcpStream, scripts: Scripts) {
    // Small pieces would wait for each other's acknowledgement.
    connection.set_nodelay(true).unwrap();
    let mut connection = BufReader::new(connection);
    while let Some((run, page)) = next_request(&mut connection).await {
        // A run that was given up is not answered any more.
        let Some(script) = scripts.lock().unwrap().get(&run).cloned() else { return };
        let answer = script.answer(page);
        for Piece { pause, waits_for, bytes } in &answer.pieces {
            if let Some(later) = waits_for {
                script.hold(*later).await;
            }
            if !pause.is_zero() {
                tokio::time::sleep(*pause).await;
            }
            // The client may have hung up; that is its right.
            if connection.get_mut().write_all(bytes).await.is_err() {
                return;
            }
        }
        script.answered.send_modify(|answered| *answered = (*answered).max(page + 1));
        match answer.end {
            End::Keep => {}
            End::Close => return,
            End::Reset => return connection.get_ref().set_zero_linger().unwrap(),
        }
    }
}

/// The run and the page of the path `/run/page`; `None` once the client has hung up.
async fn next_request(connection: &mut BufReader<TcpStream>) -> Option<(u64, usize)> {
    let mut first = String::new();
    connection.read_line(&mut first).await.ok().filter(|length| *length > 0)?;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        connection.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    }
    let path = first.split(' ').nth(1).unwrap();
    let (run, page) = path[1..].split_once('/').unwrap();
    Some((run.parse().unwrap(), page.parse().unwrap()))
}
