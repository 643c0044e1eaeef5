//! The bodies of requests and answers on their way through the daemon.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::trace::{Record, RequestStats};

/// What a stalling client must move within the stall time to be kept.
pub const LEAST_PROGRESS_BYTES: u64 = 4096;

/// So little of a body is read to its end even if nobody wants it, which costs less than another
/// connection: clients that send no password at first come here with each one they open.
const SHORT_BYTES: u64 = 64 << 10;
/// How long what a refused client still sends is read and thrown away …
const LINGER: Duration = Duration::from_secs(30);
/// … and how long it may pause meanwhile.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// The body of a request: counted, and given up when the client stalls.
pub struct RequestBody {
    /// Absent once it is handed to [`linger`].
    incoming: Option<Incoming>,
    has_ended: bool,
    /// Whether the client sends on without being told to.
    sends_on: bool,
    stats: Arc<RequestStats>,
    stall: Duration,
    /// Made when the body is first waited for.
    window: Option<Window>,
}

struct Window {
    ends: Pin<Box<Sleep>>,
    bytes: u64,
    waiting: bool,
}

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client did not keep sending.
    #[error("the request's body came too slowly")]
    Stalled,
    /// The connection broke, or its framing is wrong.
    #[error("the request's body broke off: {0}")]
    Broken(#[from] hyper::Error),
}

impl RequestBody {
    /// `sends_on` tells whether the client sends the body whatever the answer is: over HTTP/1
    /// unless it waits for `100 Continue`.
    pub fn new(
        incoming: Incoming,
        sends_on: bool,
        stats: Arc<RequestStats>,
        stall: Duration,
    ) -> Self {
        Self {
            has_ended: incoming.is_end_stream(),
            incoming: Some(incoming),
            sends_on,
            stats,
            stall,
            window: None,
        }
    }

    /// Whether the client has stalled for a whole window; registers for its end otherwise.
    ///
    /// The window counts only while somebody waits for the client, so that a busy server does not
    /// blame it.
    fn stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let stall = self.stall;
        let window = self.window.get_or_insert_with(|| Window {
            ends: Box::pin(sleep(stall)),
            bytes: 0,
            waiting: true,
        });
        if !window.waiting {
            window.waiting = true;
            if window.ends.deadline() <= Instant::now() {
                window.restart(stall);
            }
        }
        while window.ends.as_mut().poll(cx).is_ready() {
            if window.bytes < LEAST_PROGRESS_BYTES {
                return true;
            }
            window.restart(stall);
        }
        false
    }
}

/// A long body that nobody wants to the end closes its connection. A client that is still sending
/// would find it reset and never see the answer, so what it sends is taken for a while.
impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        if self.has_ended || incoming.is_end_stream() {
            return;
        }
        let left_bytes = incoming.size_hint().upper();
        let is_short = left_bytes.is_some_and(|bytes| bytes <= SHORT_BYTES);
        if !(self.sends_on && is_short) {
            self.stats.body_left.store(true, Ordering::Relaxed);
        }
        if self.sends_on {
            // Ends with the connection at the latest.
            tokio::spawn(timeout(LINGER, linger(incoming)));
        }
    }
}

async fn linger(mut incoming: Incoming) {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx));
        let Ok(Some(Ok(_))) = timeout(LINGER_PAUSE, frame).await else {
            return;
        };
    }
}

impl Window {
    fn restart(&mut self, stall: Duration) {
        self.bytes = 0;
        self.ends.as_mut().reset(Instant::now() + stall);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.stats.bytes_in.fetch_add(bytes, Ordering::Relaxed);
                if let Some(window) = &mut self.window {
                    window.bytes += bytes;
                    window.waiting = false;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                self.has_ended = true;
                Poll::Ready(None)
            }
            Poll::Pending if self.stalled(cx) => {
                self.stats.stalled.store(true, Ordering::Relaxed);
                // What still comes is not waited for.
                self.stats.body_left.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.as_ref().map(Body::size_hint);
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

/// The body of an answer, whoever made it.
pub enum ResponseBody {
    Full(Bytes),
    /// Of the JSON API.
    Api(axum::body::Body),
    /// Of WebDAV.
    Dav(webdav::Body),
}

/// An answer broke off; the connection is closed so that the client notices.
pub type ResponseError = Box<dyn std::error::Error + Send + Sync>;

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self::Full(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self::Full(text.into())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseError>>> {
        match &mut *self {
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Api(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Dav(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Api(body) => body.is_end_stream(),
            Self::Dav(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Api(body) => body.size_hint(),
            Self::Dav(body) => body.size_hint(),
        }
    }
}

/// An answer's body with its request's record, which ends with it.
pub struct Recorded {
    body: ResponseBody,
    record: Record,
    /// Whether the client has yet to take what it was given last.
    waiting: bool,
}

impl Recorded {
    pub fn new(body: ResponseBody, record: Record) -> Self {
        Self {
            body,
            record,
            waiting: false,
        }
    }

    fn wait(&mut self, waiting: bool) {
        if self.waiting != waiting {
            self.waiting = waiting;
            let count = &self.record.wire().waiting;
            if waiting {
                count.fetch_add(1, Ordering::Relaxed);
            } else {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

impl Body for Recorded {
    type Data = Bytes;
    type Error = ResponseError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseError>>> {
        let this = self.get_mut();
        this.wait(false);
        // A listing asks the database while it is sent, and so does an archive.
        let polled = if this.body.is_end_stream() {
            Pin::new(&mut this.body).poll_frame(cx)
        } else {
            store::count_statements_in(&this.record.stats.statements, || {
                Pin::new(&mut this.body).poll_frame(cx)
            })
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
                this.record
                    .stats
                    .bytes_out
                    .fetch_add(bytes, Ordering::Relaxed);
                this.wait(true);
            }
            Poll::Ready(Some(Err(error))) => {
                let request = &this.record.stats.id;
                tracing::error!(request.id = %request, error = ?error.to_string(), "answer broke off");
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.wait(false);
    }
}
