//! Requests whose answers get lost, by the network or by the end of the mount, and what was wanted
//! meanwhile.

use super::*;

fn drives() -> [MemoryDrive; 2] {
    [MemoryDrive::extended(), MemoryDrive::plain()]
}

/// Waits until the server has made a change whose answer is not heard.
async fn done_there(drive: &MemoryDrive, is_done: impl Fn(&MemoryDrive) -> bool + Send + Sync) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while !is_done(drive) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

fn has(at: &str) -> impl Fn(&MemoryDrive) -> bool + Send + Sync {
    move |drive| there(drive).iter().any(|path| path == at)
}

/// The mount dies, and begins again.
async fn again(fs: Fs<MemoryDrive>, drive: &MemoryDrive, cache: &TempDir) -> Fs<MemoryDrive> {
    drop(fs);
    drive.heal();
    start(drive, cache).await
}

#[tokio::test]
async fn what_was_removed_while_it_was_sent_stays_so_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
        write(&fs, ROOT, "a", b"hello").await;
        done_there(&drive, has("/a")).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        let fs = again(fs, &drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_after_it_was_asked_for_is_known_as_ours() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        let ino = write(&fs, ROOT, "a", b"one").await;
        settled(&fs).await;
        drive.take_calls();
        drive.fail_next(Some(Verb::Write), Fault::Late);
        edit(&fs, ino, 0, b"another").await;
        until(|| drive.count(Verb::Write) == 1).await;
        drive.set_online(false);
        write(&fs, ROOT, "b", b"the last").await;
        rename(&fs, "b", "a").await;
        drive.take_calls();
        drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
        drive.set_online(true);
        until(|| drive.count(Verb::Write) == 1).await;
        drive.arrive();
        drive.release();
        settled(&fs).await;
        assert_eq!(there(&drive), ["/a"]);
        assert_eq!(drive.as_other().read("/a").unwrap(), "the last");
    }
}

#[tokio::test]
async fn what_was_changed_and_removed_while_it_was_sent_stays_so_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
        let ino = write(&fs, ROOT, "a", &[0; 100]).await;
        let flushed = fs.clone();
        let flushing = tokio::spawn(async move { flushed.flush_all().await.ok() });
        // At every turn, so that it is done in the middle of sending as well.
        for turn in (1..=255).cycle().take(500) {
            edit(&fs, ino, 0, &[turn; 100]).await;
            if has("/a")(&drive) {
                break;
            }
            tokio::task::yield_now().await;
        }
        done_there(&drive, has("/a")).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        flushing.abort();
        flushing.await.unwrap_err();
        let fs = again(fs, &drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

/// Kills the mount, begins again, and lets a request arrive that was asked about and was not there yet.
async fn arrives_late(
    fs: Fs<MemoryDrive>,
    drive: &MemoryDrive,
    cache: &TempDir,
) -> Fs<MemoryDrive> {
    drive.take_calls();
    let fs = again(fs, drive, cache).await;
    until(|| drive.count(Verb::Stat) > 0).await;
    // The answer has come, and what follows from it is done.
    tokio::time::sleep(Duration::from_secs(3)).await;
    drive.arrive();
    settled(&fs).await;
    fs
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_stays_so_when_it_arrives_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::Late);
        write(&fs, ROOT, "a", b"hello").await;
        until(|| drive.count(Verb::Write) == 1).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        let fs = arrives_late(fs, &drive, &cache).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_removed_stays_so_when_it_arrives_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        let ino = write(&fs, ROOT, "a", b"one").await;
        settled(&fs).await;
        drive.take_calls();
        drive.fail_next(Some(Verb::Write), Fault::Late);
        edit(&fs, ino, 0, b"another").await;
        until(|| drive.count(Verb::Write) == 1).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        let fs = arrives_late(fs, &drive, &cache).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_renamed_is_there_once_when_it_arrives_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::Late);
        write(&fs, ROOT, "a", b"hello").await;
        until(|| drive.count(Verb::Write) == 1).await;
        rename(&fs, "a", "b").await;
        let fs = arrives_late(fs, &drive, &cache).await;
        assert_eq!(names(&fs, ROOT).await, ["b"]);
        assert_eq!(there(&drive), ["/b"]);
        assert_eq!(drive.as_other().read("/b").unwrap(), "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn folders_that_were_removed_stay_so_when_they_arrive_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::MakeFolder), Fault::Late);
        fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        until(|| drive.count(Verb::MakeFolder) == 1).await;
        fs.remove_folder(ROOT, name("d")).await.unwrap();
        let fs = arrives_late(fs, &drive, &cache).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_moved_and_removed_stays_so_when_it_arrives_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        write(&fs, ROOT, "a", b"hello").await;
        settled(&fs).await;
        drive.fail_next(Some(Verb::Rename), Fault::Late);
        drive.fail_next(Some(Verb::Stat), Fault::HeldBefore);
        rename(&fs, "a", "b").await;
        until(|| drive.count(Verb::Rename) == 1).await;
        fs.unlink(ROOT, name("b")).await.unwrap();
        let fs = arrives_late(fs, &drive, &cache).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_made_where_a_request_did_not_arrive_is_shown() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::Late);
        write(&fs, ROOT, "a", b"hello").await;
        until(|| drive.count(Verb::Write) == 1).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        drive.as_other().write("/a", "theirs").unwrap();
        let fs = arrives_late(fs, &drive, &cache).await;
        assert_eq!(names(&fs, ROOT).await, ["a"]);
        assert_eq!(drive.as_other().read("/a").unwrap(), "theirs");
    }
}

