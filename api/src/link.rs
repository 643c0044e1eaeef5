//! Links that work without an account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::present;

/// `POST /api/v1/links`.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// What it leads to, by id. This or the path is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// What it leads to, by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `read` (unless given) or `upload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(read|upload)$")]
    pub kind: Option<String>,
    /// What it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 6, max_length = 1024)]
    pub password: Option<String>,
    /// When it ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// How many downloads there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub downloads_most: Option<u64>,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub label: Option<String>,
}

/// A link as its owner sees it: an item of `GET /api/v1/links`. Its token is not told again.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Link {
    /// Names it; says nothing about its token.
    pub id: String,
    /// `read` or `upload`.
    pub kind: String,
    /// What it leads to.
    pub file_id: String,
    /// Where that is now.
    pub path: String,
    /// What its owner calls it.
    pub label: String,
    /// Whether it asks for a password.
    pub has_password: bool,
    /// When it ends (RFC 3339).
    pub expires_at: Option<String>,
    /// How many downloads there may be altogether.
    pub downloads_most: Option<u64>,
    /// How many were completed.
    pub downloads_done: u64,
    /// RFC 3339.
    pub created_at: String,
    /// When somebody last used it, to some seconds (RFC 3339).
    pub last_used_at: Option<String>,
    /// Its entity tag, for `If-Match`: what use changes of it is not in it.
    pub etag: String,
}

/// A new link.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct LinkMade {
    /// What it is.
    #[serde(flatten)]
    pub link: Link,
    /// The secret in its address; shown this once.
    pub token: String,
    /// Its address; a path alone where the server does not know its own name.
    pub url: String,
}

/// `PATCH /api/v1/links/{id}`; what is absent stays, `null` takes away.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkChange {
    /// What it asks for; whoever has given the old one is asked again.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<String>)]
    pub password: Option<Option<String>>,
    /// When it ends (RFC 3339).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<Option<String>>,
    /// How many downloads there may be, those so far included.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    #[schema(value_type = Option<u64>)]
    pub downloads_most: Option<Option<u64>>,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub label: Option<String>,
}

/// `GET /s/{token}` of a folder, for programs: one part of what it holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkFolder {
    /// The folder's name.
    pub name: String,
    /// What is in it, in the order of names.
    pub items: Vec<LinkEntry>,
    /// Where the next part begins, as the query's `cursor`; `null` in the last one.
    pub next_cursor: Option<String>,
}

/// A file or folder in a folder that a link leads to.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkEntry {
    /// Its name.
    pub name: String,
    /// `file` or `folder`.
    pub kind: String,
    /// Length of a file's content; 0 for a folder.
    pub size_bytes: u64,
    /// RFC 3339.
    pub modified_at: String,
}

/// `POST /s/{token}` by a link for uploads: what was stored.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkUploaded {
    /// In the order in which they were sent.
    pub items: Vec<LinkUpload>,
}

/// A file that was stored by a link for uploads. Under which name is not told: it would tell what is
/// there.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkUpload {
    /// The name as it was sent.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its content in hex.
    pub sha256: Option<String>,
}
