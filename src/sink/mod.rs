//! Where output becomes visible, a file on a local disk; and the folder that raw bodies are kept in.

mod local;
mod raw;
mod writeback;

pub use local::{LocalOutput, Scratch, Spool, Spools};
pub use raw::{KeptPages, KeptRun, RawIndex, RawObject, RawObjects, StoredBody, index_of};
pub use writeback::Writeback;
