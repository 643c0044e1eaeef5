//! `[capacity]`: how much all users together may store.

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::byte_size::ByteSize;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Charged bytes of all users together; the file system less the reserve if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<ByteSize>,
    /// Free space of the file system below which every write is refused.
    pub reserve_bytes: ByteSize,
    /// Whether the quotas of all users may sum to more than the capacity.
    pub overcommit: bool,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            limit_bytes: None,
            reserve_bytes: ByteSize(256 << 20),
            overcommit: true,
        }
    }
}

impl Capacity {
    pub fn validate(&self) -> Result<(), Invalid> {
        if !self.overcommit && self.limit_bytes.is_none() {
            let reason = "false needs capacity.limit_bytes";
            return Err(Invalid::new("capacity.overcommit", reason));
        }
        Ok(())
    }
}
