//! Records that drift: what they hold, how they are written, and what they come to in columns.

use std::fmt::Write as _;

use fastrand::Rng;

/// A value of a record, or of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Cell>),
    Object(Vec<(String, Cell)>),
}

/// The members of a record, in order.
pub(crate) type Row = Vec<(&'static str, Cell)>;

/// A record as it is served.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) text: String,
    /// What it comes to; `None` if it is to be rejected.
    pub(crate) row: Option<Row>,
}

/// From which page on which values are met; beyond the last page, never.
#[derive(Debug)]
pub(crate) struct Drift {
    double_from: usize,
    text_from: usize,
    late_from: usize,
    nest_from: usize,
}

impl Drift {
    pub(crate) fn new(rng: &mut Rng, page_count: usize) -> Self {
        let mut from = || rng.usize(..2 * page_count);
        Self { double_from: from(), text_from: from(), late_from: from(), nest_from: from() }
    }

    fn scalar(&self, rng: &mut Rng, page: usize) -> Cell {
        if page >= self.text_from && rng.u8(..5) == 0 {
            return Cell::Text(format!("t-{}", rng.u8(..)));
        }
        match rng.u8(..10) {
            0 => Cell::Null,
            1..=3 if page >= self.double_from => quarters(rng),
            _ => Cell::Int(rng.i64(-1000..1000)),
        }
    }

