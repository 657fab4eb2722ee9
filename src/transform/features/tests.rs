//! The rules of the features, one by one. How many digits they keep: `properties`, `tests/nist.rs`.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::*;

/// The feature of one list, as a double, and how many results overflowed.
fn compute(feature: Feature, values: &[f64]) -> (Option<f64>, u64) {
    let mut columns = FeatureColumns::new(&[feature]);
    columns.push(values, 0);
    let overflow_count = columns.overflow_count();
    let (_, array) = columns.finish().remove(0);
    let number = array.is_valid(0).then(|| match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(0) as f64,
        _ => array.as_primitive::<Float64Type>().value(0),
    });
    (number, overflow_count)
}

fn feature(feature: Feature, values: &[f64]) -> Option<f64> {
    let (number, overflow_count) = compute(feature, values);
    assert_eq!(overflow_count, 0, "{} of {values:?} overflowed", feature.name());
    number
}

#[track_caller]
fn assert_overflows(of: Feature, values: &[f64]) {
    assert_eq!(compute(of, values), (None, 1), "{} of {values:?}", of.name());
}

#[track_caller]
fn assert_close(of: Feature, values: &[f64], expected: f64) {
    let found = feature(of, values).expect("the feature is defined");
    let error = (found - expected).abs() / expected.abs();
    assert!(error < 1e-14, "{} of {values:?}: expected {expected}, got {found}", of.name());
}

#[test]
fn every_feature_is_found_by_its_name() {
    for feature in Feature::ALL {
        assert_eq!(Feature::from_name(feature.name()), Some(feature));
    }
    assert_eq!(Feature::ALL[..6], Feature::DEFAULT);
    assert_eq!(Feature::from_name("average"), None);
}

#[test]
fn columns_keep_the_order_asked_for_and_their_types() {
    let mut columns = FeatureColumns::new(&[Feature::Max, Feature::NullCount, Feature::Count]);
    columns.push(&[2.0, 7.0], 3);
    columns.push(&[], 4);
    assert_eq!(columns.rows(), 2);
    let arrays = columns.finish();
    let names: Vec<_> = arrays.iter().map(|(feature, _)| feature.name()).collect();
    assert_eq!(names, ["max", "null_count", "count"]);
    assert_eq!(arrays[0].1.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(7.0), None]);
    assert_eq!(arrays[1].1.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(3), Some(4)]);
    assert_eq!(arrays[2].1.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(2), Some(0)]);
}

#[test]
fn columns_without_rows_are_empty_arrays() {
    for (_, array) in FeatureColumns::new(&Feature::ALL).finish() {
        assert_eq!(array.len(), 0);
    }
}

#[test]
fn absent_list_leaves_every_feature_null() {
    let mut columns = FeatureColumns::new(&Feature::ALL);
    columns.push(&[1.0, 2.0], 0);
    columns.push_absent();
    columns.push(&[1.0, 2.0], 0);
    assert_eq!((columns.rows(), columns.overflow_count()), (3, 0));
    for (feature, array) in columns.finish() {
        assert!(array.is_valid(0) && array.is_null(1) && array.is_valid(2), "{}", feature.name());
    }
}

#[test]
fn empty_list_has_count_zero_and_no_other_feature() {
    for of in Feature::ALL {
        let expected = matches!(of, Feature::Count | Feature::NullCount).then_some(0.0);
        assert_eq!(feature(of, &[]), expected, "{}", of.name());
    }
}

#[test]
fn one_value_has_no_sample_variance() {
    for undefined in [Feature::Variance, Feature::Stddev, Feature::Cv, Feature::Skewness, Feature::Kurtosis] {
        assert_eq!(feature(undefined, &[4.5]), None, "{}", undefined.name());
    }
    for value in [Feature::Mean, Feature::Sum, Feature::Min, Feature::Max, Feature::Rms, Feature::Median] {
        assert_eq!(feature(value, &[4.5]), Some(4.5), "{}", value.name());
    }
    for zero in
        [Feature::PopulationVariance, Feature::PopulationStddev, Feature::Range, Feature::Iqr, Feature::Mad]
    {
        assert_eq!(feature(zero, &[4.5]), Some(0.0), "{}", zero.name());
    }
}

#[test]
fn variance_divides_by_one_less_than_the_count() {
    let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    assert_close(Feature::Variance, &values, 32.0 / 7.0);
    assert_close(Feature::Stddev, &values, (32.0_f64 / 7.0).sqrt());
    assert_close(Feature::PopulationVariance, &values, 4.0);
    assert_close(Feature::PopulationStddev, &values, 2.0);
    assert_close(Feature::Cv, &values, (32.0_f64 / 7.0).sqrt() / 5.0);
    assert_close(Feature::Rms, &values, 29.0_f64.sqrt());
    assert_close(Feature::Sum, &values, 40.0);
    assert_close(Feature::Range, &values, 7.0);
}

#[test]
fn cv_is_positive_for_a_negative_mean_and_null_at_mean_zero() {
    assert_close(Feature::Cv, &[-1.0, -3.0], 2.0_f64.sqrt() / 2.0);
    assert_eq!(feature(Feature::Cv, &[-1.0, 1.0]), None);
}

