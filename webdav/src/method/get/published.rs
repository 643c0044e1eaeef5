//! Content that anyone may have and that never changes: its digest is its entity tag.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use store::{Digest, Error, Published, Stored};

use super::{
    BYTES, CACHE, Content, REPR_DIGEST, WANT_REPR_DIGEST, attachment, visible, write_protection,
};
use crate::body::Body;
use crate::dispatch::Dav;
use crate::grammar::range::{Selection, select};
use crate::grammar::{BadHeader, digest_field, etag::TagList};
use crate::media;

const UNKNOWN: &str = "application/octet-stream";

/// What a content that never changes is sent as.
#[derive(Debug, Clone, Copy)]
pub enum Guise<'a> {
    /// Something to be saved under its digest; nothing tells its kind.
    Bytes,
    /// Something to be saved under this name.
    File(&'a str),
    /// An image of this type, to be shown.
    Image(&'static str),
}

/// A content that never changes under its address, for anyone who may have it.
#[derive(Debug, Clone, Copy)]
pub struct Immutable<'a> {
    /// Names its bytes.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// Its bytes.
    pub stored: &'a Stored,
    /// What it is sent as.
    pub guise: Guise<'a>,
}

impl Immutable<'_> {
    fn media_type(&self) -> &'static str {
        match self.guise {
            Guise::Bytes => UNKNOWN,
            Guise::File(name) => media::of_name(name).media_type,
            Guise::Image(media_type) => media_type,
        }
    }

    fn disposition(&self) -> Option<HeaderValue> {
        match self.guise {
            Guise::Bytes => Some(attachment(&self.digest.to_string())),
            Guise::File(name) => Some(attachment(name)),
            Guise::Image(_) => None,
        }
    }
}

impl Dav {
    /// Answers GET and HEAD (by the method in `head`) with a published content, as
    /// [`Self::immutable`] does. Nothing tells when it was published, which is the business of
    /// whoever did.
    ///
    /// # Errors
    /// As for [`Self::immutable`].
    pub fn published(&self, head: &Parts, content: &Published) -> Result<Response<Body>, Error> {
        let content = Immutable {
            digest: content.digest,
            size_bytes: content.size_bytes,
            stored: &content.stored,
            guise: Guise::Bytes,
        };
        Ok(self.immutable(head, &content)?.0)
    }

    /// Answers GET and HEAD (by the method in `head`) with a content that never changes:
    /// conditions, ranges and protection as for a file. Also whether its last byte is in the
    /// answer.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`], [`Error::RangeNotSatisfiable`], [`Error::Invalid`] for a
    /// condition that cannot be read.
    pub fn immutable(
        &self,
        head: &Parts,
        content: &Immutable<'_>,
    ) -> Result<(Response<Body>, bool), Error> {
        let etag = format!("\"{}\"", content.digest);
        let mut answer = Response::new(Body::Empty);
        if is_known(&head.headers, &etag)? {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            let headers = answer.headers_mut();
            headers.insert(ETAG, visible(etag.into_bytes()));
            headers.insert(CACHE_CONTROL, CACHE);
            return Ok((answer, false));
        }
        let most = self.options().ranges;
        let size_bytes = content.size_bytes;
        let is_head = head.method == Method::HEAD;
        let selection = if is_head {
            Selection::Whole
        } else {
            select(&head.headers, size_bytes, Some(&etag), None, most)
        };
        let has_end = match &selection {
            Selection::Unsatisfiable => return Err(Error::RangeNotSatisfiable { size_bytes }),
            Selection::Whole => !is_head,
            Selection::Parts(spans) => spans.iter().any(|span| span.end == size_bytes),
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, visible(etag.into_bytes()));
        headers.insert(ACCEPT_RANGES, BYTES);
        if let Some(disposition) = content.disposition() {
            headers.insert(CONTENT_DISPOSITION, disposition);
        }
        write_protection(headers);
        if digest_field::wants_sha256(&head.headers, WANT_REPR_DIGEST) {
            let value = digest_field::write_sha256(content.digest.as_bytes());
            headers.insert(REPR_DIGEST, visible(value.into_bytes()));
        }
        let media_type = content.media_type();
        if is_head {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
            return Ok((answer, false));
        }
        let content = Content {
            dav: self,
            stored: content.stored,
            media_type,
            size_bytes,
        };
        content.put(&mut answer, selection);
        Ok((answer, has_end))
    }
}

/// Whether the client has the content already. Of the conditions of RFC 9110 §13.1 those on tags
/// alone are asked: there is no time of change.
///
/// # Errors
/// [`Error::PreconditionFailed`] where `If-Match` wants another content.
fn is_known(headers: &HeaderMap, etag: &str) -> Result<bool, Error> {
    let unreadable = |bad: BadHeader| Error::Invalid {
        field: bad.field,
        reason: bad.reason.to_owned(),
    };
    let wanted = TagList::parse(headers, "if-match").map_err(unreadable)?;
    if wanted.is_some_and(|list| !list.matches_strongly(Some(etag))) {
        return Err(Error::PreconditionFailed);
    }
    let known = TagList::parse(headers, "if-none-match").map_err(unreadable)?;
    Ok(known.is_some_and(|list| list.matches_weakly(Some(etag))))
}
