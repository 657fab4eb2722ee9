//! The command line as it is typed. The only clap import.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use etl::calendar::Day;
use etl::config::{
    FieldPath, HttpConfig, Limit, PaginationConfig, Rate, RetryConfig, RowGroupConfig, ValuesField,
};
use etl::schema::Nesting;

use super::fields::{Renamed, parse_field, parse_renamed, parse_values};
use super::units::{parse_bytes, parse_duration, parse_limit, parse_rate};
use super::words::{
    FeatureList, MethodName, Pointer, parse_concurrency, parse_day, parse_features, parse_keys, parse_memory,
    parse_method, parse_pages, parse_pointer, parse_records, parse_retries, parse_rows, parse_sample,
    parse_threads,
};

/// When a progress line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressWhen {
    /// When standard error is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Pulls JSON log pages over HTTP, computes variance features over numeric lists in the records, and
/// leaves one verified, snappy-compressed Parquet file.
#[derive(Debug, Parser)]
#[command(
    name = "etl",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    override_usage = "etl [OPTIONS] --urls FILE --out PATH\n       etl [OPTIONS] --out PATH URL...\n       \
                      etl [OPTIONS] --replay DIR --out PATH\n       etl schema [OPTIONS] --urls FILE\n       etl probe [OPTIONS] URL\n       \
                      etl runs [--json] DIR [RUN]\n       etl rejects retry [OPTIONS] REJECTS --out PATH",
    after_help = "Exit codes: 0 published or nothing to publish; 1 failed, nothing published; 2 usage; \
                  3 published, but pages failed or records were rejected; 4 contract broken (--strict, --max-*, \
                  --min-records, a computed column whose name the records use, over 5,000 columns or 32,767 row groups, \
                  records without any field, a record that a frozen --schema does not hold), nothing published; 5 every page failed and no server answered; 6 output or \
                  storage failed; 75 another run holds the lock; 129/130/143 stopped by SIGHUP, SIGINT, SIGTERM."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// What is not a run.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the schema of the records as TOML, for --schema, and write nothing
    #[command(
        max_term_width = 100,
        override_usage = "etl schema [OPTIONS] --urls FILE\n       etl schema [OPTIONS] URL..."
    )]
    Schema(Box<SchemaArgs>),
    /// Look at one page, and say what it is and how it can be taken
    #[command(max_term_width = 100, override_usage = "etl probe [OPTIONS] URL")]
    Probe(Box<ProbeArgs>),
    /// List the runs of a state folder, the newest first, or the failed pages of one of them
    #[command(max_term_width = 100, override_usage = "etl runs [--json] DIR [RUN]")]
    Runs(RunsArgs),
    /// Take up the rejects of an earlier run: etl rejects retry
    #[command(
        max_term_width = 100,
        subcommand,
        override_usage = "etl rejects retry [OPTIONS] REJECTS --out PATH"
    )]
    Rejects(RejectsCommand),
}

/// A run.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    /// Folder in which the bodies of pages are kept as they come, for --replay; made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "replay", help_heading = "Output")]
    pub(super) keep_raw: Option<PathBuf>,

    #[command(flatten)]
    pub(super) http: HttpArgs,

    #[command(flatten)]
    pub(super) pagination: PaginationArgs,

    #[command(flatten)]
    pub(super) parsing: ParsingArgs,

    #[command(flatten)]
    pub(super) schema: SchemaFileArgs,

    #[command(flatten)]
    pub(super) fields: FieldArgs,

    #[command(flatten)]
    pub(super) features: FeatureArgs,

    #[command(flatten)]
    pub(super) rejects: RejectsArgs,

    /// Publish nothing if more pages fail
    #[arg(long, value_name = "N|P%", value_parser = parse_limit, help_heading = "Rejects")]
    pub(super) max_failed: Option<Limit>,

    #[command(flatten)]
    pub(super) state: StateArgs,

    #[command(flatten)]
    pub(super) resources: ResourceArgs,

    #[command(flatten)]
    pub(super) talk: TalkArgs,

    /// Print the summary as one JSON object on standard output
    #[arg(long, help_heading = "Operations")]
    pub(super) json: bool,
}

