//! The kernel's requests, translated for [`Fs`] and back (fuse(4)).
//!
//! A request's future is polled once on the thread that read the request: what can be answered from
//! local state is answered there. Only what has to wait moves to the runtime, so that a slow server
//! holds up nobody but who asked.
//!
//! The write-back cache of the kernel is never asked for. It would not believe sizes that change on
//! the server, and it excludes passthrough.

mod backing;
mod convert;
mod invalidate;
pub mod point;
mod session;

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::io::Errno;
use tokio::runtime::Handle as Runtime;

use self::backing::Backings;
use self::convert::{attributes, errno};
pub use self::session::{MountError, Mounted, Options, mount, unmount};
use crate::drive::Drive;
use crate::fs::{self, Caller, Change, Fs, Handle, Io, Opened, SpaceStat, Stat};

/// Numbers of nodes are never used again, so that one generation is enough.
const GENERATION: Generation = Generation(0);
/// Requests that the kernel sends ahead (read-ahead, releases) before it holds back.
const MOST_IN_BACKGROUND: u16 = 64;
/// Of one read or write: the most that kernels take, unless root has raised it.
const LARGEST_REQUEST_BYTES: u32 = 1 << 20;
/// Copied by one request, so that a process that is killed meanwhile need not wait for long.
const MOST_COPIED_BYTES: u64 = 64 << 20;
/// Units in which `statfs` counts.
const SPACE_UNIT_BYTES: u32 = 4096;
const LONGEST_NAME_BYTES: u32 = 255;

/// Wanted of the kernel where it has it.
const WANTED: [InitFlags; 6] = [
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    // Also spares the question for `security.capability` before every write.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_CACHE_SYMLINKS,
];

/// What the kernel calls.
struct Adapter<D: Drive> {
    fs: Fs<D>,
    runtime: Runtime,
    backings: Arc<Backings>,
    /// Depth of the file systems under the cache, when passthrough is wanted.
    stack_depth: Option<u32>,
    /// Whether the kernel has it.
    passthrough: Arc<AtomicBool>,
}

