//! The schema as readers of the file see it: types that are still open are closed to text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::{ColumnType, element_field};
use crate::pointer;

/// Most leaf columns of an output. The Parquet footer and the encoder's buffers grow with each one;
/// past this, an object is being used as a map.
pub const LEAF_COLUMNS_MAX: usize = 5_000;

/// The records have more leaf columns than a file may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the records have {leaf_count} leaf columns and {LEAF_COLUMNS_MAX} is the limit; \
     most are in {object}, whose keys look like data; --nested json keeps objects inside records as text"
)]
pub struct TooManyColumns {
    /// Leaf columns altogether.
    pub leaf_count: usize,
    /// JSON Pointer to the object with the most of them; "the record itself" when it is the record.
    pub object: String,
}

/// The field of a top-level column in the published file.
pub fn output_field(name: &str, of: &ColumnType) -> Field {
    Field::new(name, stored_data_type(of), true)
}

/// The Arrow type in which values of this type are stored.
pub(super) fn stored_data_type(of: &ColumnType) -> DataType {
    match of {
        ColumnType::Null | ColumnType::EmptyObject => DataType::Utf8,
        ColumnType::Struct(fields) => DataType::Struct(
            fields.iter().map(|(name, of)| Field::new(name.as_ref(), stored_data_type(of), true)).collect(),
        ),
        ColumnType::List(element) => DataType::List(Arc::new(element_field(stored_data_type(element)))),
        _ => of.data_type(),
    }
}

/// An output type as pyarrow spells it: `list<double>`, `timestamp[us, UTC]`.
pub fn type_name(of: &DataType) -> String {
    match of {
        DataType::Boolean => "bool".into(),
        DataType::Int64 => "int64".into(),
        DataType::Float64 => "double".into(),
        DataType::Utf8 => "string".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "timestamp[ns, UTC]".into(),
        DataType::Timestamp(..) => "timestamp[us, UTC]".into(),
        DataType::List(element) => format!("list<{}>", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let members: Vec<_> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), type_name(field.data_type())))
                .collect();
            format!("struct<{}>", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// The leaf columns that a type takes in a file.
pub fn leaf_count(of: &DataType) -> usize {
    match of {
        DataType::Struct(fields) => fields.iter().map(|field| leaf_count(field.data_type())).sum(),
        DataType::List(element) => leaf_count(element.data_type()),
        _ => 1,
    }
}

/// Checks a record's columns against [`LEAF_COLUMNS_MAX`].
///
/// # Errors
/// There are more; the object with the most members is named.
pub fn check_leaf_columns(fields: &[(Arc<str>, ColumnType)]) -> Result<(), TooManyColumns> {
    let leaf_count = fields.iter().map(|(_, of)| leaves(of)).sum();
    if leaf_count <= LEAF_COLUMNS_MAX {
        return Ok(());
    }
    let mut widest = (fields.len(), "the record itself".to_owned());
    for (name, of) in fields {
        find_widest(of, &pointer::show([name.as_ref()]), &mut widest);
    }
    Err(TooManyColumns { leaf_count, object: widest.1 })
}

fn leaves(of: &ColumnType) -> usize {
    match of {
        ColumnType::Struct(fields) => fields.iter().map(|(_, of)| leaves(of)).sum(),
        ColumnType::List(element) => leaves(element),
        _ => 1,
    }
}

fn find_widest(of: &ColumnType, pointer: &str, widest: &mut (usize, String)) {
    match of {
        ColumnType::Struct(fields) => {
            if fields.len() > widest.0 {
                *widest = (fields.len(), pointer.to_owned());
            }
            for (name, of) in fields {
                let pointer = format!("{pointer}{}", pointer::show([name.as_ref()]));
                find_widest(of, &pointer, widest);
            }
        }
        ColumnType::List(element) => find_widest(element, pointer, widest),
        _ => {}
    }
}
