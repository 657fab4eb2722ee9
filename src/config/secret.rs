//! Bytes that nobody may see: not in a log, not in an error, not in a panic.

use std::fmt;

use bytes::Bytes;

/// A password, a token, a key, or a text that may hold one. Cloning it copies nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Bytes);

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for where they are meant to go.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret");
    }
}
