//! Files that are not as they were written: each is read as it was, or is named in an error. Never are there fewer
//! rows, or other ones, and nobody is told.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use tempfile::TempDir;

use super::tests::{DB, all, end, folder, log_of, open, page, pages, part, start};
use super::*;
use crate::error::ErrorKind;
use crate::report::Status;

/// Bytes of a page of the file.
const PAGE_BYTES: usize = 4_096;
const FLIPS: usize = 300;
const LOG_FLIPS: usize = 100;
const CUTS: usize = 60;

/// All that a caller can be told.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Everything {
    runs: Vec<RunRow>,
    unfinished: Option<RunRow>,
    parts: Vec<PartRow>,
    done: Vec<PageRow>,
    published: Vec<PageRow>,
    failed: Vec<PageRow>,
    states: Vec<(u64, Option<PageState>)>,
}

impl Everything {
    fn of(ledger: &Ledger) -> Result<Self> {
        let states = ledger.page_states()?;
        let mut failed = Vec::new();
        let runs = ledger.runs()?;
        for run in &runs {
            failed.extend(ledger.failed_pages(&run.start.run_id)?.collect::<Result<Vec<_>>>()?);
        }
        Ok(Self {
            unfinished: ledger.unfinished_run().cloned(),
            parts: ledger.parts().collect::<Result<_>>()?,
            done: ledger.done_pages().collect::<Result<_>>()?,
            published: ledger.published_pages().collect::<Result<_>>()?,
            states: (0..4_000).map(|ordinal| (ordinal, states.of(&super::tests::key_of(ordinal)))).collect(),
            runs,
            failed,
        })
    }

    fn read(folder: &Path) -> Result<Self> {
        Self::of(&Ledger::open(folder)?)
    }
}

/// A ledger with pages of earlier runs, a run that goes on, rows that need pages of their own, and room that is free
/// again.
fn fill(folder: &TempDir) {
    let mut ledger = open(folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..900)).unwrap();
    ledger.record_failed(&pages(900..950)).unwrap();
    ledger.end_run(RunEnd { summary_json: "s".repeat(20_000), ..end(Status::Partial) }).unwrap();
    ledger.begin_run(start("r2")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..700)).unwrap();
    ledger.end_run(end(Status::Failed)).unwrap();
    ledger.start_afresh().unwrap();
    ledger.begin_run(start("r3")).unwrap();
    ledger.commit_parts(&[PartRow { meta: vec![b'm'; 9_000], ..part(1) }], &pages(400..600)).unwrap();
    ledger.end_run(end(Status::Interrupted)).unwrap();
    ledger.resume_run("r3", start("r4")).unwrap();
    let long = PageRow {
        url: format!("http://h/{}", "x".repeat(12_000)),
        chain: Some(vec![7; 3_000]),
        ..page(3_000)
    };
    ledger.commit_parts(&[part(2)], &[long]).unwrap();
    ledger.record_unfinished(&pages(3_001..3_020)).unwrap();
    ledger.record_failed(&pages(3_010..3_011)).unwrap();
    ledger.close().unwrap();
}

/// Writes `bytes` as a ledger and reads all of it. If it is not as `expected`, the error is given: it is one line that
/// says what is wrong with which file.
fn check(bytes: &[u8], expected: &Everything, what: &str) -> Option<String> {
    let folder = folder();
    let path = folder.path().join(DB);
    fs::write(&path, bytes).unwrap();
    match Everything::read(folder.path()) {
        Ok(found) => {
            assert!(found == *expected, "{what}: other rows, and nobody is told");
            None
        }
        Err(error) => {
            let line = error.one_line();
            assert_eq!(error.kind(), ErrorKind::Storage, "{what}: {line}");
            assert!(line.contains(&path.display().to_string()), "{what}: {line}");
            Some(line)
        }
    }
}

fn filled() -> (Vec<u8>, Everything) {
    let folder = folder();
    fill(&folder);
    let bytes = fs::read(folder.path().join(DB)).unwrap();
    let everything = Everything::read(folder.path()).unwrap();
    assert_eq!((everything.done.len(), everything.published.len()), (201, 900));
    (bytes, everything)
}

#[test]
fn flipped_byte_is_found_or_does_not_matter() {
    let (bytes, expected) = filled();
    let mut rng = Rng::with_seed(20_260_131);
    let mut found = 0;
    for _ in 0..FLIPS {
        let mut flipped = bytes.clone();
        // Half of them at the beginning of a page, where its structure is told.
        let place = match rng.bool() {
            true => rng.usize(..bytes.len() / PAGE_BYTES) * PAGE_BYTES + rng.usize(..128),
            false => rng.usize(..bytes.len()),
        };
        flipped[place] ^= rng.u8(1..);
        let what = format!("byte {place}: {:#x} -> {:#x}", bytes[place], flipped[place]);
        found += usize::from(check(&flipped, &expected, &what).is_some());
    }
    // What does not matter are bytes that nothing is kept in.
    assert!(found > FLIPS / 2, "{found} found");
}

