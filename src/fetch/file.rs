//! Local files as pages. Their end is proven, and a second attempt would read the same bytes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::answer;
use super::body::BodyHead;
use super::retry::{Again, AttemptFault};
use crate::metrics::Metrics;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// The bytes of a file, still compressed.
#[derive(Debug)]
pub(super) struct FileBody {
    file: File,
    /// Bytes that the file is expected to have still, and one more so that its end is met.
    left_bytes: u64,
    metrics: Arc<Metrics>,
}

/// Opens the file.
pub(super) async fn open(path: &Path, metrics: &Arc<Metrics>) -> Result<(BodyHead, FileBody), AttemptFault> {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| read_fault(&error))?;
    // Looked at before it is opened: opening a pipe waits for its writer.
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a device or a pipe" };
        return Err(AttemptFault::new(format!("expected a file, got {found}"), Again::Never));
    }
    let file = File::open(path).await.map_err(|error| read_fault(&error))?;
    let name = path.to_string_lossy();
    let head = BodyHead {
        codings: Vec::new(),
        form: answer::declared_form(None, &name),
        end_proven: true,
        is_compressed_by_name: answer::has_compressed_extension(&name),
        expected_bytes: Some(metadata.len()),
        link: None,
        answered_url: None,
    };
    let left_bytes = metadata.len() + 1;
    Ok((head, FileBody { file, left_bytes, metrics: Arc::clone(metrics) }))
}

impl FileBody {
    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, AttemptFault> {
        let room = usize::try_from(self.left_bytes).unwrap_or(READ_BYTES).clamp(1, READ_BYTES);
        let mut bytes = BytesMut::with_capacity(room);
        let read = self.file.read_buf(&mut bytes).await.map_err(|error| read_fault(&error))?;
        self.left_bytes = self.left_bytes.saturating_sub(read as u64);
        self.metrics.wire_bytes.add(read as u64);
        Ok((read > 0).then(|| bytes.freeze()))
    }
}

fn read_fault(error: &io::Error) -> AttemptFault {
    AttemptFault::new(format!("could not read the file: {error}"), Again::Never)
}
