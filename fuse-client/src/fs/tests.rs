//! The core against a drive in memory.

mod crash;
mod echo;
mod elsewhere;
mod failed;
mod first;
mod forgotten;
mod links;
mod listing;
mod overtaken;
mod partly;
mod reach;
mod replaced;
mod through;
mod times;
mod unheard;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use tempfile::TempDir;

use super::{Caller, Change, Fs, Ino, Opened, Options, ROOT, RenameFlags};
use crate::drive::memory::{Fault, MemoryDrive, Verb};

const MIB: u64 = 1 << 20;
const ME: Caller = Caller { uid: 7, gid: 8 };

fn rdwr() -> i32 {
    OFlags::RDWR.bits().cast_signed()
}

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

async fn start(drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    let mut options = Options::new(cache.path());
    options.host = "desk".to_owned();
    options.debounce = Duration::ZERO;
    Fs::open(options, drive.clone()).await.unwrap()
}

async fn write(fs: &Fs<MemoryDrive>, parent: u64, at: &str, bytes: &[u8]) -> u64 {
    let (stat, opened) = fs
        .create(ME, parent, name(at), 0o644, 0o022, rdwr())
        .await
        .unwrap();
    fs.write(opened.handle, 0, bytes.to_vec()).await.unwrap();
    fs.release(opened.handle).await.unwrap();
    stat.ino
}

async fn edit(fs: &Fs<MemoryDrive>, ino: u64, offset: u64, bytes: &[u8]) {
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.write(opened.handle, offset, bytes.to_vec())
        .await
        .unwrap();
    fs.release(opened.handle).await.unwrap();
}

/// A mount of a drive with `/a` of another's, so long, and it opened to be written.
async fn open_theirs(
    drive: &MemoryDrive,
    cache: &TempDir,
    length: usize,
) -> (Fs<MemoryDrive>, Ino, Opened) {
    drive.as_other().write("/a", vec![1; length]).unwrap();
    let fs = start(drive, cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    (fs, ino, opened)
}

async fn read(fs: &Fs<MemoryDrive>, at: &str) -> Result<Vec<u8>, Errno> {
    let mut ino = ROOT;
    for part in at.split('/') {
        ino = fs.lookup(ino, name(part)).await?.ino;
    }
    let opened = fs.open_file(ME, ino, 0).await?;
    let bytes = fs.read(opened.handle, 0, 1 << 24).await?;
    fs.release(opened.handle).await?;
    Ok(bytes.into())
}

async fn names(fs: &Fs<MemoryDrive>, ino: u64) -> Vec<String> {
    let handle = fs.open_folder(ino).await.unwrap().handle;
    let mut names = Vec::new();
    fs.read_folder(handle, 0, |_, name, _| {
        names.push(String::from_utf8(name.to_vec()).unwrap());
        false
    })
    .await
    .unwrap();
    fs.release_folder(handle);
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}

async fn rename(fs: &Fs<MemoryDrive>, from: &str, to: &str) {
    fs.rename(ROOT, name(from), ROOT, name(to), RenameFlags::default())
        .await
        .unwrap();
}

/// Lets time, which is the runtime's, pass until something is so.
async fn until(is_so: impl Fn() -> bool + Send + Sync) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_hours(1), waiting);
    waited.await.expect("it never became so");
}

fn there(drive: &MemoryDrive) -> Vec<String> {
    drive.as_other().everything().into_keys().collect()
}

fn size(size: u64) -> Change {
    Change {
        size: Some(size),
        ..Change::default()
    }
}

/// How a long content is made up, for messages.
fn runs(bytes: &[u8]) -> String {
    let runs = bytes.chunk_by(|one, next| one == next).take(20);
    let runs: Vec<_> = runs
        .map(|run| format!("{} of {}", run.len(), run[0]))
        .collect();
    runs.join(", ")
}

#[track_caller]
fn check(got: &[u8], allowed: &[&[u8]]) {
    assert!(allowed.contains(&got), "got {}", runs(got));
}

fn content_files(cache: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for folder in std::fs::read_dir(cache.join("content")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            all.push(file.unwrap().path());
        }
    }
    all
}

async fn start_passthrough(drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    let mut options = Options::new(cache.path());
    options.host = "desk".to_owned();
    options.debounce = Duration::ZERO;
    options.passthrough = true;
    options.open_upload_interval = Duration::from_millis(50);
    let fs = Fs::open(options, drive.clone()).await.unwrap();
    fs.allow_passthrough(true);
    fs
}

