//! The tables of the ledger: their text is what a file must have to be ours.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::database::{Database, companion};
use crate::error::{Error, Result};
use crate::model::LEDGER_APPLICATION_ID;

/// Stands in the header of the file (`etlL`), so that another program's database is told from a ledger.
pub(super) const APPLICATION_ID: i64 = LEDGER_APPLICATION_ID as i64;
/// Goes up whenever a table changes, or what callers keep in one.
pub(super) const VERSION: i64 = 2;

/// The file, in the state folder.
pub(super) const FILE: &str = "ledger.sqlite";
/// What it is called while it is made.
const UNFINISHED: &str = "ledger.sqlite.new";
/// What SQLite may keep beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A table; its number is part of the seal of each of its rows, so that a row can't move to another table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Runs = 1,
    Pages = 2,
    Parts = 3,
    Seals = 4,
}

impl Table {
    /// Those whose rows are counted.
    pub(super) const COUNTED: [Self; 3] = [Self::Runs, Self::Pages, Self::Parts];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Pages => "pages",
            Self::Parts => "parts",
            Self::Seals => "seals",
        }
    }

    /// How many columns it has, the seal included.
    pub(super) const fn column_count(self) -> usize {
        match self {
            Self::Runs => 17,
            Self::Pages => 19,
            Self::Parts => 11,
            Self::Seals => 4,
        }
    }

    /// As SQLite keeps it.
    ///
    /// No table has an index: pages are written in their order, where an index by URL would touch a page of the file
    /// for each of them, and would be one more thing to examine.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Runs => {
                "CREATE TABLE runs (number INTEGER PRIMARY KEY, run_id TEXT NOT NULL, \
                 first_run INTEGER NOT NULL, resumes TEXT, work_started_at TEXT NOT NULL, \
                 started_at TEXT NOT NULL, version TEXT NOT NULL, list_sha256 TEXT NOT NULL, \
                 options_sha256 TEXT NOT NULL, ended_at TEXT, status TEXT, exit_code INTEGER, \
                 summary TEXT, publishing BLOB, publishing_bytes INTEGER, publishing_checksum INTEGER, \
                 seal INTEGER NOT NULL) STRICT"
            }
            Self::Pages => {
                "CREATE TABLE pages (first_run INTEGER NOT NULL REFERENCES runs (number), \
                 page INTEGER NOT NULL, ordinal INTEGER NOT NULL, line INTEGER NOT NULL, \
                 url_key BLOB NOT NULL, url TEXT NOT NULL, state TEXT NOT NULL, part INTEGER, \
                 attempts INTEGER NOT NULL, http_status INTEGER, body_bytes INTEGER NOT NULL, \
                 records INTEGER NOT NULL, rejects INTEGER NOT NULL, etag TEXT, last_modified TEXT, \
                 content_sha256 BLOB, error TEXT, chain BLOB, seal INTEGER NOT NULL, \
                 PRIMARY KEY (first_run, page, ordinal)) STRICT, WITHOUT ROWID"
            }
            Self::Parts => {
                "CREATE TABLE parts (id INTEGER PRIMARY KEY, \
                 first_run INTEGER NOT NULL REFERENCES runs (number), rows INTEGER NOT NULL, \
                 file TEXT, bytes INTEGER, checksum INTEGER, rejects_file TEXT, rejects_bytes INTEGER, \
                 rejects_checksum INTEGER, meta BLOB NOT NULL, seal INTEGER NOT NULL) STRICT"
            }
            Self::Seals => {
                "CREATE TABLE seals (of_table INTEGER PRIMARY KEY, row_count INTEGER NOT NULL, \
                 sum INTEGER NOT NULL, seal INTEGER NOT NULL) STRICT"
            }
        }
    }
}

/// Every table, in the order in which they are made.
pub(super) const TABLES: [Table; 4] = [Table::Runs, Table::Pages, Table::Parts, Table::Seals];

/// Makes a ledger without rows. It is there whole, or not at all: a file of no bytes is a damaged one.
///
/// `first_rows` are statements that fill it.
pub(super) fn create(folder: &Path, first_rows: &str) -> Result<()> {
    let (path, unfinished) = (folder.join(FILE), folder.join(UNFINISHED));
    remove_files(&unfinished)?;
    let tables = TABLES.map(Table::text).join("; ");
    let script = format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {tables}; {first_rows}"
    );
    Database::build(&unfinished, &script)?;
    // The log of a ledger that somebody took away would be read into this one.
    remove_files(&path)?;
    fs::rename(&unfinished, &path).map_err(|error| Error::storage("create", &path, error))?;
    sync_folder(folder)
}

/// Removes the ledger of a folder, whatever is in it.
pub(super) fn remove(folder: &Path) -> Result<()> {
    remove_files(&folder.join(UNFINISHED))?;
    remove_files(&folder.join(FILE))?;
    sync_folder(folder)
}

/// The database first: without its log it could have an older state, a log without it is of nothing.
fn remove_files(path: &Path) -> Result<()> {
    let companions = COMPANIONS.map(|suffix| companion(path, suffix));
    for path in [path.to_owned()].iter().chain(&companions) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::storage("remove", path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::storage("sync the folder", folder, error))
}
