//! Grants: rights on a file or folder for other accounts (D1–D3).
//!
//! Who exists is secret (P2). So a grant is to a *name*: it is kept as typed, whoever has the name
//! and whether anybody has, and each step is the same for a name that nobody has. Whose it is is
//! looked up once, when the grant is made: who registers under the name later gets nothing. What a
//! receiver does (leaving, removing the account) takes the right away and leaves the owner's list
//! as it is.

pub(crate) mod rows;

use std::net::IpAddr;

use crate::access;
use crate::audit::{self, AuditAction, Line};
use crate::cache::Effect;
use crate::caller::{Caller, Via};
use crate::condition::{TagCondition, etag_of};
use crate::db::Tx;
use crate::drive::{self, Drive};
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, GrantId, NodeId, UserId};
use crate::lock;
use crate::mutation::Scene;
use crate::node::Node;
use crate::path::Name;
use crate::resumable;
use crate::store::Store;
use crate::target::{Located, Target};
use crate::transfer;
use crate::user::UserName;

/// Grants and offers in one drive.
pub(crate) const MOST: u64 = 10_000;

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Looking and downloading.
    Read,
    /// Whatever the owner can do inside, too; the thing itself stays where it is.
    Write,
}

impl Right {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is neither `read` nor `write`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(Error::Invalid {
                field: "right",
                reason: "must be read or write".into(),
            }),
        }
    }

    fn of(can_write: bool) -> Self {
        if can_write { Self::Write } else { Self::Read }
    }

    fn can_write(self) -> bool {
        self == Self::Write
    }
}

/// A right that the owner of a drive has given, as the owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Names it.
    pub id: GrantId,
    /// What it is on.
    pub node: NodeId,
    /// To whom, as it was typed; whether anybody has the name is not told.
    pub name: String,
    /// What is allowed.
    pub right: Right,
    /// When it was given, milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    pub(crate) account: Option<UserId>,
}

impl Grant {
    /// Changes with what can be changed of it; with its quotes.
    pub fn etag(&self) -> String {
        etag_of([Some(self.right.as_str().to_owned())])
    }
}

/// Grants that reach a node, by being on it or on something above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// The node asked about.
    pub node: NodeId,
    /// The oldest first.
    pub items: Vec<Grant>,
    /// How many there are in all.
    pub count: u64,
}

/// Something that a user shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// With whom.
    pub grant: Grant,
    /// Where it is, from the drive's root, names as given.
    pub path: String,
    /// What it is.
    pub node: Node,
}

/// Something that is shared with a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The grant.
    pub id: GrantId,
    /// What the receiver finds it under.
    pub name: Name,
    /// What is allowed.
    pub right: Right,
    /// The user name of its owner, who has told who they are by sharing.
    pub owner: String,
    /// Since when, milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// What it is.
    pub node: Node,
}

impl Store {
    /// Gives a right on a file or folder to whoever has a name; the same name again is given the
    /// new right. Whether it is a new grant, too.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for others than the owner, and for app passwords;
    /// [`Error::Protected`] for the drive's root; [`Error::Invalid`], [`Error::Limit`].
    pub async fn grant(
        &self,
        caller: &Caller,
        target: &Target,
        name: &str,
        right: Right,
        address: Option<IpAddr>,
    ) -> Result<(Grant, bool)> {
        access::require_owner(caller)?;
        let name = UserName::named("name", name)?;
        let (caller, target, world) = (caller.clone(), target.clone(), self.world().clone());
        let id = GrantId::new(&world);
        self.db()
            .write(move |tx| {
                let to = receiver(tx, &caller, &name)?;
                let mut drive = drive::rows::lock(tx, caller.drive)?;
                let found = shareable(tx, &caller, &target)?;
                let old = rows::find_by_name(tx, found.node.id, name.key())?;
                let count = rows::count(tx, drive.id)?;
                if old.is_none() && count >= MOST {
                    return Err(Error::Limit {
                        what: Limited::Grants,
                        limit: MOST,
                    });
                }
                let mount = free_mount(tx, to, &found)?;
                let new = rows::NewGrant {
                    id,
                    node: found.node.id,
                    drive: drive.id,
                    name: name.as_str(),
                    key: name.key(),
                    account: to,
                    right,
                    mount: &mount,
                    since_change: drive.change_number,
                    now_ms: world.now_ms(),
                };
                rows::upsert(tx, &new)?;
                drive.shares = count + 1;
                let before = old.as_ref().and_then(|old| old.account);
                taken(tx, &mut drive, [before], world.now_ms())?;
                drive::rows::settle(tx, &drive)?;
                told(tx, [to]);
                let granted = rows::find_by_name(tx, found.node.id, name.key())?;
                let granted = granted.ok_or(Error::NotFound)?;
                let action = match old {
                    None => AuditAction::GrantAdd,
                    Some(_) => AuditAction::GrantChange,
                };
                let line = Line::new(action).of(to).about(granted.id);
                let line = line.detail(right.as_str());
                audit::record(tx, &world, Some(caller.user), address, &line)?;
                Ok((granted, old.is_none()))
            })
            .await
    }

