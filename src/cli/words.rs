//! Single words of the command line: counts with their limits, names, days.

use etl::calendar::Day;
use etl::config::{Feature, Method, ResourceConfig};
use etl::schema::LEAF_COLUMNS_MAX;

use super::units::{parse_bytes, parse_count};

/// Most requests at once: each is a socket, and systems give a process some thousand.
const CONCURRENCY_MAX: usize = 1024;
/// Most threads of the CPU pool.
const THREADS_MAX: usize = 1024;
/// Most rows of a row group.
const ROW_GROUP_ROWS_MAX: usize = 10_000_000;

/// A method by its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct MethodName(pub(super) Method);

pub(super) fn parse_rows(text: &str) -> Result<u64, String> {
    parse_count(text, ROW_GROUP_ROWS_MAX).map(|count| count as u64)
}

pub(super) fn parse_keys(text: &str) -> Result<u64, String> {
    parse_count(text, LEAF_COLUMNS_MAX).map(|count| count as u64)
}

pub(super) fn parse_pages(text: &str) -> Result<u32, String> {
    parse_count(text, u32::MAX as usize).map(|count| count as u32)
}

pub(super) fn parse_sample(text: &str) -> Result<u64, String> {
    parse_count(text, usize::MAX).map(|count| count as u64)
}

pub(super) fn parse_retries(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a number of attempts, such as 4; 0 for none".to_owned())
}

pub(super) fn parse_records(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a number of records, such as 1000".to_owned())
}

/// Reference tokens of a JSON Pointer. A type of its own, for clap takes a `Vec` to be repeated values.
#[derive(Debug, Clone)]
pub(super) struct Pointer(pub(super) Vec<String>);

/// Features by name; empty for `none`.
#[derive(Debug, Clone)]
pub(super) struct FeatureList(pub(super) Vec<Feature>);

pub(super) fn parse_day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "expected a day such as 2026-01-31".to_owned())
}

pub(super) fn parse_method(text: &str) -> Result<MethodName, String> {
    Method::from_name(text).map(MethodName).ok_or_else(|| "expected GET or POST".to_owned())
}

pub(super) fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if bytes < ResourceConfig::MEMORY_BYTES_MIN {
        return Err("expected at least 64MiB".to_owned());
    }
    Ok(bytes)
}

pub(super) fn parse_concurrency(text: &str) -> Result<usize, String> {
    parse_count(text, CONCURRENCY_MAX)
}

pub(super) fn parse_threads(text: &str) -> Result<usize, String> {
    parse_count(text, THREADS_MAX)
}

pub(super) fn parse_pointer(text: &str) -> Result<Pointer, String> {
    etl::pointer::parse(text).map(Pointer)
}

pub(super) fn parse_features(text: &str) -> Result<FeatureList, String> {
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
