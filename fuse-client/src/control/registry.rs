//! Which mounts run, so that they are found without knowing their caches.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A mount that runs, or has ended without a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of the drive.
    pub url: String,
    /// Where it is mounted.
    pub directory: PathBuf,
    /// Folder of its cache, with the socket.
    pub cache: PathBuf,
    /// Process that serves it.
    pub pid: u32,
}

/// A line in the registry, for as long as it lives.
#[derive(Debug)]
pub struct Registration(PathBuf);

impl Drop for Registration {
    fn drop(&mut self) {
        // Left over it is found to be dead.
        let _ = fs::remove_file(&self.0);
    }
}

/// Enters a mount.
///
/// # Errors
/// Those of the file system.
pub fn register(record: &Record) -> io::Result<Registration> {
    let folder = folders().into_iter().next().unwrap_or_default();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    let path = folder.join(format!("{}.json", record.pid));
    // Whoever reads it meanwhile must not find half of it.
    let whole = folder.join(format!(".{}.new", record.pid));
    fs::write(&whole, serde_json::to_vec(record)?)?;
    fs::rename(&whole, &path)?;
    Ok(Registration(path))
}

/// All that were entered by this user.
pub fn all() -> Vec<Record> {
    let mut records: Vec<Record> = folders().iter().flat_map(|folder| read(folder)).collect();
    records.sort_by(|a, b| a.directory.cmp(&b.directory));
    records
}

/// Takes out a mount that has ended without a word.
pub fn forget(record: &Record) {
    for folder in folders() {
        let path = folder.join(format!("{}.json", record.pid));
        if parse(&path).as_ref() == Some(record) {
            let _ = fs::remove_file(path);
        }
    }
}

fn read(folder: &Path) -> Vec<Record> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let records = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    records.filter_map(|path| parse(&path)).collect()
}

fn parse(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Where records may lie; new ones go to the first. Root mounts at boot, when there is no session.
fn folders() -> Vec<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let session = variable("XDG_RUNTIME_DIR").map(|folder| folder.join("coffer"));
    let state = variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|folder| folder.join("coffer/mounts"));
    let boot = rustix::process::geteuid()
        .is_root()
        .then(|| PathBuf::from("/run/coffer"));
    [session, boot, state].into_iter().flatten().collect()
}
