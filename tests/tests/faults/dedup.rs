//! P2: content that is there already is kept once, and nobody can tell.

use std::collections::BTreeSet;

use harness::{Answer, Dav, World, noise, sha256_hex};

use crate::drive;

const SIZE: usize = 100 << 20;
const QUOTA_BYTES: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn two_users_share_blobs_and_cannot_tell() {
    let world = World::start().await;
    let carol = world.add_user("carol", Some(QUOTA_BYTES)).await;
    let dave = world.add_user("dave", Some(QUOTA_BYTES)).await;
    let (carol, dave) = (world.as_user(&carol), world.as_user(&dave));
    let content = noise(11, SIZE);

    let first = session(&carol, &content).await;
    let blobs = world.blobs();
    for (name, size_bytes) in &blobs {
        let path = world.data_dir().join("store").join(&name[..2]).join(name);
        let bytes = std::fs::read(path).expect("a blob can be read");
        assert_eq!(bytes.len() as u64, *size_bytes);
        assert_eq!(&sha256_hex(&bytes), name, "a blob is named by its digest");
    }
    let stored: u64 = blobs.iter().map(|(_, size_bytes)| size_bytes).sum();
    assert_eq!(stored, SIZE as u64);

    let second = session(&dave, &content).await;
    assert_eq!(world.blobs(), blobs, "the second upload stores nothing");
    for (ours, theirs) in first.iter().zip(&second) {
        assert_eq!(ours.status(), theirs.status());
        assert_eq!(told(ours), told(theirs));
    }
    for dav in [&carol, &dave] {
        let used = SIZE as u64;
        assert_eq!(drive::quota(dav).await, (used, QUOTA_BYTES - used));
    }
    // One of them going away changes nothing for the other.
    carol.delete("/film.bin").await.must_be(204);
    let output = world.cli(&["sweep"], "").await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(dave.get("/film.bin").await, content);
    assert_eq!(drive::quota(&carol).await, (0, QUOTA_BYTES));
}

/// Everything a client may ask about an upload.
async fn session(dav: &Dav, content: &[u8]) -> Vec<Answer> {
    let mut answers = vec![
        dav.head("/film.bin").await.must_be(404),
        dav.put("/film.bin", content.to_vec()).await.must_be(201),
        dav.head("/film.bin").await.must_be(200),
        dav.propfind("/film.bin", "0").await.must_be(207),
        dav.request("GET", "/film.bin")
            .header("Range", "bytes=50000000-50000009")
            .header("Want-Repr-Digest", "sha-256=1")
            .send()
            .await
            .must_be(206),
    ];
    answers.push(dav.put("/film.bin", content.to_vec()).await.must_be(204));
    answers
}

/// What an answer tells, apart from names, times and ids of its own.
fn told(answer: &Answer) -> BTreeSet<String> {
    let own = ["date", "last-modified", "x-request-id"];
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let mut told: BTreeSet<String> = headers.collect();
    if answer.status() == 207 {
        told.retain(|line| !line.starts_with("content-length"));
        for property in &answer.multistatus().only().properties {
            let is_own = ["lastmodified", "creationdate", "id", "fileid"]
                .iter()
                .any(|name| property.name.ends_with(name));
            let text = if is_own { "" } else { &property.text };
            told.insert(format!("{} {} {text}", property.name, property.status));
        }
    } else {
        told.insert(sha256_hex(&answer.body));
    }
    told
}
