//! The process itself: its limits, its user, its pid file, its service manager.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, setgid, setgroups, setuid};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use sd_notify::NotifyState;

use crate::config::server::Server;

/// Nothing we create may be read by others.
pub fn keep_files_private() {
    umask(Mode::from_raw_mode(0o077));
}

/// Takes all the file descriptors that are allowed: each connection needs one, and the usual soft
/// limit of 1024 is meant for programs that use `select`.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Being refused leaves the old limit, which still serves.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

/// The user and group that the daemon is to become.
pub struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Identity {
    /// The configured one; `None` when the daemon stays who it is.
    pub fn of(server: &Server) -> anyhow::Result<Option<Self>> {
        let Some(name) = &server.user else {
            return Ok(None);
        };
        let user = User::from_name(name)
            .with_context(|| format!("server.user: the user {name} cannot be looked up"))?
            .with_context(|| format!("server.user: there is no user {name}"))?;
        let gid = match &server.group {
            None => user.gid,
            Some(group) => {
                Group::from_name(group)
                    .with_context(|| {
                        format!("server.group: the group {group} cannot be looked up")
                    })?
                    .with_context(|| format!("server.group: there is no group {group}"))?
                    .gid
            }
        };
        if Uid::effective() == user.uid && Gid::effective() == gid {
            return Ok(None);
        }
        if !Uid::effective().is_root() {
            bail!("server.user: only root can become {name}; start as root or remove the setting");
        }
        Ok(Some(Self {
            name: name.clone(),
            uid: user.uid,
            gid,
        }))
    }

    /// Gives it a file that was made before the change: the mode of a socket says what its owner
    /// and group may do.
    pub fn give(&self, path: &Path) -> anyhow::Result<()> {
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .with_context(|| format!("{} cannot be given to {}", path.display(), self.name))
    }

    /// Becomes it, for good and in all threads: first the supplementary groups, then the group,
    /// then the user, since each step takes away the right to the one before.
    pub fn assume(&self) -> anyhow::Result<()> {
        let c_name = CString::new(self.name.as_str()).context("server.user")?;
        let groups = getgrouplist(&c_name, self.gid).context("server.user: its groups")?;
        setgroups(&groups).context("server.user: setting its groups")?;
        setgid(self.gid).context("server.user: setting its group")?;
        setuid(self.uid).context("server.user: becoming it")?;
        if setuid(Uid::from_raw(0)).is_ok() && !self.uid.is_root() {
            bail!("server.user: root's rights were kept, which must not be");
        }
        Ok(())
    }
}

/// The pid file; removed when dropped.
pub struct PidFile(PathBuf);

impl PidFile {
    pub fn write(path: &Path) -> anyhow::Result<Self> {
        fs::File::create(path)
            .and_then(|mut file| writeln!(file, "{}", std::process::id()))
            .with_context(|| {
                format!(
                    "cannot write the pid file {}; check server.pid_file",
                    path.display()
                )
            })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A left-over file is harmless: its number is of a process that is gone.
        let _ = fs::remove_file(&self.0);
    }
}

/// Tells systemd, if it is there, that we serve.
pub fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells systemd, if it is there, that we end.
pub fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
