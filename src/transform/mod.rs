//! Bytes to columns: pure, without I/O, without a clock.
mod columns;
mod decode;
pub mod features;
mod page;
mod reader;
mod tree;
mod values;

pub use page::transform;
