//! Quota and capacity: promised before bytes flow, settled with the write (P3).

pub(crate) mod rows;

use std::time::Duration;

use crate::caller::Caller;
use crate::db::Tx;
use crate::drive::{self, Drive};
use crate::error::{Error, Result};
use crate::give_way;
use crate::id::{DriveId, ReservationId};
use crate::store::Store;

/// How long a promise outlives the daemon that holds it.
const LEASE_MS: i64 = 30_000;
/// Reservations of uploads of unknown length grow at least this much at a time, and at most …
const LEAST_STEP_BYTES: u64 = 1 << 20;
/// … this much.
const MOST_STEP_BYTES: u64 = 64 << 20;
/// How long the eldest upload waits between two attempts to grow, and how often.
const WAIT: Duration = Duration::from_millis(50);
const MOST_WAITS: u32 = 200;

/// Promises `more_bytes` to a new or growing reservation; what it promises now. Versions and trash
/// of the drive give way to it.
///
/// # Errors
/// [`Error::QuotaExceeded`] or [`Error::CapacityExceeded`]; nothing is promised then.
pub(crate) fn reserve(
    tx: &mut Tx<'_>,
    store: &Store,
    drive: &mut Drive,
    reservation: ReservationId,
    more_bytes: u64,
) -> Result<u64> {
    let expires_at = store.world().now_ms() + LEASE_MS;
    promise(tx, drive, reservation, more_bytes, Some(expires_at))
}

/// Promises `size_bytes` to a reservation that lives until it is released or charged: a row refers
/// to it.
///
/// # Errors
/// As for [`reserve`].
pub(crate) fn reserve_for_good(
    tx: &mut Tx<'_>,
    drive: &mut Drive,
    reservation: ReservationId,
    size_bytes: u64,
) -> Result<()> {
    promise(tx, drive, reservation, size_bytes, None).map(drop)
}

fn promise(
    tx: &mut Tx<'_>,
    drive: &mut Drive,
    reservation: ReservationId,
    more_bytes: u64,
    expires_at: Option<i64>,
) -> Result<u64> {
    let free_bytes = drive.usage.free_bytes();
    if more_bytes > free_bytes {
        return Err(Error::QuotaExceeded {
            needed_bytes: more_bytes,
            free_bytes,
        });
    }
    drive.usage.reserved_bytes += more_bytes;
    let excess_bytes = drive.usage.excess_bytes();
    let given_bytes = give_way::bytes(tx, drive, excess_bytes)?;
    let size_bytes = rows::grow(tx, reservation, drive.id, more_bytes, expires_at)?;
    if rows::reserve_capacity(tx, more_bytes, given_bytes)? {
        return Ok(size_bytes);
    }
    let wanted_bytes = rows::taken_capacity(tx)?
        .saturating_add_unsigned(more_bytes)
        .saturating_sub_unsigned(given_bytes);
    let more_given = give_way::all_or_none(tx, drive, wanted_bytes)?;
    if rows::reserve_capacity(tx, more_bytes, given_bytes + more_given)? {
        Ok(size_bytes)
    } else {
        Err(Error::CapacityExceeded)
    }
}

/// What a transaction changes of the server's capacity. It is written last:
/// every writer passes that one row, so it is held as briefly as can be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bill {
    old_bytes: u64,
    new_bytes: u64,
    promised_bytes: u64,
}

