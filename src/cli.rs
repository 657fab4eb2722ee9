//! The command line: what was typed, and the validated [`Config`] that it means. The only clap import.
//!
//! Everything that can be found wrong without a request is found here, in one line that names the
//! option, what was expected and what was found.

mod fields;
mod units;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

use etl::calendar::Day;
use etl::config::{
    Config, ContractConfig, Feature, FeatureConfig, FieldPath, HashKey, HttpConfig, InputConfig, Limit,
    OnNonfinite, OutputConfig, Projection, RejectsRaw, ResourceConfig, RetryConfig, RowGroupConfig,
    TransformConfig, ValuesField,
};
use etl::error::Error;
use etl::schema::{LEAF_COLUMNS_MAX, Nesting};
use etl::transform::Filter;

use fields::{Renamed, parse_field, parse_renamed, parse_values};
use units::{parse_bytes, parse_count, parse_duration, parse_limit, show_bytes};

/// Most requests at once: each is a socket, and systems give a process some thousand.
const CONCURRENCY_MAX: usize = 1024;
/// Most threads of the CPU pool.
const THREADS_MAX: usize = 1024;
/// Most rows of a row group.
const ROW_GROUP_ROWS_MAX: usize = 10_000_000;
/// Least and most bytes of a row group.
const ROW_GROUP_BYTES: RangeInclusive<u64> = 1 << 16..=1 << 30;
/// Row groups of the memory at least: four of them, and pages beside.
const ROW_GROUPS_OF_MEMORY: u64 = 8;
/// Least and most of the limit for the bytes of a record.
const RECORD_BYTES: RangeInclusive<u64> = 1 << 10..=TransformConfig::RECORD_BYTES_MAX_LIMIT;

/// How a run talks, beside what it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk {
    /// The summary goes to standard output as JSON.
    pub(crate) json: bool,
    /// Nothing but errors.
    pub(crate) quiet: bool,
    /// How much is logged.
    pub(crate) verbosity: u8,
    /// Whether a progress line is drawn.
    pub(crate) progress: ProgressWhen,
}

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
    override_usage = "etl [OPTIONS] --urls FILE --out PATH\n       etl [OPTIONS] --out PATH URL...",
    after_help = "Exit codes: 0 published or nothing to publish; 1 failed, nothing published; 2 usage; \
                  3 published, but pages failed or records were rejected; 4 contract broken (--strict, --max-*, \
                  --min-records, a computed column whose name the records use, over 5,000 columns or 32,767 row groups, \
                  records without any field), nothing published; 5 every page failed and no server answered; 6 output or \
                  storage failed; 75 another run holds the lock; 130/143 interrupted."
)]
struct Args {
    /// URL list, one a line; `-` is standard input. Lines: http, https or file URLs, or paths relative
    /// to the list; `#` begins a comment; {1..20}, {001..100} and {date:%Y-%m-%d} expand
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    urls: Option<PathBuf>,

    /// URLs, read after the list
    #[arg(value_name = "URL")]
    url: Vec<String>,

    /// The day that {date:...} stands for [default: today in UTC]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day, help_heading = "Input")]
    as_of: Option<Day>,

    /// Parquet file to replace; {date:...} expands
    #[arg(short, long, value_name = "PATH", help_heading = "Output")]
    out: String,

    /// Add the columns _etl_url, _etl_page and _etl_record: where each row comes from
    #[arg(long, help_heading = "Output")]
    provenance: bool,

