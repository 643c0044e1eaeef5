//! The one door: may this caller do this?
//!
//! A caller's paths start at its own root, so whatever a path leads to is its
//! own; what is left to ask is what the credential allows.

use crate::caller::Caller;
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
