//! The byte stream of a connection, as hyper sees it: never more than one message part at a time.
//!
//! hyper does not show a request's bytes, so a raw `#` in a target, which it cuts off, would go
//! unseen. This stream looks at each request head on its way and leaves its [`Verdict`] for the
//! request that hyper makes of it. To know where heads begin it follows the bodies between them:
//! by hyper's own framing, which the request reports back through [`Wire`]. Bytes behind the part
//! being read are held back until hyper asks again, so head, verdict and request cannot get out of
//! step however a client pipelines.
//!
//! Cost: the search for line ends in heads, one comparison per read of a body. Vectored writes pass
//! through untouched: without them hyper copies every frame.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::accept::Seat;
use super::chunked;
use super::connection::Protocol;
use super::head::{self, Verdict};
use super::wire::{Framing, Wire};

/// What the next bytes are.
#[derive(Debug)]
enum Part {
    Head,
    /// A body whose framing hyper is about to tell.
    Undecided,
    Body(u64),
    Chunked(chunked::Place),
    /// HTTP/2, another protocol, or a head beyond all limits: not looked at.
    Opaque,
}

/// The first line of an HTTP/2 connection (RFC 9113 §3.4), which no request line can be.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A stream whose request heads are looked at.
#[derive(Debug)]
pub struct Guard<S> {
    stream: S,
    wire: Arc<Wire>,
    part: Part,
    /// The head so far, when it came in several reads.
    head: Vec<u8>,
    /// Bytes read beyond the part that hyper is given.
    held: Bytes,
    head_limit: usize,
    /// Whether HTTP/2 is out of the question.
    is_http1: bool,
    /// The connection's place. It is kept here since a stream that goes on in another protocol
    /// outlives what HTTP knows of the connection.
    _seat: Option<Seat>,
}

impl<S> Guard<S> {
    /// Watches `stream`, unless it is known to be HTTP/2.
    pub fn new(
        stream: S,
        wire: Arc<Wire>,
        head_limit: usize,
        protocol: Protocol,
        seat: Option<Seat>,
    ) -> Self {
        let part = match protocol {
            Protocol::Http2 => Part::Opaque,
            Protocol::Detect | Protocol::Http1 => Part::Head,
        };
        Self {
            stream,
            wire,
            part,
            head: Vec::new(),
            held: Bytes::new(),
            head_limit,
            is_http1: protocol == Protocol::Http1,
            _seat: seat,
        }
    }

    /// How many of the fresh bytes belong to the part at hand; at least one.
    fn inspect(&mut self, fresh: &[u8]) -> io::Result<usize> {
        if matches!(self.part, Part::Head | Part::Undecided)
            && self.wire.upgraded.load(Ordering::Relaxed)
        {
            self.part = Part::Opaque;
        }
        if matches!(self.part, Part::Undecided) {
            self.part = match self.wire.take_framing() {
                Framing::Length(0) => Part::Head,
                Framing::Length(length) => Part::Body(length),
                Framing::Chunked => Part::Chunked(chunked::Place::default()),
                // hyper asks for more of a head that is whole: it has read it differently.
                Framing::Unknown => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "ambiguous head"));
                }
            };
        }
        Ok(match &mut self.part {
            Part::Head => self.inspect_head(fresh)?,
            Part::Body(left) => {
                let step = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(fresh.len());
                *left -= step as u64;
                if *left == 0 {
                    self.part = Part::Head;
                }
                step
            }
            Part::Chunked(place) => {
                let step = place.advance(fresh);
                if place.ended() {
                    self.part = Part::Head;
                }
                step
            }
            Part::Undecided | Part::Opaque => fresh.len(),
        })
    }

    fn inspect_head(&mut self, fresh: &[u8]) -> io::Result<usize> {
        if self.head.is_empty()
            && let Some(end) = head::end(fresh, 0)
        {
            return self.finish_head(None, fresh, end);
        }
        let seen = self.head.len();
        self.head.extend_from_slice(fresh);
        let bytes = std::mem::take(&mut self.head);
        if bytes.starts_with(HTTP2_PREFACE) {
            self.begin_http2()?;
            return Ok(fresh.len());
        }
        match head::end(&bytes, seen) {
            Some(end) => self.finish_head(Some(seen), &bytes, end),
            None if bytes.len() > self.head_limit => {
                // hyper gives up on such a head by itself; should it not, the request is refused.
                self.wire.head_passed(Verdict::TooLong);
                self.part = Part::Opaque;
                Ok(fresh.len())
            }
            None => {
                self.head = bytes;
                Ok(fresh.len())
            }
        }
    }

    /// hyper takes HTTP/2 wherever it sees it begin.
    fn begin_http2(&mut self) -> io::Result<()> {
        if self.is_http1 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "HTTP/2 is not served here",
            ));
        }
        self.part = Part::Opaque;
        Ok(())
    }

    /// Settles the head `bytes[..end]`, of which `seen` bytes were passed on before.
    fn finish_head(&mut self, seen: Option<usize>, bytes: &[u8], end: usize) -> io::Result<usize> {
        if bytes.starts_with(HTTP2_PREFACE) {
            self.begin_http2()?;
            return Ok(bytes.len() - seen.unwrap_or(0));
        }
        self.wire
            .head_passed(head::judge(&bytes[..end], self.head_limit));
        self.part = Part::Undecided;
        Ok(end - seen.unwrap_or(0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.held.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let fresh = &buffer.filled()[before..];
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let own = this.inspect(fresh)?;
            if own < fresh.len() {
                this.held = Bytes::copy_from_slice(&fresh[own..]);
                buffer.set_filled(before + own);
            }
        } else {
            let room = buffer.remaining().min(this.held.len());
            let fresh = this.held.slice(..room);
            let own = this.inspect(&fresh)?;
            buffer.put_slice(&fresh[..own]);
            this.held.advance(own);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    fn note(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(bytes)) => {
                self.wire
                    .written
                    .fetch_add(*bytes as u64, Ordering::Relaxed);
                self.wire.blocked.store(false, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.wire.blocked.store(true, Ordering::Relaxed),
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