    /// Rows of a row group at most
    #[arg(long, value_name = "N", default_value_t = RowGroupConfig::default().rows_max as u64,
          value_parser = parse_rows, help_heading = "Output")]
    row_group_rows: u64,

    /// Bytes of a row group in memory at most; an eighth of --memory, or 16MiB, at most
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes, help_heading = "Output")]
    row_group_bytes: u64,

    /// Requests at once
    #[arg(short = 'j', long, value_name = "N", default_value_t = HttpConfig::default().concurrency,
          value_parser = parse_concurrency, help_heading = "HTTP")]
    concurrency: usize,

    /// Time to connect, TLS included
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, help_heading = "HTTP")]
    connect_timeout: Duration,

    /// Longest silence while a page is read
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = "HTTP")]
    read_timeout: Duration,

    /// Longest time for a page, retries included [default: none]
    #[arg(short = 'm', long, value_name = "TIME", value_parser = parse_duration, help_heading = "HTTP")]
    max_time: Option<Duration>,

    /// Attempts after the first, on 408, 429, 5xx and broken connections
    #[arg(long, value_name = "N", default_value_t = RetryConfig::default().retry_count, value_parser = parse_retries, help_heading = "HTTP")]
    retry: u32,

    /// Longest time in which a page is tried again; bounds Retry-After too
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration, help_heading = "HTTP")]
    retry_max_time: Duration,

    /// Bytes of a page at most, after decompression
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = parse_bytes, help_heading = "HTTP")]
    max_page_bytes: u64,

    /// Bytes of a record at most, a quarter of --memory at most; a larger one is rejected by size and hash
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes, help_heading = "Parsing")]
    max_record_bytes: u64,

    /// JSON Pointer to the array of records inside each page, such as /Records
    #[arg(long, value_name = "POINTER", value_parser = parse_pointer, help_heading = "Parsing")]
    records: Option<Pointer>,

    /// Distinct keys up to which an object inside records is a struct; beyond it becomes JSON text
    #[arg(long, value_name = "N", default_value_t = Nesting::default().keys_max as u64, value_parser = parse_keys,
          conflicts_with = "nested", help_heading = "Parsing")]
    max_object_keys: u64,

    /// Make every object inside records a struct, or JSON text
    #[arg(long, value_enum, help_heading = "Parsing")]
    nested: Option<Nested>,

    /// Filter in the language of jq that each record goes through before anything else: every object that comes out is a
    /// row; none, and the record is filtered; an error rejects it. The slow path: decoding takes five times as long and more
    #[arg(long, value_name = "FILTER", help_heading = "Fields")]
    jq: Option<String>,

    /// Field that becomes a column, and no other one does: a top-level key, or a JSON Pointer beginning with `/`; may be
    /// repeated
    #[arg(long, value_name = "FIELD", value_parser = parse_field, help_heading = "Fields")]
    select: Vec<FieldPath>,

    /// Field that does not become a column; may be repeated
    #[arg(long, value_name = "FIELD", value_parser = parse_field, help_heading = "Fields")]
    drop: Vec<FieldPath>,

    /// Another name for the column of a field; may be repeated
    #[arg(long, value_name = "FIELD=NAME", value_parser = parse_renamed, help_heading = "Fields")]
    rename: Vec<Renamed>,

    /// Field of whose values only HMAC-SHA-256 is kept, in hexadecimal; needs --hash-key; may be repeated
    #[arg(long, value_name = "FIELD", value_parser = parse_field, requires = "hash_key", help_heading = "Fields")]
    hash: Vec<FieldPath>,

    /// File with the key of --hash, 16 bytes at least; a newline at its end does not count
    #[arg(long, value_name = "FILE", requires = "hash", help_heading = "Fields")]
    hash_key: Option<PathBuf>,

    /// List of numbers to summarise: a top-level key, or a JSON Pointer beginning with `/`; may be
    /// repeated [default: values]
    #[arg(long, value_name = "[NAME=]FIELD", value_parser = parse_values, help_heading = "Features")]
    values: Vec<ValuesField>,

    /// Features to compute, separated by commas, or `none` [default: count,mean,variance,stddev,min,max]
    #[arg(long, value_name = "LIST|none", value_parser = parse_features, help_heading = "Features")]
    features: Option<FeatureList>,

    /// What is done with NaN and infinities in the lists
    #[arg(long, value_enum, default_value_t = Nonfinite::Skip, help_heading = "Features")]
    on_nonfinite: Nonfinite,

    /// Where rejected records and failed pages go [default: <OUT>.rejects.ndjson]
    #[arg(long, value_name = "FILE", help_heading = "Rejects")]
    rejects: Option<PathBuf>,

    /// How much of rejected records and failed pages the rejects file shows [default: redacted with --drop or --hash,
    /// else full]
    #[arg(long, value_enum, help_heading = "Rejects")]
    rejects_raw: Option<Raw>,

    /// Publish nothing if more records are rejected
    #[arg(long, value_name = "N|P%", value_parser = parse_limit, help_heading = "Rejects")]
    max_rejects: Option<Limit>,

    /// Publish nothing if more pages fail
    #[arg(long, value_name = "N|P%", value_parser = parse_limit, help_heading = "Rejects")]
    max_failed: Option<Limit>,

    /// Publish nothing if fewer records would be written
    #[arg(long, value_name = "N", value_parser = parse_records, help_heading = "Rejects")]
    min_records: Option<u64>,

    /// Publish nothing if any record is rejected or any page fails
    #[arg(long, help_heading = "Rejects")]
    strict: bool,

    /// Ceiling for memory, 64MiB at least; the process stays within it and 64MiB. Thousands of columns need the default
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_memory, help_heading = "Resources")]
    memory: u64,

    /// Threads that decode, compute and encode [default: the CPUs there are]
    #[arg(long, value_name = "N", value_parser = parse_threads, help_heading = "Resources")]
    threads: Option<usize>,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Operations")]
    quiet: bool,

    /// Log retries and failed pages as they happen; twice: what the HTTP client does, too
    #[arg(short, long, action = ArgAction::Count, help_heading = "Operations")]
    verbose: u8,

    /// When to draw a progress line
    #[arg(long, value_enum, default_value_t = ProgressWhen::Auto, help_heading = "Operations")]
    progress: ProgressWhen,

    /// Print the summary as one JSON object on standard output
    #[arg(long, help_heading = "Operations")]
    json: bool,

    /// Query key whose value is hidden wherever a URL is shown; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "Operations")]
    redact: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Nonfinite {
    /// Leave them out of the features.
    Skip,
    /// Let them through.
    Keep,
    /// Reject the record.
    Reject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Raw {
    /// All of it.
    Full,
    /// Records without what is dropped or hashed; pages by their size.
    Redacted,
    /// Sizes, and no pointers either.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Nested {
    /// A column for each key.
    Struct,
    /// Text.
    Json,
}

/// What the command line asked for.
pub(crate) enum Parsed {
    /// A run.
    Run(Box<Config>, Talk),
    /// Text for standard output: help or version.
    Show(String),
    /// The command line is wrong; one line says how.
    Wrong(String),
}

/// Reads the command line of this process.
pub(crate) fn parse() -> Parsed {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if !error.use_stderr() => return Parsed::Show(error.render().to_string()),
        Err(error) => return Parsed::Wrong(one_line(&error)),
    };
    let talk = Talk { json: args.json, quiet: args.quiet, verbosity: args.verbose, progress: args.progress };
    match config_of(args) {
        Ok(config) => Parsed::Run(Box::new(config), talk),
        Err(error) => Parsed::Wrong(error.one_line()),
    }
}

