//! Logging in and staying so. Names as in RFC 6749 where it has them.

use serde::{Deserialize, Serialize};

/// `POST /api/v1/auth/login`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// User name or e-mail address.
    pub login: String,
    /// The password; app passwords are not taken here.
    pub password: String,
    /// What the device calls itself, shown in the list of log-ins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether the access token is also set as a cookie; yes unless declined.
    #[serde(default = "yes")]
    pub cookie: bool,
}

/// `POST /api/v1/auth/refresh`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The newest refresh token; it is spent by this.
    pub refresh_token: String,
    /// Whether the access token is also set as a cookie; yes unless declined.
    #[serde(default = "yes")]
    pub cookie: bool,
}

/// `POST /api/v1/auth/logout`; the body may be left out where an access token is sent.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// The log-in's refresh token, for who has no living access token any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// What a log-in gives.
#[derive(Clone, Deserialize, Serialize)]
pub struct Tokens {
    /// Goes into `Authorization: Bearer`; a JWT.
    pub access_token: String,
    /// Exchanges once for the next tokens.
    pub refresh_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Life of the access token in seconds.
    pub expires_in: u64,
}

/// `GET /api/v1/auth/session`: who the credential stands for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The account.
    pub user_id: String,
    /// Its name.
    pub username: String,
    /// `user` or `administrator`.
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
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Login {
    /// Names it.
    pub id: String,
    /// What the device calls itself.
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
