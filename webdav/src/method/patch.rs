//! PATCH as SabreDAV has it, and the way of every write into the middle of a file.

use bytes::Bytes;
use http::{Response, StatusCode};
use sha2::Digest as _;
use store::{PatchStart, UploadOptions, Written};

use crate::body::Body;
use crate::checksum::{self, Promised};
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
    if !update_range::has_content_type(headers) {
        return Err(refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a partial update has the type application/x-sabredav-partialupdate",
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
    let begun = store.begin_patch(call.caller, path, start, options, call.condition()?);
    let mut upload = match begun.await {
        // There is no file; perhaps there is a folder.
        Err(store::Error::NotFound) => {
            let found = store.find(call.caller, path).await?;
            let is_folder = found.is_some_and(|found| found.node.is_folder());
            let error = if is_folder {
                store::Error::IsFolder
            } else {
                store::Error::NotFound
            };
            return Err(error.into());
        }
        begun => begun?,
    };
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