/// What is done with the rejects of an earlier run.
#[derive(Debug, Subcommand)]
pub(super) enum RejectsCommand {
    /// Feed the rejected records of a rejects file through again, after an option or a schema changed
    #[command(
        max_term_width = 100,
        override_usage = "etl rejects retry [OPTIONS] REJECTS --out PATH",
        after_help = "The records are read as they stand there, one after another, as one page: line, page and record in \
                      the new rejects file, and the columns of --provenance, count in it. REJECTS stays as it is. Failed \
                      pages, and records that are not there as they were, are counted and told."
    )]
    Retry(Box<RetryArgs>),
}

/// Options of `etl rejects retry`.
#[derive(Debug, clap::Args)]
pub(super) struct RetryArgs {
    /// The rejects file of an earlier run
    #[arg(value_name = "REJECTS")]
    pub(super) file: PathBuf,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) parsing: ParsingArgs,

    #[command(flatten)]
    pub(super) schema: SchemaFileArgs,

    #[command(flatten)]
    pub(super) fields: FieldArgs,

    #[command(flatten)]
    pub(super) features: FeatureArgs,

    #[command(flatten)]
    pub(super) rejects: RejectsArgs,

    #[command(flatten)]
    pub(super) resources: ResourceArgs,

    #[command(flatten)]
    pub(super) talk: TalkArgs,

    /// Print the summary as one JSON object on standard output
    #[arg(long, help_heading = "Operations")]
    pub(super) json: bool,
}

/// What the output is.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArgs {
    /// Parquet file to replace; {date:...} expands
    #[arg(short, long, value_name = "PATH", required = true, help_heading = "Output")]
    pub(super) out: Option<String>,

    /// Add the columns _etl_url, _etl_page and _etl_record: where each row comes from
    #[arg(long, help_heading = "Output")]
    pub(super) provenance: bool,

    /// Rows of a row group at most
    #[arg(long, value_name = "N", default_value_t = RowGroupConfig::default().rows_max as u64,
          value_parser = parse_rows, help_heading = "Output")]
    pub(super) row_group_rows: u64,

    /// Bytes of a row group in memory at most; an eighth of --memory, or 16MiB, at most
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes, help_heading = "Output")]
    pub(super) row_group_bytes: u64,
}

/// The schema to begin with.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaFileArgs {
    /// Schema to begin with: TOML as `etl schema` prints it, or a Parquet file whose columns are taken
    #[arg(long, value_name = "FILE", help_heading = "Schema")]
    pub(super) schema: Option<PathBuf>,

    /// What is done with records that do not fit --schema
    #[arg(long, value_enum, default_value_t = Contract::Evolve, requires = "schema", help_heading = "Schema")]
    pub(super) schema_contract: Contract,
}

/// What becomes of what is not written.
#[derive(Debug, clap::Args)]
pub(super) struct RejectsArgs {
    /// Where rejected records and failed pages go [default: <OUT>.rejects.ndjson]
    #[arg(long, value_name = "FILE", help_heading = "Rejects")]
    pub(super) rejects: Option<PathBuf>,

    /// How much of rejected records and failed pages the rejects file shows [default: redacted with --drop or --hash,
    /// else full]
    #[arg(long, value_enum, help_heading = "Rejects")]
    pub(super) rejects_raw: Option<Raw>,

    /// Publish nothing if more records are rejected
    #[arg(long, value_name = "N|P%", value_parser = parse_limit, help_heading = "Rejects")]
    pub(super) max_rejects: Option<Limit>,

    /// Publish nothing if fewer records would be written
    #[arg(long, value_name = "N", value_parser = parse_records, help_heading = "Rejects")]
    pub(super) min_records: Option<u64>,

    /// Publish nothing if any record is rejected or any page fails
    #[arg(long, help_heading = "Rejects")]
    pub(super) strict: bool,
}

/// What a run that is stopped leaves to the next one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "State")]
pub(super) struct StateArgs {
    /// Folder that what is done is kept in, and which stays after the run [default: <OUT>.etl, gone after a complete run]
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,

