//! The type lattice: what has been seen of a column, and the type that holds all of it.
//!
//! A [`Shape`] is the set of kinds of values seen, so that the union of two shapes is commutative and
//! associative, and the type ([`Shape::column_type`]) is a function of that set. The schema of a run
//! therefore does not depend on where pages or chunks end, beyond the order of the columns.
//! Nothing here looks at JSON or at Parquet.

mod convert;
mod declared;
mod output;
mod profile;
mod schema_file;
mod text;
mod timestamp;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

use crate::pointer;

pub use convert::convert;
pub(crate) use convert::{Form, convert_inside, holds_fragments, to_form};
pub use declared::{DeclaredField, DeclaredSchema, DeclaredType, SchemaContract};
pub use output::{LEAF_COLUMNS_MAX, TooManyColumns, check_leaf_columns, leaf_count, output_field, type_name};
pub use profile::{Profile, ProfiledFields, Survey};
pub use schema_file::{read_schema, show_schema};
pub use text::{JsonText, write_double, write_json_double, write_json_string};
pub use timestamp::{Instant, TimestampForms, TimestampText, read_timestamp};
pub(crate) use timestamp::{timestamp_array, timestamp_values};

/// Levels of objects and lists inside records that are columns; what is deeper is JSON text. Readers give up below
/// (pyarrow at 50 lists, DuckDB's time doubles with each), and one such record would close the whole file to them.
pub const NESTED_LEVELS_MAX: u32 = 16;
/// Integers up to here are doubles without loss.
pub const DOUBLE_INTEGER_MAX: u64 = 1 << 53;

/// The kinds of JSON values that a column has held. Nulls are no kind: every column may hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kinds(u16);

impl Kinds {
    /// Nothing but nulls, or nothing at all.
    pub const NONE: Self = Self(0);
    /// `true` or `false`.
    pub const BOOL: Self = Self(1);
    /// An integer within ±2^53.
    pub const INT: Self = Self(1 << 1);
    /// An integer beyond ±2^53 that fits 64 bits.
    pub const INT_WIDE: Self = Self(1 << 2);
    /// An integer beyond 64 bits.
    pub const INT_HUGE: Self = Self(1 << 3);
    /// A number with a fraction, an exponent or a negative zero.
    pub const DOUBLE: Self = Self(1 << 4);
    /// A string.
    pub const STRING: Self = Self(1 << 5);
    /// An object.
    pub const OBJECT: Self = Self(1 << 6);
    /// An array.
    pub const LIST: Self = Self(1 << 7);
    /// Objects or lists that are kept as JSON text: they have more keys together than [`Nesting`] allows, or are nested
    /// deeper than [`NESTED_LEVELS_MAX`].
    pub const JSON: Self = Self(1 << 8);

    /// The kinds of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every kind of `other` is among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there are numbers, and nothing else.
    pub const fn is_of_numbers(self) -> bool {
        let numbers = Self::INT.with(Self::INT_WIDE).with(Self::DOUBLE);
        self.0 != 0 && self.is_within(numbers)
    }

    const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

/// Which objects inside records are columns of their own, and which are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nesting {
    /// Most distinct keys that all objects of a column have together before they become JSON text.
    pub keys_max: usize,
}

impl Nesting {
    /// Every object is a struct.
    pub const STRUCT: Self = Self { keys_max: usize::MAX };
    /// Every object is JSON text.
    pub const JSON: Self = Self { keys_max: 0 };
}

impl Default for Nesting {
    /// Up to 64 keys: APIs write objects by hand that have some dozens, and labels or headers soon have more.
    fn default() -> Self {
        Self { keys_max: 64 }
    }
}

/// What has been seen of a column: kinds of values, and below objects and lists the same again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Shape {
    /// Kinds of values.
    pub kinds: Kinds,
    /// Spellings that all strings so far share, if all are timestamps.
    pub forms: TimestampForms,
    /// Members of the objects in order of first appearance; empty once the column is text.
    pub fields: Vec<(Arc<str>, Shape)>,
    /// Elements of the lists; `None` before the first list and once the column is text.
    pub element: Option<Box<Shape>>,
}

/// Whether a text value is a JSON string or another JSON value when it is put back inside JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// All values were strings.
    Strings,
    /// No value was a string: integers beyond 64 bits, booleans beside numbers, ...
    Tokens,
    /// Both occurred.
    Mixed,
}

