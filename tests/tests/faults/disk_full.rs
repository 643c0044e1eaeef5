//! A full disk refuses what needs room, keeps what is there, and needs no restart afterwards.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Dav, Setup, World, noise, until};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_writes_are_refused_and_nothing_is_damaged() {
    let world = Setup::default()
        .disk_bytes(48 << 20)
        .env("COFFER_CAPACITY_RESERVE_BYTES", "0")
        .env("COFFER_BLOBS_SWEEP_GRACE", "1s")
        .start()
        .await;
    let dav = world.alice();
    dav.put("/old", noise(1, MIB)).await.must_be(201);
    dav.put("/small", "text").await.must_be(201);
    for cycle in 0..3 {
        let stored = join_all((0..4).map(|writer| fill(&dav, cycle, writer))).await;
        let stored: Vec<String> = stored.into_iter().flatten().collect();
        assert!(!stored.is_empty(), "something fits");
        // Overwriting what is there with something new needs room as well.
        dav.put("/old", noise(1000 + cycle, 4 * MIB))
            .await
            .must_be(507);
        assert_eq!(dav.get("/old").await, noise(1, MIB));
        assert_eq!(dav.get("/small").await, "text");
        assert_eq!(dav.names("/").await.len(), stored.len() + 2);
        for path in &stored {
            dav.get(path).await.must_be(200);
        }
        for path in &stored {
            dav.delete(path).await.must_be(204);
        }
        until("there is room again", Duration::from_mins(1), || async {
            let swept = world.cli(&["sweep"], "").await;
            assert!(swept.status.success(), "{swept:?}");
            dav.put("/new", noise(2000 + cycle, 8 * MIB))
                .await
                .succeeded()
        })
        .await;
        dav.delete("/new").await.must_be(204);
    }
    let output = world.cli(&["check", "--contents"], "").await;
    assert!(output.status.success(), "{output:?}");
}

/// Stores files of a MiB until there is no room; the paths of those acknowledged.
async fn fill(dav: &Dav, cycle: u64, writer: u64) -> Vec<String> {
    let mut stored = Vec::new();
    for number in 0..100 {
        let path = format!("/fill-{writer}-{number}");
        let content = noise(cycle * 1000 + writer * 100 + number + 5000, MIB);
        let answer = dav.put(&path, content).await.must_be_one_of(&[201, 507]);
        if answer.status() == 507 {
            return stored;
        }
        stored.push(path);
    }
    panic!("100 MiB do not fit on this disk");
}

/// Below the reserve every write is refused alike, before its body is read.
#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_writes_are_refused_and_deleting_works() {
    let world: World = Setup::default()
        .disk_bytes(48 << 20)
        .env("COFFER_CAPACITY_RESERVE_BYTES", (24 << 20).to_string())
        .env("COFFER_BLOBS_SWEEP_GRACE", "1s")
        .start()
        .await;
    let dav = world.alice();
    let mut stored = Vec::new();
    loop {
        let path = format!("/f{}", stored.len());
        let content = noise(stored.len() as u64 + 1, 2 * MIB);
        let answer = dav.put(&path, content).await.must_be_one_of(&[201, 507]);
        if answer.status() == 507 {
            break;
        }
        stored.push(path);
        assert!(stored.len() < 24, "the reserve is kept free");
    }
    dav.put("/x", "small").await.must_be(507);
    dav.mkcol("/folder").await.must_be(507);
    for path in &stored {
        dav.get(path).await.must_be(200);
        dav.delete(path).await.must_be(204);
    }
    until("there is room again", Duration::from_mins(1), || async {
        let swept = world.cli(&["sweep"], "").await;
        assert!(swept.status.success(), "{swept:?}");
        dav.put("/x", "small").await.succeeded()
    })
    .await;
}
