//! The audit trail: who did what to whose account, from where and when. Lines are only ever
//! added, and the database itself refuses anything else.

mod rows;

use std::fmt::Display;
use std::net::IpAddr;

use crate::caller::Actor;
use crate::clock::World;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::id::{AuditId, UserId};
use crate::store::Store;
use crate::user;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a line of the audit trail tells of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[$doc])* $name,)*
        }

        impl AuditAction {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in the database and in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// An account was made.
    UserAdd = "user.add";
    /// An account was removed; the detail is its name.
    UserRemove = "user.remove";
    /// The limit of a drive changed.
    UserQuota = "user.quota";
    /// Rights on the server changed.
    UserAccess = "user.access";
    /// An account was disabled.
    UserDisable = "user.disable";
    /// A disabled account was enabled.
    UserEnable = "user.enable";
    /// User name or e-mail address changed.
    UserNames = "user.names";
    /// The password changed; log-ins ended.
    UserPassword = "user.password";
    /// Somebody logged in; the subject is the log-in.
    LoginAdd = "login.add";
    /// A log-in was ended.
    LoginRevoke = "login.revoke";
    /// A refresh token came a second time, which ended its log-in.
    LoginReuse = "login.reuse";
    /// Wrong passwords brought on a delay for an account name, an address or a link (the detail).
    LoginBlocked = "login.blocked";
    /// Registrations under taken names brought on a delay for an address.
    RegistrationBlocked = "registration.blocked";
    /// An app password was made.
    AppPasswordAdd = "app_password.add";
    /// An app password was ended.
    AppPasswordRevoke = "app_password.revoke";
    /// All app passwords of an account were ended.
    AppPasswordRevokeAll = "app_password.revoke_all";
    /// Somebody was asked to join the authors of an asset, which is the subject; the detail is the
    /// public name that was typed.
    AssetOffer = "asset.offer";
    /// Somebody joined the authors of an asset.
    AssetJoin = "asset.join";
    /// Somebody left the authors of an asset.
    AssetLeave = "asset.leave";
    /// An invitation was made.
    InvitationAdd = "invitation.add";
    /// An invitation was withdrawn.
    InvitationRevoke = "invitation.revoke";
    /// Somebody registered with an invitation.
    InvitationUse = "invitation.use";
    /// Somebody was given a right on a file or folder; the subject is the grant.
    GrantAdd = "grant.add";
    /// A grant became one of another right.
    GrantChange = "grant.change";
    /// A grant was taken back; the subject is the grant, or the node of which all were.
    GrantRevoke = "grant.revoke";
    /// Somebody gave up what was shared with them.
    GrantLeave = "grant.leave";
    /// A file or folder was offered to somebody; the subject is the offer.
    TransferOffer = "transfer.offer";
    /// An offer was accepted: the account is that of the former owner, the detail the node.
    TransferAccept = "transfer.accept";
    /// An offer was declined.
    TransferDecline = "transfer.decline";
    /// An offer was withdrawn.
    TransferWithdraw = "transfer.withdraw";
    /// A link was made; the detail is what for.
    LinkAdd = "link.add";
    /// A link was changed; the detail names what of it.
    LinkChange = "link.change";
    /// A link was revoked.
    LinkRevoke = "link.revoke";
    /// A setting changed; the subject is its name.
    SettingChange = "setting.change";
    /// A background job was started by hand; the subject is its name.
    JobRun = "job.run";
}

impl AuditAction {
    /// Reads the word.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|action| action.as_str() == text);
        found.copied().ok_or_else(|| Error::Invalid {
            field: "action",
            reason: "is not an action of the audit trail".into(),
        })
    }
}

/// An account by its id, and its name while it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The account.
    pub id: UserId,
    /// The name it has now; `None` when it was removed.
    pub username: Option<String>,
}

/// A line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Names it; later lines have greater ids.
    pub id: AuditId,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// What was done: the word of an [`AuditAction`].
    pub action: String,
    /// Who did it; `None` for the machine's own command line, and where nobody was known.
    pub by: Option<Party>,
    /// Whose account it was done to.
    pub account: Option<Party>,
    /// The log-in, app password, invitation, grant, offer, link, setting or job that it was done to;
    /// or empty.
    pub subject: String,
    /// What changed into what; or empty.
    pub detail: String,
    /// From where.
    pub address: Option<String>,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter {
    /// Those of what this account did or what was done to it.
    pub account: Option<UserId>,
    /// Those of this action.
    pub action: Option<AuditAction>,
}

/// A line to be added.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    action: AuditAction,
    account: Option<UserId>,
    subject: String,
    detail: String,
}

impl Line {
    pub fn new(action: AuditAction) -> Self {
        Self {
            action,
            account: None,
            subject: String::new(),
            detail: String::new(),
        }
    }

    /// Whose account it was done to.
    pub fn of(self, account: impl Into<Option<UserId>>) -> Self {
        let account = account.into();
        Self { account, ..self }
    }

    /// What it was done to.
    pub fn about(self, subject: impl Display) -> Self {
        let subject = subject.to_string();
        Self { subject, ..self }
    }

    /// What more there is to say; never a secret.
    pub fn detail(self, detail: impl Display) -> Self {
        let detail = detail.to_string();
        Self { detail, ..self }
    }

    /// What changed into what.
    pub fn change(self, old: impl Display, new: impl Display) -> Self {
        self.detail(format!("{old} -> {new}"))
    }
}

/// Adds a line, in the transaction of what it tells of.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    world: &World,
    by: Option<UserId>,
    address: Option<IpAddr>,
    line: &Line,
) -> Result<()> {
    rows::insert(tx, world, by, address, line)
}

impl Store {
    /// Lines of the audit trail, the newest first: at most `limit` of those older than `before`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn audit(
        &self,
        actor: Actor,
        filter: AuditFilter,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditLine>> {
        self.db()
            .read(move |tx| {
                user::require_administrator(tx, actor)?;
                rows::list(tx, filter, before, limit)
            })
            .await
    }

    /// Writes down that an administrator starts a background job by hand.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn note_job_run(
        &self,
        actor: Actor,
        job: &'static str,
        address: Option<IpAddr>,
    ) -> Result<()> {
        let world = self.world().clone();
        self.db()
            .write(move |tx| {
                user::require_administrator(tx, actor)?;
                let line = Line::new(AuditAction::JobRun).about(job);
                record(tx, &world, actor.user(), address, &line)
            })
            .await
    }
}

#[cfg(test)]
mod tests;
