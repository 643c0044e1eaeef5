//! What this machine's file system can be trusted with.

use std::os::fd::OwnedFd;

use rustix::fs::fstatfs;
use rustix::system::uname;

/// Since this version `syncfs` reports failed writes of files that are closed.
const REPORTS_SINCE: (u32, u32) = (5, 8);

/// File systems, by their number in `statfs(2)`, whose own `syncfs` writes everything and says what
/// it could not. Layered ones (overlay, FUSE, network) pass on one, the other, or neither.
const TRUSTED: [u64; 5] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0x0102_1994, // tmpfs
];

/// Whether one sync of the file system that holds `folder` does for all its files.
pub(super) fn reports_failed_writes(folder: &OwnedFd) -> bool {
    let release = uname();
    let is_new = release
        .release()
        .to_str()
        .ok()
        .and_then(version)
        .is_some_and(|version| version >= REPORTS_SINCE);
    is_new && fstatfs(folder).is_ok_and(|stat| is_trusted(stat.f_type))
}

fn is_trusted(kind: impl TryInto<u64>) -> bool {
    kind.try_into().is_ok_and(|kind| TRUSTED.contains(&kind))
}

/// Major and minor number of a kernel's release, as `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..end].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (release, expected) in [
            ("5.7.19-generic", false),
            ("5.8", true),
            ("5.10-rc1", true),
            ("5.15.0-91-generic", true),
            ("6.1.0-18-amd64", true),
            ("10.0.1", true),
            ("4.19.0", false),
            ("unknown", false),
        ] {
            let is_new = version(release).is_some_and(|version| version >= REPORTS_SINCE);
            assert_eq!(is_new, expected, "{release}");
        }
    }

    #[test]
    fn layered_file_systems_are_not_trusted() {
        assert!(is_trusted(0xef53_i64));
        for (name, kind) in [
            ("fuse", 0x6573_5546_i64),
            ("overlay", 0x794c_7630),
            ("nfs", 0x6969),
        ] {
            assert!(!is_trusted(kind), "{name}");
        }
    }
}
