//! Making folders: one, or those that are missing on the way to something.

use crate::attributes::Attributes;
use crate::caller::Caller;
use crate::change::ChangeKind;
use crate::condition::Condition;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::mutation::{Place, Scene};
use crate::node::{self, Node};
use crate::path::Path;
use crate::store::{Limits, Store};
use crate::target::{Located, as_given};

impl Store {
    /// Makes a folder.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::ParentMissing`], [`Error::Locked`], …
    pub async fn make_folder(
        &self,
        caller: &Caller,
        path: &Path,
        condition: Condition,
    ) -> Result<Node> {
        self.make_folder_with(caller, path, None, condition).await
    }

    /// Makes a folder that has these attributes.
    ///
    /// # Errors
    /// As [`Self::make_folder`].
    pub async fn make_folder_with(
        &self,
        caller: &Caller,
        path: &Path,
        attributes: Option<Attributes>,
        condition: Condition,
    ) -> Result<Node> {
        self.require_disk()?;
        let (caller, path, world) = (caller.clone(), path.clone(), self.world().clone());
        let limits = self.options().limits.clone();
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, &world)?;
                let place = Place::find(tx, &scene, &path)?;
                scene.check(tx, &condition, &place)?;
                if place.node().is_some() {
                    return Err(Error::AlreadyExists);
                }
                let parent = place.parent()?.id;
                scene.require(&condition, parent, place.ancestors_of_parent())?;
                scene.require_reachable(&path, 0, 0)?;
                let id = insert(tx, &mut scene, parent, &path, &limits)?;
                if let Some(attributes) = &attributes {
                    describe(tx, &mut scene, id, attributes, &limits)?;
                }
                scene.settle(tx)?;
                node::rows::find(tx, id)?.ok_or(Error::NotFound)
            })
            .await
    }

    /// Makes a folder and those above it that are missing; one that is there already is as good.
    /// What is there then, and whether it is new.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where a file is, [`Error::NotFolder`] below a file,
    /// [`Error::Locked`], …
    pub async fn make_folders(
        &self,
        caller: &Caller,
        path: &Path,
        condition: Condition,
    ) -> Result<(Located, bool)> {
        self.require_disk()?;
        let (caller, path, world) = (caller.clone(), path.clone(), self.world().clone());
        let limits = self.options().limits.clone();
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, &world)?;
                let place = Place::find(tx, &scene, &path)?;
                scene.check(tx, &condition, &place)?;
                if let Some(node) = place.node().cloned() {
                    if !node.is_folder() {
                        return Err(Error::AlreadyExists);
                    }
                    let path = as_given(tx, &caller, path.clone(), node.id)?;
                    return Ok((Located { path, node }, false));
                }
                let folder = place.nearest_folder()?.id;
                scene.require(&condition, folder, place.ancestors_of_parent())?;
                scene.require_reachable(&path, 0, 0)?;
                let place = make_parents(tx, &mut scene, place, &limits)?;
                let id = insert(tx, &mut scene, place.parent()?.id, &path, &limits)?;
                scene.settle(tx)?;
                let node = node::rows::find(tx, id)?.ok_or(Error::NotFound)?;
                let path = as_given(tx, &caller, path.clone(), id)?;
                Ok((Located { path, node }, true))
            })
            .await
    }
}

/// Makes an empty folder at a free path below a folder that is there.
fn insert(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    parent: NodeId,
    path: &Path,
    limits: &Limits,
) -> Result<NodeId> {
    scene.drive.add_nodes(1, limits)?;
    scene.fit_trash(tx, limits)?;
    let (id, now_ns) = (NodeId::new(scene.world), scene.now_ns());
    let name = path.name().ok_or(Error::Protected)?;
    node::rows::insert_folder(tx, id, scene.drive.id, now_ns)?;
    node::rows::insert_entry(tx, parent, name, id)?;
    node::rows::membership_changed(tx, parent, now_ns)?;
    scene.record(tx, ChangeKind::Changed, id, path)?;
    scene.touch(tx, path);
    Ok(id)
}

/// Gives a new folder its attributes.
fn describe(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    folder: NodeId,
    attributes: &Attributes,
    limits: &Limits,
) -> Result<()> {
    scene
        .drive
        .change_properties(0, attributes.size_bytes(), limits)?;
    scene.fit_trash(tx, limits)?;
    node::rows::set_attributes(tx, folder, Some(attributes))?;
    if let Some(modified_ns) = attributes.modified_ns() {
        node::rows::set_times(tx, folder, scene.now_ns(), modified_ns)?;
    }
    Ok(())
}

/// Makes the folders that are missing above a place; the place as it is then.
pub(crate) fn make_parents(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: Place,
    limits: &Limits,
) -> Result<Place> {
    let missing = place.missing_parents();
    if missing.is_empty() {
        return Ok(place);
    }
    let mut parent = place.nearest_folder()?.id;
    for path in &missing {
        parent = insert(tx, scene, parent, path, limits)?;
    }
    Place::find(tx, scene, place.path())
}
