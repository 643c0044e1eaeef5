//! What another does, or the network loses, in the middle of a change made here.

use std::time::Duration;

use tempfile::TempDir;

use super::{ME, edit, name, names, read, rename, settled, start, there, until, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::fs::{Change, Fs, ROOT};

/// A file on a plain drive of whose upload the answer was lost, and which has another name here since.
async fn renamed_unheard(drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    let fs = start(drive, cache).await;
    drive.fail_next(Some(Verb::Write), Fault::UnreachableAfter);
    write(&fs, ROOT, "a", b"hello").await;
    until(|| there(drive) == ["/a"]).await;
    rename(&fs, "a", "b").await;
    fs
}

#[tokio::test(start_paused = true)]
async fn what_another_wrote_before_it_was_moved_is_seen_after_it() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"ours").await;
    settled(&fs).await;
    rename(&fs, "a", "b").await;
    drive.as_other().write("/a", "theirs").unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(read(&fs, "b").await.unwrap(), b"theirs");
}

#[tokio::test(start_paused = true)]
async fn what_became_of_a_request_is_asked_until_somebody_tells() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = renamed_unheard(&drive, &cache).await;
    drive.fail_by_chance(1, 1000, &[Fault::Busy]);
    until(|| !fs.status().blocked.is_empty()).await;
    assert_eq!(fs.status().blocked[0].path, "/a");
    assert_eq!(fs.status().blocked[0].reason, "busy");
    drive.heal();
    settled(&fs).await;
    until(|| fs.status().blocked.is_empty()).await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(drive.count(Verb::Write), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_moved_unheard_can_be_opened() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"hello").await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Rename), Fault::HeldAfter);
    rename(&fs, "a", "b").await;
    until(|| there(&drive) == ["/b"]).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(read(&fs, "b").await.unwrap(), b"hello");
    drive.release();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_does_not_tell_whose_it_is() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = renamed_unheard(&drive, &cache).await;
    drive.fail_next(Some(Verb::Read), Fault::Short);
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(names(&fs, ROOT).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_length_does_not_tell_whose_it_is() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::UnreachableAfter);
    // Too long to be read again for its digest.
    let long = "l".repeat(17 << 20);
    write(&fs, ROOT, "a", long.as_bytes()).await;
    until(|| there(&drive) == ["/a"]).await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    let theirs = "t".repeat(17 << 20);
    drive.as_other().write("/a", theirs.clone()).unwrap();
    settled(&fs).await;
    assert!(drive.as_other().read("/a").unwrap() == theirs);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_tell_what_became_of_the_request_before() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::UnreachableAfter);
    drive.fail_next(Some(Verb::Read), Fault::Cut);
    write(&fs, ROOT, "a", b"hello").await;
    // The second is refused, because of what the first has made.
    until(|| drive.count(Verb::Read) == 1).await;
    rename(&fs, "a", "b").await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(names(&fs, ROOT).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn an_older_version_that_arrived_unheard_is_no_conflict() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::UnreachableAfter);
    drive.fail_next(Some(Verb::Write), Fault::UnreachableBefore);
    let ino = write(&fs, ROOT, "a", b"one").await;
    until(|| drive.count(Verb::Write) == 1).await;
    edit(&fs, ino, 0, b"second").await;
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a"]);
    assert_eq!(drive.as_other().read("/a").unwrap(), "second");
    assert_eq!(fs.status().conflicts, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_another_makes_in_a_folder_that_is_being_made_is_seen() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::MakeFolder), Fault::HeldAfter);
    fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
    until(|| there(&drive) == ["/d"]).await;
    drive.as_other().write("/d/x", "theirs").unwrap();
    let asked = drive.count(Verb::Changes);
    until(|| drive.count(Verb::Changes) > asked).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    drive.release();
    settled(&fs).await;
    assert_eq!(read(&fs, "d/x").await.unwrap(), b"theirs");
}

