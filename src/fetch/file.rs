//! Local files as pages. Their end is proven, and a second attempt would read the same bytes.

use std::io;
use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::answer;
use super::fetcher::RawPage;
use super::paid::PaidBytes;
use super::retry::{Again, AttemptFault};
use crate::budget::Reservation;
use crate::metrics::Metrics;

/// One read; tokio's files copy through a buffer of at most 2 MiB.
const READ_BYTES: usize = 1 << 20;

/// Reads the whole file, still compressed.
pub(super) async fn read(
    path: &Path,
    page_bytes_max: u64,
    reservation: &mut Reservation,
    metrics: &Metrics,
) -> Result<RawPage, AttemptFault> {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| read_fault(&error))?;
    // Looked at before it is opened: opening a pipe waits for its writer.
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a device or a pipe" };
        return Err(AttemptFault::new(format!("expected a file, got {found}"), Again::Never));
    }
    let mut file = File::open(path).await.map_err(|error| read_fault(&error))?;
    // One byte more, so that the end is met without another growth.
    let expected_len = usize::try_from(metadata.len()).ok().and_then(|len| len.checked_add(1));
    let mut body = PaidBytes::default();
    loop {
        let room = expected_len.map_or(READ_BYTES, |len| len.saturating_sub(body.len()).clamp(1, READ_BYTES));
        body.make_room(room, expected_len, reservation)
            .await
            .map_err(|error| AttemptFault::new(error.to_string(), Again::Never))?;
        let mut bytes = body.lend();
        let read = (&mut file).take(room as u64).read_buf(&mut bytes).await;
        body.give_back(bytes);
        let read = read.map_err(|error| read_fault(&error))?;
        metrics.wire_bytes.add(read as u64);
        if body.len() as u64 > page_bytes_max {
            let reason = format!("the page is larger than {page_bytes_max} bytes (--max-page-bytes)");
            return Err(AttemptFault::new(reason, Again::Never).with_received(body.finish()));
        }
        if read == 0 {
            break;
        }
    }
    let name = path.to_string_lossy();
    Ok(RawPage {
        body: body.finish(),
        codings: Vec::new(),
        form: answer::declared_form(None, &name),
        end_proven: true,
        is_compressed_by_name: answer::has_compressed_extension(&name),
    })
}

fn read_fault(error: &io::Error) -> AttemptFault {
    AttemptFault::new(format!("could not read the file: {error}"), Again::Never)
}
