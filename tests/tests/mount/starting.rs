//! Beginnings that cannot be: each says what is wrong, and loses nothing.

use std::os::unix::fs::FileExt;

use harness::{Mount, MountSetup, User, World, noise};

fn refused(started: Result<Mount, String>, words: &[&str]) {
    let reason = started.err().expect("it is refused");
    for word in words {
        assert!(reason.contains(word), "{word} is not in: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_or_address() {
    let world = World::start().await;
    let wrong = User {
        password: "not-the-password-of-alice".to_owned(),
        ..World::alice_user()
    };
    let setup = MountSetup::new(&world, "mount");
    refused(
        setup.clone().user(&wrong).try_start().await,
        &["user and password"],
    );
    let nowhere = format!("{}/nothing/here/", world.address());
    refused(
        setup.clone().url(nowhere).try_start().await,
        &["nothing/here"],
    );
    refused(
        setup.clone().url("gopher://example.org/").try_start().await,
        &["gopher"],
    );
    setup.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_not_free() {
    let world = World::start().await;
    let taken = world.scratch().join("taken/drive");
    std::fs::create_dir_all(&taken).unwrap();
    std::fs::write(taken.join("mine"), "mine").unwrap();
    refused(
        MountSetup::new(&world, "taken").try_start().await,
        &["empty", "taken"],
    );
    assert_eq!(std::fs::read(taken.join("mine")).unwrap(), b"mine");
    let mount = MountSetup::new(&world, "mount").start().await;
    let again = MountSetup::new(&world, "mount").try_start().await;
    refused(again, &["mount"]);
    std::fs::write(mount.path("still"), "works").unwrap();
    mount.sync().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_in_use() {
    let world = World::start().await;
    let mount = MountSetup::new(&world, "mount").start().await;
    let cache = format!("--cache={}", mount.cache().display());
    let second = MountSetup::new(&world, "other")
        .without_cache()
        .argument(cache);
    refused(second.try_start().await, &["in use"]);
    std::fs::write(mount.path("still"), "works").unwrap();
    mount.sync().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_mount_is_taken_away() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    std::fs::write(mount.path("file"), "content").unwrap();
    mount.kill_only().await;
    assert!(std::fs::read_dir(mount.point()).is_err(), "it is dead");
    mount.revive().await;
    assert_eq!(std::fs::read(mount.path("file")).unwrap(), b"content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_of_another_version_is_refused_and_left_alone() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    std::fs::write(mount.path("file"), "content").unwrap();
    mount.unmount().await;
    let state = mount.cache().join("state.db");
    let set = |change: i64| {
        let database = rusqlite::Connection::open(&state).unwrap();
        let old: i64 = database
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        database
            .pragma_update(None, "user_version", old + change)
            .unwrap();
    };
    set(1);
    let reason = mount.try_revive().await.unwrap_err();
    assert!(reason.contains("version"), "{reason}");
    set(-1);
    mount.revive().await;
    assert_eq!(std::fs::read(mount.path("file")).unwrap(), b"content");
}

/// Whatever is damaged, either the mount says so, or what it shows is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_state_is_found_or_does_no_harm() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    for number in 0..200 {
        std::fs::write(mount.path(&format!("file{number}")), noise(number, 3000)).unwrap();
    }
    mount.sync().await;
    mount.kill().await;
    let state = mount.cache().join("state.db");
    let whole = std::fs::read(&state).unwrap();
    let journal = mount.cache().join("state.db-wal");
    let whole_journal = std::fs::read(&journal).unwrap_or_default();
    for round in 0..12 {
        std::fs::write(&state, &whole).unwrap();
        std::fs::write(&journal, &whole_journal).unwrap();
        let file = std::fs::File::options().write(true).open(&state).unwrap();
        let place = whole.len() as u64 * round / 12 + 100;
        file.write_all_at(&noise(round, 16), place).unwrap();
        if let Err(reason) = mount.try_revive().await {
            assert!(reason.contains("damaged"), "{reason}");
            continue;
        }
        for number in 0..200 {
            let bytes = std::fs::read(mount.path(&format!("file{number}")));
            if let Ok(bytes) = bytes {
                assert!(bytes == noise(number, 3000), "round {round}: file{number}");
            }
        }
        mount.kill().await;
    }
    assert_eq!(
        world.alice().names("/").await.len(),
        200,
        "the server has all of it"
    );
}