#[tokio::test(start_paused = true)]
async fn what_was_replaced_by_a_folder_here_and_changed_there_keeps_its_name() {
    for drive in [MemoryDrive::extended(), MemoryDrive::plain()] {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        write(&fs, ROOT, "a", b"one").await;
        settled(&fs).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        fs.make_folder(ME, ROOT, name("a"), 0o755, 0).await.unwrap();
        drive.as_other().write("/a", "theirs").unwrap();
        settled(&fs).await;
        assert_eq!(read(&fs, "a").await.unwrap(), b"theirs");
        let both = names(&fs, ROOT).await;
        assert!(both.len() == 2 && both[1].starts_with("a (conflict of desk"));
        assert_eq!(drive.as_other().names("/").unwrap(), both);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_puts_into_a_folder_that_was_made_anew_here_stays() {
    for drive in [MemoryDrive::extended(), MemoryDrive::plain()] {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        settled(&fs).await;
        fs.remove_folder(ROOT, name("d")).await.unwrap();
        fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        drive.as_other().write("/d/x", "theirs").unwrap();
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, ["d"]);
        assert_eq!(read(&fs, "d/x").await.unwrap(), b"theirs");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_behind_a_name_that_was_never_sent_is_seen() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    let flags = 2;
    let made = fs.create(ME, ROOT, name("a"), 0o644, 0, flags).await;
    let handle = made.unwrap().1.handle;
    let asked = drive.count(Verb::Changes);
    drive.as_other().write("/a", "theirs").unwrap();
    until(|| drive.count(Verb::Changes) > asked).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    fs.release(handle).await.unwrap();
    settled(&fs).await;
    assert_eq!(read(&fs, "a").await.unwrap(), b"theirs");
    assert_eq!(there(&drive), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_met_by_something_that_has_moved_on_is_seen() {
    for again in [false, true] {
        let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
        write(&fs, ROOT, "a", b"ours").await;
        until(|| drive.count(Verb::Write) == 1).await;
        drive.as_other().write("/a", "theirs").unwrap();
        rename(&fs, "a", "b").await;
        if again {
            write(&fs, ROOT, "a", b"again").await;
        }
        drive.release();
        settled(&fs).await;
        assert_eq!(read(&fs, "a").await.unwrap(), b"theirs");
        assert_eq!(read(&fs, "b").await.unwrap(), b"ours");
        assert_eq!(there(&drive).len(), if again { 3 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_set_after_an_upload_that_arrived_unheard_are_sent() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    drive.fail_next(Some(Verb::Write), Fault::UnreachableAfter);
    let ino = write(&fs, ROOT, "a", b"hello").await;
    until(|| there(&drive) == ["/a"]).await;
    let change = Change {
        mode: Some(0o700),
        ..Change::default()
    };
    fs.set_attributes(ME, ino, change, None).await.unwrap();
    settled(&fs).await;
    let mode = drive.as_other().listed("/a").unwrap().attributes.mode;
    assert_eq!(mode, Some(0o100_700));
    assert_eq!(fs.stat(ino).await.unwrap().mode, 0o100_700);
}

#[tokio::test(start_paused = true)]
async fn what_another_puts_into_a_folder_that_is_being_removed_brings_it_back() {
    // Also when there is another folder in its place.
    for again in [false, true] {
        let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        settled(&fs).await;
        drive.fail_next(Some(Verb::RemoveFolder), Fault::Busy);
        fs.remove_folder(ROOT, name("d")).await.unwrap();
        until(|| drive.count(Verb::RemoveFolder) == 1).await;
        if again {
            fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        }
        drive.as_other().write("/d/x", "theirs").unwrap();
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, ["d"]);
        assert_eq!(read(&fs, "d/x").await.unwrap(), b"theirs");
        assert_eq!(there(&drive), ["/d", "/d/x"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_has_taken_the_place_of_a_file_is_not_moved_for_it() {
    for drive in [MemoryDrive::plain(), MemoryDrive::extended()] {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        let ino = write(&fs, ROOT, "a", b"one").await;
        settled(&fs).await;
        drive.take_calls();
        drive.fail_next(Some(Verb::Rename), Fault::HeldBefore);
        edit(&fs, ino, 0, b"two").await;
        rename(&fs, "a", "b").await;
        until(|| drive.count(Verb::Rename) == 1).await;
        let other = drive.as_other();
        other.remove("/a").unwrap();
        other.make_folder("/a").unwrap();
        other.write("/a/x", "theirs").unwrap();
        drive.release();
        settled(&fs).await;
        let seen = names(&fs, ROOT).await;
        assert_eq!(seen.len(), 2, "{seen:?}");
        let ours = seen.iter().find(|name| *name != "b").unwrap();
        assert_eq!(read(&fs, ours).await.unwrap(), b"two");
        assert_eq!(other.read(&format!("/{ours}")).unwrap(), "two");
        assert_eq!(read(&fs, "b/x").await.unwrap(), b"theirs");
    }
}

#[tokio::test(start_paused = true)]
async fn a_folder_can_be_used_while_it_is_being_moved() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = fs
        .make_folder(ME, ROOT, name("d"), 0o755, 0)
        .await
        .unwrap()
        .ino;
    let beside = fs.make_folder(ME, ROOT, name("beside"), 0o755, 0);
    let beside = beside.await.unwrap().ino;
    settled(&fs).await;
    // What is known of it is not believed any more.
    tokio::time::sleep(Duration::from_hours(1)).await;
    drive.fail_next(Some(Verb::Rename), Fault::HeldAfter);
    rename(&fs, "d", "e").await;
    until(|| there(&drive) == ["/beside", "/e"]).await;
    let made = fs.make_folder(ME, ino, name("in"), 0o755, 0);
    let released = async {
        until(|| drive.count(Verb::List) > 0).await;
        // Others need not wait for it.
        assert_eq!(names(&fs, beside).await, [""; 0]);
        drive.release();
    };
    let (made, ()) = tokio::join!(made, released);
    made.unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/beside", "/e", "/e/in"]);
}

#[tokio::test(start_paused = true)]
async fn what_went_before_the_first_report_is_gone() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let other = drive.as_other();
    other.make_folder("/d").unwrap();
    drive.fail_next(Some(Verb::Changes), Fault::Busy);
    let fs = start(&drive, &cache).await;
    assert_eq!(names(&fs, ROOT).await, ["d"]);
    other.remove("/d").unwrap();
    settled(&fs).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_another_moved_alike_and_changed_is_not_removed_for_what_was_known() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"ours").await;
    settled(&fs).await;
    drive.take_calls();
    drive.fail_next(Some(Verb::Rename), Fault::HeldBefore);
    rename(&fs, "a", "b").await;
    until(|| drive.count(Verb::Rename) == 1).await;
    drive.set_online(false);
    let other = drive.as_other();
    other.rename("/a", "/b").unwrap();
    other.write("/b", "theirs").unwrap();
    drive.release();
    fs.unlink(ROOT, name("b")).await.unwrap();
    drive.set_online(true);
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(read(&fs, "b").await.unwrap(), b"theirs");
}

#[tokio::test(start_paused = true)]
async fn what_another_wrote_before_it_was_moved_is_not_removed_for_what_was_known() {
    for changed in [true, false] {
        let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        write(&fs, ROOT, "a", b"ours").await;
        settled(&fs).await;
        drive.take_calls();
        drive.fail_next(Some(Verb::Rename), Fault::HeldBefore);
        rename(&fs, "a", "b").await;
        until(|| drive.count(Verb::Rename) == 1).await;
        if changed {
            drive.as_other().write("/a", "theirs").unwrap();
        }
        fs.unlink(ROOT, name("b")).await.unwrap();
        drive.release();
        settled(&fs).await;
        let left = if changed { &["/b"][..] } else { &[] };
        assert_eq!(there(&drive), left);
    }
}