#[test]
fn list_of_free_pages_that_names_one_in_use_is_found() {
    let (mut bytes, expected) = filled();
    // The first page of the list stands in the header. Nothing that is read depends on it: the next write would.
    let (list, pages_in_list) = bytes[32..40].split_at_mut(4);
    assert_ne!(pages_in_list, [0; 4]);
    list.copy_from_slice(&2_u32.to_be_bytes());
    assert!(check(&bytes, &expected, "page 2 is free").is_some());
}

#[test]
fn file_that_lost_its_end_is_found() {
    let (bytes, expected) = filled();
    let mut rng = Rng::with_seed(20_260_201);
    let mut lengths: Vec<_> = (0..CUTS).map(|_| rng.usize(..bytes.len())).collect();
    lengths.extend([0, 1, 100, PAGE_BYTES, bytes.len() - PAGE_BYTES, bytes.len() - 1]);
    for length in lengths {
        let found = check(&bytes[..length], &expected, &format!("{length} bytes"));
        assert!(found.is_some(), "{length} bytes are taken for all {}", bytes.len());
    }
}

#[test]
fn page_of_an_earlier_time_is_found() {
    let folder = folder();
    fill(&folder);
    let path = folder.path().join(DB);
    let earlier = fs::read(&path).unwrap();
    let mut ledger = open(&folder);
    ledger.resume_run("r4", start("r5")).unwrap();
    ledger.record_failed(&pages(3_001..3_009)).unwrap();
    ledger.close().unwrap();
    let later = fs::read(&path).unwrap();
    let expected = Everything::read(folder.path()).unwrap();
    let mut found = 0;
    for (number, (old, new)) in earlier.chunks(PAGE_BYTES).zip(later.chunks(PAGE_BYTES)).enumerate() {
        if old != new {
            let mut mixed = later.clone();
            mixed[number * PAGE_BYTES..(number + 1) * PAGE_BYTES].copy_from_slice(old);
            found += usize::from(check(&mixed, &expected, &format!("page {number}")).is_some());
        }
    }
    assert!(found >= 3, "{found} found");
}

#[test]
fn rows_that_sqlite_finds_nothing_wrong_with_are_found_too() {
    let (bytes, expected) = filled();
    let changes = [
        ("UPDATE pages SET url = url || 'x' WHERE ordinal = 500", "a row of pages with a wrong seal"),
        ("UPDATE pages SET state = 'done' WHERE state = 'failed'", "a row of pages with a wrong seal"),
        ("UPDATE parts SET meta = x'00' WHERE id = 1", "a row of parts with a wrong seal"),
        ("UPDATE runs SET status = 'ok' WHERE number = 3", "a row of runs with a wrong seal"),
        ("DELETE FROM pages WHERE ordinal = 3000", "1169 pages where 1170 were written"),
        ("DELETE FROM parts WHERE id = 2", "1 parts where 2 were written"),
        ("DELETE FROM runs WHERE number = 2", "3 runs where 4 were written"),
        (
            "UPDATE seals SET row_count = row_count - 1 WHERE of_table = 2; DELETE FROM pages WHERE ordinal = 3000",
            "a row of seals with a wrong seal",
        ),
        ("DELETE FROM seals WHERE of_table = 2", "no count of rows"),
        (
            "CREATE TABLE old AS SELECT * FROM parts WHERE id = 1; DELETE FROM parts WHERE id = 2; \
             UPDATE old SET id = 2; INSERT INTO parts SELECT * FROM old; DROP TABLE old",
            "a row of parts with a wrong seal",
        ),
        ("CREATE INDEX pages_by_url ON pages (url_key)", "more than its tables"),
        ("ALTER TABLE runs ADD COLUMN note TEXT", "another table in the place of runs"),
        ("DROP TABLE seals", "no table seals"),
        ("PRAGMA journal_mode = DELETE", "it is not in WAL mode"),
        ("PRAGMA user_version = 0", "version 0, which there is not"),
    ];
    for (sql, expected_words) in changes {
        let folder = folder();
        let path = folder.path().join(DB);
        fs::write(&path, &bytes).unwrap();
        let database = Database::open(&path, Duration::ZERO).unwrap();
        database.run(sql);
        database.close().unwrap();
        let found = check(&fs::read(&path).unwrap(), &expected, sql).expect(sql);
        assert!(found.contains(expected_words), "{sql}: {found}");
        assert!(found.ends_with("; --fresh starts anew"), "{sql}: {found}");
    }
}

#[test]
fn row_that_went_for_another_one_is_found() {
    // As many rows, each with the right seal: only their sum is another one.
    let (folder, other) = (folder(), self::folder());
    for (folder, ordinal) in [(&folder, 1), (&other, 2)] {
        let mut ledger = open(folder);
        ledger.begin_run(start("r1")).unwrap();
        ledger.commit_parts(&[part(1)], &pages(ordinal..ordinal + 1)).unwrap();
        ledger.close().unwrap();
    }
    let path = folder.path().join(DB);
    let database = Database::open(&path, Duration::ZERO).unwrap();
    let other = other.path().join(DB);
    database.run(&format!(
        "ATTACH '{}' AS other; DELETE FROM pages; INSERT INTO pages SELECT * FROM other.pages",
        other.display()
    ));
    drop(database);
    let error = Ledger::open(folder.path()).unwrap_err().one_line();
    assert!(error.contains("(other pages than were written)"), "{error}");
}

