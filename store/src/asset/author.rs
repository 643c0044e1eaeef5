//! Authors of an asset: asking others to join, joining, leaving, going with the account.
//!
//! Whether somebody goes by a public name is not said: an asset shows an offer as it was typed,
//! whoever it found.

use std::net::IpAddr;

use super::{
    Asset, Expected, MOST_AUTHORS, changed, charge, enter, invalid, load, reindex, require_author,
    require_few_assets, require_fewer, rows,
};
use crate::audit::{self, AuditAction, Line};
use crate::caller::Caller;
use crate::db::Tx;
use crate::drive::{self, Drive};
use crate::error::{Error, Limited, Result};
use crate::id::{AssetId, UserId};
use crate::store::Store;
use crate::user::UserName;

/// An asset whose authors one is asked to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetOffer {
    /// The asset.
    pub asset: AssetId,
    /// What it is called.
    pub name: String,
    /// Public names of its authors.
    pub authors: Vec<String>,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub offered_at: i64,
}

impl Store {
    /// Asks whoever goes by a public name to join the authors; the answer is the same when nobody
    /// does. Asking again changes nothing.
    ///
    /// # Errors
    /// As for [`Store::asset_set`], and [`Error::Limit`].
    pub async fn asset_offer(
        &self,
        caller: &Caller,
        id: AssetId,
        public_name: &str,
        expected: Expected,
        address: Option<IpAddr>,
    ) -> Result<Asset> {
        require_author(caller)?;
        let name = UserName::public(public_name)?;
        let (user, world) = (caller.user, self.world().clone());
        self.db()
            .write(move |tx| {
                let row = enter(tx, user, id, &expected)?;
                let account = crate::author::rows::find_by_key(tx, name.key())?;
                let authors = rows::author_accounts(tx, row.number)?;
                if account.is_some_and(|account| authors.contains(&account)) {
                    return load(tx, row);
                }
                let count = authors.len() as u64 + rows::count_offers(tx, row.number)?;
                require_fewer(Limited::AssetAuthors, count, MOST_AUTHORS)?;
                rows::insert_offer(tx, row.number, &name, account, world.now_ms())?;
                // Not whose account it is: that would tell administrators, but the line would
                // differ from one about a name that nobody has.
                let line = Line::new(AuditAction::AssetOffer).about(id);
                audit::record(tx, &world, Some(user), address, &line.detail(name.as_str()))?;
                changed(tx, row)
            })
            .await
    }

