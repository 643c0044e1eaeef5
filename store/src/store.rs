//! The open store: what every operation starts from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::asset::Downloads;
use crate::blob::Blobs;
use crate::blob::local::LocalBlobs;
use crate::cache::{Effect, Generations, Stamp};
use crate::caller::Caller;
use crate::clock::World;
use crate::content::{MemoryPool, Verified, VerifyReads};
use crate::credential::Credentials;
use crate::db::{Database, Db};
use crate::download::{Found, Stored};
use crate::drive::Drive;
use crate::error::{Error, Limited, Result};
use crate::id::{DriveId, LinkId, ReservationId, UserId};
use crate::link::{Slots, Tally};
use crate::node::{Entry, Page};
use crate::path::Path;
use crate::pin::Pins;
use crate::quota;
use crate::resumable::Running;
use crate::setting::Registration;
use crate::upload::UploadPlace;
use crate::wake::Wakes;

/// Memory for what warm requests read instead of the database.
const NODE_CACHE_BYTES: u64 = 64 << 20;
/// Memory for lists of folders.
const PAGE_CACHE_BYTES: u64 = 32 << 20;
/// How long a measurement of free disk space is believed.
const DISK_CHECK_MS: i64 = 1000;
/// Searches at a time, so that they leave connections to everything else.
const SEARCHES: usize = 2;

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
    /// How often stored bytes are checked against their digest when read.
    pub verify_reads: VerifyReads,
    /// Numbers that bound what clients may do.
    pub limits: Limits,
    /// Rules of accounts.
    pub accounts: AccountOptions,
    /// What is kept of files that are overwritten.
    pub versions: VersionOptions,
    /// What is kept of files that are deleted.
    pub trash: TrashOptions,
    /// Most bytes all drives together may be charged; `None` is the blobs' file
    /// system less `reserve_bytes`.
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
    /// Files and folders of one drive.
    pub drive_nodes: u64,
    /// All dead properties of one drive.
    pub drive_properties_bytes: u64,
    /// Locks of one user.
    pub locks_per_user: u64,
    /// Longest lock.
    pub lock_timeout_s: u32,
    /// Uploads of one user at a time.
    pub uploads_per_user: usize,
    /// How long an upload of several requests waits for the next.
    pub upload_max_age: Duration,
    /// How long the change journal is kept.
    pub change_retention: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            property_bytes: 32 << 10,
            properties_bytes: 1 << 20,
            drive_nodes: 10_000_000,
            drive_properties_bytes: 1 << 30,
            locks_per_user: 1000,
            lock_timeout_s: 3600,
            uploads_per_user: 64,
            upload_max_age: Duration::from_hours(24),
            change_retention: Duration::from_hours(30 * 24),
        }
    }
}

/// Rules of accounts and log-ins.
#[derive(Debug, Clone)]
pub struct AccountOptions {
    /// Who may make an account by themselves, unless an administrator has set it.
    pub registration: Registration,
    /// Limit of a new drive, unless an administrator has set it.
    pub default_quota_bytes: u64,
    /// A log-in that is not used for this long ends.
    pub login_idle: Duration,
    /// Fewest characters of a new password.
    pub password_min_chars: usize,
    /// Argon2 runs at the same time; 0 is one for each processor.
    pub password_checks: usize,
    /// How long a verified password is remembered.
    pub credential_cache: Duration,
    /// Wrong passwords for one account name from one network before it has to wait there;
    /// from all networks together ten times as many.
    pub failures_per_account: u32,
    /// Wrong passwords from one address before it has to wait.
    pub failures_per_address: u32,
}

impl Default for AccountOptions {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            default_quota_bytes: 50_000_000_000,
            login_idle: Duration::from_hours(48),
            password_min_chars: 8,
            password_checks: 0,
            credential_cache: Duration::from_mins(5),
            failures_per_account: 10,
            failures_per_address: 20,
        }
    }
}

