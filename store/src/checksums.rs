//! Digests that clients compare and the store has no other use for.

use std::fmt;

const SHA1_BYTES: usize = 20;
const MD5_BYTES: usize = 16;
const ADLER32_BYTES: usize = 4;
const BYTES: usize = SHA1_BYTES + MD5_BYTES + ADLER32_BYTES;

/// SHA-1 (FIPS 180-4), MD5 (RFC 1321) and Adler-32 (RFC 1950 §8.2) of one content.
///
/// All or none are known: whoever sends one wants to compare later, perhaps by another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksums([u8; BYTES]);

/// The bytes are not checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not checksums: expected 40 bytes")]
pub struct InvalidChecksums;

impl Checksums {
    /// Those of no bytes at all.
    pub const EMPTY: Self = Self([
        0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18,
        0x90, 0xaf, 0xd8, 0x07, 0x09, // SHA-1
        0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42,
        0x7e, // MD5
        0x00, 0x00, 0x00, 0x01, // Adler-32
    ]);

    /// Puts the three together.
    pub fn new(sha1: [u8; SHA1_BYTES], md5: [u8; MD5_BYTES], adler32: [u8; ADLER32_BYTES]) -> Self {
        let mut bytes = [0; BYTES];
        bytes[..SHA1_BYTES].copy_from_slice(&sha1);
        bytes[SHA1_BYTES..SHA1_BYTES + MD5_BYTES].copy_from_slice(&md5);
        bytes[SHA1_BYTES + MD5_BYTES..].copy_from_slice(&adler32);
        Self(bytes)
    }

    /// The SHA-1, 20 bytes.
    pub fn sha1(&self) -> &[u8] {
        &self.0[..SHA1_BYTES]
    }

    /// The MD5, 16 bytes.
    pub fn md5(&self) -> &[u8] {
        &self.0[SHA1_BYTES..SHA1_BYTES + MD5_BYTES]
    }

    /// The Adler-32, 4 bytes, the most significant first.
    pub fn adler32(&self) -> &[u8] {
        &self.0[SHA1_BYTES + MD5_BYTES..]
    }

    /// The stored form: one after the other.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Checksums {
    type Error = InvalidChecksums;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidChecksums> {
        bytes.try_into().map(Self).map_err(|_| InvalidChecksums)
    }
}

impl fmt::Debug for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checksums")
            .field("sha1", &self.sha1())
            .field("md5", &self.md5())
            .field("adler32", &self.adler32())
            .finish()
    }
}
