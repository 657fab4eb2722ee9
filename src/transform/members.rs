//! The members of objects: found by key, and kept without the rows that lack them where those are most.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::ArrayRef;

use super::columns::Column;
use super::marks::{Marks, Usage};
use crate::model::{BatchColumn, spread};

/// Members of an object up to which a list is searched faster than a hash table.
const LINEAR_SEARCH_MAX: usize = 8;

/// Rows in which a member may be absent before those where it is present are counted: their nulls would cost more
/// memory than the numbers of many rows.
const ABSENT_ROWS_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct StructStore {
    pub(super) members: Vec<Member>,
    /// By a hash that is as safe from chosen keys as the standard one, and faster.
    places: HashMap<Arc<str>, usize, RandomState>,
    /// Members that are part of the object as it is written.
    shown_count: usize,
    /// Whether members stand inside an object, and are no columns of the record itself.
    pub(super) members_are_inside: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: Arc<str>,
    /// What its column is called.
    pub(super) name: Arc<str>,
    pub(super) usage: Usage,
    /// Whether the key stands in JSON as it is, so that its bytes can be compared without reading them.
    pub(super) is_plain: bool,
    /// Its values: of each row, or of those in `rows` only.
    pub(super) column: Column,
    /// The rows that have it, in order, once it was absent for long.
    rows: Option<Vec<u32>>,
}

impl StructStore {
    pub(super) fn new(members_are_inside: bool) -> Self {
        Self {
            members: Vec::new(),
            places: HashMap::with_hasher(RandomState::new()),
            shown_count: 0,
            members_are_inside,
        }
    }

    /// The members of the object as it is written.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.usage.is_shown())
    }

    /// How many those are.
    pub(super) fn shown_count(&self) -> usize {
        self.shown_count
    }

    /// Columns without columns below them.
    pub(super) fn leaf_count(&self) -> usize {
        self.shown().map(|member| member.column.leaf_count()).sum()
    }

    /// Bytes of the members, once they are frozen with `row_count` rows.
    pub(super) fn frozen_bytes(&self, row_count: usize) -> usize {
        let is_inside = self.members_are_inside;
        self.members.iter().map(|member| member.frozen_bytes(row_count, is_inside)).sum()
    }

    /// The place of the member called `key`, looking at `expected` first.
    #[inline]
    pub(super) fn find(&self, key: &[u8], expected: usize) -> Option<usize> {
        if self.members.get(expected).is_some_and(|member| member.key.as_bytes() == key) {
            return Some(expected);
        }
        let is_each_key_a_member = self.places.len() == self.members.len();
        if self.members.len() <= LINEAR_SEARCH_MAX && is_each_key_a_member {
            return self.members.iter().position(|member| member.key.as_bytes() == key);
        }
        self.places.get(std::str::from_utf8(key).ok()?).copied()
    }

    /// The place of a member that has the name which `marks` give to `key`.
    pub(super) fn shared_place(&self, key: &str, marks: Option<&Marks>) -> Option<usize> {
        let marks = marks.filter(|marks| marks.renames())?;
        // Those that are more than plain columns have names that no other field may have.
        if marks.usage_of(key.as_bytes()) != Usage::Column {
            return None;
        }
        let child = marks.child(key.as_bytes());
        let name = child.and_then(|child| child.name.as_deref()).unwrap_or(key);
        self.members.iter().position(|member| member.usage == Usage::Column && *member.name == *name)
    }

    /// Adds a member that has been absent so far and returns its place: that of another one, if `marks` give both one
    /// name.
    pub(super) fn add(&mut self, key: &str, marks: Option<&Marks>) -> usize {
        let place = self.shared_place(key, marks).unwrap_or(self.members.len());
        let key: Arc<str> = key.into();
        self.places.insert(Arc::clone(&key), place);
        if place == self.members.len() {
            let usage = marks.map_or(Usage::Column, |marks| marks.usage_of(key.as_bytes()));
            let child = marks.and_then(|marks| marks.child(key.as_bytes())).cloned();
            let name =
                child.as_ref().and_then(|child| child.name.clone()).unwrap_or_else(|| Arc::clone(&key));
            let is_plain = !key.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let column = Column::new(self.members_are_inside, child);
            self.shown_count += usize::from(usage.is_shown());
            self.members.push(Member { key, name, usage, is_plain, column, rows: None });
        }
        place
    }
}

impl Member {
    /// Rows up to the last one that it has, or is known to lack.
    #[inline]
    pub(super) fn row_count(&self) -> usize {
        match &self.rows {
            None => self.column.len(),
            Some(rows) => rows.last().map_or(0, |row| *row as usize + 1),
        }
    }

    /// The column, so that the next value is that of this row.
    #[inline]
    pub(super) fn column_at(&mut self, row: usize) -> &mut Column {
        if self.rows.is_none() {
            if row - self.column.len() <= ABSENT_ROWS_MAX {
                self.column.pad_to(row);
                return &mut self.column;
            }
            self.rows = Some((0..row_number(self.column.len())).collect());
        }
        self.rows.as_mut().expect("it was just made").push(row_number(row));
        &mut self.column
    }

    pub(super) fn truncate(&mut self, row_count: usize) {
        match &mut self.rows {
            None => self.column.truncate(row_count),
            Some(rows) => {
                rows.truncate(rows.partition_point(|row| (*row as usize) < row_count));
                self.column.truncate(rows.len());
            }
        }
    }

    /// Bytes that it has once it is frozen with `row_count` rows.
    pub(super) fn frozen_bytes(&self, row_count: usize, is_inside: bool) -> usize {
        let value_count = self.column.len();
        if is_inside || !BatchColumn::is_sparse(value_count, row_count) {
            return self.column.frozen_bytes(row_count);
        }
        self.column.frozen_bytes(value_count) + value_count * size_of::<u32>()
    }

    /// A column of whole records: without its nulls, if they are most of it.
    pub(super) fn freeze(mut self, row_count: usize) -> BatchColumn {
        let value_count = self.column.len();
        if !BatchColumn::is_sparse(value_count, row_count) {
            return BatchColumn::dense(self.freeze_densely(row_count));
        }
        let rows = self.rows.take().unwrap_or_else(|| (0..row_number(value_count)).collect());
        BatchColumn::sparse(self.column.freeze(), rows, row_count)
    }

    pub(super) fn freeze_densely(mut self, row_count: usize) -> ArrayRef {
        match self.rows.take() {
            None => {
                self.column.pad_to(row_count);
                self.column.freeze()
            }
            Some(rows) => spread(&self.column.freeze(), &rows, 0, row_count),
        }
    }
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a batch has far fewer than 2^32 rows")
}
