//! Pages for the tests: whole bodies without a server.

use std::sync::Arc;

use etl::config::{FeatureConfig, TransformConfig};
use etl::model::{DeclaredForm, PageBatch, PageFault, RawRecord, Reject};
use etl::schema::{Kinds, Shape};
use etl::transform::{Chunk, Cutter, decode};

/// A complete body.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) form: DeclaredForm,
    pub(crate) end_proven: bool,
}

/// A body whose end was proven.
pub(crate) fn page(body: impl Into<Vec<u8>>, form: DeclaredForm) -> Page {
    Page { body: body.into(), form, end_proven: true }
}

/// Decodes a page as one chunk, and then cut into chunks of several sizes: it must come to the same.
pub(crate) fn transform(page: &Page, config: &TransformConfig) -> Result<PageBatch, PageFault> {
    let chunk = Chunk::whole(page.body.clone(), page.form, page.end_proven);
    let whole = match decode(chunk, config) {
        Ok(decoded) => {
            assert!(decoded.rest.is_none(), "the pages of these tests fit one batch");
            Ok(decoded.batch)
        }
        Err(fault) => Err(fault.in_page(0)),
    };
    let length = page.body.len();
    for (chunk_bytes, arriving_bytes) in [(1, 1), (7, 13), (64, 1), (length / 2, 13), (length / 3, length)] {
        if (1..4096).contains(&length) && chunk_bytes > 0 {
            let config = Arc::new(TransformConfig { chunk_bytes, ..config.clone() });
            let cut = Outcome::in_chunks(page, &config, arriving_bytes);
            assert_eq!(cut, Outcome::of(&whole), "chunks of {chunk_bytes} bytes, {arriving_bytes} at a time");
        }
    }
    whole
}

/// What must not depend on where a page is cut.
#[derive(Debug, PartialEq)]
enum Outcome {
    Fault {
        reason: String,
        byte_offset: Option<u64>,
    },
    Page {
        row_count: usize,
        rejects: Vec<Reject>,
        shape: Shape,
        duplicate_key_count: u64,
        overflow_count: u64,
    },
}

impl Outcome {
    fn of(whole: &Result<PageBatch, PageFault>) -> Self {
        match whole {
            Ok(batch) => Self::Page {
                row_count: batch.row_count,
                rejects: batch.rejects.clone(),
                shape: batch.shape.clone(),
                duplicate_key_count: batch.duplicate_key_count,
                overflow_count: batch.overflow_count,
            },
            // The pointer is left out: where bytes are no UTF-8 anywhere in a chunk, faults come without.
            Err(fault) => Self::Fault {
                reason: fault.reason[fault.reason.find("expected").unwrap_or_default()..].to_owned(),
                byte_offset: fault.byte_offset,
            },
        }
    }

    fn in_chunks(page: &Page, config: &Arc<TransformConfig>, arriving_bytes: usize) -> Self {
        let mut cutter = Cutter::new(config, page.form);
        let mut chunks = Vec::new();
        for bytes in page.body.chunks(arriving_bytes) {
            cutter.buffer().extend_from_slice(bytes);
            chunks.extend(cutter.cut(None));
        }
        while let Some(chunk) = cutter.cut(Some(page.end_proven)) {
            chunks.push(chunk);
        }
        let (mut rejects, mut record_count, mut row_count) = (Vec::new(), 0, 0);
        let (mut duplicate_key_count, mut overflow_count) = (0, 0);
        let mut shape = Shape::of_kinds(Kinds::OBJECT);
        for chunk in chunks {
            let batch = match decode(chunk, config) {
                Ok(decoded) => decoded.batch,
                Err(fault) => return Self::of(&Err(fault.in_page(record_count))),
            };
            rejects.extend(batch.rejects.into_iter().map(|mut reject| {
                reject.record += record_count;
                reject
            }));
            record_count += batch.record_count;
            row_count += batch.row_count;
            shape.unite(&batch.shape, config.nesting);
            duplicate_key_count += batch.duplicate_key_count;
            overflow_count += batch.overflow_count;
        }
        Self::Page { row_count, rejects, shape, duplicate_key_count, overflow_count }
    }
}

/// The bytes that are kept of a record that is not too large.
pub(crate) fn raw(reject: &Reject) -> &[u8] {
    match &reject.raw {
        RawRecord::Bytes(bytes) => bytes,
        RawRecord::Redacted(_) | RawRecord::Digest { .. } | RawRecord::Hidden { .. } => {
            panic!("every record of these tests is kept")
        }
    }
}

/// Decodes a page in which no field is a list to be summarised.
pub(crate) fn decode_plain(page: &Page) -> Result<PageBatch, PageFault> {
    checked(transform(page, &plain_config()))
}

/// How a page is decoded in which no field is a list to be summarised.
pub(crate) fn plain_config() -> TransformConfig {
    let features = FeatureConfig::none().into();
    TransformConfig { features, nesting: crate::NESTING, ..TransformConfig::default() }
}

/// Every outcome keeps the first promise: what was seen is a row or a reject, and every column has all rows.
pub(crate) fn checked(outcome: Result<PageBatch, PageFault>) -> Result<PageBatch, PageFault> {
    let batch = outcome?;
    assert_eq!(batch.record_count, batch.row_count as u64 + batch.rejects.len() as u64, "{batch:?}");
    assert_eq!(batch.columns.len(), batch.shape.fields.len());
    assert!(batch.columns.iter().all(|column| column.row_count() == batch.row_count), "{batch:?}");
    Ok(batch)
}
