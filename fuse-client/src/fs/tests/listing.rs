//! Listing a folder while its names change.

use std::time::Duration;

use tempfile::TempDir;

use super::{ME, name, rename, settled, start, write};
use crate::drive::memory::MemoryDrive;
use crate::fs::{Fs, Handle, Ino, Invalidation, ROOT, RenameFlags};

/// Up to `most` names from an offset, and the offset behind them.
async fn some(
    fs: &Fs<MemoryDrive>,
    handle: Handle,
    offset: u64,
    most: usize,
) -> (Vec<String>, u64) {
    let (mut names, mut at) = (Vec::new(), offset);
    let each = |next, name: &[u8], _, _| {
        if names.len() == most {
            return true;
        }
        names.push(String::from_utf8(name.to_vec()).unwrap());
        at = next;
        false
    };
    fs.read_names(handle, offset, each).await.unwrap();
    (names, at)
}

#[tokio::test]
async fn names_come_in_parts_and_each_once() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    for at in ["a", "b", "c"] {
        write(&fs, ROOT, at, b"").await;
    }
    let folder = fs.open_folder(ROOT).await.unwrap().handle;
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let (names, next) = some(&fs, folder, offset, 1).await;
        if names.is_empty() {
            break;
        }
        all.extend(names);
        offset = next;
    }
    assert_eq!(all, [".", "..", "a", "b", "c"]);
}

#[tokio::test]
async fn a_name_that_is_there_all_the_time_is_not_missed() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    for at in ["one", "document", "new"] {
        write(&fs, ROOT, at, b"").await;
    }
    let folder = fs.open_folder(ROOT).await.unwrap().handle;
    let (read, at) = some(&fs, folder, 0, 3).await;
    assert_eq!(read, [".", "..", "one"]);
    fs.unlink(ROOT, name("one")).await.unwrap();
    rename(&fs, "new", "document").await;
    assert_eq!(some(&fs, folder, at, 9).await.0, ["document"]);
}

#[tokio::test]
async fn names_that_are_exchanged_are_not_missed() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    for at in ["x", "a", "b"] {
        write(&fs, ROOT, at, b"").await;
    }
    let folder = fs.open_folder(ROOT).await.unwrap().handle;
    let (_, at) = some(&fs, folder, 0, 4).await;
    let flags = RenameFlags {
        exchange: true,
        ..RenameFlags::default()
    };
    fs.rename(ROOT, name("b"), ROOT, name("a"), flags)
        .await
        .unwrap();
    let (rest, _) = some(&fs, folder, at, 9).await;
    assert!(rest.contains(&"b".to_owned()), "{rest:?}");
}

/// Whether the kernel may tell what it was told of a folder; reads it if not.
async fn is_kept(fs: &Fs<MemoryDrive>, folder: Ino) -> bool {
    let opened = fs.open_folder(folder).await.unwrap();
    if !opened.keep {
        some(fs, opened.handle, 0, 9).await;
    }
    fs.release_folder(opened.handle);
    opened.keep
}

#[tokio::test(start_paused = true)]
async fn the_kernel_tells_names_again_until_another_changes_them() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().make_folder("/d").unwrap();
    drive.as_other().write("/d/a", "a").unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let d = fs.lookup(ROOT, name("d")).await.unwrap().ino;
    assert!(!is_kept(&fs, d).await, "nothing was told yet");
    assert!(is_kept(&fs, d).await);
    drive.as_other().write("/d/b", "b").unwrap();
    fs.settle().await;
    assert!(!is_kept(&fs, d).await, "a name more");
    assert!(is_kept(&fs, d).await);
    drive.as_other().remove("/d/a").unwrap();
    fs.settle().await;
    assert!(!is_kept(&fs, d).await, "a name less");
    assert!(is_kept(&fs, d).await);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!is_kept(&fs, d).await, "the attributes are old");
}

#[tokio::test(start_paused = true)]
async fn names_that_were_read_while_they_changed_are_read_again() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", "a").unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let opened = fs.open_folder(ROOT).await.unwrap();
    some(&fs, opened.handle, 0, 1).await;
    drive.as_other().write("/b", "b").unwrap();
    fs.settle().await;
    some(&fs, opened.handle, 1, 9).await;
    assert!(!is_kept(&fs, ROOT).await);
}

#[tokio::test(start_paused = true)]
async fn without_notices_no_names_are_told_unasked() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    assert!(!is_kept(&fs, ROOT).await);
    assert!(!is_kept(&fs, ROOT).await);
    assert!(!fs.open_folder(ROOT).await.unwrap().may_keep);
}

#[tokio::test(start_paused = true)]
async fn names_that_two_read_while_they_changed_are_read_again() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", "a").unwrap();
    drive.as_other().write("/b", "b").unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let one = fs.open_folder(ROOT).await.unwrap();
    let two = fs.open_folder(ROOT).await.unwrap();
    // The kernel keeps what the one is told, as far as it came.
    let (_, at) = some(&fs, one.handle, 0, 3).await;
    drive.as_other().remove("/a").unwrap();
    fs.settle().await;
    some(&fs, two.handle, 0, 9).await;
    some(&fs, one.handle, at, 9).await;
    assert!(!fs.open_folder(ROOT).await.unwrap().keep);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_was_moved_is_read_again_for_what_lies_above() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let d = fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    let e = fs.make_folder(ME, ROOT, name("e"), 0o755, 0).await.unwrap();
    settled(&fs).await;
    assert!(!is_kept(&fs, d.ino).await);
    let flags = RenameFlags::default();
    fs.rename(ROOT, name("d"), e.ino, name("d"), flags)
        .await
        .unwrap();
    assert!(!is_kept(&fs, d.ino).await);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_folder_open_is_told_names_that_come_and_go_as_well() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let mut told = fs.take_invalidations();
    let names = Invalidation::Inode {
        ino: ROOT,
        offset: 0,
        length: 0,
    };
    let mut is_told = || std::iter::from_fn(|| told.try_recv().ok()).any(|it| it == names);
    drive.as_other().write("/a", "a").unwrap();
    settled(&fs).await;
    assert!(is_told(), "a name more");
    drive.as_other().rename("/a", "/b").unwrap();
    settled(&fs).await;
    assert!(is_told(), "another name");
    drive.as_other().remove("/b").unwrap();
    settled(&fs).await;
    assert!(is_told(), "a name less");
}