#[tokio::test]
async fn what_is_written_here_arrives_there() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let folder = fs
        .make_folder(ME, ROOT, name("a"), 0o755, 0o022)
        .await
        .unwrap();
    write(&fs, folder.ino, "b", b"hello").await;
    fs.symlink(ME, ROOT, name("link"), b"a/b").await.unwrap();
    fs.settle().await;
    let other = drive.as_other();
    assert_eq!(other.read("/a/b").unwrap(), "hello");
    let listed = other.listed("/link").unwrap();
    assert_eq!(listed.attributes.target, Some(b"a/b".to_vec()));
    assert_eq!(fs.status().pending_names, 0);
    assert_eq!(read(&fs, "a/b").await.unwrap(), b"hello");
}

#[tokio::test]
async fn another_mount_sees_the_same() {
    let (drive, cache, second) = (
        MemoryDrive::extended(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"hello").await;
    let change = Change {
        mode: Some(0o700),
        ..Change::default()
    };
    fs.set_attributes(ME, ino, change, None).await.unwrap();
    fs.xattr_set(ino, name("user.x"), b"1", 0).await.unwrap();
    fs.settle().await;
    let was = fs.stat(ino).await.unwrap();
    let fs = start(&drive, &second).await;
    let now = fs.lookup(ROOT, name("a")).await.unwrap();
    assert_eq!((now.mode, now.uid, now.gid), (0o100_700, 7, 8));
    assert_eq!((now.size, now.mtime_ns), (5, was.mtime_ns));
    assert_eq!(fs.xattr_get(now.ino, name("user.x")).await.unwrap(), b"1");
    assert_eq!(read(&fs, "a").await.unwrap(), b"hello");
}

#[tokio::test]
async fn saving_by_renaming_over_is_one_write_of_the_target() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"one").await;
    fs.settle().await;
    drive.set_online(false);
    write(&fs, ROOT, "a.tmp", b"two").await;
    rename(&fs, "a.tmp", "a").await;
    drive.take_calls();
    drive.set_online(true);
    fs.flush_all().await.ok();
    settled(&fs).await;
    assert_eq!(drive.as_other().read("/a").unwrap(), "two");
    assert_eq!(there(&drive), ["/a"]);
    assert_eq!(drive.count(Verb::Rename), 0);
    assert_eq!(drive.count(Verb::RemoveFile), 0);
}

/// Waits until all has been sent, whatever the breaker thinks of the network.
async fn settled(fs: &Fs<MemoryDrive>) {
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            fs.settle().await;
            let status = fs.status();
            if status.pending_names + status.pending_files == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn names_that_are_exchanged_are_exchanged_there() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    for at in ["a", "b", "c"] {
        write(&fs, ROOT, at, at.as_bytes()).await;
    }
    fs.settle().await;
    rename(&fs, "a", "t").await;
    rename(&fs, "b", "a").await;
    rename(&fs, "c", "b").await;
    rename(&fs, "t", "c").await;
    fs.settle().await;
    let other = drive.as_other();
    assert_eq!(there(&drive), ["/a", "/b", "/c"]);
    assert_eq!(other.read("/a").unwrap(), "b");
    assert_eq!(other.read("/b").unwrap(), "c");
    assert_eq!(other.read("/c").unwrap(), "a");
}

#[tokio::test]
async fn a_folder_can_come_to_lie_in_one_that_lay_in_it() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let a = fs.make_folder(ME, ROOT, name("a"), 0o755, 0).await.unwrap();
    let b = fs
        .make_folder(ME, a.ino, name("b"), 0o755, 0)
        .await
        .unwrap();
    write(&fs, b.ino, "f", b"f").await;
    fs.settle().await;
    let flags = RenameFlags::default();
    fs.rename(a.ino, name("b"), ROOT, name("t"), flags)
        .await
        .unwrap();
    fs.rename(ROOT, name("a"), b.ino, name("a"), flags)
        .await
        .unwrap();
    fs.rename(ROOT, name("t"), ROOT, name("a"), flags)
        .await
        .unwrap();
    fs.settle().await;
    assert_eq!(there(&drive), ["/a", "/a/a", "/a/f"]);
}

#[tokio::test]
async fn both_versions_are_kept_when_both_sides_change_a_file() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a.txt", b"base").await;
    fs.settle().await;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.write(opened.handle, 0, b"ours".to_vec()).await.unwrap();
    drive.as_other().write("/a.txt", "theirs").unwrap();
    fs.release(opened.handle).await.unwrap();
    fs.settle().await;
    let all = there(&drive);
    assert_eq!(all.len(), 2, "{all:?}");
    let copy = all.iter().find(|path| path.contains("conflict")).unwrap();
    assert!(copy.starts_with("/a (conflict of desk "), "{copy}");
    assert_eq!(drive.as_other().read(copy).unwrap(), "ours");
    assert_eq!(drive.as_other().read("/a.txt").unwrap(), "theirs");
    assert_eq!(read(&fs, "a.txt").await.unwrap(), b"theirs");
    assert_eq!(fs.status().conflicts.len(), 1);
}

