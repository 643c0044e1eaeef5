//! Taking in a file: content first, durable; then one transaction that checks
//! everything again, swaps the content and settles the quota.

mod commit;
mod plan;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use self::commit::Complete;
pub(crate) use self::commit::{New, Order, empty, insert, write};
pub(crate) use self::plan::foresee;
use crate::caller::Caller;
use crate::condition::Condition;
use crate::content::{ContentWriter, Splice};
use crate::digest::Digest;
use crate::download::{Found, Stored};
use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::node::Node;
use crate::path::Path;
use crate::pin::Pinned;
use crate::quota::Lease;
use crate::store::Store;

/// How far past the end a ranged write may begin, and how many zeros ranges may leave between them.
const MOST_GAP_BYTES: u64 = 64 << 20;

/// After each of so many bytes the disk is looked at again: others fill it too.
pub(crate) const DISK_CHECK_BYTES: u64 = 16 << 20;

/// Receives what a client wants hashed besides, in order.
pub type ExtraHash = Box<dyn FnMut(&[u8]) + Send>;

/// What is known of an upload before its bytes come.
#[derive(Default)]
pub struct UploadOptions {
    /// Length of the body in bytes, when announced.
    pub size_bytes: Option<u64>,
    /// Whether to look before any byte comes, although the content is small
    /// (the client waits for `100 Continue`).
    pub check_first: bool,
    /// Another hash to feed.
    pub extra: Option<ExtraHash>,
    /// Whether folders that are missing above the file are made with it.
    pub make_parents: bool,
}

/// Where a ranged write begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchStart {
    /// At this offset.
    At(u64),
    /// At the end.
    Append,
    /// This many bytes before the end.
    FromEnd(u64),
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// As it is now.
    pub node: Node,
    /// Whether the path was empty before.
    pub created: bool,
}

/// An upload under way. Dropped before [`Complete::commit`], it leaves nothing.
pub struct Upload {
    ticket: Ticket,
    writer: Writer,
    received_bytes: u64,
    size_bytes: Option<u64>,
    /// Bytes that need no reservation: they replace charged ones.
    credit_bytes: u64,
    /// Zeros before the first byte of a ranged write, which need one as well.
    gap_bytes: u64,
    /// Only of a write of ranges.
    reach: Option<Reach>,
}

/// What the commit needs to know of an upload.
struct Ticket {
    store: Store,
    caller: Caller,
    path: Path,
    condition: Condition,
    lease: Option<Lease>,
    make_parents: bool,
    /// A ranged write builds on this content and no other.
    base: Option<(NodeId, Digest)>,
    pinned: Arc<Pinned>,
    _place: UploadPlace,
}

/// One of the user's places for uploads at a time.
pub(crate) type UploadPlace = tokio::sync::OwnedSemaphorePermit;

enum Writer {
    Whole(ContentWriter),
    Part(Splice),
}

impl Store {
    /// Begins an upload that will be the content of `path`.
    ///
    /// Unless the content is small and nobody waits, everything is checked and
    /// the quota reserved before this returns. By a link nothing is replaced: where something is at
    /// `path`, the file gets a name beside it.
    ///
    /// # Errors
    /// Any of [`Error::Forbidden`], [`Error::ParentMissing`], [`Error::IsFolder`],
    /// [`Error::PreconditionFailed`], [`Error::Locked`], [`Error::QuotaExceeded`],
    /// [`Error::CapacityExceeded`], [`Error::DiskFull`].
    pub async fn begin_upload(
        &self,
        caller: &Caller,
        path: &Path,
        options: UploadOptions,
        condition: Condition,
    ) -> Result<Upload> {
        crate::access::require_add(caller)?;
        self.require_disk()?;
        let place = self.upload_place(caller)?;
        let small_limit = self.options().small_limit_bytes as u64;
        let is_small = options.size_bytes.is_some_and(|size| size <= small_limit);
        if !is_small {
            // The reserve is what deleting lives on when the disk is full.
            self.require_room(options.size_bytes.unwrap_or(0))?;
        }
        let mut lease = None;
        let mut credit_bytes = 0;
        if !is_small || options.check_first {
            let plan = self
                .plan(
                    caller,
                    path,
                    &condition,
                    options.size_bytes,
                    is_small,
                    options.make_parents,
                )
                .await?;
            credit_bytes = plan.credit_bytes;
            lease = plan.lease;
        }
        let pinned = Pinned::new(self);
        let writer = ContentWriter::new(
            self.blobs().clone(),
            self.pool(),
            options.size_bytes,
            self.options().small_limit_bytes,
            pinned.announce(),
        )
        .await?;
        let writer = match options.extra {
            Some(extra) => writer.with_extra(extra),
            None => writer,
        };
        Ok(Upload {
            ticket: Ticket {
                store: self.clone(),
                caller: caller.clone(),
                path: path.clone(),
                condition,
                lease,
                make_parents: options.make_parents,
                base: None,
                pinned,
                _place: place,
            },
            writer: Writer::Whole(writer),
            received_bytes: 0,
            size_bytes: options.size_bytes,
            credit_bytes,
            gap_bytes: 0,
            reach: None,
        })
    }