impl<D: Drive> Adapter<D> {
    /// Answers now or, if that has to wait, later.
    fn serve(&self, answer: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        let mut answer = Box::pin(answer);
        let mut context = Context::from_waker(Waker::noop());
        // A panic must cost one request (its reply, dropped, is EIO) and not the thread.
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(&mut context)));
        if let Ok(Poll::Pending) = polled {
            self.runtime.spawn(answer);
        }
    }

    fn entry(
        &self,
        reply: ReplyEntry,
        stat: impl Future<Output = Result<Stat, Errno>> + Send + 'static,
    ) {
        let fs = self.fs.clone();
        self.serve(async move {
            match stat.await {
                Ok(stat) => reply.entry(&fs.ttl(), &attributes(&stat), GENERATION),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn attr(
        &self,
        reply: ReplyAttr,
        stat: impl Future<Output = Result<Stat, Errno>> + Send + 'static,
    ) {
        let fs = self.fs.clone();
        self.serve(async move {
            match stat.await {
                Ok(stat) => reply.attr(&fs.ttl(), &attributes(&stat)),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn empty(
        &self,
        reply: ReplyEmpty,
        done: impl Future<Output = Result<(), Errno>> + Send + 'static,
    ) {
        self.serve(async move {
            match done.await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn xattr(
        &self,
        reply: ReplyXattr,
        size: u32,
        value: impl Future<Output = Result<Vec<u8>, Errno>> + Send + 'static,
    ) {
        self.serve(async move {
            let value = match value.await {
                Ok(value) => value,
                Err(error) => return reply.error(errno(error)),
            };
            match u32::try_from(value.len()) {
                Ok(length) if size == 0 => reply.size(length),
                Ok(length) if length <= size => reply.data(&value),
                _ => reply.error(fuser::Errno::ERANGE),
            }
        });
    }
}

fn caller(request: &Request) -> Caller {
    Caller {
        uid: request.uid(),
        gid: request.gid(),
    }
}

/// Access control lists would not be enforced: nobody shall believe that they are.
fn is_acl(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"system.posix_acl_")
}

fn cached_flags(keep: bool, flags: OpenFlags) -> FopenFlags {
    let mut answer = FopenFlags::empty();
    answer.set(FopenFlags::FOPEN_KEEP_CACHE, keep);
    // Nothing was written by it, so there is nothing to report when it is closed.
    answer.set(
        FopenFlags::FOPEN_NOFLUSH,
        flags.acc_mode() == OpenAccMode::O_RDONLY,
    );
    answer
}

impl<D: Drive> Filesystem for Adapter<D> {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in WANTED {
            // What an older kernel does not have it does without.
            let _ = config.add_capabilities(wanted);
        }
        let _ = config.set_max_background(MOST_IN_BACKGROUND);
        let _ = config.set_max_write(LARGEST_REQUEST_BYTES);
        if let Some(depth) = self.stack_depth {
            let offered = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
                && config.set_max_stack_depth(depth).is_ok();
            self.passthrough.store(offered, Ordering::Relaxed);
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (fs, name) = (self.fs.clone(), name.to_owned());
        self.entry(reply, async move { fs.lookup(parent.0, &name).await });
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        let _runtime = self.runtime.enter();
        self.fs.forget(ino.0, lookups);
    }

    fn getattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        let fs = self.fs.clone();
        self.attr(reply, async move { fs.stat(ino.0).await });
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        // Only with the write-back cache.
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(convert::time),
            mtime: mtime.map(convert::time),
            ctime: None,
        };
        let (fs, caller, handle) = (
            self.fs.clone(),
            caller(request),
            handle.map(|h| Handle(h.0)),
        );
        self.attr(reply, async move {
            fs.set_attributes(caller, ino.0, change, handle).await
        });
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        let fs = self.fs.clone();
        self.serve(async move {
            match fs.read_link(ino.0).await {
                Ok(target) => reply.data(&target),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (fs, caller, name) = (self.fs.clone(), caller(request), name.to_owned());
        self.entry(reply, async move {
            fs.make_node(caller, parent.0, &name, mode, umask, u64::from(rdev))
                .await
        });
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let (fs, caller, name) = (self.fs.clone(), caller(request), name.to_owned());
        self.entry(reply, async move {
            fs.make_folder(caller, parent.0, &name, mode, umask).await
        });
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (fs, name) = (self.fs.clone(), name.to_owned());
        self.empty(reply, async move { fs.unlink(parent.0, &name).await });
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (fs, name) = (self.fs.clone(), name.to_owned());
        self.empty(
            reply,
            async move { fs.remove_folder(parent.0, &name).await },
        );
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let (fs, caller) = (self.fs.clone(), caller(request));
        let (name, target) = (name.to_owned(), target.as_os_str().as_bytes().to_vec());
        self.entry(reply, async move {
            fs.symlink(caller, parent.0, &name, &target).await
        });
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            return reply.error(fuser::Errno::EINVAL);
        }
        let flags = fs::RenameFlags {
            no_replace: flags.contains(RenameFlags::RENAME_NOREPLACE),
            exchange: flags.contains(RenameFlags::RENAME_EXCHANGE),
        };
        let (fs, name, new_name) = (self.fs.clone(), name.to_owned(), new_name.to_owned());
        self.empty(reply, async move {
            fs.rename(parent.0, &name, new_parent.0, &new_name, flags)
                .await
        });
    }

    fn link(
        &self,
        _request: &Request,
        ino: INodeNo,
        parent: INodeNo,
        name: &OsStr,
        reply: ReplyEntry,
    ) {
        let (fs, name) = (self.fs.clone(), name.to_owned());
        self.entry(reply, async move { fs.link(ino.0, parent.0, &name).await });
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let (fs, caller, backings) = (self.fs.clone(), caller(request), Arc::clone(&self.backings));
        self.serve(async move {
            let Opened { handle, io } = match fs.open_file(caller, ino.0, flags.0).await {
                Ok(opened) => opened,
                Err(error) => return reply.error(errno(error)),
            };
            let number = FileHandle(handle.0);
            match io {
                Io::Cached { keep } => reply.opened(number, cached_flags(keep, flags)),
                Io::Passthrough(file) => {
                    let register = || reply.open_backing(&*file);
                    let backing = backings.open(ino.0, handle.0, register);
                    match &backing.0 {
                        Some(id) => reply.opened_passthrough(number, FopenFlags::empty(), id),
                        None => reply.opened(number, FopenFlags::empty()),
                    }
                }
            }
        });
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let fs = self.fs.clone();
        self.serve(async move {
            match fs.read(Handle(handle.0), offset, size).await {
                Ok(data) => reply.data(&data),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (fs, data) = (self.fs.clone(), data.to_vec());
        let unprivileged = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        self.serve(async move {
            if unprivileged && let Err(error) = fs.drop_privileges(ino.0) {
                return reply.error(errno(error));
            }
            match fs.write(Handle(handle.0), offset, data).await {
                Ok(written) => reply.written(written),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn flush(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // What was written is safe from the end of this process already, and is sent after the last
        // close, which is told otherwise. So answered, the kernel does not ask at any close again.
        reply.error(fuser::Errno::ENOSYS);
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        // Before the core may choose anew how the inode is to be open.
        self.backings.release(handle.0);
        let fs = self.fs.clone();
        self.empty(reply, async move { fs.release(Handle(handle.0)).await });
    }

    fn fsync(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let fs = self.fs.clone();
        self.empty(reply, async move { fs.fsync(Handle(handle.0)).await });
    }

    fn opendir(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let fs = self.fs.clone();
        self.serve(async move {
            match fs.open_folder(ino.0).await {
                Ok(opened) => {
                    let mut flags = FopenFlags::empty();
                    flags.set(FopenFlags::FOPEN_CACHE_DIR, opened.may_keep);
                    flags.set(FopenFlags::FOPEN_KEEP_CACHE, opened.keep);
                    reply.opened(FileHandle(opened.handle.0), flags);
                }
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn readdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let fs = self.fs.clone();
        self.serve(async move {
            let each = |next: u64, name: &[u8], ino: u64, mode: u32| {
                let (ino, kind) = (INodeNo(ino), convert::kind(mode));
                reply.add(ino, next, kind, OsStr::from_bytes(name))
            };
            match fs.read_names(Handle(handle.0), offset, each).await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let fs = self.fs.clone();
        self.serve(async move {
            let (ttl, told) = (fs.ttl(), fs.clone());
            let each = |next: u64, name: &[u8], stat: &Stat| {
                let (ino, attr) = (INodeNo(stat.ino), attributes(stat));
                let full = reply.add(ino, next, OsStr::from_bytes(name), &ttl, &attr, GENERATION);
                if !full && name != b"." && name != b".." {
                    told.remember(stat.ino);
                }
                full
            };
            match fs.read_folder(Handle(handle.0), offset, each).await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn releasedir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.fs.release_folder(Handle(handle.0));
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let fs = self.fs.clone();
        self.empty(reply, async move { fs.fsync_folder(ino.0).await });
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let SpaceStat {
            total_bytes,
            free_bytes,
            nodes,
        } = self.fs.statfs();
        let unit = u64::from(SPACE_UNIT_BYTES);
        let (total, free) = (total_bytes / unit, free_bytes / unit);
        // How many more nodes there can be is known to nobody.
        let more = u64::from(u32::MAX);
        reply.statfs(
            total,
            free,
            free,
            nodes.saturating_add(more),
            more,
            SPACE_UNIT_BYTES,
            LONGEST_NAME_BYTES,
            SPACE_UNIT_BYTES,
        );
    }

    fn setxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        if is_acl(name) {
            return reply.error(fuser::Errno::EOPNOTSUPP);
        }
        let (fs, name, value) = (self.fs.clone(), name.to_owned(), value.to_vec());
        self.empty(reply, async move {
            fs.xattr_set(ino.0, &name, &value, flags).await
        });
    }

    fn getxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        size: u32,
        reply: ReplyXattr,
    ) {
        if is_acl(name) {
            return reply.error(fuser::Errno::EOPNOTSUPP);
        }
        let (fs, name) = (self.fs.clone(), name.to_owned());
        self.xattr(reply, size, async move { fs.xattr_get(ino.0, &name).await });
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let fs = self.fs.clone();
        self.xattr(reply, size, async move { fs.xattr_list(ino.0).await });
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if is_acl(name) {
            return reply.error(fuser::Errno::EOPNOTSUPP);
        }
        let (fs, name) = (self.fs.clone(), name.to_owned());
        self.empty(reply, async move { fs.xattr_remove(ino.0, &name).await });
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (fs, caller, backings) = (self.fs.clone(), caller(request), Arc::clone(&self.backings));
        let name = name.to_owned();
        self.serve(async move {
            let created = fs.create(caller, parent.0, &name, mode, umask, flags);
            let (stat, Opened { handle, io }) = match created.await {
                Ok(created) => created,
                Err(error) => return reply.error(errno(error)),
            };
            let (ttl, attr, number) = (fs.ttl(), attributes(&stat), FileHandle(handle.0));
            match io {
                Io::Cached { keep } => {
                    let flags = cached_flags(keep, OpenFlags(flags));
                    reply.created(&ttl, &attr, GENERATION, number, flags);
                }
                Io::Passthrough(file) => {
                    let register = || reply.open_backing(&*file);
                    let backing = backings.open(stat.ino, handle.0, register);
                    let flags = FopenFlags::empty();
                    match &backing.0 {
                        Some(id) => {
                            reply.created_passthrough(&ttl, &attr, GENERATION, number, flags, id);
                        }
                        None => reply.created(&ttl, &attr, GENERATION, number, flags),
                    }
                }
            }
        });
    }

    fn ioctl(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _data: &[u8],
        _answer_bytes: u32,
        reply: ReplyIoctl,
    ) {
        // Asked by whoever opens a file to see whether it is a terminal.
        reply.error(fuser::Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let fs = self.fs.clone();
        self.empty(reply, async move {
            fs.fallocate(Handle(handle.0), offset, length, mode).await
        });
    }

    fn lseek(
        &self,
        _request: &Request,
        _ino: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let Ok(offset) = u64::try_from(offset) else {
            return reply.error(fuser::Errno::ENXIO);
        };
        let fs = self.fs.clone();
        self.serve(async move {
            let found = fs.seek(Handle(handle.0), offset, whence).await;
            match found.map(i64::try_from) {
                Ok(Ok(found)) => reply.offset(found),
                Ok(Err(_)) => reply.error(fuser::Errno::EOVERFLOW),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn copy_file_range(
        &self,
        _request: &Request,
        _from_ino: INodeNo,
        from: FileHandle,
        from_offset: u64,
        _to_ino: INodeNo,
        to: FileHandle,
        to_offset: u64,
        length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let fs = self.fs.clone();
        let length = length.min(MOST_COPIED_BYTES);
        self.serve(async move {
            let (from, to) = (Handle(from.0), Handle(to.0));
            let copied = fs
                .copy_range(from, from_offset, to, to_offset, length)
                .await;
            match copied {
                Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
                Err(error) => reply.error(errno(error)),
            }
        });
    }
}
