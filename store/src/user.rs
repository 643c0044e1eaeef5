//! Accounts: who there is, and how one comes to be.

mod change;
mod name;
pub(crate) mod rows;

use std::net::IpAddr;

pub(crate) use self::change::require_version;
pub use self::change::{OwnChange, UserChange};
pub use self::name::UserName;
pub(crate) use self::name::key as name_key;
use crate::attempt::{self, Subject};
use crate::audit::{self, AuditAction, Line};
use crate::caller::{Access, Actor};
use crate::clock::World;
use crate::condition::etag_of;
use crate::db::Tx;
use crate::drive::{self, Usage};
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, UserId};
use crate::invitation;
use crate::password::Password;
use crate::setting::{self, Registration};
use crate::store::Store;

/// Largest quota in bytes: what JSON numbers hold exactly.
const MAX_QUOTA_BYTES: u64 = 1 << 53;

/// An account, as its owner and administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Names it for its whole life.
    pub id: UserId,
    /// The user name; the e-mail address where only that was given.
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// Its rights on the server.
    pub access: Access,
    /// When it was made, in milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// Since when it cannot be used, likewise.
    pub disabled_at: Option<i64>,
    /// Its drive.
    pub drive: DriveId,
    /// How full the drive is.
    pub usage: Usage,
}

impl User {
    /// Changes with whatever can be set of the account, not with what its drive holds: with its
    /// quotes.
    pub fn etag(&self) -> String {
        etag_of([
            Some(self.username.clone()),
            self.email.clone(),
            Some(self.access.as_str().to_owned()),
            self.disabled_at.map(|at| at.to_string()),
            Some(self.usage.limit_bytes.to_string()),
        ])
    }
}

/// An account to be made. At least one of the names must be there.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user name, which may be an e-mail address.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The password.
    pub password: Password,
    /// Rights on the server; those who register themselves become users whatever stands here.
    pub access: Access,
    /// Limit of the drive; `None` is the default, as it is for those who register themselves.
    pub quota_bytes: Option<u64>,
}

/// Why somebody may make an account.
#[derive(Debug, Clone)]
pub enum Admission {
    /// They ask for themselves, perhaps with the code of an invitation; whether that is enough
    /// is a setting.
    Own(Option<String>),
    /// An administrator does it for them.
    By(Actor),
}

/// What came of making the first administrator (E5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAdministrator {
    /// It was made.
    Created(Box<User>),
    /// There is an administrator; nothing was done.
    AlreadyThere,
}

/// The names of an account, checked.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    username: UserName,
    email: Option<UserName>,
}

impl Names {
    fn new(username: Option<&str>, email: Option<&str>) -> Result<Self> {
        let email = email.map(UserName::email).transpose()?;
        let username = match (username.map(UserName::plain).transpose()?, &email) {
            (Some(username), _) => username,
            (None, Some(email)) => email.clone(),
            (None, None) => {
                return Err(Error::Invalid {
                    field: "username",
                    reason: "a user name or an e-mail address is needed".into(),
                });
            }
        };
        Ok(Self { username, email })
    }

    /// The keys by which the account is found; the second is absent where it equals the first.
    fn keys(&self) -> (&str, Option<&str>) {
        let username = self.username.key();
        let email = self.email.as_ref().map(UserName::key);
        (username, email.filter(|email| *email != username))
    }
}