    /// Begins a ranged write into the file at `path`.
    ///
    /// # Errors
    /// As [`Self::begin_upload`], and [`Error::NotFound`],
    /// [`Error::RangeNotSatisfiable`] when it would begin far past the end, or `FromEnd` asks for more than there is.
    pub async fn begin_patch(
        &self,
        caller: &Caller,
        path: &Path,
        start: PatchStart,
        options: UploadOptions,
        condition: Condition,
    ) -> Result<Upload> {
        let base = self.open_base(caller, path).await?;
        let node = &base.found.node;
        let offset = match start {
            PatchStart::At(offset) => offset,
            PatchStart::Append => node.size_bytes,
            PatchStart::FromEnd(bytes) => {
                node.size_bytes
                    .checked_sub(bytes)
                    .ok_or(Error::RangeNotSatisfiable {
                        size_bytes: node.size_bytes,
                    })?
            }
        };
        if offset > node.size_bytes.saturating_add(MOST_GAP_BYTES) {
            return Err(Error::RangeNotSatisfiable {
                size_bytes: node.size_bytes,
            });
        }
        // The gap between the old end and the offset is filled with zeros, which somebody must pay.
        let gap_bytes = offset.saturating_sub(node.size_bytes);
        let new_bytes = options.size_bytes.unwrap_or(0);
        self.require_room(gap_bytes.saturating_add(new_bytes))?;
        // A length beyond all numbers is one that no quota allows.
        let end = offset.saturating_add(new_bytes).max(node.size_bytes);
        let plan = self
            .plan(caller, path, &condition, Some(end), false, false)
            .await?;
        let pinned = Pinned::new(self);
        let writer = Splice::new(
            self.blobs().clone(),
            self.pool(),
            base.stored.into_body(),
            node.size_bytes,
            None,
            options.size_bytes,
            self.options().small_limit_bytes,
            pinned.announce(),
        );
        let mut writer = writer.await;
        writer.seek(offset);
        Ok(Upload {
            ticket: Ticket {
                store: self.clone(),
                caller: caller.clone(),
                path: path.clone(),
                condition,
                lease: plan.lease,
                make_parents: false,
                base: Some((node.id, base.tag)),
                pinned,
                _place: base.place,
            },
            writer: Writer::Part(writer),
            received_bytes: 0,
            size_bytes: options.size_bytes,
            // Overwritten bytes are charged already; what lies past the old end is reserved.
            credit_bytes: node.size_bytes.saturating_sub(offset),
            gap_bytes,
            reach: None,
        })
    }

    /// Begins a write of several ranges of the file at `path`, after which it has `length_bytes`: see
    /// [`Upload::seek`].
    ///
    /// # Errors
    /// As [`Self::begin_patch`].
    pub async fn begin_ranges(
        &self,
        caller: &Caller,
        path: &Path,
        length_bytes: u64,
        options: UploadOptions,
        condition: Condition,
    ) -> Result<Upload> {
        let base = self.open_base(caller, path).await?;
        let node = &base.found.node;
        let more_bytes = length_bytes.saturating_sub(node.size_bytes);
        self.require_room(more_bytes.max(options.size_bytes.unwrap_or(0)))?;
        let plan = self
            .plan(caller, path, &condition, Some(length_bytes), false, false)
            .await?;
        let pinned = Pinned::new(self);
        let writer = Splice::new(
            self.blobs().clone(),
            self.pool(),
            base.stored.into_body(),
            node.size_bytes,
            Some(length_bytes),
            None,
            self.options().small_limit_bytes,
            pinned.announce(),
        );
        Ok(Upload {
            ticket: Ticket {
                store: self.clone(),
                caller: caller.clone(),
                path: path.clone(),
                condition,
                lease: plan.lease,
                make_parents: false,
                base: Some((node.id, base.tag)),
                pinned,
                _place: base.place,
            },
            writer: Writer::Part(writer.await),
            received_bytes: 0,
            size_bytes: None,
            // The whole length is reserved.
            credit_bytes: u64::MAX,
            gap_bytes: 0,
            reach: Some(Reach {
                end: node.size_bytes,
                length_bytes,
            }),
        })
    }

