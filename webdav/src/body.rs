//! The body of an answer, without a box around the cases that are served most.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use store::Download;

/// Pieces of a body whose length is not known before they are made.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, store::Error>> + Send>>;

/// The body of an answer.
///
/// An error while it is read means that the rest cannot be had: the connection must be broken, so
/// that what was sent cannot be taken for the whole.
#[derive(Default)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Bytes at hand.
    Full(Bytes),
    /// Content on its way out of the store.
    Download(Box<Measured>),
    /// A listing that is made while it is sent.
    Listing(Listing),
}

/// Content of known length.
pub struct Measured {
    parts: std::vec::IntoIter<Part>,
    left_bytes: u64,
}

/// A piece of a body of known length.
pub(crate) enum Part {
    /// Bytes at hand, not none.
    Bytes(Bytes),
    /// Content of the store.
    Download(Box<Download>),
}

/// A body that is made while it is sent.
pub struct Listing(Option<Pieces>);

impl Body {
    /// A body of bytes at hand.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }

    /// Parts one after the other, of `length_bytes` altogether.
    pub(crate) fn parts(parts: Vec<Part>, length_bytes: u64) -> Self {
        Self::Download(Box::new(Measured {
            parts: parts.into_iter(),
            left_bytes: length_bytes,
        }))
    }

    /// Pieces that are made while they are sent.
    pub(crate) fn listing(pieces: Pieces) -> Self {
        Self::Listing(Listing(Some(pieces)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = store::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, store::Error>>> {
        let next = match &mut *self {
            Self::Empty => None,
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Some(Ok(bytes))
            }
            Self::Download(measured) => ready!(measured.poll_next(context)),
            Self::Listing(Listing(pieces)) => match pieces {
                None => None,
                Some(stream) => {
                    let next = ready!(stream.as_mut().poll_next(context));
                    if !matches!(next, Some(Ok(_))) {
                        *pieces = None;
                    }
                    next
                }
            },
        };
        Poll::Ready(next.map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Download(measured) => measured.left_bytes == 0,
            Self::Listing(Listing(pieces)) => pieces.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Download(measured) => SizeHint::with_exact(measured.left_bytes),
            Self::Listing(_) => SizeHint::default(),
        }
    }
}

impl Measured {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, store::Error>>> {
        while let Some(part) = self.parts.as_mut_slice().first_mut() {
            let next = match part {
                Part::Bytes(bytes) if bytes.is_empty() => None,
                Part::Bytes(bytes) => Some(Ok(std::mem::take(bytes))),
                Part::Download(download) => ready!(download.poll_next(context)),
            };
            match next {
                Some(Ok(bytes)) => {
                    self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Err(error)) => {
                    self.left_bytes = 0;
                    self.parts = Vec::new().into_iter();
                    return Poll::Ready(Some(Err(error)));
                }
                None => drop(self.parts.next()),
            }
        }
        Poll::Ready(None)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let case = match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Download(_) => "Download",
            Self::Listing(_) => "Listing",
        };
        f.write_str(case)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn parts_follow_each_other_and_their_length_is_known_before() {
        let parts = ["one", "", "two"].map(|text| Part::Bytes(Bytes::from(text)));
        let body = Body::parts(parts.into(), 6);
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(6));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "onetwo");
    }

    #[tokio::test]
    async fn a_listing_that_fails_ends_with_the_error() {
        let pieces = [
            Ok(Bytes::from("a")),
            Err(store::Error::Busy),
            Ok(Bytes::from("b")),
        ];
        let mut body = Body::listing(Box::pin(futures_util::stream::iter(pieces)));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn a_body_without_bytes_is_at_its_end() {
        assert!(http_body::Body::is_end_stream(&Body::full("")));
        assert!(!http_body::Body::is_end_stream(&Body::full("x")));
    }
}
