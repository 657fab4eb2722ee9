//! A Parquet file read back whole by the parquet crate: names, types, and rows as JSON.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use serde_json::{Map, Value, json};

/// A file's contents.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    /// Names and types, as the README writes them.
    pub(crate) columns: Vec<(String, String)>,
    /// Each an object with every column; times are numbers in their unit, what is not finite is a string.
    pub(crate) rows: Vec<Value>,
}

impl Table {
    pub(crate) fn read(path: &Path) -> Self {
        // Pages are read where their index says that they are.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let file = File::open(path).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
        let about = builder.metadata();
        let chunks = about.row_groups().iter().flat_map(RowGroupMetaData::columns);
        let index_count = chunks.filter(|chunk| chunk.offset_index_offset().is_some()).count();
        let chunk_count: usize = about.row_groups().iter().map(RowGroupMetaData::num_columns).sum();
        assert!(
            index_count == 0 || index_count == chunk_count,
            "{index_count} of {chunk_count} have an index"
        );
        let fields = builder.schema().fields().clone();
        let columns = fields.iter().map(|field| (field.name().clone(), type_name(field.data_type())));
        let columns: Vec<_> = columns.collect();
        let row_count = builder.metadata().file_metadata().num_rows();
        let mut rows = Vec::new();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            for index in 0..batch.num_rows() {
                let cells = fields.iter().zip(batch.columns());
                let cells = cells.map(|(field, column)| (field.name().clone(), cell(column, index)));
                rows.push(Value::Object(cells.collect::<Map<_, _>>()));
            }
        }
        assert_eq!(row_count, rows.len() as i64, "the footer knows how many rows there are");
        Self { columns, rows }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[track_caller]
    pub(crate) fn type_of(&self, name: &str) -> &str {
        let column = self.columns.iter().find(|(known, _)| known == name);
        column.map_or_else(|| panic!("no column {name}: {:?}", self.columns), |(_, kind)| kind.as_str())
    }

    /// One column, downwards.
    #[track_caller]
    pub(crate) fn column(&self, name: &str) -> Vec<Value> {
        self.type_of(name);
        self.rows.iter().map(|row| row[name].clone()).collect()
    }
}

/// How many rows each row group has.
pub(crate) fn row_groups(path: &Path) -> Vec<i64> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.metadata().row_groups().iter().map(|group| group.num_rows()).collect()
}

fn type_name(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "bool".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) => format!("timestamp[ns, {zone}]"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => format!("timestamp[us, {zone}]"),
        DataType::List(element) | DataType::LargeList(element) => {
            format!("list<{}>", type_name(element.data_type()))
        }
        DataType::Struct(members) => {
            let members =
                members.iter().map(|member| format!("{}: {}", member.name(), type_name(member.data_type())));
            format!("struct<{}>", members.collect::<Vec<_>>().join(", "))
        }
        other => panic!("no type of an output: {other}"),
    }
}

fn cell(array: &dyn Array, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(index)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(index)),
        DataType::Float64 => double(array.as_primitive::<Float64Type>().value(index)),
        DataType::Utf8 => json!(array.as_string::<i32>().value(index)),
        DataType::LargeUtf8 => json!(array.as_string::<i64>().value(index)),
        DataType::Utf8View => json!(array.as_string_view().value(index)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            json!(array.as_primitive::<TimestampNanosecondType>().value(index))
        }
        DataType::Timestamp(..) => json!(array.as_primitive::<TimestampMicrosecondType>().value(index)),
        DataType::List(_) => elements(&array.as_list::<i32>().value(index)),
        DataType::LargeList(_) => elements(&array.as_list::<i64>().value(index)),
        DataType::Struct(members) => {
            let cells = members.iter().zip(array.as_struct().columns());
            let cells = cells.map(|(member, column)| (member.name().clone(), cell(column, index)));
            Value::Object(cells.collect())
        }
        other => panic!("no type of an output: {other}"),
    }
}

fn elements(list: &dyn Array) -> Value {
    (0..list.len()).map(|index| cell(list, index)).collect()
}

fn double(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

/// Whether two numbers agree, or are both null.
pub(crate) fn agree(found: &Value, expected: &Value, relative: f64) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= relative * expected.abs(),
        _ => found == expected,
    }
}
