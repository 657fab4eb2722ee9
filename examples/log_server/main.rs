//! Serves a folder over HTTP/1.1 on loopback, well or badly: the other end of `etl` for the demo and the tests.
//!
//! ```text
//! cargo run --example log_server -- --root sample_data --log requests.log
//! listening on http://127.0.0.1:40123
//!
//! curl 'http://127.0.0.1:40123/pages/requests-1.json?status=503&times=2&retry_after=1'
//! ```
//!
//! answers 503 with `Retry-After: 1` twice, then the page.
//!
//! # Options
//!
//! | option | |
//! | --- | --- |
//! | `--root DIR` | the folder; required |
//! | `--port N` | 0, the default, takes a free one; the first line of stdout names it |
//! | `--log FILE` | one JSON line per request, see below |
//! | `--faults QUERY` | parameters for every URL, such as `latency_ms=50&encoding=gzip`; a URL's own win |
//! | `--exit-with-stdin` | ends when its standard input is closed, so when its parent is gone |
//! | `--lifetime SECONDS` | ends after that in any case; 600 |
//!
//! # Parameters of a URL
//!
//! The path alone names the file. The query says how it is sent; unknown keys are left to the API that is being
//! played, a known key with a value that makes no sense is answered 400, an empty value takes a default back.
//! Values are percent-decoded.
//!
//! How the page is sent, always:
//!
//! | parameter | |
//! | --- | --- |
//! | `latency_ms=N` | waits before it answers |
//! | `encoding=gzip` | also `deflate`, `zstd`: compressed, with Content-Encoding, whatever the client accepts |
//! | `chunked=1` | Transfer-Encoding: chunked, in chunks of an odd size |
//! | `close=1` | no length at all: the end of the connection is the end of the page |
//! | `type=TEXT` | this Content-Type instead of the extension's |
//! | `at_once=N` | 429 at once, with the `retry_after` if there is one, while N other requests are being answered |
//! | `pages=K` | Link pagination (RFC 8288): `/log.json?pages=3` serves `log-1.json`, or `log.json` where there is none, with a `rel="next"` link to `/log.json?pages=3&page=2`, and so on; the last page has no next. All other parameters travel along |
//!
//! What goes wrong, for the first `times=N` requests of a URL (path and query together), or always without `times`;
//! with `only_page=P` on that page of a chain alone. The first of the list that is there happens:
//!
//! | parameter | |
//! | --- | --- |
//! | `reset=1` | resets the connection instead of an answer (on Linux); with `cut=N`, after N bytes of the body |
//! | `redirect=TARGET` | 302, or the 3xx of `status`, to TARGET |
//! | `status=S` | this status with a small JSON object; the page itself for another 2xx, nothing for 204 |
//! | `retry_after=TEXT` | beside a `status`: the Retry-After header, seconds or a date |
//! | `cut=N` | closes the connection after N bytes of the body as sent, where more were promised; with `chunked=1` the last chunk is missing, with `close=1` nothing shows it |
//! | `stall=N` | falls silent after N bytes, for 60 seconds or until the client goes |
//!
//! # Log
//!
//! `{"request":3,"connection":1,"at_ms":52,"method":"GET","target":"/a.json?cut=9","attempt":1,"status":200,"body_bytes":9,"fault":"cut"}`
//!
//! `attempt` counts the requests of this target from 1, `body_bytes` is without chunk sizes, `status` is null where the
//! connection was reset before an answer. A line is written before the last byte of its answer leaves, so that who has
//! the answer finds the line.
//!
//! It never leaves the folder, never listens beyond loopback, and never writes anything but the log. Pages are held
//! in memory, one copy per request.

mod answer;
mod conduct;
mod request;
mod site;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use answer::{After, Answer};
use conduct::Conduct;
use request::Request;
use serde::Serialize;
use site::Site;

/// A connection is a thread; a client that opens more is refused, which is a fault of its own.
const CONNECTION_COUNT_MAX: usize = 1024;
/// How long a connection may wait for its next request.
const IDLE_MAX: Duration = Duration::from_secs(60);

const USAGE: &str = "usage: log_server --root DIR [--port N] [--log FILE] [--faults QUERY] \
                     [--exit-with-stdin] [--lifetime SECONDS]";

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // With stderr gone there is nobody left to tell.
            let _ = writeln!(io::stderr(), "log_server: {message}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    root: PathBuf,
    port: u16,
    log: Option<PathBuf>,
    defaults: Conduct,
    exit_with_stdin: bool,
    lifetime: Duration,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut root = None;
        let mut options = Self {
            root: PathBuf::new(),
            port: 0,
            log: None,
            defaults: Conduct::default(),
            exit_with_stdin: false,
            lifetime: Duration::from_secs(600),
        };
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value; {USAGE}"));
            let number = |text: String| text.parse().map_err(|_| format!("{name}: {text:?} is no number"));
            match name.as_str() {
                "--root" => root = Some(PathBuf::from(value()?)),
                "--port" => {
                    let text = value()?;
                    options.port = text.parse().map_err(|_| format!("--port: {text:?} is no port"))?;
                }
                "--log" => options.log = Some(PathBuf::from(value()?)),
                "--faults" => options.defaults = Conduct::of_command_line(&value()?)?,
                "--exit-with-stdin" => options.exit_with_stdin = true,
                "--lifetime" => options.lifetime = Duration::from_secs(number(value()?)?),
                _ => return Err(format!("unknown option {name:?}; {USAGE}")),
            }
        }
        options.root = root.ok_or_else(|| format!("--root is missing; {USAGE}"))?;
        Ok(options)
    }
}

