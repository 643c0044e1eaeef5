//! A drive as a POSIX file system.
//!
//! Knows nothing of the kernel's protocol: names and numbers come in, attributes, bytes and error
//! numbers go out. Every call that can be answered from local state completes without waiting.

mod options;
mod stat;
mod status;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::sync::mpsc;

use crate::drive::Drive;

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

/// Something that the kernel must not believe any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    drive: Arc<D>,
    options: Arc<Options>,
}

impl<D: Drive> Clone for Fs<D> {
    fn clone(&self) -> Self {
        Self {
            drive: Arc::clone(&self.drive),
            options: Arc::clone(&self.options),
        }
    }
}

#[expect(
    clippy::unused_async,
    reason = "answers from the server will be awaited"
)]
impl<D: Drive> Fs<D> {
    /// Opens or makes the cache, puts right what a crash has left, and begins to keep it and the server alike.
    ///
    /// # Errors
    /// [`StartError`]: the cache cannot be used.
    pub async fn open(options: Options, drive: D) -> Result<Self, StartError> {
        Ok(Self {
            drive: Arc::new(drive),
            options: Arc::new(options),
        })
    }

    /// Whether opens may be answered with [`Io::Passthrough`], once it is known what the kernel can:
    /// no before, whatever [`Options::passthrough`] says, and no if that says so.
    pub fn allow_passthrough(&self, allowed: bool) {
        let _ = allowed;
    }

    /// How long the kernel may believe names and attributes.
    pub fn ttl(&self) -> Duration {
        Duration::ZERO
    }

