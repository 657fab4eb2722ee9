//! The ledger of a state folder: which runs there were, which pages are done, and which parts have their rows.
//!
//! A page is done once a transaction that makes its part known is on the disk; so a part must be there, synced, before
//! it is told here. A run that was killed leaves what it had done, and the next one takes it up or starts afresh.
//!
//! ```text
//! open -> unfinished_run? -> resume_run | start_afresh, begin_run -> commit_parts ... -> begin_publishing -> end_run -> close
//!      -> publishing? -> end_published
//! ```
//!
//! **Nothing is believed that can't be checked.** When it is opened, all of the file is looked at: whether it is a
//! ledger of this version, what SQLite can tell of its structure, the seal of each row, and whether there are as many
//! rows as were written, and the same ones. What is wrong with it is an error that names the file: a page must never be
//! skipped, or a part left out, because of a bit that flipped. A log (`ledger.sqlite-wal`) that lost its end is the
//! exception: it can't be told from one that a power cut tore. The ledger is then as it was after an earlier
//! transaction, and what came later is done again; all of it, if files that it names are gone since.
//!
//! **A failed write is the last one.** Every later one is refused, and nothing that failed is tried again.
//!
//! The folder must be locked by the caller. A URL stands here as it is shown, without secrets, and is known by a
//! digest. All calls block, some until the disk has what they wrote. Nothing here sees a network, a page's bytes or the
//! clock.

mod changes;
mod damage;
mod database;
mod read;
mod rows;
mod schema;
mod seal;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod publishing_tests;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use changes::{Changes, Forgettable};
use database::Database;
use rows::NumberedRun;
use seal::Seals;

use crate::error::{Error, Result};

pub use read::{PageStates, Rows};
pub use rows::{PageRow, PageState, PartFile, PartRow, Publishing, RunEnd, RunRow, RunStart, UrlKey};

/// Runs that are remembered: four days of one an hour. A run that a later one took up stays as long as that one.
pub const RUNS_KEPT: usize = 100;
/// How long one is waited for who only looks at the ledger ([`Ledger::find`]): a run must not fail by that. It is more
/// than it takes to look at a million pages.
const LOOK_TIME_MAX: Duration = Duration::from_secs(3);

/// The ledger of a state folder.
///
/// ```
/// use etl::ledger::{Ledger, PageRow, PageState, PartFile, PartRow, RunStart};
/// use etl::model::Place;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let mut ledger = Ledger::open(folder.path())?;
/// assert_eq!(ledger.unfinished_run(), None);
/// ledger.begin_run(RunStart {
///     run_id: "r1".to_owned(),
///     started_at: "2026-01-31T00:00:00.000Z".to_owned(),
///     version: "0.1.0".to_owned(),
///     list_sha256: "a".repeat(64),
///     options_sha256: "b".repeat(64),
/// })?;
/// let page = PageRow {
///     place: Place { page: 1, ordinal: 0 },
///     line: 1,
///     url_key: [7; 16],
///     url: "http://h/1?token=***".to_owned(),
///     state: PageState::Staged,
///     part: None,
///     attempts: 1,
///     http_status: Some(200),
///     body_bytes: 2_048,
///     record_count: 10,
///     reject_count: 0,
///     etag: None,
///     last_modified: None,
///     content_sha256: None,
///     error: None,
///     chain: None,
/// };
/// let file = PartFile { name: "part-1".to_owned(), bytes: 4_096, checksum: 1 };
/// let part = PartRow { id: 1, file: Some(file), row_count: 10, rejects: None, meta: b"{}".to_vec() };
/// ledger.commit_parts(&[part], &[page])?;
///
/// // A process that is killed here leaves a page that need not be fetched again.
/// drop(ledger);
/// let ledger = Ledger::open(folder.path())?;
/// assert_eq!(ledger.unfinished_run().unwrap().start.run_id, "r1");
/// assert_eq!(ledger.page_states()?.of(&[7; 16]), Some(PageState::Done));
/// # Ok::<(), etl::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Ledger {
    database: Database,
    seals: Seals,
    /// The last run that began.
    newest: Option<NumberedRun>,
    /// Whether that run works now: it began here and has not ended.
    is_running: bool,
}

impl Ledger {
    /// Opens the ledger of a folder that is there, or makes one, and looks at all of it, which takes some two seconds
    /// for a million pages. Another process that has it open is waited for as long as one may take to look at it.
    ///
    /// # Errors
    /// Another program has it open ([`Locked`](crate::error::ErrorKind::Locked)). It can't be read or written, is
    /// damaged, is of a newer version, or is not a ledger ([`Storage`](crate::error::ErrorKind::Storage)).
    pub fn open(state_folder: &Path) -> Result<Self> {
        if !Self::is_in(state_folder)? {
            schema::create(state_folder, &Seals::first_rows())?;
        }
        Self::examined(&state_folder.join(schema::FILE), LOOK_TIME_MAX)
    }

