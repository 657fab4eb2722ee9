//! The rows of the ledger: what callers give and get, and how it stands in columns.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::database::Value;
use super::schema::Table;
use super::seal::{seal_of, unseal};
use crate::model::Place;
use crate::report::Status;

/// The digest of a URL as it is asked for, by which the ledger knows it.
pub type UrlKey = [u8; 16];

/// A run that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// Names it; no other run of the ledger has this name.
    pub run_id: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Version of etl.
    pub version: String,
    /// What identifies its URL list.
    pub list_sha256: String,
    /// What identifies the options that shape its rows.
    pub options_sha256: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// When, RFC 3339 in UTC.
    pub ended_at: String,
    /// Whether it published.
    pub status: Status,
    /// Exit code of the process.
    pub exit_code: u8,
    /// Its summary.
    pub summary_json: String,
}

impl RunEnd {
    /// Whether nothing is left to do: what there was to publish is published.
    pub fn is_complete(&self) -> bool {
        match self.status {
            Status::Ok | Status::NothingNew | Status::Partial => true,
            Status::Failed | Status::Interrupted => false,
        }
    }
}

/// A run that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// What it said when it began.
    pub start: RunStart,
    /// The unfinished run that it took up.
    pub resumes: Option<String>,
    /// When the first of the runs that took each other up began: none of its pages is older.
    pub work_started_at: String,
    /// How it ended; none if it was killed, or works.
    pub end: Option<RunEnd>,
}

/// A file that takes the place of the output, and how its run ends once it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishing {
    /// The output, from the root.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// XXH3 (64 bits) of its bytes.
    pub checksum: u64,
    /// How the run ends.
    pub end: RunEnd,
}

/// A file that belongs to a part. It stands in the state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFile {
    /// Its path in the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// XXH3 (64 bits) of its bytes.
    pub checksum: u64,
}

/// What is on the disk: rows of the output, what belongs to them, or what was refused beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    /// Its place among the parts of the run, and of those that the run takes up.
    pub id: u64,
    /// Its rows; none if its pages have none.
    pub file: Option<PartFile>,
    /// How many rows.
    pub row_count: u64,
    /// The rejects of its pages; none if they have none.
    pub rejects: Option<PartFile>,
    /// What the caller wants to know again, such as the schema and the order of the rows.
    pub meta: Vec<u8>,
}

/// How far a page has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageState {
    /// Not asked for yet.
    Pending,
    /// Asked for.
    Fetching,
    /// Decoded; its rows are in no part that is known.
    Staged,
    /// Failed for good.
    Failed,
    /// All of its rows are in a part that is known.
    Done,
}

/// What is known of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Where it stands.
    pub place: Place,
    /// The line of the list that its URL stands in.
    pub line: u64,
    /// The digest of its URL.
    pub url_key: UrlKey,
    /// Its URL as it may be shown: without secrets.
    pub url: String,
    /// How far it has come.
    pub state: PageState,
    /// The part that has its rows, if it is done; the part itself is known as long as its run is not complete.
    pub part: Option<u64>,
    /// Requests that were sent for it.
    pub attempts: u32,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// Bytes of its decompressed body.
    pub body_bytes: u64,
    /// Its records, rejected ones included.
    pub record_count: u64,
    /// Its rejects.
    pub reject_count: u64,
    /// The `ETag` of the answer.
    pub etag: Option<String>,
    /// The `Last-Modified` of the answer.
    pub last_modified: Option<String>,
    /// SHA-256 of its content.
    pub content_sha256: Option<[u8; 32]>,
    /// Why it failed.
    pub error: Option<String>,
    /// How its chain goes on, as the caller writes it.
    pub chain: Option<Vec<u8>>,
}

/// A run and its place among all runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NumberedRun {
    /// Goes up by one with each run.
    pub(super) number: i64,
    /// The first of the runs that took each other up, which pages and parts are kept under.
    pub(super) first_run: i64,
    pub(super) row: RunRow,
    /// What it was about to publish when it was heard of last.
    pub(super) publishing: Option<Publishing>,
}

impl NumberedRun {
    /// Whether another run may take it up.
    pub(super) fn is_unfinished(&self) -> bool {
        self.row.end.as_ref().is_none_or(|end| !end.is_complete())
    }

