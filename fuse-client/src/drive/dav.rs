//! A drive on a WebDAV server, Coffer or any other.
//!
//! What a server can do is found out when the drive is connected. Coffer is known by what it
//! announces, never by its name: whoever announces the same is used the same way.
//!
//! - [`Condition`]s are headers where the server obeys them. Where it does not, the drive looks
//!   immediately before it changes something: between the look and the change somebody else may
//!   come, which no client of such a server can prevent.
//! - Redirects are not followed, save the one to the same path with a slash at its end.

mod address;
mod answers;
mod conditions;
mod describe;
mod download;
mod multipart;
mod probe;
mod properties;
mod remembered;
mod report;
mod trial;
pub(crate) mod upload;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response, Url};
use serde::{Deserialize, Serialize};
use webdav::grammar::multistatus_read::Multistatus;
use webdav::grammar::xml::{Name, escape_text};

use self::address::Href;
use self::answers::{bad, failure, refused, stored};
use self::conditions::{Conditional, known};
use self::upload::Upload;
use super::{
    Attributes, Capabilities, Changes, Condition, Drive, DrivePath, ETag, Error,
    ExtendedAttributes, Listed, Listing, Notice, Result, Source, Space, Stored, SyncToken,
};
use crate::attributes::{seconds, write};
use crate::connection::{Connection, Fault, Refusal, method, multistatus};

pub use self::probe::{ConnectError, Discovered, api_of, discover};
pub use self::remembered::Remembered;
pub use crate::connection::Login;

/// Asks for the space that is left (RFC 4331).
const QUOTA: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\">\
    <D:prop><D:quota-used-bytes/><D:quota-available-bytes/></D:prop></D:propfind>";

/// A WebDAV server's folder as a drive. Cheap to clone.
#[derive(Clone)]
pub struct DavDrive {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    /// Ends in a slash.
    root: Url,
    /// How the server calls the root in its answers: a proxy may have another name for it.
    base: Href,
    found: Found,
    /// Set once the server has refused to set a file's time by PROPPATCH.
    refuses_times: AtomicBool,
    /// Where notices come from.
    events: Option<(Connection, Url)>,
}

/// What [`probe`] has found out.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a server may have any of them without the others"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Found {
    capabilities: Capabilities,
    /// `If-Match` and `If-None-Match` are obeyed by what changes something.
    conditions: bool,
    /// Tags are strong from the moment that a file is written.
    exact_tags: bool,
    /// Tags in `If` are obeyed.
    if_header: bool,
    /// A folder's tag changes with its members.
    folder_tags: bool,
    /// The header `Coffer-Attributes` is read.
    attributes_header: bool,
}

impl DavDrive {
    /// Connects to the drive whose root is `url` and finds out what its server can do.
    ///
    /// A server that announces nothing of ours is tried out with a small file in its root, which is
    /// removed again. `ca_pem` holds certificates to trust beside the system's. A rustls provider
    /// must have been installed for the process.
    ///
    /// # Errors
    /// [`ConnectError`], whose text says what can be done.
    pub async fn connect(
        url: &Url,
        login: Option<Login>,
        ca_pem: Option<&[u8]>,
    ) -> std::result::Result<Self, ConnectError> {
        probe::connect(url, login, ca_pem).await
    }

    /// The URL of the drive's root.
    pub fn root(&self) -> &Url {
        &self.inner.root
    }

    fn url(&self, path: &DrivePath) -> Url {
        address::below(&self.inner.root, path)
    }

    fn folder_url(&self, path: &DrivePath) -> Url {
        address::folder(self.url(path))
    }

    fn request(&self, name: &str, url: &Url) -> RequestBuilder {
        self.inner.connection.request(method(name), url)
    }

    /// Sends a change that has a short body or none.
    async fn change(&self, path: &DrivePath, request: RequestBuilder) -> Result<Response> {
        let answer = self.inner.connection.send(request).await;
        let answer = answer.map_err(|fault| failure(path, fault))?;
        if answer.status() == StatusCode::MULTI_STATUS {
            return Err(self.first_refusal(path, answer).await);
        }
        Ok(answer)
    }

    async fn describe(
        &self,
        url: &Url,
        path: &DrivePath,
        depth: &'static str,
    ) -> Result<Multistatus> {
        let found = self
            .inner
            .connection
            .propfind(url, depth, describe::PROPFIND);
        found.await.map_err(|fault| failure(path, fault))
    }

    fn listed(
        &self,
        response: &webdav::grammar::multistatus_read::Response,
        name: String,
    ) -> Listed {
        describe::listed(response, name, self.inner.found.folder_tags)
    }

