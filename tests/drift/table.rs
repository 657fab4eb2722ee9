//! A table to be compared with another: read back from a file, with or without the order of what is in it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Names and types of columns, and the rows of their values.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<(String, DataType)>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    /// In words that tell -0 from 0.
    Double(String),
    /// The number of the column's unit.
    Timestamp(i64),
    Text(String),
    List(Vec<Cell>),
    Object(Vec<(String, Cell)>),
}

impl Table {
    /// What the file holds.
    pub(crate) fn read(path: &Path) -> Self {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let fields = builder.schema().fields().iter();
        let columns = fields.map(|field| (field.name().clone(), field.data_type().clone())).collect();
        let mut rows = Vec::new();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            let row = |row| batch.columns().iter().map(|column| cell_at(column, row)).collect();
            rows.extend((0..batch.num_rows()).map(row));
        }
        Self { columns, rows }
    }

    /// The same without an order of columns, members and rows.
    pub(crate) fn sorted(mut self) -> Self {
        let mut places: Vec<_> = (0..self.columns.len()).collect();
        places.sort_by_key(|place| (self.columns[*place].0 != "id", self.columns[*place].0.clone()));
        self.columns = places
            .iter()
            .map(|place| (self.columns[*place].0.clone(), with_sorted_members(&self.columns[*place].1)))
            .collect();
        for row in &mut self.rows {
            *row = places.iter().map(|place| row[*place].clone().sorted()).collect();
        }
        self.rows.sort();
        self
    }
}

impl Cell {
    fn sorted(self) -> Self {
        match self {
            Self::List(cells) => Self::List(cells.into_iter().map(Self::sorted).collect()),
            Self::Object(members) => {
                let mut members: Vec<_> =
                    members.into_iter().map(|(name, cell)| (name, cell.sorted())).collect();
                members.sort();
                Self::Object(members)
            }
            other => other,
        }
    }
}

fn with_sorted_members(of: &DataType) -> DataType {
    let sorted = |member: &FieldRef| {
        let of = with_sorted_members(member.data_type());
        Arc::new(member.as_ref().clone().with_data_type(of))
    };
    match of {
        DataType::List(element) => DataType::List(sorted(element)),
        DataType::Struct(members) => {
            let mut members: Vec<FieldRef> = members.iter().map(sorted).collect();
            members.sort_by(|left, right| left.name().cmp(right.name()));
            DataType::Struct(members.into())
        }
        other => other.clone(),
    }
}

fn cell_at(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Double(format!("{:?}", array.as_primitive::<Float64Type>().value(row))),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Cell::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Cell::Timestamp(array.as_primitive::<TimestampNanosecondType>().value(row))
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            Cell::List((0..elements.len()).map(|element| cell_at(&elements, element)).collect())
        }
        DataType::Struct(fields) => {
            let members = fields.iter().zip(array.as_struct().columns());
            Cell::Object(
                members.map(|(field, column)| (field.name().clone(), cell_at(column, row))).collect(),
            )
        }
        other => panic!("no output has values of the type {other}"),
    }
}
