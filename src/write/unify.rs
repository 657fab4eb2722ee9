//! Parts to one file: put in order, and under one schema.
//!
//! Column chunks that are stored alike are copied as they are encoded; what is wider now, or new, or cut by the order of
//! the rows is encoded again, streaming.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::footer::Footer;
use super::part::{
    ColumnChunks, ColumnEncoder, FinishedPart, Origin, PartColumns, PartFile, could_not_encode, is_by_leaves,
    verify,
};
use super::part_reader::{ColumnCursor, PartReader};
use crate::config::RowGroupConfig;
use crate::cpu::CpuPool;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::schema::leaf_count;
use crate::sink::LocalOutput;

/// Writes parts as one file with `columns`, which hold all of theirs. They stay until the output is dropped: should it not
/// be published, they are what is kept of it. `rows`, where they are out of
/// order, are the ranges of the rows of all parts in the order in which they belong; row groups of fewer rows than
/// they could have become one then.
///
/// # Errors
/// A part can't be read back, or the output can't be written.
pub(super) async fn unify(
    (pool, metrics): (&CpuPool, &Arc<Metrics>),
    output: &mut LocalOutput,
    columns: &Arc<PartColumns>,
    parts: Vec<(Arc<PartColumns>, FinishedPart)>,
    rows: Option<(&[Range<u64>], RowGroupConfig)>,
    footer: &Footer,
) -> Result<FinishedPart> {
    let dictionaries = dictionaries_of(columns, &parts);
    let mut file = PartFile::begin(output.create_part()?, columns, dictionaries, false)?;
    let mut sources = Vec::with_capacity(parts.len());
    for (part_columns, part) in parts {
        sources.push(Source {
            leaves: leaves_of(&part_columns),
            origins: columns.origins_in(&part_columns),
            part: pool.run(move || PartReader::open(&part)).await??,
        });
    }
    let sources = Arc::new(sources);
    let groups = match rows {
        None => whole_row_groups(&sources).map(|piece| vec![piece]).collect(),
        Some((rows, config)) => grouped(pieces(&sources, rows)?, &sources, config),
    };
    for group in groups {
        let group = Arc::new(group);
        let whole = group.first().filter(|first| group.len() == 1 && first.is_whole(&sources));
        let mut appended = Vec::with_capacity(columns.count());
        for (column, encoder) in file.encoders(columns)?.into_iter().enumerate() {
            let copied = whole.and_then(|piece| sources[piece.source].leaves_of(column));
            appended.push(match copied {
                Some(leaves) => Unified::Copied(leaves),
                None => {
                    let (columns, sources, group) =
                        (Arc::clone(columns), Arc::clone(&sources), Arc::clone(&group));
                    let metrics = Arc::clone(metrics);
                    Unified::Encoded(Box::pin(pool.run(move || {
                        let begun = Instant::now();
                        let chunks = encode(encoder, column, &columns, &sources, &group);
                        metrics.encode_time.add(begun.elapsed());
                        chunks
                    })))
                }
            });
        }
        let mut chunks = Vec::with_capacity(appended.len());
        for column in appended {
            chunks.push(match column {
                Unified::Copied(leaves) => ColumnChunks::Copied(leaves),
                Unified::Encoded(encoded) => encoded.await??,
            });
        }
        let sources = Arc::clone(&sources);
        let row_count = group.iter().map(|piece| piece.rows.len()).sum();
        file = pool
            .run(move || {
                let first = &group[0];
                file.append_from((&sources[first.source].part, first.row_group), chunks, row_count)
                    .map(|()| file)
            })
            .await??;
    }
    drop(sources);
    let footer = footer.clone();
    pool.run(move || file.finish(&footer).and_then(|part| verify(&part).map(|()| part))).await?
}

/// A part, and what the columns of the output are in it.
struct Source {
    part: PartReader,
    leaves: Vec<Range<usize>>,
    origins: Vec<Origin>,
}

impl Source {
    /// The leaves of a column that can be copied.
    fn leaves_of(&self, column: usize) -> Option<Range<usize>> {
        match &self.origins[column] {
            Origin::Same { place } => Some(self.leaves[*place].clone()),
            Origin::Absent | Origin::Narrower { .. } => None,
        }
    }
}

/// Rows of one row group of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    source: usize,
    row_group: usize,
    rows: Range<usize>,
}

impl Piece {
    fn is_whole(&self, sources: &[Source]) -> bool {
        self.rows.len() == sources[self.source].part.row_count(self.row_group)
    }

    /// Its share of the encoded bytes of its row group.
    fn encoded_bytes(&self, sources: &[Source]) -> u64 {
        let part = &sources[self.source].part;
        let row_count = part.row_count(self.row_group).max(1) as u64;
        (part.encoded_bytes(self.row_group) / row_count).max(1) * self.rows.len() as u64
    }
}

/// A column of a row group on its way.
enum Unified {
    Copied(Range<usize>),
    Encoded(Pin<Box<dyn Future<Output = Result<Result<ColumnChunks>>> + Send>>),
}

/// All row groups, as they are.
fn whole_row_groups(sources: &[Source]) -> impl Iterator<Item = Piece> {
    sources.iter().enumerate().flat_map(|(source, Source { part, .. })| {
        (0..part.row_group_count()).map(move |row_group| Piece {
            source,
            row_group,
            rows: 0..part.row_count(row_group),
        })
    })
}

