//! A tree that is copied into the drive is the same on another machine.

use std::path::Path;

use harness::{Mount, MountSetup, SPECIAL_NAMES, World, noise};
use nix::unistd::geteuid;

use crate::shell;
use crate::tree::{described, differences};

/// Something of everything that a drive keeps.
async fn fill(folder: &Path) {
    for (number, name) in SPECIAL_NAMES.iter().enumerate() {
        std::fs::write(folder.join(name), noise(number as u64, number * 1000)).unwrap();
    }
    std::fs::write(folder.join("big"), noise(99, 20 << 20)).unwrap();
    shell(
        folder,
        "mkdir -p deep/a/b/c empty && echo bottom > deep/a/b/c/bottom\n\
         chmod 0600 'two words.txt'; chmod 0755 big; chmod 0444 it\\'s.txt; chmod 1777 empty\n\
         chmod 2750 deep/a\n\
         ln -s ../nowhere/at/all dangling; ln -s deep/a around; ln -s . dot\n\
         mkfifo pipe\n\
         setfattr -n user.comment -v 'with \"quotes\" and ümlauts' big\n\
         setfattr -n user.empty -v '' deep\n\
         truncate -s 3M sparse; printf x | dd of=sparse bs=1 seek=2000000 conv=notrunc status=none\n\
         touch -d '1999-12-31 23:59:59.123456789 UTC' big 'salt & pepper.txt'\n\
         touch -d '2001-02-03 04:05:06.7 UTC' deep/a/b",
    )
    .await;
    if geteuid().is_root() {
        shell(folder, "chown 1234:4321 a+b.txt; chown -h 1:2 dangling").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_is_the_same_on_another_mount() {
    let world = World::start().await;
    let local = world.scratch().join("tree");
    std::fs::create_dir(&local).unwrap();
    fill(&local).await;
    let expected = described(&local);

    let mut first = Mount::new(&world).await;
    shell(&local, &format!("cp -a . {}/tree", first.point().display())).await;
    let here = differences(&expected, &described(&first.path("tree")));
    assert!(here.is_empty(), "where it was written: {here:#?}");
    first.unmount().await;

    let second = MountSetup::new(&world, "elsewhere").start().await;
    let there = differences(&expected, &described(&second.path("tree")));
    assert!(there.is_empty(), "elsewhere: {there:#?}");

    first.revive().await;
    let again = differences(&expected, &described(&first.path("tree")));
    assert!(again.is_empty(), "after a new start: {again:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_put_there_is_seen_and_what_is_put_there_others_see() {
    let world = World::start().await;
    let dav = world.alice();
    dav.mkcol("/by others").await.must_be(201);
    for name in SPECIAL_NAMES {
        let path = format!("/by others/{name}");
        dav.put(&path, name.as_bytes().to_vec()).await.must_be(201);
    }
    let mount = Mount::new(&world).await;
    for name in SPECIAL_NAMES {
        let path = mount.path("by others").join(name);
        assert_eq!(std::fs::read(path).unwrap(), name.as_bytes());
        std::fs::write(mount.path(name), name).unwrap();
    }
    mount.sync().await;
    for name in SPECIAL_NAMES {
        assert_eq!(dav.get(&format!("/{name}")).await, name.as_bytes().to_vec());
    }
}
