//! The content of a file behind a link.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use store::{Located, OpenLink};

use super::super::AppState;
use super::super::files::content::out_of_range;
use super::counted::count;
use super::{NOT_KEPT, Refused, Visit};
use crate::server::problem::Problem;

/// Fields of a request for a content that mean something here. `If` is not among them: its tagged
/// lists could ask for what is outside.
const CONTENT_FIELDS: [HeaderName; 5] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    HeaderName::from_static("want-repr-digest"),
];
const RANGE_FIELDS: [HeaderName; 2] = [header::RANGE, header::IF_RANGE];

impl Visit {
    /// The content of a file as the request wants it.
    pub(super) async fn content(
        &self,
        state: &AppState,
        link: &OpenLink,
        located: &Located,
        head: &Parts,
    ) -> Result<Response, Refused> {
        let name = located.path.name().unwrap_or(&link.name);
        let head = content_head(head, link.is_limited);
        let dav = &state.dav;
        let answer = dav.content_named(&link.caller, &head, located.node.id, name.clone());
        let answer = answer.await.map_err(Problem::from)?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            let (head, _) = answer.into_parts();
            return Ok(out_of_range(head.headers.get(header::CONTENT_RANGE)));
        }
        let mut answer = answer.map(Body::new);
        let headers = answer.headers_mut();
        if link.is_limited {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
        }
        if link.is_limited || link.has_password() {
            headers.insert(header::CACHE_CONTROL, NOT_KEPT);
        }
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let disposition = webdav::attachment(name.as_str());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, disposition);
        count(state, link, &head.method, answer).await
    }
}

/// The part of a request that says how a content is wanted. Of a limited link there are no parts:
/// each download counts once, and nothing can be had piece by piece beside the count.
fn content_head(head: &Parts, is_limited: bool) -> Parts {
    let (mut wanted, ()) = http::Request::new(()).into_parts();
    wanted.method = head.method.clone();
    let ranges = RANGE_FIELDS.iter().filter(|_| !is_limited);
    for name in CONTENT_FIELDS.iter().chain(ranges) {
        for value in head.headers.get_all(name) {
            wanted.headers.append(name, value.clone());
        }
    }
    wanted
}
