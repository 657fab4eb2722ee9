//! SHA-256 in hexadecimal: how failed pages and URL lists are identified. The only `sha2` import.

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`, in lower-case hexadecimal (64 characters).
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let mut running = RunningDigest::default();
    running.update(bytes);
    running.finish_hex()
}

/// SHA-256 of bytes that arrive in pieces.
#[derive(Debug, Default, Clone)]
pub(crate) struct RunningDigest(Sha256);

impl RunningDigest {
    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far, raw.
    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The digest of all bytes so far, in lower-case hexadecimal.
    pub(crate) fn finish_hex(self) -> String {
        self.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_abc_is_the_one_in_fips_180() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
