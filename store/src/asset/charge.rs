//! Who pays for the contents of assets: whoever has sent them.

use std::collections::BTreeMap;

use super::rows;
use crate::db::Tx;
use crate::drive::{self, Drive};
use crate::error::{Error, Result};
use crate::id::{DriveId, ReservationId};
use crate::quota::Bill;

/// Drives held for a change of what they are charged.
pub(super) struct Charges {
    drives: BTreeMap<DriveId, Drive>,
    bill: Bill,
}

impl Charges {
    /// Holds the drives, in one order everywhere.
    pub fn lock(tx: &mut Tx<'_>, ids: impl IntoIterator<Item = DriveId>) -> Result<Self> {
        let mut drives: BTreeMap<DriveId, Option<Drive>> =
            ids.into_iter().map(|id| (id, None)).collect();
        for (id, drive) in &mut drives {
            *drive = Some(drive::rows::lock(tx, *id)?);
        }
        Ok(Self {
            drives: drives
                .into_iter()
                .filter_map(|(id, drive)| Some((id, drive?)))
                .collect(),
            bill: Bill::default(),
        })
    }

    /// Charges a drive for a content, using up what was reserved for it.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub fn charge(
        &mut self,
        tx: &mut Tx<'_>,
        id: DriveId,
        size_bytes: u64,
        reservation: ReservationId,
    ) -> Result<()> {
        let drive = self.drives.get_mut(&id).ok_or(Error::NotFound)?;
        self.bill
            .charge(tx, drive, 0, size_bytes, Some(reservation))?;
        drive.usage.asset_bytes += size_bytes;
        Ok(())
    }

    /// Charges a drive no longer.
    pub fn give_back(&mut self, tx: &mut Tx<'_>, id: DriveId, size_bytes: u64) -> Result<()> {
        let drive = self.drives.get_mut(&id).ok_or(Error::NotFound)?;
        self.bill.charge(tx, drive, size_bytes, 0, None)?;
        drive.usage.asset_bytes = drive.usage.asset_bytes.saturating_sub(size_bytes);
        Ok(())
    }

    /// Writes the numbers back. What is charged is charged to `payer`, to whom its versions and
    /// trash give way.
    ///
    /// # Errors
    /// [`Error::CapacityExceeded`].
    pub fn settle(mut self, tx: &mut Tx<'_>, payer: Option<DriveId>) -> Result<()> {
        let Some(last) = payer.or_else(|| self.drives.keys().next().copied()) else {
            return Ok(());
        };
        let last = self.drives.remove(&last).ok_or(Error::NotFound)?;
        for drive in self.drives.values() {
            drive::rows::settle(tx, drive)?;
        }
        self.bill.settle(tx, &last)
    }
}

/// Has the first of the drives `to` that has room for all of it pay for what the drive `from` paid
/// of an asset; `false` when none has. `from` is held by the caller, who writes it back.
///
/// The server's capacity counts the same bytes before and after.
pub(super) fn hand_over(
    tx: &mut Tx<'_>,
    number: i64,
    from: &mut Drive,
    to: &[DriveId],
) -> Result<bool> {
    let size_bytes = rows::charged_to(tx, number, from.id)?;
    if size_bytes == 0 {
        return Ok(true);
    }
    for id in to {
        let mut drive = drive::rows::lock(tx, *id)?;
        if drive.usage.free_bytes() < size_bytes {
            continue;
        }
        let mut bill = Bill::default();
        bill.charge(tx, &mut drive, 0, size_bytes, None)?;
        bill.give_back(size_bytes);
        drive.usage.asset_bytes += size_bytes;
        bill.settle(tx, &drive)?;
        take_off(from, size_bytes);
        rows::recharge(tx, number, from.id, *id)?;
        return Ok(true);
    }
    Ok(false)
}

/// Takes bytes off a drive whose share of the capacity somebody else has taken over.
fn take_off(drive: &mut Drive, size_bytes: u64) {
    let usage = &mut drive.usage;
    usage.used_bytes = usage.used_bytes.saturating_sub(size_bytes);
    usage.asset_bytes = usage.asset_bytes.saturating_sub(size_bytes);
}
