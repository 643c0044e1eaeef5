//! Each point of "The mount" in `docs/SEMANTICS.md`, quoted by its test.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{Mount, MountSetup, Proxy, Weather, World, noise, until};
use nix::errno::Errno;

use crate::{blocking, shell};

const PATIENCE: Duration = Duration::from_mins(2);

/// A mount with a network that can be taken away.
async fn behind_proxy(world: &World, arguments: &[&str]) -> (Proxy, Mount) {
    let proxy = Proxy::to(world.address()).await;
    let mut setup = MountSetup::new(world, "mount").url(proxy.drive_url());
    for argument in arguments {
        setup = setup.argument(*argument);
    }
    let mount = setup.start().await;
    (proxy, mount)
}

/// Both ways of the kernel to a file's bytes.
const WAYS: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// "write() returned: every process on this machine sees it. It survives a crash of the mount
/// daemon."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_returned() {
    for way in WAYS {
        let world = World::start().await;
        let (_proxy, mut mount) = behind_proxy(&world, way).await;
        let mut file = File::create(mount.path("file")).unwrap();
        file.write_all(&noise(1, 400_000)).unwrap();
        shell(
            mount.point(),
            "test $(stat -c %s file) = 400000; test $(wc -c < file) = 400000",
        )
        .await;
        file.seek(SeekFrom::Start(1000)).unwrap();
        file.write_all(b"changed").unwrap();
        let output = shell(
            mount.point(),
            "dd if=file bs=1 skip=1000 count=7 status=none",
        )
        .await;
        assert_eq!(output.stdout, "changed");
        mount.kill().await;
        drop(file);
        mount.revive().await;
        let mut expected = noise(1, 400_000);
        expected[1000..1007].copy_from_slice(b"changed");
        assert!(
            std::fs::read(mount.path("file")).unwrap() == expected,
            "{way:?}"
        );
        mount.sync().await;
        assert!(world.alice().get("/file").await.body == expected, "{way:?}");
    }
}

/// "close() returned: the file is queued for upload. It does not wait for the server; its errors are
/// local (EIO, ENOSPC, EDQUOT when the known quota cannot hold the file)."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_returned() {
    let world = World::start().await;
    let (proxy, mount) = behind_proxy(&world, &[]).await;
    proxy.set(Weather::Down);
    std::fs::write(mount.path("queued"), "queued").unwrap();
    let waiting = mount.status_of("pending_names").await;
    assert!(waiting.as_u64() > Some(0), "{waiting}");
    proxy.set(Weather::Fair);
    until("it is sent without being asked for", PATIENCE, || async {
        world.alice().get("/queued").await.body == "queued"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_and_the_quota() {
    for way in WAYS {
        let world = World::start().await;
        let user = world.add_user("carol", Some(1_000_000)).await;
        let mut setup = MountSetup::new(&world, "mount").user(&user);
        for argument in way {
            setup = setup.argument(*argument);
        }
        let mount = setup.start().await;
        std::fs::write(mount.path("small"), noise(1, 500_000)).unwrap();
        mount.sync().await;
        let path = mount.path("large");
        let refused = blocking(move || {
            let mut file = File::create(path)?;
            file.write_all(&noise(2, 3_000_000))?;
            // The standard library hides what close(2) says; fsync says it too.
            file.sync_all()
        })
        .await;
        let errno = refused.unwrap_err().raw_os_error();
        assert_eq!(errno, Some(Errno::EDQUOT as i32), "{way:?}");
    }
}

/// "fsync() returned: content, size and name are on this machine's stable storage and, while online,
/// the server has answered 2xx. […] fsync of a directory does the same for names."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsync_returned_online() {
    for way in WAYS {
        let world = World::start().await;
        let (_proxy, mount) = behind_proxy(&world, way).await;
        for round in 0..5 {
            let path = mount.path("file");
            let content = noise(round, 100_000);
            let expected = content.clone();
            blocking(move || {
                let mut file = File::create(path).unwrap();
                file.write_all(&content).unwrap();
                file.sync_all().unwrap();
            })
            .await;
            assert!(world.alice().get("/file").await.body == expected, "{way:?}");
        }
        std::fs::create_dir(mount.path("folder")).unwrap();
        std::fs::rename(mount.path("file"), mount.path("folder/moved")).unwrap();
        for folder in ["folder", ""] {
            let path = mount.path(folder);
            blocking(move || File::open(path).unwrap().sync_all().unwrap()).await;
        }
        assert_eq!(world.alice().names("/").await, ["folder"]);
        assert_eq!(world.alice().names("/folder").await, ["moved"]);
    }
}

/// "Known offline: the journal suffices and `status` says so. `--fsync=local` never waits for the
/// server; `--fsync=strict` fails offline."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsync_returned_offline() {
    for (argument, succeeds) in [
        ("--fsync=wait", true),
        ("--fsync=local", true),
        ("--fsync=strict", false),
    ] {
        let world = World::start().await;
        let (proxy, mut mount) = behind_proxy(&world, &[argument]).await;
        proxy.set(Weather::Down);
        mount.becomes_online(false).await;
        let path = mount.path("file");
        let synced = blocking(move || {
            let mut file = File::create(path).unwrap();
            file.write_all(b"kept").unwrap();
            file.sync_all()
        })
        .await;
        assert_eq!(synced.is_ok(), succeeds, "{argument}: {synced:?}");
        assert_eq!(mount.status_of("online").await, false);
        mount.kill().await;
        proxy.set(Weather::Fair);
        mount.revive().await;
        assert_eq!(
            std::fs::read(mount.path("file")).unwrap(),
            b"kept",
            "{argument}"
        );
        mount.sync().await;
        assert_eq!(world.alice().get("/file").await.body, "kept", "{argument}");
    }
}