    /// Who has access to a file or folder, by grants on it and on what lies above it: at most
    /// `limit` after `after`.
    ///
    /// # Errors
    /// As [`Self::grant`].
    pub async fn grants(
        &self,
        caller: &Caller,
        target: &Target,
        after: Option<GrantId>,
        limit: u32,
    ) -> Result<Grants> {
        access::require_owner(caller)?;
        let (caller, target) = (caller.clone(), target.clone());
        self.db()
            .read_snapshot(move |tx| {
                let node = shareable(tx, &caller, &target)?.node.id;
                Ok(Grants {
                    node,
                    items: rows::on_chain(tx, node, after, limit)?,
                    count: rows::count_on_chain(tx, node)?,
                })
            })
            .await
    }

    /// What the caller shares: at most `limit` grants after `after`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for app passwords.
    pub async fn granted_by(
        &self,
        caller: &Caller,
        after: Option<GrantId>,
        limit: u32,
    ) -> Result<Vec<Owned>> {
        access::require_owner(caller)?;
        let (drive, root) = (caller.drive, caller.root);
        self.db()
            .read(move |tx| rows::of_drive(tx, drive, root, after, limit))
            .await
    }

    /// Makes a grant one of another right.
    ///
    /// # Errors
    /// As [`Self::grant`]; [`Error::NotFound`] for a grant that is not on this node,
    /// [`Error::PreconditionFailed`] when it does not have the [`Grant::etag`] asked for.
    pub async fn change_grant(
        &self,
        caller: &Caller,
        target: &Target,
        id: GrantId,
        right: Right,
        when: TagCondition,
        address: Option<IpAddr>,
    ) -> Result<Grant> {
        access::require_owner(caller)?;
        let (caller, target, world) = (caller.clone(), target.clone(), self.world().clone());
        self.db()
            .write(move |tx| {
                let mut drive = drive::rows::lock(tx, caller.drive)?;
                let node = shareable(tx, &caller, &target)?.node.id;
                let old = rows::find(tx, drive.id, node, id)?.ok_or(Error::NotFound)?;
                when.require(&old.etag())?;
                rows::set_right(tx, id, right)?;
                taken(tx, &mut drive, [old.account], world.now_ms())?;
                drive::rows::settle(tx, &drive)?;
                let line = Line::new(AuditAction::GrantChange)
                    .of(old.account)
                    .about(id);
                let line = line.change(old.right.as_str(), right.as_str());
                audit::record(tx, &world, Some(caller.user), address, &line)?;
                Ok(Grant { right, ..old })
            })
            .await
    }

