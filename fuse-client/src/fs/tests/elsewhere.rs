//! What others did to names and attributes, and when that is heard of.

use std::time::Duration;

use tempfile::TempDir;

use super::{ME, name, names, rdwr, read, rename, settled, start, there, until, write};
use crate::drive::Attributes;
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::{ROOT, RenameFlags};

#[tokio::test(start_paused = true)]
async fn a_file_with_one_more_name_is_one_file() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().write("/a", "hello").unwrap();
    settled(&fs).await;
    let before = fs.lookup(ROOT, name("a")).await.unwrap();
    drive.as_other().bind("/a", "/b").unwrap();
    settled(&fs).await;
    let (a, b) = (
        fs.lookup(ROOT, name("a")).await.unwrap(),
        fs.lookup(ROOT, name("b")).await.unwrap(),
    );
    assert_eq!((a.ino, a.nlink), (before.ino, 2));
    assert_eq!(b.ino, a.ino);
    assert_eq!(read(&fs, "b").await.unwrap(), b"hello");
}

#[tokio::test(start_paused = true)]
async fn attributes_set_elsewhere_are_seen() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().write("/a", "hello").unwrap();
    settled(&fs).await;
    let attributes = Attributes {
        mode: Some(0o100_600),
        ..Attributes::default()
    };
    let xattrs = [(b"user.x".to_vec(), b"1".to_vec())].into();
    let other = drive.as_other();
    other.set_attributes("/a", attributes, xattrs).unwrap();
    settled(&fs).await;
    let stat = fs.lookup(ROOT, name("a")).await.unwrap();
    assert_eq!(stat.mode, 0o100_600);
    assert_eq!(fs.xattr_get(stat.ino, name("user.x")).await.unwrap(), b"1");
}

#[tokio::test(start_paused = true)]
async fn what_was_replaced_leaves_no_attributes_to_its_successor() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let old = write(&fs, ROOT, "a", b"old").await;
    fs.xattr_set(old, name("user.x"), b"1", 0).await.unwrap();
    settled(&fs).await;
    drive.set_online(false);
    write(&fs, ROOT, "new", b"new").await;
    rename(&fs, "new", "a").await;
    drive.set_online(true);
    settled(&fs).await;
    let there = drive.as_other().listed("/a").unwrap();
    assert_eq!(there.xattrs, [].into());
    assert_eq!(drive.as_other().read("/a").unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn a_file_in_the_place_of_a_folder_does_not_go_with_it() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().make_folder("/c").unwrap();
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let c = fs.lookup(ROOT, name("c")).await.unwrap();
    drive.take_calls();
    drive.fail_next(Some(Verb::Changes), Fault::Busy);
    drive.fail_next(Some(Verb::Stat), Fault::HeldAfter);
    drive.as_other().rename("/c", "/a").unwrap();
    drive.as_other().write("/c", "theirs").unwrap();
    fs.make_folder(ME, c.ino, name("x"), 0o755, 0)
        .await
        .unwrap();
    // Before it is answered whether the folder is there, it is told what has become of it.
    until(|| drive.count(Verb::Stat) == 1).await;
    until(|| drive.count(Verb::Changes) == 2).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, ["a", "c"]);
    assert_eq!(read(&fs, "c").await.unwrap(), b"theirs");
    assert_eq!(there(&drive), ["/a", "/a/x", "/c"]);
}

#[tokio::test(start_paused = true)]
async fn folders_that_are_moved_into_each_other_here_and_there_stay_where_they_are_here() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    for folder in ["/a", "/b", "/b/d"] {
        drive.as_other().make_folder(folder).unwrap();
    }
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let a = fs.lookup(ROOT, name("a")).await.unwrap();
    // Of the name that was, and of the one that is to be.
    drive.fail_next(Some(Verb::Rename), Fault::Forbidden);
    drive.fail_next(Some(Verb::Rename), Fault::Forbidden);
    let flags = RenameFlags::default();
    fs.rename(ROOT, name("b"), a.ino, name("x"), flags)
        .await
        .unwrap();
    until(|| fs.status().blocked.len() == 2).await;
    drive.as_other().rename("/a", "/b/d/y").unwrap();
    // It is heard of before anything is tried again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, ["a"]);
    assert_eq!(names(&fs, a.ino).await, ["x"]);
    assert_eq!(there(&drive), ["/a", "/a/x", "/a/x/d"]);
}

