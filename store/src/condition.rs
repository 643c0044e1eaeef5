//! What a request demands of the state it changes, asked inside the transaction.

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::node::Node;
use crate::path::Path;

/// The state of one path as a precondition sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What is there, if anything.
    pub node: Option<Node>,
    /// Tokens of the live locks that cover it.
    pub lock_tokens: Vec<String>,
    /// The drive's cursor: what is reported from it on is what changed since.
    pub cursor: i64,
}

/// Decides from the state of the target and of [`Condition::others`].
pub type Check = dyn Fn(&State, &[State]) -> bool + Send + Sync;

/// Preconditions and lock tokens of a request.
///
/// The store calls `check` inside the transaction that changes the data, with
/// the state just read there, so nothing can come between.
#[derive(Clone, Default)]
pub struct Condition {
    /// `false` refuses the change; `None` demands nothing.
    pub check: Option<Arc<Check>>,
    /// Other paths whose state the check wants to see.
    pub others: Vec<Path>,
    /// Lock tokens the request submits.
    pub lock_tokens: Vec<String>,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("check", &self.check.is_some())
            .field("others", &self.others.len())
            .field("lock_tokens", &self.lock_tokens.len())
            .finish()
    }
}

type TagCheck = dyn Fn(&str) -> bool + Send + Sync;

/// What a request demands of the entity tag of what it changes, where that is no file.
#[derive(Clone, Default)]
pub struct TagCondition(Option<Arc<TagCheck>>);

impl TagCondition {
    /// `check` decides from the tag, with its quotes, which is read in the transaction of the
    /// change.
    pub fn new(check: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(check)))
    }

    /// Whether anything is demanded.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Refuses the change of what has another tag.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub(crate) fn require(&self, etag: &str) -> Result<()> {
        match &self.0 {
            Some(check) if !check(etag) => Err(Error::PreconditionFailed),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for TagCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TagCondition")
            .field(&self.is_some())
            .finish()
    }
}

/// The entity tag, with its quotes, of what is told apart by these fields.
pub(crate) fn etag_of<const N: usize>(fields: [Option<String>; N]) -> String {
    let mut text = String::new();
    for field in fields {
        // By its length each field is told from what follows it.
        match field {
            Some(field) => text.extend([field.len().to_string().as_str(), ":", &field]),
            None => text.push('-'),
        }
    }
    format!("\"{:.32}\"", Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_asked_for_only_where_one_is_demanded() {
        let tag = |text: &str| etag_of([Some(text.to_owned())]);
        let etag = tag("a");
        assert_eq!(etag.len(), 34);
        assert!(TagCondition::default().require(&etag).is_ok());
        let wanted = etag.clone();
        let condition = TagCondition::new(move |tag| tag == wanted);
        assert!(condition.require(&etag).is_ok());
        let other = condition.require(&tag("b"));
        assert!(matches!(other, Err(Error::PreconditionFailed)));
    }

    #[test]
    fn a_tag_changes_with_each_field_and_with_nothing_else() {
        let fields = [
            [Some("a"), Some("b"), None],
            [Some("ab"), Some(""), None],
            [Some(""), Some("ab"), None],
            [Some("a"), None, Some("b")],
            [Some("a1:b"), None, None],
            [Some("a"), Some("b-"), Some("")],
            [None, None, None],
            [Some("-"), None, None],
        ];
        let tags = fields.map(|fields| etag_of(fields.map(|field| field.map(str::to_owned))));
        for (at, tag) in tags.iter().enumerate() {
            assert_eq!(tags.iter().position(|other| other == tag), Some(at));
        }
    }
}
