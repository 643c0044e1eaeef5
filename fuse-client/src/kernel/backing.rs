//! Which files the kernel reads and writes without us.
//!
//! All opens of an inode must name the same backing file, and must be all with or all without one:
//! the kernel answers EIO to the one that differs. The file system core decides which; here the
//! decision is kept for as long as any of them is open, even when the kernel refused the file.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use fuser::BackingId;

use crate::fs::Ino;

/// How an inode is open; `None` when the kernel did not take its file.
#[derive(Debug)]
pub(super) struct Backing(pub(super) Option<BackingId>);

/// Those of all open inodes.
#[derive(Debug, Default)]
pub(super) struct Backings(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    inodes: HashMap<Ino, Weak<Backing>>,
    handles: HashMap<u64, (Ino, Arc<Backing>)>,
}

impl Backings {
    /// Keeps the inode's backing for this handle; `register` makes one when there is none.
    pub(super) fn open(
        &self,
        ino: Ino,
        handle: u64,
        register: impl FnOnce() -> io::Result<BackingId>,
    ) -> Arc<Backing> {
        let mut tables = self.tables();
        let known = tables.inodes.get(&ino).and_then(Weak::upgrade);
        let backing = known.unwrap_or_else(|| Arc::new(Backing(register().ok())));
        tables.inodes.insert(ino, Arc::downgrade(&backing));
        tables.handles.insert(handle, (ino, Arc::clone(&backing)));
        backing
    }

    /// The handle was closed. With the last one of its inode the kernel forgets the file.
    pub(super) fn release(&self, handle: u64) {
        let mut tables = self.tables();
        let Some((ino, backing)) = tables.handles.remove(&handle) else {
            return;
        };
        if Arc::strong_count(&backing) == 1 {
            tables.inodes.remove(&ino);
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> io::Result<BackingId> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn a_refusal_holds_until_the_last_close() {
        let backings = Backings::default();
        let first = backings.open(7, 1, refused);
        let second = backings.open(7, 2, || panic!("asked twice"));
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        backings.release(1);
        let third = backings.open(7, 3, || panic!("asked twice"));
        drop(third);
        backings.release(2);
        backings.release(3);
        let mut asked = false;
        backings.open(7, 4, || {
            asked = true;
            refused()
        });
        assert!(asked);
    }
}
