//! What one request brings along: dav-server hands it back to us with every call.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use dav_server::davpath::DavPath;
use dav_server::fs::FsError;
use store::{Attributes, Caller, Condition, Error, Lock, Node, Path, Store};

use crate::grammar::timeout::Timeout;

/// The words of a request that dav-server would lose on the way, and the place where what
/// really happened is written down.
///
/// It takes the place of dav-server's credentials, which are cloned freely: hence the `Arc`.
pub(super) type Credentials = Arc<Context>;

/// See [`Credentials`].
pub(super) struct Context {
    pub store: Store,
    pub caller: Caller,
    /// The resource that the condition is about.
    pub target: Path,
    pub condition: Condition,
    /// What LOCK asks for.
    pub wish: Option<Wish>,
    /// What a folder that is made is to have.
    pub attributes: Option<Attributes>,
    outcome: Mutex<Outcome>,
}

/// What a LOCK request asks for beyond scope and depth, which dav-server passes on itself.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// The token a new lock gets.
    pub token: String,
    /// `DAV:owner` as the client wrote it.
    pub owner_xml: Option<String>,
    /// None when the client did not say.
    pub timeout: Option<Timeout>,
}

/// What the adapters did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why the store refused: the truth behind any [`FsError`] we gave.
    pub error: Option<Error>,
    /// The lock granted or refreshed, and whether a file was made for it.
    pub lock: Option<(Lock, bool)>,
    /// What the target was found to be.
    pub node: Option<Node>,
}

impl Context {
    pub fn new(
        store: Store,
        caller: Caller,
        target: Path,
        condition: Condition,
        wish: Option<Wish>,
        attributes: Option<Attributes>,
    ) -> Credentials {
        Arc::new(Self {
            store,
            caller,
            target,
            condition,
            wish,
            attributes,
            outcome: Mutex::default(),
        })
    }

    pub fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().expect("no panic while held")
    }

    /// Takes what happened, at the end of the request.
    pub fn take_outcome(&self) -> Outcome {
        std::mem::take(&mut *self.outcome())
    }

    /// Writes down why the store refused, and names the error of dav-server nearest to it.
    pub fn refuse(&self, error: Error) -> FsError {
        let named = nearest(&error);
        // The first refusal is the cause of those that follow.
        self.outcome().error.get_or_insert(error);
        named
    }

    /// The path that dav-server speaks of, which it has decoded.
    pub fn path(&self, path: &DavPath) -> Result<Path, FsError> {
        let invalid = |reason| self.refuse(Error::InvalidName(reason));
        let text = str::from_utf8(path.as_bytes()).map_err(|_| invalid("a path is UTF-8"))?;
        Path::parse(text).map_err(|error| self.refuse(error))
    }

    /// The condition under which `path` may be changed: headers speak of the target, lock tokens
    /// of anything.
    pub fn condition(&self, path: &Path) -> Condition {
        if *path == self.target {
            self.condition.clone()
        } else {
            Condition {
                lock_tokens: self.condition.lock_tokens.clone(),
                ..Condition::default()
            }
        }
    }

    /// What is at `path`.
    pub async fn find(&self, path: &DavPath) -> Result<Node, FsError> {
        let path = self.path(path)?;
        match self.store.find(&self.caller, &path).await {
            Ok(Some(found)) => {
                if path == self.target {
                    self.outcome().node = Some(found.node.clone());
                }
                Ok(found.node.clone())
            }
            // Not a refusal yet: LOCK and MKCOL go on from here.
            Ok(None) => Err(FsError::NotFound),
            Err(error) => Err(self.refuse(error)),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The nearest of dav-server's errors. Its handlers only branch on it: the answer is made from
/// the error written down.
fn nearest(error: &Error) -> FsError {
    match error {
        Error::NotFound | Error::ParentMissing => FsError::NotFound,
        Error::AlreadyExists => FsError::Exists,
        Error::QuotaExceeded { .. }
        | Error::CapacityExceeded
        | Error::DiskFull
        | Error::Limit { .. } => FsError::InsufficientStorage,
        Error::Database(_)
        | Error::Io { .. }
        | Error::Corrupt { .. }
        | Error::Busy
        | Error::Unusable(_) => FsError::GeneralFailure,
        _ => FsError::Forbidden,
    }
}
