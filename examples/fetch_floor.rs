//! Fetches the pages of a list, N at once, and throws their bodies away: the floor under every run of `etl` on the
//! same pages, since nothing can be decoded before it has arrived.
//!
//! ```text
//! cargo run --release --example fetch_floor -- urls.txt 32
//! 400 pages, 182786406 bytes
//! ```
//!
//! The list holds one http URL a line and nothing else: no comments, no `{1..20}`. The bytes are those of the bodies
//! as sent, so a compressed page counts compressed. It never retries, follows no rules of politeness and trusts
//! every answer below 400 that arrived whole; the first fault ends it with exit code 1. `scripts/bench.sh` times it
//! beside `etl`, and takes its two numbers for the proof that the server sends what lies in the folder.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Client;
use tokio::task::JoinSet;

type Fault = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let outcome = match (args.next(), args.next().map(|text| text.parse()), args.next()) {
        (Some(list), Some(Ok(concurrency)), None) if concurrency > 0 => run(&list, concurrency).await,
        _ => Err("usage: fetch_floor LIST CONCURRENCY".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // With stderr gone there is nobody left to tell.
            let _ = writeln!(io::stderr(), "fetch_floor: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(list: &str, concurrency: usize) -> Result<(), Fault> {
    let list = fs::read_to_string(list).map_err(|error| format!("could not read {list}: {error}"))?;
    let urls: Arc<[String]> = list.lines().map(str::to_owned).collect();
    // Without certificates, as etl's own client for http: loading them takes 15 ms, which is no part of the floor.
    let client = Client::builder().tls_certs_only([]).http1_only().no_proxy().build()?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        tasks.spawn(fetch_until_done(client.clone(), Arc::clone(&urls), Arc::clone(&next)));
    }
    let mut body_bytes = 0;
    while let Some(outcome) = tasks.join_next().await {
        body_bytes += outcome??;
    }
    writeln!(io::stdout(), "{} pages, {body_bytes} bytes", urls.len())?;
    Ok(())
}

/// Takes one URL after the other until none is left; returns the bytes that came.
async fn fetch_until_done(client: Client, urls: Arc<[String]>, next: Arc<AtomicUsize>) -> Result<u64, Fault> {
    let mut body_bytes = 0;
    while let Some(url) = urls.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut response = client.get(url).send().await?.error_for_status()?;
        // Chunk by chunk, so that a page of any size takes no memory.
        while let Some(chunk) = response.chunk().await? {
            body_bytes += chunk.len() as u64;
        }
    }
    Ok(body_bytes)
}
