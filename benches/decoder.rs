//! The decoder alone: a page of 1 MiB from bytes to columns, features included, on one core, beside what
//! `serde_json` takes for the same page.
//!
//! `cargo bench --bench decoder` prints the median time and the throughput in bytes of JSON.

#[path = "oracles/mod.rs"]
mod oracles;
#[path = "pages/mod.rs"]
mod pages;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use etl::config::TransformConfig;
use etl::model::DeclaredForm;
use etl::transform::{Chunk, Cutter, decode};

use pages::Kind;

fn main() {
    divan::main();
}

#[divan::bench(args = Kind::ALL)]
fn decode_lines(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = checked_page(*kind);
    let config = TransformConfig::default();
    bencher
        .counter(BytesCount::of_slice(&page))
        .with_inputs(|| Chunk::whole(page.clone(), DeclaredForm::Ndjson, true))
        .bench_values(|chunk| decode(chunk, &config).expect("the page is right"));
}

/// What a program costs that knows its logs and computes nothing.
#[divan::bench(args = Kind::ALL)]
fn serde_json_rows(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = checked_page(*kind);
    bencher.counter(BytesCount::of_slice(&page)).bench(|| oracles::read_rows(*kind, &page));
}

/// What a program costs that does not know its logs, before it has done anything with them.
#[divan::bench(args = Kind::ALL)]
fn serde_json_values(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = checked_page(*kind);
    bencher.counter(BytesCount::of_slice(&page)).bench(|| oracles::read_values(&page));
}

/// The same work as `decode_lines`, by way of trees.
#[divan::bench(args = Kind::ALL)]
fn serde_json_table(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = checked_page(*kind);
    bencher.counter(BytesCount::of_slice(&page)).bench(|| oracles::read_table(&page));
}

/// A page of lines that everyone here reads whole: who refuses records is fast for nothing.
fn checked_page(kind: Kind) -> Vec<u8> {
    let page = kind.page(1 << 20, "", "\n", "\n");
    let chunk = Chunk::whole(page.clone(), DeclaredForm::Ndjson, true);
    let decoded = decode(chunk, &TransformConfig::default()).expect("the page is right");
    assert!(decoded.rest.is_none(), "the page is one batch");
    let row_count = decoded.batch.row_count;
    assert_eq!(row_count, oracles::read_rows(kind, &page));
    assert_eq!(row_count, oracles::read_values(&page));
    assert_eq!(row_count, oracles::read_table(&page).row_count());
    page
}

/// The search for the borders of chunks in an array, which comes before its decoding.
#[divan::bench(args = Kind::ALL)]
fn cut_array(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = kind.page(16 << 20, "[", ",", "]");
    let config = Arc::new(TransformConfig::default());
    bencher.counter(BytesCount::of_slice(&page)).bench(|| {
        let mut cutter = Cutter::new(&config, DeclaredForm::Unknown);
        let mut rest = page.as_slice();
        let mut chunk_count = 0;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cutter.bytes_wanted().min(rest.len()));
            cutter.buffer().extend_from_slice(piece);
            rest = behind;
            while let Some(chunk) = cutter.cut(rest.is_empty().then_some(true)) {
                divan::black_box(chunk);
                chunk_count += 1;
            }
        }
        chunk_count
    });
}
