//! Listing a folder while its names change.

use tempfile::TempDir;

use super::{name, rename, start, write};
use crate::drive::memory::MemoryDrive;
use crate::fs::{Fs, Handle, ROOT, RenameFlags};

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
    let folder = fs.open_folder(ROOT).await.unwrap();
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
    let folder = fs.open_folder(ROOT).await.unwrap();
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
    let folder = fs.open_folder(ROOT).await.unwrap();
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