    /// Lets a ranged write begin that builds on the file at `path`.
    async fn open_base(&self, caller: &Caller, path: &Path) -> Result<Base> {
        crate::access::require_write(caller)?;
        self.require_disk()?;
        let place = self.upload_place(caller)?;
        let (found, stored) = self.open_file(caller, path).await?.ok_or(Error::NotFound)?;
        let tag = found.node.content().ok_or(Error::IsFolder)?.tag;
        Ok(Base {
            found,
            tag,
            stored,
            place,
        })
    }
}

/// What a ranged write builds on.
struct Base {
    found: Arc<Found>,
    tag: Digest,
    stored: Stored,
    place: UploadPlace,
}

/// How far a write of ranges has come.
struct Reach {
    /// The end of the old content, or of the last range beyond it.
    end: u64,
    /// How long the file is to be.
    length_bytes: u64,
}

impl Upload {
    /// Has the bytes that come next go to this range, which begins where the last one ended or after
    /// it. Only of a write of several ranges.
    ///
    /// # Errors
    /// [`Error::RangeNotSatisfiable`] when it lies beyond the length the file is to have, or so many
    /// bytes between the ranges are to be zeros as no request may add.
    pub fn seek(&mut self, range: Range<u64>) -> Result<()> {
        let (Some(reach), Writer::Part(writer)) = (&mut self.reach, &mut self.writer) else {
            return Err(Error::RangeNotSatisfiable {
                size_bytes: self.received_bytes,
            });
        };
        if range.end > reach.length_bytes {
            return Err(Error::RangeNotSatisfiable {
                size_bytes: reach.length_bytes,
            });
        }
        self.gap_bytes += range.start.saturating_sub(reach.end);
        reach.end = reach.end.max(range.end);
        require_small_gap(self.gap_bytes, reach.length_bytes)?;
        writer.seek(range.start);
        Ok(())
    }

    /// Takes the next bytes; waits while the disk is slower than the client.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`] when more come than were announced,
    /// [`Error::QuotaExceeded`] when an unannounced length outgrows the drive,
    /// [`Error::DiskFull`], [`Error::Io`].
    pub async fn write(&mut self, frame: Bytes) -> Result<()> {
        let checks = self.received_bytes / DISK_CHECK_BYTES;
        self.received_bytes += frame.len() as u64;
        if self.received_bytes / DISK_CHECK_BYTES > checks {
            self.ticket.store.require_room(0)?;
        }
        match self.size_bytes {
            Some(size) if self.received_bytes > size => {
                return Err(Error::ContentMismatch("length"));
            }
            Some(_) => {}
            None => self.reserve().await?,
        }
        match &mut self.writer {
            Writer::Whole(writer) => writer.write(frame).await?,
            Writer::Part(writer) => writer.write(frame).await?,
        }
        Ok(())
    }

    /// Reserves for a length that nobody announced, step by step.
    async fn reserve(&mut self) -> Result<()> {
        let store = self.ticket.store.clone();
        if self.received_bytes <= store.options().small_limit_bytes as u64 {
            return Ok(());
        }
        let needed = (self.gap_bytes + self.received_bytes).saturating_sub(self.credit_bytes);
        if needed == 0 {
            return Ok(());
        }
        let caller = &self.ticket.caller;
        let lease = self
            .ticket
            .lease
            .get_or_insert_with(|| Lease::new(&store, caller));
        lease.cover(needed).await
    }

    /// Ends the content: everything received is durable when this returns.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`] when fewer bytes came than were announced.
    pub async fn complete(self) -> Result<Complete> {
        if self
            .size_bytes
            .is_some_and(|size| size != self.received_bytes)
        {
            return Err(Error::ContentMismatch("length"));
        }
        if let Some(reach) = &self.reach {
            let last_bytes = reach.length_bytes.saturating_sub(reach.end);
            require_small_gap(self.gap_bytes + last_bytes, reach.length_bytes)?;
        }
        let content = match self.writer {
            Writer::Whole(writer) => writer.finish().await?,
            Writer::Part(writer) => writer.finish().await?,
        };
        Ok(Complete::new(self.ticket, content))
    }
}

/// Refuses to make more zeros than a ranged write may: they are paid for, but take no time to ask for.
fn require_small_gap(gap_bytes: u64, size_bytes: u64) -> Result<()> {
    if gap_bytes > MOST_GAP_BYTES {
        return Err(Error::RangeNotSatisfiable { size_bytes });
    }
    Ok(())
}
