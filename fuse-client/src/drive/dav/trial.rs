//! What a server that announces nothing of ours can do, tried out with a small file of our own.
//!
//! There is no other way to know whether conditions are obeyed by what changes something, and
//! properties kept: many servers answer as if they did.

use std::hash::{BuildHasher, RandomState};

use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, RANGE};
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response, Url};

use super::{Found, describe};
use crate::connection::{Connection, Fault, method};
use crate::drive::Listed;

/// A time to give the file, which no server has by itself.
const TIME_S: i64 = 1_000_000_000;
const ATTRIBUTES: &str = "mode=100640 uid=1 gid=2";
/// A tag that the file does not have.
const WRONG: &str = "\"coffer-probe\"";

struct Trial<'c> {
    connection: &'c Connection,
    url: Url,
}

/// Fills in what can be found out. Where no file can be made nothing is, and the drive is careful.
pub(super) async fn run(connection: &Connection, root: &Url, found: &mut Found) {
    let random = RandomState::new().hash_one(root.as_str());
    let Ok(url) = root.join(&format!(".coffer-probe-{random:016x}")) else {
        return;
    };
    let trial = Trial { connection, url };
    match trial.put(IF_MATCH.as_str(), WRONG).await {
        // It was made although it was not there.
        Ok(_) => {}
        Err(Fault::Refused(refusal)) if refusal.status == StatusCode::PRECONDITION_FAILED => {
            if trial.put(IF_NONE_MATCH.as_str(), "*").await.is_err() {
                return;
            }
            // Obeyed when there is something, too?
            let again = trial.put(IF_NONE_MATCH.as_str(), "*").await;
            found.conditions = is_refused(again.err());
        }
        Err(_) => return,
    }
    let range = trial.request("GET").header(RANGE, "bytes=1-1");
    let answer = trial.connection.ask(range).await;
    found.capabilities.ranges =
        answer.is_ok_and(|answer| answer.status() == StatusCode::PARTIAL_CONTENT);
    let _ = trial.set_attributes().await;
    let listed = trial.stat().await;
    if let Some(listed) = &listed {
        found.capabilities.times = listed.modified_ns == TIME_S * 1_000_000_000;
        found.capabilities.properties = crate::attributes::write(&listed.attributes) == ATTRIBUTES;
        let has_tag = listed
            .etag
            .as_ref()
            .is_some_and(|etag| !describe::is_looked(&etag.0));
        found.capabilities.strong_etags = found.conditions && has_tag;
    }
    found.if_header = trial.end(listed).await;
}

impl Trial<'_> {
    fn request(&self, name: &str) -> RequestBuilder {
        self.connection.request(method(name), &self.url)
    }

    async fn put(&self, condition: &str, value: &str) -> Result<Response, Fault> {
        let request = self
            .connection
            .request(Method::PUT, &self.url)
            .header(condition, value)
            .header("X-OC-Mtime", TIME_S)
            .body("coffer");
        self.connection.send(request).await
    }

    async fn set_attributes(&self) -> Result<Response, Fault> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propertyupdate xmlns:D=\"DAV:\" \
             xmlns:p=\"{}\"><D:set><D:prop><p:attributes>{ATTRIBUTES}</p:attributes></D:prop>\
             </D:set></D:propertyupdate>",
            describe::POSIX
        );
        let request = self.request("PROPPATCH");
        let request = request.header(CONTENT_TYPE, "application/xml; charset=utf-8");
        self.connection.send(request.body(body)).await
    }

    async fn stat(&self) -> Option<Listed> {
        let found = self.connection.propfind(&self.url, "0", describe::PROPFIND);
        let found = found.await.ok()?;
        let response = found.responses.first()?;
        Some(describe::listed(response, String::new(), false))
    }

    /// Removes the file; whether `If` with a tag was understood, both the wrong and the right one.
    async fn end(&self, listed: Option<Listed>) -> bool {
        let with = |tag: &str| self.request("DELETE").header("If", format!("([{tag}])"));
        let wrong = self.connection.send(with(WRONG)).await;
        if wrong.is_ok() {
            return false;
        }
        let tag = listed.and_then(|listed| listed.etag);
        if is_refused(wrong.err())
            && let Some(tag) = tag
            && self.connection.send(with(&tag.0)).await.is_ok()
        {
            return true;
        }
        let _ = self.connection.send(self.request("DELETE")).await;
        false
    }
}

fn is_refused(fault: Option<Fault>) -> bool {
    let status = match fault {
        Some(Fault::Refused(refusal)) => refusal.status,
        _ => return false,
    };
    status == StatusCode::PRECONDITION_FAILED
}