    /// The folder, its members, and how many it has that cannot be named here.
    async fn members(&self, path: &DrivePath) -> Result<(Listing, usize)> {
        let found = self.describe(&self.folder_url(path), path, "1").await?;
        let hrefs = found.responses.iter().map(|response| {
            Href::parse(response.href()).ok_or_else(|| bad(path, "an href that is no path"))
        });
        let hrefs = hrefs.collect::<Result<Vec<_>>>()?;
        // Servers differ in where they put it.
        let at = (0..hrefs.len()).min_by_key(|at| hrefs[*at].depth());
        let at = at.ok_or_else(|| bad(path, "nothing is described"))?;
        let folder = &hrefs[at];
        let behind = folder.behind(&self.inner.base).map(<[_]>::len);
        if behind != Some(path.names().len()) {
            return Err(bad(path, "another folder is listed"));
        }
        let own_name = path.names().last().cloned().unwrap_or_default();
        let itself = self.listed(&found.responses[at], own_name);
        let (mut members, mut unnamed) = (Vec::with_capacity(hrefs.len()), 0);
        for (number, (response, href)) in found.responses.iter().zip(&hrefs).enumerate() {
            if number == at {
                continue;
            }
            if !folder.holds(href) {
                return Err(bad(path, format!("{} is not a member", response.href())));
            }
            match href.name() {
                Some(name) => members.push(self.listed(response, name)),
                None => unnamed += 1,
            }
        }
        Ok((Listing { itself, members }, unnamed))
    }

    /// Headers that give a file its attributes and its time together with its content.
    fn with_attributes(&self, request: RequestBuilder, attributes: &Attributes) -> RequestBuilder {
        let found = &self.inner.found;
        let mut request = request;
        if found.attributes_header {
            let text = write(attributes);
            if !text.is_empty() {
                request = request.header("Coffer-Attributes", text);
            }
        } else if let Some(mtime_ns) = attributes.mtime_ns {
            let time = if found.exact_tags {
                seconds(mtime_ns)
            } else {
                // Others read whole seconds only.
                mtime_ns.div_euclid(1_000_000_000).to_string()
            };
            request = request.header("X-OC-Mtime", time);
        }
        request
    }

    async fn upload(
        &self,
        path: &DrivePath,
        upload: Upload,
        request: RequestBuilder,
    ) -> Result<Stored> {
        let answer = upload.send(request).await;
        if let Err(Fault::TooSlow) = &answer {
            self.inner.connection.distrust();
        }
        answer
            .map(|answer| stored(&answer))
            .map_err(|fault| failure(path, fault))
    }
}

impl Drive for DavDrive {
    fn capabilities(&self) -> Capabilities {
        self.inner.found.capabilities
    }

    async fn stat(&self, path: &DrivePath) -> Result<Listed> {
        let found = self.describe(&self.url(path), path, "0").await?;
        let [response] = found.responses.as_slice() else {
            return Err(bad(path, "not one resource is described"));
        };
        if let Some(status) = response.status {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return Err(refused(path, &Refusal::plain(status)));
        }
        let name = path.names().last().cloned().unwrap_or_default();
        Ok(self.listed(response, name))
    }

    async fn list(&self, path: &DrivePath) -> Result<Listing> {
        self.members(path).await.map(|(listing, _)| listing)
    }

    async fn changes(&self, since: Option<&SyncToken>) -> Result<Changes> {
        if !self.inner.found.capabilities.changes {
            return Err(Error::Unsupported);
        }
        let answer = self.request("REPORT", &self.inner.root);
        let answer = answer
            .header("Depth", "0")
            .header(CONTENT_TYPE, "application/xml; charset=utf-8")
            .body(report::asking(since));
        let answer = self.inner.connection.ask(answer).await;
        let answer = answer.map_err(report::failure)?;
        let found = multistatus(answer).await.map_err(report::failure)?;
        report::read(self, &found)
    }

    async fn read(
        &self,
        path: &DrivePath,
        etag: Option<&ETag>,
        range: std::ops::Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        download::read(self, path, etag, range).await
    }

    async fn write(
        &self,
        path: &DrivePath,
        content: Source,
        condition: &Condition,
        attributes: &Attributes,
    ) -> Result<Stored> {
        let conditional = Conditional::of(condition);
        let stored = self.guarded(path, &conditional, |headers| {
            let request = self.inner.connection.request(Method::PUT, &self.url(path));
            let request = self.with_attributes(request.headers(headers), attributes);
            self.upload(path, Upload::of_file(content.clone()), request)
        });
        // The file itself needs not be there; some say 404 of its folder.
        match stored.await {
            Err(Error::NotFound { path }) => Err(Error::NoParent { path }),
            stored => stored,
        }
    }

    async fn patch(
        &self,
        path: &DrivePath,
        parts: &[Source],
        size_bytes: u64,
        etag: &ETag,
        attributes: &Attributes,
    ) -> Result<Stored> {
        let parts = multipart::ordered(parts).filter(|_| self.inner.found.capabilities.patch);
        let parts = parts.ok_or(Error::Unsupported)?;
        let boundary = multipart::boundary();
        let request = self
            .request("PATCH", &self.url(path))
            .header("If-Match", &etag.0)
            .header(CONTENT_TYPE, multipart::content_type(&boundary));
        let request = self.with_attributes(request, attributes);
        let upload = Upload::of_ranges(&parts, size_bytes, &boundary);
        self.upload(path, upload, request).await
    }

