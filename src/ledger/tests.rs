//! What the ledger promises while its file is as it was written; `damage_tests` has the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::database::companion;
use super::*;
use crate::error::ErrorKind;
use crate::model::Place;
use crate::report::Status;

pub(super) const DB: &str = schema::FILE;

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn open(folder: &TempDir) -> Ledger {
    Ledger::open(folder.path()).unwrap()
}

pub(super) fn log_of(folder: &TempDir) -> PathBuf {
    companion(&folder.path().join(DB), "-wal")
}

pub(super) fn start(run_id: &str) -> RunStart {
    RunStart {
        run_id: run_id.to_owned(),
        started_at: format!("2026-01-31T00:00:00.000Z of {run_id}"),
        version: "0.1.0".to_owned(),
        list_sha256: "a".repeat(64),
        options_sha256: "b".repeat(64),
    }
}

pub(super) fn end(status: Status) -> RunEnd {
    RunEnd {
        ended_at: "2026-01-31T01:00:00.000Z".to_owned(),
        status,
        exit_code: 3,
        summary_json: "{\"status\":\"\u{e9}\"}".to_owned(),
    }
}

pub(super) fn key_of(ordinal: u64) -> UrlKey {
    u128::from(ordinal).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_le_bytes()
}

/// A page as its caller tells it; a known one is also told its state and part.
pub(super) fn page(ordinal: u64) -> PageRow {
    PageRow {
        place: Place { page: 1, ordinal },
        line: ordinal + 1,
        url_key: key_of(ordinal),
        url: format!("http://h/{ordinal}?token=***"),
        state: PageState::Staged,
        part: None,
        attempts: 1,
        http_status: Some(200),
        body_bytes: 1_000 + ordinal,
        record_count: 10,
        reject_count: ordinal % 3,
        etag: Some(format!("\"{ordinal}\"")),
        last_modified: None,
        content_sha256: Some([ordinal as u8; 32]),
        error: None,
        chain: None,
    }
}

pub(super) fn pages(ordinals: std::ops::Range<u64>) -> Vec<PageRow> {
    ordinals.map(page).collect()
}

pub(super) fn part(id: u64) -> PartRow {
    PartRow {
        id,
        file: Some(PartFile { name: format!("part-{id}"), bytes: 4_000 + id, checksum: u64::MAX - id }),
        row_count: 10 * id,
        rejects: None,
        meta: format!("{{\"id\":{id}}}").into_bytes(),
    }
}

pub(super) fn done(page: PageRow, part: u64) -> PageRow {
    PageRow { state: PageState::Done, part: Some(part), ..page }
}

pub(super) fn all(rows: Rows<'_, PageRow>) -> Vec<PageRow> {
    rows.map(Result::unwrap).collect()
}

pub(super) fn all_parts(ledger: &Ledger) -> Vec<PartRow> {
    ledger.parts().map(Result::unwrap).collect()
}

pub(super) fn ordinals(rows: Rows<'_, PageRow>) -> Vec<u64> {
    rows.map(|page| page.unwrap().place.ordinal).collect()
}

pub(super) fn is_defect<T: std::fmt::Debug>(result: Result<T>) -> bool {
    result
        .is_err_and(|error| error.kind() == ErrorKind::Failed && error.one_line().contains("a defect in etl"))
}

