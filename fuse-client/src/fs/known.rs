//! Nodes that the kernel knows by number.
//!
//! Between the look-up of a name and what follows it (an open, say) the name may go to another node.
//! The kernel then asks for the old one, which has to be there still: rows and content of what has no
//! name any more stay until the kernel has forgotten them. Nothing of this survives the mount.

use std::collections::{HashMap, HashSet};

use super::shared::{Shared, lock};
use super::{Fs, Ino, ROOT};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::state::{Content, Db};

/// Who knows what.
#[derive(Default)]
pub(crate) struct Known {
    /// Somebody will say what is forgotten.
    counts: bool,
    lookups: HashMap<Ino, u64>,
    /// Nameless, and kept for being known.
    spared: HashSet<Ino>,
    /// Of what is known: with a name that somebody else has taken away. When none is left, a write
    /// would be lost unseen.
    elsewhere: HashSet<Ino>,
}

impl<D: Drive> Fs<D> {
    /// From now on nodes are kept until they are forgotten as often as they were told.
    pub fn count_lookups(&self) {
        lock(&self.shared.known).counts = true;
    }

    /// The kernel is told of a node by the listing of a folder.
    pub fn remember(&self, ino: Ino) {
        self.shared.remember(ino);
    }

    /// The kernel has forgotten a node that it was told of `lookups` times.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        let shared = &self.shared;
        shared.kept.forget(ino);
        let spared = {
            let mut known = lock(&shared.known);
            let Some(count) = known.lookups.get_mut(&ino) else {
                return;
            };
            *count = count.saturating_sub(lookups);
            if *count > 0 {
                return;
            }
            known.lookups.remove(&ino);
            known.elsewhere.remove(&ino);
            known.spared.remove(&ino)
        };
        if spared {
            let db = lock(&shared.db);
            if let Err(fault) = db.change(|db| shared.collect(db, ino)) {
                tracing::warn!(ino, %fault, "what was forgotten stays until the next start");
            }
        }
    }
}

impl<D: Drive> Shared<D> {
    /// The kernel is about to be told of a node; while the state is locked, lest it goes meanwhile.
    pub(crate) fn remember(&self, ino: Ino) {
        let mut known = lock(&self.known);
        if known.counts && ino != ROOT {
            *known.lookups.entry(ino).or_default() += 1;
        }
    }

    /// What the kernel knows under a name is not there any more, and that was not our doing.
    pub(crate) fn left_elsewhere(&self, ino: Ino) {
        let mut known = lock(&self.known);
        if !known.counts || known.lookups.contains_key(&ino) {
            known.elsewhere.insert(ino);
        }
    }

    /// Whether a node has lost its last name by what others did.
    pub(crate) fn is_lost(&self, db: &Db, ino: Ino) -> Result<bool, Fault> {
        Ok(lock(&self.known).elsewhere.contains(&ino) && db.entries_of(ino)?.is_empty())
    }

    /// Keeps a nameless node that the kernel knows; `false`: it may go.
    pub(crate) fn spare(&self, db: &Db, ino: Ino) -> Result<bool, Fault> {
        {
            let mut known = lock(&self.known);
            if !known.lookups.contains_key(&ino) {
                return Ok(false);
            }
            known.spared.insert(ino);
        }
        if let Some(mut node) = db.node(ino)? {
            // Nothing of it is to be sent, and what is on the server is not it any longer.
            node.remote_id = None;
            node.etag = None;
            node.attributes_dirty = 0;
            if self.opened(ino).is_none() {
                node.content = Content::Clean;
            }
            db.save(&node)?;
            db.mark_node(ino, 0)?;
        }
        Ok(true)
    }
}
