//! `/trash`: what was deleted, and can be had back.

use std::str::FromStr;

use api::{Emptied, File, Page, Restoration, Trashed};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde::Deserialize;
use store::{Caller, NodeId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{answer_of, file_at};
use super::openapi::Content;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Json, OptionalJson, Path};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, empty))
        .routes(routes!(show, remove))
        .routes(routes!(content))
        .routes(routes!(restore))
}

/// Lists what was deleted, the last first.
///
/// A folder with all it held is one item. An app password of one folder does not see the trash.
#[utoipa::path(
    get,
    path = "/trash",
    tag = "trash",
    operation_id = "list_trash",
    params(PartQuery),
    responses((status = 200, body = Page<Trashed>), (status = 403, description = "forbidden"))
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<Trashed>>, Problem> {
    let part: Part<Cursor> = query.part()?;
    let after = part.after.as_ref().map(|Cursor(at, id)| (*at, *id));
    let store = state.store();
    let found = store.trash(&who.caller, after, part.asked()).await?;
    Ok(part.page(found, write_cursor, |one| trashed(&who.caller, one)))
}

/// Says what something in the trash is.
#[utoipa::path(
    get,
    path = "/trash/{id}",
    tag = "trash",
    operation_id = "show_trashed",
    responses((status = 200, body = Trashed), (status = 403, description = "forbidden"))
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Trashed>, Problem> {
    let found = state.store().trashed(&who.caller, node(&id)?).await?;
    Ok(Json(trashed(&who.caller, &found)))
}

/// Gives the content of a file in the trash, or a part of it.
///
/// `Range`, `If-Range`, `If-Match`, `If-None-Match` and `Want-Repr-Digest` are understood.
#[utoipa::path(
    get,
    path = "/trash/{id}/content",
    tag = "trash",
    operation_id = "download_trashed",
    responses(
        (status = 200, body = Content, content_type = "*/*"),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 403, description = "forbidden"),
        (status = 409, description = "is_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable")
    )
)]
async fn content(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let store = state.store();
    let (located, stored) = store.open_trashed(&who.caller, node(&id)?).await?;
    let answer = state.dav.kept(&who.caller, &head, located, &stored).await?;
    Ok(answer_of(answer))
}

/// Puts back what was deleted, with its ids: where it was, or to `path`.
///
/// Folders that are missing above it are made. Where it was something may be by now: then it is
/// put beside that, as `name (restored).txt`.
#[utoipa::path(
    post,
    path = "/trash/{id}/restore",
    tag = "trash",
    operation_id = "restore_trashed",
    request_body = Option<Restoration>,
    responses(
        (status = 201, body = File, headers(("Location" = String))),
        (status = 403, description = "forbidden"),
        (status = 409, description = "already_exists, not_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 423, description = "locked"),
        (status = 507, description = "storage_full")
    )
)]
async fn restore(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    head: Parts,
    OptionalJson(restoration): OptionalJson<Restoration>,
) -> Result<Response, Problem> {
    let condition = state.dav.condition(&who.caller, &head)?;
    let to = restoration.path.as_deref().map(store::Path::parse);
    let (store, id) = (state.store(), node(&id)?);
    let restored = store
        .restore(&who.caller, id, to.transpose()?, condition)
        .await?;
    let location = format!("/api/v1/files/{}", restored.node.id);
    let file = Json(file_at(restored.path.to_string(), &restored.node));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], file).into_response())
}

/// Removes something from the trash, for good.
#[utoipa::path(
    delete,
    path = "/trash/{id}",
    tag = "trash",
    operation_id = "remove_trashed",
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let store = state.store();
    store.remove_trashed(&who.caller, node(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EmptyQuery {
    /// Whether nothing goes, and the answer says what would.
    #[serde(default)]
    dry_run: bool,
}

/// Empties the trash, for good.
#[utoipa::path(
    delete,
    path = "/trash",
    tag = "trash",
    operation_id = "empty_trash",
    params(EmptyQuery),
    responses((status = 200, body = Emptied), (status = 403, description = "forbidden"))
)]
async fn empty(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<EmptyQuery>,
) -> Result<Json<Emptied>, Problem> {
    let store = state.store();
    let emptied = store.empty_trash(&who.caller, query.dry_run).await?;
    Ok(Json(Emptied {
        items: emptied.items,
        files: emptied.files,
        size_bytes: emptied.size_bytes,
    }))
}

/// The id of what was deleted. One that cannot be an id names nothing.
fn node(id: &str) -> Result<NodeId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

fn trashed(caller: &Caller, found: &store::Trashed) -> Trashed {
    let File {
        id,
        name,
        path,
        kind,
        ..
    } = file_at(found.path.clone(), &found.node);
    // Whoever else it was does not want to be known by name.
    let is_own = found.deleted_by == Some(caller.user);
    let deleted_by = if is_own { "me" } else { "other" };
    Trashed {
        id,
        name,
        path,
        kind,
        size_bytes: found.size_bytes,
        files: found.files,
        deleted_at: rfc3339(found.deleted_at),
        deleted_by: deleted_by.to_owned(),
        expires_at: rfc3339(found.expires_at),
    }
}

fn write_cursor(last: &store::Trashed) -> String {
    format!("{}.{}", last.deleted_at, last.node.id)
}

/// Where a list goes on: `MILLISECONDS.ID`.
struct Cursor(i64, NodeId);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('.').ok_or(())?;
        let at = at.parse().map_err(|_| ())?;
        Ok(Self(at, id.parse().map_err(|_| ())?))
    }
}
