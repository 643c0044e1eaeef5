//! Secrets that we make and show once; only their digests are kept.

use crate::clock::World;
use crate::digest::Digest;

/// 32 signs that people do not mistake for one another.
const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A fresh secret: `prefix` and 160 random bits as 32 signs.
pub(crate) fn generate(world: &World, prefix: &str) -> String {
    let mut text = String::with_capacity(prefix.len() + 32);
    text.push_str(prefix);
    for group in world.bytes::<20>().chunks_exact(5) {
        let bits = group
            .iter()
            .fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
        for shift in (0..8).rev() {
            let sign = usize::try_from(bits >> (shift * 5) & 31).expect("five bits");
            text.push(char::from(SIGNS[sign]));
        }
    }
    text
}

/// Whether the text has the shape of [`generate`]'s secrets.
pub(crate) fn is_shaped(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| SIGNS.contains(&byte)))
}

/// What is kept of a secret. One with this many random bits needs no slow hash.
pub(crate) fn digest(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognised_by_their_shape() {
        let secret = generate(&World::default(), "cof_");
        assert!(is_shaped(&secret, "cof_"));
        assert!(!is_shaped(&secret, "inv_"));
        assert!(!is_shaped(&secret[..secret.len() - 1], "cof_"));
        assert!(!is_shaped("cof_", "cof_"));
        assert_ne!(secret, generate(&World::default(), "cof_"));
    }
}
