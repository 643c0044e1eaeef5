//! Changes that fail halfway, and content files that have gone: neither is taken for content.

use tempfile::TempDir;

use super::{ME, MIB, check, content_files, name, rdwr, read, settled, size, start, until, write};
use crate::drive::memory::MemoryDrive;
use crate::fs::ROOT;
use crate::fs::shared::lock;

/// As if the disk became full in the middle of every change, or none any more.
fn set_full(cache: &TempDir, is_full: bool) {
    let other = rusqlite::Connection::open(cache.path().join("state.db")).unwrap();
    let change = if is_full {
        "CREATE TRIGGER full BEFORE UPDATE ON node BEGIN SELECT RAISE(ABORT, 'full'); END"
    } else {
        "DROP TRIGGER full"
    };
    other.execute_batch(change).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_content_file_that_has_gone_is_not_zeros() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", &vec![1; 3 << 20]).await;
    fs.settle().await;
    fs.close().await;
    for file in content_files(cache.path()) {
        std::fs::remove_file(file).unwrap();
    }
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    // Opened and closed; nothing else.
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    fs.release(opened.handle).await.unwrap();
    check(&read(&fs, "a").await.unwrap(), &[&vec![1; 3 << 20]]);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_failed_loses_nothing() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let (_, opened) = fs
        .create(ME, ROOT, name("a"), 0o644, 0, rdwr())
        .await
        .unwrap();
    fs.write(opened.handle, 0, vec![7; 100]).await.unwrap();
    set_full(&cache, true);
    // The kernel tells nobody of this error.
    fs.release(opened.handle).await.unwrap_err();
    set_full(&cache, false);
    settled(&fs).await;
    check(&read(&fs, "a").await.unwrap(), &[&[7; 100]]);
    check(&drive.as_other().read("/a").unwrap(), &[&[7; 100]]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_is_not_read() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 2 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    set_full(&cache, true);
    let failed = fs.write(opened.handle, MIB, vec![2; 1 << 20]).await;
    failed.unwrap_err();
    set_full(&cache, false);
    let got = fs.read(opened.handle, 0, 1 << 24).await.unwrap();
    check(&got, &[&vec![1; 2 << 20]]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_failed_is_not_sent() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 2 << 20]).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    set_full(&cache, true);
    let failed = fs.set_attributes(ME, ino, size(0), Some(opened.handle));
    failed.await.unwrap_err();
    set_full(&cache, false);
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    check(&drive.as_other().read("/a").unwrap(), &[&vec![1; 2 << 20]]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_refused_leaves_nothing() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 2 << 20]).unwrap();
    drive.set_quota(Some((4 << 20) + (1 << 19)));
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    until(|| lock(&fs.shared.space).left.is_some()).await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    let refused = fs.write(opened.handle, 4 * MIB, vec![2; 1 << 20]).await;
    assert_eq!(refused.unwrap_err(), rustix::io::Errno::DQUOT);
    let longer = 4 * MIB + 4096;
    fs.set_attributes(ME, ino, size(longer), Some(opened.handle))
        .await
        .unwrap();
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    let mut expected = vec![1; 2 << 20];
    expected.resize(usize::try_from(longer).unwrap(), 0);
    check(&drive.as_other().read("/a").unwrap(), &[&expected]);
}
