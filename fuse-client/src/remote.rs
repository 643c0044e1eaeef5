//! A WebDAV server seen from a client.
//!
//! The server is not trusted: redirects are not followed, so that a credential goes to nobody but
//! the host the user has named, and names in a listing that could lead elsewhere are refused.

use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::Method;
use http::header::{CONTENT_LENGTH, ETAG};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use webdav::grammar::destination::path_of;
use webdav::grammar::multistatus_read::{self, Multistatus};
use webdav::grammar::path::ResourcePath;
use webdav::grammar::xml::{Element, Limits, Name};

/// What a listing asks for.
const PROPERTIES: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <D:propfind xmlns:D=\"DAV:\"><D:prop><D:resourcetype/><D:getcontentlength/><D:getetag/>\
    <D:getlastmodified/></D:prop></D:propfind>";

/// Bytes read from a local file at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Why a request did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be one of a drive.
    #[error("{url} is no http or https URL of a folder or file")]
    BadUrl {
        /// As it was given.
        url: String,
    },
    /// The server answered, but with a refusal.
    #[error("{method} {path}: {status}")]
    Refused {
        /// The method asked for.
        method: Method,
        /// The escaped path asked for.
        path: String,
        /// The status answered.
        status: http::StatusCode,
    },
    /// The server answered something that is not WebDAV, or names outside of what was asked for.
    #[error("{path}: the server's answer makes no sense: {reason}")]
    BadAnswer {
        /// The escaped path asked for.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer came, or not all of one.
    #[error("no answer from the server")]
    Connection(#[from] reqwest::Error),
    /// A local file could not be read or written.
    #[error("local file")]
    Local(#[from] std::io::Error),
}

/// Who asks.
#[derive(Clone)]
pub struct Login {
    /// User name or e-mail address.
    pub user: String,
    /// Password or app password.
    pub password: String,
}

/// A connection to one or several servers with one login.
#[derive(Clone)]
pub struct Remote {
    http: Client,
    login: Option<Login>,
}

/// One file or folder as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last name of its path, decoded; empty for the root of a server.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length of a file's content; 0 for a folder, and for a file whose length is not told.
    pub size_bytes: u64,
    /// Quotes included, as in headers.
    pub etag: Option<String>,
    /// As the server writes it.
    pub last_modified: Option<String>,
}

impl Remote {
    /// Prepares a client that trusts the system's certificates and those in `ca_pem`.
    ///
    /// A rustls provider must have been installed for the process.
    ///
    /// # Errors
    /// [`Error::Connection`] when `ca_pem` holds no certificates, or TLS cannot be set up.
    pub fn new(login: Option<Login>, ca_pem: Option<&[u8]>) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none());
        if let Some(pem) = ca_pem {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self {
            http: builder.build()?,
            login,
        })
    }

    /// Describes one file or folder.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Refused`] with 404 when there is none.
    pub async fn stat(&self, url: &Url) -> Result<Entry, Error> {
        let (found, path) = self.propfind(url, "0").await?;
        let response = found
            .responses
            .first()
            .ok_or_else(|| bad(url, "nothing is described"))?;
        entry(response, &path).ok_or_else(|| bad(url, "an href that is no path"))
    }

    /// Lists the members of a folder, in the server's order.
    ///
    /// # Errors
    /// [`Error`]; [`Error::BadAnswer`] when a member does not lie directly in the folder.
    pub async fn list(&self, url: &Url) -> Result<Vec<Entry>, Error> {
        let (found, path) = self.propfind(url, "1").await?;
        let mut members = Vec::with_capacity(found.responses.len().saturating_sub(1));
        for response in &found.responses {
            let raw = path_of(response.href()).map_err(|error| bad(url, error.to_string()))?;
            let at = ResourcePath::decode(raw).map_err(|error| bad(url, error.to_string()))?;
            if at.as_str() == path.as_str() {
                continue;
            }
            if at
                .parent()
                .is_none_or(|parent| parent.as_str() != path.as_str())
            {
                return Err(bad(url, format!("{raw} is not a member")));
            }
            members.extend(entry(response, &at));
        }
        Ok(members)
    }

    /// Copies a file's content to `to`; returns how many bytes that were.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::Connection`] `to` may hold a part.
    pub async fn get(
        &self,
        url: &Url,
        to: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64, Error> {
        let answer = self.send(self.request(Method::GET, url), url).await?;
        let mut pieces = answer.bytes_stream();
        let mut length_bytes = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            to.write_all(&piece).await?;
            length_bytes += piece.len() as u64;
        }
        to.flush().await?;
        Ok(length_bytes)
    }

    /// Uploads a local file; returns the new content's `ETag` where the server tells it.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn put(&self, from: &Path, url: &Url) -> Result<Option<String>, Error> {
        let file = tokio::fs::File::open(from).await?;
        let length_bytes = file.metadata().await?.len();
        let request = self
            .request(Method::PUT, url)
            .header(CONTENT_LENGTH, length_bytes)
            .body(reqwest::Body::wrap_stream(pieces(file)));
        let answer = self.send(request, url).await?;
        let etag = answer
            .headers()
            .get(ETAG)
            .and_then(|value| value.to_str().ok());
        Ok(etag.map(str::to_owned))
    }

    /// Makes a folder, whose parent must exist.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Refused`] with 405 when there is something of that name.
    pub async fn make_folder(&self, url: &Url) -> Result<(), Error> {
        self.send(self.request(method("MKCOL"), url), url)
            .await
            .map(drop)
    }

    /// Deletes a file, or a folder with all that is in it.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn delete(&self, url: &Url) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, url), url)
            .await
            .map(drop)
    }

    /// Copies a file, or a folder with all that is in it, on the server.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Refused`] with 412 when `to` exists and `overwrite` is not set.
    pub async fn copy(&self, from: &Url, to: &Url, overwrite: bool) -> Result<(), Error> {
        self.transfer("COPY", from, to, overwrite).await
    }

    /// Moves a file or folder on the server.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Refused`] with 412 when `to` exists and `overwrite` is not set.
    pub async fn rename(&self, from: &Url, to: &Url, overwrite: bool) -> Result<(), Error> {
        self.transfer("MOVE", from, to, overwrite).await
    }

    async fn transfer(
        &self,
        verb: &str,
        from: &Url,
        to: &Url,
        overwrite: bool,
    ) -> Result<(), Error> {
        let request = self
            .request(method(verb), from)
            .header("Destination", to.as_str())
            .header("Overwrite", if overwrite { "T" } else { "F" });
        self.send(request, from).await.map(drop)
    }

    async fn propfind(&self, url: &Url, depth: &str) -> Result<(Multistatus, ResourcePath), Error> {
        let path = ResourcePath::decode(url.path()).map_err(|error| bad(url, error.to_string()))?;
        let request = self
            .request(method("PROPFIND"), url)
            .header("Depth", depth)
            .header("Content-Type", "application/xml; charset=utf-8")
            .body(PROPERTIES);
        let answer = self.send(request, url).await?;
        if answer.status() != http::StatusCode::MULTI_STATUS {
            return Err(bad(url, format!("{} to a PROPFIND", answer.status())));
        }
        let body = bounded(answer, Limits::ANSWER.bytes, url).await?;
        let found = multistatus_read::read(&body, Limits::ANSWER)
            .map_err(|error| bad(url, error.to_string()))?;
        Ok((found, path))
    }

    fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self.http.request(method, url.clone());
        match &self.login {
            Some(login) => request.basic_auth(&login.user, Some(&login.password)),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, url: &Url) -> Result<Response, Error> {
        let request = request.build()?;
        let method = request.method().clone();
        let answer = self.http.execute(request).await?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(Error::Refused {
                method,
                path: url.path().to_owned(),
                status: answer.status(),
            })
        }
    }
}

