//! Copying from one drive into another, over the border of what is shared.
//!
//! Moving over a border is no operation: it would take from one owner what another is charged for.

use crate::caller::Caller;
use crate::condition::Condition;
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Result};
use crate::id::DriveId;
use crate::mutation::{Place, Scene};
use crate::node;
use crate::store::Store;
use crate::target::{Destination, Target, as_given};
use crate::tree::{self, TransferOptions, Transferred, arrived, clear, copy_nodes};

impl Store {
    /// Copies what `lender` may read to where `caller` may write; the owner of that drive is
    /// charged. No byte of a content is copied. The condition is about the source.
    ///
    /// # Errors
    /// As [`Self::copy_tree`].
    pub async fn copy_across(
        &self,
        lender: &Caller,
        from: impl Into<Target> + Send,
        caller: &Caller,
        to: impl Into<Destination> + Send,
        options: TransferOptions,
        condition: Condition,
    ) -> Result<Transferred> {
        self.require_disk()?;
        let (lender, from, caller, to) = (lender.clone(), from.into(), caller.clone(), to.into());
        let store = self.clone();
        self.write_with_room(move |tx| {
            hold(tx, [lender.drive, caller.drive])?;
            let mut scene = Scene::enter(tx, &caller, store.world())?;
            let theirs = Scene::look(tx, &lender, store.world())?;
            let from = from.path(tx, &lender)?;
            let source = Place::find(tx, &theirs, &from)?;
            theirs.check(tx, &condition, &source)?;
            let node = source.node().ok_or(Error::NotFound)?.clone();
            let to = to.path(tx, &caller, &from)?;
            let target = Place::find(tx, &scene, &to)?;
            require_apart(&source, &target)?;
            let replaced = clear(tx, &mut scene, &store, &target, options, &condition)?;
            let parent = target.parent()?.id;
            if node.is_folder() && !options.shallow {
                let (names, bytes) = tree::rows::extent(tx, node.id)?;
                scene.require_reachable(&to, names, bytes)?;
            }
            let copy = copy_nodes(
                tx,
                &mut scene,
                &theirs.drive,
                &node,
                options,
                &store.options().limits,
            )?;
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

/// Keeps all other writers away from two drives, which may be one. Whoever holds two takes them in
/// the same order, or two such transactions would wait for each other.
///
/// # Errors
/// [`Error::NotFound`] when one is gone.
pub(crate) fn hold(tx: &mut Tx<'_>, mut drives: [DriveId; 2]) -> Result<()> {
    drives.sort_unstable();
    drive::rows::lock(tx, drives[0])?;
    if drives[0] != drives[1] {
        drive::rows::lock(tx, drives[1])?;
    }
    Ok(())
}

/// As paths of two callers cannot be compared, ids are: both may lead into one drive.
fn require_apart(source: &Place, target: &Place) -> Result<()> {
    let node = source.node().ok_or(Error::NotFound)?.id;
    let is_inside = target.ancestors_along().contains(&node)
        || target.parent().is_ok_and(|parent| parent.id == node);
    let is_onto = target
        .node()
        .is_some_and(|there| there.id == node || source.ancestors_along().contains(&there.id));
    if is_inside || is_onto {
        return Err(Error::Overlap);
    }
    Ok(())
}
