//! WebDAV locks (RFC 4918 §6, §7): rows that every mutation asks about.

pub(crate) mod rows;

use crate::cache::Effect;
use crate::caller::Caller;
use crate::condition::Condition;
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, NodeId, UserId};
use crate::mutation::{Place, Scene};
use crate::node::Node;
use crate::path::Path;
use crate::store::Store;

/// Locks that one resource may be under. Only shared ones can be many, and every listing shows all
/// of them with each member.
const MOST_OF_ONE: usize = 16;

/// A live lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The URI that proves holding it.
    pub token: String,
    /// Whether it excludes all other locks.
    pub is_exclusive: bool,
    /// Whether it covers everything below its root.
    pub is_deep: bool,
    /// What the client said about its owner, as the `DAV:owner` element.
    pub owner_xml: Option<String>,
    /// Seconds granted at the last refresh.
    pub timeout_s: u32,
    /// When it ends, milliseconds since 1970-01-01 UTC.
    pub expires_at: i64,
    /// Path of the locked resource from the drive's root, with leading slash.
    pub path: String,
    pub(crate) holder: UserId,
    pub(crate) node: NodeId,
    /// The locked node's ancestors, nearest first.
    pub(crate) ancestors: Vec<NodeId>,
}

impl Lock {
    /// Whether it was made for this itself, by whichever name, and not for a folder above it.
    pub fn is_on(&self, node: &Node) -> bool {
        self.node == node.id
    }

    /// Whether it covers `node`, whose ancestors are given.
    fn covers(&self, node: NodeId, ancestors: &[NodeId]) -> bool {
        self.node == node || (self.is_deep && ancestors.contains(&self.node))
    }

    /// Whether its root is `node` or lies below it.
    fn is_within(&self, node: NodeId) -> bool {
        self.node == node || self.ancestors.contains(&node)
    }
}

/// The live locks of a drive, with what the caller may do about them.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    live: Vec<Lock>,
}

