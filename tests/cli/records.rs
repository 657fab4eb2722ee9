//! `--records`: the array of records inside each page.

use serde_json::json;

use crate::bench::{Etl, Folder};
use crate::table::Table;

#[test]
fn records_are_found_by_pointer() {
    let page = "{\"next\":null,\"Records\":[{\"id\":1},{\"id\":2}],\"n\":2}";
    let site = Folder::with_pages(&[("a.json", page), ("b.json", "{\"Records\":[{\"id\":3}]}")]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with("--records /Records").run().exits(0);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.names(), ["id"]);
    assert_eq!(table.column("id"), [1, 2, 3].map(|id| json!(id)));
    assert_eq!(outcome.summary()["hints"].as_array().unwrap().len(), 0);
}

#[test]
fn pointer_goes_deep_and_through_escapes_and_indexes() {
    let page = "{\"a/b\":{\"~\":[0,{\"x\":[{\"id\":1}]}]}}";
    let site = Folder::with_pages(&[("a.json", page)]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--records /a~1b/~0/1/x").run().exits(0);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1)]);
}

#[test]
fn null_and_empty_array_at_the_pointer_are_zero_records() {
    let site = Folder::with_pages(&[
        ("null.json", "{\"Records\":null}"),
        ("empty.json", "{\"Records\":[]}"),
        ("one.json", "{\"Records\":[{\"id\":1}]}"),
    ]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with("--records /Records").run().exits(0);
    assert_eq!(outcome.count("/pages/fetched"), 3);
    assert_eq!(outcome.count("/records/seen"), 1);
}

#[test]
fn page_without_the_pointer_fails_and_names_it() {
    let site = Folder::with_pages(&[
        ("missing.json", "{\"records\":[{\"id\":1}]}"),
        ("one.json", "{\"Records\":[{\"id\":2}]}"),
        ("scalar.json", "{\"Records\":\"none today\"}"),
        ("error.json", "{\"error\":\"try later\"}"),
    ]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with("--records /Records").run().exits(3);
    assert_eq!(outcome.count("/pages/failed"), 3);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(2)]);
    let summary = outcome.summary();
    let failures = summary["failures"].as_array().unwrap();
    assert_eq!(failures.iter().map(|f| f["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3, 4]);
    for failure in failures {
        assert!(failure["reason"].as_str().unwrap().contains("--records"), "{failure}");
    }
}

#[test]
fn rejects_below_a_pointer_have_their_place_in_the_page() {
    let page =
        "{\"meta\":{\"n\":3},\n \"Records\": [ {\"id\":1}, {\"values\":5, \"id\":2} , 7,{\"id\":3}]}\n";
    let site = Folder::with_pages(&[("a.json", page)]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--records /Records").run().exits(3);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(1), json!(3)]);
    let rejects = output.json_lines("out.parquet.rejects.ndjson");
    assert_eq!(rejects.len(), 2);
    for (reject, (record, raw)) in rejects.iter().zip([(1, "{\"values\":5, \"id\":2}"), (2, "7")]) {
        assert_eq!(reject["record"], record);
        assert_eq!(reject["raw"], raw);
        assert_eq!(reject["byte_offset"], page.rfind(raw).unwrap());
    }
    assert_eq!(rejects[0]["pointer"], "/values", "counted from the record");
}

#[test]
fn page_that_is_cut_or_wrong_after_its_records_fails_whole() {
    let site = Folder::with_pages(&[
        ("a.json", "{\"Records\":[{\"id\":1}],\"next\":"),
        ("b.json", "{\"Records\":[{\"id\":2}]} trailing"),
        ("c.json", "{\"Records\":[{\"id\":3}]}"),
    ]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with("--records /Records").run().exits(3);
    assert_eq!(outcome.count("/pages/failed"), 2);
    assert_eq!(Table::read(&output.path("out.parquet")).column("id"), [json!(3)]);
}
