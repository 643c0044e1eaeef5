//! PATCH as SabreDAV has it or with several ranges, and the way of every write into the middle of a
//! file.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::{Response, StatusCode};
use sha2::Digest as _;
use store::{PatchStart, Upload, UploadOptions, Written};

use crate::body::Body;
use crate::checksum::{self, Promised};
use crate::grammar::byteranges::{self, BadParts, Event, Parts};
use crate::grammar::update_range::{self, UpdateRange};
use crate::method::put;
use crate::request::Call;
use crate::status::{Failure, refused};

/// Writes the body over a range of the target, or after its end.
pub(crate) async fn handle<B>(call: &Call<'_>, body: &mut B) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let headers = call.headers();
    if let Some(boundary) = byteranges::boundary(headers).map_err(malformed)? {
        put::require_identity(headers)?;
        let modified_ns = put::oc_mtime(headers)?;
        let written = write_ranges(call, body, &boundary, modified_ns).await?;
        let takes_mtime = modified_ns.is_some();
        return Ok(put::answer(&written, takes_mtime, StatusCode::NO_CONTENT));
    }
    if !update_range::has_content_type(headers) {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a partial update has the type multipart/byteranges or \
             application/x-sabredav-partialupdate",
        ));
    }
    put::require_identity(headers)?;
    let range = update_range::parse(headers)?.ok_or(refused(
        StatusCode::BAD_REQUEST,
        "a partial update needs X-Update-Range",
    ))?;
    let length = put::number(headers, "content-length", "content-length")?;
    let size_bytes = length.ok_or(refused(
        StatusCode::LENGTH_REQUIRED,
        "a partial update needs a Content-Length",
    ))?;
    if range.body_bytes().is_some_and(|bytes| bytes != size_bytes) {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "the body is not as long as its X-Update-Range",
        ));
    }
    let start = match range {
        UpdateRange::Append => PatchStart::Append,
        UpdateRange::FromTo(first, _) | UpdateRange::From(first) => PatchStart::At(first),
        UpdateRange::Last(bytes) => PatchStart::FromEnd(bytes),
    };
    let modified_ns = put::oc_mtime(headers)?;
    let written = write(call, body, start, size_bytes, modified_ns).await?;
    Ok(put::answer(
        &written,
        modified_ns.is_some(),
        StatusCode::NO_CONTENT,
    ))
}

/// Writes `size_bytes` of the body into the file at the target.
pub(crate) async fn write<B>(
    call: &Call<'_>,
    body: &mut B,
    start: PatchStart,
    size_bytes: u64,
    modified_ns: Option<i64>,
) -> Result<Written, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let promised = Promised::of_part(call.headers())?;
    let attributes = call.attributes()?;
    let mut hash = promised.is_some().then(sha2::Sha256::new);
    let options = UploadOptions {
        size_bytes: Some(size_bytes),
        check_first: put::expects_continue(call.headers()),
        extra: None,
        make_parents: false,
    };
    let path = &call.target.path;
    let store = call.store();
    let begun = store.begin_patch(
        call.caller,
        path,
        start,
        options,
        call.condition_of_content()?,
    );
    let mut upload = begun_on_file(call, begun.await).await?;
    let look = |bytes: &[u8]| {
        if let Some(hash) = &mut hash {
            hash.update(bytes);
        }
    };
    put::receive(&mut upload, body, look).await?;
    if let (Some(promised), Some(hash)) = (promised, hash)
        && hash.finalize()[..] != promised[..]
    {
        return Err(checksum::mismatch());
    }
    let mut complete = upload.complete().await?;
    if let Some(attributes) = attributes {
        complete.describe(attributes);
    }
    Ok(complete.commit(modified_ns).await?)
}

/// Writes the ranges in the body into the file at the target, all in one step.
async fn write_ranges<B>(
    call: &Call<'_>,
    body: &mut B,
    boundary: &str,
    modified_ns: Option<i64>,
) -> Result<Written, Failure>
where
    B: http_body::Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let promised = Promised::of_part(call.headers())?;
    let attributes = call.attributes()?;
    let condition = call.condition_of_content()?;
    let mut hash = promised.is_some().then(sha2::Sha256::new);
    let mut parts = Parts::new(boundary);
    let mut upload = None;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "a partial update broke off");
            refused(
                StatusCode::BAD_REQUEST,
                "the body broke off; nothing was stored",
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if let Some(hash) = &mut hash {
            hash.update(&data);
        }
        parts.push(data);
        while let Some(event) = parts.event().map_err(malformed)? {
            match (event, &mut upload) {
                (Event::Part { span, size_bytes }, upload) => {
                    if upload.is_none() {
                        *upload = Some(begin_ranges(call, size_bytes, condition.clone()).await?);
                    }
                    if let (Some(upload), Some(span)) = (upload, span) {
                        upload.seek(span.start..span.end)?;
                    }
                }
                (Event::Data(data), Some(upload)) => upload.write(data).await?,
                (Event::Data(_), None) => return Err(malformed(BadParts("bytes without a part"))),
            }
        }
    }
    parts.finish().map_err(malformed)?;
    if let (Some(promised), Some(hash)) = (promised, hash)
        && hash.finalize()[..] != promised[..]
    {
        return Err(checksum::mismatch());
    }
    let upload = upload.ok_or(malformed(BadParts("a body without parts")))?;
    let mut complete = upload.complete().await?;
    if let Some(attributes) = attributes {
        complete.describe(attributes);
    }
    Ok(complete.commit(modified_ns).await?)
}

async fn begin_ranges(
    call: &Call<'_>,
    length_bytes: u64,
    condition: store::Condition,
) -> Result<Upload, Failure> {
    let options = UploadOptions {
        size_bytes: put::number(call.headers(), "content-length", "content-length")?,
        ..UploadOptions::default()
    };
    let path = &call.target.path;
    let begun = call
        .store()
        .begin_ranges(call.caller, path, length_bytes, options, condition)
        .await;
    begun_on_file(call, begun).await
}

/// What came of beginning to write into a file: there may be none, or perhaps a folder.
async fn begun_on_file(call: &Call<'_>, begun: store::Result<Upload>) -> Result<Upload, Failure> {
    match begun {
        Err(store::Error::NotFound) => {
            let found = call.store().find(call.caller, &call.target.path).await?;
            let is_folder = found.is_some_and(|found| found.node.is_folder());
            let error = if is_folder {
                store::Error::IsFolder
            } else {
                store::Error::NotFound
            };
            Err(error.into())
        }
        begun => Ok(begun?),
    }
}

fn malformed(BadParts(text): BadParts) -> Failure {
    refused(StatusCode::BAD_REQUEST, text)
}
