//! What is there again after the death of the mount, or of the machine.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use tempfile::TempDir;

use super::{
    ME, MIB, content_files, name, open_theirs, rdwr, read, rename, settled, size, start, until,
    write,
};
use crate::cache::content_path;
use crate::drive::memory::MemoryDrive;
use crate::fs::shared::lock;
use crate::fs::{Fs, Io, Options, ROOT};

async fn start_passthrough(drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    let mut options = Options::new(cache.path());
    options.debounce = Duration::ZERO;
    options.passthrough = true;
    let fs = Fs::open(options, drive.clone()).await.unwrap();
    fs.allow_passthrough(true);
    fs
}

/// The rows as they are now.
fn copy_state(from: &TempDir, to: &TempDir) {
    for name in ["state.db", "state.db-wal"] {
        if from.path().join(name).exists() {
            std::fs::copy(from.path().join(name), to.path().join(name)).unwrap();
        }
    }
}

/// The content files as they are now.
fn copy_content(from: &TempDir, to: &TempDir) {
    for file in content_files(from.path()) {
        let at = to.path().join(file.strip_prefix(from.path()).unwrap());
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::copy(&file, at).unwrap();
    }
}

#[tokio::test]
async fn what_the_kernel_wrote_before_a_crash_is_sent_whole() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 3 << 20]).unwrap();
    let fs = start_passthrough(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    let Io::Passthrough(file) = opened.io else {
        panic!("not passed through");
    };
    file.write_all_at(&[2; 10], 0).unwrap();
    file.write_all_at(&[3; 10], 3 * MIB).unwrap();
    drop(fs);
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let mut expected = vec![1; 3 << 20];
    expected[..10].fill(2);
    expected.extend([3; 10]);
    assert!(read(&fs, "a").await.unwrap() == expected);
    assert!(drive.as_other().read("/a").unwrap() == expected);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_about_to_be_replaced_is_there_after_a_crash() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let disk = TempDir::new().unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.set_online(false);
    let (_, opened) = fs
        .create(ME, ROOT, name("a"), 0o644, 0, rdwr())
        .await
        .unwrap();
    fs.write(opened.handle, 0, b"first".to_vec()).await.unwrap();
    fs.fsync(opened.handle).await.ok();
    fs.release(opened.handle).await.unwrap();
    write(&fs, ROOT, "new", b"second").await;
    copy_state(&cache, &disk);
    rename(&fs, "new", "a").await;
    copy_content(&cache, &disk);
    drop(fs);
    drive.set_online(true);
    let fs = start(&drive, &disk).await;
    settled(&fs).await;
    let got = drive.as_other().read("/a").unwrap();
    assert!(got == "first" || got == "second", "{got:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_before_it_was_sent_takes_no_room() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.set_online(false);
    write(&fs, ROOT, "a", b"first").await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    until(|| content_files(cache.path()).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_kept_from_being_removed_is_removed_at_the_next_start() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.set_online(false);
    write(&fs, ROOT, "a", b"first").await;
    let kept = write(&fs, ROOT, "b", b"second").await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    drop(fs);
    let fs = start(&drive, &cache).await;
    assert_eq!(
        content_files(cache.path()),
        [content_path(cache.path(), kept, 0)]
    );
    assert_eq!(read(&fs, "b").await.unwrap(), b"second");
}

#[tokio::test(start_paused = true)]
async fn a_new_file_has_nothing_of_one_that_a_power_cut_has_taken() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "first", b"first").await;
    fs.settle().await;
    fs.close().await;
    let disk = TempDir::new().unwrap();
    copy_state(&cache, &disk);
    let fs = start(&drive, &cache).await;
    drive.set_online(false);
    write(&fs, ROOT, "secret", &[7; 100]).await;
    copy_content(&cache, &disk);
    drop(fs);
    drive.set_online(true);
    let fs = start(&drive, &disk).await;
    let (_, opened) = fs
        .create(ME, ROOT, name("new"), 0o644, 0, rdwr())
        .await
        .unwrap();
    fs.write(opened.handle, 50, vec![1; 2]).await.unwrap();
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    let mut expected = vec![0; 50];
    expected.extend([1; 2]);
    assert!(drive.as_other().read("/new").unwrap() == expected);
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_file_is_cut_makes_no_zeros() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let old = vec![1; 8 << 20];
    drive.as_other().write("/a", old.clone()).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    fs.set_attributes(ME, ino, size(4 * MIB), Some(opened.handle))
        .await
        .unwrap();
    drop(fs);
    // The row was committed, and the file not cut yet.
    let file = File::options()
        .write(true)
        .open(content_path(cache.path(), ino, 0))
        .unwrap();
    file.set_len(8 * MIB).unwrap();
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let got = drive.as_other().read("/a").unwrap();
    assert!(got == old || got == old[..4 << 20], "{} bytes", got.len());
}

