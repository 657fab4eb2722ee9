//! Features of generated lists, against exact integer arithmetic that knows nothing of the code.
//!
//! The lists are integers of up to 53 bits times a power of two, so that the reference can compute in
//! `i128` without any rounding, and rounds once at the end.

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use proptest::prelude::*;

use super::*;

/// Most values of a list: 64 squares of 54-bit differences times 64 fit in an `i128`.
const LEN_MAX: usize = 64;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

/// All features of one list, in the order of `Feature::ALL`; the counts too, as doubles.
fn all(values: &[f64]) -> Vec<Option<f64>> {
    let mut columns = FeatureColumns::new(&Feature::ALL);
    columns.push(values, 0);
    let array_value = |(feature, array): (Feature, ArrayRef)| match feature {
        Feature::Count | Feature::NullCount => None,
        _ => array.is_valid(0).then(|| array.as_primitive::<Float64Type>().value(0)),
    };
    columns.finish().into_iter().map(array_value).collect()
}

fn one(of: Feature, values: &[f64]) -> Option<f64> {
    all(values)[Feature::ALL.iter().position(|feature| *feature == of).unwrap()]
}

/// Integers around an offset: wide lists, and lists whose spread is tiny beside their mean.
fn integers() -> impl Strategy<Value = Vec<i64>> {
    let offset = prop_oneof![Just(0_i64), -(1_i64 << 52)..(1_i64 << 52)];
    let width = (0_u32..53).prop_map(|bits| 1_i64 << bits);
    (offset, width).prop_flat_map(|(offset, width)| {
        let value = (-width..=width).prop_map(move |value| (offset + value).clamp(-(1 << 53), 1 << 53));
        prop::collection::vec(value, 1..=LEN_MAX)
    })
}

/// `integers * 2^exponent`, exact.
fn doubles(integers: &[i64], exponent: i32) -> Vec<f64> {
    integers.iter().map(|integer| *integer as f64 * 2_f64.powi(exponent)).collect()
}

/// Any finite doubles, of all magnitudes, some of them equal.
fn finite() -> impl Strategy<Value = Vec<f64>> {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    let wild = NEGATIVE | POSITIVE | NORMAL | SUBNORMAL | ZERO;
    let value = prop_oneof![4 => wild, 2 => -1e3..1e3, 1 => Just(0.1), 1 => Just(0.0), 1 => Just(-0.0), 1 => Just(f64::MAX), 1 => Just(f64::MIN)];
    prop::collection::vec(value, 1..40)
}

/// Exact sum, and `n * sum(x^2) - sum(x)^2`, which is `n^2` times the population variance.
fn exact(integers: &[i64]) -> (i128, i128) {
    let n = integers.len() as i128;
    let sum: i128 = integers.iter().map(|integer| i128::from(*integer)).sum();
    // Shifted by the first one, which changes nothing and keeps the squares within 108 bits.
    let shifted = |integer: &i64| i128::from(*integer) - i128::from(integers[0]);
    let shifted_sum: i128 = integers.iter().map(shifted).sum();
    let squares: i128 = integers.iter().map(|integer| shifted(integer) * shifted(integer)).sum();
    (sum, n * squares - shifted_sum * shifted_sum)
}

