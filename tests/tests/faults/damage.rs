//! P5: content that was damaged on disk is an error or a broken connection, never wrong bytes.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use harness::{Dav, World, noise};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    OneBitFlipped,
    Truncated,
    Lengthened,
    Removed,
    Emptied,
}

const ALL: [Damage; 5] = [
    Damage::OneBitFlipped,
    Damage::Truncated,
    Damage::Lengthened,
    Damage::Removed,
    Damage::Emptied,
];

impl Damage {
    fn inflict(self, path: &Path) {
        let file = || {
            File::options()
                .write(true)
                .read(true)
                .open(path)
                .expect("a blob")
        };
        match self {
            Self::OneBitFlipped => {
                let (file, mut byte) = (file(), [0]);
                let middle = file.metadata().expect("a blob").len() / 2;
                file.read_exact_at(&mut byte, middle).expect("inside of it");
                file.write_all_at(&[byte[0] ^ 4], middle)
                    .expect("inside of it");
            }
            Self::Truncated => {
                let file = file();
                let length = file.metadata().expect("a blob").len();
                file.set_len(length - 1).expect("our own file");
            }
            Self::Lengthened => {
                let file = file();
                let length = file.metadata().expect("a blob").len();
                file.set_len(length + 1).expect("our own file");
            }
            Self::Emptied => file().set_len(0).expect("our own file"),
            Self::Removed => std::fs::remove_file(path).expect("our own file"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_content_of_one_blob_is_never_served_and_heals_by_uploading_it_again() {
    damage_each(100_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_of_a_long_file_is_never_served_and_heals_by_uploading_it_again() {
    damage_each(9 << 20).await;
}

async fn damage_each(length: usize) {
    let mut world = World::start().await;
    let mut damaged = Vec::new();
    for (number, damage) in (1..).zip(ALL) {
        let content = noise(number, length);
        let known = blobs(&world);
        let path = format!("/f{number}");
        world.alice().put(&path, content.clone()).await.must_be(201);
        let mut new: Vec<PathBuf> = blobs(&world).difference(&known).cloned().collect();
        new.sort();
        damaged.push((damage, path, content, new.pop().expect("a blob was stored")));
    }
    world
        .alice()
        .put("/sound", noise(99, length))
        .await
        .must_be(201);
    // Bytes are compared with their digest at the first read after a start.
    world.restart().await;
    for (damage, .., blob) in &damaged {
        damage.inflict(blob);
    }
    let dav = world.alice();
    for (damage, path, content, _) in &damaged {
        for _ in 0..2 {
            assert_never_wrong(&dav, path, content, *damage).await;
        }
    }
    assert_eq!(dav.get("/sound").await, noise(99, length));
    assert_eq!(dav.names("/").await.len(), damaged.len() + 1, "names stay");
    check_names_what_is_damaged(&world, &damaged).await;
    for (damage, path, content, _) in &damaged {
        dav.put(path, content.clone()).await.must_be(204);
        let answer = dav.get(path).await;
        assert!(answer == *content, "healed from {damage:?}: {answer:?}");
    }
    let output = world.cli(&["check", "--contents"], "").await;
    assert!(output.status.success(), "{output:?}");
}

async fn assert_never_wrong(dav: &Dav, path: &str, content: &[u8], damage: Damage) {
    match dav.request("GET", path).try_send().await {
        Err(_) => {}
        Ok(answer) => assert!(
            answer.status() >= 500,
            "{damage:?}: {} of {} bytes served with {}",
            answer.body.len(),
            content.len(),
            answer.status()
        ),
    }
    let first = content.len() - 10_000;
    let range = format!("bytes={first}-{}", content.len() - 1);
    let part = dav.request("GET", path).header("Range", &range);
    if let Ok(answer) = part.try_send().await {
        assert!(
            answer.status() >= 500 || answer.body == content[first..],
            "{damage:?}: wrong bytes in a range"
        );
    }
}

/// Bytes and lengths are looked at by `check --contents`; it names each blob by its digest.
async fn check_names_what_is_damaged(
    world: &World,
    damaged: &[(Damage, String, Vec<u8>, PathBuf)],
) {
    let output = world.cli(&["check", "--contents"], "").await;
    assert!(!output.status.success(), "{output:?}");
    let report = String::from_utf8_lossy(&output.stdout);
    for (damage, .., blob) in damaged {
        let name = blob.file_name().expect("a name").to_string_lossy();
        assert!(
            report.contains(&*name),
            "{damage:?} of {name} not in {report}"
        );
    }
}

fn blobs(world: &World) -> BTreeSet<PathBuf> {
    let store = world.data_dir().join("store");
    world
        .blobs()
        .into_iter()
        .map(|(name, _)| store.join(&name[..2]).join(name))
        .collect()
}
