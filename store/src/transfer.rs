//! Transfers: a file or folder with all it holds is offered to another account and, when they
//! accept, lies in their drive and is charged to them (D4).
//!
//! As with grants, an offer is to a name, and who exists is not told: every step of the one who
//! offers is the same for a name that nobody has, and declining looks like silence.

mod rows;

use std::net::IpAddr;

use crate::access;
use crate::audit::{self, AuditAction, Line};
use crate::border;
use crate::cache::Effect;
use crate::caller::{Caller, Via};
use crate::change::ChangeKind;
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Limited, Result};
use crate::grant;
use crate::id::{DriveId, GrantId, NodeId, TransferId, UserId};
use crate::link;
use crate::mutation::{Place, Scene};
use crate::names;
use crate::node::{self, Node};
use crate::path::{Name, Path};
use crate::reach::SHARED;
use crate::store::{Limits, Store};
use crate::target::{Located, Target};
use crate::tree::{self, arrived};
use crate::user::UserName;

/// A file or folder that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Names it.
    pub id: TransferId,
    /// Whether it is to the caller, or of something of theirs.
    pub is_incoming: bool,
    /// To whom, as it was typed.
    pub to: String,
    /// The user name of the owner.
    pub from: String,
    /// What it is called.
    pub name: String,
    /// Whether the owner wants to keep on reading and writing it.
    pub keeps_access: bool,
    /// When it was offered, milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// What it is.
    pub node: Node,
}

impl Store {
    /// Offers a file or folder to whoever has a name; to the same name it is offered anew.
    ///
    /// # Errors
    /// As [`Store::grant`]; [`Error::NamesElsewhere`] when a file in it has other names outside.
    pub async fn offer(
        &self,
        caller: &Caller,
        target: &Target,
        to: &str,
        keeps_access: bool,
        address: Option<IpAddr>,
    ) -> Result<Offer> {
        access::require_owner(caller)?;
        let name = UserName::named("to", to)?;
        let (caller, target, world) = (caller.clone(), target.clone(), self.world().clone());
        let id = TransferId::new(&world);
        self.db()
            .write(move |tx| {
                let to = grant::receiver(tx, &caller, &name)?;
                let mut drive = drive::rows::lock(tx, caller.drive)?;
                let found = grant::shareable(tx, &caller, &target)?;
                names::require_together(tx, &found.node)?;
                let count = grant::count(tx, drive.id)?;
                if count >= grant::MOST {
                    return Err(Error::Limit {
                        what: Limited::Grants,
                        limit: grant::MOST,
                    });
                }
                let new = rows::NewOffer {
                    id,
                    node: found.node.id,
                    drive: drive.id,
                    name: name.as_str(),
                    key: name.key(),
                    account: to,
                    keeps_access,
                    now_ms: world.now_ms(),
                };
                rows::upsert(tx, &new)?;
                drive.shares = count + 1;
                drive::rows::settle(tx, &drive)?;
                let line = Line::new(AuditAction::TransferOffer).of(to).about(id);
                audit::record(tx, &world, Some(caller.user), address, &line)?;
                rows::find(tx, drive.id, caller.user, id)?.ok_or(Error::NotFound)
            })
            .await
    }

    /// Offers to the caller and of what is theirs, the oldest first: at most `limit` after `after`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for app passwords.
    pub async fn offers(
        &self,
        caller: &Caller,
        after: Option<TransferId>,
        limit: u32,
    ) -> Result<Vec<Offer>> {
        access::require_owner(caller)?;
        let (drive, user) = (caller.drive, caller.user);
        self.db()
            .read(move |tx| rows::list(tx, drive, user, after, limit))
            .await
    }

    /// Takes what was offered: it lies at the root of the caller's drive then, under its name or
    /// one with a number. Its former owner reads and writes it if both want that.
    ///
    /// Locks in it end, and so do links and other offers; grants stay, but for those to the caller.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing (any more) is offered to the caller under this id;
    /// [`Error::QuotaExceeded`] and [`Error::NamesElsewhere`], and then it stays offered;
    /// [`Error::Limit`].
    pub async fn accept_offer(
        &self,
        caller: &Caller,
        id: TransferId,
        keeps_access: bool,
        address: Option<IpAddr>,
    ) -> Result<Located> {
        access::require_owner(caller)?;
        let (caller, world) = (caller.clone(), self.world().clone());
        let limits = self.options().limits.clone();
        let grant_id = GrantId::new(&world);
        self.write_with_room(move |tx| {
            let offered = rows::offered(tx, caller.user, id)?;
            let (owner, from, ..) = offered.ok_or(Error::NotFound)?;
            // Accounts are held before drives, and drives in one order.
            let former = grant::rows::lock_account(tx, owner)?.ok_or(Error::NotFound)?;
            border::hold(tx, [from, caller.drive])?;
            let offered = rows::offered(tx, caller.user, id)?;
            let (.., node, wants_access) = offered.ok_or(Error::NotFound)?;
            let mut scene = Scene::enter(tx, &caller, &world)?;
            let owner = owner_of(tx, &caller, owner, from)?;
            let mut theirs = Scene::look(tx, &owner, &world)?;
            let taken = take(tx, &mut scene, &mut theirs, node, &limits)?;
            if wants_access && keeps_access {
                let name = UserName::named("name", &former)?;
                let to = (owner.user, &name);
                grant::give(tx, &scene.drive, &taken, to, grant_id, world.now_ms())?;
            }
            theirs.drive.shares = grant::count(tx, theirs.drive.id)?;
            scene.drive.shares = grant::count(tx, scene.drive.id)?;
            // What is given back to the capacity first cannot be missing from it then.
            theirs.settle(tx)?;
            scene.settle(tx)?;
            let line = Line::new(AuditAction::TransferAccept).of(owner.user);
            let line = line.about(id).detail(taken.node.id);
            audit::record(tx, &world, Some(caller.user), address, &line)?;
            Ok(taken)
        })
        .await
    }

