//! Uploads that several requests bring, over restarts of client and daemon.
//!
//! A row says how far an upload has come; its chunks are blobs that its rows refer to, and what came
//! after the last chunk is in the row itself. Bytes are durable before the row says so (P1), the room
//! for all of them is reserved with the row (P3), and the file appears in the same transaction as
//! with any other upload (P4). Every daemon on the database can go on with it.

mod append;
mod commit;
mod purge;
pub(crate) mod rows;
mod running;
#[cfg(test)]
mod tests;

pub use self::append::{AppendOptions, Appending};
pub(crate) use self::running::Running;
use crate::access;
use crate::caller::{Caller, Via};
use crate::condition::Condition;
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, GrantId, NodeId, ReservationId, UploadId};
use crate::mutation::Scene;
use crate::path::{Name, Path};
use crate::quota;
use crate::store::Store;
use crate::target::path_of;
use crate::upload::{Order, foresee};

/// Where the file of an upload is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadTarget {
    /// At this path; folders that are missing above it are made with it.
    Path(Path),
    /// In this folder, wherever that is by then.
    Entry {
        /// The folder.
        folder: NodeId,
        /// The name in it.
        name: Name,
    },
}

/// What is said of an upload when it begins.
#[derive(Debug, Clone)]
pub struct NewResumable {
    /// Where the file is to be.
    pub target: UploadTarget,
    /// Length of the content in bytes.
    pub size_bytes: u64,
    /// Digest that the content must have.
    pub promised: Option<Digest>,
    /// The file's modification time; that of its appearance when absent.
    pub modified_ns: Option<i64>,
    /// What else the client wants to be told again.
    pub metadata: String,
    /// Entity tags of which the file that is replaced must have one, as the client wrote them.
    pub if_match: Option<String>,
    /// Entity tags of which it must have none, likewise.
    pub if_none_match: Option<String>,
}

/// An upload of several requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumable {
    /// Names it.
    pub id: UploadId,
    /// Where the file is to be.
    pub target: UploadTarget,
    /// Length of the content in bytes.
    pub size_bytes: u64,
    /// How many of them are kept.
    pub offset_bytes: u64,
    /// Digest of the content, once all of it has come.
    pub sha256: Option<Digest>,
    /// As in [`NewResumable`].
    pub metadata: String,
    /// As in [`NewResumable`].
    pub if_match: Option<String>,
    /// As in [`NewResumable`].
    pub if_none_match: Option<String>,
    /// The file that the content has become.
    pub stored: Option<UploadedFile>,
    /// Why the content did not become a file when that was last tried: a code and a sentence.
    pub failure: Option<(String, String)>,
    /// Milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// When it is forgotten unless something happens.
    pub expires_at: i64,
    pub(crate) promised: Option<Digest>,
    pub(crate) modified_ns: Option<i64>,
    pub(crate) reservation: Option<ReservationId>,
    pub(crate) drive: DriveId,
    pub(crate) root: NodeId,
    pub(crate) grant: Option<GrantId>,
}

/// The file that an upload has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedFile {
    /// Names it.
    pub node: NodeId,
    /// Its entity tag when it was stored.
    pub etag: String,
    /// Whether there was no file before.
    pub created: bool,
}

impl Resumable {
    /// Whether all bytes have come.
    pub fn is_complete(&self) -> bool {
        self.offset_bytes == self.size_bytes
    }

    /// The caller as whom the upload was begun, for its owner's request of today.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a credential that does not see as much.
    pub fn caller(&self, caller: &Caller) -> Result<Caller> {
        let is_root = self.root == caller.root;
        match self.grant {
            None if self.drive == caller.drive && (caller.whole_drive || is_root) => Ok(Caller {
                root: self.root,
                whole_drive: caller.whole_drive && is_root,
                ..caller.clone()
            }),
            Some(grant) if caller.via == Via::Own && caller.whole_drive => Ok(Caller {
                drive: self.drive,
                root: self.root,
                whole_drive: false,
                via: Via::Grant(grant),
                ..caller.clone()
            }),
            _ => Err(Error::NotFound),
        }
    }
}

