//! Finds out whether a file is a ledger and has every row that was written, before anything is believed.

use std::path::Path;

use super::database::{Database, Value};
use super::schema::{APPLICATION_ID, TABLES, Table, VERSION};
use super::seal::{Seals, Total, unseal};
use crate::error::{Error, ErrorKind, Result};

/// Looks at all of the file, and gives what its rows add up to.
pub(super) fn examine(database: &Database) -> Result<Seals> {
    check_is_ours(database)?;
    if !database.has_log()? {
        return Err(damaged(database.path(), "it is not in WAL mode"));
    }
    database.check_is_writable()?;
    check_tables(database)?;
    check_structure(database)?;
    let seals = Seals::read(database)?;
    for table in Table::COUNTED {
        let (kept, found) = (seals.of(table), total_of(database, table)?);
        if found != kept {
            let name = table.name();
            let what = if found.row_count == kept.row_count {
                format!("other {name} than were written")
            } else {
                format!("{} {name} where {} were written", found.row_count, kept.row_count)
            };
            return Err(damaged(database.path(), &what));
        }
    }
    Ok(seals)
}

/// A file that is not, or no longer, as it was written.
pub(super) fn damaged(path: &Path, what: &str) -> Error {
    // The report of SQLite has several lines.
    let what = what.replace('\n', " ");
    let path = path.display();
    Error::new(
        ErrorKind::Storage,
        format!("{path}: expected a ledger as etl left it, got a damaged one ({what}); --fresh starts anew"),
    )
}

/// A row that is not as it was written.
pub(super) fn damaged_row(database: &Database, table: Table) -> Error {
    damaged(database.path(), &format!("a row of {} with a wrong seal", table.name()))
}

fn check_is_ours(database: &Database) -> Result<()> {
    let (id, version) =
        (database.integer("PRAGMA application_id", &[])?, database.integer("PRAGMA user_version", &[])?);
    let path = database.path().display();
    if id != APPLICATION_ID {
        let message = format!(
            "{path}: expected a ledger of etl (application id {APPLICATION_ID:#x}), got another database, or a damaged one \
             (application id {:#x}); move it away, or start anew with --fresh",
            id as u32
        );
        return Err(Error::new(ErrorKind::Storage, message));
    }
    if version < 1 {
        return Err(damaged(database.path(), &format!("version {version}, which there is not")));
    }
    if version != VERSION {
        let of = if version > VERSION { "a newer" } else { "an older" };
        let message = format!(
            "{path}: expected version {VERSION} of the ledger, got version {version}, of {of} etl; use that one, or \
             start anew with --fresh"
        );
        return Err(Error::new(ErrorKind::Storage, message));
    }
    Ok(())
}

/// The tables are those that this version makes, to the letter.
fn check_tables(database: &Database) -> Result<()> {
    let mut expected = TABLES.iter();
    let unexpected = |what: &str| Err(damaged(database.path(), what));
    let mut statement = database.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    statement.for_each(&[], |row| {
        let Some(table) = expected.next() else { return unexpected("more than its tables") };
        let [name, text] = [table.name(), table.text()].map(|text| Value::Text(text.as_bytes()));
        if row == [Value::Text(b"table"), name, name, text] {
            Ok(())
        } else {
            unexpected(&format!("another table in the place of {}", table.name()))
        }
    })?;
    match expected.next() {
        Some(missing) => unexpected(&format!("no table {}", missing.name())),
        None => Ok(()),
    }
}

/// What SQLite itself can tell: pages that are used twice or never, keys out of order, free space that overlaps.
fn check_structure(database: &Database) -> Result<()> {
    database.prepare("PRAGMA quick_check(1)")?.for_each(&[], |row| match row {
        [Value::Text(b"ok")] => Ok(()),
        [Value::Text(report)] => Err(damaged(database.path(), &String::from_utf8_lossy(report))),
        _ => Err(damaged(database.path(), "a check that says nothing")),
    })
}

/// What the rows of a table add up to, each of them looked at.
fn total_of(database: &Database, table: Table) -> Result<Total> {
    let mut total = Total::default();
    let mut statement = database.prepare(&format!("SELECT * FROM {}", table.name()))?;
    statement.for_each(&[], |row| {
        let (_, seal) = unseal(table, row).ok_or_else(|| damaged_row(database, table))?;
        total.add(seal);
        Ok(())
    })?;
    Ok(total)
}
