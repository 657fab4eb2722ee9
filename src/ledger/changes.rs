//! What one transaction changes: rows come, are replaced and go, and the totals of their tables go with them.

use super::damage::damaged_row;
use super::database::{Database, Prepared, Value};
use super::read::Position;
use super::rows::{NumberedRun, PageRow, PageState, PartRow, UrlKey};
use super::schema::Table;
use super::seal::Seals;
use crate::error::{Error, Result};

/// Pages that are looked at together before some of them are forgotten.
const BATCH_PAGES: i64 = 1_024;

/// The changes of a transaction that is open.
pub(super) struct Changes<'a> {
    pub(super) database: &'a Database,
    pub(super) seals: &'a mut Seals,
}

/// A page that may be forgotten.
pub(super) struct Forgettable {
    pub(super) url_key: UrlKey,
    pub(super) state: PageState,
    position: Position,
    seal: i64,
}

impl Changes<'_> {
    /// Adds a run.
    pub(super) fn add_run(&mut self, run: &NumberedRun) -> Result<()> {
        self.add(Table::Runs, &run.sealed())
    }

    /// Adds a part of the work that began with `first_run`.
    pub(super) fn add_part(&mut self, first_run: i64, part: &PartRow) -> Result<()> {
        self.add(Table::Parts, &part.sealed(first_run))
    }

    /// Says how a run ended, or what it is about to publish, which is all of it that ever changes.
    pub(super) fn update_run(&mut self, before: &NumberedRun, after: &NumberedRun) -> Result<()> {
        let sql = "UPDATE runs SET ended_at = ?2, status = ?3, exit_code = ?4, summary = ?5, \
                   publishing = ?6, publishing_bytes = ?7, publishing_checksum = ?8, seal = ?9 \
                   WHERE number = ?1";
        let [number, .., ended_at, status, exit_code, summary, path, bytes, checksum, seal] = after.sealed();
        let columns = [number, ended_at, status, exit_code, summary, path, bytes, checksum, seal];
        self.database.prepare(sql)?.execute(&columns)?;
        let total = self.seals.of_mut(Table::Runs);
        total.remove(seal_in(&before.sealed()));
        total.add(seal_in(&after.sealed()));
        Ok(())
    }

    /// Writes pages in the state that `state_of` gives them, in the place of what was known of them.
    ///
    /// # Errors
    /// One of them is done already: its rows would be doubled.
    pub(super) fn put_pages(
        &mut self,
        first_run: i64,
        pages: &[PageRow],
        part: Option<u64>,
        state_of: impl Fn(&PageRow) -> PageState,
    ) -> Result<()> {
        let mut find = self
            .database
            .prepare("SELECT state, seal FROM pages WHERE first_run = ?1 AND page = ?2 AND ordinal = ?3")?;
        let mut delete = prepare_delete(self.database)?;
        let mut insert = prepare_insert(self.database, Table::Pages)?;
        let total = self.seals.of_mut(Table::Pages);
        for page in pages {
            let row = page.sealed(first_run, state_of(page), part);
            let key = &row[..3];
            let known = find.first(key, |columns| match columns {
                [Value::Text(b"done"), _] => Err(Error::defect(format_args!(
                    "page {} of line {} is done already",
                    page.place.page, page.line
                ))),
                [_, Value::Integer(seal)] => Ok(*seal),
                _ => Err(damaged_row(self.database, Table::Pages)),
            })?;
            if let Some(seal) = known {
                delete.execute(key)?;
                total.remove(seal);
            }
            insert.execute(&row)?;
            total.add(seal_in(&row));
        }
        Ok(())
    }

    /// Forgets the pages of all work that began with a run from `first` to `last`, but for those that are kept.
    pub(super) fn forget_pages(
        &mut self,
        first: i64,
        last: i64,
        is_kept: impl Fn(&Forgettable) -> bool,
    ) -> Result<()> {
        let mut delete = prepare_delete(self.database)?;
        let total = self.seals.of_mut(Table::Pages);
        let mut from = Position::before(first);
        loop {
            let batch = forgettable_pages(self.database, from, last)?;
            let Some(end) = batch.last() else { return Ok(()) };
            from = end.position;
            for page in batch.iter().filter(|page| !is_kept(page)) {
                delete.execute(&page.position.columns())?;
                total.remove(page.seal);
            }
        }
    }

    /// Forgets a part.
    ///
    /// # Errors
    /// There is none with this id.
    pub(super) fn forget_part(&mut self, id: u64) -> Result<()> {
        let id = [Value::Integer(id.cast_signed())];
        let mut find = self.database.prepare("SELECT seal FROM parts WHERE id = ?1")?;
        let seal = find.first(&id, |columns| match columns {
            [Value::Integer(seal)] => Ok(*seal),
            _ => Err(damaged_row(self.database, Table::Parts)),
        })?;
        let seal = seal.ok_or_else(|| Error::defect("a part is to be forgotten that is not known"))?;
        self.seals.of_mut(Table::Parts).remove(seal);
        self.database.prepare("DELETE FROM parts WHERE id = ?1")?.execute(&id)?;
        Ok(())
    }

    /// Forgets all parts, and gives the names of their files.
    pub(super) fn forget_parts(&mut self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        self.database.prepare("SELECT * FROM parts ORDER BY id")?.for_each(&[], |row| {
            let part = PartRow::read(row).ok_or_else(|| damaged_row(self.database, Table::Parts))?;
            self.seals.of_mut(Table::Parts).remove(seal_in(row));
            names.extend(part.file_names());
            Ok(())
        })?;
        self.database.prepare("DELETE FROM parts")?.execute(&[])?;
        Ok(names)
    }

    /// Forgets the runs up to the one with the number `last`, and their pages, but for runs that later ones took up.
    pub(super) fn forget_runs(&mut self, last: i64) -> Result<()> {
        let mut doomed = Vec::new();
        let sql = "SELECT * FROM runs WHERE number <= ?1 \
                   AND number NOT IN (SELECT first_run FROM runs WHERE number > ?1)";
        self.database.prepare(sql)?.for_each(&[Value::Integer(last)], |row| {
            let run = NumberedRun::read(row).ok_or_else(|| damaged_row(self.database, Table::Runs))?;
            doomed.push((run.number, seal_in(row)));
            Ok(())
        })?;
        let mut delete = self.database.prepare("DELETE FROM runs WHERE number = ?1")?;
        for (number, seal) in doomed {
            self.forget_pages(number, number, |_| false)?;
            delete.execute(&[Value::Integer(number)])?;
            self.seals.of_mut(Table::Runs).remove(seal);
        }
        Ok(())
    }

    fn add(&mut self, table: Table, row: &[Value<'_>]) -> Result<()> {
        prepare_insert(self.database, table)?.execute(row)?;
        self.seals.of_mut(table).add(seal_in(row));
        Ok(())
    }
}