fn run(options: Options) -> Result<(), String> {
    let site = Site::open(&options.root, options.defaults)
        .map_err(|error| format!("could not open {}: {error}", options.root.display()))?;
    let log = match &options.log {
        Some(path) => Some(
            File::create(path).map_err(|error| format!("could not create {}: {error}", path.display()))?,
        ),
        None => None,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .map_err(|error| format!("could not listen on port {}: {error}", options.port))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on http://127.0.0.1:{port}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("could not tell the port: {error}"))?;

    thread::spawn(move || {
        thread::sleep(options.lifetime);
        std::process::exit(0);
    });
    if options.exit_with_stdin {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
    }
    accept_forever(&listener, &Arc::new(Server::new(site, log)));
    Ok(())
}

fn accept_forever(listener: &TcpListener, server: &Arc<Server>) {
    for (number, stream) in (1..).zip(listener.incoming()) {
        // The client went before it was accepted, or descriptors ran out for a moment.
        let Ok(stream) = stream else { continue };
        if server.connection_count.fetch_add(1, Ordering::Relaxed) >= CONNECTION_COUNT_MAX {
            server.connection_count.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let server = Arc::clone(server);
        thread::spawn(move || {
            // A client may go at any moment; the log line says how far it came.
            let _ = server.serve(stream, number);
            server.connection_count.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

struct Server {
    site: Site,
    log: Option<Mutex<File>>,
    started: Instant,
    connection_count: AtomicUsize,
    request_count: AtomicU64,
    /// Requests that are being answered, until the first byte of their answers.
    busy_count: AtomicUsize,
    attempts: Mutex<HashMap<String, u64>>,
}

/// One request as the log tells it.
#[derive(Serialize)]
struct LogLine<'a> {
    request: u64,
    connection: u64,
    at_ms: u128,
    method: &'a str,
    target: &'a str,
    attempt: u64,
    status: Option<u16>,
    body_bytes: u64,
    fault: Option<&'static str>,
}

impl Server {
    fn new(site: Site, log: Option<File>) -> Self {
        Self {
            site,
            log: log.map(Mutex::new),
            started: Instant::now(),
            connection_count: AtomicUsize::new(0),
            request_count: AtomicU64::new(0),
            busy_count: AtomicUsize::new(0),
            attempts: Mutex::new(HashMap::new()),
        }
    }

    /// Answers the requests of one connection until either side ends it.
    fn serve(&self, mut stream: TcpStream, connection: u64) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE_MAX))?;
        while let Some(request) = Request::read(&mut stream)? {
            let at_ms = self.started.elapsed().as_millis();
            let attempt = self.count_attempt(&request.target);
            let other_count = self.busy_count.fetch_add(1, Ordering::Relaxed);
            let answer = self.site.answer(&request, attempt, other_count);
            thread::sleep(answer.latency);
            self.busy_count.fetch_sub(1, Ordering::Relaxed);
            if answer.resets_at_once() {
                self.log(&request, &answer, connection, attempt, at_ms, 0);
                // The last byte of the request was left unread, so that the kernel resets the connection.
                return Ok(());
            }
            if !answer.resets() {
                request.consume_last_byte(&mut stream)?;
            }
            let log = |body_bytes| self.log(&request, &answer, connection, attempt, at_ms, body_bytes);
            match answer.send(&mut stream, request.method == "HEAD", request.keep_alive, log)? {
                After::NextRequest => {}
                After::Close => return Ok(()),
                After::Stall => return wait_until_client_goes(&mut stream),
            }
        }
        Ok(())
    }

    /// Counts this request; returns how many there were for the target, from 1.
    fn count_attempt(&self, target: &str) -> u64 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(target.to_owned()).or_default();
        *count += 1;
        *count
    }

    fn log(
        &self,
        request: &Request,
        answer: &Answer,
        connection: u64,
        attempt: u64,
        at_ms: u128,
        body_bytes: u64,
    ) {
        let Some(log) = &self.log else { return };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let line = LogLine {
            request: self.request_count.fetch_add(1, Ordering::Relaxed) + 1,
            connection,
            at_ms,
            method: &request.method,
            target: &request.target,
            attempt,
            status: (!answer.resets_at_once()).then_some(answer.status),
            body_bytes,
            fault: answer.fault,
        };
        let text = serde_json::to_string(&line).expect("a log line of strings and numbers is JSON");
        // One write per line: two processes may read along, and none sees half a line.
        let written = log.write_all(format!("{text}\n").as_bytes());
        written.expect("the request log can be written");
    }
}

/// Keeps a stalled connection open for as long as the read timeout allows.
fn wait_until_client_goes(stream: &mut TcpStream) -> io::Result<()> {
    let mut ignored = [0; 512];
    while stream.read(&mut ignored)? > 0 {}
    Ok(())
}
