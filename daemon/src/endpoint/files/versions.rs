//! Versions: what a file held before it was overwritten.

use std::collections::HashMap;
use std::str::FromStr;

use api::{File, Page, Version};
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use store::{Target, VersionId};

use super::content::answer_of;
use super::place::{ByPath, node};
use super::{bad_query, reach};
use crate::endpoint::openapi::Content;
use crate::endpoint::page::{Part, PartQuery};
use crate::endpoint::{AppState, Authenticated, Json};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

/// The file that the address names, and the part of its versions that is asked for.
pub(super) struct Listed {
    file: Target,
    part: Part<Cursor>,
}

impl FromRequestParts<AppState> for Listed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Asked {
            path: Option<String>,
            limit: Option<u32>,
            cursor: Option<String>,
        }
        let Query(asked) = Query::<Asked>::from_request_parts(parts, state).await?;
        let id = Path::<String>::from_request_parts(parts, state).await;
        let file = match (id, &asked.path) {
            (Ok(Path(id)), None) => node(&id)?.into(),
            (Err(_), Some(path)) => store::Path::parse(path)?.into(),
            (Ok(_), Some(_)) => return Err(bad_query("Either path or id, not both.")),
            (Err(_), None) => return Err(bad_query("The path says which file.")),
        };
        let part = Part::new(asked.limit, asked.cursor.as_deref(), |cursor| {
            cursor.parse().ok()
        })?;
        Ok(Self { file, part })
    }
}

/// One version of the file that the address names.
pub(super) struct OneVersion {
    file: Target,
    id: VersionId,
}

impl FromRequestParts<AppState> for OneVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Path(names) = Path::<HashMap<String, String>>::from_request_parts(parts, state).await?;
        let file = if let Some(id) = names.get("id") {
            node(id)?.into()
        } else {
            let Query(query) = Query::<ByPath>::from_request_parts(parts, state).await?;
            store::Path::parse(&query.path)?.into()
        };
        let id = names.get("version_id").and_then(|id| id.parse().ok());
        let id = id.ok_or_else(Problem::not_found)?;
        Ok(Self { file, id })
    }
}

/// Lists the versions of a file, the newest first: what it held before it was overwritten.
///
/// The owner of a file sees them, and whom they let write it; an app password of one folder does not.
#[utoipa::path(
    get,
    path = "/files/{id}/versions",
    tag = "trash",
    operation_id = "list_versions",
    params(PartQuery),
    responses(
        (status = 200, body = Page<Version>),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 409, description = "is_folder"),
        (status = 422, description = "invalid_name")
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Listed { file, part }: Listed,
) -> Result<Json<Page<Version>>, Problem> {
    let after = part.after.as_ref().map(|Cursor(at, id)| (*at, *id));
    let place = reach(&state, &who.caller, file).await?;
    let store = state.store();
    let found = store.versions(place.caller(), place.target(), after, part.asked());
    Ok(part.page(found.await?, write_cursor, version))
}

/// Gives the content of a version, or a part of it.
///
/// `Range`, `If-Range`, `If-Match`, `If-None-Match` and `Want-Repr-Digest` are understood.
#[utoipa::path(
    get,
    path = "/files/{id}/versions/{version_id}/content",
    tag = "trash",
    operation_id = "download_version",
    responses(
        (status = 200, body = Content, content_type = "*/*"),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 403, description = "forbidden, protected"),
        (status = 409, description = "is_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "invalid_name")
    )
)]
pub(super) async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    one: OneVersion,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let place = reach(&state, &who.caller, one.file).await?;
    let (caller, file) = (place.caller(), place.target());
    let (located, stored) = state.store().open_version(caller, file, one.id).await?;
    let answer = state.dav.kept(caller, &head, located, &stored).await?;
    Ok(answer_of(answer))
}

/// Gives a file the content of a version; what it holds becomes a version instead.
///
/// `If-Match` and `If: (<token>)` are asked of the file in the transaction that changes it.
#[utoipa::path(
    post,
    path = "/files/{id}/versions/{version_id}/restore",
    tag = "trash",
    operation_id = "restore_version",
    responses(
        (status = 200, body = File),
        (status = 403, description = "forbidden, protected"),
        (status = 409, description = "is_folder"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name"),
        (status = 423, description = "locked")
    )
)]
pub(super) async fn restore(
    State(state): State<AppState>,
    who: Authenticated,
    one: OneVersion,
    head: Parts,
) -> Result<Json<File>, Problem> {
    let place = reach(&state, &who.caller, one.file).await?;
    let (caller, file) = (place.caller(), place.target());
    let condition = state.dav.condition(caller, &head)?;
    let store = state.store();
    let restored = store.restore_version(caller, file, one.id, condition);
    Ok(Json(place.file(&restored.await?)))
}

/// Removes a version for good, which only the owner of the file does.
#[utoipa::path(
    delete,
    path = "/files/{id}/versions/{version_id}",
    tag = "trash",
    operation_id = "remove_version",
    responses(
        (status = 204),
        (status = 403, description = "forbidden, protected"),
        (status = 409, description = "is_folder"),
        (status = 422, description = "invalid_name")
    )
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    one: OneVersion,
) -> Result<StatusCode, Problem> {
    let place = reach(&state, &who.caller, one.file).await?;
    let (caller, file) = (place.caller(), place.target());
    state.store().remove_version(caller, file, one.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn version(found: &store::Version) -> Version {
    Version {
        id: found.id.to_string(),
        size_bytes: found.size_bytes,
        sha256: found.content.sha256.map(|digest| digest.to_string()),
        etag: found.etag(),
        modified_at: rfc3339(found.modified_ns.div_euclid(1_000_000)),
        replaced_at: rfc3339(found.replaced_at),
        expires_at: rfc3339(found.expires_at),
    }
}

fn write_cursor(last: &store::Version) -> String {
    format!("{}.{}", last.replaced_at, last.id)
}

/// Where a list goes on: `MILLISECONDS.ID`.
struct Cursor(i64, VersionId);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('.').ok_or(())?;
        let at = at.parse().map_err(|_| ())?;
        Ok(Self(at, id.parse().map_err(|_| ())?))
    }
}
