//! Buffers of frames on their way out. They are used again, so reading neither allocates nor clears.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// A frame's length: it stays in a core's own cache between being read and being sent.
pub(super) const FRAME_BYTES: usize = 256 << 10;
/// A read below this takes a buffer of its own size: many of them must not each hold a whole frame.
const SHARED_FROM: usize = FRAME_BYTES / 4;
/// Buffers kept for later, 16 MiB together.
const IDLE: usize = 64;

static BUFFERS: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer that returns to the others when its frame was sent.
pub(crate) struct Frame {
    buffer: Box<[u8]>,
    len: usize,
}

impl Frame {
    /// A buffer for `len` bytes, or for a whole frame of them if that is less.
    pub(crate) fn for_bytes(len: u64) -> Self {
        let len = usize::try_from(len).map_or(FRAME_BYTES, |len| len.min(FRAME_BYTES));
        if len < SHARED_FROM {
            return Self {
                buffer: vec![0; len].into(),
                len,
            };
        }
        let used = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = used.unwrap_or_else(|| vec![0; FRAME_BYTES].into());
        Self { buffer, len }
    }

    /// Where to read to.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }

    /// The first `len` bytes, as something to send.
    pub(super) fn filled(mut self, len: usize) -> Bytes {
        self.len = len.min(self.len);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.buffer.len() == FRAME_BYTES {
            let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
            if buffers.len() < IDLE {
                buffers.push(std::mem::take(&mut self.buffer));
            }
        }
    }
}
