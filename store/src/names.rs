//! Files with several names (hard links; RFC 5842).
//!
//! `node.links` says how many names a file has, nearly always one, and each rule asks for the others
//! only where it is more. All names of a file lie in one tree: in its drive, or in one tree of the
//! trash. What goes away while the file stays elsewhere is a name, with nothing that hangs on the
//! file; with its last name the file goes as any other does.

pub(crate) mod rows;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, HashSet};

use crate::access;
use crate::cache::Effect;
use crate::caller::{Caller, Via};
use crate::change::ChangeKind;
use crate::condition::Condition;
use crate::db::Tx;
use crate::drive::Drive;
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, NodeId, UserId};
use crate::lock::Locks;
use crate::mutation::{Place, Scene};
use crate::node::{self, Node};
use crate::path::{Name, Path};
use crate::store::Store;
use crate::target::{as_given, ways_down};
use crate::tree::{TransferOptions, Transferred, arrived, clear};

/// Names of one file: a change is told under each of them.
pub(crate) const MOST: u64 = 1000;

impl Store {
    /// How many names each of these files of a drive has below a folder; one that is not below it, or
    /// is itself what is asked about in place of a folder, is told by one.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn names_below(
        &self,
        drive: DriveId,
        root: NodeId,
        files: Vec<NodeId>,
    ) -> Result<HashMap<NodeId, u64>> {
        self.db()
            .read(move |tx| {
                let mut counts = HashMap::with_capacity(files.len());
                for file in &files {
                    let ways = ways_down(tx, drive, root, *file)?;
                    counts.insert(*file, ways.len().max(1) as u64);
                }
                Ok(counts)
            })
            .await
    }

    /// Gives a file one more name: `name` in `folder`, which the condition is about. Both lie in the
    /// caller's own drive. What has the name already is replaced as by a move; if it is the file
    /// itself, nothing is done.
    ///
    /// # Errors
    /// [`Error::ParentMissing`] and [`Error::NotFolder`] for the folder; [`Error::NotFound`] and
    /// [`Error::IsFolder`] for the file; [`Error::AlreadyExists`] when the name is taken and may not
    /// be replaced; [`Error::Overlap`] when a folder that holds the file would be;
    /// [`Error::Forbidden`] in another's drive; [`Error::Locked`] also while another holds an
    /// exclusive lock on the file; [`Error::Limit`], …
    pub async fn bind(
        &self,
        caller: &Caller,
        folder: &Path,
        name: Name,
        file: &Path,
        overwrite: bool,
        condition: Condition,
    ) -> Result<Transferred> {
        if caller.via != Via::Own {
            return Err(Error::Forbidden);
        }
        self.require_disk()?;
        let to = folder.join(name)?;
        let (store, caller, folder) = (self.clone(), caller.clone(), folder.clone());
        let file = file.clone();
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let into = Place::find(tx, &scene, &folder)?;
                scene.check(tx, &condition, &into)?;
                let parent = into.node().ok_or(Error::ParentMissing)?;
                if !parent.is_folder() {
                    return Err(Error::NotFolder);
                }
                let source = Place::find(tx, &scene, &file)?;
                let node = source.node().ok_or(Error::NotFound)?.clone();
                if node.is_folder() {
                    return Err(Error::IsFolder);
                }
                require_free(&scene, &source, &node)?;
                let target = Place::find(tx, &scene, &to)?;
                let options = TransferOptions {
                    overwrite,
                    shallow: false,
                    modified_ns: None,
                };
                let is_there = target.node().is_some_and(|there| there.id == node.id);
                let replaced = if is_there && overwrite {
                    true
                } else if to.contains(&file) && overwrite {
                    return Err(Error::Overlap);
                } else {
                    clear(tx, &mut scene, &store, &target, options, &condition)?
                };
                if !is_there {
                    add(tx, &mut scene, &store, &node, &target)?;
                    scene.settle(tx)?;
                }
                let node = node::rows::find(tx, node.id)?.ok_or(Error::NotFound)?;
                Ok(Transferred {
                    path: as_given(tx, &caller, to.clone(), node.id)?,
                    node,
                    created: !replaced,
                })
            })
            .await
    }
}

/// Refuses a name for what another has locked: in a folder that somebody else has locked nobody could
/// write to it any more.
fn require_free(scene: &Scene<'_>, file: &Place, node: &Node) -> Result<()> {
    let covering = scene.locks.covering(node.id, file.ancestors());
    let others = covering.filter(|lock| lock.is_exclusive && lock.holder != scene.caller.user);
    let paths: Vec<String> = others.map(|lock| lock.path.clone()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(Error::Locked { paths })
}

/// Gives a file a name that is free.
fn add(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    store: &Store,
    node: &Node,
    target: &Place,
) -> Result<()> {
    let limits = &store.options().limits;
    // Rows of names cost as much as those of files.
    scene.drive.add_nodes(1, limits)?;
    scene.fit_trash(tx, limits)?;
    let links = rows::add(tx, node.id)?;
    if links == 2 {
        // Links and offers go on to tell the name that it had.
        rows::tell_name(tx, node.id)?;
    }
    if links > MOST {
        return Err(Error::Limit {
            what: Limited::Names,
            limit: MOST,
        });
    }
    let parent = target.parent()?.id;
    node::rows::insert_entry(tx, parent, target.name()?, node.id)?;
    node::rows::membership_changed(tx, parent, scene.now_ns())?;
    arrived(tx, scene, node, target.path())?;
    count_told(tx, scene, node.id)
}

/// Takes one of several names away.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    node: NodeId,
) -> Result<()> {
    node::rows::remove_entry(tx, place.parent()?.id, place.name()?)?;
    rows::remove(tx, node, 1)?;
    scene.drive.remove_names(1);
    scene.touch(tx, place.path());
    count_told(tx, scene, node)?;
    if scene.drive.shares > 0 {
        place_told(tx, scene, node)?;
        end_unreached(tx, scene, &HashSet::from([node]))?;
    }
    Ok(())
}

