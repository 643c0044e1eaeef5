//! Finding files and folders by name: `/api/v1/search`.

use serde::{Deserialize, Serialize};

/// A file or folder that was found.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Names it for its whole life, whatever its path.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is, from the root that the credential allows.
    pub path: String,
    /// `file` or `folder`.
    pub kind: String,
    /// Length of a file; 0 for a folder.
    pub size_bytes: u64,
    /// Digest of a file's content in hexadecimal; absent while it is still to be computed.
    pub sha256: Option<String>,
    /// The entity tag, with its quotes.
    pub etag: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub modified_at: String,
}
