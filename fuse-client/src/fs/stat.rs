//! Attributes as the kernel asks for them.

/// Number of a node, unique for the life of the cache; never used again.
pub type Ino = u64;

/// The drive itself.
pub const ROOT: Ino = 1;

/// Attributes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Number.
    pub ino: Ino,
    /// File type and permissions, as `st_mode`.
    pub mode: u32,
    /// Names it has; for a folder 2 and one for each folder in it.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Of a device.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Of 512 bytes.
    pub blocks: u64,
    /// Read, ns since 1970.
    pub atime_ns: i64,
    /// Content changed, ns since 1970.
    pub mtime_ns: i64,
    /// Anything changed, ns since 1970.
    pub ctime_ns: i64,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The present.
    Now,
    /// Ns since 1970.
    At(i64),
}

/// Attributes to set; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Permissions; the file type is ignored.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Bytes.
    pub size: Option<u64>,
    /// Read.
    pub atime: Option<Time>,
    /// Content changed.
    pub mtime: Option<Time>,
    /// Anything changed, ns since 1970.
    pub ctime: Option<i64>,
}

/// How a rename treats what has the new name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RenameFlags {
    /// Refuse with `EEXIST`.
    pub no_replace: bool,
    /// Swap the two.
    pub exchange: bool,
}

/// Space of the drive, for `statfs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceStat {
    /// All of it.
    pub total_bytes: u64,
    /// Left.
    pub free_bytes: u64,
    /// Nodes; 0: not counted.
    pub nodes: u64,
}
