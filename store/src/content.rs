//! The bytes of a file version: how they come in, how they go out, how a part of them is replaced.
//!
//! Nothing here knows of nodes, rights or rows. Bytes that come in are durable under their final
//! names before [`ContentWriter::finish`] returns; the caller then writes the rows which refer to
//! them. Bytes that go out are checked against their names first.

mod appender;
mod frame;
mod hash;
mod pool;
mod reader;
mod splice;
mod stage;
#[cfg(test)]
mod tests;
mod verified;
mod writer;

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::appender::{Appender, Kept, Start};
pub(crate) use self::frame::Frame;
pub(crate) use self::pool::MemoryPool;
pub(crate) use self::reader::ContentReader;
pub(crate) use self::splice::Splice;
pub(crate) use self::verified::Verified;
pub use self::verified::VerifyReads;
pub(crate) use self::writer::ContentWriter;
use crate::digest::Digest;
use crate::manifest::ChunkRef;

/// Bytes that were taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// Digest of the whole; a spliced content above 64 MiB has none yet.
    pub sha256: Option<Digest>,
    pub size_bytes: u64,
    pub body: ContentBody,
}

/// Where the bytes of a content are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContentBody {
    Empty,
    /// At hand; the caller keeps them in its rows.
    Small(Bytes),
    /// One blob, named by the digest of the whole.
    Blob(ChunkRef),
    /// Blobs in this order; the same one may occur more than once.
    Chunks(Vec<ChunkRef>),
}

/// Tells the caller which blobs are about to get their names, also those that have it already.
///
/// It is awaited before that happens. The caller registers them, so that `sweep` cannot remove a
/// blob between the moment it is found to exist and the moment a row refers to it.
pub(crate) type Announce = Arc<dyn Fn(Vec<ChunkRef>) -> Announcing + Send + Sync>;

/// What [`Announce`] returns.
pub(crate) type Announcing = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Why bytes could not be taken in or given out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The disk is full, or the system's own quota for this process is used up.
    #[error("no space is left for blobs")]
    DiskFull,
    /// A blob is missing or does not hold the bytes which its name says.
    #[error("blob {digest} is missing or damaged")]
    Corrupt { digest: Digest },
    /// More or fewer bytes came than were announced.
    #[error("{expected_bytes} bytes were announced, {got_bytes} came")]
    LengthMismatch { expected_bytes: u64, got_bytes: u64 },
    /// The place for blobs cannot be used as it is.
    #[error("{0}")]
    Unusable(String),
    /// The caller's [`Announce`] failed.
    #[error("cannot register blobs")]
    Announce(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else the system refused.
    #[error("cannot {doing}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
}

impl Error {
    /// Says what was tried when the system refused.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io { doing, source },
        }
    }

    /// A blocking job panicked, or the runtime is shutting down.
    fn job(error: tokio::task::JoinError) -> Self {
        Self::Io {
            doing: "finish a job",
            source: io::Error::other(error),
        }
    }
}
