//! Blobs as files: `<blobs>/store/ab/abcdef…`, mode 0600 in folders of mode 0700.
//!
//! A blob is written to `<data>/incoming`, synced, renamed to its name, and the folder of the name is
//! synced. So a crash leaves files in `incoming`, which the next start removes, or named files which
//! nothing refers to, but never a name with bytes missing.

mod batch;
mod system;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustix::fs::{
    Advice, AtFlags, Mode, OFlags, ResolveFlags, Stat, fadvise, fstat, fstatvfs, fsync, open,
    openat, openat2, renameat, statat, unlinkat,
};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use self::batch::{LocalBatch, Temp};
use super::{Batch, BlobFile, BlobStore};
use crate::content::Error;
use crate::digest::Digest;
use crate::manifest::ChunkRef;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const CREATE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Blobs in a folder of this machine.
pub(crate) struct LocalBlobs {
    folders: Arc<Folders>,
}

struct Folders {
    incoming: OwnedFd,
    store: OwnedFd,
    quarantine: OwnedFd,
    store_path: PathBuf,
    /// Temporary names are this and a number: no two processes share the folder, and the files of an
    /// earlier one are gone, so this only keeps them from being guessed.
    prefix: u64,
    next: AtomicU64,
    /// Whether one sync of the whole file system can be trusted to report what it could not write.
    sync_together: bool,
    /// Held alone by who takes a name away from wrong bytes, so that it is not given to right ones
    /// between the look and the deed.
    naming: RwLock<()>,
}

impl LocalBlobs {
    /// Opens the place for blobs, creates what is missing and clears what a crash left behind.
    ///
    /// The caller holds the lock of the data folder, so nobody else uses `<data>/incoming`.
    ///
    /// # Errors
    /// [`Error::Unusable`] when a folder cannot be used, or a file cannot be moved between the two.
    pub(crate) fn open(data: &Path, blobs_root: &Path) -> Result<Self, Error> {
        Self::open_with(data, blobs_root, system::reports_failed_writes)
    }

    fn open_with(
        data: &Path,
        blobs_root: &Path,
        sync_together: impl Fn(&OwnedFd) -> bool,
    ) -> Result<Self, Error> {
        let store_path = blobs_root.join("store");
        let store = folder(&store_path)?;
        let folders = Folders {
            incoming: folder(&data.join("incoming"))?,
            sync_together: sync_together(&store),
            naming: RwLock::new(()),
            store,
            quarantine: folder(&blobs_root.join("quarantine"))?,
            store_path,
            prefix: RandomState::new().hash_one(std::process::id()),
            next: AtomicU64::new(0),
        };
        folders.clear_incoming(&data.join("incoming"))?;
        folders.try_a_move(data, blobs_root)?;
        folders.create_shards()?;
        Ok(Self {
            folders: Arc::new(folders),
        })
    }
}

