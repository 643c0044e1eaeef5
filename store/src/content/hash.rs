//! The first half of an upload's work: the hash of the whole, and where to cut.

use bytes::Bytes;

use crate::chunk::{Cutter, Piece};
use crate::digest::{Digest, Hasher};

/// Is fed all bytes of a content in order, to compute what a caller wants beside our digest.
pub(crate) type Extra = Box<dyn FnMut(&[u8]) + Send>;

/// Sees all bytes of one content, in order.
pub(super) struct Hash {
    /// Absent where the digest of the whole is not asked for.
    pub(super) whole: Option<Hasher>,
    /// Absent where content is known to be one blob.
    pub(super) cutter: Option<Cutter>,
    pub(super) extra: Option<Extra>,
}

impl Hash {
    /// Takes the next frames and returns the pieces decided so far.
    pub(super) fn take(&mut self, frames: Vec<Bytes>) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(frames.len() + 2);
        for frame in frames {
            self.digest(&frame);
            match &mut self.cutter {
                Some(cutter) => cutter.push(frame, &mut pieces),
                None => pieces.push(Piece::Data(frame)),
            }
        }
        pieces
    }

    /// Has the chunk end here, although the content does not.
    pub(super) fn cut(&mut self, pieces: &mut Vec<Piece>) {
        if let Some(cutter) = &mut self.cutter {
            cutter.finish(pieces);
        }
    }

    pub(super) fn digest(&mut self, frame: &[u8]) {
        if let Some(whole) = &mut self.whole {
            whole.update(frame);
        }
        if let Some(extra) = &mut self.extra {
            extra(frame);
        }
    }

    /// Ends the content: adds the last pieces and returns the digest of the whole.
    pub(super) fn finish(mut self, pieces: &mut Vec<Piece>) -> Option<Digest> {
        if let Some(cutter) = &mut self.cutter {
            cutter.finish(pieces);
        }
        self.whole.as_mut().map(Hasher::finish)
    }
}