/// Reads the URL of a file or folder on a server.
///
/// # Errors
/// [`Error::BadUrl`] for other schemes, and for URLs with a password, query or fragment: those are
/// more likely unescaped names.
pub fn parse_url(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.password().is_none())
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or_else(|| Error::BadUrl {
            url: text.to_owned(),
        })
}

/// The whole body, unless it is longer than that.
async fn bounded(mut answer: Response, most_bytes: usize, url: &Url) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > most_bytes {
            return Err(bad(url, format!("it is longer than {most_bytes} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("the names of WebDAV's methods are tokens")
}

fn bad(url: &Url, reason: impl Into<String>) -> Error {
    Error::BadAnswer {
        path: url.path().to_owned(),
        reason: reason.into(),
    }
}

fn entry(response: &multistatus_read::Response, path: &ResourcePath) -> Option<Entry> {
    path_of(response.href()).ok()?;
    let property = |local: &'static str| response.property(&Name::dav(local));
    let text = |local| property(local).map(|element: &Element| element.text().trim().to_owned());
    let kind = property("resourcetype");
    Some(Entry {
        name: path.name().unwrap_or_default().to_owned(),
        is_folder: kind.is_some_and(|kind| kind.dav_child("collection").is_some()),
        size_bytes: text("getcontentlength")
            .and_then(|length| length.parse().ok())
            .unwrap_or_default(),
        etag: text("getetag"),
        last_modified: text("getlastmodified"),
    })
}

fn pieces(file: tokio::fs::File) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(file, async |mut file| {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (Bytes::from(piece), file)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let url = parse_url("http://localhost/").unwrap();
        let answer = || Response::from(http::Response::new("12345"));
        assert_eq!(bounded(answer(), 5, &url).await.unwrap(), b"12345");
        let longer = bounded(answer(), 4, &url).await;
        assert!(matches!(longer, Err(Error::BadAnswer { .. })));
    }

    #[test]
    fn urls_that_hide_something_are_refused() {
        for good in [
            "http://localhost:8080/dav/",
            "https://example.org/dav/a%20b",
        ] {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for bad in [
            "ftp://example.org/",
            "/dav/",
            "http://user:secret@example.org/",
            "http://example.org/a?b",
            "http://example.org/a#b",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
