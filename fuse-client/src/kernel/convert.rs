//! Between the numbers of the kernel and our types.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use rustix::io::Errno;

use crate::fs::{Stat, Time};

/// What programs are told to read and write at once. The C library's buffers take this size, and
/// since every write becomes a request, larger ones are worth much.
const BLOCK_BYTES: u32 = 128 * 1024;

const FORMAT: u32 = 0o170_000;
const NS: i128 = 1_000_000_000;

/// As the kernel wants it.
pub(super) fn errno(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}

/// As the kernel wants it.
pub(super) fn attributes(stat: &Stat) -> FileAttr {
    FileAttr {
        ino: INodeNo(stat.ino),
        size: stat.size,
        blocks: stat.blocks,
        atime: from_ns(stat.atime_ns),
        mtime: from_ns(stat.mtime_ns),
        ctime: from_ns(stat.ctime_ns),
        crtime: UNIX_EPOCH,
        kind: kind(stat.mode),
        // Twelve bits.
        perm: u16::try_from(stat.mode & 0o7777).unwrap_or_default(),
        nlink: stat.nlink,
        uid: stat.uid,
        gid: stat.gid,
        // The protocol has 32 bits, and `mknod` brought no more.
        rdev: u32::try_from(stat.rdev).unwrap_or_default(),
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// The file type in a mode.
pub(super) fn kind(mode: u32) -> FileType {
    match mode & FORMAT {
        0o010_000 => FileType::NamedPipe,
        0o020_000 => FileType::CharDevice,
        0o040_000 => FileType::Directory,
        0o060_000 => FileType::BlockDevice,
        0o120_000 => FileType::Symlink,
        0o140_000 => FileType::Socket,
        _ => FileType::RegularFile,
    }
}

/// A time to set.
pub(super) fn time(time: TimeOrNow) -> Time {
    match time {
        TimeOrNow::Now => Time::Now,
        TimeOrNow::SpecificTime(at) => Time::At(to_ns(at)),
    }
}

fn from_ns(ns: i64) -> SystemTime {
    let distance = Duration::from_nanos(ns.unsigned_abs());
    if ns < 0 {
        UNIX_EPOCH - distance
    } else {
        UNIX_EPOCH + distance
    }
}

/// Undoes what fuser did to a time of the kernel: before 1970 it takes the nanoseconds away from the
/// (negative) seconds instead of adding them.
fn to_ns(time: SystemTime) -> i64 {
    let ns = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::from(after.as_secs()) * NS + i128::from(after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            -i128::from(before.as_secs()) * NS + i128::from(before.subsec_nanos())
        }
    };
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_what_the_kernel_said() {
        // 1969-12-31 23:59:58.8 comes as -2 s and 800,000,000 ns, of which fuser makes -2.8 s.
        let from_fuser = UNIX_EPOCH - Duration::new(2, 800_000_000);
        assert_eq!(to_ns(from_fuser), -1_200_000_000);
        assert_eq!(
            from_ns(-1_200_000_000),
            UNIX_EPOCH - Duration::new(1, 200_000_000)
        );
        assert_eq!(to_ns(UNIX_EPOCH + Duration::new(1, 5)), 1_000_000_005);
    }

    #[test]
    fn every_file_type_is_told() {
        assert_eq!(kind(0o100_644), FileType::RegularFile);
        assert_eq!(kind(0o040_755), FileType::Directory);
        assert_eq!(kind(0o120_777), FileType::Symlink);
        assert_eq!(kind(0o010_600), FileType::NamedPipe);
        assert_eq!(kind(0o020_600), FileType::CharDevice);
        assert_eq!(kind(0o060_600), FileType::BlockDevice);
        assert_eq!(kind(0o140_600), FileType::Socket);
    }
}
