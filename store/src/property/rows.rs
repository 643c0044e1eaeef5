//! SQL of dead properties.

use std::collections::HashMap;

use super::{PROPERTY_BATCH_BYTES, Property, PropertyNames};
use crate::db::{Row, Tx, Value, args};
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

/// The properties of the first nodes, up to [`PROPERTY_BATCH_BYTES`] and the end of the node where
/// that is reached; each node looked at is in the map.
pub(crate) fn of_many(
    tx: &mut Tx<'_>,
    nodes: &[NodeId],
    names: &PropertyNames,
) -> Result<HashMap<NodeId, Vec<Property>>> {
    if tx.takes_arrays() {
        of_many_at_once(tx, nodes, names)
    } else {
        of_many_in_turn(tx, nodes, names)
    }
}

fn of_many_in_turn(
    tx: &mut Tx<'_>,
    nodes: &[NodeId],
    names: &PropertyNames,
) -> Result<HashMap<NodeId, Vec<Property>>> {
    let mut found = HashMap::new();
    let mut bytes = 0;
    tx.as_one_statement(|tx| {
        for node in nodes {
            let mut properties = Vec::new();
            tx.each(
                "SELECT namespace, name, value FROM property WHERE node_id = $1",
                args![*node],
                |row| {
                    // The value is not looked at before.
                    if names.contain(row.text(0)?, row.text(1)?) {
                        let property = read(row)?;
                        bytes += property.value.len();
                        properties.push(property);
                    }
                    Ok(())
                },
            )?;
            found.insert(*node, properties);
            if bytes >= PROPERTY_BATCH_BYTES {
                break;
            }
        }
        Ok(found)
    })
}

fn of_many_at_once(
    tx: &mut Tx<'_>,
    nodes: &[NodeId],
    names: &PropertyNames,
) -> Result<HashMap<NodeId, Vec<Property>>> {
    let column = |part: fn(&(String, String)) -> &str| match names {
        PropertyNames::All => Value::TextArray(None),
        PropertyNames::These(these) => Value::TextArray(Some(these.iter().map(part).collect())),
    };
    let keys = nodes.iter().map(|node| node.as_bytes().to_vec()).collect();
    let mut found: HashMap<NodeId, Vec<Property>> = HashMap::new();
    let (mut last, mut bytes) = (None, 0);
    tx.each(
        "WITH sized AS ( \
             SELECT a.position, p.namespace, p.name, p.value, p.node_id, \
                    SUM(OCTET_LENGTH(p.value)) OVER (ORDER BY a.position) AS up_to, \
                    SUM(OCTET_LENGTH(p.value)) OVER (PARTITION BY a.position) AS own \
             FROM UNNEST($1::bytea[]) WITH ORDINALITY AS a (id, position) \
                 JOIN property p ON p.node_id = a.id \
             WHERE $2::text[] IS NULL \
                 OR (p.namespace, p.name) IN (SELECT * FROM UNNEST($2::text[], $3::text[]))) \
         SELECT namespace, name, value, node_id FROM sized WHERE up_to - own < $4 \
         ORDER BY position",
        &[
            Value::BytesArray(keys),
            column(|(namespace, _)| namespace),
            column(|(_, name)| name),
            Value::from(PROPERTY_BATCH_BYTES as u64),
        ],
        |row| {
            let property = read(row)?;
            let node = row.get(3)?;
            bytes += property.value.len();
            last = Some(node);
            found.entry(node).or_default().push(property);
            Ok(())
        },
    )?;
    let was_cut = bytes >= PROPERTY_BATCH_BYTES;
    for node in nodes {
        found.entry(*node).or_default();
        if was_cut && last == Some(*node) {
            break;
        }
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Property> {
    Ok(Property {
        namespace: row.get(0)?,
        name: row.get(1)?,
        value: row.get(2)?,
    })
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
