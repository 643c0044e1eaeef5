//! Taking in files and images of an asset, as files of a drive are taken in: room first, then
//! bytes, then one transaction that refers to them.

use std::sync::Arc;

use bytes::Bytes;

use super::charge::Charges;
use super::picture::{self, Picture};
use super::rows::{self, ContentRow, Role};
use super::{
    Asset, Expected, MOST_FILES, MOST_IMAGE_BYTES, MOST_IMAGES, changed, enter, invalid,
    require_author, require_fewer,
};
use crate::caller::Caller;
use crate::clock::World;
use crate::content::{Content, ContentWriter};
use crate::db::Tx;
use crate::digest::Digest;
use crate::error::{Error, Limited, Result};
use crate::id::{AssetContentId, AssetId, ReservationId};
use crate::path::Name;
use crate::pin::Pinned;
use crate::quota::Lease;
use crate::reference;
use crate::store::Store;
use crate::upload::{DISK_CHECK_BYTES, UploadPlace};

/// A file or image on its way into an asset. Dropped before [`Attaching::commit`], it leaves
/// nothing.
pub struct Attaching {
    store: Store,
    caller: Caller,
    asset: AssetId,
    what: What,
    expected: Expected,
    lease: Lease,
    writer: ContentWriter,
    /// The beginning of an image.
    head: Vec<u8>,
    received_bytes: u64,
    size_bytes: Option<u64>,
    pinned: Arc<Pinned>,
    _place: UploadPlace,
}

#[derive(Debug, Clone)]
enum What {
    File(Name),
    Image,
}

impl Store {
    /// Begins a file of an asset; one of that name is replaced at the end. Its length is reserved
    /// before this returns if it is known, in the caller's drive.
    ///
    /// # Errors
    /// As for [`Store::asset_set`], and [`Error::QuotaExceeded`], [`Error::CapacityExceeded`],
    /// [`Error::DiskFull`], [`Error::Limit`].
    pub async fn asset_file_begin(
        &self,
        caller: &Caller,
        asset: AssetId,
        name: Name,
        size_bytes: Option<u64>,
        expected: Expected,
    ) -> Result<Attaching> {
        self.attach(caller, asset, What::File(name), size_bytes, expected)
            .await
    }

    /// Begins an image of an asset, likewise. What it is shows in its bytes.
    ///
    /// # Errors
    /// As for [`Self::asset_file_begin`].
    pub async fn asset_image_begin(
        &self,
        caller: &Caller,
        asset: AssetId,
        size_bytes: Option<u64>,
        expected: Expected,
    ) -> Result<Attaching> {
        require_image_bytes(size_bytes.unwrap_or(0))?;
        self.attach(caller, asset, What::Image, size_bytes, expected)
            .await
    }

    async fn attach(
        &self,
        caller: &Caller,
        asset: AssetId,
        what: What,
        size_bytes: Option<u64>,
        expected: Expected,
    ) -> Result<Attaching> {
        require_author(caller)?;
        let place = self.upload_place(caller)?;
        self.require_room(size_bytes.unwrap_or(0))?;
        let (user, asked, early) = (caller.user, expected.clone(), what.clone());
        self.db()
            .read(move |tx| {
                let row = rows::find(tx, asset, Some(user))?;
                let row = row
                    .filter(rows::AssetRow::is_visible)
                    .ok_or(Error::NotFound)?;
                if !row.is_author {
                    return Err(Error::Forbidden);
                }
                asked.require(&row)?;
                early.require_place(tx, row.number)
            })
            .await?;
        let mut lease = Lease::new(self, caller);
        match size_bytes {
            None | Some(0) => {}
            Some(size_bytes) => lease.grow(size_bytes).await?,
        }
        let pinned = Pinned::new(self);
        let writer = ContentWriter::new(
            self.blobs().clone(),
            self.pool(),
            size_bytes,
            self.options().small_limit_bytes,
            pinned.announce(),
        )
        .await?;
        Ok(Attaching {
            store: self.clone(),
            caller: caller.clone(),
            asset,
            what,
            expected,
            lease,
            writer,
            head: Vec::new(),
            received_bytes: 0,
            size_bytes,
            pinned,
            _place: place,
        })
    }

