//! One comparison, made from its seed: pages, and the runs that must come to the same.

use std::fmt;
use std::sync::Arc;

use etl::config::{Feature, FeatureConfig, FieldPath, OnNonfinite, RowGroupConfig, ValuesField};
use etl::schema::Nesting;
use fastrand::Rng;

use crate::json::Json;
use crate::seeded::{Machine, between};
use crate::values::{Field, NESTED_VALUES, VALUES};
use crate::write::{Layout, write_records};

const CONCURRENCY_MAX: usize = 16;
/// Encoding a row group takes a debug build some milliseconds, and a run should not take a second.
const ROW_GROUPS_MAX: usize = 30;
/// About what a column of a page counts in a row group, beside its values.
const COLUMN_BYTES: usize = 600;
/// More than all pages have together.
const ALL_BYTES: usize = 1 << 30;

/// An integer and a number, whose references are plain.
const FEATURES: [Feature; 2] = [Feature::Count, Feature::Max];

/// Some pages, and how they are read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nesting: Nesting,
    pub(crate) features: Arc<FeatureConfig>,
    /// All records, in the order of the pages.
    pub(crate) records: Vec<Json>,
    /// The run that knows the schema before it writes anything: all records are one page and one row group.
    pub(crate) knowing: Run,
    /// Runs over the pages in their order, which learn the schema as they go; all come to the same file.
    pub(crate) learning: Vec<Run>,
    /// A run over the pages in another order.
    pub(crate) shuffled: Run,
}

/// A run: its pages and what must not matter.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) pages: Vec<Arc<Page>>,
    pub(crate) cuts: Cuts,
    pub(crate) machine: Machine,
}

/// Where pages and the output are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuts {
    pub(crate) chunk_bytes: usize,
    pub(crate) row_group: RowGroupConfig,
}

/// Some records as they are served.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) body: String,
    record_count: usize,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        // Neighbouring seeds should have nothing in common.
        let rng = &mut Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let nesting =
            if rng.u8(..8) == 0 { Nesting::default() } else { Nesting { keys_max: rng.usize(2..=5) } };
        let features = features(rng);
        let pages_of_records = pages_of_records(rng, features.fields.len() > 1);
        let pages: Vec<_> = pages_of_records
            .iter()
            .enumerate()
            .map(|(number, records)| Arc::new(Page::of(rng, &format!("page-{number}"), records)))
            .collect();
        let records = pages_of_records.concat();
        let whole = Arc::new(Page::of(rng, "whole", &records));
        let all = RowGroupConfig { rows_max: ALL_BYTES, bytes_max: ALL_BYTES };
        let knowing = Run {
            pages: vec![whole],
            cuts: Cuts { chunk_bytes: ALL_BYTES, row_group: all },
            machine: Machine { memory_bytes: ALL_BYTES as u64, concurrency: 1, thread_count: 1 },
        };
        let cuts = Cuts::random(rng, &pages);
        let learning = (0..if rng.u8(..4) == 0 { 2 } else { 1 })
            .map(|_| Run { pages: pages.clone(), cuts, machine: Machine::random(rng, CONCURRENCY_MAX) })
            .collect();
        let mut shuffled_pages = pages;
        rng.shuffle(&mut shuffled_pages);
        let cuts = Cuts::random(rng, &shuffled_pages);
        let shuffled = Run { pages: shuffled_pages, cuts, machine: Machine::random(rng, CONCURRENCY_MAX) };
        Self { nesting, features, records, knowing, learning, shuffled }
    }
}

/// A list that may come late or never, named or not; sometimes another one inside an object.
fn features(rng: &mut Rng) -> Arc<FeatureConfig> {
    let key = ValuesField { name: VALUES.into(), path: FieldPath::Key(VALUES.into()) };
    let nested = ValuesField {
        name: NESTED_VALUES[1].into(),
        path: FieldPath::Pointer(NESTED_VALUES.map(str::to_owned).into()),
    };
    let (fields, fields_are_explicit) = match rng.u8(..4) {
        0 => (vec![key], true),
        1 => (vec![key, nested], true),
        _ => (vec![key], false),
    };
    let features = FEATURES.to_vec();
    FeatureConfig { fields, fields_are_explicit, features, on_nonfinite: OnNonfinite::Skip }.into()
}

