//! Which blocks of a file's content are here, and which differ from the server's.

use std::ops::Range;

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 1 << 20;

/// A set of blocks; `None` is all of them, however long the file becomes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Blocks(pub(crate) Option<Vec<u8>>);

/// The blocks that a range of bytes touches.
pub(crate) fn touched(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() {
        return 0..0;
    }
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

impl Blocks {
    pub(crate) const ALL: Self = Self(None);

    pub(crate) const fn none() -> Self {
        Self(Some(Vec::new()))
    }

    pub(crate) fn is_all(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|bits| bits.iter().all(|byte| *byte == 0))
    }

    pub(crate) fn has(&self, block: u64) -> bool {
        match &self.0 {
            None => true,
            Some(bits) => usize::try_from(block / 8)
                .ok()
                .and_then(|at| bits.get(at))
                .is_some_and(|byte| byte & (1 << (block % 8)) != 0),
        }
    }

    pub(crate) fn has_all(&self, blocks: Range<u64>) -> bool {
        self.is_all() || blocks.into_iter().all(|block| self.has(block))
    }

    pub(crate) fn add(&mut self, blocks: Range<u64>) {
        let Some(bits) = &mut self.0 else { return };
        for block in blocks {
            let at = usize::try_from(block / 8).unwrap_or(usize::MAX);
            if bits.len() <= at {
                bits.resize(at + 1, 0);
            }
            bits[at] |= 1 << (block % 8);
        }
    }

    /// Forgets the blocks from `first` on.
    pub(crate) fn cut(&mut self, first: u64) {
        let Some(bits) = &mut self.0 else { return };
        let whole = usize::try_from(first / 8).unwrap_or(usize::MAX);
        if whole < bits.len() {
            bits.truncate(whole + 1);
            bits[whole] &= (1 << (first % 8)) - 1;
        }
    }

    /// Where its last block ends, in bytes.
    pub(crate) fn end(&self) -> u64 {
        let Some(bits) = &self.0 else {
            return u64::MAX;
        };
        let last = bits.iter().rposition(|byte| *byte != 0);
        last.map_or(0, |at| {
            let bit = 8 - u64::from(bits[at].leading_zeros());
            (at as u64 * 8 + bit) * BLOCK
        })
    }

    /// Its blocks below a length in bytes as ranges of bytes, neighbours joined.
    pub(crate) fn ranges(&self, size: u64) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for block in (0..size.div_ceil(BLOCK)).filter(|block| self.has(*block)) {
            let (start, end) = (block * BLOCK, ((block + 1) * BLOCK).min(size));
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    /// Bytes in it of a file of a length.
    pub(crate) fn bytes(&self, size: u64) -> u64 {
        match self.0 {
            None => size,
            Some(_) => self.ranges(size).iter().map(|r| r.end - r.start).sum(),
        }
    }

    /// All of it, said shortly, when it covers a length.
    pub(crate) fn simplify(&mut self, size: u64) {
        if self.has_all(0..size.div_ceil(BLOCK)) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Blocks, touched};

    #[test]
    fn a_range_touches_the_blocks_of_its_first_and_last_byte() {
        assert_eq!(touched(&(0..1)), 0..1);
        assert_eq!(touched(&(BLOCK - 1..BLOCK + 1)), 0..2);
        assert_eq!(touched(&(BLOCK..2 * BLOCK)), 1..2);
        assert!(touched(&(5..5)).is_empty());
    }

    #[test]
    fn what_was_added_is_there_and_nothing_else() {
        let mut blocks = Blocks::none();
        blocks.add(3..5);
        blocks.add(9..10);
        let there: Vec<u64> = (0..20).filter(|block| blocks.has(*block)).collect();
        assert_eq!(there, [3, 4, 9]);
        let size = 9 * BLOCK + 7;
        assert_eq!(blocks.ranges(size), [3 * BLOCK..5 * BLOCK, 9 * BLOCK..size]);
        assert_eq!(blocks.bytes(size), 2 * BLOCK + 7);
        assert_eq!(blocks.end(), 10 * BLOCK);
        assert_eq!(Blocks::none().end(), 0);
    }

    #[test]
    fn cutting_forgets_what_follows_and_keeps_what_is_before() {
        for first in 0..20 {
            let mut blocks = Blocks::none();
            blocks.add(0..17);
            blocks.cut(first);
            for block in 0..20 {
                assert_eq!(blocks.has(block), block < first.min(17), "{first} {block}");
            }
        }
    }

    #[test]
    fn a_whole_file_stays_whole_when_it_grows() {
        let mut blocks = Blocks::none();
        blocks.add(0..3);
        blocks.simplify(3 * BLOCK - 1);
        assert!(blocks.is_all());
        assert!(blocks.has(1000));
    }
}
