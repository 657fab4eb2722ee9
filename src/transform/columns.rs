//! Growing columns: plain vectors that take values record by record and can be cut back.
//!
//! A column knows the kinds it has seen and stores the narrowest type that holds them. It widens only
//! when it is told that it may ([`Growth`]), so that a record that is refused leaves no trace. Cutting
//! back to a row restores the column as it was, but for widening. Nothing here reads JSON.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray, NullArray, StringArray,
    StructArray,
};
use arrow::array::{BooleanBufferBuilder, NullBufferBuilder};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{Field, Float64Type, Int64Type, TimeUnit};

use super::marks::Marks;
use super::members::StructStore;
use crate::model::BatchColumn;
use crate::schema::{
    ColumnType, Kinds, Nesting, Quoting, Shape, TimestampForms, convert, convert_inside, element_field,
    timestamp_array, timestamp_values,
};

/// Rows (or elements) that room is made for at most: some row groups' worth.
const RESERVED_ROWS_MAX: usize = 1 << 18;
/// Bytes of text that room is made for at most.
const RESERVED_BYTES_MAX: usize = 4 << 20;

/// Bytes of the levels that Parquet has for each value of a list: one for what is null, one for what it is part of.
const LEVEL_BYTES: usize = 2 * size_of::<i16>();

/// Whether a value may change what a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// The record may still be refused: a column that would have to change says [`NeedsGrowth`].
    Forbidden,
    /// The record is known to be right.
    Allowed,
}

/// The value does not fit the column as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NeedsGrowth;

#[derive(Debug)]
pub(super) struct Column {
    kinds: Kinds,
    forms: TimestampForms,
    pub(super) store: Store,
    nulls: NullBufferBuilder,
    is_inside: bool,
    pub(super) marks: Option<Arc<Marks>>,
}

#[derive(Debug)]
pub(super) enum Store {
    Null,
    Bool(BooleanBufferBuilder),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Timestamp(Vec<i64>),
    Text(TextStore),
    Struct(StructStore),
    List(ListStore),
}

#[derive(Debug)]
pub(super) struct TextStore {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

#[derive(Debug)]
pub(super) struct ListStore {
    offsets: Vec<i32>,
    pub(super) element: Box<Column>,
}

impl Column {
    /// The column of whole records.
    pub(super) fn of_records(marks: Arc<Marks>) -> Self {
        Self {
            kinds: Kinds::OBJECT,
            store: Store::Struct(StructStore::new(false)),
            ..Self::new(false, Some(marks))
        }
    }

    pub(super) fn new(is_inside: bool, marks: Option<Arc<Marks>>) -> Self {
        let mut column = Self {
            kinds: Kinds::NONE,
            forms: TimestampForms::NONE,
            store: Store::Null,
            nulls: NullBufferBuilder::new(0),
            is_inside,
            marks,
        };
        if column.values_field().is_some() {
            let mut element = Self::new(true, None);
            element.kinds = Kinds::DOUBLE;
            element.store = Store::Double(Vec::new());
            column.kinds = Kinds::LIST;
            column.store = Store::List(ListStore { offsets: vec![0], element: Box::new(element) });
        } else if column.marks.as_ref().is_some_and(|marks| marks.is_text) {
            column.kinds = Kinds::STRING;
            column.store = Store::of_nulls(0, &ColumnType::Text(Quoting::Strings));
        }
        column
    }

