//! Local files as pages, and bodies that an earlier run kept. A second attempt would read the same bytes.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::answer;
use super::body::BodyHead;
use super::retry::{Again, AttemptFault, is_out_of_files};
use crate::digest::RunningDigest;
use crate::metrics::Metrics;
use crate::model::{AnswerNotes, DeclaredForm, KeptBody};

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes that are hashed at once: few, for the pages that wait for their turn are hashed side by side.
const DIGEST_BYTES: usize = 32 << 10;

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
        notes: AnswerNotes::default(),
    };
    let left_bytes = metadata.len() + 1;
    Ok((head, FileBody { file, left_bytes, metrics: Arc::clone(metrics) }))
}

/// Opens a file that has a record a line, whatever it is called.
pub(super) async fn open_records(
    path: &Path,
    metrics: &Arc<Metrics>,
) -> Result<(BodyHead, FileBody), AttemptFault> {
    let (head, file) = open(path, metrics).await?;
    Ok((BodyHead { form: DeclaredForm::Records, is_compressed_by_name: false, ..head }, file))
}

/// Opens a body that an earlier run kept, if it is still what was kept.
pub(super) async fn open_kept(
    body: &KeptBody,
    metrics: &Arc<Metrics>,
) -> Result<(BodyHead, FileBody), AttemptFault> {
    let KeptBody { object, page } = body;
    let wrong = |what: &str| {
        let reason = format!("the raw body {} {what}", object.display());
        AttemptFault::new(reason, Again::Never)
    };
    // Looked at before the first byte is taken: what altered bytes do to a decoder would hide that they were altered.
    let looked_at = tokio::task::spawn_blocking({
        let object = object.clone();
        move || digest_of(&object)
    });
    let looked_at = looked_at.await.map_err(|_| wrong("could not be read"))?;
    let found = looked_at.map_err(|error| wrong(&format!("can't be read: {error}")))?;
    if found != page.sha256 {
        return Err(wrong(&format!("was altered: its bytes have the SHA-256 {found}")));
    }
    let codings = answer::codings(page.notes.content_encoding.as_deref())
        .map_err(|reason| AttemptFault::new(reason, Again::Never))?;
    let head = BodyHead {
        codings,
        form: page.form,
        end_proven: page.end_proven,
        is_compressed_by_name: page.is_compressed_by_name,
        expected_bytes: Some(page.bytes),
        // All pages of its chain were kept, so it leads nowhere.
        link: None,
        answered_url: None,
        notes: AnswerNotes::default(),
    };
    let file = File::open(object).await.map_err(|error| wrong(&format!("can't be read: {error}")))?;
    Ok((head, FileBody { file, left_bytes: page.bytes + 1, metrics: Arc::clone(metrics) }))
}

/// SHA-256 of a file.
fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut digest = RunningDigest::default();
    let mut bytes = vec![0; DIGEST_BYTES];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(digest.finish_hex()),
            read => digest.update(&bytes[..read]),
        }
    }
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
    let again = if is_out_of_files(error) { Again::OnceFilesClose } else { Again::Never };
    AttemptFault::new(format!("could not read the file: {error}"), again)
}
