//! What went wrong (RFC 9457).

use serde::{Deserialize, Serialize};

/// A failure, sent as `application/problem+json`. Its `type` is `about:blank` and left out.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable name of the problem, for programs.
    pub code: String,
    /// What happened and what can be done, for people.
    pub detail: String,
}