#[tokio::test]
async fn what_was_removed_here_and_changed_there_comes_back() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"base").await;
    fs.settle().await;
    drive.as_other().write("/a", "changed").unwrap();
    // Whichever side is heard first: the change is what stays.
    let _ = fs.unlink(ROOT, name("a")).await;
    fs.settle().await;
    let left = there(&drive);
    if left.is_empty() {
        assert!(
            drive
                .as_other()
                .replaced()
                .iter()
                .any(|bytes| bytes == "changed")
        );
    } else {
        assert_eq!(read(&fs, "a").await.unwrap(), b"changed");
    }
}

#[tokio::test]
async fn a_change_elsewhere_is_seen_here() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().make_folder("/d").unwrap();
    drive.as_other().write("/d/a", "one").unwrap();
    fs.settle().await;
    assert_eq!(read(&fs, "d/a").await.unwrap(), b"one");
    drive.as_other().write("/d/a", "second").unwrap();
    drive.as_other().rename("/d", "/e").unwrap();
    tokio::time::timeout(Duration::from_secs(10), async {
        while read(&fs, "e/a").await.ok().as_deref() != Some(b"second") {
            fs.settle().await;
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(names(&fs, ROOT).await, ["e"]);
}

#[tokio::test]
async fn a_plain_server_keeps_what_it_can() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"one").await;
    settled(&fs).await;
    edit(&fs, ino, 3, b" two").await;
    settled(&fs).await;
    rename(&fs, "a", "b").await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(drive.as_other().read("/b").unwrap(), "one two");
}

#[tokio::test]
async fn an_answer_that_got_lost_makes_no_second_copy() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    for verb in [Verb::Write, Verb::Rename, Verb::MakeFolder] {
        drive.fail_next(Some(verb), Fault::UnreachableAfter);
    }
    write(&fs, ROOT, "a", b"one").await;
    fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    settled(&fs).await;
    rename(&fs, "a", "b").await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b", "/d"]);
    assert!(fs.status().conflicts.is_empty());
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_end_of_the_process() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.set_online(false);
    let (_, opened) = fs
        .create(ME, ROOT, name("open"), 0o644, 0, rdwr())
        .await
        .unwrap();
    fs.write(opened.handle, 0, vec![7; 3 << 20]).await.unwrap();
    write(&fs, ROOT, "closed", b"closed").await;
    rename(&fs, "closed", "renamed").await;
    drop(fs);
    drive.set_online(true);
    let fs = start(&drive, &cache).await;
    assert_eq!(read(&fs, "open").await.unwrap(), vec![7; 3 << 20]);
    assert_eq!(read(&fs, "renamed").await.unwrap(), b"closed");
    settled(&fs).await;
    assert_eq!(there(&drive), ["/open", "/renamed"]);
    assert_eq!(drive.as_other().read("/open").unwrap(), vec![7; 3 << 20]);
}