/// The type of a column, as a function of its [`Shape`].
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnType {
    /// Nothing but nulls so far.
    Null,
    /// Booleans.
    Bool,
    /// Integers of 64 bits.
    Int64,
    /// Doubles.
    Double,
    /// Microseconds or nanoseconds since 1970 in UTC, and how they were spelled.
    Timestamp(TimestampForms),
    /// Text, and how it is put back inside JSON.
    Text(Quoting),
    /// Objects without a member so far.
    EmptyObject,
    /// Objects; members in order of first appearance.
    Struct(Vec<(Arc<str>, ColumnType)>),
    /// Lists.
    List(Box<ColumnType>),
}

impl ColumnType {
    /// Columns without columns below them.
    pub fn leaf_count(&self) -> usize {
        match self {
            Self::Struct(fields) => fields.iter().map(|(_, of)| of.leaf_count()).sum(),
            Self::List(element) => element.leaf_count(),
            _ => 1,
        }
    }

    /// The type with one of its leaves alone, and what leads there.
    ///
    /// # Panics
    /// There is no such leaf.
    #[must_use]
    pub fn only_leaf(&self, leaf: usize) -> Self {
        match self {
            Self::Struct(fields) => {
                let mut left = leaf;
                for (name, of) in fields {
                    let count = of.leaf_count();
                    if left < count {
                        return Self::Struct(vec![(Arc::clone(name), of.only_leaf(left))]);
                    }
                    left -= count;
                }
                panic!("expected a leaf of {} fields, got leaf {leaf}", fields.len())
            }
            Self::List(element) => Self::List(Box::new(element.only_leaf(leaf))),
            _ => self.clone(),
        }
    }
}

impl Shape {
    /// The shape of values of these kinds, without anything below.
    pub fn of_kinds(kinds: Kinds) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// Takes in all that `other` has seen, of whole records. Returns whether anything was new.
    pub fn unite(&mut self, other: &Self, nesting: Nesting) -> bool {
        // A record is no object inside a record: all of its keys are columns.
        self.unite_object(other, usize::MAX, nesting)
    }

    fn unite_object(&mut self, other: &Self, keys_max: usize, nesting: Nesting) -> bool {
        let before = (self.kinds, self.forms);
        self.forms = match (self.kinds.has(Kinds::STRING), other.kinds.has(Kinds::STRING)) {
            (true, true) => self.forms.both(other.forms),
            (true, false) => self.forms,
            (false, _) => other.forms,
        };
        self.kinds = self.kinds.with(other.kinds);
        if [Kinds::OBJECT, Kinds::LIST].iter().all(|kind| !self.kinds.is_within(kind.with(Kinds::JSON))) {
            // Text by conflict, where keys are not counted any more: when they became too many depends on the order.
            self.kinds = Kinds(self.kinds.0 & !Kinds::JSON.0);
        }
        if self.is_text() {
            self.forget_below();
            return before != (self.kinds, self.forms);
        }
        let mut grew = before != (self.kinds, self.forms);
        if let Some(theirs) = &other.element {
            match &mut self.element {
                Some(ours) => grew |= ours.unite_object(theirs, nesting.keys_max, nesting),
                None => {
                    self.element = Some(theirs.clone());
                    grew = true;
                }
            }
        }
        grew |= unite_fields(&mut self.fields, &other.fields, nesting);
        if self.fields.len() > keys_max {
            self.kinds = self.kinds.with(Kinds::JSON);
            self.forget_below();
        }
        grew
    }

    /// Text takes everything in, so what was below or how it was spelled no longer matters.
    fn forget_below(&mut self) {
        self.forms = TimestampForms::NONE;
        self.fields.clear();
        self.element = None;
    }

    /// Whether the column is text: by conflict, because nothing narrower holds its values, or because its keys are
    /// data.
    pub fn is_text(&self) -> bool {
        let kinds = self.kinds;
        match kinds {
            Kinds::NONE | Kinds::BOOL | Kinds::OBJECT | Kinds::LIST => false,
            Kinds::STRING => self.forms.is_empty(),
            _ if kinds.is_within(Kinds::INT.with(Kinds::INT_WIDE)) => false,
            _ => !kinds.is_within(Kinds::INT.with(Kinds::DOUBLE)),
        }
    }

    /// JSON Pointers to the columns that are kept as JSON text, for their many keys or their depth; lists are passed
    /// through.
    pub fn json_columns(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.find_json("", &mut found);
        found
    }

