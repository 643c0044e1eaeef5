//! Files with several names, given here and elsewhere.

use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;

use super::{Change, ME, edit, name, names, read, rename, settled, start, there, until, write};
use crate::drive::memory::{Fault, MemoryDrive, Verb};
use crate::drive::{Capabilities, Drive};
use crate::fs::{Fs, Ino, ROOT};

#[tokio::test]
async fn hard_links_are_names_of_one_file() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"one").await;
    assert_eq!(fs.link(ino, ROOT, name("b")).await.unwrap().nlink, 2);
    fs.settle().await;
    edit(&fs, ino, 0, b"two").await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    fs.settle().await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(drive.as_other().read("/b").unwrap(), "two");
    assert_eq!(fs.stat(ino).await.unwrap().nlink, 1);
}

#[tokio::test]
async fn a_server_without_bind_has_no_second_names() {
    let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"one").await;
    let refused = fs.link(ino, ROOT, name("b")).await;
    assert_eq!(refused.unwrap_err(), Errno::PERM);
}

#[tokio::test]
async fn names_that_others_give_and_take_are_counted() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    let ino = write(&fs, ROOT, "a", b"one").await;
    fs.settle().await;
    let other = drive.as_other();
    let names = async |expected: u32| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while fs.stat(ino).await.unwrap().nlink != expected {
            assert!(
                tokio::time::Instant::now() < deadline,
                "not {expected} names"
            );
            tokio::task::yield_now().await;
        }
    };
    other.bind("/a", "/b").unwrap();
    other.bind("/a", "/c").unwrap();
    names(3).await;
    // Two names go, and the one that is left moves: all in one report, maybe.
    other.remove("/a").unwrap();
    other.remove("/b").unwrap();
    other.rename("/c", "/d").unwrap();
    names(1).await;
    assert_eq!(fs.lookup(ROOT, name("d")).await.unwrap().ino, ino);
}

#[tokio::test]
async fn a_name_that_nobody_removed_here_stays() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"one").await;
    fs.settle().await;
    // While the one name is still to be removed on the server, another gives the file one more.
    drive.fail_next(Some(Verb::RemoveFile), Fault::Busy);
    fs.unlink(ROOT, name("a")).await.unwrap();
    drive.as_other().bind("/a", "/b").unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/b"]);
    assert_eq!(drive.as_other().read("/b").unwrap(), "one");
    assert_eq!(read(&fs, "b").await.unwrap(), b"one");
}