/// The first paragraph of clap's message: what follows are usage lines that `--help` has as well.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph: Vec<_> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    paragraph.join(" ").trim_start_matches("error: ").to_owned()
}

fn config_of(args: Args) -> Result<Config, Error> {
    if args.urls.is_none() && args.url.is_empty() {
        return Err(Error::usage(
            "expected pages to fetch: name a list with --urls FILE, or give URLs as arguments",
        ));
    }
    let row_group_bytes_max =
        (args.memory / ROW_GROUPS_OF_MEMORY).max(RowGroupConfig::default().bytes_max as u64);
    check_bytes("--row-group-bytes", args.row_group_bytes, ROW_GROUP_BYTES, row_group_bytes_max)?;
    check_bytes("--max-record-bytes", args.max_record_bytes, RECORD_BYTES, args.memory / 4)?;
    let out = PathBuf::from(expand_dates(&args.out, args.as_of)?);
    let thread_count = match args.threads {
        Some(count) => count,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let features = features_of(args.values, args.features, args.on_nonfinite)?;
    let projection = Projection {
        select: args.select,
        drop: args.drop,
        rename: args.rename.into_iter().map(|Renamed(field, name)| (field, name)).collect(),
        hash: args.hash,
        hash_key: args.hash_key.as_deref().map(read_hash_key).transpose()?,
    };
    projection.check(&features.fields).map_err(Error::usage)?;
    args.jq.as_deref().map(Filter::compile).transpose()?;
    Ok(Config {
        transform: TransformConfig {
            records: args.records.map(|Pointer(tokens)| tokens.into()),
            features: Arc::new(features),
            rejects_raw: match args.rejects_raw {
                Some(Raw::Full) => RejectsRaw::Full,
                Some(Raw::Redacted) => RejectsRaw::Redacted,
                Some(Raw::None) => RejectsRaw::None,
                None if projection.hides() => RejectsRaw::Redacted,
                None => RejectsRaw::Full,
            },
            projection: Arc::new(projection),
            jq: args.jq.map(Into::into),
            record_bytes_max: args.max_record_bytes,
            has_provenance: args.provenance,
            nesting: match args.nested {
                Some(Nested::Struct) => Nesting::STRUCT,
                Some(Nested::Json) => Nesting::JSON,
                None => Nesting { keys_max: args.max_object_keys as usize },
            },
            ..TransformConfig::default()
        },
        input: InputConfig { urls_file: args.urls, urls: args.url, as_of: args.as_of, redact: args.redact },
        http: HttpConfig {
            concurrency: args.concurrency,
            connect_timeout: args.connect_timeout,
            read_timeout: args.read_timeout,
            max_time: args.max_time,
            retry: RetryConfig {
                retry_count: args.retry,
                retry_max_time: args.retry_max_time,
                ..RetryConfig::default()
            },
            page_bytes_max: args.max_page_bytes,
        },
        contract: ContractConfig {
            strict: args.strict,
            rejects_max: args.max_rejects,
            failed_max: args.max_failed,
            records_min: args.min_records,
        },
        output: OutputConfig {
            out,
            rejects: args.rejects,
            row_group: RowGroupConfig {
                rows_max: args.row_group_rows as usize,
                bytes_max: args.row_group_bytes as usize,
            },
        },
        resources: ResourceConfig { memory_bytes: args.memory, thread_count },
    })
}

/// Reads the key of `--hash`, which never stands on a command line.
fn read_hash_key(path: &Path) -> Result<HashKey, Error> {
    let bytes = std::fs::read(path)
        .map_err(|error| Error::usage(format!("--hash-key: could not read {}: {error}", path.display())))?;
    let key = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    if key.len() < HashKey::BYTES_MIN {
        return Err(Error::usage(format!(
            "--hash-key: expected at least {} bytes in {}, got {}",
            HashKey::BYTES_MIN,
            path.display(),
            key.len()
        )));
    }
    Ok(HashKey::new(key))
}

/// Refuses a size that the ceiling for memory could not hold.
fn check_bytes(option: &str, bytes: u64, range: RangeInclusive<u64>, memory_max: u64) -> Result<(), Error> {
    let most = (*range.end()).min(memory_max);
    if (*range.start()..=most).contains(&bytes) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{option}: expected {} to {}, which is the most that this --memory allows, got {}",
        show_bytes(*range.start()),
        show_bytes(most),
        show_bytes(bytes)
    )))
}

