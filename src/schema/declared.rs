//! A schema that is known before the first page: what the output begins with, and what records may be held to.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::{ColumnType, Kinds, NESTED_LEVELS_MAX, Shape, TimestampForms};
use crate::pointer;

/// The fields of records, in the order of their columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeclaredSchema {
    /// The fields of a record.
    pub fields: Vec<DeclaredField>,
}

/// A field of a record, or of an object in it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredField {
    /// The name of its column.
    pub name: Arc<str>,
    /// What it holds.
    pub of: DeclaredType,
    /// Whether it may be null or absent.
    pub is_nullable: bool,
}

/// What a field holds, as the output has it.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredType {
    /// `true` and `false`.
    Bool,
    /// Integers of 64 bits.
    Int64,
    /// Doubles, and integers that are doubles without loss.
    Double,
    /// Anything, as its text.
    Text,
    /// RFC 3339 in UTC, whatever the spelling: to microseconds, or to nanoseconds.
    Timestamp(TimeUnit),
    /// Objects with these fields and no others.
    Struct(Vec<DeclaredField>),
    /// Lists of values of this type, and of nulls.
    List(Box<DeclaredType>),
}

/// What is done with a record that does not fit a declared schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaContract {
    /// The schema grows: fields are added, types widen.
    #[default]
    Evolve,
    /// The run fails.
    Freeze,
    /// The record is rejected.
    DiscardRow,
    /// The values that do not fit become null, be the field nullable or not, and are kept in the rejects file.
    DiscardValue,
}

impl SchemaContract {
    /// Its name in `--schema-contract`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evolve => "evolve",
            Self::Freeze => "freeze",
            Self::DiscardRow => "discard_row",
            Self::DiscardValue => "discard_value",
        }
    }
}

impl DeclaredSchema {
    /// The schema of a table that is there already, but for the columns that `is_computed` names.
    ///
    /// # Errors
    /// A column has a type that no JSON value becomes.
    pub fn of_table(schema: &Schema, is_computed: impl Fn(&str) -> bool) -> Result<Self, String> {
        let fields = schema.fields().iter().filter(|field| !is_computed(field.name()));
        let fields = fields.map(|field| DeclaredField::of_column(field, "", 0));
        Self { fields: fields.collect::<Result<_, _>>()? }.checked()
    }

    /// The schema itself.
    ///
    /// # Errors
    /// A name stands twice.
    pub(super) fn checked(self) -> Result<Self, String> {
        check_names(&self.fields, "column").map(|()| self)
    }

    /// What records of this schema have been seen to be: the shape that a run begins with.
    pub fn shape(&self) -> Shape {
        shape_of_fields(&self.fields)
    }

    /// Whether a column that has seen what `shape` has can be the one of this name. Says nothing of nulls.
    pub fn admits(&self, name: &str, shape: &Shape) -> bool {
        self.field(name).is_some_and(|field| field.of.admits(shape))
    }

    /// The field of records with this name.
    pub fn field(&self, name: &str) -> Option<&DeclaredField> {
        self.fields.iter().find(|field| *field.name == *name)
    }

    /// The field that these names lead to.
    pub fn field_at<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<&DeclaredField> {
        let mut fields = &self.fields[..];
        let mut found = None;
        for name in names {
            let field = fields.iter().find(|field| *field.name == *name)?;
            found = Some(field);
            fields = if let DeclaredType::Struct(below) = &field.of { below } else { &[] };
        }
        found
    }

    /// Columns without columns below them.
    pub fn leaf_count(&self) -> usize {
        self.fields.iter().map(|field| field.of.leaf_count()).sum()
    }

    /// The most fields that an object inside records has.
    pub fn object_keys_max(&self) -> usize {
        self.fields.iter().map(|field| field.of.object_keys_max()).max().unwrap_or(0)
    }
}

impl DeclaredField {
    fn of_column(field: &Field, above: &str, level: u32) -> Result<Self, String> {
        let pointer = format!("{above}{}", pointer::show([field.name().as_str()]));
        let of = DeclaredType::of_column(field.data_type(), &pointer, level)?;
        Ok(Self { name: field.name().as_str().into(), of, is_nullable: field.is_nullable() })
    }
}

impl DeclaredType {
    /// The type of a column that has been inferred.
    pub fn of_inferred(of: &ColumnType) -> Self {
        match of {
            ColumnType::Bool => Self::Bool,
            ColumnType::Int64 => Self::Int64,
            ColumnType::Double => Self::Double,
            ColumnType::Timestamp(forms) => Self::Timestamp(forms.unit()),
            ColumnType::Null | ColumnType::EmptyObject | ColumnType::Text(_) => Self::Text,
            ColumnType::Struct(fields) => {
                let field = |(name, of): &(Arc<str>, ColumnType)| DeclaredField {
                    name: Arc::clone(name),
                    of: Self::of_inferred(of),
                    is_nullable: true,
                };
                Self::Struct(fields.iter().map(field).collect())
            }
            ColumnType::List(element) => Self::List(Box::new(Self::of_inferred(element))),
        }
    }