#[tokio::test]
async fn what_was_renamed_while_it_was_sent_is_there_once_after_a_kill() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
        write(&fs, ROOT, "a", b"hello").await;
        done_there(&drive, has("/a")).await;
        rename(&fs, "a", "b").await;
        let fs = again(fs, &drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, ["b"]);
        assert_eq!(there(&drive), ["/b"]);
        assert_eq!(drive.as_other().read("/b").unwrap(), "hello");
        assert_eq!(drive.count(Verb::Write), 1);
    }
}

#[tokio::test]
async fn a_version_that_was_removed_while_it_was_sent_stays_so_after_a_kill() {
    // As a new file that takes the name, and as a new version of the same.
    for (drive, replaced) in drives()
        .into_iter()
        .zip([false, true])
        .chain(drives().into_iter().zip([true, false]))
    {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        let ino = write(&fs, ROOT, "a", b"one").await;
        settled(&fs).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldAfter);
        if replaced {
            fs.unlink(ROOT, name("a")).await.unwrap();
            write(&fs, ROOT, "a", b"another").await;
        } else {
            edit(&fs, ino, 0, b"another").await;
        }
        let arrived =
            |drive: &MemoryDrive| drive.as_other().read("/a").is_ok_and(|it| it == "another");
        done_there(&drive, arrived).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        let fs = again(fs, &drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test]
async fn folders_made_and_moved_without_an_answer_can_be_removed() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::MakeFolder), Fault::HeldAfter);
        fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        done_there(&drive, has("/d")).await;
        fs.remove_folder(ROOT, name("d")).await.unwrap();
        let fs = again(fs, &drive, &cache).await;
        settled(&fs).await;
        assert_eq!(there(&drive), [""; 0]);

        let e = fs.make_folder(ME, ROOT, name("e"), 0o755, 0).await.unwrap();
        write(&fs, e.ino, "x", b"x").await;
        settled(&fs).await;
        drive.fail_next(Some(Verb::Rename), Fault::HeldAfter);
        rename(&fs, "e", "f").await;
        done_there(&drive, has("/f/x")).await;
        fs.unlink(e.ino, name("x")).await.unwrap();
        fs.remove_folder(ROOT, name("f")).await.unwrap();
        let fs = again(fs, &drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test]
async fn a_lost_answer_brings_nothing_back() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::UnreachableAfter);
        write(&fs, ROOT, "a", b"hello").await;
        done_there(&drive, has("/a")).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}

#[tokio::test]
async fn anothers_file_is_not_taken_for_what_was_not_sent() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
        write(&fs, ROOT, "a", b"hello").await;
        done_there(&drive, |drive| drive.count(Verb::Write) == 1).await;
        fs.unlink(ROOT, name("a")).await.unwrap();
        drop(fs);
        drive.as_other().write("/a", "other").unwrap();
        drive.heal();
        let fs = start(&drive, &cache).await;
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, ["a"]);
        assert_eq!(read(&fs, "a").await.unwrap(), b"other");
    }
}

