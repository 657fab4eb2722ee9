//! What a run does, as plain validated data; every default stands here with its reason.
//!
//! Nothing here parses a command line or reads an environment: `cli.rs` fills these structs, a test
//! or another program may as well.

mod netrc;
mod paging;
mod places;
mod projection;
mod request;
mod schema;
mod secret;
mod state;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::Day;
use crate::pointer;
use crate::schema::{DeclaredSchema, Nesting, SchemaContract};

pub use netrc::Netrc;
pub use paging::{PaginationConfig, Paging};
pub use places::{
    CHANGING_KEYS, CURSOR_PARAMETERS, KNOWN_CURSORS, KNOWN_LINKS, KnownCursor, PAGE_COUNTS, SIGNS, TOTALS,
    is_mark,
};
pub use projection::{HashKey, Projection, RejectsRaw};
pub use request::{ClientAuth, Header, Login, Method, OAuth2Config, RequestConfig, TlsConfig};
pub use secret::Secret;
pub use state::StateConfig;

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the pages are listed.
    pub input: InputConfig,
    /// How they are asked for.
    pub http: HttpConfig,
    /// How bodies become records and columns.
    pub transform: TransformConfig,
    /// When a run that lost something still counts.
    pub contract: ContractConfig,
    /// Where and how the output is written.
    pub output: OutputConfig,
    /// What the run may use of the machine.
    pub resources: ResourceConfig,
    /// What is kept of a run that is stopped.
    pub state: StateConfig,
    /// Files that were read to set this up, with the options that name them: no output may be one of them.
    pub files_read: Vec<(&'static str, PathBuf)>,
}

impl Config {
    /// Bytes for pages: what row groups leave of the memory. One fills, a page that has a table of its own fills
    /// another, one is encoded, and as much again may come out of that.
    pub fn page_memory_bytes(&self) -> u64 {
        let memory_bytes = self.resources.memory_bytes;
        let row_groups_bytes = 4 * self.output.row_group.bytes_max as u64;
        // One record of the page that is written may take as much again.
        memory_bytes.saturating_sub(row_groups_bytes).max(memory_bytes / 4).min(memory_bytes / 2)
    }
}

/// Everything that is needed to know what the records are, without writing any.
#[derive(Debug, Clone)]
pub struct SurveyConfig {
    /// Where the pages are listed.
    pub input: InputConfig,
    /// How they are asked for.
    pub http: HttpConfig,
    /// How bodies become records and columns.
    pub transform: TransformConfig,
    /// What may be used of the machine.
    pub resources: ResourceConfig,
    /// Records after which no more are read; all are where there is none.
    pub sample: Option<u64>,
}

/// Where the pages are listed: the file first, then the arguments; or where an earlier run kept them.
#[derive(Debug, Clone, Default)]
pub struct InputConfig {
    /// The URL list; `-` is standard input.
    pub urls_file: Option<PathBuf>,
    /// URLs given as arguments, after the list.
    pub urls: Vec<String>,
    /// The folder of raw bodies that are read again instead of a list.
    pub replay: Option<PathBuf>,
    /// The rejects file whose records are read instead of a list.
    pub rejected: Option<PathBuf>,
    /// The day that `{date:...}` stands for; today in UTC when `None`.
    pub as_of: Option<Day>,
    /// How pages are asked for where their line does not say it.
    pub method: Method,
    /// What is sent with a POST where its line does not say it.
    pub body: Option<Secret>,
    /// Query keys whose values are hidden, beside the built-in ones.
    pub redact: Vec<String>,
}

/// How pages are asked for.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Requests in flight at once, to all hosts together. 128 hides 50 ms of latency on small pages; a host gets
    /// as many only once it has shown that it can take them.
    pub concurrency: usize,
    /// Requests in flight to one host; found out by asking where there is none: from 16 on, less where the host
    /// refuses them or becomes slow, `concurrency` at most.
    pub concurrency_per_host: Option<usize>,
    /// Most requests to one host in a time, retries and redirects included; no limit by default.
    pub rate: Option<Rate>,
    /// Time for TCP and TLS together. 10 s covers a lost packet or two on a slow line.
    pub connect_timeout: Duration,
    /// Longest silence between two reads: 30 s, so that a slow but living server is not cut off.
    pub read_timeout: Duration,
    /// Longest time for one page, all of its attempts included; none by default.
    pub max_time: Option<Duration>,
    /// How a failed attempt is tried again.
    pub retry: RetryConfig,
    /// Cap on the decompressed bytes of one page; a bomb ends here.
    pub page_bytes_max: u64,
    /// How the pages behind the listed ones are found.
    pub pagination: PaginationConfig,
    /// What is sent with the requests.
    pub request: RequestConfig,
    /// Tells whether a public server may lead to private addresses.
    pub allows_private: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            concurrency: 128,
            concurrency_per_host: None,
            rate: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            max_time: None,
            retry: RetryConfig::default(),
            page_bytes_max: 8 << 30,
            pagination: PaginationConfig::default(),
            request: RequestConfig::default(),
            allows_private: false,
        }
    }
}