#[test]
fn all_that_is_told_is_told_again() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    let full = PageRow {
        place: Place { page: u32::MAX, ordinal: i64::MAX as u64 },
        line: i64::MAX as u64,
        url: "http://h/\u{1F980}?x=\0".to_owned(),
        attempts: u32::MAX,
        http_status: Some(u16::MAX),
        last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        error: Some("expected\none line".to_owned()),
        chain: Some(vec![0, 255, 0]),
        ..page(1)
    };
    let bare =
        PageRow { http_status: None, etag: None, content_sha256: None, chain: Some(vec![]), ..page(2) };
    let rejects = Some(PartFile { name: "rejects-7".to_owned(), bytes: 9, checksum: 9 });
    let first = PartRow { rejects, ..part(7) };
    // Pages without rows need no file.
    let second = PartRow { id: i64::MAX as u64, file: None, row_count: 0, rejects: None, meta: vec![] };
    ledger.commit_parts(std::slice::from_ref(&first), &[full.clone(), bare.clone()]).unwrap();
    ledger.commit_parts(std::slice::from_ref(&second), &[]).unwrap();
    let failed = PageRow { error: Some("503".to_owned()), ..page(3) };
    ledger.record_failed(std::slice::from_ref(&failed)).unwrap();
    for state in [PageState::Pending, PageState::Fetching, PageState::Staged] {
        let ordinal = 10 + state as u64;
        ledger.record_unfinished(&[PageRow { state, ..page(ordinal) }]).unwrap();
    }

    let check = |ledger: &Ledger| {
        assert_eq!(all(ledger.done_pages()), [done(bare.clone(), 7), done(full.clone(), 7)]);
        let failed = PageRow { state: PageState::Failed, ..failed.clone() };
        assert_eq!(all(ledger.failed_pages("r1").unwrap()), [failed]);
        assert_eq!(all_parts(ledger), [first.clone(), second.clone()]);
        let states = ledger.page_states().unwrap();
        let of = |ordinal| states.of(&key_of(ordinal));
        assert_eq!([1, 2].map(of), [Some(PageState::Done); 2]);
        assert_eq!(of(3), Some(PageState::Failed));
        for state in [PageState::Pending, PageState::Fetching, PageState::Staged] {
            assert_eq!(of(10 + state as u64), Some(state));
        }
        assert_eq!((of(4), states.len()), (None, 6));
        let run =
            RunRow { start: start("r1"), resumes: None, work_started_at: start("r1").started_at, end: None };
        assert_eq!(ledger.runs().unwrap(), [run]);
    };
    check(&ledger);
    drop(ledger);
    check(&open(&folder));
}

#[test]
fn pages_come_in_the_order_of_their_places_whatever_the_order_they_were_told_in() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    let mut expected = Vec::new();
    for (id, number) in [3, 1, 2].into_iter().enumerate() {
        let mut pages: Vec<_> = (0..300).rev().map(page).collect();
        for (index, page) in pages.iter_mut().enumerate() {
            page.place.page = number;
            page.url_key = key_of(u64::from(number) * 1_000 + index as u64);
            expected.push(page.place);
        }
        ledger.commit_parts(&[part(id as u64)], &pages).unwrap();
    }
    expected.sort();
    let places: Vec<_> = all(ledger.done_pages()).into_iter().map(|page| page.place).collect();
    assert_eq!(places, expected);
    let ids: Vec<_> = all_parts(&ledger).into_iter().map(|part| part.id).collect();
    assert_eq!(ids, [0, 1, 2]);
}

#[test]
fn part_is_known_with_all_of_its_pages_or_not_at_all() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..10)).unwrap();
    // The last page of the second part is done already, so that its rows would be doubled.
    let mut second = pages(10..20);
    second.push(page(3));
    assert!(is_defect(ledger.commit_parts(&[part(2)], &second)));
    let check = |ledger: &Ledger| {
        assert_eq!(ordinals(ledger.done_pages()), (0..10).collect::<Vec<_>>());
        assert_eq!(all_parts(ledger), [part(1)]);
    };
    check(&ledger);
    drop(ledger);
    check(&open(&folder));
    for twice in [part(1), PartRow { file: None, ..part(1) }] {
        let mut ledger = open(&folder);
        let run_id = ledger.unfinished_run().unwrap().start.run_id.clone();
        ledger.resume_run(&run_id, start(&format!("{run_id}+"))).unwrap();
        ledger.commit_parts(&[twice], &pages(20..21)).unwrap_err();
    }
    assert_eq!(all_parts(&open(&folder)), [part(1)]);
}

