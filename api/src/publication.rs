//! The store by hash.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A content one has published: an item of `GET /api/v1/store`, the answer of `POST /api/v1/store`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Publication {
    /// The SHA-256 of the content in hexadecimal, by which anyone may have it.
    pub sha256: String,
    /// Its length.
    pub size_bytes: u64,
    /// When one published it first (RFC 3339).
    pub published_at: String,
}