    /// A record of this page that will be a row, of at most `bytes_max` bytes.
    pub(crate) fn record(&self, rng: &mut Rng, page: usize, id: i64, bytes_max: usize) -> Record {
        let mut row: Row = vec![("id", Cell::Int(id))];
        if rng.u8(..10) > 0 {
            row.push(("host", Cell::Text(format!("web-{}", rng.u8(..8)))));
        }
        if rng.u8(..10) > 0 {
            row.push(("drift", self.scalar(rng, page)));
        }
        match rng.u8(..10) {
            0 | 1 => {}
            2 => row.push(("values", Cell::Null)),
            _ => {
                let length = rng.usize(..7);
                row.push(("values", Cell::List((0..length).map(|_| quarters(rng)).collect())));
            }
        }
        if page >= self.late_from && rng.bool() {
            row.push(("late", self.scalar(rng, page)));
        }
        if page >= self.nest_from && rng.bool() {
            row.push(("nest", Cell::Object(vec![("inner".into(), self.scalar(rng, page))])));
        }
        let room = bytes_max.saturating_sub(text_of(&row).len() + r#","pad":"""#.len());
        let pad = match rng.u8(..20) {
            0 => room,
            1..=5 => rng.usize(..=room),
            6..=10 => rng.usize(..=room.min(60)),
            _ => 0,
        };
        if pad > 0 {
            // Two bytes for a character, so that whatever cuts bytes cuts characters too.
            let wide = if rng.bool() { pad / 2 } else { 0 };
            row.push(("pad", Cell::Text("ü".repeat(wide) + &"x".repeat(pad - 2 * wide))));
        }
        if rng.u8(..20) == 0 {
            row.reverse();
        }
        let text = text_of(&row);
        assert!(text.len() <= bytes_max, "{} of {bytes_max} bytes", text.len());
        Record { text, row: Some(row) }
    }
}

/// A record that is refused for its values. A key that no other record has must leave no column.
pub(crate) fn wrong_record(rng: &mut Rng, id: i64) -> Record {
    let values = match rng.u8(..3) {
        0 => "\"none\"",
        1 => "[1,true]",
        _ => "{}",
    };
    Record { text: format!(r#"{{"id":{id},"wrong":1,"values":{values}}}"#), row: None }
}

/// A line that is refused for its syntax.
pub(crate) fn broken_line(id: i64) -> Record {
    Record { text: format!(r#"{{"id":{id},"values":[1,2}}"#), row: None }
}

/// The last record of a page, which ends inside it.
pub(crate) fn unfinished_record(id: i64) -> Record {
    Record { text: format!(r#"{{"id":{id},"values":[1,2"#), row: None }
}

/// A record that is refused for its size.
pub(crate) fn oversize_record(rng: &mut Rng, id: i64, bytes_max: usize) -> Record {
    let excess = match rng.u8(..3) {
        0 => 1,
        1 => rng.usize(1..100),
        _ => rng.usize(1..4 * bytes_max),
    };
    let row = |pad: usize| vec![("id", Cell::Int(id)), ("pad", Cell::Text("y".repeat(pad)))];
    let bare = text_of(&row(0)).len();
    Record { text: text_of(&row(bytes_max + excess - bare)), row: None }
}

/// A number that is exact however it is added up.
fn quarters(rng: &mut Rng) -> Cell {
    Cell::Double(f64::from(rng.i32(-400..400)) / 4.0)
}

fn text_of(row: &Row) -> String {
    let mut text = String::from("{");
    for (name, cell) in row {
        let separator = if text.len() > 1 { "," } else { "" };
        write!(text, "{separator}\"{name}\":{}", json_of(cell)).unwrap();
    }
    text + "}"
}

fn json_of(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Int(value) => value.to_string(),
        Cell::Double(value) => format!("{value:?}"),
        Cell::Text(text) => serde_json::to_string(text).unwrap(),
        Cell::List(cells) => format!("[{}]", cells.iter().map(json_of).collect::<Vec<_>>().join(",")),
        Cell::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, cell)| format!("\"{name}\":{}", json_of(cell))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// What a column of scalars can hold, the wider the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Null,
    Int,
    Double,
    Text,
}

fn width_of(cell: &Cell) -> Width {
    match cell {
        Cell::Null => Width::Null,
        Cell::Int(_) => Width::Int,
        Cell::Double(_) => Width::Double,
        Cell::Text(_) => Width::Text,
        Cell::List(cells) => cells.iter().map(width_of).max().unwrap_or(Width::Null),
        Cell::Object(members) => members.iter().map(|(_, cell)| width_of(cell)).max().unwrap_or(Width::Null),
    }
}

fn widened(cell: &Cell, width: Width) -> Cell {
    match (cell, width) {
        (Cell::Int(value), Width::Double) => Cell::Double(*value as f64),
        (Cell::Int(value), Width::Text) => Cell::Text(value.to_string()),
        // Shortest digits, as `Display` writes them for numbers of this size.
        (Cell::Double(value), Width::Text) => Cell::Text(value.to_string()),
        (Cell::List(cells), _) => Cell::List(cells.iter().map(|cell| widened(cell, width)).collect()),
        (Cell::Object(members), _) => {
            Cell::Object(members.iter().map(|(name, cell)| (name.clone(), widened(cell, width))).collect())
        }
        _ => cell.clone(),
    }
}

/// A column and its cells.
pub(crate) type Column = (String, Vec<Cell>);

/// The columns that these rows come to, with those of the features.
pub(crate) fn columns_of(rows: &[&Row]) -> Vec<Column> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().copied().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let cells_of = |name: &str| -> Vec<Cell> {
        let cell = |row: &&Row| {
            let member = row.iter().find(|(found, _)| *found == name);
            member.map_or(Cell::Null, |(_, cell)| cell.clone())
        };
        rows.iter().map(cell).collect()
    };
    let mut columns: Vec<Column> = names
        .iter()
        .map(|name| {
            let cells = cells_of(name);
            let width = cells.iter().map(width_of).max().unwrap_or(Width::Null);
            ((*name).to_owned(), cells.iter().map(|cell| widened(cell, width)).collect())
        })
        .collect();
    if names.contains(&"values") {
        let features: Vec<[Cell; 6]> = cells_of("values").iter().map(features_of).collect();
        for (place, name) in ["count", "mean", "variance", "stddev", "min", "max"].iter().enumerate() {
            let cells = features.iter().map(|features| features[place].clone()).collect();
            columns.push((format!("values_{name}"), cells));
        }
    }
    columns
}

/// The features of a list, in the order of their columns.
fn features_of(list: &Cell) -> [Cell; 6] {
    const NULL: Cell = Cell::Null;
    let Cell::List(cells) = list else { return [NULL; 6] };
    let values: Vec<f64> = cells
        .iter()
        .map(|cell| match cell {
            Cell::Double(value) => *value,
            other => panic!("the values are doubles, not {other:?}"),
        })
        .collect();
    let (count, n) = (Cell::Int(values.len() as i64), values.len() as f64);
    if values.is_empty() {
        return [count, NULL, NULL, NULL, NULL, NULL];
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let variance = squares / (n - 1.0);
    let (spread, root) = match values.len() {
        1 => (NULL, NULL),
        _ => (Cell::Double(variance), Cell::Double(variance.sqrt())),
    };
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [count, Cell::Double(mean), spread, root, Cell::Double(min), Cell::Double(max)]
}
