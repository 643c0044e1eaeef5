//! Accounts.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::login::Tokens;

/// `POST /api/v1/users`: registers, or adds an account as an administrator.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The user name, which may be an e-mail address. This or the e-mail address is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "alice")]
    pub username: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 254, example = "alice@example.org")]
    pub email: Option<String>,
    /// The password.
    #[schema(min_length = 8, max_length = 1024, example = "correct horse")]
    pub password: String,
    /// The code of an invitation, where registration asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
    /// What the device calls itself, shown in the list of log-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "laptop")]
    pub device: Option<String>,
    /// Whether the access token is also set as a cookie; yes unless declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<bool>,
    /// `user` or `administrator`; for administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(user|administrator)$")]
    pub access: Option<String>,
    /// Limit of the drive; for administrators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

/// The answer to who has registered.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Registered {
    /// Names the account for its whole life.
    pub id: String,
    /// The user name; the e-mail address where only that was given.
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// A log-in.
    #[serde(flatten)]
    pub tokens: Tokens,
}

/// The answer to `POST /api/v1/users`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum UserMade {
    /// To who has registered.
    Registered(Registered),
    /// To an administrator who has added it.
    Added(User),
}

/// An account, as its owner and administrators see it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Names it for its whole life.
    pub id: String,
    /// The user name; the e-mail address where only that was given.
    #[schema(example = "alice")]
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// `user` or `administrator`.
    #[schema(pattern = "^(user|administrator)$", example = "user")]
    pub access: String,
    /// RFC 3339.
    pub created_at: String,
    /// Since when it cannot be used (RFC 3339).
    pub disabled_at: Option<String>,
    /// How full its drive is.
    pub usage: Usage,
}

/// `GET /api/v1/me/usage`: how full a drive is. Sizes are logical bytes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
    /// Charged for what is stored: the sum of the parts below.
    pub used_bytes: u64,
    /// Promised to running uploads.
    pub reserved_bytes: u64,
    /// The most that may be charged.
    pub limit_bytes: u64,
    /// What can still be promised: versions and trash give way to it.
    pub free_bytes: u64,
    /// Files in the drive.
    pub files: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Contents published in the store by hash.
    pub publications: u64,
    /// Their bytes.
    pub published_bytes: u64,
    /// Bytes of what one has put into assets.
    pub asset_bytes: u64,
    /// Contents kept of files that were overwritten.
    pub versions: u64,
    /// Their bytes.
    pub versions_bytes: u64,
    /// Deleted files and folders in the trash; a folder with all it held is one.
    pub trashed: u64,
    /// Their bytes.
    pub trash_bytes: u64,
}

/// `PATCH /api/v1/users/{id}`, by administrators; what is absent stays.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// The user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub username: Option<String>,
    /// The e-mail address; `null` removes it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// The password; ends all log-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 1024)]
    pub password: Option<String>,
    /// `user` or `administrator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(user|administrator)$")]
    pub access: Option<String>,
    /// Limit of the drive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 50_000_000_000_u64)]
    pub quota_bytes: Option<u64>,
    /// Whether the account can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Whether all app passwords end.
    #[serde(default)]
    pub revoke_app_passwords: bool,
}

/// `PATCH /api/v1/me`; what is absent stays.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnChange {
    /// Proves that it is the owner who asks.
    pub current_password: String,
    /// The new password; ends all other log-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 8, max_length = 1024)]
    pub password: Option<String>,
    /// The e-mail address; `null` removes it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// Whether all app passwords end.
    #[serde(default)]
    pub revoke_app_passwords: bool,
}

/// `DELETE /api/v1/me`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnRemoval {
    /// Proves that it is the owner who asks.
    pub password: String,
}

/// `POST /api/v1/invitations`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// How long it can be used, in seconds, a year at most; a week when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31_536_000, example = 86_400)]
    pub valid_for_s: Option<u64>,
}

/// `GET /api/v1/invitations`: an invitation that can be used, without its code.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Invitation {
    /// Names it.
    pub id: String,
    /// Who made it; absent where it was the server's own command line.
    pub created_by: Option<Party>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
}

/// A new invitation.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct InvitationMade {
    /// What it is.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// Goes into the registration's `invitation`; shown this once.
    pub code: String,
}

/// An account, and its name while it exists.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Party {
    /// The account.
    pub id: String,
    /// The name it has now; absent when the account was removed.
    pub username: Option<String>,
}

/// Tells `null` from absent: what is there is `Some`.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_removes_and_absent_stays() {
        let read = |json| serde_json::from_str::<UserChange>(json).unwrap().email;
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"email":null}"#), Some(None));
        assert_eq!(read(r#"{"email":"a@b"}"#), Some(Some("a@b".into())));
        let all = UserChange {
            email: Some(None),
            ..UserChange::default()
        };
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(read(&json), Some(None));
    }

    #[test]
    fn fields_that_do_not_exist_are_refused() {
        let with = |more: &str| format!(r#"{{"username":"a","password":"b"{more}}}"#);
        assert!(serde_json::from_str::<NewUser>(&with("")).is_ok());
        for more in [r#","role":"admin""#, r#","id":"x""#, r#","is_admin":true"#] {
            assert!(serde_json::from_str::<NewUser>(&with(more)).is_err());
        }
    }
}
