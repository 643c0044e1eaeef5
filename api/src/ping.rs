//! `GET /api/v1/ping`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Response times of what the server stands on, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct Ping {
    /// A statement, there and back.
    pub database_ms: f64,
    /// A small blob, written and read back.
    pub blob_store_ms: f64,
}
