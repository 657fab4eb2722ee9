//! What a page came to, compared with records that are written as lines of JSON.

use etl::model::{PageBatch, PageFault};

use crate::json::Json;
use crate::page::raw;
use crate::reference::check_page;

/// Checks that a page holds exactly these records, given as lines of JSON, and no reject.
#[track_caller]
pub(crate) fn check(outcome: Result<PageBatch, PageFault>, records: &str) {
    let batch = outcome.unwrap_or_else(|fault| panic!("{fault:?}"));
    assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
    check_rows(&batch, records);
}

#[track_caller]
pub(crate) fn check_rows(batch: &PageBatch, records: &str) {
    let records: Vec<Json> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check_page(&records.iter().collect::<Vec<_>>(), batch).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Record, offset and bytes of each reject.
pub(crate) fn refused(batch: &PageBatch) -> Vec<(u64, u64, String)> {
    batch
        .rejects
        .iter()
        .map(|reject| (reject.record, reject.byte_offset, String::from_utf8_lossy(raw(reject)).into_owned()))
        .collect()
}
