//! `If-Match` on what is no file: accounts and settings ("`ETag`/`If-Match` on everything mutable").

use harness::{Answer, Dav, World};
use serde_json::{Value, json};

use crate::phrase::{ask, send};

async fn change(who: &Dav, path: &str, etag: &str, body: &Value) -> Answer {
    let request = who.request_at("PATCH", &format!("/api/v1{path}"));
    request.header("If-Match", etag).json(body).send().await
}

/// Whoever changes what somebody else has changed meanwhile is told so.
async fn is_guarded(who: &Dav, path: &str, bodies: [Value; 2]) {
    let shown = ask(who, "GET", path).await.must_be(200);
    let first = shown.etag();
    assert!(first.starts_with('"') && first.len() > 10, "{shown:?}");
    assert_eq!(ask(who, "GET", path).await.etag(), first);
    let changed = change(who, path, &first, &bodies[0]).await.must_be(200);
    let second = changed.etag();
    assert_ne!(second, first, "{path}");
    let seen = ask(who, "GET", path).await;
    assert_eq!((seen.etag(), seen.json()), (second.clone(), changed.json()));
    for stale in [
        first.as_str(),
        "\"\"",
        "W/\"a\"",
        "nothing",
        &format!("W/{second}"),
    ] {
        let refused = change(who, path, stale, &bodies[1]).await.must_be(412);
        assert_eq!(refused.json()["code"], "precondition_failed");
        assert_eq!(ask(who, "GET", path).await.etag(), second, "{stale}");
    }
    let list = format!("{first}, {second}");
    let third = change(who, path, &list, &bodies[1])
        .await
        .must_be(200)
        .etag();
    change(who, path, "*", &bodies[0]).await.must_be(200);
    send(who, "PATCH", path, bodies[1].clone())
        .await
        .must_be(200);
    // The same again is the same again.
    assert_eq!(ask(who, "GET", path).await.etag(), third);
}

#[tokio::test]
async fn accounts_and_settings_are_changed_as_they_were_seen() {
    let world = World::start().await;
    let (root, alice) = (world.as_user(&World::admin_user()), world.alice());
    let quotas = [
        json!({ "default_quota_bytes": 1 }),
        json!({ "default_quota_bytes": 2 }),
    ];
    is_guarded(&root, "/admin/settings", quotas).await;
    let id = ask(&alice, "GET", "/me").await.json()["id"].clone();
    let path = format!("/users/{}", id.as_str().expect("an id"));
    let quotas = [
        json!({ "quota_bytes": 1_000_000 }),
        json!({ "quota_bytes": 2_000_000 }),
    ];
    is_guarded(&root, &path, quotas).await;
    let emails = ["one@example.org", "other@example.org"]
        .map(|email| json!({ "email": email, "current_password": World::alice_user().password }));
    is_guarded(&alice, "/me", emails).await;
    // What is stored in the drive is no change of the account.
    let before = ask(&alice, "GET", "/me").await.etag();
    alice.put("/a.txt", "x").await.must_be(201);
    let after = ask(&alice, "GET", "/me").await;
    assert_eq!(after.etag(), before);
    assert_eq!(after.json()["usage"]["used_bytes"], 1);
}

#[tokio::test]
async fn of_many_who_saw_the_same_one_may_change_it() {
    let world = World::start().await;
    let root = world.as_user(&World::admin_user());
    let id = ask(&world.alice(), "GET", "/me").await.json()["id"].clone();
    let user = format!("/users/{}", id.as_str().expect("an id"));
    for (path, field) in [
        ("/admin/settings", "default_quota_bytes"),
        (&user, "quota_bytes"),
    ] {
        let etag = ask(&root, "GET", path).await.etag();
        let changes = (1..=10).map(|number| {
            let (root, etag) = (root.clone(), etag.clone());
            async move {
                change(&root, path, &etag, &json!({ field: number }))
                    .await
                    .status()
            }
        });
        let mut statuses = futures_util::future::join_all(changes).await;
        statuses.sort_unstable();
        let mut expected = vec![412; 10];
        expected[0] = 200;
        assert_eq!(statuses, expected, "{path}");
    }
}

async fn remove(who: &Dav, path: &str, etag: &str) -> Answer {
    let request = who.request_at("DELETE", &format!("/api/v1{path}"));
    request.header("If-Match", etag).send().await
}