impl Store {
    /// Makes an account and its drive.
    ///
    /// A taken user name and a taken e-mail address give the same answer after the same
    /// work, and from one address a limited number of times.
    ///
    /// # Errors
    /// [`Error::RegistrationClosed`], [`Error::WrongInvitation`] or, when it is not an
    /// administrator who does it, [`Error::Forbidden`]; [`Error::NameTaken`],
    /// [`Error::Invalid`], [`Error::TooManyAttempts`], and [`Error::CapacityExceeded`]
    /// when the quota would take the sum of all over the server's capacity.
    pub async fn register(
        &self,
        new: NewUser,
        admission: Admission,
        address: Option<IpAddr>,
    ) -> Result<User> {
        let names = Names::new(new.username.as_deref(), new.email.as_deref())?;
        new.password
            .check_new(self.options().accounts.password_min_chars)?;
        let by_administrator = matches!(admission, Admission::By(_));
        let (access, quota_bytes) = if by_administrator {
            (new.access, new.quota_bytes.map(check_quota).transpose()?)
        } else {
            (Access::User, None)
        };

        // Hashing is dear: only for those who could be let in.
        let prober = address
            .filter(|_| !by_administrator)
            .map(Subject::registration);
        let configured = self.configured_settings();
        let (world, asked) = (self.world().clone(), admission.clone());
        self.db()
            .read(move |tx| {
                if let Some(prober) = prober {
                    attempt::check(tx, prober, world.now_ms())?;
                }
                match &asked {
                    Admission::By(actor) => require_administrator(tx, *actor),
                    Admission::Own(code) => {
                        let mode = setting::current(tx, configured)?.registration;
                        match invitation_needed(mode, code.as_deref())? {
                            Some(code) => invitation::check(tx, code, world.now_ms()),
                            None => Ok(()),
                        }
                    }
                }
            })
            .await?;
        let password_hash = self
            .credentials()
            .hasher
            .hash(self.world(), &new.password)
            .await?;

        let account = NewAccount {
            names,
            password_hash,
            access,
        };
        let (world, overcommit) = (self.world().clone(), self.options().overcommit);
        let made = self
            .db()
            .write(move |tx| {
                let settings = setting::current(tx, configured)?;
                let mut used = None;
                match &admission {
                    Admission::By(actor) => require_administrator(tx, *actor)?,
                    Admission::Own(code) => {
                        let needed = invitation_needed(settings.registration, code.as_deref())?;
                        if let Some(code) = needed {
                            used = Some(invitation::redeem(tx, code, world.now_ms())?);
                        }
                    }
                }
                let quota_bytes = quota_bytes.unwrap_or(settings.default_quota_bytes);
                let user = account.insert(tx, &world, quota_bytes, overcommit)?;
                let by = match &admission {
                    Admission::By(actor) => actor.user(),
                    Admission::Own(_) => Some(user.id),
                };
                let line = Line::new(AuditAction::UserAdd).of(user.id);
                audit::record(tx, &world, by, address, &line)?;
                if let Some(invitation) = used {
                    let line = Line::new(AuditAction::InvitationUse).of(user.id);
                    audit::record(tx, &world, by, address, &line.about(invitation))?;
                }
                Ok(user)
            })
            .await;
        if let (Err(Error::NameTaken), Some(prober)) = (&made, prober) {
            let free = self.options().accounts.failures_per_address;
            let world = self.world().clone();
            self.db()
                .write(move |tx| {
                    if attempt::charge(tx, prober, free, world.now_ms())? {
                        let line = Line::new(AuditAction::RegistrationBlocked);
                        audit::record(tx, &world, None, address, &line)?;
                    }
                    Ok(())
                })
                .await?;
        }
        made
    }

    /// Makes the first administrator, if there is none (E5).
    ///
    /// # Errors
    /// As [`Self::register`].
    pub async fn ensure_administrator(
        &self,
        username: Option<&str>,
        email: Option<&str>,
        password: &Password,
    ) -> Result<FirstAdministrator> {
        if self.db().read(rows::has_administrator).await? {
            return Ok(FirstAdministrator::AlreadyThere);
        }
        let names = Names::new(username, email)?;
        password.check_new(self.options().accounts.password_min_chars)?;
        let account = NewAccount {
            names,
            password_hash: self
                .credentials()
                .hasher
                .hash(self.world(), password)
                .await?,
            access: Access::Administrator,
        };
        let (world, overcommit) = (self.world().clone(), self.options().overcommit);
        let configured = self.configured_settings();
        let made = self
            .db()
            .write(move |tx| {
                if rows::has_administrator(tx)? {
                    return Ok(FirstAdministrator::AlreadyThere);
                }
                let quota_bytes = setting::current(tx, configured)?.default_quota_bytes;
                let user = account.insert(tx, &world, quota_bytes, overcommit)?;
                let line = Line::new(AuditAction::UserAdd).of(user.id);
                audit::record(tx, &world, None, None, &line)?;
                Ok(FirstAdministrator::Created(Box::new(user)))
            })
            .await;
        match made {
            // Another daemon was faster with the same name.
            Err(Error::NameTaken) if self.db().read(rows::has_administrator).await? => {
                Ok(FirstAdministrator::AlreadyThere)
            }
            made => made,
        }
    }