    async fn make_folder(&self, path: &DrivePath, attributes: &Attributes) -> Result<Stored> {
        if !self.inner.found.conditions {
            // Some make a folder that is there already, and say so.
            self.look(path, &Condition::Absent).await?;
        }
        let request = self.request("MKCOL", &self.folder_url(path));
        let mut attributes = attributes.clone();
        // Members that come will change it: a folder's time is not one to insist on.
        if !self.inner.found.attributes_header {
            attributes.mtime_ns = None;
        }
        let request = self.with_attributes(request, &attributes);
        let answer = self.inner.connection.send(request).await;
        match answer {
            Ok(answer) => Ok(stored(&answer)),
            Err(Fault::Refused(refusal)) if refusal.status == StatusCode::METHOD_NOT_ALLOWED => {
                Err(Error::Conflict { path: path.clone() })
            }
            Err(fault) => match failure(path, fault) {
                Error::NotFound { path } => Err(Error::NoParent { path }),
                error => Err(error),
            },
        }
    }

    async fn rename(
        &self,
        from: &DrivePath,
        to: &DrivePath,
        etag: Option<&ETag>,
        condition: &Condition,
    ) -> Result<()> {
        self.move_to(from, to, etag, condition).await
    }

    async fn bind(&self, existing: &DrivePath, new: &DrivePath, etag: Option<&ETag>) -> Result<()> {
        if !self.inner.found.capabilities.bind {
            return Err(Error::Unsupported);
        }
        let Some((folder, name)) = new.split() else {
            return Err(Error::Conflict { path: new.clone() });
        };
        let mut body = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\
            <D:bind xmlns:D=\"DAV:\"><D:segment>"
            .to_vec();
        let mut segment = Vec::new();
        webdav::grammar::path::encode_into(&mut segment, name);
        body.extend_from_slice(&segment);
        body.extend_from_slice(b"</D:segment><D:href>");
        let source = self.url(existing);
        escape_text(&mut body, source.as_str());
        body.extend_from_slice(b"</D:href></D:bind>");
        let mut request = self
            .request("BIND", &self.folder_url(&folder))
            .header("Overwrite", "F")
            .header(CONTENT_TYPE, "application/xml; charset=utf-8")
            .body(body);
        match etag {
            None => {}
            Some(etag) if self.inner.found.if_header && known(etag).is_some() => {
                request = request.header("If", format!("<{source}> ([{}])", etag.0));
            }
            Some(etag) => {
                let unchanged = Condition::Unchanged(etag.clone());
                self.look(existing, &unchanged).await?;
            }
        }
        self.change(new, request).await.map(drop)
    }

    async fn remove_file(&self, path: &DrivePath, etag: Option<&ETag>) -> Result<()> {
        let condition = etag.map_or(Condition::Any, |etag| Condition::Unchanged(etag.clone()));
        let conditional = Conditional::of(&condition);
        self.guarded(path, &conditional, |headers| {
            let url = self.url(path);
            let request = self.inner.connection.request(Method::DELETE, &url);
            let request = request.headers(headers);
            async { self.change(path, request).await.map(drop) }
        })
        .await
    }

    async fn remove_folder(&self, path: &DrivePath) -> Result<()> {
        let (listing, unnamed) = self.members(path).await?;
        let not_empty = || Error::NotEmpty { path: path.clone() };
        if !listing.itself.is_folder || !listing.members.is_empty() || unnamed > 0 {
            return Err(not_empty());
        }
        let mut request = self.request("DELETE", &self.folder_url(path));
        // The tag stands for the members that were just seen: none.
        if let Some(etag) = &listing.itself.etag {
            request = request.header("If-Match", &etag.0);
        }
        match self.change(path, request).await {
            Err(Error::Conflict { .. }) => Err(not_empty()),
            answer => answer.map(drop),
        }
    }

    async fn set_attributes(
        &self,
        path: &DrivePath,
        attributes: &Attributes,
        xattrs: Option<&ExtendedAttributes>,
    ) -> Result<()> {
        self.describe_anew(path, attributes, xattrs).await
    }

    async fn space(&self) -> Result<Space> {
        let root = &DrivePath::ROOT;
        let found = self.inner.connection.propfind(&self.inner.root, "0", QUOTA);
        let found = found.await.map_err(|fault| failure(root, fault))?;
        let number = |local: &'static str| {
            let response = found.responses.first()?;
            response
                .property(&Name::dav(local))?
                .text()
                .trim()
                .parse()
                .ok()
        };
        Ok(Space {
            used_bytes: number("quota-used-bytes"),
            available_bytes: number("quota-available-bytes"),
        })
    }

    fn watch(&self) -> BoxStream<'static, Notice> {
        match &self.inner.events {
            Some((connection, url)) => watch::notices(connection.clone(), url.clone()).boxed(),
            None => futures_util::stream::empty().boxed(),
        }
    }
}
