//! The one door: may this caller do this?
//!
//! A caller's paths start at its own root, so whatever a path leads to is its
//! own; what is left to ask is what the credential allows.

use crate::caller::{Access, Caller};
use crate::error::{Error, Result};

/// Changing anything in the drive.
///
/// # Errors
/// [`Error::Forbidden`] for a credential that only reads.
pub(crate) fn require_write(caller: &Caller) -> Result<()> {
    if caller.read_only {
        Err(Error::Forbidden)
    } else {
        Ok(())
    }
}

/// Administering accounts and the server.
///
/// # Errors
/// [`Error::Forbidden`] for everyone but administrators.
pub(crate) fn require_administrator(caller: &Caller) -> Result<()> {
    match caller.access {
        Access::Administrator if caller.whole_drive && !caller.read_only => Ok(()),
        _ => Err(Error::Forbidden),
    }
}
