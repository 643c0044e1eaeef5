//! Several ranges in one answer: `multipart/byteranges` (RFC 9110 §14.6).

use std::io::Write as _;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::{Content, visible};
use crate::body::{Body, Part};
use crate::grammar::range::Span;

/// Puts the parts into an answer, their type before it.
pub(super) fn put(answer: &mut Response<Body>, content: &Content<'_>, spans: &[Span]) {
    let (media_type, size_bytes) = (content.media_type, content.size_bytes);
    let boundary = boundary(content.dav.options().world.bytes());
    let mut length_bytes = 0;
    let mut parts = Vec::with_capacity(2 * spans.len() + 1);
    for (index, span) in spans.iter().enumerate() {
        let head = head(index == 0, &boundary, media_type, *span, size_bytes);
        length_bytes += head.len() as u64 + span.len();
        parts.push(Part::Bytes(head.into()));
        parts.push(content.part(span.start, span.end));
    }
    let end = format!("\r\n--{boundary}--\r\n");
    length_bytes += end.len() as u64;
    parts.push(Part::Bytes(end.into()));
    *answer.body_mut() = Body::parts(parts, length_bytes);
    let media_type: HeaderValue =
        visible(format!("multipart/byteranges; boundary={boundary}").into_bytes());
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
}

/// What no content can be made to hold, since nobody knows it before.
fn boundary(random: [u8; 16]) -> String {
    let mut boundary = String::with_capacity(32);
    for byte in random {
        boundary.push(char::from(b'a' + (byte & 15)));
        boundary.push(char::from(b'a' + (byte >> 4)));
    }
    boundary
}

fn head(is_first: bool, boundary: &str, media_type: &str, span: Span, size_bytes: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let before = if is_first { "" } else { "\r\n" };
    write!(
        out,
        "{before}--{boundary}\r\nContent-Type: {media_type}\r\n\
         Content-Range: bytes {}-{}/{size_bytes}\r\n\r\n",
        span.start,
        span.end - 1
    )
    .expect("a vector takes any bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_begins_on_a_line_of_its_own() {
        let span = Span { start: 2, end: 4 };
        let text = |first| String::from_utf8(head(first, "b", "text/plain", span, 9)).unwrap();
        let fields = "--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 2-3/9\r\n\r\n";
        assert_eq!(text(true), fields);
        assert_eq!(text(false), format!("\r\n{fields}"));
    }

    #[test]
    fn a_boundary_is_letters() {
        let boundary = boundary([0x0f, 0xf0, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(boundary.len(), 32);
        assert!(boundary.bytes().all(|byte| byte.is_ascii_lowercase()));
    }
}
