//! Local files as pages.

use etl::config::HttpConfig;
use etl::model::DeclaredForm;

use crate::bench::*;

#[tokio::test]
async fn local_file_is_a_page_whatever_it_is_compressed_with() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&retrying());
    let zstd = zstd::encode_all(text().as_slice(), 3).unwrap();
    for (name, bytes, form) in [
        ("plain.json", text(), DeclaredForm::Unknown),
        ("page.json.gz", gzip(&text()), DeclaredForm::Unknown),
        ("page.ndjson.zst", zstd, DeclaredForm::Ndjson),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let page = bench.open(&path).await.unwrap();
        assert_eq!((page.body, page.form, page.end_proven), (text(), form, true), "{name}");
        if name.ends_with("json") {
            continue;
        }
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert!(bench.open(&path).await.is_err(), "{name} cut to {len}");
        }
    }
    std::fs::write(folder.path().join("empty.jsonl"), b"").unwrap();
    assert_eq!(bench.open(&folder.path().join("empty.jsonl")).await.unwrap().body.len(), 0);
}

#[tokio::test]
async fn file_that_can_not_be_read_fails_its_page_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&retrying());
    let missing = bench.open(&folder.path().join("no.json")).await.unwrap_err();
    assert!(missing.reason.starts_with("could not read the file: No such file"), "{}", missing.reason);
    assert!(missing.answered);
    let wrong = bench.open(folder.path()).await.unwrap_err();
    assert_eq!(wrong.reason, "expected a file, got a folder");
    let path = folder.path().join("large.json");
    std::fs::write(&path, vec![b' '; 5 << 20]).unwrap();
    let config = HttpConfig { page_bytes_max: 4 * MIB, ..once() };
    let fault = Bench::new(&config).open(&path).await.unwrap_err();
    assert_eq!(fault.reason, "the page is larger than 4194304 bytes (--max-page-bytes)");
    assert_eq!(bench.open(&path).await.unwrap().body.len(), 5 << 20);
}