/// Pages after a position, in order.
fn forgettable_pages(database: &Database, from: Position, last: i64) -> Result<Vec<Forgettable>> {
    let sql = "SELECT first_run, page, ordinal, url_key, state, seal FROM pages \
               WHERE (first_run, page, ordinal) > (?1, ?2, ?3) AND first_run <= ?4 \
               ORDER BY first_run, page, ordinal LIMIT ?5";
    let mut pages = Vec::new();
    let [first_run, page, ordinal] = from.columns();
    let parameters = [first_run, page, ordinal, Value::Integer(last), Value::Integer(BATCH_PAGES)];
    database.prepare(sql)?.for_each(&parameters, |columns| {
        pages.push(forgettable(columns).ok_or_else(|| damaged_row(database, Table::Pages))?);
        Ok(())
    })?;
    Ok(pages)
}

fn forgettable(columns: &[Value<'_>]) -> Option<Forgettable> {
    let [first_run, page, ordinal, Value::Blob(url_key), Value::Text(state), Value::Integer(seal)] = columns
    else {
        return None;
    };
    Some(Forgettable {
        url_key: (*url_key).try_into().ok()?,
        state: PageState::of_word(str::from_utf8(state).ok()?)?,
        position: Position::of(&[*first_run, *page, *ordinal])?,
        seal: *seal,
    })
}

fn prepare_insert(database: &Database, table: Table) -> Result<Prepared<'_>> {
    let places = vec!["?"; table.column_count()].join(", ");
    database.prepare(&format!("INSERT INTO {} VALUES ({places})", table.name()))
}

fn prepare_delete(database: &Database) -> Result<Prepared<'_>> {
    database.prepare("DELETE FROM pages WHERE first_run = ?1 AND page = ?2 AND ordinal = ?3")
}

/// The last column of a row.
fn seal_in(row: &[Value<'_>]) -> i64 {
    match row {
        [.., Value::Integer(seal)] => *seal,
        _ => unreachable!("every row ends with its seal"),
    }
}
