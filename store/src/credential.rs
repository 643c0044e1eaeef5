//! From a name and a secret to a caller, with at most one Argon2 run for all requests that
//! bring the same pair.
//!
//! A verified pair is remembered under a keyed MAC, never itself. On SQLite the memory is
//! exact by the account's generation; on PostgreSQL each use asks the account's row (P6).

mod flight;
mod link;

use std::net::IpAddr;
use std::sync::Arc;

use moka::sync::Cache;
use ring::hmac;

use self::flight::Flights;
use crate::app_password;
use crate::attempt::{self, Guess, Subject};
use crate::audit::{self, AuditAction, Line};
use crate::cache::Stamp;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::id::{LoginId, UserId};
use crate::last_use::{Used, Uses};
use crate::login::CachedLogin;
use crate::password::{Hasher, Password};
use crate::secret;
use crate::store::{Options, Store};
use crate::user;

/// Pairs and log-ins that are remembered at most.
const REMEMBERED: u64 = 10_000;

/// What stands for a name and a secret in memory.
type Mac = [u8; 32];

/// Everything about credentials that lives in memory.
pub(crate) struct Credentials {
    pub hasher: Hasher,
    pub uses: Uses,
    pub logins: Cache<LoginId, Arc<CachedLogin>>,
    key: hmac::Key,
    verified: Cache<Mac, Arc<Verified>>,
    flights: Flights<Mac, Outcome>,
    /// Passwords of links that were right.
    links: Cache<Mac, ()>,
    link_flights: Flights<Mac, link::Seen>,
}

/// A pair that was verified.
struct Verified {
    caller: Caller,
    proof: Proof,
    verified_at: i64,
    account: Stamp,
    trees: Stamp,
}

/// By what it was verified.
enum Proof {
    /// The account's password, while its credentials have this version.
    Password { version: i64 },
    /// An app password, until it expires.
    AppPassword { expires_at: Option<i64> },
}

/// What a look at a password found.
#[derive(Clone)]
enum Outcome {
    Right(Arc<Verified>),
    Wrong,
    Blocked { retry_after_s: u64 },
}

impl Credentials {
    pub fn new(options: &Options) -> Self {
        let world = &options.world;
        Self {
            hasher: Hasher::new(world, options.accounts.password_checks),
            uses: Uses::new(options.accounts.login_idle),
            logins: Cache::new(REMEMBERED),
            key: hmac::Key::new(hmac::HMAC_SHA256, &world.bytes::<32>()),
            verified: Cache::new(REMEMBERED),
            flights: Flights::new(),
            links: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(options.accounts.credential_cache)
                .build(),
            link_flights: Flights::new(),
        }
    }

    /// The length in front keeps ("ab", "c") and ("a", "bc") apart.
    fn mac(&self, name: &str, secret: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&name.len().to_le_bytes());
        context.update(name.as_bytes());
        context.update(secret);
        context
            .sign()
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 bytes")
    }
}

impl Store {
    /// The caller behind Basic credentials: a name with the password or an app password.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] whichever part was wrong, [`Error::TooManyAttempts`],
    /// [`Error::Busy`].
    pub async fn authenticate_basic(
        &self,
        name: &str,
        secret: &str,
        address: Option<IpAddr>,
    ) -> Result<Caller> {
        let mac = self.credentials().mac(name, secret.as_bytes());
        if let Some(verified) = self.credentials().verified.get(&mac)
            && let Some(caller) = self.recall(&verified).await?
        {
            return Ok(caller);
        }
        if secret::is_shaped(secret, app_password::PREFIX)
            && let Some(caller) = Box::pin(self.verify_app_password(mac, name, secret)).await?
        {
            return Ok(caller);
        }
        // Boxed, so that requests whose pair is remembered carry no room for this.
        let password = Password::new(secret);
        let verified = Box::pin(self.verify_password(mac, name, &password, address)).await?;
        Ok(verified.caller.clone())
    }

