//! `/uploads`: uploads that several requests bring, by the tus protocol 1.0 (<https://tus.io>).

mod checksum;
mod content;
mod metadata;
mod tus;

use api::{Page, Upload, UploadCommit, UploadProblem};
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use store::{Error, NewResumable, Resumable, UploadId, UploadTarget};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::checksum::Checksum;
use self::content::{make_file, receive, settle};
use self::metadata::Metadata;
use self::tus::{
    abilities, announced_length, bad_request, joined, progress, require_octets, require_version,
    speak,
};
use super::files::{Place, reach, reach_new};
use super::openapi::Content;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Json, OptionalJson, Path};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(announce, list, create))
        .routes(routes!(announce_one, tell, show, append, overridden, end))
        .routes(routes!(commit))
        .route_layer(from_fn(speak))
}

/// Tells what of tus is spoken here.
#[utoipa::path(
    options,
    path = "/uploads",
    tag = "uploads",
    operation_id = "describe_uploads",
    security(()),
    responses((status = 204, headers(
        ("Tus-Version" = String), ("Tus-Extension" = String), ("Tus-Max-Size" = u64),
        ("Tus-Checksum-Algorithm" = String)
    )))
)]
async fn announce() -> impl IntoResponse {
    abilities()
}

/// Tells the same at an upload's own address.
#[utoipa::path(
    options,
    path = "/uploads/{id}",
    tag = "uploads",
    operation_id = "describe_upload",
    security(()),
    responses((status = 204, headers(
        ("Tus-Version" = String), ("Tus-Extension" = String), ("Tus-Max-Size" = u64),
        ("Tus-Checksum-Algorithm" = String)
    )))
)]
async fn announce_one() -> impl IntoResponse {
    abilities()
}

