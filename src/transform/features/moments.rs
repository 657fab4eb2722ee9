//! Sum, mean, extremes, variance and the higher moments of one list. The only `statrs` import.
//!
//! Two things keep the digits that doubles allow. The sum is compensated, so that the mean is good to a
//! unit in the last place. And variance comes from the values less their mean: numbers of the size of
//! the spread, where Welford's method in `statrs` has nothing left to cancel.
//!
//! Lists whose sum or squares leave the range of a double are computed again, scaled by a power of two.

use statrs::statistics::{Accumulate, OnlineMoments};

/// 2^600: brings squares from both ends of the range of a double to its middle.
const SCALE: f64 = f64::from_bits((1023 + 600) << 52);

/// Below this a variance may have lost digits: squares of its small differences came close to the least
/// double, 5e-324.
const VARIANCE_PRECISE_MIN: f64 = 1e-280;

/// What one pass over the values gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) count: usize,
    /// Infinite where it overflowed.
    pub(super) sum: f64,
    /// Between `min` and `max`, so finite where all values are.
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Whether all values are.
    pub(super) is_finite: bool,
}

impl Summary {
    /// Summarises `values`, at least one.
    pub(super) fn new(values: &[f64]) -> Self {
        let mut lanes = Lanes::<LANE_COUNT>::new(values[0]);
        let chunks = values.chunks_exact(LANE_COUNT);
        let rest = chunks.remainder();
        for chunk in chunks {
            lanes.add(chunk.try_into().expect("a chunk has a value per lane"));
        }
        let mut whole = lanes.join();
        for &value in rest {
            whole.add(&[value]);
        }
        let (min, max) = (whole.min[0], whole.max[0]);
        let sum = whole.total();
        if !sum.is_finite() {
            return Self::of_wide_range(values, min, max);
        }
        let (min, max) = order_zeros(values, min, max);
        // The mean of equal values is that value; rounding may have left it by one unit.
        let mean = (sum / values.len() as f64).clamp(min, max);
        Self { count: values.len(), sum, mean, min, max, is_finite: true }
    }

    /// For values whose sum overflowed on the way, or that are not all finite.
    #[cold]
    fn of_wide_range(values: &[f64], min: f64, max: f64) -> Self {
        let count = values.len();
        if values.iter().any(|value| value.is_nan()) {
            let nan = f64::NAN;
            return Self { count, sum: nan, mean: nan, min: nan, max: nan, is_finite: false };
        }
        if min.is_infinite() || max.is_infinite() {
            // Only the infinities matter: -inf and inf together are NaN, alone they stay.
            let sum = values.iter().filter(|value| value.is_infinite()).sum();
            return Self { count, sum, mean: sum, min, max, is_finite: false };
        }
        // So many times smaller, no partial sum can overflow.
        let shrink = 1.0 / (2 * count).next_power_of_two() as f64;
        let mut lane = Sums::new(0.0);
        for &value in values {
            lane.add(&[value * shrink]);
        }
        let sum = lane.total();
        let mean = (sum / count as f64 / shrink).clamp(min, max);
        Self { count, sum: sum / shrink, mean, min, max, is_finite: true }
    }

    /// The largest absolute value.
    fn magnitude(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }
}

/// Values that are taken at once: sums that do not wait for each other are added side by side.
const LANE_COUNT: usize = 1;

/// Extremes and compensated sum of a list.
type Sums = Lanes<1>;

/// Extremes and compensated sums of every `N`th value.
#[derive(Debug, Clone, Copy)]
struct Lanes<const N: usize> {
    sum: [f64; N],
    /// What rounding took from `sum`.
    error: [f64; N],
    min: [f64; N],
    max: [f64; N],
}

impl<const N: usize> Lanes<N> {
    /// Lanes without values; `some` is any value of the list, for the extremes to begin with.
    fn new(some: f64) -> Self {
        Self { sum: [0.0; N], error: [0.0; N], min: [some; N], max: [some; N] }
    }

    /// Adds one value to each lane.
    #[inline]
    fn add(&mut self, values: &[f64; N]) {
        for (i, &value) in values.iter().enumerate() {
            self.min[i] = if value < self.min[i] { value } else { self.min[i] };
            self.max[i] = if value > self.max[i] { value } else { self.max[i] };
            // Knuth's two-sum: `next` and the error together are exactly `sum + value`.
            let next = self.sum[i] + value;
            let taken = next - self.sum[i];
            self.error[i] += (self.sum[i] - (next - taken)) + (value - taken);
            self.sum[i] = next;
        }
    }

    /// All lanes in one.
    #[inline]
    fn join(&self) -> Sums {
        let mut whole = Sums::new(self.min[0]);
        for i in 0..N {
            whole.add(&[self.sum[i]]);
            whole.error[0] += self.error[i];
        }
        whole.min[0] = self.min.into_iter().fold(self.min[0], f64::min);
        whole.max[0] = self.max.into_iter().fold(self.max[0], f64::max);
        whole
    }