#[test]
fn transaction_that_a_kill_cuts_leaves_nothing() {
    let (folder, image) = (folder(), self::folder());
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..10)).unwrap();
    let log_bytes = fs::metadata(log_of(&folder)).unwrap().len();
    ledger
        .write(|changes| {
            changes.add_part(1, &part(2))?;
            changes.put_pages(1, &pages(10..20_000), Some(2), |_| PageState::Done)?;
            // What a kill would leave. Not all of it fits the cache, so that some stands in the log.
            assert!(fs::metadata(log_of(&folder)).unwrap().len() > log_bytes + 100_000);
            fs::copy(folder.path().join(DB), image.path().join(DB)).unwrap();
            fs::copy(log_of(&folder), log_of(&image)).unwrap();
            Ok(())
        })
        .unwrap();
    let cut = open(&image);
    assert_eq!(all(cut.done_pages()), pages(0..10).into_iter().map(|page| done(page, 1)).collect::<Vec<_>>());
    assert_eq!(all_parts(&cut), [part(1)]);
    assert_eq!(ledger.page_states().unwrap().len(), 20_000);
}

#[test]
fn log_of_a_killed_process_is_read_and_brought_into_the_file() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..100)).unwrap();
    drop(ledger);
    assert!(fs::metadata(log_of(&folder)).unwrap().len() > 10_000);
    let ledger = open(&folder);
    assert_eq!(ledger.page_states().unwrap().len(), 100);
    assert_eq!(fs::metadata(log_of(&folder)).unwrap().len(), 0);
    ledger.close().unwrap();
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [DB]);
    assert_eq!(open(&folder).page_states().unwrap().len(), 100);
}

#[test]
fn ledger_may_move_to_a_thread_that_waits_for_the_disk() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    let commit = std::thread::spawn(move || ledger.commit_parts(&[part(1)], &pages(0..1)).map(|()| ledger));
    assert_eq!(all(commit.join().unwrap().unwrap().done_pages()), [done(page(0), 1)]);
}

#[test]
fn log_does_not_grow_with_the_run() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    let mut longest = 0;
    for id in 0..30 {
        ledger.commit_parts(&[part(id)], &pages(id * 2_000..(id + 1) * 2_000)).unwrap();
        longest = longest.max(fs::metadata(log_of(&folder)).unwrap().len());
    }
    let file_bytes = fs::metadata(folder.path().join(DB)).unwrap().len();
    assert!(longest < 5 << 20 && file_bytes > longest, "{longest} {file_bytes}");
}

#[test]
fn only_the_owner_may_read_it() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    for path in [folder.path().join(DB), log_of(&folder)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn ledger_that_is_in_use_is_locked() {
    let folder = folder();
    let first = open(&folder);
    assert_eq!(Ledger::open(folder.path()).unwrap_err().kind(), ErrorKind::Locked);
    drop(first);
    // A shell that only looks.
    let path = folder.path().join(DB);
    let shell = Database::open(&path, Duration::ZERO).unwrap();
    shell.run("PRAGMA locking_mode = NORMAL; BEGIN; SELECT * FROM runs");
    let error = Ledger::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.one_line().contains(&path.display().to_string()), "{}", error.one_line());
    drop(shell);
    open(&folder);
}

#[test]
fn full_disk_is_told_and_nothing_is_written_after_it() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..10)).unwrap();
    ledger.database.run("PRAGMA max_page_count = 20");
    let error = ledger.commit_parts(&[part(2)], &pages(10..2_000)).unwrap_err();
    let path = folder.path().join(DB);
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(
        error.one_line(),
        format!("could not write {}: Error code 13: database or disk is full", path.display())
    );

    // There is room again, but what became of the failed write is not known.
    ledger.database.run("PRAGMA max_page_count = 100000");
    let refused = [
        ledger.commit_parts(&[part(2)], &pages(10..11)),
        ledger.record_failed(&pages(10..11)),
        ledger.record_unfinished(&pages(10..11)),
        ledger.end_run(end(Status::Ok)).map(drop),
        ledger.start_afresh().map(drop),
    ];
    for result in refused {
        let error = result.unwrap_err();
        let expected =
            format!("nothing more is written to {}: an earlier write to it failed", path.display());
        assert_eq!((error.kind(), error.one_line()), (ErrorKind::Storage, expected));
    }
    assert_eq!(ordinals(ledger.done_pages()), (0..10).collect::<Vec<_>>());
    ledger.close().unwrap();

    let mut ledger = open(&folder);
    assert_eq!(ordinals(ledger.done_pages()), (0..10).collect::<Vec<_>>());
    assert_eq!(all_parts(&ledger), [part(1)]);
    ledger.resume_run("r1", start("r2")).unwrap();
    ledger.commit_parts(&[part(2)], &pages(10..2_000)).unwrap();
}

