//! Listings of folders that the kernel keeps, to tell them again without asking.
//!
//! It drops them itself when names change by its own calls. After any other change the next open of
//! the folder makes it read anew, however late it hears of that change.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::shared::{Shared, lock};
use super::{Ino, Invalidation};
use crate::clock::now_ms;
use crate::drive::Drive;

/// So long it believes the attributes it was told with the names, in ms; later each would be asked for.
const AGE: i64 = 60_000;

/// When the kernel began to read what it keeps of a folder; ms.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<Ino, i64>>);

impl Kept {
    /// What has been told of a folder may not be so any longer.
    pub(crate) fn changed(&self, invalidation: &Invalidation) {
        let folder = match invalidation {
            Invalidation::Entry { parent, .. } | Invalidation::Gone { parent, .. } => parent,
            Invalidation::Inode { ino, .. } => ino,
        };
        self.forget(*folder);
    }

    pub(super) fn forget(&self, folder: Ino) {
        lock(&self.0).remove(&folder);
    }
}

impl<D: Drive> Shared<D> {
    /// Whether what the kernel has kept of a folder is what it would be told.
    pub(super) fn keeps_listing(&self, folder: Ino) -> bool {
        // Without notices nobody tells of a change before it is asked for.
        self.live.load(Ordering::Relaxed)
            && lock(&self.kept.0)
                .get(&folder)
                .is_some_and(|began| now_ms() - began < AGE)
    }

    /// The kernel has dropped what it kept of a folder, and begins to read it anew.
    pub(super) fn begins_listing(&self, folder: Ino) {
        lock(&self.kept.0).insert(folder, now_ms());
    }
}