/// What the ranges of the rows of all parts are of their row groups.
fn pieces(sources: &[Source], ranges: &[Range<u64>]) -> Result<Vec<Piece>> {
    let row_groups: Vec<_> = whole_row_groups(sources).collect();
    let mut starts = Vec::with_capacity(row_groups.len());
    let mut row_count = 0;
    for row_group in &row_groups {
        starts.push(row_count);
        row_count += row_group.rows.len() as u64;
    }
    let ordered_count: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    if ordered_count != row_count {
        let message = format!("{row_count} rows were written and {ordered_count} were put in order");
        return Err(Error::defect(message));
    }
    let mut pieces = Vec::new();
    for range in ranges {
        let mut start = range.start;
        let mut at = starts.partition_point(|first| *first <= start).saturating_sub(1);
        while start < range.end {
            let (first, row_group) = (starts[at], &row_groups[at]);
            let end = range.end.min(first + row_group.rows.len() as u64);
            let rows = (start - first) as usize..(end - first) as usize;
            if !rows.is_empty() {
                pieces.push(Piece { rows, ..row_group.clone() });
            }
            start = end;
            at += 1;
        }
    }
    Ok(pieces)
}

/// Pieces by the row groups that they become: as large as may be, but those that are more than half of one already stay
/// as they are.
fn grouped(pieces: Vec<Piece>, sources: &[Source], config: RowGroupConfig) -> Vec<Vec<Piece>> {
    let bytes_max = config.bytes_max as u64;
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    let (mut row_count, mut bytes) = (0, 0);
    for piece in pieces {
        let (piece_rows, piece_bytes) = (piece.rows.len(), piece.encoded_bytes(sources));
        let is_large = piece_rows > config.rows_max / 2 || piece_bytes > bytes_max / 2;
        let stays = is_large && piece.is_whole(sources);
        let fits = row_count + piece_rows <= config.rows_max && bytes + piece_bytes <= bytes_max;
        match groups.last_mut() {
            Some(open) if fits && !stays => open.push(piece),
            _ => {
                groups.push(vec![piece]);
                (row_count, bytes) = (0, 0);
            }
        }
        row_count += piece_rows;
        bytes += piece_bytes;
        if stays {
            row_count = config.rows_max;
        }
    }
    groups
}

fn encode(
    mut encoder: ColumnEncoder,
    column: usize,
    columns: &PartColumns,
    sources: &[Source],
    pieces: &[Piece],
) -> Result<ColumnChunks> {
    let mut cursors: HashMap<(usize, usize), ColumnCursor> = HashMap::new();
    for piece in pieces {
        let Source { part, origins, .. } = &sources[piece.source];
        let (place, widened) = match &origins[column] {
            Origin::Absent => {
                encoder.encode_nulls(piece.rows.len()).map_err(could_not_encode)?;
                continue;
            }
            Origin::Same { place } => (*place, None),
            Origin::Narrower { place, from, to } => (*place, Some((from, to))),
        };
        let mut encode = |array| {
            let encoded = match widened {
                Some((from, to)) if is_by_leaves(&array, to) => {
                    encoder.encode_by_leaves(to, |to| columns.widened(&array, from, to))
                }
                Some((from, to)) => encoder.encode(&columns.widened(&array, from, to)),
                None => encoder.encode(&array),
            };
            encoded.map_err(could_not_encode)
        };
        if pieces.len() == 1 && piece.is_whole(sources) {
            part.values(piece.row_group, place)?.try_for_each(|array| encode(array?))?;
            continue;
        }
        let key = (piece.source, piece.row_group);
        let mut cursor = match cursors.remove(&key) {
            Some(cursor) if cursor.next_row() <= piece.rows.start => cursor,
            _ => part.cursor(piece.row_group, place)?,
        };
        cursor.take(piece.rows.clone())?.into_iter().try_for_each(&mut encode)?;
        if piece.rows.end < part.row_count(piece.row_group) {
            cursors.insert(key, cursor);
        }
    }
    encoder.close().map(ColumnChunks::Encoded).map_err(could_not_encode)
}

/// For each column the decision of the last part that has it: that one knew the final types when it was begun.
fn dictionaries_of(columns: &PartColumns, parts: &[(Arc<PartColumns>, FinishedPart)]) -> Vec<Vec<bool>> {
    let fields = columns.schema.fields().iter();
    let mut dictionaries: Vec<_> = fields.map(|field| vec![false; leaf_count(field.data_type())]).collect();
    for (part_columns, part) in parts {
        for (origin, dictionary) in columns.origins_in(part_columns).iter().zip(&mut dictionaries) {
            let (Origin::Same { place } | Origin::Narrower { place, .. }) = origin else { continue };
            if let Some(decided) = part.dictionaries.get(*place).filter(|of| of.len() == dictionary.len()) {
                dictionary.clone_from(decided);
            }
        }
    }
    dictionaries
}

/// The leaves of each column, by their places in the file.
fn leaves_of(columns: &PartColumns) -> Vec<Range<usize>> {
    let mut next = 0;
    let fields = columns.schema.fields().iter();
    fields
        .map(|field| {
            let begin = next;
            next += leaf_count(field.data_type());
            begin..next
        })
        .collect()
}
