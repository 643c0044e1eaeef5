//! Listings of folders that the kernel keeps, to tell them again without asking.
//!
//! It drops them itself when names change by its own calls. After any other change the next open of
//! the folder makes it read anew, however late it hears of that change.

use std::collections::HashMap;
use std::sync::Mutex;

use super::shared::{Shared, lock};
use super::{Ino, Invalidation};
use crate::clock::now_ms;
use crate::drive::Drive;

/// So long it believes the attributes it was told with the names, in ms; later each would be asked for.
const AGE: i64 = 60_000;

/// When the kernel last dropped what it kept of a folder, and has kept what it was told since; ms.
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

    /// The kernel is to read a folder anew.
    pub(crate) fn forget(&self, folder: Ino) {
        lock(&self.0).remove(&folder);
    }
}

impl<D: Drive> Shared<D> {
    /// Whether what the kernel has kept of a folder is what it would be told. If not, it drops that now:
    /// whoever reads the folder, as others may already do, what it keeps is younger.
    pub(super) fn keeps_listing(&self, folder: Ino) -> bool {
        let now = now_ms();
        let mut kept = lock(&self.kept.0);
        let is_young = |began: &i64| (0..AGE).contains(&(now - began));
        if kept.get(&folder).is_some_and(is_young) {
            return true;
        }
        kept.insert(folder, now);
        false
    }
}
