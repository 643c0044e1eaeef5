//! Programs that people work with, on the mount.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Mount, MountSetup, Program, World, noise};

use crate::tree::{described, differences};
use crate::{blocking, scale, shell};

/// Keeps the settings of whoever runs the tests out of git.
const GIT: &str = "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b \
                   GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_commits_collects_and_finds_all_in_order() {
    let world = World::start().await;
    let files = scale("COFFER_GIT_FILES", 500);
    let origin = world.scratch().join("origin");
    std::fs::create_dir(&origin).unwrap();
    let origin_of = origin.clone();
    blocking(move || {
        for number in 0..files {
            let folder = origin_of.join(format!("folder{}", number % 50));
            std::fs::create_dir_all(&folder).unwrap();
            let bytes = noise(number, 200 + usize::try_from(number % 90).unwrap() * 100);
            std::fs::write(folder.join(format!("file{number}")), bytes).unwrap();
        }
    })
    .await;
    shell(
        &origin,
        &format!("{GIT}; git init -q -b main; git add .; git commit -q -m first"),
    )
    .await;
    let mut mount = Mount::new(&world).await;
    let script = format!(
        "{GIT}
         git clone -q {origin} work
         cd work
         git fsck --strict
         test -z \"$(git status --porcelain)\"
         for number in 1 2 3 4 5; do
             echo $number >> folder1/file1; mkdir -p new$number; echo x > new$number/file
             git add -A; git commit -q -m \"commit $number\"
         done
         git branch other; git mv folder2 folder-two; git commit -q -m renamed
         git checkout -q other; test -d folder2; git checkout -q main; test -d folder-two
         git stash list; git gc -q; git fsck --strict --full
         git repack -a -d -q; git fsck --strict
         test -z \"$(git status --porcelain)\"",
        origin = origin.display()
    );
    shell(mount.point(), &script).await;
    mount.unmount().await;
    let other = MountSetup::new(&world, "elsewhere").start().await;
    let script = format!(
        "{GIT}; git config --global --add safe.directory '*'; cd work; git fsck --strict --full
         test -z \"$(git status --porcelain)\"; test $(git rev-list --count main) = 7"
    );
    shell(other.point(), &script).await;
}

