//! Fetch: from the URL list to complete, decompressed page bodies.
//!
//! [`UrlList`] checks the whole list before the first request and then yields a
//! [`PageRequest`](crate::model::PageRequest) for each URL; [`Fetcher`] opens one and gives its
//! [`Body`], decompressed while it arrives, or a fault that may be worth another attempt. A body that was
//! cut short, at whichever layer, never ends well. How many requests a host gets at once, and how fast, is decided
//! here, host by host. Nothing here knows what a page holds, or prints; what is a secret in a URL is known to
//! [`Redaction`] alone, and what is sent where to `credentials.rs`.

mod answer;
mod backlog;
mod body;
mod client;
mod credentials;
mod decompress;
mod entry;
mod fetcher;
mod file;
mod keep;
mod latency;
mod level;
mod limits;
mod lines;
mod list;
mod oauth;
mod pages;
mod paginate;
mod private;
mod rate;
mod redact;
mod redirect;
mod rejected;
mod remember;
mod resume;
mod retry;
mod spool;
mod template;
mod waiting;

pub use backlog::{BACKLOG_BESIDE_BYTES, BacklogRoom};
pub use body::{Body, FetchError};
pub use fetcher::{Fetcher, PageFetch};
pub use keep::RawKeeper;
pub use list::{Requests, UrlList};
pub use pages::{KeptRequests, PageList, PageRequests};
pub use paginate::{Chain, Choice, NextUrl, Note, propose_paging};
pub use redact::Redaction;
pub use rejected::{RejectedRecords, RejectedRequest};
pub use remember::{recall, remember};
pub use retry::AttemptFault;
pub use waiting::Waiting;
