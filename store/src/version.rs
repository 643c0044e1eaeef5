//! What a file held before it was overwritten.
//!
//! A version takes over the reference of the content that a file gives up, and stays charged. It
//! gives way to what needs its room ([`crate::give_way`]), and goes with its file.

pub(crate) mod rows;
#[cfg(test)]
mod tests;

use crate::access;
use crate::caller::Caller;
use crate::condition::Condition;
use crate::db::Tx;
use crate::download::Stored;
use crate::drive;
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId, VersionId};
use crate::mutation::{Place, Scene};
use crate::node::rows::FileRow;
use crate::node::{self, Body, FileContent, Kind, Node};
use crate::quota::Bill;
use crate::reference;
use crate::store::{Store, VersionOptions};
use crate::sweep::at_once;
use crate::target::{Located, Target, as_given};

/// Versions that one transaction purges.
const VERSIONS: u32 = 500;

/// A content that a file had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Names it.
    pub id: VersionId,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What it is, and where.
    pub content: FileContent,
    /// The file's modification time then, nanoseconds since 1970-01-01 UTC.
    pub modified_ns: i64,
    /// When it was overwritten, milliseconds since 1970-01-01 UTC.
    pub replaced_at: i64,
    /// When it goes at the latest, milliseconds since 1970-01-01 UTC.
    pub expires_at: i64,
}

impl Version {
    /// The entity tag the file had with it, with its quotes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.content.tag)
    }

    /// The file as it was with it.
    fn of(&self, node: &Node) -> Node {
        Node {
            kind: Kind::File(self.content),
            size_bytes: self.size_bytes,
            modified_ns: self.modified_ns,
            ..node.clone()
        }
    }
}

impl Store {
    /// The versions of a file, the newest first: at most `limit` after the one that was replaced at
    /// that instant.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a credential that is confined to a folder, and in another's drive for
    /// one that does not write there; [`Error::NotFound`], [`Error::IsFolder`].
    pub async fn versions(
        &self,
        caller: &Caller,
        file: &Target,
        after: Option<(i64, VersionId)>,
        limit: u32,
    ) -> Result<Vec<Version>> {
        access::require_history(caller)?;
        let (store, caller, file) = (self.clone(), caller.clone(), file.clone());
        self.db()
            .read_snapshot(move |tx| {
                let located = file_at(tx, &caller, &file)?;
                let mut versions = rows::list(tx, located.node.id, after, limit)?;
                for version in &mut versions {
                    version.expires_at = store.version_expires_at(version);
                }
                Ok(versions)
            })
            .await
    }

    /// A file as it was with one of its versions, and that content.
    ///
    /// # Errors
    /// As [`Self::versions`].
    pub async fn open_version(
        &self,
        caller: &Caller,
        file: &Target,
        id: VersionId,
    ) -> Result<(Located, Stored)> {
        access::require_history(caller)?;
        let (caller, file) = (caller.clone(), file.clone());
        self.db()
            .read_snapshot(move |tx| {
                let mut located = file_at(tx, &caller, &file)?;
                let found = rows::find(tx, located.node.id, id)?;
                let (version, held) = found.ok_or(Error::NotFound)?;
                located.node = version.of(&located.node);
                Ok((located, held.into()))
            })
            .await
    }

    /// Gives a file the content of one of its versions; what it holds becomes a version instead,
    /// however young the newest is.
    ///
    /// # Errors
    /// As [`Self::versions`], and [`Error::Forbidden`] for a credential that only reads,
    /// [`Error::PreconditionFailed`], [`Error::Locked`].
    pub async fn restore_version(
        &self,
        caller: &Caller,
        file: &Target,
        id: VersionId,
        condition: Condition,
    ) -> Result<Located> {
        access::require_history(caller)?;
        let (store, caller, file) = (self.clone(), caller.clone(), file.clone());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let path = file.path(tx, &caller)?;
                let place = Place::find(tx, &scene, &path)?;
                let node = place.node().ok_or(Error::NotFound)?;
                let content = node.content().ok_or(Error::IsFolder)?;
                scene.check(tx, &condition, &place)?;
                scene.require(&condition, node.id, place.ancestors())?;
                let version = rows::take(tx, node.id, id)?.ok_or(Error::NotFound)?;
                scene.drive.remove_version(version.size_bytes);
                if node.size_bytes > 0 {
                    insert(tx, &mut scene, node, content)?;
                }
                // The content comes from another time, the change is of now.
                let file = FileRow {
                    size_bytes: version.size_bytes,
                    content: version.content,
                    modified_ns: scene.now_ns(),
                    attributes: None,
                };
                node::rows::replace_content(tx, node.id, &file)?;
                let path = as_given(tx, &caller, path, node.id)?;
                scene.changed(tx, node, &path)?;
                scene.settle(tx)?;
                let node = Node {
                    modified_ns: file.modified_ns,
                    ..version.of(node)
                };
                Ok(Located { path, node })
            })
            .await
    }

    /// Gives up a version of a file, which only the owner of the drive does.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for everybody else, and for a credential that only reads or is confined to
    /// a folder; [`Error::NotFound`], [`Error::IsFolder`].
    pub async fn remove_version(
        &self,
        caller: &Caller,
        file: &Target,
        id: VersionId,
    ) -> Result<()> {
        access::require_whole_drive(caller)?;
        let (store, caller, file) = (self.clone(), caller.clone(), file.clone());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let located = file_at(tx, &caller, &file)?;
                let found = rows::find(tx, located.node.id, id)?;
                let (version, _) = found.ok_or(Error::NotFound)?;
                rows::give_up(tx, &[id])?;
                scene.drive.remove_version(version.size_bytes);
                scene.charge(tx, version.size_bytes, 0, None)?;
                scene.settle(tx)
            })
            .await
    }

    fn version_expires_at(&self, version: &Version) -> i64 {
        let retention = self.options().versions.retention.as_millis();
        let retention_ms = i64::try_from(retention).unwrap_or(i64::MAX);
        version.replaced_at.saturating_add(retention_ms)
    }
}

