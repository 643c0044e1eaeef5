//! What is kept of files that were overwritten or deleted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A content that a file had before it was overwritten.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Version {
    /// Names it.
    pub id: String,
    /// Length of the content.
    pub size_bytes: u64,
    /// SHA-256 of the content in hex; `null` for a large file that was written in parts.
    pub sha256: Option<String>,
    /// The entity tag that the file had with it, with its quotes.
    pub etag: String,
    /// The file's modification time then (RFC 3339).
    pub modified_at: String,
    /// When it was overwritten (RFC 3339).
    pub replaced_at: String,
    /// When it goes at the latest (RFC 3339).
    pub expires_at: String,
}

/// A deleted file, or a folder with all that was in it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trashed {
    /// Names it, as it did before.
    pub id: String,
    /// The last name of its path.
    #[schema(example = "report.pdf")]
    pub name: String,
    /// Where it was.
    #[schema(example = "/docs/report.pdf")]
    pub path: String,
    /// `file` or `folder`.
    #[schema(pattern = "^(file|folder)$", example = "file")]
    pub kind: String,
    /// Its bytes, those of all that is in a folder included.
    pub size_bytes: u64,
    /// Files it is or holds.
    pub files: u64,
    /// When it was deleted (RFC 3339).
    pub deleted_at: String,
    /// Who deleted it: `me`, or `other` for somebody it was shared with.
    #[schema(pattern = "^(me|other)$", example = "me")]
    pub deleted_by: String,
    /// When it goes at the latest (RFC 3339).
    pub expires_at: String,
}

/// `POST /api/v1/trash/{id}/restore`; the body may be left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Restoration {
    /// Where it is put, as a whole path; where it was when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/docs/report.pdf")]
    pub path: Option<String>,
}

/// `DELETE /api/v1/trash`: what went, or would go.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Emptied {
    /// Deleted files and folders; a folder with all it held is one.
    pub items: u64,
    /// Files among all of it.
    pub files: u64,
    /// Bytes of all of it.
    pub size_bytes: u64,
}
