//! The JSON API: one file per noun of the paths, each with its handlers and its `routes()`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, header};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::server::problem::{Problem, no_method, no_route};
use crate::server::trace::RequestStats;

/// All routes that are not WebDAV.
pub fn router(config: &Config) -> Router {
    let body_limit = usize::try_from(config.limits.json_body_bytes.0).unwrap_or(usize::MAX);
    Router::new()
        .route("/healthz", get(healthz))
        .method_not_allowed_fallback(no_method)
        .fallback(no_route)
        .layer(from_fn(note_route))
        .layer(DefaultBodyLimit::max(body_limit))
}

/// Says that the process lives and serves.
async fn healthz() -> &'static str {
    "ok\n"
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
        let axum::Json(body) = axum::Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}
