//! Which fields of the records become columns, under which names, and which are hashed.

use std::fmt;

use super::{FieldPath, ValuesField};
use crate::digest::KeyedDigest;
use crate::schema::{DeclaredField, DeclaredSchema, DeclaredType};

/// What becomes of the fields of records. Decided while they are decoded: what is dropped is not even kept.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    /// The only fields that become columns; all do where this is empty.
    pub select: Vec<FieldPath>,
    /// Fields that do not become columns.
    pub drop: Vec<FieldPath>,
    /// Fields whose columns have another name.
    pub rename: Vec<(FieldPath, String)>,
    /// Fields of whose values only a keyed hash is kept.
    pub hash: Vec<FieldPath>,
    /// The key of the hashes; there where `hash` is not empty.
    pub hash_key: Option<HashKey>,
}

/// A secret key for hashes. Never shown.
#[derive(Clone)]
pub struct HashKey(KeyedDigest);

impl HashKey {
    /// Bytes of a key at least: fewer could be found by trying.
    pub const BYTES_MIN: usize = 16;

    /// A key of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(KeyedDigest::new(bytes))
    }

    /// HMAC-SHA-256 (RFC 2104) of a text, in lower-case hexadecimal.
    pub fn hash(&self, text: &[u8]) -> String {
        self.0.hex_of(text)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

/// How much of a rejected record is shown in the rejects file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RejectsRaw {
    /// All of it.
    #[default]
    Full,
    /// All but what is dropped or hashed.
    Redacted,
    /// Its size.
    None,
}

impl Projection {
    /// Whether something must not be seen.
    pub fn hides(&self) -> bool {
        !self.drop.is_empty() || !self.hash.is_empty()
    }

    /// The names that lead to the column of the field that these keys lead to.
    pub fn names_at<'a>(&'a self, keys: &'a [String]) -> impl Iterator<Item = &'a str> {
        (1..=keys.len()).map(|length| {
            let renamed = self.rename.iter().find(|(field, _)| field.keys() == &keys[..length]);
            renamed.map_or(&*keys[length - 1], |(_, name)| name)
        })
    }

    /// Whether the field that these keys lead to is a column, or something in it is.
    pub fn shows(&self, keys: &[String]) -> bool {
        let is_dropped = self.drop.iter().any(|dropped| keys.starts_with(dropped.keys()));
        let is_on_the_way =
            |selected: &FieldPath| keys.starts_with(selected.keys()) || selected.keys().starts_with(keys);
        !is_dropped && (self.select.is_empty() || self.select.iter().any(is_on_the_way))
    }

    /// Takes the fields that become no columns out of a schema.
    pub fn apply_to(&self, schema: &mut DeclaredSchema) {
        self.keep_shown(&mut schema.fields, &mut Vec::new());
    }

    /// `keys` lead from the record to the object with these fields.
    fn keep_shown(&self, fields: &mut Vec<DeclaredField>, keys: &mut Vec<String>) {
        fields.retain_mut(|field| {
            let is_it = |(path, name): &&(FieldPath, String)| {
                **name == *field.name && path.keys().split_last().is_some_and(|(_, above)| above == &keys[..])
            };
            let key = match self.rename.iter().find(is_it) {
                Some((path, _)) => path.keys().last().expect("a field has a key").clone(),
                None => field.name.to_string(),
            };
            keys.push(key);
            let is_shown = self.shows(keys);
            if let DeclaredType::Struct(below) = &mut field.of {
                self.keep_shown(below, keys);
                if below.is_empty() {
                    // Objects of which nothing is left are text, as they are without a schema.
                    field.of = DeclaredType::Text;
                }
            }
            keys.pop();
            is_shown
        });
    }

