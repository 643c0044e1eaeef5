//! GET and HEAD (RFC 9110 §9.3.1, §9.3.2, §14).
//!
//! What a client stored never runs in our origin: no sniffing, a sandbox, and a download instead
//! of a page for types that a browser would run.

pub(crate) mod index;
mod parts;
mod published;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use store::{Found, Node, Stored};

pub use self::published::{Guise, Immutable};
use crate::body::{Body, Part};
use crate::dispatch::Dav;
use crate::grammar::range::{Selection, Span, select};
use crate::grammar::{content_range, date, digest_field};
use crate::media::{self, Media};
use crate::precondition::Verdict;
use crate::property::{write_etag, write_hex};
use crate::request::{Call, modified_at_s};
use crate::status::Failure;

const REPR_DIGEST: HeaderName = HeaderName::from_static(digest_field::REPR_DIGEST);
const OC_CHECKSUM: HeaderName = HeaderName::from_static(digest_field::OC_CHECKSUM);
const WANT_REPR_DIGEST: &str = "want-repr-digest";
/// A page may show itself and load its own bytes, nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
);
const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// No other origin's page may embed what is here, whatever cookie its visitor has.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// Answers with a file, or with an index of a folder.
pub(crate) async fn handle(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let preconditions = call.read_conditions()?;
    let is_head = call.head.method == Method::HEAD;
    if preconditions.is_none()
        && !is_head
        && let Some((found, stored)) = call.open().await?
    {
        return Ok(file(call, &found.node, &stored));
    }
    let found = call.find().await?;
    let mut found = found.ok_or(store::Error::NotFound)?;
    loop {
        if let Some(preconditions) = &preconditions {
            match call.verdict(preconditions, Some(&found)).await? {
                Verdict::Ok => {}
                Verdict::NotModified => return Ok(not_modified(&found.node)),
                Verdict::Failed(failed) => return Err(failed.into()),
            }
        }
        if found.node.is_folder() {
            return Box::pin(index::answer(call, &found.node, is_head)).await;
        }
        if is_head {
            return Ok(head(call, &found.node));
        }
        let opened = call.open().await?;
        let (now, stored) = opened.ok_or(store::Error::NotFound)?;
        if now.node == found.node {
            return Ok(file(call, &now.node, &stored));
        }
        // Replaced in between: the conditions are asked again of what would be sent.
        found = now;
    }
}

/// Answers with a file that is no longer there, as it was.
pub(crate) async fn kept(
    call: &Call<'_>,
    node: Node,
    stored: &Stored,
) -> Result<Response<Body>, Failure> {
    let above = Vec::new();
    let found = Found { node, above };
    if let Some(preconditions) = call.read_conditions()? {
        match call.verdict(&preconditions, Some(&found)).await? {
            Verdict::Ok => {}
            Verdict::NotModified => return Ok(not_modified(&found.node)),
            Verdict::Failed(failed) => return Err(failed.into()),
        }
    }
    if call.head.method == Method::HEAD {
        return Ok(head(call, &found.node));
    }
    Ok(file(call, &found.node, stored))
}

fn head(call: &Call<'_>, node: &Node) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    let media = write_fields(call, node, answer.headers_mut());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(node.size_bytes));
    answer
}

fn file(call: &Call<'_>, node: &Node, stored: &Stored) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    let media = write_fields(call, node, answer.headers_mut());
    let selection = if call.headers().contains_key(RANGE) {
        let modified = Some(modified_at_s(node));
        select(
            call.headers(),
            node.size_bytes,
            Some(&node.etag()),
            modified,
            call.dav.options().ranges,
        )
    } else {
        Selection::Whole
    };
    let content = Content {
        dav: call.dav,
        stored,
        media_type: media.media_type,
        size_bytes: node.size_bytes,
    };
    content.put(&mut answer, selection);
    answer
}

/// A content and what it is sent as.
struct Content<'a> {
    dav: &'a Dav,
    stored: &'a Stored,
    media_type: &'static str,
    size_bytes: u64,
}

