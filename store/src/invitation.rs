//! Invitations: codes that let one person each register where registration is not open.

mod rows;

use std::time::Duration;

use crate::audit;
use crate::caller::Actor;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::secret;
use crate::store::Store;
use crate::user;

const PREFIX: &str = "inv_";

impl Store {
    /// Makes an invitation: its code, shown this once, and when it expires.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn invite(&self, actor: Actor, valid_for: Duration) -> Result<(String, i64)> {
        let code = secret::generate(self.world(), PREFIX);
        let digest = secret::digest(&code);
        let world = self.world().clone();
        let lifetime_ms = i64::try_from(valid_for.as_millis()).unwrap_or(i64::MAX);
        let now = world.now_ms();
        let expires_at = now.saturating_add(lifetime_ms);
        self.db()
            .write(move |tx| {
                user::require_administrator(tx, actor)?;
                rows::insert(tx, digest, actor.user(), now, expires_at)?;
                audit::record(tx, &world, actor.user(), "invitation.add", "", None)
            })
            .await?;
        Ok((code, expires_at))
    }
}

/// Whether the code would be accepted now.
pub(crate) fn is_valid(tx: &mut Tx<'_>, code: &str, now_ms: i64) -> Result<bool> {
    rows::is_valid(tx, secret::digest(code), now_ms)
}

/// Uses the code up.
///
/// # Errors
/// [`Error::Forbidden`] when it is unknown, expired or used.
pub(crate) fn redeem(tx: &mut Tx<'_>, code: &str, now_ms: i64) -> Result<()> {
    if rows::remove(tx, secret::digest(code), now_ms)? {
        Ok(())
    } else {
        Err(Error::Forbidden)
    }
}

/// Removes the expired ones.
pub(crate) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<u64> {
    rows::purge(tx, now_ms)
}
