//! The ordered chunks of one file version, and their packed form.
//!
//! Packed: a version byte, a byte naming the way of cutting, its three lengths, then 36 bytes for
//! each chunk (digest, length); numbers are big-endian. The digest of this form names the manifest.

use std::ops::Range;

use crate::chunk::Cutting;
use crate::digest::Digest;

const VERSION: u8 = 1;
/// `FastCDC` of 2020 with normalization level 1 and no seed.
const FASTCDC_2020: u8 = 1;
const HEADER_BYTES: usize = 14;
const DIGEST_BYTES: usize = 32;
const ENTRY_BYTES: usize = DIGEST_BYTES + 4;
/// Far above what the way of cutting allows for; a stored manifest beyond it is damaged.
const MAX_CHUNK_BYTES: u32 = 64 << 20;

/// A blob and its length: one chunk of a content, or a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChunkRef {
    pub digest: Digest,
    pub len_bytes: u64,
}

/// A stored manifest cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadManifest {
    #[error("the manifest has an unknown version or way of cutting")]
    Unknown,
    #[error("the manifest is cut short, or its chunks do not add up to the content's length")]
    Damaged,
}

/// Writes the packed form of chunks, none of which is longer than a way of cutting allows.
pub(crate) fn pack(cutting: Cutting, chunks: &[ChunkRef]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(HEADER_BYTES + chunks.len() * ENTRY_BYTES);
    packed.extend([VERSION, FASTCDC_2020]);
    for length in [cutting.min_bytes, cutting.average_bytes, cutting.max_bytes] {
        packed.extend(length.to_be_bytes());
    }
    for chunk in chunks {
        packed.extend(chunk.digest.as_bytes());
        let len_bytes = u32::try_from(chunk.len_bytes).expect("chunks are short");
        packed.extend(len_bytes.to_be_bytes());
    }
    packed
}

/// Reads the packed form of a content of `size_bytes`.
///
/// # Errors
/// [`BadManifest`] when anything in it contradicts the rest or `size_bytes`.
pub(crate) fn unpack(
    packed: &[u8],
    size_bytes: u64,
) -> Result<(Cutting, Vec<ChunkRef>), BadManifest> {
    let (header, entries) = packed
        .split_at_checked(HEADER_BYTES)
        .ok_or(BadManifest::Damaged)?;
    if header[..2] != [VERSION, FASTCDC_2020] {
        return Err(BadManifest::Unknown);
    }
    let cutting = Cutting {
        min_bytes: number(&header[2..6]),
        average_bytes: number(&header[6..10]),
        max_bytes: number(&header[10..14]),
    };
    let entries = entries.chunks_exact(ENTRY_BYTES);
    if entries.len() == 0 || !entries.remainder().is_empty() {
        return Err(BadManifest::Damaged);
    }
    let mut chunks = Vec::with_capacity(entries.len());
    let mut total_bytes = 0u64;
    for entry in entries {
        let (digest, len_bytes) = entry.split_at(DIGEST_BYTES);
        let digest = Digest::try_from(digest).map_err(|_| BadManifest::Damaged)?;
        let len_bytes = number(len_bytes);
        if len_bytes == 0 || len_bytes > MAX_CHUNK_BYTES {
            return Err(BadManifest::Damaged);
        }
        let len_bytes = u64::from(len_bytes);
        total_bytes += len_bytes;
        chunks.push(ChunkRef { digest, len_bytes });
    }
    if total_bytes == size_bytes {
        Ok((cutting, chunks))
    } else {
        Err(BadManifest::Damaged)
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("called with four bytes"))
}

/// The bytes `start..end` of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub blob: ChunkRef,
    pub start: u64,
    pub end: u64,
}

/// The spans that together are a range of a content, in order.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    chunks: std::vec::IntoIter<ChunkRef>,
    skip_bytes: u64,
    left_bytes: u64,
}

/// Maps a range of bytes to spans of `chunks`. What lies beyond their end has no span.
pub(crate) fn spans(chunks: Vec<ChunkRef>, range: Range<u64>) -> Spans {
    Spans {
        chunks: chunks.into_iter(),
        skip_bytes: range.start,
        left_bytes: range.end.saturating_sub(range.start),
    }
}

impl Iterator for Spans {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if self.left_bytes == 0 {
            return None;
        }
        loop {
            let blob = self.chunks.next()?;
            if self.skip_bytes >= blob.len_bytes {
                self.skip_bytes -= blob.len_bytes;
                continue;
            }
            let start = std::mem::take(&mut self.skip_bytes);
            let taken = (blob.len_bytes - start).min(self.left_bytes);
            self.left_bytes -= taken;
            return Some(Span {
                blob,
                start,
                end: start + taken,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunks(lengths: &[u32]) -> Vec<ChunkRef> {
        let name = |n: u32| Digest::of(&n.to_be_bytes());
        lengths
            .iter()
            .map(|&len_bytes| ChunkRef {
                digest: name(len_bytes),
                len_bytes: len_bytes.into(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_manifest_survives_packing(lengths in proptest::collection::vec(1u32..=4 << 20, 1..50)) {
            let chunks = chunks(&lengths);
            let size_bytes = lengths.iter().map(|len| u64::from(*len)).sum();
            let packed = pack(Cutting::LOCAL, &chunks);
            prop_assert_eq!(packed.len(), HEADER_BYTES + 36 * chunks.len());
            prop_assert_eq!(unpack(&packed, size_bytes), Ok((Cutting::LOCAL, chunks)));
            prop_assert_eq!(unpack(&packed, size_bytes + 1), Err(BadManifest::Damaged));
            for cut in [0, HEADER_BYTES - 1, HEADER_BYTES, packed.len() - 1] {
                prop_assert_eq!(unpack(&packed[..cut], size_bytes), Err(BadManifest::Damaged));
            }
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(
            packed in proptest::collection::vec(any::<u8>(), 0..200),
            size_bytes: u64,
        ) {
            let _: Result<_, _> = unpack(&packed, size_bytes);
        }

        #[test]
        fn spans_are_the_bytes_of_the_range(
            lengths in proptest::collection::vec(1u32..9, 1..9),
            start in 0u64..80,
            len in 0u64..80,
        ) {
            let chunks = chunks(&lengths);
            let all: Vec<_> =
                chunks.iter().flat_map(|chunk| (0..chunk.len_bytes).map(|at| (*chunk, at))).collect();
            let got: Vec<_> = spans(chunks, start..start + len)
                .flat_map(|span| (span.start..span.end).map(move |at| (span.blob, at)))
                .collect();
            let end = usize::try_from(start + len).unwrap().min(all.len());
            let start = usize::try_from(start).unwrap().min(end);
            prop_assert_eq!(&got[..], &all[start..end]);
        }
    }

    #[test]
    fn lengths_that_no_chunk_has_are_refused() {
        for len_bytes in [0, MAX_CHUNK_BYTES + 1] {
            let packed = pack(Cutting::LOCAL, &chunks(&[len_bytes, 1]));
            let size_bytes = u64::from(len_bytes) + 1;
            assert_eq!(unpack(&packed, size_bytes), Err(BadManifest::Damaged));
        }
    }

    #[test]
    fn a_later_format_is_not_guessed_at() {
        let mut packed = pack(Cutting::LOCAL, &chunks(&[1]));
        packed[0] = 2;
        assert_eq!(unpack(&packed, 1), Err(BadManifest::Unknown));
    }
}