    /// Withdraws an offer, or declines one; who offered is not told of that.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is neither of the caller's nor to them.
    pub async fn end_offer(
        &self,
        caller: &Caller,
        id: TransferId,
        address: Option<IpAddr>,
    ) -> Result<()> {
        access::require_owner(caller)?;
        let (caller, world) = (caller.clone(), self.world().clone());
        self.db()
            .write(move |tx| {
                let mut drive = drive::rows::lock(tx, caller.drive)?;
                let action = if rows::withdraw(tx, drive.id, id)? {
                    drive.shares = grant::count(tx, drive.id)?;
                    drive::rows::settle(tx, &drive)?;
                    AuditAction::TransferWithdraw
                } else if rows::decline(tx, caller.user, id)? {
                    AuditAction::TransferDecline
                } else {
                    return Err(Error::NotFound);
                };
                let line = Line::new(action).of(caller.user).about(id);
                audit::record(tx, &world, Some(caller.user), address, &line)
            })
            .await
    }
}

/// Ends offers of a tree that goes away.
pub(crate) fn end_within(tx: &mut Tx<'_>, drive: DriveId, root: NodeId) -> Result<u64> {
    rows::remove_within(tx, drive, root)
}

/// The owner of a drive, in whose name something is taken out of it.
fn owner_of(tx: &mut Tx<'_>, caller: &Caller, owner: UserId, drive: DriveId) -> Result<Caller> {
    let drive = drive::rows::find(tx, drive)?.ok_or(Error::NotFound)?;
    Ok(Caller {
        user: owner,
        drive: drive.id,
        root: drive.root,
        whole_drive: true,
        via: Via::Own,
        ..caller.clone()
    })
}

/// Moves a node from one drive that is held to the root of another, with what it counts for.
fn take(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    theirs: &mut Scene<'_>,
    node: NodeId,
    limits: &Limits,
) -> Result<Located> {
    let found = Target::Node(node).locate(tx, theirs.caller)?;
    let Located { path: from, node } = found.ok_or(Error::NotFound)?;
    names::require_together(tx, &node)?;
    let place = Place::find(tx, theirs, &from)?;
    let (parent, name) = (place.parent()?.id, place.name()?.clone());
    let to = Path::root().join(free_name(tx, scene.drive.root, &name, &node)?)?;
    let (names, bytes) = tree::rows::extent(tx, node.id)?;
    scene.require_reachable(&to, names, bytes)?;

    let totals = tree::rows::totals(tx, &theirs.drive, &node)?;
    scene.drive.add_nodes(totals.nodes, limits)?;
    scene
        .drive
        .change_properties(0, totals.property_bytes, limits)?;
    scene.fit_trash(tx, limits)?;
    scene.drive.usage.files += totals.files;
    scene.charge(tx, 0, totals.size_bytes, None)?;
    theirs.drive.remove(&totals);
    theirs.charge(tx, totals.size_bytes, 0, None)?;

    if theirs.drive.usage.versions > 0 {
        let sizes = rows::move_versions(tx, node.id, scene.drive.id)?;
        for size_bytes in &sizes {
            theirs.drive.remove_version(*size_bytes);
            scene.drive.add_version(*size_bytes);
        }
        let size_bytes = sizes.iter().sum();
        theirs.charge(tx, size_bytes, 0, None)?;
        scene.charge_kept(tx, size_bytes)?;
    }
    theirs.drop_locks(tx, node.id)?;
    link::end_within(tx, theirs.drive.id, node.id)?;
    rows::remove_within(tx, theirs.drive.id, node.id)?;
    grant::hand_over(
        tx,
        theirs.drive.id,
        node.id,
        &scene.drive,
        scene.caller.user,
    )?;
    rows::move_nodes(tx, node.id, scene.drive.id)?;
    node::rows::remove_entry(tx, parent, &name)?;
    let root = scene.drive.root;
    let new_name = to.name().ok_or(Error::Protected)?;
    node::rows::insert_entry(tx, root, new_name, node.id)?;
    node::rows::membership_changed(tx, parent, theirs.now_ns())?;
    node::rows::membership_changed(tx, root, scene.now_ns())?;
    theirs.record(tx, ChangeKind::removal(&node), node.id, &from)?;
    theirs.touch(tx, &from);
    tx.effect(Effect::Tree(theirs.drive.id));
    arrived(tx, scene, &node, &to)?;
    let node = node::rows::find(tx, node.id)?.ok_or(Error::NotFound)?;
    Ok(Located { path: to, node })
}

/// The name under which something comes into a drive's root.
fn free_name(tx: &mut Tx<'_>, root: NodeId, name: &Name, node: &Node) -> Result<Name> {
    let taken = rows::names(tx, root, grant::beginning(name.nfc()))?;
    name.free_among(!node.is_folder(), |name| {
        name == SHARED || taken.iter().any(|other| other == name)
    })
}

#[cfg(test)]
mod tests;
