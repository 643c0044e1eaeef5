//! `/s/{token}`: what people and programs find behind a link, without an account.
//!
//! Whoever asks for HTML gets pages without any script; everybody else gets contents, and problems
//! in JSON. What a link leads to is confined in the store; here it is only shown.

mod content;
mod counted;
mod page;
mod pass;
mod upload;

use std::sync::Arc;

use api::{LinkEntry, LinkFolder};
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use store::{Error, FoundLink, LinkKind, Located, Members, OpenLink, Path, Target, Walk, World};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::counted::count;
use super::files::{archive, kind, read_cursor, write_cursor};
use super::openapi::Content;
use super::page::{Asked, Part};
use super::{AppState, Json, peer_of};
use crate::config::Config;
use crate::moment::rfc3339;
use crate::server::auth::LINK_CHALLENGE;
use crate::server::peer::Peer;
use crate::server::problem::{Problem, code};
use crate::server::rate_limit::RateLimit;
use crate::server::trace::RequestStats;

/// Links that lead nowhere for which one address may ask within an hour.
const MISSES: u32 = 600;
/// Lines of a folder's page.
const LINES: u32 = 500;
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
/// What a link that may end any time leaves in no cache.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("private, no-store");

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(show, upload::submit))
        .routes(routes!(show_below, upload::put))
        .layer(from_fn(protect))
}

/// What all visits have in common.
pub struct Visits {
    misses: RateLimit,
    /// Scheme, host and port under which people reach us, where that is configured.
    origin: String,
}

impl Visits {
    pub fn new(config: &Config) -> Self {
        let origin = config.listen.public_url.as_deref().unwrap_or_default();
        Self {
            misses: RateLimit::new(MISSES, World::default()),
            origin: origin.trim_end_matches('/').to_owned(),
        }
    }

    /// The address of a link.
    pub fn url(&self, token: &str) -> String {
        format!("{}/s/{token}", self.origin)
    }
}

/// Keeps addresses with tokens in them out of `Referer` fields, search engines and caches.
async fn protect(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    let no_referrer = HeaderValue::from_static("no-referrer");
    headers.insert(header::REFERRER_POLICY, no_referrer);
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    headers.append(header::VARY, HeaderValue::from_static("Accept"));
    headers.entry(header::CACHE_CONTROL).or_insert(NOT_KEPT);
    answer
}

/// Why somebody is not shown what they came for.
enum Refused {
    Problem(Problem),
    /// The password is asked for.
    Closed,
}

impl<E: Into<Problem>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

/// Somebody at a link.
struct Visit {
    token: String,
    /// The path below what the link leads to.
    path: Path,
    /// Whether pages are wanted.
    is_browser: bool,
    peer: Peer,
    stats: Option<Arc<RequestStats>>,
}

#[derive(Deserialize)]
struct Address {
    token: String,
    #[serde(default)]
    path: String,
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let super::Path(Address { token, path }) =
            super::Path::from_request_parts(parts, state).await?;
        Ok(Self {
            token,
            path: Path::parse(&path).map_err(|_| Problem::not_found())?,
            is_browser: accepts(&parts.headers, "text/html"),
            peer: peer_of(parts),
            stats: parts.extensions.get().cloned(),
        })
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ShowQuery {
    /// `zip` for a folder as an archive; anything for a file instead of its page.
    download: Option<String>,
    /// Items in one part of a folder.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

/// Gives anyone what a link leads to.
///
/// Browsers (`Accept: text/html`) get a page. Others get a file's content, a folder as
/// `application/json` if they accept that, or with `download=zip` its archive. A link with a password
/// takes it by Basic, with any user name.
#[utoipa::path(
    get,
    path = "/s/{token}",
    tag = "links",
    operation_id = "open_link",
    security(()),
    params(("token" = String, Path, description = "The secret of the link."), ShowQuery),
    responses(
        (status = 200, content(
            (Content = "*/*"),
            (LinkFolder = "application/json"),
            (String = "text/html")
        )),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 401, description = "wrong_credentials"),
        (status = 404, description = "not_found"),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "limit_exceeded"),
        (status = 429, description = "limit_exceeded, too_many_attempts")
    )
)]
async fn show(
    State(state): State<AppState>,
    visit: Visit,
    query: Asked<ShowQuery>,
    head: Parts,
) -> Response {
    let shown = visit.show(&state, &query.0, &head).await;
    visit.answer(shown)
}

/// Gives anyone what lies below the folder that a link leads to.
///
/// As the link itself; files are sent to browsers too.
#[utoipa::path(
    get,
    path = "/s/{token}/{*path}",
    tag = "links",
    operation_id = "open_link_below",
    security(()),
    params(
        ("token" = String, Path, description = "The secret of the link."),
        ("path" = String, Path, description = "The path from the folder on, with slashes."),
        ShowQuery
    ),
    responses(
        (status = 200, content(
            (Content = "*/*"),
            (LinkFolder = "application/json"),
            (String = "text/html")
        )),
        (status = 206, body = Content, content_type = "*/*"),
        (status = 304),
        (status = 401, description = "wrong_credentials"),
        (status = 404, description = "not_found"),
        (status = 412, description = "precondition_failed"),
        (status = 416, description = "range_not_satisfiable"),
        (status = 422, description = "limit_exceeded"),
        (status = 429, description = "limit_exceeded, too_many_attempts")
    )
)]
async fn show_below(
    State(state): State<AppState>,
    visit: Visit,
    query: Asked<ShowQuery>,
    head: Parts,
) -> Response {
    let shown = visit.show(&state, &query.0, &head).await;
    visit.answer(shown)
}

