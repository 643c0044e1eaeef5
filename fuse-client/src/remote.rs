//! Single files and folders of WebDAV servers, each by its whole URL: for the command line.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use http::Method;
use http::header::ETAG;
use reqwest::{RequestBuilder, Response, Url};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use webdav::grammar::destination::path_of;
use webdav::grammar::multistatus_read;
use webdav::grammar::path::ResourcePath;
use webdav::grammar::xml::{Element, Name};

use crate::connection::{Connection, Fault, PROGRESS_WITHIN, chain, method};
use crate::drive::Source;
use crate::drive::dav::upload::Upload;

pub use crate::connection::Login;

/// What a listing asks for.
const PROPERTIES: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <D:propfind xmlns:D=\"DAV:\"><D:prop><D:resourcetype/><D:getcontentlength/><D:getetag/>\
    <D:getlastmodified/></D:prop></D:propfind>";

/// Why a request did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be one of a drive.
    #[error(
        "{url} is no http or https URL of a folder or file: it looks like https://HOST/dav/NAME, \
         its names escaped, without user, query or fragment"
    )]
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
    #[error("no answer from the server: {reason}")]
    Connection {
        /// What the network said.
        reason: String,
    },
    /// A local file could not be read or written.
    #[error("local file")]
    Local(#[from] std::io::Error),
}

/// A connection to one or several servers with one login.
#[derive(Clone)]
pub struct Remote {
    connection: Connection,
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
        let connection = Connection::new(login, ca_pem);
        let connection = connection.map_err(|error| Error::Connection {
            reason: chain(&error),
        })?;
        Ok(Self { connection })
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
        let request = self.connection.request(Method::GET, url);
        let answer = self.send(request, &Method::GET, url).await?;
        let fails = |fault| failure(fault, &Method::GET, url);
        let mut pieces = answer.bytes_stream();
        let mut length_bytes = 0;
        loop {
            let piece = timeout(PROGRESS_WITHIN, pieces.next()).await;
            let Some(piece) = piece.map_err(|_| fails(Fault::TooSlow))? else {
                break;
            };
            let piece = piece.map_err(|error| fails(error.into()))?;
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
        let file = tokio::fs::File::open(from).await?.into_std().await;
        let range = 0..file.metadata()?.len();
        let content = Source::new(Arc::new(file), range);
        let request = self.connection.request(Method::PUT, url);
        let sent = Upload::of_file(content).send(request).await;
        let answer = sent.map_err(|fault| failure(fault, &Method::PUT, url))?;
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
        self.simple(method("MKCOL"), url, |request| request).await
    }

    /// Deletes a file, or a folder with all that is in it.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn delete(&self, url: &Url) -> Result<(), Error> {
        self.simple(Method::DELETE, url, |request| request).await
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
        let overwrite = if overwrite { "T" } else { "F" };
        let to = |request: RequestBuilder| {
            request
                .header("Destination", to.as_str())
                .header("Overwrite", overwrite)
        };
        self.simple(method(verb), from, to).await
    }

    async fn simple(
        &self,
        method: Method,
        url: &Url,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<(), Error> {
        let request = with(self.connection.request(method.clone(), url));
        self.send(request, &method, url).await.map(drop)
    }

    async fn propfind(
        &self,
        url: &Url,
        depth: &'static str,
    ) -> Result<(multistatus_read::Multistatus, ResourcePath), Error> {
        let path = ResourcePath::decode(url.path()).map_err(|error| bad(url, error.to_string()))?;
        let found = self.connection.propfind(url, depth, PROPERTIES).await;
        let found = found.map_err(|fault| failure(fault, &method("PROPFIND"), url))?;
        Ok((found, path))
    }

    async fn send(
        &self,
        request: RequestBuilder,
        method: &Method,
        url: &Url,
    ) -> Result<Response, Error> {
        let answer = self.connection.send(request).await;
        answer.map_err(|fault| failure(fault, method, url))
    }
}

/// Reads the URL of a file or folder on a server.
///
/// # Errors
/// [`Error::BadUrl`] for other schemes, and for URLs with a user, password, query or fragment:
/// those are more likely unescaped names.
pub fn parse_url(text: &str) -> Result<Url, Error> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.password().is_none())
        .filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or_else(|| Error::BadUrl {
            url: text.to_owned(),
        })
}

fn failure(fault: Fault, method: &Method, url: &Url) -> Error {
    match fault {
        Fault::Transport(error) => Error::Connection {
            reason: chain(&error),
        },
        Fault::TooSlow => Error::Connection {
            reason: "it took too long".to_owned(),
        },
        Fault::Refused(refusal) => Error::Refused {
            method: method.clone(),
            path: url.path().to_owned(),
            status: refusal.status,
        },
        Fault::Nonsense(reason) => bad(url, reason),
        Fault::Local(error) => Error::Local(error),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