/// "rename(): atomic for every process on this machine, before and after a crash. On our server
/// atomic for all clients."
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rename_is_atomic() {
    let world = World::start().await;
    let mount = Mount::new(&world).await;
    let whole = |round: u64| format!("{round};").repeat(3000);
    let is_whole = |text: &str| {
        let mut parts = text.split_terminator(';');
        let first = parts.next();
        first.is_some()
            && parts.all(|part| Some(part) == first)
            && text.matches(';').count() == 3000
    };
    std::fs::write(mount.path("file"), whole(0)).unwrap();
    mount.sync().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (path, ended) = (mount.path("file"), Arc::clone(&stop));
    let reader = tokio::task::spawn_blocking(move || {
        let mut count = 0;
        while !ended.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string(&path).expect("the name is always there");
            assert!(is_whole(&text), "a mixture is seen");
            count += 1;
        }
        count
    });
    let folder = mount.point().to_owned();
    let writer = blocking(move || {
        for round in 1..200 {
            std::fs::write(folder.join("new"), whole(round)).unwrap();
            std::fs::rename(folder.join("new"), folder.join("file")).unwrap();
        }
    });
    let elsewhere = async {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let text = world.alice().get("/file").await.must_be(200).text();
            assert!(is_whole(&text), "others see a mixture");
            count += 1;
        }
        count
    };
    let work = async {
        writer.await;
        mount.sync().await;
        stop.store(true, Ordering::Relaxed);
    };
    let ((), others) = tokio::join!(work, elsewhere);
    let own = reader.await.unwrap();
    eprintln!("rename: {own} readings here and {others} elsewhere were whole");
    assert!(is_whole(&world.alice().get("/file").await.text()));
}

/// "unlink() with the file open here: it stays readable and writable here until the last close."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlink_while_open() {
    for way in WAYS {
        let world = World::start().await;
        world
            .alice()
            .put("/far", noise(3, 3 << 20))
            .await
            .must_be(201);
        let (_proxy, mount) = behind_proxy(&world, way).await;
        std::fs::write(mount.path("near"), noise(4, 300_000)).unwrap();
        mount.sync().await;
        for (name, expected) in [("far", noise(3, 3 << 20)), ("near", noise(4, 300_000))] {
            let path = mount.path(name);
            let mut file = File::options().read(true).write(true).open(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            assert!(!path.exists());
            mount.sync().await;
            let file = blocking(move || {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).unwrap();
                assert!(bytes == expected, "{name}");
                file.write_all_at(b"still", 10).unwrap();
                let mut part = [0; 5];
                file.read_exact_at(&mut part, 10).unwrap();
                assert_eq!(&part, b"still");
                assert_eq!(file.metadata().unwrap().nlink(), 0, "{name}");
                file
            })
            .await;
            drop(file);
        }
        mount.sync().await;
        assert_eq!(world.alice().names("/").await, Vec::<String>::new());
    }
}