    /// Begin anew, whatever an earlier run had done
    #[arg(long)]
    pub(super) fresh: bool,

    /// Ask for the pages alone that failed in the last complete run of --state, of the same list; --out takes another
    /// name than then
    #[arg(long, requires = "state", conflicts_with_all = ["fresh", "replay", "keep_raw"])]
    pub(super) retry_failed: bool,

    /// How often what is done is made to last
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(super) checkpoint: Duration,

    /// Begin anew if what an earlier run had done is older
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = parse_duration)]
    pub(super) resume_within: Duration,

    /// Wait so long for another run on the same output [default: exit 75 at once]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) lock_wait: Option<Duration>,

    /// Stop after so long, exit 7, and leave the rest to the next run
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) deadline: Option<Duration>,

    /// Stop after so many pages, exit 7, and leave the rest to the next run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_pages_per_run: Option<u64>,
}

/// Options of `etl schema`.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    #[command(flatten)]
    pub(super) input: InputArgs,

    /// Stop once so many records were read [default: read all]
    #[arg(long, value_name = "N", value_parser = parse_sample, help_heading = "Input")]
    pub(super) sample: Option<u64>,

    #[command(flatten)]
    pub(super) http: HttpArgs,

    #[command(flatten)]
    pub(super) pagination: PaginationArgs,

    #[command(flatten)]
    pub(super) parsing: ParsingArgs,

    #[command(flatten)]
    pub(super) fields: FieldArgs,

    #[command(flatten)]
    pub(super) features: FeatureArgs,

    #[command(flatten)]
    pub(super) resources: ResourceArgs,

    #[command(flatten)]
    pub(super) talk: TalkArgs,
}

/// Options of `etl probe`.
#[derive(Debug, clap::Args)]
pub(super) struct ProbeArgs {
    /// The page
    #[arg(value_name = "URL")]
    pub(super) url: String,

    #[command(flatten)]
    pub(super) http: HttpArgs,

    #[command(flatten)]
    pub(super) parsing: ParsingArgs,

    #[command(flatten)]
    pub(super) resources: ResourceArgs,

    #[command(flatten)]
    pub(super) talk: TalkArgs,

    /// Query key whose value is hidden wherever a URL is shown, and header that is a secret; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Operations")]
    pub(super) redact: Vec<String>,
}

/// Options of `etl runs`.
#[derive(Debug, clap::Args)]
pub(super) struct RunsArgs {
    /// State folder: that of --state, or the folder OUT.etl beside an output whose run was stopped
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,

    /// The run whose failed pages are shown, with what each of them failed by
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,

    /// Print an array of runs, or one run with its failures, as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which pages.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// URL list, one a line; `-` is standard input. Lines: http, https or file URLs, or paths relative
    /// to the list, or JSON objects with url, method, headers, body; `#` begins a comment; {1..20}, {001..100} and
    /// {date:%Y-%m-%d} expand in URLs
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub(super) urls: Option<PathBuf>,

    /// URLs, read after the list
    #[arg(value_name = "URL")]
    pub(super) url: Vec<String>,

    /// Folder that --keep-raw has filled: the pages of its last complete run are read from there again, and nothing is asked
    /// for
    #[arg(long, value_name = "DIR", conflicts_with_all = ["urls", "url"], help_heading = "Input")]
    pub(super) replay: Option<PathBuf>,

    /// The day that {date:...} stands for [default: today in UTC]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day, help_heading = "Input")]
    pub(super) as_of: Option<Day>,

    /// Query key whose value is hidden wherever a URL is shown, and header that is a secret; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Operations")]
    pub(super) redact: Vec<String>,
}

