//! Changing and removing accounts.

use std::net::IpAddr;

use super::{Names, User, check_quota, require_administrator, rows};
use crate::app_password;
use crate::asset;
use crate::audit::{self, AuditAction, Line};
use crate::author;
use crate::cache::Effect;
use crate::caller::{Access, Actor, Caller};
use crate::clock::World;
use crate::condition::TagCondition;
use crate::db::Tx;
use crate::drive;
use crate::error::{Error, Result};
use crate::grant;
use crate::id::UserId;
use crate::link;
use crate::lock;
use crate::login;
use crate::password::Password;
use crate::resumable;
use crate::store::Store;
use crate::{trash, tree};

/// What an administrator changes of an account; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Limit of the drive.
    pub quota_bytes: Option<u64>,
    /// Rights on the server.
    pub access: Option<Access>,
    /// Whether it can be used.
    pub disabled: Option<bool>,
    /// The password; ends all log-ins.
    pub password: Option<Password>,
    /// The user name.
    pub username: Option<String>,
    /// The e-mail address; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Whether all app passwords end too.
    pub revoke_app_passwords: bool,
    /// What [`User::etag`] must be.
    pub when: TagCondition,
}

/// What people change of their own account; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct OwnChange {
    /// The password; ends all other log-ins.
    pub password: Option<Password>,
    /// The e-mail address; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Whether all app passwords end too.
    pub revoke_app_passwords: bool,
    /// What [`User::etag`] must be.
    pub when: TagCondition,
}

