//! A thin HTTP client: nothing is retried, followed, cached or understood on its own.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method};

use crate::Answer;

/// Who a request claims to come from.
#[derive(Debug, Clone)]
pub enum Credential {
    /// `Authorization: Basic …`.
    Basic { user: String, password: String },
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// No `Authorization` at all.
    None,
}

/// One user's view of one running server.
///
/// It keeps the address it was made with: after a restart take a new one from the world.
#[derive(Debug, Clone)]
pub struct Dav {
    http: reqwest::Client,
    address: String,
    credential: Credential,
}

/// A request being put together.
pub struct Request {
    label: String,
    address: String,
    builder: reqwest::RequestBuilder,
}

/// How many requests each server has answered wholly, by its address.
fn answered() -> MutexGuard<'static, HashMap<String, usize>> {
    static ANSWERED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);
    ANSWERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many requests of this process the server at `address` has answered wholly.
pub(crate) fn answered_by(address: &str) -> usize {
    answered().get(address).copied().unwrap_or_default()
}

/// Escapes a path given as plain text: all but unreserved characters and `/` (RFC 3986 §2.3).
pub fn encode_path(path: &str) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    encoded
}

impl Dav {
    pub(crate) fn new(address: &str, credential: Credential) -> Self {
        // Fails when another test of this process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .user_agent("coffer-tests")
            .build()
            .expect("these settings make a client");
        Self {
            http,
            address: address.to_owned(),
            credential,
        }
    }

    /// The server at `address`, seen without a credential.
    pub fn anonymous_at(address: &str) -> Self {
        Self::new(address, Credential::None)
    }

    /// The same server, seen with another credential.
    #[must_use]
    pub fn with(&self, credential: Credential) -> Self {
        Self {
            credential,
            ..self.clone()
        }
    }

