//! Replaces a range of a content.
//!
//! Short content is written anew. Of long content, the chunks which the range does not touch are
//! kept as they are; those at its ends are read, and everything between them is cut again.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::writer::Form;
use super::{
    Announce, Content, ContentBody, ContentReader, ContentWriter, Error, MemoryPool, Verified,
    VerifyReads,
};
use crate::blob::Blobs;
use crate::digest::{Digest, Hasher};
use crate::manifest::ChunkRef;

/// Up to this length the digest of the result is computed, by reading it all.
const HASHED_BYTES: u64 = 64 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Takes in bytes that replace those of `old` from an offset on.
///
/// What is kept of the old content is not announced: the caller makes sure, in the transaction that
/// refers to the result, that the version it came from is still there.
pub(crate) struct Splice {
    blobs: Blobs,
    writer: ContentWriter,
    /// What was found to be whole; kept bytes are checked once.
    verified: Arc<Verified>,
    old: Old,
    old_size_bytes: u64,
    /// Length of the result so far.
    position: u64,
    /// Zeros between the end of the old content and the offset.
    gap_bytes: u64,
    expected_bytes: Option<u64>,
    written_bytes: u64,
}

enum Old {
    /// Written anew as a whole.
    Short(ContentBody),
    /// Its chunks; the first `kept` of them stay.
    Chunks { chunks: Vec<ChunkRef>, kept: usize },
}

impl Splice {
    /// Begins to replace bytes from `offset_bytes` on; beyond the end, zeros fill the gap.
    /// `expected_bytes` promises how many new ones come.
    #[expect(
        clippy::too_many_arguments,
        reason = "a writer's, and what it writes into"
    )]
    pub(crate) async fn new(
        blobs: Blobs,
        pool: &MemoryPool,
        old: ContentBody,
        old_size_bytes: u64,
        offset_bytes: u64,
        expected_bytes: Option<u64>,
        small_limit: usize,
        announce: Announce,
    ) -> Result<Self, Error> {
        let start = offset_bytes.min(old_size_bytes);
        let (old, head_start, form) = if old_size_bytes <= u64::from(blobs.cutting().max_bytes) {
            (Old::Short(old), 0, Form::Whole)
        } else {
            let chunks = match old {
                ContentBody::Chunks(chunks) => chunks,
                ContentBody::Blob(blob) => vec![blob],
                ContentBody::Empty | ContentBody::Small(_) => Vec::new(),
            };
            // The last chunk ends where the content did, so what is appended is cut together with it.
            let (kept, kept_bytes) = locate(&chunks, start, chunks.len().saturating_sub(1));
            (Old::Chunks { chunks, kept }, kept_bytes, Form::Middle)
        };
        let writer =
            ContentWriter::with_form(blobs.clone(), pool, None, small_limit, announce, form).await;
        let mut splice = Self {
            blobs,
            writer,
            // Whoever asked may have read it long ago, but new bytes are written of these.
            verified: Arc::new(Verified::new(VerifyReads::Daily)),
            old,
            old_size_bytes,
            position: start,
            gap_bytes: offset_bytes - start,
            expected_bytes,
            written_bytes: 0,
        };
        splice.keep(head_start..start).await?;
        Ok(splice)
    }

    /// Writes a range of the old content again, frame by frame.
    async fn keep(&mut self, range: Range<u64>) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let body = match &self.old {
            Old::Short(body) => body.clone(),
            Old::Chunks { chunks, .. } => ContentBody::Chunks(chunks.clone()),
        };
        let verified = Arc::clone(&self.verified);
        let mut reader = ContentReader::new(self.blobs.clone(), body, range, verified);
        while let Some(frame) = poll_fn(|cx| reader.poll_next(cx)).await {
            self.writer.write(frame?).await?;
        }
        Ok(())
    }

    /// Takes the next bytes; returns when there is room for more.
    ///
    /// # Errors
    /// As [`ContentWriter::write`].
    pub(crate) async fn write(&mut self, frame: Bytes) -> Result<(), Error> {
        if frame.is_empty() {
            return Ok(());
        }
        self.written_bytes += frame.len() as u64;
        if self
            .expected_bytes
            .is_some_and(|expected| self.written_bytes > expected)
        {
            return Err(self.mismatch());
        }
        // Only now, as a write of nothing changes nothing.
        while self.gap_bytes > 0 {
            let zeros = Bytes::from_static(&ZEROS[..length(self.gap_bytes).min(ZEROS.len())]);
            self.gap_bytes -= zeros.len() as u64;
            self.position += zeros.len() as u64;
            self.writer.write(zeros).await?;
        }
        self.position += frame.len() as u64;
        self.writer.write(frame).await
    }

    /// Ends the content. All its blobs are durable under their names when this returns.
    ///
    /// # Errors
    /// As [`ContentWriter::write`], and [`Error::Corrupt`] when an old chunk is damaged.
    pub(crate) async fn finish(mut self) -> Result<Content, Error> {
        if self
            .expected_bytes
            .is_some_and(|expected| self.written_bytes != expected)
        {
            return Err(self.mismatch());
        }
        let (position, old_size_bytes) = (self.position, self.old_size_bytes);
        let Old::Chunks { chunks, kept } = &self.old else {
            self.keep(position.min(old_size_bytes)..old_size_bytes)
                .await?;
            return self.writer.finish().await;
        };
        let (mut chunks, kept) = (chunks.clone(), *kept);
        let size_bytes = position.max(old_size_bytes);
        if self.written_bytes > 0 {
            let (mut next, next_start) = locate(&chunks, position, chunks.len());
            let mut tail_end = next_start;
            // Chunks shorter than the minimum would pile up if each splice left one behind.
            let enough = u64::from(self.blobs.cutting().min_bytes);
            while let Some(chunk) = chunks.get(next)
                && (tail_end < position || (position < tail_end && tail_end < position + enough))
            {
                tail_end += chunk.len_bytes;
                next += 1;
            }
            if position < tail_end {
                self.keep(position..tail_end).await?;
            }
            let ContentBody::Chunks(middle) = self.writer.finish().await?.body else {
                unreachable!("a middle is never empty here, and always chunks");
            };
            chunks.splice(kept..next, middle);
        }
        let sha256 = if size_bytes <= HASHED_BYTES {
            Some(digest_of(self.blobs, chunks.clone()).await?)
        } else {
            None
        };
        Ok(Content {
            sha256,
            size_bytes,
            body: ContentBody::Chunks(chunks),
        })
    }

    fn mismatch(&self) -> Error {
        let got_bytes = self.written_bytes;
        let expected_bytes = self.expected_bytes.unwrap_or(got_bytes);
        Error::LengthMismatch {
            expected_bytes,
            got_bytes,
        }
    }
}

/// A length of something that is in memory.
fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Finds the chunk, at most that of index `last`, which holds the byte at `position`, and where this
/// chunk begins; past the end, one past the last chunk.
fn locate(chunks: &[ChunkRef], position: u64, last: usize) -> (usize, u64) {
    let mut start = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        let end = start + chunk.len_bytes;
        if position < end || index == last {
            return (index, start);
        }
        start = end;
    }
    (chunks.len(), position)
}

async fn digest_of(blobs: Blobs, chunks: Vec<ChunkRef>) -> Result<Digest, Error> {
    let job = spawn_blocking(move || {
        let mut hasher = Hasher::default();
        for chunk in chunks {
            blobs.read_through(&chunk, |piece| hasher.update(piece))?;
        }
        Ok(hasher.finish())
    });
    job.await.map_err(Error::job)?
}
