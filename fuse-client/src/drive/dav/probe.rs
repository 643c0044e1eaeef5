//! What a server can do, and why it cannot be used at all.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;
use webdav::grammar::multistatus_read::{Multistatus, Response};

use super::address::{Href, folder};
use super::{DavDrive, Found, Inner, describe, trial};
use crate::connection::{Connection, Fault, Login, chain};
use crate::drive::{Capabilities, Listed};

/// Why there is no drive at a URL. Its text says what can be done.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers.
    #[error("{url}: no answer ({reason}); is the address right, and the server running?")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// TLS does not trust the server.
    #[error(
        "{url}: the server's certificate is not trusted ({reason}); if it is your own, pass it or \
         its authority with --ca-file"
    )]
    Certificate {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What answers speaks nothing but TLS.
    #[error("{url}: what answers there is no HTTP ({reason}); try {instead}")]
    OnlyTls {
        /// What was asked.
        url: String,
        /// What HTTP said.
        reason: String,
        /// The same with the other scheme.
        instead: String,
    },
    /// What answers does not speak TLS, or nothing else.
    #[error("{url}: the server does not speak TLS there ({reason}); try {instead}")]
    NotTls {
        /// What was asked.
        url: String,
        /// What TLS said.
        reason: String,
        /// The same with the other scheme.
        instead: String,
    },
    /// The certificates to trust cannot be read, or TLS cannot be set up.
    #[error("the certificates to trust: {reason}")]
    BadCertificates {
        /// What is wrong.
        reason: String,
    },
    /// The credentials are wrong, or were revoked.
    #[error(
        "{url}: the server does not accept this user and password; if the password was an app \
         password it may have been revoked: log in again"
    )]
    LoginRefused {
        /// What was asked.
        url: String,
    },
    /// The credentials are right, but not for this.
    #[error("{url}: this user may not use it")]
    Forbidden {
        /// What was asked.
        url: String,
    },
    /// The server sends elsewhere, where the login does not belong.
    #[error("{url}: the server sends to {to} instead; if you trust that, use it")]
    Moved {
        /// What was asked.
        url: String,
        /// Where to.
        to: String,
    },
    /// There is something, but no WebDAV folder.
    #[error(
        "{url}: there is no WebDAV folder ({reason}); Coffer has it at /dav/, Nextcloud at \
         /remote.php/dav/files/USER/"
    )]
    NoDrive {
        /// What was asked.
        url: String,
        /// How that was seen.
        reason: String,
    },
    /// The server has a problem of its own.
    #[error("{url}: the server has a problem ({status}); try again later")]
    Busy {
        /// What was asked.
        url: String,
        /// As answered.
        status: u16,
    },
}

/// A drive's root, as it was found from a URL that a person gave.
pub struct Discovered {
    /// The root, its slash at the end.
    pub root: Url,
    /// Where the JSON API is, if it is a Coffer: `…/api/v1/`.
    pub api: Option<Url>,
}

/// Connects and probes.
pub(super) async fn connect(
    url: &Url,
    login: Option<Login>,
    ca_pem: Option<&[u8]>,
) -> Result<DavDrive, ConnectError> {
    let mut root = folder(url.clone());
    let connection = made(Connection::new(login.clone(), ca_pem))?;
    let mut announced = Announced::read(&options(&connection, &root).await?);
    let drive = drive_of(root.clone());
    if announced.is_coffer() && drive != root {
        // What holds above the drive is less than what holds in it.
        root = drive;
        announced = Announced::read(&options(&connection, &root).await?);
    }
    let (found, itself) = itself(&connection, &root).await?;
    let response = &found.responses[0];
    let base = Href::parse(response.href()).ok_or_else(|| ConnectError::NoDrive {
        url: root.to_string(),
        reason: "its name for itself is no path".to_owned(),
    })?;
    let events = if announced.is_coffer() {
        let socket = made(Connection::of_version_1(login, ca_pem))?;
        events(&socket, &root).await.map(|url| (socket, url))
    } else {
        None
    };
    let found = Found {
        capabilities: Capabilities {
            strong_etags: announced.is_coffer(),
            ranges: announced.is_coffer(),
            patch: announced.patch,
            attributes_with_content: announced.attributes,
            properties: announced.is_coffer(),
            bind: announced.bind,
            changes: announced.changes,
            notices: events.is_some(),
            ids: itself.id.is_some(),
            times: announced.is_coffer(),
        },
        conditions: announced.is_coffer(),
        exact_tags: announced.is_coffer(),
        if_header: announced.is_coffer(),
        folder_tags: announced.is_coffer(),
        attributes_header: announced.attributes,
    };
    let mut inner = Inner {
        connection,
        root,
        base,
        found,
        refuses_times: AtomicBool::new(false),
        events,
    };
    if !announced.is_coffer() {
        trial::run(&inner.connection, &inner.root, &mut inner.found).await;
    }
    Ok(DavDrive {
        inner: Arc::new(inner),
    })
}

/// What OPTIONS tells.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one word of the server, and any may be missing"
)]
struct Announced {
    changes: bool,
    partial_update: bool,
    attributes: bool,
    bind: bool,
    patch: bool,
}

