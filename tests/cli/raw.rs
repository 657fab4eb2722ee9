//! `--keep-raw` and `--replay`: bodies are kept as they came, and give the same file again without anybody being asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Api, Gate, Server};
use crate::table::Table;

const REJECTS: &str = "out.parquet.rejects.ndjson";

/// Runs the list of `site`, keeps its bodies in `raw` of `output`, and gives the file and what the run said.
#[track_caller]
fn keep(site: &Folder, output: &Folder, options: &str, code: i32) -> (Vec<u8>, Outcome) {
    let run = Etl::between(site, output).arg("--keep-raw").arg(output.path("raw")).with(options);
    let outcome = run.run().exits(code);
    (output.read("out.parquet"), outcome)
}

/// Replays what `kept` has into another folder.
#[track_caller]
fn replay(kept: &Folder, options: &str, code: i32) -> (Folder, Outcome) {
    let output = Folder::new();
    let run = Etl::bare().arg("--replay").arg(kept.path("raw")).arg("--out").arg(output.path("out.parquet"));
    let outcome = run.with(options).run().exits(code);
    (output, outcome)
}

/// Every file below a folder, and every folder.
fn tree(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    (files, folders)
}

fn objects(kept: &Folder) -> Vec<PathBuf> {
    tree(&kept.path("raw/objects")).0
}

/// The pages of the index, all runs together.
fn pages(kept: &Folder) -> Vec<Value> {
    let lines = kept.json_lines("raw/index.ndjson");
    lines.into_iter().filter(|line| line["event"] == "page").collect()
}

/// Pages of every kind, some with faults of their own.
fn site() -> Folder {
    let site = Folder::new();
    site.write("a.json", "[{\"id\":1,\"values\":[1,2,4]},7,{\"id\":2}]");
    site.write("b.ndjson", "{\"id\":3}\n{\"id\":\n{\"id\":4}\n{\"id\":5");
    site.write("lines.log", "{\"id\":6}\n");
    site.write("empty.ndjson", "");
    site.write("no.json", "<html>");
    let large: String =
        (100..60_000).map(|id| format!("{{\"id\":{id},\"values\":[{id},1,\"x\"]}}\n")).collect();
    site.write("large.ndjson", large.replace("\"x\"", "0.5"));
    site
}

#[test]
fn replay_gives_the_same_file_and_asks_for_nothing() {
    let site = site();
    let server = Server::over(site.root());
    let (input, kept) = (Folder::new(), Folder::new());
    let targets = [
        // Slow, so that the large pages wait for it and are received all the same.
        "a.json?encoding=gzip&latency_ms=300",
        "a.json?encoding=zstd&chunked=1",
        "b.ndjson",
        "lines.log?type=application/x-ndjson",
        "empty.ndjson",
        "a.json?status=204",
        "large.ndjson?encoding=deflate",
        "large.ndjson?close=1",
        "b.ndjson?close=1",
        "no.json",
        "lines.log?status=503&times=1",
        "b.ndjson",
    ];
    server.list(&input, &targets);
    fs::write(input.path("urls.txt"), fs::read_to_string(input.path("urls.txt")).unwrap() + "local.json\n")
        .unwrap();
    input.write("local.json", "[{\"id\":99}]");
    let options = "--provenance --row-group-rows 1000";
    let (file, first) = keep(&input, &kept, options, 3);
    assert_eq!(first.count("/raw/pages"), 12);
    assert_eq!(Path::new(first.summary()["raw"]["dir"].as_str().unwrap()), kept.path("raw"));
    let asked_count = server.log().len();
    for machine in ["", " -j 1 --threads 1", " --memory 64MiB"] {
        let (output, second) = replay(&kept, &format!("{options}{machine}"), 3);
        assert!(output.read("out.parquet") == file, "the same file{machine}");
        assert_eq!(output.read(REJECTS), kept.read(REJECTS));
        assert_eq!(second.summary()["pages"], first.summary()["pages"]);
        assert_eq!(second.summary()["failures"], first.summary()["failures"]);
        assert_eq!(second.summary()["replay"]["run_id"], first.summary()["run_id"]);
        assert_eq!((second.count("/replay/pages"), second.count("/requests/sent")), (12, 0));
    }
    assert_eq!(server.log().len(), asked_count, "nothing was asked of the server");
    // The list and what it names may be gone, and the server too.
    drop((server, input));
    assert!(replay(&kept, options, 3).0.read("out.parquet") == file);
}

