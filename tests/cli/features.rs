//! Features as columns: which fields, which features, which values.

use serde_json::{Value, json};

use crate::bench::{Etl, Folder, Outcome};
use crate::table::{Table, agree};

fn run(body: &str, options: &str, code: i32) -> (Table, Outcome, Folder) {
    let site = Folder::with_pages(&[("p.ndjson", body)]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with(options).run().exits(code);
    (Table::read(&output.path("out.parquet")), outcome, output)
}

#[track_caller]
fn check_row(table: &Table, row: usize, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        let found = &table.rows[row][name];
        assert!(table.names().contains(name), "no column {name}");
        assert!(agree(found, value, 1e-14), "row {row} {name}: {found} is not {value}");
    }
}

#[test]
fn values_are_taken_by_key_by_pointer_and_by_given_name() {
    let body = "{\"id.ms\":[1,3],\"t\":{\"ms\":[2,4],\"a/b\":{\"\":[6,10]}},\"values\":[9]}\n";
    let options = "--values id.ms --values lat=/t/ms --values deep=/t/a~1b/";
    let (table, _, _) = run(body, options, 0);
    check_row(
        &table,
        0,
        &[
            ("id.ms_count", json!(2)),
            ("id.ms_mean", json!(2.0)),
            ("lat_mean", json!(3.0)),
            ("lat_variance", json!(2.0)),
            ("deep_mean", json!(8.0)),
            ("deep_min", json!(6.0)),
        ],
    );
    let of =
        |name: &str| ["count", "mean", "variance", "stddev", "min", "max"].map(|f| format!("{name}_{f}"));
    let mut expected = vec!["id.ms".to_owned(), "t".to_owned(), "values".to_owned()];
    expected.extend(["id.ms", "lat", "deep"].iter().flat_map(|name| of(name)));
    assert_eq!(table.names(), expected, "features follow all record columns, in the order of --values");
}

#[test]
fn pointer_of_a_field_goes_through_an_index() {
    let (table, _, _) = run("{\"t\":[[5],[6,10]]}\n", "--values deep=/t/1", 0);
    check_row(&table, 0, &[("deep_count", json!(2)), ("deep_mean", json!(8.0))]);
}

