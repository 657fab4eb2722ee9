//! The nine univariate sets of NIST's Statistical Reference Datasets: how many certified digits are kept.
//!
//! The measure is NIST's log relative error, `-log10(|found - certified| / |certified|)`, at most 15, the number of
//! certified digits. Mavro, Michelso, NumAcc3 and NumAcc4 cannot reach that: their decimals are no
//! doubles, and the nearest doubles have another deviation. In exact arithmetic those doubles give 13.12,
//! 13.84, 9.457 and 8.253; the floors stand right below.

use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use etl::config::Feature;
use etl::transform::features::FeatureColumns;

const CERTIFIED_DIGITS: f64 = 15.0;

struct Dataset {
    values: Vec<f64>,
    mean: f64,
    stddev: f64,
}

/// Reads one number per line below `#` lines that name the source and the certified values.
fn read(name: &str) -> Dataset {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nist").join(format!("{name}.dat"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let certified = |label: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(label)).expect("a certified value");
        value.trim().parse().expect("a number")
    };
    let values = text.lines().filter(|line| !line.starts_with('#'));
    Dataset {
        values: values.map(|line| line.parse().expect("a number")).collect(),
        mean: certified("# certified mean:"),
        stddev: certified("# certified stddev:"),
    }
}

fn log_relative_error(found: f64, certified: f64) -> f64 {
    if found == certified {
        return CERTIFIED_DIGITS;
    }
    (-((found - certified) / certified).abs().log10()).min(CERTIFIED_DIGITS)
}

#[track_caller]
fn assert_digits(name: &str, count: usize, stddev_digits: f64) {
    let dataset = read(name);
    assert_eq!(dataset.values.len(), count, "{name}: number of values");
    let mut columns = FeatureColumns::new(&[Feature::Mean, Feature::Variance, Feature::Stddev]);
    columns.push(&dataset.values, 0);
    let arrays = columns.finish();
    let feature = |i: usize| arrays[i].1.as_primitive::<Float64Type>().value(0);
    let mean = log_relative_error(feature(0), dataset.mean);
    let variance = log_relative_error(feature(1).sqrt(), dataset.stddev);
    let stddev = log_relative_error(feature(2), dataset.stddev);
    assert!(mean >= CERTIFIED_DIGITS, "{name}: the mean keeps {mean:.2} digits, not {CERTIFIED_DIGITS}");
    assert!(stddev >= stddev_digits, "{name}: the stddev keeps {stddev:.2} digits, not {stddev_digits}");
    assert!(
        variance >= stddev_digits,
        "{name}: the variance keeps {variance:.2} digits, not {stddev_digits}"
    );
}

#[test]
fn pi_digits_keeps_all_digits() {
    assert_digits("PiDigits", 5000, 15.0);
}

#[test]
fn lottery_keeps_all_digits() {
    assert_digits("Lottery", 218, 15.0);
}

#[test]
fn lew_keeps_all_digits() {
    assert_digits("Lew", 200, 15.0);
}

#[test]
fn mavro_keeps_what_doubles_allow() {
    assert_digits("Mavro", 50, 13.1);
}

#[test]
fn michelso_keeps_what_doubles_allow() {
    assert_digits("Michelso", 100, 13.8);
}

#[test]
fn num_acc1_keeps_all_digits() {
    assert_digits("NumAcc1", 3, 15.0);
}

#[test]
fn num_acc2_keeps_all_digits() {
    assert_digits("NumAcc2", 1001, 15.0);
}

#[test]
fn num_acc3_keeps_what_doubles_allow() {
    assert_digits("NumAcc3", 1001, 9.45);
}

#[test]
fn num_acc4_keeps_what_doubles_allow() {
    assert_digits("NumAcc4", 1001, 8.25);
}
