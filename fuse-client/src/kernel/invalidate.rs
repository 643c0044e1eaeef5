//! Telling the kernel what it must not believe any longer.
//!
//! By a thread that serves no requests: for an entry the kernel takes the folder's lock, which may be
//! held by somebody who waits for an answer of ours.

use std::collections::HashSet;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::fs::Invalidation;

/// So long it is waited for more: each new name in a folder tells of the folder, and who tells must not
/// have to wake this thread for each.
const GATHER: Duration = Duration::from_millis(1);

/// Runs until the file system is gone.
pub(super) fn spawn(
    notifier: Notifier,
    mut invalidations: UnboundedReceiver<Invalidation>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("invalidate".to_owned())
        .spawn(move || {
            while let Some(first) = invalidations.blocking_recv() {
                thread::sleep(GATHER);
                let mut all = vec![first];
                all.extend(std::iter::from_fn(|| invalidations.try_recv().ok()));
                // The last of several alike is enough.
                let mut seen = HashSet::new();
                let mut last: Vec<_> = all.iter().rev().filter(|it| seen.insert(*it)).collect();
                last.reverse();
                for invalidation in last {
                    // Fails when the kernel does not know it, which is just as well, or when the mount
                    // has ended; then nobody believes anything.
                    let _ = tell(&notifier, invalidation);
                }
            }
        })
}

fn tell(notifier: &Notifier, invalidation: &Invalidation) -> io::Result<()> {
    match invalidation {
        Invalidation::Entry { parent, name } => notifier.inval_entry(INodeNo(*parent), name),
        Invalidation::Inode {
            ino,
            offset,
            length,
        } => notifier.inval_inode(INodeNo(*ino), *offset, *length),
        Invalidation::Gone {
            parent,
            child,
            name,
        } => {
            // Refused where the kernel has another inode under the name, or files in the folder:
            // then the name alone is looked up again.
            let (parent, child) = (INodeNo(*parent), INodeNo(*child));
            notifier
                .delete(parent, child, name)
                .or_else(|_| notifier.inval_entry(parent, name))
        }
    }
}
