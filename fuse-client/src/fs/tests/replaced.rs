//! Files that are replaced between their look-up and their last close.

use rustix::io::Errno;
use tempfile::TempDir;

use super::{ME, edit, name, names, rdwr, read, rename, settled, start, until, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::{Change, Fs, Handle, ROOT};

async fn text(fs: &Fs<MemoryDrive>, handle: Handle) -> Vec<u8> {
    fs.read(handle, 0, 1 << 24).await.unwrap().into()
}

#[tokio::test]
async fn what_was_looked_up_can_be_opened_after_it_was_renamed_over() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.count_lookups();
    let old = write(&fs, ROOT, "a", b"old").await;
    fs.settle().await;
    assert_eq!(fs.lookup(ROOT, name("a")).await.unwrap().ino, old);
    write(&fs, ROOT, "new", b"new").await;
    rename(&fs, "new", "a").await;
    fs.settle().await;
    for _ in 0..2 {
        let opened = fs.open_file(ME, old, 0).await.unwrap();
        assert_eq!(text(&fs, opened.handle).await, b"old");
        fs.release(opened.handle).await.unwrap();
    }
    assert_eq!(fs.stat(old).await.unwrap().nlink, 0);
    // Told when it was made and when it was looked up.
    fs.forget(old, 1);
    fs.stat(old).await.unwrap();
    fs.forget(old, 1);
    assert_eq!(fs.stat(old).await.unwrap_err(), Errno::NOENT);
    assert_eq!(fs.status().pending_names, 0);
    assert_eq!(drive.as_other().read("/a").unwrap(), "new");
}

#[tokio::test]
async fn who_reads_a_file_keeps_the_version_that_was_opened() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().write("/a", "one").unwrap();
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    for newer in ["second", "the third"] {
        drive.as_other().write("/a", newer).unwrap();
        fs.settle().await;
        assert_eq!(read(&fs, "a").await.unwrap(), newer.as_bytes());
        assert_eq!(text(&fs, opened.handle).await, b"one");
    }
    fs.release(opened.handle).await.unwrap();
    edit(
        &fs,
        fs.lookup(ROOT, name("a")).await.unwrap().ino,
        0,
        b"The",
    )
    .await;
    settled(&fs).await;
    assert_eq!(drive.as_other().read("/a").unwrap(), "The third");
    assert_eq!(names(&fs, ROOT).await, ["a"]);
}

#[tokio::test]
async fn a_write_to_a_file_that_was_changed_elsewhere_becomes_a_copy() {
    for replaced in [false, true] {
        let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        drive.as_other().write("/a.txt", "one two").unwrap();
        fs.settle().await;
        let ino = fs.lookup(ROOT, name("a.txt")).await.unwrap().ino;
        let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
        if replaced {
            drive.as_other().remove("/a.txt").unwrap();
        }
        drive.as_other().write("/a.txt", "theirs").unwrap();
        fs.settle().await;
        fs.write(opened.handle, 0, b"ONE".to_vec()).await.unwrap();
        assert_eq!(text(&fs, opened.handle).await, b"ONE two");
        fs.release(opened.handle).await.unwrap();
        settled(&fs).await;
        let all = names(&fs, ROOT).await;
        assert_eq!(all.len(), 2, "{all:?}");
        let copy = all.iter().find(|name| name.contains("conflict")).unwrap();
        assert_eq!(read(&fs, copy).await.unwrap(), b"ONE two");
        assert_eq!(read(&fs, "a.txt").await.unwrap(), b"theirs");
    }
}

#[tokio::test]
async fn what_was_open_for_writing_and_was_not_written_to_gives_way() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    for replaced in [false, true] {
        drive.as_other().write("/a", "one").unwrap();
        fs.settle().await;
        let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
        let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
        if replaced {
            drive.as_other().remove("/a").unwrap();
        }
        drive.as_other().write("/a", "theirs").unwrap();
        fs.settle().await;
        fs.release(opened.handle).await.unwrap();
        fs.settle().await;
        assert_eq!(read(&fs, "a").await.unwrap(), b"theirs");
        assert_eq!(names(&fs, ROOT).await, ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_being_fetched_of_an_older_version_is_nowhere_in_the_new_one() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().write("/a", "the old version").unwrap();
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    drive.fail_next(Some(Verb::Read), Fault::HeldAfter);
    let opener = fs.clone();
    let opening = tokio::spawn(async move { opener.open_file(ME, ino, rdwr()).await });
    until(|| drive.count(Verb::Read) == 1).await;
    drive.as_other().write("/a", "new").unwrap();
    fs.settle().await;
    assert_eq!(fs.stat(ino).await.unwrap().size, 3);
    drive.release();
    let opened = opening.await.unwrap().unwrap();
    let longer = Change {
        size: Some(15),
        ..Change::default()
    };
    fs.set_attributes(ME, ino, longer, None).await.unwrap();
    assert_eq!(
        text(&fs, opened.handle).await,
        b"new\0\0\0\0\0\0\0\0\0\0\0\0"
    );
    fs.release(opened.handle).await.unwrap();
}