impl Bill {
    /// Charges a change of `old_bytes` into `new_bytes`, using up what was
    /// reserved for it. Versions and trash of the drive give way to what grows.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub fn charge(
        &mut self,
        tx: &mut Tx<'_>,
        drive: &mut Drive,
        old_bytes: u64,
        new_bytes: u64,
        reservation: Option<ReservationId>,
    ) -> Result<()> {
        let promised_bytes = match reservation {
            // A reservation that is gone (its lease ended) promised nothing.
            Some(id) => rows::remove(tx, id)?.unwrap_or(0),
            None => 0,
        };
        let usage = &mut drive.usage;
        usage.reserved_bytes = usage.reserved_bytes.saturating_sub(promised_bytes);
        let needed_bytes = new_bytes.saturating_sub(old_bytes);
        let free_bytes = usage.free_bytes();
        if needed_bytes > free_bytes {
            return Err(Error::QuotaExceeded {
                needed_bytes,
                free_bytes,
            });
        }
        usage.used_bytes = (usage.used_bytes + new_bytes).saturating_sub(old_bytes);
        self.old_bytes += old_bytes;
        self.new_bytes += new_bytes;
        self.promised_bytes += promised_bytes;
        if needed_bytes > 0 {
            let excess_bytes = drive.usage.excess_bytes();
            self.old_bytes += give_way::bytes(tx, drive, excess_bytes)?;
        }
        Ok(())
    }

    /// Charges for what is kept, and is counted as kept already: it gives way itself where there is
    /// no room for it.
    pub fn charge_kept(&mut self, tx: &mut Tx<'_>, drive: &mut Drive, bytes: u64) -> Result<()> {
        drive.usage.used_bytes += bytes;
        self.new_bytes += bytes;
        let excess_bytes = drive.usage.excess_bytes();
        self.old_bytes += give_way::bytes(tx, drive, excess_bytes)?;
        Ok(())
    }

    /// Counts bytes that the drive is no longer charged for: they were given up.
    pub fn give_back(&mut self, given_bytes: u64) {
        self.old_bytes += given_bytes;
    }

    /// Writes the drive's numbers back and settles with the server's capacity, to which versions
    /// and trash of the drive give way. The last step of what charges.
    ///
    /// # Errors
    /// [`Error::CapacityExceeded`].
    pub fn settle(mut self, tx: &mut Tx<'_>, drive: &Drive) -> Result<()> {
        drive::rows::settle(tx, drive)?;
        if self.is_even() || self.settle_capacity(tx)? {
            return Ok(());
        }
        let mut drive = *drive;
        let wanted_bytes = rows::taken_capacity(tx)?
            .saturating_add_unsigned(self.new_bytes)
            .saturating_sub_unsigned(self.old_bytes)
            .saturating_sub_unsigned(self.promised_bytes);
        self.old_bytes += give_way::all_or_none(tx, &mut drive, wanted_bytes)?;
        drive::rows::settle(tx, &drive)?;
        if self.settle_capacity(tx)? {
            Ok(())
        } else {
            Err(Error::CapacityExceeded)
        }
    }

    fn is_even(&self) -> bool {
        self.old_bytes == self.new_bytes && self.promised_bytes == 0
    }

    fn settle_capacity(&self, tx: &mut Tx<'_>) -> Result<bool> {
        rows::settle_capacity(tx, self.old_bytes, self.new_bytes, self.promised_bytes)
    }
}

/// Bytes promised to one upload, kept alive by [`Store::extend_reservations`] and given back when
/// dropped unused.
pub(crate) struct Lease {
    store: Store,
    drive: DriveId,
    id: ReservationId,
    /// What is promised now.
    pub size_bytes: u64,
    settled: bool,
}

impl Lease {
    /// A lease of nothing yet. It is made before the transaction that reserves for it, so that
    /// whoever goes away meanwhile gives back what was reserved.
    pub fn new(store: &Store, caller: &Caller) -> Self {
        let id = ReservationId::new(store.world());
        store.leases().insert(id);
        Self {
            store: store.clone(),
            drive: caller.drive,
            id,
            size_bytes: 0,
            settled: false,
        }
    }

    pub fn id(&self) -> ReservationId {
        self.id
    }

    /// Promises more.
    ///
    /// # Errors
    /// As for [`reserve`].
    pub async fn grow(&mut self, more_bytes: u64) -> Result<()> {
        let (store, drive, id) = (self.store.clone(), self.drive, self.id);
        // Less than expected when the lease had ended, as in a daemon that stood still.
        self.size_bytes = self
            .store
            .write_with_room(move |tx| {
                let mut drive = drive::rows::lock(tx, drive)?;
                let size_bytes = reserve(tx, &store, &mut drive, id, more_bytes)?;
                drive::rows::settle(tx, &drive)?;
                Ok(size_bytes)
            })
            .await?;
        Ok(())
    }

