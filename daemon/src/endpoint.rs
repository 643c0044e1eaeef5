//! The JSON API: one file per noun of the paths, each with its handlers and its `routes()`.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{
    self, DefaultBodyLimit, FromRequest, FromRequestParts, MatchedPath, Request, State,
};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use store::{Caller, Store, TagCondition, World};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webdav::Dav;
use webdav::grammar::etag::TagList;

use self::events::Sockets;
use self::files::archive::Archives;
use self::visit::Visits;
use crate::config::Config;
use crate::jobs::Board;
use crate::server::auth::{Auth, Denied};
use crate::server::peer::Peer;
use crate::server::problem::{Problem, code, no_method, no_route};
use crate::server::rate_limit::RateLimit;
use crate::server::token::Access;
use crate::server::trace::RequestStats;

mod admin;
mod assets;
mod auth;
mod content_store;
mod docs;
mod events;
mod files;
mod grants;
mod invitations;
mod links;
mod me;
mod openapi;
mod page;
mod ping;
mod search;
mod transfers;
mod trash;
mod uploads;
mod users;
mod visit;

/// What handlers need.
#[derive(Clone)]
pub struct AppState {
    pub auth: Arc<Auth>,
    /// Reads and writes contents.
    dav: Dav,
    archives: Arc<Archives>,
    /// What is known of the background jobs.
    jobs: Arc<Board>,
    registrations: Arc<RateLimit>,
    sockets: Arc<Sockets>,
    visits: Arc<Visits>,
}

impl AppState {
    pub fn new(config: &Config, auth: Arc<Auth>, jobs: Arc<Board>) -> Self {
        let most = config.accounts.registrations_per_address;
        Self {
            dav: crate::server::dav(config, auth.store.clone()),
            archives: Arc::default(),
            auth,
            jobs,
            registrations: Arc::new(RateLimit::new(most, World::default())),
            sockets: Arc::new(Sockets::new(config)),
            visits: Arc::new(Visits::new(config)),
        }
    }

    fn store(&self) -> &Store {
        &self.auth.store
    }
}

/// All routes that are not WebDAV, with what each says of itself.
fn routes() -> OpenApiRouter<AppState> {
    let api = OpenApiRouter::default()
        .merge(admin::routes())
        .merge(assets::routes())
        .merge(auth::routes())
        .merge(content_store::routes())
        .merge(events::routes())
        .merge(files::routes())
        .merge(grants::routes())
        .merge(invitations::routes())
        .merge(links::routes())
        .merge(me::routes())
        .merge(ping::routes())
        .merge(search::routes())
        .merge(transfers::routes())
        .merge(trash::routes())
        .merge(uploads::routes())
        .merge(users::routes());
    OpenApiRouter::default()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .nest("/api/v1", api)
        .merge(visit::routes())
}

/// The OpenAPI document of all routes.
pub fn document() -> serde_json::Value {
    openapi::document(routes().into_openapi())
}

/// Serves all routes.
pub fn router(config: &Config, state: AppState) -> Router {
    let body_limit = usize::try_from(config.limits.json_body_bytes.0).unwrap_or(usize::MAX);
    let (routes, said) = routes().split_for_parts();
    let document = Bytes::from(openapi::document(said).to_string());
    routes
        .route("/api/docs", get(docs::show))
        .route("/api/docs/", get(docs::without_slash))
        .route("/api/docs/{file}", get(docs::file))
        .route(
            "/api/openapi.json",
            get(move || async { show_document(document) }),
        )
        .method_not_allowed_fallback(no_method)
        .fallback(no_route)
        .layer(from_fn(note_route))
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(state)
}

fn show_document(document: Bytes) -> impl IntoResponse {
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (fields, document)
}

/// The caller of a request; without a credential the handler is not reached.
pub struct Authenticated {
    pub caller: Caller,
    pub token: Option<Access>,
}

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        Ok(admit(parts, state).await?)
    }
}

/// The caller of a request that may come without a credential.
pub struct MaybeAuthenticated(pub Option<Authenticated>);

impl FromRequestParts<AppState> for MaybeAuthenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        match admit(parts, state).await {
            Ok(authenticated) => Ok(Self(Some(authenticated))),
            Err(Denied::Missing) => Ok(Self(None)),
            // Browsers send a cookie that has ended without being asked to.
            Err(Denied::Wrong) if !parts.headers.contains_key(header::AUTHORIZATION) => {
                Ok(Self(None))
            }
            Err(denied) => Err(denied.into()),
        }
    }
}

async fn admit(parts: &Parts, state: &AppState) -> Result<Authenticated, Denied> {
    let peer = peer_of(parts);
    let admitted = state
        .auth
        .admit(&parts.method, &parts.uri, &parts.headers, peer)
        .await?;
    if let Some(stats) = parts.extensions.get::<Arc<RequestStats>>() {
        stats.set_user(&admitted.caller.username);
    }
    Ok(Authenticated {
        caller: admitted.caller,
        token: admitted.token,
    })
}

/// The caller who opens a WebSocket.
pub struct SocketCaller(pub Caller);

impl FromRequestParts<AppState> for SocketCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let (uri, headers) = (&parts.uri, &parts.headers);
        let admitted = state
            .auth
            .admit_socket(uri, headers, peer_of(parts))
            .await?;
        if let Some(stats) = parts.extensions.get::<Arc<RequestStats>>() {
            stats.set_user(&admitted.caller.username);
        }
        Ok(Self(admitted.caller))
    }
}

/// The client of a request.
pub struct Client(pub Peer);

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(peer_of(parts)))
    }
}

fn peer_of(parts: &Parts) -> Peer {
    let nobody = Peer {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        tls: false,
    };
    parts.extensions.get().copied().unwrap_or(nobody)
}

/// Says that the process lives and serves.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    security(()),
    responses((status = 200, body = String, example = "ok\n"))
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Says that requests will find a database that answers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    security(()),
    responses((status = 200, body = String, example = "ready\n"))
)]
async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    state.store().ready().await?;
    Ok("ready\n")
}

/// Notes the route for the request's line in the log, and keeps browsers from guessing types.
async fn note_route(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    if let Some(stats) = request.extensions().get::<Arc<RequestStats>>() {
        stats.set_route(route.unwrap_or_else(|| "(none)".to_owned()));
    }
    let mut response = next.run(request).await;
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// A JSON body; what is wrong with one is answered as a problem.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let axum::Json(Object(body)) = axum::Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let no_store = HeaderValue::from_static("no-store");
        ([(header::CACHE_CONTROL, no_store)], axum::Json(self.0)).into_response()
    }
}

/// Reads a JSON object and nothing else: serde takes a list as well, for the fields in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

/// A JSON answer with the entity tag of what it shows.
pub struct Tagged<T>(pub String, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.0)], Json(self.1)).into_response()
    }
}

/// What `If-Match` demands; it is asked in the transaction that changes something.
pub struct IfMatch(pub TagCondition);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let list = TagList::parse(&parts.headers, "if-match").map_err(|error| {
            let status = StatusCode::BAD_REQUEST;
            Problem::new(status, code::BAD_REQUEST, error.to_string())
        })?;
        Ok(Self(list.map_or_else(TagCondition::default, |list| {
            TagCondition::new(move |etag| list.matches_strongly(Some(etag)))
        })))
    }
}

/// A parameter of the path; one that cannot be read names nothing.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let extract::Path(parameter) = extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(parameter))
    }
}

/// A JSON body that may be left out, which is the default.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}