#[test]
fn panic_on_the_way_is_a_failed_write() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    let broken = PageRow { line: u64::MAX, ..page(1) };
    let commit = std::panic::AssertUnwindSafe(|| ledger.commit_parts(&[part(1)], &[page(0), broken]));
    std::panic::catch_unwind(commit).unwrap_err();
    assert_eq!(ledger.commit_parts(&[part(1)], &[page(0)]).unwrap_err().kind(), ErrorKind::Storage);
    drop(ledger);
    let ledger = open(&folder);
    assert!(ledger.page_states().unwrap().is_empty());
    assert_eq!(all_parts(&ledger), []);
}

#[test]
fn folder_that_holds_no_files_is_named() {
    for folder in ["/proc/self", "/nonexistent"] {
        let error = Ledger::open(std::path::Path::new(folder)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
        let line = error.one_line();
        assert!(line.starts_with(&format!("could not create {folder}/{DB}")), "{line}");
    }
}

#[test]
fn file_that_may_only_be_read_is_named() {
    let folder = folder();
    open(&folder).close().unwrap();
    let path = folder.path().join(DB);
    // The version of the format that is needed to write: a later one than there is. It holds for root too.
    let mut bytes = fs::read(&path).unwrap();
    bytes[18] = 3;
    fs::write(&path, bytes).unwrap();
    let error = Ledger::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.one_line().starts_with(&format!("could not write to {}", path.display())));
}

#[test]
fn unfinished_run_is_taken_up_by_the_next_one_and_by_that_after_it() {
    let folder = folder();
    let mut ledger = open(&folder);
    assert_eq!(ledger.unfinished_run(), None);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..3)).unwrap();
    drop(ledger);

    let mut ledger = open(&folder);
    assert_eq!(ledger.unfinished_run().unwrap().start, start("r1"));
    ledger.resume_run("r1", start("r2")).unwrap();
    ledger.record_failed(&pages(3..5)).unwrap();
    assert_eq!(ledger.end_run(end(Status::Interrupted)).unwrap(), Vec::<String>::new());
    assert!(is_defect(ledger.commit_parts(&[part(2)], &[])));
    drop(ledger);

    let mut ledger = open(&folder);
    let unfinished = ledger.unfinished_run().unwrap();
    assert_eq!(unfinished.end, Some(end(Status::Interrupted)));
    assert_eq!(unfinished.resumes.as_deref(), Some("r1"));
    assert_eq!(unfinished.work_started_at, start("r1").started_at);
    ledger.resume_run("r2", start("r3")).unwrap();
    // A page that failed yesterday may be done today.
    ledger.commit_parts(&[part(2)], &pages(4..6)).unwrap();
    assert_eq!(ordinals(ledger.done_pages()), [0, 1, 2, 4, 5]);
    assert_eq!(ordinals(ledger.failed_pages("r1").unwrap()), [3]);
    assert_eq!(ledger.end_run(end(Status::Partial)).unwrap(), ["part-1", "part-2"]);
    drop(ledger);

    let ledger = open(&folder);
    assert_eq!(ledger.unfinished_run(), None);
    assert_eq!(ordinals(ledger.done_pages()), [] as [u64; 0]);
    assert_eq!(all_parts(&ledger), []);
    assert_eq!(ordinals(ledger.published_pages()), [0, 1, 2, 4, 5]);
    assert_eq!(ordinals(ledger.failed_pages("r3").unwrap()), [3]);
    assert_eq!(ordinals(ledger.failed_pages("r9").unwrap()), [] as [u64; 0]);
    let runs: Vec<_> = ledger.runs().unwrap().into_iter().map(|run| run.start.run_id).collect();
    assert_eq!(runs, ["r3", "r2", "r1"]);
}

