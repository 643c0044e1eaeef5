//! Contents are downloaded, and that is counted (C3).

use std::time::Duration;

use harness::{World, noise, until};
use serde_json::json;

use super::{draft, found, named, post, posted, put_file, show};
use crate::phrase::ask;

async fn until_downloads(world: &World, id: &str, expected: u64) {
    until(
        "the downloads are counted",
        Duration::from_secs(20),
        || async { show(&world.anonymous(), id).await["downloads"] == expected },
    )
    .await;
}

/// "Anyone downloads an asset without an account; downloads are counted."
#[tokio::test]
async fn c3_each_download_that_came_to_its_end_counts_once() {
    let mut world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    let content = noise(102, 40 << 20);
    let id = posted(
        &alice,
        json!({ "name": "Chair", "kind": "3d" }),
        content.clone(),
    )
    .await;
    let target = format!("/api/v1/assets/{id}/download");
    let anyone = world.anonymous();
    let got = anyone.request_at("GET", &target).send().await.must_be(200);
    assert!(got.header("content-disposition").contains("model.bin"));
    assert!(got == content);
    // None of these is a whole download, or comes to the last byte.
    anyone.request_at("HEAD", &target).send().await.must_be(200);
    let known = anyone
        .request_at("GET", &target)
        .header("If-None-Match", &got.etag());
    known.send().await.must_be(304);
    let first = anyone
        .request_at("GET", &target)
        .header("Range", "bytes=0-99");
    first.send().await.must_be(206);
    for _ in 0..3 {
        // Far more than what lies between us can hold.
        let mut broken = anyone.request_at("GET", &target).stream().await;
        assert!(broken.chunk().await.expect("bytes come").is_some());
        drop(broken);
    }
    let refused = anyone
        .request_at("GET", &target)
        .header("Range", "bytes=99999999-");
    assert_eq!(
        refused.send().await.must_be(416).json()["code"],
        "range_not_satisfiable"
    );
    // The rest of one that was begun is one.
    let rest = anyone
        .request_at("GET", &target)
        .header("Range", "bytes=1000000-");
    rest.send().await.must_be(206);
    let file = format!("/api/v1/assets/{id}/files/model.bin");
    anyone.request_at("GET", &file).send().await.must_be(200);
    until_downloads(&world, &id, 3).await;

    let small = posted(&alice, json!({ "name": "Stool", "kind": "3d" }), "stool").await;
    let target = format!("/api/v1/assets/{small}/download");
    let downloads = (0..100).map(|_| async {
        anyone.request_at("GET", &target).send().await.must_be(200);
    });
    futures_util::future::join_all(downloads).await;
    // Stopped in good order, none is forgotten.
    world.restart().await;
    assert_eq!(show(&world.anonymous(), &small).await["downloads"], 100);
    assert_eq!(show(&world.anonymous(), &id).await["downloads"], 3);
    assert_eq!(found(&world, "?sort=downloads").await, ["Stool", "Chair"]);
}

#[tokio::test]
async fn c3_several_files_come_as_one_archive() {
    let world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    let id = draft(&alice, json!({ "name": "Set", "kind": "2d" })).await;
    ask(&alice, "GET", &format!("/assets/{id}/download"))
        .await
        .must_be(404);
    let large = noise(103, 6 << 20);
    put_file(&alice, &id, "a.txt", "one").await.must_be(201);
    put_file(&alice, &id, "b.bin", large.clone())
        .await
        .must_be(201);
    put_file(&alice, &id, "empty", "").await.must_be(201);
    post(&alice, &id).await.must_be(200);
    let target = format!("/api/v1/assets/{id}/download");
    let answer = world
        .anonymous()
        .request_at("GET", &target)
        .send()
        .await
        .must_be(200);
    assert_eq!(answer.header("content-type"), "application/zip");
    assert!(answer.header("content-disposition").contains("Set.zip"));
    let file = world.scratch().join("set.zip");
    std::fs::write(&file, &answer.body).expect("our own folder can be written");
    let listed = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-t"])
        .arg(&file)
        .output()
        .expect("python is there");
    assert!(listed.status.success(), "{listed:?}");
    let unpacked = world.scratch().join("set");
    let unpack = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&file, &unpacked])
        .status();
    assert!(unpack.expect("python is there").success());
    assert_eq!(
        std::fs::read(unpacked.join("b.bin")).expect("it is there"),
        large
    );
    assert_eq!(
        std::fs::read(unpacked.join("a.txt")).expect("it is there"),
        b"one"
    );
    assert_eq!(
        std::fs::read(unpacked.join("empty")).expect("it is there"),
        b""
    );
    until_downloads(&world, &id, 1).await;
}
