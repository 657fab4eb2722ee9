//! Fetch: from the URL list to complete, decompressed page bodies.
//!
//! [`UrlList`] checks the whole list before the first request and then yields a
//! [`PageRequest`](crate::model::PageRequest) for each URL; [`Fetcher`] turns one into a
//! [`Page`](crate::model::Page) or a [`PageFault`](crate::model::PageFault). A body that was
//! cut short, at whichever layer, is never a page. Nothing here knows what a page holds, decides how
//! many are fetched at once, or prints; what is a secret in a URL is known to [`Redaction`] alone.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use etl::{budget::ByteBudget, config, cpu::CpuPool, fetch::{Fetcher, UrlList}, metrics::Metrics};
//! # async fn example() -> etl::error::Result<()> {
//! let input = config::InputConfig { urls: vec!["http://host/{1..3}.json".into()], ..Default::default() };
//! let list = UrlList::open(&input)?;
//! assert_eq!(list.listed(), 3);
//! let budget = ByteBudget::new(64 << 20);
//! let fetcher = Fetcher::new(&config::HttpConfig::default(), Arc::new(Metrics::default()), CpuPool::new(2)?);
//! for request in list.requests()? {
//!     let request = request?;
//!     let mut reservation = budget.reserve(request.id.ordinal).await;
//!     match fetcher.fetch(&request, &mut reservation).await {
//!         Ok(page) => println!("{}: {} bytes", request.shown, page.body.len()),
//!         Err(fault) => println!("{}: {}", request.shown, fault.reason),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod client;
mod decompress;
mod fetcher;
mod file;
mod lines;
mod list;
mod paid;
mod redact;
mod retry;
mod spool;
mod template;

pub use fetcher::Fetcher;
pub use list::{Requests, UrlList};
pub use redact::Redaction;
