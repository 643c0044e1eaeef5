//! Sharing: who has access to what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::file::File;

/// A right on a file or folder, as its owner sees it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Grant {
    /// Names it.
    pub id: String,
    /// Whom it is for, as it was typed; whether anybody has the name is not told.
    pub name: String,
    /// `read` or `write`.
    #[schema(pattern = "^(read|write)$", example = "read")]
    pub right: String,
    /// The file or folder it was given on.
    pub file_id: String,
    /// Whether that is a folder above the one that was asked about.
    pub inherited: bool,
    /// When it was given (RFC 3339).
    pub created_at: String,
    /// Its entity tag, for `If-Match`.
    pub etag: String,
}

/// `GET /api/v1/files/{id}/grants`: who has access.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct GrantList {
    /// The oldest first.
    pub items: Vec<Grant>,
    /// Where the next part begins, as the query's `cursor`; `null` in the last one.
    pub next_cursor: Option<String>,
    /// How many there are in all parts together.
    pub count: u64,
}

/// `POST /api/v1/files/{id}/grants`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// User name or e-mail address of whom it is for.
    #[schema(min_length = 1, max_length = 255, example = "bob")]
    pub name: String,
    /// `read` or `write`.
    #[schema(pattern = "^(read|write)$", example = "read")]
    pub right: String,
}

/// `PATCH /api/v1/files/{id}/grants/{grant_id}`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantChange {
    /// `read` or `write`.
    #[schema(pattern = "^(read|write)$", example = "read")]
    pub right: String,
}

/// `DELETE /api/v1/files/{id}/grants`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Revoked {
    /// How many grants were taken back.
    pub revoked: u64,
}

/// Something that is shared with one, or that one shares: an item of `GET /api/v1/shared`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Share {
    /// The grant.
    pub id: String,
    /// Who shares it: a user name.
    pub owner: String,
    /// With whom, as it was typed; absent from what others share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `read` or `write`.
    #[schema(pattern = "^(read|write)$", example = "read")]
    pub right: String,
    /// Since when (RFC 3339).
    pub created_at: String,
    /// What it is, and where one finds it.
    pub file: File,
}
