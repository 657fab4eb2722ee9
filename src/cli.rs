//! The command line: what was typed, and the validated [`Config`] that it means.
//!
//! Everything that can be found wrong without a request is found here, in one line that names the
//! option, what was expected and what was found.

mod args;
mod fields;
mod pagination;
mod requests;
mod schema;
mod units;
mod words;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etl::calendar::Day;
use etl::config::{
    Config, ContractConfig, Feature, FeatureConfig, HashKey, HttpConfig, InputConfig, OnNonfinite,
    OutputConfig, Projection, RejectsRaw, ResourceConfig, RetryConfig, RowGroupConfig, StateConfig,
    SurveyConfig, TransformConfig, ValuesField,
};
use etl::error::Error;
use etl::fetch::Redaction;
use etl::schema::{Nesting, SchemaContract};
use etl::transform::Filter;

use args::{
    Args, Command, Contract, FeatureArgs, FieldArgs, HttpArgs, InputArgs, Nested, Nonfinite, NotArgs,
    OutputArgs, ParsingArgs, ProbeArgs, Raw, RejectsArgs, RejectsCommand, ResourceArgs, RetryArgs, RunArgs,
    RunsArgs, SchemaArgs, SchemaFileArgs, StateArgs, TalkArgs,
};
use fields::Renamed;
use units::show_bytes;
use words::{FeatureList, Pointer};

use crate::commands::RunsConfig;

pub(crate) use args::ProgressWhen;

/// Least and most bytes of a row group.
const ROW_GROUP_BYTES: RangeInclusive<u64> = 1 << 16..=1 << 30;
/// Row groups of the memory at least: four of them, and pages beside.
const ROW_GROUPS_OF_MEMORY: u64 = 8;
/// Parts of the memory of which a page that is looked at may be one.
const PROBED_PARTS_OF_MEMORY: u64 = 8;
/// Least and most of the limit for the bytes of a record.
const RECORD_BYTES: RangeInclusive<u64> = 1 << 10..=TransformConfig::RECORD_BYTES_MAX_LIMIT;

/// How a run talks, beside what it does.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    /// The summary goes to standard output as JSON.
    pub(crate) json: bool,
    /// Nothing but errors.
    pub(crate) quiet: bool,
    /// How much is logged.
    pub(crate) verbosity: u8,
    /// Whether a progress line is drawn.
    pub(crate) progress: ProgressWhen,
    /// What a person should know before it begins.
    pub(crate) warnings: Vec<String>,
}

/// What the command line asked for.
pub(crate) enum Parsed {
    /// A run.
    Run(Box<Config>, Talk),
    /// The schema of the records.
    Schema(Box<SurveyConfig>, Talk),
    /// A look at one page.
    Probe(Box<SurveyConfig>, Talk),
    /// The runs of a state folder.
    Runs(RunsConfig),
    /// Text for standard output: help or version.
    Show(String),
    /// The command line is wrong; one line says how.
    Wrong(String),
}

/// Reads the command line of this process.
pub(crate) fn parse() -> Parsed {
    let Args { command, run } = match args::parse() {
        Ok(args) => args,
        Err(NotArgs::Show(text)) => return Parsed::Show(text),
        Err(NotArgs::Wrong(line)) => return Parsed::Wrong(line),
    };
    let parsed = match command {
        Some(Command::Schema(args)) => {
            let mut talk = talk_of(&args.talk, false);
            survey_of(*args, &mut talk.warnings).map(|config| Parsed::Schema(Box::new(config), talk))
        }
        Some(Command::Probe(args)) => {
            let mut talk = talk_of(&args.talk, false);
            probe_of(*args, &mut talk.warnings).map(|config| Parsed::Probe(Box::new(config), talk))
        }
        Some(Command::Runs(args)) => {
            let RunsArgs { folder, run, json } = args;
            Ok(Parsed::Runs(RunsConfig { folder, run_id: run, json }))
        }
        Some(Command::Rejects(RejectsCommand::Retry(args))) => {
            let talk = talk_of(&args.talk, args.json);
            retry_of(*args).map(|config| Parsed::Run(Box::new(config), talk))
        }
        None => {
            let mut talk = talk_of(&run.talk, run.json);
            config_of(run, &mut talk.warnings).map(|config| Parsed::Run(Box::new(config), talk))
        }
    };
    parsed.unwrap_or_else(|error| Parsed::Wrong(error.one_line()))
}

fn talk_of(args: &TalkArgs, json: bool) -> Talk {
    Talk { json, quiet: args.quiet, verbosity: args.verbose, progress: args.progress, warnings: Vec::new() }
}

