//! Bytes of files: exactly those asked for, of exactly that version, or an error in their place.

use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MATCH, LAST_MODIFIED,
    RANGE,
};
use http::{Method, StatusCode};
use reqwest::Response;
use tokio::time::timeout;
use webdav::grammar::date;

use super::describe::{is_looked, looked, tag_of};
use super::{DavDrive, bad, failure};
use crate::connection::{Fault, PROGRESS_WITHIN, Refusal};
use crate::drive::{DrivePath, ETag, Error, Result};

/// Opens a stream over `range`.
pub(super) async fn read(
    drive: &DavDrive,
    path: &DrivePath,
    etag: Option<&ETag>,
    range: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let (start, end) = (range.start, range.end);
    let mut request = drive
        .inner
        .connection
        .request(Method::GET, &drive.url(path))
        .header(RANGE, format!("bytes={start}-{}", end - 1));
    // Elsewhere the answer's own tag is compared, which a weak one does not hinder.
    if let Some(etag) = etag.filter(|etag| drive.inner.found.exact_tags && !is_looked(&etag.0)) {
        request = request.header(IF_MATCH, &etag.0);
    }
    let answer = match drive.inner.connection.ask(request).await {
        // The file has grown shorter than what was known of it.
        Err(Fault::Refused(Refusal { status, .. }))
            if status == StatusCode::RANGE_NOT_SATISFIABLE =>
        {
            return Err(Error::Conflict { path: path.clone() });
        }
        answer => answer.map_err(|fault| failure(path, fault))?,
    };
    let skipped_bytes = check(&answer, path, etag, &range)?;
    Ok(exactly(answer, path.clone(), skipped_bytes, end - start))
}

/// What must be passed over of the body before it begins; an error when it is not what was asked.
fn check(
    answer: &Response,
    path: &DrivePath,
    etag: Option<&ETag>,
    range: &Range<u64>,
) -> Result<u64> {
    let field = |name: HeaderName| answer.headers().get(name)?.to_str().ok();
    if field(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(bad(path, "it is encoded, though nobody asked for that"));
    }
    let conflict = || Error::Conflict { path: path.clone() };
    let (skipped_bytes, size_bytes) = match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let told = field(CONTENT_RANGE).and_then(content_range);
            let (told, size_bytes) = told.ok_or_else(|| bad(path, "a range that is not told"))?;
            if told.start != range.start || told.end > range.end {
                return Err(bad(path, format!("bytes {told:?} in place of {range:?}")));
            }
            if told.end < range.end {
                // Only the end of the file is a reason to send fewer.
                return Err(conflict());
            }
            (0, size_bytes)
        }
        // The server knows no ranges.
        StatusCode::OK => {
            let size_bytes = field(CONTENT_LENGTH).and_then(|length| length.parse().ok());
            (range.start, size_bytes)
        }
        status => return Err(bad(path, format!("{status} to GET"))),
    };
    if size_bytes.is_some_and(|size_bytes| size_bytes < range.end) {
        return Err(conflict());
    }
    let Some(expected) = etag else {
        return Ok(skipped_bytes);
    };
    let modified = field(LAST_MODIFIED).and_then(date::parse);
    let got = if is_looked(&expected.0) {
        modified
            .zip(size_bytes)
            .map(|(modified, size)| looked(modified, size))
    } else {
        field(ETAG).and_then(tag_of)
    };
    match got {
        Some(got) if got == *expected => Ok(skipped_bytes),
        Some(_) => Err(conflict()),
        None => Err(bad(path, "the answer does not say which version it is of")),
    }
}

/// The range and the whole length of `bytes 0-9/100`; the latter may be unknown.
fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
    let size = match size {
        "*" => None,
        size => Some(number(size)?),
    };
    let fits = first < end && size.is_none_or(|size| end <= size);
    fits.then_some((first..end, size))
}

