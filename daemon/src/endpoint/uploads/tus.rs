//! The words of the protocol: its version, its headers, and answers made of them.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use store::{Resumable, UploadedFile};
use webdav::grammar::date;

use super::checksum;
use crate::server::problem::{Problem, code};

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSION: HeaderName = HeaderName::from_static("tus-version");
const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
const FILE_ID: HeaderName = HeaderName::from_static("coffer-file-id");

/// The one version of the protocol that there is.
const ONE: HeaderValue = HeaderValue::from_static("1.0.0");
const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("checksum,creation,creation-with-upload,expiration,termination");
const OCTETS: &[u8] = b"application/offset+octet-stream";
/// Beyond this no number in JSON is exact.
const MOST_BYTES: u64 = 1 << 53;

/// Refuses other versions of the protocol, and names ours with every answer.
pub(super) async fn speak(request: Request, next: Next) -> Response {
    let version = request.headers().get(RESUMABLE);
    let speaks = version.is_none_or(|version| version == ONE);
    let mut answer = if speaks || request.method() == Method::OPTIONS {
        next.run(request).await
    } else {
        IntoResponse::into_response(other_version())
    };
    let status = answer.status();
    let headers = answer.headers_mut();
    headers.insert(RESUMABLE, ONE);
    if status == StatusCode::PRECONDITION_FAILED {
        headers.insert(VERSION, ONE);
    }
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    answer
}

fn other_version() -> Problem {
    let detail = "Tus-Resumable has to be 1.0.0.";
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        code::UNSUPPORTED_VERSION,
        detail,
    )
}

/// What only clients of the protocol ask, they ask with its version.
pub(super) fn require_version(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(RESUMABLE) {
        Ok(())
    } else {
        Err(other_version())
    }
}

/// What can be done here, for anyone.
pub(super) fn abilities() -> impl IntoResponse {
    let headers = [
        (VERSION, ONE),
        (EXTENSION, EXTENSIONS),
        (MAX_SIZE, HeaderValue::from(MOST_BYTES)),
        (CHECKSUM_ALGORITHM, checksum::ALGORITHMS),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// Where an upload is, in the protocol's words.
pub(super) fn progress(
    status: StatusCode,
    upload: &Resumable,
    file: Option<&UploadedFile>,
) -> Response {
    let mut answer = status.into_response();
    let headers = answer.headers_mut();
    headers.insert(UPLOAD_OFFSET, upload.offset_bytes.into());
    let mut expires = Vec::new();
    date::write_imf(&mut expires, upload.expires_at.div_euclid(1000));
    if let Ok(expires) = HeaderValue::try_from(expires) {
        headers.insert(UPLOAD_EXPIRES, expires);
    }
    if let Some(file) = file {
        let ascii = |text: &str| HeaderValue::try_from(text).expect("ids and tags are ASCII");
        headers.insert(header::ETAG, ascii(&file.etag));
        headers.insert(FILE_ID, ascii(&file.node.to_string()));
    }
    answer
}

/// As [`progress`], with what was said when it began.
pub(super) fn description(upload: &Resumable, file: Option<&UploadedFile>) -> Response {
    let mut answer = progress(StatusCode::NO_CONTENT, upload, file);
    let headers = answer.headers_mut();
    headers.insert(UPLOAD_LENGTH, upload.size_bytes.into());
    if !upload.metadata.is_empty()
        && let Ok(metadata) = HeaderValue::try_from(&upload.metadata)
    {
        headers.insert(UPLOAD_METADATA, metadata);
    }
    answer
}

/// The length of the whole, which has to be known: all of it is reserved.
pub(super) fn announced_length(headers: &HeaderMap) -> Result<u64, Problem> {
    if headers.contains_key(DEFER_LENGTH) {
        return Err(bad_request("Upload-Defer-Length is not supported."));
    }
    if headers.contains_key(UPLOAD_CONCAT) {
        return Err(bad_request("Upload-Concat is not supported."));
    }
    let length = number(headers, &UPLOAD_LENGTH)?;
    let length = length.ok_or_else(|| bad_request("Upload-Length is missing."))?;
    if length > MOST_BYTES {
        let detail = format!("An upload can have {MOST_BYTES} bytes.");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Problem::new(status, code::BODY_TOO_LARGE, detail));
    }
    Ok(length)
}

/// Where the bytes of a request begin.
pub(super) fn offset(headers: &HeaderMap) -> Result<u64, Problem> {
    number(headers, &UPLOAD_OFFSET)?.ok_or_else(|| bad_request("Upload-Offset is missing."))
}

/// A header that is a number.
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.to_str().unwrap_or("");
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(number) if is_number && values.next().is_none() => Ok(Some(number)),
        _ => Err(bad_request(format!("{name} is not a number of bytes."))),
    }
}

pub(super) fn require_octets(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE);
    if media_type.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(OCTETS)) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        code::UNSUPPORTED_MEDIA_TYPE,
        "The Content-Type of bytes is application/offset+octet-stream.",
    ))
}

/// All values of a header as one.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let mut all: Option<String> = None;
    for value in headers.get_all(name) {
        let value = value.to_str();
        let value = value.map_err(|_| bad_request(format!("{name} is not ASCII.")))?;
        match &mut all {
            Some(all) => {
                all.push_str(", ");
                all.push_str(value);
            }
            none => *none = Some(value.to_owned()),
        }
    }
    Ok(all)
}

pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, detail)
}