    /// Sees to it that at least `needed_bytes` are promised; for a length that nobody announced it
    /// is called as bytes come, and then promises some ahead.
    ///
    /// # Errors
    /// As for [`reserve`].
    pub async fn cover(&mut self, needed_bytes: u64) -> Result<()> {
        let Some(missing) = needed_bytes
            .checked_sub(self.size_bytes)
            .filter(|missing| *missing > 0)
        else {
            return Ok(());
        };
        let step = self
            .size_bytes
            .clamp(LEAST_STEP_BYTES, MOST_STEP_BYTES)
            .max(missing);
        match self.grow(step).await {
            // Near the limit a whole step does not fit, the bytes at hand may.
            Err(Error::QuotaExceeded { .. } | Error::CapacityExceeded) => {
                self.grow_in_turn(missing).await
            }
            result => result,
        }
    }

    /// Promises more, waiting for room if need be.
    ///
    /// Uploads of unknown length that share the last room would all refuse each other. So the
    /// eldest that holds something waits, and the others give back what they hold.
    ///
    /// # Errors
    /// As for [`reserve`].
    pub async fn grow_in_turn(&mut self, more_bytes: u64) -> Result<()> {
        for _ in 0..MOST_WAITS {
            let result = self.grow(more_bytes).await;
            let drive = match result {
                Err(Error::QuotaExceeded { .. }) => Some(self.drive),
                Err(Error::CapacityExceeded) => None,
                result => return result,
            };
            let eldest = self.store.db().read(move |tx| rows::eldest(tx, drive));
            match eldest.await?[..] {
                [first, _] if first == self.id => tokio::time::sleep(WAIT).await,
                _ => return result,
            }
        }
        self.grow(more_bytes).await
    }

    /// There is nothing to give back: the write it was for is committed, or nothing was reserved.
    pub fn settled(&mut self) {
        self.settled = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.store.leases().remove(&self.id);
        if self.settled {
            return;
        }
        let (store, drive, id) = (self.store.clone(), self.drive, self.id);
        // Not always dropped on a thread of the runtime: a caller may go away
        // while the writer holds its answer.
        self.store.runtime().spawn(async move {
            if let Err(error) = store.release(drive, id).await {
                tracing::warn!(%error, "a reservation stays until its lease ends");
            }
        });
    }
}

impl Store {
    pub(crate) async fn release(&self, drive: DriveId, id: ReservationId) -> Result<()> {
        drive::unless_gone(self.db().write(move |tx| release(tx, drive, id)).await)
    }

    /// Keeps alive what uploads under way here have reserved and announced; to be called every ten
    /// seconds.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn extend_reservations(&self) -> Result<()> {
        self.announce_again().await?;
        let until = self.world().now_ms() + LEASE_MS;
        let held: Vec<ReservationId> = self.leases().iter().copied().collect();
        if held.is_empty() {
            return Ok(());
        }
        self.db()
            .write(move |tx| rows::extend(tx, &held, until))
            .await
    }

    /// Gives back what was promised to uploads whose daemon died; how many there were.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn expire_reservations(&self) -> Result<usize> {
        let now_ms = self.world().now_ms();
        let dead = self.db().read(move |tx| rows::expired(tx, now_ms)).await?;
        for (id, drive) in &dead {
            self.release(*drive, *id).await?;
        }
        Ok(dead.len())
    }

    /// On an exclusive database no other daemon lives: whatever is reserved is left over.
    pub(crate) async fn drop_left_reservations(&self) -> Result<()> {
        if self.db().is_exclusive() {
            let dead = self.db().read(|tx| rows::expired(tx, i64::MAX)).await?;
            for (id, drive) in dead {
                self.release(drive, id).await?;
            }
        }
        Ok(())
    }
}

/// Ends a reservation, and gives back what it promised.
pub(crate) fn release(tx: &mut Tx<'_>, drive: DriveId, id: ReservationId) -> Result<()> {
    let mut drive = drive::rows::lock(tx, drive)?;
    if let Some(size_bytes) = rows::remove(tx, id)? {
        drive.usage.reserved_bytes = drive.usage.reserved_bytes.saturating_sub(size_bytes);
        drive::rows::settle(tx, &drive)?;
        rows::settle_capacity(tx, 0, 0, size_bytes)?;
    }
    Ok(())
}
