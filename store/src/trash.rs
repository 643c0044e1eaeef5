//! What was deleted, and can be had back.
//!
//! A deleted tree keeps its nodes, their ids, properties and versions, and stays charged: only the
//! entry of its root is gone. It gives way to what needs its room ([`crate::give_way`]).

pub(crate) mod rows;
#[cfg(test)]
mod tests;

use crate::access;
use crate::caller::Caller;
use crate::condition::Condition;
use crate::db::Tx;
use crate::download::Stored;
use crate::error::{Error, Result};
use crate::folder;
use crate::give_way;
use crate::id::{NodeId, UserId};
use crate::mutation::{Place, Scene};
use crate::node::{self, Node};
use crate::path::{Name, Path};
use crate::store::{Options, Store};
use crate::target::{Located, as_given};
use crate::tree;
use crate::tree::rows::Totals;

/// Names that are tried for something whose own name is taken.
const NAMES: u32 = 1000;

/// A deleted file, or a folder with all that was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// The file or folder.
    pub node: Node,
    /// Where it was.
    pub path: String,
    /// Its bytes, those of all that is in it included.
    pub size_bytes: u64,
    /// Files it is or holds.
    pub files: u64,
    /// Whoever deleted it, while that is known.
    pub deleted_by: Option<UserId>,
    /// When it was deleted, milliseconds since 1970-01-01 UTC.
    pub deleted_at: i64,
    /// When it goes at the latest, milliseconds since 1970-01-01 UTC.
    pub expires_at: i64,
}

/// What is in the trash altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Emptied {
    /// Deleted files and folders; a folder with all it held is one.
    pub items: u64,
    /// Files among all of it.
    pub files: u64,
    /// Bytes of all of it.
    pub size_bytes: u64,
}

impl Store {
    /// What was deleted, the last first: at most `limit` after the one that was deleted at that
    /// instant.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a credential that is confined to a folder.
    pub async fn trash(
        &self,
        caller: &Caller,
        after: Option<(i64, NodeId)>,
        limit: u32,
    ) -> Result<Vec<Trashed>> {
        access::require_whole_drive(caller)?;
        let drive = caller.drive;
        let found = self
            .db()
            .read(move |tx| rows::list(tx, drive, after, limit));
        let mut found = found.await?;
        for trashed in &mut found {
            trashed.expires_at = self.trash_expires_at(trashed);
        }
        Ok(found)
    }

    /// One thing that was deleted.
    ///
    /// # Errors
    /// As [`Self::trash`]; [`Error::NotFound`].
    pub async fn trashed(&self, caller: &Caller, id: NodeId) -> Result<Trashed> {
        access::require_whole_drive(caller)?;
        let drive = caller.drive;
        let found = self.db().read(move |tx| rows::find(tx, drive, id)).await?;
        let mut trashed = found.ok_or(Error::NotFound)?;
        trashed.expires_at = self.trash_expires_at(&trashed);
        Ok(trashed)
    }

    /// A deleted file and where it was, with its content.
    ///
    /// # Errors
    /// As [`Self::trashed`]; [`Error::IsFolder`].
    pub async fn open_trashed(&self, caller: &Caller, id: NodeId) -> Result<(Located, Stored)> {
        access::require_whole_drive(caller)?;
        let drive = caller.drive;
        self.db()
            .read_snapshot(move |tx| {
                let trashed = rows::find(tx, drive, id)?.ok_or(Error::NotFound)?;
                let (nodes, held) = node::rows::walk_to_content(tx, id, &Path::root())?;
                let node = nodes.into_iter().next().ok_or(Error::NotFound)?;
                let path = Path::parse(&trashed.path)?;
                let held = held.ok_or(Error::IsFolder)?;
                Ok((Located { path, node }, held.into()))
            })
            .await
    }

    /// Puts what was deleted back: to `to`, or to where it was and, if something is there by now,
    /// under another name beside it. Folders that are missing above it are made.
    ///
    /// # Errors
    /// As [`Self::trashed`], and [`Error::Forbidden`] for a credential that only reads,
    /// [`Error::AlreadyExists`] when something is at `to`, [`Error::NotFolder`] when a file is
    /// where a folder is needed, [`Error::PreconditionFailed`], [`Error::Locked`].
    pub async fn restore(
        &self,
        caller: &Caller,
        id: NodeId,
        to: Option<Path>,
        condition: Condition,
    ) -> Result<Located> {
        access::require_whole_drive(caller)?;
        self.require_disk()?;
        let (store, caller) = (self.clone(), caller.clone());
        self.write_with_room(move |tx| {
            let mut scene = Scene::enter(tx, &caller, store.world())?;
            let limits = &store.options().limits;
            let deleted = rows::take(tx, scene.drive.id, id)?.ok_or(Error::NotFound)?;
            let node = node::rows::find(tx, id)?.ok_or(Error::NotFound)?;
            let place = match &to {
                Some(to) => Place::find(tx, &scene, to)?,
                None => free_place(tx, &scene, &Path::parse(&deleted.path)?, &node)?,
            };
            if place.node().is_some() {
                return Err(Error::AlreadyExists);
            }
            scene.check(tx, &condition, &place)?;
            let folder = place.nearest_folder()?.id;
            scene.require(&condition, folder, place.ancestors_of_parent())?;
            let path = place.path().clone();
            let was = Path::parse(&deleted.path)?;
            let fits = path.depth() <= was.depth() && path.key().len() <= was.key().len();
            let (names, bytes) = if fits {
                (0, 0)
            } else {
                tree::rows::extent(tx, id)?
            };
            scene.require_reachable(&path, names, bytes)?;
            scene.drive.remove_trash(&deleted.totals);
            scene.drive.restore(&deleted.totals);
            let place = folder::make_parents(tx, &mut scene, place, limits)?;
            let parent = place.parent()?.id;
            node::rows::insert_entry(tx, parent, place.name()?, id)?;
            node::rows::membership_changed(tx, parent, scene.now_ns())?;
            tree::arrived(tx, &mut scene, &node, &path)?;
            scene.settle(tx)?;
            let path = as_given(tx, &caller, path, id)?;
            Ok(Located { path, node })
        })
        .await
    }