    /// Its columns and their seal.
    pub(super) fn sealed(&self) -> [Value<'_>; 17] {
        let RunRow { start, resumes, work_started_at, end } = &self.row;
        let publishing = &self.publishing;
        let end = end.as_ref().or(publishing.as_ref().map(|publishing| &publishing.end));
        let of_end = |column: fn(&RunEnd) -> Value<'_>| end.map_or(Value::Null, column);
        seal(
            Table::Runs,
            [
                Value::Integer(self.number),
                text(&start.run_id),
                Value::Integer(self.first_run),
                optional(resumes, |run| text(run)),
                text(work_started_at),
                text(&start.started_at),
                text(&start.version),
                text(&start.list_sha256),
                text(&start.options_sha256),
                of_end(|end| text(&end.ended_at)),
                of_end(|end| text(status_word(end.status))),
                of_end(|end| Value::Integer(end.exit_code.into())),
                of_end(|end| text(&end.summary_json)),
                optional(publishing, |file| Value::Blob(file.path.as_os_str().as_bytes())),
                optional(publishing, |file| count(file.bytes)),
                optional(publishing, |file| Value::Integer(file.checksum.cast_signed())),
                Value::Null,
            ],
        )
    }

    /// The run of a row; none if it is not as it was written.
    pub(super) fn read(row: &[Value<'_>]) -> Option<Self> {
        let mut columns = Columns::of(Table::Runs, row)?;
        let (number, run_id, first_run) = (columns.integer()?, columns.text()?, columns.integer()?);
        let (resumes, work_started_at) = (columns.optional(Columns::text)?, columns.text()?);
        let start = RunStart {
            run_id,
            started_at: columns.text()?,
            version: columns.text()?,
            list_sha256: columns.text()?,
            options_sha256: columns.text()?,
        };
        let end = columns.optional(Columns::text)?;
        let end = match end {
            Some(ended_at) => Some(RunEnd {
                ended_at,
                status: status_of(columns.word()?)?,
                exit_code: columns.integer()?,
                summary_json: columns.text()?,
            }),
            None => {
                columns.skip(3);
                None
            }
        };
        let path = columns.optional(Columns::blob)?.map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let bytes = columns.optional(Columns::integer)?;
        let checksum = columns.optional(Columns::integer::<i64>)?.map(i64::cast_unsigned);
        let (end, publishing) = match (end, path, bytes, checksum) {
            (Some(end), Some(path), Some(bytes), Some(checksum)) => {
                (None, Some(Publishing { path, bytes, checksum, end }))
            }
            (end, None, None, None) => (end, None),
            _ => return None,
        };
        let row = RunRow { start, resumes, work_started_at, end };
        Some(Self { number, first_run, row, publishing })
    }
}

impl PartRow {
    /// Its columns and their seal.
    pub(super) fn sealed(&self, first_run: i64) -> [Value<'_>; 11] {
        let [file, bytes, checksum] = file_columns(self.file.as_ref());
        let [rejects_file, rejects_bytes, rejects_checksum] = file_columns(self.rejects.as_ref());
        seal(
            Table::Parts,
            [
                count(self.id),
                Value::Integer(first_run),
                count(self.row_count),
                file,
                bytes,
                checksum,
                rejects_file,
                rejects_bytes,
                rejects_checksum,
                Value::Blob(&self.meta),
                Value::Null,
            ],
        )
    }

    /// The part of a row; none if it is not as it was written.
    pub(super) fn read(row: &[Value<'_>]) -> Option<Self> {
        let mut columns = Columns::of(Table::Parts, row)?;
        let id = columns.integer()?;
        let _first_run: i64 = columns.integer()?;
        let row_count = columns.integer()?;
        let (file, rejects) = (columns.file()?, columns.file()?);
        Some(Self { id, file, row_count, rejects, meta: columns.blob()?.to_vec() })
    }

    /// The names of its files.
    pub(super) fn file_names(self) -> impl Iterator<Item = String> {
        [self.file, self.rejects].into_iter().flatten().map(|file| file.name)
    }
}

impl PageState {
    /// As it stands in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fetching => "fetching",
            Self::Staged => "staged",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        let states = [Self::Pending, Self::Fetching, Self::Staged, Self::Failed, Self::Done];
        states.into_iter().find(|state| state.word() == word)
    }
}

impl PageRow {
    /// Its columns and their seal, with another state than its own.
    pub(super) fn sealed(&self, first_run: i64, state: PageState, part: Option<u64>) -> [Value<'_>; 19] {
        seal(
            Table::Pages,
            [
                Value::Integer(first_run),
                Value::Integer(self.place.page.into()),
                count(self.place.ordinal),
                count(self.line),
                Value::Blob(&self.url_key),
                text(&self.url),
                text(state.word()),
                part.map_or(Value::Null, count),
                Value::Integer(self.attempts.into()),
                optional(&self.http_status, |status| Value::Integer((*status).into())),
                count(self.body_bytes),
                count(self.record_count),
                count(self.reject_count),
                optional(&self.etag, |etag| text(etag)),
                optional(&self.last_modified, |date| text(date)),
                optional(&self.content_sha256, |digest| Value::Blob(digest)),
                optional(&self.error, |error| text(error)),
                optional(&self.chain, |chain| Value::Blob(chain)),
                Value::Null,
            ],
        )
    }

