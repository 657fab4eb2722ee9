//! Runs that are stopped, and the runs that go on with them: the output is that of a run that nobody stopped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::bench::{Etl, Folder, Outcome};
use crate::server::{Api, Gate, Server};
use crate::table::Table;

const OUT: &str = "out.parquet";
const STATE: &str = "out.parquet.etl";
const REJECTS: &str = "out.parquet.rejects.ndjson";
const PAGE_COUNT: u64 = 40;

/// Pages of three records, one of which is none; columns come and widen on the way.
fn site() -> Folder {
    let site = Folder::new();
    for page in 0..PAGE_COUNT {
        let mut lines = String::new();
        for record in 0..3 {
            let id = page * 10 + record;
            let more = match page {
                15.. => format!(",\"late\":[{record},{page}],\"wide\":\"{page}\""),
                _ => format!(",\"wide\":{page}"),
            };
            writeln!(lines, "{{\"id\":{id},\"values\":[{page},{record}.5]{more}}}").unwrap();
        }
        lines.push_str("{\"id\":}\n");
        site.write(&format!("p{page}.ndjson"), lines);
    }
    site
}

/// A server that takes its time, its list, and what a run that nobody stops makes of it.
struct Scene {
    site: Folder,
    server: Server,
    input: Folder,
    expected: Table,
    expected_rejects: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let site = site();
        let server = Server::over(site.root());
        let input = Folder::new();
        let targets: Vec<_> = (0..PAGE_COUNT).map(|page| format!("p{page}.ndjson?latency_ms=25")).collect();
        server.list(&input, &targets);
        let output = Folder::new();
        Etl::between(&input, &output).run().exits(3);
        Self {
            expected: Table::read(&output.path(OUT)),
            expected_rejects: output.read(REJECTS),
            site,
            server,
            input,
        }
    }

    fn run(&self, output: &Folder, options: &str) -> Etl {
        Etl::between(&self.input, output)
            .with("--json -j 2 --checkpoint 20ms --row-group-rows 7")
            .with(options)
    }

    /// Stops a run by a signal after a while; whether it had not ended before.
    fn stop(&self, output: &Folder, after: Duration, signal: &str) -> bool {
        let run = self.run(output, "").start();
        match run.finished_within(after) {
            Some(_) => false,
            None => ![0, 3].contains(&run.end_by(signal).0.code),
        }
    }

    #[track_caller]
    fn check(&self, output: &Folder) {
        assert_eq!(Table::read(&output.path(OUT)), self.expected);
        assert!(output.read(REJECTS) == self.expected_rejects, "rejects in their order");
        assert_eq!(output.names(), [OUT, REJECTS], "nothing is left");
    }

    /// How often each page was asked for, since so many requests.
    fn asked_since(&self, request_count: usize) -> BTreeMap<String, usize> {
        let mut asked = BTreeMap::new();
        for line in &self.server.log()[request_count..] {
            *asked.entry(line["target"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        asked
    }
}

#[test]
fn next_run_goes_on_where_a_signal_stopped_one() {
    let scene = Scene::new();
    for signal in ["TERM", "INT"] {
        let output = Folder::new();
        assert!(scene.stop(&output, Duration::from_millis(300), signal));
        assert_eq!(output.names(), [STATE, REJECTS], "{signal}");
        let before = scene.server.log().len();
        let outcome = scene.run(&output, "").run_as_typed().exits(3);
        let kept_count = outcome.count("/resumed/pages");
        assert!(kept_count > 0, "{}", outcome.stdout);
        let asked_count = scene.asked_since(before).len() as u64;
        assert_eq!(asked_count, PAGE_COUNT - kept_count, "what is done is not asked for again");
        assert_eq!(outcome.count("/pages/fetched"), PAGE_COUNT);
        assert_eq!(outcome.count("/records/rejected"), PAGE_COUNT);
        scene.check(&output);
    }
}

#[test]
fn whatever_moments_a_run_is_killed_at_each_record_is_there_once() {
    let (scene, mut rng) = (Scene::new(), Rng::with_seed(20_261_127));
    let (mut killed_count, mut resumed_count) = (0, 0);
    for _ in 0..8 {
        let output = Folder::new();
        // Recoveries are killed too.
        for _ in 0..rng.u32(1..4) {
            let after = Duration::from_millis(rng.u64(0..700));
            killed_count += u32::from(scene.stop(&output, after, "KILL"));
        }
        let outcome = scene.run(&output, "").run_as_typed().exits(3);
        resumed_count += u32::from(outcome.summary()["resumed"].is_object());
        scene.check(&output);
    }
    assert!(killed_count > 4 && resumed_count > 2, "{killed_count} killed, {resumed_count} gone on with");
}

#[test]
fn what_is_kept_on_the_way_changes_no_byte_of_the_output() {
    let site = site();
    let names: Vec<_> = (0..PAGE_COUNT).map(|page| format!("p{page}.ndjson\n")).collect();
    site.write("urls.txt", names.concat());
    let [undisturbed, kept] = ["", "--checkpoint 1ms"].map(|options| {
        let output = Folder::new();
        Etl::between(&site, &output).with("--row-group-rows 7").with(options).run().exits(3);
        assert_eq!(output.names(), [OUT, REJECTS]);
        output
    });
    assert!(undisturbed.read(OUT) == kept.read(OUT));
    assert!(undisturbed.read(REJECTS) == kept.read(REJECTS));
}

#[test]
fn pages_that_failed_are_asked_for_again_and_leave_no_trace() {
    let site = site();
    let (server, gate, input, output) =
        (Server::over(site.root()), Gate::new(), Folder::new(), Folder::new());
    let targets = ["p1.ndjson", "p2.ndjson?status=404&times=1", "p3.ndjson"];
    server.list(&input, &targets);
    let list = fs::read_to_string(input.path("urls.txt")).unwrap();
    input.write("urls.txt", format!("{list}{}/late.json\n", gate.origin));
    let run = Etl::between(&input, &output).with("--json").start();
    let held = gate.arrival();
    assert!(run.finished_within(Duration::from_millis(500)).is_none());
    run.end_by("TERM").0.exits(143);
    drop(held);
    let run = Etl::between(&input, &output).with("--json").start();
    gate.arrival().answer("[{\"id\":7}]");
    let outcome = run.finish().exits(3);
    assert_eq!(outcome.count("/pages/failed"), 0);
    assert_eq!(outcome.count("/resumed/pages"), 2);
    let ids: Vec<_> =
        Table::read(&output.path(OUT)).column("id").iter().map(|id| id.as_u64().unwrap()).collect();
    assert_eq!(ids, [10, 11, 12, 20, 21, 22, 30, 31, 32, 7]);
    let lines: Vec<_> = output.json_lines(REJECTS).iter().map(|reject| reject["line"].clone()).collect();
    assert_eq!(lines, [1, 2, 3]);
}

/// A folder with what a run had done that was stopped.
fn stopped(scene: &Scene) -> Folder {
    let output = Folder::new();
    assert!(scene.stop(&output, Duration::from_millis(300), "TERM"));
    output
}

#[track_caller]
fn check_afresh(scene: &Scene, outcome: &Outcome, output: &Folder, needle: &str) {
    assert!(outcome.summary()["resumed"].is_null(), "{}", outcome.stdout);
    let hints = outcome.summary()["hints"].to_string();
    assert!(hints.contains(needle), "{needle}: {hints}");
    scene.check(output);
}

#[test]
fn other_list_other_options_and_old_work_begin_anew_and_say_so() {
    let scene = Scene::new();
    let output = stopped(&scene);
    let outcome = scene.run(&output, "--resume-within 1ms").run_as_typed().exits(3);
    check_afresh(&scene, &outcome, &output, "--resume-within");

    let output = stopped(&scene);
    let outcome = scene.run(&output, "--fresh").run_as_typed().exits(3);
    check_afresh(&scene, &outcome, &output, "");

    let output = stopped(&scene);
    let outcome = scene.run(&output, "--row-group-bytes 50MiB").run_as_typed().exits(3);
    check_afresh(&scene, &outcome, &output, "options");

    let output = stopped(&scene);
    let list = fs::read_to_string(scene.input.path("urls.txt")).unwrap();
    let input = Folder::new();
    let mut lines: Vec<_> = list.lines().collect();
    lines.swap(0, 1);
    input.write("urls.txt", lines.join("\n"));
    let outcome = Etl::between(&input, &output).run().exits(3);
    assert!(outcome.summary()["hints"].to_string().contains("the list is another one"), "{}", outcome.stdout);
    assert_eq!(Table::read(&output.path(OUT)).rows.len(), scene.expected.rows.len());
}

#[test]
fn run_that_broke_its_contract_is_not_gone_on_with() {
    let (scene, output) = (Scene::new(), Folder::new());
    scene.run(&output, "--max-rejects 0").run_as_typed().exits(4);
    assert_eq!(output.names(), [REJECTS]);
}

#[test]
fn damage_is_named_and_nothing_is_published() {
    let scene = Scene::new();
    let parts = |output: &Folder| -> Vec<PathBuf> {
        let entries = fs::read_dir(output.path(STATE)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    for (name, is_cut) in
        [("etl-part-", false), ("etl-part-", true), ("etl-rejects-", false), ("ledger.sqlite", false)]
    {
        let output = stopped(&scene);
        let is_it = |path: &PathBuf| {
            let found = path.file_name().unwrap().to_str().unwrap();
            found.starts_with(name) && !found.ends_with("-wal") && !found.ends_with("-shm")
        };
        let path = parts(&output).into_iter().find(is_it).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.truncate(if is_cut { middle } else { bytes.len() });
        fs::write(&path, bytes).unwrap();
        let outcome = scene.run(&output, "").run_as_typed();
        if name == "ledger.sqlite" && outcome.code == 3 {
            // The bit was in a place that says nothing.
            scene.check(&output);
            continue;
        }
        let outcome = outcome.exits(6);
        let error = outcome.summary()["error"].to_string();
        assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
        assert!(error.contains("--fresh"), "{error}");
        assert!(!output.path(OUT).exists());
        scene.run(&output, "--fresh").run_as_typed().exits(3);
        scene.check(&output);
    }
}

#[test]
fn run_stops_at_its_deadline_or_number_of_pages_and_the_next_one_goes_on() {
    let (scene, output) = (Scene::new(), Folder::new());
    let mut codes = Vec::new();
    for _ in 0..20 {
        let outcome = scene.run(&output, "--max-pages-per-run 15").run_as_typed();
        codes.push(outcome.code);
        let outcome = outcome.exits(*codes.last().unwrap());
        if outcome.code != 7 {
            break;
        }
        assert_eq!(outcome.summary()["status"], "interrupted");
        assert!(
            outcome.summary()["error"].as_str().unwrap().contains("pages are done"),
            "{}",
            outcome.stdout
        );
    }
    assert_eq!(codes, [7, 7, 3]);
    scene.check(&output);

    let output = Folder::new();
    let outcome = scene.run(&output, "--deadline 200ms").run_as_typed().exits(7);
    assert!(outcome.count("/pages/left") > 0, "{}", outcome.stdout);
    scene.run(&output, "").run_as_typed().exits(3);
    scene.check(&output);
}

#[test]
fn named_state_stays_and_only_one_run_works_in_it() {
    let (scene, output, state) = (Scene::new(), Folder::new(), Folder::new());
    let options = format!("--state {}", state.path("s").display());
    let run = scene.run(&output, &options).start();
    assert!(run.finished_within(Duration::from_millis(200)).is_none());
    let other = Folder::new();
    let refused = scene.run(&other, &options).run_as_typed();
    assert_eq!(refused.code, 75, "{refused:?}");
    assert!(other.names().is_empty());
    run.end_by("KILL");
    scene.run(&output, &options).run_as_typed().exits(3);
    scene.check(&output);
    assert!(state.path("s/ledger.sqlite").exists());
    // What is complete is not gone on with.
    let before = scene.server.log().len();
    scene.run(&output, &options).run_as_typed().exits(3);
    assert_eq!(scene.asked_since(before).len() as u64, PAGE_COUNT);
    scene.check(&output);
    drop(scene.site);
}

#[test]
fn beginning_anew_on_purpose_leaves_the_history_of_a_named_state() {
    let (scene, output, state) = (Scene::new(), Folder::new(), Folder::new());
    let options = format!("--state {}", state.path("s").display());
    let run = scene.run(&output, &options).start();
    assert!(run.finished_within(Duration::from_millis(300)).is_none());
    run.end_by("TERM").0.exits(143);
    let outcome = scene.run(&output, &format!("{options} --fresh")).run_as_typed().exits(3);
    check_afresh(&scene, &outcome, &output, "");
    let runs = Etl::bare().arg("runs").arg(state.path("s")).arg("--json").run_as_typed();
    let statuses: Vec<_> =
        runs.summary().as_array().unwrap().iter().map(|run| run["status"].clone()).collect();
    assert_eq!(statuses, ["partial", "interrupted"]);
}

#[test]
fn what_was_kept_without_a_name_is_out_of_date_once_a_run_with_one_has_published() {
    let scene = Scene::new();
    let (output, state) = (stopped(&scene), Folder::new());
    let options = format!("--state {}", state.path("s").display());
    let outcome = scene.run(&output, &options).run_as_typed().exits(3);
    check_afresh(&scene, &outcome, &output, "");
}

#[test]
fn run_waits_for_the_lock_as_long_as_it_may() {
    let (scene, output) = (Scene::new(), Folder::new());
    let first = scene.run(&output, "").start();
    assert!(first.finished_within(Duration::from_millis(200)).is_none());
    let second = scene.run(&output, "--lock-wait 20s").start();
    first.finish().exits(3);
    second.finish().exits(3);
    scene.check(&output);
}

/// Chains of pages whose links repeat the key that the list has.
fn chains() -> (Api, Folder) {
    let api = Api::new(|target| {
        thread::sleep(Duration::from_millis(30));
        let number: u64 = target[3..6].parse().unwrap();
        let (chain, page) = (number / 100, number % 100);
        let head = if page < 10 + chain {
            format!("Link: </c/{}?api_key=hunter2&from=%2Fx>; rel=\"next\"\r\n", number + 1)
        } else {
            String::new()
        };
        (head, format!("[{{\"id\":{number}}},{{\"id\":{number},\"page\":{page}}},3]"))
    });
    let site = api.site(&["/c/101?api_key=hunter2", "/c/201?api_key=hunter2", "/c/301?api_key=hunter2"]);
    (api, site)
}

#[test]
fn chains_are_gone_on_with_where_they_were_and_no_secret_is_kept() {
    let (api, site) = chains();
    let undisturbed = Folder::new();
    let run = |output: &Folder| Etl::between(&site, output).with("--json --paginate link --checkpoint 15ms");
    run(&undisturbed).run_as_typed().exits(3);
    let (expected, expected_rejects) = (Table::read(&undisturbed.path(OUT)), undisturbed.read(REJECTS));
    assert_eq!(expected.rows.len(), 2 * (11 + 12 + 13));
    let mut rng = Rng::with_seed(5);
    let mut resumed_count = 0;
    for round in 0..6 {
        let output = Folder::new();
        for _ in 0..1 + round % 3 {
            let first = run(&output).start();
            if first.finished_within(Duration::from_millis(rng.u64(150..450))).is_none() {
                first.end_by(if round % 2 == 0 { "KILL" } else { "TERM" });
            }
            if output.path(STATE).is_dir() {
                for entry in fs::read_dir(output.path(STATE)).unwrap() {
                    let bytes = fs::read(entry.unwrap().path()).unwrap();
                    assert!(!bytes.windows(7).any(|bytes| bytes == b"hunter2"), "no secret is kept");
                }
            }
        }
        let before = api.asked().len();
        let outcome = run(&output).run_as_typed().exits(3);
        let summary = outcome.summary();
        if let Some(pages) = summary["resumed"]["pages"].as_u64() {
            resumed_count += 1;
            assert_eq!(
                api.asked().len() - before,
                36 - pages as usize,
                "what is done is not asked for again"
            );
        }
        assert_eq!(outcome.count("/pages/listed"), 36);
        assert_eq!(outcome.count("/pages/fetched"), 36);
        assert_eq!(Table::read(&output.path(OUT)), expected);
        assert!(output.read(REJECTS) == expected_rejects, "rejects in their order");
        assert_eq!(output.names(), [OUT, REJECTS]);
    }
    assert!(resumed_count > 2, "{resumed_count} runs were gone on with");
}

#[test]
fn pages_that_fail_each_time_do_not_use_up_the_pages_of_a_run() {
    let site = site();
    let (server, input, output) = (Server::over(site.root()), Folder::new(), Folder::new());
    let targets = ["no1.json", "no2.json", "no3.json", "p1.ndjson", "p2.ndjson", "p3.ndjson"];
    server.list(&input, &targets);
    let run = || Etl::between(&input, &output).with("--json --max-pages-per-run 2").run_as_typed();
    assert_eq!(run().exits(7).count("/pages/fetched"), 2);
    assert_eq!(run().exits(3).count("/pages/fetched"), 3);
    assert_eq!(Table::read(&output.path(OUT)).rows.len(), 9);
}

#[test]
fn other_headers_of_the_list_begin_anew() {
    let (api, _) = chains();
    let (input, output) = (Folder::new(), Folder::new());
    let list = |secret: &str| {
        let lines = (1..5).map(|chain| {
            let url = format!("{}/c/{chain}99", api.origin);
            format!("{{\"url\":\"{url}\",\"headers\":{{\"Authorization\":\"{secret}\"}}}}\n")
        });
        input.write("urls.txt", lines.collect::<String>());
    };
    list("one");
    Etl::between(&input, &output).with("--json --max-pages-per-run 2").run_as_typed().exits(7);
    list("two");
    let outcome = Etl::between(&input, &output).run().exits(3);
    assert!(outcome.summary()["resumed"].is_null(), "{}", outcome.stdout);
    assert_eq!(Table::read(&output.path(OUT)).rows.len(), 8);
}

#[test]
fn chain_whose_data_has_shifted_is_not_gone_on_with_in_silence() {
    let has_shifted = Arc::new(AtomicBool::new(false));
    let shifted = Arc::clone(&has_shifted);
    // Newest first: once there are two records more, a page holds what the one before it held.
    let api = Api::new(move |target| {
        let offset: u64 = target.split("offset=").nth(1).map_or(0, |text| text.parse().unwrap());
        let first = if shifted.load(Ordering::Relaxed) { offset.saturating_sub(2) } else { offset };
        let records: Vec<_> = (first..first + 2).map(|id| format!("{{\"id\":{id}}}")).collect();
        let records = if first < 12 { records.join(",") } else { String::new() };
        ("Content-Type: application/json\r\n".to_owned(), format!("[{records}]"))
    });
    let (site, output) = (api.site(&["/log"]), Folder::new());
    let run = |options: &str| {
        let paginated = Etl::between(&site, &output).with("--paginate offset --page-size 2");
        paginated.with(options).run()
    };
    run("--max-pages-per-run 3").exits(7);
    has_shifted.store(true, Ordering::Relaxed);
    let outcome = run("").exits(3);
    let failure = outcome.summary()["failures"][0]["reason"].to_string();
    assert!(failure.contains("its data has shifted since") && failure.contains("--fresh"), "{failure}");
}
