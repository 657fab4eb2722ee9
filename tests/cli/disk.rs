//! A disk that is full: said in words, the old file untouched, and nothing left that would keep it full.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fastrand::Rng;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::Server;
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";
/// Records of the page that needs some 6 MB of disk, for snappy does not make it smaller.
const RECORD_COUNT: usize = 6_000;

/// Mounts a disk of `$SIZE` that nobody else sees, runs on it, and brings out what a reader would find there.
const ON_A_DISK: &str = r#"
mount -t tmpfs -o size="$SIZE" tmpfs "$DISK" || exit 99
cp "$OLD" "$OUT" || exit 98
timeout 50 "$0" "$@"
code=$?
ls -A "$DISK" >"$FOUND/names"
cp "$OUT" "$FOUND/out"
exit "$code"
"#;

/// Whether this user may mount a disk of their own: containers often forbid it.
#[expect(clippy::print_stderr, reason = "a check that is left out is said to be")]
fn may_mount() -> bool {
    let folder = Folder::new();
    let mut command = Command::new("unshare");
    command.args(["-rm", "mount", "-t", "tmpfs", "tmpfs"]).arg(folder.root());
    let is_mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !is_mounted {
        eprintln!("left out: `unshare -rm mount -t tmpfs` is not allowed here");
    }
    is_mounted
}

/// A page of random text; its records are refused if their `values` are no list.
fn page(values: &str) -> String {
    let mut rng = Rng::with_seed(20_260_401);
    let mut text = || (0..1_000).map(|_| rng.alphanumeric()).collect::<String>();
    let lines =
        (0..RECORD_COUNT).map(|id| format!("{{\"id\":{id},\"text\":\"{}\",\"values\":{values}}}\n", text()));
    lines.collect()
}

/// An output of yesterday.
fn old_output() -> (Folder, Vec<u8>) {
    let site = Folder::with_pages(&[("old.json", "[{\"old\":true}]")]);
    let output = Folder::new();
    Etl::between(&site, &output).run().exits(0);
    let old = output.read("out.parquet");
    (output, old)
}

