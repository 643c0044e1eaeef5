//! What is there again after the death of the mount, or of the machine.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use tempfile::TempDir;

use super::{ME, name, rdwr, read, settled, start};
use crate::drive::memory::MemoryDrive;
use crate::fs::{Fs, Io, Options, ROOT};

const MIB: u64 = 1 << 20;

async fn start_passthrough(drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    let mut options = Options::new(cache.path());
    options.debounce = Duration::ZERO;
    options.passthrough = true;
    let fs = Fs::open(options, drive.clone()).await.unwrap();
    fs.allow_passthrough(true);
    fs
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
