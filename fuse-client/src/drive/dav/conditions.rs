//! That nothing is overwritten which nobody here has seen.

use std::future::Future;

use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use super::describe::is_looked;
use super::{DavDrive, bad};
use crate::drive::{Condition, Drive, DrivePath, ETag, Error, Listed, Result};

/// How many names Coffer is to find that a file has, when it is written.
const LINKS: HeaderName = HeaderName::from_static("coffer-links");

/// A condition, and the header that says it where the server listens.
pub(super) struct Conditional {
    condition: Condition,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Conditional {
    pub(super) fn of(condition: &Condition) -> Self {
        let header = match condition {
            Condition::Absent => Some((IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Condition::Unchanged(etag) | Condition::Alone(etag) => {
                known(etag).map(|value| (IF_MATCH, value))
            }
            Condition::Any => None,
        };
        Self {
            condition: condition.clone(),
            header,
        }
    }
}

/// The tag as a header, if it is one that the server knows.
pub(super) fn known(etag: &ETag) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(&etag.0).ok()?;
    (!is_looked(&etag.0)).then_some(value)
}

impl DavDrive {
    /// Makes a change under a condition: by header where that works, else by a look before it.
    pub(super) async fn guarded<T, F>(
        &self,
        path: &DrivePath,
        conditional: &Conditional,
        change: impl Fn(HeaderMap) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = &conditional.header {
            headers.insert(name, value.clone());
        }
        if let Condition::Alone(_) = conditional.condition {
            headers.insert(LINKS, HeaderValue::from_static("1"));
        }
        if !self.inner.found.conditions || conditional.header.is_none() {
            self.look(path, &conditional.condition).await?;
            // `If-None-Match: *` harms nowhere and is obeyed by some that obey nothing else.
            headers.remove(IF_MATCH);
            return change(headers).await;
        }
        let made = change(headers).await;
        match (&made, &conditional.condition) {
            // A tag that is weak now (Apache's are for a second) equals nothing in a header.
            (Err(Error::Conflict { .. }), Condition::Unchanged(_) | Condition::Alone(_))
                if !self.inner.found.exact_tags =>
            {
                self.look(path, &conditional.condition).await?;
                change(HeaderMap::new()).await
            }
            _ => made,
        }
    }

    /// Whether the condition holds at this moment.
    pub(super) async fn look(&self, path: &DrivePath, condition: &Condition) -> Result<()> {
        let expected = match condition {
            Condition::Any => return Ok(()),
            Condition::Absent => None,
            Condition::Unchanged(etag) | Condition::Alone(etag) => Some(etag),
        };
        let there = match self.stat(path).await {
            Ok(there) => Some(there),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let is_alone = |there: &Listed| there.links.is_none_or(|links| links == 1);
        match (expected, there) {
            (None, None) => Ok(()),
            (Some(_), Some(there))
                if matches!(condition, Condition::Alone(_)) && !is_alone(&there) =>
            {
                Err(Error::Conflict { path: path.clone() })
            }
            (Some(expected), Some(there)) if there.etag.as_ref() == Some(expected) => Ok(()),
            // A folder without a tag: that it is empty is all that can be seen.
            (Some(_), Some(there)) if there.is_folder && there.etag.is_none() => {
                self.look_empty(path).await
            }
            _ => Err(Error::Conflict { path: path.clone() }),
        }
    }

    async fn look_empty(&self, path: &DrivePath) -> Result<()> {
        let (listing, unnamed) = self.members(path).await?;
        if listing.members.is_empty() && unnamed == 0 {
            Ok(())
        } else {
            Err(Error::NotEmpty { path: path.clone() })
        }
    }

    /// MOVE; what it replaces is named in an `If` header, for `If-Match` speaks of the source.
    pub(super) async fn move_to(
        &self,
        from: &DrivePath,
        to: &DrivePath,
        etag: Option<&ETag>,
        condition: &Condition,
    ) -> Result<()> {
        match self.move_once(from, to, etag, condition, true).await {
            // As in `guarded`: a weak tag equals nothing in a header.
            Err(Error::Conflict { .. })
                if self.inner.found.conditions
                    && !self.inner.found.exact_tags
                    && *condition != Condition::Absent =>
            {
                self.move_once(from, to, etag, condition, false).await
            }
            moved => moved,
        }
    }

    async fn move_once(
        &self,
        from: &DrivePath,
        to: &DrivePath,
        etag: Option<&ETag>,
        condition: &Condition,
        by_headers: bool,
    ) -> Result<()> {
        let destination = self.url(to);
        let found = &self.inner.found;
        let is_new = *condition == Condition::Absent;
        let mut request = self
            .request("MOVE", &self.url(from))
            .header("Destination", destination.as_str())
            .header("Overwrite", if is_new { "F" } else { "T" });
        match (etag, etag.and_then(known)) {
            (None, _) => {}
            (_, Some(value)) if found.conditions && by_headers => {
                request = request.header(IF_MATCH, value);
            }
            (Some(etag), _) => {
                self.look(from, &Condition::Unchanged(etag.clone())).await?;
            }
        }
        match condition {
            // `Overwrite: F` is obeyed by all.
            Condition::Absent => {}
            Condition::Unchanged(etag)
                if found.if_header && by_headers && known(etag).is_some() =>
            {
                request = request.header("If", format!("<{destination}> ([{}])", etag.0));
            }
            Condition::Unchanged(_) | Condition::Alone(_) => self.look(to, condition).await?,
            Condition::Any => self.look_no_tree(to).await?,
        }
        match self.change(from, request).await {
            Err(Error::Conflict { .. }) => Err(Error::Conflict { path: to.clone() }),
            Err(Error::NoParent { .. }) => Err(Error::NoParent { path: to.clone() }),
            Err(Error::BadAnswer { reason, .. }) => Err(bad(to, reason)),
            moved => moved.map(drop),
        }
    }

    /// MOVE over a folder removes all that is in it: never without having seen it empty.
    async fn look_no_tree(&self, to: &DrivePath) -> Result<()> {
        match self.stat(to).await {
            Ok(there) if there.is_folder => self.look_empty(to).await,
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
