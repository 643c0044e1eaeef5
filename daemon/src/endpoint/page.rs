//! Lists in parts: `limit` and `cursor` of the query, `next_cursor` of the answer.

use std::str::FromStr;

use api::Page;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Json;
use crate::server::problem::{Problem, code};

/// Items in one part: unless the query says, and at most.
const USUAL: u32 = 100;
const MOST: u32 = 1000;

/// The query of a request; what is wrong with one is answered as a problem.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        Ok(Self(query?.0))
    }
}

/// The query of a list that has nothing else to ask.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartQuery {
    /// Items in one part; 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The part before's `next_cursor`.
    cursor: Option<String>,
}

impl PartQuery {
    /// The part that is asked for, of a list whose cursors are ids.
    pub fn part<C: FromStr>(&self) -> Result<Part<C>, Problem> {
        Part::new(self.limit, self.cursor.as_deref(), |cursor| {
            cursor.parse().ok()
        })
    }
}

/// Part of a list.
pub struct Part<C> {
    /// What the part before ended with.
    pub after: Option<C>,
    limit: u32,
}

impl<C> Part<C> {
    /// The part that a query asks for; `read` understands the list's cursors.
    ///
    /// # Errors
    /// The limit is out of its bounds, or the cursor none of this list.
    pub fn new(
        limit: Option<u32>,
        cursor: Option<&str>,
        read: impl FnOnce(&str) -> Option<C>,
    ) -> Result<Self, Problem> {
        let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, code::INVALID_QUERY, detail);
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(bad("The limit is 1 to 1,000."));
        }
        let Some(cursor) = cursor else {
            return Ok(Self { after: None, limit });
        };
        let Some(after) = read(cursor) else {
            return Err(bad("The cursor is not one that this list gave."));
        };
        Ok(Self {
            after: Some(after),
            limit,
        })
    }

    /// How many items it has at most.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many to ask for: one more than it has tells whether there is another part.
    pub fn asked(&self) -> u32 {
        self.limit + 1
    }

    /// The answer, of as many items as [`Self::asked`] says.
    pub fn page<T, U>(
        &self,
        mut items: Vec<T>,
        cursor: impl FnOnce(&T) -> String,
        shown: impl Fn(&T) -> U,
    ) -> Json<Page<U>> {
        let most = self.limit as usize;
        let is_last = items.len() <= most;
        items.truncate(most);
        Json(Page {
            next_cursor: items.last().filter(|_| !is_last).map(cursor),
            items: items.iter().map(shown).collect(),
        })
    }
}

/// A list that is short enough to come in one part.
pub fn whole<T>(items: impl IntoIterator<Item = T>) -> Json<Page<T>> {
    Json(Page {
        items: items.into_iter().collect(),
        next_cursor: None,
    })
}
