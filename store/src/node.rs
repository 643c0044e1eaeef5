//! A node: a file or folder with a stable id, whatever its name.

pub(crate) mod rows;

use std::sync::Arc;

use crate::attributes::Attributes;
use crate::checksums::Checksums;
use crate::digest::Digest;
use crate::id::{DriveId, ManifestId, NodeId};

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Names it for its whole life.
    pub id: NodeId,
    /// The drive it is charged to.
    pub drive: DriveId,
    /// What it is.
    pub kind: Kind,
    /// Length of a file's content in bytes; 0 for a folder.
    pub size_bytes: u64,
    /// How many names it has: a file may have several, whatever is done to one shows under all.
    pub links: u64,
    /// How many dead properties it has.
    pub property_count: u64,
    /// When it was made, nanoseconds since 1970-01-01 UTC.
    pub created_ns: i64,
    /// When its content (a folder: its membership) last changed, or what a
    /// client said instead; nanoseconds since 1970-01-01 UTC.
    pub modified_ns: i64,
    /// What a mounted drive keeps beside the content.
    pub attributes: Option<Attributes>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder; the number rises with every change of its membership.
    Folder {
        /// Count of changes so far.
        child_number: i64,
    },
    /// A file and where its content is.
    File(FileContent),
}

/// Where a file's content is and what identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileContent {
    /// The strong validator: the content's digest, or its manifest's for a
    /// large file that was written by ranges.
    pub tag: Digest,
    /// SHA-256 of the content, unless it is still to be computed.
    pub sha256: Option<Digest>,
    /// Kept because the client that sent the content said one of them.
    pub(crate) kept: Option<Checksums>,
    pub(crate) body: Body,
}

impl FileContent {
    /// Further digests of the content, as far as they are known.
    pub fn checksums(&self) -> Option<Checksums> {
        match self.body {
            Body::Empty => Some(Checksums::EMPTY),
            Body::Blob(_) | Body::Manifest(_) => self.kept,
        }
    }
}

/// How content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// No bytes.
    Empty,
    /// One blob, small (in its row) or not.
    Blob(Digest),
    /// Chunks.
    Manifest(ManifestId),
}

impl Node {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder { .. })
    }

    /// Bytes that its attributes take, which count as those of properties do.
    pub(crate) fn attributes_bytes(&self) -> u64 {
        self.attributes.as_ref().map_or(0, Attributes::size_bytes)
    }

    /// A file's content.
    pub fn content(&self) -> Option<&FileContent> {
        match &self.kind {
            Kind::File(content) => Some(content),
            Kind::Folder { .. } => None,
        }
    }

    /// The entity tag with its quotes (RFC 9110 §8.8.3): strong, changed with
    /// every change of the content or membership.
    pub fn etag(&self) -> String {
        match &self.kind {
            Kind::File(content) => format!("\"{}\"", content.tag),
            Kind::Folder { child_number } => format!("\"{}-{child_number}\"", self.id.simple()),
        }
    }
}

/// A line of a listing: a node under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as it was given.
    pub name: Arc<str>,
    /// What it names.
    pub node: Node,
}

impl Entry {
    /// Bytes of its texts in memory.
    pub(crate) fn text_bytes(&self) -> usize {
        let words = self.node.attributes.as_ref();
        self.name.len() + words.map_or(0, |words| words.as_str().len())
    }
}

/// One page of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Entries in the order of their NFC names.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}
