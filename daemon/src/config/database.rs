//! `[database]`: where the rows are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;
use super::secret::{Secret, settle};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://user:password@host/name`; `SQLite` in the data folder if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// File that holds the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Connections kept open at most.
    pub pool_size: u32,
    /// Connections beyond `pool_size` that a burst may open.
    pub pool_overflow: u32,
    /// How long a request waits for a connection before it is refused.
    pub acquire_timeout: Age,
    /// Age at which a connection is replaced.
    pub recycle: Age,
    /// Ask a connection whether it still lives before each use (costs a round trip).
    pub pre_ping: bool,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            pool_size: 16,
            pool_overflow: 8,
            acquire_timeout: Age::seconds(10),
            recycle: Age::seconds(1800),
            pre_ping: false,
        }
    }
}

impl Database {
    /// The file of a `sqlite:` URL; `sqlite:PATH` and `sqlite://PATH` mean the same.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let path = self.url.as_ref()?.reveal().strip_prefix("sqlite:")?;
        Some(path.strip_prefix("//").unwrap_or(path).into())
    }

    pub fn validate(&mut self) -> Result<(), Invalid> {
        settle("database.url", &mut self.url, self.url_file.as_deref())?;
        if let Some(url) = &self.url {
            let known = ["sqlite:", "postgres://", "postgresql://"];
            if !known.iter().any(|scheme| url.reveal().starts_with(scheme)) {
                let reason = "must begin with sqlite:, postgres:// or postgresql://";
                return Err(Invalid::new("database.url", reason));
            }
            if self
                .sqlite_path()
                .is_some_and(|path| path.as_os_str().is_empty())
            {
                return Err(Invalid::new("database.url", "names no file"));
            }
        }
        if !(1..=1000).contains(&self.pool_size) {
            return Err(Invalid::new(
                "database.pool_size",
                "must be between 1 and 1000",
            ));
        }
        if self.pool_overflow > 1000 {
            return Err(Invalid::new(
                "database.pool_overflow",
                "must be at most 1000",
            ));
        }
        if self.acquire_timeout.0.is_zero() {
            return Err(Invalid::new(
                "database.acquire_timeout",
                "must be more than 0s",
            ));
        }
        if self.recycle.0.is_zero() {
            return Err(Invalid::new("database.recycle", "must be more than 0s"));
        }
        Ok(())
    }
}
