//! Rows to Parquet: row groups by size, columns encoded on the CPU pool, parts unified at the end.

mod dictionary;
mod footer;
mod order;
mod part;
mod part_reader;
mod rejects;
mod row_group;
mod saved;
mod summed;
mod table;
mod unfinished;
mod unify;

pub use footer::Footer;
pub use order::{Run, Sequence, Written, WrittenOrder};
pub use part_reader::schema_of_table;
pub use rejects::{PageRejects, RejectsWriter};
pub use saved::{SavedColumns, SavedFile, SavedPart, SavedShapes, SavedTable};
pub use table::{TableStats, TableWriter};