    /// The ledger of a folder, to be looked at; none if there is none. It is to be [closed](Self::close), so that nothing
    /// in the folder is another than before.
    ///
    /// # Errors
    /// As those of [`Self::open`]: a run that works there has it open.
    pub fn find(state_folder: &Path) -> Result<Option<Self>> {
        let is_there = Self::is_in(state_folder)?;
        is_there.then(|| Self::examined(&state_folder.join(schema::FILE), Duration::ZERO)).transpose()
    }

    /// Whether a folder has a ledger.
    ///
    /// # Errors
    /// That can't be told.
    pub fn is_in(state_folder: &Path) -> Result<bool> {
        let path = state_folder.join(schema::FILE);
        path.try_exists().map_err(|error| Error::storage("look at", &path, error))
    }

    fn examined(path: &Path, wait: Duration) -> Result<Self> {
        let database = Database::open(path, wait)?;
        let seals = damage::examine(&database)?;
        // A log that the disk does not have, because its sync failed, is followed by no more.
        database.empty_log()?;
        let newest = read::newest_run(&database)?;
        Ok(Self { database, seals, newest, is_running: false })
    }

    /// Takes the ledger of a folder away, whatever is in it. No ledger may be open.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn remove(state_folder: &Path) -> Result<()> {
        schema::remove(state_folder)
    }

    /// The last run, if it did not end as complete: it was killed, failed or was interrupted.
    pub fn unfinished_run(&self) -> Option<&RunRow> {
        self.newest.as_ref().filter(|run| run.is_unfinished()).map(|run| &run.row)
    }

    /// Says that a run begins with nothing done. The oldest runs are forgotten, so that [`RUNS_KEPT`] are left.
    ///
    /// # Errors
    /// It can't be written. It is a defect of the caller if an unfinished run has pages or parts
    /// ([`Self::start_afresh`] forgets them), or if a run has its name.
    pub fn begin_run(&mut self, start: RunStart) -> Result<()> {
        if let Some(first_run) = self.work()
            && (self.has_pages(first_run, first_run)? || read::parts(&self.database).next().is_some())
        {
            return Err(Error::defect("a run begins while another has pages that are done"));
        }
        let number = self.next_number();
        let row = RunRow { work_started_at: start.started_at.clone(), start, resumes: None, end: None };
        self.add_run(NumberedRun { number, first_run: number, row, publishing: None })
    }

    /// Says that a run begins where the unfinished run `resumed` was stopped: its pages and parts are now those of this
    /// one.
    ///
    /// # Errors
    /// It can't be written. It is a defect of the caller if `resumed` is not the [`Self::unfinished_run`].
    pub fn resume_run(&mut self, resumed: &str, start: RunStart) -> Result<()> {
        let unfinished = self.newest.as_ref().filter(|run| run.is_unfinished());
        let Some(run) = unfinished.filter(|run| run.row.start.run_id == resumed) else {
            return Err(Error::defect(format_args!("run {resumed} is not the one that is unfinished")));
        };
        let first_run = run.first_run;
        let work_started_at = run.row.work_started_at.clone();
        if run.publishing.is_some() {
            // What it was about to publish was not, and other pages may be this time.
            let is_kept = |page: &Forgettable| page.state != PageState::Staged;
            self.write(|changes| changes.forget_pages(first_run, first_run, is_kept))?;
        }
        let row = RunRow { start, resumes: Some(resumed.to_owned()), work_started_at, end: None };
        self.add_run(NumberedRun { number: self.next_number(), first_run, row, publishing: None })
    }

    /// Forgets the pages and parts of the unfinished run, which itself stays as history. Gives the files of the parts,
    /// which are of no use any more; what is left of them if this process is killed next is told by its not being
    /// known.
    ///
    /// # Errors
    /// It can't be written.
    pub fn start_afresh(&mut self) -> Result<Vec<String>> {
        self.is_running = false;
        let Some(first_run) = self.work() else { return Ok(Vec::new()) };
        self.write(|changes| {
            changes.forget_pages(first_run, first_run, |_| false)?;
            changes.forget_parts()
        })
    }

    /// Makes parts known, and their pages done, whatever state they say: all of it or nothing. The files of the parts are
    /// synced, and their folder is. They must stay after an error too: what the disk has is told when the ledger is opened
    /// the next time.
    ///
    /// # Errors
    /// It can't be written; nothing more will be. It is a defect of the caller if a page is done already, if there is a part
    /// with one of the ids, or if no run works.
    pub fn commit_parts(&mut self, parts: &[PartRow], pages: &[PageRow]) -> Result<()> {
        self.replace_parts(&[], parts, pages)
    }

    /// As [`Self::commit_parts`], where the new parts have all that those with the ids in `gone` had.
    ///
    /// # Errors
    /// As those of [`Self::commit_parts`]. It is a defect of the caller if there is no part with one of the ids.
    pub fn replace_parts(&mut self, gone: &[u64], parts: &[PartRow], pages: &[PageRow]) -> Result<()> {
        let first_run = self.running_work()?;
        self.write(|changes| {
            for id in gone {
                changes.forget_part(*id)?;
            }
            for part in parts {
                changes.add_part(first_run, part)?;
            }
            changes.put_pages(first_run, pages, parts.last().map(|part| part.id), |_| PageState::Done)
        })
    }

    /// Remembers pages that failed for good, whatever state they say.
    ///
    /// # Errors
    /// As those of [`Self::commit_parts`].
    pub fn record_failed(&mut self, pages: &[PageRow]) -> Result<()> {
        let first_run = self.running_work()?;
        self.write(|changes| changes.put_pages(first_run, pages, None, |_| PageState::Failed))
    }

    /// Remembers how far pages have come that are neither done nor failed, such as when a run is stopped.
    ///
    /// # Errors
    /// As those of [`Self::commit_parts`]. It is a defect of the caller if a page says that it is done or has failed.
    pub fn record_unfinished(&mut self, pages: &[PageRow]) -> Result<()> {
        let first_run = self.running_work()?;
        if pages.iter().any(|page| page.state >= PageState::Failed) {
            return Err(Error::defect("a page that is done or has failed is told to be unfinished"));
        }
        self.write(|changes| changes.put_pages(first_run, pages, None, |page| page.state))
    }

    /// Says that the output is about to be replaced, and which pages that are in no part have their rows in it. Should
    /// nothing be heard of the run any more, whether it was tells whether the run is [complete](Self::end_published).
    ///
    /// # Errors
    /// As those of [`Self::commit_parts`].
    pub fn begin_publishing(&mut self, publishing: Publishing, pages: &[PageRow]) -> Result<()> {
        let first_run = self.running_work()?;
        let before = self.newest.clone().ok_or_else(|| Error::defect("a run publishes that never began"))?;
        let after = NumberedRun { publishing: Some(publishing), ..before.clone() };
        self.write(|changes| {
            changes.put_pages(first_run, pages, None, |_| PageState::Staged)?;
            changes.update_run(&before, &after)
        })?;
        self.newest = Some(after);
        Ok(())
    }

    /// What the unfinished run was about to publish, if it had come so far.
    pub fn publishing(&self) -> Option<&Publishing> {
        self.newest.as_ref().filter(|run| run.is_unfinished()).and_then(|run| run.publishing.as_ref())
    }

    /// Says that the unfinished run had published its output, and so is complete.
    ///
    /// # Errors
    /// As those of [`Self::end_run`]. It is a defect of the caller if it was not [about to](Self::publishing).
    pub fn end_published(&mut self) -> Result<Vec<String>> {
        let publishing = self.publishing().cloned().zip(self.work());
        let Some((publishing, first_run)) = publishing else {
            return Err(Error::defect("a run is said to have published that was not about to"));
        };
        let staged: Vec<_> =
            read::pages(&self.database, PageState::Staged, first_run, first_run).collect::<Result<_>>()?;
        self.is_running = true;
        self.end_run_with(publishing.end, &staged)
    }

    /// Says how the run ended, and when it is complete, that what its parts have is published: they are forgotten, and
    /// the names of their files are given. Its pages stay, and take the place of older ones with the same URL; but a
    /// page that failed leaves an older one that was done, whose validators are still those of what was published.
    ///
    /// # Errors
    /// It can't be written. It is a defect of the caller if no run works.
    pub fn end_run(&mut self, end: RunEnd) -> Result<Vec<String>> {
        self.end_run_with(end, &[])
    }

    /// As [`Self::end_run`], of a run that is complete, with pages that are published and in no part: they become done with its
    /// end, and not before, when another run would take them for rows of a part.
    ///
    /// # Errors
    /// As those of [`Self::end_run`]. It is a defect of the caller if a page is done already.
    pub fn end_run_with(&mut self, end: RunEnd, pages: &[PageRow]) -> Result<Vec<String>> {
        self.running_work()?;
        let before = self.newest.clone().ok_or_else(|| Error::defect("a run ends that never began"))?;
        let mut after = NumberedRun { publishing: None, ..before.clone() };
        after.row.end = Some(end);
        let (first_run, is_complete) = (after.first_run, !after.is_unfinished());
        let has_older = is_complete && self.has_pages(0, first_run - 1)?;
        let files = self.write(|changes| {
            changes.put_pages(first_run, pages, None, |_| PageState::Done)?;
            changes.update_run(&before, &after)?;
            if !is_complete {
                return Ok(Vec::new());
            }
            let states = if has_older {
                PageStates::of_work(changes.database, first_run)?
            } else {
                PageStates::default()
            };
            if !states.is_empty() {
                changes.forget_pages(0, first_run - 1, |older| match states.of(&older.url_key) {
                    Some(PageState::Done) => false,
                    Some(_) => older.state == PageState::Done,
                    None => true,
                })?;
            }
            changes.forget_parts()
        })?;
        self.newest = Some(after);
        self.is_running = false;
        Ok(files)
    }

    /// The pages that are done of the unfinished run, in the order of their places. They are read a batch at a time.
    pub fn done_pages(&self) -> Rows<'_, PageRow> {
        let first_run = self.work().unwrap_or(i64::MAX);
        read::pages(&self.database, PageState::Done, first_run, first_run)
    }

    /// The pages of complete runs that were done, the oldest runs first: for each URL the newest such page.
    pub fn published_pages(&self) -> Rows<'_, PageRow> {
        let last = self.work().map_or(i64::MAX, |first_run| first_run - 1);
        read::pages(&self.database, PageState::Done, 0, last)
    }

    /// The pages that failed in a run, or in one that it took up, in the order of their places. None, if there is no
    /// such run or a later one took their place.
    ///
    /// # Errors
    /// The runs can't be read.
    pub fn failed_pages(&self, run_id: &str) -> Result<Rows<'_, PageRow>> {
        let runs = read::runs(&self.database)?;
        let run = runs.iter().find(|run| run.row.start.run_id == run_id);
        let first_run = run.map_or(i64::MAX, |run| run.first_run);
        Ok(read::pages(&self.database, PageState::Failed, first_run, first_run))
    }

    /// How far the pages of the unfinished run have come, by their URLs.
    ///
    /// # Errors
    /// They can't be read.
    pub fn page_states(&self) -> Result<PageStates> {
        match self.work() {
            Some(first_run) => PageStates::of_work(&self.database, first_run),
            None => Ok(PageStates::default()),
        }
    }

    /// The parts of the unfinished run, in the order of their ids. They are read a few at a time.
    pub fn parts(&self) -> Rows<'_, PartRow> {
        read::parts(&self.database)
    }

    /// All runs that are remembered, the newest first.
    ///
    /// # Errors
    /// They can't be read.
    pub fn runs(&self) -> Result<Vec<RunRow>> {
        Ok(read::runs(&self.database)?.into_iter().map(|run| run.row).collect())
    }

    /// Brings everything into one file. A ledger that is dropped instead has lost nothing: the next one does it.
    ///
    /// # Errors
    /// It can't be written. What was done is done.
    pub fn close(self) -> Result<()> {
        self.database.close()
    }

    /// The first run of the work that may go on.
    fn work(&self) -> Option<i64> {
        self.newest.as_ref().filter(|run| run.is_unfinished()).map(|run| run.first_run)
    }

    /// The first run of the work that goes on.
    fn running_work(&self) -> Result<i64> {
        let work = self.work().filter(|_| self.is_running);
        work.ok_or_else(|| Error::defect("something is told to the ledger while no run works"))
    }

    fn next_number(&self) -> i64 {
        self.newest.as_ref().map_or(1, |run| run.number + 1)
    }

    fn add_run(&mut self, run: NumberedRun) -> Result<()> {
        let id = &run.row.start.run_id;
        if read::runs(&self.database)?.iter().any(|known| known.row.start.run_id == *id) {
            return Err(Error::defect(format_args!("there is a run {id} already")));
        }
        self.write(|changes| {
            changes.add_run(&run)?;
            changes.forget_runs(run.number - RUNS_KEPT as i64)
        })?;
        self.newest = Some(run);
        self.is_running = true;
        Ok(())
    }

    /// Whether there are pages of work that began with a run from `first` to `last`.
    fn has_pages(&self, first: i64, last: i64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pages WHERE first_run BETWEEN ?1 AND ?2)";
        let found =
            self.database.integer(sql, &[database::Value::Integer(first), database::Value::Integer(last)])?;
        Ok(found == 1)
    }

    /// Makes all changes, with the totals that they lead to, or none.
    fn write<T>(&mut self, change: impl FnOnce(&mut Changes<'_>) -> Result<T>) -> Result<T> {
        let before = self.seals;
        let mut seals = before;
        let value = self.database.write(|database| {
            let value = change(&mut Changes { database, seals: &mut seals })?;
            seals.keep(database, &before)?;
            Ok(value)
        })?;
        self.seals = seals;
        Ok(value)
    }
}
