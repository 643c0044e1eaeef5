//! Where the drive is mounted in the URL space, and under which aliases.

use super::{MAX_DEPTH, MAX_PATH_BYTES, PathError, ResourcePath, encode_into};

/// Room for a mount's own names on top of the limits of a path below it.
const MOUNT_BYTES: usize = 512;
const MOUNT_DEPTH: usize = 8;
const USER: &str = "{user}";

/// The prefixes below which the caller's drive is served, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    /// Decoded names of each prefix; `{user}` stands for the caller's own name.
    prefixes: Vec<Vec<String>>,
}

/// [`Mounts`] as one caller sees them.
#[derive(Debug, Clone, Copy)]
pub struct OwnMounts<'a> {
    mounts: &'a Mounts,
    user: &'a str,
}

/// A path below a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Which prefix matched, as an index into those given to [`Mounts::new`].
    pub prefix: usize,
    /// The escaped prefix as the client wrote its names, without a trailing slash: hrefs of an
    /// answer begin with it.
    pub base: String,
    /// The path below the prefix.
    pub path: ResourcePath,
}

/// Why a path could not be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ResolveError {
    /// The path is malformed or over a limit.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A good path, but below none of the mounts.
    #[error("the path is outside the drive")]
    Outside,
}

impl Mounts {
    /// Takes prefixes such as `/dav` and `/remote.php/dav/files/{user}`, most specific first.
    ///
    /// # Errors
    /// [`PathError`] when a prefix is not a path of at most eight names and 512 bytes.
    pub fn new<'p>(prefixes: impl IntoIterator<Item = &'p str>) -> Result<Self, PathError> {
        let names = |prefix: &str| {
            let path = ResourcePath::decode_within(prefix, MOUNT_BYTES, MOUNT_DEPTH)?;
            Ok(path.segments().map(str::to_owned).collect())
        };
        let prefixes = prefixes
            .into_iter()
            .map(names)
            .collect::<Result<_, PathError>>()?;
        Ok(Self { prefixes })
    }

    /// The mounts with `{user}` filled in.
    pub fn of<'a>(&'a self, user: &'a str) -> OwnMounts<'a> {
        OwnMounts { mounts: self, user }
    }
}

impl OwnMounts<'_> {
    /// Decodes `raw` and strips the first prefix that matches it, name by name.
    ///
    /// `{user}` matches the caller's own name only, whatever its ASCII case.
    ///
    /// # Errors
    /// [`ResolveError::Outside`] when no prefix matches; [`ResolveError::Path`] when the path is
    /// malformed, or over a limit once the prefix is off.
    pub fn resolve(&self, raw: &str) -> Result<Mounted, ResolveError> {
        let full = ResourcePath::decode_within(
            raw,
            MAX_PATH_BYTES + MOUNT_BYTES,
            MAX_DEPTH + MOUNT_DEPTH,
        )?;
        let (prefix, end) = self
            .mounts
            .prefixes
            .iter()
            .enumerate()
            .find_map(|(index, names)| Some((index, self.matched_bytes(names, &full)?)))
            .ok_or(ResolveError::Outside)?;
        let (mount, rest) = full.text.split_at(end);
        let path = ResourcePath {
            text: rest.trim_start_matches('/').to_owned(),
            trailing_slash: full.trailing_slash || rest.is_empty(),
        };
        if path.text.len() + 1 > MAX_PATH_BYTES {
            return Err(PathError::TooLong.into());
        }
        if path.depth() > MAX_DEPTH {
            return Err(PathError::TooDeep.into());
        }
        Ok(Mounted {
            prefix,
            base: escaped_base(mount),
            path,
        })
    }

    /// How many bytes of `full` the prefix covers, if it does.
    fn matched_bytes(&self, names: &[String], full: &ResourcePath) -> Option<usize> {
        let mut segments = full.segments();
        let mut bytes = 0;
        for name in names {
            let segment = segments.next()?;
            let same = if name == USER {
                segment.eq_ignore_ascii_case(self.user)
            } else {
                segment == name
            };
            if !same {
                return None;
            }
            bytes += segment.len() + 1;
        }
        Some(bytes.saturating_sub(1))
    }
}

impl Mounted {
    /// The escaped form of the whole path, in the shape the request had.
    pub fn href(&self) -> String {
        format!("{}{}", self.base, self.path.encode())
    }
}

fn escaped_base(mount: &str) -> String {
    let mut out = Vec::with_capacity(mount.len() + 1);
    if !mount.is_empty() {
        out.push(b'/');
        encode_into(&mut out, mount);
    }
    String::from_utf8(out).expect("the escaped form is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> Mounts {
        Mounts::new([
            "/dav",
            "/remote.php/dav/files/{user}",
            "/remote.php/webdav/",
        ])
        .unwrap()
    }

    fn resolve(raw: &str) -> Result<(usize, String, String), ResolveError> {
        mounts()
            .of("alice")
            .resolve(raw)
            .map(|m| (m.prefix, m.base, m.path.as_str().to_owned()))
    }

    #[test]
    fn every_alias_leads_to_the_same_path() {
        let found = |prefix, base: &str| Ok((prefix, base.to_owned(), "a b/c".to_owned()));
        assert_eq!(resolve("/dav/a%20b/c"), found(0, "/dav"));
        assert_eq!(
            resolve("/remote.php/dav/files/Alice/a%20b/c/"),
            found(1, "/remote.php/dav/files/Alice")
        );
        assert_eq!(
            resolve("//remote.php/webdav//a%20b/c"),
            found(2, "/remote.php/webdav")
        );
    }

    #[test]
    fn prefixes_match_by_whole_name() {
        for raw in [
            "/davish/x",
            "/da",
            "/",
            "/DAV/x",
            "/remote.php/dav/files/bob/x",
            "/x/dav",
        ] {
            assert_eq!(resolve(raw), Err(ResolveError::Outside), "{raw}");
        }
        assert_eq!(
            resolve("/dav/../x"),
            Err(ResolveError::Path(PathError::DotSegment))
        );
    }

    #[test]
    fn the_mount_itself_is_the_root() {
        for raw in ["/dav", "/dav/", "/d%61v"] {
            let mounted = mounts().of("alice").resolve(raw).unwrap();
            assert_eq!(mounted.path, ResourcePath::root());
            assert_eq!(mounted.href(), "/dav/");
        }
    }

    #[test]
    fn limits_count_from_the_mount() {
        let deep = format!("/dav{}", "/a".repeat(256));
        assert!(resolve(&deep).is_ok());
        assert_eq!(
            resolve(&format!("{deep}/a")),
            Err(ResolveError::Path(PathError::TooDeep))
        );
        let long = format!("/dav{}", format!("/{}", "a".repeat(255)).repeat(16));
        assert!(resolve(&long).is_ok());
        assert_eq!(
            resolve(&format!("{long}/a")),
            Err(ResolveError::Path(PathError::TooLong))
        );
    }

    #[test]
    fn a_drive_may_be_mounted_at_the_root() {
        let mounts = Mounts::new(["/"]).unwrap();
        let mounted = mounts.of("alice").resolve("/a/b").unwrap();
        assert_eq!((mounted.base.as_str(), mounted.path.as_str()), ("", "a/b"));
        assert_eq!(mounted.href(), "/a/b");
    }
}