#[tokio::test]
async fn a_folder_made_here_is_known_offline() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        names(&fs, ROOT).await;
        drive.fail_next(Some(Verb::MakeFolder), Fault::UnreachableAfter);
        drive.fail_next(Some(Verb::List), Fault::UnreachableBefore);
        let d = fs.make_folder(ME, ROOT, name("d"), 0o755, 0).await.unwrap();
        write(&fs, d.ino, "x", b"x").await;
        done_there(&drive, has("/d")).await;
        drive.set_online(false);
        assert_eq!(names(&fs, d.ino).await, ["x"]);
        let missing = fs.lookup(d.ino, name("y")).await;
        assert_eq!(missing.unwrap_err(), Errno::NOENT);
        drive.set_online(true);
        settled(&fs).await;
        assert_eq!(there(&drive), ["/d", "/d/x"]);
    }
}

#[tokio::test]
async fn a_server_that_only_fails_does_not_keep_anybody_waiting() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    tokio::time::pause();
    let fs = start(&drive, &cache).await;
    names(&fs, ROOT).await;
    drive.fail_by_chance(1, 1000, &[Fault::Busy]);
    write(&fs, ROOT, "a", b"hello").await;
    let left = fs.flush_all().await.unwrap_err();
    assert_eq!(left.items[0].path, "/a");
    drive.heal();
    fs.flush_all().await.unwrap();
    assert_eq!(there(&drive), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_shown_and_stays_to_be_sent() {
    for (fault, reason) in [
        (Fault::Forbidden, "permission"),
        (Fault::Locked, "locked"),
        (Fault::LoginRefused, "login"),
        (Fault::NoSpace, "quota"),
    ] {
        let (drive, cache) = (MemoryDrive::plain(), TempDir::new().unwrap());
        let fs = start(&drive, &cache).await;
        drive.fail_next(Some(Verb::Write), fault);
        write(&fs, ROOT, "a", b"hello").await;
        while fs.status().blocked.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(fs.status().blocked[0].path, "/a");
        assert_eq!(fs.status().blocked[0].reason, reason);
        fs.flush_all().await.unwrap();
        assert_eq!(drive.as_other().read("/a").unwrap(), "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_request_may_arrive_though_the_last_was_broken_off() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Write), Fault::Late);
    drive.fail_next(Some(Verb::Write), Fault::HeldBefore);
    write(&fs, ROOT, "a", b"hello").await;
    until(|| drive.count(Verb::Write) == 2).await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    drive.arrive();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
    assert_eq!(there(&drive), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_stays_so_when_it_arrives_after_the_network_was_away() {
    let (drive, cache) = (MemoryDrive::extended(), TempDir::new().unwrap());
    let fs = start(&drive, &cache).await;
    settled(&fs).await;
    drive.fail_next(Some(Verb::Write), Fault::Late);
    write(&fs, ROOT, "a", b"hello").await;
    until(|| drive.count(Verb::Write) == 1).await;
    fs.unlink(ROOT, name("a")).await.unwrap();
    drive.set_online(false);
    tokio::time::sleep(Duration::from_secs(30)).await;
    drive.take_calls();
    drive.set_online(true);
    until(|| drive.count(Verb::Stat) > 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    drive.arrive();
    settled(&fs).await;
    assert_eq!(names(&fs, ROOT).await, [""; 0]);
    assert_eq!(there(&drive), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_again_and_removed_stays_so_when_the_first_request_arrives() {
    for drive in drives() {
        let cache = TempDir::new().unwrap();
        let fs = start(&drive, &cache).await;
        settled(&fs).await;
        drive.fail_next(Some(Verb::Write), Fault::Late);
        let a = write(&fs, ROOT, "a", b"hello").await;
        until(|| has("/a")(&drive)).await;
        assert_eq!(fs.stat(a).await.unwrap().size, 5);
        fs.unlink(ROOT, name("a")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        drive.arrive();
        settled(&fs).await;
        assert_eq!(names(&fs, ROOT).await, [""; 0]);
        assert_eq!(there(&drive), [""; 0]);
    }
}
