//! Bytes to columns: pure, without I/O and without a clock.
//!
//! A [`Cutter`] cuts a page into chunks while its bytes arrive; [`decode()`] turns a chunk into columns, features
//! and rejects. Below them, from the outside in: `layout` tells how records stand in a page, `walk` leads from
//! one to the next, `oversize` passes those that are too large, `records` takes or refuses them, `decode` reads
//! one into `columns`, `reader` reads tokens, `values` reads the lists that are summarised, `tree` reads what a
//! text column takes, `duplicates` settles keys that stand twice.

mod chunk;
mod columns;
mod cutter;
mod decode;
mod duplicates;
pub mod features;
mod layout;
mod oversize;
mod reader;
mod records;
mod tree;
mod values;
mod walk;

pub use chunk::Chunk;
pub use cutter::Cutter;
pub use records::{ChunkFault, Decoded, decode};
