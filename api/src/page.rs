//! Lists in parts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One part of a list.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where the next part begins, as the query's `cursor`; absent from the last one.
    pub next_cursor: Option<String>,
}
