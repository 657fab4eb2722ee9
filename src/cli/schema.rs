//! `--schema`: a file that says what columns are known before the first page.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use etl::config::TransformConfig;
use etl::error::Error;
use etl::model::Provenance;
use etl::schema::{DeclaredSchema, SchemaContract, read_schema};
use etl::write::schema_of_table;

/// What a Parquet file begins with.
const PARQUET_MAGIC: &[u8] = b"PAR1";
/// Bytes of a schema in TOML at most: five thousand columns take a tenth of it.
const SCHEMA_BYTES_MAX: u64 = 16 << 20;

/// Reads the schema and adds it to what is asked of the records.
pub(super) fn declare(
    transform: &mut TransformConfig,
    path: &Path,
    contract: SchemaContract,
) -> Result<(), Error> {
    let wrong = |what: String| Error::usage(format!("--schema {}: {what}", path.display()));
    let mut schema = read(transform, path).map_err(wrong)?;
    transform.projection.apply_to(&mut schema);
    transform.nesting.keys_max = match transform.nesting.keys_max {
        // Text is asked for, which a struct contradicts.
        0 => 0,
        keys_max => keys_max.max(schema.object_keys_max()),
    };
    transform.schema = Some(Arc::new(schema));
    transform.schema_contract = contract;
    transform.check_schema().map_err(wrong)
}

fn read(transform: &TransformConfig, path: &Path) -> Result<DeclaredSchema, String> {
    let unread = |error: std::io::Error| format!("could not be read: {error}");
    let mut file = File::open(path).map_err(unread)?;
    let mut head = Vec::new();
    (&mut file).take(PARQUET_MAGIC.len() as u64).read_to_end(&mut head).map_err(unread)?;
    if head == PARQUET_MAGIC {
        let table = schema_of_table(path)?;
        return DeclaredSchema::of_table(&table, |name| is_computed(transform, name));
    }
    let mut text = head;
    file.take(SCHEMA_BYTES_MAX + 1).read_to_end(&mut text).map_err(unread)?;
    if text.len() as u64 > SCHEMA_BYTES_MAX {
        return Err(
            "expected a schema in TOML or a Parquet file, got more than 16 MiB of something else".to_owned()
        );
    }
    let text = String::from_utf8(text)
        .map_err(|_| "expected a schema in TOML or a Parquet file, got bytes that are no UTF-8".to_owned())?;
    read_schema(&text)
}

/// Whether a column is not one of the records: the run computes it anew.
fn is_computed(transform: &TransformConfig, name: &str) -> bool {
    Provenance::ALL.iter().any(|of| of.name() == name)
        || transform.features.column_names().any(|of| of == name)
}
