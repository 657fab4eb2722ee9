//! Every pair of kinds has a rule: the table of the README, cell by cell, in both orders and over page borders.

use etl::config::TransformConfig;
use etl::model::DeclaredForm;
use etl::schema::{ColumnType, Shape};

use crate::NESTING;
use crate::page::{checked, page, plain_config, transform};

/// One value of each kind, and the type that it has beside each of the kinds up to its own.
///
/// `-` null, `b` bool, `i` int64, `d` double, `us` and `ns` timestamps, `T` text, `{}` objects without a member,
/// `{i}` objects with an integer, `[-]` and `[i]` lists of nothing and of integers.
const TABLE: [(&str, &str); 15] = [
    ("null", "-"),
    ("true", "b b"),
    ("7", "i T i"),
    // 2^53 + 1, which no double holds.
    ("9007199254740993", "i T i i"),
    // 2^64, which no integer of 64 bits holds.
    ("18446744073709551616", "T T T T T"),
    ("2.5", "d T d T T d"),
    ("-0.0", "d T d T T d d"),
    ("\"2026-01-02T03:04:05.5Z\"", "us T T T T T T us"),
    ("\"2026-01-02T03:04:05.1234567Z\"", "ns T T T T T T ns ns"),
    ("\"a\"", "T T T T T T T T T T"),
    ("{}", "{} T T T T T T T T T {}"),
    ("{\"k\":1}", "{i} T T T T T T T T T {i} {i}"),
    // More keys than an object may have here.
    ("{\"x\":1,\"y\":2,\"z\":3}", "T T T T T T T T T T T T T"),
    ("[]", "[-] T T T T T T T T T T T T [-]"),
    ("[1]", "[i] T T T T T T T T T T T T [i] [i]"),
];

fn name_of(of: &ColumnType) -> String {
    match of {
        ColumnType::Null => "-".into(),
        ColumnType::Bool => "b".into(),
        ColumnType::Int64 => "i".into(),
        ColumnType::Double => "d".into(),
        ColumnType::Timestamp(forms) if forms.unit() == arrow::datatypes::TimeUnit::Nanosecond => "ns".into(),
        ColumnType::Timestamp(_) => "us".into(),
        ColumnType::Text(_) => "T".into(),
        ColumnType::EmptyObject => "{}".into(),
        ColumnType::Struct(fields) => format!("{{{}}}", name_of(&fields[0].1)),
        ColumnType::List(element) => format!("[{}]", name_of(element)),
    }
}

/// What has been seen of a page with these values in its one column.
fn shape_of(values: &[&str]) -> Shape {
    let records: Vec<_> = values.iter().map(|value| format!("{{\"c\":{value}}}")).collect();
    let config = TransformConfig { nesting: NESTING, ..plain_config() };
    let body = format!("[{}]", records.join(","));
    checked(transform(&page(body, DeclaredForm::Unknown), &config)).expect("the page is right").shape
}

#[test]
fn every_pair_of_kinds_has_the_type_of_the_table() {
    for (row, (value, types)) in TABLE.iter().enumerate() {
        let types: Vec<_> = types.split(' ').collect();
        assert_eq!(types.len(), row + 1, "{value} has a cell for each kind up to its own");
        for ((other, _), expected) in TABLE.iter().zip(types) {
            let together = [shape_of(&[value, other]), shape_of(&[other, value])];
            let apart = [(value, other), (other, value)].map(|(first, second)| {
                let mut shape = shape_of(&[first]);
                shape.unite(&shape_of(&[second]), NESTING);
                shape
            });
            for shape in together.iter().chain(&apart) {
                assert_eq!(name_of(&shape.fields[0].1.column_type()), expected, "{value} beside {other}");
            }
        }
    }
}
