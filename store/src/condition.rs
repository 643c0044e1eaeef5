//! What a request demands of the state it changes, asked inside the transaction.

use std::fmt;
use std::sync::Arc;

use crate::node::Node;
use crate::path::Path;

/// The state of one path as a precondition sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What is there, if anything.
    pub node: Option<Node>,
    /// Tokens of the live locks that cover it.
    pub lock_tokens: Vec<String>,
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
