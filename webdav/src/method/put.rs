//! PUT (RFC 9110 §9.3.4): content goes into the store as it comes, and becomes a file in one step.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use store::{PatchStart, Upload, UploadOptions, Written};

use crate::body::Body;
use crate::checksum::Promised;
use crate::grammar::content_range::{self, ContentRange};
use crate::grammar::{BadHeader, date};
use crate::method::get::{write_checksum, write_validators};
use crate::method::patch;
use crate::request::Call;
use crate::status::{Failure, refused};

const OC_MTIME: HeaderName = HeaderName::from_static("x-oc-mtime");
const EXPECTED_LENGTH: &str = "x-expected-entity-length";

/// Stores the body as the content of the target, or as a part of it.
pub(crate) async fn handle<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let headers = call.headers();
    require_identity(headers)?;
    if call.target.trailing_slash {
        return Err(names_a_folder(call).await?);
    }
    let modified_ns = oc_mtime(headers)?;
    let mut size_bytes = announced_bytes(headers, body)?;
    if let Some(range) = content_range::parse(headers)? {
        let part_bytes = range.span.len();
        if *size_bytes.get_or_insert(part_bytes) != part_bytes {
            return Err(refused(
                StatusCode::BAD_REQUEST,
                "the body is not as long as its Content-Range",
            ));
        }
        if !is_whole(&range) {
            let start = PatchStart::At(range.span.start);
            let written = patch::write(call, body, start, part_bytes, modified_ns).await?;
            let takes_mtime = modified_ns.is_some();
            return Ok(answer(&written, takes_mtime, StatusCode::NO_CONTENT));
        }
    }
    let written = write(call, body, size_bytes, modified_ns, false).await?;
    let status = if written.created {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    };
    Ok(answer(&written, modified_ns.is_some(), status))
}

/// Stores the body as the whole content of the target.
///
/// # Errors
/// Whatever the store refuses, and 400 for a body that is not what was announced.
pub(crate) async fn write<B>(
    call: &Call<'_>,
    body: &mut B,
    size_bytes: Option<u64>,
    modified_ns: Option<i64>,
    make_parents: bool,
) -> Result<Written, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let promised = Promised::of_whole(call.headers())?;
    let attributes = call.attributes()?;
    let (running, extra) = promised.start();
    let options = UploadOptions {
        size_bytes,
        check_first: expects_continue(call.headers()),
        extra,
        make_parents,
    };
    let store = call.store();
    let mut upload = store
        .begin_upload(
            call.caller,
            &call.target.path,
            options,
            call.condition_of_content()?,
        )
        .await?;
    receive(&mut upload, body, |_| {}).await?;
    let mut complete = upload.complete().await?;
    if let Some(checksums) = promised.verify(complete.sha256(), &running)? {
        complete.keep(checksums);
    }
    if let Some(attributes) = attributes {
        complete.describe(attributes);
    }
    Ok(complete.commit(modified_ns).await?)
}

/// Hands the body to the store; `look` sees each piece before.
///
/// # Errors
/// 400 when the body breaks off. The upload is dropped then, and nothing of it stays.
pub(crate) async fn receive<B>(
    upload: &mut Upload,
    body: &mut B,
    mut look: impl FnMut(&[u8]) + Send,
) -> Result<(), Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "an upload broke off");
                return Err(refused(
                    StatusCode::BAD_REQUEST,
                    "the body broke off; nothing was stored",
                ));
            }
        };
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            look(&data);
            upload.write(data).await?;
        }
    }
    Ok(())
}

/// The answer to a write.
pub(crate) fn answer(written: &Written, takes_mtime: bool, status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    write_validators(&written.node, headers);
    write_checksum(&written.node, headers);
    if takes_mtime {
        headers.insert(OC_MTIME, HeaderValue::from_static("accepted"));
    }
    answer
}

