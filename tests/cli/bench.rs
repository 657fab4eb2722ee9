//! What every test stands on: a temporary folder, a run of the binary that can't last for ever, and its outcome.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No run takes longer, on a busy machine neither; one that does hangs.
const RUN_TIME_MAX: Duration = Duration::from_secs(50);

/// A folder that is gone after the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with a list of these pages, in this order.
    pub(crate) fn with_pages<B: AsRef<[u8]>>(pages: &[(&str, B)]) -> Self {
        let folder = Self::new();
        let mut list = String::new();
        for (name, body) in pages {
            folder.write(name, body);
            list.push_str(name);
            list.push('\n');
        }
        folder.write("urls.txt", list);
        folder
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Everything in the folder, hidden files too, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The lines of `name`, each an object.
    pub(crate) fn json_lines(&self, name: &str) -> Vec<Value> {
        json_lines(&self.read(name))
    }
}

pub(crate) fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// A command line of `etl`.
pub(crate) struct Etl(Command);

impl Etl {
    /// Without any argument.
    pub(crate) fn bare() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etl"));
        for name in ["http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "RUST_LOG"] {
            command.env_remove(name);
        }
        Self(command)
    }

    /// With a list and an output.
    pub(crate) fn new(list: &Path, out: &Path) -> Self {
        Self::bare().arg("--urls").arg(list).arg("--out").arg(out)
    }

    /// The list of `folder` to `out.parquet` in `output`.
    pub(crate) fn between(folder: &Folder, output: &Folder) -> Self {
        Self::new(&folder.path("urls.txt"), &output.path("out.parquet"))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    /// Options as one would type them; no value with a space in it.
    pub(crate) fn with(mut self, options: &str) -> Self {
        self.0.args(options.split_ascii_whitespace());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs to the end; the summary is asked for.
    pub(crate) fn run(self) -> Outcome {
        self.arg("--json").run_as_typed()
    }

    pub(crate) fn run_as_typed(self) -> Outcome {
        self.start().finish()
    }

    /// Starts the run, and lets it go on beside the test.
    pub(crate) fn start(mut self) -> Running {
        self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{:?}", self.0);
        let child = self.0.spawn().unwrap();
        let pid = child.id();
        let (sender, end) = channel();
        thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        Running { shown, pid, end }
    }
}

/// A run that may be under way.
pub(crate) struct Running {
    shown: String,
    pid: u32,
    end: Receiver<Output>,
}

impl Running {
    pub(crate) fn finish(self) -> Outcome {
        let outcome = self.finished_within(RUN_TIME_MAX);
        outcome.unwrap_or_else(|| {
            self.signal("KILL");
            panic!("the run hangs: {}", self.shown)
        })
    }

    /// Its outcome, should it end before `limit`.
    pub(crate) fn finished_within(&self, limit: Duration) -> Option<Outcome> {
        match self.end.recv_timeout(limit) {
            Ok(output) => Some(Outcome::new(output)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("lost sight of {}", self.shown),
        }
    }

    /// Sends a signal by its short name; the run may have ended already.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.pid.to_string()).stderr(Stdio::null());
        kill.status().unwrap();
    }

    /// Sends a signal; returns the outcome and how long the run took to end.
    pub(crate) fn end_by(self, name: &str) -> (Outcome, Duration) {
        let asked = Instant::now();
        self.signal(name);
        let outcome = self.finish();
        (outcome, asked.elapsed())
    }
}

/// How a run ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code, or the signal's number below zero.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    fn new(output: Output) -> Self {
        Self {
            code: code_of(output.status),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks the exit code, and that the summary repeats it and closes its identities.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        if !self.stdout.is_empty() {
            let summary = self.summary();
            assert_eq!(summary["exit_code"], code, "{summary}");
            let count = |group: &str, name: &str| summary[group][name].as_u64().unwrap();
            let ends = ["fetched", "unchanged", "failed", "duplicate", "left"];
            let sum: u64 = ends.iter().map(|name| count("pages", name)).sum();
            assert_eq!(count("pages", "listed"), sum, "{summary}");
            let [seen, kept, rejected, filtered] =
                ["seen", "kept", "rejected", "filtered"].map(|name| count("records", name));
            assert_eq!(seen, kept + rejected + filtered, "{summary}");
        }
        self
    }

    /// The summary of `--json`.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?}, {}", self.stdout, self.stderr))
    }

    /// A number of the summary, such as `/records/seen`.
    #[track_caller]
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let summary = self.summary();
        summary.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {summary}"))
    }
}

#[cfg(unix)]
fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| -status.signal().unwrap())
}

#[cfg(not(unix))]
fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap()
}
