//! Log-ins: one for each device, alive while it is used and not revoked.

mod rows;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::audit::{self, AuditAction, Line};
use crate::cache::{Effect, Stamp};
use crate::caller::Caller;
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::id::{LoginId, UserId};
use crate::last_use::Used;
use crate::password::Password;
use crate::store::Store;
use crate::user::{self, User};
use crate::{attempt, invitation};

const PREFIX: &str = "cfr_";
/// Longest name of a device that is kept, in characters.
const DEVICE_CHARS: usize = 200;

/// What a log-in gives.
#[derive(Debug, Clone)]
pub struct LoginGrant {
    /// The account.
    pub user: User,
    /// The log-in, to be named by access tokens.
    pub login: LoginId,
    /// Exchanges for a fresh grant, once; shown here only.
    pub refresh_token: String,
}

/// One device's log-in. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Names it.
    pub id: LoginId,
    /// What the device calls itself.
    pub device: String,
    /// When it began.
    pub created_at: i64,
    /// When it was last used.
    pub last_used_at: i64,
    /// Whether it is the one that asks.
    pub is_current: bool,
}

/// A log-in as a warm request finds it.
pub(crate) struct CachedLogin {
    stamp: Stamp,
    caller: Caller,
    last_used_at: AtomicI64,
}

/// A refresh token: one part for the life of the log-in, one that rotates.
struct RefreshToken {
    family: [u8; 32],
    secret: [u8; 32],
}

impl RefreshToken {
    fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; 64];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text.strip_prefix(PREFIX)?, &mut bytes);
        let (family, secret) = bytes.split_at(32);
        (decoded == Ok(64)).then(|| Self {
            family: family.try_into().expect("32 bytes"),
            secret: secret.try_into().expect("32 bytes"),
        })
    }

    fn family_digest(&self) -> Digest {
        Digest::of(&self.family)
    }

    fn secret_digest(&self) -> Digest {
        Digest::of(&self.secret)
    }

    fn write(&self) -> String {
        format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode([self.family, self.secret].concat())
        )
    }
}

impl Store {
    /// Logs in with user name or e-mail address and password.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] whichever part was wrong, [`Error::TooManyAttempts`],
    /// [`Error::Busy`].
    pub async fn login(
        &self,
        name: &str,
        password: &Password,
        device: &str,
        address: Option<IpAddr>,
    ) -> Result<LoginGrant> {
        let (user, version) = self.check_password(name, password, address).await?;
        self.insert_login(user, Some(version), device, address)
            .await
    }

    /// Logs in whoever has just registered, without asking for the password again.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] when the account is gone or disabled.
    pub async fn first_login(
        &self,
        user: UserId,
        device: &str,
        address: Option<IpAddr>,
    ) -> Result<LoginGrant> {
        self.insert_login(user, None, device, address).await
    }

    async fn insert_login(
        &self,
        user: UserId,
        version: Option<i64>,
        device: &str,
        address: Option<IpAddr>,
    ) -> Result<LoginGrant> {
        let world = self.world().clone();
        let device: String = device
            .chars()
            .filter(|sign| !sign.is_control())
            .take(DEVICE_CHARS)
            .collect();
        let token = RefreshToken {
            family: world.bytes(),
            secret: world.bytes(),
        };
        let (login, text) = (LoginId::new(&world), token.write());
        let user = self
            .db()
            .write(move |tx| {
                // The account is held: a change of the password comes before or ends this too.
                let user = user::rows::lock(tx, user).map_err(|error| match error {
                    Error::NotFound => Error::WrongCredentials,
                    error => error,
                })?;
                let stale = match version {
                    Some(version) => !user::rows::is_version(tx, user.id, version)?,
                    None => user.disabled_at.is_some(),
                };
                if stale {
                    return Err(Error::WrongCredentials);
                }
                rows::insert(tx, login, user.id, &device, &token, world.now_ms())?;
                let line = Line::new(AuditAction::LoginAdd).of(user.id).about(login);
                audit::record(tx, &world, Some(user.id), address, &line)?;
                Ok(user)
            })
            .await?;
        Ok(LoginGrant {
            user,
            login,
            refresh_token: text,
        })
    }

