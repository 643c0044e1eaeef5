//! Two mounts and a plain WebDAV client on one drive.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Mount, MountSetup, World, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::fs::{RawDir, SeekFrom};

use crate::{blocking, scale, seed};

const NAMES: [&str; 3] = ["one.txt", "two.txt", "three.txt"];
const PATIENCE: Duration = Duration::from_mins(2);

/// All words in the files below a folder.
fn words_below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        found.extend(words(&text));
    }
    found
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Adds a word to a file as programs do that know nothing of others, and begins anew when the file
/// it has opened was replaced by others before the first byte was written.
fn add(path: &Path, word: &str) -> std::io::Result<()> {
    loop {
        match try_to_add(path, word) {
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ESTALE as i32) => {}
            done => return done,
        }
    }
}

fn try_to_add(path: &Path, word: &str) -> std::io::Result<()> {
    use std::io::Write as _;

    let mut file = File::options().append(true).create(true).open(path)?;
    writeln!(file, "{word}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_word_is_kept_that_three_add_at_once() {
    let rounds = scale("COFFER_ROUNDS", 15);
    let seed = seed();
    let world = World::start().await;
    let first = MountSetup::new(&world, "first").start().await;
    let second = MountSetup::new(&world, "second").start().await;
    let mut expected = BTreeSet::new();
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..rounds {
        let mut hands = Vec::new();
        for (hand, mount) in [("first", &first), ("second", &second)] {
            let name = NAMES[rng.random_range(0..NAMES.len())];
            let (path, word) = (mount.path(name), format!("{hand}-{round}"));
            expected.insert(word.clone());
            hands.push(blocking(move || add(&path, &word)));
        }
        let name = NAMES[rng.random_range(0..NAMES.len())];
        let word = format!("curl-{round}");
        expected.insert(word.clone());
        let curl = add_by_curl(&world, name, word);
        let (hands, ()) = tokio::join!(futures_util::future::join_all(hands), curl);
        for done in hands {
            done.expect("the mount takes it");
        }
        if rng.random_bool(0.5) {
            first.sync().await;
            second.sync().await;
        }
    }
    first.sync().await;
    second.sync().await;
    for mount in [&first, &second] {
        let folder = mount.point().to_owned();
        until("every word is seen", PATIENCE, || async {
            let folder = folder.clone();
            let there = blocking(move || words_below(&folder)).await;
            expected.is_subset(&there)
        })
        .await;
    }
    let names = world.alice().names("/").await;
    let mut on_server = BTreeSet::new();
    for name in &names {
        let bytes = world.alice().get(&format!("/{name}")).await.body;
        on_server.extend(words(&String::from_utf8_lossy(&bytes)));
    }
    let lost: Vec<_> = expected.difference(&on_server).collect();
    assert!(lost.is_empty(), "lost: {lost:?}; there are {names:?}");
    eprintln!("shared: {} words in {} files", expected.len(), names.len());
}

/// A careful client: it reads, adds, and writes only over what it has read.
async fn add_by_curl(world: &World, name: &str, word: String) {
    let dav = world.alice();
    let path = format!("/{name}");
    loop {
        let there = dav.get(&path).await;
        let (condition, value, text) = if there.status() == 200 {
            ("If-Match", there.etag(), there.text())
        } else {
            ("If-None-Match", "*".to_owned(), String::new())
        };
        let request = dav
            .request("PUT", &path)
            .header(condition, &value)
            .body(format!("{text}{word}\n").into_bytes());
        if request.send().await.status() < 300 {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_make_the_same_name_both_are_kept() {
    let world = World::start().await;
    let first = MountSetup::new(&world, "first").start().await;
    let second = MountSetup::new(&world, "second").start().await;
    for round in 0..scale("COFFER_ROUNDS", 15).min(100) {
        let name = format!("same-{round}");
        let make = |mount: &Mount, text: &'static str| {
            let path = mount.path(&name);
            blocking(move || std::fs::write(path, text).unwrap())
        };
        tokio::join!(make(&first, "by-first"), make(&second, "by-second"));
        first.sync().await;
        second.sync().await;
        let mut found = BTreeSet::new();
        for other in world.alice().names("/").await {
            if other.starts_with(&name) {
                found.insert(world.alice().get(&format!("/{other}")).await.text());
            }
        }
        let both = ["by-first", "by-second"].map(str::to_owned);
        assert!(
            both.iter().all(|one| found.contains(one)),
            "{name}: {found:?}"
        );
    }
}

/// The names in an open folder, read from its beginning.
fn names(folder: &File) -> Vec<String> {
    rustix::fs::seek(folder, SeekFrom::Start(0)).unwrap();
    let mut room = Vec::with_capacity(8192);
    let mut entries = RawDir::new(folder, room.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        names.push(entry.unwrap().file_name().to_str().unwrap().to_owned());
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    names
}

/// The kernel keeps what it has read of a folder for as long as it is told of changes.
#[tokio::test]
async fn names_change_in_a_folder_that_stays_open() {
    let world = World::start().await;
    let mount = MountSetup::new(&world, "mount").start().await;
    for name in ["a", "z"] {
        std::fs::write(mount.path(name), name).unwrap();
    }
    mount.sync().await;
    let folder = Arc::new(File::open(mount.path("")).unwrap());
    let are = |expected: &'static [&'static str]| {
        let folder = Arc::clone(&folder);
        until("the names are as elsewhere", PATIENCE, move || {
            let folder = Arc::clone(&folder);
            async move { blocking(move || names(&folder)).await == expected }
        })
    };
    are(&["a", "z"]).await;
    are(&["a", "z"]).await;
    world.alice().put("/b", "b").await.must_be(201);
    are(&["a", "b", "z"]).await;
    world.alice().delete("/a").await.must_be(204);
    are(&["b", "z"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_changed_elsewhere_appears() {
    let world = World::start().await;
    let first = MountSetup::new(&world, "first").start().await;
    let second = MountSetup::new(&world, "second").start().await;
    std::fs::write(first.path("watched"), "0").unwrap();
    first.sync().await;
    let rounds = scale("COFFER_ROUNDS", 15);
    let mut latencies = Vec::new();
    for round in 1..=rounds {
        let text = format!("{round}");
        // By turns from the other mount and by plain WebDAV.
        let began = if round % 2 == 0 {
            std::fs::write(first.path("watched"), &text).unwrap();
            first.sync().await;
            Instant::now()
        } else {
            let began = Instant::now();
            world
                .alice()
                .put("/watched", text.clone())
                .await
                .must_be(204);
            began
        };
        appears(second.path("watched"), &text).await;
        latencies.push(began.elapsed());
        appears(first.path("watched"), &text).await;
    }
    histogram(latencies);
    std::fs::remove_file(first.path("watched")).unwrap();
    first.sync().await;
    let gone = second.path("watched");
    until("what is deleted elsewhere is gone", PATIENCE, || async {
        !gone.exists()
    })
    .await;
}

async fn appears(path: PathBuf, text: &str) {
    until("what was written elsewhere is seen", PATIENCE, || async {
        let path = path.clone();
        let seen = blocking(move || std::fs::read_to_string(path)).await;
        seen.is_ok_and(|seen| seen == text)
    })
    .await;
}

fn histogram(mut latencies: Vec<Duration>) {
    latencies.sort();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    eprintln!(
        "seen elsewhere after: median {:?}, 90 % {:?}, 99 % {:?}, most {:?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    for limit_ms in [10, 30, 100, 300, 1000, 3000, 10_000, 60_000] {
        let within = latencies
            .iter()
            .filter(|it| it.as_millis() <= limit_ms)
            .count();
        eprintln!(
            "  up to {limit_ms:>6} ms: {within:>4} {}",
            "#".repeat(within.min(60))
        );
    }
}

/// What others share appears in a mount as what is one's own does: when it is shared, when it is
/// changed, wherever in it, and when it is shared no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_share_appears_and_is_never_old() {
    let world = World::start().await;
    let mount = MountSetup::new(&world, "first").start().await;
    let root = mount.point().to_owned();
    let bob = world.bob();
    for path in ["/Plans", "/Plans/in"] {
        bob.request("MKCOL", path).send().await.must_be(201);
    }
    bob.put("/Plans/in/a.txt", "one").await.must_be(201);
    assert!(!blocking(move || root.join("Shared with me").exists()).await);
    let grants = "/api/v1/files/grants?path=/Plans";
    let grant = serde_json::json!({ "name": "alice", "right": "read" });
    let made = bob.request_at("POST", grants).json(&grant);
    made.send().await.must_be(201);
    let file = mount.path("Shared with me/Plans/in/a.txt");
    appears(file.clone(), "one").await;
    for text in ["two", "three"] {
        bob.put("/Plans/in/a.txt", text).await.must_be(204);
        appears(file.clone(), text).await;
    }
    bob.put("/Plans/in/b.txt", "new").await.must_be(201);
    appears(mount.path("Shared with me/Plans/in/b.txt"), "new").await;
    let ended = bob.request_at("DELETE", grants).send().await;
    ended.must_be(200);
    let shared = mount.path("Shared with me");
    until("what is shared no more is gone", PATIENCE, || async {
        let shared = shared.clone();
        !blocking(move || shared.exists()).await
    })
    .await;
}
