//! What the server must remember about itself: the key that signs tokens, and what
//! administrators set while it runs.
//!
//! The configuration says what a setting is until an administrator sets it; what was set wins,
//! for every daemon and over restarts, until it is given back to the configuration.

mod rows;

use std::fmt;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::audit::{self, AuditAction, Line};
use crate::caller::Actor;
use crate::condition::{TagCondition, etag_of};
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::user;

const REGISTRATION: &str = "registration";
const DEFAULT_QUOTA: &str = "default_quota_bytes";

/// Shortest signing secret in bytes (RFC 7518 §3.2).
const SECRET_BYTES: usize = 32;

/// A secret that signs access tokens (HS256).
#[derive(Clone)]
pub struct SigningKey {
    /// Names the key in a token's header; says nothing about the secret.
    pub id: String,
    /// The secret, at least 256 bits.
    pub secret: Zeroizing<Vec<u8>>,
}

/// Who may make an account by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Registration {
    /// Anyone.
    #[default]
    Open,
    /// Whoever has an invitation.
    Invitation,
    /// Nobody; administrators add accounts.
    Closed,
}

impl Registration {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invitation => "invitation",
            Self::Closed => "closed",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none of the three.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "open" => Ok(Self::Open),
            "invitation" => Ok(Self::Invitation),
            "closed" => Ok(Self::Closed),
            _ => Err(Error::Invalid {
                field: REGISTRATION,
                reason: "must be open, invitation or closed".into(),
            }),
        }
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What administrators can set while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Who may make an account by themselves.
    pub registration: Registration,
    /// Limit of a new drive.
    pub default_quota_bytes: u64,
}

impl Settings {
    /// Changes with the settings; with its quotes.
    pub fn etag(&self) -> String {
        etag_of([
            Some(self.registration.to_string()),
            Some(self.default_quota_bytes.to_string()),
        ])
    }
}

/// What is set: `None` stays as it is, `Some(None)` is what the configuration says.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// Who may make an account by themselves.
    pub registration: Option<Option<Registration>>,
    /// Limit of a new drive.
    pub default_quota_bytes: Option<Option<u64>>,
    /// What [`Settings::etag`] must be.
    pub when: TagCondition,
}

/// The settings as this transaction sees them.
pub(crate) fn current(tx: &mut Tx<'_>, configured: Settings) -> Result<Settings> {
    let mut settings = configured;
    for (name, value) in rows::list(tx, [REGISTRATION, DEFAULT_QUOTA])? {
        let value = std::str::from_utf8(&value).map_err(|_| Error::malformed("setting"))?;
        if name == REGISTRATION {
            settings.registration =
                Registration::parse(value).map_err(|_| Error::malformed(REGISTRATION))?;
        } else {
            settings.default_quota_bytes =
                value.parse().map_err(|_| Error::malformed(DEFAULT_QUOTA))?;
        }
    }
    Ok(settings)
}

impl Store {
    /// What the configuration says.
    pub fn configured_settings(&self) -> Settings {
        let accounts = &self.options().accounts;
        Settings {
            registration: accounts.registration,
            default_quota_bytes: accounts.default_quota_bytes,
        }
    }

