//! Values that are kept as text, without what is dropped: members left out, hashed and renamed.

use super::marks::{Marks, Usage};
use super::reader::{Fault, FaultKind, Read};
use super::tree::Tree;
use crate::config::HashKey;

/// Why a record is refused in which a list stands where fields are to be left out, hashed or renamed.
pub(super) const LIST_IS_NO_OBJECT: &str =
    "expected an object, of which --drop, --hash or --rename name a field, got a list";
/// Why a record is refused in which two fields want one column.
pub(super) const NAME_IS_TAKEN: &str = "expected no two fields that --rename gives one name, got both";

/// Leaves members of a value out, hashes and renames them, as `marks` ask.
///
/// # Errors
/// The record can't be projected: a list stands where an object is expected, or a name is taken.
pub(super) fn project(tree: &mut Tree<'_>, marks: &Marks, hash_key: Option<&HashKey>) -> Read<()> {
    if !marks.projects {
        return Ok(());
    }
    let members = match tree {
        Tree::Object(members) => members,
        // Nothing of it is selected.
        _ if marks.drops_others => {
            *tree = Tree::Null;
            return Ok(());
        }
        Tree::List(_) => return Err(Fault::new(FaultKind::Value, 0, LIST_IS_NO_OBJECT)),
        _ => return Ok(()),
    };
    members.retain(|key, _| marks.usage_of(key).is_shown());
    let mut marked = Vec::new();
    for (key, below) in &marks.below {
        let Some(mut value) = members.remove(key.as_bytes()) else { continue };
        if below.usage == Usage::Hashed {
            hash(&mut value, hash_key);
        } else {
            project(&mut value, below, hash_key).map_err(|fault| fault.below(key))?;
        }
        marked.push((key, below.name.as_deref().unwrap_or(key), value));
    }
    // Only now, so that no name is taken for a key.
    for (key, name, value) in marked {
        if members.insert(name.as_bytes().to_vec(), value).is_some() {
            return Err(Fault::new(FaultKind::Value, 0, NAME_IS_TAKEN).below(key));
        }
    }
    Ok(())
}

/// Puts the hash of a value's text in its place; a null stays null.
pub(super) fn hash(tree: &mut Tree<'_>, hash_key: Option<&HashKey>) {
    let hash_key = hash_key.expect("a configuration that hashes has a key");
    let text = match &*tree {
        Tree::Null => return,
        Tree::Text(text) => hash_key.hash(text),
        other => {
            let mut text = Vec::new();
            other.write_json(&mut text);
            hash_key.hash(&text)
        }
    };
    *tree = Tree::Text(text.into_bytes().into());
}