    /// The `--values` field that this column holds.
    #[inline]
    pub(super) fn values_field(&self) -> Option<usize> {
        self.marks.as_ref().and_then(|marks| marks.field)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// What the column has seen.
    pub(super) fn shape(&self) -> Shape {
        let mut shape = Shape { forms: self.forms, ..Shape::of_kinds(self.kinds) };
        match &self.store {
            Store::Struct(store) => {
                shape.fields =
                    store.shown().map(|member| (Arc::clone(&member.name), member.column.shape())).collect();
            }
            Store::List(store) => shape.element = Some(Box::new(store.element.shape())),
            _ => {}
        }
        shape
    }

    /// Makes the column one that can hold a value of `kind` (and, for a string, of `forms`).
    #[inline]
    pub(super) fn admit(
        &mut self,
        kind: Kinds,
        forms: TimestampForms,
        growth: Growth,
    ) -> Result<(), NeedsGrowth> {
        let fits = self.kinds.has(kind) && (kind != Kinds::STRING || self.forms.both(forms) == self.forms);
        match (fits, growth) {
            (true, _) => Ok(()),
            (false, Growth::Forbidden) => Err(NeedsGrowth),
            (false, Growth::Allowed) => {
                self.widen(kind, forms);
                Ok(())
            }
        }
    }

    #[cold]
    fn widen(&mut self, kind: Kinds, forms: TimestampForms) {
        let mut shape = self.shape();
        let from = shape.column_type();
        shape.unite(&Shape { forms, ..Shape::of_kinds(kind) }, Nesting::STRUCT);
        let to = shape.column_type();
        (self.kinds, self.forms) = (shape.kinds, shape.forms);
        if from == to {
            return;
        }
        let row_count = self.len();
        if let Store::Null = self.store {
            self.store = Store::of_nulls(row_count, &to);
            return;
        }
        let array = self.freeze_store(&from);
        let convert = if self.is_inside { convert_inside } else { convert };
        self.store = Store::thaw(&convert(&array, &from, &to), &to);
        debug_assert_eq!(row_count, self.len());
    }

    /// Makes room for `row_count` rows like the only one there is, so that vectors need not move as they
    /// grow. A guess: wrong ones cost address space or a few moves.
    #[cold]
    pub(super) fn reserve_like_first_row(&mut self, row_count: usize) {
        let row_count = row_count.min(RESERVED_ROWS_MAX);
        match &mut self.store {
            Store::Null | Store::Bool(_) => {}
            Store::Int64(values) | Store::Timestamp(values) => values.reserve(row_count),
            Store::Double(values) => values.reserve(row_count),
            Store::Text(store) => {
                store.offsets.reserve(row_count);
                store.bytes.reserve((row_count * store.bytes.len()).min(RESERVED_BYTES_MAX));
            }
            Store::Struct(store) => {
                for member in &mut store.members {
                    member.column.reserve_like_first_row(row_count);
                }
            }
            Store::List(store) => {
                store.offsets.reserve(row_count);
                let element_count = row_count * store.element.len();
                store.element.reserve_like_first_row(element_count);
            }
        }
    }

    /// Bytes of this column's array, and of those below, once it has `row_count` rows: columns are short until they
    /// are frozen and whole then, but for sparse ones of whole records. What is nothing else is text when it is written.
    pub(super) fn frozen_bytes(&self, row_count: usize) -> usize {
        match &self.store {
            Store::Null => row_count * size_of::<i32>(),
            Store::Bool(_) => row_count / 8,
            Store::Int64(_) | Store::Timestamp(_) | Store::Double(_) => row_count * size_of::<i64>(),
            Store::Text(store) => row_count * size_of::<i32>() + store.bytes.len(),
            Store::Struct(store) if store.members.is_empty() => row_count * (size_of::<i32>() + "{}".len()),
            Store::Struct(store) => store.frozen_bytes(row_count),
            Store::List(store) => {
                let (element_count, leaf_count) = (store.element.len(), store.element.leaf_count());
                row_count * size_of::<i32>()
                    + store.element.frozen_bytes(element_count)
                    + element_count * leaf_count * LEVEL_BYTES
            }
        }
    }

    /// Columns without columns below them, this one included.
    pub(super) fn leaf_count(&self) -> usize {
        match &self.store {
            Store::Struct(store) => store.leaf_count(),
            Store::List(store) => store.element.leaf_count(),
            _ => 1,
        }
    }

    /// Columns without columns below them that stand inside lists.
    pub(super) fn list_leaf_count(&self) -> usize {
        match &self.store {
            Store::Struct(store) => store.shown().map(|member| member.column.list_leaf_count()).sum(),
            Store::List(store) => store.element.leaf_count(),
            _ => 0,
        }
    }

    /// Columns without columns below them that stand inside objects or lists of the record.
    pub(super) fn inside_leaf_count(&self) -> usize {
        let Store::Struct(store) = &self.store else { return 0 };
        let columns = store.shown().map(|member| &member.column);
        columns
            .filter(|column| matches!(column.store, Store::Struct(_) | Store::List(_)))
            .map(Self::leaf_count)
            .sum()
    }

    /// Appends nulls until the column has `row_count` rows.
    #[inline]
    pub(super) fn pad_to(&mut self, row_count: usize) {
        let missing = row_count.saturating_sub(self.len());
        if missing > 0 {
            self.push_nulls(missing);
        }
    }

    pub(super) fn push_nulls(&mut self, count: usize) {
        self.nulls.append_n_nulls(count);
        let row_count = self.len();
        match &mut self.store {
            Store::Null | Store::Struct(_) => {}
            Store::Bool(values) => values.append_n(count, false),
            Store::Int64(values) | Store::Timestamp(values) => values.resize(row_count, 0),
            Store::Double(values) => values.resize(row_count, 0.0),
            Store::Text(store) => repeat_last(&mut store.offsets, count),
            Store::List(store) => repeat_last(&mut store.offsets, count),
        }
    }

    /// Says that the value of the next row is in the store.
    #[inline]
    pub(super) fn finish_row(&mut self) {
        match &mut self.store {
            Store::Text(store) => store.offsets.push(offset(store.bytes.len())),
            Store::List(store) => store.offsets.push(offset(store.element.len())),
            _ => {}
        }
        self.nulls.append_non_null();
    }

    /// Cuts the column, and everything below it, back to its first `row_count` rows.
    pub(super) fn truncate(&mut self, row_count: usize) {
        let row_count = row_count.min(self.len());
        if row_count < self.len() {
            self.nulls.truncate(row_count);
        }
        match &mut self.store {
            Store::Null => {}
            Store::Bool(values) => values.truncate(row_count),
            Store::Int64(values) | Store::Timestamp(values) => values.truncate(row_count),
            Store::Double(values) => values.truncate(row_count),
            Store::Text(store) => {
                store.offsets.truncate(row_count + 1);
                store.bytes.truncate(last_offset(&store.offsets));
            }
            Store::Struct(store) => {
                store.members.iter_mut().for_each(|member| member.truncate(row_count));
            }
            Store::List(store) => {
                store.offsets.truncate(row_count + 1);
                store.element.truncate(last_offset(&store.offsets));
            }
        }
    }

    /// Cuts an object column back to its first `row` rows, of which the last one reached only the members in
    /// these places.
    pub(super) fn forget_row(&mut self, row: usize, places: &[usize]) {
        if row < self.len() {
            self.nulls.truncate(row);
        }
        let Store::Struct(store) = &mut self.store else { unreachable!("records are objects") };
        for place in places {
            store.members[*place].truncate(row);
        }
    }

    /// The text that this row's value is appended to.
    #[inline]
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        match &mut self.store {
            Store::Text(store) => &mut store.bytes,
            store => unreachable!("the column admitted a value that only text holds, but is {store:?}"),
        }
    }

