//! Files and images of an asset: putting them in, and giving them to anyone.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use api::Asset;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use store::{AssetContent, AssetContentId, AssetId, Attached, Attaching, Digest, Name, Store};
use webdav::{Guise, Immutable};

use super::{archive, asset_id, expected, tagged, url};
use crate::endpoint::content_store::{bad_request, refuse};
use crate::endpoint::openapi::Content;
use crate::endpoint::{AppState, Authenticated, MaybeAuthenticated, Path};
use crate::server::problem::Problem;

/// Adds an image: PNG, JPEG, GIF or WebP, at most 10 MiB and 16,384 pixels on each side.
///
/// What it is shows in its bytes; `Content-Type` does not count.
#[utoipa::path(
    post,
    path = "/assets/{id}/images",
    tag = "assets",
    operation_id = "add_asset_image",
    params(("If-Match" = Option<String>, Header)),
    request_body(content((Content = "application/octet-stream"))),
    responses(
        (status = 201, body = Asset, headers(("Location" = String), ("ETag" = String))),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, limit_exceeded"),
        (status = 429, description = "limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
pub(super) async fn add_image(
    State(state): State<AppState>,
    who: Authenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = asset_id(&id)?;
    let (head, body) = request.into_parts();
    let digest = webdav::announced_digest(&head.headers)?;
    let size_bytes = body.size_hint().exact();
    let expected = expected(&head.headers)?;
    let begun = state
        .store()
        .asset_image_begin(&who.caller, id, size_bytes, expected);
    let attached = take(Box::pin(begun).await?, digest, body).await?;
    let location = format!("{}/images/{}", url(id), attached.content);
    Ok(created(&attached, location))
}

/// Shows an image, without an account if the asset is posted.
#[utoipa::path(
    get,
    path = "/assets/{id}/images/{image_id}",
    tag = "assets",
    operation_id = "show_asset_image",
    security((), ("bearer" = []), ("basic" = []), ("cookie" = [])),
    responses(
        (status = 200, content(
            (Content = "image/png"), (Content = "image/jpeg"),
            (Content = "image/gif"), (Content = "image/webp")
        )),
        (status = 206, content(
            (Content = "image/png"), (Content = "image/jpeg"),
            (Content = "image/gif"), (Content = "image/webp"),
            (Content = "multipart/byteranges")
        )),
        (status = 304),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "invalid_fields")
    )
)]
pub(super) async fn show_image(
    State(state): State<AppState>,
    MaybeAuthenticated(who): MaybeAuthenticated,
    Path((id, image)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, image) = (asset_id(&id)?, image_id(&image)?);
    let viewer = who.as_ref().map(|who| &who.caller);
    let found = state.store().asset_image(viewer, id, image).await?;
    let (head, _) = request.into_parts();
    let guise = found.media_type.map_or(Guise::Bytes, Guise::Image);
    match state.dav.immutable(&head, &immutable(&found, guise)) {
        Ok((answer, _)) => Ok(answer.map(Body::new)),
        Err(error) => refuse(error),
    }
}

