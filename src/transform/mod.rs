//! Bytes to columns: pure, without I/O and without a clock.
//!
//! [`transform()`] takes a complete page and returns its columns, features and rejects. Below it, from the
//! outside in: `page` finds the records, `decode` reads one into `columns`, `reader` reads tokens, `values`
//! reads the lists that are summarised, `tree` reads what a text column takes, `duplicates` settles keys that stand twice.

mod columns;
mod decode;
mod duplicates;
pub mod features;
mod page;
mod reader;
mod tree;
mod values;

pub use page::transform;
