//! What can go wrong, in terms a caller can act on. No status code lives here.

use std::fmt;
use std::io;

use crate::digest::Digest;

/// The result of every store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a limit of the service bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limited {
    /// Bytes of one dead property.
    Property,
    /// Bytes of all dead properties of one node.
    Properties,
    /// Files and folders in one drive.
    DriveNodes,
    /// Contents published by one user.
    Publications,
    /// Bytes of all dead properties in one drive.
    DriveProperties,
    /// Names of one file.
    Names,
    /// Locks in one drive.
    Locks,
    /// Locks that one resource is under.
    LocksOfOne,
    /// Uploads of one user at a time.
    Uploads,
    /// Downloads of one link, all of which are under way.
    Downloads,
    /// Links of one drive.
    Links,
    /// App passwords of one account.
    AppPasswords,
    /// Assets of one author.
    Assets,
    /// Authors of one asset, those who are asked to join included.
    AssetAuthors,
    /// Files of one asset.
    AssetFiles,
    /// Images of one asset.
    AssetImages,
    /// Bytes of one image.
    ImageBytes,
    /// Grants in one drive.
    Grants,
    /// The number that is given as a quota.
    Quota,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Property => "property size",
            Self::Properties => "properties of one resource",
            Self::DriveNodes => "files and folders of the drive",
            Self::Publications => "published contents",
            Self::DriveProperties => "properties of the drive",
            Self::Names => "names of one file",
            Self::Locks => "locks",
            Self::LocksOfOne => "locks of one resource",
            Self::Uploads => "uploads at a time",
            Self::Downloads => "downloads",
            Self::Links => "links",
            Self::AppPasswords => "app passwords",
            Self::Assets => "assets of one author",
            Self::AssetAuthors => "authors of an asset",
            Self::AssetFiles => "files of an asset",
            Self::AssetImages => "images of an asset",
            Self::ImageBytes => "bytes of an image",
            Self::Grants => "grants of the drive",
            Self::Quota => "quota_bytes",
        })
    }
}

