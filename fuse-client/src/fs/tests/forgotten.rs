//! What was done elsewhere since a moment that the server does not remember: nobody tells what went.

use std::time::Duration;

use tempfile::TempDir;

use super::{edit, name, names, read, rename, settled, start, there, until, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::ROOT;

#[tokio::test(start_paused = true)]
async fn what_went_since_a_forgotten_moment_is_not_found() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().make_folder("/d").unwrap();
    drive.as_other().write("/d/a", "hello").unwrap();
    settled(&fs).await;
    assert_eq!(read(&fs, "d/a").await.unwrap(), b"hello");
    drive.set_online(false);
    drive.as_other().remove("/d/a").unwrap();
    drive.expire_tokens();
    drive.set_online(true);
    settled(&fs).await;
    // It was known, and nothing else asks what the folder has.
    let d = fs.lookup(ROOT, name("d")).await.unwrap();
    assert!(fs.lookup(d.ino, name("a")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_went_between_a_listing_and_a_new_report_is_not_shown() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"ours").await;
    settled(&fs).await;
    drive.expire_tokens();
    drive.take_calls();
    drive.fail_next(Some(Verb::Changes), Fault::HeldBefore);
    drive.fail_next(Some(Verb::Changes), Fault::HeldBefore);
    drive.as_other().write("/b", "theirs").unwrap();
    until(|| drive.count(Verb::Changes) == 1).await;
    drive.release();
    // The history is forgotten, and a report of all there is asked for.
    until(|| drive.count(Verb::Changes) == 2).await;
    assert_eq!(names(&fs, ROOT).await, ["a", "b"]);
    drive.as_other().remove("/a").unwrap();
    drive.release();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn what_went_while_it_was_unknown_whether_it_was_moved_is_not_shown() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.as_other().make_folder("/a").unwrap();
    drive.as_other().write("/a/x", "theirs").unwrap();
    settled(&fs).await;
    assert_eq!(read(&fs, "a/x").await.unwrap(), b"theirs");
    drive.take_calls();
    drive.fail_next(Some(Verb::Rename), Fault::HeldBefore);
    rename(&fs, "a", "b").await;
    until(|| drive.count(Verb::Rename) == 1).await;
    rename(&fs, "b", "a").await;
    drop(fs);
    drive.as_other().remove("/a").unwrap();
    drive.heal();
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_went_since_a_forgotten_moment_while_it_was_being_sent_is_not_shown() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    write(&fs, ROOT, "a", b"ours").await;
    until(|| drive.as_other().read("/a").is_ok()).await;
    drive.as_other().remove("/a").unwrap();
    drive.expire_tokens();
    // All is told again, and listed.
    tokio::time::sleep(Duration::from_secs(5)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_went_before_the_first_report_while_it_was_being_sent_is_not_shown() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    drive.fail_next(Some(Verb::Changes), Fault::HeldBefore);
    drive.fail_next(Some(Verb::Write), Fault::SlowAfter);
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"ours").await;
    until(|| drive.as_other().read("/a").is_ok()).await;
    drive.as_other().remove("/a").unwrap();
    drive.release();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_goes_while_it_is_being_sent_and_has_another_name_is_not_shown() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    write(&fs, ROOT, "a", b"ours").await;
    until(|| drive.as_other().read("/a").is_ok()).await;
    rename(&fs, "a", "b").await;
    drive.as_other().remove("/a").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    rename(&fs, "b", "a").await;
    drive.release();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await.len(), there(&drive).len());
}

#[tokio::test(start_paused = true)]
async fn what_goes_while_a_version_is_being_sent_and_it_has_another_name_is_not_shown() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"ours").await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    edit(&fs, ino, 0, b"another").await;
    until(|| drive.as_other().read("/a").is_ok_and(|it| it == "another")).await;
    rename(&fs, "a", "b").await;
    drive.as_other().remove("/a").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    rename(&fs, "b", "a").await;
    drive.release();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await.len(), there(&drive).len());
}

#[tokio::test(start_paused = true)]
async fn what_went_while_it_was_being_sent_is_not_shown_after_a_kill() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
    write(&fs, ROOT, "a", b"ours").await;
    until(|| drive.as_other().read("/a").is_ok()).await;
    drive.as_other().remove("/a").unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    drive.fail_next(Some(Verb::List), Fault::HeldBefore);
    drive.take_calls();
    drive.release();
    until(|| drive.count(Verb::List) > 0).await;
    drop(fs);
    drive.heal();
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_was_refused_is_asked_for_again() {
    for fault in [Fault::LoginRefused, Fault::Forbidden] {
        let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        settled(&fs).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
        write(&fs, ROOT, "a", b"ours").await;
        until(|| drive.as_other().read("/a").is_ok()).await;
        drive.as_other().remove("/a").unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        drive.fail_next(Some(Verb::List), fault);
        drive.release();
        settled(&fs).await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
    }
}
