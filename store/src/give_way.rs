//! Versions and trash give way to what needs their room, the oldest first.
//!
//! They are given up in the transaction that needs the room: that is a mark on each row and
//! nothing else, since all they count for stands there. References are dropped in the background.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::db::{Shortage, Tx};
use crate::drive::{self, Drive};
use crate::error::{Error, Result};
use crate::id::{DriveId, NodeId, VersionId};
use crate::quota::Bill;
use crate::store::{Limits, Store};
use crate::tree::rows::Totals;
use crate::{trash, version};

/// Rows of each kind that are read at a time.
const PAGE: u32 = 256;
/// Rows of each kind that are read at a time where drives are looked for.
const MANY: u32 = 4096;

/// Something that can be given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// When it came to be kept.
    pub at: i64,
    pub what: What,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Trash(NodeId, Totals),
    Version(VersionId, u64),
}

impl Kept {
    fn size_bytes(&self) -> u64 {
        match self.what {
            What::Trash(_, totals) => totals.size_bytes,
            What::Version(_, size_bytes) => size_bytes,
        }
    }
}

/// Gives up the oldest of a drive until that is `wanted_bytes`, or nothing is left; the bytes given
/// up, which the capacity is still to hear of.
pub(crate) fn bytes(tx: &mut Tx<'_>, drive: &mut Drive, wanted_bytes: u64) -> Result<u64> {
    let mut given_bytes = 0;
    while given_bytes < wanted_bytes {
        let mut oldest = oldest(tx, drive)?;
        let mut enough = given_bytes;
        let few = oldest.iter().take_while(|kept| {
            let goes = enough < wanted_bytes;
            enough += kept.size_bytes();
            goes
        });
        let count = few.count();
        if count == 0 {
            break;
        }
        oldest.truncate(count);
        given_bytes += give_up(tx, drive, &oldest)?;
    }
    Ok(given_bytes)
}

/// As [`bytes`]; nothing is given up where all of it would not be enough.
///
/// # Errors
/// [`Error::CapacityExceeded`] then.
pub(crate) fn all_or_none(tx: &mut Tx<'_>, drive: &mut Drive, wanted_bytes: i64) -> Result<u64> {
    let wanted_bytes = u64::try_from(wanted_bytes).unwrap_or(0);
    let kept_bytes = drive.usage.used_bytes - drive.usage.firm_bytes();
    if wanted_bytes > kept_bytes {
        tx.is_short(Shortage {
            drive: drive.id,
            bytes: wanted_bytes - kept_bytes,
        });
        return Err(Error::CapacityExceeded);
    }
    bytes(tx, drive, wanted_bytes)
}

/// Gives up the oldest trash until what it holds, counted with what is live, is within the limits
/// of a drive; the bytes given up.
pub(crate) fn beyond(tx: &mut Tx<'_>, drive: &mut Drive, limits: &Limits) -> Result<u64> {
    let is_beyond = |drive: &Drive| {
        drive.nodes + drive.trash_nodes > limits.drive_nodes
            || drive.property_bytes + drive.trash_property_bytes > limits.drive_properties_bytes
    };
    trash_while(tx, drive, is_beyond)
}

/// Gives up the oldest trash as long as `needs` says so of the drive; the bytes given up.
pub(crate) fn trash_while(
    tx: &mut Tx<'_>,
    drive: &mut Drive,
    needs: impl Fn(&Drive) -> bool,
) -> Result<u64> {
    let mut given_bytes = 0;
    while needs(drive) && drive.usage.trashed > 0 {
        let mut rest = *drive;
        let mut goes = trash::rows::oldest(tx, drive.id, PAGE)?;
        let few = goes.iter().take_while(|kept| {
            let goes = needs(&rest);
            count_out(&mut rest, kept);
            goes
        });
        let count = few.count();
        if count == 0 {
            break;
        }
        goes.truncate(count);
        given_bytes += give_up(tx, drive, &goes)?;
    }
    Ok(given_bytes)
}

/// What a drive has kept longest, at most a page.
fn oldest(tx: &mut Tx<'_>, drive: &Drive) -> Result<Vec<Kept>> {
    let mut oldest = Vec::new();
    if drive.usage.trashed > 0 {
        oldest = trash::rows::oldest(tx, drive.id, PAGE)?;
    }
    if drive.usage.versions > 0 {
        oldest.extend(version::rows::oldest(tx, drive.id, PAGE)?);
    }
    oldest.sort_by_key(|kept| kept.at);
    // The oldest of all are among the oldest of each; beyond that some could be missing.
    oldest.truncate(PAGE as usize);
    Ok(oldest)
}

