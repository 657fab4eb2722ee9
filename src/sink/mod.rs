//! Where output becomes visible. One sink so far: a file on a local disk.

mod local;

pub use local::{LocalOutput, Scratch, Spool, Spools};