    fn total(&self) -> f64 {
        self.sum[0] + self.error[0]
    }
}

/// -0 and 0 compare equal, so the loop keeps whichever came first; the result must not depend on the order.
fn order_zeros(values: &[f64], min: f64, max: f64) -> (f64, f64) {
    if min != 0.0 && max != 0.0 {
        return (min, max);
    }
    let has = |zero: f64| values.iter().any(|value| value.to_bits() == zero.to_bits());
    let min = if min == 0.0 && has(-0.0) { -0.0 } else { min };
    let max = if max == 0.0 && has(0.0) { 0.0 } else { max };
    (min, max)
}

/// How far the values lie from their mean. `None` is undefined, infinite is overflown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spread {
    pub(super) variance: Option<f64>,
    pub(super) stddev: Option<f64>,
    pub(super) population_variance: Option<f64>,
    pub(super) population_stddev: Option<f64>,
}

impl Spread {
    pub(super) fn new(values: &[f64], summary: &Summary) -> Self {
        let mean = summary.mean;
        let moments = fold(values.iter().map(|value| value - mean));
        let sample = moments.variance();
        let spread = Self {
            variance: sample,
            stddev: sample.map(f64::sqrt),
            population_variance: moments.population_variance(),
            population_stddev: moments.population_std_dev(),
        };
        let is_precise = |variance: f64| variance >= VARIANCE_PRECISE_MIN && variance.is_finite();
        if sample.is_none_or(is_precise) || summary.min == summary.max || !summary.is_finite {
            return spread;
        }
        Self::of_wide_range(values, summary, sample.is_some_and(|variance| variance < 1.0))
    }

    /// The standard deviation over the absolute `mean`, `None` at mean 0.
    pub(super) fn relative_to(&self, mean: f64) -> Option<f64> {
        self.stddev.filter(|_| mean != 0.0).map(|stddev| stddev / mean.abs())
    }

    /// For differences whose squares are too small or too large: computed again in the middle of the range.
    #[cold]
    fn of_wide_range(values: &[f64], summary: &Summary, is_small: bool) -> Self {
        let scale = if is_small { SCALE } else { 1.0 / SCALE };
        let mean = summary.mean;
        let moments = if is_small {
            // Subtracted first: a large mean must not be scaled out of the range.
            fold(values.iter().map(|value| (value - mean) * scale))
        } else {
            fold(values.iter().map(|value| value * scale - mean * scale))
        };
        let variance = |scaled: f64| scaled / scale / scale;
        // The deviation overflows together with its variance, so that both are there or neither.
        let stddev =
            |scaled: f64| if variance(scaled).is_finite() { scaled.sqrt() / scale } else { f64::INFINITY };
        Self {
            variance: moments.variance().map(variance),
            stddev: moments.variance().map(stddev),
            population_variance: moments.population_variance().map(variance),
            population_stddev: moments.population_variance().map(stddev),
        }
    }
}

fn fold(residuals: impl Iterator<Item = f64>) -> OnlineMoments<2> {
    residuals.fold(OnlineMoments::default(), |moments, residual| moments.push(residual))
}

/// Skewness and excess kurtosis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) skewness: f64,
    pub(super) kurtosis: f64,
}

impl Shape {
    /// `None` where all values are equal, so that there is no shape.
    pub(super) fn new(values: &[f64], summary: &Summary) -> Option<Self> {
        if !summary.is_finite {
            return Some(Self { skewness: f64::NAN, kurtosis: f64::NAN });
        }
        if summary.min == summary.max {
            return None;
        }
        // Both are ratios that no factor changes: in units of half of the widest distance, which cannot
        // overflow, the powers of the differences stay in range.
        let unit = (summary.max / 2.0 - summary.min / 2.0).max(f64::from_bits(1));
        let mean = summary.mean / unit;
        let residual = |value: f64| {
            let difference = value - summary.mean;
            if difference.is_finite() { difference / unit } else { value / unit - mean }
        };
        let n = values.len() as f64;
        // The mean is rounded; where the spread is only a few units in its last place, that matters.
        let shift = values.iter().map(|&value| residual(value)).sum::<f64>() / n;
        let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
        for &value in values {
            let difference = residual(value) - shift;
            let square = difference * difference;
            m2 += square;
            m3 += square * difference;
            m4 += square * square;
        }
        let (m2, m3, m4) = (m2 / n, m3 / n, m4 / n);
        Some(Self { skewness: m3 / (m2 * m2.sqrt()), kurtosis: m4 / (m2 * m2) - 3.0 })
    }
}

/// Root mean square of `values`, computed in units of the largest one, so that no square overflows.
pub(super) fn root_mean_square(values: &[f64], summary: &Summary) -> f64 {
    let unit = summary.magnitude();
    if unit == 0.0 || !summary.is_finite {
        // Zero, infinity or NaN is the answer.
        return unit;
    }
    let squares: f64 = values.iter().map(|value| (value / unit) * (value / unit)).sum();
    (squares / values.len() as f64).sqrt().min(1.0) * unit
}
