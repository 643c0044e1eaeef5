//! Where long content is cut into chunks.
//!
//! The cut points follow from the bytes around them (`FastCDC`, 2020), so an edit moves only the cuts
//! beside it and the other chunks keep their names. The tables and masks are those of the `fastcdc`
//! crate; the scan is our own because that crate wants a whole chunk in one slice, and content comes
//! in frames that should not be copied together. A test compares the two.

use std::borrow::Cow;

use bytes::Bytes;
use fastcdc::v2020::{Normalization, get_gear_with_seed, select_masks};

/// How content is cut. Stored with each manifest, so that old ones stay explained.
///
/// All three are even; `average_bytes` is a power of two. Content up to `max_bytes` is not cut: it is
/// one blob, named by the hash of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "names carry their unit")]
pub(crate) struct Cutting {
    pub min_bytes: u32,
    pub average_bytes: u32,
    pub max_bytes: u32,
}

impl Cutting {
    /// 256 KiB at least, 1 MiB on average, 4 MiB at most.
    pub(crate) const LOCAL: Self = Self {
        min_bytes: 256 << 10,
        average_bytes: 1 << 20,
        max_bytes: 4 << 20,
    };
}

/// A piece of content on its way to its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The next bytes of the chunk.
    Data(Bytes),
    /// The chunk ends here.
    End,
}

/// Finds the cut points of one content.
pub(crate) struct Cutter {
    min: usize,
    average: usize,
    max: usize,
    early: Masks,
    late: Masks,
    gear: &'static [u64; 256],
    gear_shifted: &'static [u64; 256],
    /// Bytes of the current chunk so far, without `carry`.
    position: usize,
    hash: u64,
    /// The algorithm takes bytes in pairs; this one waits for its second.
    carry: Option<Bytes>,
}

/// Which bits of the hash must be zero after the first and the second byte of a pair.
#[derive(Clone, Copy)]
struct Masks {
    first: u64,
    second: u64,
}

impl Cutter {
    pub(crate) fn new(cutting: Cutting) -> Self {
        let (early, late) = select_masks(cutting.average_bytes as usize, Normalization::Level1);
        let (Cow::Borrowed(gear), Cow::Borrowed(gear_shifted)) = get_gear_with_seed(0) else {
            unreachable!("without a seed the tables are the crate's own");
        };
        Self {
            min: cutting.min_bytes as usize,
            average: cutting.average_bytes as usize,
            max: cutting.max_bytes as usize,
            early: Masks {
                first: early << 1,
                second: early,
            },
            late: Masks {
                first: late << 1,
                second: late,
            },
            gear: table(gear),
            gear_shifted: table(gear_shifted),
            position: 0,
            hash: 0,
            carry: None,
        }
    }

    /// Takes the next frame and adds to `pieces` all that is decided now.
    pub(crate) fn push(&mut self, mut frame: Bytes, pieces: &mut Vec<Piece>) {
        if let Some(first) = self.carry.take() {
            if frame.is_empty() {
                self.carry = Some(first);
                return;
            }
            let second = frame.split_to(1);
            match self.scan(&[first[0], second[0]]) {
                None => self.emit([first, second], false, pieces),
                // The chunk ends before the pair, or in its middle; the rest is below the minimum.
                Some(0) => {
                    self.end(pieces);
                    self.emit([first, second], false, pieces);
                }
                Some(_) => {
                    self.emit([first], true, pieces);
                    self.emit([second], false, pieces);
                }
            }
        }
        while !frame.is_empty() {
            if self.position < self.min {
                let skip = frame.len().min(self.min - self.position);
                self.emit([frame.split_to(skip)], false, pieces);
                continue;
            }
            let pairs = frame.len().min(self.max - self.position) & !1;
            if pairs == 0 {
                self.carry = Some(frame);
                return;
            }
            match self.scan(&frame[..pairs]) {
                Some(cut) => self.emit([frame.split_to(cut)], true, pieces),
                None => self.emit([frame.split_to(pairs)], false, pieces),
            }
        }
    }

    /// Gives out what is left: the content, or a part of it that is cut for itself, ends here.
    pub(crate) fn finish(&mut self, pieces: &mut Vec<Piece>) {
        let rest = self.carry.take();
        if self.position > 0 || rest.is_some() {
            self.emit(rest, true, pieces);
        }
    }

