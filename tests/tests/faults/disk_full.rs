//! A full disk refuses what needs room, keeps what is there, and needs no restart afterwards.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Dav, Setup, World, noise, until};

const MIB: usize = 1 << 20;
/// Of the disk that holds everything.
const DISK_BYTES: u64 = 48 << 20;

async fn world(reserve_bytes: u64) -> World {
    Setup::default()
        .disk_bytes(DISK_BYTES)
        .env("COFFER_CAPACITY_RESERVE_BYTES", reserve_bytes.to_string())
        .env("COFFER_BLOBS_SWEEP_GRACE", "1s")
        // What is kept takes room on the disk as well.
        .env("COFFER_TRASH_MOST", "0")
        .env("COFFER_VERSIONS_MOST", "0")
        .start()
        .await
}

/// Without a reserve the disk is full to the last byte, and somebody else has to make room.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_writes_are_refused_and_nothing_is_damaged() {
    let world = world(0).await;
    let dav = world.alice();
    let filler = world.data_dir().join("filler");
    std::fs::write(&filler, vec![1; 16 * MIB]).expect("there is room");
    dav.put("/old", noise(1, MIB)).await.must_be(201);
    dav.put("/small", "text").await.must_be(201);
    let stored = fill(&dav).await;
    // Overwriting needs room as well.
    dav.put("/old", noise(1000, 4 * MIB)).await.must_be(507);
    assert_eq!(dav.get("/old").await, noise(1, MIB));
    assert_eq!(dav.get("/small").await, "text");
    assert_eq!(dav.names("/").await.len(), stored.len() + 2);
    for path in &stored {
        dav.get(path).await.must_be(200);
    }
    std::fs::remove_file(&filler).expect("our own file");
    dav.put("/old", noise(1000, 4 * MIB)).await.must_be(204);
    assert_eq!(dav.get("/old").await, noise(1000, 4 * MIB));
    dav.put("/new", "new").await.must_be(201);
    sound(&world).await;
}

/// The reserve keeps enough for deleting, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_writes_are_refused_and_deleting_makes_room_again() {
    let world = world(12 << 20).await;
    let dav = world.alice();
    dav.put("/old", noise(1, MIB)).await.must_be(201);
    for cycle in 0..3 {
        let stored = fill(&dav).await;
        dav.put("/old", noise(1000 + cycle, 4 * MIB))
            .await
            .must_be(507);
        assert_eq!(dav.get("/old").await, noise(1, MIB));
        for path in &stored {
            dav.delete(path).await.must_be(204);
        }
        swept(&world).await;
        let new = dav.put("/new", noise(2000 + cycle, 4 * MIB)).await;
        new.must_be(201);
        dav.delete("/new").await.must_be(204);
        swept(&world).await;
    }
    sound(&world).await;
}

/// A long upload ends at the reserve, not with the disk, and leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_longer_than_the_disk_is_refused_and_leaves_nothing() {
    let world = world(12 << 20).await;
    let dav = world.alice();
    dav.put("/old", "old").await.must_be(201);
    let long = noise(3, 60 * MIB);
    dav.put("/old", long.clone()).await.must_be(507);
    let chunked = dav.request("PUT", "/old").chunked(long);
    chunked.send().await.must_be(507);
    assert_eq!(dav.get("/old").await, "old");
    until("incoming/ is empty", Duration::from_secs(30), || async {
        let incoming = std::fs::read_dir(world.data_dir().join("incoming"));
        incoming.map_or(0, Iterator::count) == 0
    })
    .await;
    sound(&world).await;
}

/// Four clients store files of a MiB until there is no room; the paths of those acknowledged.
async fn fill(dav: &Dav) -> Vec<String> {
    let stored = join_all((0..4).map(|writer| fill_as(dav, writer))).await;
    let stored: Vec<String> = stored.into_iter().flatten().collect();
    assert!(!stored.is_empty(), "something fits");
    stored
}

async fn fill_as(dav: &Dav, writer: u64) -> Vec<String> {
    let mut stored = Vec::new();
    for number in 0..100 {
        let path = format!("/fill-{writer}-{number}");
        let content = noise(writer * 100 + number + 5000, MIB);
        let answer = dav.put(&path, content).await.must_be_one_of(&[201, 507]);
        if answer.status() == 507 {
            return stored;
        }
        stored.push(path);
    }
    panic!("100 MiB do not fit on this disk");
}

/// Waits until only the one blob is left that is still somebody's.
async fn swept(world: &World) {
    until(
        "blobs of nobody are gone",
        Duration::from_mins(1),
        || async {
            let swept = world.cli(&["sweep"], "").await;
            assert!(swept.status.success(), "{swept:?}");
            world.blobs().len() == 1
        },
    )
    .await;
}

async fn sound(world: &World) {
    let output = world.cli(&["check", "--contents"], "").await;
    assert!(output.status.success(), "{output:?}");
}