    /// Appends numbers to a column of doubles.
    #[inline]
    pub(super) fn push_doubles(&mut self, doubles: &[f64]) {
        let Store::Double(values) = &mut self.store else { unreachable!("the elements are doubles") };
        values.extend_from_slice(doubles);
        self.nulls.append_n_non_nulls(doubles.len());
    }

    /// The unit of a column of timestamps.
    #[inline]
    pub(super) fn timestamp_unit(&self) -> TimeUnit {
        self.forms.unit()
    }

    /// Whether text in this column is kept as JSON fragments.
    #[inline]
    pub(super) fn keeps_fragments(&self) -> bool {
        self.is_inside && self.kinds.has(Kinds::STRING) && self.kinds != Kinds::STRING
    }

    /// The column as an Arrow array in the form of memory, without a copy.
    pub(super) fn freeze(mut self) -> ArrayRef {
        let of = self.shape().column_type();
        self.freeze_store(&of)
    }

    /// The columns of whole records, and what they have seen.
    pub(super) fn freeze_records(self) -> (Vec<BatchColumn>, Shape) {
        let row_count = self.len();
        let shape = self.shape();
        let Store::Struct(store) = self.store else { unreachable!("records are objects") };
        let shown = store.members.into_iter().filter(|member| member.usage.is_shown());
        (shown.map(|member| member.freeze(row_count)).collect(), shape)
    }