impl Visit {
    /// The answer, in the visitor's own language.
    fn answer(&self, result: Result<Response, Refused>) -> Response {
        match result {
            Ok(answer) => answer,
            Err(Refused::Problem(problem)) if self.is_browser => page::problem(&problem),
            Err(Refused::Problem(problem)) => IntoResponse::into_response(problem),
            Err(Refused::Closed) if self.is_browser => {
                page::password(&self.token, &self.path, false)
            }
            Err(Refused::Closed) => {
                let detail = "This link needs its password: Basic, with any name.";
                let status = StatusCode::UNAUTHORIZED;
                let problem = Problem::new(status, code::WRONG_CREDENTIALS, detail);
                IntoResponse::into_response(problem.challenge(LINK_CHALLENGE))
            }
        }
    }

    /// What the token leads to. Those that lead nowhere are counted against the address.
    async fn find(&self, state: &AppState) -> Result<FoundLink, Problem> {
        let misses = &state.visits.misses;
        let address = self.peer.known();
        if let Some(seconds) = address.and_then(|address| misses.wait(address)) {
            return Err(Problem::too_many(seconds));
        }
        let Some(found) = state.store().find_link(&self.token).await? else {
            if let Some(address) = address {
                // The next one is refused if this was the last.
                let _ = misses.take(address);
            }
            return Err(Problem::not_found());
        };
        if let Some(stats) = &self.stats {
            stats.set_user(&format!("link {}", found.id()));
        }
        Ok(found)
    }

    async fn show(
        &self,
        state: &AppState,
        query: &ShowQuery,
        head: &Parts,
    ) -> Result<Response, Refused> {
        let link = self.open(state, &head.headers).await?;
        if link.kind == LinkKind::Upload {
            if !self.path.is_root() {
                return Err(Problem::not_found().into());
            }
            return Ok(page::upload(&self.token, link.name.as_str(), None));
        }
        let located = self.locate(state, &link).await?;
        let is_content_wanted = query.download.is_some() || !self.is_browser;
        if !located.node.is_folder() {
            if located.path.is_root() && !is_content_wanted {
                let name = link.name.as_str();
                return Ok(page::file(&self.token, name, &located.node));
            }
            return self.content(state, &link, &located, head).await;
        }
        let name = located.path.name().unwrap_or(&link.name).as_str();
        if query.download.as_deref() == Some("zip") {
            let archive = archive::send(state, &link.caller, &located, name).await?;
            return count(state, &link, &head.method, archive).await;
        }
        let is_page = self.is_browser || !accepts(&head.headers, "application/json");
        let usual = is_page.then_some(LINES);
        let part = Part::new(query.limit.or(usual), query.cursor.as_deref(), read_cursor)?;
        let walk = Walk {
            is_deep: false,
            limit: part.limit(),
            after: part.after,
        };
        let target = Target::Node(located.node.id);
        let members = state.store().members(&link.caller, &target, walk).await?;
        if is_page {
            return Ok(page::folder(&self.token, name, &located.path, &members));
        }
        Ok(Json(listing(name, &members)).into_response())
    }

    /// What is at the path.
    async fn locate(&self, state: &AppState, link: &OpenLink) -> Result<Located, Problem> {
        if self.path.is_root() {
            return Ok(Located {
                path: Path::root(),
                node: link.node.clone(),
            });
        }
        let target = Target::Path(self.path.clone());
        let found = state.store().look_up(&link.caller, &target).await?;
        Ok(found.ok_or(Error::NotFound)?)
    }
}

/// Whether `Accept` names a media type.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut names = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    names.any(|name| name.eq_ignore_ascii_case(media_type))
}

fn listing(name: &str, members: &Members) -> LinkFolder {
    let items = members.items.iter().map(|item| LinkEntry {
        name: name_of(item).to_owned(),
        kind: kind(&item.node).to_owned(),
        size_bytes: item.node.size_bytes,
        modified_at: rfc3339(item.node.modified_ns.div_euclid(1_000_000)),
    });
    LinkFolder {
        name: name.to_owned(),
        items: items.collect(),
        next_cursor: members.next.as_ref().map(write_cursor),
    }
}

fn name_of(located: &Located) -> &str {
    located.path.name().map_or("", store::Name::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart_by_what_they_accept() {
        let accept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            accepts(&headers, "text/html")
        };
        assert!(accept("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"));
        assert!(accept("application/json, Text/HTML;q=0.1"));
        assert!(!accept("*/*"));
        assert!(!accept("application/json"));
    }
}
