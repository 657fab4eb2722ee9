//! The decoder alone: a page of 1 MiB from bytes to columns, features included, on one core.
//!
//! `cargo bench --bench decoder` prints the median time and the throughput in bytes of JSON.

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
    let page = kind.page(1 << 20, "", "\n", "\n");
    let config = TransformConfig::default();
    bencher
        .counter(BytesCount::of_slice(&page))
        .with_inputs(|| Chunk::whole(page.clone(), DeclaredForm::Ndjson, true))
        .bench_values(|chunk| decode(chunk, &config).expect("the page is right"));
}

/// Only a document tree is read, by the parser that most programs use: what the decoder is compared with.
#[divan::bench(args = Kind::ALL)]
fn serde_json_values(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = kind.page(1 << 20, "", "\n", "\n");
    bencher.counter(BytesCount::of_slice(&page)).bench(|| {
        for value in serde_json::Deserializer::from_slice(&page).into_iter::<serde_json::Value>() {
            divan::black_box(value.expect("the page is right"));
        }
    });
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