#[test]
fn afresh_means_that_nothing_is_done_and_that_the_run_stays_as_history() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("old")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..3)).unwrap();
    ledger.end_run(end(Status::Ok)).unwrap();
    ledger.begin_run(start("r1")).unwrap();
    let rejects = Some(PartFile { name: "rejects-1".to_owned(), bytes: 9, checksum: 9 });
    ledger.commit_parts(&[PartRow { rejects, ..part(1) }], &pages(0..2_500)).unwrap();
    ledger.record_failed(&pages(2_500..2_600)).unwrap();
    drop(ledger);

    let mut ledger = open(&folder);
    assert_eq!(ledger.start_afresh().unwrap(), ["part-1", "rejects-1"]);
    assert!(ledger.page_states().unwrap().is_empty());
    ledger.begin_run(start("r2")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(1..2)).unwrap();
    drop(ledger);

    let ledger = open(&folder);
    assert_eq!(ordinals(ledger.done_pages()), [1]);
    assert_eq!(ordinals(ledger.published_pages()), [0, 1, 2]);
    let runs: Vec<_> = ledger.runs().unwrap().into_iter().map(|run| run.start.run_id).collect();
    assert_eq!(runs, ["r2", "r1", "old"]);
}

#[test]
fn complete_run_takes_the_place_of_older_pages_but_keeps_validators_of_what_it_lacks() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..4)).unwrap();
    ledger.record_failed(&pages(4..6)).unwrap();
    ledger.end_run(end(Status::Partial)).unwrap();

    // 0: done again; 1: failed; 2: not asked for; 3: at another place; 4: done now; 5: failed again.
    ledger.begin_run(start("r2")).unwrap();
    let newer = |ordinal| PageRow { etag: Some("newer".to_owned()), ..page(ordinal) };
    let moved = PageRow { place: Place { page: 1, ordinal: 90 }, ..newer(3) };
    ledger.commit_parts(&[part(1)], &[newer(0), moved, newer(4)]).unwrap();
    ledger.record_failed(&[newer(1), newer(5)]).unwrap();
    // As long as it is not complete, nothing is replaced.
    assert_eq!(ordinals(ledger.published_pages()), [0, 1, 2, 3]);
    ledger.end_run(end(Status::Partial)).unwrap();
    drop(ledger);

    let ledger = open(&folder);
    let published: Vec<_> = all(ledger.published_pages())
        .into_iter()
        .map(|page| (page.url_key, page.etag.as_deref() == Some("newer")))
        .collect();
    let expected = [(1, false), (2, false), (0, true), (4, true), (3, true)];
    assert_eq!(published, expected.map(|(ordinal, is_newer)| (key_of(ordinal), is_newer)));
    assert_eq!(ordinals(ledger.failed_pages("r1").unwrap()), [] as [u64; 0]);
    assert_eq!(ordinals(ledger.failed_pages("r2").unwrap()), [1, 5]);
}

#[test]
fn run_that_publishes_nothing_takes_no_place() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..4)).unwrap();
    ledger.end_run(end(Status::Ok)).unwrap();
    ledger.begin_run(start("r2")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..4)).unwrap();
    ledger.end_run(end(Status::Failed)).unwrap();
    assert_eq!(ordinals(ledger.published_pages()), [0, 1, 2, 3]);
    assert_eq!(all_parts(&ledger), [part(1)]);
    assert!(ledger.unfinished_run().is_some());
}