    /// Takes a file out of an asset; what is posted keeps at least one.
    ///
    /// # Errors
    /// As for [`Store::asset_set`]; [`Error::NotFound`] when there is none of that name.
    pub async fn asset_file_remove(
        &self,
        caller: &Caller,
        asset: AssetId,
        name: &Name,
        expected: Expected,
    ) -> Result<Asset> {
        self.detach(caller, asset, Role::File, name.nfc().to_owned(), expected)
            .await
    }

    /// Takes an image out of an asset.
    ///
    /// # Errors
    /// As for [`Self::asset_file_remove`].
    pub async fn asset_image_remove(
        &self,
        caller: &Caller,
        asset: AssetId,
        image: AssetContentId,
        expected: Expected,
    ) -> Result<Asset> {
        self.detach(caller, asset, Role::Image, image.to_string(), expected)
            .await
    }

    async fn detach(
        &self,
        caller: &Caller,
        asset: AssetId,
        role: Role,
        name: String,
        expected: Expected,
    ) -> Result<Asset> {
        require_author(caller)?;
        let user = caller.user;
        self.db()
            .write(move |tx| {
                let mut row = enter(tx, user, asset, &expected)?;
                let old = rows::find_content(tx, row.number, role, &name)?;
                let (id, drive, size_bytes) = old.ok_or(Error::NotFound)?;
                if role == Role::File {
                    let is_last = rows::count_contents(tx, row.number, role)? == 1;
                    if is_last && row.posted_at.is_some() {
                        return Err(invalid("files", "what is posted keeps at least one"));
                    }
                    row.size_bytes = row.size_bytes.saturating_sub(size_bytes);
                }
                let mut charges = Charges::lock(tx, [drive])?;
                rows::detach(tx, id)?;
                charges.give_back(tx, drive, size_bytes)?;
                let changed = changed(tx, row)?;
                charges.settle(tx, None)?;
                Ok(changed)
            })
            .await
    }

    /// Drops the references of some contents that were taken out of their assets; whether there
    /// may be more.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn purge_asset_contents(&self) -> Result<bool> {
        let now_ms = self.world().now_ms();
        self.db()
            .write(move |tx| {
                let bodies = rows::take_removed(tx)?;
                let is_some = !bodies.is_empty();
                reference::release(tx, bodies, now_ms)?;
                Ok(is_some)
            })
            .await
    }
}

impl What {
    /// Refuses one more than an asset holds.
    fn require_place(&self, tx: &mut Tx<'_>, number: i64) -> Result<()> {
        match self {
            Self::File(name) => {
                if rows::find_content(tx, number, Role::File, name.nfc())?.is_some() {
                    return Ok(());
                }
                let count = rows::count_contents(tx, number, Role::File)?;
                require_fewer(Limited::AssetFiles, count, MOST_FILES)
            }
            Self::Image => {
                let count = rows::count_contents(tx, number, Role::Image)?;
                require_fewer(Limited::AssetImages, count, MOST_IMAGES)
            }
        }
    }
}

fn require_image_bytes(size_bytes: u64) -> Result<()> {
    if size_bytes > MOST_IMAGE_BYTES {
        return Err(Error::Limit {
            what: Limited::ImageBytes,
            limit: MOST_IMAGE_BYTES,
        });
    }
    Ok(())
}

impl Attaching {
    /// Takes the next bytes; waits while the disk is slower than the client.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`] when more come than were announced, [`Error::QuotaExceeded`] and
    /// [`Error::CapacityExceeded`] when an unannounced length outgrows the room there is,
    /// [`Error::Limit`] when an image becomes too long, [`Error::DiskFull`], [`Error::Io`].
    pub async fn write(&mut self, frame: Bytes) -> Result<()> {
        let checks = self.received_bytes / DISK_CHECK_BYTES;
        self.received_bytes += frame.len() as u64;
        if self.received_bytes / DISK_CHECK_BYTES > checks {
            self.store.require_room(0)?;
        }
        if matches!(self.what, What::Image) {
            require_image_bytes(self.received_bytes)?;
            let room = picture::HEAD_BYTES.saturating_sub(self.head.len());
            self.head.extend_from_slice(&frame[..room.min(frame.len())]);
        }
        match self.size_bytes {
            Some(size) if self.received_bytes > size => {
                return Err(Error::ContentMismatch("length"));
            }
            Some(_) => {}
            None => self.lease.cover(self.received_bytes).await?,
        }
        Ok(self.writer.write(frame).await?)
    }

