//! Grounds on which a page is taken for whole, where its connection is closed and nothing else says so.

use crate::bench::{Etl, Folder};
use crate::server::Server;

fn site() -> Folder {
    let site = Folder::new();
    site.write("lines.ndjson", "{\"id\":1}\n{\"id\":2}\n");
    site.write("array.json", "[{\"id\":1},{\"id\":2}]");
    site.write("envelope.json", "{\"Records\":[{\"id\":1}]}");
    site.write("documents.json", "{\"id\":1}{\"id\":2}");
    site
}

#[test]
fn close_delimited_pages_are_counted_apart() {
    let (site, output) = (site(), Folder::new());
    let server = Server::over(site.root());
    let targets = ["lines.ndjson?close=1", "lines.ndjson?chunked=1", "array.json?close=1", "array.json"];
    let list = server.list(&site, &targets);
    let outcome = Etl::new(&list, &output.path("out.parquet")).run().exits(0);
    assert_eq!(outcome.count("/pages/close_delimited"), 2);
    assert!(outcome.stderr.contains("2 of them close-delimited"), "{}", outcome.stderr);
    let framed = server.list(&site, &["lines.ndjson"]);
    let outcome = Etl::new(&framed, &output.path("out.parquet")).run().exits(0);
    assert_eq!(outcome.count("/pages/close_delimited"), 0);
    assert!(!outcome.stderr.contains("close-delimited"), "{}", outcome.stderr);
}

#[test]
fn strict_fails_a_page_of_which_nothing_tells_that_it_is_whole() {
    let site = site();
    let server = Server::over(site.root());
    for (target, options, code) in [
        ("lines.ndjson?close=1", "", 4),
        ("documents.json?close=1", "", 4),
        ("array.json?close=1", "", 0),
        ("envelope.json?close=1", "--records /Records", 0),
        // The compression has an end of its own.
        ("lines.ndjson?close=1&encoding=gzip", "", 0),
        ("lines.ndjson?chunked=1", "", 0),
        ("lines.ndjson", "", 0),
    ] {
        let output = Folder::new();
        let list = server.list(&site, &[target]);
        let etl = || Etl::new(&list, &output.path("out.parquet")).with(options);
        let outcome = etl().with("--strict").run().exits(code);
        assert_eq!(output.path("out.parquet").exists(), code == 0, "{target}");
        assert_eq!(
            outcome.stderr.contains("--strict: 1 pages ended only because"),
            code == 4,
            "{}",
            outcome.stderr
        );
        etl().run().exits(0);
    }
}
