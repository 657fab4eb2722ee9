//! Where output becomes visible. One sink so far: a file on a local disk.

mod local;
mod writeback;

pub use local::{LocalOutput, Scratch, Spool, Spools};
pub use writeback::Writeback;