/// How pages are asked for.
#[derive(Debug, clap::Args)]
pub(super) struct HttpArgs {
    /// Requests at once, to all hosts together
    #[arg(short = 'j', long, value_name = "N", default_value_t = HttpConfig::default().concurrency,
          value_parser = parse_concurrency, help_heading = "HTTP")]
    pub(super) concurrency: usize,

    /// Requests at once to one host [default: from 16 up to --concurrency, as many as it takes]
    #[arg(long, value_name = "N", value_parser = parse_concurrency, help_heading = "HTTP")]
    pub(super) concurrency_per_host: Option<usize>,

    /// Requests to one host at most, such as 100/s, 600/m or 1000/h; retries and redirects count [default: no limit]
    #[arg(long, value_name = "N/TIME", value_parser = parse_rate, help_heading = "HTTP")]
    pub(super) rate: Option<Rate>,

    /// Time to connect, TLS included
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, help_heading = "HTTP")]
    pub(super) connect_timeout: Duration,

    /// Longest silence while a page is read
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = "HTTP")]
    pub(super) read_timeout: Duration,

    /// Longest time for a page, retries included [default: none]
    #[arg(short = 'm', long, value_name = "TIME", value_parser = parse_duration, help_heading = "HTTP")]
    pub(super) max_time: Option<Duration>,

    /// Attempts after the first, on 408, 429, 5xx and broken connections
    #[arg(long, value_name = "N", default_value_t = RetryConfig::default().retry_count, value_parser = parse_retries, help_heading = "HTTP")]
    pub(super) retry: u32,

    /// Longest time in which a page is tried again; caps every pause that a host asks for, too
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration, help_heading = "HTTP")]
    pub(super) retry_max_time: Duration,

    /// Bytes of a page at most, after decompression
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = parse_bytes, help_heading = "HTTP")]
    pub(super) max_page_bytes: u64,

    /// Header for the pages, or a file with one a line (`#` begins a comment); may be repeated. A secret one is taken from
    /// a file alone
    #[arg(short = 'H', long, value_name = "'NAME: VALUE'|@FILE", help_heading = "Requests")]
    pub(super) header: Vec<String>,

    /// File with a bearer token for the pages
    #[arg(long, value_name = "FILE", conflicts_with_all = ["netrc_file", "oauth2"], help_heading = "Requests")]
    pub(super) bearer_file: Option<PathBuf>,

    /// File with a login for each host, as curl reads it
    #[arg(long, value_name = "FILE", conflicts_with = "oauth2", help_heading = "Requests")]
    pub(super) netrc_file: Option<PathBuf>,

    /// TOML file with token_url, client_id and client_secret (scope, audience, client_auth): a token is had there for
    /// the pages, and anew before it expires and when it is refused
    #[arg(long = "oauth2", value_name = "FILE", help_heading = "Requests")]
    pub(super) oauth2: Option<PathBuf>,

    /// How pages are asked for; a POST is retried as a GET is [default: GET, or POST with --body]
    #[arg(long, value_name = "GET|POST", value_parser = parse_method, help_heading = "Requests")]
    pub(super) method: Option<MethodName>,

    /// File with the body of a POST, sent as application/json unless -H says otherwise
    #[arg(long, value_name = "@FILE", help_heading = "Requests")]
    pub(super) body: Option<String>,

    /// Who asks [default: etl and its version]
    #[arg(short = 'A', long, value_name = "NAME", help_heading = "Requests")]
    pub(super) user_agent: Option<String>,

    /// Proxy for all pages but those of NO_PROXY [default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY]
    #[arg(short = 'x', long, value_name = "URL", help_heading = "Requests")]
    pub(super) proxy: Option<String>,

    /// Follow redirects and links to the next page to private and link-local addresses, though the list names a public
    /// server
    #[arg(long, help_heading = "Requests")]
    pub(super) allow_private: bool,

    /// PEM file with the certificates to trust instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(super) cacert: Option<PathBuf>,

    /// PEM file with the client's certificate, and its key unless --key has it
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub(super) cert: Option<PathBuf>,

    /// PEM file with the key of --cert
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Requests")]
    pub(super) key: Option<PathBuf>,
}

/// How the pages behind the listed ones are found.
#[derive(Debug, clap::Args)]
pub(super) struct PaginationArgs {
    /// What leads from a page to the next one; each URL of the list begins a chain
    #[arg(long, value_enum, default_value_t = Paginate::None, help_heading = "Pagination")]
    pub(super) paginate: Paginate,

