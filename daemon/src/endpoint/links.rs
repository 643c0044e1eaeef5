//! `/links`: links that work without an account, as their owner manages them.

use api::{Link, LinkChange, LinkMade, NewLink, Page};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use store::{Error, LinkId, LinkKind, Password, Target};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Asked, Part};
use super::{AppState, Authenticated, Client, IfMatch, Json, Path, Tagged};
use crate::moment::{self, rfc3339};
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, add))
        .routes(routes!(show, change, revoke))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this file or folder.
    file_id: Option<String>,
    /// The same by path, instead of the id.
    path: Option<String>,
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

/// Lists one's own links, the oldest first.
///
/// Expired ones stay in the list for 30 days.
#[utoipa::path(
    get,
    path = "/links",
    tag = "links",
    operation_id = "list_links",
    params(ListQuery),
    responses(
        (status = 200, body = Page<Link>),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not_found"),
        (status = 422, description = "invalid_fields, invalid_name")
    )
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<Page<Link>>, Problem> {
    let of = target(query.file_id, query.path)?;
    let part: Part<LinkId> = Part::new(query.limit, query.cursor.as_deref(), |cursor| {
        cursor.parse().ok()
    })?;
    let store = state.store();
    let found = store
        .link_list(&who.caller, of, part.after, part.asked())
        .await?;
    Ok(part.page(found, |one| one.id.to_string(), link))
}

/// Makes a link to a file or folder, which works without an account.
///
/// Its token is shown this once.
#[utoipa::path(
    post,
    path = "/links",
    tag = "links",
    operation_id = "add_link",
    request_body = NewLink,
    responses(
        (status = 201, body = LinkMade, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 404, description = "not_found"),
        (status = 409, description = "not_folder"),
        (status = 422, description = "invalid_name, limit_exceeded")
    )
)]
async fn add(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Json(new): Json<NewLink>,
) -> Result<Response, Problem> {
    let target = target(new.file_id, new.path)?.ok_or_else(|| Error::Invalid {
        field: "file_id",
        reason: "or path must say what the link leads to".to_owned(),
    })?;
    let new = store::NewLink {
        target,
        kind: match new.kind {
            Some(kind) => LinkKind::parse(&kind)?,
            None => LinkKind::Read,
        },
        password: new.password.as_deref().map(Password::new),
        expires_at: instant(new.expires_at.as_deref())?,
        downloads_most: new.downloads_most,
        label: new.label.unwrap_or_default(),
    };
    let store = state.store();
    let (made, token) = store.link_add(&who.caller, new, peer.known()).await?;
    let location = format!("/api/v1/links/{}", made.id);
    let made = Tagged(
        made.etag(),
        LinkMade {
            link: link(&made),
            url: state.visits.url(&token),
            token,
        },
    );
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], made).into_response())
}

/// Says what a link is, and how often it was used.
#[utoipa::path(
    get,
    path = "/links/{id}",
    tag = "links",
    operation_id = "show_link",
    responses(
        (status = 200, body = Link, headers(("ETag" = String))),
        (status = 403, description = "forbidden")
    )
)]
async fn show(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
) -> Result<Tagged<Link>, Problem> {
    let found = state.store().link(&who.caller, read_id(&id)?).await?;
    Ok(Tagged(found.etag(), link(&found)))
}

/// Changes a link, from the next request on.
///
/// `If-Match` with its entity tag keeps what was changed meanwhile.
#[utoipa::path(
    patch,
    path = "/links/{id}",
    tag = "links",
    operation_id = "change_link",
    params(("If-Match" = Option<String>, Header)),
    request_body = LinkChange,
    responses(
        (status = 200, body = Link, headers(("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
    IfMatch(when): IfMatch,
    Json(change): Json<LinkChange>,
) -> Result<Tagged<Link>, Problem> {
    let expires_at = match change.expires_at {
        Some(text) => Some(instant(text.as_deref())?),
        None => None,
    };
    let change = store::LinkChange {
        password: change
            .password
            .map(|password| password.as_deref().map(Password::new)),
        expires_at,
        downloads_most: change.downloads_most,
        label: change.label,
        when,
    };
    let store = state.store();
    let changed = store.link_change(&who.caller, read_id(&id)?, change, peer.known());
    let changed = changed.await?;
    Ok(Tagged(changed.etag(), link(&changed)))
}

/// Ends a link, from the next request on.
#[utoipa::path(
    delete,
    path = "/links/{id}",
    tag = "links",
    operation_id = "revoke_link",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn revoke(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
    IfMatch(when): IfMatch,
) -> Result<StatusCode, Problem> {
    let store = state.store();
    store
        .link_revoke(&who.caller, read_id(&id)?, when, peer.known())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a link leads to; `None` where the request does not say.
fn target(file_id: Option<String>, path: Option<String>) -> Result<Option<Target>, Problem> {
    Ok(match (file_id, path) {
        (None, None) => None,
        (Some(id), None) => {
            let id = id.parse().map_err(|_| Problem::not_found())?;
            Some(Target::Node(id))
        }
        (None, Some(path)) => Some(Target::Path(store::Path::parse(&path)?)),
        (Some(_), Some(_)) => {
            return Err(Error::Invalid {
                field: "path",
                reason: "cannot stand beside file_id".to_owned(),
            }
            .into());
        }
    })
}

/// What cannot be an id names nothing.
fn read_id(id: &str) -> Result<LinkId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

/// An instant in milliseconds.
fn instant(text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let invalid = || Error::Invalid {
        field: "expires_at",
        reason: "is no instant in the form of RFC 3339".to_owned(),
    };
    Ok(Some(moment::parse(text).ok_or_else(invalid)?))
}

fn link(one: &store::Link) -> Link {
    Link {
        id: one.id.to_string(),
        kind: one.kind.as_str().to_owned(),
        file_id: one.node.to_string(),
        path: one.path.to_string(),
        label: one.label.clone(),
        has_password: one.has_password,
        expires_at: one.expires_at.map(rfc3339),
        downloads_most: one.downloads_most,
        downloads_done: one.downloads_done,
        created_at: rfc3339(one.created_at),
        last_used_at: one.last_used_at.map(rfc3339),
        etag: one.etag(),
    }
}
