//! Trees of `serde_json` as columns: what a program does that reads values first and wants a table of them.
//!
//! Plain vectors that grow, found by key, and the default features of the list `values`. Written as one would
//! who wants it short and not slow. It does less than the decoder: no record is refused, text that holds times stays
//! text, and but for integers among doubles the values of one place are of one kind.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Records as columns.
#[derive(Default)]
pub(crate) struct Table {
    row_count: usize,
    columns: HashMap<String, Column>,
    features: Features,
}

impl Table {
    pub(crate) fn push(&mut self, record: &Map<String, Value>) {
        push_members(&mut self.columns, record, self.row_count);
        self.row_count += 1;
        // Either all records of a page have the list or none: these columns need no nulls for its absence.
        if let Some(Value::Array(values)) = record.get("values") {
            self.features.push(values);
        }
    }

    /// Gives every column its last nulls.
    pub(crate) fn finish(mut self) -> Self {
        pad_members(&mut self.columns, self.row_count);
        self
    }

    pub(crate) fn row_count(&self) -> usize {
        self.row_count
    }
}

/// The values that stand in one place of the records. A null has a value too, which says nothing.
#[derive(Default)]
struct Column {
    is_valid: Vec<bool>,
    store: Store,
}

#[derive(Default)]
enum Store {
    /// Nothing but nulls so far.
    #[default]
    Null,
    Bool(Vec<bool>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Text {
        text: String,
        ends: Vec<usize>,
    },
    List {
        element: Box<Column>,
        ends: Vec<usize>,
    },
    Struct(HashMap<String, Column>),
}

impl Column {
    fn len(&self) -> usize {
        self.is_valid.len()
    }

    fn push(&mut self, value: &Value) {
        let row = self.len();
        if matches!(self.store, Store::Null) {
            self.store = Store::of_nulls(value, row);
        }
        match (&mut self.store, value) {
            (_, Value::Null) => return self.pad_to(row + 1),
            (Store::Bool(values), Value::Bool(value)) => values.push(*value),
            (Store::Int64(values), Value::Number(number)) => match number.as_i64() {
                Some(value) => values.push(value),
                None => {
                    let mut doubles: Vec<f64> = values.iter().map(|&value| value as f64).collect();
                    doubles.extend(number.as_f64());
                    self.store = Store::Double(doubles);
                }
            },
            (Store::Double(values), Value::Number(number)) => values.extend(number.as_f64()),
            (Store::Text { text, ends }, Value::String(value)) => {
                text.push_str(value);
                ends.push(text.len());
            }
            (Store::List { element, ends }, Value::Array(values)) => {
                values.iter().for_each(|value| element.push(value));
                ends.push(element.len());
            }
            (Store::Struct(members), Value::Object(object)) => push_members(members, object, row),
            (_, value) => panic!("the pages have values of one kind in each place, not this one: {value}"),
        }
        self.is_valid.push(true);
    }

    /// Appends nulls until there are `row_count` rows.
    fn pad_to(&mut self, row_count: usize) {
        self.is_valid.resize(row_count, false);
        match &mut self.store {
            Store::Null | Store::Struct(_) => {}
            Store::Bool(values) => values.resize(row_count, false),
            Store::Int64(values) => values.resize(row_count, 0),
            Store::Double(values) => values.resize(row_count, 0.0),
            Store::Text { text, ends } => ends.resize(row_count, text.len()),
            Store::List { element, ends } => ends.resize(row_count, element.len()),
        }
    }

    /// Gives the columns below this one their last nulls.
    fn pad_below(&mut self) {
        let row_count = self.len();
        match &mut self.store {
            Store::Struct(members) => pad_members(members, row_count),
            Store::List { element, .. } => element.pad_below(),
            _ => {}
        }
    }
}

impl Store {
    /// The store that `value` needs, with so many nulls in it.
    fn of_nulls(value: &Value, row_count: usize) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool(vec![false; row_count]),
            Value::Number(number) if number.is_f64() => Self::Double(vec![0.0; row_count]),
            Value::Number(_) => Self::Int64(vec![0; row_count]),
            Value::String(_) => Self::Text { text: String::new(), ends: vec![0; row_count] },
            Value::Array(_) => Self::List { element: Box::default(), ends: vec![0; row_count] },
            Value::Object(_) => Self::Struct(HashMap::new()),
        }
    }
}

/// Puts the members of an object into row `row`. Columns that it does not have fall behind, until they are padded.
fn push_members(columns: &mut HashMap<String, Column>, object: &Map<String, Value>, row: usize) {
    for (key, value) in object {
        let column = match columns.get_mut(key) {
            Some(column) => column,
            None => columns.entry(key.clone()).or_default(),
        };
        if column.len() < row {
            column.pad_to(row);
        }
        column.push(value);
    }
}

fn pad_members(columns: &mut HashMap<String, Column>, row_count: usize) {
    for column in columns.values_mut() {
        column.pad_to(row_count);
        column.pad_below();
    }
}

/// The features that are computed by default, a row for each list.
#[derive(Default)]
struct Features {
    counts: Vec<i64>,
    means: Vec<Option<f64>>,
    variances: Vec<Option<f64>>,
    stddevs: Vec<Option<f64>>,
    mins: Vec<Option<f64>>,
    maxs: Vec<Option<f64>>,
}

impl Features {
    fn push(&mut self, values: &[Value]) {
        let values: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let square_sum: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = (values.len() > 1).then(|| square_sum / (count - 1.0));
        self.counts.push(values.len() as i64);
        self.means.push((!values.is_empty()).then_some(mean));
        self.variances.push(variance);
        self.stddevs.push(variance.map(f64::sqrt));
        self.mins.push(values.iter().copied().reduce(f64::min));
        self.maxs.push(values.iter().copied().reduce(f64::max));
    }
}
