//! A drive: a tree with one quota, owned by one account.

pub(crate) mod rows;

use crate::caller::Caller;
use crate::clock::World;
use crate::db::Tx;
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, NodeId, UserId};
use crate::store::{Limits, Store};
use crate::tree::rows::Totals;

/// Numbers of a drive; sizes are logical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Charged for what is stored, versions and trash included.
    pub used_bytes: u64,
    /// Promised to running uploads.
    pub reserved_bytes: u64,
    /// The most that may be charged.
    pub limit_bytes: u64,
    /// Files in the drive.
    pub files: u64,
    /// Contents that its owner has published by their digest.
    pub publications: u64,
    /// Their bytes, which are part of `used_bytes`.
    pub published_bytes: u64,
    /// Bytes of what its owner has put into assets, which are part of `used_bytes`.
    pub asset_bytes: u64,
    /// What files held before they were overwritten, as far as it is kept.
    pub versions: u64,
    /// Their bytes, which are part of `used_bytes`.
    pub versions_bytes: u64,
    /// Deleted files and folders that can be restored; a folder with all it held is one.
    pub trashed: u64,
    /// Their bytes, which are part of `used_bytes`.
    pub trash_bytes: u64,
}

impl Usage {
    /// What does not give way to anything: the files of the drive and what is published.
    pub fn firm_bytes(&self) -> u64 {
        self.used_bytes
            .saturating_sub(self.versions_bytes)
            .saturating_sub(self.trash_bytes)
    }

    /// The files of the drive.
    pub fn live_bytes(&self) -> u64 {
        self.firm_bytes()
            .saturating_sub(self.published_bytes)
            .saturating_sub(self.asset_bytes)
    }

    /// What can still be promised: versions and trash give way to it.
    pub fn free_bytes(&self) -> u64 {
        self.limit_bytes
            .saturating_sub(self.firm_bytes())
            .saturating_sub(self.reserved_bytes)
    }

    /// By how much all together is over the limit.
    pub(crate) fn excess_bytes(&self) -> u64 {
        (self.used_bytes + self.reserved_bytes).saturating_sub(self.limit_bytes)
    }
}

/// A drive's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drive {
    pub id: DriveId,
    pub root: NodeId,
    pub usage: Usage,
    /// Names below the root: files and folders, and further names of files.
    pub nodes: u64,
    /// What the dead properties of all take.
    pub property_bytes: u64,
    /// Likewise in the trash.
    pub trash_nodes: u64,
    /// What their dead properties take.
    pub trash_property_bytes: u64,
    pub lock_count: u64,
    /// Grants and offers; while it is 0 nobody looks for them.
    pub shares: u64,
    pub change_number: i64,
    pub change_floor: i64,
}

