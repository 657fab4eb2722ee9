//! Features of the lists of numbers in the records: one row of columns per record, computed while a page
//! is decoded.
//!
//! Every result is a value or null, never a NaN by accident: what its formula leaves undefined is null, and
//! what finite values make too large for a double is null and counted. NaN and infinities reach this
//! code only where the user keeps them (`--on-nonfinite keep`). Then they flow as in IEEE arithmetic and are
//! not counted: a NaN makes every feature but the two counts NaN; an infinity stands in `min`, `max`, `range`,
//! `sum`, `rms`, `mean` and the quantiles that it reaches, and what subtracts it from itself is NaN.
//!
//! Nothing here allocates per record, reads JSON or knows how a column is encoded.

mod moments;
mod quantiles;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, NullBufferBuilder};

use self::moments::{Scatter, Shape, Spread, Summary, root_mean_square};
use self::quantiles::Quantiles;
use crate::config::Feature;

/// Feature columns of one list field while a page is decoded.
///
/// One call of [`push`](Self::push) or [`push_absent`](Self::push_absent) per record adds one row to each
/// column. Memory: 8 bytes per row and feature, a bit more where nulls occur, and two buffers as long as the
/// longest list where a quantile is asked for.
///
/// ```
/// use etl::config::Feature;
/// use etl::transform::features::FeatureColumns;
///
/// let mut columns = FeatureColumns::new(&[Feature::Count, Feature::Variance]);
/// columns.push(&[1.0, 2.0, 4.0], 0);
/// columns.push_absent();
/// assert_eq!(columns.rows(), 2);
/// let arrays = columns.finish();
/// assert_eq!(arrays[1].0, Feature::Variance);
/// assert_eq!(arrays[1].1.null_count(), 1);
/// ```
#[derive(Debug)]
pub struct FeatureColumns {
    columns: Vec<Column>,
    needs: Needs,
    quantiles: Quantiles,
    row_count: usize,
    overflow_count: u64,
}

impl FeatureColumns {
    /// Empty columns, one per feature, in the order given.
    pub fn new(features: &[Feature]) -> Self {
        Self {
            columns: features.iter().copied().map(Column::new).collect(),
            needs: Needs::of(features),
            quantiles: Quantiles::default(),
            row_count: 0,
            overflow_count: 0,
        }
    }

    /// Adds a record whose list is absent or null: every feature is null.
    ///
    /// Costs nothing until a list comes: most records have no list of most names.
    #[inline]
    pub fn push_absent(&mut self) {
        self.row_count += 1;
    }

    /// Adds a record whose list has these values, and beside them so many nulls.
    ///
    /// NaN and infinities among the values count as kept on purpose.
    pub fn push(&mut self, values: &[f64], null_count: usize) {
        self.fill_absent();
        self.row_count += 1;
        if values.is_empty() {
            self.push_empty(null_count);
            return;
        }
        let record = Record::new(values, null_count, &self.needs, &mut self.quantiles);
        for column in &mut self.columns {
            match &mut column.data {
                ColumnData::Count(counts) => {
                    counts.push(record.count_of(column.feature));
                    column.validity.append_non_null();
                }
                ColumnData::Number(numbers) => match record.number(column.feature) {
                    Some(number) if number.is_finite() || !record.summary.is_finite => {
                        numbers.push(number);
                        column.validity.append_non_null();
                    }
                    undefined_or_overflown => {
                        self.overflow_count += u64::from(undefined_or_overflown.is_some());
                        column.push_null();
                    }
                },
            }
        }
    }

    /// Number of records added.
    pub fn rows(&self) -> usize {
        self.row_count
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Number of results that were too large for a double and became null.
    pub fn overflow_count(&self) -> u64 {
        self.overflow_count
    }

    /// The columns as Arrow arrays of [`rows`](Self::rows) rows, in the order of [`new`](Self::new).
    ///
    /// `count` and `null_count` are `Int64`, all others `Float64`. The values are moved, not copied.
    pub fn finish(mut self) -> Vec<(Feature, ArrayRef)> {
        self.fill_absent();
        self.columns.into_iter().map(|column| (column.feature, column.finish())).collect()
    }

    /// Gives every column the nulls of the records that were absent since the last list.
    #[inline]
    fn fill_absent(&mut self) {
        for column in &mut self.columns {
            let missing = self.row_count - column.validity.len();
            if missing > 0 {
                column.push_nulls(missing);
            }
        }
    }

    fn push_empty(&mut self, null_count: usize) {
        for column in &mut self.columns {
            match (column.feature, &mut column.data) {
                (Feature::NullCount, ColumnData::Count(counts)) => {
                    counts.push(count_to_i64(null_count));
                    column.validity.append_non_null();
                }
                (_, ColumnData::Count(counts)) => {
                    counts.push(0);
                    column.validity.append_non_null();
                }
                (_, ColumnData::Number(_)) => column.push_null(),
            }
        }
    }
}

/// What the asked features have in common, so that it is computed once per record or not at all.
#[derive(Debug, Default)]
struct Needs {
    sample: bool,
    population: bool,
    cv: bool,
    rms: bool,
    shape: bool,
    sorted: bool,
    deviations: bool,
}

impl Needs {
    fn of(features: &[Feature]) -> Self {
        let mut needs = Self::default();
        for feature in features {
            match feature {
                Feature::Variance | Feature::Stddev => needs.sample = true,
                Feature::PopulationVariance | Feature::PopulationStddev => needs.population = true,
                Feature::Cv => {
                    needs.sample = true;
                    needs.cv = true;
                }
                Feature::Rms => needs.rms = true,
                Feature::Skewness | Feature::Kurtosis => needs.shape = true,
                Feature::Median | Feature::P90 | Feature::P95 | Feature::P99 | Feature::Iqr => {
                    needs.sorted = true;
                }
                Feature::Mad => {
                    needs.sorted = true;
                    needs.deviations = true;
                }
                Feature::Count
                | Feature::NullCount
                | Feature::Mean
                | Feature::Min
                | Feature::Max
                | Feature::Sum
                | Feature::Range => {}
            }
        }
        needs
    }
}

/// All that the features of one record are read from. Parts that no feature needs hold no truth.
struct Record<'a> {
    summary: Summary,
    null_count: usize,
    sample: Option<Spread>,
    population: Option<Spread>,
    cv: Option<f64>,
    shape: Option<Shape>,
    rms: f64,
    quantiles: &'a Quantiles,
}

