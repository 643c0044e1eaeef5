//! Files that the kernel reads and writes by itself, and pages that it keeps.

use std::io::Write;

use tempfile::TempDir;

use super::{ME, check, name, rdwr, read, settled, start, start_passthrough, until};
use crate::cache::content_path;
use crate::drive::memory::MemoryDrive;
use crate::fs::{Io, ROOT};

const MAPS: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    map = mmap.mmap(file.fileno(), 4096)
    map[0] = 2
    sys.stdin.readline()
    map[1] = 3
    map.close()
";
#[tokio::test]
async fn what_is_stored_into_mapped_pages_is_sent() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.as_other().write("/a", vec![1; 4096]).unwrap();
    let fs = start_passthrough(&drive, &cache).await;
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, rdwr()).await.unwrap();
    let Io::Passthrough(file) = opened.io else {
        panic!("not passed through");
    };
    // A program that maps it; a map needs `unsafe`, which is forbidden here.
    let path = content_path(cache.path(), ino, 0);
    let mut program = std::process::Command::new("python3")
        .args(["-c", MAPS, path.to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until(|| drive.as_other().read("/a").unwrap()[0] == 2).await;
    fs.settle().await;
    program.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(program.wait().unwrap().success());
    drop(file);
    fs.release(opened.handle).await.unwrap();
    settled(&fs).await;
    let mut expected = vec![1; 4096];
    expected[..2].copy_from_slice(&[2, 3]);
    check(&read(&fs, "a").await.unwrap(), &[&expected]);
    check(&drive.as_other().read("/a").unwrap(), &[&expected]);
}

#[tokio::test(start_paused = true)]
async fn pages_of_an_older_version_are_not_kept_by_an_open() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().write("/a", "the old version").unwrap();
    fs.settle().await;
    read(&fs, "a").await.unwrap();
    let mut told = fs.take_invalidations();
    drive.as_other().write("/a", "the new version").unwrap();
    fs.settle().await;
    let ino = fs.lookup(ROOT, name("a")).await.unwrap().ino;
    let opened = fs.open_file(ME, ino, 0).await.unwrap();
    // It is in the queue only: another thread gathers for a while, and tells the kernel then.
    assert!(told.try_recv().is_ok());
    assert!(matches!(opened.io, Io::Cached { keep: false }));
    fs.release(opened.handle).await.unwrap();
}
