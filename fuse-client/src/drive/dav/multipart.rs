//! The frame of `multipart/byteranges` (RFC 9110 §14.6).

use std::hash::{BuildHasher, RandomState};

/// A boundary that no content holds but by a chance of one in 2¹²⁸.
pub(super) fn boundary() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("coffer-{:016x}{:016x}", random(), random())
}

/// The type of a body with that boundary.
pub(super) fn content_type(boundary: &str) -> String {
    format!("multipart/byteranges; boundary={boundary}")
}
