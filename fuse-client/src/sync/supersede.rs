//! Somebody else has changed a file that is open here.
//!
//! Who reads it keeps the version that was opened: the new one becomes a node of its own, which takes
//! the names. Who may write to it keeps the name as well, until it is closed: a write then meets the
//! other's change when it is sent, and both are kept.

use std::sync::atomic::Ordering;

use crate::cache::Blocks;
use crate::drive::{Drive, Listed};
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::{Shared, lock};
use crate::state::{Content, Db, Node};

/// How a file is in use here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Unused,
    Read,
    Written,
}

impl<D: Drive> Shared<D> {
    pub(super) fn usage(&self, ino: Ino) -> Usage {
        let Some(open) = self.opened(ino) else {
            return Usage::Unused;
        };
        let inner = lock(&open.inner);
        if inner.writers > 0 {
            Usage::Written
        } else if inner.handles > 0 {
            Usage::Read
        } else {
            Usage::Unused
        }
    }

    /// There is a change that is not taken now, but when the file has been closed.
    pub(super) fn take_later(&self, ino: Ino) {
        if let Some(open) = self.opened(ino) {
            open.outdated.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a file may be written to by who has it open. Then what is new is asked for later.
    pub(super) fn is_being_written(&self, ino: Ino) -> bool {
        let written = self.usage(ino) == Usage::Written;
        if written {
            self.take_later(ino);
        }
        written
    }

    /// A node for a new version of a file that is being read, under all names of the old one.
    pub(super) fn supersede(&self, db: &Db, old: &Node, listed: &Listed) -> Result<Node, Fault> {
        let present = if listed.size_bytes == 0 {
            Blocks::ALL
        } else {
            Blocks::none()
        };
        let mut new = Node {
            ino: 0,
            size: listed.size_bytes,
            base_size: listed.size_bytes,
            sha256: listed.sha256.map(Vec::from),
            sent_sha256: None,
            content: Content::Clean,
            generation: 0,
            present: present.0,
            dirty: Blocks::none().0,
            cached: 0,
            ..old.clone()
        };
        new.ino = db.insert(&new)?;
        let names = db.entries_of(old.ino)?;
        db.hand_over_names(old.ino, new.ino)?;
        let left = Node {
            remote_id: None,
            etag: None,
            attributes_dirty: 0,
            nlink: 0,
            ..old.clone()
        };
        db.save(&left)?;
        db.mark_node(old.ino, 0)?;
        db.mark_node(new.ino, 0)?;
        if let Some(open) = self.opened(old.ino) {
            open.unlinked.store(true, Ordering::SeqCst);
        }
        self.left_elsewhere(old.ino);
        for (parent, name) in names {
            self.invalidate_names(parent);
            self.invalidate_entry(parent, &name);
        }
        self.invalidate_attributes(old.ino);
        Ok(new)
    }
}
