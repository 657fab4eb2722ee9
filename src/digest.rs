//! SHA-256 in hexadecimal: how failed pages and URL lists are identified, and values are hashed. And a checksum, which tells
//! bytes that a disk changed at a tenth of the cost, and keeps no secret. The only import of `sha2`, `hmac` and `twox_hash`.

use std::fmt;
use std::hash::Hasher as _;

use hmac::{Hmac, KeyInit, Mac};
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
        hex(&self.finish())
    }
}

/// XXH3 (64 bits) of bytes that arrive in pieces.
#[derive(Default)]
pub(crate) struct RunningChecksum(twox_hash::xxhash3_64::Hasher);

impl RunningChecksum {
    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of all bytes so far.
    pub(crate) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl fmt::Debug for RunningChecksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.finish())
    }
}

/// HMAC-SHA-256 (RFC 2104) with one key.
#[derive(Clone)]
pub(crate) struct KeyedDigest(Hmac<Sha256>);

impl KeyedDigest {
    /// A digest with this key.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("a key may have any length"))
    }

    /// The digest of `bytes`, in lower-case hexadecimal (64 characters).
    pub(crate) fn hex_of(&self, bytes: &[u8]) -> String {
        let mut running = self.0.clone();
        running.update(bytes);
        hex(&running.finalize().into_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_xxh3_and_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut pieces = RunningChecksum::default();
        bytes.chunks(777).for_each(|piece| pieces.update(piece));
        let mut whole = RunningChecksum::default();
        whole.update(&bytes);
        assert_eq!(pieces.finish(), whole.finish());
        // Of the reference implementation (xxhsum -H3), of no bytes.
        assert_eq!(RunningChecksum::default().finish(), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn digest_of_abc_is_the_one_in_fips_180() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
