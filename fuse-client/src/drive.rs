//! A server's drive as the mount sees it.
//!
//! The mount asks for what it needs by [`Drive`] and never sees HTTP. There are two of them: one that
//! speaks WebDAV to a server, Coffer or any other, and one in memory, against which the rules of the
//! mount are tested with faults that no real server makes on demand.

pub mod dav;
#[cfg(test)]
pub(crate) mod memory;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// A place in the drive: names from its root, none of them empty, `.`, `..`, or with a `/` or NUL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DrivePath(Vec<String>);

impl DrivePath {
    /// The drive itself.
    pub const ROOT: Self = Self(Vec::new());

    /// From its names; `None` when one of them cannot be one.
    pub fn new(names: Vec<String>) -> Option<Self> {
        names
            .iter()
            .all(|name| is_name(name))
            .then_some(Self(names))
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// What lies in it under a name; `None` when that cannot be one.
    pub fn join(&self, name: &str) -> Option<Self> {
        is_name(name).then(|| {
            let mut names = self.0.clone();
            names.push(name.to_owned());
            Self(names)
        })
    }

    /// The folder it lies in and its name there; `None` for the drive itself.
    pub fn split(&self) -> Option<(Self, &str)> {
        let (name, folder) = self.0.split_last()?;
        Some((Self(folder.to_vec()), name))
    }
}

impl fmt::Display for DrivePath {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return to.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(to, "/{name}"))
    }
}

/// Whether a server can have something by this name.
pub fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// An entity tag with its quotes, strong (RFC 9110 §8.8.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// What a resource is called whatever its path (`oc:id`), where the server tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceId(pub String);

/// Up to where a client knows the drive's history (RFC 6578 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncToken(pub String);

/// What a server can do beyond RFC 4918, found out once when the drive is connected.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a yes or no of its own about the server"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capabilities {
    /// Entity tags are strong, so that conditions can protect what others wrote.
    pub strong_etags: bool,
    /// GET answers ranges.
    pub ranges: bool,
    /// Several ranges of a file are replaced and its length set by one PATCH.
    pub patch: bool,
    /// [`Attributes`] are kept with the file by the request that writes it.
    pub attributes_with_content: bool,
    /// Dead properties stick, so that [`Attributes`] and extended attributes can be kept at all.
    pub properties: bool,
    /// One node can have several names (RFC 5842).
    pub bind: bool,
    /// REPORT sync-collection of the whole drive (RFC 6578).
    pub changes: bool,
    /// Changes are told as they happen.
    pub notices: bool,
    /// [`Listed::id`] is told and kept by MOVE.
    pub ids: bool,
    /// Sets a file's time with its content (`X-OC-Mtime`, or [`Self::attributes_with_content`]).
    pub times: bool,
}

/// POSIX attributes as a server keeps them for us. What is `None` was never set.
///
/// Written as words separated by spaces: `mode=100644` (octal, with the file type), `uid=0`, `gid=0`,
/// `mtime=1700000000.123456789`, `atime=…`, `rdev=…` (decimal), `target=…` (percent-encoded bytes).
/// Kept in the property `attributes` of the namespace `urn:coffer:posix`, and on Coffer also set by
/// the header `Coffer-Attributes` of PUT, PATCH and MKCOL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// File type and permissions, as `st_mode`.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Content changed, ns since 1970. Counts only while its second is that of the server's
    /// `getlastmodified`: others may have written since.
    pub mtime_ns: Option<i64>,
    /// Read, ns since 1970.
    pub atime_ns: Option<i64>,
    /// Of a device.
    pub rdev: Option<u64>,
    /// Of a symbolic link.
    pub target: Option<Vec<u8>>,
}

/// Extended attributes: value by name. Kept in the property `xattrs` of `urn:coffer:posix`.
pub type ExtendedAttributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// A file or folder as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its last name; empty for the drive itself.
    pub name: String,
    /// Whether it is a folder (a collection).
    pub is_folder: bool,
    /// Stable name, where told.
    pub id: Option<ResourceId>,
    /// Validator of a file's content or of a folder's membership; `None` where there is no strong one.
    pub etag: Option<ETag>,
    /// Length of the content in bytes.
    pub size_bytes: u64,
    /// `getlastmodified`, ns since 1970.
    pub modified_ns: i64,
    /// Digest of the content, where told (`oc:checksums`, or what Coffer's entity tag is).
    pub sha256: Option<[u8; 32]>,
    /// What we once set, or another mount.
    pub attributes: Attributes,
    /// Likewise; empty where there are none.
    pub xattrs: ExtendedAttributes,
    /// How many names it has, where told.
    pub links: Option<u32>,
}

/// A folder and what is in it, all read by one request.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The folder.
    pub itself: Listed,
    /// Its members, in no order.
    pub members: Vec<Listed>,
}

