//! Parts whose schema was outgrown become one file, column chunk by column chunk.
//!
//! What a part stores as the output does is copied as it is encoded there; a column that it lacks is written as
//! nulls; only one whose type became wider is read back, converted and encoded again. Row groups stay as they were
//! cut. In memory are one row group, encoded, and one of its columns for each thread.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use super::footer::Footer;
use super::part::{
    ColumnChunks, ColumnEncoder, FinishedPart, Origin, PartColumns, PartFile, could_not_encode,
};
use super::part_reader::PartReader;
use crate::cpu::CpuPool;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::schema::leaf_count;
use crate::sink::LocalOutput;

/// Writes parts as one file with `columns`, which hold all of theirs, and removes them.
///
/// # Errors
/// A part can't be read back, or the output can't be written.
pub(super) async fn unify(
    pool: &CpuPool,
    metrics: &Arc<Metrics>,
    output: &mut LocalOutput,
    columns: &Arc<PartColumns>,
    parts: Vec<(Arc<PartColumns>, FinishedPart)>,
    footer: &Footer,
) -> Result<FinishedPart> {
    let dictionaries = dictionaries_of(columns, &parts);
    let mut file = PartFile::begin(output.create_part()?, columns, dictionaries)?;
    for (part_columns, part) in parts {
        let path = part.path.clone();
        let part = Arc::new(pool.run(move || PartReader::open(&part)).await??);
        let leaves = leaves_of(&part_columns);
        let origins = columns.origins_in(&part_columns);
        for row_group in 0..part.row_group_count() {
            let mut appended = Vec::with_capacity(origins.len());
            for (encoder, origin) in file.encoders(columns)?.into_iter().zip(&origins) {
                appended.push(match origin {
                    Origin::Same { place } => Unified::Copied(leaves[*place].clone()),
                    other => {
                        let (columns, part) = (Arc::clone(columns), Arc::clone(&part));
                        let (origin, metrics) = (other.clone(), Arc::clone(metrics));
                        Unified::Encoded(Box::pin(pool.run(move || {
                            let begun = Instant::now();
                            let chunks = encode(encoder, &columns, &part, row_group, &origin);
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
            let part = Arc::clone(&part);
            file = pool.run(move || file.append_from(&part, row_group, chunks).map(|()| file)).await??;
        }
        output.remove_part(&path)?;
    }
    let footer = footer.clone();
    pool.run(move || file.finish(&footer)).await?
}

/// A column of a row group on its way.
enum Unified {
    Copied(Range<usize>),
    Encoded(Pin<Box<dyn Future<Output = Result<Result<ColumnChunks>>> + Send>>),
}

fn encode(
    mut encoder: ColumnEncoder,
    columns: &PartColumns,
    part: &PartReader,
    row_group: usize,
    origin: &Origin,
) -> Result<ColumnChunks> {
    match origin {
        Origin::Narrower { place, from, to } => {
            for array in part.values(row_group, *place)? {
                encoder.encode(&columns.widened(&array?, from, to)).map_err(could_not_encode)?;
            }
        }
        Origin::Absent => encoder.encode_nulls(part.row_count(row_group)).map_err(could_not_encode)?,
        Origin::Same { .. } => unreachable!("what is the same is copied"),
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
