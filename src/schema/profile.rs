//! What has been seen of the fields of records: how often, and a value of each.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};

use super::{ColumnType, JsonText, Nesting, Shape, TooManyColumns, check_leaf_columns};

/// Characters of an example at most.
const EXAMPLE_CHARS_MAX: usize = 80;

/// The records of a run, without their values.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What the records have been seen to be.
    pub shape: Shape,
    /// How often each field was seen.
    pub fields: ProfiledFields,
    /// The records.
    pub record_count: u64,
}

/// Fields by name, in order of first appearance.
pub type ProfiledFields = Vec<(Arc<str>, Profile)>;

/// What has been seen of one field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// Values that are not null.
    pub seen: u64,
    /// The text of the first one, cut if it is long.
    pub example: Option<String>,
    /// The members, of objects.
    pub fields: ProfiledFields,
    /// The elements, of lists.
    pub element: Option<Box<Profile>>,
}

impl Survey {
    /// Takes in what was seen behind this.
    pub fn unite(&mut self, other: Self, nesting: Nesting) {
        self.record_count += other.record_count;
        self.shape.unite(&other.shape, nesting);
        unite_fields(&mut self.fields, other.fields);
    }

    /// Checks the columns against [`LEAF_COLUMNS_MAX`](super::LEAF_COLUMNS_MAX).
    ///
    /// # Errors
    /// There are more.
    pub fn check_columns(&self) -> Result<(), TooManyColumns> {
        let types = self.shape.fields.iter().map(|(name, shape)| (Arc::clone(name), shape.column_type()));
        check_leaf_columns(&types.collect::<Vec<_>>())
    }
}

impl Profile {
    /// What is seen of an array of this type, in the form of memory.
    pub fn of(array: &ArrayRef, column_type: &ColumnType) -> Self {
        let text = JsonText::new(array, column_type);
        let first = (0..array.len()).find(|row| !text.is_null(*row));
        let Some(first) = first else { return Self::default() };
        let mut example = Vec::new();
        text.write_text(first, &mut example);
        let (fields, element) = match column_type {
            ColumnType::Struct(fields) => {
                let members = fields.iter().zip(array.as_struct().columns());
                (members.map(|((name, of), array)| (Arc::clone(name), Self::of(array, of))).collect(), None)
            }
            ColumnType::List(element) => {
                (Vec::new(), Some(Box::new(Self::of(array.as_list::<i32>().values(), element))))
            }
            _ => (Vec::new(), None),
        };
        let seen = (array.len() - array.null_count()) as u64;
        Self { seen, example: Some(shortened(&example)), fields, element }
    }

    fn unite(&mut self, other: Self) {
        self.seen += other.seen;
        self.example = self.example.take().or(other.example);
        unite_fields(&mut self.fields, other.fields);
        match (&mut self.element, other.element) {
            (Some(ours), Some(theirs)) => ours.unite(*theirs),
            (ours, theirs) => *ours = ours.take().or(theirs),
        }
    }
}

fn unite_fields(ours: &mut ProfiledFields, theirs: ProfiledFields) {
    let mut places: HashMap<_, _> =
        ours.iter().enumerate().map(|(place, (name, _))| (Arc::clone(name), place)).collect();
    for (name, profile) in theirs {
        let place = *places.entry(Arc::clone(&name)).or_insert(ours.len());
        match ours.get_mut(place) {
            Some((_, ours)) => ours.unite(profile),
            None => ours.push((name, profile)),
        }
    }
}

/// A text of some characters at most; what is cut off shows as an ellipsis.
fn shortened(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(EXAMPLE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_example_is_cut_between_characters() {
        assert_eq!(shortened("é".repeat(80).as_bytes()), "é".repeat(80));
        assert_eq!(shortened("é".repeat(81).as_bytes()), "é".repeat(80) + "…");
    }
}
