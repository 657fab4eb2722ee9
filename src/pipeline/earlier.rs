//! What an earlier run had done, as the ledger tells it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cpu::CpuPool;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, PartFile, PartRow};
use crate::model::PageKey;
use crate::report::RecordCounts;
use crate::sink::{StateFolder, name_of};
use crate::write::{Run, SavedColumns, SavedFile, SavedPart, SavedShapes, SavedTable};

/// What an earlier run had done.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pub(super) table: SavedTable,
    pub(super) rejects: Vec<SavedFile>,
    pub(super) runs: Vec<Run>,
    pub(super) counts: SavedCounts,
    /// Pages that need not be fetched again, where each URL is one page.
    pub(super) done: HashSet<PageKey>,
    /// Where it is a chain: what its pages said of the next one, in their order, by the position of its URL in the list.
    pub(super) chains: HashMap<u64, Vec<Vec<u8>>>,
}

/// What was counted of the pages that are done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedCounts {
    pub(super) pages_fetched: u64,
    /// Pages that are known by others.
    pub(super) pages_behind: u64,
    pub(super) records: RecordCounts,
    pub(super) values_discarded: u64,
    pub(super) duplicate_keys: u64,
    pub(super) overflows: u64,
    #[serde(default)]
    pub(super) pages_close_delimited: u64,
    #[serde(default)]
    pub(super) pages_of_unknown_end: u64,
}

/// What the ledger knows of a part beside its files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PartNotes {
    /// Its file has a footer of the next part with rows, which has none itself.
    Footer,
    /// Its file has rows.
    Rows(SavedColumns),
    /// It ends what was saved at a time.
    End { runs: Vec<Run>, shapes: SavedShapes, counts: SavedCounts },
}

impl Earlier {
    /// Reads it, and how many parts the ledger has. Where its URLs are chains, `has_chains` says so.
    ///
    /// # Errors
    /// The ledger can't be read, or is damaged.
    pub(super) fn read(ledger: &Ledger, folder: &mut StateFolder, has_chains: bool) -> Result<(Self, u64)> {
        let mut earlier = Self::default();
        let mut footers = Vec::new();
        let mut part_count = 0;
        for part in ledger.parts() {
            let part = part?;
            part_count = part_count.max(part.id);
            let notes = serde_json::from_slice(&part.meta).map_err(|error| damaged(folder, &part, error))?;
            let mut file_of = |PartFile { name, bytes, checksum }: PartFile| SavedFile {
                path: folder.known_file(&name),
                bytes,
                checksum,
            };
            let (file, rejects) = (part.file.map(&mut file_of), part.rejects.map(&mut file_of));
            match notes {
                PartNotes::Footer => footers.extend(file),
                PartNotes::Rows(columns) => {
                    let (row_count, footers) = (part.row_count, std::mem::take(&mut footers));
                    let saved = file.map(|file| SavedPart { file, footers, row_count, columns });
                    earlier.table.parts.extend(saved);
                }
                PartNotes::End { runs, shapes, counts } => {
                    earlier.table.shapes.extend(shapes);
                    earlier.rejects.extend(rejects);
                    earlier.runs.extend(runs);
                    earlier.counts = counts;
                }
            }
        }
        for page in ledger.done_pages() {
            let page = page?;
            if has_chains {
                earlier.chains.entry(page.place.ordinal).or_default().extend(page.chain);
            } else {
                earlier.done.insert(page.url_key);
            }
        }
        Ok((earlier, part_count))
    }

    /// A file of it that is not there.
    pub(super) fn missing_file(&self) -> Option<&Path> {
        self.files().map(|file| file.path.as_path()).find(|path| !path.exists())
    }

    /// The names of its files.
    pub(super) fn file_names(&self) -> HashSet<String> {
        self.files().map(|file| name_of(&file.path)).collect()
    }

    fn files(&self) -> impl Iterator<Item = &SavedFile> {
        self.table.parts.iter().flat_map(SavedPart::files).chain(&self.rejects)
    }

    /// Looks whether its files are as they were written, which takes as long as to read them.
    ///
    /// # Errors
    /// One is not.
    pub(super) async fn check(&self, pool: &CpuPool) -> Result<()> {
        let parts = self.table.parts.iter().cloned().map(|part| pool.run(move || part.check()));
        let checks: Vec<_> = parts.collect();
        let rejects = self.rejects.iter().cloned().map(|file| pool.run(move || file.check()));
        let rejects: Vec<_> = rejects.collect();
        for check in checks {
            check.await??;
        }
        for check in rejects {
            check.await??;
        }
        Ok(())
    }
}

fn damaged(folder: &StateFolder, part: &PartRow, error: serde_json::Error) -> Error {
    let folder = folder.path().display();
    let message = format!("{folder}: part {} of the ledger can't be read; --fresh starts anew", part.id);
    Error::new(ErrorKind::Storage, message).because(error)
}