impl Announced {
    fn read(headers: &HeaderMap) -> Self {
        let has = |name: &str, token: &str| {
            let values = headers.get_all(name).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case(token))
        };
        Self {
            changes: has("dav", "sync-collection"),
            partial_update: has("dav", "sabredav-partialupdate"),
            attributes: has("dav", "coffer-attributes"),
            bind: has("dav", "bind"),
            patch: has("accept-patch", "multipart/byteranges"),
        }
    }

    /// Whoever reads our attributes keeps our promises (`SEMANTICS.md`): strong tags, conditions
    /// that hold in the transaction of the change, properties that stick. So did the first ones,
    /// before they had attributes.
    fn is_coffer(&self) -> bool {
        self.attributes || (self.changes && self.partial_update)
    }
}

async fn options(connection: &Connection, root: &Url) -> Result<HeaderMap, ConnectError> {
    let request = connection.request(Method::OPTIONS, root);
    let answer = connection.ask(request).await;
    let answer = answer.map_err(|fault| explain(root, fault))?;
    Ok(answer.headers().clone())
}

async fn itself(
    connection: &Connection,
    root: &Url,
) -> Result<(Multistatus, Listed), ConnectError> {
    let found = connection.propfind(root, "0", describe::PROPFIND).await;
    let found = found.map_err(|fault| explain(root, fault))?;
    let no_drive = |reason: &str| ConnectError::NoDrive {
        url: root.to_string(),
        reason: reason.to_owned(),
    };
    let listed = |response: &Response| describe::listed(response, String::new(), false);
    match found.responses.first().map(listed) {
        Some(listed) if listed.is_folder => Ok((found, listed)),
        Some(_) => Err(no_drive("it is a file")),
        None => Err(no_drive("nothing is described")),
    }
}

/// Where a Coffer's JSON API would be that has this drive: beside `dav/`, `remote.php/`, or below
/// the URL that was given.
pub fn api_of(url: &Url) -> Url {
    let segments = url.path_segments().into_iter().flatten();
    let above = segments
        .filter(|name| !name.is_empty())
        .take_while(|name| !matches!(*name, "dav" | "remote.php"));
    let above: String = above.flat_map(|name| [name, "/"]).collect();
    let mut api = url.clone();
    api.set_path(&format!("/{above}api/v1/"));
    api
}

/// The drive of a Coffer of which `url` is the drive, something in it, or the base.
pub(super) fn drive_of(url: Url) -> Url {
    let within = ["/dav/", "/remote.php/"];
    if within.iter().any(|part| url.path().contains(part)) {
        return url;
    }
    api_of(&url).join("../../dav/").unwrap_or(url)
}

/// Where the notices of a drive would be.
pub(super) fn events_of(root: &Url) -> Option<Url> {
    api_of(root).join("events").ok()
}

/// The address of the notices, if there are any: a request that is no WebSocket is told so.
async fn events(connection: &Connection, root: &Url) -> Option<Url> {
    let url = events_of(root)?;
    match connection.ask(connection.request(Method::GET, &url)).await {
        Err(Fault::Refused(refusal)) if refusal.status == StatusCode::UPGRADE_REQUIRED => Some(url),
        _ => None,
    }
}

/// Finds the drive that a person means by a URL: a Coffer's, whatever part of its address was
/// given, or the WebDAV folder at or below it.
///
/// # Errors
/// [`ConnectError`] of the URL as it was given.
pub async fn discover(
    url: &Url,
    login: &Login,
    ca_pem: Option<&[u8]>,
) -> Result<Discovered, ConnectError> {
    let connection = made(Connection::new(Some(login.clone()), ca_pem))?;
    let given = folder(url.clone());
    let api = api_of(&given);
    if is_coffer(&connection, &api).await? {
        let root = drive_of(given);
        itself(&connection, &root).await?;
        let api = Some(api);
        return Ok(Discovered { root, api });
    }
    let first = match itself(&connection, &given).await {
        Ok(_) => {
            return Ok(Discovered {
                root: given,
                api: None,
            });
        }
        Err(error @ (ConnectError::LoginRefused { .. } | ConnectError::Unreachable { .. })) => {
            return Err(error);
        }
        Err(error) => error,
    };
    let user: String = {
        let mut escaped = Vec::new();
        webdav::grammar::path::encode_into(&mut escaped, &login.user);
        String::from_utf8_lossy(&escaped).into_owned()
    };
    for below in [
        "dav/".to_owned(),
        format!("remote.php/dav/files/{user}/"),
        "webdav/".to_owned(),
    ] {
        if let Ok(root) = given.join(&below)
            && itself(&connection, &root).await.is_ok()
        {
            return Ok(Discovered { root, api: None });
        }
    }
    Err(first)
}

