//! The name of content: its SHA-256 (FIPS 180-4).

use std::fmt;
use std::str::FromStr;

use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest; its text form is 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The text or bytes are not a SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hex digits")]
pub struct InvalidDigest;

impl Digest {
    /// The digest of no bytes at all.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = InvalidDigest;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidDigest> {
        bytes.try_into().map(Self).map_err(|_| InvalidDigest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        f.pad(std::str::from_utf8(&text).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(InvalidDigest);
        }
        let nibble = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
                .ok_or(InvalidDigest)
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// Computes a digest of bytes that come in pieces.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

/// The stored form of a [`Hasher`]: this, then the state as `sha2` 0.11 writes it.
const STATE_VERSION: u8 = 1;

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of everything since the last call, and starts anew.
    pub(crate) fn finish(&mut self) -> Digest {
        Digest(self.0.finalize_reset().into())
    }

    /// What has to be kept to go on later, perhaps in another process.
    pub(crate) fn save(&self) -> Vec<u8> {
        let state = self.0.serialize();
        std::iter::once(STATE_VERSION).chain(state).collect()
    }

    /// Goes on from what [`Self::save`] has given; `None` for anything else.
    pub(crate) fn load(saved: &[u8]) -> Option<Self> {
        let (version, state) = saved.split_first()?;
        let state = SerializedState::<Sha256>::try_from(state).ok()?;
        let hasher = Sha256::deserialize(&state).ok()?;
        (*version == STATE_VERSION).then_some(Self(hasher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back() {
        let digest = Digest::of(b"coffer");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(Digest::of(b""), Digest::EMPTY);
        let mut hasher = Hasher::default();
        hasher.update(b"cof");
        hasher.update(b"fer");
        assert_eq!(hasher.finish(), digest);
        assert_eq!(hasher.finish(), Digest::EMPTY);
    }

    #[test]
    fn a_digest_goes_on_where_it_was_saved() {
        let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for at in [0, 1, 63, 64, 65, 640, 999, 1000] {
            let mut first = Hasher::default();
            first.update(&data[..at]);
            let mut second = Hasher::load(&first.save()).unwrap();
            second.update(&data[at..]);
            assert_eq!(second.finish(), Digest::of(&data), "{at}");
        }
    }

    /// A daemon goes on with what an older one has begun.
    #[test]
    fn the_stored_form_never_changes() {
        let mut hasher = Hasher::default();
        hasher.update(&[7; 100]);
        let saved = hasher.save();
        assert_eq!((saved.len(), saved[0]), (105, STATE_VERSION));
        assert_eq!(
            Digest::of(&saved).to_string(),
            "7306d6c9c7c34eb1a8d1528f1df87f49dd70a3fa23f24f72c681615d9b29a784"
        );
        for other in [&[][..], &saved[1..], &[2; 105]] {
            assert!(Hasher::load(other).is_none());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!("abc".parse::<Digest>(), Err(InvalidDigest));
        assert_eq!("zz".repeat(32).parse::<Digest>(), Err(InvalidDigest));
    }
}