/// Takes an image out of an asset.
#[utoipa::path(
    delete,
    path = "/assets/{id}/images/{image_id}",
    tag = "assets",
    operation_id = "remove_asset_image",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed")
    )
)]
pub(super) async fn remove_image(
    State(state): State<AppState>,
    who: Authenticated,
    Path((id, image)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (id, image, expected) = (asset_id(&id)?, image_id(&image)?, expected(&headers)?);
    state
        .store()
        .asset_image_remove(&who.caller, id, image, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores the body as a file of an asset; one of that name is replaced.
///
/// It is charged to whoever sends it.
#[utoipa::path(
    put,
    path = "/assets/{id}/files/{name}",
    tag = "assets",
    operation_id = "put_asset_file",
    params(
        ("name" = String, Path, description = "The file's name."),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the asset.")
    ),
    request_body(content((Content = "application/octet-stream"))),
    responses(
        (status = 201, body = Asset, headers(("Location" = String), ("ETag" = String))),
        (status = 200, body = Asset, headers(("ETag" = String))),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_name, limit_exceeded"),
        (status = 429, description = "limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
pub(super) async fn put_file(
    State(state): State<AppState>,
    who: Authenticated,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, name) = (asset_id(&id)?, Name::new(&name)?);
    let (head, body) = request.into_parts();
    let digest = webdav::announced_digest(&head.headers)?;
    let size_bytes = body.size_hint().exact();
    let (expected, sent_as) = (expected(&head.headers)?, head.uri.path().to_owned());
    let begun = state
        .store()
        .asset_file_begin(&who.caller, id, name, size_bytes, expected);
    let attached = take(Box::pin(begun).await?, digest, body).await?;
    if attached.is_new {
        return Ok(created(&attached, format!("/api/v1{sent_as}")));
    }
    Ok(tagged(&attached.asset))
}

/// Gives out a file of an asset, without an account if it is posted.
///
/// `Range`, `If-Range`, `If-Match`, `If-None-Match` and `Want-Repr-Digest` are understood. A
/// download counts when the last byte of the file is sent.
#[utoipa::path(
    get,
    path = "/assets/{id}/files/{name}",
    tag = "assets",
    operation_id = "download_asset_file",
    security((), ("bearer" = []), ("basic" = []), ("cookie" = [])),
    params(("name" = String, Path, description = "The file's name.")),
    responses(
        (status = 200, body = Content, content_type = "*/*"),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "invalid_fields")
    )
)]
pub(super) async fn show_file(
    State(state): State<AppState>,
    MaybeAuthenticated(who): MaybeAuthenticated,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let id = asset_id(&id)?;
    let name = Name::new(&name).map_err(|_| Problem::not_found())?;
    let viewer = who.as_ref().map(|who| &who.caller);
    let found = state.store().asset_file(viewer, id, &name).await?;
    let (head, _) = request.into_parts();
    give(&state, &head, id, &found)
}

/// Takes a file out of an asset; what is posted keeps at least one.
#[utoipa::path(
    delete,
    path = "/assets/{id}/files/{name}",
    tag = "assets",
    operation_id = "remove_asset_file",
    params(
        ("name" = String, Path, description = "The file's name."),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the asset.")
    ),
    responses(
        (status = 204),
        (status = 403, description = "forbidden"),
        (status = 412, description = "precondition_failed"),
        (status = 422, description = "invalid_fields")
    )
)]
pub(super) async fn remove_file(
    State(state): State<AppState>,
    who: Authenticated,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (id, expected) = (asset_id(&id)?, expected(&headers)?);
    let name = Name::new(&name).map_err(|_| Problem::not_found())?;
    state
        .store()
        .asset_file_remove(&who.caller, id, &name, expected)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives out an asset as a whole, without an account if it is posted: its one file, or a ZIP
/// archive of all.
///
/// A download counts when its last byte is sent.
#[utoipa::path(
    get,
    path = "/assets/{id}/download",
    tag = "assets",
    operation_id = "download_asset",
    security((), ("bearer" = []), ("basic" = []), ("cookie" = [])),
    responses(
        (status = 200, body = Content, content_type = "*/*"),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "invalid_fields")
    )
)]
pub(super) async fn download(
    State(state): State<AppState>,
    MaybeAuthenticated(who): MaybeAuthenticated,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = asset_id(&id)?;
    let viewer = who.map(|who| who.caller);
    let store = state.store();
    let asset = store.asset(viewer.as_ref(), id).await?;
    match &asset.files[..] {
        // A draft to which nothing has come yet.
        [] => Err(Problem::not_found()),
        [only] => {
            let found = store
                .asset_file(viewer.as_ref(), id, &Name::new(&only.name)?)
                .await?;
            let (head, _) = request.into_parts();
            give(&state, &head, id, &found)
        }
        _ => Ok(archive::answer(store, viewer, &asset)),
    }
}

/// A file; its download is counted when it comes to the end.
fn give(
    state: &AppState,
    head: &Parts,
    asset: AssetId,
    found: &AssetContent,
) -> Result<Response, Problem> {
    match state
        .dav
        .immutable(head, &immutable(found, Guise::File(&found.name)))
    {
        Ok((answer, has_end)) => {
            let store = state.store();
            Ok(answer.map(|body| {
                if has_end {
                    Body::new(Counted::new(body, store, asset))
                } else {
                    Body::new(body)
                }
            }))
        }
        Err(error) => refuse(error),
    }
}

fn immutable<'a>(found: &'a AssetContent, guise: Guise<'a>) -> Immutable<'a> {
    Immutable {
        digest: found.sha256,
        size_bytes: found.size_bytes,
        stored: &found.stored,
        guise,
    }
}

fn image_id(id: &str) -> Result<AssetContentId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

fn created(attached: &Attached, location: String) -> Response {
    let location = [(header::LOCATION, location)];
    (StatusCode::CREATED, location, tagged(&attached.asset)).into_response()
}

/// Takes the body of a request into an asset.
async fn take(
    mut attaching: Attaching,
    digest: Option<Digest>,
    mut body: Body,
) -> Result<Attached, Problem> {
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "an upload broke off");
            bad_request("The body broke off; nothing was stored.")
        })?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            attaching.write(data).await?;
        }
    }
    Ok(Box::pin(attaching.commit(digest)).await?)
}

/// A body whose end is a download of an asset.
struct Counted {
    body: webdav::Body,
    store: Store,
    /// Absent once it is counted, or has broken off.
    asset: Option<AssetId>,
}

impl Counted {
    fn new(body: webdav::Body, store: &Store, asset: AssetId) -> Self {
        let mut counted = Self {
            body,
            store: store.clone(),
            asset: Some(asset),
        };
        // Nobody asks a body without bytes for more.
        if counted.body.is_end_stream() {
            counted.count();
        }
        counted
    }

    fn count(&mut self) {
        if let Some(asset) = self.asset.take() {
            self.store.count_download(asset);
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = store::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, store::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Err(_))) => self.asset = None,
            Poll::Ready(None) => self.count(),
            // The last frame is handed over; after it nobody asks for more.
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.count(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
