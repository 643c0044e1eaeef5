//! Open files: reading, writing, closing.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::shared::{Held, Shared, lock};
use super::{Caller, Fs, Handle, Ino, Io, Opened, Stat};
use crate::cache::{BLOCK, Blocks, Open, fingerprint, set_file_time};
use crate::clock::now_ms;
use crate::drive::Drive;
use crate::errno::Fault;
use crate::state::{Content, Db, Node};

/// Below this the kernel's page cache is faster than a local file of its own.
const PASSTHROUGH_FROM: u64 = 256 << 10;
/// Above this a small change must not make the whole file one that may have changed; more where the
/// server takes no parts of files anyway.
const PASSTHROUGH_WRITES_TO: u64 = 8 << 20;
const PASSTHROUGH_WHOLE_WRITES_TO: u64 = 64 << 20;
/// Up to this a file is fetched when it is opened: it is about to be read, and whoever has it open
/// keeps it when somebody else replaces it.
const FETCH_AT_OPEN: u64 = BLOCK;
const FETCH_FOR_PASSTHROUGH: u64 = 8 * BLOCK;
/// Bits of a mode that a write takes away.
const PRIVILEGES: u32 = 0o6000;
/// Used at: not worth a change more often than this, in ms.
const USED: i64 = 60_000;

impl<D: Drive> Shared<D> {
    /// The longest file that the kernel may write to by itself.
    fn most_passed_through(&self) -> u64 {
        match (self.passthrough.load(Ordering::Relaxed), self.can.patch) {
            (false, _) => 0,
            (true, true) => PASSTHROUGH_WRITES_TO,
            (true, false) => PASSTHROUGH_WHOLE_WRITES_TO,
        }
    }

    /// One more handle of a file's content.
    fn hold_file(
        &self,
        open: Arc<Open>,
        flags: OFlags,
        mode: u32,
        new: bool,
    ) -> Result<Opened, Fault> {
        let access = flags & OFlags::ACCMODE;
        let write = access == OFlags::WRONLY || access == OFlags::RDWR;
        let db = lock(&self.db);
        let mut inner = lock(&open.inner);
        if inner.handles == 0 && self.passthrough.load(Ordering::Relaxed) && inner.present.is_all()
        {
            let size = inner.size;
            let suits = if write {
                // The kernel does not tell of a write that is to take away the privileges.
                (new || size <= self.most_passed_through()) && mode & PRIVILEGES == 0
            } else {
                size >= PASSTHROUGH_FROM
            };
            if suits {
                // After a crash the time of the file tells whether it was written to.
                set_file_time(&inner.file, inner.mtime)?;
                inner.passthrough = Some(fingerprint(&inner.file)?);
            }
        }
        // From now on the kernel may write without asking: said before it can.
        if write && inner.passthrough.is_some() {
            let clean = inner.content == Content::Clean;
            if clean || inner.content != Content::Open || !inner.dirty.is_all() {
                if !clean {
                    inner.dirty = Blocks::ALL;
                }
                self.begin_writing(&db, &open, &mut inner, None)?;
            }
        }
        inner.handles += 1;
        inner.writers += u32::from(write);
        let io = if inner.passthrough.is_some() {
            lock(&self.stale_pages).insert(open.ino);
            Io::Passthrough(Arc::clone(&inner.file))
        } else {
            Io::Cached {
                keep: !lock(&self.stale_pages).remove(&open.ino),
            }
        };
        drop(inner);
        let handle = self.hold(Held::File {
            open,
            read: access != OFlags::WRONLY,
            write,
            append: flags.contains(OFlags::APPEND),
        });
        Ok(Opened { handle, io })
    }
}

