//! What was received and can't be taken yet: a little in memory, the rest on disk beside the output.

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;

use crate::budget::ByteBudget;
use crate::error::{Error, Result};
use crate::sink::{Spool, Spools};

/// Bytes that go to disk, or come back from it, at once.
const STEP_BYTES: usize = 256 << 10;
/// What a backlog holds of what is on disk: a step on its way there, and one on its way back.
pub const BACKLOG_BESIDE_BYTES: u64 = 2 * STEP_BYTES as u64;

/// A queue of received bytes, the oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    memory: VecDeque<(Bytes, OwnedSemaphorePermit)>,
    memory_bytes: u64,
    room: BacklogRoom,
    spooled: Option<Spooled>,
}

/// Where a backlog may grow.
#[derive(Debug, Clone)]
pub struct BacklogRoom {
    /// Pays for what is kept in memory.
    pub budget: ByteBudget,
    /// Most bytes that one page keeps in memory, so that a few do not take all of it.
    pub memory_bytes_max: u64,
    /// Takes the rest.
    pub spools: Spools,
}

/// The part that is on disk; all of it came after the part in memory.
#[derive(Debug)]
struct Spooled {
    path: PathBuf,
    file: File,
    written_bytes: u64,
    read_bytes: u64,
}

impl Backlog {
    pub(super) fn new(room: BacklogRoom) -> Self {
        Self { memory: VecDeque::new(), memory_bytes: 0, room, spooled: None }
    }

    /// # Errors
    /// The disk is full, or broken.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<()> {
        let size = bytes.len() as u64;
        if self.spooled.is_none()
            && self.memory_bytes + size <= self.room.memory_bytes_max
            && let Some(paid) = self.room.budget.try_take(size)
        {
            self.memory_bytes += size;
            // What was received is a slice of the connection's buffer, which may be a hundred times as large.
            self.memory.push_back((Bytes::copy_from_slice(&bytes), paid));
            return Ok(());
        }
        let spooled = match &mut self.spooled {
            Some(spooled) => spooled,
            empty => {
                let Spool { path, file } = self.room.spools.create()?;
                let mut file = File::from_std(file);
                file.set_max_buf_size(STEP_BYTES);
                empty.insert(Spooled { path, file, written_bytes: 0, read_bytes: 0 })
            }
        };
        let written = async {
            spooled.file.seek(SeekFrom::Start(spooled.written_bytes)).await?;
            spooled.file.write_all(&bytes).await?;
            spooled.file.flush().await
        };
        written.await.map_err(|error| Error::storage("write", &spooled.path, error))?;
        spooled.written_bytes += size;
        Ok(())
    }

    /// The oldest bytes; `None` if there are none.
    ///
    /// # Errors
    /// The disk is broken.
    pub(super) async fn pop(&mut self) -> Result<Option<Bytes>> {
        if let Some((bytes, _)) = self.memory.pop_front() {
            self.memory_bytes -= bytes.len() as u64;
            return Ok(Some(bytes));
        }
        let Some(spooled) = &mut self.spooled else { return Ok(None) };
        let mut bytes = BytesMut::with_capacity(STEP_BYTES);
        let read = async {
            spooled.file.seek(SeekFrom::Start(spooled.read_bytes)).await?;
            spooled.file.read_buf(&mut bytes).await
        };
        let read = read.await.map_err(|error| Error::storage("read back", &spooled.path, error))?;
        if read == 0 {
            let path = spooled.path.display();
            return Err(Error::defect(format!("{path} ends before what was written to it")));
        }
        spooled.read_bytes += read as u64;
        if spooled.read_bytes == spooled.written_bytes {
            // What comes next need not go through the disk.
            self.spooled = None;
        }
        Ok(Some(bytes.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::LocalOutput;

    #[tokio::test]
    async fn bytes_come_back_in_order_whether_they_went_to_disk_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let output = LocalOutput::lock(&folder.path().join("out.parquet"), None).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        let budget = ByteBudget::new(1 << 20);
        let mut backlog =
            Backlog::new(BacklogRoom { budget, memory_bytes_max: 1000, spools: output.spools() });
        let (mut next_in, mut next_out) = (0_u32, 0_u32);
        let mut spooled_count = 0;
        for _ in 0..2000 {
            if random.u8(..) < 140 {
                let numbers = next_in..next_in + random.u32(1..100);
                next_in = numbers.end;
                backlog.push(numbers.flat_map(u32::to_le_bytes).collect()).await.unwrap();
                spooled_count += u32::from(backlog.spooled.is_some());
            } else if let Some(bytes) = backlog.pop().await.unwrap() {
                for number in bytes.chunks_exact(4) {
                    assert_eq!(u32::from_le_bytes(number.try_into().unwrap()), next_out);
                    next_out += 1;
                }
            }
        }
        assert!((100..1900).contains(&spooled_count), "both ways were used: {spooled_count}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "only the locks have names");
    }
}
