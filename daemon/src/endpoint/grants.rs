//! `/files/{id}/grants` and `/shared`: who has access to what.

use std::collections::HashMap;

use api::{Grant, GrantChange, GrantList, NewGrant, Page, Revoked, Share};
use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use serde::Deserialize;
use store::{GrantId, NodeId, Right, SHARED, Target};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{Place, file_at, reach};
use super::openapi::by_path;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Client, IfMatch, Json, Path, Tagged};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, add, revoke_all))
        .routes(by_path(routes!(list, add, revoke_all)))
        .routes(routes!(change, revoke))
        .routes(by_path(routes!(change, revoke)))
        .routes(routes!(shared))
        .routes(routes!(leave))
}

/// What the address and the query say: a file or folder, perhaps a grant, perhaps a part of a list.
struct About {
    target: Target,
    grant: Option<GrantId>,
    part: Part<GrantId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutQuery {
    path: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl FromRequestParts<AppState> for About {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let names = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        // Without any in the address, there are none to read.
        let names = names.map(|Path(names)| names).unwrap_or_default();
        let Query(query) = Query::<AboutQuery>::from_request_parts(parts, state).await?;
        let target = match (names.get("id"), &query.path) {
            (Some(id), None) => {
                let id: NodeId = id.parse().map_err(|_| Problem::not_found())?;
                id.into()
            }
            (None, Some(path)) => store::Path::parse(path)?.into(),
            _ => return Err(super::files::bad_query("Either an id or path, not both.")),
        };
        let grant = names.get("grant_id").map(|id| grant_id(id)).transpose()?;
        let cursor = query.cursor.as_deref();
        let part = Part::new(query.limit, cursor, |cursor| cursor.parse().ok())?;
        Ok(Self {
            target,
            grant,
            part,
        })
    }
}

impl About {
    /// The place in the drive it lies in: what is somebody else's is seen, but not given away.
    async fn place(&self, state: &AppState, who: &Authenticated) -> Result<Place, Problem> {
        reach(state, &who.caller, self.target.clone()).await
    }

    fn grant(&self) -> Result<GrantId, Problem> {
        self.grant.ok_or_else(Problem::not_found)
    }
}

fn grant_id(text: &str) -> Result<GrantId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// Lists who has access to a file or folder, by grants on it and on the folders above it.
#[utoipa::path(
    get,
    path = "/files/{id}/grants",
    tag = "sharing",
    operation_id = "list_grants",
    params(PartQuery),
    responses(
        (status = 200, body = GrantList),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 422, description = "invalid_name")
    )
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    about: About,
) -> Result<Json<GrantList>, Problem> {
    let place = about.place(&state, &who).await?;
    let part = &about.part;
    let found = state
        .store()
        .grants(place.caller(), place.target(), part.after, part.asked())
        .await?;
    let node = found.node;
    let Json(page) = part.page(
        found.items,
        |one| one.id.to_string(),
        |one| grant(one, node),
    );
    Ok(Json(GrantList {
        items: page.items,
        next_cursor: page.next_cursor,
        count: found.count,
    }))
}

