//! Keeps a URL list that can be read only once: in memory while it is small, else in a file without a name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use super::lines::Source;

/// Lists up to this size stay in memory: a hundred thousand URLs, without needing a writable folder.
const MEMORY_BYTES_MAX: u64 = 8 << 20;

/// Reads all of `pipe` and returns it as something that can be read twice.
pub(super) fn keep(pipe: impl Read) -> io::Result<Source> {
    keep_up_to(MEMORY_BYTES_MAX, pipe)
}

fn keep_up_to(memory_bytes_max: u64, mut pipe: impl Read) -> io::Result<Source> {
    let mut head = Vec::new();
    (&mut pipe).take(memory_bytes_max).read_to_end(&mut head)?;
    if (head.len() as u64) < memory_bytes_max {
        return Ok(Source::Memory(Cursor::new(head)));
    }
    let mut file = nameless_file()?;
    file.write_all(&head)?;
    io::copy(&mut pipe, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Source::File(file))
}

/// A temporary file that is gone with its last handle, whatever ends the process. URLs may hold
/// secrets, so nobody else may open it in the moment in which it has a name.
fn nameless_file() -> io::Result<File> {
    let name = format!("etl-urls-{}-{:016x}", std::process::id(), fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_list_stays_in_memory_and_a_large_one_goes_to_disk_whole() {
        let list = b"http://h/1\nhttp://h/2\n";
        for (memory_bytes_max, in_memory) in [(1 << 10, true), (4, false), (list.len() as u64, false)] {
            let mut source = keep_up_to(memory_bytes_max, &list[..]).unwrap();
            assert_eq!(matches!(source, Source::Memory(_)), in_memory);
            for _ in 0..2 {
                let mut bytes = Vec::new();
                source.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes, list);
                source.seek(SeekFrom::Start(0)).unwrap();
            }
        }
    }
}
