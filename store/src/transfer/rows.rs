//! SQL of offers.

use super::Offer;
use crate::db::{Row, Tx, args};
use crate::error::Result;
use crate::id::{DriveId, NodeId, TransferId, UserId};
use crate::node::rows::{columns, is_told, read as read_node};
use crate::path::Name;

/// A row to be written.
pub(super) struct NewOffer<'a> {
    pub id: TransferId,
    pub node: NodeId,
    pub drive: DriveId,
    pub name: &'a str,
    pub key: &'a str,
    pub account: Option<UserId>,
    pub keeps_access: bool,
    pub now_ms: i64,
}

/// Makes an offer, or that of the same thing to the same name anew.
pub(super) fn upsert(tx: &mut Tx<'_>, new: &NewOffer<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO transfer (id, node_id, drive_id, name_typed, name_key, account_id, \
             keeps_access, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (node_id, name_key) DO UPDATE SET id = $1, account_id = $6, \
             keeps_access = $7, created_at = $8",
        args![
            new.id,
            new.node,
            new.drive,
            new.name,
            new.key,
            new.account,
            new.keeps_access,
            new.now_ms,
        ],
    )?;
    Ok(())
}

macro_rules! select_offer {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, CASE WHEN t.drive_id = $1 THEN 0 ELSE 1 END, t.name_typed, a.username, \
                 e.name, t.keeps_access, t.created_at, ",
            columns!(),
            " FROM transfer t CROSS JOIN drive d CROSS JOIN account a CROSS JOIN entry e \
                 CROSS JOIN node n \
             WHERE (t.drive_id = $1 OR t.account_id = $2) AND d.id = t.drive_id \
                 AND a.id = d.owner_id AND e.node_id = t.node_id AND n.id = t.node_id AND ",
            is_told!("e", "t"),
            " ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<Offer> {
    Ok(Offer {
        id: row.get(0)?,
        is_incoming: row.get(1)?,
        to: row.get(2)?,
        from: row.get(3)?,
        name: row.get(4)?,
        keeps_access: row.get(5)?,
        created_at: row.get(6)?,
        node: read_node(row, 7)?,
    })
}

pub(super) fn find(
    tx: &mut Tx<'_>,
    drive: DriveId,
    user: UserId,
    id: TransferId,
) -> Result<Option<Offer>> {
    tx.first(select_offer!("AND t.id = $3"), args![drive, user, id], read)
}

/// Offers out of a drive and to an account, the oldest first.
pub(super) fn list(
    tx: &mut Tx<'_>,
    drive: DriveId,
    user: UserId,
    after: Option<TransferId>,
    limit: u32,
) -> Result<Vec<Offer>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    tx.all(
        select_offer!("AND t.id > $3 ORDER BY t.id LIMIT $4"),
        args![drive, user, after, limit],
        read,
    )
}

/// What is offered to an account: whose it is, in which drive, and whether they keep access.
pub(super) fn offered(
    tx: &mut Tx<'_>,
    user: UserId,
    id: TransferId,
) -> Result<Option<(UserId, DriveId, NodeId, bool)>> {
    tx.first(
        "SELECT d.owner_id, t.drive_id, t.node_id, t.keeps_access \
         FROM transfer t CROSS JOIN drive d \
         WHERE t.id = $1 AND t.account_id = $2 AND d.id = t.drive_id",
        args![id, user],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )
}

pub(super) fn withdraw(tx: &mut Tx<'_>, drive: DriveId, id: TransferId) -> Result<bool> {
    let gone = tx.execute(
        "DELETE FROM transfer WHERE id = $1 AND drive_id = $2",
        args![id, drive],
    )?;
    Ok(gone > 0)
}

pub(super) fn decline(tx: &mut Tx<'_>, user: UserId, id: TransferId) -> Result<bool> {
    let gone = tx.execute(
        "UPDATE transfer SET account_id = NULL WHERE id = $1 AND account_id = $2",
        args![id, user],
    )?;
    Ok(gone > 0)
}

/// Ends the offers of a drive that are of a node or of anything below it.
pub(super) fn remove_within(tx: &mut Tx<'_>, drive: DriveId, root: NodeId) -> Result<u64> {
    tx.execute(
        "WITH RECURSIVE up (offer_id, node_id) AS ( \
             SELECT t.id, t.node_id FROM transfer t WHERE t.drive_id = $1 \
             UNION ALL \
             SELECT up.offer_id, e.parent_id FROM up CROSS JOIN entry e \
                 WHERE e.node_id = up.node_id AND up.node_id <> $2) \
         DELETE FROM transfer WHERE id IN (SELECT up.offer_id FROM up WHERE up.node_id = $2)",
        args![drive, root],
    )
}

/// Gives a node and everything below it to another drive.
pub(super) fn move_nodes(tx: &mut Tx<'_>, root: NodeId, to: DriveId) -> Result<()> {
    tx.execute(
        "WITH RECURSIVE tree (node_id) AS ( \
             SELECT $1 \
             UNION ALL \
             SELECT e.node_id FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
         UPDATE node SET drive_id = $2 WHERE id IN (SELECT node_id FROM tree)",
        args![root, to],
    )?;
    Ok(())
}

/// Gives the versions of a node and of everything below it to another drive; the bytes of each.
pub(super) fn move_versions(tx: &mut Tx<'_>, root: NodeId, to: DriveId) -> Result<Vec<u64>> {
    tx.all(
        "WITH RECURSIVE tree (node_id) AS ( \
             SELECT $1 \
             UNION ALL \
             SELECT e.node_id FROM tree t CROSS JOIN entry e WHERE e.parent_id = t.node_id) \
         UPDATE version SET drive_id = $2 \
         WHERE node_id IN (SELECT node_id FROM tree) AND is_kept = 1 RETURNING size_bytes",
        args![root, to],
        |row| row.get(0),
    )
}

/// Names in a folder that begin with this.
pub(super) fn names(tx: &mut Tx<'_>, folder: NodeId, beginning: &str) -> Result<Vec<String>> {
    tx.all(
        "SELECT name_nfc FROM entry WHERE parent_id = $1 AND name_nfc >= $2 AND name_nfc < $3",
        args![folder, beginning, format!("{beginning}\u{10ffff}")],
        |row| Ok(Name::new(row.text(0)?)?.nfc().to_owned()),
    )
}