    /// Takes a grant on a node back, if it is as it should be, or all of them; how many there were.
    ///
    /// # Errors
    /// As [`Self::change_grant`].
    pub async fn revoke(
        &self,
        caller: &Caller,
        target: &Target,
        one: Option<(GrantId, TagCondition)>,
        address: Option<IpAddr>,
    ) -> Result<u64> {
        access::require_owner(caller)?;
        let (caller, target, world) = (caller.clone(), target.clone(), self.world().clone());
        self.db()
            .write(move |tx| {
                let mut drive = drive::rows::lock(tx, caller.drive)?;
                let node = shareable(tx, &caller, &target)?.node.id;
                let gone = match &one {
                    Some((id, when)) => {
                        let old = rows::find(tx, drive.id, node, *id)?.ok_or(Error::NotFound)?;
                        when.require(&old.etag())?;
                        rows::remove(tx, *id)?;
                        vec![old.account]
                    }
                    None => rows::remove_on(tx, node)?,
                };
                drive.shares = rows::count(tx, drive.id)?;
                taken(tx, &mut drive, gone.iter().copied(), world.now_ms())?;
                drive::rows::settle(tx, &drive)?;
                for account in &gone {
                    let line = Line::new(AuditAction::GrantRevoke).of(*account);
                    let line = match &one {
                        Some((id, _)) => line.about(*id),
                        None => line.about(node),
                    };
                    audit::record(tx, &world, Some(caller.user), address, &line)?;
                }
                Ok(gone.len() as u64)
            })
            .await
    }

    /// What is shared with the caller, in the order of its names: at most `limit` after the one
    /// whose name has this NFC form.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn shares(
        &self,
        caller: &Caller,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Share>> {
        if !access::sees_shares(caller) {
            return Ok(Vec::new());
        }
        let user = caller.user;
        self.db()
            .read(move |tx| rows::shares(tx, user, after.as_deref().unwrap_or(""), limit))
            .await
    }

    /// Gives back what was shared; its owner is not told.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this is no grant to the caller, [`Error::Forbidden`] for app
    /// passwords.
    pub async fn leave_share(
        &self,
        caller: &Caller,
        id: GrantId,
        address: Option<IpAddr>,
    ) -> Result<()> {
        access::require_owner(caller)?;
        let (user, world) = (caller.user, self.world().clone());
        self.db()
            .write(move |tx| {
                let (drive, node) = rows::received(tx, user, id)?.ok_or(Error::NotFound)?;
                let mut drive = drive::rows::lock(tx, drive)?;
                rows::leave(tx, user, node)?;
                taken(tx, &mut drive, [Some(user)], world.now_ms())?;
                drive::rows::settle(tx, &drive)?;
                let line = Line::new(AuditAction::GrantLeave).of(user).about(id);
                audit::record(tx, &world, Some(user), address, &line)
            })
            .await
    }
}

/// Whose a name is, held for this transaction; nobody's when it is the caller's own.
pub(crate) fn receiver(
    tx: &mut Tx<'_>,
    caller: &Caller,
    name: &UserName,
) -> Result<Option<UserId>> {
    let account = rows::account_of(tx, name.key())?;
    Ok(account.filter(|account| *account != caller.user))
}

/// What a target names, if it can be given to others.
pub(crate) fn shareable(tx: &mut Tx<'_>, caller: &Caller, target: &Target) -> Result<Located> {
    let found = target.locate(tx, caller)?.ok_or(Error::NotFound)?;
    if found.path.is_root() {
        return Err(Error::Protected);
    }
    Ok(found)
}

/// The name under which an account will find something: the one it has for it already, else the
/// thing's own, with a number where it is taken. One statement, also for nobody.
pub(crate) fn free_mount(
    tx: &mut Tx<'_>,
    account: Option<UserId>,
    found: &Located,
) -> Result<Name> {
    let name = found.path.name().ok_or(Error::Protected)?;
    let beginning = beginning(name.nfc());
    let taken = rows::mounts(tx, account, beginning)?;
    if let Some((_, own)) = taken.iter().find(|(node, _)| *node == found.node.id) {
        return Ok(own.clone());
    }
    name.free_among(!found.node.is_folder(), |name| {
        taken.iter().any(|(_, other)| other.nfc() == name)
    })
}