#[test]
fn features_follow_columns_that_come_late() {
    let site = Folder::with_pages(&[("a.json", "[{\"values\":[1,2]}]"), ("b.json", "[{\"late\":1}]")]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--row-group-rows 1 --features mean").run().exits(0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.names(), ["values", "late", "values_mean"]);
    assert_eq!(table.column("values_mean"), [json!(1.5), json!(null)]);
}

#[test]
fn features_of_named_values_exist_though_no_record_has_the_field() {
    let (table, _, _) = run("{\"id\":1}\n", "--values latency --features mean,count", 0);
    check_row(&table, 0, &[("latency_mean", json!(null)), ("latency_count", json!(null))]);
    let (table, _, _) = run("{\"id\":1}\n", "", 0);
    assert_eq!(table.names(), ["id"], "the default field was not seen");
}

#[test]
fn no_features_leave_the_records_as_they_are() {
    let (table, outcome, _) = run("{\"values\":[1,2]}\n{\"values\":\"none\"}\n", "--features none", 0);
    assert_eq!(table.names(), ["values"]);
    assert_eq!(table.column("values"), [json!("[1,2]"), json!("none")]);
    assert_eq!(outcome.count("/records/rejected"), 0);
}

#[test]
fn every_feature_has_its_definition() {
    let all = "null_count,sum,population_variance,population_stddev,range,rms,cv,median,p90,p95,p99,iqr,mad,\
               skewness,kurtosis,count,mean,variance,stddev,min,max";
    let (table, _, _) = run("{\"values\":[4,1,null,\" 2 \",3]}\n", &format!("--features {all}"), 0);
    assert_eq!(table.columns.len(), 22);
    let stddev = (5.0_f64 / 3.0).sqrt();
    check_row(
        &table,
        0,
        &[
            ("values_count", json!(4)),
            ("values_null_count", json!(1)),
            ("values_sum", json!(10.0)),
            ("values_mean", json!(2.5)),
            ("values_variance", json!(5.0 / 3.0)),
            ("values_stddev", json!(stddev)),
            ("values_population_variance", json!(1.25)),
            ("values_population_stddev", json!(1.25_f64.sqrt())),
            ("values_min", json!(1.0)),
            ("values_max", json!(4.0)),
            ("values_range", json!(3.0)),
            ("values_rms", json!(7.5_f64.sqrt())),
            ("values_cv", json!(stddev / 2.5)),
            ("values_median", json!(2.5)),
            ("values_p90", json!(3.7)),
            ("values_p95", json!(3.85)),
            ("values_p99", json!(3.97)),
            ("values_iqr", json!(1.5)),
            ("values_mad", json!(1.0)),
            ("values_skewness", json!(0.0)),
            ("values_kurtosis", json!(-1.36)),
        ],
    );
}

#[test]
fn subset_of_features_gives_those_columns_alone() {
    let (table, _, _) = run("{\"values\":[1,2,6]}\n", "--features max,median", 0);
    let mut names = table.names();
    names.sort_unstable();
    assert_eq!(names, ["values", "values_max", "values_median"]);
    check_row(&table, 0, &[("values_max", json!(6.0)), ("values_median", json!(2.0))]);
}

#[test]
fn short_lists_follow_the_rule() {
    let body = "{\"values\":[7]}\n{\"values\":[]}\n{\"values\":null}\n{\"id\":1}\n{\"values\":[null,2,4]}\n";
    let (table, _, _) = run(body, "", 0);
    let null = Value::Null;
    assert_eq!(table.column("values_count"), [json!(1), json!(0), null.clone(), null.clone(), json!(2)]);
    let mean = [json!(7.0), null.clone(), null.clone(), null.clone(), json!(3.0)];
    assert_eq!(table.column("values_mean"), mean);
    let variance = [null.clone(), null.clone(), null.clone(), null, json!(2.0)];
    assert_eq!(table.column("values_variance"), variance);
    assert_eq!(table.column("values")[4], json!([null, 2.0, 4.0]));
    assert_eq!(table.type_of("values"), "list<double>");
}

#[test]
fn features_are_never_infinite_or_nan_by_accident() {
    let body = "{\"values\":[1e308,-1e308]}\n{\"values\":[1e308,1e308,1e308]}\n{\"values\":[0.1,0.1,0.1]}\n";
    let (table, _, _) = run(body, "", 0);
    for row in &table.rows {
        for (name, value) in row.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("values_")) {
            assert!(value.is_null() || value.is_number(), "{name}: {value}");
        }
    }
    check_row(&table, 0, &[("values_variance", json!(null)), ("values_max", json!(1e308))]);
    check_row(&table, 2, &[("values_variance", json!(0.0)), ("values_mean", json!(0.1))]);
}

#[test]
fn variance_keeps_its_digits_far_from_zero() {
    let (table, _, _) = run("{\"values\":[10000000.2,10000000.1,10000000.3]}\n", "", 0);
    let found = table.rows[0]["values_stddev"].as_f64().unwrap();
    assert!((found - 0.1).abs() < 1e-8, "{found}");
    check_row(&table, 0, &[("values_mean", json!(10_000_000.2))]);
}

#[test]
fn nonfinite_values_are_skipped_kept_or_rejected_as_asked() {
    let body = "{\"values\":[\"NaN\",1,\"inf\",3]}\n{\"values\":[2,4]}\n";
    for options in ["", "--on-nonfinite skip"] {
        let (table, _, _) = run(body, options, 0);
        check_row(
            &table,
            0,
            &[("values_count", json!(2)), ("values_mean", json!(2.0)), ("values_max", json!(3.0))],
        );
        assert_eq!(table.column("values")[0], json!(["NaN", 1.0, "inf", 3.0]));
    }
    let (table, _, _) = run(body, "--on-nonfinite keep", 0);
    check_row(&table, 0, &[("values_count", json!(4)), ("values_mean", json!("NaN"))]);
    check_row(&table, 1, &[("values_mean", json!(3.0))]);
    let (table, _, output) = run(body, "--on-nonfinite reject", 3);
    assert_eq!(table.rows.len(), 1);
    let rejects = output.json_lines("out.parquet.rejects.ndjson");
    assert_eq!(rejects[0]["pointer"], "/values/0");
    assert_eq!(rejects[0]["record"], 0);
    assert_eq!(rejects[0]["raw"], "{\"values\":[\"NaN\",1,\"inf\",3]}");
}
