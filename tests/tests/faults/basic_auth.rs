//! A password is hashed once, not with every request; and once changed it is worth nothing.

use harness::{Setup, User, World};

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
        .filter(|line| line.contains("verifying a password"))
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
