//! Places where file systems are mounted.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

/// What the kernel calls a mount of ours.
pub const KIND: &str = "fuse.coffer";

/// Times that a dead mount is taken away before we give up: somebody may have stacked them.
const MOST_DEAD: usize = 8;

/// A mounted file system, as in `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// Where.
    pub directory: PathBuf,
    /// Type, with subtype.
    pub kind: String,
    /// What.
    pub source: OsString,
    /// Major and minor number of its device: `0:51`.
    pub device: String,
}

/// Why nothing can be mounted at a place.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// There is nothing.
    #[error("{0} is not there: make it with `mkdir -p {0}`")]
    Missing(PathBuf),
    /// Not a folder.
    #[error("{0} is not a folder")]
    NotAFolder(PathBuf),
    /// It has files, which the mount would hide.
    #[error("{0} is not empty: what is in it would be hidden, so choose or make an empty folder")]
    NotEmpty(PathBuf),
    /// Something is mounted.
    #[error(
        "{directory} is already mounted ({source_name}): `coffer unmount {directory}` ends that"
    )]
    Mounted {
        /// Where.
        directory: PathBuf,
        /// What.
        source_name: String,
    },
    /// A mount without its program, and not ours, or it will not go.
    #[error(
        "{directory} is what is left of a mount whose program ended ({source_name}); \
         `fusermount3 -uz {directory}`, or `umount -l` as root, takes it away"
    )]
    Dead {
        /// Where.
        directory: PathBuf,
        /// What.
        source_name: String,
    },
    /// Anything else.
    #[error("{directory}")]
    Io {
        /// Where.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// All that are visible here, in the order in which they were mounted.
///
/// # Errors
/// Those of reading `/proc`.
pub fn all() -> io::Result<Vec<MountPoint>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// What is mounted at exactly this place: the uppermost, when there are several.
///
/// # Errors
/// Those of reading `/proc`.
pub fn at(directory: &Path) -> io::Result<Option<MountPoint>> {
    let found = |point: &MountPoint| point.directory == directory;
    Ok(all()?.into_iter().rfind(found))
}

/// Whether the program that served a mount has ended (ENOTCONN).
pub fn is_dead(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_err_and(|error| error == Errno::NOTCONN)
}

/// A path without symbolic links and `..`, even where a dead mount lies.
///
/// # Errors
/// When the folder it lies in is not there.
pub fn resolve(directory: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(directory)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => {
            let whole = parent.canonicalize()?.join(name);
            let is_link = whole.symlink_metadata().is_ok_and(|data| data.is_symlink());
            if is_link {
                whole.canonicalize()
            } else {
                Ok(whole)
            }
        }
        _ => absolute.canonicalize(),
    }
}

/// Makes sure that something can be mounted: an empty folder where nothing is mounted. A dead mount
/// of ours that was left there is taken away first.
///
/// # Errors
/// [`Unfit`].
pub fn prepare(directory: &Path) -> Result<PathBuf, Unfit> {
    let io = |source| Unfit::Io {
        directory: directory.to_owned(),
        source,
    };
    let place = resolve(directory).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unfit::Missing(directory.to_owned()),
        _ => io(error),
    })?;
    for _ in 0..MOST_DEAD {
        let Some(point) = at(&place).map_err(io)? else {
            return empty(place);
        };
        let source_name = point.source.to_string_lossy().into_owned();
        let directory = place.clone();
        if !(point.kind.starts_with("fuse") && is_dead(&place)) {
            return Err(Unfit::Mounted {
                directory,
                source_name,
            });
        }
        if point.kind != KIND || unmount(&place, true).is_err() {
            return Err(Unfit::Dead {
                directory,
                source_name,
            });
        }
    }
    Err(io(io::Error::other("too many dead mounts")))
}