/// A thousand transactions by two connections, in both journal modes.
const SQLITE: &str = r#"
import sqlite3, sys, threading
for mode in ("delete", "wal"):
    name = f"{mode}.db"
    first = sqlite3.connect(name, timeout=60)
    assert first.execute(f"pragma journal_mode={mode}").fetchone()[0] == mode
    first.execute("create table t (id integer primary key, who int, text text)")
    first.commit()
    def work(who):
        own = sqlite3.connect(name, timeout=120, isolation_level=None)
        for n in range(int(sys.argv[1]) // 4):
            own.execute("begin immediate")
            own.execute("insert into t (who, text) values (?, ?)", (who, str(n) * 50))
            if n % 7 == 0:
                own.execute("update t set text = text || 'x' where id % 11 = ?", (n % 11,))
            own.execute("rollback" if n % 10 == 9 else "commit")
        own.close()
    workers = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    [worker.start() for worker in workers]; [worker.join() for worker in workers]
    count = first.execute("select count(*) from t").fetchone()[0]
    assert count == 2 * sum(n % 10 != 9 for n in range(int(sys.argv[1]) // 4)), count
    assert first.execute("pragma integrity_check").fetchone()[0] == "ok"
    first.close()
"#;

const SQLITE_AGAIN: &str = r#"
import sqlite3
for name in ("delete.db", "wal.db"):
    again = sqlite3.connect(name)
    assert again.execute("pragma integrity_check").fetchone()[0] == "ok"
    assert again.execute("select count(*) from t").fetchone()[0] > 100
"#;

async fn sqlite(world: &World, setup: MountSetup) {
    let mut mount = setup.argument("--fsync=local").start().await;
    let transactions = scale("COFFER_TRANSACTIONS", 1000).to_string();
    let python = |script: &'static str, folder: PathBuf| {
        Program::new("python3")
            .args(["-c", script])
            .dir(folder)
            .deadline(Duration::from_mins(10))
    };
    let folder = mount.point().to_owned();
    python(SQLITE, folder)
        .arg(transactions)
        .run()
        .await
        .success();
    mount.unmount().await;
    let other = MountSetup::new(world, "elsewhere").start().await;
    python(SQLITE_AGAIN, other.point().to_owned())
        .run()
        .await
        .success();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_its_databases_whole() {
    let world = World::start().await;
    sqlite(&world, MountSetup::new(&world, "mount")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_so_without_passthrough() {
    let world = World::start().await;
    sqlite(
        &world,
        MountSetup::new(&world, "mount").argument("--no-passthrough"),
    )
    .await;
}

/// A tree with many small files and some of everything.
async fn sources(world: &World) -> PathBuf {
    let folder = world.scratch().join("sources");
    std::fs::create_dir(&folder).unwrap();
    let inside = folder.clone();
    blocking(move || {
        for number in 0..300_u64 {
            let below = inside.join(format!("d{}/e{}", number % 7, number % 3));
            std::fs::create_dir_all(&below).unwrap();
            let bytes = noise(number, usize::try_from(number * number % 20_000).unwrap());
            std::fs::write(below.join(format!("f{number}")), bytes).unwrap();
        }
    })
    .await;
    shell(
        &folder,
        "chmod 0500 d1; chmod 0640 d2/e0/*; ln -s ../d1 d3/one\n\
         touch -d '2001-02-03 04:05:06.789' d4/e1/*; setfattr -n user.a -v b d5
         # Made a moment ago, a folder has the time that its copy has by itself, but for a fraction.
         find . -type d -exec touch -d '2001-02-03 04:05:07.89' {} +",
    )
    .await;
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsync_sends_nothing_the_second_time() {
    let world = World::start().await;
    let sources = sources(&world).await;
    let mut mount = Mount::new(&world).await;
    let rsync = |to: &Path| {
        Program::new("rsync")
            .args(["-aHX", "--itemize-changes", "--delete"])
            .arg(format!("{}/", sources.display()))
            .arg(to.join("copy"))
            .deadline(Duration::from_mins(5))
    };
    rsync(mount.point()).run().await.success();
    let second = rsync(mount.point()).run().await.success();
    assert_eq!(second.stdout, "", "rsync finds something to send");
    mount.unmount().await;
    let other = MountSetup::new(&world, "elsewhere").start().await;
    let third = rsync(other.point()).run().await.success();
    assert_eq!(third.stdout, "", "rsync finds something to send elsewhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tar_unpacks_what_it_has_packed() {
    let world = World::start().await;
    let sources = sources(&world).await;
    let expected = described(&sources);
    let mount = Mount::new(&world).await;
    shell(
        mount.point(),
        &format!(
            "mkdir first second
             tar -C {} --xattrs -cf - . | tar -C first --xattrs -xpf -
             tar -C first --xattrs -cf archive.tar .
             tar -C second --xattrs -xpf archive.tar",
            sources.display()
        ),
    )
    .await;
    for folder in ["first", "second"] {
        let found = differences(&expected, &described(&mount.path(folder)));
        assert!(found.is_empty(), "{folder}: {found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cargo_builds_and_runs_a_crate() {
    let world = World::start().await;
    let mount = Mount::new(&world).await;
    let script = "mkdir -p work/src; cd work
        printf '[package]\\nname = \"tiny\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n' > Cargo.toml
        printf 'fn main() { println!(\"{}\", tiny::answer()); }\\n' > src/main.rs
        printf 'pub fn answer() -> u32 { 42 }\\n' > src/lib.rs
        unset CARGO_TARGET_DIR RUSTC_WRAPPER
        cargo build --offline -q
        test \"$(./target/debug/tiny)\" = 42
        sed -i s/42/43/ src/lib.rs
        cargo build --offline -q
        test \"$(./target/debug/tiny)\" = 43";
    shell(mount.point(), script).await;
    mount.sync().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libreoffice_opens_and_saves() {
    let world = World::start().await;
    let mut mount = Mount::new(&world).await;
    std::fs::write(mount.path("letter.txt"), "Dear reader\n").unwrap();
    let profile = world.scratch().join("office");
    let convert = |from: &str, to: &str| {
        Program::new("soffice")
            .arg(format!(
                "-env:UserInstallation=file://{}",
                profile.display()
            ))
            .args(["--headless", "--convert-to", to, from])
            .env("HOME", world.scratch())
            .dir(mount.point())
            .deadline(Duration::from_mins(3))
    };
    convert("letter.txt", "odt:writer8").run().await.success();
    std::fs::rename(mount.path("letter.odt"), mount.path("saved.odt")).unwrap();
    convert("saved.odt", "txt:Text (encoded):UTF8")
        .run()
        .await
        .success();
    assert!(
        std::fs::read_to_string(mount.path("saved.txt"))
            .unwrap()
            .contains("Dear reader")
    );
    mount.unmount().await;
    let names = world.alice().names("/").await;
    assert_eq!(names, ["letter.txt", "saved.odt", "saved.txt"]);
    let document = world.alice().get("/saved.odt").await;
    assert!(
        document.body.starts_with(b"PK"),
        "{} bytes",
        document.body.len()
    );
}