    /// `level` counts the structs and lists around it.
    fn of_column(of: &DataType, pointer: &str, level: u32) -> Result<Self, String> {
        let below = level + 1;
        Ok(match of {
            DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) if below > NESTED_LEVELS_MAX => {
                return Err(format!("column {pointer}: {}", too_deep()));
            }
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Int64,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Self::Int64,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Double,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Self::Timestamp(TimeUnit::Nanosecond),
            DataType::Timestamp(..) => Self::Timestamp(TimeUnit::Microsecond),
            DataType::Dictionary(_, values) => Self::of_column(values, pointer, level)?,
            DataType::List(element) | DataType::LargeList(element) => {
                Self::List(Box::new(Self::of_column(element.data_type(), pointer, below)?))
            }
            DataType::Struct(fields) if !fields.is_empty() => {
                let fields = fields.iter().map(|field| DeclaredField::of_column(field, pointer, below));
                Self::Struct(fields.collect::<Result<_, _>>()?)
            }
            other => {
                return Err(format!(
                    "column {pointer}: expected a type that JSON values become (bool, integers, floats, strings, \
                     timestamps, structs, lists), got {other}"
                ));
            }
        })
    }

    /// The type with this name; `fields` are those of the struct in it.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn parse(text: &str, fields: Vec<DeclaredField>) -> Result<Self, String> {
        let text = text.trim();
        // Counted before it is read, since that goes into itself.
        if text.matches('<').count() > NESTED_LEVELS_MAX as usize {
            return Err(too_deep());
        }
        if let Some(element) = text.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
            return Ok(Self::List(Box::new(Self::parse(element, fields)?)));
        }
        let of = match text {
            "struct" if fields.is_empty() => {
                return Err("expected a field of the struct, got none".to_owned());
            }
            "struct" => return Ok(Self::Struct(fields)),
            "bool" => Self::Bool,
            "int64" => Self::Int64,
            "double" => Self::Double,
            "string" => Self::Text,
            "timestamp[us, UTC]" => Self::Timestamp(TimeUnit::Microsecond),
            "timestamp[ns, UTC]" => Self::Timestamp(TimeUnit::Nanosecond),
            _ => {
                return Err(format!(
                    "expected the type bool, int64, double, string, timestamp[us, UTC], timestamp[ns, UTC], struct \
                     or list<...>, got {text:?}"
                ));
            }
        };
        if fields.is_empty() {
            Ok(of)
        } else {
            Err(format!("expected no fields in a {text}, only in a struct"))
        }
    }

    /// The type itself.
    ///
    /// # Errors
    /// It is nested deeper than columns are.
    pub(super) fn of_some_depth(self) -> Result<Self, String> {
        if self.level_count() <= NESTED_LEVELS_MAX { Ok(self) } else { Err(too_deep()) }
    }

    /// Whether it is what a `--values` field holds.
    pub fn is_list_of_doubles(&self) -> bool {
        matches!(self, Self::List(element) if **element == Self::Double)
    }

    /// The innermost type: that of the elements, of a list.
    pub(super) fn innermost(&self) -> &Self {
        if let Self::List(element) = self { element.innermost() } else { self }
    }

    /// Levels of structs and lists.
    fn level_count(&self) -> u32 {
        match self {
            Self::Struct(fields) => 1 + fields.iter().map(|field| field.of.level_count()).max().unwrap_or(0),
            Self::List(element) => 1 + element.level_count(),
            _ => 0,
        }
    }

    /// Columns without columns below them.
    fn leaf_count(&self) -> usize {
        match self.innermost() {
            Self::Struct(fields) => fields.iter().map(|field| field.of.leaf_count()).sum(),
            _ => 1,
        }
    }

    fn object_keys_max(&self) -> usize {
        match self.innermost() {
            Self::Struct(fields) => {
                let below = fields.iter().map(|field| field.of.object_keys_max()).max().unwrap_or(0);
                fields.len().max(below)
            }
            _ => 0,
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Bool => Shape::of_kinds(Kinds::BOOL),
            Self::Int64 => Shape::of_kinds(Kinds::INT),
            Self::Double => Shape::of_kinds(Kinds::DOUBLE),
            Self::Text => Shape::of_kinds(Kinds::STRING),
            Self::Timestamp(unit) => {
                Shape { forms: TimestampForms::any(*unit), ..Shape::of_kinds(Kinds::STRING) }
            }
            Self::Struct(fields) => shape_of_fields(fields),
            Self::List(element) => {
                Shape { element: Some(Box::new(element.shape())), ..Shape::of_kinds(Kinds::LIST) }
            }
        }
    }

    fn admits(&self, shape: &Shape) -> bool {
        let are_within = |kinds: Kinds| shape.kinds.is_within(kinds);
        match self {
            Self::Bool => are_within(Kinds::BOOL),
            Self::Int64 => are_within(Kinds::INT.with(Kinds::INT_WIDE)),
            Self::Double => are_within(Kinds::INT.with(Kinds::DOUBLE)),
            Self::Text => true,
            Self::Timestamp(unit) => {
                are_within(Kinds::STRING) && (shape.kinds == Kinds::NONE || shape.forms.fit(*unit))
            }
            Self::Struct(fields) => are_within(Kinds::OBJECT) && fields_admit(fields, shape),
            Self::List(element) => {
                are_within(Kinds::LIST) && shape.element.as_ref().is_none_or(|shape| element.admits(shape))
            }
        }
    }
}

