//! What files held before they were overwritten.

use harness::{Dav, Setup, World, noise, sha256_hex};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, by_path, send, store};

/// A world that keeps every content that is overwritten, however soon.
async fn world() -> World {
    Setup::default()
        .env("COFFER_VERSIONS_INTERVAL", "0s")
        .start()
        .await
}

/// The versions of a file, in parts of one.
async fn versions(who: &Dav, file: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let address = format!("/files/{file}/versions?limit=1{next}");
        let list = ask(who, "GET", &address).await.must_be(200).json();
        let items = list["items"].as_array().expect("a list");
        found.extend(items.iter().cloned());
        match list["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return found,
        }
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().expect("a text")
}

/// "Overwritten files can be had back."
#[tokio::test]
async fn h6_what_is_overwritten_can_be_had_back() {
    let mut world = world().await;
    let alice = world.alice();
    let contents = [b"first".to_vec(), noise(1, 100_000), noise(2, 6_000_000)];
    for content in &contents {
        store(&alice, "/docs/a.bin", content.clone())
            .await
            .must_be_one_of(&[200, 201]);
    }
    // Through whichever door.
    alice.put("/docs/a.bin", "last").await.must_be(204);
    world.restart().await;
    let alice = world.alice();
    let file = ask(&alice, "GET", &by_path("", "/docs/a.bin")).await.json();
    let id = text(&file, "id");
    let found = versions(&alice, id).await;
    let by_path_too = ask(&alice, "GET", &by_path("/versions", "/docs/a.bin")).await;
    assert_eq!(by_path_too.must_be(200).json()["items"], json!(found));
    assert_eq!(found.len(), 3);
    for (version, content) in found.iter().rev().zip(&contents) {
        assert_eq!(version["size_bytes"], content.len());
        assert_eq!(text(version, "sha256"), sha256_hex(content));
        let at = format!(
            "/api/v1/files/{id}/versions/{}/content",
            text(version, "id")
        );
        let whole = alice.request_at("GET", &at).send().await.must_be(200);
        assert!(whole == *content);
        assert_eq!(whole.etag(), version["etag"]);
        let range = alice.request_at("GET", &at).header("Range", "bytes=1-3");
        assert_eq!(range.send().await.must_be(206), content[1..4].to_vec());
        let known = alice.request_at("GET", &at);
        let known = known.header("If-None-Match", text(version, "etag"));
        known.send().await.must_be(304);
        let beyond = alice
            .request_at("GET", &at)
            .header("Range", "bytes=9999999-");
        assert_eq!(
            beyond.send().await.must_be(416).json()["code"],
            "range_not_satisfiable"
        );
    }
    let second = text(&found[1], "id");
    let restore = format!("/api/v1/files/{id}/versions/{second}/restore");
    let stale = alice.request_at("POST", &restore);
    let stale = stale.header("If-Match", text(&found[0], "etag"));
    stale.send().await.must_be(412);
    let current = alice.request_at("POST", &restore);
    let current = current.header("If-Match", text(&file, "etag"));
    let restored = current.send().await.must_be(200).json();
    assert_eq!(
        (&restored["id"], &restored["path"]),
        (&file["id"], &file["path"])
    );
    assert_eq!(restored["etag"], found[1]["etag"]);
    let read = alice.get("/docs/a.bin").await;
    assert!(read == contents[1]);
    assert_eq!(read.etag(), found[1]["etag"]);
    // What was there has become a version, and the restored one is none any more.
    let after = versions(&alice, id).await;
    let sizes: Vec<_> = after.iter().map(|one| one["size_bytes"].clone()).collect();
    assert_eq!(sizes, [4, 6_000_000, 5]);
    alice.request_at("POST", &restore).send().await.must_be(404);
    let gone = format!("/files/versions/{}?path=/docs/a.bin", text(&after[1], "id"));
    ask(&alice, "DELETE", &gone).await.must_be(204);
    ask(&alice, "DELETE", &gone).await.must_be(404);
    assert_eq!(versions(&alice, id).await.len(), 2);
    let usage = ask(&alice, "GET", "/me/usage").await.json();
    assert_eq!(usage["live_bytes"], 100_000);
    assert_eq!(
        (&usage["versions"], &usage["versions_bytes"]),
        (&json!(2), &json!(9))
    );
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

/// "At most one version per node in ten minutes, none from ranged writes in between."
#[tokio::test]
async fn h6_what_is_overwritten_in_haste_makes_one_version() {
    let world = World::start().await;
    let alice = world.alice();
    for content in ["", "one", "two", "three", "four"] {
        store(&alice, "/a.txt", content)
            .await
            .must_be_one_of(&[200, 201]);
    }
    let append = alice
        .request("PATCH", "/a.txt")
        .header("Content-Type", "application/x-sabredav-partialupdate")
        .header("X-Update-Range", "append")
        .body("!");
    append.send().await.must_be(204);
    let list = ask(&alice, "GET", &by_path("/versions", "/a.txt")).await;
    let list = list.must_be(200).json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["items"][0]["sha256"], sha256_hex(b"one"));
}

