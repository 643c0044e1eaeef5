//! Replaces ranges of a content, and sets its length.
//!
//! Short content is written anew. Of long content, the chunks which no range touches are kept as
//! they are; those at the ends of a range are read, and everything between them is cut again.

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

/// Takes in bytes that replace those of an old content, range after range.
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
    /// Length that the result is to have; without, it is as long as what is written needs.
    length_bytes: Option<u64>,
    /// Length of the result so far.
    position: u64,
    /// Where the next bytes go.
    target: u64,
    expected_bytes: Option<u64>,
    written_bytes: u64,
}

enum Old {
    /// Written anew as a whole.
    Short(ContentBody),
    /// Its chunks, many of which stay.
    Chunks(Chunks),
}

/// A long content and what becomes of it.
struct Chunks {
    old: Vec<ChunkRef>,
    /// Where each of them begins.
    starts: Vec<u64>,
    /// The result up to where it is cut.
    done: Vec<Span>,
    /// The first old chunk of which nothing was decided. While nothing is being written, the result
    /// is as long as what comes before this one.
    next: usize,
    /// Bytes since the last cut, while something is being written.
    open_bytes: Option<u64>,
}

enum Span {
    /// These of the old chunks.
    Kept(Range<usize>),
    /// So many bytes of what was written.
    Written(u64),
}

