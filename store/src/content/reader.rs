//! Gives bytes out.
//!
//! What is in the system's cache is read on the spot; what is not, or was not checked against its
//! name lately, is read by a blocking job. Bytes leave only after their blob was found whole; of a
//! long blob that is read from its beginning to its end, only the last ones wait for that.

use std::iter::Peekable;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn, spawn_blocking};

use super::frame::{FRAME_BYTES, Frame};
use super::{ContentBody, Error, Verified};
use crate::blob::{BlobFile, Blobs};
use crate::chunk::Cutting;
use crate::digest::Hasher;
use crate::manifest::{ChunkRef, Span, Spans, spans};

/// No chunk is longer; what is takes a while to be checked.
const SHORT_BYTES: u64 = Cutting::LOCAL.max_bytes as u64;

/// Reads a range of a content as frames of at most 256 KiB.
pub(crate) struct ContentReader {
    blobs: Blobs,
    verified: Arc<Verified>,
    spans: Peekable<Spans>,
    left_bytes: u64,
    /// Bytes that are ready to leave.
    ready: Bytes,
    open: Option<Open>,
    job: Option<JoinHandle<Result<Fetched, Error>>>,
    /// The next span is being checked while the last frame of this one is sent.
    ahead: Option<JoinHandle<Result<Fetched, Error>>>,
}

/// The rest of a span whose blob is open.
struct Open {
    file: Box<dyn BlobFile>,
    span: Span,
    /// Of a blob that is checked while it is sent; absent where it is trusted.
    check: Option<Check>,
}

/// What was read of a blob so far, which was all of it up to here.
struct Check {
    hasher: Hasher,
    verified: Arc<Verified>,
}

struct Fetched {
    ready: Bytes,
    open: Option<Open>,
}

impl ContentReader {
    /// Begins to read `range` of a content. The range lies within the content; an empty one opens
    /// nothing.
    pub(crate) fn new(
        blobs: Blobs,
        body: ContentBody,
        range: Range<u64>,
        verified: Arc<Verified>,
    ) -> Self {
        let mut ready = Bytes::new();
        let chunks = match body {
            ContentBody::Empty => Vec::new(),
            ContentBody::Blob(blob) => vec![blob],
            ContentBody::Chunks(chunks) => chunks,
            ContentBody::Small(data) => {
                let end = range.end.min(data.len() as u64);
                let start = range.start.min(end);
                // Both are at most the length of something in memory.
                ready = data
                    .slice(usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0));
                Vec::new()
            }
        };
        let left_bytes = range.end.saturating_sub(range.start);
        let spans = spans(chunks, range).peekable();
        Self {
            blobs,
            verified,
            spans,
            left_bytes,
            ready,
            open: None,
            job: None,
            ahead: None,
        }
    }

    /// The next frame, or `None` when all bytes have left.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and [`Error::Io`]; the content must not be taken for complete then, and
    /// nothing more comes.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.left_bytes == 0 {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_frame(cx));
        match &next {
            Ok(frame) => self.left_bytes -= (frame.len() as u64).min(self.left_bytes),
            Err(_) => self.left_bytes = 0,
        }
        Poll::Ready(Some(next))
    }

    /// As [`ContentReader::poll_next`].
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        loop {
            if !self.ready.is_empty() {
                let frame = self.ready.split_to(self.ready.len().min(FRAME_BYTES));
                if self.ready.is_empty() && self.open.is_none() {
                    self.look_ahead();
                }
                return Poll::Ready(Ok(frame));
            }
            if let Some(job) = &mut self.job {
                let done = ready!(Pin::new(job).poll(cx));
                self.job = None;
                let fetched = done.map_err(Error::job)??;
                self.ready = fetched.ready;
                self.open = fetched.open;
            } else if let Some(mut open) = self.open.take() {
                // To hash takes its time, as reading from the disk does.
                let cached = match open.check {
                    None => open.read_cached()?,
                    Some(_) => None,
                };
                if let Some(frame) = cached {
                    self.ready = frame;
                    self.open = open.unless_done();
                } else {
                    let next = self.spans.peek().map(|span| span.blob);
                    let blobs = self.blobs.clone();
                    self.job = Some(spawn_blocking(move || read_on(&blobs, open, next)));
                }
            } else if let Some(job) = self.ahead.take() {
                self.spans.next();
                self.job = Some(job);
            } else if let Some(span) = self.spans.next() {
                self.begin(span);
            } else {
                let short = std::io::ErrorKind::UnexpectedEof.into();
                return Poll::Ready(Err(Error::io("read beyond the end of a content")(short)));
            }
        }
    }

    fn begin(&mut self, span: Span) {
        if self.verified.is_trusted(&span.blob.digest)
            && let Some(file) = self.blobs.open_cached(&span.blob)
        {
            self.open = Some(Open::trusted(file, span));
        } else {
            self.job = Some(self.fetch(span));
        }
    }

    /// The next blob is checked while the last frame of this one is sent, so a slow reader never
    /// holds more than that frame and, of a short blob, another.
    fn look_ahead(&mut self) {
        if let Some(&span) = self.spans.peek()
            && self.ahead.is_none()
            && !self.verified.is_trusted(&span.blob.digest)
        {
            self.ahead = Some(self.fetch(span));
        }
    }

    fn fetch(&self, span: Span) -> JoinHandle<Result<Fetched, Error>> {
        let (blobs, verified) = (self.blobs.clone(), Arc::clone(&self.verified));
        let job = move || {
            if verified.is_trusted(&span.blob.digest) {
                let file = blobs.open(&span.blob)?;
                return read_on(&blobs, Open::trusted(file, span), None);
            }
            let fetched = check(&blobs, span)?;
            verified.mark(span.blob.digest);
            Ok(fetched)
        };
        let digest = span.blob.digest;
        if span.blob.len_bytes <= SHORT_BYTES || self.verified.is_trusted(&digest) {
            return spawn_blocking(job);
        }
        if span.start == 0 && span.end == span.blob.len_bytes {
            let (blobs, verified) = (self.blobs.clone(), Arc::clone(&self.verified));
            return spawn_blocking(move || check_on_the_way(&blobs, span, verified));
        }
        // Anyone may ask for a part of something long, and many at once.
        let turn = self.verified.turn(digest);
        spawn(async move {
            let _turn = turn.lock().await;
            spawn_blocking(job).await.map_err(Error::job)?
        })
    }
}

