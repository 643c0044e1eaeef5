//! Times of folders, which the server changes with each name that comes or goes.

use std::time::Duration;

use tempfile::TempDir;

use super::{ME, name, start, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::{Change, Fs, Ino, ROOT, RenameFlags, Stat, Time};

const LONG_AGO: i64 = 946_684_799_123_456_789;

async fn set_time(fs: &Fs<MemoryDrive>, ino: Ino, at: i64) {
    let change = Change {
        mtime: Some(Time::At(at)),
        ..Change::default()
    };
    fs.set_attributes(ME, ino, change, None).await.unwrap();
}

/// A mount that has just made the folder `d`.
async fn with_folder() -> (MemoryDrive, TempDir, Fs<MemoryDrive>, Stat) {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let folder = fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    (drive, cache, fs, folder)
}

/// As another mount sees it.
async fn elsewhere(drive: &MemoryDrive, at: &str) -> i64 {
    let cache = TempDir::new().unwrap();
    let fs = start(drive, &cache).await;
    fs.settle().await;
    let mut found = fs.stat(ROOT).await.unwrap();
    for part in at.split('/') {
        found = fs.lookup(found.ino, name(part)).await.unwrap();
    }
    found.mtime_ns
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_folder_that_was_set_before_its_members_were_sent_is_kept() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.set_online(false);
    let folder = fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    let below = fs
        .make_folder(ME, folder.ino, name("e"), 0o755, 0)
        .await
        .unwrap();
    for at in ["a", "b", "c"] {
        write(&fs, below.ino, at, at.as_bytes()).await;
    }
    set_time(&fs, below.ino, LONG_AGO).await;
    set_time(&fs, folder.ino, LONG_AGO + 1).await;
    drive.set_online(true);
    fs.settle().await;
    assert_eq!(elsewhere(&drive, "d/e").await, LONG_AGO);
    assert_eq!(elsewhere(&drive, "d").await, LONG_AGO + 1);
    // Each was sent once, when its last name had been.
    assert_eq!(drive.count(Verb::SetAttributes), 2);
    for (ino, at) in [(below.ino, LONG_AGO), (folder.ino, LONG_AGO + 1)] {
        assert_eq!(fs.stat(ino).await.unwrap().mtime_ns, at);
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_when_names_are_removed_and_moved() {
    let (drive, _cache, fs, folder) = with_folder().await;
    for at in ["a", "b"] {
        write(&fs, folder.ino, at, at.as_bytes()).await;
    }
    fs.settle().await;
    drive.set_online(false);
    fs.unlink(folder.ino, name("a")).await.unwrap();
    let flags = RenameFlags::default();
    fs.rename(folder.ino, name("b"), ROOT, name("b"), flags)
        .await
        .unwrap();
    set_time(&fs, folder.ino, LONG_AGO).await;
    drive.set_online(true);
    fs.settle().await;
    assert_eq!(elsewhere(&drive, "d").await, LONG_AGO);
}

/// Its time is nobody's choice then, and not worth a request.
#[tokio::test(start_paused = true)]
async fn a_folder_whose_time_nobody_has_set_costs_no_request() {
    let (drive, _cache, fs, folder) = with_folder().await;
    for at in ["a", "b"] {
        write(&fs, folder.ino, at, at.as_bytes()).await;
        fs.settle().await;
    }
    fs.unlink(folder.ino, name("a")).await.unwrap();
    fs.settle().await;
    assert_eq!(drive.count(Verb::SetAttributes), 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_sent_does_not_keep_the_time_back() {
    let (drive, _cache, fs, folder) = with_folder().await;
    fs.settle().await;
    drive.fail_next(Some(Verb::Write), Fault::NoSpace);
    write(&fs, folder.ino, "a", b"a").await;
    set_time(&fs, folder.ino, LONG_AGO).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(elsewhere(&drive, "d").await, LONG_AGO);
    // Nor is it lost when that name comes after all.
    fs.settle().await;
    assert_eq!(elsewhere(&drive, "d").await, LONG_AGO);
    assert_eq!(drive.as_other().read("/d/a").unwrap(), "a");
}

/// A listing that was read before the time was sent says nothing about it.
#[tokio::test(start_paused = true)]
async fn a_time_that_is_sent_while_the_folder_is_listed_is_not_taken_back() {
    let (drive, _cache, fs, folder) = with_folder().await;
    fs.settle().await;
    drive.fail_next(Some(Verb::List), Fault::HeldAfter);
    let shared = fs.shared.clone();
    let ino = folder.ino;
    let listing = tokio::spawn(async move { shared.list_folder(ino).await.map_err(drop) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    set_time(&fs, ino, folder.mtime_ns - 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(drive.count(Verb::SetAttributes), 1);
    drive.release();
    listing.await.unwrap().unwrap();
    assert_eq!(fs.stat(ino).await.unwrap().mtime_ns, folder.mtime_ns - 1);
}