/// What is written into a folder that another has moved, and put another in the place of, before this
/// mount has heard of it; `early`: it is heard of before the answer.
async fn written_where_another_folder_is(early: bool) {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().make_folder("/b").unwrap();
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let b = fs.lookup(ROOT, name("b")).await.unwrap();
    drive.take_calls();
    drive.fail_next(Some(Verb::Changes), Fault::Busy);
    if early {
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    }
    drive.as_other().rename("/b", "/a").unwrap();
    drive.as_other().make_folder("/b").unwrap();
    write(&fs, b.ino, "x", b"hello").await;
    until(|| drive.count(Verb::Changes) == 2).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a", "/b", "/b/x"]);
    assert_eq!(names(&fs, b.ino).await, [""; 0]);
    assert_eq!(read(&fs, "b/x").await.unwrap(), b"hello");
}

#[tokio::test(start_paused = true)]
async fn what_went_into_another_folder_is_not_shown_in_the_one_that_was_moved() {
    written_where_another_folder_is(false).await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_into_another_folder_is_not_shown_in_the_one_that_is_moved() {
    written_where_another_folder_is(true).await;
}

/// What is told of the name first would meet the request for what is here; but then that has moved.
#[tokio::test(start_paused = true)]
async fn what_has_the_name_of_a_changed_file_that_was_moved_is_seen() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "b", b"one").await;
    settled(&fs).await;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.write(opened.handle, 0, b"two".to_vec()).await.unwrap();
    drive.as_other().rename("/b", "/c").unwrap();
    drive.as_other().write("/b", "theirs").unwrap();
    let seen = async {
        while names(&fs, ROOT).await != ["b", "c"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_mins(10), seen);
    seen.await.expect("both are seen");
    assert_eq!(read(&fs, "b").await.unwrap(), b"theirs");
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    assert_eq!(read(&fs, "c").await.unwrap(), b"two");
    assert_eq!(there(&drive), ["/b", "/c"]);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_took_the_place_of_a_file_removed_here_can_be_read() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "d", b"one").await;
    fs.make_folder(ME, ROOT, name("a"), 0o755, 0).await.unwrap();
    settled(&fs).await;
    fs.unlink(ROOT, name("d")).await.unwrap();
    drive.as_other().make_folder("/a/a").unwrap();
    drive.as_other().rename("/a", "/d").unwrap();
    // It is told before the removal is sent.
    tokio::time::sleep(Duration::from_millis(50)).await;
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, ["d"]);
    let folder = fs.lookup(ROOT, name("d")).await.unwrap();
    assert_eq!(names(&fs, folder.ino).await, ["a"]);
}

/// The server tells that all has gone from where the folder was, and no more of what was there.
#[tokio::test(start_paused = true)]
async fn what_went_from_a_folder_just_before_it_was_moved_here_is_not_seen() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let d = fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    let below = fs
        .make_folder(ME, d.ino, name("x"), 0o755, 0)
        .await
        .unwrap();
    write(&fs, below.ino, "f", b"one").await;
    settled(&fs).await;
    // It is not told before the folder has been moved.
    drive.fail_next(Some(Verb::Changes), Fault::Busy);
    drive.as_other().remove("/d/x/f").unwrap();
    rename(&fs, "d", "e").await;
    until(|| there(&drive).contains(&"/e".to_owned())).await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/e", "/e/x"]);
    assert_eq!(names(&fs, below.ino).await, [""; 0]);
}
