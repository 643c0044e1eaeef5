//! `[versions]`: what is kept of files that are overwritten.

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Versions {
    /// How long a version is kept; 0 keeps none.
    pub retention: Age,
    /// How many of one file; 0 keeps none.
    pub most: u64,
    /// The least time between two of one file.
    pub interval: Age,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            retention: Age::hours(30 * 24),
            most: 20,
            interval: Age::seconds(600),
        }
    }
}

impl Versions {
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.most > 10_000 {
            let reason = "must be at most 10000";
            return Err(Invalid::new("versions.most", reason));
        }
        Ok(())
    }
}
