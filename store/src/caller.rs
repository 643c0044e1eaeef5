//! Who is behind a request, and what their credential allows.

use crate::id::{DriveId, LoginId, NodeId, UserId};

/// What an account may do beyond its own drive (A10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nothing.
    User,
    /// Administers accounts and the server; sees nobody's files.
    Administrator,
}

impl Access {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Administrator => "administrator",
        }
    }
}

/// The principal behind a request, as verified by a credential.
///
/// Paths of a caller start at `root`: the drive's root, or the one folder that
/// an app password is confined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// Its name, for logs.
    pub username: std::sync::Arc<str>,
    /// Its rights on the server.
    pub access: Access,
    /// Its drive.
    pub drive: DriveId,
    /// Where its paths start.
    pub root: NodeId,
    /// Whether `root` is the drive's own root.
    pub whole_drive: bool,
    /// Whether the credential only allows reading.
    pub read_only: bool,
    /// The log-in the credential belongs to, when it is one.
    pub login: Option<LoginId>,
}