#[tokio::test]
async fn what_was_changed_under_a_new_name_is_not_removed_under_the_old_one() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"one").await;
    fs.settle().await;
    drive.fail_next(Some(Verb::RemoveFile), Fault::Busy);
    fs.unlink(ROOT, name("a")).await.unwrap();
    let other = drive.as_other();
    other.bind("/a", "/b").unwrap();
    other.write("/b", "two").unwrap();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a", "/b"]);
    for at in ["a", "b"] {
        assert_eq!(read(&fs, at).await.unwrap(), b"two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_replaced_leaves_the_file_under_names_that_were_not_heard_of() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    write(&fs, ROOT, "a", b"old").await;
    settled(&fs).await;
    drive.set_online(false);
    write(&fs, ROOT, "new", b"new").await;
    rename(&fs, "new", "a").await;
    drive.take_calls();
    drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
    drive.set_online(true);
    until(|| drive.count(Verb::Write) == 1).await;
    drive.as_other().bind("/a", "/kept").unwrap();
    drive.release();
    settled(&fs).await;
    assert_eq!(there(&drive), ["/a", "/kept"]);
    assert_eq!(drive.as_other().read("/kept").unwrap(), "old");
    assert_eq!(drive.as_other().read("/a").unwrap(), "new");
    assert_eq!(read(&fs, "kept").await.unwrap(), b"old");
    assert_eq!(read(&fs, "a").await.unwrap(), b"new");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_went_elsewhere_is_not_the_file() {
    for content in [false, true] {
        let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        let ino = write(&fs, ROOT, "a", b"one").await;
        fs.link(ino, ROOT, name("b")).await.unwrap();
        settled(&fs).await;
        drive.take_calls();
        let verb = if content {
            Verb::Write
        } else {
            Verb::SetAttributes
        };
        drive.fail_next(Some(verb), Fault::HeldBefore);
        if content {
            edit(&fs, ino, 0, b"two").await;
        } else {
            let change = Change {
                mode: Some(0o600),
                ..Change::default()
            };
            fs.set_attributes(ME, ino, change, None).await.unwrap();
        }
        until(|| drive.count(verb) == 1).await;
        drive.as_other().remove("/a").unwrap();
        drive.release();
        settled(&fs).await;
        assert_eq!(there(&drive), ["/b"]);
        assert_eq!(names(&fs, ROOT).await, ["b"]);
        assert_eq!(fs.lookup(ROOT, name("b")).await.unwrap().ino, ino);
        let listed = drive.as_other().listed("/b").unwrap();
        if content {
            assert_eq!(drive.as_other().read("/b").unwrap(), "two");
        } else {
            assert_eq!(listed.attributes.mode, Some(0o100_600));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_to_the_file_that_was_meant() {
    for replaced in [true, false] {
        let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        let ino = write(&fs, ROOT, "a", b"ours").await;
        settled(&fs).await;
        drive.fail_next(Some(Verb::Bind), Fault::HeldBefore);
        fs.link(ino, ROOT, name("b")).await.unwrap();
        until(|| drive.count(Verb::Bind) == 1).await;
        let other = drive.as_other();
        if replaced {
            other.remove("/a").unwrap();
        }
        other.write("/a", "theirs").unwrap();
        drive.release();
        settled(&fs).await;
        assert_eq!(there(&drive), ["/a", "/b"]);
        assert_eq!(other.read("/a").unwrap(), "theirs");
        let second = if replaced { "ours" } else { "theirs" };
        assert_eq!(other.read("/b").unwrap(), second);
        for (at, expected) in [("a", "theirs"), ("b", second)] {
            assert_eq!(read(&fs, at).await.unwrap(), expected.as_bytes());
        }
    }
}

/// A mount that has sent `a` without hearing what the server calls it, and has moved it to `b` or given
/// it that name as well, of which it did not hear either.
async fn named_unheard(
    drive: &MemoryDrive,
    cache: &TempDir,
    moved: bool,
) -> (Fs<MemoryDrive>, Ino) {
    let fs = start(drive, cache).await;
    let ino = write(&fs, ROOT, "a", b"one").await;
    settled(&fs).await;
    let verb = if moved { Verb::Rename } else { Verb::Bind };
    drive.fail_next(Some(verb), Fault::HeldAfter);
    if moved {
        rename(&fs, "a", "b").await;
    } else {
        fs.link(ino, ROOT, name("b")).await.unwrap();
    }
    until(|| there(drive).iter().any(|path| path == "/b")).await;
    (fs, ino)
}

/// A drive that has second names, and tells of nothing by itself.
fn silent() -> MemoryDrive {
    MemoryDrive::with(Capabilities {
        notices: false,
        ..MemoryDrive::extended().capabilities()
    })
}

#[tokio::test]
async fn a_name_given_unheard_to_what_was_just_sent_can_be_removed() {
    for (moved, left) in [(true, &[][..]), (false, &["/a"])] {
        let (drive, cache) = (silent(), TempDir::new().unwrap());
        let (fs, _) = named_unheard(&drive, &cache, moved).await;
        fs.unlink(ROOT, name("b")).await.unwrap();
        drop(fs);
        drive.heal();
        let fs = start(&drive, &cache).await;
        settled(&fs).await;
        assert_eq!(there(&drive), left);
        assert_eq!(names(&fs, ROOT).await.len(), left.len());
    }
}

#[tokio::test]
async fn a_name_given_unheard_to_what_was_just_sent_is_no_conflict() {
    for (moved, left) in [(true, &["b"][..]), (false, &["a", "b"])] {
        let (drive, cache) = (silent(), TempDir::new().unwrap());
        let (fs, ino) = named_unheard(&drive, &cache, moved).await;
        edit(&fs, ino, 0, b"two").await;
        drop(fs);
        drive.heal();
        let fs = start(&drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, left);
        for at in left {
            assert_eq!(drive.as_other().read(&format!("/{at}")).unwrap(), "two");
        }
        assert_eq!(there(&drive).len(), left.len());
    }
}