    /// The page of a row; none if it is not as it was written.
    pub(super) fn read(row: &[Value<'_>]) -> Option<Self> {
        let mut columns = Columns::of(Table::Pages, row)?;
        let _first_run: i64 = columns.integer()?;
        Some(Self {
            place: Place { page: columns.integer()?, ordinal: columns.integer()? },
            line: columns.integer()?,
            url_key: columns.blob()?.try_into().ok()?,
            url: columns.text()?,
            state: PageState::of_word(columns.word()?)?,
            part: columns.optional(Columns::integer)?,
            attempts: columns.integer()?,
            http_status: columns.optional(Columns::integer)?,
            body_bytes: columns.integer()?,
            record_count: columns.integer()?,
            reject_count: columns.integer()?,
            etag: columns.optional(Columns::text)?,
            last_modified: columns.optional(Columns::text)?,
            content_sha256: columns.optional(Columns::digest)?,
            error: columns.optional(Columns::text)?,
            chain: columns.optional(|columns| columns.blob().map(<[u8]>::to_vec))?,
        })
    }

    /// The URL and the state of a row alone, all of which is looked at; none if it is not as it was written.
    pub(super) fn read_state(row: &[Value<'_>]) -> Option<(UrlKey, PageState)> {
        let (values, _) = unseal(Table::Pages, row)?;
        match values {
            [_, _, _, _, Value::Blob(url_key), _, Value::Text(state), ..] => {
                Some(((*url_key).try_into().ok()?, PageState::of_word(str::from_utf8(state).ok()?)?))
            }
            _ => None,
        }
    }
}

/// The columns of a row whose seal is right, from the first to the last.
struct Columns<'a>(std::slice::Iter<'a, Value<'a>>);

impl<'a> Columns<'a> {
    fn of(table: Table, row: &'a [Value<'a>]) -> Option<Self> {
        unseal(table, row).map(|(values, _)| Self(values.iter()))
    }

    fn integer<T: TryFrom<i64>>(&mut self) -> Option<T> {
        match self.0.next()? {
            Value::Integer(number) => T::try_from(*number).ok(),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        self.word().map(str::to_owned)
    }

    fn word(&mut self) -> Option<&'a str> {
        match self.0.next()? {
            Value::Text(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        match self.0.next()? {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn digest(&mut self) -> Option<[u8; 32]> {
        self.blob()?.try_into().ok()
    }

    /// A value that may be absent.
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.0.as_slice().first()? == &Value::Null {
            self.0.next();
            return Some(None);
        }
        read(self).map(Some)
    }

    /// Goes on behind values that say nothing.
    fn skip(&mut self, count: usize) {
        self.0.by_ref().take(count).for_each(drop);
    }

    fn file(&mut self) -> Option<Option<PartFile>> {
        let (name, bytes) = (self.optional(Self::text)?, self.optional(Self::integer)?);
        let checksum = self.optional(Self::integer::<i64>)?.map(i64::cast_unsigned);
        match (name, bytes, checksum) {
            (Some(name), Some(bytes), Some(checksum)) => Some(Some(PartFile { name, bytes, checksum })),
            (None, None, None) => Some(None),
            _ => None,
        }
    }
}

fn seal<const N: usize>(table: Table, mut row: [Value<'_>; N]) -> [Value<'_>; N] {
    let (place, values) = row.split_last_mut().expect("every table has columns");
    *place = Value::Integer(seal_of(table, values));
    row
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.as_bytes())
}

fn count<'a>(count: u64) -> Value<'a> {
    Value::Integer(i64::try_from(count).expect("nothing is counted up to 2^63"))
}

fn optional<'a, T>(value: &'a Option<T>, column: impl FnOnce(&'a T) -> Value<'a>) -> Value<'a> {
    value.as_ref().map_or(Value::Null, column)
}

fn file_columns(file: Option<&PartFile>) -> [Value<'_>; 3] {
    match file {
        Some(file) => [text(&file.name), count(file.bytes), Value::Integer(file.checksum.cast_signed())],
        None => [Value::Null; 3],
    }
}

/// As it stands in the summary too.
fn status_word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::NothingNew => "nothing_new",
        Status::Partial => "partial",
        Status::Failed => "failed",
        Status::Interrupted => "interrupted",
    }
}

fn status_of(word: &str) -> Option<Status> {
    let statuses = [Status::Ok, Status::NothingNew, Status::Partial, Status::Failed, Status::Interrupted];
    statuses.into_iter().find(|status| status_word(*status) == word)
}