/// How many requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time from one request to the next.
    pub interval: Duration,
}

/// Exponential backoff with full jitter.
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// Attempts after the first one. Four outlast a restart of the server behind a load balancer.
    pub retry_count: u32,
    /// The first delay is drawn from `0..=base`, the next from twice that: 0.5 s, so that a moment's fault
    /// costs little, and four delays take 7.5 s at most.
    pub base: Duration,
    /// No drawn delay is longer, however many attempts are allowed; `Retry-After` may be.
    pub cap: Duration,
    /// Longest time from the first attempt in which a new one may begin. Caps `Retry-After`, and every other pause
    /// that a host asks for, too.
    pub retry_max_time: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            retry_count: 4,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            // A server that asks for more than five minutes is down for this run.
            retry_max_time: Duration::from_secs(300),
        }
    }
}

/// How bodies become records, columns and features.
#[derive(Debug, Clone)]
pub struct TransformConfig {
    /// Reference tokens of the JSON Pointer (RFC 6901) to the array of records; `None` without `--records`. None at all
    /// lead to the document itself, which is then a record even if it is the report of an error.
    pub records: Option<Arc<[String]>>,
    /// Reference tokens of the places beside the records whose values are wanted, to find the next page.
    pub looked_at: Arc<[Vec<String>]>,
    /// The features and the fields that they are computed from.
    pub features: Arc<FeatureConfig>,
    /// Bytes of a larger page that are decoded at once. 1 MiB takes a core some 3 ms: long beside a hand-off,
    /// short beside a page, and small pages are one chunk.
    pub chunk_bytes: usize,
    /// Most bytes of a record; a larger one is rejected by its size and hash. 16 MiB is a quarter of the least
    /// memory.
    pub record_bytes_max: u64,
    /// Most bytes of memory that the columns of one record may take; a record that takes more is rejected.
    pub record_memory_bytes: usize,
    /// Which objects inside records become columns, and which text.
    pub nesting: Nesting,
    /// Whether each row says where it comes from.
    pub has_provenance: bool,
    /// Which fields become columns, and how.
    pub projection: Arc<Projection>,
    /// How much of a rejected record is shown.
    pub rejects_raw: RejectsRaw,
    /// What is known of the records before the first page.
    pub schema: Option<Arc<DeclaredSchema>>,
    /// What is done with records that do not fit it.
    pub schema_contract: SchemaContract,
    /// The text of the filter that records go through before anything else is asked of them.
    pub jq: Option<Arc<str>>,
}

impl TransformConfig {
    /// The default of `--max-record-bytes`.
    pub const RECORD_BYTES_MAX_DEFAULT: u64 = 16 << 20;
    /// The most that `--max-record-bytes` may be: the offsets of text columns are 32 bits wide, and text may
    /// grow when it is widened.
    pub const RECORD_BYTES_MAX_LIMIT: u64 = 512 << 20;

    /// Bytes that one record may take of so much memory: a seventh of all that may be resident. While a record is written,
    /// its columns stand beside their levels, their plain pages and their compressed ones.
    pub fn record_memory_bytes(memory_bytes: u64) -> usize {
        let resident_bytes = memory_bytes.saturating_add(ResourceConfig::BESIDE_MEMORY_BYTES);
        usize::try_from(resident_bytes / 7).unwrap_or(usize::MAX)
    }
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self {
            records: None,
            looked_at: Arc::default(),
            features: Arc::default(),
            chunk_bytes: 1 << 20,
            record_bytes_max: Self::RECORD_BYTES_MAX_DEFAULT,
            record_memory_bytes: Self::record_memory_bytes(512 << 20),
            nesting: Nesting::default(),
            has_provenance: false,
            projection: Arc::default(),
            rejects_raw: RejectsRaw::Full,
            schema: None,
            schema_contract: SchemaContract::Evolve,
            jq: None,
        }
    }
}

/// Which lists are summarised, and how.
#[derive(Debug, Clone)]
pub struct FeatureConfig {
    /// The lists, in the order of their columns. Empty for `--features none`.
    pub fields: Vec<ValuesField>,
    /// Whether the user named the fields, so that their columns exist even when no record has them.
    pub fields_are_explicit: bool,
    /// The features of each list, in the order of their columns.
    pub features: Vec<Feature>,
    /// What is done with NaN and infinities.
    pub on_nonfinite: OnNonfinite,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            fields: vec![ValuesField { name: "values".into(), path: FieldPath::Key("values".into()) }],
            fields_are_explicit: false,
            features: Feature::DEFAULT.to_vec(),
            on_nonfinite: OnNonfinite::Skip,
        }
    }
}

