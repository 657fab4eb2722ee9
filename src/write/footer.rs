//! What the footer says of the run: only what does not vary from run to run. Run id, times and machine
//! settings stand in the summary.

use crate::config::{Config, FieldPath};
use crate::report::Report;
use crate::schema::DeclaredField;

/// Key-value pairs of the footer, in order.
#[derive(Debug, Clone, Default)]
pub struct Footer(pub(super) Vec<(String, String)>);

impl Footer {
    /// The options that shape rows, as JSON.
    pub fn options(config: &Config) -> String {
        let transform = &config.transform;
        let shown = |fields: &[FieldPath]| fields.iter().map(FieldPath::shown).collect::<Vec<_>>();
        let options = serde_json::json!({
            "records": transform.records.as_deref(),
            "max_record_bytes": transform.record_bytes_max,
            "max_object_keys": transform.nesting.keys_max,
            "provenance": transform.has_provenance,
            "jq": transform.jq.as_deref(),
            "select": shown(&transform.projection.select),
            "drop": shown(&transform.projection.drop),
            "rename": transform.projection.rename.iter().map(|(field, name)| (field.shown(), name)).collect::<Vec<_>>(),
            "hash": shown(&transform.projection.hash),
            "values": transform.features.fields.iter().map(|field| (&field.name, field.path.shown())).collect::<Vec<_>>(),
            "features": transform.features.features.iter().map(|feature| feature.name()).collect::<Vec<_>>(),
            "on_nonfinite": transform.features.on_nonfinite.name(),
            "schema": transform.schema.as_ref().map(|schema| schema.fields.iter().map(DeclaredField::to_string).collect::<Vec<_>>()),
            "schema_contract": transform.schema.as_ref().map(|_| transform.schema_contract.name()),
            "paginate": config.http.pagination.paging.shown(),
            "page_size": config.http.pagination.page_size,
            "max_pages": config.http.pagination.is_on().then_some(config.http.pagination.pages_max),
            "row_group_rows": config.output.row_group.rows_max,
            "row_group_bytes": config.output.row_group.bytes_max,
        });
        options.to_string()
    }

    /// The version, the options that shape rows, the list and the counts of a run. Of one that replays another, so
    /// many pages are `unkept`, since they had failed.
    pub fn of_run(config: &Config, report: &Report, list_digest: &str, unkept: u64) -> Self {
        let pair = |key: &str, value: String| (format!("etl.{key}"), value);
        Self(vec![
            pair("version", env!("CARGO_PKG_VERSION").to_owned()),
            pair("options", Self::options(config)),
            pair("list_sha256", list_digest.to_owned()),
            pair("pages_listed", (report.pages.listed + unkept).to_string()),
            pair("pages_failed", (report.pages.failed + unkept).to_string()),
            pair("records_seen", report.records.seen.to_string()),
            pair("records_written", report.records.written.to_string()),
            pair("records_rejected", report.records.rejected.to_string()),
            pair("values_discarded", report.values_discarded.to_string()),
            pair("records_filtered", report.records.filtered.to_string()),
        ])
    }
}
