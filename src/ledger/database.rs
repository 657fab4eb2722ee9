//! The database file: how it is opened, read and written, and what its errors mean. The only import of `rusqlite`.
//!
//! A write that failed is the last one: whether its bytes are on the disk is not known then, and asking again would be
//! told what the cache of the system holds. Nothing here knows what the tables mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::ToSqlOutput;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Row, Statement, Transaction, TransactionBehavior, ffi, params_from_iter,
};

use super::damage;
use crate::error::{Error, ErrorKind, Result};

/// A value of a column, as it stands in a row or goes into one.
pub(super) use rusqlite::types::ValueRef as Value;

/// Most columns of a table.
const COLUMNS_MAX: usize = 24;
/// Bytes of the log beside the file that are written into the file at the end of a transaction: little enough to be
/// read at once after a kill, so much that small transactions don't pay for it.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// What every connection is told before it reads.
///
/// - `locking_mode`: nobody else may look while a run writes, and there is no memory to share, so no third file.
/// - `synchronous = FULL`: in WAL mode, a transaction is on the disk when it has ended; with less, a power cut was
///   measured to lose the whole table.
/// - `wal_autocheckpoint = 0`: SQLite would hide an error of its own checkpoints; ours are explicit.
/// - `temp_store`: nothing is put into the folder for temporary files, which may be full.
const SETTINGS: &str = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON; \
     PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY";

/// A file that this process alone has open.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    log: PathBuf,
    /// A write has failed, or panicked.
    is_given_up: bool,
}

impl Database {
    /// Opens a file that is there. Changes nothing in it, but for what a killed process left in its log. Another process
    /// that has it open is waited for so long.
    pub(super) fn open(path: &Path, wait: Duration) -> Result<Self> {
        let opened = connect(path, wait).and_then(|connection| {
            let log = companion(path, "-wal");
            let database = Self { connection, path: path.to_owned(), log, is_given_up: false };
            let settled = database.connection.execute_batch(SETTINGS).and_then(|()| {
                // A process that ends without `close` leaves the log: after a failed sync, nothing touches the file.
                database.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            });
            settled.map_err(|error| database.fault("open", error))?;
            Ok(database)
        });
        opened.map_err(|error| match refusal(path) {
            Some(cause) if error.kind() == ErrorKind::Storage => Error::storage("open", path, cause),
            _ => error,
        })
    }

    /// Makes a file as `script` says. It is synced, but its folder is not.
    pub(super) fn build(path: &Path, script: &str) -> Result<()> {
        // Its log, if it gets one, has the same mode.
        let created = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
        created.map_err(|error| Error::storage("create", path, error))?;
        let connection = connect(path, Duration::ZERO)?;
        // Nothing needs to survive half-built, so it is synced once, as a whole.
        let script = format!("PRAGMA synchronous = OFF; BEGIN; {script}; COMMIT");
        let built = connection.execute_batch(&script).and_then(|()| use_log(&connection));
        let built = built.map_err(|error| fault(path, "create", error));
        built.and(connection.close().map_err(|(_, error)| fault(path, "create", error)))?;
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| Error::storage("sync", path, error))
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is written by way of a log.
    pub(super) fn has_log(&self) -> Result<bool> {
        let mode: rusqlite::Result<String> =
            self.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
        mode.map(|mode| mode == "wal").map_err(|error| self.fault("read", error))
    }

    /// Refuses a file that could be opened for reading only.
    pub(super) fn check_is_writable(&self) -> Result<()> {
        if self.connection.is_readonly("main").map_err(|error| self.fault("read", error))? {
            let path = self.path.display();
            let message = format!("could not write to {path}; make it and its folder writable");
            return Err(Error::new(ErrorKind::Storage, message));
        }
        Ok(())
    }

    /// A statement that may be run many times.
    pub(super) fn prepare(&self, sql: &str) -> Result<Prepared<'_>> {
        let statement = self.connection.prepare(sql).map_err(|error| self.fault("read", error))?;
        Ok(Prepared { database: self, statement })
    }

    /// The whole number that `sql` asks for.
    pub(super) fn integer(&self, sql: &str, parameters: &[Value<'_>]) -> Result<i64> {
        let found = self.prepare(sql)?.first(parameters, |values| match values {
            [Value::Integer(number)] => Ok(*number),
            _ => Err(damage::damaged(&self.path, "a value that is no number")),
        })?;
        found.ok_or_else(|| damage::damaged(&self.path, "no value where there is always one"))
    }

    /// Makes all changes of `change`, or none of them. Once one has failed, every later one is refused.
    pub(super) fn write<T>(&mut self, change: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        if self.is_given_up {
            let path = self.path.display();
            let message = format!("nothing more is written to {path}: an earlier write to it failed");
            return Err(Error::new(ErrorKind::Storage, message));
        }
        // Taken back when all went well, so that a panic on the way counts as a failure too.
        self.is_given_up = true;
        let begun = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        let transaction = begun.map_err(|error| self.fault("write", error))?;
        // On an error the transaction is dropped, which takes its changes back.
        let value = change(self)?;
        transaction.commit().map_err(|error| self.fault("write", error))?;
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            self.empty_log()?;
        }
        self.is_given_up = false;
        Ok(value)
    }

    /// Brings what the log has into the file. After an error, the file needs its log.
    pub(super) fn empty_log(&self) -> Result<()> {
        let is_busy: rusqlite::Result<bool> =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        match is_busy {
            Ok(false) => Ok(()),
            Ok(true) => Err(in_use(&self.path)),
            Err(error) => Err(self.fault("write", error)),
        }
    }

    /// Ends with one file and no log; after a failed write, leaves both as they are.
    pub(super) fn close(self) -> Result<()> {
        if self.is_given_up {
            return Ok(());
        }
        self.empty_log()?;
        let Self { connection, path, .. } = self;
        // The log is empty: what is left to do is to remove it.
        let removes_log = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        removes_log.map_err(|error| fault(&path, "close", error))?;
        connection.close().map_err(|(_, error)| fault(&path, "close", error))
    }

    fn fault(&self, operation: &str, error: rusqlite::Error) -> Error {
        fault(&self.path, operation, error)
    }
}

