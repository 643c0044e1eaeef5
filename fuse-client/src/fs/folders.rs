//! Open folders.

use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::shared::{Held, Shared, lock};
use super::{Fs, Handle, Ino, OpenedFolder, ROOT, SpaceStat, Stat};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::state::Db;

/// Where the names begin; before them there are `.` and `..`.
const FIRST: u64 = 2;

impl<D: Drive> Shared<D> {
    /// The folder of a handle.
    fn folder_of(&self, handle: Handle) -> Result<Ino, Errno> {
        match self.held(handle)? {
            Held::Folder(ino) => Ok(ino),
            Held::File { .. } => Err(Errno::NOTDIR),
        }
    }

    /// Tells `.` and `..`, as far as they come after `offset`; whether that was all there is room for.
    fn tell_dots(
        &self,
        db: &Db,
        ino: Ino,
        offset: u64,
        mut each: impl FnMut(u64, &[u8], &Stat) -> bool,
    ) -> Result<bool, Fault> {
        if offset >= FIRST {
            return Ok(false);
        }
        let itself = self.node(db, ino)?.stat();
        let above = match db.entries_of(ino)?.first() {
            Some((parent, _)) if ino != ROOT => self.node(db, *parent)?.stat(),
            _ => itself,
        };
        Ok((offset == 0 && each(1, b".", &itself)) || each(FIRST, b"..", &above))
    }
}

impl<D: Drive> Fs<D> {
    /// Opens a folder.
    ///
    /// # Errors
    /// As `opendir`.
    pub async fn open_folder(&self, ino: Ino) -> Result<OpenedFolder, Errno> {
        self.shared.know_folder(ino).await?;
        // Without notices nobody tells of a change before it is asked for.
        let may_keep = self.shared.live.load(Ordering::Relaxed);
        let keep = self.shared.keeps_listing(ino) && may_keep;
        let handle = self.shared.hold(Held::Folder(ino));
        Ok(OpenedFolder {
            handle,
            keep,
            may_keep,
        })
    }

    /// Tells the names in a folder, with `.` and `..`, and the number and mode of what has them: from
    /// `offset` (0, or the `next_offset` of an entry) until `each` answers `true`: full.
    ///
    /// # Errors
    /// As `readdir`.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn read_names(
        &self,
        handle: Handle,
        offset: u64,
        mut each: impl FnMut(u64, &[u8], Ino, u32) -> bool + Send,
    ) -> Result<(), Errno> {
        let ino = self.shared.folder_of(handle)?;
        let db = lock(&self.shared.db);
        let dots = |next, name: &[u8], stat: &Stat| each(next, name, stat.ino, stat.mode);
        if self.shared.tell_dots(&db, ino, offset, dots)? {
            return Ok(());
        }
        let after = offset.saturating_sub(FIRST);
        db.each_name(ino, after, |place, name, ino, mode| {
            each(place + FIRST, name.as_bytes(), ino, mode)
        })
        .map_err(|_| Errno::IO)
    }

    /// As [`Self::read_names`], with all attributes.
    ///
    /// # Errors
    /// As `readdir`.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn read_folder(
        &self,
        handle: Handle,
        offset: u64,
        mut each: impl FnMut(u64, &[u8], &Stat) -> bool + Send,
    ) -> Result<(), Errno> {
        let ino = self.shared.folder_of(handle)?;
        // What is told must still be there when it has been remembered.
        let db = lock(&self.shared.db);
        if self.shared.tell_dots(&db, ino, offset, &mut each)? {
            return Ok(());
        }
        let after = offset.saturating_sub(FIRST);
        db.each_member(ino, after, |place, name, kept| {
            // Of what is in use more is known than its row says.
            let open = self.shared.opened(kept.ino).is_some();
            let node = open.then(|| self.shared.node(&db, kept.ino).ok()).flatten();
            let stat = node.map_or(kept, |node| node.stat());
            each(place + FIRST, name.as_bytes(), &stat)
        })
        .map_err(|_| Errno::IO)
    }

    /// Closes a folder.
    pub fn release_folder(&self, handle: Handle) {
        lock(&self.shared.handles).remove(&handle.0);
    }

    /// Space, from memory.
    pub fn statfs(&self) -> SpaceStat {
        let space = lock(&self.shared.space);
        // Servers that tell nothing have plenty.
        let free = space.left.unwrap_or(1 << 50);
        SpaceStat {
            total_bytes: space.total.max(free),
            free_bytes: free,
            nodes: 0,
        }
    }
}