fn empty(place: PathBuf) -> Result<PathBuf, Unfit> {
    let mut entries = match std::fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) => {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => Unfit::Missing(place),
                io::ErrorKind::NotADirectory => Unfit::NotAFolder(place),
                _ => Unfit::Io {
                    directory: place,
                    source: error,
                },
            });
        }
    };
    if entries.next().is_some() {
        return Err(Unfit::NotEmpty(place));
    }
    Ok(place)
}

/// Unmounts, by the helper program where the kernel leaves that to root.
///
/// # Errors
/// EBUSY while programs use it, unless `lazy`: then it is detached at once and ends with the last
/// of them.
pub fn unmount(directory: &Path, lazy: bool) -> io::Result<()> {
    let detach = if lazy {
        UnmountFlags::DETACH
    } else {
        UnmountFlags::empty()
    };
    match rustix::mount::unmount(directory, detach | UnmountFlags::NOFOLLOW) {
        Err(Errno::PERM) => by_helper(directory, lazy),
        // Nothing is mounted there any more (umount(2)): somebody else was faster.
        Err(Errno::INVAL) => Ok(()),
        done => Ok(done?),
    }
}

/// `fusermount3`, or the name it had before; it is set-user-ID root.
fn by_helper(directory: &Path, lazy: bool) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for program in ["fusermount3", "fusermount"] {
        let mut helper = Command::new(program);
        helper
            .arg(if lazy { "-uz" } else { "-u" })
            .arg("--")
            .arg(directory);
        helper.env("LC_ALL", "C");
        match helper.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                let busy = said.contains("busy");
                return Err(if busy {
                    Errno::BUSY.into()
                } else {
                    io::Error::other(said)
                });
            }
            Err(error) => last = error,
        }
    }
    Err(io::Error::new(
        last.kind(),
        format!("fusermount3 cannot be run: {last}"),
    ))
}

fn parse(text: &[u8]) -> Vec<MountPoint> {
    text.split(|&byte| byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<MountPoint> {
    let mut words = line.split(|&byte| byte == b' ');
    let device = String::from_utf8(words.nth(2)?.to_vec()).ok()?;
    let directory = PathBuf::from(unescape(words.nth(1)?));
    // Any number of optional fields, then a hyphen.
    let mut words = words.skip_while(|word| *word != b"-").skip(1);
    let kind = String::from_utf8_lossy(words.next()?).into_owned();
    let source = unescape(words.next()?);
    Some(MountPoint {
        directory,
        kind,
        source,
        device,
    })
}

/// Blanks, tabs, line ends and backslashes are written as `\` and three octal digits.
fn unescape(word: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'\\').then(|| after.get(..3)).flatten();
        let code =
            code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        if let Some(code) = code {
            out.push(code);
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = after;
        }
    }
    OsString::from_vec(out)
}

/// Of a source's name, what may stand in an option of `fusermount3`, where commas part.
pub(super) fn escape_option(text: &OsStr) -> String {
    let text = String::from_utf8_lossy(text.as_bytes());
    text.replace('\\', "\\\\").replace(',', "\\,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_blanks() {
        let text = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            97 22 0:51 / /home/a\\040b\\134 rw,nosuid - fuse.coffer https://h/dav/ rw,user_id=0\n\
            broken\n";
        let points = parse(text);
        assert_eq!(points.len(), 2);
        assert_eq!(points[1].directory, Path::new("/home/a b\\"));
        assert_eq!(points[1].kind, KIND);
        assert_eq!(points[1].source, "https://h/dav/");
        assert_eq!(points[1].device, "0:51");
    }

    #[test]
    fn only_an_empty_folder_is_fit() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("x");
        assert!(matches!(prepare(&inside), Err(Unfit::Missing(_))));
        std::fs::write(&inside, "").unwrap();
        assert!(matches!(prepare(&inside), Err(Unfit::NotAFolder(_))));
        assert!(matches!(prepare(folder.path()), Err(Unfit::NotEmpty(_))));
        std::fs::remove_file(&inside).unwrap();
        assert!(prepare(folder.path()).is_ok());
        assert!(matches!(
            prepare(Path::new("/proc")),
            Err(Unfit::Mounted { .. })
        ));
    }
}