    /// Assets whose authors the caller is asked to join, the newest offer first.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn asset_offers(&self, caller: &Caller) -> Result<Vec<AssetOffer>> {
        let user = caller.user;
        self.db()
            .read(move |tx| {
                let found = rows::offers_to(tx, user)?;
                let numbers: Vec<i64> = found.iter().map(|(number, _)| *number).collect();
                let mut names = rows::author_names_of(tx, &numbers)?;
                let with_authors = found.into_iter().map(|(number, offer)| AssetOffer {
                    authors: names.remove(&number).unwrap_or_default(),
                    ..offer
                });
                Ok(with_authors.collect())
            })
            .await
    }

    /// Joins the authors of an asset that one was asked to join.
    ///
    /// # Errors
    /// [`Error::NotFound`] without an offer, [`Error::Limit`].
    pub async fn asset_join(
        &self,
        caller: &Caller,
        id: AssetId,
        address: Option<IpAddr>,
    ) -> Result<Asset> {
        require_author(caller)?;
        let (user, world) = (caller.user, self.world().clone());
        self.db()
            .write(move |tx| {
                let row = rows::lock(tx, id, user)?;
                // What is not there costs what a draft of others does.
                let number = row.as_ref().map_or(rows::NO_NUMBER, |row| row.number);
                let was_asked = rows::remove_offers_to(tx, number, user)? > 0;
                let row = row.filter(|_| was_asked).ok_or(Error::NotFound)?;
                require_few_assets(tx, user)?;
                rows::insert_author(tx, row.number, user, world.now_ms())?;
                let line = Line::new(AuditAction::AssetJoin).about(id);
                audit::record(tx, &world, Some(user), address, &line)?;
                changed(
                    tx,
                    rows::AssetRow {
                        is_author: true,
                        ..row
                    },
                )
            })
            .await
    }

    /// Takes a public name off an asset: an author leaves under their own, whoever is asked to
    /// join declines under theirs, an author takes an offer back.
    ///
    /// What a leaving author has sent stays; another author with room for it is charged.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is nothing of that name to take off, [`Error::Invalid`] for
    /// the last author, and when no other has room; [`Error::PreconditionFailed`].
    pub async fn asset_author_remove(
        &self,
        caller: &Caller,
        id: AssetId,
        public_name: &str,
        expected: Expected,
        address: Option<IpAddr>,
    ) -> Result<()> {
        require_author(caller)?;
        let name = UserName::public(public_name).map_err(|_| Error::NotFound)?;
        let (caller, world) = (caller.clone(), self.world().clone());
        self.db()
            .write(move |tx| {
                let found = rows::lock(tx, id, caller.user)?;
                let number = found.as_ref().map_or(rows::NO_NUMBER, |row| row.number);
                let own = crate::author::rows::find(tx, caller.user)?;
                let is_own = own.is_some_and(|(_, key)| key == name.key());
                let Some(row) = found.filter(|row| row.is_author) else {
                    let declined = is_own && rows::remove_offers_to(tx, number, caller.user)? > 0;
                    return if declined {
                        Ok(())
                    } else {
                        Err(Error::NotFound)
                    };
                };
                expected.require(&row)?;
                if is_own {
                    leave(tx, &caller, &row)?;
                    let line = Line::new(AuditAction::AssetLeave).about(id);
                    audit::record(tx, &world, Some(caller.user), address, &line)?;
                } else if !rows::remove_offer(tx, row.number, name.key())? {
                    return Err(Error::NotFound);
                }
                changed(tx, row).map(drop)
            })
            .await
    }
}

fn leave(tx: &mut Tx<'_>, caller: &Caller, row: &rows::AssetRow) -> Result<()> {
    let others = rows::other_drives(tx, row.number, caller.user)?;
    if others.is_empty() {
        return Err(invalid(
            "authors",
            "the last author can only withdraw the asset",
        ));
    }
    let mut drive = drive::rows::lock(tx, caller.drive)?;
    if !charge::hand_over(tx, row.number, &mut drive, &others)? {
        let reason = "no other author has room for what you have sent: take it out first";
        return Err(invalid("authors", reason));
    }
    drive::rows::settle(tx, &drive)?;
    rows::remove_author(tx, row.number, caller.user)
}

/// Takes an account that is being removed off all its assets (A11). Those it was the one author of
/// are withdrawn; of the others, another author with room is charged for what it has sent. Where
/// none has, that goes with it, and the asset is a draft again.
///
/// The drive is the account's, held by the caller; all that is still charged to it goes with it.
pub(crate) fn author_removed(tx: &mut Tx<'_>, user: UserId, drive: &mut Drive) -> Result<()> {
    for mut row in rows::lock_all_of(tx, user)? {
        let others = rows::other_drives(tx, row.number, user)?;
        if others.is_empty() {
            rows::remove(tx, row.number)?;
            continue;
        }
        if !charge::hand_over(tx, row.number, drive, &others)? {
            rows::detach_charged_to(tx, row.number, drive.id)?;
            row.size_bytes = rows::file_bytes(tx, row.number)?;
            row.posted_at = None;
        }
        rows::remove_author(tx, row.number, user)?;
        row.version += 1;
        rows::save(tx, &row)?;
        reindex(tx, &row)?;
        rows::relist(tx, row.number)?;
    }
    rows::detach_offers_to(tx, user)
}
