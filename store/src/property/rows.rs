//! SQL of dead properties.

use std::collections::HashMap;

use super::Property;
use crate::db::{Tx, Value, args};
use crate::error::Result;
use crate::id::NodeId;

pub(crate) fn set(tx: &mut Tx<'_>, node: NodeId, property: &Property) -> Result<()> {
    tx.execute(
        "INSERT INTO property (node_id, namespace, name, value) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (node_id, namespace, name) DO UPDATE SET value = $4",
        args![node, &property.namespace, &property.name, &property.value],
    )?;
    Ok(())
}

pub(crate) fn remove(tx: &mut Tx<'_>, node: NodeId, namespace: &str, name: &str) -> Result<()> {
    tx.execute(
        "DELETE FROM property WHERE node_id = $1 AND namespace = $2 AND name = $3",
        args![node, namespace, name],
    )?;
    Ok(())
}

/// How many there are, and the bytes of all their values.
pub(crate) fn totals(tx: &mut Tx<'_>, node: NodeId) -> Result<(u64, u64)> {
    let totals = tx.first(
        "SELECT COUNT(*), CAST(COALESCE(SUM(OCTET_LENGTH(value)), 0) AS BIGINT) FROM property \
         WHERE node_id = $1",
        args![node],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(totals.unwrap_or_default())
}

pub(crate) fn of_many(tx: &mut Tx<'_>, nodes: &[NodeId]) -> Result<HashMap<NodeId, Vec<Property>>> {
    let keys: Vec<Value<'_>> = nodes.iter().map(|id| Value::from(*id)).collect();
    let rows = tx.all_of(
        "SELECT node_id, namespace, name, value FROM property WHERE node_id = $1",
        "SELECT node_id, namespace, name, value FROM property WHERE node_id = ANY($1)",
        &keys,
        |row| {
            let property = Property {
                namespace: row.get(1)?,
                name: row.get(2)?,
                value: row.get(3)?,
            };
            Ok((row.get::<NodeId>(0)?, property))
        },
    )?;
    let mut found: HashMap<NodeId, Vec<Property>> = HashMap::new();
    for (node, property) in rows {
        found.entry(node).or_default().push(property);
    }
    Ok(found)
}

/// Gives a copy the properties of its original.
pub(crate) fn copy(tx: &mut Tx<'_>, pairs: &[(NodeId, NodeId)]) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> = pairs
        .iter()
        .map(|(from, to)| vec![(*from).into(), (*to).into()])
        .collect();
    tx.execute_many(
        "INSERT INTO property (node_id, namespace, name, value) \
         SELECT $2, namespace, name, value FROM property WHERE node_id = $1",
        "INSERT INTO property (node_id, namespace, name, value) \
         SELECT c.copy, p.namespace, p.name, p.value \
         FROM UNNEST($1::bytea[], $2::bytea[]) AS c (original, copy) \
             JOIN property p ON p.node_id = c.original",
        &rows,
    )?;
    Ok(())
}
