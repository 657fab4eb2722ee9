//! Where output becomes visible, a file on a local disk; and the folders for raw bodies, and for what a stopped run has
//! done.

mod local;
mod marker;
mod places;
mod raw;
mod state;
mod system;

pub use local::{LocalOutput, Scratch, Spool, Spools, sync_folder_of};
pub use places::{Places, WrittenFiles};
pub use raw::{KeptPages, KeptRun, RawIndex, RawObject, RawObjects, StoredBody, index_of};
pub use state::{StateFolder, name_of};
pub use system::Writeback;
