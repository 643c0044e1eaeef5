//! P5: a database that is gone is an error, never emptiness; and no restart is needed after.

use std::time::Duration;

use harness::{Dav, Engine, Setup, Wire, World, noise, until};

use crate::drive;

/// The cluster must be the test's own to be stopped.
async fn world() -> World {
    Setup::default()
        .engine(Engine::Postgres)
        .own_database()
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_gone_every_request_is_a_server_error() {
    let mut world = world().await;
    let dav = world.alice();
    dav.mkcol("/folder").await.must_be(201);
    dav.put("/folder/small", "text").await.must_be(201);
    dav.put("/folder/large", noise(1, 300_000))
        .await
        .must_be(201);
    assert_eq!(dav.get("/folder/small").await, "text");
    stop(&mut world);
    let requests = [
        dav.request("GET", "/folder/small"),
        dav.request("GET", "/folder/large"),
        dav.request("HEAD", "/folder/small"),
        dav.request("GET", "/missing"),
        dav.request("PROPFIND", "/folder").header("Depth", "1"),
        dav.request("PROPFIND", "/missing").header("Depth", "0"),
        dav.request("PUT", "/folder/small").body("changed"),
        dav.request("PUT", "/folder/large").body(noise(2, 300_000)),
        dav.request("PUT", "/new").body("new"),
        dav.request("DELETE", "/folder"),
        dav.request("MKCOL", "/more"),
        dav.request("MOVE", "/folder")
            .header("Destination", &dav.url("/moved")),
        dav.request("COPY", "/folder")
            .header("Destination", &dav.url("/copied")),
    ];
    for request in requests {
        let answer = request.send().await;
        assert!(
            [500, 503].contains(&answer.status()),
            "neither 500 nor 503\n{answer:?}"
        );
    }
    start(&mut world);
    until(
        "the daemon serves again",
        Duration::from_secs(30),
        || async { dav.get("/folder/small").await == "text" },
    )
    .await;
    assert_eq!(dav.get("/folder/large").await, noise(1, 300_000));
    assert_eq!(dav.names("/").await, ["folder"]);
    dav.put("/folder/small", "changed").await.must_be(204);
    let output = world.cli(&["check", "--contents"], "").await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_loses_its_database_breaks_off() {
    let mut world = world().await;
    let dav = world.alice();
    dav.mkcol("/big").await.must_be(201);
    let prefix = "a-rather-long-name-".repeat(8);
    drive::fill(&dav, "/big", &prefix, 9000).await;
    let mut wire = Wire::connect_narrow(world.address()).await;
    let alice = World::alice_user();
    let authorization = Wire::basic(&alice.name, &alice.password);
    let sent = wire
        .send_head(&[
            "PROPFIND /dav/big/ HTTP/1.1",
            "Host: localhost",
            &format!("Authorization: {authorization}"),
            "Depth: 1",
            "Content-Length: 0",
        ])
        .await;
    assert!(sent);
    wire.first_bytes().await;
    stop(&mut world);
    let answer = wire.answer().await;
    assert!(
        answer.is_none(),
        "cut off, not ended in good order: {answer:?}"
    );
}

/// An upload under way when the database goes away is refused or cut off, and the old content
/// stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_loses_its_database_changes_nothing() {
    let mut world = world().await;
    let dav = world.alice();
    dav.put("/f", "old").await.must_be(201);
    let mut wire = world.wire().await;
    let alice = World::alice_user();
    let authorization = Wire::basic(&alice.name, &alice.password);
    let content = noise(5, 1_000_000);
    wire.send_head(&[
        "PUT /dav/f HTTP/1.1",
        "Host: localhost",
        &format!("Authorization: {authorization}"),
        &format!("Content-Length: {}", content.len()),
    ])
    .await;
    wire.send(&content[..500_000]).await;
    reserved(&dav).await;
    stop(&mut world);
    wire.send(&content[500_000..]).await;
    if let Some(answer) = wire.answer().await {
        assert!([500, 503].contains(&answer.status()), "{answer:?}");
    }
    start(&mut world);
    until(
        "the daemon serves again",
        Duration::from_secs(30),
        || async { dav.get("/f").await == "old" },
    )
    .await;
    until("nothing stays reserved", Duration::from_mins(1), || async {
        let (used, available) = drive::quota(&dav).await;
        used == 3 && available == 50_000_000_000 - 3
    })
    .await;
}

async fn reserved(dav: &Dav) {
    until(
        "the upload is reserved",
        Duration::from_secs(30),
        || async { drive::quota(dav).await.1 < 50_000_000_000 - 3 },
    )
    .await;
}

fn stop(world: &mut World) {
    let database = world.postgres_mut().expect("this world is on PostgreSQL");
    database.stop_server();
}

fn start(world: &mut World) {
    let database = world.postgres_mut().expect("this world is on PostgreSQL");
    database.start_server();
}
