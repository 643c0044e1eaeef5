//! Giving files and folders away.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/files/{id}/transfer`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    /// User name or e-mail address of whom it is offered to.
    #[schema(min_length = 1, max_length = 255, example = "bob")]
    pub to: String,
    /// Whether one wants to go on reading and writing it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub keep_access: bool,
}

/// `POST /api/v1/transfers/{id}/accept`; the body may be left out.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferAcceptance {
    /// Whether the former owner, if they want to, may go on reading and writing it.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub keep_access: bool,
}

impl Default for TransferAcceptance {
    fn default() -> Self {
        Self { keep_access: true }
    }
}

fn yes() -> bool {
    true
}

/// A file or folder that is offered: an item of `GET /api/v1/transfers`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Transfer {
    /// Names it.
    pub id: String,
    /// `incoming` or `outgoing`.
    #[schema(pattern = "^(incoming|outgoing)$", example = "outgoing")]
    pub direction: String,
    /// The user name of the owner.
    pub from: String,
    /// Whom it is offered to, as it was typed; whether anybody has the name is not told.
    pub to: String,
    /// The file or folder.
    pub file_id: String,
    /// What it is called.
    pub name: String,
    /// `file` or `folder`.
    #[schema(pattern = "^(file|folder)$", example = "folder")]
    pub kind: String,
    /// Length of a file's content; 0 for a folder.
    pub size_bytes: u64,
    /// Whether the owner wants to go on reading and writing it.
    pub keep_access: bool,
    /// When it was offered (RFC 3339).
    pub created_at: String,
}