#[test]
fn replay_of_a_run_with_pages_that_never_came_gives_the_same_file() {
    let site = site();
    let server = Server::over(site.root());
    let (input, kept) = (Folder::new(), Folder::new());
    let targets = [
        "a.json",
        "gone.json",
        "lines.log?type=application/x-ndjson",
        "a.json",
        "large.ndjson?status=404",
        "no.json",
        "b.ndjson",
    ];
    server.list(&input, &targets);
    let (file, first) = keep(&input, &kept, "--provenance", 3);
    assert_eq!((first.count("/pages/failed"), first.count("/pages/duplicate")), (3, 1));
    let (output, _) = replay(&kept, "--provenance", 3);
    assert!(output.read("out.parquet") == file, "the footer is that of the run");
}

#[test]
fn bodies_are_kept_as_they_came_with_what_was_said_of_them() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let api = Api::new(|_| {
        let head = "Content-Type: application/json\r\nETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        (head.to_owned(), "[{\"id\":2}]".to_owned())
    });
    let server = Server::over(site.root());
    let (input, kept) = (Folder::new(), Folder::new());
    input.write("urls.txt", format!("{0}/a.json?encoding=gzip\n{1}/x\n{1}/y\n", server.origin, api.origin));
    keep(&input, &kept, "", 0);
    let pages = pages(&kept);
    assert_eq!(objects(&kept).len(), 2, "equal bodies stand there once");
    for page in &pages {
        let sha256 = page["sha256"].as_str().unwrap();
        let object = kept.read(&format!("raw/objects/{}/{sha256}", &sha256[..2]));
        assert_eq!(object.len() as u64, page["bytes"].as_u64().unwrap());
    }
    let sha256 = pages[0]["sha256"].as_str().unwrap();
    let object = kept.read(&format!("raw/objects/{}/{sha256}", &sha256[..2]));
    assert_eq!(object[..2], [0x1f, 0x8b], "still compressed");
    assert_eq!((&pages[0]["content_encoding"], &pages[0]["status"]), (&json!("gzip"), &json!(200)));
    assert_eq!(
        (&pages[1]["etag"], &pages[1]["content_type"]),
        (&json!("\"v1\""), &json!("application/json"))
    );
    assert_eq!(pages[1]["last_modified"], "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(pages.iter().map(|page| page["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(pages.iter().all(|page| page["fetched_at"].as_str().unwrap().ends_with('Z')));
}

#[test]
fn chains_are_replayed_in_the_order_of_their_rows() {
    let site = Folder::new();
    for (name, first) in [("a", 100), ("b", 200)] {
        for page in 1..=3 {
            site.write(&format!("{name}-{page}.json"), format!("[{{\"id\":{}}}]", first + page));
        }
    }
    let server = Server::over(site.root());
    let (input, kept) = (Folder::new(), Folder::new());
    server.list(&input, &["a.json?pages=3&latency_ms=30", "b.json?pages=2"]);
    let (file, first) = keep(&input, &kept, "--paginate link --provenance", 0);
    assert_eq!(first.count("/raw/pages"), 5);
    let links: Vec<_> = pages(&kept).iter().map(|page| page["link"].is_string()).collect();
    assert_eq!(links, [true, true, true, false, false]);
    let asked_count = server.log().len();
    let (same, _) = replay(&kept, "--paginate link --provenance", 0);
    assert!(same.read("out.parquet") == file);
    // The footer tells of other options, but the rows are the same.
    let (other, _) = replay(&kept, "--provenance", 0);
    let [same, other] = [same, other].map(|output| Table::read(&output.path("out.parquet")).rows);
    assert_eq!(same, other);
    assert_eq!(server.log().len(), asked_count);
}

#[test]
fn page_that_comes_again_in_its_chain_is_not_kept_twice() {
    let api = Api::new(|_| (String::new(), "[{\"id\":1}]".to_owned()));
    let (input, kept) = (api.site(&["/logs?page=1"]), Folder::new());
    keep(&input, &kept, "--paginate page", 3);
    assert_eq!(pages(&kept).len(), 1);
    let (output, outcome) = replay(&kept, "", 0);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1)]);
    assert!(outcome.summary()["hints"].to_string().contains("1 pages of the run"), "{}", outcome.stdout);
}