#[tokio::test(start_paused = true)]
async fn what_was_written_after_a_file_was_emptied_survives_a_crash() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, ino, opened) = open_theirs(&drive, &cache, 8 << 20).await;
    fs.set_attributes(ME, ino, size(0), Some(opened.handle))
        .await
        .unwrap();
    fs.write(opened.handle, 0, vec![2; 3 << 20]).await.unwrap();
    drop(fs);
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    assert!(drive.as_other().read("/a").unwrap() == vec![2; 3 << 20]);
}

#[tokio::test(start_paused = true)]
async fn what_was_appended_survives_a_crash() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let mut expected = vec![1; (8 << 20) - 7];
    drive.as_other().write("/a", expected.clone()).unwrap();
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    for _ in 0..5 {
        let end = expected.len() as u64;
        fs.write(opened.handle, end, vec![2; 1 << 19])
            .await
            .unwrap();
        expected.extend(vec![2; 1 << 19]);
    }
    drop(fs);
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    assert!(drive.as_other().read("/a").unwrap() == expected);
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_file_is_emptied_makes_no_zeros() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, ino, opened) = open_theirs(&drive, &cache, 8 << 20).await;
    fs.set_attributes(ME, ino, size(0), Some(opened.handle))
        .await
        .unwrap();
    drop(fs);
    // The row was committed, and the file that it is about was as long as ever.
    let path = content_path(cache.path(), ino, 0);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap();
    file.set_len(8 * MIB).unwrap();
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    assert_eq!(drive.as_other().read("/a").unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn what_lies_beside_a_write_is_on_the_disk_before_it_is_believed() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, ino, opened) = open_theirs(&drive, &cache, 4 << 20).await;
    let open = fs.shared.opened(ino).unwrap();
    let rests = || lock(&open.inner).rests(&(0..4));
    fs.read(opened.handle, 0, 4 << 20).await.unwrap();
    assert!(!rests(), "fetched, and nobody has synced it");
    fs.write(opened.handle, 10, vec![2; 10]).await.unwrap();
    assert!(rests(), "changed in part");
    settled(&fs).await;
    assert!(!rests(), "the next version, which was sent");
    fs.set_attributes(ME, ino, size(3 * MIB + 5), Some(opened.handle))
        .await
        .unwrap();
    assert!(rests(), "cut in a block");
}

#[tokio::test(start_paused = true)]
async fn what_the_kernel_may_write_into_is_on_the_disk_before() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 1 << 20]).unwrap();
    let fs = start_passthrough(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    assert!(matches!(opened.io, Io::Passthrough(_)));
    let open = fs.shared.opened(ino).unwrap();
    assert!(lock(&open.inner).rests(&(0..1)));
}

#[tokio::test(start_paused = true)]
async fn what_the_kernel_reads_is_on_the_disk_before_it_may_write_into_it() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 10 << 20]).unwrap();
    let fs = start_passthrough(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    assert_eq!(read(&fs, "a").await.unwrap().len(), 10 << 20);
    let reader = fs.open_file(ME, ino, 0).await.unwrap();
    assert!(matches!(reader.io, Io::Passthrough(_)));
    let writer = fs.open_file(ME, ino, rdwr()).await.unwrap();
    assert!(matches!(writer.io, Io::Passthrough(_)));
    let open = fs.shared.opened(ino).unwrap();
    let inner = lock(&open.inner);
    assert!(inner.rests(&(0..10)));
}