/// "open() sees the newest version the server had when open was called, as far as it has been told
/// […]. Files open while a remote change arrives keep the old content."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_sees_the_newest() {
    let world = World::start().await;
    world
        .alice()
        .put("/file", "first version")
        .await
        .must_be(201);
    let mount = Mount::new(&world).await;
    let mut old = File::open(mount.path("file")).unwrap();
    world
        .alice()
        .put("/file", "the second, longer version")
        .await
        .must_be(204);
    until("the second version is seen", PATIENCE, || async {
        let path = mount.path("file");
        blocking(move || std::fs::read(path)).await.unwrap() == b"the second, longer version"
    })
    .await;
    let seen = blocking(move || {
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        text
    })
    .await;
    assert_eq!(seen, "first version");
}

/// "Crash of the daemon: no acknowledged operation is lost."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_of_the_daemon() {
    let world = World::start().await;
    let (proxy, mut mount) = behind_proxy(&world, &[]).await;
    proxy.set(Weather::BlackHole);
    shell(
        mount.point(),
        "mkdir -p a/b; echo one > a/b/one; ln -s one a/b/link; echo two > a/two; chmod 600 a/two
         mv a/b a/c; echo gone > gone; rm gone; setfattr -n user.x -v y a/c/one; truncate -s 5G sparse
         touch -d '2005-05-05 05:05:05.5' a/two",
    )
    .await;
    mount.kill().await;
    proxy.set(Weather::Fair);
    mount.revive().await;
    let all = "find . | sort; stat -c '%a %h %s %Y' a/two sparse; readlink a/c/link
               getfattr --only-values -n user.x a/c/one";
    let seen = shell(mount.point(), all).await.stdout;
    assert!(
        seen.starts_with(".\n./a\n./a/c\n./a/c/link\n./a/c/one\n./a/two\n./sparse\n600 1 4 "),
        "{seen}"
    );
    assert!(seen.ends_with("one\ny"), "{seen}");
    std::fs::remove_file(mount.path("sparse")).unwrap();
    mount.sync().await;
    assert_eq!(world.alice().names("/a/c").await, ["link", "one"]);
}

/// "Offline: everything listed or pinned stays visible, everything cached stays readable, everything
/// is writable into the cache. Uncached reads fail within the deadline".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline() {
    let world = World::start().await;
    for name in ["/cached", "/uncached", "/pinned"] {
        world
            .alice()
            .put(name, noise(9, 5 << 20))
            .await
            .must_be(201);
    }
    let (proxy, mut mount) = behind_proxy(&world, &[]).await;
    let names = ["cached", "pinned", "uncached"];
    let listed = |mount: &Mount| -> BTreeSet<String> {
        let entries = std::fs::read_dir(mount.point()).unwrap();
        entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(listed(&mount), names.map(str::to_owned).into());
    assert!(std::fs::read(mount.path("cached")).unwrap() == noise(9, 5 << 20));
    let pinned = mount.path("pinned");
    harness::Program::new(harness::binary("coffer"))
        .env("XDG_RUNTIME_DIR", mount.cache().parent().unwrap())
        .arg("pin")
        .arg(pinned)
        .run()
        .await
        .success();
    until("what is pinned is here", PATIENCE, || async {
        mount.status_of("cache_bytes").await.as_u64() >= Some(10 << 20)
    })
    .await;
    mount.unmount_at_once().await;
    mount.revive().await;
    proxy.set(Weather::Down);
    mount.becomes_online(false).await;
    assert_eq!(listed(&mount), names.map(str::to_owned).into());
    for name in ["cached", "pinned"] {
        assert!(
            std::fs::read(mount.path(name)).unwrap() == noise(9, 5 << 20),
            "{name}"
        );
    }
    let far = mount.path("uncached");
    let failed = tokio::time::timeout(
        Duration::from_secs(45),
        blocking(move || std::fs::read(far)),
    );
    assert!(failed.await.expect("it ends").is_err());
    std::fs::create_dir(mount.path("new")).unwrap();
    std::fs::rename(mount.path("uncached"), mount.path("new/moved")).unwrap();
    std::fs::write(mount.path("cached"), "changed").unwrap();
    std::fs::remove_file(mount.path("pinned")).unwrap();
    proxy.set(Weather::Fair);
    mount.becomes_online(true).await;
    mount.sync().await;
    assert_eq!(world.alice().names("/").await, ["cached", "new"]);
    assert_eq!(world.alice().get("/cached").await.body, "changed");
    assert!(world.alice().get("/new/moved").await.body == noise(9, 5 << 20));
}