impl Content<'_> {
    /// Puts what was selected into an answer.
    fn put(&self, answer: &mut Response<Body>, selection: Selection) {
        let media_type = HeaderValue::from_static(self.media_type);
        match selection {
            Selection::Whole => {
                *answer.body_mut() = self.span_body(0, self.size_bytes);
                answer.headers_mut().insert(CONTENT_TYPE, media_type);
            }
            Selection::Parts(spans) => {
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                if let [Span { start, end }] = spans[..] {
                    *answer.body_mut() = self.span_body(start, end);
                    let headers = answer.headers_mut();
                    headers.insert(CONTENT_TYPE, media_type);
                    headers.insert(CONTENT_RANGE, of_part(spans[0], self.size_bytes));
                } else {
                    parts::put(answer, self, &spans);
                }
            }
            Selection::Unsatisfiable => {
                *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                let value = content_range::unsatisfied(self.size_bytes);
                let headers = answer.headers_mut();
                headers.insert(CONTENT_RANGE, visible(value.into_bytes()));
                headers.remove(CONTENT_DISPOSITION);
            }
        }
    }

    fn span_body(&self, start: u64, end: u64) -> Body {
        match self.part(start, end) {
            Part::Bytes(bytes) => Body::full(bytes),
            part @ Part::Download(_) => Body::parts(vec![part], end - start),
        }
    }

    fn part(&self, start: u64, end: u64) -> Part {
        let Some(bytes) = self.stored.bytes() else {
            let download = self.dav.store().download(self.stored, start..end);
            return Part::Download(Box::new(download));
        };
        let at = |offset: u64| usize::try_from(offset).map_or(bytes.len(), |n| n.min(bytes.len()));
        Part::Bytes(bytes.slice(at(start)..at(end)))
    }
}

fn not_modified(node: &Node) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::NOT_MODIFIED;
    write_validators(node, answer.headers_mut());
    answer.headers_mut().insert(CACHE_CONTROL, CACHE);
    answer
}

/// Everything but `Content-Type`, which is another one for several ranges.
fn write_fields(call: &Call<'_>, node: &Node, headers: &mut HeaderMap) -> Media {
    headers.reserve(13);
    let name = call.name().map_or("", store::Name::as_str);
    let media = media::of_name(name);
    write_validators(node, headers);
    write_checksum(node, headers);
    headers.insert(ACCEPT_RANGES, BYTES);
    write_protection(headers);
    if media.is_active {
        headers.insert(CONTENT_DISPOSITION, attachment(name));
    }
    if call.headers().contains_key(WANT_REPR_DIGEST)
        && digest_field::wants_sha256(call.headers(), WANT_REPR_DIGEST)
        && let Some(digest) = node.content().and_then(|content| content.sha256)
    {
        let value = digest_field::write_sha256(digest.as_bytes());
        headers.insert(REPR_DIGEST, visible(value.into_bytes()));
    }
    media
}

/// `ETag` and `Last-Modified`, as every answer about a node has them.
pub(crate) fn write_validators(node: &Node, headers: &mut HeaderMap) {
    let mut etag = Vec::with_capacity(66);
    write_etag(&mut etag, node);
    headers.insert(ETAG, visible(etag));
    let mut modified = Vec::with_capacity(date::IMF_BYTES);
    date::write_imf(&mut modified, modified_at_s(node));
    headers.insert(LAST_MODIFIED, visible(modified));
}

/// `OC-Checksum` of the whole content, where it is known: one, as ownCloud answers.
pub(crate) fn write_checksum(node: &Node, headers: &mut HeaderMap) {
    if let Some(checksums) = node.content().and_then(store::FileContent::checksums) {
        let mut value = b"SHA1:".to_vec();
        write_hex(&mut value, checksums.sha1());
        headers.insert(OC_CHECKSUM, visible(value));
    }
}

fn write_protection(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(RESOURCE_POLICY, SAME_ORIGIN);
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(CACHE_CONTROL, CACHE);
}

fn of_part(span: Span, size_bytes: u64) -> HeaderValue {
    visible(content_range::of_part(span, size_bytes).into_bytes())
}

/// A value that we wrote.
fn visible(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).expect("only visible ASCII")
}

/// `Content-Disposition` of what is to be saved under this name (RFC 6266 §4).
pub fn attachment(name: &str) -> HeaderValue {
    let mut out = Vec::with_capacity(64 + 4 * name.len());
    out.extend_from_slice(b"attachment; filename=\"");
    // For those who do not know `filename*`. A percent sign would be decoded by some.
    out.extend(name.chars().map(|c| match c {
        '"' | '\\' | '%' => b'_',
        ' '..='~' => u8::try_from(c).unwrap_or(b'_'),
        _ => b'_',
    }));
    out.extend_from_slice(b"\"; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
    visible(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(
            attachment("a\"b\\ü;(1)%41.html"),
            "attachment; filename=\"a_b__;(1)_41.html\"; \
             filename*=UTF-8''a%22b%5C%C3%BC%3B%281%29%2541.html"
        );
    }
}