fn features_of(
    values: Vec<ValuesField>,
    features: Option<FeatureList>,
    on_nonfinite: Nonfinite,
) -> Result<FeatureConfig, Error> {
    let features = match features {
        Some(FeatureList(features)) if features.is_empty() && !values.is_empty() => {
            return Err(Error::usage(
                "--values names a list to summarise, but --features none computes nothing",
            ));
        }
        Some(FeatureList(features)) if features.is_empty() => return Ok(FeatureConfig::none()),
        Some(FeatureList(features)) => features,
        None => Feature::DEFAULT.to_vec(),
    };
    for (place, field) in values.iter().enumerate() {
        for earlier in &values[..place] {
            if earlier.name == field.name || earlier.path.keys() == field.path.keys() {
                return Err(Error::usage(format!(
                    "--values: expected each list and each name once, got {} twice",
                    field.path.shown()
                )));
            }
            let (long, short) = (field.path.keys(), earlier.path.keys());
            if long.starts_with(short) || short.starts_with(long) {
                return Err(Error::usage(format!(
                    "--values: {} can't be a list and hold {}",
                    earlier.path.shown(),
                    field.path.shown()
                )));
            }
        }
    }
    let on_nonfinite = match on_nonfinite {
        Nonfinite::Skip => OnNonfinite::Skip,
        Nonfinite::Keep => OnNonfinite::Keep,
        Nonfinite::Reject => OnNonfinite::Reject,
    };
    let defaults = FeatureConfig::default();
    let fields_are_explicit = !values.is_empty();
    let fields = if fields_are_explicit { values } else { defaults.fields };
    Ok(FeatureConfig { fields, fields_are_explicit, features, on_nonfinite })
}