/// The body of the answer, cut to what was asked for; short ones end in an error.
fn exactly(
    answer: Response,
    path: DrivePath,
    skipped_bytes: u64,
    wanted_bytes: u64,
) -> BoxStream<'static, Result<Bytes>> {
    let is_whole = answer.status() == StatusCode::OK;
    let state = (answer, path, skipped_bytes, wanted_bytes);
    stream::try_unfold(
        state,
        move |(mut answer, path, mut skip, mut left)| async move {
            loop {
                if left == 0 && (is_whole || is_spent(&mut answer, &path).await?) {
                    return Ok(None);
                }
                let mut piece = next(&mut answer, &path)
                    .await?
                    .ok_or_else(|| bad(&path, format!("{left} bytes are missing")))?;
                let piece_bytes = piece.len() as u64;
                if piece_bytes <= skip {
                    skip -= piece_bytes;
                    continue;
                }
                let mut piece = piece.split_off(usize::try_from(skip).expect("less than a piece"));
                skip = 0;
                if piece.len() as u64 > left {
                    if !is_whole {
                        return Err(bad(&path, "there are more bytes than it announced"));
                    }
                    piece.truncate(usize::try_from(left).expect("less than a piece"));
                }
                left -= piece.len() as u64;
                return Ok(Some((piece, (answer, path, skip, left))));
            }
        },
    )
    .boxed()
}

/// Whether nothing follows; the connection can then be used again.
async fn is_spent(answer: &mut Response, path: &DrivePath) -> Result<bool> {
    while let Some(piece) = next(answer, path).await? {
        if !piece.is_empty() {
            return Err(bad(path, "there are more bytes than it announced"));
        }
    }
    Ok(true)
}

async fn next(answer: &mut Response, path: &DrivePath) -> Result<Option<Bytes>> {
    let piece = timeout(PROGRESS_WITHIN, answer.chunk()).await;
    let piece = piece.map_err(|_| failure(path, Fault::TooSlow))?;
    piece.map_err(|error| failure(path, error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response {
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(body).unwrap().into()
    }

    async fn got(answer: Response, etag: Option<&str>, range: Range<u64>) -> Result<String> {
        let path = DrivePath::ROOT.join("a").unwrap();
        let etag = etag.map(|etag| ETag(etag.to_owned()));
        let skipped = check(&answer, &path, etag.as_ref(), &range)?;
        let mut pieces = exactly(answer, path, skipped, range.end - range.start);
        let mut out = Vec::new();
        while let Some(piece) = pieces.next().await {
            out.extend_from_slice(&piece?);
        }
        Ok(String::from_utf8(out).unwrap())
    }

    const PART: (&str, &str) = ("content-range", "bytes 2-4/10");
    const TAG: (&str, &str) = ("etag", "W/\"x\"");

    #[tokio::test]
    async fn the_bytes_asked_for_are_read() {
        let part = answer(206, &[PART, TAG], "cde");
        assert_eq!(got(part, Some("\"x\""), 2..5).await.unwrap(), "cde");
        let whole = answer(200, &[TAG], "abcdefghij");
        assert_eq!(got(whole, Some("\"x\""), 2..5).await.unwrap(), "cde");
        let looked = looked(1_700_000_000, 10).0;
        let date = ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT");
        let part = answer(206, &[PART, date], "cde");
        assert_eq!(got(part, Some(&looked), 2..5).await.unwrap(), "cde");
    }

    #[tokio::test]
    async fn another_version_is_a_conflict() {
        for (status, headers, etag) in [
            (206, &[PART, TAG][..], "\"y\""),
            (200, &[TAG][..], "\"y\""),
            (206, &[("content-range", "bytes 2-3/4"), TAG][..], "\"x\""),
            (200, &[("content-length", "4"), TAG][..], "\"x\""),
        ] {
            let got = got(answer(status, headers, "cde"), Some(etag), 2..5).await;
            assert!(
                matches!(got, Err(Error::Conflict { .. })),
                "{got:?} {headers:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_lies_costs_an_error() {
        for (status, headers, body) in [
            (206, &[PART, TAG][..], "cd"),
            (206, &[PART, TAG][..], "cdef"),
            (206, &[TAG][..], "cde"),
            (206, &[("content-range", "bytes 3-5/10"), TAG][..], "cde"),
            (206, &[("content-range", "bytes 2-9/10"), TAG][..], "cde"),
            (206, &[("content-range", "bytes 2-4/4"), TAG][..], "cde"),
            (206, &[("content-range", "bytes +2-4/10"), TAG][..], "cde"),
            (206, &[PART][..], "cde"),
            (206, &[PART, TAG, ("content-encoding", "gzip")][..], "cde"),
            (200, &[TAG][..], "abc"),
            (204, &[TAG][..], ""),
        ] {
            let got = got(answer(status, headers, body), Some("\"x\""), 2..5).await;
            assert!(
                matches!(got, Err(Error::BadAnswer { .. })),
                "{got:?} {headers:?}"
            );
        }
    }
}
