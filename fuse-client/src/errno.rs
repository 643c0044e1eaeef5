//! What went wrong, and the one table from it to the numbers of system calls.

use rustix::io::Errno;

use crate::drive::Error;

/// Anything that can go wrong inside the mount.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A rule of the file system.
    #[error("{0}")]
    Rule(#[from] Errno),
    /// The server.
    #[error(transparent)]
    Drive(#[from] Error),
    /// The local state.
    #[error("local state: {0}")]
    State(#[from] rusqlite::Error),
    /// A local file.
    #[error("local file: {0}")]
    Local(#[from] std::io::Error),
}

impl Fault {
    /// As a system call tells it.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Rule(errno) => *errno,
            Self::Drive(error) => of(error),
            Self::State(error) => {
                tracing::error!(%error, "the local state cannot be used");
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
                    Errno::NOSPC
                } else {
                    Errno::IO
                }
            }
            Self::Local(error) => local(error),
        }
    }
}

impl From<Fault> for Errno {
    fn from(fault: Fault) -> Self {
        fault.errno()
    }
}

fn local(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The number for an error of the server.
pub fn of(error: &Error) -> Errno {
    match error {
        Error::NotFound { .. } | Error::NoParent { .. } => Errno::NOENT,
        Error::Conflict { .. } => Errno::STALE,
        Error::NotEmpty { .. } => Errno::NOTEMPTY,
        Error::LoginRefused | Error::Forbidden { .. } => Errno::ACCESS,
        Error::Locked { .. } => Errno::BUSY,
        Error::NoSpace { .. } => Errno::DQUOT,
        Error::Unsupported => Errno::OPNOTSUPP,
        Error::TokenExpired | Error::BadAnswer { .. } | Error::Busy { .. } => Errno::IO,
        Error::Unreachable { .. } => Errno::TIMEDOUT,
        Error::Local(error) => local(error),
    }
}
