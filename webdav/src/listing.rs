//! A folder's members on their way out, page by page.
//!
//! Between two pages nothing is held, neither a snapshot nor a connection, however slowly the
//! client reads. A page that cannot be read breaks the connection: a short document that is
//! well-formed would tell a synchronising client that files are gone.

use bytes::Bytes;
use futures_util::stream::try_unfold;
use store::{Entry, NodeId, Page, Property, PropertyNames, Store};

use crate::body::Body;
use crate::dead::DeadProperties;
use crate::property::Facts;

/// Bytes that are sent at a time.
pub(crate) const FRAME_BYTES: usize = 48 << 10;
/// Bytes up to which a listing is made before it is sent, so that its length can be told.
const MOST_WHOLE_BYTES: usize = 1 << 20;

/// A document that members are written into.
pub(crate) trait Document: Send + 'static {
    /// The dead properties it shows.
    fn dead(&self) -> Option<PropertyNames>;
    /// What is to be known of a member before it is written.
    fn facts(&mut self) -> Option<&mut Facts> {
        None
    }
    /// Writes a member.
    fn entry(&mut self, entry: &Entry, dead: &[Property]);
    /// Bytes written and not yet taken.
    fn len(&self) -> usize;
    /// What has been written since the last time.
    fn take(&mut self) -> Vec<u8>;
    /// Ends the document.
    fn end(&mut self);
}

/// The members of a folder, of which the first page was read, as the body of an answer: of known
/// length when that is all and not long.
///
/// # Errors
/// Those of the database.
pub(crate) async fn body(
    store: &Store,
    folder: NodeId,
    first: Page,
    document: impl Document,
) -> store::Result<Body> {
    let mut members = Members {
        store: store.clone(),
        folder,
        entries: Vec::new().into_iter(),
        next: None,
        dead: DeadProperties::new(document.dead()),
        document,
        has_ended: false,
    };
    members.take(first);
    if members.next.is_none() {
        members.write(MOST_WHOLE_BYTES).await?;
        if members.entries.len() == 0 {
            members.document.end();
            return Ok(Body::full(members.document.take()));
        }
    }
    Ok(Body::listing(Box::pin(try_unfold(members, Members::piece))))
}

struct Members<D> {
    store: Store,
    folder: NodeId,
    entries: std::vec::IntoIter<Entry>,
    next: Option<String>,
    dead: DeadProperties,
    document: D,
    has_ended: bool,
}

impl<D: Document> Members<D> {
    fn take(&mut self, page: Page) {
        self.entries = page.entries.into_iter();
        self.next = page.next;
    }

    /// Writes members until that many bytes stand there, or the page ends.
    async fn write(&mut self, enough_bytes: usize) -> store::Result<()> {
        while self.document.len() < enough_bytes
            && let Some(entry) = self.entries.next()
        {
            let next = self.entries.as_slice().iter().map(|entry| &entry.node);
            let dead = self.dead.of(&self.store, &entry.node, next).await?;
            if let Some(facts) = self.document.facts() {
                let next = self.entries.as_slice().iter().map(|entry| &entry.node);
                facts.see(&self.store, &entry.node, next).await?;
            }
            self.document.entry(&entry, &dead);
        }
        Ok(())
    }

    async fn piece(mut self) -> store::Result<Option<(Bytes, Self)>> {
        loop {
            self.write(FRAME_BYTES).await?;
            if self.document.len() >= FRAME_BYTES {
                break;
            }
            if let Some(after) = self.next.take() {
                let page = self.store.list(self.folder, Some(after)).await?;
                self.take(page);
            } else if self.has_ended {
                return Ok(None);
            } else {
                self.document.end();
                self.has_ended = true;
                break;
            }
        }
        Ok(Some((Bytes::from(self.document.take()), self)))
    }
}
