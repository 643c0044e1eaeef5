//! Moving, renaming and dating, in one transaction.

use crate::caller::Caller;
use crate::change::ChangeKind;
use crate::condition::Condition;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::grant;
use crate::mutation::{Place, Scene};
use crate::names;
use crate::node::{self, Node};
use crate::path::Path;
use crate::store::Store;
use crate::target::{Destination, Located, Target, as_given};
use crate::tree::{TransferOptions, Transferred, arrived, make_room, require_reachable};

/// What is changed about a file or folder; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct NodeChange {
    /// Where it is moved.
    pub to: Option<Destination>,
    /// Whether something there is replaced, or refused.
    pub overwrite: bool,
    /// Its modification time, nanoseconds since 1970-01-01 UTC.
    pub modified_ns: Option<i64>,
}

impl Store {
    /// Moves or renames; the moved nodes keep their ids.
    ///
    /// # Errors
    /// [`Error::Overlap`] onto itself, an ancestor or a descendant;
    /// [`Error::AlreadyExists`] when the destination exists and may not be replaced.
    pub async fn move_tree(
        &self,
        caller: &Caller,
        from: impl Into<Target> + Send,
        to: impl Into<Destination> + Send,
        options: TransferOptions,
        condition: Condition,
    ) -> Result<Transferred> {
        let (store, caller) = (self.clone(), caller.clone());
        let (from, to) = (from.into(), to.into());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let from = from.path(tx, &caller)?;
                let to = to.path(tx, &caller, &from)?;
                let source = Place::find(tx, &scene, &from)?;
                scene.check(tx, &condition, &source)?;
                relocate(tx, &mut scene, &store, &source, &to, options, &condition)
            })
            .await
    }

    /// Moves, renames or gives another modification time, all in one step.
    ///
    /// # Errors
    /// As [`Self::move_tree`].
    pub async fn change_node(
        &self,
        caller: &Caller,
        target: impl Into<Target> + Send,
        change: NodeChange,
        condition: Condition,
    ) -> Result<Located> {
        let (store, caller, target) = (self.clone(), caller.clone(), target.into());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, store.world())?;
                let from = target.path(tx, &caller)?;
                let to = match &change.to {
                    Some(to) => to.path(tx, &caller, &from)?,
                    None => from.clone(),
                };
                let source = Place::find(tx, &scene, &from)?;
                scene.check(tx, &condition, &source)?;
                let (path, node) = if to == from {
                    let node = retime(tx, &mut scene, &source, change.modified_ns, &condition)?;
                    (from, node)
                } else {
                    let options = TransferOptions {
                        overwrite: change.overwrite,
                        shallow: false,
                        modified_ns: change.modified_ns,
                    };
                    let moved =
                        relocate(tx, &mut scene, &store, &source, &to, options, &condition)?;
                    (moved.path, moved.node)
                };
                let path = as_given(tx, &caller, path, node.id)?;
                Ok(Located { path, node })
            })
            .await
    }
}

/// Moves what is at a place, whose conditions hold.
fn relocate(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    store: &Store,
    source: &Place,
    to: &Path,
    options: TransferOptions,
    condition: &Condition,
) -> Result<Transferred> {
    let from = source.path();
    let mut node = source.node().ok_or(Error::NotFound)?.clone();
    let old_parent = source.parent()?.id;
    grant::require_movable(tx, scene, node.id)?;
    scene.require(condition, old_parent, source.ancestors_of_parent())?;
    scene.require_tree(condition, source, node.id)?;
    if from.key() == to.key() && from.name() != to.name() {
        return respell(tx, scene, source, to, node, options.modified_ns);
    }
    let target = Place::find(tx, scene, to)?;
    let replaced = make_room(tx, scene, store, source, &target, options, condition)?;
    let new_parent = target.parent()?.id;
    if node.is_folder() {
        require_reachable(tx, scene, node.id, from, to)?;
    }
    if replaced && node.links > 1 {
        // What was there may have been one of its own names.
        node = node::rows::find(tx, node.id)?.ok_or(Error::NotFound)?;
    }
    // Of several names one moves, and what is locked stays where the others are.
    if node.links == 1 {
        scene.drop_locks(tx, node.id)?;
    } else {
        let (old_name, new_name) = (source.name()?, target.name()?);
        let (old, new) = ((old_parent, old_name), (new_parent, new_name));
        names::rows::told_moved(tx, node.id, old, new)?;
    }
    node::rows::remove_entry(tx, old_parent, source.name()?)?;
    node::rows::insert_entry(tx, new_parent, target.name()?, node.id)?;
    let now_ns = scene.now_ns();
    node::rows::membership_changed(tx, old_parent, now_ns)?;
    if new_parent != old_parent {
        node::rows::membership_changed(tx, new_parent, now_ns)?;
    }
    if let Some(modified_ns) = options.modified_ns {
        node::rows::set_times(tx, node.id, node.created_ns, modified_ns)?;
    }
    scene.record(tx, ChangeKind::removal(&node), node.id, from)?;
    arrived(tx, scene, &node, to)?;
    scene.touch(tx, from);
    if options.modified_ns.is_some() {
        scene.changed_elsewhere(tx, &node, to)?;
    }
    scene.settle(tx)?;
    let node = node::rows::find(tx, node.id)?.ok_or(Error::NotFound)?;
    Ok(Transferred {
        path: to.clone(),
        node,
        created: !replaced,
    })
}

/// Gives what is at a place another modification time, where there is one to give.
fn retime(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    modified_ns: Option<i64>,
    condition: &Condition,
) -> Result<Node> {
    let mut node = place.node().ok_or(Error::NotFound)?.clone();
    scene.require(condition, node.id, place.ancestors())?;
    if let Some(modified_ns) = modified_ns
        && modified_ns != node.modified_ns
    {
        node.modified_ns = modified_ns;
        node::rows::set_times(tx, node.id, node.created_ns, modified_ns)?;
        scene.changed(tx, &node, place.path())?;
        scene.settle(tx)?;
    }
    Ok(node)
}

/// The same place under another spelling of its name (NFC and NFD).
fn respell(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    to: &Path,
    mut node: Node,
    modified_ns: Option<i64>,
) -> Result<Transferred> {
    let parent = place.parent()?.id;
    if let Some(modified_ns) = modified_ns {
        node.modified_ns = modified_ns;
        node::rows::set_times(tx, node.id, node.created_ns, modified_ns)?;
    }
    node::rows::respell_entry(tx, parent, to.name().ok_or(Error::Protected)?)?;
    node::rows::membership_changed(tx, parent, scene.now_ns())?;
    scene.record(tx, ChangeKind::Changed, node.id, to)?;
    scene.touch(tx, to);
    if modified_ns.is_some() {
        scene.changed_elsewhere(tx, &node, to)?;
    }
    scene.settle(tx)?;
    Ok(Transferred {
        path: to.clone(),
        node,
        created: true,
    })
}