fn file_at(tx: &mut Tx<'_>, caller: &Caller, file: &Target) -> Result<Located> {
    let located = file.locate(tx, caller)?.ok_or(Error::NotFound)?;
    if located.node.is_folder() {
        return Err(Error::IsFolder);
    }
    Ok(located)
}

/// Keeps what a file holds, which is about to be replaced by `new`; whether it is kept, with its
/// reference and its charge.
///
/// Not kept is what is empty or comes again, and what is replaced so soon after the last version
/// that the two would hardly differ.
pub(crate) fn keep(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    options: &VersionOptions,
    node: &Node,
    new: &FileContent,
) -> Result<bool> {
    let Some(content) = node.content().filter(|old| old.tag != new.tag) else {
        return Ok(false);
    };
    if options.most == 0 || options.retention.is_zero() || node.size_bytes == 0 {
        return Ok(false);
    }
    let (count, newest_at) = if scene.drive.usage.versions > 0 {
        rows::count(tx, node.id)?
    } else {
        (0, None)
    };
    let interval_ms = i64::try_from(options.interval.as_millis()).unwrap_or(i64::MAX);
    if newest_at.is_some_and(|at| scene.now_ms().saturating_sub(at) < interval_ms) {
        return Ok(false);
    }
    insert(tx, scene, node, content)?;
    if let Some(surplus) = (count + 1).checked_sub(options.most).filter(|n| *n > 0) {
        let oldest = rows::oldest_of(tx, node.id, surplus)?;
        scene.give_up(tx, &oldest)?;
    }
    Ok(true)
}

/// Makes what a file holds one of its versions.
fn insert(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    node: &Node,
    content: &FileContent,
) -> Result<()> {
    let id = VersionId::new(scene.world);
    rows::insert(tx, id, node, content, scene.now_ms())?;
    scene.drive.add_version(node.size_bytes);
    Ok(())
}

/// Gives up the versions of a file that goes.
pub(crate) fn give_up_of(tx: &mut Tx<'_>, scene: &mut Scene<'_>, node: NodeId) -> Result<()> {
    if scene.drive.usage.versions == 0 {
        return Ok(());
    }
    for size_bytes in rows::give_up_of(tx, &[node])? {
        scene.drive.remove_version(size_bytes);
        scene.charge(tx, size_bytes, 0, None)?;
    }
    Ok(())
}

/// Gives up the versions of nodes that are purged, whose drive may be gone.
pub(crate) fn abandon(tx: &mut Tx<'_>, drive: DriveId, nodes: &[NodeId]) -> Result<()> {
    if !rows::is_any(tx, nodes)? {
        return Ok(());
    }
    let drive = match drive::rows::lock(tx, drive) {
        Err(Error::NotFound) => None,
        drive => Some(drive?),
    };
    let sizes = rows::give_up_of(tx, nodes)?;
    let Some(mut drive) = drive else {
        return Ok(());
    };
    let mut bill = Bill::default();
    for size_bytes in sizes {
        drive.remove_version(size_bytes);
        bill.charge(tx, &mut drive, size_bytes, 0, None)?;
    }
    bill.settle(tx, &drive)
}

/// Drops the references of some versions that were given up; whether there were any.
pub(crate) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<bool> {
    let mut goes = rows::given_up(tx, VERSIONS)?;
    goes.truncate(at_once(goes.iter().map(|(_, size_bytes, _)| *size_bytes)));
    let bodies: Vec<Body> = goes.iter().map(|(_, _, body)| *body).collect();
    reference::release(tx, bodies, now_ms)?;
    rows::remove(tx, goes.iter().map(|(id, _, _)| *id))?;
    Ok(!goes.is_empty())
}