    /// JSON Pointer to the link or cursor of the next page, beside the records; in a list, /links/rel=next/href is that of
    /// the element whose rel is next
    #[arg(long, value_name = "POINTER", value_parser = parse_pointer, help_heading = "Pagination")]
    pub(super) next_path: Option<Pointer>,

    /// Parameter of the URL that takes the cursor; with --paginate auto, where it finds one
    #[arg(long, value_name = "NAME", help_heading = "Pagination")]
    pub(super) cursor_param: Option<String>,

    /// Parameter of the URL that counts records before the page [default: offset]
    #[arg(long, value_name = "NAME", help_heading = "Pagination")]
    pub(super) offset_param: Option<String>,

    /// Parameter of the URL that counts pages [default: page]
    #[arg(long, value_name = "NAME", help_heading = "Pagination")]
    pub(super) page_param: Option<String>,

    /// Records of a full page, so that a shorter one behind it is the last; else an empty one is
    #[arg(long, value_name = "N", value_parser = parse_sample, help_heading = "Pagination")]
    pub(super) page_size: Option<u64>,

    /// JSON Pointer to the number of records that a chain has in all, beside the records
    #[arg(long, value_name = "POINTER", value_parser = parse_pointer, help_heading = "Pagination")]
    pub(super) total_path: Option<Pointer>,

    /// Pages of a chain at most; one that goes on is a failure
    #[arg(long, value_name = "N", default_value_t = PaginationConfig::default().pages_max, value_parser = parse_pages,
          help_heading = "Pagination")]
    pub(super) max_pages: u32,

    /// Let a chain go on at another origin
    #[arg(long, help_heading = "Pagination")]
    pub(super) allow_next_origin: bool,
}

/// What leads from a page to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Paginate {
    /// Nothing: each URL is one page.
    None,
    /// The Link header with rel="next".
    Link,
    /// The URL at --next-path.
    JsonLink,
    /// The cursor at --next-path, put into --cursor-param.
    Cursor,
    /// A parameter that counts records.
    Offset,
    /// A parameter that counts pages.
    Page,
    /// What the first page of each chain tells.
    Auto,
}

/// How bodies become records.
#[derive(Debug, clap::Args)]
pub(super) struct ParsingArgs {
    /// Bytes of a record at most, a quarter of --memory at most; a larger one is rejected by size and hash
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes, help_heading = "Parsing")]
    pub(super) max_record_bytes: u64,

    /// JSON Pointer to the array of records inside each page, such as /Records; '' is the whole page, which is taken as
    /// records even where it is an error object
    #[arg(long, value_name = "POINTER", value_parser = parse_pointer, help_heading = "Parsing")]
    pub(super) records: Option<Pointer>,

    /// Distinct keys up to which an object inside records is a struct; beyond it becomes JSON text
    #[arg(long, value_name = "N", default_value_t = Nesting::default().keys_max as u64, value_parser = parse_keys,
          conflicts_with = "nested", help_heading = "Parsing")]
    pub(super) max_object_keys: u64,

    /// Make every object inside records a struct, or JSON text
    #[arg(long, value_enum, help_heading = "Parsing")]
    pub(super) nested: Option<Nested>,
}

/// Which fields become columns.
#[derive(Debug, clap::Args)]
pub(super) struct FieldArgs {
    /// Filter in the language of jq that each record goes through before anything else: every object that comes out is a
    /// row; none, and the record is filtered; an error rejects it. The slow path: decoding takes five times as long and more
    #[arg(long, value_name = "FILTER", help_heading = "Fields")]
    pub(super) jq: Option<String>,

    /// Field that becomes a column, and no other one does: a top-level key, or a JSON Pointer beginning with `/`; may be
    /// repeated
    #[arg(long, value_name = "FIELD", value_parser = parse_field, help_heading = "Fields")]
    pub(super) select: Vec<FieldPath>,

    /// Field that does not become a column; may be repeated
    #[arg(long, value_name = "FIELD", value_parser = parse_field, help_heading = "Fields")]
    pub(super) drop: Vec<FieldPath>,

    /// Another name for the column of a field; may be repeated
    #[arg(long, value_name = "FIELD=NAME", value_parser = parse_renamed, help_heading = "Fields")]
    pub(super) rename: Vec<Renamed>,