/// Refuses a body that is not what is to be stored (RFC 9110 §8.4).
pub(crate) fn require_identity(headers: &HeaderMap) -> Result<(), Failure> {
    let is_identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Ok(());
    }
    Err(refused(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "a Content-Encoding is not taken off",
    ))
}

/// The modification time that a client wants kept, nanoseconds since 1970-01-01 UTC.
///
/// # Errors
/// 400 when it is not a number of seconds.
pub(crate) fn oc_mtime(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(value) = headers.get(&OC_MTIME) else {
        return Ok(None);
    };
    let time = value.to_str().ok().and_then(date::parse_oc_mtime);
    Ok(Some(time.ok_or(BadHeader {
        field: "x-oc-mtime",
        reason: "not a number of seconds",
    })?))
}

/// Whether the client waits to be told to go on.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// How long the body is going to be, if the client says it. Finder says it its own way.
///
/// # Errors
/// 400 when it is not a number.
pub(crate) fn announced_bytes(
    headers: &HeaderMap,
    body: &impl http_body::Body,
) -> Result<Option<u64>, Failure> {
    if let Some(size_bytes) = body.size_hint().exact() {
        return Ok(Some(size_bytes));
    }
    number(headers, CONTENT_LENGTH.as_str(), "content-length").and_then(|length| match length {
        None => number(headers, EXPECTED_LENGTH, EXPECTED_LENGTH),
        some => Ok(some),
    })
}

/// A field that holds a number of bytes.
///
/// # Errors
/// 400 when it holds something else.
pub(crate) fn number(
    headers: &HeaderMap,
    name: &str,
    field: &'static str,
) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let digits = value.as_bytes();
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    match number {
        Some(number) if all_digits => Ok(Some(number)),
        _ => Err(BadHeader {
            field,
            reason: "not a number of bytes",
        }
        .into()),
    }
}

/// A range from the first byte to the last one is no range.
fn is_whole(range: &ContentRange) -> bool {
    range.span.start == 0 && range.size_bytes == Some(range.span.end)
}

/// A path with a slash at its end is a collection's: there is one, or there is nothing to PUT to.
async fn names_a_folder(call: &Call<'_>) -> Result<Failure, Failure> {
    let found = call.store().find(call.caller, &call.target.path).await?;
    if found.is_some_and(|found| found.node.is_folder()) {
        return Ok(store::Error::IsFolder.into());
    }
    Ok(refused(
        StatusCode::CONFLICT,
        "a path that ends in a slash cannot name a file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    }

    #[test]
    fn only_plain_bodies_are_stored() {
        assert!(require_identity(&HeaderMap::new()).is_ok());
        assert!(require_identity(&headers("content-encoding", "Identity")).is_ok());
        for coding in ["gzip", "aws-chunked", "identity, gzip", ""] {
            assert!(require_identity(&headers("content-encoding", coding)).is_err());
        }
    }

    #[test]
    fn finder_announces_the_length_of_a_chunked_body() {
        let of = |name, value| {
            let body = Body::listing(Box::pin(futures_util::stream::empty()));
            announced_bytes(&headers(name, value), &body)
        };
        assert_eq!(of("x-expected-entity-length", "17").unwrap(), Some(17));
        assert_eq!(of("content-length", "4").unwrap(), Some(4));
        assert_eq!(of("x-other", "4").unwrap(), None);
        for bad in ["", "-1", "+1", "1e3", "99999999999999999999"] {
            assert!(of("x-expected-entity-length", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_is_seconds_with_or_without_a_fraction() {
        let of = |value| oc_mtime(&headers("x-oc-mtime", value));
        assert_eq!(of("1234567890").unwrap(), Some(1_234_567_890_000_000_000));
        assert_eq!(of("1.5").unwrap(), Some(1_500_000_000));
        assert!(of("yesterday").is_err());
        assert_eq!(oc_mtime(&HeaderMap::new()).unwrap(), None);
    }
}
