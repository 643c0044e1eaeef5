//! The audit trail: who did what to whose account. Rows are only ever added.

mod rows;

use std::net::IpAddr;

use crate::clock::World;
use crate::db::Tx;
use crate::error::Result;
use crate::id::UserId;

/// Adds a line, in the transaction of what it tells of.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    world: &World,
    who: Option<UserId>,
    action: &str,
    subject: &str,
    address: Option<IpAddr>,
) -> Result<()> {
    rows::insert(tx, world, who, action, subject, address)
}