    /// # Errors
    /// What contradicts what, in words.
    pub fn check(&self, values: &[ValuesField]) -> Result<(), String> {
        let renamed = self.rename.iter().map(|(field, _)| field);
        let uses = [
            ("--select", self.select.iter().collect::<Vec<_>>()),
            ("--drop", self.drop.iter().collect()),
            ("--rename", renamed.collect()),
            ("--hash", self.hash.iter().collect()),
        ];
        for (option, fields) in &uses {
            for (place, field) in fields.iter().enumerate() {
                if fields[..place].iter().any(|earlier| earlier.keys() == field.keys()) {
                    return Err(format!("{option}: expected each field once, got {} twice", field.shown()));
                }
            }
        }
        let values: Vec<_> = values.iter().map(|values| &values.path).collect();
        let [(_, select), (_, drop), (_, rename), (_, hash)] = &uses;
        for ((option, within), (other, outer)) in [
            (("--select", select), ("--drop", drop)),
            (("--rename", rename), ("--drop", drop)),
            (("--hash", hash), ("--drop", drop)),
            (("--drop", drop), ("--hash", hash)),
            (("--rename", rename), ("--hash", hash)),
            (("--select", select), ("--hash", hash)),
            (("--values", &values), ("--hash", hash)),
        ] {
            for field in within {
                let is_within = |outer: &&&FieldPath| match option {
                    // Selecting or renaming what is hashed is doing so to its hash.
                    "--select" | "--rename" if other == "--hash" => {
                        field.keys().len() > outer.keys().len() && field.keys().starts_with(outer.keys())
                    }
                    _ => field.keys().starts_with(outer.keys()),
                };
                if let Some(outer) = outer.iter().find(is_within) {
                    return Err(format!(
                        "{option} {} can't be had beside {other} {}",
                        field.shown(),
                        outer.shown()
                    ));
                }
            }
        }
        for (field, name) in &self.rename {
            let mut taken = field.keys().to_vec();
            *taken.last_mut().expect("a field has a key") = name.clone();
            let named = [select, drop, rename, hash, &values].into_iter().flatten();
            if let Some(other) = named.into_iter().find(|other| other.keys().starts_with(&taken)) {
                return Err(format!(
                    "--rename {}={name}: expected a name that no other option is about, but one is about {}",
                    field.shown(),
                    other.shown()
                ));
            }
        }
        for (place, (field, name)) in self.rename.iter().enumerate() {
            let parent = |field: &FieldPath| field.keys().split_last().map(|(_, parent)| parent.to_vec());
            let twice = self.rename[..place]
                .iter()
                .find(|(other, taken)| taken == name && parent(other) == parent(field));
            if let Some((other, _)) = twice {
                return Err(format!(
                    "--rename: expected each name once, got {name} for {} and for {}",
                    other.shown(),
                    field.shown()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(keys: &[&str]) -> Vec<FieldPath> {
        let path = |key: &&str| FieldPath::Pointer(key.split('/').map(str::to_owned).collect());
        keys.iter().map(path).collect()
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let check = |select: &[&str], drop: &[&str], hash: &[&str]| {
            let (select, drop, hash) = (fields(select), fields(drop), fields(hash));
            Projection { select, drop, hash, ..Projection::default() }.check(&[])
        };
        assert_eq!(check(&["a"], &["a/b"], &["c"]), Ok(()));
        assert_eq!(check(&["a"], &["b"], &["a"]), Ok(()));
        assert!(check(&["a/b"], &["a"], &[]).is_err());
        assert!(check(&[], &["a", "a"], &[]).is_err());
        assert!(check(&[], &["a"], &["a/b"]).is_err());
        assert!(check(&["a/b"], &[], &["a"]).is_err());
        assert!(check(&[], &["a/b"], &["a"]).is_err());
        let [a, b] = ["a", "b"].map(|key| fields(&[key]).remove(0));
        let swap = vec![(a.clone(), "b".to_owned()), (b.clone(), "a".to_owned())];
        assert!(Projection { rename: swap, ..Projection::default() }.check(&[]).is_err());
        let onto_hashed =
            Projection { rename: vec![(a, "b".into())], hash: vec![b], ..Projection::default() };
        assert!(onto_hashed.check(&[]).is_err());
    }

    #[test]
    fn hash_is_the_one_of_rfc_4231() {
        let hash = HashKey::new(&[0x0b; 20]).hash(b"Hi There");
        assert_eq!(hash, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_eq!(format!("{:?}", HashKey::new(b"secret")), "HashKey");
    }
}
