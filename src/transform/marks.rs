//! What is asked of the fields of records, as a tree of keys from the record down.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{FieldPath, TransformConfig};
use crate::schema::{DeclaredField, DeclaredType};

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Usage {
    /// A column, or a member of one.
    #[default]
    Column,
    /// A column of hashes.
    Hashed,
    /// It is not looked at.
    Skipped,
    /// It is decoded for the lists in it that are summarised, and not written.
    Unseen,
    /// A record that has it is refused: another field is renamed to it and is more than a plain column.
    Refused,
}

impl Usage {
    pub(super) fn is_shown(self) -> bool {
        matches!(self, Self::Column | Self::Hashed)
    }
}

/// What is asked of a field, and of those below it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Marks {
    /// The `--values` field that stands here.
    pub(super) field: Option<usize>,
    pub(super) usage: Usage,
    /// Another name for its column.
    pub(super) name: Option<Arc<str>>,
    /// Whether only what is named below is selected.
    pub(super) drops_others: bool,
    /// Whether anything below is left out, hashed or renamed.
    pub(super) projects: bool,
    /// Whether its column is text from the beginning.
    pub(super) is_text: bool,
    is_selected: bool,
    /// Names that fields below are renamed to which are more than plain columns.
    reserved: Vec<Arc<str>>,
    pub(super) below: Vec<(String, Arc<Marks>)>,
    /// The places of those below, where there are many.
    places: HashMap<String, usize>,
}

/// Fields below which are searched one after the other.
const LINEAR_SEARCH_MAX: usize = 16;

impl Marks {
    /// What a configuration asks of the fields of records.
    pub(super) fn of(config: &TransformConfig) -> Self {
        let mut root = Self::default();
        for (index, values) in config.features.fields.iter().enumerate() {
            root.at(values.path.keys()).field = Some(index);
        }
        let projection = &config.projection;
        let mark = |root: &mut Self, fields: &[FieldPath], usage| {
            fields.iter().for_each(|field| root.at(field.keys()).usage = usage);
        };
        mark(&mut root, &projection.drop, Usage::Skipped);
        mark(&mut root, &projection.hash, Usage::Hashed);
        for (field, name) in &projection.rename {
            root.at(field.keys()).name = Some(name.as_str().into());
        }
        for field in &projection.select {
            root.at(field.keys()).is_selected = true;
        }
        if let Some(schema) = &config.schema {
            root.declare(&schema.fields);
        }
        root.settle(projection.select.is_empty());
        root
    }

    /// Marks the fields that a schema has as text.
    fn declare(&mut self, fields: &[DeclaredField]) {
        // No field is declared twice, so only what was marked before need be searched.
        let known: Vec<_> = self.below.iter().map(|(key, below)| (key.clone(), below.name.clone())).collect();
        for field in fields {
            let is_it =
                |(key, name): &&(String, Option<Arc<str>>)| *name.as_deref().unwrap_or(key) == *field.name;
            let key = known.iter().find(is_it).map(|(key, _)| key.clone());
            let below = match &key {
                Some(key) => self.at(std::slice::from_ref(key)),
                None => {
                    self.below.push((field.name.to_string(), Arc::default()));
                    let (_, below) = self.below.last_mut().expect("it was just pushed");
                    Arc::get_mut(below).expect("the tree is not shared while it is built")
                }
            };
            match &field.of {
                DeclaredType::Text => below.is_text = below.field.is_none(),
                DeclaredType::Struct(fields) => below.declare(fields),
                _ => {}
            }
        }
    }

