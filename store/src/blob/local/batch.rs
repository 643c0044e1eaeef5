//! New blobs as files without a name, and how they get it.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use rustix::fs::{AtFlags, Mode, fdatasync, fsync, openat, renameat, syncfs, unlinkat};

use super::{CREATE, FOLDER, Folders, LocalFile, name_of};
use crate::blob::{Batch, BlobFile};
use crate::content::Error;
use crate::manifest::ChunkRef;

/// From so many blobs on, one sync of the file system is cheaper than one of each file and folder.
/// It also bounds the files that a batch keeps open.
const SYNC_TOGETHER: usize = 8;

/// A blob that grows beyond this is synced on the way, each time by so much, so that its end does not
/// wait for all of it.
const SYNC_AFTER_BYTES: u64 = 64 << 20;

/// A file in `incoming`, removed on drop unless it was given a name.
pub(super) struct Temp {
    folders: Arc<Folders>,
    name: String,
    /// Closed early in large batches.
    file: Option<File>,
    len_bytes: u64,
    unsynced_bytes: u64,
    named: bool,
}

impl Temp {
    pub(super) fn create(folders: &Arc<Folders>) -> Result<Self, Error> {
        let name = folders.temp_name();
        let file = openat(&folders.incoming, &name, CREATE, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Error::io("create an incoming file")(errno.into()))?;
        let file = Some(File::from(file));
        Ok(Self {
            folders: Arc::clone(folders),
            name,
            file,
            len_bytes: 0,
            unsynced_bytes: 0,
            named: false,
        })
    }

    pub(super) fn append(&mut self, parts: &[Bytes]) -> Result<(), Error> {
        let file = self.file.as_mut().expect("only sealed files are closed");
        write_all(file, parts).map_err(Error::io("write a blob"))?;
        let added: u64 = parts.iter().map(|part| part.len() as u64).sum();
        self.len_bytes += added;
        self.unsynced_bytes += added;
        if self.unsynced_bytes >= SYNC_AFTER_BYTES {
            self.unsynced_bytes = 0;
            self.sync()?;
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        let file = self
            .file
            .as_ref()
            .expect("a file is open until it was synced");
        fdatasync(file).map_err(|errno| Error::io("sync a blob")(errno.into()))
    }

    pub(super) fn take_back(mut self) -> Box<dyn BlobFile> {
        let file = self.file.take().expect("only sealed files are closed");
        Box::new(LocalFile(file.into()))
    }

    /// Gives the file its name, also when another has it: nobody knows whether that one's bytes are
    /// still right, and whoever reads it goes on doing so.
    fn publish(mut self, blob: &ChunkRef) -> Result<(), Error> {
        let Folders {
            incoming, store, ..
        } = &*self.folders;
        let naming = self.folders.naming.read();
        let _naming = naming.unwrap_or_else(PoisonError::into_inner);
        renameat(incoming, &self.name, store, name_of(&blob.digest))
            .map_err(|errno| Error::io("name a blob")(errno.into()))?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.named
            && let Err(errno) = unlinkat(&self.folders.incoming, &self.name, AtFlags::empty())
        {
            tracing::warn!(error = %errno, "an incoming file stays until the next start");
        }
    }
}

fn write_all(file: &mut File, parts: &[Bytes]) -> io::Result<()> {
    // At most IOV_MAX slices can be given at once.
    for parts in parts.chunks(1024) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut slices = &mut slices[..];
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match file.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

pub(super) struct LocalBatch {
    folders: Arc<Folders>,
    file_system: OwnedFd,
    open: Option<Temp>,
    sealed: Vec<(ChunkRef, Temp)>,
    /// How many of the sealed blobs are durable.
    synced: usize,
}

impl LocalBatch {
    pub(super) fn new(folders: &Arc<Folders>) -> Result<Self, Error> {
        // Opened before the first byte is written: a sync through it then reports every failed
        // write-back since, whichever file it hit (see `system`).
        let file_system = openat(&folders.store, ".", FOLDER, Mode::empty())
            .map_err(|errno| Error::io("open the store folder")(errno.into()))?;
        Ok(Self {
            folders: Arc::clone(folders),
            file_system,
            open: None,
            sealed: Vec::new(),
            synced: 0,
        })
    }

    fn together(&self) -> bool {
        self.folders.sync_together && self.sealed.len() >= SYNC_TOGETHER
    }

    fn sync_each(&mut self) -> Result<(), Error> {
        for (_, temp) in &self.sealed[self.synced..] {
            temp.sync()?;
        }
        self.synced = self.sealed.len();
        Ok(())
    }

    fn sync_file_system(&self) -> Result<(), Error> {
        syncfs(&self.file_system).map_err(|errno| Error::io("sync the blobs")(errno.into()))
    }
}

impl Batch for LocalBatch {
    fn append(&mut self, parts: &[Bytes]) -> Result<(), Error> {
        let temp = match &mut self.open {
            Some(temp) => temp,
            none => none.insert(Temp::create(&self.folders)?),
        };
        temp.append(parts)
    }

    fn seal(&mut self, blob: ChunkRef) -> Result<(), Error> {
        let temp = self
            .open
            .take()
            .filter(|temp| temp.len_bytes == blob.len_bytes);
        let temp = temp.ok_or_else(|| {
            Error::io("seal a blob of another length")(io::ErrorKind::InvalidInput.into())
        })?;
        self.sealed.push((blob, temp));
        if self.sealed.len() < SYNC_TOGETHER {
            return Ok(());
        }
        if !self.folders.sync_together {
            // Through another descriptor, opened later, a failed write might not be reported.
            if self.sealed.len() - self.synced < SYNC_TOGETHER {
                return Ok(());
            }
            self.sync_each()?;
        }
        for (_, temp) in self.sealed.iter_mut().rev().take(SYNC_TOGETHER) {
            temp.file = None;
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<Box<dyn BlobFile>, Error> {
        let temp = self
            .open
            .take()
            .map_or_else(|| Temp::create(&self.folders), Ok)?;
        Ok(temp.take_back())
    }

    fn sync(&mut self) -> Result<(), Error> {
        if self.together() {
            self.sync_file_system()?;
            self.synced = self.sealed.len();
            Ok(())
        } else {
            self.sync_each()
        }
    }

    fn publish(mut self: Box<Self>) -> Result<(), Error> {
        if self.synced < self.sealed.len() {
            self.sync()?;
        }
        let together = self.together();
        let mut shards: Vec<u8> = self
            .sealed
            .iter()
            .map(|(blob, _)| blob.digest.as_bytes()[0])
            .collect();
        for (blob, temp) in self.sealed.drain(..) {
            temp.publish(&blob)?;
        }
        if together {
            return self.sync_file_system();
        }
        // Also where the name was there before: whoever gave it may not have come to this step.
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            openat(
                &self.folders.store,
                format!("{shard:02x}"),
                FOLDER,
                Mode::empty(),
            )
            .and_then(|folder| fsync(folder.as_fd()))
            .map_err(|errno| Error::io("sync a folder of blobs")(errno.into()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_full_disk_is_told_apart() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_all(&mut full, &[Bytes::from_static(b"x")]).unwrap_err();
        assert!(matches!(Error::io("write a blob")(error), Error::DiskFull));
        let quota = io::Error::from(Errno::DQUOT);
        assert!(matches!(Error::io("write a blob")(quota), Error::DiskFull));
    }
}
