//! An answer that counts as a download of a link once all of it was handed over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use store::LinkDownload;

/// A body whose last piece leaves once the download is counted.
///
/// So there are never more downloads than a link allows, even where the count cannot be written; one
/// that breaks off while its last piece is on the way counts.
pub(super) struct Counted {
    body: Body,
    /// Taken by the end, or by a failure.
    download: Option<LinkDownload>,
    /// A piece that is, or may be, the last one.
    held: Option<Bytes>,
    counting: Option<Counting>,
    /// Whether only the end tells which piece was the last.
    looks_ahead: bool,
}

type Counting = Pin<Box<dyn Future<Output = store::Result<()>> + Send>>;

impl Counted {
    pub fn new(body: Body, download: LinkDownload) -> Self {
        Self {
            looks_ahead: http_body::Body::size_hint(&body).exact().is_none(),
            body,
            download: Some(download),
            held: None,
            counting: None,
        }
    }

    /// Begins to count, once.
    fn begin_counting(&mut self) -> bool {
        let Some(download) = self.download.take() else {
            return false;
        };
        self.counting = Some(Box::pin(download.complete()));
        true
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if let Some(counting) = &mut self.counting {
                let counted = ready!(counting.as_mut().poll(context));
                self.counting = None;
                let last = self.held.take();
                return Poll::Ready(match counted {
                    Ok(()) => last.map(|bytes| Ok(Frame::data(bytes))),
                    Err(error) => Some(Err(Error::new(error))),
                });
            }
            let next = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(next) = next else {
                if self.begin_counting() {
                    continue;
                }
                return Poll::Ready(None);
            };
            let bytes = match next.map(Frame::into_data) {
                Ok(Ok(bytes)) => bytes,
                // Contents have no trailers.
                Ok(Err(_)) => continue,
                Err(error) => {
                    self.download = None;
                    self.held = None;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            let before = self.held.replace(bytes);
            let ready = if self.looks_ahead {
                before
            } else if self.body.is_end_stream() && self.begin_counting() {
                None
            } else {
                self.held.take()
            };
            if let Some(bytes) = ready {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.download.is_none()
            && self.counting.is_none()
            && self.held.is_none()
            && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let held_bytes = self.held.as_ref().map_or(0, |bytes| bytes.len() as u64);
        match hint.exact() {
            Some(left_bytes) => SizeHint::with_exact(left_bytes + held_bytes),
            None => hint,
        }
    }
}
