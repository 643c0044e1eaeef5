//! A drive as a POSIX file system.
//!
//! Knows nothing of the kernel's protocol: names and numbers come in, attributes, bytes and error
//! numbers go out. Every call that can be answered from local state completes without waiting.

mod attributes;
mod files;
mod folders;
pub(crate) mod kept;
mod known;
mod names;
mod options;
mod ranges;
pub(crate) mod shared;
mod start;
mod stat;
mod status;
#[cfg(test)]
mod tests;
mod wait;
mod writing;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::drive::Drive;

use self::shared::Shared;
use self::start::Guard;
pub(crate) use self::status::Course;

pub use self::options::{Fsync, Options};
pub use self::stat::{Caller, Change, Ino, ROOT, RenameFlags, SpaceStat, Stat, Time};
pub use self::status::{Blocked, BlockedItem, Status, Uploading};

/// An open file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// How the kernel is to read and write an open file. All opens of a node have the same until the
/// last close.
#[derive(Debug, Clone)]
pub enum Io {
    /// Through us and the kernel's page cache.
    Cached {
        /// What the kernel still has of it is good.
        keep: bool,
    },
    /// By itself, in this local file.
    Passthrough(Arc<std::fs::File>),
}

/// The answer to an open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// For the calls that follow.
    pub handle: Handle,
    /// For the kernel.
    pub io: Io,
}

/// The answer to an open of a folder.
#[derive(Debug, Clone)]
pub struct OpenedFolder {
    /// For the calls that follow.
    pub handle: Handle,
    /// The kernel may tell the names that it was told last.
    pub keep: bool,
    /// It may keep what it is told now: it will hear of changes.
    pub may_keep: bool,
}

/// Something that the kernel must not believe any longer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Invalidation {
    /// What has this name.
    Entry {
        /// Folder.
        parent: Ino,
        /// Name in it.
        name: OsString,
    },
    /// Attributes, and bytes of the content.
    Inode {
        /// Node.
        ino: Ino,
        /// First byte; negative: attributes only.
        offset: i64,
        /// How many bytes; 0: all that follow.
        length: i64,
    },
    /// A name that is gone, so that those who watch the folder hear of it.
    Gone {
        /// Folder.
        parent: Ino,
        /// What had the name.
        child: Ino,
        /// The name.
        name: OsString,
    },
}

/// Why a mount cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another mount has the cache.
    #[error("{}: in use by another mount", cache.display())]
    InUse {
        /// Folder of the cache.
        cache: PathBuf,
    },
    /// Made by another version of this program.
    #[error(
        "{}: made by another version of coffer (format {found}, this one reads {expected}); \
         move the folder aside, or mount with the version that made it to send what is in it",
        cache.display()
    )]
    Version {
        /// Folder of the cache.
        cache: PathBuf,
        /// Of the cache.
        found: i64,
        /// Of this program.
        expected: i64,
    },
    /// What is in it makes no sense.
    #[error(
        "{}: the local state is damaged ({detail}); `coffer doctor` shows what can be had from it, \
         then move the folder aside",
        cache.display()
    )]
    Damaged {
        /// Folder of the cache.
        cache: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A mounted drive. Cloning it is cheap; all clones are the same mount.
pub struct Fs<D: Drive> {
    shared: Arc<Shared<D>>,
    guard: Arc<Guard>,
}

impl<D: Drive> Clone for Fs<D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            guard: Arc::clone(&self.guard),
        }
    }
}
