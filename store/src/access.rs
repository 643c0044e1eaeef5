//! The one door: may this caller do this?
//!
//! A caller's paths start at its own root, so whatever a path leads to is its
//! own; what is left to ask is what the credential allows. Where the drive is
//! somebody else's, that is what was granted: on the node or on anything above
//! it, the strongest right counts.

mod rows;

use crate::caller::{Caller, Via};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::{DriveId, GrantId, NodeId, UserId};
use crate::link;
use crate::node;
use crate::path::{Name, Path};

/// What an account has been granted on a node.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    /// The strongest grant.
    pub grant: GrantId,
    /// What it is on: the node that was asked about, or one above it.
    pub node: NodeId,
    pub drive: DriveId,
    pub can_write: bool,
    /// The name under which its receiver finds it.
    pub mount: Name,
}

impl Granted {
    /// The caller that may do, from `root` down, what was granted.
    pub fn derive(&self, caller: &Caller, root: NodeId) -> Caller {
        Caller {
            drive: self.drive,
            root,
            whole_drive: false,
            read_only: caller.read_only || !self.can_write,
            via: Via::Grant(self.grant),
            ..caller.clone()
        }
    }
}

/// Changing anything in the drive.
///
/// # Errors
/// [`Error::Forbidden`] for a credential that only reads, and for links.
pub(crate) fn require_write(caller: &Caller) -> Result<()> {
    if caller.link().is_some() {
        return Err(Error::Forbidden);
    }
    require_add(caller)
}

/// Adding a file beside what is there, which is all that a link for uploads allows.
///
/// # Errors
/// [`Error::Forbidden`] for a credential that only reads.
pub(crate) fn require_add(caller: &Caller) -> Result<()> {
    if caller.read_only {
        Err(Error::Forbidden)
    } else {
        Ok(())
    }
}

/// What belongs to the drive, but to no place in it.
///
/// # Errors
/// [`Error::Forbidden`] for a credential that is confined to a folder.
pub(crate) fn require_whole_drive(caller: &Caller) -> Result<()> {
    if caller.whole_drive {
        Ok(())
    } else {
        Err(Error::Forbidden)
    }
}

/// Looking at what a file once held, and going back to it: the owner, and whom they let write there.
///
/// Who may only read is given what a file holds now, not what its owner has taken out of it.
///
/// # Errors
/// [`Error::Forbidden`] for everybody else, and for a credential of the owner's that is confined to
/// a folder.
pub(crate) fn require_history(caller: &Caller) -> Result<()> {
    match caller.via {
        Via::Own => require_whole_drive(caller),
        Via::Grant(_) | Via::Link(_) => require_write(caller),
    }
}

/// What only the owner decides, in person: who else has access.
///
/// # Errors
/// [`Error::Forbidden`] for everybody else, and for an app password.
pub(crate) fn require_owner(caller: &Caller) -> Result<()> {
    caller.require_person()?;
    match caller.via {
        Via::Own => Ok(()),
        Via::Grant(_) | Via::Link(_) => Err(Error::Forbidden),
    }
}

/// Whether what others share shows in the caller's drive: not to an app password that is confined
/// to a folder, whose drive that folder is.
pub(crate) fn sees_shares(caller: &Caller) -> bool {
    caller.via == Via::Own && caller.whole_drive
}

/// The strongest right that an account has been granted on a node, by grants on it and on
/// whatever lies above it. One statement.
pub(crate) fn granted(tx: &mut Tx<'_>, user: UserId, node: NodeId) -> Result<Option<Granted>> {
    rows::on_chain(tx, user, node)
}

/// The line of the drive's history from which on an account may know what happened to a node that
/// it was granted; `None` where nothing is granted any more. One statement.
pub(crate) fn known_since(tx: &mut Tx<'_>, user: UserId, node: NodeId) -> Result<Option<i64>> {
    rows::known_since(tx, user, node)
}

/// Asks again for what leads the caller to the drive, in the transaction that relies on it. The
/// drive must be held: grants in it are changed by whoever holds it.
///
/// # Errors
/// [`Error::NotFound`] when it is revoked or has ended, [`Error::Forbidden`] when it is less now.
pub(crate) fn recheck(tx: &mut Tx<'_>, caller: &Caller, now_ms: i64) -> Result<()> {
    match caller.via {
        Via::Own => Ok(()),
        Via::Grant(_) => match granted(tx, caller.user, caller.root)? {
            Some(now) if now.drive != caller.drive => Err(Error::NotFound),
            Some(now) if !now.can_write && !caller.read_only => Err(Error::Forbidden),
            Some(_) => Ok(()),
            None => Err(Error::NotFound),
        },
        Via::Link(id) if link::rows::takes_uploads(tx, id, caller.root, now_ms)? => Ok(()),
        Via::Link(_) => Err(Error::NotFound),
    }
}

/// Where a name that an account has for what is shared with it leads, and how far down `below`:
/// the caller that goes on from there, and how many names of the path were walked.
///
/// Where only reading is granted, but writing on something on the way, the path goes on from
/// there. One statement; three where writing is granted anywhere in such a drive.
pub(crate) fn at_mount(
    tx: &mut Tx<'_>,
    caller: &Caller,
    mount: &Name,
    below: &Path,
) -> Result<Option<(Caller, usize)>> {
    let Some((root, granted, may_write)) = rows::at_mount(tx, caller.user, mount.nfc())? else {
        return Ok(None);
    };
    if !granted.can_write && may_write && !caller.read_only && !below.is_root() {
        let writable = rows::writable(tx, caller.user, granted.drive)?;
        let chain = node::rows::walk(tx, root, below)?;
        for (depth, node) in chain.iter().enumerate().skip(1) {
            if let Some((_, grant)) = writable.iter().find(|(of, _)| *of == node.id) {
                let stronger = Granted {
                    grant: *grant,
                    can_write: true,
                    ..granted
                };
                return Ok(Some((stronger.derive(caller, node.id), depth)));
            }
        }
    }
    Ok(Some((granted.derive(caller, root), 0)))
}
