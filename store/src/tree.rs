//! Whole trees: copied and deleted, each in one transaction.

pub(crate) mod rows;

use std::collections::{BTreeMap, HashMap};

use crate::cache::Effect;
use crate::caller::Caller;
use crate::change::ChangeKind;
use crate::condition::Condition;
use crate::db::Tx;
use crate::drive::Drive;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::mutation::{Place, Scene};
use crate::names;
use crate::node::{self, Kind, Node};
use crate::path::Path;
use crate::property;
use crate::reference::{self, CopiedBody};
use crate::store::{Limits, Store};
use crate::target::{Destination, Located, Target, as_given};
use crate::{trash, version};

/// How COPY and MOVE treat what they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferOptions {
    /// Whether something at the destination is replaced, or refused.
    pub overwrite: bool,
    /// Whether a folder is copied without its members.
    pub shallow: bool,
    /// The modification time the target gets, instead of the source's.
    pub modified_ns: Option<i64>,
}

/// The outcome of COPY or MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// Where it came to be.
    pub path: Path,
    /// What is at the destination now.
    pub node: Node,
    /// Whether the destination was empty before.
    pub created: bool,
}

impl Store {
    /// Deletes a file, or a folder with everything in it, into the trash; what it was and where.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Protected`] for the root, [`Error::Locked`], …
    pub async fn delete(
        &self,
        caller: &Caller,
        target: impl Into<Target> + Send,
        condition: Condition,
    ) -> Result<Located> {
        let (store, caller, target) = (self.clone(), caller.clone(), target.into());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let path = target.path(tx, &caller)?;
                let place = Place::find(tx, &scene, &path)?;
                scene.check(tx, &condition, &place)?;
                let node = place.node().ok_or(Error::NotFound)?.clone();
                let parent = place.parent()?.id;
                scene.require(&condition, parent, place.ancestors_of_parent())?;
                scene.require_tree(&condition, &place, node.id)?;
                let path = as_given(tx, &caller, path, node.id)?;
                scene.record(tx, ChangeKind::removal(&node), node.id, &path)?;
                remove(tx, &mut scene, &store, &place, &node)?;
                node::rows::membership_changed(tx, parent, scene.now_ns())?;
                scene.settle(tx)?;
                Ok(Located { path, node })
            })
            .await
    }

    /// Copies; content is referred to once more, no byte of it is copied.
    ///
    /// # Errors
    /// As [`Self::move_tree`], and [`Error::QuotaExceeded`].
    pub async fn copy_tree(
        &self,
        caller: &Caller,
        from: impl Into<Target> + Send,
        to: impl Into<Destination> + Send,
        options: TransferOptions,
        condition: Condition,
    ) -> Result<Transferred> {
        self.require_disk()?;
        let (store, caller) = (self.clone(), caller.clone());
        let (from, to) = (from.into(), to.into());
        self.write_with_room(move |tx| {
            let mut scene = Scene::enter(tx, &caller, store.world())?;
            let limits = &store.options().limits;
            let from = from.path(tx, &caller)?;
            let to = to.path(tx, &caller, &from)?;
            let source = Place::find(tx, &scene, &from)?;
            scene.check(tx, &condition, &source)?;
            let node = source.node().ok_or(Error::NotFound)?.clone();
            let target = Place::find(tx, &scene, &to)?;
            let replaced = make_room(
                tx, &mut scene, &store, &source, &target, options, &condition,
            )?;
            let parent = target.parent()?.id;
            if node.is_folder() && !options.shallow {
                require_reachable(tx, &scene, node.id, &from, &to)?;
            }
            let drive = scene.drive;
            let copy = copy_nodes(tx, &mut scene, &drive, &node, options, limits)?;
            node::rows::insert_entry(tx, parent, target.name()?, copy)?;
            node::rows::membership_changed(tx, parent, scene.now_ns())?;
            let copy = node::rows::find(tx, copy)?.ok_or(Error::NotFound)?;
            arrived(tx, &mut scene, &copy, &to)?;
            scene.settle(tx)?;
            Ok(Transferred {
                path: as_given(tx, &caller, to, copy.id)?,
                node: copy,
                created: !replaced,
            })
        })
        .await
    }
}

/// Checks that the destination may be taken, and clears it: what is there goes into the trash.
/// Whether something was there.
pub(crate) fn make_room(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    store: &Store,
    source: &Place,
    target: &Place,
    options: TransferOptions,
    condition: &Condition,
) -> Result<bool> {
    let (from, to) = (source.path(), target.path());
    if from.contains(to) || to.contains(from) {
        return Err(Error::Overlap);
    }
    clear(tx, scene, store, target, options, condition)
}

/// Clears a destination that may be taken. Whether something was there.
pub(crate) fn clear(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    store: &Store,
    target: &Place,
    options: TransferOptions,
    condition: &Condition,
) -> Result<bool> {
    let parent = target.parent()?.id;
    let Some(old) = target.node().cloned() else {
        scene.require(condition, parent, target.ancestors_of_parent())?;
        return Ok(false);
    };
    if !options.overwrite {
        return Err(Error::AlreadyExists);
    }
    scene.require_tree(condition, target, old.id)?;
    if old.is_folder() || old.links > 1 {
        // A client that synchronises must hear that the members are gone, although there will be
        // something at the path again; and whoever a file is shared with, that it is elsewhere.
        scene.record(tx, ChangeKind::removal(&old), old.id, target.path())?;
    }
    remove(tx, scene, store, target, &old)?;
    Ok(true)
}

