//! Public names, and who writes an asset with whom.

use api::{Asset, AssetAuthor, AssetOffer, Author, Page};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::{asset_id, expected, tagged};
use crate::endpoint::page::whole;
use crate::endpoint::{AppState, Authenticated, Client, Json, Path};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

/// Shows the name under which one publishes.
#[utoipa::path(
    get,
    path = "/me/author",
    tag = "assets",
    operation_id = "show_author",
    responses((status = 200, body = Author))
)]
pub(super) async fn show_name(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Author>, Problem> {
    let public_name = state.store().public_name(&who.caller).await?;
    Ok(Json(Author { public_name }))
}

/// Sets the name under which one publishes.
///
/// It tells nothing of the account: one's own user name and e-mail address are refused. Assets that
/// are posted show it at once.
#[utoipa::path(
    put,
    path = "/me/author",
    tag = "assets",
    operation_id = "set_author",
    request_body = AssetAuthor,
    responses(
        (status = 200, body = Author),
        (status = 403, description = "forbidden"),
        (status = 409, description = "already_exists")
    )
)]
pub(super) async fn set_name(
    State(state): State<AppState>,
    who: Authenticated,
    Json(author): Json<AssetAuthor>,
) -> Result<Json<Author>, Problem> {
    let set = state
        .store()
        .set_public_name(&who.caller, &author.public_name);
    let public_name = Some(set.await?);
    Ok(Json(Author { public_name }))
}

/// Lists the assets whose authors one is asked to join, the newest offer first.
#[utoipa::path(
    get,
    path = "/me/author/offers",
    tag = "assets",
    operation_id = "list_asset_offers",
    responses((status = 200, body = Page<AssetOffer>))
)]
pub(super) async fn offers(
    State(state): State<AppState>,
    who: Authenticated,
) -> Result<Json<Page<AssetOffer>>, Problem> {
    let found = state.store().asset_offers(&who.caller).await?;
    Ok(whole(found.into_iter().map(|offer| AssetOffer {
        asset_id: offer.asset.to_string(),
        name: offer.name,
        authors: offer.authors,
        offered_at: rfc3339(offer.offered_at),
    })))
}

/// Asks another author, by their public name, to join the authors of an asset.
///
/// The answer is the same when nobody goes by that name.
#[utoipa::path(
    post,
    path = "/assets/{id}/authors",
    tag = "assets",
    operation_id = "offer_asset",
    params(("If-Match" = Option<String>, Header)),
    request_body = AssetAuthor,
    responses(
        (status = 202, body = Asset, headers(("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "limit_exceeded")
    )
)]
pub(super) async fn offer(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(author): Json<AssetAuthor>,
) -> Result<Response, Problem> {
    let (id, expected) = (asset_id(&id)?, expected(&headers)?);
    let (store, name) = (state.store(), &author.public_name);
    let offered = store.asset_offer(&who.caller, id, name, expected, peer.known());
    Ok((StatusCode::ACCEPTED, tagged(&offered.await?)).into_response())
}

/// Joins the authors of an asset that one was asked to join.
#[utoipa::path(
    post,
    path = "/assets/{id}/authors/accept",
    tag = "assets",
    operation_id = "accept_asset_offer",
    responses(
        (status = 200, body = Asset, headers(("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 422, description = "limit_exceeded")
    )
)]
pub(super) async fn accept(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = asset_id(&id)?;
    Ok(tagged(
        &state
            .store()
            .asset_join(&who.caller, id, peer.known())
            .await?,
    ))
}

/// Takes a public name off an asset.
///
/// An author leaves under their own name, whoever is asked to join declines under theirs, and an
/// author takes an offer back under the name that was typed. What a leaving author has sent stays,
/// charged to another author who has room for it.
#[utoipa::path(
    delete,
    path = "/assets/{id}/authors/{public_name}",
    tag = "assets",
    operation_id = "remove_asset_author",
    params(
        ("public_name" = String, Path, description = "The public name."),
        ("If-Match" = Option<String>, Header)
    ),
    responses(
        (status = 204),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_fields")
    )
)]
pub(super) async fn remove(
    State(state): State<AppState>,
    who: Authenticated,
    Client(peer): Client,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (id, expected) = (asset_id(&id)?, expected(&headers)?);
    let store = state.store();
    store
        .asset_author_remove(&who.caller, id, &name, expected, peer.known())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
