//! What is known of a run that was killed while its output was replaced, and of parts that go on.

use tempfile::TempDir;

use super::tests::{all_parts, end, folder, is_defect, open, ordinals, pages, part, start};
use super::*;
use crate::report::Status;

fn publishing() -> Publishing {
    Publishing {
        path: "/data/\u{e9}.parquet".into(),
        bytes: 7,
        checksum: u64::MAX,
        end: end(Status::Partial),
    }
}

/// A run with a part, and pages that are in none, which is killed while its output is replaced.
fn killed_while_publishing(folder: &TempDir) -> Ledger {
    let mut ledger = open(folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1)], &pages(0..3)).unwrap();
    ledger.begin_publishing(publishing(), &pages(3..5)).unwrap();
    drop(ledger);
    open(folder)
}

#[test]
fn run_that_was_killed_once_it_had_published_is_complete_when_that_is_known() {
    let folder = folder();
    let mut ledger = killed_while_publishing(&folder);
    assert_eq!(ledger.publishing(), Some(&publishing()));
    assert_eq!(ledger.unfinished_run().unwrap().end, None);
    assert_eq!(ordinals(ledger.done_pages()), [0, 1, 2]);
    assert_eq!(ledger.end_published().unwrap(), ["part-1"]);
    let ledger = reopened(ledger, &folder);
    assert!(ledger.unfinished_run().is_none() && ledger.publishing().is_none());
    assert_eq!(ledger.runs().unwrap()[0].end, Some(end(Status::Partial)));
    assert_eq!(ordinals(ledger.published_pages()), [0, 1, 2, 3, 4]);
    assert!(all_parts(&ledger).is_empty());
}

#[test]
fn run_that_was_killed_before_it_had_published_is_gone_on_with() {
    let folder = folder();
    let mut ledger = killed_while_publishing(&folder);
    ledger.resume_run("r1", start("r2")).unwrap();
    let mut ledger = reopened(ledger, &folder);
    assert_eq!(ledger.publishing(), None);
    assert_eq!(ledger.runs().unwrap()[1].end, None, "it never came to its end");
    assert_eq!(ledger.page_states().unwrap().len(), 3, "what was about to be published was not");
    ledger.resume_run("r2", start("r3")).unwrap();
    ledger.commit_parts(&[part(2)], &pages(3..5)).unwrap();
    assert_eq!(ordinals(ledger.done_pages()), [0, 1, 2, 3, 4]);
    assert!(is_defect(ledger.end_published()));
}

#[test]
fn part_that_goes_on_takes_the_place_of_what_it_was() {
    let folder = folder();
    let mut ledger = open(&folder);
    ledger.begin_run(start("r1")).unwrap();
    ledger.commit_parts(&[part(1), part(2)], &pages(0..3)).unwrap();
    ledger.replace_parts(&[1], &[part(3)], &pages(3..5)).unwrap();
    assert!(is_defect(ledger.replace_parts(&[1], &[part(4)], &pages(5..6))), "it is gone already");
    let ledger = reopened(ledger, &folder);
    assert_eq!(all_parts(&ledger), [part(2), part(3)]);
    assert_eq!(ordinals(ledger.done_pages()), [0, 1, 2, 3, 4]);
}

fn reopened(ledger: Ledger, folder: &TempDir) -> Ledger {
    drop(ledger);
    open(folder)
}