/// Takes a node out of the tree and ends what hangs on it. It goes into the trash; without one it is
/// uncharged, and a file goes at once, a folder's members are purged in the background. A file that
/// has other names stays under those, and nothing of it ends.
fn remove(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    store: &Store,
    place: &Place,
    node: &Node,
) -> Result<()> {
    if node.links > 1 {
        return names::remove(tx, scene, place, node.id);
    }
    let (mut totals, has_links) = rows::survey(tx, &scene.drive, node)?;
    if has_links && names::detach(tx, scene, node.id)? {
        totals = rows::totals(tx, &scene.drive, node)?;
    }
    scene.end_ties(tx, node.id)?;
    let path = as_given(tx, scene.caller, place.path().clone(), node.id)?;
    node::rows::remove_entry(tx, place.parent()?.id, place.name()?)?;
    scene.touch(tx, &path);
    if node.is_folder() {
        tx.effect(Effect::Tree(scene.drive.id));
    }
    scene.drive.remove(&totals);
    if trash::keep(tx, scene, store.options(), node.id, &path, &totals)? {
        return Ok(());
    }
    match &node.kind {
        Kind::File(content) => {
            reference::release(tx, [content.body], scene.now_ms())?;
            version::give_up_of(tx, scene, node.id)?;
            node::rows::remove(tx, node.id)?;
        }
        Kind::Folder { .. } => rows::insert_trash(tx, node.id, scene.drive.id, scene.now_ms())?,
    }
    scene.charge(tx, totals.size_bytes, 0, None)
}

/// Records and announces what came to a path.
pub(crate) fn arrived(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    node: &Node,
    path: &Path,
) -> Result<()> {
    let kind = if node.is_folder() {
        ChangeKind::Tree
    } else {
        ChangeKind::Changed
    };
    scene.require_reachable(path, 0, 0)?;
    scene.record(tx, kind, node.id, path)?;
    scene.touch(tx, path);
    if node.is_folder() {
        tx.effect(Effect::Tree(scene.drive.id));
    }
    Ok(())
}

/// Refuses a move or copy that would put members where no path reaches them.
pub(crate) fn require_reachable(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    root: NodeId,
    from: &Path,
    to: &Path,
) -> Result<()> {
    if to.depth() <= from.depth() && to.key().len() <= from.key().len() {
        return Ok(());
    }
    let (names, bytes) = rows::extent(tx, root)?;
    scene.require_reachable(to, names, bytes)
}

/// Copies a node of a drive that is held and, unless shallow, everything below it; the copy's id.
/// What has several names in the tree has them in the copy, and no others.
pub(crate) fn copy_nodes(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    lender: &Drive,
    source: &Node,
    options: TransferOptions,
    limits: &Limits,
) -> Result<NodeId> {
    // Refused before a member is read or a row is written.
    let totals = if options.shallow {
        rows::of_one(tx, source)?
    } else {
        rows::totals(tx, lender, source)?
    };
    scene.drive.add_nodes(totals.nodes, limits)?;
    scene
        .drive
        .change_properties(0, totals.property_bytes, limits)?;
    scene.fit_trash(tx, limits)?;
    scene.drive.usage.files += totals.files;
    scene.charge(tx, 0, totals.size_bytes, None)?;
    let mut members = if source.is_folder() && !options.shallow {
        rows::members(tx, source.id)?
    } else {
        Vec::new()
    };
    // New ids rise in the order of folders and names, and rows are written in it: each index is
    // then filled from one page to the next.
    members.sort_unstable_by(|a, b| (a.parent, &a.name_nfc).cmp(&(b.parent, &b.name_nfc)));
    let originals = originals(source, &members, options.modified_ns);
    let mut ids: Vec<NodeId> = (0..originals.len())
        .map(|_| NodeId::new(scene.world))
        .collect();
    ids.sort_unstable();
    let now_ns = scene.now_ns();
    let copies: HashMap<NodeId, NodeId> = originals.iter().map(|node| node.id).zip(ids).collect();
    let mut bodies: BTreeMap<CopiedBody, i64> = BTreeMap::new();
    for node in &originals {
        let body = node.content().map(|content| content.body);
        if let Some(body) = body.and_then(CopiedBody::of) {
            *bodies.entry(body).or_default() += 1;
        }
    }
    reference::add_copies(tx, &bodies)?;
    rows::insert_copies(tx, scene.drive.id, &originals, &copies, now_ns)?;
    rows::insert_entries(tx, &members, &copies)?;
    let with_properties: Vec<(NodeId, NodeId)> = originals
        .iter()
        .filter(|node| node.property_count > 0)
        .map(|node| (node.id, copies[&node.id]))
        .collect();
    property::rows::copy(tx, &with_properties)?;
    Ok(copies[&source.id])
}

/// What is to be copied, each node once, with as many names as it has in the copy.
fn originals(source: &Node, members: &[rows::Member], modified_ns: Option<i64>) -> Vec<Node> {
    let mut links: HashMap<NodeId, u64> = HashMap::new();
    for member in members.iter().filter(|member| member.node.links > 1) {
        *links.entry(member.node.id).or_default() += 1;
    }
    let mut originals = Vec::with_capacity(members.len() + 1);
    originals.push(Node {
        links: 1,
        modified_ns: modified_ns.unwrap_or(source.modified_ns),
        ..source.clone()
    });
    for member in members {
        match (member.node.links, links.remove(&member.node.id)) {
            (1, _) => originals.push(member.node.clone()),
            (_, Some(links)) => originals.push(Node {
                links,
                ..member.node.clone()
            }),
            (_, None) => {}
        }
    }
    originals
}