impl Store {
    /// Changes an account. What proves the ownership of one's own needs the current
    /// password: [`Self::change_own`].
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::NotFound`], [`Error::LastAdministrator`],
    /// [`Error::NameTaken`], [`Error::Invalid`], [`Error::CapacityExceeded`],
    /// [`Error::PreconditionFailed`].
    pub async fn user_set(
        &self,
        actor: Actor,
        id: UserId,
        change: UserChange,
        address: Option<IpAddr>,
    ) -> Result<User> {
        if actor.user() == Some(id) {
            require_no_proof(&change)?;
        }
        let quota_bytes = change.quota_bytes.map(check_quota).transpose()?;
        let password_hash = self.hash_new(change.password.as_ref()).await?;
        let (world, overcommit) = (self.world().clone(), self.options().overcommit);
        self.db()
            .write(move |tx| {
                require_administrator(tx, actor)?;
                if change.access == Some(Access::User) || change.disabled == Some(true) {
                    keep_an_administrator(tx, id)?;
                }
                let user = rows::lock(tx, id)?;
                change.when.require(&user.etag())?;
                let mut lines = Vec::new();
                if let Some(limit_bytes) = quota_bytes {
                    drive::rows::set_limit(tx, user.drive, limit_bytes)?;
                    let old_bytes = user.usage.limit_bytes;
                    if limit_bytes != old_bytes {
                        let line = Line::new(AuditAction::UserQuota);
                        lines.push(line.change(old_bytes, limit_bytes));
                    }
                    if !overcommit && limit_bytes > user.usage.limit_bytes {
                        rows::check_sum_of_limits(tx)?;
                    }
                }
                if let Some(access) = change.access {
                    rows::set_access(tx, id, access)?;
                    if access != user.access {
                        let line = Line::new(AuditAction::UserAccess);
                        lines.push(line.change(user.access.as_str(), access.as_str()));
                    }
                }
                if let Some(disabled) = change.disabled {
                    let since = user.disabled_at.unwrap_or(world.now_ms());
                    rows::set_disabled(tx, id, disabled.then_some(since))?;
                    asset::rows::relist_of(tx, id)?;
                    if disabled {
                        login::end_all(tx, id, None)?;
                        link::end_all(tx, user.drive)?;
                    }
                    match (user.disabled_at, disabled) {
                        (None, true) => lines.push(Line::new(AuditAction::UserDisable)),
                        (Some(_), false) => lines.push(Line::new(AuditAction::UserEnable)),
                        _ => {}
                    }
                }
                if set_names(tx, &user, change.username.as_deref(), change.email.as_ref())? {
                    lines.push(Line::new(AuditAction::UserNames));
                }
                if let Some(hash) = &password_hash {
                    rows::set_password(tx, id, hash)?;
                    login::end_all(tx, id, None)?;
                    lines.push(Line::new(AuditAction::UserPassword));
                }
                if change.revoke_app_passwords {
                    app_password::revoke_all(tx, id)?;
                    lines.push(Line::new(AuditAction::AppPasswordRevokeAll));
                }
                changed(tx, &world, actor.user(), id, address, lines)
            })
            .await
    }

    /// Changes the caller's own account, with the current password as proof.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], [`Error::TooManyAttempts`], [`Error::Forbidden`] for
    /// an app password, [`Error::NameTaken`], [`Error::Invalid`], [`Error::PreconditionFailed`].
    pub async fn change_own(
        &self,
        caller: &Caller,
        current: &Password,
        change: OwnChange,
        address: Option<IpAddr>,
    ) -> Result<User> {
        let version = self.confirm_password(caller, current, address).await?;
        let password_hash = self.hash_new(change.password.as_ref()).await?;
        let (id, kept_login) = (caller.user, caller.login);
        let world = self.world().clone();
        self.db()
            .write(move |tx| {
                let user = rows::lock(tx, id)?;
                require_version(tx, id, version)?;
                change.when.require(&user.etag())?;
                let mut lines = Vec::new();
                if set_names(tx, &user, None, change.email.as_ref())? {
                    lines.push(Line::new(AuditAction::UserNames));
                }
                if let Some(hash) = &password_hash {
                    rows::set_password(tx, id, hash)?;
                    login::end_all(tx, id, kept_login)?;
                    lines.push(Line::new(AuditAction::UserPassword));
                }
                if change.revoke_app_passwords {
                    app_password::revoke_all(tx, id)?;
                    lines.push(Line::new(AuditAction::AppPasswordRevokeAll));
                }
                changed(tx, &world, Some(id), id, address, lines)
            })
            .await
    }

    /// Removes an account with all that is its own; the files are purged in the background.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::NotFound`], [`Error::LastAdministrator`];
    /// [`Error::PreconditionFailed`] when it does not have the [`User::etag`] asked for.
    pub async fn user_remove(
        &self,
        actor: Actor,
        id: UserId,
        when: TagCondition,
        address: Option<IpAddr>,
    ) -> Result<()> {
        let world = self.world().clone();
        self.db()
            .write(move |tx| {
                require_administrator(tx, actor)?;
                remove(tx, &world, actor.user(), id, &when, address)
            })
            .await
    }

    /// Removes the caller's own account, with the password as proof.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], [`Error::TooManyAttempts`], [`Error::Forbidden`] for
    /// an app password, [`Error::LastAdministrator`], [`Error::PreconditionFailed`].
    pub async fn remove_own(
        &self,
        caller: &Caller,
        password: &Password,
        when: TagCondition,
        address: Option<IpAddr>,
    ) -> Result<()> {
        let version = self.confirm_password(caller, password, address).await?;
        let (world, id) = (self.world().clone(), caller.user);
        self.db()
            .write(move |tx| {
                require_version(tx, id, version)?;
                remove(tx, &world, Some(id), id, &when, address)
            })
            .await
    }

    async fn hash_new(&self, password: Option<&Password>) -> Result<Option<String>> {
        let Some(password) = password else {
            return Ok(None);
        };
        password.check_new(self.options().accounts.password_min_chars)?;
        Ok(Some(
            self.credentials()
                .hasher
                .hash(self.world(), password)
                .await?,
        ))
    }
}