/// Begins an upload, perhaps with its first bytes.
///
/// All of it is reserved. The file appears with the last byte, under the conditions of this request.
#[utoipa::path(
    post,
    path = "/uploads",
    tag = "uploads",
    operation_id = "begin_upload",
    params(
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
        ("Upload-Length" = u64, Header, description = "Length of the content in bytes."),
        ("Upload-Metadata" = String, Header, description = "`path`, or `filename` and `dir`; `modified_at`, `sha256`: each with its value in Base64."),
        ("Upload-Checksum" = Option<String>, Header, description = "Of the bytes of this request: `sha1`, `sha256` or `md5`, and the digest in Base64."),
        ("If-Match" = Option<String>, Header, description = "Asked of the file that is replaced, now and at the end."),
        ("If-None-Match" = Option<String>, Header, description = "Likewise; `*` only makes a file.")
    ),
    request_body(content = Content, content_type = "application/offset+octet-stream"),
    responses(
        (status = 201, body = (), headers(
            ("Location" = String), ("Upload-Offset" = u64), ("Upload-Expires" = String)
        )),
        (status = 403, description = "forbidden, protected, reserved"),
        (status = 404, description = "not_found"),
        (status = 409, description = "is_folder, not_folder, parent_missing"),
        (status = 412, description = "unsupported_version, precondition_failed"),
        (status = 413, description = "body_too_large"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 429, description = "limit_exceeded"),
        (status = 460, description = "checksum_mismatch"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn create(
    State(state): State<AppState>,
    who: Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    require_version(&head.headers)?;
    let size_bytes = announced_length(&head.headers)?;
    let brings = !body.is_end_stream();
    let checksum = Checksum::read(&head.headers)?;
    if brings {
        require_octets(&head.headers)?;
    }
    let metadata = Metadata::read(&head.headers)?;
    let (place, target) = reach_target(&state, &who, metadata.target).await?;
    let new = NewResumable {
        target,
        size_bytes,
        promised: metadata.sha256,
        modified_ns: metadata.modified_ns,
        metadata: metadata.text,
        if_match: joined(&head.headers, &header::IF_MATCH)?,
        if_none_match: joined(&head.headers, &header::IF_NONE_MATCH)?,
    };
    let condition = state.dav.condition(place.caller(), &head)?;
    let begun = state
        .store()
        .begin_resumable(place.caller(), new, condition)
        .await?;
    let location = format!("/api/v1/uploads/{}", begun.id);
    let id = begun.id;
    let done = async {
        let upload = if brings {
            receive(&state, &who, id, 0, checksum, body).await?
        } else {
            begun
        };
        let file = settle(&state, &who, &head, &upload).await?;
        Ok::<_, Problem>(progress(StatusCode::CREATED, &upload, file.as_ref()))
    };
    let done = Box::pin(done).await;
    let mut answer = done.unwrap_or_else(IntoResponse::into_response);
    // Also where the bytes were refused, so that the client finds what it has begun.
    let location = HeaderValue::try_from(location).expect("an id is ASCII");
    answer.headers_mut().insert(header::LOCATION, location);
    Ok(answer)
}

/// Brings the next bytes; with the last one the file appears.
///
/// What has come of a request that breaks off is kept. The answer to the last one has `ETag` and `Coffer-File-Id`.
#[utoipa::path(
    patch,
    path = "/uploads/{id}",
    tag = "uploads",
    operation_id = "append_to_upload",
    params(
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
        ("Upload-Offset" = u64, Header, description = "Where the upload is, and these bytes begin."),
        ("Upload-Checksum" = Option<String>, Header, description = "Of the bytes of this request: `sha1`, `sha256` or `md5`, and the digest in Base64.")
    ),
    request_body(content = Content, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204, headers(
            ("Upload-Offset" = u64), ("Upload-Expires" = String), ("ETag" = String),
            ("Coffer-File-Id" = String)
        )),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden"),
        (status = 409, description = "offset_mismatch, is_folder, not_folder, parent_missing"),
        (status = 412, description = "unsupported_version, precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "upload_busy, locked"),
        (status = 429, description = "limit_exceeded"),
        (status = 460, description = "checksum_mismatch"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn append(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    require_version(&head.headers)?;
    require_octets(&head.headers)?;
    let offset_bytes = tus::offset(&head.headers)?;
    let checksum = Checksum::read(&head.headers)?;
    let found = find(&state, &who, &id).await?;
    let room = found.size_bytes.saturating_sub(offset_bytes);
    if body.size_hint().exact().is_some_and(|bytes| bytes > room) {
        return Err(Error::ContentMismatch("length").into());
    }
    let upload = if found.is_complete() && found.offset_bytes == offset_bytes {
        found
    } else {
        let receiving = receive(&state, &who, found.id, offset_bytes, checksum, body);
        Box::pin(receiving).await?
    };
    let file = settle(&state, &who, &head, &upload).await?;
    Ok(progress(StatusCode::NO_CONTENT, &upload, file.as_ref()))
}

/// Tells how far an upload is, for whoever goes on with it.
///
/// A request that still brings bytes ends with this: its client has given up on it. Bytes that have
/// all come become a file now if they have not, as after a crash: the client will send no more.
#[utoipa::path(
    head,
    path = "/uploads/{id}",
    tag = "uploads",
    operation_id = "find_upload_offset",
    params(("Tus-Resumable" = String, Header, description = "`1.0.0`.")),
    responses(
        (status = 204, headers(
            ("Upload-Offset" = u64), ("Upload-Length" = u64), ("Upload-Metadata" = String),
            ("Upload-Expires" = String), ("ETag" = String), ("Coffer-File-Id" = String)
        )),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden"),
        (status = 409, description = "is_folder, not_folder, parent_missing"),
        (status = 412, description = "unsupported_version, precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn tell(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    require_version(&head.headers)?;
    let mut upload = find(&state, &who, &id).await?;
    if !upload.is_complete() {
        state.store().end_append(upload.id).await;
        upload = find(&state, &who, &id).await?;
    }
    let file = settle(&state, &who, &head, &upload).await?;
    Ok(tus::description(&upload, file.as_ref()))
}

/// Gives an upload up.
///
/// Its room is given back. One that has become a file is forgotten; the file stays.
#[utoipa::path(
    delete,
    path = "/uploads/{id}",
    tag = "uploads",
    operation_id = "end_upload",
    responses(
        (status = 204),
        (status = 403, description = "forbidden"),
        (status = 412, description = "unsupported_version")
    )
)]
async fn end(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = read_id(&id)?;
    state.store().end_resumable(&who.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Does what `X-HTTP-Method-Override` says, for clients that cannot send other methods.
#[utoipa::path(
    post,
    path = "/uploads/{id}",
    tag = "uploads",
    operation_id = "override_upload_method",
    params(
        ("X-HTTP-Method-Override" = String, Header, description = "`PATCH`, `HEAD` or `DELETE`, whose headers and body are meant."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`.")
    ),
    request_body(content = Content, content_type = "application/offset+octet-stream"),
    responses(
        (status = 204),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden"),
        (status = 409, description = "offset_mismatch, is_folder, not_folder, parent_missing"),
        (status = 412, description = "unsupported_version, precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "upload_busy, locked"),
        (status = 429, description = "limit_exceeded"),
        (status = 460, description = "checksum_mismatch"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn overridden(
    state: State<AppState>,
    who: Authenticated,
    id: Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let method = request.headers().get(METHOD_OVERRIDE);
    match method.map(HeaderValue::as_bytes) {
        Some(b"PATCH") => append(state, who, id, request).await,
        Some(b"HEAD") => tell(state, who, id, request).await,
        Some(b"DELETE") => Ok(end(state, who, id).await?.into_response()),
        _ => Err(bad_request(
            "X-HTTP-Method-Override has to be PATCH, HEAD or DELETE.",
        )),
    }
}

/// Lists one's own uploads, the oldest first; also those that have become files, for a day.
#[utoipa::path(
    get,
    path = "/uploads",
    tag = "uploads",
    operation_id = "list_uploads",
    params(PartQuery),
    responses(
        (status = 200, body = Page<Upload>),
        (status = 412, description = "unsupported_version")
    )
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<Upload>>, Problem> {
    let part: Part<UploadId> = query.part()?;
    let store = state.store();
    let found = store
        .resumables(&who.caller, part.after, part.asked())
        .await?;
    Ok(part.page(found, |last| last.id.to_string(), shown))
}

/// Shows what has become of an upload.
#[utoipa::path(
    get,
    path = "/uploads/{id}",
    tag = "uploads",
    operation_id = "show_upload",
    responses(
        (status = 200, body = Upload),
        (status = 412, description = "unsupported_version")
    )
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Upload>, Problem> {
    Ok(Json(shown(&find(&state, &who, &id).await?)))
}

/// Tries again to make a file of bytes that have all come.
///
/// With a `path` it goes there instead of where it was to go.
#[utoipa::path(
    post,
    path = "/uploads/{id}/commit",
    tag = "uploads",
    operation_id = "commit_upload",
    request_body = Option<UploadCommit>,
    responses(
        (status = 200, body = Upload),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden, protected, reserved"),
        (status = 409, description = "offset_mismatch, is_folder, not_folder, parent_missing, over_border"),
        (status = 412, description = "unsupported_version, precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn commit(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    head: Parts,
    OptionalJson(commit): OptionalJson<UploadCommit>,
) -> Result<Json<Upload>, Problem> {
    let path = commit
        .path
        .as_deref()
        .map(metadata::file_path)
        .transpose()?;
    let upload = find(&state, &who, &id).await?;
    make_file(&state, &who, &head, &upload, path).await?;
    Ok(Json(shown(&find(&state, &who, &id).await?)))
}

/// Where an upload is to go: in one's own drive, or in what another shares.
async fn reach_target(
    state: &AppState,
    who: &Authenticated,
    target: UploadTarget,
) -> Result<(Place, UploadTarget), Problem> {
    Ok(match target {
        UploadTarget::Path(path) => {
            let (place, path) = reach_new(state, &who.caller, path).await?;
            (place, UploadTarget::Path(path))
        }
        UploadTarget::Entry { folder, .. } => {
            (reach(state, &who.caller, folder.into()).await?, target)
        }
    })
}

async fn find(state: &AppState, who: &Authenticated, id: &str) -> Result<Resumable, Problem> {
    let found = state.store().resumable(&who.caller, read_id(id)?).await?;
    Ok(found.ok_or(Error::NotFound)?)
}

fn shown(upload: &Resumable) -> Upload {
    let state = match &upload.stored {
        Some(_) => "stored",
        None if upload.is_complete() => "complete",
        None => "receiving",
    };
    let name = match &upload.target {
        UploadTarget::Path(path) => path.name().map(|name| name.as_str().to_owned()),
        UploadTarget::Entry { name, .. } => Some(name.as_str().to_owned()),
    };
    // A file that is shared by itself has no name where it is: only whoever asks has one for it.
    let name = name.or_else(|| metadata::file_name(&upload.metadata));
    Upload {
        id: upload.id.to_string(),
        name: name.unwrap_or_default(),
        state: state.to_owned(),
        size_bytes: upload.size_bytes,
        offset_bytes: upload.offset_bytes,
        file: upload.stored.as_ref().map(|file| api::UploadedFile {
            id: file.node.to_string(),
            etag: file.etag.clone(),
            created: file.created,
        }),
        problem: upload.failure.as_ref().map(|(code, detail)| UploadProblem {
            code: code.clone(),
            detail: detail.clone(),
        }),
        created_at: rfc3339(upload.created_at),
        expires_at: rfc3339(upload.expires_at),
    }
}

/// What cannot be an id names nothing.
fn read_id(id: &str) -> Result<UploadId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}
