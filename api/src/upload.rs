//! Uploads that several requests bring.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An upload: an item of `GET /api/v1/uploads`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Upload {
    /// Names it.
    pub id: String,
    /// The name that the file is to have.
    pub name: String,
    /// `receiving` while bytes are missing, `complete` when all have come, `stored` when they are a
    /// file.
    pub state: String,
    /// Length of the content.
    pub size_bytes: u64,
    /// How much of it is kept.
    pub offset_bytes: u64,
    /// The file that it has become.
    pub file: Option<UploadedFile>,
    /// What stood in the way when a complete upload was last to become a file.
    pub problem: Option<UploadProblem>,
    /// RFC 3339.
    pub created_at: String,
    /// When it is forgotten unless something happens (RFC 3339).
    pub expires_at: String,
}

/// The file that an upload has become.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct UploadedFile {
    /// Names the file.
    pub id: String,
    /// Its entity tag when it was stored, with its quotes.
    pub etag: String,
    /// Whether there was no file before.
    pub created: bool,
}

/// Why an upload is no file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct UploadProblem {
    /// As in a problem document.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// `POST /api/v1/uploads/{id}/commit`; may be left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadCommit {
    /// Where the file is to be instead of where it was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
