//! Dead properties on their way into an answer, a bounded number of bytes at a time.

use std::collections::HashMap;

use store::{Node, NodeId, PAGE, Property, PropertyNames, Store};

/// Reads the dead properties that an answer shows, for nodes in the order of the answer.
pub(crate) struct DeadProperties {
    /// None where none are shown.
    names: Option<PropertyNames>,
    /// Of nodes that were read ahead.
    ahead: HashMap<NodeId, Vec<Property>>,
    ahead_bytes: usize,
}

impl DeadProperties {
    /// Reads those of these names.
    pub fn new(names: Option<PropertyNames>) -> Self {
        Self {
            names,
            ahead: HashMap::new(),
            ahead_bytes: 0,
        }
    }

    /// The dead properties of a node. Those of the nodes that are `next` are read along with them
    /// as far as they come to no more than a batch.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn of<'a>(
        &mut self,
        store: &Store,
        node: &Node,
        next: impl Iterator<Item = &'a Node>,
    ) -> store::Result<Vec<Property>> {
        let Some(names) = self.names.as_ref().filter(|_| node.property_count > 0) else {
            return Ok(Vec::new());
        };
        if !self.ahead.contains_key(&node.id) {
            let next = next.filter(|node| node.property_count > 0);
            let next = next.map(|node| node.id).take(PAGE as usize);
            let nodes = std::iter::once(node.id).chain(next).collect();
            self.ahead = store.properties(nodes, names.clone()).await?;
            self.ahead_bytes = self.ahead.values().map(|values| bytes_of(values)).sum();
        }
        let found = self.ahead.remove(&node.id).unwrap_or_default();
        self.ahead_bytes -= bytes_of(&found);
        Ok(found)
    }

    /// Bytes of values held.
    pub fn held_bytes(&self) -> usize {
        self.ahead_bytes
    }

    /// Forgets what was read ahead; it can be read again.
    pub fn let_go(&mut self) {
        self.ahead = HashMap::new();
        self.ahead_bytes = 0;
    }
}

fn bytes_of(properties: &[Property]) -> usize {
    properties.iter().map(|property| property.value.len()).sum()
}
