//! Dead properties: what clients want remembered (RFC 4918 §4).

pub(crate) mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use crate::attributes::Attributes;
use crate::caller::Caller;
use crate::condition::Condition;
use crate::error::{Error, Limited, Result};
use crate::id::NodeId;
use crate::mutation::{Place, Scene};
use crate::node;
use crate::path::Path;
use crate::store::Store;

/// A dead property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// XML namespace, maybe empty.
    pub namespace: String,
    /// Local name.
    pub name: String,
    /// The whole element as XML.
    pub value: String,
}

/// Bytes of values after which [`Store::properties`] looks at no further node.
pub const PROPERTY_BATCH_BYTES: usize = 1 << 20;

/// Which dead properties are asked for.
#[derive(Debug, Clone)]
pub enum PropertyNames {
    /// All that there are.
    All,
    /// Those of these namespaces and local names.
    These(Arc<[(String, String)]>),
}

impl PropertyNames {
    fn contain(&self, namespace: &str, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these
                .iter()
                .any(|(of, this)| of == namespace && this == name),
        }
    }
}

/// One step of a PROPPATCH; all are made or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyChange {
    /// Keep this value.
    Set(Property),
    /// Forget it, if it is there.
    Remove {
        /// XML namespace, maybe empty.
        namespace: String,
        /// Local name.
        name: String,
    },
    /// The node's attributes; an `mtime` among them sets its modification time. None of them any more.
    Attributes(Option<Attributes>),
    /// The node's modification time, nanoseconds since 1970-01-01 UTC.
    Modified(i64),
    /// The node's creation time, nanoseconds since 1970-01-01 UTC.
    Created(i64),
}

impl Store {
    /// Makes all changes, in order, or none.
    ///
    /// # Errors
    /// [`Error::Limit`] when a property, or all of the node's or the drive's, grow too large;
    /// [`Error::DiskFull`].
    pub async fn change_properties(
        &self,
        caller: &Caller,
        path: &Path,
        changes: Vec<PropertyChange>,
        condition: Condition,
    ) -> Result<()> {
        let limits = self.options().limits.clone();
        for change in &changes {
            if matches!(change, PropertyChange::Attributes(Some(_))) {
                self.require_disk()?;
            }
            let PropertyChange::Set(property) = change else {
                continue;
            };
            self.require_disk()?;
            if property.value.len() > limits.property_bytes {
                return Err(Error::Limit {
                    what: Limited::Property,
                    limit: limits.property_bytes as u64,
                });
            }
        }
        let most = limits.properties_bytes as u64;
        let (caller, path, world) = (caller.clone(), path.clone(), self.world().clone());
        self.db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, &world)?;
                let place = Place::find(tx, &scene, &path)?;
                let node = place.node().ok_or(Error::NotFound)?;
                scene.check(tx, &condition, &place)?;
                scene.require(&condition, node.id, place.ancestors())?;
                let (_, dead_bytes) = if node.property_count > 0 {
                    rows::totals(tx, node.id)?
                } else {
                    (0, 0)
                };
                let old_bytes = dead_bytes + node.attributes_bytes();
                let mut attributes = node.attributes.as_ref();
                let (mut created_ns, mut modified_ns) = (node.created_ns, node.modified_ns);
                for change in &changes {
                    match change {
                        PropertyChange::Set(property) => rows::set(tx, node.id, property)?,
                        PropertyChange::Remove { namespace, name } => {
                            rows::remove(tx, node.id, namespace, name)?;
                        }
                        PropertyChange::Attributes(words) => {
                            attributes = words.as_ref();
                            let said = attributes.and_then(Attributes::modified_ns);
                            modified_ns = said.unwrap_or(modified_ns);
                        }
                        PropertyChange::Modified(at) => modified_ns = *at,
                        PropertyChange::Created(at) => created_ns = *at,
                    }
                }
                let (count, size_bytes) = rows::totals(tx, node.id)?;
                if size_bytes > most {
                    return Err(Error::Limit {
                        what: Limited::Properties,
                        limit: most,
                    });
                }
                let new_bytes = size_bytes + attributes.map_or(0, Attributes::size_bytes);
                scene
                    .drive
                    .change_properties(old_bytes, new_bytes, &limits)?;
                scene.fit_trash(tx, &limits)?;
                node::rows::set_property_count(tx, node.id, count)?;
                if attributes != node.attributes.as_ref() {
                    node::rows::set_attributes(tx, node.id, attributes)?;
                }
                if (created_ns, modified_ns) != (node.created_ns, node.modified_ns) {
                    node::rows::set_times(tx, node.id, created_ns, modified_ns)?;
                }
                scene.changed(tx, node, &path)?;
                scene.settle(tx)
            })
            .await
    }

    /// The dead properties of the first of these nodes: of as many, at least one, as are needed
    /// for [`PROPERTY_BATCH_BYTES`] of values. Nodes that are not in the map were not looked at.
    /// One statement; none when there are no nodes.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn properties(
        &self,
        nodes: Vec<NodeId>,
        names: PropertyNames,
    ) -> Result<HashMap<NodeId, Vec<Property>>> {
        if nodes.is_empty() {
            return Ok(HashMap::new());
        }
        self.db()
            .read(move |tx| rows::of_many(tx, &nodes, &names))
            .await
    }
}
