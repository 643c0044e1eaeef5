//! Contents: one as the whole body, or files of a form.

use api::{File, Uploaded};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use store::{Caller, Condition, Error, Located, Name, Store, Target, UploadOptions, Written};

use super::place::node;
use super::{Named, Place, instant, reach, reach_new, stored};
use crate::endpoint::openapi::{Content, Form};
use crate::endpoint::{AppState, Authenticated, Json, Path};
use crate::server::multipart::{self, Multipart, Part};
use crate::server::problem::Problem;

/// Files in one form.
pub(in crate::endpoint) const MOST_FILES: u64 = 1000;

/// Gives the content of a file, or a part of it.
///
/// `Range`, `If-Range`, `If-Match`, `If-None-Match` and `Want-Repr-Digest` are understood.
#[utoipa::path(
    get,
    path = "/files/{id}/content",
    tag = "files",
    operation_id = "download_file",
    responses(
        (status = 200, body = Content, content_type = "*/*"),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 403, description = "protected"),
        (status = 404, description = "not_found"),
        (status = 409, description = "is_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "invalid_name")
    )
)]
pub(super) async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    request: Request,
) -> Result<Response, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let (head, _) = request.into_parts();
    let answer = state.dav.content_of(&place.0, &head).await?;
    Ok(answer_of(answer))
}

/// An answer of WebDAV's GET as one of the API's.
pub(in crate::endpoint) fn answer_of(answer: http::Response<webdav::Body>) -> Response {
    if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        let (head, _) = answer.into_parts();
        return out_of_range(head.headers.get(header::CONTENT_RANGE));
    }
    answer.map(Body::new)
}