/// Ends a change: lines of the audit trail, word to the caches, the new state.
fn changed(
    tx: &mut Tx<'_>,
    world: &World,
    by: Option<UserId>,
    id: UserId,
    address: Option<IpAddr>,
    lines: Vec<Line>,
) -> Result<User> {
    for line in lines {
        audit::record(tx, world, by, address, &line.of(id))?;
    }
    tx.effect(Effect::Account(id));
    rows::find(tx, id)?.ok_or(Error::NotFound)
}

/// What was proved of an account must still hold in the transaction that relies on it.
pub(crate) fn require_version(tx: &mut Tx<'_>, id: UserId, version: i64) -> Result<()> {
    if rows::is_version(tx, id, version)? {
        Ok(())
    } else {
        Err(Error::WrongCredentials)
    }
}

/// Refuses to change what needs the current password.
fn require_no_proof(change: &UserChange) -> Result<()> {
    let field = match change {
        UserChange {
            password: Some(_), ..
        } => "password",
        UserChange { email: Some(_), .. } => "email",
        _ => return Ok(()),
    };
    Err(Error::Invalid {
        field,
        reason: "of one's own account is changed there, with the current password".into(),
    })
}

/// Refuses to take away the last administrator who can log in; holds all of them, so that
/// two cannot be taken away at once.
fn keep_an_administrator(tx: &mut Tx<'_>, except: UserId) -> Result<()> {
    match rows::lock_administrators(tx)?.as_slice() {
        [only] if *only == except => Err(Error::LastAdministrator),
        _ => Ok(()),
    }
}

/// Whether there was anything to set.
fn set_names(
    tx: &mut Tx<'_>,
    user: &User,
    username: Option<&str>,
    email: Option<&Option<String>>,
) -> Result<bool> {
    if username.is_none() && email.is_none() {
        return Ok(false);
    }
    // Who registered with an address alone goes by the address they have now.
    let goes_by_email = user.email.as_ref() == Some(&user.username);
    let kept = Some(user.username.as_str()).filter(|_| !goes_by_email || email == Some(&None));
    let email = email.unwrap_or(&user.email).as_deref();
    let names = Names::new(username.or(kept), email)?;
    author::require_different(tx, user.id, names.keys())?;
    rows::delete_names(tx, user.id)?;
    let (first, second) = names.keys();
    if rows::is_taken(tx, first, second)? {
        return Err(Error::NameTaken);
    }
    rows::insert_names(tx, user.id, &names)?;
    rows::set_names(tx, user.id, &names)?;
    Ok(true)
}

fn remove(
    tx: &mut Tx<'_>,
    world: &World,
    by: Option<UserId>,
    id: UserId,
    when: &TagCondition,
    address: Option<IpAddr>,
) -> Result<()> {
    keep_an_administrator(tx, id)?;
    let user = rows::lock(tx, id)?;
    when.require(&user.etag())?;
    let mut drive = drive::rows::lock(tx, user.drive)?;
    asset::author_removed(tx, id, &mut drive)?;
    grant::end_all(tx, drive.id)?;
    lock::rows::expire_elsewhere(tx, id, drive.id)?;
    trash::rows::abandon(tx, drive.id)?;
    tree::rows::insert_trash(tx, drive.root, drive.id, world.now_ms())?;
    resumable::rows::abandon_all(tx, id, drive.id)?;
    // Names, log-ins, app passwords, locks, reservations and changes go with these rows, and so does
    // what others share with the account.
    rows::delete(tx, id, drive.id)?;
    // Last: every writer waits for that row.
    rows::give_back(tx, drive.usage.used_bytes, drive.usage.reserved_bytes)?;
    tx.effect(Effect::Account(id));
    tx.effect(Effect::Drive(drive.id));
    tx.effect(Effect::Tree(drive.id));
    let line = Line::new(AuditAction::UserRemove).of(id);
    audit::record(tx, world, by, address, &line.detail(user.username))
}