/// The records of each page. At least one record of the run has a member.
fn pages_of_records(rng: &mut Rng, has_nested_values: bool) -> Vec<Vec<Json>> {
    let page_count = rng.usize(2..=10);
    let sources: Vec<_> =
        (0..rng.usize(1..=3)).map(|_| Field::of_source(rng, page_count, has_nested_values)).collect();
    let large_page = if rng.u8(..4) == 0 { rng.usize(..page_count) } else { page_count };
    let begins_without_members = rng.u8(..12) == 0;
    let mut id = 0;
    (0..page_count)
        .map(|page| {
            let record_count = match rng.u8(..12) {
                _ if page == large_page => rng.usize(200..=350),
                _ if page == page_count - 1 => rng.usize(1..=4),
                0 => 0,
                1..=3 => rng.usize(10..=40),
                _ => rng.usize(1..=5),
            };
            let of_page = rng.usize(..sources.len());
            let has_one_source = rng.u8(..4) > 0;
            let mut record = || {
                let source = if has_one_source { of_page } else { rng.usize(..sources.len()) };
                let mut members = Field::members(&sources[source], rng, page);
                let place = if rng.u8(..8) == 0 { rng.usize(..=members.len()) } else { 0 };
                members.insert(place, ("id".into(), Json::Int(id)));
                id += 1;
                let is_last_page = page == page_count - 1;
                if !is_last_page && (begins_without_members && page == 0 || rng.u8(..60) == 0) {
                    members.clear();
                }
                Json::Object(members)
            };
            (0..record_count).map(|_| record()).collect()
        })
        .collect()
}

impl Page {
    fn of(rng: &mut Rng, name: &str, records: &[Json]) -> Self {
        let layout = match rng.u8(..3) {
            // What holds no record must say that it is meant so.
            _ if records.is_empty() => Layout::Array,
            0 => Layout::Array,
            1 => Layout::Lines,
            _ => Layout::Concatenated,
        };
        let extension = if layout == Layout::Lines && rng.bool() { "ndjson" } else { "json" };
        let body = write_records(&records.iter().collect::<Vec<_>>(), layout, rng.u64(..)).body;
        Self { name: format!("{name}.{extension}"), body, record_count: records.len() }
    }
}

impl Cuts {
    /// Small ones, but not more row groups than there is time for.
    fn random(rng: &mut Rng, pages: &[Arc<Page>]) -> Self {
        let record_count: usize = pages.iter().map(|page| page.record_count).sum();
        let bytes: usize = pages.iter().map(|page| page.body.len() + 8 * COLUMN_BYTES).sum();
        let rows_min = record_count.div_ceil(ROW_GROUPS_MAX).max(1);
        let bytes_min = bytes / ROW_GROUPS_MAX;
        let row_group = RowGroupConfig {
            rows_max: rows_min + rng.usize(..20),
            bytes_max: if rng.bool() { ALL_BYTES } else { between(rng, bytes_min, 20 * bytes_min) },
        };
        Self { chunk_bytes: between(rng, 50, 20_000), row_group }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.features.fields.iter().map(|field| field.path.shown()).collect();
        write!(f, "{} records, {:?}, lists {fields:?}", self.records.len(), self.nesting)?;
        for run in self.learning.iter().chain([&self.shuffled]) {
            write!(f, "\n  {:?} {:?}", run.cuts, run.machine)?;
            for Page { name, body, record_count } in run.pages.iter().map(|page| &**page) {
                write!(f, ", {name}: {record_count} records in {} bytes", body.len())?;
            }
        }
        Ok(())
    }
}