    fn emit(&mut self, data: impl IntoIterator<Item = Bytes>, ends: bool, pieces: &mut Vec<Piece>) {
        for bytes in data {
            self.position += bytes.len();
            if !bytes.is_empty() {
                pieces.push(Piece::Data(bytes));
            }
        }
        if ends || self.position == self.max {
            self.end(pieces);
        }
    }

    fn end(&mut self, pieces: &mut Vec<Piece>) {
        pieces.push(Piece::End);
        self.position = 0;
        self.hash = 0;
    }

    /// Looks for a cut in whole pairs that begin at `position`; returns how many of the bytes still
    /// belong to the chunk.
    fn scan(&mut self, data: &[u8]) -> Option<usize> {
        let (early, late) =
            data.split_at(self.average.saturating_sub(self.position).min(data.len()));
        self.scan_with(early, self.early)
            .or_else(|| self.scan_with(late, self.late).map(|cut| early.len() + cut))
    }

    fn scan_with(&mut self, data: &[u8], masks: Masks) -> Option<usize> {
        let mut hash = self.hash;
        for (index, pair) in data.chunks_exact(2).enumerate() {
            hash = (hash << 2).wrapping_add(self.gear_shifted[usize::from(pair[0])]);
            if hash & masks.first == 0 {
                return Some(2 * index);
            }
            hash = hash.wrapping_add(self.gear[usize::from(pair[1])]);
            if hash & masks.second == 0 {
                return Some(2 * index + 1);
            }
        }
        self.hash = hash;
        None
    }
}

fn table(gear: &'static [u64]) -> &'static [u64; 256] {
    gear.try_into()
        .expect("a gear table has one entry per byte")
}

#[cfg(test)]
pub(crate) mod tests {
    use fastcdc::v2020::FastCDC;
    use proptest::prelude::*;

    use super::*;

    /// Small enough that tests can have many chunks.
    pub(crate) const TINY: Cutting = Cutting {
        min_bytes: 64,
        average_bytes: 256,
        max_bytes: 1024,
    };

    /// Bytes that look random, the same for the same seed.
    pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut data = Vec::with_capacity(len + 8);
        while data.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            data.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        data.truncate(len);
        data
    }

    fn chunks_of(frames: impl IntoIterator<Item = Bytes>) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new(TINY);
        let mut pieces = Vec::new();
        for frame in frames {
            cutter.push(frame, &mut pieces);
        }
        cutter.finish(&mut pieces);
        let mut chunks = vec![Vec::new()];
        for piece in pieces {
            match piece {
                Piece::Data(bytes) => chunks.last_mut().unwrap().extend_from_slice(&bytes),
                Piece::End => chunks.push(Vec::new()),
            }
        }
        assert_eq!(
            chunks.pop(),
            Some(Vec::new()),
            "the last piece ends a chunk"
        );
        chunks
    }

    proptest! {
        #[test]
        fn frames_do_not_move_the_cuts_of_fastcdc(
            seed: u64,
            len in 0usize..20_000,
            flat in 0usize..6_000,
            mut splits in proptest::collection::vec(0usize..26_000, 0..40),
        ) {
            let mut data = noise(seed, len);
            data.resize(len + flat, 7);
            splits.retain(|split| *split <= data.len());
            splits.extend([0, data.len()]);
            splits.sort_unstable();
            let all = Bytes::from(data.clone());
            let ours = chunks_of(splits.windows(2).map(|pair| all.slice(pair[0]..pair[1])));
            let theirs: Vec<Vec<u8>> = FastCDC::new(&data, 64, 256, 1024)
                .map(|chunk| data[chunk.offset..chunk.offset + chunk.length].to_vec())
                .collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn the_cuts_of_stored_content_never_change() {
        let data = Bytes::from(noise(1, 12 << 20));
        let mut cutter = Cutter::new(Cutting::LOCAL);
        let mut pieces = Vec::new();
        cutter.push(data, &mut pieces);
        cutter.finish(&mut pieces);
        let mut lengths = vec![0];
        for piece in pieces {
            match piece {
                Piece::Data(bytes) => *lengths.last_mut().unwrap() += bytes.len(),
                Piece::End => lengths.push(0),
            }
        }
        let expected = [
            305_972, 669_388, 1_267_287, 2_361_438, 2_009_383, 1_109_908, 1_066_723, 782_564,
            1_418_194, 1_505_824, 86_231, 0,
        ];
        assert_eq!(lengths, expected);
    }
}