    /// Field of whose values only HMAC-SHA-256 is kept, in hexadecimal; needs --hash-key; may be repeated
    #[arg(long, value_name = "FIELD", value_parser = parse_field, requires = "hash_key", help_heading = "Fields")]
    pub(super) hash: Vec<FieldPath>,

    /// File with the key of --hash, 16 bytes at least; a newline at its end does not count
    #[arg(long, value_name = "FILE", requires = "hash", help_heading = "Fields")]
    pub(super) hash_key: Option<PathBuf>,
}

/// What is computed of lists.
#[derive(Debug, clap::Args)]
pub(super) struct FeatureArgs {
    /// List of numbers to summarise: a top-level key, or a JSON Pointer beginning with `/`; may be
    /// repeated [default: values]
    #[arg(long, value_name = "[NAME=]FIELD", value_parser = parse_values, help_heading = "Features")]
    pub(super) values: Vec<ValuesField>,

    /// Features to compute, separated by commas, or `none` [default: count,mean,variance,stddev,min,max]
    #[arg(long, value_name = "LIST|none", value_parser = parse_features, help_heading = "Features")]
    pub(super) features: Option<FeatureList>,

    /// What is done with NaN and infinities in the lists
    #[arg(long, value_enum, default_value_t = Nonfinite::Skip, help_heading = "Features")]
    pub(super) on_nonfinite: Nonfinite,
}

/// What of the machine may be used.
#[derive(Debug, clap::Args)]
pub(super) struct ResourceArgs {
    /// Ceiling for memory, 64MiB at least; the process stays within it and 64MiB. Thousands of columns need the default
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_memory, help_heading = "Resources")]
    pub(super) memory: u64,

    /// Threads that decode, compute and encode [default: the CPUs there are]
    #[arg(long, value_name = "N", value_parser = parse_threads, help_heading = "Resources")]
    pub(super) threads: Option<usize>,
}

/// What is said while it goes on.
#[derive(Debug, clap::Args)]
pub(super) struct TalkArgs {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Operations")]
    pub(super) quiet: bool,

    /// Log retries and failed pages as they happen; twice: what the HTTP client does, too
    #[arg(short, long, action = ArgAction::Count, help_heading = "Operations")]
    pub(super) verbose: u8,

    /// When to draw a progress line
    #[arg(long, value_enum, default_value_t = ProgressWhen::Auto, help_heading = "Operations")]
    pub(super) progress: ProgressWhen,
}

/// What is done with records that do not fit a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Contract {
    /// Add fields and widen types.
    Evolve,
    /// Fail the run and publish nothing.
    Freeze,
    /// Reject the record.
    DiscardRow,
    /// Make the value null; the rejects file keeps it.
    DiscardValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Nonfinite {
    /// Leave them out of the features.
    Skip,
    /// Let them through.
    Keep,
    /// Reject the record.
    Reject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Raw {
    /// All of it.
    Full,
    /// Records without what is dropped or hashed; pages by their size.
    Redacted,
    /// Sizes, and no pointers either.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Nested {
    /// A column for each key.
    Struct,
    /// Text.
    Json,
}

/// Reads the command line of this process.
///
/// # Errors
/// Help was asked for, or it is wrong.
pub(super) fn parse() -> Result<Args, NotArgs> {
    Args::try_parse().map_err(|error| {
        if error.use_stderr() {
            NotArgs::Wrong(one_line(&error))
        } else {
            NotArgs::Show(error.render().to_string())
        }
    })
}

/// What these words mean, the first of which is the program.
#[cfg(test)]
pub(super) fn parse_from<const N: usize>(words: [&str; N]) -> Args {
    Args::try_parse_from(words).unwrap()
}

/// Why there is nothing to do.
pub(super) enum NotArgs {
    /// Text for standard output: help or version.
    Show(String),
    /// The command line is wrong; one line says how.
    Wrong(String),
}

/// The first paragraph of clap's message: what follows are usage lines that `--help` has as well.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph: Vec<_> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    paragraph.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