/// What stays of a name when it is cut to make room for a number.
pub(crate) fn beginning(name: &str) -> &str {
    let stem = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let mut end = stem.min(Name::MAX_BYTES / 2);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Lets the former owner of what was given away read and write it; the drive it is in now is held,
/// and so is their account.
pub(crate) fn give(
    tx: &mut Tx<'_>,
    drive: &Drive,
    found: &Located,
    to: (UserId, &UserName),
    id: GrantId,
    now_ms: i64,
) -> Result<()> {
    let mount = free_mount(tx, Some(to.0), found)?;
    let new = rows::NewGrant {
        id,
        node: found.node.id,
        drive: drive.id,
        name: to.1.as_str(),
        key: to.1.key(),
        account: Some(to.0),
        right: Right::Write,
        mount: &mount,
        since_change: drive.change_number,
        now_ms,
    };
    rows::upsert(tx, &new)?;
    told(tx, [Some(to.0)]);
    Ok(())
}

/// Takes the grants on a tree along to another drive; its owner needs none. Uploads that came by
/// them end: their room is in the drive where the tree was.
pub(crate) fn hand_over(
    tx: &mut Tx<'_>,
    from: DriveId,
    root: NodeId,
    to: &Drive,
    owner: UserId,
) -> Result<()> {
    rows::remove_of(tx, from, root, owner)?;
    told(tx, [Some(owner)]);
    let receivers = rows::move_within(tx, from, root, to)?;
    told(tx, receivers);
    resumable::rows::abandon_ungranted(tx, from)
}

/// How many grants and offers there are in a drive.
pub(crate) fn count(tx: &mut Tx<'_>, drive: DriveId) -> Result<u64> {
    rows::count(tx, drive)
}

/// Ends access to a tree that goes away, for good. Only its owner may take away what is shared.
///
/// No statement while nothing in the drive is shared.
///
/// # Errors
/// [`Error::Protected`] when something in the tree is shared and the caller is not the owner.
pub(crate) fn end_within(tx: &mut Tx<'_>, scene: &mut Scene<'_>, root: NodeId) -> Result<()> {
    if scene.drive.shares == 0 {
        return Ok(());
    }
    if scene.caller.via != Via::Own && rows::is_any_within(tx, scene.drive.id, root)? {
        return Err(Error::Protected);
    }
    let gone = rows::remove_within(tx, scene.drive.id, root)?;
    let withdrawn = transfer::end_within(tx, scene.drive.id, root)?;
    if !gone.is_empty() || withdrawn > 0 {
        scene.drive.shares = rows::count(tx, scene.drive.id)?;
        resumable::rows::abandon_ungranted(tx, scene.drive.id)?;
        told(tx, gone);
    }
    Ok(())
}

/// Only the owner moves or renames what is shared by itself.
///
/// # Errors
/// [`Error::Protected`] for others.
pub(crate) fn require_movable(tx: &mut Tx<'_>, scene: &Scene<'_>, node: NodeId) -> Result<()> {
    let is_owner = scene.caller.via == Via::Own;
    if is_owner || scene.drive.shares == 0 || !rows::is_on(tx, scene.drive.id, node)? {
        return Ok(());
    }
    Err(Error::Protected)
}

/// Ends access to everything in a drive that goes away.
pub(crate) fn end_all(tx: &mut Tx<'_>, drive: DriveId) -> Result<()> {
    let gone = rows::remove_of_drive(tx, drive)?;
    told(tx, gone);
    Ok(())
}

/// Lets caches know for whom something has come or gone.
fn told(tx: &mut Tx<'_>, accounts: impl IntoIterator<Item = Option<UserId>>) {
    for account in accounts.into_iter().flatten() {
        tx.effect(Effect::Shares(account));
    }
}

/// After rights were taken from these accounts: their uploads end that came by such a right, and
/// their locks where they may not write any more, or nobody could for as long as those last.
fn taken(
    tx: &mut Tx<'_>,
    drive: &mut Drive,
    accounts: impl IntoIterator<Item = Option<UserId>>,
    now_ms: i64,
) -> Result<()> {
    let mut accounts: Vec<UserId> = accounts.into_iter().flatten().collect();
    accounts.sort_unstable();
    accounts.dedup();
    told(tx, accounts.iter().map(|account| Some(*account)));
    resumable::rows::abandon_ungranted(tx, drive.id)?;
    if drive.lock_count == 0 {
        return Ok(());
    }
    // Also where there is nobody: it must not be told from somebody.
    for lock in lock::rows::live(tx, drive.id, now_ms)? {
        if !accounts.contains(&lock.holder) {
            continue;
        }
        let right = access::granted(tx, lock.holder, lock.node)?;
        if !right.is_some_and(|right| right.can_write) {
            let removed = lock::rows::remove(tx, &lock.token)?;
            drive.lock_count = drive.lock_count.saturating_sub(removed);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