/// Tells caches how many names a file has now. The history does not tell it under each of them: whoever
/// deletes a folder of ten thousand would write as many lines.
fn count_told(tx: &mut Tx<'_>, scene: &Scene<'_>, node: NodeId) -> Result<()> {
    for key in keys(tx, &scene.drive, node)? {
        tx.effect(Effect::Path(scene.drive.id, key));
    }
    Ok(())
}

/// Says in the history where a file is that has lost a name: whoever it is shared with follows it by
/// one of them.
fn place_told(tx: &mut Tx<'_>, scene: &mut Scene<'_>, node: NodeId) -> Result<()> {
    match keys(tx, &scene.drive, node)?.first() {
        Some(key) => scene.record_key(tx, ChangeKind::Changed, node, key),
        None => Ok(()),
    }
}

/// Takes out of a tree that goes away the names of files that stay, since they have others elsewhere;
/// whether there were any. Who removes the tree tells caches of it.
pub(crate) fn detach(tx: &mut Tx<'_>, scene: &mut Scene<'_>, root: NodeId) -> Result<bool> {
    let names = staying(tx, root)?;
    if names.is_empty() {
        return Ok(false);
    }
    let mut gone: HashMap<NodeId, u64> = HashMap::new();
    for name in &names {
        rows::remove_entry(tx, name)?;
        node::rows::membership_changed(tx, name.parent, scene.now_ns())?;
        *gone.entry(name.node).or_default() += 1;
    }
    for (node, count) in &gone {
        rows::remove(tx, *node, *count)?;
    }
    if scene.drive.shares > 0 {
        // Those that are shared themselves: of the others it is enough that the tree has gone.
        for node in rows::shared(tx, scene.drive.id)? {
            if gone.contains_key(&node) {
                place_told(tx, scene, node)?;
            }
        }
        end_unreached(tx, scene, &gone.keys().copied().collect())?;
    }
    scene.drive.remove_names(names.len() as u64);
    // Locks of these files do not lie in the tree any more.
    scene.locks = Locks::load(tx, &scene.drive, scene.now_ms())?;
    Ok(true)
}

/// Ends the locks on files that have lost names of receivers who may not write there any more, by the
/// names that are left: nobody could for as long as those last.
fn end_unreached(tx: &mut Tx<'_>, scene: &mut Scene<'_>, files: &HashSet<NodeId>) -> Result<()> {
    let of_files = scene.locks.all().filter(|lock| files.contains(&lock.node));
    let held: Vec<(String, UserId, NodeId)> = of_files
        .map(|lock| (lock.token.clone(), lock.holder, lock.node))
        .collect();
    if held.is_empty() {
        return Ok(());
    }
    let owner = rows::owner(tx, scene.drive.id)?;
    for (token, holder, node) in held {
        if holder == owner {
            continue;
        }
        let right = access::granted(tx, holder, node)?;
        if !right.is_some_and(|right| right.can_write) {
            scene.drop_lock(tx, &token)?;
        }
    }
    Ok(())
}

/// Refuses what would part the names of a file: some in the tree, others not.
///
/// # Errors
/// [`Error::NamesElsewhere`].
pub(crate) fn require_together(tx: &mut Tx<'_>, root: &Node) -> Result<()> {
    let is_parted = if root.is_folder() {
        !staying(tx, root.id)?.is_empty()
    } else {
        root.links > 1
    };
    if is_parted {
        return Err(Error::NamesElsewhere);
    }
    Ok(())
}

/// Files in a tree that have names outside of it.
pub(crate) fn files_staying(tx: &mut Tx<'_>, root: NodeId) -> Result<HashSet<NodeId>> {
    let names = staying(tx, root)?;
    Ok(names.into_iter().map(|name| name.node).collect())
}

/// Names in a tree of files that have others outside of it.
fn staying(tx: &mut Tx<'_>, root: NodeId) -> Result<Vec<rows::Within>> {
    let mut names = rows::within(tx, root)?;
    let mut inside: HashMap<NodeId, u64> = HashMap::new();
    for name in &names {
        *inside.entry(name.node).or_default() += 1;
    }
    names.retain(|name| inside[&name.node] < name.links);
    Ok(names)
}

/// All paths of a node from the drive's root, as caches and the journal know them.
pub(crate) fn keys(tx: &mut Tx<'_>, drive: &Drive, node: NodeId) -> Result<Vec<String>> {
    rows::keys(tx, drive.root, node)
}
