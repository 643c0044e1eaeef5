//! What a mount says of itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::drive::Progress;

/// State of a mount, as `coffer status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The server answers.
    pub online: bool,
    /// Changes made elsewhere are told as they happen.
    pub notices: bool,
    /// Names that are not on the server as they are here.
    pub pending_names: u64,
    /// Files whose content or attributes are not on the server as they are here.
    pub pending_files: u64,
    /// Bytes in them.
    pub pending_bytes: u64,
    /// What is being sent now.
    pub uploading: Vec<Uploading>,
    /// What cannot be sent; it is kept here.
    pub blocked: Vec<BlockedItem>,
    /// Paths of conflict copies made since the mount began.
    pub conflicts: Vec<String>,
    /// Content kept here, in bytes.
    pub cache_bytes: u64,
    /// The most that is kept.
    pub cache_max_bytes: u64,
    /// What the server or the network said last when something went wrong.
    pub last_error: Option<String>,
}

/// A file on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploading {
    /// Its path in the drive.
    pub path: String,
    /// Bytes handed over so far.
    pub sent_bytes: u64,
    /// Bytes to send.
    pub size_bytes: u64,
}

/// The same, while it moves.
pub(crate) struct Course {
    pub(crate) path: String,
    pub(crate) progress: Arc<Progress>,
    pub(crate) size_bytes: u64,
    /// Nobody wants it on the server any more.
    pub(crate) unwanted: Arc<Notify>,
}

impl Course {
    /// How far it is.
    pub(crate) fn uploading(&self) -> Uploading {
        // What is sent twice counts once.
        let sent_bytes = self.progress.sent_bytes().min(self.size_bytes);
        Uploading {
            path: self.path.clone(),
            sent_bytes,
            size_bytes: self.size_bytes,
        }
    }
}

/// Something that cannot be sent for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedItem {
    /// Its path in the drive.
    pub path: String,
    /// Why, in a word or a sentence: `quota`, `login`, `permission`, `offline`, …
    pub reason: String,
}

/// Not everything could be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} changes are not on the server yet", items.len())]
pub struct Blocked {
    /// What and why; all of it is kept here.
    pub items: Vec<BlockedItem>,
}
