//! The other end: the log server of the examples, and a gate that holds a page until the test lets it go.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::bench::{Folder, json_lines};

/// A log server over a folder; it ends with this value.
pub(crate) struct Server {
    pub(crate) origin: String,
    logs: Folder,
    stdin: Option<ChildStdin>,
    child: Child,
}

impl Server {
    pub(crate) fn over(root: &Path) -> Self {
        Self::with_faults(root, "")
    }

    /// With parameters for every URL.
    pub(crate) fn with_faults(root: &Path, faults: &str) -> Self {
        let logs = Folder::new();
        let mut child = Command::new(binary())
            .arg("--root")
            .arg(root)
            .arg("--log")
            .arg(logs.path("requests.log"))
            .args(["--exit-with-stdin", "--lifetime", "120", "--faults", faults])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let origin = greeting.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Self { origin, logs, stdin: child.stdin.take(), child }
    }

    /// What was asked of it, one object a request.
    pub(crate) fn log(&self) -> Vec<Value> {
        json_lines(&self.logs.read("requests.log"))
    }

    /// Writes a list of `targets` of this server.
    pub(crate) fn list(&self, folder: &Folder, targets: &[impl AsRef<str>]) -> PathBuf {
        let lines = targets.iter().map(|target| format!("{}/{}\n", self.origin, target.as_ref()));
        folder.write("urls.txt", lines.collect::<String>())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stdin.take();
        let _ = self.child.wait();
    }
}

/// Cargo puts examples beside the folder of the test binaries.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(format!("log_server{}", std::env::consts::EXE_SUFFIX))
}

/// An address whose pages wait until the test answers them, so that a test knows where a run stands.
pub(crate) struct Gate {
    pub(crate) origin: String,
    arrivals: Receiver<TcpStream>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (sender, arrivals) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if read_head(&mut stream) && sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { origin, arrivals }
    }

    /// Waits until a run has asked for a page.
    pub(crate) fn arrival(&self) -> Held {
        Held(self.arrivals.recv_timeout(Duration::from_secs(30)).expect("nobody asked for the page"))
    }

    /// Whether nobody has asked yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.arrivals.try_recv().is_err()
    }
}

fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return false;
        }
        head.push(byte[0]);
    }
    true
}

/// A request that waits for its answer.
pub(crate) struct Held(TcpStream);

impl Held {
    pub(crate) fn answer(mut self, body: &str) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        self.0.write_all(head.as_bytes()).unwrap();
        self.0.write_all(body.as_bytes()).unwrap();
    }

    /// Sends these bytes, head and all, and closes the connection. The run may go away before it has them all.
    pub(crate) fn send(mut self, answer: &[u8]) {
        let _ = self.0.write_all(answer);
    }

    /// Begins an answer that never ends.
    pub(crate) fn begin(&mut self, body: &str) {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        self.0.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

/// An address at which nobody listens.
pub(crate) fn closed_origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An API that answers each target (path and query) with what a function makes of it.
pub(crate) struct Api {
    pub(crate) origin: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// The answer is a head without its first line and its length, each line ended, and a body.
    pub(crate) fn new(answer: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || {
                    let Some(target) = read_target(&mut stream) else { return };
                    log.lock().unwrap().push(target.clone());
                    let (head, body) = answer(&target);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n"
                    );
                    let _ =
                        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
                });
            }
        });
        Self { origin, asked }
    }

    /// The targets that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A folder with a list of `targets` of this API.
    pub(crate) fn site(&self, targets: &[&str]) -> Folder {
        let site = Folder::new();
        let lines: String = targets.iter().map(|target| format!("{}{target}\n", self.origin)).collect();
        site.write("urls.txt", lines);
        site
    }
}

fn read_target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read(&mut byte).ok().filter(|read| *read == 1)?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()?.split(' ').nth(1).map(ToOwned::to_owned)
}