/// Why an operation of the store failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing there, or nothing the caller may know of.
    #[error("not found")]
    NotFound,
    /// The folder that should hold it does not exist.
    #[error("the parent folder does not exist")]
    ParentMissing,
    /// The name is taken.
    #[error("already exists")]
    AlreadyExists,
    /// A folder stands where a file was wanted.
    #[error("is a folder")]
    IsFolder,
    /// A file stands where a folder was wanted.
    #[error("is not a folder")]
    NotFolder,
    /// Nobody may make an account by themselves.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Registering needs an invitation, and this is none: unknown, expired or used.
    #[error("registering needs an invitation that has not expired or been used")]
    WrongInvitation,
    /// The caller may see it but not do this to it.
    #[error("not permitted")]
    Forbidden,
    /// The root of a drive or of what is shared, or another thing that only its owner removes.
    #[error("the root of a drive or share cannot be removed, moved or replaced")]
    Protected,
    /// The name at a drive's root that stands for what others share.
    #[error(
        "the name {} is taken at the root of every drive",
        crate::reach::SHARED
    )]
    Reserved,
    /// A tree would be moved or copied onto itself, below itself or over its own ancestor.
    #[error("source and destination overlap")]
    Overlap,
    /// A file in it has other names outside, from which it cannot be parted.
    #[error("it holds a file that has another name elsewhere in the drive")]
    NamesElsewhere,
    /// A precondition of the request does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// A lock stands in the way and its token was not submitted.
    #[error("locked at {}", .paths.join(", "))]
    Locked {
        /// Paths, within the drive, of the locked resources.
        paths: Vec<String>,
    },
    /// A new lock conflicts with locks held.
    #[error("conflicting lock at {}", .paths.join(", "))]
    LockConflict {
        /// Paths, within the drive, of the resources that are locked.
        paths: Vec<String>,
    },
    /// No such lock on this resource, or not the caller's.
    #[error("no such lock")]
    NoSuchLock,
    /// The write would take the drive over its quota.
    #[error("quota exceeded: {needed_bytes} bytes needed, {free_bytes} free")]
    QuotaExceeded {
        /// Bytes the write would have charged.
        needed_bytes: u64,
        /// Bytes the drive has left.
        free_bytes: u64,
    },
    /// The server as a whole has no room for the write.
    #[error("the server has no room for this")]
    CapacityExceeded,
    /// The volume below is full, or below its reserve.
    #[error("the server's disk is full")]
    DiskFull,
    /// A limit of the service (its name, and the greatest value allowed).
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What was too large or too many.
        what: Limited,
        /// The greatest value allowed.
        limit: u64,
    },
    /// The name or path is not one a drive can hold.
    #[error("invalid name: {0}")]
    InvalidName(&'static str),
    /// Something the caller sent is not valid.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes received do not have the digest or length that was announced.
    #[error("the content does not match its announced {0}")]
    ContentMismatch(&'static str),
    /// A range or offset lies outside the content.
    #[error("the range lies outside the content of {size_bytes} bytes")]
    RangeNotSatisfiable {
        /// The content's length.
        size_bytes: u64,
    },
    /// An upload is at another offset than the request goes on from.
    #[error("the upload is at offset {offset_bytes}")]
    OffsetMismatch {
        /// Where it is.
        offset_bytes: u64,
    },
    /// Another request is bringing bytes to the same upload, or has taken it over.
    #[error("another request is at this upload")]
    UploadBusy,
    /// The change cursor is unknown or older than the history kept.
    #[error("the cursor has expired")]
    CursorExpired,
    /// User name or e-mail cannot be had.
    #[error("this user name or e-mail address cannot be used")]
    NameTaken,
    /// Wrong credentials, whichever part was wrong.
    #[error("wrong user name or password")]
    WrongCredentials,
    /// Too many failed attempts.
    #[error("too many attempts, try again in {retry_after_s} seconds")]
    TooManyAttempts {
        /// Seconds until the next attempt is looked at.
        retry_after_s: u64,
    },
    /// The one administrator left cannot be removed or demoted.
    #[error("the last administrator cannot be removed")]
    LastAdministrator,
    /// Content that should be stored is missing or damaged.
    #[error("stored content {digest} is missing or damaged")]
    Corrupt {
        /// The blob's name.
        digest: Digest,
    },
    /// A change that lost a race; asking again will do.
    #[error("busy, try again")]
    Busy,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[source] DatabaseError),
    /// A disk or file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The data cannot be opened as it stands (wrong version, wrong place).
    #[error("{0}")]
    Unusable(String),
}

/// An error of the database engine; its text is for the log, not for clients.
#[derive(Debug)]
pub struct DatabaseError(pub(crate) Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DatabaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Error {
    /// Wraps an I/O error; a full disk is told apart.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io { what, source },
        }
    }

    /// A row that cannot be what our own code wrote.
    pub(crate) fn malformed(what: &'static str) -> Self {
        Self::Database(DatabaseError(format!("malformed row: {what}").into()))
    }

    /// Whether a unique index refused a row.
    pub(crate) fn is_unique_violation(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        if let Some(error) = error.0.downcast_ref::<rusqlite::Error>() {
            return matches!(
                error.sqlite_error().map(|e| e.extended_code),
                Some(
                    rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                        | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                )
            );
        }
        error
            .0
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error)
            .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database(DatabaseError(Box::new(error))),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        match code.as_deref() {
            Some("53100") => Self::DiskFull,
            _ => Self::Database(DatabaseError(Box::new(error))),
        }
    }
}

impl From<crate::content::Error> for Error {
    fn from(error: crate::content::Error) -> Self {
        use crate::content::Error as Content;
        match error {
            Content::DiskFull => Self::DiskFull,
            Content::Corrupt { digest } => Self::Corrupt { digest },
            Content::LengthMismatch { .. } => Self::ContentMismatch("length"),
            Content::Unusable(sentence) => Self::Unusable(sentence),
            Content::Announce(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => Self::Database(DatabaseError(error)),
            },
            Content::Io { doing, source } => Self::Io {
                what: doing,
                source,
            },
        }
    }
}