/// What WebDAV says with an empty body, as a problem.
pub(in crate::endpoint) fn out_of_range(content_range: Option<&HeaderValue>) -> Response {
    let mut answer = IntoResponse::into_response(Problem::out_of_range());
    if let Some(value) = content_range {
        answer
            .headers_mut()
            .insert(header::CONTENT_RANGE, value.clone());
    }
    answer
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PutQuery {
    /// Where the file is to be.
    #[param(example = "/docs/report.pdf")]
    path: String,
    /// Its modification time.
    modified_at: Option<String>,
}

/// Stores the body as the content of the file at a path, with the folders missing above it.
///
/// A file that is there is replaced and keeps its id. `Repr-Digest` and `Content-Digest` (`sha-256`) are compared
/// before anything is stored; `If-Match` and `If-None-Match` are asked in the transaction that stores it.
#[utoipa::path(
    put,
    path = "/files/content",
    tag = "files",
    operation_id = "upload_file",
    params(PutQuery),
    request_body(content = Content, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = File, headers(("Location" = String), ("ETag" = String))),
        (status = 200, body = File, description = "A file was replaced."),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden, protected, reserved"),
        (status = 404, description = "not_found"),
        (status = 409, description = "is_folder, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 429, description = "limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
pub(super) async fn put(
    State(state): State<AppState>,
    who: Authenticated,
    query: Result<Query<PutQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    if query.path.ends_with('/') {
        // A folder's path; the name of the file is not in it.
        return Err(Error::IsFolder.into());
    }
    let path = store::Path::parse(&query.path)?;
    let (place, path) = reach_new(&state, &who.caller, path).await?;
    let caller = place.caller();
    let modified_ns = instant("modified_at", query.modified_at.as_deref())?;
    let (head, mut body) = request.into_parts();
    let written = state
        .dav
        .store_content(caller, &head, &mut body, path.clone(), modified_ns)
        .await?;
    let is_new = written.created;
    let located = locate(state.store(), caller, path, written).await?;
    Ok(tagged(&place, &located, is_new))
}

fn tagged(place: &Place, located: &Located, is_new: bool) -> Response {
    let mut answer = stored(place.file(located), is_new);
    let etag = HeaderValue::try_from(located.node.etag());
    answer
        .headers_mut()
        .insert(header::ETAG, etag.expect("an entity tag of ours is ASCII"));
    answer
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplaceQuery {
    /// Its modification time.
    modified_at: Option<String>,
}

/// Stores the body as the content of a file that is there.
///
/// As by its path; `412` too when the file is moved or deleted while the body comes.
#[utoipa::path(
    put,
    path = "/files/{id}/content",
    tag = "files",
    operation_id = "replace_content",
    params(ReplaceQuery),
    request_body(content = Content, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = File, headers(("ETag" = String))),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 409, description = "is_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 429, description = "limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
pub(super) async fn replace(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    query: Result<Query<ReplaceQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let modified_ns = instant("modified_at", query.modified_at.as_deref())?;
    let id = node(&id)?;
    let place = reach(&state, &who.caller, Target::Node(id)).await?;
    let (head, mut body) = request.into_parts();
    let located = state
        .dav
        .replace_content(place.caller(), &head, &mut body, id, modified_ns)
        .await?;
    Ok(tagged(&place, &located, false))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadQuery {
    /// The folder, which is made where it is missing.
    #[param(example = "/docs")]
    dir: String,
}

/// Stores the files of a form in a folder, under the names they have in it.
///
/// Each is stored as it comes: a form can be longer than what anybody would hold back, so those
/// before one that is refused stay.
#[utoipa::path(
    post,
    path = "/files",
    tag = "files",
    operation_id = "upload_files",
    params(UploadQuery),
    request_body(content = Form, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = Uploaded),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden, protected, reserved"),
        (status = 404, description = "not_found"),
        (status = 409, description = "is_folder, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 429, description = "limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
pub(super) async fn upload(
    State(state): State<AppState>,
    who: Authenticated,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let folder = store::Path::parse(&query.dir)?;
    let (place, folder) = reach_new(&state, &who.caller, folder).await?;
    let (head, body) = request.into_parts();
    let mut form = Multipart::new(&head.headers, body)?;
    let mut items = Vec::new();
    while let Some(part) = form.next_part().await? {
        if items.len() as u64 >= MOST_FILES {
            let problem = Problem::over_limit("the files in a form", MOST_FILES);
            return Err(problem.after_files(items.len()));
        }
        let stored = take_file(state.store(), place.caller(), &folder, &part, &mut form).await;
        match stored {
            Ok(located) => items.push(place.file(&located)),
            Err(problem) => {
                let name = part.file_name.unwrap_or_default();
                return Err(problem.about_file(&name).after_files(items.len()));
            }
        }
    }
    if items.is_empty() {
        return Err(Error::Invalid {
            field: "form",
            reason: "has no file in it".to_owned(),
        }
        .into());
    }
    Ok((StatusCode::CREATED, Json(Uploaded { items })).into_response())
}

async fn take_file(
    store: &Store,
    caller: &Caller,
    folder: &store::Path,
    part: &Part,
    form: &mut Multipart<Body>,
) -> Result<Located, Problem> {
    let Some(name) = &part.file_name else {
        return Err(Error::Invalid {
            field: "form",
            reason: "has a part without a file name".to_owned(),
        }
        .into());
    };
    let path = folder.join(Name::new(name)?)?;
    let written = take_content(store, caller, &path, form).await?;
    locate(store, caller, path, written).await
}

/// Stores what a part holds as the content of the file at a path.
pub(in crate::endpoint) async fn take_content(
    store: &Store,
    caller: &Caller,
    path: &store::Path,
    form: &mut Multipart<Body>,
) -> Result<Written, FormError> {
    let options = UploadOptions {
        make_parents: true,
        ..UploadOptions::default()
    };
    let mut upload = store
        .begin_upload(caller, path, options, Condition::default())
        .await?;
    while let Some(piece) = form.piece().await? {
        upload.write(piece).await?;
    }
    Ok(upload.complete().await?.commit(None).await?)
}

/// Why a file of a form was not stored.
#[derive(Debug, thiserror::Error)]
pub(in crate::endpoint) enum FormError {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Form(#[from] multipart::Error),
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Store(error) => error.into(),
            FormError::Form(error) => error.into(),
        }
    }
}

/// What was written and where: other spellings of a path lead to the names that are there.
async fn locate(
    store: &Store,
    caller: &Caller,
    path: store::Path,
    written: Written,
) -> Result<Located, Problem> {
    let node = written.node;
    if !path.key().is_ascii() {
        let target = Target::Path(path.clone());
        if let Some(found) = store.look_up(caller, &target).await? {
            let path = found.path;
            return Ok(Located { path, node });
        }
    }
    Ok(Located { path, node })
}
