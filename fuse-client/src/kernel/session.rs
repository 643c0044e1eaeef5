//! From a file system to a mount, and its end.

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fuser::{BackingId, Config, MountOption, Session, SessionACL};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use tokio::runtime::Handle as Runtime;
use tokio::sync::watch;

use super::backing::Backings;
use super::{Adapter, invalidate, point};
use crate::drive::Drive;
use crate::fs::Fs;

/// Threads that read requests. What has to wait does so elsewhere, so that more would not help.
const EVENT_LOOPS: usize = 2;
/// Read ahead by the kernel, where root may choose that.
const READ_AHEAD_KIB: &str = "1024";
/// `f_type` of overlayfs, which is a file system upon others itself.
const OVERLAYFS: i64 = 0x794c_7630;

/// How to mount.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one word of mount(8), free of the others"
)]
pub struct Options {
    /// Where; without symbolic links, as from [`point::prepare`].
    pub directory: PathBuf,
    /// What `mount` lists as the source.
    pub source: OsString,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Other users may enter, as far as the modes of the files let them.
    pub allow_other: bool,
    /// Nothing can be changed.
    pub read_only: bool,
    /// Device files work.
    pub devices: bool,
    /// Set-user-ID programs work.
    pub set_user_id: bool,
    /// Programs cannot be run.
    pub no_execute: bool,
    /// Reading sets no times.
    pub no_access_times: bool,
    /// Let the kernel read and write complete files by itself, if it can.
    pub passthrough: bool,
}

