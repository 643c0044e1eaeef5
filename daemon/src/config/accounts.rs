//! `[accounts]`, `[admin]` and `[jwt]`: who gets in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;
use super::byte_size::ByteSize;
use super::secret::{Secret, settle};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// Who may make an account through the API.
    pub registration: Registration,
    /// Quota of a new user.
    pub default_quota: ByteSize,
    /// A log-in not used for this long ends.
    pub login_idle: Age,
    /// Wrong passwords from one address before it has to wait; forgotten after 15 minutes without.
    pub failures_per_address: u32,
    /// Wrong passwords for one account from one network before it has to wait there; ten times as
    /// many from all networks together. Forgotten likewise.
    pub failures_per_account: u32,
    /// Registrations from one address within an hour.
    pub registrations_per_address: u32,
    /// Password checks that may run at once; 0 is one for each processor.
    pub password_checks: u32,
    /// How long a checked Basic password is remembered.
    pub credential_cache: Age,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone.
    #[default]
    Open,
    /// Holders of an invitation.
    Invitation,
    /// Nobody; an administrator adds users.
    Closed,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            default_quota: ByteSize(50_000_000_000),
            login_idle: Age::hours(48),
            failures_per_address: 20,
            failures_per_account: 10,
            registrations_per_address: 20,
            password_checks: 0,
            credential_cache: Age::seconds(300),
        }
    }
}

impl Accounts {
    pub fn validate(&self) -> Result<(), Invalid> {
        for (key, value) in [
            ("accounts.failures_per_address", self.failures_per_address),
            ("accounts.failures_per_account", self.failures_per_account),
        ] {
            if value == 0 {
                return Err(Invalid::new(key, "must be at least 1"));
            }
        }
        if self.login_idle < Age::seconds(60) {
            return Err(Invalid::new("accounts.login_idle", "must be at least 1m"));
        }
        if self.credential_cache > Age::hours(1) {
            return Err(Invalid::new(
                "accounts.credential_cache",
                "must be at most 1h",
            ));
        }
        Ok(())
    }
}

/// The first administrator, made while there is none.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// User name; `admin`, or the e-mail address where only that is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Password; random and shown once if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

impl Admin {
    /// The user name of the first administrator.
    pub fn login_name(&self) -> &str {
        self.name
            .as_deref()
            .or(self.email.as_deref())
            .unwrap_or("admin")
    }

    pub fn validate(&mut self) -> Result<(), Invalid> {
        settle(
            "admin.password",
            &mut self.password,
            self.password_file.as_deref(),
        )?;
        for (key, value) in [("admin.name", &self.name), ("admin.email", &self.email)] {
            if value.as_ref().is_some_and(|text| text.trim().is_empty()) {
                return Err(Invalid::new(key, "is empty"));
            }
        }
        if self
            .email
            .as_ref()
            .is_some_and(|email| !email.contains('@'))
        {
            return Err(Invalid::new("admin.email", "is not an e-mail address"));
        }
        if self
            .password
            .as_ref()
            .is_some_and(|password| password.reveal().is_empty())
        {
            return Err(Invalid::new("admin.password", "is empty"));
        }
        Ok(())
    }
}

/// The signing of access tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// Secret of HS256; without it one is made at the first start and kept in the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Life of an access token.
    pub access_token_age: Age,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            secret: None,
            secret_file: None,
            access_token_age: Age::seconds(900),
        }
    }
}

impl Jwt {
    pub fn validate(&mut self) -> Result<(), Invalid> {
        settle("jwt.secret", &mut self.secret, self.secret_file.as_deref())?;
        // RFC 7518 §3.2: a key of the size of the hash output or larger must be used.
        if self
            .secret
            .as_ref()
            .is_some_and(|secret| secret.reveal().len() < 32)
        {
            return Err(Invalid::new("jwt.secret", "must have at least 32 bytes"));
        }
        if self.access_token_age < Age::seconds(10) || self.access_token_age > Age::hours(24) {
            return Err(Invalid::new(
                "jwt.access_token_age",
                "must be between 10s and 24h",
            ));
        }
        Ok(())
    }
}