fn is_within(found: f64, expected: f64, units: f64) -> bool {
    (found - expected).abs() <= units * f64::EPSILON * expected.abs()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mean_is_exact_to_two_units(integers in integers(), exponent in -400..400) {
        let (sum, _) = exact(&integers);
        let expected = sum as f64 / integers.len() as f64 * 2_f64.powi(exponent);
        let values = doubles(&integers, exponent);
        let found = one(Feature::Mean, &values).unwrap();
        prop_assert!(is_within(found, expected, 2.0), "{found} is not {expected}");
        let found = one(Feature::Sum, &values).unwrap();
        let expected = sum as f64 * 2_f64.powi(exponent);
        prop_assert!(is_within(found, expected, 2.0), "{found} is not {expected}");
    }

    #[test]
    fn variance_is_exact_but_for_a_few_units(integers in integers(), exponent in -400..400) {
        let values = doubles(&integers, exponent);
        let n = integers.len() as f64;
        let (_, scatter) = exact(&integers);
        let unit = 2_f64.powi(exponent);
        // The bound of Welford's method on values without a mean to speak of, with room for rounding.
        let bound = 2.0 * n + 8.0;
        let population = scatter as f64 / (n * n) * unit * unit;
        let found = one(Feature::PopulationVariance, &values).unwrap();
        prop_assert!(is_within(found, population, bound), "{found} is not {population}");
        let sample = (n >= 2.0).then(|| scatter as f64 / (n * (n - 1.0)) * unit * unit);
        match (one(Feature::Variance, &values), sample) {
            (Some(found), Some(sample)) => {
                prop_assert!(is_within(found, sample, bound), "{found} is not {sample}");
                let stddev = one(Feature::Stddev, &values).unwrap();
                prop_assert!(is_within(stddev, sample.sqrt(), bound), "{stddev}^2 is not {sample}");
            }
            (found, sample) => prop_assert_eq!(found, sample),
        }
    }

    #[test]
    fn shift_leaves_the_spread_as_it_is(
        small in prop::collection::vec(-1_000_000_i64..1_000_000, 2..=LEN_MAX),
        offset in -(1_i64 << 50)..(1_i64 << 50),
    ) {
        let shifted: Vec<i64> = small.iter().map(|value| value + offset).collect();
        let (near, far) = (all(&doubles(&small, 0)), all(&doubles(&shifted, 0)));
        for (i, feature) in Feature::ALL.into_iter().enumerate() {
            match feature {
                Feature::Variance | Feature::Stddev | Feature::PopulationVariance => {
                    let bound = 4.0 * small.len() as f64 + 16.0;
                    prop_assert!(is_within(far[i].unwrap(), near[i].unwrap(), bound), "{}", feature.name());
                }
                Feature::Range => prop_assert_eq!(near[i], far[i]),
                _ => {}
            }
        }
    }

    #[test]
    fn order_of_the_values_does_not_matter(values in finite(), seed in any::<u64>()) {
        let mut shuffled = values.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let (one_way, other_way) = (all(&values), all(&shuffled));
        for (i, feature) in Feature::ALL.into_iter().enumerate() {
            let (a, b) = (one_way[i].map(f64::to_bits), other_way[i].map(f64::to_bits));
            match feature {
                Feature::Min | Feature::Max | Feature::Range | Feature::Median | Feature::P90
                | Feature::P95 | Feature::P99 | Feature::Iqr | Feature::Mad => {
                    prop_assert_eq!(a, b, "{}", feature.name());
                }
                Feature::Variance | Feature::Stddev | Feature::Rms => {
                    // Near the greatest double one order may overflow and the other not.
                    if let (Some(a), Some(b)) = (one_way[i], other_way[i]) {
                        prop_assert!(is_within(a, b, 200.0), "{}: {a} and {b}", feature.name());
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn finite_values_give_finite_features_in_their_bounds(values in finite()) {
        let of = |feature| one(feature, &values);
        for (feature, number) in Feature::ALL.into_iter().zip(all(&values)) {
            prop_assert!(number.is_none_or(f64::is_finite), "{} is {number:?}", feature.name());
        }
        let (min, max) = (of(Feature::Min).unwrap(), of(Feature::Max).unwrap());
        prop_assert_eq!(min, values.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(max, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        for between in [Feature::Mean, Feature::Median, Feature::P90, Feature::P95, Feature::P99] {
            let number = of(between).unwrap();
            prop_assert!(min <= number && number <= max, "{} is {number}", between.name());
        }
        for never_negative in [Feature::Variance, Feature::Stddev, Feature::PopulationVariance,
            Feature::PopulationStddev, Feature::Range, Feature::Rms, Feature::Cv, Feature::Iqr, Feature::Mad]
        {
            prop_assert!(of(never_negative).is_none_or(|number| number >= 0.0), "{}", never_negative.name());
        }
        prop_assert!(of(Feature::Variance).is_none() || of(Feature::Stddev).is_some());
        prop_assert_eq!(of(Feature::Skewness).is_some(), min < max);
        // No deviation is wider than that of two equal heaps at the ends.
        if let (Some(deviation), Some(range)) = (of(Feature::PopulationStddev), of(Feature::Range)) {
            prop_assert!(deviation <= range / 2.0 * (1.0 + 1e-13));
            prop_assert_eq!(deviation > 0.0, min < max);
        }
    }

    #[test]
    fn default_features_do_not_depend_on_what_else_is_asked(values in finite()) {
        let mut columns = FeatureColumns::new(&Feature::DEFAULT);
        columns.push(&values, 0);
        let arrays = columns.finish();
        prop_assert_eq!(arrays[0].1.as_primitive::<arrow::datatypes::Int64Type>().value(0), values.len() as i64);
        for (i, (feature, array)) in arrays.iter().enumerate().skip(1) {
            let number = array.is_valid(0).then(|| array.as_primitive::<Float64Type>().value(0));
            prop_assert_eq!(number, all(&values)[i], "{}", feature.name());
        }
    }

    #[test]
    fn quantile_matches_its_definition(integers in integers(), percent in prop::sample::select(vec![50_u8, 90, 95, 99])) {
        let mut sorted = integers.clone();
        sorted.sort_unstable();
        // (n - 1) p in hundredths, so that the reference divides integers.
        let place = (sorted.len() - 1) * usize::from(percent);
        let (low, high) = (sorted[place / 100], sorted[(place / 100 + 1).min(sorted.len() - 1)]);
        let hundredfold = i128::from(low) * 100 + (i128::from(high) - i128::from(low)) * (place % 100) as i128;
        let feature = Feature::from_name(&if percent == 50 { "median".into() } else { format!("p{percent}") }).unwrap();
        let found = one(feature, &doubles(&integers, 0)).unwrap();
        let scale = low.unsigned_abs().max(high.unsigned_abs()) as f64;
        // `(n - 1) p` is rounded, by at most 64 units of the distance.
        prop_assert!((found - hundredfold as f64 / 100.0).abs() <= 70.0 * f64::EPSILON * scale);
    }
}
