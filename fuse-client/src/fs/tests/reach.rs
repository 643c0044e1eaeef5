//! A server that goes out of reach and comes back: nobody waits for longer than it takes. The time that
//! passes in these tests is the runtime's.

use std::fmt::Debug;
use std::time::Duration;

use rustix::fs::OFlags;
use tempfile::TempDir;

use super::{ME, edit, name, names, rdwr, start, there, until, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::{Fs, ROOT};

/// Far below the minute after which a mount looks by itself.
const SOON: Duration = Duration::from_secs(5);

async fn soon(what: &str, is_so: impl Fn() -> bool + Send + Sync) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::time::timeout(SOON, looking).await;
    assert!(seen.is_ok(), "{what}");
}

/// What is asked for comes about soon.
async fn done_soon<E: Debug>(asked: impl Future<Output = Result<(), E>>) {
    let done = tokio::time::timeout(SOON, asked).await;
    assert!(matches!(done, Ok(Ok(()))), "{done:?}");
}

/// A mount that has noticed by a failed request that its server, which tells it nothing, is out of
/// reach, and has `a` to send.
async fn out_of_reach() -> (MemoryDrive, TempDir, Fs<MemoryDrive>) {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    assert!(names(&fs, ROOT).await.is_empty());
    drive.set_online(false);
    write(&fs, ROOT, "a", b"kept").await;
    soon("it is offline", || !fs.status().online).await;
    (drive, cache, fs)
}

fn pending(fs: &Fs<MemoryDrive>) -> u64 {
    let status = fs.status();
    status.pending_names + status.pending_files
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_noticed_when_its_notices_end() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.set_online(false);
    soon("it is offline", || !fs.status().online).await;
    write(&fs, ROOT, "a", b"kept").await;
    drive.set_online(true);
    soon("it is online", || fs.status().online).await;
    soon("all is sent", || there(&drive) == ["/a"]).await;
}

#[tokio::test(start_paused = true)]
async fn one_failed_request_is_a_reason_to_look() {
    let (drive, _cache, _fs) = out_of_reach().await;
    drive.set_online(true);
    soon("all is sent", || there(&drive) == ["/a"]).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_everything_to_be_sent_need_not_wait_for_the_next_look() {
    let (drive, _cache, fs) = out_of_reach().await;
    // By now it looks twice in a minute.
    tokio::time::sleep(Duration::from_mins(5)).await;
    drive.set_online(true);
    done_soon(fs.flush_all()).await;
    assert_eq!(there(&drive), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_busy_server_refused_is_due_when_it_is_back_or_asked_for() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    let refused = || async {
        for _ in 0..12 {
            drive.fail_next(Some(Verb::Write), Fault::Busy);
        }
        let (_, opened) = fs
            .create(ME, ROOT, name("a"), 0o644, 0, rdwr())
            .await
            .unwrap();
        fs.write(opened.handle, 0, b"kept".to_vec()).await.unwrap();
        let synced = fs.fsync(opened.handle).await;
        assert_eq!(synced, Err(rustix::io::Errno::TIMEDOUT));
        assert!(!fs.status().blocked.is_empty());
        drive.heal();
        opened.handle
    };
    let handle = refused().await;
    done_soon(fs.fsync(handle)).await;
    assert_eq!(there(&drive), ["/a"]);
    fs.release(handle).await.unwrap();

    fs.unlink(ROOT, name("a")).await.unwrap();
    fs.settle().await;
    let handle = refused().await;
    fs.release(handle).await.unwrap();
    drive.set_online(false);
    drive.set_online(true);
    soon("all is sent", || pending(&fs) == 0).await;
    assert_eq!(there(&drive), ["/a"]);
}

/// A log that is written all the time is never at rest.
#[tokio::test(start_paused = true)]
async fn sending_everything_does_not_wait_for_what_is_written_meanwhile() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let flags = OFlags::WRONLY | OFlags::APPEND;
    let flags = flags.bits().cast_signed();
    let (_, opened) = fs
        .create(ME, ROOT, name("log"), 0o644, 0, flags)
        .await
        .unwrap();
    let line = || fs.write(opened.handle, 0, b"line".to_vec());
    line().await.unwrap();
    let writing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            line().await.unwrap();
        }
    };
    tokio::select! {
        () = done_soon(fs.flush_all()) => {}
        () = writing => {}
    }
    assert!(drive.as_other().read("/log").unwrap().starts_with(b"line"));
}

#[tokio::test(start_paused = true)]
async fn a_large_file_is_sent_while_it_is_open_only_when_it_rests() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let (_, opened) = fs
        .create(ME, ROOT, name("large"), 0o644, 0, rdwr())
        .await
        .unwrap();
    let mut at = (300 << 20) as u64;
    for _ in 0..30 {
        fs.write(opened.handle, at, b"more".to_vec()).await.unwrap();
        at += 4;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(drive.count(Verb::Write), 0);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(drive.count(Verb::Write), 1);
    fs.release(opened.handle).await.unwrap();
    fs.settle().await;
    assert_eq!(drive.count(Verb::Write), 1);
}

#[tokio::test(start_paused = true)]
async fn small_files_do_not_wait_behind_many_large_ones() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    for _ in 0..8 {
        drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
    }
    let large = vec![1; 300 << 10];
    for number in 0..40 {
        write(&fs, ROOT, &format!("large {number}"), &large).await;
    }
    until(|| drive.count(Verb::Write) == 8).await;
    let ino = write(&fs, ROOT, "small", b"one").await;
    until(|| there(&drive) == ["/small"]).await;
    // What has changed of a file there is no different.
    edit(&fs, ino, 0, b"two").await;
    until(|| drive.as_other().read("/small").unwrap() == "two").await;
    drive.release();
    fs.settle().await;
    assert_eq!(there(&drive).len(), 41);
}

#[tokio::test(start_paused = true)]
async fn settling_ends_while_nothing_can_be_asked() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    for _ in 0..100 {
        drive.fail_next(Some(Verb::Changes), Fault::Forbidden);
    }
    let settled = tokio::time::timeout(Duration::from_mins(1), fs.settle()).await;
    assert!(settled.is_ok());
    // And it is not asked without end.
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(drive.count(Verb::Changes) < 20);
}

#[tokio::test(start_paused = true)]
async fn the_upload_of_what_was_removed_is_broken_off() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    fs.settle().await;
    drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
    write(&fs, ROOT, "a", b"nobody wants this").await;
    soon("it is on its way", || !fs.status().uploading.is_empty()).await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    done_soon(fs.flush_all()).await;
    assert!(fs.status().uploading.is_empty());
    drive.release();
    fs.settle().await;
    assert!(there(&drive).is_empty());
}