fn check_names(fields: &[DeclaredField], above: &str) -> Result<(), String> {
    let mut names = HashSet::new();
    fields.iter().try_for_each(|field| {
        let place = format!("{above} {:?}", field.name);
        if !names.insert(&field.name) {
            return Err(format!("{place}: expected each name once, got it twice"));
        }
        match field.of.innermost() {
            DeclaredType::Struct(below) => check_names(below, &format!("{place} field")),
            _ => Ok(()),
        }
    })
}

fn too_deep() -> String {
    format!("expected at most {NESTED_LEVELS_MAX} levels of structs and lists, got more")
}

fn shape_of_fields(fields: &[DeclaredField]) -> Shape {
    let fields = fields.iter().map(|field| (Arc::clone(&field.name), field.of.shape())).collect();
    Shape { fields, ..Shape::of_kinds(Kinds::OBJECT) }
}

fn fields_admit(fields: &[DeclaredField], shape: &Shape) -> bool {
    let mut by_place = fields.iter();
    shape.fields.iter().all(|(name, shape)| {
        // Mostly in one order: look at the next one before searching.
        let next = by_place.next().filter(|field| field.name == *name);
        let found = next.or_else(|| fields.iter().find(|field| field.name == *name));
        found.is_some_and(|field| field.of.admits(shape))
    })
}

impl fmt::Display for DeclaredField {
    /// `"name": type`, the name as JSON, with the fields of objects, and an exclamation mark where it must have a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", serde_json::Value::from(&*self.name), self.of)?;
        if let DeclaredType::Struct(fields) = self.of.innermost() {
            let below: Vec<_> = fields.iter().map(Self::to_string).collect();
            write!(f, " {{{}}}", below.join(", "))?;
        }
        f.write_str(if self.is_nullable { "" } else { "!" })
    }
}

impl fmt::Display for DeclaredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int64 => "int64",
            Self::Double => "double",
            Self::Text => "string",
            Self::Timestamp(TimeUnit::Nanosecond) => "timestamp[ns, UTC]",
            Self::Timestamp(_) => "timestamp[us, UTC]",
            Self::Struct(_) => "struct",
            Self::List(element) => return write!(f, "list<{element}>"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, of: DeclaredType) -> DeclaredField {
        DeclaredField { name: name.into(), of, is_nullable: true }
    }

    #[test]
    fn type_is_read_as_it_is_shown() {
        let fields = || vec![field("a", DeclaredType::Int64)];
        for text in
            ["bool", "int64", "double", "string", "timestamp[us, UTC]", "list<list<timestamp[ns, UTC]>>"]
        {
            assert_eq!(DeclaredType::parse(text, Vec::new()).unwrap().to_string(), text);
            assert!(DeclaredType::parse(text, fields()).is_err(), "{text} has no fields");
        }
        for text in ["struct", "list<struct>"] {
            assert_eq!(DeclaredType::parse(text, fields()).unwrap().to_string(), text);
            assert!(DeclaredType::parse(text, Vec::new()).is_err(), "{text} has fields");
        }
        for wrong in ["", "int32", "list<>", "list<int64", "List<int64>", "timestamp"] {
            assert!(DeclaredType::parse(wrong, Vec::new()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shape_of_a_schema_has_the_types_of_the_schema() {
        let inner = DeclaredType::Struct(vec![field("t", DeclaredType::Timestamp(TimeUnit::Nanosecond))]);
        let types = [
            DeclaredType::Bool,
            DeclaredType::Int64,
            DeclaredType::Double,
            DeclaredType::Text,
            DeclaredType::Timestamp(TimeUnit::Microsecond),
            DeclaredType::List(Box::new(inner.clone())),
            inner,
        ];
        for of in types {
            let schema = DeclaredSchema { fields: vec![field("x", of.clone())] };
            let shape = schema.shape();
            assert_eq!(DeclaredType::of_inferred(&shape.fields[0].1.column_type()), of);
            assert!(schema.admits("x", &shape.fields[0].1), "{of}");
        }
    }
}
