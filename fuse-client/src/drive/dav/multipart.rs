//! The frame of `multipart/byteranges` (RFC 9110 §14.6).

use std::hash::{BuildHasher, RandomState};

use crate::drive::Source;

/// Most parts that a server must take.
const MOST_PARTS: usize = 1024;

/// A boundary that no content holds but by a chance of one in 2¹²⁸.
pub(super) fn boundary() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("coffer-{:016x}{:016x}", random(), random())
}

/// The type of a body with that boundary.
pub(super) fn content_type(boundary: &str) -> String {
    format!("multipart/byteranges; boundary={boundary}")
}

/// The parts in the order in which they must come, without empty ones; `None` when there are more
/// than can be sent at once, or when two speak of the same bytes.
pub(super) fn ordered(parts: &[Source]) -> Option<Vec<Source>> {
    let mut parts: Vec<Source> = parts
        .iter()
        .filter(|part| !part.range.is_empty())
        .cloned()
        .collect();
    parts.sort_by_key(|part| part.range.start);
    let apart = |pair: &[Source]| pair[0].range.end <= pair[1].range.start;
    (parts.len() <= MOST_PARTS && parts.windows(2).all(apart)).then_some(parts)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn parts_come_in_order_and_apart() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let of = |ranges: &[(u64, u64)]| {
            let part = |(start, end): &(u64, u64)| Source::new(Arc::clone(&file), *start..*end);
            let parts = ranges.iter().map(part);
            let ordered = ordered(&parts.collect::<Vec<_>>())?;
            let starts = ordered.iter().map(|part| part.range.start);
            Some(starts.collect::<Vec<_>>())
        };
        assert_eq!(of(&[(5, 6), (1, 3), (4, 4), (3, 5)]), Some(vec![1, 3, 5]));
        assert_eq!(of(&[(1, 3), (2, 5)]), None);
        let many: Vec<_> = (0..1025).map(|at| (at * 2, at * 2 + 1)).collect();
        assert_eq!(of(&many), None);
        assert_eq!(of(&[]), Some(vec![]));
    }
}