/// What is kept of files that are overwritten. It gives way to what needs its room.
#[derive(Debug, Clone)]
pub struct VersionOptions {
    /// How long a version is kept; 0 keeps none.
    pub retention: Duration,
    /// How many of one file; 0 keeps none.
    pub most: u64,
    /// The least time between two of one file: what is overwritten sooner is not kept.
    pub interval: Duration,
}

impl Default for VersionOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(30 * 24),
            most: 20,
            interval: Duration::from_mins(10),
        }
    }
}

/// What is kept of files that are deleted. It gives way to what needs its room.
#[derive(Debug, Clone)]
pub struct TrashOptions {
    /// How long a deleted tree is kept; 0 keeps none.
    pub retention: Duration,
    /// How many of one drive; 0 keeps none.
    pub most: u64,
}

impl Default for TrashOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(30 * 24),
            most: 10_000,
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
    blobs: Blobs,
    pool: MemoryPool,
    verified: Arc<Verified>,
    generations: Arc<Generations>,
    drives: Cache<DriveId, (Stamp, Drive)>,
    nodes: Cache<Vec<u8>, CachedNode>,
    pages: Cache<Vec<u8>, (Stamp, Arc<Page>)>,
    /// Whether anything is shared with an account.
    receivers: Cache<UserId, (Stamp, bool)>,
    uploads: Mutex<HashMap<Uploader, Arc<Semaphore>>>,
    disk_checked_at: AtomicU64,
    /// Places for searches: each walks a whole drive.
    searches: Semaphore,
    /// Reservations of uploads that are under way here.
    leases: Mutex<HashSet<ReservationId>>,
    pins: Pins,
    /// Requests that bring bytes to uploads of several requests.
    running: Running,
    /// Slots of downloads that are under way here.
    slots: Slots,
    tally: Tally,
    /// A write was refused for want of room since the last sweep.
    is_disk_short: AtomicBool,
    runtime: Handle,
    credentials: Credentials,
    wakes: Arc<Wakes>,
    downloads: Downloads,
}

/// Whose uploads count together: those of a user, and those by each link of theirs.
type Uploader = (UserId, Option<LinkId>);

/// What a path led to when it was last read.
#[derive(Clone)]
pub(crate) struct CachedNode {
    pub stamp: Stamp,
    pub found: Arc<Found>,
    pub stored: Option<Stored>,
}

impl Store {
    /// Opens the store, making or upgrading what is needed.
    ///
    /// # Errors
    /// [`Error::Unusable`] with a sentence for people when it cannot be opened.
    pub async fn open(options: Options) -> Result<Self> {
        let generations = Generations::new();
        let is_shared = matches!(options.database, Database::Postgres { .. });
        let wakes = Arc::new(Wakes::new(is_shared));
        let (raise, wake) = (Arc::clone(&generations), Arc::clone(&wakes));
        let on_commit = Arc::new(move |effects: &[Effect]| {
            // Whoever is woken must not find what was remembered before.
            raise.raise(effects);
            wake.committed(effects);
        });
        let db = Db::open(&options.database, on_commit, options.world.now_ms()).await?;
        let root = options.blobs.as_ref().unwrap_or(&options.data).clone();
        let blobs = Blobs::new(LocalBlobs::open(&options.data, &root)?);
        let verified = Arc::new(Verified::new(options.verify_reads));
        let nodes = Cache::builder()
            .max_capacity(NODE_CACHE_BYTES)
            .weigher(|key: &Vec<u8>, cached: &CachedNode| {
                let content = cached.stored.as_ref().map_or(0, Stored::weight);
                let words = cached.found.node.attributes.as_ref();
                let words = words.map_or(0, |words| words.as_str().len());
                u32::try_from(500 + key.len() + content + words).unwrap_or(u32::MAX)
            })
            .build();
        let pages = Cache::builder()
            .max_capacity(PAGE_CACHE_BYTES)
            .weigher(|key: &Vec<u8>, (_, page): &(Stamp, Arc<Page>)| {
                let names = page.entries.iter().map(Entry::text_bytes);
                let entries = page.entries.len() * size_of::<Entry>() + names.sum::<usize>();
                u32::try_from(200 + key.len() + entries).unwrap_or(u32::MAX)
            })
            .build();
        let credentials = Credentials::new(&options);
        let store = Self {
            inner: Arc::new(Inner {
                db,
                options,
                blobs,
                pool: MemoryPool::new(MemoryPool::BYTES),
                verified,
                generations,
                drives: Cache::new(10_000),
                nodes,
                pages,
                receivers: Cache::new(10_000),
                uploads: Mutex::default(),
                disk_checked_at: AtomicU64::new(0),
                searches: Semaphore::new(SEARCHES),
                leases: Mutex::default(),
                pins: Pins::default(),
                running: Running::default(),
                slots: Slots::default(),
                tally: Tally::default(),
                is_disk_short: AtomicBool::new(false),
                runtime: Handle::current(),
                credentials,
                wakes,
                downloads: Downloads::default(),
            }),
        };
        store.drop_left_reservations().await?;
        store.drop_left_downloads().await?;
        let options = store.options();
        let limit_bytes = match options.capacity_bytes {
            Some(limit_bytes) => limit_bytes,
            None => volume_bytes(&root)?.saturating_sub(options.reserve_bytes),
        };
        store
            .db()
            .write(move |tx| quota::rows::set_capacity(tx, limit_bytes))
            .await?;
        Ok(store)
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

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.inner.credentials
    }

