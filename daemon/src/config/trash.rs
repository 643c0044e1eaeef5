//! `[trash]`: what is kept of files that are deleted.

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trash {
    /// How long a deleted file or folder can be restored; 0 keeps none.
    pub retention: Age,
    /// How many of one drive; 0 keeps none.
    pub most: u64,
}

impl Default for Trash {
    fn default() -> Self {
        Self {
            retention: Age::hours(30 * 24),
            most: 10_000,
        }
    }
}

impl Trash {
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.most > 1_000_000 {
            let reason = "must be at most 1000000";
            return Err(Invalid::new("trash.most", reason));
        }
        Ok(())
    }
}
