//! `/files` and `/dirs`: files and folders, by path or by id.
//!
//! Contents are read and written by WebDAV's own GET and PUT, so both doors know the same ranges,
//! conditions and digests; everything is decided in the store.

pub mod archive;
pub(super) mod content;
mod list;
mod place;
mod versions;

use api::{File, FileChange, FileCopy, NewFolder};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use store::{Destination, Error, Located, Name, NodeChange, TransferOptions};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::content::answer_of;
pub(super) use self::list::{read_cursor, write_cursor};
pub(super) use self::place::{Named, Place, file_at, kind, own_file, reach, reach_new};
use super::openapi::by_path;
use super::{AppState, Authenticated, Json};
use crate::moment;
use crate::server::problem::{Problem, code};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list::list, content::upload))
        .routes(routes!(show, change, remove))
        .routes(by_path(routes!(change, remove)))
        .routes(routes!(content::put))
        .routes(routes!(content::show, content::replace))
        .routes(by_path(routes!(content::show)))
        .routes(routes!(copy))
        .routes(by_path(routes!(copy)))
        .routes(routes!(archive::show))
        .routes(by_path(routes!(archive::show)))
        .routes(routes!(versions::list))
        .routes(by_path(routes!(versions::list)))
        .routes(routes!(versions::remove))
        .routes(by_path(routes!(versions::remove)))
        .routes(routes!(versions::show))
        .routes(by_path(routes!(versions::show)))
        .routes(routes!(versions::restore))
        .routes(by_path(routes!(versions::restore)))
        .routes(routes!(make_folder))
}

/// Says what a file or folder is.
#[utoipa::path(
    get,
    path = "/files/{id}",
    tag = "files",
    operation_id = "show_file",
    responses((status = 200, body = File))
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let found = state
        .store()
        .look_up(place.caller(), place.target())
        .await?;
    Ok(Json(place.file(&found.ok_or(Error::NotFound)?)))
}

/// Renames, moves or dates a file or folder, in one step.
///
/// `If-Match` and `If: (<token>)` are asked of it in the transaction that changes it.
#[utoipa::path(
    patch,
    path = "/files/{id}",
    tag = "files",
    operation_id = "change_file",
    request_body = FileChange,
    responses(
        (status = 200, body = File),
        (status = 403, description = "forbidden, protected, reserved, overlap"),
        (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, parent_missing, not_folder, over_border"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    head: Parts,
    Json(change): Json<FileChange>,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let store = state.store();
    let to = match destination(change.path, change.parent_id, change.name)? {
        None => None,
        Some(to) => {
            let (there, to) = store.reach_destination(&who.caller, &place.0, to).await?;
            if !there.is_with(&place.0) {
                return Err(Problem::over_border());
            }
            Some(to)
        }
    };
    let change = NodeChange {
        to,
        overwrite: change.replace,
        modified_ns: instant("modified_at", change.modified_at.as_deref())?,
    };
    let target = place.target().clone();
    let changed = store.change_node(place.caller(), target, change, condition);
    Ok(Json(place.file(&changed.await?)))
}

/// Copies a file, or a folder with all it holds.
///
/// No content is sent or stored again.
#[utoipa::path(
    post,
    path = "/files/{id}/copy",
    tag = "files",
    operation_id = "copy_file",
    request_body = FileCopy,
    responses(
        (status = 201, body = File, headers(("Location" = String))),
        (status = 200, body = File, description = "Something was replaced."),
        (status = 403, description = "forbidden, protected, reserved, overlap"),
        (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, parent_missing, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn copy(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    head: Parts,
    Json(copy): Json<FileCopy>,
) -> Result<Response, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let to = destination(copy.path, copy.parent_id, copy.name)?.ok_or_else(|| Error::Invalid {
        field: "path",
        reason: "or parent_id or name must say where the copy goes".to_owned(),
    })?;
    let options = TransferOptions {
        overwrite: copy.replace,
        shallow: false,
        modified_ns: None,
    };
    let store = state.store();
    let (there, to) = store.reach_destination(&who.caller, &place.0, to).await?;
    let (from, target) = (place.caller(), place.target().clone());
    let copied = if there.is_with(&place.0) {
        store.copy_tree(from, target, to, options, condition).await
    } else {
        let caller = &there.caller;
        let copied = store.copy_across(from, target, caller, to, options, condition);
        copied.await
    }?;
    let located = Located {
        path: copied.path,
        node: copied.node,
    };
    Ok(stored(Place(there).file(&located), copied.created))
}

/// Deletes a file, or a folder with all it holds, into the trash.
///
/// The answer says what it was.
#[utoipa::path(
    delete,
    path = "/files/{id}",
    tag = "files",
    operation_id = "delete_file",
    responses(
        (status = 200, body = File),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name"),
        (status = 423, description = "locked")
    )
)]
async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Named(target): Named,
    head: Parts,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let target = place.target().clone();
    let removed = state.store().delete(place.caller(), target, condition);
    Ok(Json(place.file(&removed.await?)))
}