#[test]
fn variance_keeps_its_digits_far_from_zero() {
    assert_close(Feature::Variance, &[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0], 30.0);
    assert_close(Feature::Variance, &[1e15 + 4.0, 1e15 + 7.0, 1e15 + 13.0, 1e15 + 16.0], 30.0);
}

#[test]
fn equal_values_have_exactly_no_variance_and_no_shape() {
    for value in [0.1, -0.3, 1e300, 1e-310, 1.7e308] {
        for count in [2, 3, 7, 49, 1000] {
            let values = vec![value; count];
            assert_eq!(feature(Feature::Mean, &values), Some(value));
            assert_eq!(feature(Feature::Variance, &values), Some(0.0));
            assert_eq!(feature(Feature::Stddev, &values), Some(0.0));
            assert_eq!(feature(Feature::Skewness, &values), None);
            assert_eq!(feature(Feature::Kurtosis, &values), None);
        }
    }
}

#[test]
fn mean_of_the_largest_doubles_does_not_overflow() {
    assert_eq!(feature(Feature::Mean, &[1e308, -1e308]), Some(0.0));
    assert_eq!(feature(Feature::Mean, &[1e308, 1e308]), Some(1e308));
    assert_eq!(feature(Feature::Mean, &[f64::MAX; 5]), Some(f64::MAX));
    assert_close(Feature::Mean, &[1e308, 1e308, -1e308], 1e308 / 3.0);
    assert_close(Feature::Sum, &[1e308, 1e308, -1e308], 1e308);
    assert_close(Feature::Median, &[-1.6e308, 1.7e308], 0.05e308);
    assert_close(Feature::Rms, &[1e308, -1e308], 1e308);
}

#[test]
fn deviation_that_a_double_holds_is_there_although_the_variance_overflows() {
    assert_close(Feature::Stddev, &[1e308, -1e308], 2_f64.sqrt() * 1e308);
    assert_close(Feature::PopulationStddev, &[1e308, -1e308], 1e308);
    assert_overflows(Feature::Stddev, &[f64::MAX, f64::MIN]);
}

#[test]
fn what_overflows_is_null_and_counted() {
    assert_overflows(Feature::Variance, &[1e308, -1e308]);
    assert_overflows(Feature::PopulationVariance, &[1e308, -1e308]);
    assert_overflows(Feature::Variance, &[f64::MAX, f64::MIN]);
    assert_overflows(Feature::Variance, &[1e308, 1e308, 0.0]);
    assert_overflows(Feature::Range, &[1e308, -1e308]);
    assert_overflows(Feature::Iqr, &[1.7e308, -1.7e308, 1.7e308, -1.7e308]);
    assert_overflows(Feature::Sum, &[1e308, 1e308]);
    assert_overflows(Feature::Cv, &[1e300, -1e300, 1e-100]);
    let mut columns = FeatureColumns::new(&Feature::DEFAULT);
    columns.push(&[1e308, -1e308], 0);
    columns.push(&[1e308, -1e308], 0);
    assert_eq!(columns.overflow_count(), 2);
}

#[test]
fn variance_is_there_where_only_its_sum_of_squares_overflows() {
    // Sixteen squares of 1e154 together are 1.6e309.
    let values: Vec<f64> = (0..16).map(|i| if i % 2 == 0 { 1e154 } else { -1e154 }).collect();
    assert_close(Feature::Variance, &values, 1e308 / 15.0 * 16.0);
    assert_close(Feature::Stddev, &values, (16.0_f64 / 15.0).sqrt() * 1e154);
}

#[test]
fn small_and_denormal_values_keep_their_spread() {
    assert_close(Feature::Stddev, &[1e-200, 3e-200], 2.0_f64.sqrt() * 1e-200);
    assert_close(Feature::PopulationStddev, &[1e-200, 3e-200], 1e-200);
    assert_eq!(feature(Feature::Variance, &[1e-200, 3e-200]), Some(0.0));
    assert_close(Feature::Rms, &[1e-200, 1e-200], 1e-200);
    let least = f64::from_bits(1);
    assert_eq!(feature(Feature::Mean, &[least, 3.0 * least]), Some(2.0 * least));
    assert_eq!(feature(Feature::Stddev, &[0.0, 2.0 * least]), Some(least));
    assert_close(Feature::Kurtosis, &[0.0, 2.0 * least], -2.0);
}

#[test]
fn zeros_are_ordered_by_sign_in_any_order() {
    for values in [[0.0, -0.0, 0.0], [-0.0, 0.0, 0.0], [0.0, 0.0, -0.0]] {
        assert!(feature(Feature::Min, &values).unwrap().is_sign_negative());
        assert!(feature(Feature::Max, &values).unwrap().is_sign_positive());
        assert_eq!(feature(Feature::Mean, &values), Some(0.0));
        assert_eq!(feature(Feature::Variance, &values), Some(0.0));
    }
    assert!(feature(Feature::Max, &[-1.0, -0.0]).unwrap().is_sign_negative());
    // Beside values whose sum overflows too.
    assert!(feature(Feature::Min, &[0.0, -0.0, 1e308, 1e308]).unwrap().is_sign_negative());
}