/// What was changed since it was seen is not removed.
async fn is_removed_as_seen(who: &Dav, path: &str, stale: &str, etag: &str) {
    for wrong in [stale, "\"\"", "nothing", &format!("W/{etag}")] {
        let refused = remove(who, path, wrong).await.must_be(412);
        assert_eq!(refused.json()["code"], "precondition_failed", "{path}");
    }
    remove(who, path, etag).await.must_be(204);
    remove(who, path, etag).await.must_be(404);
}

#[tokio::test]
async fn links_are_changed_and_removed_as_they_were_seen() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "x").await.must_be(201);
    let new = json!({ "path": "/a.txt", "label": "one" });
    let made = send(&alice, "POST", "/links", new).await.must_be(201);
    let (first, made) = (made.etag(), made.json());
    assert_eq!(made["etag"], first);
    let path = format!("/links/{}", made["id"].as_str().expect("an id"));
    let list = ask(&alice, "GET", "/links").await.must_be(200).json();
    assert_eq!(list["items"][0]["etag"], first);
    // Using it changes nothing that is guarded.
    let token = made["token"].as_str().expect("a token");
    let visit = world.anonymous().request_at("GET", &format!("/s/{token}"));
    visit.send().await.must_be(200);
    let labels = ["two", "three"].map(|label| json!({ "label": label }));
    assert_eq!(ask(&alice, "GET", &path).await.etag(), first);
    is_guarded(&alice, &path, labels).await;
    let etag = ask(&alice, "GET", &path).await.etag();
    // What is not there, or not one's own, is not there under any condition.
    let bob = world.bob();
    remove(&bob, &path, &etag).await.must_be(404);
    change(&bob, &path, "nothing", &json!({ "label": "x" }))
        .await
        .must_be(404);
    is_removed_as_seen(&alice, &path, &first, &etag).await;
}

#[tokio::test]
async fn grants_are_changed_and_removed_as_they_were_seen() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "x").await.must_be(201);
    let grants = "/files/grants?path=/a.txt";
    for name in ["bob", "nobody at all"] {
        let new = json!({ "name": name, "right": "read" });
        let made = send(&alice, "POST", grants, new).await.must_be(201);
        let (first, made) = (made.etag(), made.json());
        assert_eq!(made["etag"], first);
        let list = ask(&alice, "GET", grants).await.must_be(200).json();
        assert_eq!(list["items"][0], made);
        let text = |field: &str| made[field].as_str().expect("an id").to_owned();
        let by_id = format!("/files/{}/grants/{}", text("file_id"), text("id"));
        let by_path = format!("/files/grants/{}?path=/a.txt", text("id"));
        let (read, write) = (json!({ "right": "read" }), json!({ "right": "write" }));
        let changed = change(&alice, &by_id, &first, &write).await.must_be(200);
        let second = changed.etag();
        assert_ne!(second, first);
        assert_eq!(changed.json()["etag"], second);
        for path in [&by_id, &by_path] {
            change(&alice, path, &first, &read).await.must_be(412);
        }
        let list = ask(&alice, "GET", grants).await.must_be(200).json();
        assert_eq!(list["items"][0]["right"], "write");
        let changed = change(&alice, &by_path, &second, &read).await.must_be(200);
        assert_eq!(changed.etag(), first);
        is_removed_as_seen(&alice, &by_path, &second, &first).await;
    }
}

#[tokio::test]
async fn accounts_are_removed_as_they_were_seen() {
    let world = World::start().await;
    let root = world.as_user(&World::admin_user());
    let bob = ask(&world.bob(), "GET", "/me").await;
    let path = format!("/users/{}", bob.json()["id"].as_str().expect("an id"));
    let first = ask(&root, "GET", &path).await.etag();
    let quota = json!({ "quota_bytes": 1_000_000 });
    let second = change(&root, &path, "*", &quota).await.must_be(200).etag();
    is_removed_as_seen(&root, &path, &first, &second).await;

    let (alice, password) = (world.alice(), World::alice_user().password);
    let mine = async |etag: &str| {
        let request = alice.request_at("DELETE", "/api/v1/me");
        let request = request.header("If-Match", etag);
        request.json(&json!({ "password": password })).send().await
    };
    mine("\"other\"").await.must_be(412);
    let etag = ask(&alice, "GET", "/me").await.must_be(200).etag();
    mine(&etag).await.must_be(204);
    ask(&alice, "GET", "/me").await.must_be(401);
}