#[tokio::test]
async fn a_small_change_of_a_large_file_sends_little() {
    let (drive, cache, second) = (
        MemoryDrive::extended(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", &vec![1; 8 << 20]).await;
    fs.settle().await;
    // A mount that has nothing of it fetches and sends only what it touches.
    let fs = start(&drive, &second).await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    drive.take_calls();
    edit(&fs, ino, (5 << 20) + 17, &[2; 4096]).await;
    fs.settle().await;
    let sent: u64 = drive
        .take_calls()
        .iter()
        .filter(|call| matches!(call.verb, Verb::Patch | Verb::Write))
        .map(|call| call.bytes)
        .sum();
    assert!(sent <= 2 << 20, "{sent}");
    let mut expected = vec![1; 8 << 20];
    expected[(5 << 20) + 17..][..4096].fill(2);
    assert_eq!(drive.as_other().read("/a").unwrap(), expected);
    assert_eq!(read(&fs, "a").await.unwrap(), expected);
}

#[tokio::test]
async fn cutting_and_growing_leaves_zeros() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", &vec![1; 3 << 20]).await;
    fs.settle().await;
    for size in [(1 << 20) + 5, 2 << 20] {
        let change = Change {
            size: Some(size),
            ..Change::default()
        };
        fs.set_attributes(ME, ino, change, None).await.unwrap();
    }
    fs.settle().await;
    let mut expected = vec![1; (1 << 20) + 5];
    expected.resize(2 << 20, 0);
    assert_eq!(drive.as_other().read("/a").unwrap(), expected);
    assert_eq!(read(&fs, "a").await.unwrap(), expected);
}

#[tokio::test]
async fn holes_are_found_in_what_is_here_and_nowhere_else() {
    const DATA: i32 = 3;
    const HOLE: i32 = 4;
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let end = 8 << 20;
    let ino = write(&fs, ROOT, "a", b"first").await;
    edit(&fs, ino, end, b"last").await;
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    let hole = fs.seek(opened.handle, 0, HOLE).await.unwrap();
    assert!(hole > 0 && hole < end, "{hole}");
    let data = fs.seek(opened.handle, hole, DATA).await.unwrap();
    assert!(data > hole && data <= end, "{data}");
    assert_eq!(fs.seek(opened.handle, end, HOLE).await.unwrap(), end + 4);
    let past = fs.seek(opened.handle, end + 4, DATA).await;
    assert_eq!(past.unwrap_err(), Errno::NXIO);
    fs.release(opened.handle).await.unwrap();
    fs.settle().await;

    // What is only on the server may be anything.
    let elsewhere = TempDir::new().unwrap();
    let fs = start(&drive, &elsewhere).await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    assert_eq!(fs.seek(opened.handle, hole, DATA).await.unwrap(), hole);
    assert_eq!(fs.seek(opened.handle, 0, HOLE).await.unwrap(), end + 4);
    fs.release(opened.handle).await.unwrap();
}

#[tokio::test]
async fn an_open_file_outlives_its_name() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"one").await;
    fs.settle().await;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.unlink(ROOT, name("a")).await.unwrap();
    fs.settle().await;
    assert_eq!(fs.read(opened.handle, 0, 10).await.unwrap(), "one");
    fs.write(opened.handle, 3, b"!".to_vec()).await.unwrap();
    assert_eq!(fs.read(opened.handle, 0, 10).await.unwrap(), "one!");
    fs.release(opened.handle).await.unwrap();
    fs.settle().await;
    assert!(there(&drive).is_empty());
    assert_eq!(fs.stat(ino).await.unwrap_err(), Errno::NOENT);
}

#[tokio::test]
async fn fsync_returns_when_the_server_has_it() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let (_, opened) = fs
        .create(ME, ROOT, name("a"), 0o644, 0, rdwr())
        .await
        .unwrap();
    for (at, text) in ["one", "onetwo"].into_iter().enumerate() {
        fs.write(
            opened.handle,
            3 * at as u64,
            text.as_bytes()[3 * at..].to_vec(),
        )
        .await
        .unwrap();
        fs.fsync(opened.handle).await.unwrap();
        assert_eq!(drive.as_other().read("/a").unwrap(), text);
    }
}

#[tokio::test]
async fn what_was_removed_here_before_a_change_there_was_heard_comes_back() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"base").await;
    fs.settle().await;
    drive.fail_next(Some(Verb::RemoveFile), Fault::Overtaken);
    fs.unlink(ROOT, name("a")).await.unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a"]);
    assert_eq!(names(&fs, ROOT).await, ["a"]);
}

#[tokio::test]
async fn a_folder_removed_there_is_made_again_for_what_was_changed_in_it_here() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let d = fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    let ino = write(&fs, d.ino, "a", b"a").await;
    write(&fs, d.ino, "b", b"b").await;
    fs.settle().await;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.write(opened.handle, 0, b"changed".to_vec())
        .await
        .unwrap();
    drive.as_other().remove("/d").unwrap();
    fs.settle().await;
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/d", "/d/a"]);
    assert_eq!(drive.as_other().read("/d/a").unwrap(), "changed");
}

#[tokio::test]
async fn content_gives_way_when_the_cache_is_full_but_not_what_is_unsent() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let mut options = Options::new(cache.path());
    options.max_bytes = 4 << 20;
    options.debounce = Duration::ZERO;
    let fs = Fs::open(options, drive.clone()).await.unwrap();
    for at in 0..8_u8 {
        write(&fs, ROOT, &at.to_string(), &vec![at; 1 << 20]).await;
        fs.settle().await;
    }
    assert!(fs.status().cache_bytes <= 5 << 20, "{:?}", fs.status());
    for at in 0..8_u8 {
        assert_eq!(read(&fs, &at.to_string()).await.unwrap(), vec![at; 1 << 20]);
    }
}

#[tokio::test]
async fn a_second_mount_of_a_cache_is_refused() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let second = Fs::open(Options::new(cache.path()), drive.clone()).await;
    assert!(matches!(
        second.err(),
        Some(super::StartError::InUse { .. })
    ));
    fs.close().await;
    assert!(Fs::open(Options::new(cache.path()), drive).await.is_ok());
}