    /// What has a name.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn lookup(&self, parent: Ino, name: &OsStr) -> Result<Stat, Errno> {
        let _ = (parent, name);
        Err(Errno::NOSYS)
    }

    /// The kernel has forgotten a node that it was told of `lookups` times.
    pub fn forget(&self, ino: Ino, lookups: u64) {
        let _ = (ino, lookups);
    }

    /// Attributes.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn stat(&self, ino: Ino) -> Result<Stat, Errno> {
        let _ = (ino);
        Err(Errno::NOSYS)
    }

    /// Sets attributes.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn set_attributes(
        &self,
        caller: Caller,
        ino: Ino,
        change: Change,
        handle: Option<Handle>,
    ) -> Result<Stat, Errno> {
        let _ = (caller, ino, change, handle);
        Err(Errno::NOSYS)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn read_link(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let _ = (ino);
        Err(Errno::NOSYS)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn make_folder(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
    ) -> Result<Stat, Errno> {
        let _ = (caller, parent, name, mode, umask);
        Err(Errno::NOSYS)
    }

    /// Makes a file, fifo, device or socket.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn make_node(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u64,
    ) -> Result<Stat, Errno> {
        let _ = (caller, parent, name, mode, umask, rdev);
        Err(Errno::NOSYS)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn symlink(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        target: &[u8],
    ) -> Result<Stat, Errno> {
        let _ = (caller, parent, name, target);
        Err(Errno::NOSYS)
    }

    /// Gives a node one more name.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn link(&self, ino: Ino, parent: Ino, name: &OsStr) -> Result<Stat, Errno> {
        let _ = (ino, parent, name);
        Err(Errno::NOSYS)
    }

    /// Removes a name of what is not a folder.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn unlink(&self, parent: Ino, name: &OsStr) -> Result<(), Errno> {
        let _ = (parent, name);
        Err(Errno::NOSYS)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn remove_folder(&self, parent: Ino, name: &OsStr) -> Result<(), Errno> {
        let _ = (parent, name);
        Err(Errno::NOSYS)
    }

    /// Renames.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn rename(
        &self,
        parent: Ino,
        name: &OsStr,
        new_parent: Ino,
        new_name: &OsStr,
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let _ = (parent, name, new_parent, new_name, flags);
        Err(Errno::NOSYS)
    }

    /// Makes a file and opens it.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn create(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
    ) -> Result<(Stat, Opened), Errno> {
        let _ = (caller, parent, name, mode, umask, flags);
        Err(Errno::NOSYS)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn open_file(&self, caller: Caller, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        let _ = (caller, ino, flags);
        Err(Errno::NOSYS)
    }

    /// Reads; fewer bytes than asked for only at the end of the file.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn read(&self, handle: Handle, offset: u64, size: u32) -> Result<Bytes, Errno> {
        let _ = (handle, offset, size);
        Err(Errno::NOSYS)
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn write(&self, handle: Handle, offset: u64, data: Vec<u8>) -> Result<u32, Errno> {
        let _ = (handle, offset, data);
        Err(Errno::NOSYS)
    }

    /// A descriptor of the handle was closed.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn flush(&self, handle: Handle) -> Result<(), Errno> {
        let _ = (handle);
        Err(Errno::NOSYS)
    }

    /// Waits until content, size and name are safe ([`Fsync`]).
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn fsync(&self, handle: Handle) -> Result<(), Errno> {
        let _ = (handle);
        Err(Errno::NOSYS)
    }

    /// The last descriptor of the handle was closed.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn release(&self, handle: Handle) -> Result<(), Errno> {
        let _ = (handle);
        Err(Errno::NOSYS)
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn open_folder(&self, ino: Ino) -> Result<Handle, Errno> {
        let _ = (ino);
        Err(Errno::NOSYS)
    }

    /// Tells what is in a folder, with `.` and `..`, from `offset` (0, or the `next_offset` of an entry) until `each` answers `true`: full.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn read_folder(
        &self,
        handle: Handle,
        offset: u64,
        mut each: impl FnMut(u64, &[u8], &Stat) -> bool + Send,
    ) -> Result<(), Errno> {
        let _ = (handle, offset, &mut each);
        Err(Errno::NOSYS)
    }

    /// Closes a folder.
    pub fn release_folder(&self, handle: Handle) {
        let _ = (handle);
    }

    /// Waits until the names in a folder are safe.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn fsync_folder(&self, ino: Ino) -> Result<(), Errno> {
        let _ = (ino);
        Err(Errno::NOSYS)
    }

    /// Allocates, or punches a hole (`FALLOC_FL_*`).
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn fallocate(
        &self,
        handle: Handle,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<(), Errno> {
        let _ = (handle, offset, length, mode);
        Err(Errno::NOSYS)
    }

    /// Finds data or a hole (`SEEK_DATA`, `SEEK_HOLE`).
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn seek(&self, handle: Handle, offset: u64, whence: i32) -> Result<u64, Errno> {
        let _ = (handle, offset, whence);
        Err(Errno::NOSYS)
    }

    /// Copies a range; how many bytes were copied.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn copy_range(
        &self,
        from: Handle,
        from_offset: u64,
        to: Handle,
        to_offset: u64,
        length: u64,
    ) -> Result<u64, Errno> {
        let _ = (from, from_offset, to, to_offset, length);
        Err(Errno::NOSYS)
    }

    /// Space, from memory.
    pub fn statfs(&self) -> SpaceStat {
        SpaceStat {
            total_bytes: 0,
            free_bytes: 0,
            nodes: 0,
        }
    }

    /// Value of an extended attribute.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn xattr_get(&self, ino: Ino, name: &OsStr) -> Result<Vec<u8>, Errno> {
        let _ = (ino, name);
        Err(Errno::NOSYS)
    }

    /// Sets an extended attribute (`XATTR_*`).
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn xattr_set(
        &self,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let _ = (ino, name, value, flags);
        Err(Errno::NOSYS)
    }

    /// Names of the extended attributes, each ended by a NUL.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn xattr_list(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let _ = (ino);
        Err(Errno::NOSYS)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn xattr_remove(&self, ino: Ino, name: &OsStr) -> Result<(), Errno> {
        let _ = (ino, name);
        Err(Errno::NOSYS)
    }

    /// What the kernel is to be told, for a thread that serves no requests. Once; later calls get one that tells nothing.
    pub fn take_invalidations(&self) -> mpsc::UnboundedReceiver<Invalidation> {
        mpsc::unbounded_channel().1
    }

    /// State of the mount.
    pub fn status(&self) -> Status {
        Status::default()
    }

    /// Sends everything; until nothing is left, or only what cannot be sent for now.
    ///
    /// # Errors
    /// What is left.
    pub async fn flush_all(&self) -> Result<(), Blocked> {
        Ok(())
    }

    /// Keeps a file or folder here whatever the space (or not any longer).
    ///
    /// # Errors
    /// As the system call of that name.
    pub async fn pin(&self, path: &str, pinned: bool) -> Result<(), Errno> {
        let _ = (path, pinned);
        Err(Errno::NOSYS)
    }

    /// Waits until there is nothing to be done.
    pub async fn settle(&self) {}

    /// Takes no more requests, commits, stops the tasks. Does not wait for what is to be sent.
    pub async fn close(self) {}
}
