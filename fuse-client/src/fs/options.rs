//! What can be chosen about a mount.

use std::path::PathBuf;
use std::time::Duration;

/// What `fsync` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// The server has it; while it is known to be out of reach, this disk has it.
    #[default]
    Wait,
    /// This disk has it.
    Local,
    /// The server has it, or the call fails.
    Strict,
}

/// Settings of a mount.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the local state and content; one mount at a time.
    pub cache: PathBuf,
    /// Most bytes of content to keep; what is not on the server yet is kept in any case.
    pub max_bytes: u64,
    /// This machine's name, for the names of conflict copies.
    pub host: String,
    /// Opens may be answered with a local file that the kernel reads and writes by itself.
    pub passthrough: bool,
    /// What `fsync` waits for.
    pub fsync: Fsync,
    /// Owner of what has none on the server.
    pub uid: u32,
    /// Group of what has none on the server.
    pub gid: u32,
    /// How long attributes are believed when changes are not told.
    pub attribute_ttl: Duration,
    /// How long the names in a folder are believed when changes are not told.
    pub folder_ttl: Duration,
    /// How long after its last close a file waits for more changes before it is sent.
    pub debounce: Duration,
    /// The server is known to be out of reach at the start.
    pub offline: bool,
    /// How often a file that is held open for writing is sent.
    pub open_upload_interval: Duration,
}

impl Options {
    /// The defaults, with a cache at `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            max_bytes: 10 << 30,
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            passthrough: false,
            fsync: Fsync::default(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            attribute_ttl: Duration::from_secs(5),
            folder_ttl: Duration::from_secs(30),
            debounce: Duration::from_millis(500),
            offline: false,
            open_upload_interval: Duration::from_mins(1),
        }
    }
}
