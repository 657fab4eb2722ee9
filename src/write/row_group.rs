//! When a row group ends: by rows and by bytes, whichever comes first, and never by time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;

use crate::config::RowGroupConfig;
use crate::model::{BatchColumn, PageBatch};
use crate::schema::{ColumnType, Shape, leaf_count};

/// What an array costs besides its values, with its name and type: pages of one record would else pile up by the
/// ten thousands before their values fill a row group.
const ARRAY_OVERHEAD_BYTES: usize = 512;

/// A row of so large a part of a row group, and of so many bytes, ends it: while it is encoded it takes several times its
/// bytes, and no other such row is to wait beside it.
const LARGE_ROW_DIVISOR: usize = 4;
const LARGE_ROW_BYTES_MIN: usize = 4 << 20;

/// Leaf columns from which on a table is wide.
pub(super) const WIDE_LEAF_COUNT: usize = 1000;
/// A row group of a wide table is not cut before it has so many bytes for each leaf column: what a column costs
/// in the footer, which is in memory until the end, would be more than what it holds.
const WIDE_LEAF_BYTES_MIN: usize = 8 << 10;

/// Rows with the types that they were decoded or stored with.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) row_count: usize,
    pub(super) bytes: usize,
    leaf_count: usize,
    pub(super) shape: Shape,
    pub(super) types: Vec<(Arc<str>, ColumnType)>,
    pub(super) columns: Vec<BatchColumn>,
    /// Per `--values` field: its feature columns, if its column exists yet.
    pub(super) features: Vec<Option<Vec<ArrayRef>>>,
    /// The columns that say where the rows come from, or none.
    pub(super) provenance: Vec<BatchColumn>,
    places: OnceLock<HashMap<Arc<str>, usize>>,
}

impl Rows {
    pub(super) fn of_page(batch: PageBatch) -> Self {
        let PageBatch { row_count, shape, columns, features, provenance, .. } = batch;
        let features: Vec<_> =
            features.into_iter().map(|field| field.is_seen.then_some(field.columns)).collect();
        let mut bytes = 0;
        let mut leaves = 0;
        for column in columns.iter().chain(&provenance) {
            bytes += column.value_bytes() + ARRAY_OVERHEAD_BYTES;
            leaves += leaf_count(column.values().data_type());
        }
        for feature in features.iter().flatten().flatten() {
            bytes += BatchColumn::dense(Arc::clone(feature)).value_bytes() + ARRAY_OVERHEAD_BYTES;
            leaves += 1;
        }
        let types = top_types(&shape);
        Self {
            row_count,
            bytes,
            leaf_count: leaves,
            shape,
            types,
            columns,
            features,
            provenance,
            places: OnceLock::new(),
        }
    }

    /// The place of the column called `name`, looking at `expected` first: pages of one source mostly have
    /// their columns in one order.
    pub(super) fn place_of(&self, name: &Arc<str>, expected: usize) -> Option<usize> {
        if self.types.get(expected).is_some_and(|(found, _)| found == name) {
            return Some(expected);
        }
        let places = self.places.get_or_init(|| {
            self.types.iter().enumerate().map(|(place, (name, _))| (Arc::clone(name), place)).collect()
        });
        places.get(name).copied()
    }

    pub(super) fn seen_fields(&self) -> impl Iterator<Item = bool> {
        self.features.iter().map(Option::is_some)
    }
}

/// The columns of records of this shape.
pub(super) fn top_types(shape: &Shape) -> Vec<(Arc<str>, ColumnType)> {
    shape.fields.iter().map(|(name, shape)| (Arc::clone(name), shape.column_type())).collect()
}

/// A run of rows out of some [`Rows`].
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) rows: Arc<Rows>,
    pub(super) start: usize,
    pub(super) length: usize,
}

/// The rows of one row group, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct RowGroup {
    pub(super) slices: Vec<Slice>,
    pub(super) row_count: usize,
    bytes: usize,
}

/// Cuts a stream of rows into row groups.
#[derive(Debug)]
pub(super) struct RowGroups {
    config: RowGroupConfig,
    /// The most leaf columns that rows have had.
    leaf_count: usize,
    open: RowGroup,
    full: VecDeque<RowGroup>,
}

impl RowGroups {
    pub(super) fn new(config: RowGroupConfig) -> Self {
        Self { config, leaf_count: 0, open: RowGroup::default(), full: VecDeque::new() }
    }

    /// Adds rows behind those that were added before.
    pub(super) fn push(&mut self, rows: Rows) {
        self.leaf_count = self.leaf_count.max(rows.leaf_count);
        let wide_bytes =
            if self.leaf_count > WIDE_LEAF_COUNT { self.leaf_count * WIDE_LEAF_BYTES_MIN } else { 0 };
        let bytes_max = self.config.bytes_max.max(wide_bytes);
        let rows = Arc::new(rows);
        // Rows of one page count alike, so that the cut depends on nothing but the page.
        let row_bytes = rows.bytes.div_ceil(rows.row_count.max(1)).max(1);
        let mut start = 0;
        while start < rows.row_count {
            let fit_by_bytes = bytes_max.saturating_sub(self.open.bytes) / row_bytes;
            let fit_by_rows = self.config.rows_max - self.open.row_count;
            let mut length = fit_by_bytes.min(fit_by_rows).min(rows.row_count - start);
            if length == 0 && self.open.row_count > 0 {
                self.full.push_back(std::mem::take(&mut self.open));
                continue;
            }
            // A row larger than a row group is a row group.
            length = length.max(1);
            self.open.slices.push(Slice { rows: Arc::clone(&rows), start, length });
            self.open.row_count += length;
            self.open.bytes += length * row_bytes;
            start += length;
        }
        let is_full = self.open.row_count >= self.config.rows_max || self.open.bytes >= bytes_max;
        let large_row_bytes = LARGE_ROW_BYTES_MIN.max(bytes_max / LARGE_ROW_DIVISOR);
        if self.open.row_count > 0 && (is_full || row_bytes > large_row_bytes) {
            self.full.push_back(std::mem::take(&mut self.open));
        }
    }

    /// Goes on with the rows of another, where none of these are left.
    pub(super) fn go_on_with(&mut self, other: Self) {
        let leaf_count = self.leaf_count.max(other.leaf_count);
        *self = Self { leaf_count, ..other };
    }

    /// The rows that no row group has been cut from yet.
    pub(super) fn open_slices(&self) -> &[Slice] {
        &self.open.slices
    }

    /// The rows that no row group has been cut from yet, without so many that came first.
    pub(super) fn open_behind(&self, skipped_rows: usize) -> RowGroup {
        let mut behind = RowGroup::default();
        let mut start = 0;
        for slice in &self.open.slices {
            // Pages are told apart: what is skipped ends where a slice does.
            if start >= skipped_rows {
                behind.slices.push(slice.clone());
                behind.row_count += slice.length;
            }
            start += slice.length;
        }
        behind
    }

    /// All rows, where no row group has been cut from them.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Rows> {
        self.open
            .slices
            .into_iter()
            .map(|slice| Arc::into_inner(slice.rows).expect("rows that are not cut stand in one slice"))
    }

    /// The next row group that is full.
    pub(super) fn pop_full(&mut self) -> Option<RowGroup> {
        self.full.pop_front()
    }

    /// The last row group, which need not be full; `None` when no row is left.
    pub(super) fn pop_last(&mut self) -> Option<RowGroup> {
        (self.open.row_count > 0).then(|| std::mem::take(&mut self.open))
    }
}
