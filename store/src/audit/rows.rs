//! SQL of the audit trail.

use std::net::IpAddr;

use crate::clock::World;
use crate::db::{Tx, args};
use crate::error::Result;
use crate::id::{AuditId, UserId};

pub(super) fn insert(
    tx: &mut Tx<'_>,
    world: &World,
    who: Option<UserId>,
    action: &str,
    subject: &str,
    address: Option<IpAddr>,
) -> Result<()> {
    tx.execute(
        "INSERT INTO audit (id, at, account_id, action, subject, address) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            AuditId::new(world),
            world.now_ms(),
            who,
            action,
            subject,
            address.map(|address| address.to_string()),
        ],
    )?;
    Ok(())
}
