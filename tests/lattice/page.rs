//! Pages for the tests: whole bodies without a server.

use etl::config::{FeatureConfig, TransformConfig};
use etl::model::{DeclaredForm, Page, PageBatch, PageFault};
use etl::transform::transform;

/// A body whose end was proven.
pub(crate) fn page(body: impl Into<Vec<u8>>, form: DeclaredForm) -> Page {
    Page { body: body.into().into(), form, end_proven: true }
}

/// Decodes a page in which no field is a list to be summarised.
pub(crate) fn decode_plain(page: &Page) -> Result<PageBatch, PageFault> {
    let config = TransformConfig { records: None, features: FeatureConfig::none().into() };
    checked(transform(page, &config))
}

/// Every outcome keeps the first promise: what was seen is a row or a reject, and every column has all rows.
pub(crate) fn checked(outcome: Result<PageBatch, PageFault>) -> Result<PageBatch, PageFault> {
    let batch = outcome?;
    assert_eq!(batch.record_count, batch.row_count as u64 + batch.rejects.len() as u64, "{batch:?}");
    assert_eq!(batch.columns.len(), batch.shape.fields.len());
    assert!(batch.columns.iter().all(|column| column.len() == batch.row_count), "{batch:?}");
    Ok(batch)
}