impl<'a> Record<'a> {
    /// Computes what is needed of `values`, at least one.
    fn new(values: &[f64], null_count: usize, needs: &Needs, quantiles: &'a mut Quantiles) -> Self {
        let summary = Summary::new(values);
        if needs.sorted {
            quantiles.sort(values);
        }
        if needs.deviations {
            quantiles.sort_deviations();
        }
        let scatter = (needs.sample || needs.population).then(|| Scatter::new(values, &summary));
        let scatter = scatter.as_ref();
        let sample = if needs.sample { scatter.and_then(Scatter::sample) } else { None };
        Self {
            null_count,
            sample,
            population: if needs.population { scatter.and_then(Scatter::population) } else { None },
            // Divided here: the optimizer would divide ahead of the match in `number`, for every record.
            cv: sample
                .filter(|_| needs.cv && summary.mean != 0.0)
                .map(|sample| sample.stddev / summary.mean.abs()),
            shape: if needs.shape { Shape::new(values, &summary) } else { None },
            rms: if needs.rms { root_mean_square(values, &summary) } else { 0.0 },
            quantiles,
            summary,
        }
    }

    fn count_of(&self, feature: Feature) -> i64 {
        count_to_i64(if feature == Feature::NullCount { self.null_count } else { self.summary.count })
    }

    /// The feature, or `None` where its formula is undefined. Not finite where it overflowed.
    fn number(&self, feature: Feature) -> Option<f64> {
        let summary = &self.summary;
        match feature {
            Feature::Count | Feature::NullCount => Some(self.count_of(feature) as f64),
            Feature::Mean => Some(summary.mean),
            Feature::Sum => Some(summary.sum),
            Feature::Min => Some(summary.min),
            Feature::Max => Some(summary.max),
            Feature::Range => Some(summary.max - summary.min),
            Feature::Variance => self.sample.map(|spread| spread.variance),
            Feature::Stddev => self.sample.map(|spread| spread.stddev),
            Feature::PopulationVariance => self.population.map(|spread| spread.variance),
            Feature::PopulationStddev => self.population.map(|spread| spread.stddev),
            Feature::Cv => self.cv,
            Feature::Rms => Some(self.rms),
            Feature::Skewness => self.shape.map(|shape| shape.skewness),
            Feature::Kurtosis => self.shape.map(|shape| shape.kurtosis),
            Feature::Median => Some(self.quantiles.quantile(0.50)),
            Feature::P90 => Some(self.quantiles.quantile(0.90)),
            Feature::P95 => Some(self.quantiles.quantile(0.95)),
            Feature::P99 => Some(self.quantiles.quantile(0.99)),
            Feature::Iqr => Some(self.quantiles.quantile(0.75) - self.quantiles.quantile(0.25)),
            Feature::Mad => Some(self.quantiles.median_deviation()),
        }
    }
}

/// The values of one feature so far.
#[derive(Debug)]
struct Column {
    feature: Feature,
    data: ColumnData,
    validity: NullBufferBuilder,
}

#[derive(Debug)]
enum ColumnData {
    Count(Vec<i64>),
    Number(Vec<f64>),
}

impl Column {
    fn new(feature: Feature) -> Self {
        let data = match feature {
            Feature::Count | Feature::NullCount => ColumnData::Count(Vec::new()),
            _ => ColumnData::Number(Vec::new()),
        };
        Self { feature, data, validity: NullBufferBuilder::new(0) }
    }

    fn push_null(&mut self) {
        self.push_nulls(1);
    }

    fn push_nulls(&mut self, count: usize) {
        self.validity.append_n_nulls(count);
        match &mut self.data {
            ColumnData::Count(counts) => counts.resize(self.validity.len(), 0),
            ColumnData::Number(numbers) => numbers.resize(self.validity.len(), 0.0),
        }
    }

    fn finish(self) -> ArrayRef {
        let nulls = self.validity.build();
        match self.data {
            ColumnData::Count(counts) => Arc::new(Int64Array::new(counts.into(), nulls)),
            ColumnData::Number(numbers) => Arc::new(Float64Array::new(numbers.into(), nulls)),
        }
    }
}

/// A list is held in memory, so its length fits.
fn count_to_i64(count: usize) -> i64 {
    i64::try_from(count).expect("a list is shorter than 2^63")
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
