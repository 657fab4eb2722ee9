//! The columns that say where each row comes from.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use crate::model::{BatchColumn, PageBatch, PageId, Provenance};

/// The columns of [`Provenance::ALL`] for a batch before which so many records of its page were seen.
pub(super) fn provenance_of(
    batch: &PageBatch,
    id: PageId,
    shown: &str,
    records_before: u64,
) -> Vec<BatchColumn> {
    let alike = |value: ArrayRef| BatchColumn::alike(value, batch.row_count);
    let column = |of| match of {
        Provenance::Url => alike(Arc::new(StringArray::from(vec![shown]))),
        Provenance::Page => alike(Arc::new(Int64Array::from(vec![i64::from(id.page)]))),
        Provenance::Record => {
            let in_page = |record| (records_before + record) as i64;
            let records = match &batch.records_of_rows {
                Some(records) => Int64Array::from_iter_values(records.iter().copied().map(in_page)),
                None => Int64Array::from_iter_values(records_of_rows(batch).map(in_page)),
            };
            BatchColumn::dense(Arc::new(records))
        }
    };
    Provenance::ALL.map(column).into()
}

/// The positions of the rows among the records of their batch, of which some were rejected.
fn records_of_rows(batch: &PageBatch) -> impl Iterator<Item = u64> {
    let mut rejected = batch.rejected_records().map(|reject| reject.record).peekable();
    (0..batch.record_count).filter(move |record| rejected.next_if_eq(record).is_none())
}
