//! The encoder alone: rows that are decoded already, from columns to a synced Parquet file, on two threads.
//!
//! `cargo bench --bench encoder` prints the median time and the throughput in bytes of the JSON that they came from.

#[path = "pages/mod.rs"]
mod pages;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use etl::config::{RowGroupConfig, TransformConfig};
use etl::cpu::CpuPool;
use etl::metrics::Metrics;
use etl::model::{DeclaredForm, PageBatch};
use etl::sink::LocalOutput;
use etl::transform::{Chunk, decode};
use etl::write::{Footer, TableWriter};

use pages::Kind;

/// Pages of a run: enough for a row group or more.
const PAGE_COUNT: usize = 32;

fn main() {
    divan::main();
}

#[divan::bench(args = Kind::ALL, sample_count = 20)]
fn write_table(bencher: Bencher<'_, '_>, kind: &Kind) {
    let page = kind.page(1 << 20, "", "\n", "\n");
    let config = Arc::new(TransformConfig::default());
    let pool = CpuPool::new(2).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.parquet");
    let batches = || -> Vec<PageBatch> {
        let chunks = (0..PAGE_COUNT).map(|_| Chunk::whole(page.clone(), DeclaredForm::Ndjson, true));
        chunks.map(|chunk| decode(chunk, &config).expect("the page is right").batch).collect()
    };
    bencher.counter(BytesCount::new(page.len() * PAGE_COUNT)).with_inputs(batches).bench_values(|batches| {
        runtime.block_on(async {
            let mut output = LocalOutput::lock(&out, None).expect("the output is ours");
            let metrics = Arc::new(Metrics::default());
            let mut table =
                TableWriter::new(pool.clone(), metrics, Arc::clone(&config), RowGroupConfig::default());
            for batch in batches {
                table.push(&mut output, batch).await.expect("the disk has room");
            }
            table.finish(&mut output, None, &Footer::default()).await.expect("the disk has room")
        })
    });
}
