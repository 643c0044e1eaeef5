//! Open folders.

use rustix::io::Errno;

use super::shared::{Held, lock};
use super::{Fs, Handle, Ino, ROOT, SpaceStat, Stat};
use crate::drive::Drive;

/// Entries that are read at once.
const PAGE: u32 = 256;
/// Where the names begin; before them there are `.` and `..`.
const FIRST: u64 = 2;

impl<D: Drive> Fs<D> {
    /// Opens a folder.
    ///
    /// # Errors
    /// As `opendir`.
    pub async fn open_folder(&self, ino: Ino) -> Result<Handle, Errno> {
        self.shared.know_folder(ino).await?;
        Ok(self.shared.hold(Held::Folder(ino)))
    }

    /// Tells what is in a folder, with `.` and `..`, from `offset` (0, or the `next_offset` of an
    /// entry) until `each` answers `true`: full.
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
        let Held::Folder(ino) = self.shared.held(handle)? else {
            return Err(Errno::NOTDIR);
        };
        let mut at = offset;
        if at < FIRST {
            let db = lock(&self.shared.db);
            let itself = self.shared.node(&db, ino)?.stat();
            let above = match db.entries_of(ino).map_err(|_| Errno::IO)?.first() {
                Some((parent, _)) if ino != ROOT => self.shared.node(&db, *parent)?.stat(),
                _ => itself,
            };
            drop(db);
            if at == 0 && each(1, b".", &itself) {
                return Ok(());
            }
            if each(FIRST, b"..", &above) {
                return Ok(());
            }
            at = FIRST;
        }
        loop {
            // What is told must still be there when it has been remembered.
            let db = lock(&self.shared.db);
            let mut page = db.members(ino, at - FIRST, PAGE).map_err(|_| Errno::IO)?;
            for (_, _, node) in &mut page {
                if node.is_file()
                    && let Some(open) = self.shared.opened(node.ino)
                {
                    open.overlay(node);
                }
            }
            for (place, name, node) in &page {
                at = place + FIRST;
                if each(at, name.as_bytes(), &node.stat()) {
                    return Ok(());
                }
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
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