#[test]
fn altered_or_missing_body_fails_its_page_and_no_other() {
    let site = Folder::with_pages(&[
        ("a.json", "[{\"id\":1}]"),
        ("b.json", "[{\"id\":2}]"),
        ("c.json", "[{\"id\":3}]"),
    ]);
    let kept = Folder::new();
    keep(&site, &kept, "", 0);
    let object_of = |line: usize| {
        let sha256 = pages(&kept)[line]["sha256"].as_str().unwrap().to_owned();
        kept.path(&format!("raw/objects/{}/{sha256}", &sha256[..2]))
    };
    fs::write(object_of(0), "[{\"id\":7}]").unwrap();
    fs::remove_file(object_of(1)).unwrap();
    let (output, outcome) = replay(&kept, "", 3);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(3)]);
    let failures = outcome.summary()["failures"].clone();
    for (place, words) in [(0, "was altered"), (1, "can't be read")] {
        let reason = failures[place]["reason"].as_str().unwrap();
        assert!(reason.contains(words) && reason.contains("objects/"), "{reason}");
        assert_eq!(failures[place]["line"], place + 1);
    }
    // The next run mends it.
    let (file, _) = keep(&site, &kept, "", 0);
    assert!(replay(&kept, "", 0).0.read("out.parquet") == file);
}

