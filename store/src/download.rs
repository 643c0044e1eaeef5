//! Giving out: where a path leads, and the bytes behind it.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::caller::Caller;
use crate::content::{ContentBody, ContentReader};
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::manifest::ChunkRef;
use crate::node::rows::Held;
use crate::node::{self, Node, Page};
use crate::path::Path;
use crate::store::{CachedNode, PartOf, Store};

/// Entries that one statement of a listing reads.
pub const PAGE: u32 = 4096;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What is there.
    pub node: Node,
    /// The folders above it, from the caller's root down.
    pub above: Vec<NodeId>,
}

impl Found {
    /// From the nodes along a path, if they lead to its end.
    fn at_the_end(mut chain: Vec<Node>, path: &Path) -> Option<Self> {
        let is_whole = chain.len() > path.depth();
        let node = chain.pop().filter(|_| is_whole)?;
        let above = chain.iter().map(|node| node.id).collect();
        Some(Self { node, above })
    }
}

/// A file's stored content, ready to be read.
#[derive(Debug, Clone)]
pub struct Stored(Source);

#[derive(Debug, Clone)]
enum Source {
    Bytes(Bytes),
    Blob(ChunkRef),
    Chunks(Arc<[ChunkRef]>),
}

impl Stored {
    /// The whole content, when it is at hand.
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Source::Bytes(bytes) => Some(bytes),
            Source::Blob(_) | Source::Chunks(_) => None,
        }
    }

    pub(crate) fn into_body(self) -> ContentBody {
        match self.0 {
            Source::Bytes(bytes) if bytes.is_empty() => ContentBody::Empty,
            Source::Bytes(bytes) => ContentBody::Small(bytes),
            Source::Blob(blob) => ContentBody::Blob(blob),
            Source::Chunks(chunks) => ContentBody::Chunks(chunks.to_vec()),
        }
    }

    /// Bytes of memory it takes in a cache.
    pub(crate) fn weight(&self) -> usize {
        match &self.0 {
            Source::Bytes(bytes) => bytes.len(),
            Source::Blob(_) => 0,
            Source::Chunks(chunks) => chunks.len() * size_of::<ChunkRef>(),
        }
    }
}

impl From<Held> for Stored {
    fn from(held: Held) -> Self {
        Self(match held {
            Held::Bytes(bytes) => Source::Bytes(bytes.into()),
            Held::Blob(blob) => Source::Blob(blob),
            Held::Chunks(chunks) => Source::Chunks(chunks.into()),
        })
    }
}

impl From<ChunkRef> for Stored {
    fn from(blob: ChunkRef) -> Self {
        Self(Source::Blob(blob))
    }
}

/// Bytes on their way out.
pub struct Download(ContentReader);

impl Download {
    /// The next frame; `None` after the last. An error means that the content
    /// cannot be given out whole: the connection must be broken.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.0
            .poll_next(context)
            .map(|next| next.map(|frame| frame.map_err(Error::from)))
    }
}

impl Store {
    /// What is at `path`; from memory when nothing changed, else one statement.
    ///
    /// # Errors
    /// Only those of the database: what is not there, or not the caller's, is `None`.
    pub async fn find(&self, caller: &Caller, path: &Path) -> Result<Option<Arc<Found>>> {
        Ok(self
            .locate(caller, path, false)
            .await?
            .map(|cached| cached.found))
    }

    /// A file and its content, or `None` where there is no file.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn open_file(
        &self,
        caller: &Caller,
        path: &Path,
    ) -> Result<Option<(Arc<Found>, Stored)>> {
        let Some(cached) = self.locate(caller, path, true).await? else {
            return Ok(None);
        };
        Ok(cached.stored.map(|stored| (cached.found, stored)))
    }

    /// Reads a range of stored content.
    pub fn download(&self, stored: &Stored, range: Range<u64>) -> Download {
        Download(ContentReader::new(
            self.blobs().clone(),
            stored.clone().into_body(),
            range,
            self.verified(),
        ))
    }

    /// One page of a folder, after the name `after` (as [`Page::next`] said).
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn list(&self, folder: NodeId, after: Option<String>) -> Result<Page> {
        self.db()
            .read(move |tx| {
                let after = after.as_deref().unwrap_or("");
                node::rows::list(tx, folder, after, PAGE)
            })
            .await
    }

    /// As [`Self::find`], with the first page of a folder's members (a file has none); from
    /// memory, or one statement for both.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn find_with_members(
        &self,
        caller: &Caller,
        path: &Path,
    ) -> Result<Option<(Arc<Found>, Arc<Page>)>> {
        let stamp = self.generations().of_path(caller.drive, path.key());
        let of_members = self.generations().of_members(caller.drive, path.key());
        let part = PartOf {
            folder: path,
            after: "",
            limit: PAGE,
        };
        if let Some(cached) = self.cached_node(caller, path, stamp) {
            if !cached.found.node.is_folder() {
                return Ok(Some((cached.found, Arc::default())));
            }
            if let Some(page) = self.cached_page(caller, &part, of_members) {
                return Ok(Some((cached.found, page)));
            }
            let page = Arc::new(self.list(cached.found.node.id, None).await?);
            self.cache_page(caller, &part, of_members, &page);
            return Ok(Some((cached.found, page)));
        }
        let (root, walked) = (caller.root, path.clone());
        let (chain, page) = self
            .db()
            .read(move |tx| node::rows::walk_and_list(tx, root, &walked, PAGE))
            .await?;
        let Some(found) = Found::at_the_end(chain, path) else {
            return Ok(None);
        };
        let cached = CachedNode {
            stamp,
            found: Arc::new(found),
            stored: None,
        };
        self.cache_node(caller, path, &cached);
        let page = Arc::new(page);
        if cached.found.node.is_folder() {
            self.cache_page(caller, &part, of_members, &page);
        }
        Ok(Some((cached.found, page)))
    }

    async fn locate(
        &self,
        caller: &Caller,
        path: &Path,
        with_content: bool,
    ) -> Result<Option<CachedNode>> {
        let stamp = self.generations().of_path(caller.drive, path.key());
        if let Some(cached) = self.cached_node(caller, path, stamp)
            && (cached.stored.is_some() || !with_content || cached.found.node.is_folder())
        {
            return Ok(Some(cached));
        }
        let (root, walked) = (caller.root, path.clone());
        let located = self
            .db()
            .read(move |tx| {
                let (chain, held) = if with_content {
                    node::rows::walk_to_content(tx, root, &walked)?
                } else {
                    (node::rows::walk(tx, root, &walked)?, None)
                };
                let found = Found::at_the_end(chain, &walked);
                Ok(found.map(|found| (found, held.map(Stored::from))))
            })
            .await?;
        let Some((found, stored)) = located else {
            return Ok(None);
        };
        let cached = CachedNode {
            stamp,
            found: Arc::new(found),
            stored,
        };
        self.cache_node(caller, path, &cached);
        Ok(Some(cached))
    }
}
