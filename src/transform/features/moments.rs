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
        let (mut min, mut max) = (values[0], values[0]);
        let mut total = CompensatedSum::default();
        for &value in values {
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
            total.add(value);
        }
        let (min, max) = order_zeros(values, min, max);
        let sum = total.get();
        if !sum.is_finite() {
            return Self::of_wide_range(values, min, max);
        }
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
        let mut total = CompensatedSum::default();
        for &value in values {
            total.add(value * shrink);
        }
        let sum = total.get();
        let mean = (sum / count as f64 / shrink).clamp(min, max);
        Self { count, sum: sum / shrink, mean, min, max, is_finite: true }
    }

    /// The largest absolute value.
    fn magnitude(&self) -> f64 {
        self.min.abs().max(self.max.abs())
    }
}

/// A sum as good as if it were computed with twice the digits (`Sum2` of Ogita, Rump, Oishi 2005).
#[derive(Debug, Clone, Copy, Default)]
struct CompensatedSum {
    sum: f64,
    /// What rounding took from `sum`.
    error: f64,
}

impl CompensatedSum {
    /// Adds `value`; the sum and the step's error together are exact (Knuth's two-sum).
    #[inline]
    fn add(&mut self, value: f64) {
        let next = self.sum + value;
        let taken = next - self.sum;
        self.error += (self.sum - (next - taken)) + (value - taken);
        self.sum = next;
    }

    /// The sum, rounded. Not finite where a step overflowed.
    fn get(self) -> f64 {
        self.sum + self.error
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

/// The second moment about the mean, of values that were multiplied by `scale`.
pub(super) struct Scatter {
    scaled: OnlineMoments<2>,
    scale: f64,
}

impl Scatter {
    /// Scatter of `values` about the mean of their `summary`.
    pub(super) fn new(values: &[f64], summary: &Summary) -> Self {
        let mean = summary.mean;
        let scaled = fold(values.iter().map(|value| value - mean));
        let is_precise = |variance: f64| variance >= VARIANCE_PRECISE_MIN && variance.is_finite();
        if scaled.variance().is_none_or(is_precise) || summary.min == summary.max || !summary.is_finite {
            return Self { scaled, scale: 1.0 };
        }
        // Not the sign alone: squares that overflow on the way may leave -inf.
        let is_small = scaled.variance().is_some_and(|variance| variance.is_finite() && variance < 1.0);
        Self::of_wide_range(values, mean, is_small)
    }

    /// For differences whose squares are too small or too large: computed again in the middle of the range.
    #[cold]
    fn of_wide_range(values: &[f64], mean: f64, is_small: bool) -> Self {
        if is_small {
            // Subtracted first: a large mean must not be scaled out of the range.
            let scaled = fold(values.iter().map(|value| (value - mean) * SCALE));
            return Self { scaled, scale: SCALE };
        }
        let scale = 1.0 / SCALE;
        Self { scaled: fold(values.iter().map(|value| value * scale - mean * scale)), scale }
    }

    /// Spread with the divisor `n - 1`; `None` below two values.
    pub(super) fn sample(&self) -> Option<Spread> {
        self.scaled.variance().map(|variance| self.spread(variance))
    }

    /// Spread with the divisor `n`.
    pub(super) fn population(&self) -> Option<Spread> {
        self.scaled.population_variance().map(|variance| self.spread(variance))
    }

    fn spread(&self, scaled: f64) -> Spread {
        if self.scale == 1.0 {
            return Spread { variance: scaled, stddev: scaled.sqrt() };
        }
        // The deviation of wide values is often in range where their variance is not.
        Spread { variance: scaled / self.scale / self.scale, stddev: scaled.sqrt() / self.scale }
    }
}

/// How far the values lie from their mean; infinite where it overflowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) variance: f64,
    pub(super) stddev: f64,
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