#[test]
fn broken_body_is_not_kept_and_a_damaged_one_that_came_whole_is() {
    let site = site();
    let damaged = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0xff; 200_000]].concat();
    site.write("damaged.json.gz", &damaged);
    let server = Server::over(site.root());
    let (input, kept) = (Folder::new(), Folder::new());
    server.list(
        &input,
        &[
            "a.json",
            "large.ndjson?cut=100000",
            "a.json?status=404",
            "damaged.json.gz",
            "b.ndjson?cut=9&chunked=1",
        ],
    );
    let (_, first) = keep(&input, &kept, "--retry 1", 3);
    assert_eq!(first.count("/pages/failed"), 4);
    let lines: Vec<_> = pages(&kept).iter().map(|page| page["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 4]);
    let names: Vec<_> =
        fs::read_dir(kept.path("raw")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "an index, and objects: {names:?}");
    assert!(objects(&kept).iter().any(|object| fs::read(object).unwrap() == damaged));
    let (_, outcome) = replay(&kept, "", 3);
    assert_eq!((outcome.count("/pages/listed"), outcome.count("/pages/failed")), (2, 1));
    let failure = outcome.summary()["failures"][0]["reason"].as_str().unwrap().to_owned();
    assert!(failure.contains("the gzip stream is damaged"), "{failure}");
    assert!(outcome.summary()["hints"].to_string().contains("3 pages of the run"), "{}", outcome.stdout);
}

#[test]
fn only_the_owner_may_read_and_no_secret_of_a_url_is_there() {
    let site = site();
    let server = Server::over(site.root());
    let host = server.origin.strip_prefix("http://").unwrap();
    let (input, kept) = (Folder::new(), Folder::new());
    let mut list =
        format!("http://me:hunter2@{host}/a.json\nhttp://{host}/b.ndjson?token=hunter2&day=monday\n");
    list.push_str(&format!("http://{host}/a.json?redirect=/b.ndjson%3Ftoken%3Dhunter2&mine=hunter2\n"));
    list.push_str(&format!("http://{host}/large.ndjson?pages=2&key=hunter2\n"));
    input.write("urls.txt", list);
    keep(&input, &kept, "--paginate link --redact mine --redact redirect", 3);
    let (files, folders) = tree(&kept.path("raw"));
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(files.len() > 3 && files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    assert!(folders.len() > 3 && folders.iter().all(|folder| mode(folder) == 0o700), "{folders:?}");
    for file in &files {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        assert!(!text.contains("hunter"), "{}: {text}", file.display());
    }
    let index = String::from_utf8(kept.read("raw/index.ndjson")).unwrap();
    for shown in ["day=monday", "pages=2&key=***&page=2", "redirect=***&mine=***"] {
        assert!(index.contains(shown), "{shown}: {index}");
    }
    let (output, _) = replay(&kept, "--provenance", 3);
    let urls = Table::read(&output.path("out.parquet")).column("_etl_url");
    assert_eq!(urls[0], json!(format!("http://***@{host}/a.json")));
}

#[test]
fn later_run_is_added_and_the_last_complete_one_is_replayed() {
    let (site, kept) = (Folder::with_pages(&[("a.json", "[{\"id\":1}]")]), Folder::new());
    keep(&site, &kept, "", 0);
    let first_lines = kept.json_lines("raw/index.ndjson").len();
    site.write("a.json", "[{\"id\":2}]");
    let (file, _) = keep(&site, &kept, "", 0);
    assert_eq!(kept.json_lines("raw/index.ndjson").len(), 2 * first_lines);
    assert_eq!(objects(&kept).len(), 2);
    assert!(replay(&kept, "", 0).0.read("out.parquet") == file);
    // One that is stopped does not take its place.
    let gate = Gate::new();
    site.write("urls.txt", format!("a.json\n{}/slow.json\n", gate.origin));
    let run = Etl::between(&site, &kept).arg("--keep-raw").arg(kept.path("raw")).arg("--json").start();
    let mut held = gate.arrival();
    held.begin("[{\"id\":3}");
    run.end_by("TERM").0.exits(143);
    let names: Vec<_> =
        fs::read_dir(kept.path("raw")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing half-written is left: {names:?}");
    let (output, outcome) = replay(&kept, "", 0);
    assert!(output.read("out.parquet") == file);
    assert!(outcome.summary()["hints"].to_string().contains("did not come to its end"), "{}", outcome.stdout);
}

#[test]
fn what_a_stopped_first_run_had_kept_is_replayed_and_said_to_be_a_part() {
    let (gate, kept) = (Gate::new(), Folder::new());
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]"), ("b.json", "[{\"id\":2}]")]);
    site.write("urls.txt", format!("a.json\nb.json\n{}/slow.json\n", gate.origin));
    let run = Etl::between(&site, &kept).arg("--keep-raw").arg(kept.path("raw")).start();
    let held = gate.arrival();
    while fs::read_to_string(kept.path("raw/index.ndjson")).unwrap().lines().count() < 3 {
        std::thread::yield_now();
    }
    run.end_by("KILL");
    drop(held);
    let (output, outcome) = replay(&kept, "", 0);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1), json!(2)]);
    assert!(outcome.summary()["hints"].to_string().contains("did not come to its end"), "{}", outcome.stdout);
}

#[test]
fn run_that_breaks_its_contract_has_kept_its_pages() {
    let (site, kept) = (Folder::with_pages(&[("a.json", "[{\"id\":1},7]")]), Folder::new());
    Etl::between(&site, &kept).arg("--keep-raw").arg(kept.path("raw")).with("--strict").run().exits(4);
    let (output, _) = replay(&kept, "", 3);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1)]);
}

#[test]
fn second_run_on_one_folder_exits_75_and_one_that_can_not_be_written_6() {
    let (gate, kept) = (Gate::new(), Folder::new());
    let site = Folder::new();
    site.write("urls.txt", format!("{}/a.json\n", gate.origin));
    let other = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let first = Etl::between(&site, &kept).arg("--keep-raw").arg(kept.path("raw")).start();
    let held = gate.arrival();
    let second = Folder::new();
    let outcome =
        Etl::between(&other, &second).arg("--keep-raw").arg(kept.path("raw")).run_as_typed().exits(75);
    assert!(outcome.stderr.contains("--keep-raw"), "{}", outcome.stderr);
    held.answer("[{\"id\":2}]");
    assert_eq!(first.finish().code, 0);

    let full = Folder::new();
    full.write("raw/objects", "no folder");
    let outcome = Etl::between(&other, &second).arg("--keep-raw").arg(full.path("raw")).run().exits(6);
    assert!(outcome.stderr.contains("objects"), "{}", outcome.stderr);
    assert_eq!(second.names(), Vec::<String>::new());
}

