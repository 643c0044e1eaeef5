//! `[log]`: what is written down, and where.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Invalid;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// File to append to, reopened on SIGHUP; standard error if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    pub format: Format,
    /// What to log, in the words of tracing's `EnvFilter`, e.g. `info,request=warn`.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One line of words and fields.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            file: None,
            format: Format::Text,
            filter: "info".to_owned(),
        }
    }
}

impl Log {
    pub fn validate(&self) -> Result<(), Invalid> {
        tracing_subscriber::EnvFilter::try_new(&self.filter)
            .map(drop)
            .map_err(|error| Invalid::new("log.filter", error.to_string()))
    }
}
