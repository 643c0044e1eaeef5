//! `/assets`: the catalogue. What is posted is there for anyone, without an account.

mod archive;
mod authors;
mod catalogue;
mod contents;

use api::{Asset, AssetChange, AssetFile, AssetHit, AssetImage, AssetKind, NewAsset};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use store::{AssetId, Expected};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webdav::grammar::BadHeader;
use webdav::grammar::etag::TagList;

use super::content_store::bad_request;
use super::{AppState, Authenticated, Json, MaybeAuthenticated, Path};
use crate::moment::rfc3339;
use crate::server::problem::Problem;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(catalogue::search, add))
        .routes(routes!(show, change, withdraw))
        .routes(routes!(post))
        .routes(routes!(contents::add_image))
        .routes(routes!(contents::show_image, contents::remove_image))
        .routes(routes!(
            contents::put_file,
            contents::show_file,
            contents::remove_file
        ))
        .routes(routes!(contents::download))
        .routes(routes!(authors::offer))
        .routes(routes!(authors::accept))
        .routes(routes!(authors::remove))
        .routes(routes!(authors::show_name, authors::set_name))
        .routes(routes!(authors::offers))
        .routes(routes!(catalogue::own))
}

/// Makes a draft, whose one author is oneself.
///
/// One needs a public name for it (`PUT /me/author`).
#[utoipa::path(
    post,
    path = "/assets",
    tag = "assets",
    operation_id = "add_asset",
    request_body = NewAsset,
    responses(
        (status = 201, body = Asset, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 422, description = "invalid_fields, limit_exceeded")
    )
)]
async fn add(
    State(state): State<AppState>,
    who: Authenticated,
    Json(new): Json<NewAsset>,
) -> Result<Response, Problem> {
    let new = store::NewAsset {
        name: new.name,
        description: new.description,
        kind: kind_of(new.kind),
        engine_versions: new.engine_versions,
        tags: new.tags,
    };
    let made = state.store().asset_add(&who.caller, new).await?;
    let location = [(header::LOCATION, url(made.id))];
    Ok((StatusCode::CREATED, location, tagged(&made)).into_response())
}

/// Shows an asset; a draft to its authors alone.
#[utoipa::path(
    get,
    path = "/assets/{id}",
    tag = "assets",
    operation_id = "show_asset",
    security((), ("bearer" = []), ("basic" = []), ("cookie" = [])),
    responses((status = 200, body = Asset, headers(("ETag" = String))))
)]
async fn show(
    State(state): State<AppState>,
    MaybeAuthenticated(who): MaybeAuthenticated,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = asset_id(&id)?;
    let viewer = who.as_ref().map(|who| &who.caller);
    Ok(tagged(&state.store().asset(viewer, id).await?))
}

/// Changes what is said of an asset.
///
/// `If-Match` with its entity tag keeps what another author has changed meanwhile.
#[utoipa::path(
    patch,
    path = "/assets/{id}",
    tag = "assets",
    operation_id = "change_asset",
    params(("If-Match" = Option<String>, Header)),
    request_body = AssetChange,
    responses(
        (status = 200, body = Asset, headers(("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn change(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(change): Json<AssetChange>,
) -> Result<Response, Problem> {
    let (id, expected) = (asset_id(&id)?, expected(&headers)?);
    let change = store::AssetChange {
        name: change.name,
        description: change.description,
        kind: change.kind.map(kind_of),
        engine_versions: change.engine_versions,
        tags: change.tags,
    };
    let changed = state.store().asset_set(&who.caller, id, change, expected);
    Ok(tagged(&changed.await?))
}

/// Withdraws an asset, or throws a draft away.
#[utoipa::path(
    delete,
    path = "/assets/{id}",
    tag = "assets",
    operation_id = "withdraw_asset",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed")
    )
)]
async fn withdraw(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (id, expected) = (asset_id(&id)?, expected(&headers)?);
    state
        .store()
        .asset_withdraw(&who.caller, id, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Posts a draft: anyone finds it from then on.
///
/// It needs a file. What is posted already stays as it is.
#[utoipa::path(
    post,
    path = "/assets/{id}/publish",
    tag = "assets",
    operation_id = "publish_asset",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = Asset, headers(("ETag" = String))),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_fields")
    )
)]
async fn post(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, expected) = (asset_id(&id)?, expected(&headers)?);
    Ok(tagged(
        &state.store().asset_post(&who.caller, id, expected).await?,
    ))
}

/// What cannot be an id names nothing.
fn asset_id(id: &str) -> Result<AssetId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

/// What `If-Match` expects of the asset.
fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let list = TagList::parse(headers, "if-match");
    let list = list.map_err(|bad: BadHeader| bad_request(bad.to_string()))?;
    Ok(match list {
        Some(list) => Expected::new(move |etag| list.matches_strongly(Some(etag))),
        None => Expected::default(),
    })
}

/// An asset with its entity tag.
fn tagged(found: &store::Asset) -> Response {
    ([(header::ETAG, found.etag())], Json(asset(found))).into_response()
}

fn url(id: AssetId) -> String {
    format!("/api/v1/assets/{id}")
}

fn asset(found: &store::Asset) -> Asset {
    let of = url(found.id);
    Asset {
        id: found.id.to_string(),
        authors: found.authors.clone(),
        offers: found.offers.clone(),
        name: found.name.clone(),
        description: found.description.clone(),
        kind: kind(found.kind),
        engine_versions: found.engine_versions.clone(),
        tags: found.tags.clone(),
        images: found.images.iter().map(|one| image(&of, one)).collect(),
        files: found.files.iter().map(|one| file(&of, one)).collect(),
        download_url: format!("{of}/download"),
        size_bytes: found.size_bytes,
        downloads: found.downloads,
        created_at: rfc3339(found.created_at),
        posted_at: found.posted_at.map(rfc3339),
    }
}

fn hit(found: store::AssetHit) -> AssetHit {
    let of = url(found.id);
    AssetHit {
        id: found.id.to_string(),
        authors: found.authors,
        name: found.name,
        summary: found.summary,
        kind: kind(found.kind),
        engine_versions: found.engine_versions,
        tags: found.tags,
        images: found.images.iter().map(|one| image(&of, one)).collect(),
        download_url: format!("{of}/download"),
        size_bytes: found.size_bytes,
        downloads: found.downloads,
        posted_at: found.posted_at.map(rfc3339),
    }
}

fn image(of: &str, image: &store::AssetImage) -> AssetImage {
    AssetImage {
        id: image.id.to_string(),
        url: format!("{of}/images/{}", image.id),
        media_type: image.media_type.to_owned(),
        width: image.width,
        height: image.height,
        size_bytes: image.size_bytes,
    }
}

fn file(of: &str, file: &store::AssetFile) -> AssetFile {
    AssetFile {
        name: file.name.clone(),
        url: format!(
            "{of}/files/{}",
            utf8_percent_encode(&file.name, NON_ALPHANUMERIC)
        ),
        size_bytes: file.size_bytes,
        sha256: file.sha256.to_string(),
    }
}

fn kind(kind: store::AssetKind) -> AssetKind {
    match kind {
        store::AssetKind::TwoD => AssetKind::TwoD,
        store::AssetKind::ThreeD => AssetKind::ThreeD,
    }
}

fn kind_of(kind: AssetKind) -> store::AssetKind {
    match kind {
        AssetKind::TwoD => store::AssetKind::TwoD,
        AssetKind::ThreeD => store::AssetKind::ThreeD,
    }
}