/// Gives up what a drive that this transaction holds has kept; its bytes.
pub(crate) fn give_up(tx: &mut Tx<'_>, drive: &mut Drive, goes: &[Kept]) -> Result<u64> {
    let (mut nodes, mut versions) = (Vec::new(), Vec::new());
    for kept in goes {
        match kept.what {
            What::Trash(node, _) => nodes.push(node),
            What::Version(id, _) => versions.push(id),
        }
        count_out(drive, kept);
    }
    trash::rows::give_up(tx, &nodes)?;
    version::rows::give_up(tx, &versions)?;
    Ok(goes.iter().map(Kept::size_bytes).sum())
}

fn count_out(drive: &mut Drive, kept: &Kept) {
    match &kept.what {
        What::Trash(_, totals) => drive.remove_trash(totals),
        What::Version(_, size_bytes) => drive.remove_version(*size_bytes),
    }
    drive.usage.used_bytes = drive.usage.used_bytes.saturating_sub(kept.size_bytes());
}

impl Store {
    /// Changes, as [`crate::db::Db::write`] does. Where the server has no room for it, versions and
    /// trash of other drives give way, if they suffice, and it is tried again.
    pub(crate) async fn write_with_room<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        loop {
            let (once, noted) = (Arc::clone(&work), Arc::new(Mutex::new(None)));
            let note = Arc::clone(&noted);
            let done = self.db().write(move |tx| {
                let done = once(tx);
                *note.lock().unwrap_or_else(PoisonError::into_inner) = tx.shortage();
                done
            });
            let done = done.await;
            let shortage = *noted.lock().unwrap_or_else(PoisonError::into_inner);
            match (&done, shortage) {
                (Err(Error::CapacityExceeded), Some(shortage)) => {
                    if !self.give_way(shortage).await? {
                        return done;
                    }
                }
                _ => return done,
            }
        }
    }

    /// Gives up the oldest of all drives but one, until that suffices; whether anything was.
    async fn give_way(&self, shortage: Shortage) -> Result<bool> {
        let oldest = self.db().read(move |tx| {
            if drive::rows::kept_beside(tx, shortage.drive)? < shortage.bytes {
                return Ok(Vec::new());
            }
            // What that drive has kept is not to be counted among the many: it may be older.
            let beside = Some(shortage.drive);
            let mut oldest = trash::rows::oldest_of_all(tx, i64::MAX, MANY, beside)?;
            oldest.extend(version::rows::oldest_of_all(tx, i64::MAX, MANY, beside)?);
            Ok(oldest)
        });
        let mut oldest = oldest.await?;
        oldest.sort_unstable();
        let (mut given_bytes, mut newest_at, mut drives) = (0, 0, BTreeSet::new());
        for (at, drive, size_bytes) in oldest {
            if given_bytes >= shortage.bytes {
                break;
            }
            given_bytes += size_bytes;
            newest_at = at;
            drives.insert(drive);
        }
        for drive in &drives {
            self.give_up_until(*drive, newest_at, newest_at).await?;
        }
        Ok(!drives.is_empty())
    }

    /// Gives up what a drive has kept since these instants or longer, a page at a time.
    pub(crate) async fn give_up_until(
        &self,
        drive: DriveId,
        trash_at: i64,
        versions_at: i64,
    ) -> Result<()> {
        loop {
            let some = self.db().write(move |tx| {
                let mut drive = match drive::rows::lock(tx, drive) {
                    Err(Error::NotFound) => {
                        // It took its numbers along.
                        trash::rows::abandon(tx, drive)?;
                        version::rows::abandon(tx, drive)?;
                        return Ok(false);
                    }
                    drive => drive?,
                };
                let mut goes = trash::rows::oldest(tx, drive.id, PAGE)?;
                goes.extend(version::rows::oldest(tx, drive.id, PAGE)?);
                goes.retain(|kept| match kept.what {
                    What::Trash(..) => kept.at <= trash_at,
                    What::Version(..) => kept.at <= versions_at,
                });
                if goes.is_empty() {
                    return Ok(false);
                }
                let mut bill = Bill::default();
                bill.give_back(give_up(tx, &mut drive, &goes)?);
                bill.settle(tx, &drive)?;
                Ok(goes.len() >= PAGE as usize)
            });
            if !some.await? {
                return Ok(());
            }
        }
    }

    /// Gives up what is kept for longer than the configuration says; how many drives had some.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn expire_kept(&self) -> Result<usize> {
        let options = self.options();
        let now_ms = self.world().now_ms();
        let before = |age: std::time::Duration| {
            now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
        };
        let trash_at = before(options.trash.retention);
        let versions_at = before(options.versions.retention);
        let mut count = 0;
        loop {
            let due = self.db().read(move |tx| {
                let mut due = trash::rows::oldest_of_all(tx, trash_at, MANY, None)?;
                due.extend(version::rows::oldest_of_all(tx, versions_at, MANY, None)?);
                Ok(due)
            });
            let drives: BTreeSet<DriveId> = due.await?.into_iter().map(|(_, id, _)| id).collect();
            if drives.is_empty() {
                return Ok(count);
            }
            count += drives.len();
            for drive in drives {
                self.give_up_until(drive, trash_at, versions_at).await?;
            }
        }
    }
}