    /// Verifies a password, never an app password, and by Argon2 even when it is
    /// remembered; the account and the version of its credentials.
    pub(crate) async fn check_password(
        &self,
        name: &str,
        password: &Password,
        address: Option<IpAddr>,
    ) -> Result<(UserId, i64)> {
        let mac = self
            .credentials()
            .mac(name, password.bytes().unwrap_or_default());
        let verified = self.verify_password(mac, name, password, address).await?;
        match verified.proof {
            Proof::Password { version } => Ok((verified.caller.user, version)),
            Proof::AppPassword { .. } => Err(Error::WrongCredentials),
        }
    }

    /// Makes sure that it is the owner who asks; the version of the account's credentials.
    pub(crate) async fn confirm_password(
        &self,
        caller: &Caller,
        password: &Password,
        address: Option<IpAddr>,
    ) -> Result<i64> {
        caller.require_person()?;
        let name = self.user(caller.user).await?.username;
        match self.check_password(&name, password, address).await? {
            (user, version) if user == caller.user => Ok(version),
            _ => Err(Error::WrongCredentials),
        }
    }

    /// Argon2 verifications run so far by this process.
    pub fn password_verifications(&self) -> u64 {
        self.credentials().hasher.verifications()
    }

    /// The caller, if what was verified still holds.
    async fn recall(&self, verified: &Verified) -> Result<Option<Caller>> {
        let now = self.world().now_ms();
        let age = u128::try_from(now - verified.verified_at).unwrap_or(u128::MAX);
        if age > self.options().accounts.credential_cache.as_millis() {
            return Ok(None);
        }
        let caller = &verified.caller;
        if !self.db().is_exclusive() {
            let Proof::Password { version } = verified.proof else {
                return Ok(None);
            };
            let user = caller.user;
            return self
                .db()
                .read(move |tx| user::rows::caller(tx, user, version))
                .await;
        }
        let generations = self.generations();
        if verified.account != generations.of_account(caller.user) {
            return Ok(None);
        }
        if let Proof::AppPassword { expires_at } = verified.proof {
            let expired = expires_at.is_some_and(|at| at <= now);
            // The folder it is confined to may be gone.
            let moved = !caller.whole_drive && verified.trees != generations.of_trees(caller.drive);
            if expired || moved {
                return Ok(None);
            }
            self.note_app_password(caller, now);
        }
        Ok(Some(caller.clone()))
    }

    /// The caller behind an app password: one look-up by its digest.
    async fn verify_app_password(
        &self,
        mac: Mac,
        name: &str,
        secret: &str,
    ) -> Result<Option<Caller>> {
        let (key, digest) = (user::name_key(name), secret::digest(secret));
        let now = self.world().now_ms();
        let look_up = async || {
            let key = key.clone();
            self.db()
                .read(move |tx| app_password::rows::verify(tx, &key, digest, now))
                .await
        };
        let Some(mut found) = look_up().await? else {
            return Ok(None);
        };
        if self.db().is_exclusive() {
            // Whose generations count is known only now; what is remembered is read under them.
            let account = self.generations().of_account(found.caller.user);
            let trees = self.generations().of_trees(found.caller.drive);
            found = match look_up().await? {
                Some(again) if again.caller.user == found.caller.user => again,
                _ => return Ok(None),
            };
            let verified = Verified {
                caller: found.caller.clone(),
                proof: Proof::AppPassword {
                    expires_at: found.expires_at,
                },
                verified_at: now,
                account,
                trees,
            };
            self.credentials().verified.insert(mac, Arc::new(verified));
        }
        self.note_app_password(&found.caller, now);
        Ok(Some(found.caller))
    }

    fn note_app_password(&self, caller: &Caller, now_ms: i64) {
        if let Some(id) = caller.app_password {
            self.note_use(Used::AppPassword(id), now_ms);
        }
    }

