//! Quantiles of one list, type 7 of Hyndman and Fan (1996), and the median absolute deviation.
//!
//! The values are sorted once per record, in a buffer that the next record uses again. `statrs` is left out
//! here on purpose: its quantiles are of type 8, other than those of numpy, DuckDB and R.

/// The sorted values of the record at hand.
#[derive(Debug, Default)]
pub(super) struct Quantiles {
    sorted: Vec<f64>,
    /// Sorted distances from the median.
    deviations: Vec<f64>,
}

impl Quantiles {
    /// Takes the values of a record, at least one, in any order.
    pub(super) fn sort(&mut self, values: &[f64]) {
        refill(&mut self.sorted, values.iter().copied());
    }

    /// Computes the distances from the median of the values that [`sort`](Self::sort) took.
    pub(super) fn sort_deviations(&mut self) {
        let median = self.quantile(0.5);
        refill(&mut self.deviations, self.sorted.iter().map(|value| (value - median).abs()));
    }

    /// The value below which the share `p` (0 to 1) of the values lies.
    pub(super) fn quantile(&self, p: f64) -> f64 {
        quantile(&self.sorted, p)
    }

    /// The median of the distances from the median.
    pub(super) fn median_deviation(&self) -> f64 {
        quantile(&self.deviations, 0.5)
    }
}

/// Puts `values` in ascending order into `buffer`; a NaN of either sign goes last.
fn refill(buffer: &mut Vec<f64>, values: impl Iterator<Item = f64>) {
    buffer.clear();
    buffer.extend(values.map(|value| if value.is_nan() { f64::NAN } else { value }));
    buffer.sort_unstable_by(f64::total_cmp);
}

/// Quantile of type 7: at `(n - 1) p` between the sorted values, with numpy's interpolation, which is the same
/// from both sides. NaN where one of the values is.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let last = sorted.len() - 1;
    if sorted[last].is_nan() {
        return f64::NAN;
    }
    let place = last as f64 * p;
    // The place is not negative and at most `last`, so the cast only cuts the fraction off.
    let below = place as usize;
    let share = place - below as f64;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    let distance = high - low;
    if share == 0.0 || low == high {
        low
    } else if distance.is_infinite() {
        // Both ends of the range of a double, or an infinity that was kept.
        low * (1.0 - share) + high * share
    } else if share < 0.5 {
        low + distance * share
    } else {
        high - distance * (1.0 - share)
    }
}