#[test]
fn ledger_of_a_cron_job_does_not_grow_for_ever() {
    let folder = folder();
    let mut ledger = open(&folder);
    // One run is taken up so often that it is older than all that are kept.
    ledger.begin_run(start("first")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..1)).unwrap();
    let mut last = "first".to_owned();
    for number in 0..RUNS_KEPT + 20 {
        let next = format!("again {number}");
        ledger.resume_run(&last, start(&next)).unwrap();
        last = next;
    }
    assert_eq!(ordinals(ledger.done_pages()), [0]);
    let runs: Vec<_> = ledger.runs().unwrap().into_iter().map(|run| run.start.run_id).collect();
    assert_eq!(runs.len(), RUNS_KEPT + 1);
    assert_eq!((runs[0].as_str(), runs[RUNS_KEPT].as_str()), (last.as_str(), "first"));
    ledger.end_run(end(Status::Ok)).unwrap();

    // Each run has other URLs, as with the date in them.
    for number in 0..2 * RUNS_KEPT as u64 {
        ledger.begin_run(start(&format!("day {number}"))).unwrap();
        ledger.commit_parts(&[part(1)], &pages(number + 1..number + 2)).unwrap();
        ledger.end_run(end(Status::Ok)).unwrap();
    }
    drop(ledger);
    let ledger = open(&folder);
    assert_eq!(ledger.runs().unwrap().len(), RUNS_KEPT);
    assert_eq!(ordinals(ledger.published_pages()), (101..=200).collect::<Vec<_>>());
}

#[test]
fn page_with_a_url_that_another_has_is_not_taken_for_done() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    let twin = |ordinal| PageRow { url_key: key_of(1), ..page(ordinal) };
    ledger.record_failed(&[twin(5)]).unwrap();
    ledger.commit_parts(&[part(1)], &[twin(4), twin(6)]).unwrap();
    assert_eq!(ledger.page_states().unwrap().of(&key_of(1)), Some(PageState::Failed));
}

#[test]
fn caller_that_breaks_the_order_of_calls_is_told() {
    let folder = folder();
    let mut ledger = open(&folder);
    assert!(is_defect(ledger.commit_parts(&[part(1)], &pages(0..1))));
    assert!(is_defect(ledger.end_run(end(Status::Ok))));
    assert!(is_defect(ledger.resume_run("r1", start("r2"))));
    ledger.begin_run(start("r1")).unwrap();
    let finished = [PageState::Failed, PageState::Done].map(|state| PageRow { state, ..page(0) });
    assert!(is_defect(ledger.record_unfinished(&finished[..1])));
    assert!(is_defect(ledger.record_unfinished(&finished[1..])));
    assert!(is_defect(ledger.resume_run("r2", start("r3"))));
    assert!(is_defect(ledger.begin_run(start("r1"))));
    ledger.commit_parts(&[part(1)], &pages(0..1)).unwrap();
    drop(ledger);
    let mut ledger = open(&folder);
    assert!(is_defect(ledger.begin_run(start("r2"))));
    assert!(is_defect(ledger.commit_parts(&[part(2)], &pages(1..2))));
    // None of it was written, so that none of it is a failed write.
    ledger.resume_run("r1", start("r2")).unwrap();
    ledger.end_run(end(Status::Ok)).unwrap();
    assert!(is_defect(ledger.resume_run("r2", start("r3"))));
}

#[test]
fn ledger_that_is_taken_away_leaves_nothing_that_the_next_one_could_read() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..9)).unwrap();
    drop(ledger);
    // Somebody takes the file and leaves its log; a ledger was half-made before.
    fs::remove_file(folder.path().join(DB)).unwrap();
    fs::write(folder.path().join("ledger.sqlite.new"), "half").unwrap();
    let mut ledger = open(&folder);
    assert_eq!(ledger.runs().unwrap(), []);
    ledger.begin_run(start("r1")).unwrap();
    drop(ledger);
    Ledger::remove(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    Ledger::remove(folder.path()).unwrap();
    assert_eq!(open(&folder).runs().unwrap(), []);
}

#[test]
fn run_waits_for_one_who_looks_and_one_who_looks_does_not_wait_for_a_run() {
    let folder = folder();
    assert!(Ledger::find(folder.path()).unwrap().is_none());
    open(&folder).close().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let looked_at = Ledger::find(folder.path()).unwrap().unwrap();
    let (sender, opened) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(Ledger::open(folder.path())).unwrap());
        assert!(opened.recv_timeout(Duration::from_millis(100)).is_err(), "it waits");
        looked_at.close().unwrap();
        let running = opened.recv().unwrap().unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(Ledger::find(folder.path()).unwrap_err().kind(), ErrorKind::Locked);
        assert!(begun.elapsed() < LOOK_TIME_MAX);
        running.close().unwrap();
    });
}
