//! App passwords: `/api/v1/me/app-passwords`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An app password to be made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAppPassword {
    /// Proves that it is the owner who asks.
    #[schema(example = "correct horse")]
    pub current_password: String,
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 200, example = "laptop")]
    pub name: String,
    /// The folder to confine it to; the whole drive when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/")]
    pub path: Option<String>,
    /// Whether it only allows reading.
    #[serde(default)]
    pub read_only: bool,
    /// When it ends (RFC 3339); never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// An app password, without its secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct AppPassword {
    /// Names it.
    pub id: String,
    /// What its owner calls it.
    #[schema(example = "laptop")]
    pub name: String,
    /// The folder it is confined to; `/` is the whole drive.
    #[schema(example = "/")]
    pub path: String,
    /// Whether it only allows reading.
    pub read_only: bool,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// To the minute, RFC 3339.
    pub last_used_at: Option<String>,
}

/// A new app password.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct AppPasswordMade {
    /// What it allows.
    #[serde(flatten)]
    pub app_password: AppPassword,
    /// The secret, shown this once; goes where clients ask for a password.
    #[schema(example = "cof_…")]
    pub password: String,
}
