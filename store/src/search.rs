//! Finding files and folders by their name.

mod rows;

use crate::access;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::node::Node;
use crate::path::{self, Name};
use crate::store::Store;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where it is, from the caller's root: `/a/b`, names as given.
    pub path: String,
    /// The file or folder.
    pub node: Node,
}

/// A part of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// In the order of their names without regard to case.
    pub items: Vec<Hit>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<(String, NodeId)>,
}

impl Store {
    /// Files and folders below the caller's root, and of those that others share with them, whose
    /// name holds `text`, without regard to case and composition: at most `limit` after the one with this name (in the form that
    /// [`Hits::next`] gives) and id. One statement, which looks at every name there.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the text is empty or longer than a name can be.
    pub async fn search(
        &self,
        caller: &Caller,
        text: &str,
        after: Option<(String, NodeId)>,
        limit: u32,
    ) -> Result<Hits> {
        let folded = path::fold(text);
        if text.is_empty() || text.len() > Name::MAX_BYTES {
            return Err(Error::Invalid {
                field: "q",
                reason: format!("must have 1 to {} bytes", Name::MAX_BYTES),
            });
        }
        let root = caller.root;
        let receiver = access::sees_shares(caller).then_some(caller.user);
        let _place = self.searches().acquire().await.map_err(|_| Error::Busy)?;
        self.db()
            .read(move |tx| rows::find(tx, root, receiver, &pattern(&folded), after, limit))
            .await
    }
}

/// The pattern of `LIKE` that stands for "holds this text".
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for sign in text.chars() {
        if matches!(sign, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests;