/// Lets a test say what no caller may.
#[cfg(test)]
impl Database {
    pub(super) fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }
}

/// A statement of a database.
pub(super) struct Prepared<'a> {
    database: &'a Database,
    statement: Statement<'a>,
}

impl Prepared<'_> {
    /// Runs a statement that answers with no rows.
    pub(super) fn execute(&mut self, parameters: &[Value<'_>]) -> Result<()> {
        let parameters = parameters.iter().map(|value| ToSqlOutput::Borrowed(*value));
        let executed = self.statement.execute(params_from_iter(parameters));
        executed.map(drop).map_err(|error| self.database.fault("write", error))
    }

    /// Shows each row, one at a time.
    pub(super) fn for_each(
        &mut self,
        parameters: &[Value<'_>],
        mut show: impl FnMut(&[Value<'_>]) -> Result<()>,
    ) -> Result<()> {
        let column_count = self.statement.column_count();
        let parameters = parameters.iter().map(|value| ToSqlOutput::Borrowed(*value));
        let unread = |error| self.database.fault("read", error);
        let mut rows = self.statement.query(params_from_iter(parameters)).map_err(unread)?;
        while let Some(row) = rows.next().map_err(unread)? {
            let values = values_of(row, column_count).map_err(unread)?;
            show(&values[..column_count])?;
        }
        Ok(())
    }

    /// What `read` makes of the first row, if there is one.
    pub(super) fn first<T>(
        &mut self,
        parameters: &[Value<'_>],
        read: impl FnOnce(&[Value<'_>]) -> Result<T>,
    ) -> Result<Option<T>> {
        let column_count = self.statement.column_count();
        let parameters = parameters.iter().map(|value| ToSqlOutput::Borrowed(*value));
        let unread = |error| self.database.fault("read", error);
        let mut rows = self.statement.query(params_from_iter(parameters)).map_err(unread)?;
        let Some(row) = rows.next().map_err(unread)? else { return Ok(None) };
        let values = values_of(row, column_count).map_err(unread)?;
        read(&values[..column_count]).map(Some)
    }
}

fn values_of<'a>(row: &'a Row<'_>, column_count: usize) -> rusqlite::Result<[Value<'a>; COLUMNS_MAX]> {
    let mut values = [Value::Null; COLUMNS_MAX];
    for (column, value) in values.iter_mut().enumerate().take(column_count) {
        *value = row.get_ref(column)?;
    }
    Ok(values)
}

/// The file that SQLite keeps beside a database.
pub(super) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path, wait: Duration) -> Result<Connection> {
    // SQLite takes a path that begins with `file:` for a URI.
    let absolute = std::path::absolute(path).map_err(|error| Error::storage("open", path, error))?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(absolute, flags)
        .and_then(|connection| connection.busy_timeout(wait).map(|()| connection));
    connection.map_err(|error| fault(path, "open", error))
}

/// Has a file written by way of a log from now on.
fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = statement.query([])?;
    // It answers first and writes then: whether it could is told by what comes after the answer.
    while answers.next()?.is_some() {}
    Ok(())
}

/// Why the system does not open a file, of which SQLite says less.
fn refusal(path: &Path) -> Option<io::Error> {
    OpenOptions::new().read(true).write(true).open(path).err()
}

fn fault(path: &Path, operation: &str, error: rusqlite::Error) -> Error {
    let (code, extended) = match &error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            (error.code, error.extended_code)
        }
        _ => (ErrorCode::Unknown, 0),
    };
    match code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => damage::damaged(path, &error.to_string()),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => in_use(path),
        _ => {
            let operation = operation_of(extended).unwrap_or(operation);
            match error {
                // Its text has the code, which says more than the words.
                rusqlite::Error::SqliteFailure(error, _) => Error::storage(operation, path, error),
                error => Error::storage(operation, path, error),
            }
        }
    }
}

/// What the system was asked for when it failed, where SQLite tells.
fn operation_of(extended: std::ffi::c_int) -> Option<&'static str> {
    match extended {
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => Some("read"),
        ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE => Some("write"),
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => Some("sync"),
        _ => None,
    }
}

fn in_use(path: &Path) -> Error {
    let path = path.display();
    Error::new(ErrorKind::Locked, format!("another program has {path} open; let it end first"))
}