    /// Gives up what was deleted, for good.
    ///
    /// # Errors
    /// As [`Self::trashed`], and [`Error::Forbidden`] for a credential that only reads.
    pub async fn remove_trashed(&self, caller: &Caller, id: NodeId) -> Result<()> {
        access::require_whole_drive(caller)?;
        let (store, caller) = (self.clone(), caller.clone());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let totals = rows::totals(tx, scene.drive.id, id)?.ok_or(Error::NotFound)?;
                rows::give_up(tx, &[id])?;
                scene.drive.remove_trash(&totals);
                scene.charge(tx, totals.size_bytes, 0, None)?;
                scene.settle(tx)
            })
            .await
    }

    /// Gives up everything that was deleted, or says what that would be.
    ///
    /// # Errors
    /// As [`Self::trash`], and [`Error::Forbidden`] for a credential that only reads.
    pub async fn empty_trash(&self, caller: &Caller, dry_run: bool) -> Result<Emptied> {
        access::require_whole_drive(caller)?;
        let (store, caller) = (self.clone(), caller.clone());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let emptied = rows::sum(tx, scene.drive.id)?;
                if dry_run || emptied.items == 0 {
                    return Ok(emptied);
                }
                rows::abandon(tx, scene.drive.id)?;
                let drive = &mut scene.drive;
                drive.usage.trashed = 0;
                drive.usage.trash_bytes = 0;
                drive.trash_nodes = 0;
                drive.trash_property_bytes = 0;
                scene.charge(tx, emptied.size_bytes, 0, None)?;
                scene.settle(tx)?;
                Ok(emptied)
            })
            .await
    }

    fn trash_expires_at(&self, trashed: &Trashed) -> i64 {
        let retention = self.options().trash.retention.as_millis();
        let retention_ms = i64::try_from(retention).unwrap_or(i64::MAX);
        trashed.deleted_at.saturating_add(retention_ms)
    }
}

/// Keeps a tree whose root has just lost its entry, charged as it is; whether there is a trash to
/// keep it in.
pub(crate) fn keep(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    options: &Options,
    root: NodeId,
    path: &Path,
    totals: &Totals,
) -> Result<bool> {
    let most = options.trash.most;
    if most == 0 || options.trash.retention.is_zero() {
        return Ok(false);
    }
    let deleted = rows::Deleted {
        path: scene.full_path(path),
        totals: *totals,
    };
    let (drive, by, now_ms) = (scene.drive.id, scene.caller.user, scene.now_ms());
    rows::insert(tx, root, drive, &deleted, by, now_ms)?;
    scene.drive.add_trash(totals);
    let is_too_much = |drive: &crate::drive::Drive| drive.usage.trashed > most;
    let given_bytes = give_way::trash_while(tx, &mut scene.drive, is_too_much)?;
    scene.give_back(given_bytes);
    Ok(true)
}

/// The path, or the first beside it where nothing is.
fn free_place(tx: &mut Tx<'_>, scene: &Scene<'_>, path: &Path, node: &Node) -> Result<Place> {
    let place = Place::find(tx, scene, path)?;
    if place.node().is_none() {
        return Ok(place);
    }
    let folder = path.parent().ok_or(Error::Protected)?;
    let name = path.name().ok_or(Error::Protected)?;
    for number in 1..=NAMES {
        let other = folder.join(restored_name(name, node.is_folder(), number)?)?;
        let place = Place::find(tx, scene, &other)?;
        if place.node().is_none() {
            return Ok(place);
        }
    }
    Err(Error::AlreadyExists)
}

/// `a (restored).txt`, `a (restored 2).txt` and so on; what is too long for that is cut.
fn restored_name(name: &Name, is_folder: bool, number: u32) -> Result<Name> {
    let name = name.as_str();
    let dot = name.rfind('.').filter(|at| *at > 0 && !is_folder);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let mark = match number {
        1 => " (restored)".to_owned(),
        number => format!(" (restored {number})"),
    };
    let mut stem = stem;
    loop {
        let made = Name::new(&format!("{stem}{mark}{extension}"));
        let Some((last, _)) = stem.char_indices().next_back() else {
            return made;
        };
        if made.is_ok() {
            return made;
        }
        stem = &stem[..last];
    }
}
