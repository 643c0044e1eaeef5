//! Taking in a file: content first, durable; then one transaction that checks
//! everything again, swaps the content and settles the quota.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::Effect;
use crate::caller::Caller;
use crate::change::ChangeKind;
use crate::checksums::Checksums;
use crate::condition::Condition;
use crate::content::{Content, ContentBody, ContentWriter, Splice};
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::folder;
use crate::id::{NodeId, ReservationId};
use crate::mutation::{Place, Scene};
use crate::node::rows::FileRow;
use crate::node::{self, Kind, Node};
use crate::path::Path;
use crate::pin::Pinned;
use crate::quota::{self, Lease};
use crate::reference;
use crate::store::{Limits, Store};

/// How far past the end a ranged write may begin.
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
    /// the quota reserved before this returns.
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
        crate::access::require_write(caller)?;
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
        crate::access::require_write(caller)?;
        self.require_disk()?;
        let place = self.upload_place(caller)?;
        let (found, stored) = self.open_file(caller, path).await?.ok_or(Error::NotFound)?;
        let node = &found.node;
        let base = node.content().ok_or(Error::IsFolder)?.tag;
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
            stored.into_body(),
            node.size_bytes,
            offset,
            options.size_bytes,
            self.options().small_limit_bytes,
            pinned.announce(),
        )
        .await?;
        Ok(Upload {
            ticket: Ticket {
                store: self.clone(),
                caller: caller.clone(),
                path: path.clone(),
                condition,
                lease: plan.lease,
                make_parents: false,
                base: Some((node.id, base)),
                pinned,
                _place: place,
            },
            writer: Writer::Part(writer),
            received_bytes: 0,
            size_bytes: options.size_bytes,
            // Overwritten bytes are charged already; what lies past the old end is reserved.
            credit_bytes: node.size_bytes.saturating_sub(offset),
            gap_bytes,
        })
    }

    /// Checks what can be checked before any byte comes, and reserves.
    async fn plan(
        &self,
        caller: &Caller,
        path: &Path,
        condition: &Condition,
        size_bytes: Option<u64>,
        is_small: bool,
        make_parents: bool,
    ) -> Result<Plan> {
        let mut lease = Lease::new(self, caller);
        let (store, caller, path) = (self.clone(), caller.clone(), path.clone());
        let (condition, id) = (condition.clone(), lease.id());
        let planned = self.db().write(move |tx| {
            let mut scene = Scene::enter(tx, &caller, store.world())?;
            let place = Place::find(tx, &scene, &path)?;
            let old = admit(tx, &scene, &place, &condition, make_parents)?;
            if old.is_none() {
                let mut drive = scene.drive;
                let parents = place.missing_parents().len() as u64;
                drive.add_nodes(parents + 1, &store.options().limits)?;
            }
            let credit_bytes = old.map_or(0, |node| node.size_bytes);
            let needed = size_bytes.unwrap_or(0).saturating_sub(credit_bytes);
            let free_bytes = scene.drive.usage.free_bytes();
            if needed > free_bytes {
                return Err(Error::QuotaExceeded {
                    needed_bytes: needed,
                    free_bytes,
                });
            }
            if is_small || size_bytes.is_none() || needed == 0 {
                return Ok((credit_bytes, 0));
            }
            let promised = quota::reserve(tx, &store, &mut scene.drive, id, needed)?;
            scene.settle(tx)?;
            Ok((credit_bytes, promised))
        });
        match planned.await {
            Ok((credit_bytes, 0)) => {
                lease.settled();
                Ok(Plan {
                    credit_bytes,
                    lease: None,
                })
            }
            Ok((credit_bytes, promised)) => {
                lease.size_bytes = promised;
                Ok(Plan {
                    credit_bytes,
                    lease: Some(lease),
                })
            }
            Err(error) => {
                // Whether a commit that failed took place, only the database knows.
                if !matches!(error, Error::Database(_)) {
                    lease.settled();
                }
                Err(error)
            }
        }
    }
}

/// What [`Store::plan`] found.
struct Plan {
    credit_bytes: u64,
    lease: Option<Lease>,
}

impl Upload {
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
        let content = match self.writer {
            Writer::Whole(writer) => writer.finish().await?,
            Writer::Part(writer) => writer.finish().await?,
        };
        Ok(Complete {
            ticket: self.ticket,
            content,
            checksums: None,
        })
    }
}

/// An upload whose content is stored, but not yet anybody's.
pub struct Complete {
    ticket: Ticket,
    content: Content,
    checksums: Option<Checksums>,
}

impl Complete {
    /// Digest of the whole content; `None` for a large ranged write.
    pub fn sha256(&self) -> Option<Digest> {
        self.content.sha256
    }

    /// Has these digests of the whole content kept with the file.
    pub fn keep(&mut self, checksums: Checksums) {
        self.checksums = Some(checksums);
    }

