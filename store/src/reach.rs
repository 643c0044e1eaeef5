//! From a path or an id to the drive it lies in: the caller's own, or one that its owner shares.
//!
//! What is shared shows as one more folder at the root of the receiver's drive, which is in no
//! table: [`SHARED`]. Below it each share has a name that its receiver keeps, whatever its owner
//! calls it. A request that leads there is answered for a *derived* caller, whose drive, root and
//! rights are those that were granted.

use crate::access;
use crate::cache::Stamp;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grant;
use crate::id::UserId;
use crate::path::{Name, Path};
use crate::store::Store;
use crate::target::{Destination, Target};

/// The folder in which everybody finds what others share with them. Nothing else can have this
/// name at the root of a drive.
pub const SHARED: &str = "Shared with me";

/// What a path or an id leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The folder [`SHARED`] itself.
    Shares,
    /// A place in a drive.
    Drive(Box<Reached>),
}

/// A place in a drive, and who may do what there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The caller, or the one derived from it by what was granted.
    pub caller: Caller,
    /// Where its paths start, as the first caller's paths go.
    pub base: Path,
    /// The place, as the derived caller's paths go.
    pub target: Target,
}

impl Reached {
    fn own(caller: &Caller, target: &Target) -> Self {
        Self {
            caller: caller.clone(),
            base: Path::root(),
            target: target.clone(),
        }
    }

    /// Whether paths of both start at the same place.
    pub fn is_with(&self, other: &Self) -> bool {
        self.caller.drive == other.caller.drive && self.caller.root == other.caller.root
    }

    /// The path, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::Path(path) => Some(path),
            Target::Node(_) => None,
        }
    }
}

/// Whether the path leads into the folder of what is shared, or is it.
pub fn is_shared(caller: &Caller, path: &Path) -> bool {
    access::sees_shares(caller) && path.names().next().is_some_and(|name| name.nfc() == SHARED)
}

impl Store {
    /// Where a path or an id of the caller leads; `None` where nothing is shared under that name.
    ///
    /// An id that is nobody's, or not the caller's to know, is taken for one in the caller's own
    /// drive, where nothing will be found. No statement for a path in the caller's own drive, nor,
    /// on SQLite, for an id while nothing is shared with them; else one, up to three in a drive of
    /// which several things are shared.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn reach(&self, caller: &Caller, target: &Target) -> Result<Option<Reach>> {
        match target {
            Target::Path(path) if is_shared(caller, path) => {
                let below = path.below(1);
                let Some(mount) = below.names().next().cloned() else {
                    return Ok(Some(Reach::Shares));
                };
                let (asking, below) = (caller.clone(), below.below(1));
                let rest = below.clone();
                let found = self
                    .db()
                    .read_snapshot(move |tx| access::at_mount(tx, &asking, &mount, &below))
                    .await?;
                Ok(found.map(|(derived, depth)| {
                    Reach::Drive(Box::new(Reached {
                        caller: derived,
                        base: path.prefix(2 + depth),
                        target: Target::Path(rest.below(depth)),
                    }))
                }))
            }
            Target::Node(id) if self.may_have_shares(caller).await? => {
                let (user, id) = (caller.user, *id);
                let granted = self
                    .db()
                    .read(move |tx| access::granted(tx, user, id))
                    .await?;
                let Some(granted) = granted else {
                    return Ok(Some(Reach::Drive(Box::new(Reached::own(caller, target)))));
                };
                let base = Path::root()
                    .join(Name::new(SHARED)?)?
                    .join(granted.mount.clone())?;
                Ok(Some(Reach::Drive(Box::new(Reached {
                    caller: granted.derive(caller, granted.node),
                    base,
                    target: target.clone(),
                }))))
            }
            _ => Ok(Some(Reach::Drive(Box::new(Reached::own(caller, target))))),
        }
    }

    /// Where something of `from` goes: [`Reached::target`] of the answer is not to be looked at.
    ///
    /// # Errors
    /// [`Error::ParentMissing`] where nothing is shared under the name, [`Error::Protected`] for a
    /// place among the shares themselves, where nothing can be put.
    pub async fn reach_destination(
        &self,
        caller: &Caller,
        from: &Reached,
        to: Destination,
    ) -> Result<(Reached, Destination)> {
        let target = match &to {
            Destination::Path(path) if is_shared(caller, path) && path.depth() <= 2 => {
                return Err(Error::Protected);
            }
            Destination::Path(path) => Target::Path(path.clone()),
            Destination::Entry {
                folder: Some(id), ..
            } => Target::Node(*id),
            Destination::Entry { folder: None, .. } => return Ok((from.clone(), to)),
        };
        match self.reach(caller, &target).await? {
            Some(Reach::Drive(reached)) => {
                let to = match (&reached.target, to) {
                    (Target::Path(path), _) => Destination::Path(path.clone()),
                    (Target::Node(_), to) => to,
                };
                // By id it may be found by another way than the source was.
                let is_elsewhere = !reached.is_with(from)
                    && matches!(to, Destination::Entry { .. })
                    && reached.caller.drive == from.caller.drive;
                if is_elsewhere && self.look_up(&from.caller, &target).await?.is_some() {
                    return Ok((from.clone(), to));
                }
                Ok((*reached, to))
            }
            Some(Reach::Shares) => Err(Error::Protected),
            None => Err(Error::ParentMissing),
        }
    }

    /// Whether anything is shared with an account. On SQLite from memory, when nothing changed.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn has_shares(&self, caller: &Caller) -> Result<bool> {
        if !access::sees_shares(caller) {
            return Ok(false);
        }
        let user = caller.user;
        let stamp = self.generations().of_shares(user);
        if let Some(known) = self.remembered_shares(user, stamp) {
            return Ok(known);
        }
        let has = self
            .db()
            .read(move |tx| grant::rows::is_receiver(tx, user))
            .await?;
        self.remember_shares(user, stamp, has);
        Ok(has)
    }

    /// As [`Self::has_shares`], where it is known without asking.
    pub(crate) async fn may_have_shares(&self, caller: &Caller) -> Result<bool> {
        if self.db().is_exclusive() {
            self.has_shares(caller).await
        } else {
            Ok(access::sees_shares(caller))
        }
    }

    fn remembered_shares(&self, user: UserId, stamp: Stamp) -> Option<bool> {
        self.receivers()
            .get(&user)
            .filter(|(of, _)| *of == stamp && self.db().is_exclusive())
            .map(|(_, has)| has)
    }

    fn remember_shares(&self, user: UserId, stamp: Stamp, has: bool) {
        if self.db().is_exclusive() {
            self.receivers().insert(user, (stamp, has));
        }
    }
}
