//! `[blobs]`: where the contents are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::age::Age;
use super::byte_size::ByteSize;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blobs {
    /// Folder of the contents (`store/`, `incoming/`); the data folder if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Content up to this size lives in the database; 0 puts every content into a file.
    pub small_limit_bytes: ByteSize,
    /// How often stored bytes are compared with their digest before they are served.
    pub verify_reads: VerifyReads,
    /// How long content that nothing refers to is kept.
    pub sweep_grace: Age,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyReads {
    /// Never; only their length.
    Off,
    /// At the first read and then once a day.
    #[default]
    Daily,
    /// At every read.
    Always,
}

impl Default for Blobs {
    fn default() -> Self {
        Self {
            path: None,
            small_limit_bytes: ByteSize(16 * 1024),
            verify_reads: VerifyReads::Daily,
            sweep_grace: Age::hours(24),
        }
    }
}

impl Blobs {
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.small_limit_bytes.0 > 1 << 20 {
            return Err(Invalid::new(
                "blobs.small_limit_bytes",
                "must be at most 1MiB",
            ));
        }
        Ok(())
    }
}
