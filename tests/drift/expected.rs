//! The table that records come to, as the lattice says it of all of them together. Slow and plain on purpose.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use chrono::DateTime;
use etl::config::{Feature, FeatureConfig};
use etl::schema::{Nesting, Quoting};

use crate::json::Json;
use crate::reference::Type;
use crate::table::{Cell, Table};

impl Table {
    /// What these records come to, whoever knows all of them from the start.
    pub(crate) fn of(records: &[Json], nesting: Nesting, features: &FeatureConfig) -> Self {
        let records: Vec<_> = records.iter().collect();
        let mut types = types_of_members(&records, nesting);
        for field in &features.fields {
            make_summarised(&mut types, field.path.keys());
        }
        let mut table = Self {
            columns: types.iter().map(|(name, of)| (name.clone(), published(of))).collect(),
            rows: records
                .iter()
                .map(|record| {
                    types.iter().map(|(name, of)| published_cell(member(record, name), of)).collect()
                })
                .collect(),
        };
        for field in &features.fields {
            let lists: Vec<_> = records.iter().map(|record| value_at(record, field.path.keys())).collect();
            if features.fields_are_explicit || lists.iter().any(Option::is_some) {
                for feature in &features.features {
                    let of = if feature.is_count() { DataType::Int64 } else { DataType::Float64 };
                    table.columns.push((format!("{}_{}", field.name, feature.name()), of));
                }
                for (row, list) in table.rows.iter_mut().zip(lists) {
                    row.extend(features.features.iter().map(|feature| feature_of(list, *feature)));
                }
            }
        }
        table
    }
}

/// The type of these values together. Objects and lists are looked into here, since how many keys make text of
/// an object is another number for each seed.
fn type_of(values: &[&Json], nesting: Nesting) -> Type {
    let present: Vec<&Json> = values.iter().copied().filter(|value| **value != Json::Null).collect();
    let all = |is_kind: fn(&Json) -> bool| !present.is_empty() && present.iter().all(|value| is_kind(value));
    if all(|value| matches!(value, Json::Object(_))) {
        let members = types_of_members(&present, nesting);
        return match members.len() {
            0 => Type::EmptyObject,
            count if count > nesting.keys_max => Type::Text(Quoting::Tokens),
            _ => Type::Struct(members),
        };
    }
    if all(|value| matches!(value, Json::List(_))) {
        let elements: Vec<&Json> = present.iter().flat_map(|value| elements_of(value)).collect();
        return Type::List(Box::new(type_of(&elements, nesting)));
    }
    Type::of(&present)
}

/// The members of all these objects in the order of their first appearance.
fn types_of_members(objects: &[&Json], nesting: Nesting) -> Vec<(String, Type)> {
    let mut members: Vec<(&str, Vec<&Json>)> = Vec::new();
    for object in objects {
        let Json::Object(of_object) = object else { unreachable!("all are objects") };
        for (key, value) in of_object {
            match members.iter_mut().find(|(name, _)| name == key) {
                Some((_, values)) => values.push(value),
                None => members.push((key, vec![value])),
            }
        }
    }
    members.into_iter().map(|(name, values)| (name.to_owned(), type_of(&values, nesting))).collect()
}

fn elements_of(list: &Json) -> &[Json] {
    let Json::List(elements) = list else { unreachable!("all are lists") };
    elements
}

/// A list that is summarised holds doubles, whatever has been seen of it.
fn make_summarised(types: &mut [(String, Type)], keys: &[String]) {
    let Some((key, below)) = keys.split_first() else { return };
    let Some((_, of)) = types.iter_mut().find(|(name, _)| name == key) else { return };
    match of {
        _ if below.is_empty() => *of = Type::List(Box::new(Type::Double)),
        Type::Struct(members) => make_summarised(members, below),
        _ => {}
    }
}

/// The Arrow type of a column of the output.
fn published(of: &Type) -> DataType {
    match of {
        Type::Null | Type::EmptyObject | Type::Text(_) => DataType::Utf8,
        Type::Bool => DataType::Boolean,
        Type::Int64 => DataType::Int64,
        Type::Double => DataType::Float64,
        Type::Timestamp(unit) => DataType::Timestamp(*unit, Some("UTC".into())),
        Type::List(element) => DataType::List(Arc::new(Field::new("element", published(element), true))),
        Type::Struct(members) => {
            DataType::Struct(members.iter().map(|(name, of)| Field::new(name, published(of), true)).collect())
        }
    }
}

/// A value in a column of the output.
fn published_cell(value: Option<&Json>, of: &Type) -> Cell {
    match (of, value) {
        (_, None | Some(Json::Null)) => Cell::Null,
        (Type::Bool, Some(Json::Bool(value))) => Cell::Bool(*value),
        (Type::Int64, Some(Json::Int(value))) => Cell::Int(*value),
        (Type::Double, Some(Json::Int(value))) => Cell::Double(format!("{:?}", *value as f64)),
        (Type::Double, Some(Json::Double(value))) => Cell::Double(format!("{value:?}")),
        (Type::Timestamp(unit), Some(Json::Text(text))) => {
            let time = DateTime::parse_from_rfc3339(text).expect("the reference said timestamp");
            Cell::Timestamp(match unit {
                TimeUnit::Nanosecond => time.timestamp_nanos_opt().expect("the reference said that it fits"),
                _ => time.timestamp_micros(),
            })
        }
        (Type::List(of), Some(Json::List(elements))) => {
            Cell::List(elements.iter().map(|element| published_cell(Some(element), of)).collect())
        }
        (Type::Struct(types), Some(object @ Json::Object(_))) => {
            let cell = |(name, of): &(String, Type)| (name.clone(), published_cell(member(object, name), of));
            Cell::Object(types.iter().map(cell).collect())
        }
        (Type::EmptyObject | Type::Text(_), Some(value)) => Cell::Text(value.text()),
        (of, value) => unreachable!("the reference said {of:?} of {value:?}"),
    }
}

fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    value_at(object, &[name.to_owned()])
}

/// What stands in a record where these keys lead.
fn value_at<'a>(record: &'a Json, keys: &[String]) -> Option<&'a Json> {
    keys.iter().try_fold(record, |value, key| match value {
        Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
        _ => None,
    })
}

/// A feature of a list whose values are quarters, so that sums are exact in any order.
fn feature_of(list: Option<&Json>, feature: Feature) -> Cell {
    let Some(Json::List(elements)) = list else { return Cell::Null };
    let values: Vec<f64> = elements
        .iter()
        .filter_map(|element| match element {
            Json::Int(value) => Some(*value as f64),
            Json::Double(value) => Some(*value),
            _ => None,
        })
        .collect();
    let max = values.iter().copied().reduce(f64::max);
    match (feature, max) {
        (Feature::Count, _) => Cell::Int(values.len() as i64),
        (Feature::Max, Some(max)) => Cell::Double(format!("{max:?}")),
        (_, None) => Cell::Null,
        (other, _) => unreachable!("{other:?} is not asked for"),
    }
}