/// Locks and rights are those of any write; nobody else knows of a version.
#[tokio::test]
async fn h6_versions_are_restored_by_who_may_write_and_seen_by_nobody_else() {
    let world = world().await;
    let alice = world.alice();
    let file = store(&alice, "/d/a.txt", "one").await.must_be(201).json();
    store(&alice, "/d/a.txt", "two").await.must_be(200);
    let id = text(&file, "id");
    let found = versions(&alice, id).await;
    let one = format!("/files/{id}/versions/{}", text(&found[0], "id"));
    let lock = alice.lock("/d/a.txt").await;
    let restore = format!("{one}/restore");
    ask(&alice, "POST", &restore).await.must_be(423);
    let token = lock.header("lock-token").to_owned();
    let request = alice.request_at("POST", &format!("/api/v1{restore}"));
    let request = request.header("If", &format!("({token})"));
    request.send().await.must_be(200);
    alice.get("/d/a.txt").await.must_be(200);
    let found = versions(&alice, id).await;
    let one = format!("/files/{id}/versions/{}", text(&found[0], "id"));

    let bob = world.bob();
    for (method, what) in [
        ("GET", format!("/files/{id}/versions")),
        ("GET", format!("{one}/content")),
        ("POST", format!("{one}/restore")),
        ("DELETE", one.clone()),
    ] {
        ask(&bob, method, &what).await.must_be(404);
    }
    let new = json!({
        "name": "folder", "path": "/d", "current_password": World::alice_user().password,
    });
    let made = send(&alice, "POST", "/me/app-passwords", new).await;
    let secret = made.must_be(201).json();
    let folder = basic(&alice, "alice", text(&secret, "password"));
    ask(&folder, "GET", &format!("/files/{id}/versions"))
        .await
        .must_be(403);
    ask(&folder, "GET", &format!("{one}/content"))
        .await
        .must_be(403);
    for (what, status) in [
        ("/files/versions?path=/d".to_owned(), 409),
        ("/files/versions?path=/none".to_owned(), 404),
        ("/files/versions".to_owned(), 400),
        (format!("/files/{id}/versions?path=/d/a.txt"), 400),
        (format!("/files/{id}/versions?cursor=x"), 400),
        (format!("/files/{id}/versions/x/content"), 404),
    ] {
        let answer = ask(&alice, "GET", &what).await;
        assert_eq!(answer.status(), status, "{what}");
    }
}

/// Whom the owner lets write a file may go back to what it held; others see no more than it holds.
#[tokio::test]
async fn h6_versions_of_what_is_shared_are_for_those_who_write_it() {
    let world = world().await;
    let (alice, bob) = (world.alice(), world.bob());
    let carol = world.add_user("carol", None).await;
    let carol = world.as_user(&carol);
    let file = store(&alice, "/d/a.txt", "one").await.must_be(201).json();
    let id = text(&file, "id");
    for (name, right) in [("bob", "write"), ("carol", "read")] {
        let body = json!({ "name": name, "right": right });
        let made = send(&alice, "POST", &by_path("/grants", "/d"), body).await;
        made.must_be(201);
    }
    let shared = "/Shared with me/d/a.txt";
    store(&bob, shared, "three").await.must_be(200);
    let used = ask(&alice, "GET", "/me/usage").await.json();
    assert_eq!(used["versions_bytes"], 3);
    let found = versions(&bob, id).await;
    let by_path_too = ask(&bob, "GET", &by_path("/versions", shared)).await;
    assert_eq!(by_path_too.must_be(200).json()["items"], json!(found));
    assert_eq!(found, versions(&alice, id).await);
    let one = format!("/files/{id}/versions/{}", text(&found[0], "id"));
    let content = format!("{one}/content");
    assert_eq!(ask(&bob, "GET", &content).await.must_be(200), "one");
    let refused = ask(&bob, "DELETE", &one).await.must_be(403);
    assert_eq!(refused.json()["code"], "forbidden");

    for (method, path) in [
        ("GET", format!("/files/{id}/versions")),
        ("GET", by_path("/versions", shared)),
        ("GET", content),
        ("POST", format!("{one}/restore")),
        ("DELETE", one.clone()),
    ] {
        let refused = ask(&carol, method, &path).await.must_be(403);
        assert_eq!(refused.json()["code"], "forbidden", "{method} {path}");
    }

    let lock = alice.lock("/d/a.txt").await.must_be(200);
    let restore = format!("{one}/restore");
    ask(&bob, "POST", &restore).await.must_be(423);
    let unlock = alice.request("UNLOCK", "/d/a.txt");
    let unlock = unlock.header("Lock-Token", lock.header("lock-token"));
    unlock.send().await.must_be(204);
    let restored = ask(&bob, "POST", &restore).await.must_be(200).json();
    assert_eq!(
        (text(&restored, "id"), text(&restored, "path")),
        (id, shared)
    );
    assert_eq!(alice.get("/d/a.txt").await, "one");
    let after = versions(&bob, id).await;
    assert_eq!(after[0]["size_bytes"], 5);
    // It is the owner's to pay, and to throw away.
    let one = format!("/files/{id}/versions/{}", text(&after[0], "id"));
    ask(&alice, "DELETE", &one).await.must_be(204);
    let used = ask(&alice, "GET", "/me/usage").await.json();
    assert_eq!(
        (&used["used_bytes"], &used["versions"]),
        (&json!(3), &json!(0))
    );
    let none = ask(&bob, "GET", "/me/usage").await.json();
    assert_eq!(none["used_bytes"], 0);
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}
