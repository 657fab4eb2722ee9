//! Seals: a digest of each row, and for each table how many rows it has and the sum of their seals.
//!
//! SQLite finds damage in how its pages hang together; it can't see that a digit in a row is another one, or that a
//! whole page is one of an hour ago. The seal of a row tells the first, the sum the second: a sum can be kept up while
//! rows come and go in any order. Seals are against broken disks, not against people.

use super::damage::{damaged, damaged_row};
use super::database::{Database, Value};
use super::schema::Table;
use crate::digest::RunningDigest;
use crate::error::Result;

/// The seal of a row of `table`: the first eight bytes of a SHA-256 of its other columns.
pub(super) fn seal_of(table: Table, values: &[Value<'_>]) -> i64 {
    let mut digest = RunningDigest::default();
    digest.update(&[table as u8]);
    for value in values {
        let (kind, bytes) = match value {
            Value::Null => (0, &[][..]),
            Value::Integer(number) => (1, &number.to_le_bytes()[..]),
            Value::Real(number) => (2, &number.to_le_bytes()[..]),
            Value::Text(bytes) => (3, *bytes),
            Value::Blob(bytes) => (4, *bytes),
        };
        let mut head = [kind; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        digest.update(&head);
        digest.update(bytes);
    }
    let [a, b, c, d, e, f, g, h, ..] = digest.finish();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The columns of a whole row of `table` before its seal, and the seal, if it is theirs.
pub(super) fn unseal<'a, 'b>(table: Table, row: &'a [Value<'b>]) -> Option<(&'a [Value<'b>], i64)> {
    match row {
        [values @ .., Value::Integer(seal)] if seal_of(table, values) == *seal => Some((values, *seal)),
        _ => None,
    }
}

/// What is known of the rows of a table together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    pub(super) row_count: i64,
    pub(super) sum: i64,
}

impl Total {
    /// A row came.
    pub(super) fn add(&mut self, seal: i64) {
        self.row_count += 1;
        self.sum = self.sum.wrapping_add(seal);
    }

    /// A row went.
    pub(super) fn remove(&mut self, seal: i64) {
        self.row_count -= 1;
        self.sum = self.sum.wrapping_sub(seal);
    }

    fn columns(self, table: Table) -> [Value<'static>; 3] {
        [Value::Integer(table as i64), Value::Integer(self.row_count), Value::Integer(self.sum)]
    }
}

/// The totals of the tables whose rows are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seals([Total; Table::COUNTED.len()]);

impl Seals {
    /// Statements that seal tables without rows.
    pub(super) fn first_rows() -> String {
        let rows = Table::COUNTED.map(|table| {
            let seal = seal_of(Table::Seals, &Total::default().columns(table));
            format!("INSERT INTO seals VALUES ({}, 0, 0, {seal})", table as i64)
        });
        rows.join("; ")
    }

    /// Reads what was kept.
    pub(super) fn read(database: &Database) -> Result<Self> {
        let mut seals = Self::default();
        let mut statement = database.prepare("SELECT * FROM seals WHERE of_table = ?1")?;
        for table in Table::COUNTED {
            let total =
                statement.first(&[Value::Integer(table as i64)], |row| match unseal(Table::Seals, row) {
                    Some(([_, Value::Integer(row_count), Value::Integer(sum)], _)) => {
                        Ok(Total { row_count: *row_count, sum: *sum })
                    }
                    _ => Err(damaged_row(database, Table::Seals)),
                })?;
            let missing = || damaged(database.path(), "no count of rows");
            *seals.of_mut(table) = total.ok_or_else(missing)?;
        }
        Ok(seals)
    }

    /// Keeps what differs from what was kept `before`.
    pub(super) fn keep(&self, database: &Database, before: &Self) -> Result<()> {
        let sql = "UPDATE seals SET row_count = ?2, sum = ?3, seal = ?4 WHERE of_table = ?1";
        let mut statement = database.prepare(sql)?;
        for table in Table::COUNTED {
            if self.of(table) != before.of(table) {
                let columns = self.of(table).columns(table);
                let [of_table, row_count, sum] = columns;
                let seal = Value::Integer(seal_of(Table::Seals, &columns));
                statement.execute(&[of_table, row_count, sum, seal])?;
            }
        }
        Ok(())
    }

    /// The total of a table that is counted.
    pub(super) fn of(&self, table: Table) -> Total {
        self.0[table as usize - 1]
    }

    /// The total of a table that is counted, to be changed.
    pub(super) fn of_mut(&mut self, table: Table) -> &mut Total {
        &mut self.0[table as usize - 1]
    }
}
