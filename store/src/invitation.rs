//! Invitations: codes that let one person each register where registration is not open.

mod rows;

use std::net::IpAddr;
use std::time::Duration;

use crate::audit::{self, AuditAction, Line, Party};
use crate::caller::Actor;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::InvitationId;
use crate::secret;
use crate::store::Store;
use crate::user;

const PREFIX: &str = "inv_";
/// Longest life of an invitation.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// An invitation that can be used, without its code. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Names it.
    pub id: InvitationId,
    /// Who made it; `None` for the machine's own command line.
    pub created_by: Option<Party>,
    /// When it was made.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

impl Store {
    /// Makes an invitation; its code is shown this once.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator, [`Error::Invalid`] when it would
    /// last less than a second or more than a year.
    pub async fn invite(
        &self,
        actor: Actor,
        valid_for: Duration,
        address: Option<IpAddr>,
    ) -> Result<(Invitation, String)> {
        if !(Duration::from_secs(1)..=LONGEST).contains(&valid_for) {
            return Err(Error::Invalid {
                field: "valid_for_s",
                reason: format!("must be between 1 and {}", LONGEST.as_secs()),
            });
        }
        let code = secret::generate(self.world(), PREFIX);
        let digest = secret::digest(&code);
        let world = self.world().clone();
        let lifetime_ms = i64::try_from(valid_for.as_millis()).unwrap_or(i64::MAX);
        let (id, now) = (InvitationId::new(&world), world.now_ms());
        let expires_at = now.saturating_add(lifetime_ms);
        let invitation = self
            .db()
            .write(move |tx| {
                user::require_administrator(tx, actor)?;
                rows::insert(tx, id, digest, actor.user(), now, expires_at)?;
                let line = Line::new(AuditAction::InvitationAdd).about(id);
                audit::record(tx, &world, actor.user(), address, &line)?;
                rows::find(tx, id)?.ok_or(Error::NotFound)
            })
            .await?;
        Ok((invitation, code))
    }

    /// Invitations that can be used, the oldest first: at most `limit` after `after`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn invitation_list(
        &self,
        actor: Actor,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>> {
        let now = self.world().now_ms();
        self.db()
            .read(move |tx| {
                user::require_administrator(tx, actor)?;
                rows::list(tx, after, limit, now)
            })
            .await
    }

    /// Withdraws an invitation.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator, [`Error::NotFound`] when it was
    /// used or has expired.
    pub async fn invitation_revoke(
        &self,
        actor: Actor,
        id: InvitationId,
        address: Option<IpAddr>,
    ) -> Result<()> {
        let world = self.world().clone();
        self.db()
            .write(move |tx| {
                user::require_administrator(tx, actor)?;
                if !rows::remove(tx, id, world.now_ms())? {
                    return Err(Error::NotFound);
                }
                let line = Line::new(AuditAction::InvitationRevoke).about(id);
                audit::record(tx, &world, actor.user(), address, &line)
            })
            .await
    }
}

/// Makes sure that the code would be accepted now.
///
/// # Errors
/// [`Error::WrongInvitation`] when it is unknown, expired or used.
pub(crate) fn check(tx: &mut Tx<'_>, code: &str, now_ms: i64) -> Result<()> {
    if rows::is_valid(tx, secret::digest(code), now_ms)? {
        Ok(())
    } else {
        Err(Error::WrongInvitation)
    }
}

/// Uses the code up; the invitation that it was.
///
/// # Errors
/// [`Error::WrongInvitation`] when it is unknown, expired or used.
pub(crate) fn redeem(tx: &mut Tx<'_>, code: &str, now_ms: i64) -> Result<InvitationId> {
    rows::redeem(tx, secret::digest(code), now_ms)?.ok_or(Error::WrongInvitation)
}

/// Removes the expired ones.
pub(crate) fn purge(tx: &mut Tx<'_>, now_ms: i64) -> Result<u64> {
    rows::purge(tx, now_ms)
}