impl Drive {
    /// Counts what is made, which quota does not see: rows cost the server too.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub fn add_nodes(&mut self, more: u64, limits: &Limits) -> Result<()> {
        self.nodes = self.nodes.saturating_add(more);
        within(Limited::DriveNodes, self.nodes, limits.drive_nodes)
    }

    /// Counts dead properties likewise; they may always become less.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub fn change_properties(
        &mut self,
        old_bytes: u64,
        new_bytes: u64,
        limits: &Limits,
    ) -> Result<()> {
        self.property_bytes = (self.property_bytes + new_bytes).saturating_sub(old_bytes);
        if new_bytes <= old_bytes {
            return Ok(());
        }
        let most = limits.drive_properties_bytes;
        within(Limited::DriveProperties, self.property_bytes, most)
    }

    /// Counts a published content in; its bytes are charged elsewhere.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub fn add_publication(&mut self, size_bytes: u64, limits: &Limits) -> Result<()> {
        self.usage.publications += 1;
        self.usage.published_bytes += size_bytes;
        let most = limits.drive_nodes;
        within(Limited::Publications, self.usage.publications, most)
    }

    /// Counts a published content out.
    pub fn remove_publication(&mut self, size_bytes: u64) {
        let usage = &mut self.usage;
        usage.publications = usage.publications.saturating_sub(1);
        usage.published_bytes = usage.published_bytes.saturating_sub(size_bytes);
    }

    /// Counts a tree out of what is live; its bytes are uncharged elsewhere.
    pub fn remove(&mut self, totals: &Totals) {
        self.usage.files = self.usage.files.saturating_sub(totals.files);
        self.nodes = self.nodes.saturating_sub(totals.nodes);
        self.property_bytes = self.property_bytes.saturating_sub(totals.property_bytes);
    }

    /// Counts names out of files that have others; each counts as a file does.
    pub fn remove_names(&mut self, count: u64) {
        self.nodes = self.nodes.saturating_sub(count);
    }

    /// Counts a tree that was in the trash in again; it is charged all the time.
    pub fn restore(&mut self, totals: &Totals) {
        self.usage.files += totals.files;
        self.nodes += totals.nodes;
        self.property_bytes += totals.property_bytes;
    }

    /// Counts a tree into the trash, where it stays charged.
    pub fn add_trash(&mut self, totals: &Totals) {
        self.usage.trashed += 1;
        self.usage.trash_bytes += totals.size_bytes;
        self.trash_nodes += totals.nodes;
        self.trash_property_bytes += totals.property_bytes;
    }

    /// Counts a tree out of the trash.
    pub fn remove_trash(&mut self, totals: &Totals) {
        let usage = &mut self.usage;
        usage.trashed = usage.trashed.saturating_sub(1);
        usage.trash_bytes = usage.trash_bytes.saturating_sub(totals.size_bytes);
        self.trash_nodes = self.trash_nodes.saturating_sub(totals.nodes);
        self.trash_property_bytes = self
            .trash_property_bytes
            .saturating_sub(totals.property_bytes);
    }

    /// Counts a version in.
    pub fn add_version(&mut self, size_bytes: u64) {
        self.usage.versions += 1;
        self.usage.versions_bytes += size_bytes;
    }

    /// Counts a version out.
    pub fn remove_version(&mut self, size_bytes: u64) {
        let usage = &mut self.usage;
        usage.versions = usage.versions.saturating_sub(1);
        usage.versions_bytes = usage.versions_bytes.saturating_sub(size_bytes);
    }
}

fn within(what: Limited, value: u64, limit: u64) -> Result<()> {
    if value > limit {
        return Err(Error::Limit { what, limit });
    }
    Ok(())
}

/// Makes the drive of a new account: an empty root and a limit.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    world: &World,
    owner: UserId,
    limit_bytes: u64,
) -> Result<(DriveId, NodeId)> {
    let (drive, root) = (DriveId::new(world), NodeId::new(world));
    crate::node::rows::insert_folder(tx, root, drive, world.now_ns())?;
    rows::insert(tx, drive, owner, root, limit_bytes, world.now_ms())?;
    Ok((drive, root))
}

/// For background work on one drive after another: a drive that went away meanwhile took what
/// there was to do along.
pub(crate) fn unless_gone<T: Default>(done: Result<T>) -> Result<T> {
    match done {
        Err(Error::NotFound) => Ok(T::default()),
        done => done,
    }
}

impl Store {
    /// How full the caller's drive is.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] when the account is gone.
    pub async fn usage(&self, caller: &Caller) -> Result<Usage> {
        Ok(self.drive(caller.drive).await?.usage)
    }

    /// The drive's row, from the cache where that is exact.
    pub(crate) async fn drive(&self, id: DriveId) -> Result<Drive> {
        let stamp = self.generations().of_drive(id);
        if let Some(drive) = self.cached_drive(id, stamp) {
            return Ok(drive);
        }
        let drive = self
            .db()
            .read(move |tx| rows::find(tx, id))
            .await?
            .ok_or(Error::NotFound)?;
        self.cache_drive(drive, stamp);
        Ok(drive)
    }
}