/// "Conflicts: no version is ever overwritten unseen. The server's version keeps the name; yours
/// becomes `name (conflict of HOST 2026-11-20 0815).ext` next to it."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_keep_both() {
    let world = World::start().await;
    world.alice().put("/letter.txt", "first").await.must_be(201);
    let (proxy, mount) = behind_proxy(&world, &[]).await;
    assert_eq!(std::fs::read(mount.path("letter.txt")).unwrap(), b"first");
    proxy.set(Weather::Down);
    mount.becomes_online(false).await;
    std::fs::write(mount.path("letter.txt"), "ours").unwrap();
    world
        .alice()
        .put("/letter.txt", "theirs")
        .await
        .must_be(204);
    proxy.set(Weather::Fair);
    mount.becomes_online(true).await;
    mount.sync().await;
    let names = world.alice().names("/").await;
    let copy = names
        .iter()
        .find(|name| name.starts_with("letter (conflict of "));
    let copy = copy.unwrap_or_else(|| panic!("there is no conflict copy: {names:?}"));
    assert_eq!(
        (names.len(), copy.ends_with(").txt")),
        (2, true),
        "{names:?}"
    );
    assert_eq!(world.alice().get("/letter.txt").await.body, "theirs");
    assert_eq!(world.alice().get(&format!("/{copy}")).await.body, "ours");
    until("both are seen here", PATIENCE, || async {
        let (name, copy) = (mount.path("letter.txt"), mount.path(copy));
        let both = blocking(move || (std::fs::read(name), std::fs::read(copy))).await;
        matches!(both, (Ok(name), Ok(copy)) if name == b"theirs" && copy == b"ours")
    })
    .await;
    let shown = mount.status_of("conflicts").await.to_string();
    assert!(shown.contains(copy.as_str()), "{shown}");
}

/// "Never silently dropped: data that cannot be uploaded stays in the cache, is shown by `status`,
/// and blocks eviction and (with `--flush`) unmount."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_silently_dropped() {
    let world = World::start().await;
    let user = world.add_user("carol", Some(2_000_000)).await;
    let proxy = Proxy::to(world.address()).await;
    let setup = MountSetup::new(&world, "mount")
        .user(&user)
        .url(proxy.drive_url());
    let mut mount = setup.start().await;
    proxy.set(Weather::Down);
    mount.becomes_online(false).await;
    std::fs::write(mount.path("kept"), noise(1, 1_500_000)).unwrap();
    // Somebody else takes the room that was thought to be there.
    let elsewhere = world.as_user(&user);
    elsewhere
        .put("/first", noise(2, 1_500_000))
        .await
        .must_be(201);
    proxy.set(Weather::Fair);
    until("it is shown to be blocked", PATIENCE, || async {
        mount
            .status_of("blocked")
            .await
            .to_string()
            .contains("kept")
    })
    .await;
    let refused = mount.ask(&["unmount", "--flush"]).await;
    assert!(!refused.succeeded(), "{refused:?}");
    assert!(std::fs::read(mount.path("kept")).unwrap() == noise(1, 1_500_000));
    mount.kill().await;
    mount.revive().await;
    assert!(std::fs::read(mount.path("kept")).unwrap() == noise(1, 1_500_000));
    elsewhere.delete("/first").await.must_be(204);
    until("it is sent once there is room", PATIENCE, || async {
        mount.ask(&["sync"]).await.succeeded()
    })
    .await;
    assert!(elsewhere.get("/kept").await.body == noise(1, 1_500_000));
    mount.unmount().await;
}