fn outcome_of(output: Output) -> Outcome {
    Outcome {
        code: output.status.code().expect("the shell is not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run on a small disk, and what is there after it.
struct Disk {
    root: Folder,
    found: Folder,
    old: Vec<u8>,
}

impl Disk {
    fn new() -> Self {
        Self { root: Folder::new(), found: Folder::new(), old: Vec::new() }
    }

    /// The output on the disk.
    fn out(&self) -> PathBuf {
        self.root.path("out.parquet")
    }

    /// Runs with a disk of this size, on which at first there is nothing but what `out` was yesterday.
    fn run(&mut self, size: &str, list: &Path, out: &Path, options: &str) -> Outcome {
        let (yesterday, old) = old_output();
        let old_path = yesterday.path("out.parquet");
        self.old = old;
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", ON_A_DISK, env!("CARGO_BIN_EXE_etl"), "--urls"]);
        command.arg(list).arg("--out").arg(out).arg("--json").args(options.split_ascii_whitespace());
        for (name, path) in [
            ("DISK", self.root.root()),
            ("FOUND", self.found.root()),
            ("OLD", old_path.as_path()),
            ("OUT", out),
        ] {
            command.env(name, path);
        }
        for name in ["http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "RUST_LOG"] {
            command.env_remove(name);
        }
        outcome_of(command.env("SIZE", size).stdin(Stdio::null()).output().unwrap())
    }

    /// What stood on the disk after the run.
    fn names(&self) -> Vec<String> {
        let names = String::from_utf8(self.found.read("names")).unwrap();
        names.lines().map(str::to_owned).collect()
    }

    /// Exit 6, path and cause in words, the old file as it was, and nothing beside it but what is kept of pages that are
    /// done.
    #[track_caller]
    fn check_full(&self, outcome: Outcome, place: &Path) {
        let outcome = outcome.exits(6);
        check_words(&outcome, place, "No space left on device");
        assert_eq!(outcome.summary()["outputs"].as_array().unwrap().len(), 0);
        assert!(self.found.read("out") == self.old, "the old file was touched");
        let names = self.names();
        assert!(
            names.iter().all(|name| ["out.parquet", "out.parquet.etl", REJECTS].contains(&name.as_str())),
            "{names:?}"
        );
    }
}

/// The path and the cause stand in one line.
#[track_caller]
fn check_words(outcome: &Outcome, place: &Path, cause: &str) {
    let place = place.to_str().unwrap();
    let has_both = |line: &str| line.contains(place) && line.contains(cause);
    assert!(outcome.stderr.lines().any(has_both), "{place} and {cause:?} are missing: {}", outcome.stderr);
}

#[test]
fn disk_that_is_too_small_for_the_output_keeps_the_old_one_whatever_its_size() {
    if !may_mount() {
        return;
    }
    let site =
        Folder::with_pages(&[("large.ndjson", page("[1,2]")), ("small.json", "[{\"id\":7}]".to_owned())]);
    for size in ["64k", "256k", "1m", "2m", "4m", "7m", "10m", "14m", "64m"] {
        let mut disk = Disk::new();
        let out = disk.out();
        let outcome = disk.run(size, &site.path("urls.txt"), &out, "--memory 64MiB --row-group-rows 1000");
        // Between the size of the output and some times of it, how much is needed on the way is the run's affair.
        let may_fit = ["7m", "10m", "14m", "64m"].contains(&size);
        if may_fit && (size == "64m" || outcome.code == 0) {
            outcome.exits(0);
            assert_eq!(Table::read(&disk.found.path("out")).rows.len(), RECORD_COUNT + 1);
            assert_eq!(disk.names(), ["out.parquet"], "{size}");
        } else {
            disk.check_full(outcome, disk.root.root());
        }
    }
}

#[test]
fn disk_that_fills_while_large_pages_wait_for_a_slow_one_ends_the_run() {
    if !may_mount() {
        return;
    }
    let site =
        Folder::with_pages(&[("large.ndjson", page("[1,2]")), ("slow.json", "[{\"id\":7}]".to_owned())]);
    let server = Server::over(site.root());
    let input = Folder::new();
    let mut targets = vec!["slow.json?latency_ms=1500".to_owned()];
    targets.extend((0..4).map(|copy| format!("large.ndjson?copy={copy}")));
    server.list(&input, &targets);
    for size in ["256k", "4m", "12m"] {
        let mut disk = Disk::new();
        let out = disk.out();
        let outcome = disk.run(size, &input.path("urls.txt"), &out, "--memory 64MiB -j 8");
        disk.check_full(outcome, disk.root.root());
    }
}

#[test]
fn disk_that_is_too_small_for_the_rejects_publishes_nothing() {
    if !may_mount() {
        return;
    }
    let site = Folder::with_pages(&[("small.json", "[{\"id\":7}]".to_owned()), ("large.ndjson", page("7"))]);
    for size in ["64k", "2m"] {
        let (mut disk, lake) = (Disk::new(), Folder::new());
        let rejects = disk.root.path("rejects.ndjson");
        let options = format!("--memory 64MiB --rejects {}", rejects.to_str().unwrap());
        let out = lake.path("out.parquet");
        let outcome = disk.run(size, &site.path("urls.txt"), &out, &options);
        disk.check_full(outcome, disk.root.root());
        assert!(disk.names().is_empty(), "{:?}", disk.names());
        assert_eq!(lake.names(), ["out.parquet"]);
    }
}

/// A limit on the size of files needs no rights, so that one kind of a full disk is met on every machine.
#[test]
fn file_that_may_not_grow_keeps_the_old_one_and_leaves_nothing() {
    let site =
        Folder::with_pages(&[("large.ndjson", page("[1,2]")), ("small.json", "[{\"id\":7}]".to_owned())]);
    // In units of 512 or 1,024 bytes, as the shell has it; an output of 6 MB is beyond all of them.
    for limit in ["16", "500", "4000"] {
        let (output, old) = old_output();
        let limited = "trap '' XFSZ; ulimit -f \"$LIMIT\"; exec timeout 50 \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", limited, env!("CARGO_BIN_EXE_etl"), "--urls"]).arg(site.path("urls.txt"));
        command.arg("--out").arg(output.path("out.parquet")).args(["--json", "--memory", "64MiB"]);
        let outcome = outcome_of(command.env("LIMIT", limit).stdin(Stdio::null()).output().unwrap()).exits(6);
        check_words(&outcome, output.root(), "File too large");
        assert!(output.read("out.parquet") == old, "the old file was touched");
        assert_eq!(output.names(), ["out.parquet"]);
    }
}
