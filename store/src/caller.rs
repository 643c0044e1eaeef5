//! Who is behind a request, and what their credential allows.

use crate::error::{Error, Result};
use crate::id::{AppPasswordId, DriveId, GrantId, LinkId, LoginId, NodeId, UserId};

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

    /// Reads the word.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is neither `user` nor `administrator`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "user" => Ok(Self::User),
            "administrator" => Ok(Self::Administrator),
            _ => Err(Error::Invalid {
                field: "access",
                reason: "must be user or administrator".into(),
            }),
        }
    }
}

/// What leads a caller to the drive that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// It is their own.
    Own,
    /// Its owner gave them rights on `root` and what lies below.
    Grant(GrantId),
    /// They hold the secret of a link to `root`.
    Link(LinkId),
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
    /// The app password that the credential is, when it is one.
    pub app_password: Option<AppPasswordId>,
    /// What leads to the drive.
    pub via: Via,
    /// The version of the account's credentials, when the credential is its password.
    pub password_version: Option<i64>,
}

impl Caller {
    /// The link that it comes by, if it does.
    pub fn link(&self) -> Option<LinkId> {
        match self.via {
            Via::Link(link) => Some(link),
            Via::Own | Via::Grant(_) => None,
        }
    }

    /// Whether the credential stands for the person, not for one of their devices: only
    /// then may it change the account.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when it is an app password or a link.
    pub fn require_person(&self) -> Result<()> {
        match self.app_password {
            None if self.link().is_none() => Ok(()),
            _ => Err(Error::Forbidden),
        }
    }
}

/// On whose behalf accounts are administered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Whoever may run the daemon's own commands on the machine.
    Console,
    /// An account, which must be an administrator's at the time of the change.
    User(UserId),
}

impl Actor {
    /// The account, where there is one.
    pub(crate) fn user(self) -> Option<UserId> {
        match self {
            Self::Console => None,
            Self::User(user) => Some(user),
        }
    }
}

impl TryFrom<&Caller> for Actor {
    type Error = Error;

    /// # Errors
    /// [`Error::Forbidden`] when the caller is no administrator, or uses an app password.
    fn try_from(caller: &Caller) -> Result<Self> {
        caller.require_person()?;
        match caller.access {
            Access::Administrator => Ok(Self::User(caller.user)),
            Access::User => Err(Error::Forbidden),
        }
    }
}