/// A part of what changed.
#[derive(Debug, Clone)]
pub struct Changes {
    /// What is new or different; a folder may come without what is in it only if that is told apart.
    pub changed: Vec<(DrivePath, Listed)>,
    /// What is gone, folders with all that was in them.
    pub removed: Vec<DrivePath>,
    /// Where the next report begins.
    pub token: SyncToken,
    /// Whether there is more already.
    pub more: bool,
}

/// What must hold for a change to be made. The server checks it in the same step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is nothing at the path.
    Absent,
    /// What is there still has this tag.
    Unchanged(ETag),
    /// And no other name ([`Capabilities::bind`]): what is written would be there under that as well.
    Alone(ETag),
    /// Anything: only against servers without strong tags, after having looked.
    Any,
}

/// What the server says of what it stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Of the new content; `None` means: ask.
    pub etag: Option<ETag>,
    /// Stable name, where told.
    pub id: Option<ResourceId>,
}

/// Bytes to send. They come from a local file that may be sent again from its start when a
/// connection breaks, so a change is a place in a file and not a stream.
#[derive(Debug, Clone)]
pub struct Source {
    /// Opened for reading.
    pub file: std::sync::Arc<std::fs::File>,
    /// Which of its bytes.
    pub range: Range<u64>,
    /// Of these bytes, when they were looked at: if others were written meanwhile, their end is not
    /// sent, so that the server takes none of them.
    pub sha256: Option<[u8; 32]>,
    /// Of all that one request sends.
    pub progress: std::sync::Arc<Progress>,
}

impl Source {
    /// Bytes of a file that does not change while they are sent.
    pub fn new(file: std::sync::Arc<std::fs::File>, range: Range<u64>) -> Self {
        Self {
            file,
            range,
            sha256: None,
            progress: std::sync::Arc::default(),
        }
    }
}

/// How many bytes were handed over to be sent, and whether the rest is to follow.
#[derive(Debug, Default)]
pub struct Progress(AtomicU64);

impl Progress {
    const GIVEN_UP: u64 = u64::MAX;

    /// Counts bytes that are about to be handed over. `false`: nobody wants them any more, and they
    /// must stay here.
    #[must_use]
    pub fn hand_over(&self, bytes: u64) -> bool {
        let count = |sent: u64| (sent != Self::GIVEN_UP).then_some(sent.saturating_add(bytes));
        self.0.fetch_update(Relaxed, Relaxed, count).is_ok()
    }

    /// Gives up a request of so many bytes. `false`: all of them were handed over, so that the server
    /// may do what it was asked even now.
    #[must_use]
    pub fn give_up(&self, of_bytes: u64) -> bool {
        let end = |sent: u64| (sent < of_bytes).then_some(Self::GIVEN_UP);
        self.0.fetch_update(Relaxed, Relaxed, end).is_ok()
    }

    /// Those handed over. What is sent twice counts twice.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        match self.0.load(Relaxed) {
            Self::GIVEN_UP => 0,
            sent => sent,
        }
    }
}

/// Space of the drive in bytes (RFC 4331).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Taken; `None` where not told.
    pub used_bytes: Option<u64>,
    /// Left; `None` where not told.
    pub available_bytes: Option<u64>,
}

/// What a watcher of the drive hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// From now on changes are told: whatever happened before must be asked for.
    Connected,
    /// Something changed; [`Drive::changes`] says what.
    Changed,
    /// Something changed at these places, of which [`Drive::changes`] does not tell.
    ChangedAt(Vec<DrivePath>),
    /// The space that is left changed.
    Space,
    /// Changes are not told any more until the next [`Notice::Connected`].
    Lost,
}

/// Why the server did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is there, or nothing that this login may see.
    #[error("{path}: not found")]
    NotFound {
        /// What was asked for.
        path: DrivePath,
    },
    /// The folder to make something in is not there (409).
    #[error("{path}: the folder it lies in is not there")]
    NoParent {
        /// What was to be made.
        path: DrivePath,
    },
    /// The [`Condition`] does not hold (412, or 405 to MKCOL).
    #[error("{path}: somebody else has changed it")]
    Conflict {
        /// What was to be changed.
        path: DrivePath,
    },
    /// A folder that was to be empty is not.
    #[error("{path}: the folder is not empty")]
    NotEmpty {
        /// What was to be removed.
        path: DrivePath,
    },
    /// The credentials are wrong or were revoked (401).
    #[error("the server does not accept the login")]
    LoginRefused,
    /// Not with these credentials (403).
    #[error("{path}: the server does not permit it")]
    Forbidden {
        /// What was asked for.
        path: DrivePath,
    },
    /// Somebody holds a WebDAV lock (423).
    #[error("{path}: locked by somebody else")]
    Locked {
        /// What was to be changed.
        path: DrivePath,
    },
    /// The quota is used up (507, 413).
    #[error("{path}: no space is left on the server")]
    NoSpace {
        /// What was to be written.
        path: DrivePath,
    },
    /// The token is too old; everything must be listed anew.
    #[error("the server has forgotten what changed since")]
    TokenExpired,
    /// The server cannot do it, though asked for in good order.
    #[error("the server cannot do that")]
    Unsupported,
    /// What was answered makes no sense: a wrong length, another tag, a path elsewhere, a redirect.
    #[error("{path}: the server's answer makes no sense: {reason}")]
    BadAnswer {
        /// What was asked for.
        path: DrivePath,
        /// What is wrong with it.
        reason: String,
    },
    /// Not now (429, 5xx): may be asked again, no sooner than `retry_after` when given.
    #[error("{path}: the server has a problem ({status})")]
    Busy {
        /// What was asked for.
        path: DrivePath,
        /// As answered.
        status: u16,
        /// Seconds, as asked for by the server.
        retry_after: Option<u64>,
    },
    /// No connection, or none that answered before its deadline. Whether a change was made is unknown.
    #[error("no answer from the server: {reason}")]
    Unreachable {
        /// What the network said.
        reason: String,
    },
    /// A local file could not be read.
    #[error("local file")]
    Local(#[from] std::io::Error),
}

