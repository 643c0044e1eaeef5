//! `/files/{id}/transfer` and `/transfers`: giving files and folders away.

use api::{File, NewTransfer, Page, Transfer, TransferAcceptance};
use axum::extract::State;
use http::StatusCode;
use store::{Offer, TransferId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::{Named, kind, own_file, reach};
use super::openapi::by_path;
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Client, Json, OptionalJson, Path};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(offer))
        .routes(by_path(routes!(offer)))
        .routes(routes!(list))
        .routes(routes!(accept))
        .routes(routes!(end))
}

/// Offers a file, or a folder with all it holds, to whoever has a name.
///
/// The answer is the same for every name. It stays one's own until it is accepted.
#[utoipa::path(
    post,
    path = "/files/{id}/transfer",
    tag = "sharing",
    operation_id = "offer_transfer",
    request_body = NewTransfer,
    responses(
        (status = 202, body = Transfer),
        (status = 403, description = "forbidden, protected"),
        (status = 404, description = "not_found"),
        (status = 409, description = "names_elsewhere"),
        (status = 422, description = "invalid_name, limit_exceeded")
    )
)]
async fn offer(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Named(target): Named,
    Json(new): Json<NewTransfer>,
) -> Result<(StatusCode, Json<Transfer>), Problem> {
    let place = reach(&state, &who.caller, target).await?;
    let (caller, target) = (place.caller(), place.target());
    let store = state.store();
    let offered = store.offer(caller, target, &new.to, new.keep_access, peer.known());
    Ok((StatusCode::ACCEPTED, Json(transfer(&offered.await?))))
}

/// Lists what is offered to one, and what one has offered, the oldest first.
#[utoipa::path(
    get,
    path = "/transfers",
    tag = "sharing",
    operation_id = "list_transfers",
    params(PartQuery),
    responses((status = 200, body = Page<Transfer>), (status = 403, description = "forbidden"))
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<Transfer>>, Problem> {
    let part: Part<TransferId> = query.part()?;
    let store = state.store();
    let found = store.offers(&who.caller, part.after, part.asked()).await?;
    Ok(part.page(found, |one| one.id.to_string(), transfer))
}

/// Accepts what is offered to one: it comes into one's own drive, at its root, and counts there.
///
/// Without room for it, it stays offered.
#[utoipa::path(
    post,
    path = "/transfers/{id}/accept",
    tag = "sharing",
    operation_id = "accept_transfer",
    request_body = Option<TransferAcceptance>,
    responses(
        (status = 200, body = File),
        (status = 403, description = "forbidden"),
        (status = 409, description = "names_elsewhere"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn accept(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
    OptionalJson(how): OptionalJson<TransferAcceptance>,
) -> Result<Json<File>, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found())?;
    let store = state.store();
    let accepted = store.accept_offer(&who.caller, id, how.keep_access, peer.known());
    Ok(Json(own_file(&accepted.await?)))
}

/// Withdraws an offer, or declines one.
///
/// Who has offered is not told that it was declined.
#[utoipa::path(
    delete,
    path = "/transfers/{id}",
    tag = "sharing",
    operation_id = "end_transfer",
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn end(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = id.parse().map_err(|_| Problem::not_found())?;
    let store = state.store();
    store.end_offer(&who.caller, id, peer.known()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn transfer(one: &Offer) -> Transfer {
    let direction = if one.is_incoming {
        "incoming"
    } else {
        "outgoing"
    };
    Transfer {
        id: one.id.to_string(),
        direction: direction.to_owned(),
        from: one.from.clone(),
        to: one.to.clone(),
        file_id: one.node.id.to_string(),
        name: one.name.clone(),
        kind: kind(&one.node).to_owned(),
        size_bytes: one.node.size_bytes,
        keep_access: one.keeps_access,
        created_at: rfc3339(one.created_at),
    }
}