    /// Exchanges a refresh token for the next. A token that was exchanged before must have
    /// been copied: then the log-in ends.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`].
    pub async fn refresh(&self, token: &str, address: Option<IpAddr>) -> Result<LoginGrant> {
        let token = RefreshToken::read(token).ok_or(Error::WrongCredentials)?;
        let world = self.world().clone();
        let next = RefreshToken {
            family: token.family,
            secret: world.bytes(),
        };
        let text = next.write();
        let store = self.clone();
        let refreshed = self
            .db()
            .write(move |tx| {
                let family = token.family_digest();
                let found = rows::find_by_family(tx, family)?.ok_or(Error::WrongCredentials)?;
                let given = token.secret_digest();
                let is_newest = found.refresh_digest.as_bytes().ct_eq(given.as_bytes());
                if !bool::from(is_newest) {
                    end(tx, found.user, found.id)?;
                    let line = Line::new(AuditAction::LoginReuse).of(found.user);
                    audit::record(tx, &world, None, address, &line.about(found.id))?;
                    return Ok(None);
                }
                let now = world.now_ms();
                if store.is_idle(found.id, found.last_used_at, now) {
                    return Err(Error::WrongCredentials);
                }
                let user = user::rows::find(tx, found.user)?
                    .filter(|user| user.disabled_at.is_none())
                    .ok_or(Error::WrongCredentials)?;
                rows::rotate(tx, found.id, next.secret_digest(), now)?;
                Ok(Some((user, found.id)))
            })
            .await?;
        let (user, login) = refreshed.ok_or(Error::WrongCredentials)?;
        let now = self.world().now_ms();
        if let Some(cached) = self.credentials().logins.get(&login) {
            cached.last_used_at.fetch_max(now, Ordering::Relaxed);
        }
        Ok(LoginGrant {
            user,
            login,
            refresh_token: text,
        })
    }

    /// The caller behind an access token of this log-in, if it is alive: used within the
    /// idle limit, not revoked, its account enabled. Counts as a use.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`].
    pub async fn login_caller(&self, login: LoginId, user: UserId) -> Result<Caller> {
        let stamp = self.generations().of_login(user, login);
        let logins = &self.credentials().logins;
        if self.db().is_exclusive()
            && let Some(cached) = logins.get(&login)
            && cached.stamp == stamp
            && cached.caller.user == user
        {
            return self.use_login(login, &cached);
        }
        let (caller, last_used_at) = self
            .db()
            .read(move |tx| rows::caller(tx, login, user))
            .await?
            .ok_or(Error::WrongCredentials)?;
        let noted = self
            .credentials()
            .uses
            .last(Used::Login(login))
            .unwrap_or(0);
        let fresh = Arc::new(CachedLogin {
            stamp,
            caller,
            last_used_at: AtomicI64::new(last_used_at.max(noted)),
        });
        if self.db().is_exclusive() {
            logins.insert(login, Arc::clone(&fresh));
        }
        self.use_login(login, &fresh)
    }

    fn use_login(&self, login: LoginId, cached: &CachedLogin) -> Result<Caller> {
        let now = self.world().now_ms();
        if now - cached.last_used_at.load(Ordering::Relaxed) > self.idle_ms() {
            return Err(Error::WrongCredentials);
        }
        cached.last_used_at.fetch_max(now, Ordering::Relaxed);
        self.note_use(Used::Login(login), now);
        Ok(cached.caller.clone())
    }