/// The answer of a server.
pub type Result<T> = std::result::Result<T, Error>;

/// A drive on a server. Every call has a deadline of its own: 10 s for words about files, and 30 s
/// without progress for their bytes. No call tries again by itself after anything was sent, unless
/// that cannot do harm. A clone is the same drive.
pub trait Drive: Clone + Send + Sync + 'static {
    /// What the server can do.
    fn capabilities(&self) -> Capabilities;

    /// Describes one file or folder.
    fn stat(&self, path: &DrivePath) -> impl Future<Output = Result<Listed>> + Send;

    /// Lists a folder.
    fn list(&self, path: &DrivePath) -> impl Future<Output = Result<Listing>> + Send;

    /// A part of what changed since `since`; everything that there is when it is `None`.
    fn changes(&self, since: Option<&SyncToken>) -> impl Future<Output = Result<Changes>> + Send;

    /// The bytes of `range` of the version `etag`, exactly as many, or an error in their place or
    /// after some of them. [`Error::Conflict`] when the file is another version by now.
    fn read(
        &self,
        path: &DrivePath,
        etag: Option<&ETag>,
        range: Range<u64>,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes>>>> + Send;

    /// Replaces or makes a file with all its content. It is there whole or not at all.
    fn write(
        &self,
        path: &DrivePath,
        content: Source,
        condition: &Condition,
        attributes: &Attributes,
    ) -> impl Future<Output = Result<Stored>> + Send;

    /// Replaces ranges of the version `etag` by the bytes at the same places of the local file, and
    /// sets its length. Others see all of it or nothing ([`Capabilities::patch`]).
    fn patch(
        &self,
        path: &DrivePath,
        parts: &[Source],
        size_bytes: u64,
        etag: &ETag,
        attributes: &Attributes,
    ) -> impl Future<Output = Result<Stored>> + Send;

    /// Makes a folder. [`Error::Conflict`] when there is something.
    fn make_folder(
        &self,
        path: &DrivePath,
        attributes: &Attributes,
    ) -> impl Future<Output = Result<Stored>> + Send;

    /// Moves a file or folder. What is at `to` is replaced only as `condition` says; `etag` is what
    /// the source must have, where known. A folder at `to` must have been proven empty and have the
    /// tag of `condition`.
    fn rename(
        &self,
        from: &DrivePath,
        to: &DrivePath,
        etag: Option<&ETag>,
        condition: &Condition,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Gives the file at `existing`, if `etag` (where known) is still its tag, one more name
    /// ([`Capabilities::bind`]). [`Error::Conflict`] when it is not, or there is something at `new`.
    fn bind(
        &self,
        existing: &DrivePath,
        new: &DrivePath,
        etag: Option<&ETag>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Deletes a file, if `etag` (where known) is still its tag.
    fn remove_file(
        &self,
        path: &DrivePath,
        etag: Option<&ETag>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Deletes a folder that is empty: [`Error::NotEmpty`] when anybody has put something into it.
    fn remove_folder(&self, path: &DrivePath) -> impl Future<Output = Result<()>> + Send;

    /// Sets attributes; `xattrs` of `None` leaves those alone, an empty map removes them.
    fn set_attributes(
        &self,
        path: &DrivePath,
        attributes: &Attributes,
        xattrs: Option<&ExtendedAttributes>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// How much space there is.
    fn space(&self) -> impl Future<Output = Result<Space>> + Send;

    /// Tells of changes for as long as it is read; it connects again by itself, with increasing
    /// pauses. Ends at once where the server tells nothing ([`Capabilities::notices`]).
    fn watch(&self) -> BoxStream<'static, Notice>;
}
