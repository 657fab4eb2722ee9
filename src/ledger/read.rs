//! Reads what the ledger has, a batch at a time: the pages of a large run need not fit the memory.

use std::collections::HashMap;
use std::vec;

use super::damage::damaged_row;
use super::database::{Database, Value};
use super::rows::{NumberedRun, PageRow, PageState, PartRow, UrlKey};
use super::schema::Table;
use crate::error::Result;

/// Pages that are in memory at a time: some 8 MiB if each has the longest URL.
const BATCH_PAGES: i64 = 128;
/// Parts that are in memory at a time; each may tell the order of all its rows.
const BATCH_PARTS: i64 = 8;

/// Rows in their order. An error is the last item: the ledger can't be read, or a row is not as it was written.
pub struct Rows<'a, R> {
    next_batch: Box<dyn FnMut() -> Result<Vec<R>> + 'a>,
    batch: vec::IntoIter<R>,
    is_over: bool,
}

impl<'a, R> Rows<'a, R> {
    /// Rows that come in batches; an empty one is the end.
    fn of(next_batch: impl FnMut() -> Result<Vec<R>> + 'a) -> Self {
        Self { next_batch: Box::new(next_batch), batch: Vec::new().into_iter(), is_over: false }
    }

    fn refill(&mut self) -> Result<()> {
        self.is_over = true;
        self.batch = (self.next_batch)()?.into_iter();
        self.is_over = self.batch.len() == 0;
        Ok(())
    }
}

impl<R> Iterator for Rows<'_, R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0
            && !self.is_over
            && let Err(error) = self.refill()
        {
            return Some(Err(error));
        }
        self.batch.next().map(Ok)
    }
}

/// Where a page stands among those of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position([i64; 3]);

impl Position {
    /// Before all pages of the work that began with `first_run`.
    pub(super) fn before(first_run: i64) -> Self {
        Self([first_run, -1, -1])
    }

    /// What the first three columns of a page say.
    pub(super) fn of(columns: &[Value<'_>]) -> Option<Self> {
        match columns {
            [Value::Integer(first_run), Value::Integer(page), Value::Integer(ordinal), ..] => {
                Some(Self([*first_run, *page, *ordinal]))
            }
            _ => None,
        }
    }

    pub(super) fn columns(self) -> [Value<'static>; 3] {
        self.0.map(Value::Integer)
    }
}

/// The pages in this state of all work that began with a run from `first` to `last`, in the order of their places.
pub(super) fn pages(database: &Database, state: PageState, first: i64, last: i64) -> Rows<'_, PageRow> {
    const ASK: &str = "SELECT * FROM pages \
         WHERE (first_run, page, ordinal) > (?1, ?2, ?3) AND first_run <= ?4 AND state = ?5 \
         ORDER BY first_run, page, ordinal LIMIT ?6";
    let mut from = Position::before(first);
    Rows::of(move || {
        let [first_run, page, ordinal] = from.columns();
        let (last_run, state) = (Value::Integer(last), Value::Text(state.word().as_bytes()));
        let parameters = [first_run, page, ordinal, last_run, state, Value::Integer(BATCH_PAGES)];
        let mut pages = Vec::new();
        database.prepare(ASK)?.for_each(&parameters, |row| {
            let read = Position::of(row).zip(PageRow::read(row));
            let (position, page) = read.ok_or_else(|| damaged_row(database, Table::Pages))?;
            from = position;
            pages.push(page);
            Ok(())
        })?;
        Ok(pages)
    })
}

/// All parts, in the order of their ids.
pub(super) fn parts(database: &Database) -> Rows<'_, PartRow> {
    let mut last_id = -1;
    Rows::of(move || {
        let mut parts = Vec::new();
        let parameters = [Value::Integer(last_id), Value::Integer(BATCH_PARTS)];
        let mut statement = database.prepare("SELECT * FROM parts WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        statement.for_each(&parameters, |row| {
            let read = row.first().zip(PartRow::read(row));
            let Some((Value::Integer(id), part)) = read else {
                return Err(damaged_row(database, Table::Parts));
            };
            last_id = *id;
            parts.push(part);
            Ok(())
        })?;
        Ok(parts)
    })
}

/// All runs, the newest first. There are few, for old ones are forgotten.
pub(super) fn runs(database: &Database) -> Result<Vec<NumberedRun>> {
    let mut runs = Vec::new();
    database.prepare("SELECT * FROM runs ORDER BY number DESC")?.for_each(&[], |row| {
        runs.push(NumberedRun::read(row).ok_or_else(|| damaged_row(database, Table::Runs))?);
        Ok(())
    })?;
    Ok(runs)
}

/// The last run that began.
pub(super) fn newest_run(database: &Database) -> Result<Option<NumberedRun>> {
    database
        .prepare("SELECT * FROM runs ORDER BY number DESC LIMIT 1")?
        .first(&[], |row| NumberedRun::read(row).ok_or_else(|| damaged_row(database, Table::Runs)))
}

/// How far each URL has come, by its key: at most 41 bytes of memory for each.
#[derive(Debug, Default)]
pub struct PageStates(HashMap<UrlKey, PageState>);

impl PageStates {
    /// Of all pages of the work that began with `first_run`.
    pub(super) fn of_work(database: &Database, first_run: i64) -> Result<Self> {
        let page_count = database
            .integer("SELECT count(*) FROM pages WHERE first_run = ?1", &[Value::Integer(first_run)])?;
        let mut states = HashMap::with_capacity(page_count as usize);
        // Every row is read whole, so that its seal is looked at.
        let mut statement = database.prepare("SELECT * FROM pages WHERE first_run = ?1")?;
        statement.for_each(&[Value::Integer(first_run)], |row| {
            let read = PageRow::read_state(row);
            let (url_key, state) = read.ok_or_else(|| damaged_row(database, Table::Pages))?;
            states
                .entry(url_key)
                .and_modify(|known: &mut PageState| *known = state.min(*known))
                .or_insert(state);
            Ok(())
        })?;
        Ok(Self(states))
    }

    /// How far the page of a URL has come; none if nothing is known of it. Of several pages with one URL, the one that
    /// has come least far counts, so that no page is taken for done by mistake.
    pub fn of(&self, url_key: &UrlKey) -> Option<PageState> {
        self.0.get(url_key).copied()
    }

    /// How many URLs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