/// Makes a folder, with `parents` those missing above it too.
#[utoipa::path(
    post,
    path = "/dirs",
    tag = "files",
    operation_id = "make_folder",
    request_body = NewFolder,
    responses(
        (status = 201, body = File, headers(("Location" = String))),
        (status = 200, body = File, description = "It was there already."),
        (status = 403, description = "forbidden, protected, reserved"),
        (status = 404, description = "not_found"),
        (status = 409, description = "already_exists, parent_missing, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn make_folder(
    State(state): State<AppState>,
    who: Authenticated,
    head: Parts,
    Json(new): Json<NewFolder>,
) -> Result<Response, Problem> {
    let path = store::Path::parse(&new.path)?;
    let (place, path) = reach_new(&state, &who.caller, path).await?;
    let condition = state.dav.condition(place.caller(), &head)?;
    let store = state.store();
    let (made, is_new) = if new.parents {
        store.make_folders(place.caller(), &path, condition).await?
    } else {
        let node = store.make_folder(place.caller(), &path, condition).await?;
        (Located { path, node }, true)
    };
    Ok(stored(place.file(&made), is_new))
}

/// The answer to what has stored something: 201, or 200 where there was something before.
fn stored(file: File, is_new: bool) -> Response {
    let location = format!("/api/v1/files/{}", file.id);
    let body = Json(file);
    if !is_new {
        return body.into_response();
    }
    (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
}

/// Where something goes; `None` where the request says nothing of it.
fn destination(
    path: Option<String>,
    parent_id: Option<String>,
    name: Option<String>,
) -> Result<Option<Destination>, Problem> {
    match (path, parent_id, name) {
        (None, None, None) => Ok(None),
        (Some(path), None, None) => Ok(Some(Destination::Path(store::Path::parse(&path)?))),
        (Some(_), _, _) => Err(Error::Invalid {
            field: "path",
            reason: "cannot stand beside parent_id or name".to_owned(),
        }
        .into()),
        (None, folder, name) => Ok(Some(Destination::Entry {
            // An id that cannot be one names nothing, like one that does not exist.
            folder: match folder {
                Some(id) => Some(id.parse().map_err(|_| Error::ParentMissing)?),
                None => None,
            },
            name: name.as_deref().map(Name::new).transpose()?,
        })),
    }
}

/// An instant in nanoseconds.
fn instant(field: &'static str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let ns = moment::parse(text).and_then(|ms| ms.checked_mul(1_000_000));
    let invalid = || Error::Invalid {
        field,
        reason: "is no instant in the form of RFC 3339".to_owned(),
    };
    Ok(Some(ns.ok_or_else(invalid)?))
}

pub(super) fn bad_query(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::INVALID_QUERY, detail)
}