/// Opens a folder, and creates it durably, with its parents, when it is missing.
fn folder(path: &Path) -> Result<OwnedFd, Error> {
    let unusable = |error: io::Error| {
        Error::Unusable(format!("cannot use folder {}: {error}", path.display()))
    };
    match open(path, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {}
        opened => return opened.map_err(|errno| unusable(errno.into())),
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.exists()) {
        folder(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
        _ => {}
    }
    let parent = File::open(parent.unwrap_or(Path::new("."))).map_err(unusable)?;
    parent.sync_all().map_err(unusable)?;
    open(path, FOLDER, Mode::empty()).map_err(|errno| unusable(errno.into()))
}

impl Folders {
    fn clear_incoming(&self, path: &Path) -> Result<(), Error> {
        for entry in std::fs::read_dir(path).map_err(Error::io("list incoming files"))? {
            let entry = entry.map_err(Error::io("list incoming files"))?;
            unlinkat(&self.incoming, entry.file_name(), AtFlags::empty())
                .map_err(|errno| Error::io("remove an incoming file")(errno.into()))?;
        }
        Ok(())
    }

    fn try_a_move(&self, data: &Path, blobs_root: &Path) -> Result<(), Error> {
        let name = self.temp_name();
        let file = openat(&self.incoming, &name, CREATE, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::io("create an incoming file")(errno.into()))?;
        drop(file);
        let moved = renameat(&self.incoming, &name, &self.store, &name);
        let last = if moved.is_ok() {
            &self.store
        } else {
            &self.incoming
        };
        let removed = unlinkat(last, &name, AtFlags::empty());
        moved.and(removed).map_err(|errno| {
            let (from, to) = (data.join("incoming"), &self.store_path);
            Error::Unusable(if errno == Errno::XDEV {
                format!(
                    "{} and {} are on different file systems; put the data folder {} on the file \
                     system of the blobs {}, or move the blobs",
                    from.display(),
                    to.display(),
                    data.display(),
                    blobs_root.display(),
                )
            } else {
                format!(
                    "cannot move a file from {} to {}: {errno}",
                    from.display(),
                    to.display()
                )
            })
        })
    }

    /// All 256 folders exist from the start, so that publishing never has to make one durable.
    fn create_shards(&self) -> Result<(), Error> {
        let mut created = false;
        for shard in 0..=255u8 {
            match rustix::fs::mkdirat(&self.store, format!("{shard:02x}"), Mode::RWXU) {
                Ok(()) => created = true,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::io("create a folder for blobs")(errno.into())),
            }
        }
        if created {
            fsync(&self.store).map_err(|errno| Error::io("sync the store folder")(errno.into()))?;
        }
        Ok(())
    }

    fn temp_name(&self) -> String {
        format!(
            "{:016x}-{:x}",
            self.prefix,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}

fn name_of(digest: &Digest) -> String {
    let digest = digest.to_string();
    format!("{}/{digest}", &digest[..2])
}

fn has_length(stat: &Stat, blob: &ChunkRef) -> bool {
    u64::try_from(stat.st_size) == Ok(blob.len_bytes)
}

impl BlobStore for LocalBlobs {
    fn stage(&self) -> Result<Box<dyn Batch>, Error> {
        Ok(Box::new(LocalBatch::new(&self.folders)?))
    }

    fn open(&self, blob: &ChunkRef) -> Result<Box<dyn BlobFile>, Error> {
        let corrupt = |found: &str| {
            tracing::error!(blob.digest = %blob.digest, "blob cannot be read: {found}");
            Error::Corrupt {
                digest: blob.digest,
            }
        };
        let file = match openat(
            &self.folders.store,
            name_of(&blob.digest),
            READ,
            Mode::empty(),
        ) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(corrupt("its file is missing")),
            Err(errno) => return Err(Error::io("open a blob")(errno.into())),
        };
        let stat = fstat(&file).map_err(|errno| Error::io("open a blob")(errno.into()))?;
        if has_length(&stat, blob) {
            return Ok(Box::new(LocalFile(file)));
        }
        Err(corrupt(&format!(
            "it has {} bytes, not {}",
            stat.st_size, blob.len_bytes
        )))
    }

    fn open_cached(&self, blob: &ChunkRef) -> Option<Box<dyn BlobFile>> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::CACHED;
        let file = openat2(
            &self.folders.store,
            name_of(&blob.digest),
            READ,
            Mode::empty(),
            resolve,
        );
        let file = file.ok()?;
        let stat = fstat(&file).ok()?;
        has_length(&stat, blob).then(|| Box::new(LocalFile(file)) as _)
    }

    fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        match unlinkat(&self.folders.store, name_of(digest), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::io("remove a blob")(errno.into())),
        }
    }

    fn quarantine(&self, digest: &Digest, wrong: &dyn BlobFile) -> Result<(), Error> {
        let failed = |errno: Errno| Error::io("move a blob to the quarantine")(errno.into());
        let Folders {
            store, quarantine, ..
        } = &*self.folders;
        let alone = &self.folders.naming;
        let _alone = alone.write().unwrap_or_else(PoisonError::into_inner);
        let name = name_of(digest);
        match statat(store, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == wrong.identity()? => {}
            // Somebody else was faster, or has brought the right bytes.
            Ok(_) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        let mut kept = digest.to_string();
        for number in 1.. {
            match statat(quarantine, &kept, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(failed(errno)),
                Ok(_) => kept = format!("{digest}.{number}"),
            }
        }
        match renameat(store, name, quarantine, kept) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<(Digest, u64), Error>> + Send>, Error> {
        let store = self.folders.store_path.clone();
        Ok(Box::new((0..=255u8).flat_map(
            move |shard| match std::fs::read_dir(store.join(format!("{shard:02x}"))) {
                Ok(entries) => Listed::Entries(entries),
                Err(error) => Listed::Failed(Some(error)),
            },
        )))
    }

    fn free_bytes(&self) -> Result<u64, Error> {
        let stat = fstatvfs(&self.folders.store)
            .map_err(|errno| Error::io("ask for free space")(errno.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn ping(&self) -> Result<(), Error> {
        let mut temp = Temp::create(&self.folders)?;
        temp.append(&[Bytes::from_static(b"ping")])?;
        temp.sync()?;
        let mut answer = [0; 4];
        let file = temp.take_back();
        match file.read_at(&mut answer, 0)? {
            4 if answer == *b"ping" => Ok(()),
            _ => Err(Error::io("read back what was written")(
                io::ErrorKind::InvalidData.into(),
            )),
        }
    }
}

/// The blobs of one folder, or why it cannot be listed.
enum Listed {
    Entries(std::fs::ReadDir),
    Failed(Option<io::Error>),
}

impl Iterator for Listed {
    type Item = Result<(Digest, u64), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let failed = Error::io("list blobs");
        let entries = match self {
            Self::Entries(entries) => entries,
            Self::Failed(error) => return error.take().map(|error| Err(failed(error))),
        };
        loop {
            let entry = match entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(failed(error))),
            };
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| {
                name.parse()
                    .ok()
                    .filter(|digest: &Digest| digest.to_string() == name)
            });
            match (digest, entry.metadata()) {
                (Some(digest), Ok(data)) if data.is_file() => {
                    return Some(Ok((digest, data.len())));
                }
                (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                (_, Err(error)) => return Some(Err(failed(error))),
                _ => tracing::warn!(name = ?name, "the store holds something that is no blob"),
            }
        }
    }
}

struct LocalFile(OwnedFd);

impl BlobFile for LocalFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        rustix::io::retry_on_intr(|| rustix::io::pread(&self.0, &mut *buffer, offset))
            .map_err(|errno| Error::io("read a blob")(errno.into()))
    }

    fn read_cached(&self, buffer: &mut [u8], offset: u64) -> Result<Option<usize>, Error> {
        let buffers = &mut [IoSliceMut::new(buffer)];
        match preadv2(&self.0, buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            // Not every file system can tell.
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(Error::io("read a blob")(errno.into())),
        }
    }

    fn identity(&self) -> Result<(u64, u64), Error> {
        let stat = fstat(&self.0).map_err(|errno| Error::io("look at a blob")(errno.into()))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    fn will_be_read(&self) {
        // Only a hint: where it cannot be given, reading is merely slower.
        let _: Result<(), Errno> = fadvise(&self.0, 0, None, Advice::WillNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::blob::{Blobs, conformance};

    fn blobs(folder: &TempDir) -> Blobs {
        Blobs::new(LocalBlobs::open(&folder.path().join("data"), folder.path()).unwrap())
    }

    #[test]
    fn local_blobs_keep_the_contract() {
        conformance::suite(|| {
            let folder = TempDir::new().unwrap();
            let blobs = blobs(&folder);
            let path = folder.path().to_owned();
            let damage = move |digest: &Digest, bytes: &[u8]| {
                std::fs::write(path.join("store").join(name_of(digest)), bytes).unwrap();
            };
            (blobs, damage, folder)
        });
    }

    #[test]
    fn without_syncing_together_they_keep_it_too() {
        conformance::suite(|| {
            let folder = TempDir::new().unwrap();
            let (data, path) = (folder.path().join("data"), folder.path().to_owned());
            let local = LocalBlobs::open_with(&data, &path, |_| false).unwrap();
            let damage = move |digest: &Digest, bytes: &[u8]| {
                std::fs::write(path.join("store").join(name_of(digest)), bytes).unwrap();
            };
            (Blobs::new(local), damage, folder)
        });
    }

    #[test]
    fn files_that_wait_for_their_names_are_not_kept_open() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        for together in [false, true] {
            let folder = TempDir::new().unwrap();
            let data = folder.path().join("data");
            let local = LocalBlobs::open_with(&data, folder.path(), |_| together).unwrap();
            let mut batch = local.stage().unwrap();
            let before = open();
            for n in 0..200u8 {
                batch.append(&[vec![n].into()]).unwrap();
                batch.seal(conformance::chunk(&[n])).unwrap();
            }
            // Other tests of this process open files as well.
            assert!(open() < before + 100);
            batch.publish().unwrap();
            assert_eq!(conformance::listed(&Blobs::new(local)).len(), 200);
        }
    }

    #[test]
    fn each_wrong_blob_is_kept_and_a_right_one_stays_where_it_is() {
        let folder = TempDir::new().unwrap();
        let blobs = blobs(&folder);
        let blob = conformance::store(&blobs, b"good");
        let path = folder.path().join("store").join(name_of(&blob.digest));
        for wrong in ["evil", "ogre"] {
            std::fs::write(&path, wrong).unwrap();
            let read = blobs.open(&blob).unwrap();
            assert!(blobs.read_all(&blob).is_err());
            conformance::store(&blobs, b"good");
            // Who read the wrong bytes as well, and only says so now.
            blobs.quarantine(&blob.digest, &*read).unwrap();
            assert_eq!(&blobs.read_all(&blob).unwrap()[..], b"good");
        }
        let quarantine = folder.path().join("quarantine");
        let mut kept: Vec<_> = quarantine
            .read_dir()
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        kept.sort_unstable();
        assert_eq!(kept, [b"evil", b"ogre"]);
    }

    #[test]
    fn only_the_owner_can_read_blobs() {
        let folder = TempDir::new().unwrap();
        let blob = conformance::store(&blobs(&folder), b"secret");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let path = folder.path().join("store").join(name_of(&blob.digest));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&folder.path().join("store")), 0o700);
        assert_eq!(mode(&folder.path().join("data/incoming")), 0o700);
    }

    #[test]
    fn leftovers_of_a_crash_are_removed_at_the_next_start() {
        let folder = TempDir::new().unwrap();
        let mut batch = blobs(&folder).stage().unwrap();
        batch.append(&[Bytes::from_static(b"half a b")]).unwrap();
        std::mem::forget(batch);
        let incoming = folder.path().join("data/incoming");
        assert_eq!(incoming.read_dir().unwrap().count(), 1);
        blobs(&folder);
        assert_eq!(incoming.read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_place_of_a_blob_is_not_followed() {
        let folder = TempDir::new().unwrap();
        let blobs = blobs(&folder);
        let blob = conformance::chunk(b"abc");
        std::fs::write(folder.path().join("abc"), b"abc").unwrap();
        let name = folder.path().join("store").join(name_of(&blob.digest));
        std::os::unix::fs::symlink(folder.path().join("abc"), name).unwrap();
        assert!(blobs.open(&blob).is_err());
        assert!(blobs.open_cached(&blob).is_none());
    }

    #[test]
    fn a_wrong_blob_is_kept_in_the_quarantine() {
        let folder = TempDir::new().unwrap();
        let blobs = blobs(&folder);
        let blob = conformance::store(&blobs, b"good");
        std::fs::write(
            folder.path().join("store").join(name_of(&blob.digest)),
            b"evil",
        )
        .unwrap();
        assert!(matches!(blobs.read_all(&blob), Err(Error::Corrupt { .. })));
        let kept = folder
            .path()
            .join("quarantine")
            .join(blob.digest.to_string());
        assert_eq!(std::fs::read(kept).unwrap(), b"evil");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named_in_the_error() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("store"), b"a file").unwrap();
        let Err(error) = LocalBlobs::open(folder.path(), folder.path()) else {
            panic!("a file was taken for a folder");
        };
        assert!(error.to_string().contains("/store: "), "{error}");
    }
}