#[test]
fn command_lines_that_contradict_themselves_are_refused() {
    let site = Folder::with_pages(&[("a.json", "[{\"id\":1}]")]);
    let kept = Folder::new();
    keep(&site, &kept, "", 0);
    let raw = kept.path("raw");
    let out = kept.path("other.parquet");
    let refused = |run: Etl| {
        let outcome = run.run_as_typed().exits(2);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        assert!(!out.exists());
        outcome.stderr
    };
    let replaying = |raw: &Path| Etl::bare().arg("--replay").arg(raw).arg("--out").arg(&out);
    refused(replaying(&raw).arg("--urls").arg(site.path("urls.txt")));
    refused(replaying(&raw).arg("http://127.0.0.1:1/"));
    refused(replaying(&raw).arg("--keep-raw").arg(kept.path("more")));
    for folder in [site.root(), &kept.path("none"), &site.path("a.json")] {
        assert!(refused(replaying(folder)).contains("--replay"), "{}", folder.display());
    }
    for wrong in [site.path("a.json"), kept.path("none/raw")] {
        let said = refused(Etl::new(&site.path("urls.txt"), &out).arg("--keep-raw").arg(&wrong));
        assert!(said.contains("--keep-raw"), "{said}");
    }
    let index = raw.join("index.ndjson");
    let before = fs::read(&index).unwrap();
    let onto = Etl::bare().arg("--replay").arg(&raw).arg("--out").arg(&index).run_as_typed().exits(2);
    assert!(onto.stderr.contains("would be replaced"), "{}", onto.stderr);
    assert_eq!(fs::read(&index).unwrap(), before);
}

#[test]
fn schema_is_read_from_raw_bodies_too_and_the_summary_tells_of_them() {
    let (site, kept) = (Folder::with_pages(&[("a.json", "[{\"id\":1}]")]), Folder::new());
    let typed = Etl::between(&site, &kept).arg("--keep-raw").arg(kept.path("raw")).run_as_typed().exits(0);
    let raw = kept.path("raw").display().to_string();
    assert!(typed.stderr.contains(&format!("raw      1 pages, 10 B, in {raw}")), "{}", typed.stderr);
    let run = Etl::bare().with("schema --replay").arg(&raw).run_as_typed();
    assert!(run.code == 0 && run.stdout.contains("name = \"id\""), "{}", run.stdout);
    let out = kept.path("again.parquet");
    let typed = Etl::bare().arg("--replay").arg(&raw).arg("--out").arg(out).run_as_typed().exits(0);
    assert!(typed.stderr.contains("replay   1 pages of run"), "{}", typed.stderr);
}

#[test]
fn keeping_takes_no_more_memory_than_is_allowed() {
    let site = Folder::new();
    let text = "x".repeat(1 << 10);
    for page in 0..64 {
        let lines = (0..1_000).map(|id| format!("{{\"id\":{},\"text\":\"{text}\"}}\n", page * 1_000 + id));
        site.write(&format!("{page}.ndjson"), lines.collect::<String>());
    }
    let server = Server::over(site.root());
    let (input, kept) = (Folder::new(), Folder::new());
    server.list(&input, &["{0..63}.ndjson"]);
    let options = "--memory 64MiB -j 64";
    let (file, outcome) = keep(&input, &kept, options, 0);
    let (output, again) = replay(&kept, options, 0);
    assert!(output.read("out.parquet") == file);
    for peak in [outcome, again].map(|outcome| outcome.count("/peak_rss_bytes")) {
        assert!(peak < 128 << 20, "{peak} bytes");
    }
}
