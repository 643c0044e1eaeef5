//! What administrators see and set: `/api/v1/admin`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::{Party, Usage, present};

/// `GET /api/v1/admin/settings`: what can be set while the server runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// Who may register: `open`, `invitation` or `closed`.
    #[schema(pattern = "^(open|invitation|closed)$", example = "invitation")]
    pub registration: String,
    /// Limit of a new drive.
    pub default_quota_bytes: u64,
    /// What the configuration says: it holds for what was not set.
    pub configured: ConfiguredSettings,
}

/// The settings as the configuration has them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConfiguredSettings {
    /// `accounts.registration`.
    #[schema(pattern = "^(open|invitation|closed)$", example = "invitation")]
    pub registration: String,
    /// `accounts.default_quota`.
    pub default_quota_bytes: u64,
}

/// `PATCH /api/v1/admin/settings`; what is absent stays, `null` is what the configuration says.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// Who may register: `open`, `invitation` or `closed`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<String>, pattern = "^(open|invitation|closed)$", example = "invitation")]
    pub registration: Option<Option<String>>,
    /// Limit of a new drive.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<u64>)]
    pub default_quota_bytes: Option<Option<u64>>,
}

/// `GET /api/v1/admin/audit`: a line of the audit trail.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditLine {
    /// Names it.
    pub id: String,
    /// RFC 3339.
    pub at: String,
    /// What was done, such as `user.quota`.
    #[schema(example = "user.quota")]
    pub action: String,
    /// Who did it; absent for the server's own command line, and where nobody was known.
    pub by: Option<Party>,
    /// Whose account it was done to.
    pub account: Option<Party>,
    /// The id or name of the log-in, app password, invitation, setting or job it was done to.
    pub subject: Option<String>,
    /// What changed into what, or what else there is to say.
    pub detail: Option<String>,
    /// The address it came from.
    #[schema(example = "192.0.2.1")]
    pub address: Option<String>,
}

/// `GET /api/v1/admin/usage`: how full the server is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct ServerUsage {
    /// What users together are charged, in logical bytes.
    pub capacity: Capacity,
    /// The parts of `capacity.used_bytes`.
    pub parts: UsageParts,
    /// What is stored of it.
    pub stored: Stored,
    /// Free on the disk of the contents.
    pub disk_free_bytes: u64,
    /// Free on that disk below which every write is refused.
    pub disk_reserve_bytes: u64,
    /// How many bytes of files one stored byte stands for; absent while nothing is stored.
    pub deduplication_ratio: Option<f64>,
    /// Accounts.
    pub users: u64,
    /// Files of all users.
    pub files: u64,
}

/// The server's capacity in logical bytes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Capacity {
    /// The most that all users together may be charged.
    pub limit_bytes: u64,
    /// What they are charged.
    pub used_bytes: u64,
    /// Promised to running uploads.
    pub reserved_bytes: u64,
    /// What can still be promised: versions and trash give way to it.
    pub free_bytes: u64,
}

/// Parts of what users together are charged.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageParts {
    /// Files of their drives.
    pub live_bytes: u64,
    /// Contents published in the store by hash.
    pub published_bytes: u64,
    /// Contents kept of files that were overwritten.
    pub versions_bytes: u64,
    /// Deleted files and folders in the trash.
    pub trash_bytes: u64,
}

/// What lies on disk and in the database.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stored {
    /// Blobs, each once however many files share it.
    pub blobs: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Those of them that nothing refers to any more, until the sweep.
    pub unreferenced_bytes: u64,
}

/// `GET /api/v1/admin/usage/users`: how full one drive is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct UserUsage {
    /// The account.
    pub id: String,
    /// Its name.
    pub username: String,
    /// How full its drive is.
    pub usage: Usage,
}

/// `GET /api/v1/admin/jobs`: a background job of the daemon that answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Job {
    /// Names it.
    #[schema(example = "sweep")]
    pub name: String,
    /// How often it runs by itself, in seconds.
    pub every_s: u64,
    /// Whether it is running now.
    pub running: bool,
    /// When it was last started (RFC 3339).
    pub last_run_at: Option<String>,
    /// How long the last run that ended took.
    pub last_duration_ms: Option<u64>,
    /// How it ended: `done` or `failed`; the log has the cause.
    #[schema(pattern = "^(done|failed)$", example = "done")]
    pub last_result: Option<String>,
    /// When it runs next (RFC 3339); absent while it runs.
    pub next_run_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_gives_a_setting_back_and_absent_leaves_it() {
        let read = |json| serde_json::from_str::<SettingsChange>(json).unwrap();
        assert_eq!(read("{}").registration, None);
        assert_eq!(read(r#"{"registration":null}"#).registration, Some(None));
        let set = read(r#"{"default_quota_bytes":7}"#);
        assert_eq!(set.default_quota_bytes, Some(Some(7)));
        assert!(serde_json::from_str::<SettingsChange>(r#"{"capacity":1}"#).is_err());
    }
}