/// Expands every `{date:...}` in the name of the output.
fn expand_dates(text: &str, as_of: Option<Day>) -> Result<String, Error> {
    const OPENING: &str = "{date:";
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(OPENING) {
        let pattern = &rest[start + OPENING.len()..];
        let wrong = || Error::usage(format!("--out: expected {{date:%Y-%m-%d}} or the like, got {text}"));
        let end = pattern.find('}').ok_or_else(wrong)?;
        let day = as_of.unwrap_or_else(Day::today);
        expanded.push_str(&rest[..start]);
        expanded.push_str(&day.format(&pattern[..end]).ok_or_else(wrong)?);
        rest = &pattern[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn parse_rows(text: &str) -> Result<u64, String> {
    parse_count(text, ROW_GROUP_ROWS_MAX).map(|count| count as u64)
}

fn parse_keys(text: &str) -> Result<u64, String> {
    parse_count(text, LEAF_COLUMNS_MAX).map(|count| count as u64)
}

fn parse_retries(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a number of attempts, such as 4; 0 for none".to_owned())
}

fn parse_records(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a number of records, such as 1000".to_owned())
}

/// Reference tokens of a JSON Pointer. A type of its own, for clap takes a `Vec` to be repeated values.
#[derive(Debug, Clone)]
struct Pointer(Vec<String>);

/// Features by name; empty for `none`.
#[derive(Debug, Clone)]
struct FeatureList(Vec<Feature>);

fn parse_day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "expected a day such as 2026-01-31".to_owned())
}

fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if bytes < ResourceConfig::MEMORY_BYTES_MIN {
        return Err("expected at least 64MiB".to_owned());
    }
    Ok(bytes)
}

fn parse_concurrency(text: &str) -> Result<usize, String> {
    parse_count(text, CONCURRENCY_MAX)
}

fn parse_threads(text: &str) -> Result<usize, String> {
    parse_count(text, THREADS_MAX)
}

fn parse_pointer(text: &str) -> Result<Pointer, String> {
    etl::pointer::parse(text).map(Pointer)
}

fn parse_features(text: &str) -> Result<FeatureList, String> {
    if text == "none" {
        return Ok(FeatureList(Vec::new()));
    }
    let mut features = Vec::new();
    for name in text.split(',').map(str::trim) {
        let Some(feature) = Feature::from_name(name) else {
            let known: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
            return Err(format!("expected none or some of {}; got `{name}`", known.join(",")));
        };
        if features.contains(&feature) {
            return Err(format!("expected each feature once, got {name} twice"));
        }
        features.push(feature);
    }
    Ok(FeatureList(features))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_of_the_command_line_are_those_of_the_library() {
        let args = Args::try_parse_from(["etl", "--out", "out.parquet", "http://host/"]).unwrap();
        let config = config_of(args).unwrap();
        assert_eq!(format!("{:?}", config.http), format!("{:?}", HttpConfig::default()));
        assert_eq!(config.output.row_group, RowGroupConfig::default());
        assert_eq!(config.resources.memory_bytes, ResourceConfig::default().memory_bytes);
        assert_eq!(format!("{:?}", config.transform), format!("{:?}", TransformConfig::default()));
    }
}
