//! The open store: what every operation starts from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::cache::{Effect, Generations, Stamp};
use crate::clock::World;
use crate::db::{Database, Db};
use crate::drive::Drive;
use crate::error::Result;
use crate::id::{DriveId, InstanceId};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the metadata is.
    pub database: Database,
    /// The data folder; unfinished uploads lie in it.
    pub data: PathBuf,
    /// Where `store/` is, when not in the data folder; the same file system.
    pub blobs: Option<PathBuf>,
    /// Content up to this many bytes lives in the database; 0 turns it off.
    pub small_limit_bytes: usize,
    /// Numbers that bound what clients may do.
    pub limits: Limits,
    /// Rules of accounts.
    pub accounts: AccountOptions,
    /// Most bytes all drives together may be charged; `None` leaves it as stored.
    pub capacity_bytes: Option<u64>,
    /// Whether limits of drives may sum to more than the capacity.
    pub overcommit: bool,
    /// Below this many free bytes on disk every write is refused.
    pub reserve_bytes: u64,
    /// How long an unreferenced blob is kept.
    pub sweep_grace: Duration,
    /// Time and dice.
    pub world: World,
}

/// Bounds of what clients may do (`docs/SEMANTICS.md`).
#[derive(Debug, Clone)]
pub struct Limits {
    /// One dead property, as XML.
    pub property_bytes: usize,
    /// All dead properties of a node.
    pub properties_bytes: usize,
    /// Locks of one user.
    pub locks_per_user: u64,
    /// Longest lock.
    pub lock_timeout_s: u32,
    /// Uploads of one user at a time.
    pub uploads_per_user: usize,
    /// How long the change journal is kept.
    pub change_retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            property_bytes: 32 << 10,
            properties_bytes: 1 << 20,
            locks_per_user: 1000,
            lock_timeout_s: 3600,
            uploads_per_user: 64,
            change_retention: Duration::from_secs(30 * 86_400),
        }
    }
}

/// Rules of accounts and log-ins.
#[derive(Debug, Clone)]
pub struct AccountOptions {
    /// Limit of a new drive.
    pub default_quota_bytes: u64,
    /// A log-in that is not used for this long ends.
    pub login_idle: Duration,
}

impl Default for AccountOptions {
    fn default() -> Self {
        Self {
            default_quota_bytes: 50_000_000_000,
            login_idle: Duration::from_secs(48 * 3600),
        }
    }
}

/// Everything that survives a restart. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    options: Options,
    instance: InstanceId,
    generations: Arc<Generations>,
    drives: Cache<DriveId, (Stamp, Drive)>,
}

impl Store {
    /// Opens the store, making or upgrading what is needed.
    ///
    /// # Errors
    /// [`crate::Error::Unusable`] with a sentence for people when it cannot be opened.
    pub async fn open(options: Options) -> Result<Self> {
        let generations = Generations::new();
        let raise = Arc::clone(&generations);
        let on_commit = Arc::new(move |effects: &[Effect]| raise.raise(effects));
        let db = Db::open(&options.database, on_commit, options.world.now_ms()).await?;
        let instance = InstanceId::new(&options.world);
        let drives = Cache::new(10_000);
        Ok(Self {
            inner: Arc::new(Inner {
                db,
                options,
                instance,
                generations,
                drives,
            }),
        })
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn world(&self) -> &World {
        &self.inner.options.world
    }

    pub(crate) fn instance(&self) -> InstanceId {
        self.inner.instance
    }

    pub(crate) fn generations(&self) -> &Generations {
        &self.inner.generations
    }

    pub(crate) fn cached_drive(&self, id: DriveId, stamp: Stamp) -> Option<Drive> {
        let (of, drive) = self.inner.drives.get(&id)?;
        (self.db().is_exclusive() && of == stamp).then_some(drive)
    }

    pub(crate) fn cache_drive(&self, drive: Drive, stamp: Stamp) {
        self.inner.drives.insert(drive.id, (stamp, drive));
    }

    /// Closes the database after what has begun is finished.
    pub async fn close(&self) {
        self.db().close().await;
    }
}