/// Whether the API of a Coffer is there and knows this login.
async fn is_coffer(connection: &Connection, api: &Url) -> Result<bool, ConnectError> {
    let me = api.join("me").map_err(|_| ConnectError::NoDrive {
        url: api.to_string(),
        reason: "its URL cannot have names below it".to_owned(),
    })?;
    match connection.ask(connection.request(Method::GET, &me)).await {
        Ok(answer) => {
            let kind = answer.headers().get(CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok());
            Ok(kind.is_some_and(|kind| kind.starts_with("application/json")))
        }
        Err(Fault::Transport(error)) => Err(explain(api, Fault::Transport(error))),
        Err(Fault::TooSlow) => Err(explain(api, Fault::TooSlow)),
        // Others ask for a password wherever one looks.
        Err(_) => Ok(false),
    }
}

pub(super) fn made(
    connection: Result<Connection, reqwest::Error>,
) -> Result<Connection, ConnectError> {
    connection.map_err(|error| ConnectError::BadCertificates {
        reason: chain(&error),
    })
}

/// What a failure to connect means to whoever gave the URL.
fn explain(url: &Url, fault: Fault) -> ConnectError {
    let url = url.to_string();
    let refusal = match fault {
        Fault::Refused(refusal) => refusal,
        Fault::TooSlow => {
            let reason = "it took too long".to_owned();
            return ConnectError::Unreachable { url, reason };
        }
        Fault::Transport(error) => return unreachable(url, chain(&error)),
        Fault::Nonsense(reason) => return ConnectError::NoDrive { url, reason },
        Fault::Local(error) => return unreachable(url, error.to_string()),
    };
    let status = refusal.status;
    match (status.as_u16(), refusal.location) {
        (401, _) => ConnectError::LoginRefused { url },
        (403, _) => ConnectError::Forbidden { url },
        (300..=399, Some(to)) => ConnectError::Moved { url, to },
        (429 | 500 | 502.., _) => ConnectError::Busy {
            url,
            status: status.as_u16(),
        },
        _ => ConnectError::NoDrive {
            url,
            reason: format!("it answers {status}"),
        },
    }
}

fn unreachable(url: String, reason: String) -> ConnectError {
    let lower = reason.to_ascii_lowercase();
    let is_tls = url.starts_with("https:");
    if is_tls && (lower.contains("invalidcontenttype") || lower.contains("corrupt message")) {
        let instead = url.replacen("https:", "http:", 1);
        return ConnectError::NotTls {
            url,
            reason,
            instead,
        };
    }
    // A server of TLS answers the words of HTTP with an alert.
    if !is_tls && lower.contains("invalid http version") {
        let instead = url.replacen("http:", "https:", 1);
        return ConnectError::OnlyTls {
            url,
            reason,
            instead,
        };
    }
    if is_tls && lower.contains("certificate") {
        return ConnectError::Certificate { url, reason };
    }
    ConnectError::Unreachable { url, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_lies_beside_the_drive() {
        for (url, api) in [
            ("http://h/dav/", "/api/v1/"),
            ("http://h/dav/a/dav/", "/api/v1/"),
            ("http://h", "/api/v1/"),
            ("http://h/coffer/", "/coffer/api/v1/"),
            (
                "http://h/coffer/remote.php/dav/files/alice/",
                "/coffer/api/v1/",
            ),
        ] {
            assert_eq!(api_of(&Url::parse(url).unwrap()).path(), api, "{url}");
        }
    }

    #[test]
    fn the_base_of_a_coffer_is_enough() {
        for (given, drive) in [
            ("http://h/", "/dav/"),
            ("http://h/coffer/", "/coffer/dav/"),
            ("http://h/dav/", "/dav/"),
            ("http://h/dav/a/", "/dav/a/"),
            ("http://h/remote.php/webdav/", "/remote.php/webdav/"),
        ] {
            assert_eq!(
                drive_of(Url::parse(given).unwrap()).path(),
                drive,
                "{given}"
            );
        }
    }

    #[test]
    fn an_error_says_what_can_be_done() {
        let url = "https://h/dav/".to_owned();
        let text = |reason: &str| unreachable(url.clone(), reason.to_owned()).to_string();
        assert!(text("invalid peer certificate: UnknownIssuer").contains("--ca-file"));
        let plain = "received corrupt message of type InvalidContentType";
        assert!(text(plain).contains("try http://h/dav/"));
        let secure = unreachable(
            "http://h/dav/".to_owned(),
            "invalid HTTP version parsed".to_owned(),
        );
        assert!(secure.to_string().contains("try https://h/dav/"));
        assert!(text("dns error").contains("is the address right"));
    }

    #[test]
    fn a_server_is_known_by_what_it_announces() {
        let read = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| {
                (
                    name.parse::<http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            });
            Announced::read(&fields.collect::<HeaderMap>())
        };
        let coffer = read(&[
            ("dav", "1, 2, 3, sync-collection, coffer-attributes, bind"),
            (
                "accept-patch",
                "application/x-sabredav-partialupdate, multipart/byteranges",
            ),
        ]);
        assert!(coffer.is_coffer() && coffer.patch && coffer.bind && coffer.changes);
        let other = read(&[
            ("dav", "1, 2"),
            ("dav", "<http://apache.org/dav/propset/fs/1>"),
        ]);
        assert!(!other.is_coffer() && !other.patch && !other.changes);
    }
}
