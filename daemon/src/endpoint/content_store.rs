//! `/store`: contents published by their hash, for anyone who knows it.

use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr;

use api::{Page, Publication};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;
use store::{Caller, Digest, Error, Publishing, Store};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webdav::grammar::content_range;

use super::openapi::{Content, Form};
use super::page::{Asked, Part, PartQuery};
use super::{AppState, Authenticated, Json, Path};
use crate::moment::rfc3339;
use crate::server::multipart::Multipart;
use crate::server::problem::{Problem, code};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, publish))
        .routes(routes!(show, withdraw))
}

/// Lists what one has published, the newest first.
#[utoipa::path(
    get,
    path = "/store",
    tag = "store",
    operation_id = "list_publications",
    params(PartQuery),
    responses((status = 200, body = Page<Publication>), (status = 403, description = "forbidden"))
)]
async fn list(
    State(state): State<AppState>,
    who: Authenticated,
    Asked(query): Asked<PartQuery>,
) -> Result<Json<Page<Publication>>, Problem> {
    let part: Part<Cursor> = query.part()?;
    let after = part.after.as_ref().map(|Cursor(at, digest)| (*at, *digest));
    let store = state.store();
    let found = store.publications(&who.caller, after, part.asked()).await?;
    Ok(part.page(found, write_cursor, publication))
}

/// Publishes the body, or the one file of a form, under its SHA-256.
///
/// Anyone who knows the hash can have it from then on. `Repr-Digest` or `Content-Digest` (`sha-256`) of a plain
/// body is verified first.
#[utoipa::path(
    post,
    path = "/store",
    tag = "store",
    operation_id = "publish_content",
    request_body(content(
        (Content = "application/octet-stream"),
        (Form = "multipart/form-data")
    )),
    responses(
        (status = 201, body = Publication, headers(("Location" = String), ("ETag" = String))),
        (status = 200, body = Publication, description = "One has published it before."),
        (status = 400, description = "content_mismatch"),
        (status = 403, description = "forbidden"),
        (status = 415, description = "unsupported_media_type"),
        (status = 422, description = "invalid_fields, limit_exceeded"),
        (status = 429, description = "limit_exceeded"),
        (status = 507, description = "quota_exceeded, storage_full")
    )
)]
async fn publish(
    State(state): State<AppState>,
    who: Authenticated,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let (store, caller) = (state.store(), &who.caller);
    let done = if is_form(&head.headers) {
        let form = Multipart::new(&head.headers, body)?;
        Box::pin(take_form(store, caller, form)).await?
    } else {
        Box::pin(take_body(store, caller, &head.headers, body)).await?
    };
    let (made, is_new) = done;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let fields = [
        (header::LOCATION, format!("/api/v1/store/{}", made.digest)),
        (header::ETAG, format!("\"{}\"", made.digest)),
    ];
    Ok((status, fields, Json(publication(&made))).into_response())
}

/// Gives anyone a published content.
///
/// `Range`, `If-Range`, `If-Match`, `If-None-Match` and `Want-Repr-Digest` are understood.
#[utoipa::path(
    get,
    path = "/store/{sha256}",
    tag = "store",
    operation_id = "download_published",
    security(()),
    params(("sha256" = String, Path, description = "The SHA-256 of the content.", pattern = "^[0-9a-f]{64}$")),
    responses(
        (status = 200, body = Content, content_type = "application/octet-stream"),
        (status = 206, content(
            (Content = "application/octet-stream"),
            (Content = "multipart/byteranges")
        )),
        (status = 304),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable")
    )
)]
async fn show(
    State(state): State<AppState>,
    Path(sha256): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let digest = read_digest(&sha256)?;
    let found = state.store().published(digest).await?;
    let found = found.ok_or(Error::NotFound)?;
    let (head, _) = request.into_parts();
    match state.dav.published(&head, &found) {
        Ok(answer) => Ok(answer.map(Body::new)),
        Err(error) => refuse(error),
    }
}

/// The answer where a content is not given out.
pub(super) fn refuse(error: Error) -> Result<Response, Problem> {
    let Error::RangeNotSatisfiable { size_bytes } = error else {
        return Err(error.into());
    };
    let whole = HeaderValue::try_from(content_range::unsatisfied(size_bytes));
    let mut answer = IntoResponse::into_response(Problem::from(error));
    let whole = whole.expect("numbers are ASCII");
    answer.headers_mut().insert(header::CONTENT_RANGE, whole);
    Ok(answer)
}

/// Takes back what one has published.
///
/// What others have published of it stays.
#[utoipa::path(
    delete,
    path = "/store/{sha256}",
    tag = "store",
    operation_id = "withdraw_publication",
    params(("sha256" = String, Path, description = "The SHA-256 of the content.", pattern = "^[0-9a-f]{64}$")),
    responses((status = 204), (status = 403, description = "forbidden"))
)]
async fn withdraw(
    State(state): State<AppState>,
    who: Authenticated,
    Path(sha256): Path<String>,
) -> Result<StatusCode, Problem> {
    let digest = read_digest(&sha256)?;
    state.store().withdraw(&who.caller, digest).await?;
    Ok(StatusCode::NO_CONTENT)
}

type Published = (store::Publication, bool);

async fn take_body(
    store: &Store,
    caller: &Caller,
    headers: &HeaderMap,
    mut body: Body,
) -> Result<Published, Problem> {
    let expected = webdav::announced_digest(headers)?;
    let mut publishing = store.publish(caller, body.size_hint().exact()).await?;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "an upload broke off");
            bad_request("The body broke off; nothing was published.")
        })?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            publishing.write(data).await?;
        }
    }
    Ok(publishing.commit(expected).await?)
}

async fn take_form(
    store: &Store,
    caller: &Caller,
    mut form: Multipart<Body>,
) -> Result<Published, Problem> {
    let part = form.next_part().await?;
    if part.is_none_or(|part| part.file_name.is_none()) {
        return Err(not_one_file());
    }
    let mut publishing: Publishing = store.publish(caller, None).await?;
    while let Some(piece) = form.piece().await? {
        publishing.write(piece).await?;
    }
    if form.next_part().await?.is_some() {
        return Err(not_one_file());
    }
    Ok(publishing.commit(None).await?)
}

fn not_one_file() -> Problem {
    let error = Error::Invalid {
        field: "form",
        reason: "has one file in it and nothing else".to_owned(),
    };
    error.into()
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("multipart/form-data")
}

pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, detail)
}

/// What cannot be a digest names nothing.
fn read_digest(sha256: &str) -> Result<Digest, Problem> {
    sha256.parse().map_err(|_| Problem::not_found())
}

fn publication(found: &store::Publication) -> Publication {
    Publication {
        sha256: found.digest.to_string(),
        size_bytes: found.size_bytes,
        published_at: rfc3339(found.published_at),
    }
}

fn write_cursor(last: &store::Publication) -> String {
    format!("{}.{}", last.published_at, last.digest)
}

/// Where a list goes on: `MILLISECONDS.SHA256`.
struct Cursor(i64, Digest);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, digest) = text.split_once('.').ok_or(())?;
        let at = at.parse().map_err(|_| ())?;
        Ok(Self(at, digest.parse().map_err(|_| ())?))
    }
}
