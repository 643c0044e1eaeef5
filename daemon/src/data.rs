//! The data folder, and the lock that keeps a second writer out of it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why the data folder cannot be used: what was tried, what happened, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "cannot create the data folder {path}: {error}; choose another with --data or change the \
         owner of the folder above it"
    )]
    Create { path: PathBuf, error: io::Error },
    #[error(
        "cannot write to the data folder {path}: {error}; choose another with --data or change \
         its owner to the user that runs cofferd"
    )]
    Write { path: PathBuf, error: io::Error },
    #[error(
        "the data folder {path} is in use by another cofferd{}; end that one or choose another \
         with --data",
        named(holder)
    )]
    Taken { path: PathBuf, holder: String },
    #[error("there is no data folder {path}; check --data, or start cofferd once to create it")]
    Absent { path: PathBuf },
}

fn named(holder: &str) -> String {
    if holder.is_empty() {
        String::new()
    } else {
        format!(" (process {holder})")
    }
}

/// The right to write to a data folder; given back when dropped, also by a crash.
#[derive(Debug)]
pub struct DataLock(#[expect(dead_code, reason = "held for its lock")] File);

/// Makes the data folder, readable by us alone, unless it is there.
pub fn create(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::Create {
        path: path.to_owned(),
        error,
    })
}

impl DataLock {
    /// Takes the lock of a folder that is there; `None` when another process holds it.
    pub fn try_take(folder: &Path) -> Result<Option<Self>, Error> {
        match Self::take(folder) {
            Ok(lock) => Ok(Some(lock)),
            Err(Error::Taken { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Takes the lock of a folder that is there.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        if !folder.is_dir() {
            return Err(Error::Absent {
                path: folder.to_owned(),
            });
        }
        let write_error = |error| Error::Write {
            path: folder.to_owned(),
            error,
        };
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(folder.join("lock")).map_err(write_error)?;
        match file.try_lock() {
            Ok(()) => {
                // The number is for people; the lock itself is what counts.
                file.set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()))
                    .map_err(write_error)?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: without it the message is shorter.
                let _ = file
                    .rewind()
                    .and_then(|()| file.read_to_string(&mut holder));
                let holder = holder.trim().to_owned();
                Err(Error::Taken {
                    path: folder.to_owned(),
                    holder,
                })
            }
            Err(TryLockError::Error(error)) => Err(write_error(error)),
        }
    }
}

/// A file in the data folder that is there while the daemon runs; removed when dropped.
pub struct Announcement(PathBuf);

impl Announcement {
    /// Writes `text` so that a reader sees all of it or no file.
    pub fn write(folder: &Path, name: &str, text: &str) -> Result<Self, Error> {
        let path = folder.join(name);
        write_private(&path, text).map_err(|error| Error::Write {
            path: folder.to_owned(),
            error,
        })?;
        Ok(Self(path))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Left over it is stale, and replaced at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes a file, readable by us alone, so that a reader sees all of it or none.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = DataLock::take(folder.path()).unwrap();
        assert!(DataLock::try_take(folder.path()).unwrap().is_none());
        let error = DataLock::take(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("(process {})", std::process::id())),
            "{error}"
        );
        drop(lock);
        assert!(DataLock::try_take(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_is_not_there_or_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = DataLock::take(&folder.path().join("x"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("there is no data folder"), "{error}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = create(&file.join("data")).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot create the data folder"),
            "{error}"
        );
    }
}