impl Splice {
    /// Begins to replace ranges of `old`. The result is as long as `length_bytes` says, or else as
    /// `old`, and longer where what is written ends after it; zeros fill what nobody writes.
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
        length_bytes: Option<u64>,
        expected_bytes: Option<u64>,
        small_limit: usize,
        announce: Announce,
    ) -> Self {
        let most_bytes = u64::from(blobs.cutting().max_bytes);
        let least_bytes = length_bytes.map_or(old_size_bytes, |length| length.min(old_size_bytes));
        let (old, form) = if least_bytes <= most_bytes {
            (Old::Short(old), Form::Whole)
        } else {
            let chunks = match old {
                ContentBody::Chunks(chunks) => chunks,
                ContentBody::Blob(blob) => vec![blob],
                ContentBody::Empty | ContentBody::Small(_) => Vec::new(),
            };
            (Old::Chunks(Chunks::new(chunks)), Form::Middle)
        };
        let writer =
            ContentWriter::with_form(blobs.clone(), pool, None, small_limit, announce, form).await;
        Self {
            blobs,
            writer,
            // Whoever asked may have read it long ago, but new bytes are written of these.
            verified: Arc::new(Verified::new(VerifyReads::Daily)),
            old,
            old_size_bytes,
            length_bytes,
            position: 0,
            target: 0,
            expected_bytes,
            written_bytes: 0,
        }
    }

    /// Has the next bytes go to this offset, which is not before the end of those that came last.
    /// Without bytes that follow it changes nothing.
    pub(crate) fn seek(&mut self, offset_bytes: u64) {
        debug_assert!(offset_bytes >= self.position, "ranges come in order");
        self.target = offset_bytes.max(self.position);
    }

    /// Takes the next bytes; returns when there is room for more.
    ///
    /// # Errors
    /// As [`ContentWriter::write`], and [`Error::Corrupt`] when an old chunk is damaged.
    pub(crate) async fn write(&mut self, frame: Bytes) -> Result<(), Error> {
        if frame.is_empty() {
            return Ok(());
        }
        let len_bytes = frame.len() as u64;
        self.written_bytes += len_bytes;
        let is_beyond = |bytes, most: Option<u64>| most.is_some_and(|most| bytes > most);
        if is_beyond(self.written_bytes, self.expected_bytes)
            || is_beyond(self.target.saturating_add(len_bytes), self.length_bytes)
        {
            return Err(self.mismatch());
        }
        self.advance(self.target).await?;
        self.put(frame).await?;
        self.target = self.position;
        Ok(())
    }

    /// Ends the content. All its blobs are durable under their names when this returns.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) async fn finish(mut self) -> Result<Content, Error> {
        if self
            .expected_bytes
            .is_some_and(|expected| self.written_bytes != expected)
        {
            return Err(self.mismatch());
        }
        let grown_bytes = self.position.max(self.old_size_bytes);
        let size_bytes = self.length_bytes.unwrap_or(grown_bytes);
        if size_bytes != self.old_size_bytes || matches!(self.old, Old::Short(_)) {
            self.advance(size_bytes).await?;
        } else if self.position < size_bytes {
            self.close().await?;
        }
        let Old::Chunks(mut chunks) = self.old else {
            return self.writer.finish().await;
        };
        if let Some(bytes) = chunks.open_bytes {
            chunks.done.push(Span::Written(bytes));
        } else if size_bytes == self.old_size_bytes {
            chunks.done.push(Span::Kept(chunks.next..chunks.old.len()));
        }
        let written = match self.writer.finish().await?.body {
            ContentBody::Chunks(written) => written,
            // Nothing was written.
            ContentBody::Empty | ContentBody::Small(_) | ContentBody::Blob(_) => Vec::new(),
        };
        let chunks = chunks.put_together(written);
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

    /// Brings the result to this length with what the old content has there, and with zeros.
    async fn advance(&mut self, to: u64) -> Result<(), Error> {
        let of_old = to.min(self.old_size_bytes);
        if self.position < of_old {
            self.keep_up_to(of_old).await?;
        }
        while self.position < to {
            let left = usize::try_from(to - self.position).unwrap_or(usize::MAX);
            let zeros = Bytes::from_static(&ZEROS[..left.min(ZEROS.len())]);
            self.put(zeros).await?;
        }
        Ok(())
    }

    /// Goes on to a place in the old content, or to its end, and leaves something open there.
    async fn keep_up_to(&mut self, to: u64) -> Result<(), Error> {
        let Old::Chunks(chunks) = &self.old else {
            return self.keep(self.position..to).await;
        };
        if chunks.open_bytes.is_some() {
            if to <= self.tail(chunks).1 {
                return self.keep(self.position..to).await;
            }
            self.close().await?;
        }
        if let Old::Chunks(chunks) = &mut self.old {
            // The last chunk ends where the content did, so what is appended is cut together with it.
            let last = chunks.old.len().saturating_sub(1);
            let at = chunks.holding(to).min(last);
            chunks.done.push(Span::Kept(chunks.next..at));
            chunks.next = at;
            chunks.open_bytes = Some(0);
            self.position = chunks.starts.get(at).copied().unwrap_or(to);
        }
        self.keep(self.position..to).await
    }

    /// Ends what is being written at the end of an old chunk, and cuts there.
    async fn close(&mut self) -> Result<(), Error> {
        let Old::Chunks(chunks) = &self.old else {
            return Ok(());
        };
        if chunks.open_bytes.is_none() {
            return Ok(());
        }
        let (next, end) = self.tail(chunks);
        self.keep(self.position..end).await?;
        self.writer.cut().await?;
        if let Old::Chunks(chunks) = &mut self.old
            && let Some(bytes) = chunks.open_bytes.take()
        {
            chunks.done.push(Span::Written(bytes));
            chunks.next = next;
        }
        Ok(())
    }

    /// Where what is being written can end: the old chunk that begins there, and where that is.
    fn tail(&self, chunks: &Chunks) -> (usize, u64) {
        let mut next = chunks.holding(self.position);
        let begins = |next: usize| chunks.starts.get(next).copied();
        let mut end = begins(next).unwrap_or(self.old_size_bytes);
        // Chunks shorter than the minimum would pile up if each splice left one behind.
        let enough = u64::from(self.blobs.cutting().min_bytes);
        while next < chunks.old.len()
            && (end < self.position || (self.position < end && end < self.position + enough))
        {
            next += 1;
            end = begins(next).unwrap_or(self.old_size_bytes);
        }
        (next, end)
    }

    /// Writes a range of the old content again, frame by frame.
    async fn keep(&mut self, range: Range<u64>) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let (body, range) = match &self.old {
            Old::Short(body) => (body.clone(), range),
            Old::Chunks(chunks) => chunks.around(range),
        };
        let verified = Arc::clone(&self.verified);
        let mut reader = ContentReader::new(self.blobs.clone(), body, range, verified);
        while let Some(frame) = poll_fn(|cx| reader.poll_next(cx)).await {
            self.put(frame?).await?;
        }
        Ok(())
    }

    async fn put(&mut self, frame: Bytes) -> Result<(), Error> {
        let len_bytes = frame.len() as u64;
        self.position += len_bytes;
        if let Old::Chunks(chunks) = &mut self.old {
            *chunks.open_bytes.get_or_insert(0) += len_bytes;
        }
        self.writer.write(frame).await
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

impl Chunks {
    fn new(old: Vec<ChunkRef>) -> Self {
        let mut end = 0;
        let begin = |chunk: &ChunkRef| {
            let start = end;
            end += chunk.len_bytes;
            start
        };
        Self {
            starts: old.iter().map(begin).collect(),
            old,
            done: Vec::new(),
            next: 0,
            open_bytes: None,
        }
    }

    /// The chunk that holds the byte at `position`; past the end, one past the last.
    fn holding(&self, position: u64) -> usize {
        let (Some(last), Some(start)) = (self.old.last(), self.starts.last()) else {
            return 0;
        };
        if position >= start + last.len_bytes {
            return self.old.len();
        }
        self.starts.partition_point(|start| *start <= position) - 1
    }

    /// The chunks in which a range lies, and where in them.
    fn around(&self, range: Range<u64>) -> (ContentBody, Range<u64>) {
        let (first, last) = (self.holding(range.start), self.holding(range.end - 1));
        let chunks = &self.old[first..=last];
        let start = self.starts[first];
        let body = ContentBody::Chunks(chunks.to_vec());
        (body, range.start - start..range.end - start)
    }

    /// The result: what was kept, and between it what was written.
    fn put_together(self, written: Vec<ChunkRef>) -> Vec<ChunkRef> {
        let mut written = written.into_iter();
        let mut result = Vec::with_capacity(self.old.len() + written.len());
        for span in self.done {
            match span {
                Span::Kept(range) => result.extend_from_slice(&self.old[range]),
                Span::Written(mut left) => {
                    while left > 0 {
                        let chunk = written.next().expect("all that was written is in chunks");
                        left = left.checked_sub(chunk.len_bytes).expect("it was cut there");
                        result.push(chunk);
                    }
                }
            }
        }
        result
    }
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