    /// Ends the content and puts it into the asset, unless it is not the one `digest` names.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`]; [`Error::Invalid`] for what is no image; as for
    /// [`Store::asset_file_begin`], all being asked again.
    pub async fn commit(self, digest: Option<Digest>) -> Result<Attached> {
        let Self {
            store,
            caller,
            asset,
            what,
            expected,
            mut lease,
            writer,
            head,
            received_bytes,
            size_bytes,
            pinned,
            _place,
        } = self;
        if size_bytes.is_some_and(|size| size != received_bytes) {
            return Err(Error::ContentMismatch("length"));
        }
        let picture = match what {
            What::File(_) => None,
            What::Image => {
                let read = picture::read(&head);
                Some(read.map_err(|reason| invalid("image", reason))?)
            }
        };
        let content = writer.finish().await?;
        if digest.is_some() && digest != content.sha256 {
            return Err(Error::ContentMismatch("digest"));
        }
        let arrival = Arrival {
            id: AssetContentId::new(store.world()),
            asset,
            what,
            picture,
            content,
            reservation: lease.id(),
        };
        let world = store.world().clone();
        let attached = store
            .write_with_room(move |tx| arrival.enter(tx, &world, &caller, &expected))
            .await?;
        lease.settled();
        pinned.referred_to();
        Ok(attached)
    }
}

/// What came of [`Attaching::commit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The asset as it is now.
    pub asset: Asset,
    /// Names the content; an image goes by it.
    pub content: AssetContentId,
    /// Whether it replaced nothing.
    pub is_new: bool,
}

/// A content that is stored, but not yet in the asset.
struct Arrival {
    id: AssetContentId,
    asset: AssetId,
    what: What,
    picture: Option<Picture>,
    content: Content,
    reservation: ReservationId,
}

impl Arrival {
    fn enter(
        &self,
        tx: &mut Tx<'_>,
        world: &World,
        caller: &Caller,
        expected: &Expected,
    ) -> Result<Attached> {
        let mut row = enter(tx, caller.user, self.asset, expected)?;
        self.what.require_place(tx, row.number)?;
        let (role, name) = match &self.what {
            What::File(name) => (Role::File, name.nfc().to_owned()),
            What::Image => (Role::Image, self.id.to_string()),
        };
        let old = rows::find_content(tx, row.number, role, &name)?;
        let payers = old.iter().map(|(_, drive, _)| *drive).chain([caller.drive]);
        let mut charges = Charges::lock(tx, payers)?;
        if let Some((id, drive, size_bytes)) = old {
            rows::detach(tx, id)?;
            charges.give_back(tx, drive, size_bytes)?;
            row.size_bytes = row.size_bytes.saturating_sub(size_bytes);
        }
        let size_bytes = self.content.size_bytes;
        let held = reference::add(tx, world, &self.content)?;
        let sha256 = held
            .sha256
            .ok_or_else(|| Error::malformed("content without digest"))?;
        rows::insert_content(
            tx,
            row.number,
            &ContentRow {
                id: self.id,
                drive: caller.drive,
                role,
                name,
                size_bytes,
                sha256,
                body: held.body,
                picture: self.picture,
            },
        )?;
        charges.charge(tx, caller.drive, size_bytes, self.reservation)?;
        if role == Role::File {
            row.size_bytes += size_bytes;
        }
        let asset = changed(tx, row)?;
        charges.settle(tx, Some(caller.drive))?;
        Ok(Attached {
            asset,
            content: self.id,
            is_new: old.is_none(),
        })
    }
}
