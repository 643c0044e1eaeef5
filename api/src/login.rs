//! Logging in and staying so. Names as in RFC 6749 where it has them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/auth/login`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// User name or e-mail address.
    #[schema(example = "alice")]
    pub login: String,
    /// The password; app passwords are not taken here.
    #[schema(example = "correct horse")]
    pub password: String,
    /// What the device calls itself, shown in the list of log-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "laptop")]
    pub device: Option<String>,
    /// Whether the access token is also set as a cookie; yes unless declined.
    #[serde(default = "yes")]
    pub cookie: bool,
}

/// `POST /api/v1/auth/refresh`.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The newest refresh token; it is spent by this.
    pub refresh_token: String,
    /// Whether the access token is also set as a cookie; yes unless declined.
    #[serde(default = "yes")]
    pub cookie: bool,
}

/// `POST /api/v1/auth/logout`; the body may be left out where an access token is sent.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// The log-in's refresh token, for who has no living access token any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What a log-in gives.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer`; a JWT.
    #[schema(example = "eyJ…")]
    pub access_token: String,
    /// Exchanges once for the next tokens.
    #[schema(example = "cfr_…")]
    pub refresh_token: String,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: String,
    /// Life of the access token in seconds.
    #[schema(example = 900)]
    pub expires_in: u64,
}

/// `GET /api/v1/auth/session`: who the credential stands for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Session {
    /// The account.
    pub user_id: String,
    /// Its name.
    #[schema(example = "alice")]
    pub username: String,
    /// `user` or `administrator`.
    #[schema(pattern = "^(user|administrator)$", example = "user")]
    pub access: String,
    /// The log-in, where the credential is a token.
    pub login_id: Option<String>,
    /// The app password, where the credential is one.
    pub app_password_id: Option<String>,
    /// When the access token was made (RFC 3339).
    pub issued_at: Option<String>,
    /// When it ends (RFC 3339).
    pub expires_at: Option<String>,
}

/// One log-in in `GET /api/v1/me/logins`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Login {
    /// Names it.
    pub id: String,
    /// What the device calls itself.
    #[schema(example = "laptop")]
    pub device: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub last_used_at: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

fn yes() -> bool {
    true
}
