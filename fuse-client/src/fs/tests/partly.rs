//! Files of which only a part is here.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;

use super::{
    ME, MIB, check, edit, name, names, open_theirs, rdwr, read, settled, size, start, there, until,
};
use crate::drive::Attributes;
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::shared::lock;
use crate::fs::{Change, Fs, ROOT, Time};

/// Why something is not sent.
fn why(fs: &Fs<MemoryDrive>) -> Vec<String> {
    let blocked = fs.status().blocked;
    blocked.into_iter().map(|item| item.reason).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_there_before_all_of_it_was_here_is_not_filled_with_zeros() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, ino, opened) = open_theirs(&drive, &cache, 8 << 20).await;
    fs.write(opened.handle, 5 * MIB, vec![2; 10]).await.unwrap();
    drive.as_other().remove("/a").unwrap();
    fs.settle().await;
    fs.release(opened.handle).await.unwrap();
    fs.settle().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(there(&drive), [""; 0]);
    assert_eq!(why(&fs), ["incomplete"]);
    // What was written is here, and what was not fetched is an error.
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    let read = fs.read(opened.handle, 5 * MIB, 20).await.unwrap();
    assert_eq!(read[..], [[2; 10], [1; 10]].concat()[..]);
    assert_eq!(fs.read(opened.handle, 0, 10).await, Err(Errno::STALE));
    fs.release(opened.handle).await.unwrap();
    fs.unlink(ROOT, name("a")).await.unwrap();
    settled(&fs).await;
    assert!(fs.status().blocked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_completed_with_the_bytes_of_another() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, _, opened) = open_theirs(&drive, &cache, 8 << 20).await;
    fs.write(opened.handle, 5 * MIB, vec![2; 10]).await.unwrap();
    drive.as_other().write("/a", vec![9; 3 << 20]).unwrap();
    fs.settle().await;
    fs.release(opened.handle).await.unwrap();
    fs.settle().await;
    assert_eq!(there(&drive), ["/a"]);
    assert_eq!(why(&fs), ["incomplete"]);
    let copy = names(&fs, ROOT).await;
    let copy = copy.iter().find(|name| name.contains("conflict")).unwrap();
    let ino = fs.lookup(ROOT, name(copy)).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    let read = fs.read(opened.handle, 5 * MIB, 20).await.unwrap();
    assert_eq!(read[..], [[2; 10], [1; 10]].concat()[..]);
}

#[tokio::test(start_paused = true)]
async fn parts_whose_answer_got_lost_make_no_second_copy() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 8 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    drive.fail_next(Some(Verb::Patch), Fault::UnreachableAfter);
    edit(&fs, ino, 5 * MIB, &[2; 10]).await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_refused_are_followed_by_the_whole_file() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 8 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.fail_next(Some(Verb::Patch), Fault::Unsupported);
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.write(opened.handle, 8 * MIB - 10, vec![2; 10])
        .await
        .unwrap();
    fs.fsync(opened.handle).await.unwrap();
    let mut expected = vec![1; 8 << 20];
    expected[(8 << 20) - 10..].fill(2);
    assert!(drive.as_other().read("/a").unwrap() == expected);
}

#[tokio::test(start_paused = true)]
async fn parts_whose_answer_got_lost_are_followed_by_what_was_changed_since() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 8 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    fs.read(opened.handle, 5 * MIB, 1).await.unwrap();
    fs.release(opened.handle).await.unwrap();
    drive.set_online(false);
    edit(&fs, ino, 5 * MIB, &[2; 10]).await;
    // In the second of a version another's cannot be told from it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drive.fail_next(Some(Verb::Patch), Fault::UnreachableAfter);
    drive.set_online(true);
    until(|| drive.as_other().read("/a").unwrap()[5 << 20] == 2).await;
    edit(&fs, ino, 5 * MIB + 5, &[3; 10]).await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a"]);
    let mut expected = vec![1; 8 << 20];
    expected[5 << 20..][..5].fill(2);
    expected[5 << 20..][5..15].fill(3);
    assert!(drive.as_other().read("/a").unwrap() == expected);
    assert_eq!(drive.count(Verb::Write), 0);
}

#[tokio::test(start_paused = true)]
async fn what_another_writes_after_parts_whose_answer_got_lost_is_kept() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 8 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    drive.fail_next(Some(Verb::Patch), Fault::UnreachableAfter);
    edit(&fs, ino, 5 * MIB, &[2; 10]).await;
    until(|| drive.as_other().read("/a").unwrap()[5 << 20] == 2).await;
    drive.as_other().write("/a", vec![9; 8 << 20]).unwrap();
    edit(&fs, ino, 5 * MIB + 5, &[3; 10]).await;
    settled(&fs).await;
    assert_eq!(there(&drive).len(), 2);
    assert!(drive.as_other().read("/a").unwrap() == vec![9; 8 << 20]);
}

