//! Ranges of files: allocating, finding holes, copying.

use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::shared::{Held, Shared, lock};
use super::{Fs, Handle};
use crate::cache::BLOCK;
use crate::drive::Drive;
use crate::errno::Fault;

impl<D: Drive> Fs<D> {
    /// Allocates, or punches a hole (`FALLOC_FL_*`).
    ///
    /// # Errors
    /// As `fallocate`.
    pub async fn fallocate(
        &self,
        handle: Handle,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<(), Errno> {
        let Held::File { open, write, .. } = self.shared.held(handle)? else {
            return Err(Errno::BADF);
        };
        if !write {
            return Err(Errno::BADF);
        }
        let end = offset.checked_add(length).ok_or(Errno::FBIG)?;
        if length == 0 {
            return Err(Errno::INVAL);
        }
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let keep = mode.contains(FallocateFlags::KEEP_SIZE);
        let zero = mode.intersects(FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE);
        let known =
            FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        if !known.contains(mode) {
            return Err(Errno::OPNOTSUPP);
        }
        // The kernel may have written past it by itself: a stale length would cut that off.
        let size = open.size();
        if zero {
            // Zeros in pieces: holes are not kept on the server, and few ask for large ones.
            let stop = if keep { end.min(size) } else { end };
            let mut at = offset;
            while at < stop {
                let piece = (stop - at).min(BLOCK);
                let zeros = vec![0; usize::try_from(piece).map_err(|_| Errno::FBIG)?];
                self.shared.write_at(&open, at, false, &zeros).await?;
                at += piece;
            }
            return Ok(());
        }
        if keep || end <= size {
            return Ok(self.shared.room_for(end.saturating_sub(size))?);
        }
        self.shared.room_for(end - size)?;
        Ok(self.shared.set_length(&open, end).await?)
    }

    /// Finds data or a hole (`SEEK_DATA`, `SEEK_HOLE`).
    ///
    /// # Errors
    /// `ENXIO` past the end.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn seek(&self, handle: Handle, offset: u64, whence: i32) -> Result<u64, Errno> {
        const SEEK_DATA: i32 = 3;
        const SEEK_HOLE: i32 = 4;
        let Held::File { open, .. } = self.shared.held(handle)? else {
            return Err(Errno::BADF);
        };
        let size = open.size();
        if offset >= size {
            return Err(Errno::NXIO);
        }
        let whole = {
            let inner = lock(&open.inner);
            inner.present.is_all().then(|| Arc::clone(&inner.file))
        };
        // What is not here may be data on the server.
        let Some(file) = whole else {
            return match whence {
                SEEK_DATA => Ok(offset),
                SEEK_HOLE => Ok(size),
                _ => Err(Errno::INVAL),
            };
        };
        let place = match whence {
            SEEK_DATA => SeekFrom::Data(offset),
            SEEK_HOLE => SeekFrom::Hole(offset),
            _ => return Err(Errno::INVAL),
        };
        // Whoever reads or writes the file here says where.
        rustix::fs::seek(&*file, place)
    }

    /// Copies a range; how many bytes were copied.
    ///
    /// # Errors
    /// As `copy_file_range`.
    pub async fn copy_range(
        &self,
        from: Handle,
        from_offset: u64,
        to: Handle,
        to_offset: u64,
        length: u64,
    ) -> Result<u64, Errno> {
        let mut copied = 0;
        while copied < length {
            let piece = u32::try_from((length - copied).min(BLOCK)).map_err(|_| Errno::INVAL)?;
            let bytes = self.read(from, from_offset + copied, piece).await?;
            if bytes.is_empty() {
                break;
            }
            let written = self.write(to, to_offset + copied, bytes.into()).await?;
            copied += u64::from(written);
        }
        Ok(copied)
    }
}

impl<D: Drive> Shared<D> {
    fn room_for(&self, bytes: u64) -> Result<(), Fault> {
        let db = lock(&self.db);
        self.make_room(&db, bytes)
    }
}
