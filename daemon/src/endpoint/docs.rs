//! `/api/docs`: Swagger UI over the OpenAPI document.
//!
//! Its files come out of the archive that a crate carries. They are compressed in there already, so
//! they are sent as they lie, between the head and the tail of gzip (RFC 1952).

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::{HeaderName, header};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED as ARCHIVE;

use crate::server::problem::Problem;

const PAGE: &str = include_str!("docs/index.html");
const START: &str = include_str!("docs/start.js");

/// Nothing from elsewhere, nothing to elsewhere. The icons in its style sheet are `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page. What it loads is named from its own address, so no slash may follow that.
pub async fn show() -> Response {
    answer("text/html; charset=utf-8", PAGE.into())
}

/// The page's address with a slash behind it.
pub async fn without_slash() -> Redirect {
    Redirect::permanent("../docs")
}

/// What the page loads.
pub async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    if name == "start.js" {
        return Ok(answer("text/javascript; charset=utf-8", START.into()));
    }
    let file = FILES.iter().find(|file| file.name == name);
    let file = file.ok_or_else(Problem::not_found)?;
    let mut response = answer(file.media_type, file.gzip.clone());
    let gzip = header::HeaderValue::from_static("gzip");
    response
        .headers_mut()
        .insert(header::CONTENT_ENCODING, gzip);
    Ok(response)
}

fn answer(media_type: &'static str, body: Bytes) -> Response {
    let fields: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "max-age=3600"),
    ];
    (fields, body).into_response()
}

struct File {
    name: &'static str,
    media_type: &'static str,
    gzip: Bytes,
}

static FILES: LazyLock<[File; 2]> = LazyLock::new(|| {
    [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
    ]
    .map(|(name, media_type)| File {
        name,
        media_type,
        gzip: member(ARCHIVE, &format!("/dist/{name}")).expect("the crate's archive has the file"),
    })
});

/// The member of a ZIP archive whose path ends in `end`, in gzip's form.
fn member(archive: &[u8], end: &str) -> Option<Bytes> {
    let tail = archive.windows(4).rposition(|four| four == b"PK\x05\x06")?;
    let mut at = number(archive, tail + 16, 4)?;
    while archive.get(at..at + 4)? == b"PK\x01\x02" {
        let name_length = number(archive, at + 28, 2)?;
        let name = archive.get(at + 46..at + 46 + name_length)?;
        // Of the one directory `dist` at the top: others have one of their own.
        let is_top = name.split(|byte| *byte == b'/').count() == 3;
        if is_top && name.ends_with(end.as_bytes()) {
            return gzip(archive, at);
        }
        at += 46 + name_length + number(archive, at + 30, 2)? + number(archive, at + 32, 2)?;
    }
    None
}

/// The member of the archive whose line of the directory is at `line`.
fn gzip(archive: &[u8], line: usize) -> Option<Bytes> {
    const DEFLATE: usize = 8;
    if number(archive, line + 10, 2)? != DEFLATE {
        return None;
    }
    // The checksum and the length stand in both formats, in the same form.
    let checksum = archive.get(line + 16..line + 20)?;
    let length = archive.get(line + 24..line + 28)?;
    let local = number(archive, line + 42, 4)?;
    let begin = local + 30 + number(archive, local + 26, 2)? + number(archive, local + 28, 2)?;
    let deflated = archive.get(begin..begin + number(archive, line + 20, 4)?)?;
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    Some([&head, deflated, checksum, length].concat().into())
}

/// A number of `length` bytes, the lowest first.
fn number(archive: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = archive.get(at..at + length)?;
    Some(
        bytes
            .iter()
            .rfold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_what_the_page_loads() {
        for file in FILES.iter() {
            assert!(PAGE.contains(&format!("\"docs/{}\"", file.name)));
            assert_eq!(file.gzip[..2], [0x1f, 0x8b]);
        }
        assert!(member(ARCHIVE, "/dist/none").is_none());
    }

    #[test]
    fn nothing_of_the_page_comes_from_elsewhere() {
        for text in [PAGE, START, POLICY] {
            assert!(!text.contains("//") || text == START, "{text}");
            assert!(!text.contains("http"), "{text}");
            assert!(!text.contains("unsafe"), "{text}");
        }
    }
}