    /// The marks of the field that these keys lead to.
    fn at(&mut self, keys: &[String]) -> &mut Self {
        let Some((key, rest)) = keys.split_first() else { return self };
        let place = self.below.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            self.below.push((key.clone(), Arc::default()));
            self.below.len() - 1
        });
        let below = Arc::get_mut(&mut self.below[place].1).expect("the tree is not shared while it is built");
        below.at(rest)
    }

    /// Draws what follows from the marks of single fields. `is_selected` says whether a field above is selected.
    fn settle(&mut self, is_selected: bool) {
        if self.below.len() > LINEAR_SEARCH_MAX {
            self.places =
                self.below.iter().enumerate().map(|(place, (key, _))| (key.clone(), place)).collect();
        }
        self.is_selected |= is_selected;
        for (_, below) in &mut self.below {
            let below = Arc::get_mut(below).expect("the tree is not shared while it is built");
            below.settle(self.is_selected);
        }
        if !self.is_selected {
            self.drops_others = self.below.iter().any(|(_, below)| below.holds_selected());
            if !self.drops_others {
                self.usage = Usage::Skipped;
            }
        }
        if self.usage == Usage::Skipped && self.is_summarised() {
            self.usage = Usage::Unseen;
            self.hide_others();
        }
        let is_plain =
            |marks: &Self| marks.usage == Usage::Column && marks.field.is_none() && !marks.projects;
        let more_than_plain = self.below.iter().filter(|(_, below)| !is_plain(below));
        self.reserved = more_than_plain.filter_map(|(_, below)| below.name.clone()).collect();
        self.projects = self.drops_others
            || self
                .below
                .iter()
                .any(|(_, below)| below.usage != Usage::Column || below.name.is_some() || below.projects);
    }

    fn holds_selected(&self) -> bool {
        self.is_selected || self.below.iter().any(|(_, below)| below.holds_selected())
    }

    /// Leaves out all that leads to no list that is summarised.
    fn hide_others(&mut self) {
        self.drops_others = self.field.is_none();
        for (_, below) in &mut self.below {
            let below = Arc::get_mut(below).expect("the tree is not shared while it is built");
            below.usage = if below.is_summarised() { Usage::Unseen } else { Usage::Skipped };
            below.hide_others();
        }
    }

    /// Whether it or something in it is a list that is summarised.
    pub(super) fn is_summarised(&self) -> bool {
        self.field.is_some() || self.below.iter().any(|(_, below)| below.is_summarised())
    }

    pub(super) fn child(&self, key: &[u8]) -> Option<&Arc<Self>> {
        if self.places.is_empty() {
            return self.below.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, marks)| marks);
        }
        let place = std::str::from_utf8(key).ok().and_then(|key| self.places.get(key));
        place.map(|place| &self.below[*place].1)
    }

    /// What becomes of the member with this key.
    pub(super) fn usage_of(&self, key: &[u8]) -> Usage {
        match self.child(key) {
            Some(marks) => marks.usage,
            None if self.drops_others => Usage::Skipped,
            None if self.reserved.iter().any(|name| name.as_bytes() == key) => Usage::Refused,
            None => Usage::Column,
        }
    }

    /// Whether a member has another name.
    pub(super) fn renames(&self) -> bool {
        self.below.iter().any(|(_, below)| below.name.is_some())
    }

    /// The key of the field that is renamed to this.
    pub(super) fn key_of(&self, name: &str) -> Option<&str> {
        let renamed = self.below.iter().find(|(_, below)| below.name.as_deref() == Some(name));
        renamed.map(|(key, _)| key.as_str())
    }

    /// How many of these keys lead to something that is not to be seen; `None` if all of it may be.
    pub(super) fn hidden_at(&self, keys: &[String]) -> Option<usize> {
        let (key, rest) = keys.split_first()?;
        match (self.usage_of(key.as_bytes()), self.child(key.as_bytes())) {
            (Usage::Column, below) => below?.hidden_at(rest).map(|depth| depth + 1),
            _ => Some(1),
        }
    }

    /// Whether all of the value that these keys lead to may be seen.
    pub(super) fn shows_all_at(&self, keys: &[String]) -> bool {
        let Some((key, rest)) = keys.split_first() else { return !self.projects };
        self.usage_of(key.as_bytes()) == Usage::Column
            && self.child(key.as_bytes()).is_none_or(|below| below.shows_all_at(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FeatureConfig, Projection, ValuesField};

    fn fields(keys: &[&str]) -> Vec<FieldPath> {
        let path = |key: &&str| FieldPath::Pointer(key.split('/').map(str::to_owned).collect());
        keys.iter().map(path).collect()
    }

    fn marks(select: &[&str], drop: &[&str]) -> Marks {
        let projection =
            Projection { select: fields(select), drop: fields(drop), ..Projection::default() }.into();
        let list = ValuesField { name: "v".into(), path: fields(&["m/v"]).remove(0) };
        let features = FeatureConfig { fields: vec![list], ..FeatureConfig::default() }.into();
        Marks::of(&TransformConfig { projection, features, ..TransformConfig::default() })
    }

    #[test]
    fn only_what_is_selected_is_a_column() {
        let marks = marks(&["a", "b/c"], &["a/x"]);
        assert_eq!(marks.usage_of(b"a"), Usage::Column);
        assert_eq!(marks.usage_of(b"other"), Usage::Skipped);
        assert_eq!(marks.usage_of(b"m"), Usage::Unseen, "its list is summarised all the same");
        let (a, b) = (marks.child(b"a").unwrap(), marks.child(b"b").unwrap());
        assert_eq!((a.usage_of(b"x"), a.usage_of(b"y")), (Usage::Skipped, Usage::Column));
        assert_eq!((b.usage_of(b"c"), b.usage_of(b"d")), (Usage::Column, Usage::Skipped));
    }

    #[test]
    fn all_but_what_is_dropped_is_a_column_where_nothing_is_selected() {
        let marks = marks(&[], &["m", "a/x"]);
        assert_eq!(marks.usage_of(b"other"), Usage::Column);
        assert_eq!(marks.usage_of(b"m"), Usage::Unseen);
        assert_eq!(marks.child(b"m").unwrap().usage_of(b"w"), Usage::Skipped, "it leads to no list");
        assert_eq!(marks.child(b"a").unwrap().usage_of(b"x"), Usage::Skipped);
        let hidden =
            |keys: &[&str]| marks.hidden_at(&keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            [hidden(&["m"]), hidden(&["m", "v", "3"]), hidden(&["a", "x", "k"])],
            [Some(1), Some(1), Some(2)]
        );
        assert!(
            [&["a"][..], &["a", "y"], &["other", "x"], &[]].into_iter().all(|keys| hidden(keys).is_none())
        );
    }
}