fn config_of(args: RunArgs, warnings: &mut Vec<String>) -> Result<Config, Error> {
    let mut files_read = requests::files_read(&args.http);
    files_read.extend(args.fields.hash_key.clone().map(|path| ("--hash-key", path)));
    files_read.extend(args.schema.schema.clone().map(|path| ("--schema", path)));
    let RejectsArgs { strict, max_rejects, min_records, rejects_raw, .. } = args.rejects;
    let output = output_of(&args.output, args.rejects.rejects, args.input.as_of, args.resources.memory)?;
    let mut transform = transform_of(args.parsing, args.fields, args.features, args.resources.memory)?;
    let pagination = pagination::follow(&mut transform, args.pagination)?;
    if args.state.retry_failed && pagination.is_on() {
        return Err(Error::usage(
            "--retry-failed: expected --paginate none, since a chain is begun from its first page each time",
        ));
    }
    complete(&mut transform, &args.output, &args.schema, rejects_raw)?;
    let http = HttpConfig { pagination, ..http_of(&args.http, &args.input, warnings)? };
    if args.state.state.is_some() && (args.keep_raw.is_some() || args.input.replay.is_some()) {
        return Err(Error::usage("--state keeps no run with --keep-raw or --replay: leave it out, or those"));
    }
    let resources = resources_of(&args.resources);
    warnings.extend(crate::machine::open_files_warning(http.concurrency, &resources));
    Ok(Config {
        transform,
        input: input_of(args.input, &args.http)?,
        http,
        contract: ContractConfig {
            strict,
            rejects_max: max_rejects,
            failed_max: args.max_failed,
            records_min: min_records,
        },
        output: OutputConfig { keep_raw: args.keep_raw, ..output },
        resources,
        state: state_of(args.state),
        files_read,
    })
}

/// A run over the records of a rejects file.
fn retry_of(args: RetryArgs) -> Result<Config, Error> {
    if args.parsing.records.is_some() {
        return Err(Error::usage(
            "--records: the records of a rejects file stand alone, whatever pages they came from; leave it out",
        ));
    }
    let hash_key = args.fields.hash_key.clone().map(|path| ("--hash-key", path));
    let schema = args.schema.schema.clone().map(|path| ("--schema", path));
    let RejectsArgs { strict, max_rejects, min_records, rejects_raw, .. } = args.rejects;
    let output = output_of(&args.output, args.rejects.rejects, None, args.resources.memory)?;
    let mut transform = transform_of(args.parsing, args.fields, args.features, args.resources.memory)?;
    complete(&mut transform, &args.output, &args.schema, rejects_raw)?;
    Ok(Config {
        transform,
        input: InputConfig { rejected: Some(args.file), ..InputConfig::default() },
        // The records of all pages are one.
        http: HttpConfig { page_bytes_max: u64::MAX, ..HttpConfig::default() },
        contract: ContractConfig {
            strict,
            rejects_max: max_rejects,
            failed_max: None,
            records_min: min_records,
        },
        output,
        resources: resources_of(&args.resources),
        state: StateConfig::default(),
        files_read: hash_key.into_iter().chain(schema).collect(),
    })
}

fn output_of(
    args: &OutputArgs,
    rejects: Option<PathBuf>,
    as_of: Option<Day>,
    memory_bytes: u64,
) -> Result<OutputConfig, Error> {
    let row_group_bytes_max =
        (memory_bytes / ROW_GROUPS_OF_MEMORY).max(RowGroupConfig::default().bytes_max as u64);
    check_bytes("--row-group-bytes", args.row_group_bytes, ROW_GROUP_BYTES, row_group_bytes_max)?;
    let out = args.out.as_deref().expect("clap demands it");
    Ok(OutputConfig {
        out: PathBuf::from(expand_dates(out, as_of)?),
        rejects,
        keep_raw: None,
        row_group: RowGroupConfig {
            rows_max: args.row_group_rows as usize,
            bytes_max: args.row_group_bytes as usize,
        },
    })
}

/// Adds what is asked of a transformation whose rows are written.
fn complete(
    transform: &mut TransformConfig,
    output: &OutputArgs,
    schema: &SchemaFileArgs,
    rejects_raw: Option<Raw>,
) -> Result<(), Error> {
    transform.has_provenance = output.provenance;
    transform.rejects_raw = match rejects_raw {
        Some(Raw::Full) => RejectsRaw::Full,
        Some(Raw::Redacted) => RejectsRaw::Redacted,
        Some(Raw::None) => RejectsRaw::None,
        None => transform.rejects_raw,
    };
    let Some(path) = &schema.schema else { return Ok(()) };
    let contract = match schema.schema_contract {
        Contract::Evolve => SchemaContract::Evolve,
        Contract::Freeze => SchemaContract::Freeze,
        Contract::DiscardRow => SchemaContract::DiscardRow,
        Contract::DiscardValue => SchemaContract::DiscardValue,
    };
    schema::declare(transform, path, contract)
}

fn state_of(args: StateArgs) -> StateConfig {
    StateConfig {
        folder: args.state,
        is_fresh: args.fresh,
        retries_failed: args.retry_failed,
        checkpoint: args.checkpoint,
        resume_within: args.resume_within,
        lock_wait: args.lock_wait,
        deadline: args.deadline,
        pages_max: args.max_pages_per_run,
    }
}

fn survey_of(args: SchemaArgs, warnings: &mut Vec<String>) -> Result<SurveyConfig, Error> {
    let mut transform = transform_of(args.parsing, args.fields, args.features, args.resources.memory)?;
    let pagination = pagination::follow(&mut transform, args.pagination)?;
    let http = HttpConfig { pagination, ..http_of(&args.http, &args.input, warnings)? };
    Ok(SurveyConfig {
        transform,
        input: input_of(args.input, &args.http)?,
        http,
        resources: resources_of(&args.resources),
        sample: args.sample,
    })
}