#[test]
fn damaged_log_gives_the_state_after_an_earlier_transaction() {
    let folder = folder();
    let mut states = Vec::new();
    let mut ledger = open(&folder);
    states.push(Everything::of(&ledger).unwrap());
    ledger.begin_run(start("r1")).unwrap();
    states.push(Everything::of(&ledger).unwrap());
    for id in 1..6 {
        ledger.commit_parts(&[part(id)], &pages(id * 100..id * 100 + 80)).unwrap();
        states.push(Everything::of(&ledger).unwrap());
        ledger.record_failed(&pages(id * 100 + 80..id * 100 + 90)).unwrap();
        states.push(Everything::of(&ledger).unwrap());
    }
    drop(ledger);
    let [file, log] = [folder.path().join(DB), log_of(&folder)].map(|path| fs::read(path).unwrap());
    let mut rng = Rng::with_seed(20_260_228);
    let mut seen = vec![0; states.len()];
    for _ in 0..LOG_FLIPS {
        let image = self::folder();
        let mut log = log.clone();
        let place = rng.usize(..log.len());
        log[place] ^= rng.u8(1..);
        fs::write(image.path().join(DB), &file).unwrap();
        fs::write(log_of(&image), &log).unwrap();
        let found = Everything::read(image.path()).unwrap();
        let state = states.iter().position(|state| *state == found);
        seen[state.unwrap_or_else(|| panic!("byte {place} of the log: a state that never was"))] += 1;
    }
    assert!(seen.iter().filter(|count| **count > 0).count() > 3, "{seen:?}");
}

fn error_of(folder: &TempDir) -> (String, PathBuf) {
    let error = Ledger::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    (error.one_line(), folder.path().join(DB))
}

#[test]
fn file_of_another_kind_is_named_and_not_changed() {
    let files: [(&[u8], &str); 3] = [
        (b"", "got another database, or a damaged one (application id 0x0)"),
        (b"{\"url\": 1}\n", "(file is not a database)"),
        (&[0; 100_000], "(file is not a database)"),
    ];
    for (bytes, words) in files {
        let folder = folder();
        fs::write(folder.path().join(DB), bytes).unwrap();
        let (line, path) = error_of(&folder);
        assert!(line.starts_with(&format!("{}: expected a ledger", path.display())), "{line}");
        assert!(line.contains(words) && line.contains("--fresh"), "{line}");
        assert_eq!(fs::read(path).unwrap(), bytes);
    }

    let folder = folder();
    Database::build(&folder.path().join(DB), "PRAGMA application_id = 7; CREATE TABLE runs (x)").unwrap();
    let before = fs::read(folder.path().join(DB)).unwrap();
    let (line, path) = error_of(&folder);
    assert_eq!(
        line,
        format!(
            "{}: expected a ledger of etl (application id 0x65746c4c), got another database, or a damaged one \
             (application id 0x7); move it away, or start anew with --fresh",
            path.display()
        )
    );
    assert_eq!(fs::read(path).unwrap(), before);
}

#[test]
fn folder_in_the_place_of_the_file_is_named() {
    let folder = folder();
    fs::create_dir(folder.path().join(DB)).unwrap();
    let (line, path) = error_of(&folder);
    assert_eq!(line, format!("could not open {}: Is a directory (os error 21)", path.display()));
}

#[test]
fn ledger_of_another_version_is_told_from_a_damaged_one() {
    let others = [(schema::VERSION + 1, "a newer"), (schema::VERSION - 1, "an older")];
    for (version, of) in others {
        let folder = folder();
        open(&folder).close().unwrap();
        let database = Database::open(&folder.path().join(DB), Duration::ZERO).unwrap();
        database.run(&format!("PRAGMA user_version = {version}; CREATE TABLE news (x)"));
        database.close().unwrap();
        let (line, path) = error_of(&folder);
        let expected = format!(
            "{}: expected version {} of the ledger, got version {version}, of {of} etl; use that one, or start anew with \
             --fresh",
            path.display(),
            schema::VERSION
        );
        assert_eq!(line, expected);
    }
}

#[test]
fn damage_that_comes_while_it_is_open_is_named() {
    let folder = folder();
    fill(&folder);
    let ledger = open(&folder);
    ledger.database.run("UPDATE pages SET url = 'http://h/' WHERE first_run = 3 AND ordinal = 500");
    let error = ledger.done_pages().find_map(Result::err).unwrap();
    assert!(error.one_line().contains("a row of pages with a wrong seal"));
    assert_eq!(ledger.done_pages().filter(Result::is_err).count(), 1);
    assert!(ledger.page_states().is_err());
    assert_eq!(all(ledger.published_pages()).len(), 900);
}
