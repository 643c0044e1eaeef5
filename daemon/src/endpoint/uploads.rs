//! `/uploads`: uploads that several requests bring, by the tus protocol 1.0 (<https://tus.io>).

mod checksum;
mod metadata;

use std::future::poll_fn;
use std::pin::Pin;

use api::{Page, Upload, UploadCommit, UploadProblem};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use store::{
    AppendOptions, Caller, Condition, Error, NewResumable, Resumable, UploadId, UploadTarget,
    UploadedFile,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webdav::grammar::date;

use self::checksum::Checksum;
use self::metadata::Metadata;
use super::files::{Place, reach, reach_new};
use super::openapi::Content;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Json, OptionalJson, Path};
use crate::moment::rfc3339;
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
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const FILE_ID: HeaderName = HeaderName::from_static("coffer-file-id");

/// The one version of the protocol that there is.
const ONE: HeaderValue = HeaderValue::from_static("1.0.0");
const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("checksum,creation,creation-with-upload,expiration,termination");
const OCTETS: &[u8] = b"application/offset+octet-stream";
/// Beyond this no number in JSON is exact.
const MOST_BYTES: u64 = 1 << 53;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(announce, list, create))
        .routes(routes!(announce_one, tell, show, append, overridden, end))
        .routes(routes!(commit))
        .route_layer(from_fn(speak))
}

/// Refuses other versions of the protocol, and names ours with every answer.
async fn speak(request: Request, next: Next) -> Response {
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
fn require_version(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(RESUMABLE) {
        Ok(())
    } else {
        Err(other_version())
    }
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

/// What can be done here, for anyone.
fn abilities() -> impl IntoResponse {
    let headers = [
        (VERSION, ONE),
        (EXTENSION, EXTENSIONS),
        (MAX_SIZE, HeaderValue::from(MOST_BYTES)),
        (CHECKSUM_ALGORITHM, checksum::ALGORITHMS),
    ];
    (StatusCode::NO_CONTENT, headers)
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
    let offset_bytes = number(&head.headers, &UPLOAD_OFFSET)?
        .ok_or_else(|| bad_request("Upload-Offset is missing."))?;
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
    let mut answer = progress(StatusCode::NO_CONTENT, &upload, file.as_ref());
    let headers = answer.headers_mut();
    headers.insert(UPLOAD_LENGTH, upload.size_bytes.into());
    if !upload.metadata.is_empty()
        && let Ok(metadata) = HeaderValue::try_from(&upload.metadata)
    {
        headers.insert(UPLOAD_METADATA, metadata);
    }
    Ok(answer)
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

/// Hands the body to the store, which keeps what comes of it.
async fn receive(
    state: &AppState,
    who: &Authenticated,
    id: UploadId,
    offset_bytes: u64,
    checksum: Option<Checksum>,
    mut body: Body,
) -> Result<Resumable, Problem> {
    let options = checksum.map_or_else(AppendOptions::default, Checksum::start);
    let mut appending = state
        .store()
        .append(&who.caller, id, offset_bytes, options)
        .await?;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "an upload broke off");
                appending.break_off().await?;
                return Err(bad_request("The body broke off; what had come is kept."));
            }
        };
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            appending.write(data).await?;
        }
    }
    appending.finish().await.map_err(|error| match error {
        Error::ContentMismatch(_) => checksum::mismatch(),
        error => error.into(),
    })
}

/// Makes the file of an upload that has all its bytes; `None` while some are missing.
async fn settle(
    state: &AppState,
    who: &Authenticated,
    head: &Parts,
    upload: &Resumable,
) -> Result<Option<UploadedFile>, Problem> {
    if upload.stored.is_some() || !upload.is_complete() {
        return Ok(upload.stored.clone());
    }
    make_file(state, who, head, upload, None).await.map(Some)
}

async fn make_file(
    state: &AppState,
    who: &Authenticated,
    head: &Parts,
    upload: &Resumable,
    path: Option<store::Path>,
) -> Result<UploadedFile, Problem> {
    let began = upload.caller(&who.caller)?;
    let to = match path {
        None => None,
        Some(path) => {
            let (place, path) = reach_new(state, &who.caller, path).await?;
            if place.caller().drive != began.drive {
                return Err(Problem::other_drive());
            }
            Some((place.caller().clone(), path))
        }
    };
    let caller = to.as_ref().map_or(&began, |(caller, _)| caller);
    let condition = condition(state, caller, head, upload)?;
    let store = state.store();
    let commit = store.commit_resumable(&who.caller, upload.id, condition, to);
    match Box::pin(commit).await {
        Ok(file) => Ok(file),
        Err(error) => {
            let problem = Problem::from(error);
            if upload.is_complete() {
                store
                    .note_failure(upload.id, problem.code(), problem.detail())
                    .await?;
            }
            Err(problem)
        }
    }
}

/// What was demanded when the upload began, with the lock tokens that are submitted now.
fn condition(
    state: &AppState,
    caller: &Caller,
    head: &Parts,
    upload: &Resumable,
) -> Result<Condition, Problem> {
    let (mut demands, ()) = http::Request::new(()).into_parts();
    for name in ["if", "lock-token"] {
        for value in head.headers.get_all(name) {
            demands
                .headers
                .append(HeaderName::from_static(name), value.clone());
        }
    }
    let kept = [
        (header::IF_MATCH, &upload.if_match),
        (header::IF_NONE_MATCH, &upload.if_none_match),
    ];
    for (name, value) in kept {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value).map_err(|_| Problem::internal())?;
            demands.headers.insert(name, value);
        }
    }
    Ok(state.dav.condition(caller, &demands)?)
}

/// Where an upload is, in the protocol's words.
fn progress(status: StatusCode, upload: &Resumable, file: Option<&UploadedFile>) -> Response {
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

/// The length of the whole, which has to be known: all of it is reserved.
fn announced_length(headers: &HeaderMap) -> Result<u64, Problem> {
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

fn require_octets(headers: &HeaderMap) -> Result<(), Problem> {
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
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
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

/// What cannot be an id names nothing.
fn read_id(id: &str) -> Result<UploadId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, detail)
}