impl UploadTarget {
    /// The path, as it is in this transaction.
    ///
    /// # Errors
    /// [`Error::ParentMissing`] when the folder is not there any more.
    fn path(&self, tx: &mut Tx<'_>, caller: &Caller) -> Result<Path> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Entry { folder, name } => {
                let folder = path_of(tx, caller, *folder)?.ok_or(Error::ParentMissing)?;
                folder.join(name.clone())
            }
        }
    }
}

impl Store {
    /// Begins an upload. Everything is checked, and all of its bytes are reserved, before this
    /// returns.
    ///
    /// # Errors
    /// As [`Store::begin_upload`]; [`Error::Limit`] when the caller has too many.
    pub async fn begin_resumable(
        &self,
        caller: &Caller,
        new: NewResumable,
        condition: Condition,
    ) -> Result<Resumable> {
        access::require_write(caller)?;
        let grant = match caller.via {
            Via::Own => None,
            Via::Grant(grant) => Some(grant),
            // Nobody could go on with it.
            Via::Link(_) => return Err(Error::Forbidden),
        };
        self.require_room(new.size_bytes)?;
        let now_ms = self.world().now_ms();
        let upload = Resumable {
            id: UploadId::new(self.world()),
            target: new.target,
            size_bytes: new.size_bytes,
            offset_bytes: 0,
            sha256: (new.size_bytes == 0).then_some(Digest::EMPTY),
            metadata: new.metadata,
            if_match: new.if_match,
            if_none_match: new.if_none_match,
            stored: None,
            failure: None,
            created_at: now_ms,
            expires_at: self.upload_expiry(),
            promised: new.promised,
            modified_ns: new.modified_ns,
            reservation: None,
            drive: caller.drive,
            root: caller.root,
            grant,
        };
        let (store, caller) = (self.clone(), caller.clone());
        let reservation = ReservationId::new(self.world());
        self.write_with_room(move |tx| {
            let mut upload = upload.clone();
            let limits = &store.options().limits;
            let mut scene = Scene::enter(tx, &caller, store.world())?;
            let most = limits.uploads_per_user as u64;
            if rows::count_unfinished(tx, caller.user, now_ms)? >= most {
                return Err(Error::Limit {
                    what: Limited::Uploads,
                    limit: most,
                });
            }
            let path = upload.target.path(tx, &caller)?;
            let order = Order {
                path: &path,
                condition: &condition,
                make_parents: true,
                base: None,
            };
            let needed = foresee(tx, &scene, &order, upload.size_bytes, limits)?;
            upload.reservation = (needed.more_bytes > 0).then_some(reservation);
            // Capacity is the last row of every transaction.
            rows::insert(tx, caller.user, &upload)?;
            if let Some(id) = upload.reservation {
                quota::reserve_for_good(tx, &mut scene.drive, id, needed.more_bytes)?;
                scene.settle(tx)?;
            }
            Ok(upload)
        })
        .await
    }

    /// The caller's upload; `None` where there is none, or none of theirs.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn resumable(&self, caller: &Caller, id: UploadId) -> Result<Option<Resumable>> {
        let (user, now_ms) = (caller.user, self.world().now_ms());
        let found = self
            .db()
            .read(move |tx| rows::find(tx, user, id, now_ms))
            .await?;
        Ok(found.filter(|upload| upload.caller(caller).is_ok()))
    }

    /// The caller's uploads, the oldest first: at most `limit` after the one of this id.
    ///
    /// A credential that is confined to a folder is shown those that were begun with such a one.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn resumables(
        &self,
        caller: &Caller,
        after: Option<UploadId>,
        limit: u32,
    ) -> Result<Vec<Resumable>> {
        let (user, now_ms) = (caller.user, self.world().now_ms());
        let root = (!caller.whole_drive).then_some(caller.root);
        self.db()
            .read(move |tx| rows::list(tx, user, root, now_ms, after, limit))
            .await
    }

    /// Ends a request of this daemon that is bringing bytes, keeping what has come; whoever asks how
    /// far an upload is has given up on it. Returns once it has ended.
    pub async fn end_append(&self, id: UploadId) {
        self.running().end(id).await;
    }

    /// When an upload expires at which something happens now.
    fn upload_expiry(&self) -> i64 {
        let age = self.options().limits.upload_max_age.as_millis();
        let age = i64::try_from(age).unwrap_or(i64::MAX);
        self.world().now_ms().saturating_add(age)
    }
}