#[tokio::test(start_paused = true)]
async fn what_is_emptied_while_the_rest_is_fetched_is_not_filled_with_zeros() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let (fs, ino, opened) = open_theirs(&drive, &cache, 20 << 20).await;
    fs.write(opened.handle, 0, vec![2; 10]).await.unwrap();
    drive.take_calls();
    drive.fail_next(Some(Verb::Read), Fault::HeldBefore);
    fs.release(opened.handle).await.unwrap();
    until(|| drive.count(Verb::Read) > 0).await;
    let cutting = fs.clone();
    let cut = tokio::spawn(async move { cutting.set_attributes(ME, ino, size(0), None).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    drive.release();
    until(|| drive.count(Verb::Write) > 0).await;
    cut.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let got = drive.as_other().read("/a").unwrap();
    let mut sent = vec![1; 20 << 20];
    check(
        &got,
        &[&sent.clone(), b"", {
            sent[..10].fill(2);
            &sent
        }],
    );
    drive.release();
    settled(&fs).await;
    assert_eq!(drive.as_other().read("/a").unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn what_becomes_as_it_was_after_a_lost_answer_is_sent() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, ino, opened) = open_theirs(&drive, &cache, 4 << 20).await;
    drive.fail_next(Some(Verb::Patch), Fault::UnreachableAfter);
    fs.write(opened.handle, 4 * MIB, vec![2; 10]).await.unwrap();
    until(|| drive.as_other().read("/a").unwrap().len() > 4 << 20).await;
    fs.set_attributes(ME, ino, size(4 * MIB), Some(opened.handle))
        .await
        .unwrap();
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    assert_eq!(drive.as_other().read("/a").unwrap().len(), 4 << 20);
    assert_eq!(read(&fs, "a").await.unwrap().len(), 4 << 20);
}

/// As programs set it back that change a file in place; ns.
const TIME: i64 = 1_700_000_000_000_000_000;

/// A mount that has changed a part of `/a`, and set its time, without the server's hearing of it.
async fn set_back_unheard(drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    drive.fail_next(Some(Verb::Patch), Fault::UnreachableBefore);
    let (fs, ino, opened) = open_theirs(drive, cache, 8 << 20).await;
    fs.write(opened.handle, 5 * MIB, vec![2; 10]).await.unwrap();
    let change = Change {
        mtime: Some(Time::At(TIME)),
        ..Change::default()
    };
    fs.set_attributes(ME, ino, change, Some(opened.handle))
        .await
        .unwrap();
    fs.release(opened.handle).await.unwrap();
    until(|| drive.count(Verb::Patch) == 1).await;
    fs
}

#[tokio::test(start_paused = true)]
async fn anothers_version_of_a_time_that_was_set_is_kept() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = set_back_unheard(&drive, &cache).await;
    let theirs = Attributes {
        mtime_ns: Some(TIME),
        ..drive.as_other().listed("/a").unwrap().attributes
    };
    drive.as_other().write("/a", vec![9; 8 << 20]).unwrap();
    drive
        .as_other()
        .set_attributes("/a", theirs, std::collections::BTreeMap::default())
        .unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive).len(), 2);
    assert!(drive.as_other().read("/a").unwrap() == vec![9; 8 << 20]);
}

#[tokio::test(start_paused = true)]
async fn anothers_version_of_a_time_that_was_set_is_not_removed() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = set_back_unheard(&drive, &cache).await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    drive.as_other().write("/a", vec![9; 8 << 20]).unwrap();
    let theirs = Attributes {
        mtime_ns: Some(TIME),
        ..drive.as_other().listed("/a").unwrap().attributes
    };
    drive
        .as_other()
        .set_attributes("/a", theirs, std::collections::BTreeMap::default())
        .unwrap();
    settled(&fs).await;
    assert!(drive.as_other().read("/a").unwrap() == vec![9; 8 << 20]);
}

#[tokio::test(start_paused = true)]
async fn what_takes_room_here_is_counted_once() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 8 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let counted = || {
        let rows = lock(&fs.shared.db).totals().unwrap().0;
        (fs.shared.cached.load(Ordering::Relaxed), rows)
    };
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    for _ in 0..3 {
        let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
        for length in [0, MIB, 3 * MIB, 2 * MIB + 5] {
            fs.set_attributes(ME, ino, size(length), Some(opened.handle))
                .await
                .unwrap();
            fs.write(opened.handle, length, vec![2; 2 << 20])
                .await
                .unwrap();
        }
        fs.release(opened.handle).await.unwrap();
        settled(&fs).await;
    }
    let (counter, rows) = counted();
    assert_eq!(counter, rows);
    assert_eq!(rows, 4 * MIB + 5);
}