/// Why it was not mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// No `/dev/fuse`.
    #[error(
        "/dev/fuse is not there: load the kernel module (`modprobe fuse`), or let the container have the device"
    )]
    NoDevice,
    /// The helper refused, or is missing.
    #[error("{0}")]
    Refused(String),
    /// `allow_other` by a user who may not.
    #[error(
        "other users cannot be let in: root has to allow that by `user_allow_other` in /etc/fuse.conf"
    )]
    OthersNotAllowed,
    /// Anything else.
    #[error("{}", directory.display())]
    Io {
        /// Where.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A running mount.
#[derive(Debug)]
pub struct Mounted {
    directory: PathBuf,
    ended: watch::Receiver<bool>,
    /// Whether the kernel reads and writes complete files by itself.
    pub passthrough: bool,
}

impl Mounted {
    /// Waits until it is unmounted, by whomever.
    pub async fn ended(&self) {
        // An error: the thread is gone, and with it the mount.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Unmounts; [`Self::ended`] follows.
    ///
    /// # Errors
    /// EBUSY while programs use it, unless `lazy`.
    pub fn unmount(&self, lazy: bool) -> io::Result<()> {
        unmount(&self.directory, lazy)
    }
}

/// Unmounts. What programs have written to memory that they have mapped is written first.
///
/// # Errors
/// EBUSY while programs use it, unless `lazy`.
pub fn unmount(directory: &Path, lazy: bool) -> io::Result<()> {
    if lazy {
        // A detached mount is served no longer, so that this is the last occasion.
        if let Ok(folder) = File::open(directory) {
            let _ = rustix::fs::syncfs(&folder);
        }
    }
    point::unmount(directory, lazy)
}

/// Mounts, and serves on threads of its own.
///
/// # Errors
/// [`MountError`].
pub fn mount<D: Drive>(
    fs: &Fs<D>,
    runtime: &Runtime,
    options: &Options,
) -> Result<Mounted, MountError> {
    let backings = Arc::new(Backings::default());
    let offered = Arc::new(AtomicBool::new(false));
    let adapter = Adapter {
        fs: fs.clone(),
        runtime: runtime.clone(),
        backings,
        stack_depth: options.passthrough.then(|| stack_depth(&options.cache)),
        passthrough: Arc::clone(&offered),
    };
    let io = |source| MountError::Io {
        directory: options.directory.clone(),
        source,
    };
    fs.count_lookups();
    let session = start(adapter, options)?;
    let passthrough = offered.load(Ordering::Relaxed) && takes_files(&session, &options.cache);
    fs.allow_passthrough(passthrough);
    let notifier = session.notifier();
    invalidate::spawn(notifier, fs.take_invalidations()).map_err(io)?;
    let background = session.spawn().map_err(io)?;
    let (tell, ended) = watch::channel(false);
    thread::Builder::new()
        .name("mount".to_owned())
        .spawn(move || {
            if let Err(error) = background.join() {
                tracing::error!(%error, "the connection to the kernel broke");
            }
            tell.send_replace(true);
        })
        .map_err(io)?;
    read_ahead(&options.directory);
    Ok(Mounted {
        directory: options.directory.clone(),
        ended,
        passthrough,
    })
}

fn start<D: Drive>(
    adapter: Adapter<D>,
    options: &Options,
) -> Result<Session<Adapter<D>>, MountError> {
    let mut config = Config::default();
    config.n_threads = Some(EVENT_LOOPS);
    config.clone_fd = true;
    config.acl = if options.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied if source.to_string().contains("user_allow_other") => {
            MountError::OthersNotAllowed
        }
        io::ErrorKind::NotFound if !Path::new("/dev/fuse").exists() => MountError::NoDevice,
        io::ErrorKind::NotFound => MountError::Refused(
            "mounting as an ordinary user needs the program fusermount3 (Debian and Ubuntu: \
             package fuse3)"
                .to_owned(),
        ),
        io::ErrorKind::Other => MountError::Refused(source.to_string().trim().to_owned()),
        _ => MountError::Io {
            directory: options.directory.clone(),
            source,
        },
    };
    match by_root(options) {
        Ok(Some(device)) => {
            let started = Session::from_fd(adapter, device, config.acl, config);
            started.map_err(|error| {
                let _ = point::unmount(&options.directory, true);
                failed(error)
            })
        }
        Ok(None) => {
            config.mount_options = for_helper(options);
            Session::new(adapter, &options.directory, &config).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Mounts by the system call, under a type of our own. `None`: that is for root only.
fn by_root(options: &Options) -> io::Result<Option<OwnedFd>> {
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    if options.allow_other {
        data.push_str(",allow_other");
    }
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::NODEV, !options.devices);
    flags.set(MountFlags::NOSUID, !options.set_user_id);
    flags.set(MountFlags::RDONLY, options.read_only);
    flags.set(MountFlags::NOEXEC, options.no_execute);
    flags.set(MountFlags::NOATIME, options.no_access_times);
    let source = CString::new(options.source.as_bytes())?;
    let data = CString::new(data)?;
    match rustix::mount::mount(
        source.as_c_str(),
        &options.directory,
        point::KIND,
        flags,
        data.as_c_str(),
    ) {
        Ok(()) => Ok(Some(device)),
        Err(Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The same for `fusermount3`, which lets an ordinary user have neither devices nor set-user-ID.
fn for_helper(options: &Options) -> Vec<MountOption> {
    let mut list = vec![
        MountOption::FSName(point::escape_option(&options.source)),
        MountOption::Subtype("coffer".to_owned()),
        MountOption::DefaultPermissions,
    ];
    let chosen = [
        (options.read_only, MountOption::RO),
        (options.no_execute, MountOption::NoExec),
        (options.no_access_times, MountOption::NoAtime),
    ];
    list.extend(
        chosen
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, option)| option),
    );
    list
}

/// File systems there may be below a mount with passthrough, counted by the kernel.
fn stack_depth(cache: &Path) -> u32 {
    let on_overlay = rustix::fs::statfs(cache).is_ok_and(|stat| {
        #[allow(
            clippy::unnecessary_cast,
            clippy::cast_lossless,
            reason = "the type of f_type differs between machines"
        )]
        let kind = stat.f_type as i64;
        kind == OVERLAYFS
    });
    if on_overlay { 2 } else { 1 }
}

/// Whether the kernel takes files of the cache: it asks for `CAP_SYS_ADMIN`, and for a file system it
/// can pass on to. The one tried stays registered, empty and without a name, until the mount ends.
fn takes_files<D: Drive>(session: &Session<Adapter<D>>, cache: &Path) -> bool {
    let path = cache.join(format!(".passthrough-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    let _ = fs::remove_file(&path);
    file.and_then(|file| BackingId::create_raw(session, &file))
        .is_ok()
}

/// The protocol lets us ask for less than the kernel's default only; root may raise it.
fn read_ahead(directory: &Path) {
    if let Ok(Some(point)) = point::at(directory) {
        // Not ours to choose, then.
        let _ = fs::write(
            format!("/sys/class/bdi/{}/read_ahead_kb", point.device),
            READ_AHEAD_KIB,
        );
    }
}