impl FeatureConfig {
    /// The names of the columns of all features, in order.
    pub fn column_names(&self) -> impl Iterator<Item = String> {
        self.fields.iter().flat_map(|field| self.names_of(field))
    }

    /// The names of the columns of one list's features, in order.
    pub fn names_of<'a>(&'a self, field: &'a ValuesField) -> impl Iterator<Item = String> + 'a {
        self.features.iter().map(|feature| format!("{}_{}", field.name, feature.name()))
    }

    /// `--features none`: no list is summarised, `values` is a field like any other.
    pub fn none() -> Self {
        Self {
            fields: Vec::new(),
            fields_are_explicit: false,
            features: Vec::new(),
            on_nonfinite: OnNonfinite::Skip,
        }
    }
}

/// A list of numbers in the records, and the name that its feature columns begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesField {
    /// Prefix of the columns: `NAME_mean`.
    pub name: String,
    /// Where the list stands in a record.
    pub path: FieldPath,
}

/// A place in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldPath {
    /// A top-level key as it stands; `id.orig_h` is one key.
    Key(String),
    /// Reference tokens of a JSON Pointer. One that leads through a list, by an index, leaves the type of
    /// that list's elements alone; else the column is a list of doubles.
    Pointer(Vec<String>),
}

impl FieldPath {
    /// The keys to follow from the record, outermost first.
    pub fn keys(&self) -> &[String] {
        match self {
            Self::Key(key) => std::slice::from_ref(key),
            Self::Pointer(tokens) => tokens,
        }
    }

    /// The place as it is written in `--values`.
    pub fn shown(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Pointer(tokens) => pointer::show(tokens.iter().map(String::as_str)),
        }
    }
}

/// What to do with NaN and infinities in a list (they can only come as strings: `"NaN"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNonfinite {
    /// Leave them out of the features; the list keeps them.
    #[default]
    Skip,
    /// Let them through, so that a feature may be NaN or infinite.
    Keep,
    /// Reject the record.
    Reject,
}

impl OnNonfinite {
    /// Its name in `--on-nonfinite`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Keep => "keep",
            Self::Reject => "reject",
        }
    }
}

/// A number computed from the values `x` of one list, `n` of them; nulls are not values.
///
/// It is null where its formula is undefined, and where its result is too large for a double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `n`.
    Count,
    /// Arithmetic mean, `sum(x) / n`.
    Mean,
    /// Sample variance, `sum((x - mean)^2) / (n - 1)`, from two values on (NIST/SEMATECH handbook, 1.3.5.6).
    Variance,
    /// Sample standard deviation, the square root of [`Feature::Variance`].
    Stddev,
    /// Smallest value; -0 is smaller than 0 (IEEE 754-2019, `minimum`).
    Min,
    /// Largest value (IEEE 754-2019, `maximum`).
    Max,
    /// Number of nulls in the list.
    NullCount,
    /// Sum of the values, compensated (Ogita, Rump, Oishi 2005, `Sum2`).
    Sum,
    /// Population variance, `sum((x - mean)^2) / n`, from one value on.
    PopulationVariance,
    /// Square root of [`Feature::PopulationVariance`].
    PopulationStddev,
    /// `max - min`.
    Range,
    /// Root mean square, `sqrt(sum(x^2) / n)`.
    Rms,
    /// Coefficient of variation, `stddev / |mean|`; null at mean 0.
    Cv,
    /// The 0.50 quantile.
    Median,
    /// The 0.90 quantile. Quantiles are type 7 of Hyndman and Fan (1996): linear between the values
    /// around `(n - 1) p`, as numpy, DuckDB and R have them by default.
    P90,
    /// The 0.95 quantile.
    P95,
    /// The 0.99 quantile.
    P99,
    /// Interquartile range, the 0.75 less the 0.25 quantile.
    Iqr,
    /// Median of `|x - median|`, without a factor for the normal distribution (NIST/SEMATECH handbook, 1.3.5.6).
    Mad,
    /// `g1 = m3 / m2^1.5` of the central moments `m_k = sum((x - mean)^k) / n`; null where all values
    /// are equal (Joanes and Gill 1998).
    Skewness,
    /// Excess kurtosis `g2 = m4 / m2^2 - 3`; null where all values are equal (Joanes and Gill 1998).
    Kurtosis,
}

impl Feature {
    /// The features that are computed when none are named.
    pub const DEFAULT: [Self; 6] =
        [Self::Count, Self::Mean, Self::Variance, Self::Stddev, Self::Min, Self::Max];