impl<D: Drive> Fs<D> {
    /// Makes a file and opens it.
    ///
    /// # Errors
    /// As `open` with `O_CREAT | O_EXCL`.
    pub async fn create(
        &self,
        caller: Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
    ) -> Result<(Stat, Opened), Errno> {
        let shared = &self.shared;
        let mode = 0o100_000 | (mode & 0o7777 & !(umask & 0o777));
        let prepare = |node: &mut Node| {
            node.content = Content::Open;
            node.dirty = Blocks::ALL.0;
        };
        let node = shared
            .make(caller, parent, name, mode, prepare, shared.late())
            .await?;
        let open = shared.use_content(&node)?;
        // The last close sends it, also when nothing was written.
        lock(&open.inner).changed = true;
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        let opened = shared
            .hold_file(open, flags, mode, true)
            .inspect_err(|_| self.forget(node.ino, 1))?;
        Ok((node.stat(), opened))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_file(&self, caller: Caller, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        let shared = &self.shared;
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        // The name was replaced between its look-up and now: told so, the kernel looks it up again.
        let stale = |fault: Fault| match fault.errno() {
            Errno::NOENT => Errno::STALE,
            errno => errno,
        };
        shared.revalidate(ino).await.map_err(stale)?;
        let open = shared.open_by_number(ino).map_err(stale)?;
        let writes = flags & OFlags::ACCMODE != OFlags::RDONLY;
        if writes && shared.is_lost(&lock(&shared.db), ino)? {
            // What it is now has another number.
            return Err(Errno::STALE);
        }
        if flags.contains(OFlags::TRUNC) && writes {
            shared.set_length(&open, 0).await?;
            if caller.uid != 0 {
                self.drop_privileges(ino)?;
            }
        } else {
            let (size, absent) = {
                let inner = lock(&open.inner);
                (inner.size, !inner.present.is_all())
            };
            let most = if shared.passthrough.load(Ordering::Relaxed) {
                FETCH_FOR_PASSTHROUGH
            } else {
                FETCH_AT_OPEN
            };
            if absent && size <= most {
                // It may not be read at all; if it is, that tells what is wrong.
                if let Err(fault) = shared.hydrate_all(&open).await {
                    tracing::debug!(ino, %fault, "not fetched when it was opened");
                }
            }
        }
        let is_passed_through = lock(&open.inner).passthrough.is_some();
        if writes && (is_passed_through || open.size() <= shared.most_passed_through()) {
            // The kernel may write anywhere without asking.
            open.settle(&(0..u64::MAX)).await?;
        }
        // Who only reads cannot take away privileges.
        let mode = if writes {
            let db = lock(&shared.db);
            shared.node(&db, ino).map_err(stale)?.mode
        } else {
            0
        };
        Ok(shared.hold_file(open, flags, mode, false)?)
    }

    /// Reads; fewer bytes than asked for only at the end of the file.
    ///
    /// # Errors
    /// As `pread`.
    pub async fn read(&self, handle: Handle, offset: u64, size: u32) -> Result<Bytes, Errno> {
        let Held::File { open, read, .. } = self.shared.held(handle)? else {
            return Err(Errno::ISDIR);
        };
        if !read {
            return Err(Errno::BADF);
        }
        loop {
            let (file, range) = {
                let mut inner = lock(&open.inner);
                inner.look();
                let range = offset.min(inner.size)..(offset + u64::from(size)).min(inner.size);
                if range.is_empty() {
                    return Ok(Bytes::new());
                }
                let here = !inner.absent(&range);
                (here.then(|| Arc::clone(&inner.file)), range)
            };
            let Some(file) = file else {
                self.shared.hydrate(&open, range).await?;
                continue;
            };
            let length = usize::try_from(range.end - range.start).map_err(|_| Errno::INVAL)?;
            let mut bytes = vec![0; length];
            let mut done = 0;
            while done < length {
                let at = range.start + done as u64;
                match file.read_at(&mut bytes[done..], at) {
                    Ok(0) => break,
                    Ok(more) => done += more,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Fault::from(error).errno()),
                }
            }
            bytes.truncate(done);
            return Ok(bytes.into());
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As `pwrite`; `EDQUOT` when the drive has no room for it.
    pub async fn write(&self, handle: Handle, offset: u64, data: Vec<u8>) -> Result<u32, Errno> {
        let Held::File {
            open,
            write,
            append,
            ..
        } = self.shared.held(handle)?
        else {
            return Err(Errno::BADF);
        };
        if !write {
            return Err(Errno::BADF);
        }
        let length = u32::try_from(data.len()).map_err(|_| Errno::INVAL)?;
        if i64::try_from(offset.saturating_add(u64::from(length))).is_err() {
            return Err(Errno::FBIG);
        }
        if length > 0 {
            self.shared.write_at(&open, offset, append, &data).await?;
        }
        Ok(length)
    }

    /// The last descriptor of the handle was closed.
    ///
    /// # Errors
    /// As `close`.
    #[expect(
        clippy::unused_async,
        reason = "all calls of the kernel's are awaited alike"
    )]
    pub async fn release(&self, handle: Handle) -> Result<(), Errno> {
        let shared = &self.shared;
        let held = lock(&shared.handles).remove(&handle.0);
        let Some(Held::File { open, write, .. }) = held else {
            return Err(Errno::BADF);
        };
        let db = lock(&shared.db);
        let (last, due) = {
            let mut inner = lock(&open.inner);
            inner.look();
            inner.handles -= 1;
            inner.writers -= u32::from(write);
            let due = write && inner.writers == 0 && inner.content == Content::Open;
            if due {
                // The server may have something else that was sent since its last answer.
                let sent = || {
                    let node = db.node(open.ino).ok().flatten();
                    node.is_none_or(|node| node.sent_sha256.is_some())
                };
                let same = inner.dirty.is_empty() && inner.size == inner.base_size && !sent();
                inner.content = if same { Content::Clean } else { Content::Dirty };
                inner.changed = true;
            }
            if inner.handles == 0 {
                inner.passthrough = None;
            }
            (inner.handles == 0, due)
        };
        if last && open.outdated.swap(false, Ordering::SeqCst) {
            lock(&shared.flight).relist.insert(open.ino);
            shared.pull.notify_one();
        }
        if open.unlinked.load(Ordering::SeqCst) {
            if last {
                // It may be opened once more by who has looked it up before.
                shared.persist(&db, &open, None)?;
                db.change(|db| shared.collect(db, open.ino))?;
                shared.push_by(0);
            }
            return Ok(());
        }
        let soon = shared.soon();
        shared.persist(&db, &open, due.then_some(soon))?;
        if due {
            shared.push_by(soon);
        } else if last {
            note_use(&db, &open)?;
        }
        Ok(())
    }
}

/// A file was used; kept for the choice of what gives way.
fn note_use(db: &Db, open: &Open) -> Result<(), Fault> {
    let now = now_ms();
    if now - open.used_at.load(Ordering::Relaxed) <= USED {
        return Ok(());
    }
    open.used_at.store(now, Ordering::Relaxed);
    match db.node(open.ino)? {
        Some(node) if node.cached > 0 => db.change(|db| Ok(db.set_used(node.ino, now)?)),
        _ => Ok(()),
    }
}