    pub(crate) fn downloads(&self) -> &Downloads {
        &self.inner.downloads
    }

    pub(crate) fn generations(&self) -> &Generations {
        &self.inner.generations
    }

    pub(crate) fn wakes(&self) -> &Arc<Wakes> {
        &self.inner.wakes
    }

    pub(crate) fn receivers(&self) -> &Cache<UserId, (Stamp, bool)> {
        &self.inner.receivers
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    pub(crate) fn pool(&self) -> &MemoryPool {
        &self.inner.pool
    }

    pub(crate) fn verified(&self) -> Arc<Verified> {
        Arc::clone(&self.inner.verified)
    }

    pub(crate) fn searches(&self) -> &Semaphore {
        &self.inner.searches
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, HashSet<ReservationId>> {
        self.inner.leases.lock().expect("no panic while held")
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.inner.pins
    }

    pub(crate) fn running(&self) -> &Running {
        &self.inner.running
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.inner.slots
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.inner.tally
    }

    /// Whether a write was refused for want of room since this was last asked.
    pub(crate) fn take_disk_short(&self) -> bool {
        self.inner.is_disk_short.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    pub(crate) fn cached_drive(&self, id: DriveId, stamp: Stamp) -> Option<Drive> {
        if !self.db().is_exclusive() {
            return None;
        }
        let (of, drive) = self.inner.drives.get(&id)?;
        (of == stamp).then_some(drive)
    }

    pub(crate) fn cache_drive(&self, drive: Drive, stamp: Stamp) {
        if self.db().is_exclusive() {
            self.inner.drives.insert(drive.id, (stamp, drive));
        }
    }

    /// What is remembered of a path, if it is still true.
    pub(crate) fn cached_node(
        &self,
        caller: &Caller,
        path: &Path,
        stamp: Stamp,
    ) -> Option<CachedNode> {
        if !self.db().is_exclusive() || !caller.whole_drive {
            return None;
        }
        self.inner
            .nodes
            .get(&node_key(caller, path))
            .filter(|cached| cached.stamp == stamp)
    }

    pub(crate) fn cache_node(&self, caller: &Caller, path: &Path, cached: &CachedNode) {
        if self.db().is_exclusive() && caller.whole_drive {
            self.inner
                .nodes
                .insert(node_key(caller, path), cached.clone());
        }
    }

    /// The members of the folder at a path, after the name `after`, as they were last read, if
    /// that is still true.
    pub(crate) fn cached_page(
        &self,
        caller: &Caller,
        part: &PartOf<'_>,
        stamp: Stamp,
    ) -> Option<Arc<Page>> {
        if !self.db().is_exclusive() || !caller.whole_drive {
            return None;
        }
        let (of, page) = self.inner.pages.get(&part.key(caller))?;
        (of == stamp).then_some(page)
    }

    pub(crate) fn cache_page(
        &self,
        caller: &Caller,
        part: &PartOf<'_>,
        stamp: Stamp,
        page: &Arc<Page>,
    ) {
        if self.db().is_exclusive() && caller.whole_drive {
            let cached = (stamp, Arc::clone(page));
            self.inner.pages.insert(part.key(caller), cached);
        }
    }

    /// A place among the user's uploads, or among those by one link, so that strangers do not take
    /// the owner's places.
    ///
    /// # Errors
    /// [`Error::Limit`] when all are taken.
    pub(crate) fn upload_place(&self, caller: &Caller) -> Result<UploadPlace> {
        let most = self.options().limits.uploads_per_user;
        let mut uploads = self.inner.uploads.lock().expect("no panic while held");
        // Users without uploads are forgotten before the table grows.
        if uploads.len() > 1000 {
            uploads.retain(|_, places| places.available_permits() < most);
        }
        let places = uploads
            .entry((caller.user, caller.link()))
            .or_insert_with(|| Arc::new(Semaphore::new(most)));
        Arc::clone(places)
            .try_acquire_owned()
            .map_err(|_| Error::Limit {
                what: Limited::Uploads,
                limit: most as u64,
            })
    }

    /// Refuses when the disk has less than its reserve left.
    ///
    /// # Errors
    /// [`Error::DiskFull`].
    pub(crate) fn require_disk(&self) -> Result<()> {
        let now_ms = self.world().now_ms();
        let checked_at = self.inner.disk_checked_at.load(Ordering::Relaxed);
        if now_ms.saturating_sub_unsigned(checked_at) < DISK_CHECK_MS {
            return Ok(());
        }
        self.require_room(0)?;
        self.inner
            .disk_checked_at
            .store(u64::try_from(now_ms).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    /// Refuses when writing `more_bytes` would leave the disk less than its reserve.
    ///
    /// # Errors
    /// [`Error::DiskFull`].
    pub(crate) fn require_room(&self, more_bytes: u64) -> Result<()> {
        let needed_bytes = self.options().reserve_bytes.saturating_add(more_bytes);
        if self.blobs().free_bytes()? < needed_bytes {
            self.inner.is_disk_short.store(true, Ordering::Relaxed);
            return Err(Error::DiskFull);
        }
        Ok(())
    }

    /// Closes the database after what has begun is finished.
    pub async fn close(&self) {
        self.running().end_all().await;
        if let Err(error) = self.flush_uses().await {
            tracing::warn!(%error, "the times log-ins were last used are not kept");
        }
        self.send_last_wakes().await;
        if let Err(error) = self.flush_downloads().await {
            tracing::warn!(%error, "the last downloads of assets are not counted");
        }
        if let Err(error) = self.flush_link_uses().await {
            tracing::warn!(%error, "the last downloads of links are not counted");
        }
        self.db().close().await;
    }
}

/// Part of a folder's members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartOf<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// The NFC name it comes after.
    pub after: &'a str,
    /// How many at most.
    pub limit: u32,
}

impl PartOf<'_> {
    /// No name has a NUL in it.
    fn key(&self, caller: &Caller) -> Vec<u8> {
        let mut key = node_key(caller, self.folder);
        key.push(0);
        key.extend(self.after.bytes());
        key.push(0);
        key.extend(self.limit.to_le_bytes());
        key
    }
}

/// Size of the file system that `folder` is on.
fn volume_bytes(folder: &std::path::Path) -> Result<u64> {
    let volume = rustix::fs::statvfs(folder)
        .map_err(|error| Error::io("asking for the size of the disk")(error.into()))?;
    Ok(volume.f_blocks.saturating_mul(volume.f_frsize))
}

fn node_key(caller: &Caller, path: &Path) -> Vec<u8> {
    [caller.drive.as_bytes(), path.key().as_bytes()].concat()
}
