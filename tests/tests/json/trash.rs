//! What was deleted, and the room it takes until somebody needs it.

use std::time::Duration;

use harness::{Dav, Engine, Setup, World, noise, until};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, by_path, send, store};

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().expect("a text")
}

async fn trash(who: &Dav) -> Vec<Value> {
    let list = ask(who, "GET", "/trash").await.must_be(200).json();
    list["items"].as_array().expect("a list").clone()
}

fn paths(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| text(item, "path")).collect()
}

async fn restore(who: &Dav, id: &str) -> Value {
    let address = format!("/trash/{id}/restore");
    ask(who, "POST", &address).await.must_be(201).json()
}

/// Numbers of `/me/usage`.
async fn usage(who: &Dav, fields: &[&str]) -> Vec<u64> {
    let usage = ask(who, "GET", "/me/usage").await.must_be(200).json();
    let number = |field: &&str| usage[*field].as_u64().expect("a number");
    fields.iter().map(number).collect()
}

/// "Deleted files can be had back."
#[tokio::test]
async fn h6_a_deleted_folder_comes_back_as_it_was() {
    let mut world = World::start().await;
    let alice = world.alice();
    let content = noise(3, 5_000_000);
    let file = store(&alice, "/docs/2026/a.bin", content.clone()).await;
    let file = file.must_be(201).json();
    store(&alice, "/docs/2026/b.txt", "b").await.must_be(201);
    let folder = ask(&alice, "GET", &by_path("", "/docs/2026")).await.json();
    let folder = &folder["folder"];
    // Through whichever door.
    alice.delete("/docs/2026").await.must_be(204);
    let id = text(folder, "id").to_owned();
    world.restart().await;
    let alice = world.alice();
    let [item] = &trash(&alice).await[..] else {
        panic!("one item");
    };
    assert_eq!((text(item, "id"), text(item, "path")), (&*id, "/docs/2026"));
    assert_eq!((text(item, "name"), text(item, "kind")), ("2026", "folder"));
    assert_eq!(
        (&item["size_bytes"], &item["files"]),
        (&json!(5_000_001), &json!(2))
    );
    assert_eq!(text(item, "deleted_by"), "me");
    let same = ask(&alice, "GET", &format!("/trash/{id}")).await;
    assert_eq!(&same.must_be(200).json(), item);
    let fields = [
        "live_bytes",
        "trash_bytes",
        "used_bytes",
        "trashed",
        "files",
    ];
    assert_eq!(
        usage(&alice, &fields).await,
        [0, 5_000_001, 5_000_001, 1, 0]
    );
    ask(&alice, "GET", &format!("/files/{id}"))
        .await
        .must_be(404);
    ask(&alice, "GET", &format!("/trash/{id}/content"))
        .await
        .must_be(409);

    // The folder above it is made again.
    alice.delete("/docs").await.must_be(204);
    let restored = restore(&alice, &id).await;
    assert_eq!(text(&restored, "path"), "/docs/2026");
    assert_eq!(text(&restored, "id"), id);
    let again = ask(&alice, "GET", &by_path("", "/docs/2026/a.bin")).await;
    assert_eq!(again.must_be(200).json(), file);
    assert!(alice.get("/docs/2026/a.bin").await == content);
    ask(&alice, "POST", &format!("/trash/{id}/restore"))
        .await
        .must_be(404);
    assert_eq!(
        usage(&alice, &fields).await,
        [5_000_001, 0, 5_000_001, 1, 2]
    );
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn h6_a_restored_file_takes_no_place_of_another() {
    let world = World::start().await;
    let alice = world.alice();
    let mut ids = Vec::new();
    for content in ["one", "two", "three"] {
        let stored = store(&alice, "/a.txt", content).await.must_be(201).json();
        let deleted = ask(&alice, "DELETE", &by_path("", "/a.txt")).await;
        deleted.must_be(200);
        ids.push(text(&stored, "id").to_owned());
    }
    let content = format!("/api/v1/trash/{}/content", ids[1]);
    let part = alice
        .request_at("GET", &content)
        .header("Range", "bytes=1-");
    assert_eq!(part.send().await.must_be(206), "wo");
    store(&alice, "/a.txt", "four").await.must_be(201);
    let first = restore(&alice, &ids[0]).await;
    let second = restore(&alice, &ids[1]).await;
    assert_eq!(text(&first, "path"), "/a (restored).txt");
    assert_eq!(text(&second, "path"), "/a (restored 2).txt");
    let address = format!("/trash/{}/restore", ids[2]);
    for (to, status) in [("/a.txt", 409), ("/a.txt/b", 409), ("/../b", 422)] {
        let answer = send(&alice, "POST", &address, json!({ "path": to })).await;
        assert_eq!(answer.status(), status, "{to}");
    }
    send(&alice, "POST", &address, json!({ "to": "/b" }))
        .await
        .must_be(422);
    let third = send(&alice, "POST", &address, json!({ "path": "/new/c.txt" })).await;
    let third = third.must_be(201);
    let location = format!("/api/v1/files/{}", ids[2]);
    assert_eq!(third.header("location"), location);
    assert_eq!(alice.get("/new/c.txt").await, "three");
    assert_eq!(alice.get("/a.txt").await, "four");
    assert_eq!(trash(&alice).await, Vec::<Value>::new());
}

/// "Versions and trash count in the quota and give way first when room is needed."
#[tokio::test]
async fn b6_versions_and_trash_are_parts_of_the_usage_and_give_way() {
    const LIMIT: u64 = 1_000_000;
    const PARTS: [&str; 5] = [
        "live_bytes",
        "versions_bytes",
        "trash_bytes",
        "used_bytes",
        "free_bytes",
    ];
    let world = World::start().await;
    let carol = world.add_user("carol", Some(LIMIT)).await;
    let carol = world.as_user(&carol);
    store(&carol, "/a", noise(1, 100_000)).await.must_be(201);
    store(&carol, "/a", noise(2, 150_000)).await.must_be(200);
    for number in 0..7 {
        let path = format!("/{number}");
        store(&carol, &path, noise(10 + number, 100_000))
            .await
            .must_be(201);
        carol.delete(&path).await.must_be(204);
    }
    let expected = [150_000, 100_000, 700_000, 950_000, 850_000];
    assert_eq!(usage(&carol, &PARTS).await, expected);
    // The version is the oldest of all: it goes first, and then trash by trash.
    store(&carol, "/b", noise(20, 60_000)).await.must_be(201);
    let expected = [210_000, 0, 700_000, 910_000, 790_000];
    assert_eq!(usage(&carol, &PARTS).await, expected);
    let chunked = carol.request("PUT", "/c").chunked(noise(21, 190_000));
    chunked.send().await.must_be(201);
    let [live, _, trashed, used, free] = usage(&carol, &PARTS).await[..] else {
        panic!("five parts");
    };
    assert_eq!((live, used, free), (400_000, live + trashed, LIMIT - live));
    assert_eq!(trashed % 100_000, 0);
    assert!(used <= LIMIT);
    // What does not fit gives nothing up, and is told the same number as WebDAV tells.
    let refused = store(&carol, "/d", noise(22, 600_001)).await.must_be(507);
    assert_eq!(refused.json()["code"], "quota_exceeded");
    assert!(text(&refused.json(), "detail").contains("600000 free"));
    assert_eq!(usage(&carol, &PARTS).await[2], trashed);
    store(&carol, "/d", noise(23, 600_000)).await.must_be(201);
    assert_eq!(usage(&carol, &PARTS).await, [LIMIT, 0, 0, LIMIT, 0]);
    assert_eq!(trash(&carol).await, Vec::<Value>::new());
    carol.delete("/d").await.must_be(204);
    let expected = [400_000, 0, 600_000, LIMIT, 600_000];
    assert_eq!(usage(&carol, &PARTS).await, expected);
    let root = world.as_user(&World::admin_user());
    let server = ask(&root, "GET", "/admin/usage").await.must_be(200).json();
    let parts = json!({
        "live_bytes": 400_000, "published_bytes": 0, "versions_bytes": 0, "trash_bytes": 600_000,
    });
    assert_eq!(server["parts"], parts);
    let checked = world.cli(&["check"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn h6_the_trash_is_emptied_by_hand_and_by_age() {
    let world = Setup::default()
        .env("COFFER_TRASH_RETENTION", "1s")
        .env("COFFER_VERSIONS_RETENTION", "1s")
        .start()
        .await;
    let root = world.as_user(&World::admin_user());
    let alice = world.alice();
    store(&alice, "/a", "one").await.must_be(201);
    store(&alice, "/a", "two").await.must_be(200);
    store(&alice, "/b", "gone").await.must_be(201);
    alice.delete("/b").await.must_be(204);
    let fields = ["used_bytes", "live_bytes", "trashed", "versions"];
    until("what is too old goes", Duration::from_mins(1), || async {
        let run = ask(&root, "POST", "/admin/jobs/expire-trash/run").await;
        run.must_be(202);
        usage(&alice, &fields).await == [3, 3, 0, 0]
    })
    .await;
    let world = World::start().await;
    let alice = world.alice();
    for path in ["/d/1", "/d/2", "/e"] {
        store(&alice, path, "12345").await.must_be(201);
    }
    alice.delete("/d").await.must_be(204);
    alice.delete("/e").await.must_be(204);
    let items = trash(&alice).await;
    let mut found = paths(&items);
    found.sort_unstable();
    assert_eq!(found, ["/d", "/e"]);
    let all = json!({ "items": 2, "files": 3, "size_bytes": 15 });
    let dry = ask(&alice, "DELETE", "/trash?dry_run=true").await;
    assert_eq!(dry.must_be(200).json(), all);
    let one = items.iter().find(|item| text(item, "path") == "/e");
    let one = format!("/trash/{}", text(one.expect("it is there"), "id"));
    ask(&alice, "DELETE", &one).await.must_be(204);
    ask(&alice, "DELETE", &one).await.must_be(404);
    let emptied = ask(&alice, "DELETE", "/trash").await.must_be(200).json();
    assert_eq!(emptied, json!({ "items": 1, "files": 2, "size_bytes": 10 }));
    assert_eq!(usage(&alice, &fields).await, [0, 0, 0, 0]);
    let none = json!({ "items": 0, "files": 0, "size_bytes": 0 });
    assert_eq!(ask(&alice, "DELETE", "/trash").await.json(), none);
}

/// Nobody else knows of what is in the trash, nor does a credential of one folder.
#[tokio::test]
async fn h6_the_trash_is_its_owners_alone() {
    let world = World::start().await;
    let alice = world.alice();
    let file = store(&alice, "/d/a.txt", "one").await.must_be(201).json();
    let new = json!({
        "name": "folder", "path": "/d", "current_password": World::alice_user().password,
    });
    let made = send(&alice, "POST", "/me/app-passwords", new).await;
    let secret = made.must_be(201).json();
    let folder = basic(&alice, "alice", text(&secret, "password"));
    folder.delete("/a.txt").await.must_be(204);
    assert_eq!(paths(&trash(&alice).await), ["/d/a.txt"]);
    let id = text(&file, "id");
    for (who, status) in [(world.bob(), 404), (folder, 403)] {
        for (method, what) in [
            ("GET", format!("/trash/{id}")),
            ("GET", format!("/trash/{id}/content")),
            ("POST", format!("/trash/{id}/restore")),
            ("DELETE", format!("/trash/{id}")),
        ] {
            let answer = ask(&who, method, &what).await;
            assert_eq!(answer.status(), status, "{method} {what}");
        }
    }
    assert_eq!(trash(&world.bob()).await, Vec::<Value>::new());
    for (what, status) in [
        ("/trash?cursor=x", 400),
        ("/trash/x", 404),
        ("/trash?all=1", 400),
    ] {
        assert_eq!(ask(&alice, "GET", what).await.status(), status, "{what}");
    }
    restore(&alice, id).await;
    assert_eq!(alice.get("/d/a.txt").await, "one");
}

#[tokio::test]
async fn h6_of_two_daemons_that_restore_the_same_one_wins() {
    let folder = |prefix| {
        let made = tempfile::Builder::new().prefix(prefix).tempdir();
        made.expect("a temporary folder can be made")
    };
    let (blobs, own) = (folder("coffer-blobs-"), folder("coffer-second-"));
    let world = Setup::default()
        .engine(Engine::Postgres)
        .env("COFFER_BLOBS_PATH", blobs.path().display().to_string())
        .start()
        .await;
    let second = world.second_daemon(own.path()).await;
    let first = world.alice();
    let second = first.at(second.address());
    for round in 0..5 {
        let path = format!("/{round}.txt");
        let stored = store(&first, &path, "text").await.must_be(201).json();
        second.delete(&path).await.must_be(204);
        let address = format!("/trash/{}/restore", text(&stored, "id"));
        let (one, other) = tokio::join!(
            ask(&first, "POST", &address),
            ask(&second, "POST", &address)
        );
        let mut statuses = [one.status(), other.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 404]);
        assert_eq!(first.get(&path).await, "text");
    }
    let checked = world.cli(&["check"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}