    /// Every feature, the default ones first.
    pub const ALL: [Self; 21] = [
        Self::Count,
        Self::Mean,
        Self::Variance,
        Self::Stddev,
        Self::Min,
        Self::Max,
        Self::NullCount,
        Self::Sum,
        Self::PopulationVariance,
        Self::PopulationStddev,
        Self::Range,
        Self::Rms,
        Self::Cv,
        Self::Median,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::Iqr,
        Self::Mad,
        Self::Skewness,
        Self::Kurtosis,
    ];

    /// Its name in `--features` and at the end of its column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Mean => "mean",
            Self::Variance => "variance",
            Self::Stddev => "stddev",
            Self::Min => "min",
            Self::Max => "max",
            Self::NullCount => "null_count",
            Self::Sum => "sum",
            Self::PopulationVariance => "population_variance",
            Self::PopulationStddev => "population_stddev",
            Self::Range => "range",
            Self::Rms => "rms",
            Self::Cv => "cv",
            Self::Median => "median",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Iqr => "iqr",
            Self::Mad => "mad",
            Self::Skewness => "skewness",
            Self::Kurtosis => "kurtosis",
        }
    }

    /// Whether it is a number of elements, and so an integer.
    pub const fn is_count(self) -> bool {
        matches!(self, Self::Count | Self::NullCount)
    }

    /// The feature called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

/// A limit given as a count or as a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most so many.
    Count(u64),
    /// At most so many of a hundred.
    Percent(f64),
}

impl Limit {
    /// Whether `part` of `whole` is more than the limit allows.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        match self {
            Self::Count(most) => part > most,
            Self::Percent(most) => part as f64 * 100.0 > most * whole as f64,
        }
    }
}

/// When a run that lost something is refused (exit 4, nothing published).
#[derive(Debug, Clone, Default)]
pub struct ContractConfig {
    /// Any reject or failed page breaks the contract.
    pub strict: bool,
    /// Most rejected records, of the records seen.
    pub rejects_max: Option<Limit>,
    /// Most failed pages, of the pages listed.
    pub failed_max: Option<Limit>,
    /// Fewest records written.
    pub records_min: Option<u64>,
}

/// Where and how the output is written.
#[derive(Debug, Clone)]
pub struct OutputConfig {
    /// The Parquet file.
    pub out: PathBuf,
    /// The rejects file; `<out>.rejects.ndjson` when `None`.
    pub rejects: Option<PathBuf>,
    /// The folder in which bodies are kept as they come, if they are.
    pub keep_raw: Option<PathBuf>,
    /// When a row group ends.
    pub row_group: RowGroupConfig,
}

/// A row group ends at whichever limit comes first. Never by time, so that the file does not vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGroupConfig {
    /// Most rows. 65,536 keeps readers' batches small and both encoder cores busy.
    pub rows_max: usize,
    /// Most bytes as Arrow. 16 MiB hold 65,536 usual log records, and four of them fit the least `--memory`.
    pub bytes_max: usize,
}

impl Default for RowGroupConfig {
    fn default() -> Self {
        Self { rows_max: 65_536, bytes_max: 16 << 20 }
    }
}

/// What the run may use of the machine.
#[derive(Debug, Clone)]
pub struct ResourceConfig {
    /// Ceiling for memory: the process stays within it and 64 MiB.
    pub memory_bytes: u64,
    /// Threads that decode, compute and encode.
    pub thread_count: usize,
    /// Files and connections that the process may have open; no limit where there is none.
    pub open_files_max: Option<usize>,
}

impl ResourceConfig {
    /// The least `--memory`: below it four row groups no longer fit.
    pub const MEMORY_BYTES_MIN: u64 = 64 << 20;
    /// The default of `--memory`: small cloud machines have it, and it holds a few dozen pages beside the row groups.
    pub const MEMORY_BYTES_DEFAULT: u64 = 512 << 20;
    /// Bytes that a run may hold beside it: code, stacks, buffers of the allocator, and what each URL of the list takes.
    pub const BESIDE_MEMORY_BYTES: u64 = 64 << 20;
    /// Open files that are the run's own: its parts, its ledger and locks, the list, what waits for the system.
    const OWN_FILES: usize = 40;
    /// Open files of one page: its connection, and what is put on disk of its body.
    pub const PAGE_FILES: usize = 2;

    /// Pages that may have files open at once; one at least.
    pub fn open_pages_max(&self) -> usize {
        let left = |most: usize| most.saturating_sub(Self::OWN_FILES) / Self::PAGE_FILES;
        self.open_files_max.map_or(usize::MAX, left).max(1)
    }
}

impl Default for ResourceConfig {
    fn default() -> Self {
        Self { memory_bytes: Self::MEMORY_BYTES_DEFAULT, thread_count: 1, open_files_max: None }
    }
}
