//! Published content, which anyone may have: its digest is its address and its entity tag.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use store::{Error, Published};

use super::{
    BYTES, CACHE, Content, REPR_DIGEST, WANT_REPR_DIGEST, attachment, visible, write_protection,
};
use crate::body::Body;
use crate::dispatch::Dav;
use crate::grammar::range::{Selection, select};
use crate::grammar::{BadHeader, digest_field, etag::TagList};

const MEDIA_TYPE: &str = "application/octet-stream";

impl Dav {
    /// Answers GET and HEAD (by the method in `head`) with a published content: conditions, ranges
    /// and protection as for a file. Nothing tells its kind, so it is saved, never shown; nor when
    /// it was published, which is the business of whoever did.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`], [`Error::RangeNotSatisfiable`], [`Error::Invalid`] for a
    /// condition that cannot be read.
    pub fn published(&self, head: &Parts, content: &Published) -> Result<Response<Body>, Error> {
        let etag = format!("\"{}\"", content.digest);
        let mut answer = Response::new(Body::Empty);
        if is_known(&head.headers, &etag)? {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            let headers = answer.headers_mut();
            headers.insert(ETAG, visible(etag.into_bytes()));
            headers.insert(CACHE_CONTROL, CACHE);
            return Ok(answer);
        }
        let most = self.options().ranges;
        let size_bytes = content.size_bytes;
        let is_head = head.method == Method::HEAD;
        let selection = if is_head {
            Selection::Whole
        } else {
            select(&head.headers, size_bytes, Some(&etag), None, most)
        };
        if selection == Selection::Unsatisfiable {
            return Err(Error::RangeNotSatisfiable { size_bytes });
        }
        let headers = answer.headers_mut();
        headers.insert(ETAG, visible(etag.into_bytes()));
        headers.insert(ACCEPT_RANGES, BYTES);
        headers.insert(CONTENT_DISPOSITION, attachment(&content.digest.to_string()));
        write_protection(headers);
        if digest_field::wants_sha256(&head.headers, WANT_REPR_DIGEST) {
            let value = digest_field::write_sha256(content.digest.as_bytes());
            headers.insert(REPR_DIGEST, visible(value.into_bytes()));
        }
        if is_head {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
            return Ok(answer);
        }
        let content = Content {
            dav: self,
            stored: &content.stored,
            media_type: MEDIA_TYPE,
            size_bytes,
        };
        content.put(&mut answer, selection);
        Ok(answer)
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
