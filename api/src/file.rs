//! Files and folders.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A file or folder.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct File {
    /// Names it for its whole life, wherever it is moved and whatever is written into it.
    pub id: String,
    /// The last name of its path; empty for the whole drive.
    #[schema(example = "report.pdf")]
    pub name: String,
    /// Where it is: `/a/b`; `/` is the whole drive.
    #[schema(example = "/docs/report.pdf")]
    pub path: String,
    /// `file` or `folder`.
    #[schema(pattern = "^(file|folder)$", example = "file")]
    pub kind: String,
    /// Length of a file's content; 0 for a folder.
    pub size_bytes: u64,
    /// SHA-256 of a file's content in hex; `null` for a folder, and for a large file that was
    /// written in parts until it is computed.
    pub sha256: Option<String>,
    /// The entity tag, with its quotes: changes with the content, or with a folder's membership.
    pub etag: String,
    /// RFC 3339.
    pub created_at: String,
    /// When its content, or a folder's membership, last changed, unless a client said otherwise
    /// (RFC 3339).
    pub modified_at: String,
}

/// `GET /api/v1/files` of a folder: one part of what it holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct FileList {
    /// The folder itself.
    pub folder: File,
    /// What is in it, in the order of names.
    pub items: Vec<File>,
    /// Where the next part begins, as the query's `cursor`; `null` in the last one.
    pub next_cursor: Option<String>,
}

/// `POST /api/v1/files`: what was stored.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Uploaded {
    /// In the order in which they were sent.
    pub items: Vec<File>,
}

/// `PATCH /api/v1/files/{id}`; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// Its new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "final.pdf")]
    pub name: Option<String>,
    /// The folder it is moved into, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Where it is moved, as a whole path; instead of `name` and `parent_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether something that is there is replaced.
    #[serde(default)]
    pub replace: bool,
    /// Its modification time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<String>,
}

/// `POST /api/v1/files/{id}/copy`; one of the first three is needed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FileCopy {
    /// The copy's name; that of the original when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The folder the copy is put into, by id; that of the original when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Where the copy is put, as a whole path; instead of `name` and `parent_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/docs/copy.pdf")]
    pub path: Option<String>,
    /// Whether something that is there is replaced.
    #[serde(default)]
    pub replace: bool,
}

/// `POST /api/v1/dirs`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFolder {
    /// The folder to be made.
    #[schema(example = "/docs")]
    pub path: String,
    /// Whether missing folders above it are made too, and one that is there already is as good.
    #[serde(default)]
    pub parents: bool,
}
