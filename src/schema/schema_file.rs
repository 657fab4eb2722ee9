//! Schemas as TOML: what `etl schema` prints and `--schema` takes back. The only import of the TOML library.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::profile::ProfiledFields;
use super::{ColumnType, DeclaredField, DeclaredSchema, DeclaredType, Profile, Survey};
use crate::shown;

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    #[serde(default)]
    column: Vec<FieldTable>,
}

/// A column, or a field of an object. Only the first three and the fields declare anything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldTable {
    name: String,
    #[serde(rename = "type")]
    of: String,
    #[serde(default = "default_nullable")]
    nullable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    null: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    field: Vec<FieldTable>,
}

fn default_nullable() -> bool {
    true
}

/// Reads a schema from TOML.
///
/// # Errors
/// Where it is wrong, what was expected and what was found, in one line.
pub fn read_schema(text: &str) -> Result<DeclaredSchema, String> {
    let file: SchemaFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let place = line.map_or_else(String::new, |line| format!("line {line}: "));
        format!("{place}{}", error.message().replace('\n', " "))
    })?;
    DeclaredSchema { fields: declared_fields(file.column, "column")? }.checked()
}

fn declared_fields(tables: Vec<FieldTable>, above: &str) -> Result<Vec<DeclaredField>, String> {
    let mut fields: Vec<DeclaredField> = Vec::with_capacity(tables.len());
    for table in tables {
        let place = format!("{above} {:?}", table.name);
        let below = declared_fields(table.field, &format!("{place} field"))?;
        let of = DeclaredType::parse(&table.of, below).and_then(DeclaredType::of_some_depth);
        let of = of.map_err(|wrong| format!("{place}: {wrong}"))?;
        fields.push(DeclaredField { name: table.name.into(), of, is_nullable: table.nullable });
    }
    Ok(fields)
}

/// Shows what was seen of records as TOML, under these lines of comment.
pub fn show_schema(survey: &Survey, comment: &[String]) -> String {
    let types = survey.shape.fields.iter().map(|(name, shape)| (Arc::clone(name), shape.column_type()));
    let mut column = field_tables(&types.collect::<Vec<_>>(), &survey.fields, survey.record_count);
    let mut texts = Vec::new();
    take_out(&mut column, &mut texts);
    let mut tables = toml::to_string(&SchemaFile { column }).expect("a schema is plain data");
    for (place, text) in texts.iter().enumerate() {
        tables = tables.replacen(&format!("\"{}\"", stand_in(place)), &shown::toml_string(text), 1);
    }
    let comment: String = comment.iter().map(|line| format!("# {line}\n")).collect();
    // Without a column there is an empty list, which is nothing to declare.
    if survey.shape.fields.is_empty() { comment } else { format!("{comment}\n{tables}") }
}

/// Stands in a text's place until it is written: no text that stays has its first letter, which nobody uses.
const STAND_IN: char = '\u{f8ff}';

fn stand_in(place: usize) -> String {
    format!("{STAND_IN}{place}{STAND_IN}")
}

/// Takes texts out that would move a terminal: the library writes them as they are.
fn take_out(tables: &mut [FieldTable], texts: &mut Vec<String>) {
    for table in tables {
        for text in std::iter::once(&mut table.name).chain(&mut table.example) {
            let is_plain = |letter| letter == '\n' || letter == '\t' || shown::is_plain(letter);
            if text.contains(STAND_IN) || !text.chars().all(is_plain) {
                let stand_in = stand_in(texts.len());
                texts.push(std::mem::replace(text, stand_in));
            }
        }
        take_out(&mut table.field, texts);
    }
}

fn field_tables(
    types: &[(Arc<str>, ColumnType)],
    profiles: &ProfiledFields,
    parent_count: u64,
) -> Vec<FieldTable> {
    let none = Profile::default();
    let table = |(name, of): &(Arc<str>, ColumnType)| {
        let found = profiles.iter().find(|(profiled, _)| profiled == name);
        let profile = found.map_or(&none, |(_, profile)| profile);
        let null_count = parent_count - profile.seen;
        FieldTable {
            name: name.to_string(),
            of: DeclaredType::of_inferred(of).to_string(),
            nullable: null_count > 0,
            seen: Some(profile.seen),
            null: Some(null_count),
            example: profile.example.clone(),
            field: below(of, profile),
        }
    };
    types.iter().map(table).collect()
}

/// The fields of the objects that a column holds, in lists too.
fn below(of: &ColumnType, profile: &Profile) -> Vec<FieldTable> {
    match of {
        ColumnType::Struct(fields) => field_tables(fields, &profile.fields, profile.seen),
        ColumnType::List(element) => {
            below(element, profile.element.as_deref().unwrap_or(&Profile::default()))
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_read_as_it_is_written_by_hand() {
        let text = r#"
            [[column]]
            name = "id"
            type = "int64"
            nullable = false

            [[column]]
            name = "a b"
            type = "list<struct>"
            [[column.field]]
            name = ""
            type = "timestamp[ns, UTC]"
        "#;
        let schema = read_schema(text).unwrap();
        let [id, list] = &schema.fields[..] else { panic!("{schema:?}") };
        assert_eq!((&*id.name, &id.of, id.is_nullable), ("id", &DeclaredType::Int64, false));
        assert_eq!(
            (&*list.name, list.of.to_string(), list.is_nullable),
            ("a b", "list<struct>".into(), true)
        );
        assert_eq!(read_schema("").unwrap(), DeclaredSchema::default());
    }

    #[test]
    fn what_is_wrong_in_a_schema_is_named_with_its_place() {
        let wrong = [
            ("[[column]]\nname = \"a\"\n", "type"),
            ("[[column]]\nname = \"a\"\ntype = \"int\"\n", "column \"a\": expected the type"),
            ("[[column]]\nname = \"a\"\ntype = \"struct\"\n", "column \"a\": expected a field"),
            (
                "[[column]]\nname = \"a\"\ntype = \"bool\"\nnulable = true\n",
                "line 4: unknown field `nulable`",
            ),
            ("[[columns]]\n", "line 1: unknown field `columns`"),
            ("[[column]\n", "line 1: "),
        ];
        for (text, expected) in wrong {
            let found = read_schema(text).unwrap_err();
            assert!(found.contains(expected) && !found.contains('\n'), "{found}");
        }
        let twice = "[[column]]\nname = \"a\"\ntype = \"bool\"\n".repeat(2);
        assert!(read_schema(&twice).unwrap_err().contains("column \"a\": expected each name once"));
    }
}