/// Checks a blob. What fits into a frame is at hand then; a longer one is read again to be sent, from
/// the system's cache: to keep it meanwhile would take as much memory as there are slow readers.
fn check(blobs: &Blobs, span: Span) -> Result<Fetched, Error> {
    if span.blob.len_bytes <= FRAME_BYTES as u64 {
        let data = blobs.read_all(&span.blob)?;
        let within = |at: u64| usize::try_from(at).expect("a place within a frame");
        return Ok(Fetched {
            ready: data.slice(within(span.start)..within(span.end)),
            open: None,
        });
    }
    let file = blobs.read_through(&span.blob, |_| ())?;
    Ok(Fetched {
        ready: Bytes::new(),
        open: Some(Open::trusted(file, span)),
    })
}

/// Begins to send a blob that is checked by what is sent. To read it through before would let the
/// client wait as long as the reading takes; wrong bytes end in a broken connection either way.
fn check_on_the_way(blobs: &Blobs, span: Span, verified: Arc<Verified>) -> Result<Fetched, Error> {
    let open = Open {
        file: blobs.open(&span.blob)?,
        span,
        check: Some(Check {
            hasher: Hasher::default(),
            verified,
        }),
    };
    read_on(blobs, open, None)
}

/// Reads the next frame from disk, and lets the system read the rest and the next blob meanwhile.
fn read_on(blobs: &Blobs, mut open: Open, next: Option<ChunkRef>) -> Result<Fetched, Error> {
    open.file.will_be_read();
    let ready = open.read()?;
    open.check(blobs, &ready)?;
    if let Some(next) = next.and_then(|next| blobs.open_cached(&next)) {
        next.will_be_read();
    }
    Ok(Fetched {
        ready,
        open: open.unless_done(),
    })
}

impl Open {
    fn trusted(file: Box<dyn BlobFile>, span: Span) -> Self {
        Self {
            file,
            span,
            check: None,
        }
    }

    /// Takes a frame into account that was just read, before it leaves: with the last one all
    /// bytes must be right.
    fn check(&mut self, blobs: &Blobs, frame: &[u8]) -> Result<(), Error> {
        let Some(Check { hasher, verified }) = &mut self.check else {
            return Ok(());
        };
        hasher.update(frame);
        if self.span.start < self.span.end {
            return Ok(());
        }
        let digest = self.span.blob.digest;
        if hasher.finish() != digest {
            return Err(blobs.wrong(&digest, &*self.file));
        }
        verified.mark(digest);
        Ok(())
    }

    fn read_cached(&mut self) -> Result<Option<Bytes>, Error> {
        let mut frame = Frame::for_bytes(self.span.end - self.span.start);
        match self.file.read_cached(frame.buffer(), self.span.start)? {
            Some(read) => self.took(frame, read).map(Some),
            None => Ok(None),
        }
    }

    fn read(&mut self) -> Result<Bytes, Error> {
        let mut frame = Frame::for_bytes(self.span.end - self.span.start);
        let read = self.file.read_at(frame.buffer(), self.span.start)?;
        self.took(frame, read)
    }

    fn took(&mut self, frame: Frame, read: usize) -> Result<Bytes, Error> {
        if read == 0 {
            let digest = self.span.blob.digest;
            tracing::error!(blob.digest = %digest, "blob became shorter while it was read");
            return Err(Error::Corrupt { digest });
        }
        let frame = frame.filled(read);
        self.span.start += frame.len() as u64;
        Ok(frame)
    }

    fn unless_done(self) -> Option<Self> {
        (self.span.start < self.span.end).then_some(self)
    }
}
