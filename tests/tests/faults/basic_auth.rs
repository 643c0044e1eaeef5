//! A password is hashed once, not with every request; and once changed it is worth nothing.

use harness::{Setup, User, Wire, World};

#[tokio::test]
async fn five_hundred_requests_with_one_password_hash_it_once() {
    let world = Setup::default()
        .env("COFFER_LOG_FILTER", "info,store=debug")
        .start()
        .await;
    let dav = world.alice();
    let before = verifications(&world);
    dav.put("/a.txt", "text").await.must_be(201);
    for _ in 0..499 {
        dav.request("PROPFIND", "/a.txt")
            .header("Depth", "0")
            .send()
            .await
            .must_be(207);
    }
    assert_eq!(verifications(&world) - before, 1);
}

/// The daemon logs each run of Argon2.
fn verifications(world: &World) -> usize {
    let log = world.log();
    let lines = log.lines();
    lines
        .filter(|line| line.contains("password verified by Argon2"))
        .count()
}

/// P6: "Log-out, password change, revoked grant, deleted file: the next request sees it".
#[tokio::test]
async fn after_a_password_change_the_old_password_is_refused_at_once() {
    let world = World::start().await;
    let old = World::alice_user();
    let dav = world.alice();
    dav.put("/a.txt", "text").await.must_be(201);
    let new = User {
        password: "another password of some length".to_owned(),
        ..old.clone()
    };
    let output = world
        .cli(&["user", "set", "alice", "--password-stdin"], &new.password)
        .await;
    assert!(output.status.success(), "{output:?}");
    dav.get("/a.txt").await.must_be(401);
    assert_eq!(world.as_user(&new).get("/a.txt").await, "text");
    dav.get("/a.txt").await.must_be(401);
}

/// Many clients send no password until they are asked, and go on over the same connection.
#[tokio::test]
async fn a_request_refused_for_want_of_a_password_leaves_its_connection_usable() {
    let world = World::start().await;
    world.alice().put("/a.txt", "text").await.must_be(201);
    let body = "<propfind xmlns=\"DAV:\"><allprop/></propfind>";
    let length = format!("Content-Length: {}", body.len());
    let head = [
        "PROPFIND /dav/a.txt HTTP/1.1",
        "Host: localhost",
        "Depth: 0",
        &length,
    ];
    let mut wire = world.wire().await;
    wire.send_head(&head).await;
    wire.send(body).await;
    let refused = wire.answer().await.expect("an answer").must_be(401);
    assert_eq!(refused.header("connection"), "");
    let alice = World::alice_user();
    let authorization = Wire::basic(&alice.name, &alice.password);
    let authorization = format!("Authorization: {authorization}");
    wire.send_head(&[&head[..], &[&authorization]].concat())
        .await;
    wire.send(body).await;
    wire.answer().await.expect("an answer").must_be(207);
}