    /// Makes the content that of the path, all checks being made again in the
    /// same transaction.
    ///
    /// # Errors
    /// As for [`Store::begin_upload`]; [`Error::Busy`] when a ranged write's
    /// file was changed meanwhile.
    pub async fn commit(self, modified_ns: Option<i64>) -> Result<Written> {
        let Self {
            ticket,
            content,
            checksums,
        } = self;
        let Ticket {
            store,
            caller,
            path,
            condition,
            mut lease,
            make_parents,
            base,
            pinned,
            _place,
        } = ticket;
        let reservation = lease.as_ref().map(Lease::id);
        let (world, limits) = (store.world().clone(), store.options().limits.clone());
        let written = store
            .db()
            .write(move |tx| {
                let mut scene = Scene::enter(tx, &caller, &world)?;
                let mut place = Place::find(tx, &scene, &path)?;
                let old = admit(tx, &scene, &place, &condition, make_parents)?.cloned();
                if let Some(base) = base
                    && old.as_ref().and_then(|n| Some((n.id, n.content()?.tag))) != Some(base)
                {
                    return Err(Error::Busy);
                }
                if make_parents && old.is_none() {
                    place = folder::make_parents(tx, &mut scene, place, &limits)?;
                }
                let new = Charge {
                    content: &content,
                    limits: &limits,
                    checksums,
                    reservation,
                    modified_ns,
                };
                let node = match &old {
                    Some(old) => replace(tx, &mut scene, &path, old, &new)?,
                    None => insert_charged(tx, &mut scene, &place, &new)?,
                };
                scene.settle(tx)?;
                Ok(Written {
                    node,
                    created: old.is_none(),
                })
            })
            .await?;
        if let Some(lease) = &mut lease {
            lease.settled();
        }
        pinned.referred_to();
        Ok(written)
    }
}

/// Whether a file may be written here; the file that it would replace.
fn admit<'p>(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    place: &'p Place,
    condition: &Condition,
    make_parents: bool,
) -> Result<Option<&'p Node>> {
    scene.check(tx, condition, place)?;
    if let Some(node) = place.node() {
        if node.is_folder() {
            return Err(Error::IsFolder);
        }
        scene.require(condition, node.id, place.ancestors())?;
        return Ok(Some(node));
    }
    let folder = if make_parents {
        place.nearest_folder()?
    } else {
        place.parent()?
    };
    scene.require(condition, folder.id, place.ancestors_of_parent())?;
    scene.require_reachable(place.path(), 0, 0)?;
    Ok(None)
}

/// New content and how it is paid for.
struct Charge<'a> {
    content: &'a Content,
    limits: &'a Limits,
    checksums: Option<Checksums>,
    reservation: Option<ReservationId>,
    modified_ns: Option<i64>,
}

/// Makes a new file at a place whose parent exists; for content without reservation.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    content: &Content,
    limits: &Limits,
) -> Result<Node> {
    insert_charged(
        tx,
        scene,
        place,
        &Charge {
            content,
            limits,
            checksums: None,
            reservation: None,
            modified_ns: None,
        },
    )
}

fn insert_charged(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    place: &Place,
    new: &Charge<'_>,
) -> Result<Node> {
    let (parent, now_ns) = (place.parent()?.id, scene.now_ns());
    let file = file_row(tx, scene, new)?;
    let id = NodeId::new(scene.world);
    node::rows::insert_file(tx, id, scene.drive.id, &file, now_ns)?;
    node::rows::insert_entry(tx, parent, place.name()?, id)?;
    node::rows::membership_changed(tx, parent, now_ns)?;
    scene.drive.usage.files += 1;
    scene.drive.add_nodes(1, new.limits)?;
    scene.charge(tx, 0, file.size_bytes, new.reservation)?;
    scene.record(tx, ChangeKind::Changed, id, place.path())?;
    scene.touch(tx, place.path());
    Ok(Node {
        id,
        drive: scene.drive.id,
        kind: Kind::File(file.content),
        size_bytes: file.size_bytes,
        property_count: 0,
        created_ns: now_ns,
        modified_ns: file.modified_ns,
    })
}

fn replace(
    tx: &mut Tx<'_>,
    scene: &mut Scene<'_>,
    path: &Path,
    old: &Node,
    new: &Charge<'_>,
) -> Result<Node> {
    let mut file = file_row(tx, scene, new)?;
    // The same bytes again, sent without: what is known of them stays true.
    if let Some(before) = old.content().filter(|c| c.sha256 == file.content.sha256)
        && before.sha256.is_some()
    {
        file.content.kept = file.content.kept.or(before.kept);
    }
    node::rows::replace_content(tx, old.id, &file)?;
    reference::release(
        tx,
        old.content().map(|content| content.body),
        scene.now_ms(),
    )?;
    scene.charge(tx, old.size_bytes, file.size_bytes, new.reservation)?;
    scene.record(tx, ChangeKind::Changed, old.id, path)?;
    tx.effect(Effect::Path(scene.drive.id, scene.full_key(path)));
    Ok(Node {
        kind: Kind::File(file.content),
        size_bytes: file.size_bytes,
        modified_ns: file.modified_ns,
        ..old.clone()
    })
}

fn file_row(tx: &mut Tx<'_>, scene: &Scene<'_>, new: &Charge<'_>) -> Result<FileRow> {
    let mut content = reference::add(tx, scene.world, new.content)?;
    content.kept = new.checksums;
    Ok(FileRow {
        size_bytes: new.content.size_bytes,
        content,
        modified_ns: new.modified_ns.unwrap_or(scene.now_ns()),
    })
}

/// No bytes at all: what LOCK makes where nothing is.
pub(crate) fn empty() -> Content {
    Content {
        sha256: Some(Digest::EMPTY),
        size_bytes: 0,
        body: ContentBody::Empty,
    }
}
