//! Where output becomes visible, a file on a local disk; and the folders for raw bodies, and for what a stopped run has
//! done.

mod local;
mod raw;
mod state;
mod writeback;

pub use local::{LocalOutput, Scratch, Spool, Spools, sync_folder_of};
pub use raw::{KeptPages, KeptRun, RawIndex, RawObject, RawObjects, StoredBody, index_of};
pub use state::{StateFolder, name_of};
pub use writeback::Writeback;
