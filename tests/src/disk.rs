//! A disk of its own for a daemon's data, small enough to be filled.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

/// A file system in memory, mounted on a folder until dropped.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts `size_bytes` on `folder`, which is made. Needs root, by `sudo` where we are not.
    pub fn mount(folder: &Path, size_bytes: u64) -> Self {
        std::fs::create_dir_all(folder).expect("our own folder can be written");
        let options = format!("size={size_bytes},mode=0700");
        let mounted = as_root("mount")
            .args(["-t", "tmpfs", "-o", &options, "coffer-test"])
            .arg(folder)
            .output()
            .expect("mount can be run");
        assert!(mounted.status.success(), "mount: {mounted:?}");
        Self {
            folder: folder.to_owned(),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a process that is ending may still hold it.
        let _ = as_root("umount").arg("-l").arg(&self.folder).output();
    }
}

fn as_root(program: &str) -> Command {
    if geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}