    /// Verifies a password once for all that ask at the same time.
    async fn verify_password(
        &self,
        mac: Mac,
        name: &str,
        password: &Password,
        address: Option<IpAddr>,
    ) -> Result<Arc<Verified>> {
        loop {
            let flights = &self.credentials().flights;
            let (outcome, is_ours) = flights
                .join(mac, || self.look_at_password(mac, name, password, address))
                .await?;
            match outcome {
                Outcome::Wrong => return Err(Error::WrongCredentials),
                Outcome::Blocked { retry_after_s } => {
                    return Err(Error::TooManyAttempts { retry_after_s });
                }
                Outcome::Right(verified) if is_ours => return Ok(verified),
                // It was somebody else's look: it may have begun before a change that we
                // must see.
                Outcome::Right(verified) => {
                    if self.recall(&verified).await?.is_some() {
                        return Ok(verified);
                    }
                }
            }
        }
    }

    async fn look_at_password(
        &self,
        mac: Mac,
        name: &str,
        password: &Password,
        address: Option<IpAddr>,
    ) -> Result<Outcome> {
        let key = user::name_key(name);
        let guess = Guess::new(&key, address);
        let from = address.map(Subject::address);
        let free = self.options().accounts.failures_per_account;
        let now = self.world().now_ms();
        let charged = self
            .db()
            .write(move |tx| {
                if let Some(from) = from {
                    attempt::check(tx, from, now)?;
                }
                let is_last_free = guess.charge(tx, free, now)?;
                Ok((user::rows::password_by_name(tx, &key)?, is_last_free))
            })
            .await;
        let (row, is_last_free) = match charged {
            Err(Error::TooManyAttempts { retry_after_s }) => {
                return Ok(Outcome::Blocked { retry_after_s });
            }
            charged => charged?,
        };

        let hash = row.as_ref().map(|row| row.hash.as_str());
        let matches = self.credentials().hasher.verify(password, hash).await?;
        let account = row.as_ref().map(|row| row.user);
        let Some(row) = row.filter(|row| matches && row.is_enabled) else {
            if is_last_free {
                // The name itself is not kept: people type passwords there.
                let line = Line::new(AuditAction::LoginBlocked).of(account);
                self.note_blocked(address, line.detail("account")).await?;
            }
            if let Some(address) = address {
                self.charge_address(address).await?;
            }
            return Ok(Outcome::Wrong);
        };

        let account = self.generations().of_account(row.user);
        let now = self.world().now_ms();
        let caller = self
            .db()
            .write(move |tx| {
                guess.forgive(tx, now)?;
                user::rows::caller(tx, row.user, row.version)
            })
            .await?;
        let Some(caller) = caller else {
            return Ok(Outcome::Wrong);
        };
        let verified = Arc::new(Verified {
            trees: self.generations().of_trees(caller.drive),
            caller,
            proof: Proof::Password {
                version: row.version,
            },
            verified_at: now,
            account,
        });
        self.credentials()
            .verified
            .insert(mac, Arc::clone(&verified));
        Ok(Outcome::Right(verified))
    }

    /// Counts a wrong password from an address.
    async fn charge_address(&self, address: IpAddr) -> Result<()> {
        let free = self.options().accounts.failures_per_address;
        let world = self.world().clone();
        let charge = self
            .db()
            .write(move |tx| {
                let subject = Subject::address(address);
                if attempt::charge(tx, subject, free, world.now_ms())? {
                    let line = Line::new(AuditAction::LoginBlocked).detail("address");
                    audit::record(tx, &world, None, Some(address), &line)?;
                }
                Ok(())
            })
            .await;
        match charge {
            // It has to wait already.
            Err(Error::TooManyAttempts { .. }) => Ok(()),
            charge => charge,
        }
    }

    async fn note_blocked(&self, address: Option<IpAddr>, line: Line) -> Result<()> {
        let world = self.world().clone();
        self.db()
            .write(move |tx| audit::record(tx, &world, None, address, &line))
            .await
    }
}

#[cfg(test)]
mod tests;
