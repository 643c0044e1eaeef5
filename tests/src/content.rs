//! Bytes and names to store: the same at every run, so that a failure can be repeated.

use sha2::{Digest, Sha256};

/// Names that clients and servers have stumbled over: spaces, umlauts composed and decomposed,
/// emoji, and every character with a meaning in URLs, XML or shells.
///
/// The two spellings of one umlaut are different names here on purpose (`docs/SEMANTICS.md` makes
/// `ä` and `a` + U+0308 one name, so both must not be spelled the same otherwise).
pub const SPECIAL_NAMES: [&str; 14] = [
    "two words.txt",
    "gr\u{fc}\u{df}e.txt",
    "a\u{308}rger.txt",
    "\u{1f980} crab.txt",
    "hash#tag.txt",
    "question?.txt",
    "100%.txt",
    "50%25.txt",
    "a+b.txt",
    "salt & pepper.txt",
    "semi;colon.txt",
    "it's.txt",
    "say \"hi\".txt",
    "<angle>.txt",
];

/// `length` bytes that neither compress nor repeat, the same for the same `seed`.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The SHA-256 of `bytes` in lower-case hex, as `sha256sum` prints it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}
