//! What went wrong (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A failure, sent as `application/problem+json`. Its `type` is `about:blank` and left out.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The status in words.
    #[schema(example = "Not Found")]
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    pub status: u16,
    /// Stable name of the problem, for programs.
    #[schema(example = "not_found")]
    pub code: String,
    /// What happened and what can be done, for people.
    #[schema(example = "There is nothing at this address.")]
    pub detail: String,
}