/// Shares a file or folder with whoever has a name.
///
/// Whether anybody has it is not told. The same name again is given the new right.
#[utoipa::path(
    post,
    path = "/files/{id}/grants",
    tag = "sharing",
    operation_id = "add_grant",
    request_body = NewGrant,
    responses(
        (status = 201, body = Grant, headers(("Location" = String), ("ETag" = String))),
        (
            status = 200,
            body = Grant,
            description = "The name had a grant, which has this right now.",
            headers(("ETag" = String))
        ),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 422, description = "invalid_name, limit_exceeded")
    )
)]
async fn add(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    about: About,
    Json(new): Json<NewGrant>,
) -> Result<Response, Problem> {
    let right = Right::parse(&new.right)?;
    let place = about.place(&state, &who).await?;
    let (caller, target) = (place.caller(), place.target());
    let store = state.store();
    let (made, is_new) = store
        .grant(caller, target, &new.name, right, peer.known())
        .await?;
    let location = format!("/api/v1/files/{}/grants/{}", made.node, made.id);
    let body = Tagged(made.etag(), grant(&made, made.node));
    if !is_new {
        return Ok(body.into_response());
    }
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

/// Gives a grant another right.
///
/// `If-Match` with its entity tag keeps what was changed meanwhile.
#[utoipa::path(
    patch,
    path = "/files/{id}/grants/{grant_id}",
    tag = "sharing",
    operation_id = "change_grant",
    params(("If-Match" = Option<String>, Header)),
    request_body = GrantChange,
    responses(
        (status = 200, body = Grant, headers(("ETag" = String))),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    about: About,
    IfMatch(when): IfMatch,
    Json(change): Json<GrantChange>,
) -> Result<Tagged<Grant>, Problem> {
    let right = Right::parse(&change.right)?;
    let place = about.place(&state, &who).await?;
    let (caller, target) = (place.caller(), place.target());
    let store = state.store();
    let id = about.grant()?;
    let changed = store.change_grant(caller, target, id, right, when, peer.known());
    let changed = changed.await?;
    Ok(Tagged(changed.etag(), grant(&changed, changed.node)))
}

/// Takes a grant back; the next request of its receiver sees it.
#[utoipa::path(
    delete,
    path = "/files/{id}/grants/{grant_id}",
    tag = "sharing",
    operation_id = "revoke_grant",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_name")
    )
)]
async fn revoke(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    about: About,
    IfMatch(when): IfMatch,
) -> Result<StatusCode, Problem> {
    let place = about.place(&state, &who).await?;
    let grant = Some((about.grant()?, when));
    let store = state.store();
    store
        .revoke(place.caller(), place.target(), grant, peer.known())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes all grants on a file or folder back.
#[utoipa::path(
    delete,
    path = "/files/{id}/grants",
    tag = "sharing",
    operation_id = "revoke_grants",
    responses(
        (status = 200, body = Revoked),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 422, description = "invalid_name")
    )
)]
async fn revoke_all(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    about: About,
) -> Result<Json<Revoked>, Problem> {
    let place = about.place(&state, &who).await?;
    let store = state.store();
    let revoked = store
        .revoke(place.caller(), place.target(), None, peer.known())
        .await?;
    Ok(Json(Revoked { revoked }))
}

fn grant(one: &store::Grant, asked: NodeId) -> Grant {
    Grant {
        id: one.id.to_string(),
        name: one.name.clone(),
        right: one.right.as_str().to_owned(),
        file_id: one.node.to_string(),
        inherited: one.node != asked,
        created_at: rfc3339(one.created_at),
        etag: one.etag(),
    }
}

/// By whom it is shared.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    /// Oneself: a line for each grant.
    Me,
    /// Others: what one finds in `Shared with me`.
    Others,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SharedQuery {
    /// Who shares; `others` unless given.
    #[param(inline)]
    by: Option<By>,
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

/// Lists what others share with one, or what one shares.
#[utoipa::path(
    get,
    path = "/shared",
    tag = "sharing",
    operation_id = "list_shared",
    params(SharedQuery),
    responses((status = 200, body = Page<Share>), (status = 403, description = "forbidden"))
)]
async fn shared(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<SharedQuery>,
) -> Result<Json<Page<Share>>, Problem> {
    let (store, caller) = (state.store(), &who.caller);
    let cursor = query.cursor.as_deref();
    if matches!(query.by, Some(By::Me)) {
        let part = Part::new(query.limit, cursor, |cursor| cursor.parse().ok())?;
        let found = store.granted_by(caller, part.after, part.asked()).await?;
        return Ok(part.page(
            found,
            |one| one.grant.id.to_string(),
            |one| Share {
                id: one.grant.id.to_string(),
                owner: caller.username.to_string(),
                name: Some(one.grant.name.clone()),
                right: one.grant.right.as_str().to_owned(),
                created_at: rfc3339(one.grant.created_at),
                file: file_at(one.path.clone(), &one.node),
            },
        ));
    }
    let part = Part::new(query.limit, cursor, super::search::read_text)?;
    let after = part.after.clone();
    let found = store.shares(caller, after, part.asked()).await?;
    Ok(part.page(
        found,
        |one| super::search::write_text(one.name.nfc()),
        |one| share(one, caller.read_only),
    ))
}

fn share(one: &store::Share, reads_only: bool) -> Share {
    let right = if reads_only { Right::Read } else { one.right };
    Share {
        id: one.id.to_string(),
        owner: one.owner.clone(),
        name: None,
        right: right.as_str().to_owned(),
        created_at: rfc3339(one.created_at),
        file: file_at(format!("/{SHARED}/{}", one.name.as_str()), &one.node),
    }
}

/// Gives back what another shares with one.
///
/// Its owner is not told.
#[utoipa::path(
    delete,
    path = "/shared/{grant_id}",
    tag = "sharing",
    operation_id = "leave_share",
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn leave(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let store = state.store();
    let id = grant_id(&id)?;
    store.leave_share(&who.caller, id, peer.known()).await?;
    Ok(StatusCode::NO_CONTENT)
}
