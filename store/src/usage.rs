//! How full the server is, for whoever looks after it.

mod rows;

use crate::caller::Actor;
use crate::error::{Error, Result};
use crate::health::Capacity;
use crate::id::UserId;
use crate::store::Store;
use crate::user::{self, User};

/// What is stored, as it lies on disk and in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredBytes {
    /// Blobs, each once however many files share it.
    pub blobs: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Those of them that nothing refers to: the sweep takes them away.
    pub unreferenced_bytes: u64,
}

/// Parts of what all drives together are charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Contents published by their digest.
    pub published_bytes: u64,
    /// What files held before they were overwritten.
    pub versions_bytes: u64,
    /// What was deleted and can be restored.
    pub trash_bytes: u64,
}

/// How full the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerUsage {
    /// What all drives together are charged, and the most they may be.
    pub capacity: Capacity,
    /// What of that is published, and what gives way.
    pub parts: Parts,
    /// What is stored of it.
    pub stored: StoredBytes,
    /// Bytes free on the disk of the blobs.
    pub disk_free_bytes: u64,
    /// Bytes free on that disk below which every write is refused.
    pub disk_reserve_bytes: u64,
    /// Accounts.
    pub users: u64,
    /// Files in all drives.
    pub files: u64,
}

impl ServerUsage {
    /// The files of all drives.
    pub fn live_bytes(&self) -> u64 {
        let parts = &self.parts;
        self.capacity
            .used_bytes
            .saturating_sub(parts.published_bytes)
            .saturating_sub(parts.versions_bytes)
            .saturating_sub(parts.trash_bytes)
    }

    /// What can still be promised: versions and trash give way to it.
    pub fn free_bytes(&self) -> u64 {
        let capacity = &self.capacity;
        capacity
            .limit_bytes
            .saturating_add(self.parts.versions_bytes)
            .saturating_add(self.parts.trash_bytes)
            .saturating_sub(capacity.used_bytes)
            .saturating_sub(capacity.reserved_bytes)
    }

    /// How many bytes of files one stored byte stands for; `None` while nothing is stored.
    pub fn deduplication_ratio(&self) -> Option<f64> {
        let stored_bytes = self.stored.size_bytes - self.stored.unreferenced_bytes;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a ratio for people; sizes are far below 2^53"
        )]
        let ratio = self.capacity.used_bytes as f64 / stored_bytes as f64;
        Some(ratio).filter(|_| stored_bytes > 0)
    }
}

impl Store {
    /// How full the server is. Looks at the row of every blob.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn server_usage(&self, actor: Actor) -> Result<ServerUsage> {
        let (users, files, parts, stored) = self
            .db()
            .read(move |tx| {
                user::require_administrator(tx, actor)?;
                let (users, files, parts) = rows::accounts(tx)?;
                Ok((users, files, parts, rows::stored(tx)?))
            })
            .await?;
        let blobs = self.blobs().clone();
        let disk_free_bytes = tokio::task::spawn_blocking(move || blobs.free_bytes())
            .await
            .map_err(|_| Error::Busy)??;
        Ok(ServerUsage {
            capacity: self.capacity().await?,
            parts,
            stored,
            disk_free_bytes,
            disk_reserve_bytes: self.options().reserve_bytes,
            users,
            files,
        })
    }

    /// Accounts by what their drives are charged, the fullest first: at most `limit` after the
    /// one with these bytes and this id.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the actor is no administrator.
    pub async fn user_list_by_usage(
        &self,
        actor: Actor,
        after: Option<(u64, UserId)>,
        limit: u32,
    ) -> Result<Vec<User>> {
        self.db()
            .read(move |tx| {
                user::require_administrator(tx, actor)?;
                user::rows::list_by_usage(tx, after, limit)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;
    use crate::password::Password;
    use crate::testing::each_engine;
    use crate::{Access, Admission, NewUser};

    async fn add(store: &Store, name: &str, access: Access, used_bytes: u64) -> User {
        let new = NewUser {
            username: Some(name.into()),
            email: None,
            password: Password::new("correct horse"),
            access,
            quota_bytes: None,
        };
        let by = Admission::By(Actor::Console);
        let user = store.register(new, by, None).await.unwrap();
        let drive = user.drive;
        let charge = "UPDATE drive SET used_bytes = $2, file_count = 1 WHERE id = $1";
        store
            .db()
            .write(move |tx| tx.execute(charge, args![drive, used_bytes]))
            .await
            .unwrap();
        user
    }

    #[tokio::test]
    async fn the_fullest_drives_come_first() {
        each_engine(async |store, _| {
            let root = add(store, "root", Access::Administrator, 0).await;
            for (name, used_bytes) in [("a", 5), ("b", 9), ("c", 5), ("d", 5)] {
                add(store, name, Access::User, used_bytes).await;
            }
            let actor = Actor::User(root.id);
            let mut names = Vec::new();
            let mut after = None;
            loop {
                let part = store.user_list_by_usage(actor, after, 2).await.unwrap();
                let Some(last) = part.last() else { break };
                after = Some((last.usage.used_bytes, last.id));
                names.extend(part.into_iter().map(|user| user.username));
            }
            assert_eq!((names.len(), &*names[0], &*names[4]), (5, "b", "root"));
            names.sort();
            assert_eq!(names, ["a", "b", "c", "d", "root"]);
            let usage = store.server_usage(actor).await.unwrap();
            assert_eq!((usage.users, usage.files), (5, 5));
            assert_eq!(usage.deduplication_ratio(), None);
        })
        .await;
    }

    #[tokio::test]
    async fn the_ratio_leaves_out_what_only_waits_for_the_sweep() {
        each_engine(async |store, _| {
            let fill = |tx: &mut crate::db::Tx<'_>| {
                tx.execute("UPDATE capacity SET used_bytes = 600 WHERE id = 1", args![])?;
                for (digest, size_bytes, references) in
                    [(1u8, 100u64, 1i64), (2, 200, 3), (3, 50, 0)]
                {
                    tx.execute(
                        "INSERT INTO blob (digest, size_bytes, reference_count) \
                         VALUES ($1, $2, $3)",
                        args![vec![digest; 32], size_bytes, references],
                    )?;
                }
                Ok(())
            };
            store.db().write(fill).await.unwrap();
            let usage = store.server_usage(Actor::Console).await.unwrap();
            let stored = StoredBytes {
                blobs: 3,
                size_bytes: 350,
                unreferenced_bytes: 50,
            };
            assert_eq!(usage.stored, stored);
            assert_eq!(usage.deduplication_ratio(), Some(2.0));
        })
        .await;
    }

    #[tokio::test]
    async fn only_administrators_see_it() {
        each_engine(async |store, _| {
            let alice = add(store, "alice", Access::User, 0).await;
            let by = Actor::User(alice.id);
            let usage = store.server_usage(by).await;
            assert!(matches!(usage, Err(Error::Forbidden)));
            let list = store.user_list_by_usage(by, None, 1).await;
            assert!(matches!(list, Err(Error::Forbidden)));
        })
        .await;
    }
}