    fn find_json(&self, pointer: &str, found: &mut Vec<String>) {
        if self.kinds.has(Kinds::JSON) {
            found.push(pointer.to_owned());
        }
        for (name, shape) in &self.fields {
            shape.find_json(&format!("{pointer}{}", pointer::show([name.as_ref()])), found);
        }
        if let Some(element) = &self.element {
            element.find_json(pointer, found);
        }
    }

    /// The narrowest type that holds every value seen without loss.
    pub fn column_type(&self) -> ColumnType {
        let kinds = self.kinds;
        if self.is_text() {
            return ColumnType::Text(self.quoting());
        }
        match kinds {
            Kinds::NONE => ColumnType::Null,
            Kinds::BOOL => ColumnType::Bool,
            Kinds::STRING => ColumnType::Timestamp(self.forms),
            Kinds::OBJECT if self.fields.is_empty() => ColumnType::EmptyObject,
            Kinds::OBJECT => ColumnType::Struct(
                self.fields.iter().map(|(name, shape)| (Arc::clone(name), shape.column_type())).collect(),
            ),
            Kinds::LIST => ColumnType::List(Box::new(
                self.element.as_ref().map_or(ColumnType::Null, |element| element.column_type()),
            )),
            _ if kinds.has(Kinds::DOUBLE) => ColumnType::Double,
            _ => ColumnType::Int64,
        }
    }

    fn quoting(&self) -> Quoting {
        match (self.kinds.has(Kinds::STRING), self.kinds == Kinds::STRING) {
            (true, true) => Quoting::Strings,
            (true, false) => Quoting::Mixed,
            (false, _) => Quoting::Tokens,
        }
    }
}

fn unite_fields(ours: &mut Vec<(Arc<str>, Shape)>, theirs: &[(Arc<str>, Shape)], nesting: Nesting) -> bool {
    let mut grew = false;
    let mut places: Option<HashMap<Arc<str>, usize>> = None;
    for (position, (name, shape)) in theirs.iter().enumerate() {
        // Pages of one source mostly have their fields in one order: look there before hashing.
        let same_place = ours.get(position).is_some_and(|(ours_name, _)| ours_name == name);
        let place = if same_place {
            Some(position)
        } else {
            let places = places.get_or_insert_with(|| {
                ours.iter().enumerate().map(|(place, (name, _))| (Arc::clone(name), place)).collect()
            });
            places.get(name).copied()
        };
        match place {
            Some(place) => grew |= ours[place].1.unite_object(shape, nesting.keys_max, nesting),
            None => {
                if let Some(places) = &mut places {
                    places.insert(Arc::clone(name), ours.len());
                }
                ours.push((Arc::clone(name), shape.clone()));
                grew = true;
            }
        }
    }
    grew
}

impl ColumnType {
    /// How values of this type stand in memory and in parts. Mixed text inside objects and lists is
    /// kept as JSON fragments there (see [`convert()`]); everything else is as it is published, but for
    /// columns whose type is still open (null, empty object).
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Timestamp(forms) => forms.data_type(),
            Self::Text(_) => DataType::Utf8,
            Self::EmptyObject => DataType::Struct(Fields::empty()),
            Self::Struct(fields) => DataType::Struct(
                fields.iter().map(|(name, of)| Field::new(name.as_ref(), of.data_type(), true)).collect(),
            ),
            Self::List(element) => DataType::List(Arc::new(element_field(element.data_type()))),
        }
    }
}

impl ColumnType {
    /// Whether values of both types stand in a part in the same way, so that a part can go on with the
    /// other one: they differ in nothing but how timestamps were spelled.
    pub(crate) fn is_stored_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Timestamp(ours), Self::Timestamp(theirs)) => ours.unit() == theirs.unit(),
            (Self::Struct(ours), Self::Struct(theirs)) => are_stored_alike(ours, theirs),
            (Self::List(ours), Self::List(theirs)) => ours.is_stored_like(theirs),
            _ => self == other,
        }
    }
}

/// As [`ColumnType::is_stored_like`], for all columns of a record or an object.
pub(crate) fn are_stored_alike(ours: &[(Arc<str>, ColumnType)], theirs: &[(Arc<str>, ColumnType)]) -> bool {
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(theirs)
            .all(|((name, of), (their_name, their))| name == their_name && of.is_stored_like(their))
}

/// The field of a list's elements, under the name that the Parquet specification gives it.
pub fn element_field(data_type: DataType) -> Field {
    Field::new("element", data_type, true)
}
