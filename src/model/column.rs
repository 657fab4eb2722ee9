//! One column of a batch: a value for each row, for some of them, or one for all.
//!
//! Of thousands of columns a record may have twenty: its nulls, spelled out, would be most of the memory. Such a
//! column keeps its values and the rows where they stand, and gets its nulls back a row group at a time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;

/// A column without its nulls pays from so many rows for each value: a row number and a value are then smaller
/// than the values and nulls in their places.
const ROWS_FOR_EACH_VALUE_MIN: usize = 4;

/// Which rows the values of a column stand in.
#[derive(Debug, Clone)]
enum Rows {
    /// Each has its own.
    All,
    /// These, in order; the others are null.
    Some(Arc<[u32]>),
    /// There is one value, and all have it.
    Alike,
}

/// One column of a batch.
#[derive(Debug, Clone)]
pub struct BatchColumn {
    values: ArrayRef,
    rows: Rows,
    row_count: usize,
}

impl BatchColumn {
    /// Whether a column with values in so many of its rows is kept without the others.
    pub fn is_sparse(value_count: usize, row_count: usize) -> bool {
        value_count * ROWS_FOR_EACH_VALUE_MIN <= row_count
    }

    /// A column with a value, which may be null, for each of its rows.
    pub fn dense(values: ArrayRef) -> Self {
        Self { row_count: values.len(), values, rows: Rows::All }
    }

    /// A column whose values stand in `rows`, which ascend; all others of its `row_count` rows are null.
    pub fn sparse(values: ArrayRef, rows: Vec<u32>, row_count: usize) -> Self {
        assert_eq!(values.len(), rows.len(), "each value has its row");
        assert!(
            rows.last().is_none_or(|row| (*row as usize) < row_count),
            "each value has a row of the column"
        );
        Self { values, rows: Rows::Some(rows.into()), row_count }
    }

    /// A column whose rows all have the only one of these values.
    pub fn alike(value: ArrayRef, row_count: usize) -> Self {
        assert_eq!(value.len(), 1, "there is one value");
        Self { values: value, rows: Rows::Alike, row_count }
    }

    /// Its rows, with those that have no value.
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// Rows that have no value.
    pub fn null_count(&self) -> usize {
        match &self.rows {
            Rows::All => self.values.logical_null_count(),
            Rows::Some(rows) => self.row_count - rows.len() + self.values.logical_null_count(),
            Rows::Alike => self.values.logical_null_count() * self.row_count,
        }
    }

    /// All of its rows, with their nulls.
    pub fn to_array(&self) -> ArrayRef {
        self.array(0, self.row_count, Arc::clone)
    }

    /// Whether all rows have one value.
    pub fn is_alike(&self) -> bool {
        matches!(self.rows, Rows::Alike)
    }

    /// Its values, without the rows that have none.
    pub fn values(&self) -> &ArrayRef {
        &self.values
    }

    /// Bytes of its values, and of the numbers of their rows.
    pub fn value_bytes(&self) -> usize {
        let values = self.values.to_data().get_slice_memory_size();
        values.expect("every column type has a known size") + self.row_bytes()
    }

    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> usize {
        self.values.get_array_memory_size() + self.row_bytes()
    }

    fn row_bytes(&self) -> usize {
        if let Rows::Some(rows) = &self.rows { rows.len() * size_of::<u32>() } else { 0 }
    }

    /// `length` of its rows from `start` on, with their nulls, after `convert` has changed the values.
    pub fn array(
        &self,
        start: usize,
        length: usize,
        convert: impl FnOnce(&ArrayRef) -> ArrayRef,
    ) -> ArrayRef {
        let rows = match &self.rows {
            Rows::All => return convert(&self.values.slice(start, length)),
            Rows::Alike => {
                let places = UInt32Array::from(vec![0; length]);
                return take(&convert(&self.values), &places, None).expect("there is one value");
            }
            Rows::Some(rows) => rows,
        };
        let from = rows.partition_point(|row| (*row as usize) < start);
        let to = rows.partition_point(|row| (*row as usize) < start + length);
        spread(&convert(&self.values.slice(from, to - from)), &rows[from..to], start, length)
    }
}

/// Puts each value in its row and a null in all others. The first of the `row_count` rows has the number `start`.
pub(crate) fn spread(values: &ArrayRef, rows: &[u32], start: usize, row_count: usize) -> ArrayRef {
    let mut places = vec![0; row_count];
    let mut has_value = BooleanBufferBuilder::new(row_count);
    has_value.resize(row_count);
    for (place, row) in (0..).zip(rows) {
        let row = *row as usize - start;
        places[row] = place;
        has_value.set_bit(row, true);
    }
    let places = UInt32Array::new(places.into(), Some(NullBuffer::new(has_value.finish())));
    take(values, &places, None).expect("every place is one of a value")
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn rows_without_a_value_are_null_in_every_slice() {
        let column = BatchColumn::sparse(Arc::new(Int64Array::from(vec![7, 8, 9])), vec![1, 4, 5], 7);
        let dense = [None, Some(7), None, None, Some(8), Some(9), None];
        for start in 0..dense.len() {
            for end in start..=dense.len() {
                let array = column.array(start, end - start, Arc::clone);
                let found: Vec<_> = array.as_primitive::<Int64Type>().iter().collect();
                assert_eq!(found, dense[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn value_of_all_rows_is_in_every_slice() {
        let column = BatchColumn::alike(Arc::new(StringArray::from(vec!["a"])), 5);
        let array = column.array(2, 3, Arc::clone);
        assert_eq!(array.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"); 3]);
    }

    #[test]
    fn values_that_are_null_stay_null() {
        let column = BatchColumn::sparse(Arc::new(StringArray::from(vec![None, Some("a")])), vec![0, 2], 4);
        let array = column.to_array();
        assert_eq!(array.as_string::<i32>().iter().collect::<Vec<_>>(), [None, None, Some("a"), None]);
    }
}