    /// The name of an administrator, if there is one: of the oldest who can log in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn administrator_name(&self) -> Result<Option<String>> {
        self.db().read(rows::administrator_name).await
    }

    /// Accounts in the order of their ids, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn user_list(
        &self,
        actor: Actor,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<User>> {
        self.db()
            .read(move |tx| {
                require_administrator(tx, actor)?;
                rows::list(tx, after, limit)
            })
            .await
    }

    /// The account with this id, user name or e-mail address, as an administrator sees it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator, [`Error::NotFound`].
    pub async fn user_find(&self, actor: Actor, text: &str) -> Result<User> {
        let (id, key) = (text.parse::<UserId>().ok(), name_key(text));
        self.db()
            .read(move |tx| {
                require_administrator(tx, actor)?;
                let by_id = id.map(|id| rows::find(tx, id)).transpose()?.flatten();
                match by_id {
                    Some(user) => Ok(user),
                    None => rows::find_by_name(tx, &key)?.ok_or(Error::NotFound),
                }
            })
            .await
    }

    /// Makes sure that the actor administers, by the rows of now.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub async fn require_administrator(&self, actor: Actor) -> Result<()> {
        self.db()
            .read(move |tx| require_administrator(tx, actor))
            .await
    }

    /// An account as its owner sees it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is gone.
    pub async fn user(&self, id: UserId) -> Result<User> {
        self.db()
            .read(move |tx| rows::find(tx, id)?.ok_or(Error::NotFound))
            .await
    }
}

/// An account ready to be written.
struct NewAccount {
    names: Names,
    password_hash: String,
    access: Access,
}

impl NewAccount {
    fn insert(
        &self,
        tx: &mut Tx<'_>,
        world: &World,
        quota_bytes: u64,
        overcommit: bool,
    ) -> Result<User> {
        let id = UserId::new(world);
        let (first, second) = self.names.keys();
        // One look at both, so that either being taken takes the same time.
        if rows::is_taken(tx, first, second)? {
            return Err(Error::NameTaken);
        }
        rows::insert(
            tx,
            id,
            &self.names,
            &self.password_hash,
            self.access,
            world.now_ms(),
        )?;
        rows::insert_names(tx, id, &self.names)?;
        drive::create(tx, world, id, quota_bytes)?;
        if !overcommit {
            rows::check_sum_of_limits(tx)?;
        }
        rows::find(tx, id)?.ok_or(Error::NotFound)
    }
}

/// The code that must hold for somebody to register by themselves.
fn invitation_needed(mode: Registration, code: Option<&str>) -> Result<Option<&str>> {
    match mode {
        Registration::Open => Ok(None),
        Registration::Invitation => code.ok_or(Error::WrongInvitation).map(Some),
        Registration::Closed => Err(Error::RegistrationClosed),
    }
}

pub(crate) fn check_quota(quota_bytes: u64) -> Result<u64> {
    if quota_bytes > MAX_QUOTA_BYTES {
        return Err(Error::Limit {
            what: Limited::Quota,
            limit: MAX_QUOTA_BYTES,
        });
    }
    Ok(quota_bytes)
}

/// Keeps all other changes of what administrators are, and whatever else asks for this, away until
/// the transaction ends.
pub(crate) fn lock_administrators(tx: &mut Tx<'_>) -> Result<()> {
    rows::lock_administrators(tx).map(drop)
}

/// Asks the rows, not the credential: rights are those of now.
///
/// # Errors
/// [`Error::Forbidden`].
pub(crate) fn require_administrator(tx: &mut Tx<'_>, actor: Actor) -> Result<()> {
    match actor {
        Actor::Console => Ok(()),
        Actor::User(user) if rows::is_administrator(tx, user)? => Ok(()),
        Actor::User(_) => Err(Error::Forbidden),
    }
}

#[cfg(test)]
mod tests;