    /// The caller's log-ins, newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password.
    pub async fn logins(&self, caller: &Caller) -> Result<Vec<Login>> {
        caller.require_person()?;
        let (user, current) = (caller.user, caller.login);
        let mut logins = self
            .db()
            .read(move |tx| rows::list(tx, user, current))
            .await?;
        let now = self.world().now_ms();
        logins.retain_mut(|login| {
            let noted = self
                .credentials()
                .uses
                .last(Used::Login(login.id))
                .unwrap_or(0);
            login.last_used_at = login.last_used_at.max(noted);
            now - login.last_used_at <= self.idle_ms()
        });
        Ok(logins)
    }

    /// Ends one of the caller's log-ins.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an app password, [`Error::NotFound`].
    pub async fn revoke_login(
        &self,
        caller: &Caller,
        login: LoginId,
        address: Option<IpAddr>,
    ) -> Result<()> {
        caller.require_person()?;
        let (world, user) = (self.world().clone(), caller.user);
        self.db()
            .write(move |tx| {
                end(tx, user, login)?;
                let line = Line::new(AuditAction::LoginRevoke).of(user).about(login);
                audit::record(tx, &world, Some(user), address, &line)
            })
            .await
    }

    /// Ends the caller's own log-in.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the credential is no log-in.
    pub async fn logout(&self, caller: &Caller, address: Option<IpAddr>) -> Result<()> {
        self.revoke_login(caller, caller.login.ok_or(Error::NotFound)?, address)
            .await
    }

    /// Ends the log-in that a refresh token belongs to.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] when there is none.
    pub async fn logout_by_token(&self, token: &str, address: Option<IpAddr>) -> Result<()> {
        let token = RefreshToken::read(token).ok_or(Error::WrongCredentials)?;
        let world = self.world().clone();
        self.db()
            .write(move |tx| {
                let family = token.family_digest();
                let found = rows::find_by_family(tx, family)?.ok_or(Error::WrongCredentials)?;
                end(tx, found.user, found.id)?;
                let line = Line::new(AuditAction::LoginRevoke).of(found.user);
                audit::record(tx, &world, Some(found.user), address, &line.about(found.id))
            })
            .await
    }

    /// Removes log-ins that ended by not being used, and with them expired invitations and
    /// forgotten failures; the number of log-ins. For a background job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge_logins(&self) -> Result<u64> {
        self.flush_uses().await?;
        let now = self.world().now_ms();
        // Another daemon may not have written its last minute yet.
        let before = now - self.idle_ms() - self.credentials().uses.interval_ms();
        self.db()
            .write(move |tx| {
                attempt::purge(tx, now)?;
                invitation::purge(tx, now)?;
                let ended = rows::purge(tx, before)?;
                let count = ended.len() as u64;
                for login in ended {
                    tx.effect(Effect::Login(login));
                }
                Ok(count)
            })
            .await
    }

    pub(crate) fn idle_ms(&self) -> i64 {
        i64::try_from(self.options().accounts.login_idle.as_millis()).unwrap_or(i64::MAX)
    }

    fn is_idle(&self, login: LoginId, last_used_at: i64, now_ms: i64) -> bool {
        let noted = self
            .credentials()
            .uses
            .last(Used::Login(login))
            .unwrap_or(0);
        now_ms - last_used_at.max(noted) > self.idle_ms()
    }
}

/// Ends one log-in of an account.
///
/// # Errors
/// [`Error::NotFound`].
fn end(tx: &mut Tx<'_>, user: UserId, login: LoginId) -> Result<()> {
    if !rows::delete(tx, user, login)? {
        return Err(Error::NotFound);
    }
    tx.effect(Effect::Login(login));
    Ok(())
}

/// Ends all log-ins of an account but one.
pub(crate) fn end_all(tx: &mut Tx<'_>, user: UserId, except: Option<LoginId>) -> Result<()> {
    rows::delete_all(tx, user, except)?;
    tx.effect(Effect::Account(user));
    Ok(())
}

#[cfg(test)]
mod tests;
