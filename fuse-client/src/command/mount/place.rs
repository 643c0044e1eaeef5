//! The folder of a mount's cache.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Names the drive whose cache it is.
const IDENTITY: &str = "drive.json";
/// Where what is known of the drive is kept, once it was mounted.
const STATE: &str = "state.db";
const LOG: &str = "coffer.log";
/// The log of a mount in the background starts anew beyond this.
const LONGEST_LOG_BYTES: u64 = 1 << 20;

/// Whose cache a folder is. Files of one drive must never be sent to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Of the drive.
    pub url: String,
    /// Whose log-in; what is seen of a server depends on it.
    pub user: Option<String>,
}

/// Where the cache of a drive is unless the user says otherwise.
pub fn usual(identity: &Identity) -> PathBuf {
    let digest = Sha256::digest(
        [
            &identity.url,
            "\n",
            identity.user.as_deref().unwrap_or_default(),
        ]
        .concat(),
    );
    let [first, second, third, fourth, ..] = digest.0;
    let digest = u32::from_be_bytes([first, second, third, fourth]);
    let host = identity.url.split("://").nth(1).unwrap_or(&identity.url);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let user = identity.user.as_deref().unwrap_or("anonymous");
    base().join(format!("{}-{}-{digest:08x}", plain(host), plain(user)))
}

/// The folder that has the usual caches.
pub fn base() -> PathBuf {
    let variable = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        // Without a home only root mounts: at boot.
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("coffer")
}

fn plain(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name = name.chars().map(|c| if safe(c) { c } else { '_' });
    name.take(64).collect()
}

/// Makes the folder, or makes sure that it is the cache of this drive; it is nobody else's to read.
pub fn make(cache: &Path, identity: &Identity) -> anyhow::Result<PathBuf> {
    let name = cache.display();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(cache)
        .with_context(|| {
            format!("the cache folder {name} cannot be made; --cache names another")
        })?;
    let cache = cache.canonicalize().with_context(|| name.to_string())?;
    match whose(&cache)? {
        Some(other) if other != *identity && cache.join(STATE).exists() => bail!(
            "{name} is the cache of another drive, {}{}; --cache names another folder",
            other.url,
            other
                .user
                .map(|user| format!(" of {user}"))
                .unwrap_or_default()
        ),
        Some(same) if same == *identity => {}
        // Nothing was ever mounted from it: the address or the user was a wrong one.
        Some(_) => write(&cache, identity).with_context(|| format!("the cache folder {name}"))?,
        None => {
            let mut entries = fs::read_dir(&cache).with_context(|| name.to_string())?;
            if entries.next().is_some() {
                bail!(
                    "{name} is not empty, and not a cache of coffer; --cache names another folder"
                );
            }
            write(&cache, identity).with_context(|| format!("the cache folder {name}"))?;
        }
    }
    fs::set_permissions(&cache, Permissions::from_mode(0o700))
        .with_context(|| format!("the cache folder {name}"))?;
    Ok(cache)
}

/// Whose cache it is; `None` for a folder that is none.
pub fn whose(cache: &Path) -> anyhow::Result<Option<Identity>> {
    let path = cache.join(IDENTITY);
    match fs::read(&path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| {
            format!("{} is damaged; move its folder aside", path.display())
        })?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn write(cache: &Path, identity: &Identity) -> anyhow::Result<()> {
    // Whole or not at all: a disk may be full.
    let part = cache.join(".drive.json.new");
    let written = fs::write(&part, serde_json::to_vec(identity)?)
        .and_then(|()| File::open(&part)?.sync_all())
        .and_then(|()| fs::rename(&part, cache.join(IDENTITY)));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    Ok(written?)
}

/// For what a mount in the background has to say.
pub fn log(cache: &Path) -> anyhow::Result<File> {
    let path = cache.join(LOG);
    let long = fs::metadata(&path).is_ok_and(|data| data.len() > LONGEST_LOG_BYTES);
    let mut options = File::options();
    options.create(true);
    if long {
        options.write(true).truncate(true);
    } else {
        options.append(true);
    }
    options
        .open(&path)
        .with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(url: &str) -> Identity {
        Identity {
            url: url.to_owned(),
            user: Some("ann@example.org".to_owned()),
        }
    }

    #[test]
    fn the_usual_place_names_host_and_user() {
        let place = usual(&identity("https://drive.example:8443/dav/"));
        let name = place.file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with("drive.example_8443-ann_example.org-"),
            "{name}"
        );
        assert_ne!(place, usual(&identity("https://drive.example:8443/dav/b/")));
    }

    #[test]
    fn a_cache_belongs_to_one_drive_and_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("a/b");
        let ours = identity("https://h/dav/");
        make(&cache, &ours).unwrap();
        make(&cache, &ours).unwrap();
        assert_eq!(
            fs::metadata(&cache).unwrap().permissions().mode() & 0o777,
            0o700
        );
        make(&cache, &identity("https://mistyped/dav/")).unwrap();
        make(&cache, &ours).unwrap();
        fs::write(cache.join(STATE), "").unwrap();
        let refused = make(&cache, &identity("https://other/dav/")).unwrap_err();
        assert!(refused.to_string().contains("another drive"), "{refused}");
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("letter"), "").unwrap();
        assert!(make(folder.path(), &identity("https://h/dav/")).is_err());
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
