//! An answer that counts as a download of a link once all of it was handed over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use store::{LinkDownload, OpenLink};

use super::super::AppState;
use super::Refused;

/// Has an answer counted that gives out a content to its end.
pub(super) async fn count(
    state: &AppState,
    link: &OpenLink,
    method: &Method,
    answer: Response,
) -> Result<Response, Refused> {
    if method != Method::GET || !has_the_end(&answer) {
        return Ok(answer);
    }
    let download = state.store().begin_link_download(link).await?;
    if answer.body().is_end_stream() {
        download.complete().await?;
        return Ok(answer);
    }
    Ok(answer.map(|body| Body::new(Counted::new(body, download))))
}

/// Whether an answer holds the last byte of a content. Of several ranges nobody can tell whether
/// they are a download.
fn has_the_end(answer: &Response) -> bool {
    if answer.status() != StatusCode::PARTIAL_CONTENT {
        return true;
    }
    let range = answer.headers().get(header::CONTENT_RANGE);
    let range = range.and_then(|value| value.to_str().ok());
    let ends_at = |range: &str| -> Option<bool> {
        let (span, size) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (_, last) = span.split_once('-')?;
        let (last, size): (u64, u64) = (last.parse().ok()?, size.parse().ok()?);
        Some(last + 1 == size)
    };
    range.and_then(ends_at).unwrap_or(false)
}

/// A body whose last piece leaves once the download is counted.
///
/// So there are never more downloads than a link allows, even where the count cannot be written; one
/// that breaks off while its last piece is on the way counts.
struct Counted {
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
    fn new(body: Body, download: LinkDownload) -> Self {
        Self {
            looks_ahead: body.size_hint().exact().is_none(),
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_an_answer_with_the_last_byte_is_a_download() {
        let partial = |range: &'static str| {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = HeaderValue::from_static(range);
            answer.headers_mut().insert(header::CONTENT_RANGE, range);
            has_the_end(&answer)
        };
        assert!(partial("bytes 0-9/10"));
        assert!(partial("bytes 9-9/10"));
        assert!(!partial("bytes 0-8/10"));
        assert!(!partial("bytes 0-8/*"));
        assert!(has_the_end(&Response::new(Body::empty())));
    }
}