    /// The settings in force.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn settings(&self, actor: Actor) -> Result<Settings> {
        let configured = self.configured_settings();
        self.db()
            .read(move |tx| {
                user::require_administrator(tx, actor)?;
                current(tx, configured)
            })
            .await
    }

    /// Sets what is to change; the settings then in force, on all daemons from the next
    /// registration on.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator, [`Error::Limit`],
    /// [`Error::PreconditionFailed`].
    pub async fn change_settings(
        &self,
        actor: Actor,
        change: SettingsChange,
        address: Option<IpAddr>,
    ) -> Result<Settings> {
        let quota_bytes = change.default_quota_bytes;
        quota_bytes.flatten().map(user::check_quota).transpose()?;
        let (world, configured) = (self.world().clone(), self.configured_settings());
        self.db()
            .write(move |tx| {
                user::require_administrator(tx, actor)?;
                if change.when.is_some() {
                    // Two who saw the same settings come one after the other.
                    user::lock_administrators(tx)?;
                }
                let old = current(tx, configured)?;
                change.when.require(&old.etag())?;
                if let Some(value) = change.registration {
                    rows::set(tx, REGISTRATION, value.map(Registration::as_str))?;
                }
                if let Some(value) = quota_bytes {
                    let value = value.map(|bytes| bytes.to_string());
                    rows::set(tx, DEFAULT_QUOTA, value.as_deref())?;
                }
                let new = current(tx, configured)?;
                let mut lines = Vec::new();
                if change.registration.is_some() {
                    let line = Line::new(AuditAction::SettingChange).about(REGISTRATION);
                    lines.push(line.change(old.registration, new.registration));
                }
                if quota_bytes.is_some() {
                    let line = Line::new(AuditAction::SettingChange).about(DEFAULT_QUOTA);
                    lines.push(line.change(old.default_quota_bytes, new.default_quota_bytes));
                }
                for line in &lines {
                    audit::record(tx, &world, actor.user(), address, line)?;
                }
                Ok(new)
            })
            .await
    }

    /// The key that signs access tokens: the configured secret, else the one made at the
    /// first start and shared by all daemons on this database.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the configured secret is shorter than 256 bits.
    pub async fn signing_key(&self, configured: Option<&[u8]>) -> Result<SigningKey> {
        let secret = match configured {
            Some(secret) if secret.len() < SECRET_BYTES => {
                return Err(Error::Unusable(
                    "the JWT secret is too short: at least 32 bytes are needed".into(),
                ));
            }
            Some(secret) => secret.to_vec(),
            None => {
                let fresh = self.world().bytes::<SECRET_BYTES>();
                self.db()
                    .write(move |tx| rows::get_or_insert(tx, "jwt_secret", &fresh))
                    .await?
            }
        };
        let mut labelled = Zeroizing::new(b"coffer signing key ".to_vec());
        labelled.extend_from_slice(&secret);
        let mut id = Digest::of(&labelled).to_string();
        id.truncate(16);
        Ok(SigningKey {
            id,
            secret: Zeroizing::new(secret),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn what_was_set_wins_until_it_is_given_back() {
        testing::each_engine(async |store, _| {
            let settings = async || store.settings(Actor::Console).await.unwrap();
            let change = async |change| store.change_settings(Actor::Console, change, None).await;
            let configured = store.configured_settings();
            assert_eq!(settings().await, configured);
            let set = SettingsChange {
                registration: Some(Some(Registration::Closed)),
                default_quota_bytes: Some(Some(7)),
                ..SettingsChange::default()
            };
            let closed = Settings {
                registration: Registration::Closed,
                default_quota_bytes: 7,
            };
            assert_eq!(change(set).await.unwrap(), closed);
            assert_eq!(change(SettingsChange::default()).await.unwrap(), closed);
            assert_eq!(settings().await, closed);
            let give_back = SettingsChange {
                registration: Some(None),
                ..SettingsChange::default()
            };
            let open = Settings {
                registration: configured.registration,
                ..closed
            };
            assert_eq!(change(give_back).await.unwrap(), open);
            let too_much = SettingsChange {
                default_quota_bytes: Some(Some(u64::MAX)),
                ..SettingsChange::default()
            };
            assert!(matches!(change(too_much).await, Err(Error::Limit { .. })));
        })
        .await;
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_stays() {
        testing::each_engine(async |store, _| {
            let first = store.signing_key(None).await.unwrap();
            let again = store.signing_key(None).await.unwrap();
            assert_eq!((&first.id, &first.secret), (&again.id, &again.secret));
            let own = store.signing_key(Some(&[7; 32])).await.unwrap();
            assert_ne!(own.id, first.id);
            assert!(store.signing_key(Some(&[7; 31])).await.is_err());
        })
        .await;
    }
}
