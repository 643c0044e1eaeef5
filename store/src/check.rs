//! Comparing what the rows say with each other and with the blobs.

mod links;
pub(crate) mod rows;
mod strays;

use crate::error::{Error, Result};
use crate::manifest::ChunkRef;
use crate::store::Store;

/// What `check` found; nothing is changed by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs that rows refer to and that were looked at.
    pub blobs: u64,
    /// One sentence for each fault of an entry, a blob or a count.
    pub faults: Vec<String>,
}

impl Store {
    /// Compares names, reference counts, usage and capacity with what they should be.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn check_references(&self) -> Result<Vec<String>> {
        self.db().read_snapshot(rows::wrong_references).await
    }

    /// Compares the database with itself and with the blobs on disk: counts,
    /// usage, and that every blob is there with its length (with its digest,
    /// when `read_bytes`). `progress` hears how many blobs were looked at.
    ///
    /// # Errors
    /// Those of the database and of a blob store that cannot be asked.
    pub async fn check(&self, read_bytes: bool, progress: impl Fn(u64) + Send) -> Result<Checked> {
        let mut checked = Checked {
            blobs: 0,
            faults: self.check_references().await?,
        };
        let mut after: Vec<u8> = Vec::new();
        loop {
            let from = after.clone();
            let page = self
                .db()
                .read(move |tx| rows::stored_blobs(tx, &from))
                .await?;
            let Some(last) = page.last() else { break };
            after = last.digest.as_bytes().to_vec();
            checked.blobs += page.len() as u64;
            let blobs = self.blobs().clone();
            let faults = tokio::task::spawn_blocking(move || {
                page.iter()
                    .filter_map(|blob| fault(&blobs, blob, read_bytes))
                    .collect::<Vec<_>>()
            })
            .await
            .map_err(|_| Error::Busy)?;
            checked.faults.extend(faults);
            progress(checked.blobs);
        }
        checked.faults.extend(self.unknown_blobs().await?);
        Ok(checked)
    }

    /// Blobs that lie in the store although no row knows them, as after the
    /// restoration of an older database.
    async fn unknown_blobs(&self) -> Result<Vec<String>> {
        let blobs = self.blobs().clone();
        let mut listed = tokio::task::spawn_blocking(move || {
            blobs
                .list()?
                .map(|blob| blob.map(|(digest, _)| digest))
                .collect::<Result<Vec<_>, _>>()
        })
        .await
        .map_err(|_| Error::Busy)??;
        listed.sort_unstable();
        let mut unknown = Vec::new();
        for page in listed.chunks(1000) {
            let asked = page.to_vec();
            let known = self
                .db()
                .read(move |tx| rows::known_blobs(tx, &asked))
                .await?;
            unknown.extend(
                page.iter()
                    .filter(|digest| !known.contains(digest))
                    .map(|digest| {
                        format!(
                            "blob {digest} lies in the store, but the database does not know it"
                        )
                    }),
            );
        }
        Ok(unknown)
    }
}

fn fault(blobs: &crate::blob::Blobs, blob: &ChunkRef, read_bytes: bool) -> Option<String> {
    let outcome = if read_bytes {
        blobs.read_through(blob, |_| ()).map(drop)
    } else {
        blobs.open(blob).map(|_| ())
    };
    outcome
        .err()
        .map(|error| format!("blob {}: {error}", blob.digest))
}

#[cfg(test)]
mod tests {
    use crate::Name;
    use crate::clock::World;
    use crate::db::Tx;
    use crate::id::NodeId;
    use crate::node;
    use crate::testing::each_engine;

    #[tokio::test]
    async fn an_entry_without_its_parent_or_its_node_is_found() {
        each_engine(async |store, _| {
            let world = World::default();
            let [here, gone] = [NodeId::new(&world), NodeId::new(&world)];
            let drive = crate::id::DriveId::new(&world);
            let damage = move |tx: &mut Tx<'_>| {
                node::rows::insert_folder(tx, here, drive, 0)?;
                node::rows::insert_entry(tx, gone, &Name::new("orphan")?, here)?;
                node::rows::insert_entry(tx, here, &Name::new("dangling")?, gone)
            };
            store.db().write(damage).await.unwrap();
            let mut faults = store.check_references().await.unwrap();
            faults.sort();
            let dangling =
                format!("entry \"dangling\" of folder {here} names node {gone}, which is missing");
            let orphan = format!("entry \"orphan\" is in folder {gone}, which is missing");
            assert_eq!(faults, [dangling, orphan]);
        })
        .await;
    }
}