#[test]
fn kept_nan_reaches_every_feature_but_the_counts() {
    for values in [[f64::NAN, 1.0, 2.0], [1.0, -f64::NAN, 2.0], [1.0, f64::INFINITY, f64::NAN]] {
        for of in Feature::ALL {
            let found = feature(of, &values).expect("a NaN is a value");
            match of {
                Feature::Count => assert_eq!(found, 3.0),
                Feature::NullCount => assert_eq!(found, 0.0),
                _ => assert!(found.is_nan(), "{} of {values:?} is {found}", of.name()),
            }
        }
    }
    assert_eq!(feature(Feature::Variance, &[f64::NAN]), None);
}

#[test]
fn kept_infinity_flows_and_is_no_overflow() {
    let (inf, values) = (f64::INFINITY, [1.0, f64::INFINITY, 3.0]);
    for infinite in [Feature::Mean, Feature::Sum, Feature::Max, Feature::Range, Feature::Rms, Feature::P99] {
        assert_eq!(feature(infinite, &values), Some(inf), "{}", infinite.name());
    }
    assert_eq!(feature(Feature::Min, &values), Some(1.0));
    assert_eq!(feature(Feature::Median, &values), Some(3.0));
    assert_eq!(feature(Feature::Mad, &values), Some(2.0));
    for nan in [Feature::Variance, Feature::Stddev, Feature::Cv, Feature::Skewness, Feature::Kurtosis] {
        assert!(feature(nan, &values).unwrap().is_nan(), "{}", nan.name());
    }
    assert!(feature(Feature::Mean, &[inf, -inf]).unwrap().is_nan());
    assert_eq!(feature(Feature::Min, &[inf, -inf]), Some(-inf));
    assert_eq!(feature(Feature::Mean, &[-inf, 1e308, 1e308]), Some(-inf));
}

#[test]
fn quantiles_are_those_of_numpy() {
    // numpy.quantile of the same lists.
    let values = [9.0, 1.0, 4.0, 16.0, 25.0];
    assert_close(Feature::Median, &values, 9.0);
    assert_close(Feature::P90, &values, 21.4);
    assert_close(Feature::P95, &values, 23.2);
    assert_close(Feature::P99, &values, 24.64);
    assert_close(Feature::Iqr, &values, 12.0);
    assert_close(Feature::Median, &[4.0, 1.0, 3.0, 2.0], 2.5);
    assert_close(Feature::Iqr, &[4.0, 1.0, 3.0, 2.0], 1.5);
}

#[test]
fn mad_is_the_unscaled_median_distance_from_the_median() {
    assert_eq!(feature(Feature::Mad, &[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some(1.0));
    assert_eq!(feature(Feature::Mad, &[1.0, 2.0, 3.0, 400.0]), Some(1.0));
}

#[test]
fn shape_is_that_of_scipy_with_bias() {
    // The definitions, as scipy.stats.skew and kurtosis have them by default.
    let values = [1.0, 2.0, 2.0, 3.0, 6.6];
    let mean = values.iter().sum::<f64>() / 5.0;
    let moment = |k: i32| values.iter().map(|value: &f64| (value - mean).powi(k)).sum::<f64>() / 5.0;
    assert_close(Feature::Skewness, &values, moment(3) / moment(2).powf(1.5));
    assert_close(Feature::Kurtosis, &values, moment(4) / moment(2).powi(2) - 3.0);
    // The distribution of one success in four tries: (1 - 2p) / sqrt(pq) and (1 - 6pq) / pq.
    assert_close(Feature::Skewness, &[0.0, 0.0, 0.0, 1.0], 2.0 / 3.0_f64.sqrt());
    assert_close(Feature::Kurtosis, &[0.0, 0.0, 0.0, 1.0], -2.0 / 3.0);
}

#[test]
fn shape_survives_the_ends_of_the_range() {
    for scale in [1e-308, 1e-160, 1e160, 1.7e308] {
        let values = [0.0, 0.0, 0.0, scale];
        assert_close(Feature::Skewness, &values, 2.0 / 3.0_f64.sqrt());
        assert_close(Feature::Kurtosis, &values, -2.0 / 3.0);
    }
    assert_close(Feature::Kurtosis, &[-1.7e308, 1.7e308], -2.0);
    // Only one unit in the last place apart.
    let next = f64::from_bits(1.0_f64.to_bits() + 1);
    assert_close(Feature::Skewness, &[1.0, 1.0, 1.0, next], 2.0 / 3.0_f64.sqrt());
}

#[test]
fn a_record_does_not_see_the_values_of_the_one_before() {
    let mut columns = FeatureColumns::new(&[Feature::Median, Feature::Mad]);
    columns.push(&[100.0; 9], 0);
    columns.push(&[1.0, 2.0, 4.0], 0);
    let arrays = columns.finish();
    assert_eq!(arrays[0].1.as_primitive::<Float64Type>().value(1), 2.0);
    assert_eq!(arrays[1].1.as_primitive::<Float64Type>().value(1), 1.0);
}
