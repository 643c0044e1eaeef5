//! What this machine has done itself, and is told of like any other change.

use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;

use super::{ME, name, read, settled, start, there, until, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::{Fs, ROOT};

/// A folder `f` with a file `old` in it, on both sides.
async fn with_folder(drive: &MemoryDrive, cache: &TempDir) -> (Fs<MemoryDrive>, u64) {
    let fs = start(drive, cache).await;
    let folder = fs.make_folder(ME, ROOT, name("f"), 0o755, 0o022);
    let folder = folder.await.unwrap().ino;
    write(&fs, folder, "old", b"old").await;
    settled(&fs).await;
    (fs, folder)
}

/// Until the mount has heard all that was done so far.
async fn heard(fs: &Fs<MemoryDrive>, drive: &MemoryDrive) {
    drive.as_other().write("/last", "").unwrap();
    let waiting = async {
        while fs.lookup(ROOT, name("last")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_mins(1), waiting);
    waited.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_known_beside_what_is_being_sent() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, folder) = with_folder(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    write(&fs, folder, "new", b"new").await;
    until(|| there(&drive).contains(&"/f/new".to_owned())).await;
    heard(&fs, &drive).await;
    drive.take_calls();
    for absent in ["a", "b", "c"] {
        let found = fs.lookup(folder, name(absent)).await;
        assert_eq!(found, Err(Errno::NOENT));
    }
    assert_eq!(drive.count(Verb::List), 0);
    drive.release();
    settled(&fs).await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_goes_at_once_while_what_was_in_it_is_being_removed() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, folder) = with_folder(&drive, &cache).await;
    drive.fail_next(Some(Verb::RemoveFile), Fault::HeldAfter);
    fs.unlink(folder, name("old")).await.unwrap();
    until(|| !there(&drive).contains(&"/f/old".to_owned())).await;
    heard(&fs, &drive).await;
    drive.take_calls();
    fs.remove_folder(ROOT, name("f")).await.unwrap();
    assert_eq!(drive.count(Verb::List), 0);
    drive.release();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/last"]);
}

/// What another does to a name in the moment it is being sent from here is not lost for that.
#[tokio::test(start_paused = true)]
async fn what_another_does_to_a_name_that_is_being_sent_is_seen() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, folder) = with_folder(&drive, &cache).await;
    for gone in [false, true] {
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
        write(&fs, folder, "new", b"ours").await;
        until(|| there(&drive).contains(&"/f/new".to_owned())).await;
        let other = drive.as_other();
        if gone {
            other.remove("/f/new").unwrap();
        } else {
            other.write("/f/new", "theirs").unwrap();
        }
        heard(&fs, &drive).await;
        drive.release();
        settled(&fs).await;
        let found = read(&fs, "f/new").await;
        if gone {
            assert_eq!(found, Err(Errno::NOENT));
        } else {
            assert_eq!(found.unwrap(), b"theirs");
            fs.unlink(folder, name("new")).await.unwrap();
        }
        other.remove("/last").unwrap();
        settled(&fs).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_removes_while_it_is_being_sent_is_not_shown_after_a_listing() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, folder) = with_folder(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    write(&fs, folder, "new", b"ours").await;
    until(|| there(&drive).contains(&"/f/new".to_owned())).await;
    drive.take_calls();
    drive.as_other().remove("/f/new").unwrap();
    until(|| drive.count(Verb::List) > 0).await;
    // The listing is taken over, and nothing is to be asked any more.
    tokio::time::sleep(Duration::from_secs(5)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(read(&fs, "f/new").await, Err(Errno::NOENT));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_into_a_folder_that_another_removes_is_not_shown_in_the_next() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let (fs, folder) = with_folder(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    write(&fs, folder, "new", b"ours").await;
    until(|| there(&drive).contains(&"/f/new".to_owned())).await;
    drive.as_other().remove("/f").unwrap();
    // For the file there has to be a folder.
    until(|| there(&drive).contains(&"/f".to_owned())).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/f"]);
    assert_eq!(read(&fs, "f/new").await, Err(Errno::NOENT));
}

#[tokio::test(start_paused = true)]
async fn what_another_removes_from_a_folder_that_was_just_made_is_not_shown_after_a_listing() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    // The next question need not wait for the last one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    // It is asked before the folder is known to be there.
    drive.fail_next(Some(Verb::Changes), Fault::SlowBefore);
    let folder = fs.make_folder(ME, ROOT, name("f"), 0o755, 0o022);
    let folder = folder.await.unwrap().ino;
    write(&fs, folder, "new", b"ours").await;
    until(|| there(&drive).contains(&"/f/new".to_owned())).await;
    drive.as_other().remove("/f/new").unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(read(&fs, "f/new").await, Err(Errno::NOENT));
}