fn probe_of(args: ProbeArgs, warnings: &mut Vec<String>) -> Result<SurveyConfig, Error> {
    let input = InputArgs { urls: None, url: vec![args.url], replay: None, as_of: None, redact: args.redact };
    let fields =
        FieldArgs { jq: None, select: vec![], drop: vec![], rename: vec![], hash: vec![], hash_key: None };
    // Which lists are summarised is what is to be found out.
    let features =
        FeatureArgs { values: vec![], features: Some(FeatureList(vec![])), on_nonfinite: Nonfinite::Skip };
    let mut http = http_of(&args.http, &input, warnings)?;
    // The page is looked at whole, twice, with the columns that it makes.
    http.page_bytes_max = http.page_bytes_max.min(args.resources.memory / PROBED_PARTS_OF_MEMORY);
    Ok(SurveyConfig {
        transform: transform_of(args.parsing, fields, features, args.resources.memory)?,
        input: input_of(input, &args.http)?,
        http,
        resources: resources_of(&args.resources),
        sample: None,
    })
}

fn input_of(args: InputArgs, http: &HttpArgs) -> Result<InputConfig, Error> {
    if args.urls.is_none() && args.url.is_empty() && args.replay.is_none() {
        return Err(Error::usage(
            "expected pages to fetch: name a list with --urls FILE, or give URLs as arguments",
        ));
    }
    let (method, body) = requests::method_of(http)?;
    Ok(InputConfig {
        urls_file: args.urls,
        urls: args.url,
        replay: args.replay,
        rejected: None,
        as_of: args.as_of,
        method,
        body,
        redact: args.redact,
    })
}

fn http_of(args: &HttpArgs, input: &InputArgs, warnings: &mut Vec<String>) -> Result<HttpConfig, Error> {
    Ok(HttpConfig {
        concurrency: args.concurrency,
        concurrency_per_host: args.concurrency_per_host,
        rate: args.rate,
        connect_timeout: args.connect_timeout,
        read_timeout: args.read_timeout,
        max_time: args.max_time,
        retry: RetryConfig {
            retry_count: args.retry,
            retry_max_time: args.retry_max_time,
            ..RetryConfig::default()
        },
        page_bytes_max: args.max_page_bytes,
        request: requests::request_of(args, &Redaction::new(&input.redact), warnings)?,
        allows_private: args.allow_private,
        ..HttpConfig::default()
    })
}

fn resources_of(args: &ResourceArgs) -> ResourceConfig {
    let cpu_count = || std::thread::available_parallelism().map_or(1, usize::from);
    ResourceConfig {
        memory_bytes: args.memory,
        thread_count: args.threads.unwrap_or_else(cpu_count),
        open_files_max: crate::machine::open_files_max(),
    }
}

fn transform_of(
    parsing: ParsingArgs,
    fields: FieldArgs,
    features: FeatureArgs,
    memory_bytes: u64,
) -> Result<TransformConfig, Error> {
    check_bytes("--max-record-bytes", parsing.max_record_bytes, RECORD_BYTES, memory_bytes / 4)?;
    let features = features_of(features.values, features.features, features.on_nonfinite)?;
    let projection = Projection {
        select: fields.select,
        drop: fields.drop,
        rename: fields.rename.into_iter().map(|Renamed(field, name)| (field, name)).collect(),
        hash: fields.hash,
        hash_key: fields.hash_key.as_deref().map(read_hash_key).transpose()?,
    };
    projection.check(&features.fields).map_err(Error::usage)?;
    fields.jq.as_deref().map(Filter::compile).transpose()?;
    Ok(TransformConfig {
        records: parsing.records.map(|Pointer(tokens)| tokens.into()),
        features: Arc::new(features),
        rejects_raw: if projection.hides() { RejectsRaw::Redacted } else { RejectsRaw::Full },
        projection: Arc::new(projection),
        jq: fields.jq.map(Into::into),
        record_bytes_max: parsing.max_record_bytes,
        record_memory_bytes: TransformConfig::record_memory_bytes(memory_bytes),
        nesting: match parsing.nested {
            Some(Nested::Struct) => Nesting::STRUCT,
            Some(Nested::Json) => Nesting::JSON,
            None => Nesting { keys_max: parsing.max_object_keys as usize },
        },
        ..TransformConfig::default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_command_line_are_those_of_the_library() {
        let args = args::parse_from(["etl", "--out", "out.parquet", "http://host/"]);
        let config = config_of(args.run, &mut Vec::new()).unwrap();
        assert_eq!(format!("{:?}", config.http), format!("{:?}", HttpConfig::default()));
        assert_eq!(config.output.row_group, RowGroupConfig::default());
        assert_eq!(config.resources.memory_bytes, ResourceConfig::default().memory_bytes);
        assert_eq!(format!("{:?}", config.transform), format!("{:?}", TransformConfig::default()));
    }
}
