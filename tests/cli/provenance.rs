//! `--provenance`: each row says where it comes from, and rejected records count.

use serde_json::json;

use crate::bench::{Etl, Folder};
use crate::server::Server;
use crate::table::Table;

#[test]
fn rows_say_their_url_page_and_record() {
    let site = Folder::with_pages(&[
        ("a.ndjson", "{\"id\":1}\n7\n{\"id\":2}\n"),
        ("b.json", "[{\"id\":3,\"late\":true},{\"id\":4}]"),
    ]);
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    server.list(&input, &["a.ndjson?token=secret", "b.json"]);
    Etl::between(&input, &output).with("--provenance --row-group-rows 1").run().exits(3);
    let table = Table::read(&output.path("out.parquet"));
    let names: Vec<_> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "late", "_etl_url", "_etl_page", "_etl_record"]);
    assert_eq!(table.column("_etl_record"), [json!(0), json!(2), json!(0), json!(1)]);
    assert_eq!(table.column("_etl_page"), vec![json!(1); 4]);
    let urls = table.column("_etl_url");
    assert!(urls[0].as_str().unwrap().contains("/a.ndjson?token="), "{urls:?}");
    assert!(!urls[0].as_str().unwrap().contains("secret"), "{urls:?}");
    assert!(urls[3].as_str().unwrap().ends_with("/b.json"), "{urls:?}");
}

#[test]
fn records_of_a_page_of_many_chunks_are_counted_through() {
    let text = "x".repeat(1_000);
    let record = |id: usize| match id % 1_000 {
        // Neither a row nor nothing.
        500 => "\"wrong\"".to_owned(),
        _ => format!("{{\"id\":{id},\"text\":\"{text}\"}}"),
    };
    let lines: Vec<_> = (0..5_000).map(record).collect();
    let site = Folder::with_pages(&[("large.ndjson", lines.join("\n"))]);
    let output = Folder::new();
    Etl::between(&site, &output).with("--provenance --memory 64MiB").run().exits(3);
    let table = Table::read(&output.path("out.parquet"));
    assert_eq!(table.rows.len(), 4_995);
    assert_eq!(table.column("_etl_record"), table.column("id"));
}

#[test]
fn field_with_the_name_of_a_provenance_column_publishes_nothing() {
    let site = Folder::with_pages(&[("a.json", "[{\"_etl_page\":1}]")]);
    let output = Folder::new();
    let outcome = Etl::between(&site, &output).with("--provenance").run().exits(4);
    assert!(outcome.stderr.contains("_etl_page"), "{}", outcome.stderr);
    assert!(!output.path("out.parquet").exists());
}

#[test]
fn long_url_of_many_rows_is_never_spelled_out_for_all_of_them() {
    let site = Folder::with_pages(&[("a.ndjson", "{\"id\":1}\n".repeat(100_000))]);
    let server = Server::over(site.root());
    let (input, output) = (Folder::new(), Folder::new());
    let target = format!("a.ndjson?name={}", "x".repeat(4_000));
    server.list(&input, &[&target]);
    let options = "--provenance --memory 64MiB";
    let outcome = Etl::between(&input, &output).with(options).run().exits(0);
    let peak = outcome.count("/peak_rss_bytes");
    assert!(peak < 128 << 20, "{peak} bytes");
    let urls = Table::read(&output.path("out.parquet")).column("_etl_url");
    assert!(urls.len() == 100_000 && urls[99_999].as_str().unwrap().ends_with("xxx"));
}