impl Locks {
    /// Reads them, if the drive has any.
    pub fn load(tx: &mut Tx<'_>, drive: &drive::Drive, now_ms: i64) -> Result<Self> {
        if drive.lock_count == 0 {
            return Ok(Self::default());
        }
        Ok(Self {
            live: rows::live(tx, drive.id, now_ms)?,
        })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Lock> {
        self.live.iter()
    }

    /// Those that cover a node.
    pub fn covering(&self, node: NodeId, ancestors: &[NodeId]) -> impl Iterator<Item = &Lock> {
        self.live
            .iter()
            .filter(move |lock| lock.covers(node, ancestors))
    }

    /// Those whose root is the node or lies below it.
    pub fn within(&self, node: NodeId) -> impl Iterator<Item = &Lock> {
        self.live.iter().filter(move |lock| lock.is_within(node))
    }

    /// Changing one resource needs the token of a lock that covers it, if any does: of each that is
    /// exclusive, of which there are several only where a file has several names.
    pub fn require(
        &self,
        caller: &Caller,
        tokens: &[String],
        node: NodeId,
        ancestors: &[NodeId],
    ) -> Result<()> {
        let covering: Vec<&Lock> = self.covering(node, ancestors).collect();
        if covering.is_empty() {
            return Ok(());
        }
        let is_held = |lock: &&Lock| lock.holder == caller.user && tokens.contains(&lock.token);
        let (held, others): (Vec<&Lock>, Vec<&Lock>) = covering.into_iter().partition(is_held);
        if !held.is_empty() && !others.iter().any(|lock| lock.is_exclusive) {
            return Ok(());
        }
        let paths = others.iter().map(|lock| lock.path.clone()).collect();
        Err(Error::Locked { paths })
    }

    /// Removing a tree needs a token for every locked resource in it.
    pub fn require_tree(&self, caller: &Caller, tokens: &[String], root: NodeId) -> Result<()> {
        for lock in self.within(root) {
            self.require(caller, tokens, lock.node, &lock.ancestors)?;
        }
        Ok(())
    }
}

/// A lock that a client asks for.
#[derive(Debug, Clone)]
pub struct NewLock {
    /// The URI that will prove holding it.
    pub token: String,
    /// Whether it excludes all others.
    pub is_exclusive: bool,
    /// Whether it covers everything below.
    pub is_deep: bool,
    /// The `DAV:owner` element.
    pub owner_xml: Option<String>,
    /// Seconds asked for; clamped to the limit.
    pub timeout_s: u32,
}

impl Store {
    /// Locks a resource; where nothing is, an empty file is made (RFC 4918 §7.3).
    /// Answers the lock and whether a file was made.
    ///
    /// # Errors
    /// [`Error::LockConflict`], [`Error::Limit`] (too many locks), [`Error::ParentMissing`], …
    pub async fn lock(
        &self,
        caller: &Caller,
        path: &Path,
        new: NewLock,
        condition: Condition,
    ) -> Result<(Lock, bool)> {
        // What is there may be locked on a full disk: clients lock what they delete.
        let has_room = match self.require_disk() {
            Err(Error::DiskFull) => false,
            checked => checked.map(|()| true)?,
        };
        let (caller, path, world) = (caller.clone(), path.clone(), self.world().clone());
        let limits = self.options().limits.clone();
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, &world)?;
                let place = Place::find(tx, &scene, &path)?;
                scene.check(tx, &condition, &place)?;
                let (node, created) = if let Some(node) = place.node() {
                    (node.clone(), false)
                } else if !has_room {
                    return Err(Error::DiskFull);
                } else {
                    let parent = place.parent()?;
                    scene.require(&condition, parent.id, place.ancestors_of_parent())?;
                    scene.require_reachable(&path, 0, 0)?;
                    let empty = crate::upload::empty();
                    (
                        crate::upload::insert(tx, &mut scene, &place, &empty, &limits)?,
                        true,
                    )
                };
                let touched = || {
                    let (covering, within) = (
                        scene.locks.covering(node.id, place.ancestors()),
                        scene.locks.within(node.id),
                    );
                    let below = within.filter(|lock| new.is_deep && lock.node != node.id);
                    covering.chain(below)
                };
                let conflicts = touched()
                    .filter(|lock| new.is_exclusive || lock.is_exclusive)
                    .take(MOST_OF_ONE)
                    .map(|lock| lock.path.clone())
                    .collect::<Vec<_>>();
                if !conflicts.is_empty() {
                    return Err(Error::LockConflict { paths: conflicts });
                }
                // Those below count too: what they cover would be under all of them.
                if touched().count() >= MOST_OF_ONE {
                    return Err(Error::Limit {
                        what: Limited::LocksOfOne,
                        limit: MOST_OF_ONE as u64,
                    });
                }
                // Rows of expired locks make room before anyone is refused.
                if scene.drive.lock_count >= limits.locks_per_user {
                    let removed = rows::remove_expired(tx, scene.drive.id, scene.now_ms())?;
                    scene.drive.lock_count = scene.drive.lock_count.saturating_sub(removed);
                }
                if scene.drive.lock_count >= limits.locks_per_user {
                    return Err(Error::Limit {
                        what: Limited::Locks,
                        limit: limits.locks_per_user,
                    });
                }
                let timeout_s = new.timeout_s.clamp(1, limits.lock_timeout_s);
                let lock = Lock {
                    token: new.token.clone(),
                    is_exclusive: new.is_exclusive,
                    is_deep: new.is_deep,
                    owner_xml: new.owner_xml.clone(),
                    timeout_s,
                    expires_at: scene.now_ms() + i64::from(timeout_s) * 1000,
                    path: scene.full_path(&path),
                    holder: caller.user,
                    node: node.id,
                    ancestors: place.ancestors().to_vec(),
                };
                rows::insert(tx, scene.drive.id, &lock)?;
                scene.drive.lock_count += 1;
                scene.settle(tx)?;
                Ok((lock, created))
            })
            .await
    }

    /// Extends a lock that covers `path`; `timeout_s` `None` grants what it had.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when none of the tokens is a lock of the caller here.
    pub async fn refresh_lock(
        &self,
        caller: &Caller,
        path: &Path,
        timeout_s: Option<u32>,
        condition: Condition,
    ) -> Result<Lock> {
        let (caller, path, world) = (caller.clone(), path.clone(), self.world().clone());
        let longest = self.options().limits.lock_timeout_s;
        self.db()
            .write(move |tx| {
                let scene = Scene::enter(tx, &caller, &world)?;
                let place = Place::find(tx, &scene, &path)?;
                let node = place.node().ok_or(Error::NotFound)?;
                scene.check(tx, &condition, &place)?;
                let mut lock = scene
                    .locks
                    .covering(node.id, place.ancestors())
                    .find(|lock| {
                        lock.holder == caller.user && condition.lock_tokens.contains(&lock.token)
                    })
                    .cloned()
                    .ok_or(Error::PreconditionFailed)?;
                lock.timeout_s = timeout_s.unwrap_or(lock.timeout_s).clamp(1, longest);
                lock.expires_at = scene.now_ms() + i64::from(lock.timeout_s) * 1000;
                rows::extend(tx, &lock)?;
                tx.effect(Effect::Drive(scene.drive.id));
                Ok(lock)
            })
            .await
    }

    /// Removes a lock that covers `path`.
    ///
    /// # Errors
    /// [`Error::NoSuchLock`] when the token is no lock of this resource or not the caller's.
    pub async fn unlock(
        &self,
        caller: &Caller,
        path: &Path,
        token: &str,
        condition: Condition,
    ) -> Result<()> {
        let (caller, path, world) = (caller.clone(), path.clone(), self.world().clone());
        let token = token.to_owned();
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, &world)?;
                let place = Place::find(tx, &scene, &path)?;
                let node = place.node().ok_or(Error::NotFound)?;
                scene.check(tx, &condition, &place)?;
                let lock = scene
                    .locks
                    .covering(node.id, place.ancestors())
                    .find(|lock| lock.token == token && lock.holder == caller.user)
                    .ok_or(Error::NoSuchLock)?;
                rows::remove(tx, &lock.token)?;
                scene.drive.lock_count = scene.drive.lock_count.saturating_sub(1);
                scene.settle(tx)
            })
            .await
    }

    /// The live locks of the caller's drive.
    ///
    /// No statement while the drive has no lock.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn locks(&self, caller: &Caller) -> Result<DriveLocks> {
        let drive = self.drive(caller.drive).await?;
        if drive.lock_count == 0 {
            return Ok(DriveLocks::default());
        }
        let now_ms = self.world().now_ms();
        let root = caller.root;
        self.db()
            .read(move |tx| {
                let locks = Locks {
                    live: rows::live(tx, drive.id, now_ms)?,
                };
                let above = if root == drive.root {
                    Vec::new()
                } else {
                    crate::node::rows::ancestors(tx, root)?
                        .into_iter()
                        .map(|(id, _)| id)
                        .collect()
                };
                Ok(DriveLocks { locks, above })
            })
            .await
    }

    /// Removes the rows of locks that have ended, one drive at a time; how many went.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn purge_locks(&self) -> Result<u64> {
        let now_ms = self.world().now_ms();
        let drives = self
            .db()
            .read(move |tx| rows::drives_with_expired(tx, now_ms))
            .await?;
        let mut removed = 0;
        for drive in drives {
            removed += self.purge_locks_of(drive, now_ms).await?;
        }
        Ok(removed)
    }

    pub(crate) async fn purge_locks_of(&self, drive: DriveId, now_ms: i64) -> Result<u64> {
        let purged = self.db().write(move |tx| {
            let mut row = drive::rows::lock(tx, drive)?;
            let gone = rows::remove_expired(tx, drive, now_ms)?;
            row.lock_count = row.lock_count.saturating_sub(gone);
            drive::rows::settle(tx, &row)?;
            Ok(gone)
        });
        drive::unless_gone(purged.await)
    }
}

/// The live locks of a drive, to be asked about many nodes.
#[derive(Debug, Default)]
pub struct DriveLocks {
    locks: Locks,
    above: Vec<NodeId>,
}

impl DriveLocks {
    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.locks.live.is_empty()
    }

    /// The locks that cover a node; `chain` are the nodes above it, from the caller's root down.
    pub fn covering(&self, node: &Node, chain: &[NodeId]) -> Vec<&Lock> {
        let ancestors: Vec<NodeId> = chain.iter().chain(&self.above).copied().collect();
        self.locks.covering(node.id, &ancestors).collect()
    }
}
