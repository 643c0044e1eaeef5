//! Beginnings that cannot be: each says what is wrong, and loses nothing.

use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use harness::{Mount, MountSetup, Program, User, World, binary, is_mounted, noise, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_certificates_without_any() {
    let world = World::start().await;
    let file = world.scratch().join("empty.pem");
    std::fs::write(&file, "nothing of the kind").unwrap();
    let setup = MountSetup::new(&world, "mount").argument(format!("--ca-file={}", file.display()));
    refused(setup.try_start().await, &["empty.pem", "no certificate"]);
}

/// A mount that outlives whoever made it.
struct Left(PathBuf);

impl Drop for Left {
    fn drop(&mut self) {
        if is_mounted(&self.0) {
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(&self.0)
                .status();
        }
    }
}

/// As a line of fstab has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mount_8_calls() {
    let world = World::start().await;
    let folder = world.scratch().join("helper");
    let point = folder.join("drive");
    std::fs::create_dir_all(&point).unwrap();
    let helper = folder.join("mount.fuse.coffer");
    std::os::unix::fs::symlink(binary("coffer"), &helper).unwrap();
    let password = folder.join("password");
    harness::private_file(&password, &World::alice_user().password);
    let options = format!(
        "rw,noexec,nofail,username={},password_file={},cache={}",
        World::alice_user().name,
        password.display(),
        folder.join("cache").display()
    );
    let program = |path: PathBuf| Program::new(path).env("XDG_RUNTIME_DIR", &folder);
    let left = Left(point.clone());
    let mounting = program(helper).arg(world.drive_url()).arg(&point);
    mounting.args(["-o", &options]).run().await.success();
    assert!(is_mounted(&point), "it is there when the helper has ended");
    std::fs::write(point.join("file"), "content").unwrap();
    let sync = program(binary("coffer")).arg("sync").arg(&point);
    sync.run().await.success();
    Program::new("umount").arg(&point).run().await.success();
    until("it is gone", Duration::from_secs(20), || async {
        !is_mounted(&point)
    })
    .await;
    drop(left);
    let mount = Mount::new(&world).await;
    assert_eq!(std::fs::read(mount.path("file")).unwrap(), b"content");
}

/// As the unit for systemd has it: it says when it is ready, and ends in good order when it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_systemd_starts_and_stops() {
    let world = World::start().await;
    let folder = world.scratch().join("unit");
    let point = folder.join("drive");
    std::fs::create_dir_all(&point).unwrap();
    let password = folder.join("password");
    harness::private_file(&password, &World::alice_user().password);
    let place = folder.join("notify");
    let told = UnixDatagram::bind(&place).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let start = || {
        let mut command = std::process::Command::new(binary("coffer"));
        command.args(["mount", "--foreground", "--user"]);
        command.arg(&World::alice_user().name);
        command.arg("--password-file").arg(&password);
        command.arg("--cache").arg(folder.join("cache"));
        command.arg(world.drive_url()).arg(&point);
        command.env("NOTIFY_SOCKET", &place);
        let child = command.env("XDG_RUNTIME_DIR", &folder).spawn().unwrap();
        let mut words = [0; 256];
        let length = told.recv(&mut words).expect("it says when it is ready");
        let words = String::from_utf8_lossy(&words[..length]);
        assert!(words.contains("READY=1"), "{words}");
        child
    };
    let stop = |mut child: std::process::Child| {
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}");
        assert!(!is_mounted(&point));
        let mut words = [0; 256];
        while !words.starts_with(b"STOPPING=1") {
            told.recv(&mut words).expect("it says that it stops");
        }
    };
    let left = Left(point.clone());
    let child = start();
    assert!(is_mounted(&point), "it is there when it says so");
    std::fs::write(point.join("file"), "content").unwrap();
    stop(child);
    let child = start();
    assert_eq!(std::fs::read(point.join("file")).unwrap(), b"content");
    stop(child);
    drop(left);
}
