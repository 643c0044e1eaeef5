//! Hard links, as the programs make them that people use.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use harness::{Mount, MountSetup, World, until};

use crate::{blocking, shell};

const PATIENCE: Duration = Duration::from_mins(1);

/// Number and names of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.nlink()))
}

async fn becomes(what: &str, holds: impl Fn() -> bool + Clone + Send + Sync + 'static) {
    until(what, PATIENCE, || blocking(holds.clone())).await;
}

async fn must_be_sound(world: &World) {
    let checked = world.cli(&["check"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_made_here_and_elsewhere_are_of_one_file() {
    let world = World::start().await;
    let alice = world.alice();
    let mount = Mount::new(&world).await;
    let other = MountSetup::new(&world, "elsewhere").start().await;
    shell(
        mount.point(),
        "mkdir d; echo one > a; ln a d/b; ln a c; test a -ef d/b
         test $(stat -c %h a) = 3; echo two >> d/b; grep -q two c
         chmod 640 a; test $(stat -c %a c) = 640
         ! ln d e; ! ln a d/b; mv c d/c; rm a; test $(stat -c %h d/c) = 2",
    )
    .await;
    mount.sync().await;
    assert_eq!(alice.get("/d/b").await, "one\ntwo\n");
    assert_eq!(alice.get("/d/c").await, "one\ntwo\n");
    let there = [other.path("d/b"), other.path("d/c")];
    becomes("both names of one file", move || {
        let [one, two] = [identity(&there[0]), identity(&there[1])];
        one.is_some_and(|(_, links)| links == 2) && one == two
    })
    .await;
    // What is written there by one name is read here by the other.
    shell(other.point(), "echo three >> d/c; cat d/b | grep -q three").await;
    other.sync().await;
    let here = mount.path("d/b");
    becomes("what the other wrote", move || {
        std::fs::read_to_string(&here).is_ok_and(|text| text == "one\ntwo\nthree\n")
    })
    .await;
    // A name less there is one less here.
    alice.delete("/d/c").await.must_be(204);
    for path in [mount.path("d/b"), other.path("d/b")] {
        becomes("one name", move || {
            identity(&path).is_some_and(|(_, links)| links == 1)
        })
        .await;
    }
    must_be_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_of_hard_links_come_back_as_they_were() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    shell(
        mount.point(),
        "mkdir -p first/sub; for n in $(seq 20); do echo $n > first/file$n; done
         ln first/file1 first/sub/again
         cp -al first second
         rm -r first; mkdir from; echo 1 > from/a; ln from/a from/b; ln from/a from/c
         rsync -aH from/ to/
         rsync -a --link-dest=../to to/ snapshot/",
    )
    .await;
    let script = "test $(find second -type f | wc -l) = 21
         test second/file1 -ef second/sub/again; test $(stat -c %h second/file2) = 1
         test to/a -ef to/b; test to/a -ef to/c; ! test to/a -ef from/a
         test to/a -ef snapshot/a
         test $(cat second/file7) = 7";
    shell(mount.point(), script).await;
    mount.unmount().await;
    must_be_sound(&world).await;
    let other = MountSetup::new(&world, "elsewhere").start().await;
    shell(other.point(), script).await;
    // Deleted whole, snapshot by snapshot, what is elsewhere stays.
    shell(
        other.point(),
        "rm -r to second/sub; cat snapshot/a second/file1; rm -r snapshot",
    )
    .await;
    other.sync().await;
    must_be_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_by_hard_links() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    let settings = "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
                    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
                    git config --global --add safe.directory '*'";
    shell(
        mount.point(),
        &format!(
            "{settings}
             git init -q -b main one; cd one; for n in $(seq 30); do echo $n > $n; done
             git add .; git commit -q -m first; cd ..
             git clone -q --local one two
             cd two; git fsck --strict; echo more > more; git add .; git commit -q -m more
             test $(find .git/objects -type f -links 2 | wc -l) -gt 20"
        ),
    )
    .await;
    mount.unmount().await;
    let other = MountSetup::new(&world, "elsewhere").start().await;
    let script = format!(
        "{settings}; rm -rf one; cd two; git fsck --strict --full
         test -z \"$(git status --porcelain)\"; test $(git rev-list --count main) = 2"
    );
    shell(other.point(), &script).await;
    other.sync().await;
    must_be_sound(&world).await;
}