    /// The same user, at another server.
    #[must_use]
    pub fn at(&self, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..self.clone()
        }
    }

    /// The same server, seen without a credential.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        self.with(Credential::None)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The whole URL of a path in the drive, given as plain text.
    pub fn url(&self, path: &str) -> String {
        format!("{}/dav{}", self.address, encode_path(path))
    }

    /// A request for a path in the drive, given as plain text: `/a b.txt`.
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.request_at(method, &format!("/dav{}", encode_path(path)))
    }

    /// A request for a target as it stands on the wire: `/dav/a%20b.txt`, `/api/v1/me`.
    pub fn request_at(&self, method: &str, target: &str) -> Request {
        let method = Method::from_bytes(method.as_bytes()).expect("tests name real methods");
        let label = format!("{method} {target}");
        let builder = self
            .http
            .request(method, format!("{}{target}", self.address));
        let builder = match &self.credential {
            Credential::Basic { user, password } => builder.basic_auth(user, Some(password)),
            Credential::Bearer(token) => builder.bearer_auth(token),
            Credential::None => builder,
        };
        Request {
            label,
            address: self.address.clone(),
            builder,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    /// HEAD.
    pub async fn head(&self, path: &str) -> Answer {
        self.request("HEAD", path).send().await
    }

    /// OPTIONS.
    pub async fn options(&self, path: &str) -> Answer {
        self.request("OPTIONS", path).send().await
    }

    /// PUT with a length.
    pub async fn put(&self, path: &str, content: impl Into<Bytes>) -> Answer {
        self.request("PUT", path).body(content).send().await
    }

    /// PUT with `If-Match`.
    pub async fn put_if_match(&self, path: &str, content: &str, etag: &str) -> Answer {
        let request = self.request("PUT", path).header("If-Match", etag);
        request.body(content.to_owned()).send().await
    }

    /// MKCOL.
    pub async fn mkcol(&self, path: &str) -> Answer {
        self.request("MKCOL", path).send().await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    /// COPY with an absolute Destination and no other header.
    pub async fn copy(&self, from: &str, to: &str) -> Answer {
        let request = self.request("COPY", from);
        request.header("Destination", &self.url(to)).send().await
    }

    /// MOVE with an absolute Destination and no other header.
    pub async fn rename(&self, from: &str, to: &str) -> Answer {
        let request = self.request("MOVE", from);
        request.header("Destination", &self.url(to)).send().await
    }

    /// PROPFIND of all properties (no body).
    pub async fn propfind(&self, path: &str, depth: &str) -> Answer {
        self.request("PROPFIND", path)
            .header("Depth", depth)
            .send()
            .await
    }

    /// PROPFIND of the properties in `names`, an XML fragment in which `D:` is `DAV:`.
    pub async fn propfind_of(&self, path: &str, depth: &str, names: &str) -> Answer {
        self.request("PROPFIND", path)
            .header("Depth", depth)
            .xml(&format!(
                "<D:propfind xmlns:D=\"DAV:\"><D:prop>{names}</D:prop></D:propfind>"
            ))
            .send()
            .await
    }

    /// PROPPATCH setting `properties`, an XML fragment in which `D:` is `DAV:`.
    pub async fn proppatch(&self, path: &str, properties: &str) -> Answer {
        self.request("PROPPATCH", path)
            .xml(&format!(
                "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop>{properties}</D:prop></D:set>\
                 </D:propertyupdate>"
            ))
            .send()
            .await
    }

    /// LOCK, exclusive, of one resource, for ten minutes.
    pub async fn lock(&self, path: &str) -> Answer {
        self.request("LOCK", path)
            .header("Timeout", "Second-600")
            .header("Depth", "0")
            .xml(
                "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                 <D:locktype><D:write/></D:locktype><D:owner>tests</D:owner></D:lockinfo>",
            )
            .send()
            .await
    }

    /// UNLOCK; `token` without angle brackets.
    pub async fn unlock(&self, path: &str, token: &str) -> Answer {
        let request = self.request("UNLOCK", path);
        request
            .header("Lock-Token", &format!("<{token}>"))
            .send()
            .await
    }

    /// The names in a folder as they are listed, decoded, sorted, the folder itself left out.
    pub async fn names(&self, path: &str) -> Vec<String> {
        let own = format!("/dav{}/", encode_path(path.trim_end_matches('/')));
        let listing = self
            .propfind_of(path, "1", "<D:resourcetype/>")
            .await
            .multistatus();
        let mut names: Vec<String> = listing
            .responses
            .iter()
            .filter_map(|response| response.href.strip_prefix(&own))
            .filter(|rest| !rest.is_empty())
            .map(|rest| decode_path(rest.trim_end_matches('/')))
            .collect();
        names.sort();
        names
    }
}

impl Request {
    /// Adds a header; any bytes that HTTP allows in one.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("tests send real headers");
        self.builder = self.builder.header(name, value);
        self
    }

    /// Adds several headers.
    #[must_use]
    pub fn headers(self, headers: &[(&str, &str)]) -> Self {
        headers
            .iter()
            .fold(self, |request, (name, value)| request.header(name, value))
    }

    /// Sets the body, sent with its length.
    #[must_use]
    pub fn body(mut self, content: impl Into<Bytes>) -> Self {
        self.builder = self.builder.body(content.into());
        self
    }

    /// Sets the body to a JSON value.
    #[must_use]
    pub fn json(mut self, value: &serde_json::Value) -> Self {
        self.builder = self.builder.json(value);
        self
    }

    /// Sets the body to XML; the declaration is put before it.
    #[must_use]
    pub fn xml(self, document: &str) -> Self {
        self.header("Content-Type", "application/xml; charset=utf-8")
            .body(format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{document}"
            ))
    }

    /// Sets the body, sent in pieces and without a length.
    #[must_use]
    pub fn chunked(mut self, content: impl Into<Bytes>) -> Self {
        let content: Bytes = content.into();
        let pieces: Vec<Bytes> = content
            .chunks(64 * 1024)
            .map(Bytes::copy_from_slice)
            .collect();
        let pieces = stream::iter(pieces).map(Ok::<_, std::io::Error>);
        self.builder = self.builder.body(reqwest::Body::wrap_stream(pieces));
        self
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        let label = self.label.clone();
        self.try_send()
            .await
            .unwrap_or_else(|error| panic!("{label}: no answer: {error:?}"))
    }

    /// Sends it; the error is for a connection that broke before the whole answer was read.
    ///
    /// # Errors
    /// When the connection could not be made or ended early.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.builder.send().await?;
        let status = response.status().as_u16();
        let headers: HeaderMap = response.headers().clone();
        let body = response.bytes().await?;
        *answered().entry(self.address).or_default() += 1;
        Ok(Answer {
            request: self.label,
            status,
            headers,
            body,
        })
    }

    /// Sends it and hands back the answer with its body still to be read.
    pub async fn stream(self) -> reqwest::Response {
        self.builder
            .send()
            .await
            .unwrap_or_else(|error| panic!("{}: no answer: {error:?}", self.label))
    }
}

/// The plain text of an escaped path: the way back from [`encode_path`].
pub fn decode_path(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        plain.push(escaped.unwrap_or(bytes[at.saturating_sub(1)]));
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for name in crate::SPECIAL_NAMES {
            assert_eq!(decode_path(&encode_path(name)), name);
        }
    }
}
