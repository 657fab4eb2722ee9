//! Bytes to columns: pure, without I/O and without a clock.
//!
//! A [`Cutter`] cuts a page into chunks while its bytes arrive; [`decode()`] turns a chunk into columns, features
//! and rejects. Below them, from the outside in: `layout` tells how records stand in a page, `walk` leads from
//! one to the next, `oversize` passes those that are too large, `records` takes or refuses them, `decode` reads
//! one into `columns` and `members`, `reader` reads tokens, `values` reads the lists that are summarised, `text`
//! writes what a text column takes, `duplicates` settles keys that stand twice, both with `members_text`. `marks` says
//! what is asked of which field; what is not to be seen is left out while records are read, and by `redact` where they
//! are rejected. `conform` holds records to a schema that is declared. Where a `filter` is asked for,
//! `filtered` runs it before records are decoded. `locate` finds a value by its keys, and `beside` what a page says of
//! itself beside its records. `error_object` tells a page that only says that something failed.

mod beside;
mod chunk;
mod columns;
mod conform;
mod cutter;
mod decode;
mod duplicates;
mod error_object;
pub mod features;
mod filter;
mod filtered;
mod layout;
mod locate;
mod marks;
mod members;
mod members_text;
mod oversize;
mod reader;
mod records;
mod redact;
mod text;
mod values;
mod walk;

pub use chunk::Chunk;
pub use cutter::Cutter;
pub use decode::BATCH_BYTES_MAX;
pub use filter::Filter;
pub use records::{ChunkFault, Decoded, decode, decode_within};