    fn freeze_store(&mut self, of: &ColumnType) -> ArrayRef {
        let row_count = self.len();
        let nulls = self.nulls.finish_cloned();
        match std::mem::replace(&mut self.store, Store::Null) {
            Store::Null => Arc::new(NullArray::new(row_count)),
            Store::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Store::Int64(values) => Arc::new(Int64Array::new(fitted(values).into(), nulls)),
            Store::Double(values) => Arc::new(Float64Array::new(fitted(values).into(), nulls)),
            Store::Timestamp(values) => {
                let ColumnType::Timestamp(forms) = of else { unreachable!("the store follows the type") };
                timestamp_array(fitted(values).into(), nulls, *forms)
            }
            Store::Text(store) => {
                let offsets = OffsetBuffer::new(fitted(store.offsets).into());
                Arc::new(StringArray::new(offsets, Buffer::from_vec(fitted(store.bytes)), nulls))
            }
            Store::Struct(store) => {
                let (fields, columns): (Vec<_>, Vec<_>) = store
                    .members
                    .into_iter()
                    .filter(|member| member.usage.is_shown())
                    .map(|member| {
                        let name = Arc::clone(&member.name);
                        let array = member.freeze_densely(row_count);
                        (Field::new(name.as_ref(), array.data_type().clone(), true), array)
                    })
                    .unzip();
                Arc::new(
                    StructArray::try_new_with_length(fields.into(), columns, nulls, row_count)
                        .expect("members are padded to the rows of their object"),
                )
            }
            Store::List(store) => {
                let elements = store.element.freeze();
                let field = Arc::new(element_field(elements.data_type().clone()));
                Arc::new(ListArray::new(
                    field,
                    OffsetBuffer::new(fitted(store.offsets).into()),
                    elements,
                    nulls,
                ))
            }
        }
    }
}

impl Store {
    /// The store of a column that has seen nothing but nulls.
    fn of_nulls(row_count: usize, of: &ColumnType) -> Self {
        match of {
            ColumnType::Null => Self::Null,
            ColumnType::Bool => {
                let mut values = BooleanBufferBuilder::new(row_count);
                values.append_n(row_count, false);
                Self::Bool(values)
            }
            ColumnType::Int64 => Self::Int64(vec![0; row_count]),
            ColumnType::Double => Self::Double(vec![0.0; row_count]),
            ColumnType::Timestamp(_) => Self::Timestamp(vec![0; row_count]),
            ColumnType::Text(_) => {
                Self::Text(TextStore { bytes: Vec::new(), offsets: vec![0; row_count + 1] })
            }
            ColumnType::EmptyObject | ColumnType::Struct(_) => Self::Struct(StructStore::new(true)),
            ColumnType::List(_) => Self::List(ListStore {
                offsets: vec![0; row_count + 1],
                element: Box::new(Column::new(true, None)),
            }),
        }
    }

    /// Rebuilds a store from an array, after a column was widened. Rare, so it copies.
    fn thaw(array: &ArrayRef, of: &ColumnType) -> Self {
        match of {
            ColumnType::Bool => {
                let mut values = BooleanBufferBuilder::new(array.len());
                values.append_buffer(array.as_boolean().values());
                Self::Bool(values)
            }
            ColumnType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().values().to_vec()),
            ColumnType::Double => Self::Double(array.as_primitive::<Float64Type>().values().to_vec()),
            ColumnType::Timestamp(_) => Self::Timestamp(timestamp_values(array).to_vec()),
            ColumnType::Text(_) => {
                let text = array.as_string::<i32>();
                Self::Text(TextStore {
                    bytes: text.values().to_vec(),
                    offsets: text.value_offsets().to_vec(),
                })
            }
            ColumnType::Null | ColumnType::EmptyObject | ColumnType::Struct(_) | ColumnType::List(_) => {
                unreachable!("only a column that has seen nothing but nulls becomes a list or an object")
            }
        }
    }
}

/// The same values without the room that they did not need, where that is much: they stay in memory until their
/// row group is written.
fn fitted<T>(mut values: Vec<T>) -> Vec<T> {
    if values.capacity() - values.len() > values.len() / 4 {
        values.shrink_to_fit();
    }
    values
}

/// Text of all rows is below 2 GiB: a batch is far below, a record is at most 512 MiB, and text(v) is at most a few times its token.
#[inline]
fn offset(length: usize) -> i32 {
    i32::try_from(length).expect("a batch's columns are below 2 GiB")
}

fn last_offset(offsets: &[i32]) -> usize {
    offsets.last().copied().unwrap_or(0) as usize
}

fn repeat_last(offsets: &mut Vec<i32>, count: usize) {
    let last = offsets.last().copied().unwrap_or(0);
    offsets.resize(offsets.len() + count, last);
}
