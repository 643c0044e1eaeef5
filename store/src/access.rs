//! The one door: may this caller do this?
//!
//! A caller's paths start at its own root, so whatever a path leads to is its
//! own; what is left to ask is what the credential allows.

use crate::caller::{Caller, Via};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::link;

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

/// Asks again for what leads the caller to the drive, in the transaction that relies on it.
///
/// # Errors
/// [`Error::NotFound`] when it has ended.
pub(crate) fn recheck(tx: &mut Tx<'_>, caller: &Caller, now_ms: i64) -> Result<()> {
    match caller.via {
        Via::Own | Via::Grant(_) => Ok(()),
        Via::Link(id) if link::rows::takes_uploads(tx, id, caller.root, now_ms)? => Ok(()),
        Via::Link(_) => Err(Error::NotFound),
    }
}
