//! Sharing: who has access to what, and who finds what where.

mod limits;
mod transfers;

use harness::{Dav, World, encode_path};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, by_path, send, store};

const SHARED: &str = "/Shared with me";

/// Gives a right by path.
async fn grant(who: &Dav, path: &str, name: &str, right: &str) -> Value {
    let body = json!({ "name": name, "right": right });
    let made = send(who, "POST", &by_path("/grants", path), body).await;
    made.must_be_one_of(&[200, 201]).json()
}

async fn file(who: &Dav, path: &str) -> Value {
    ask(who, "GET", &by_path("", path))
        .await
        .must_be(200)
        .json()
}

/// The id of what is at a path.
async fn id(who: &Dav, path: &str) -> String {
    let listed = file(who, path).await;
    let found = listed.get("folder").unwrap_or(&listed);
    found["id"].as_str().expect("an id").to_owned()
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().expect("a list")
}

fn all<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = items(list).iter();
    let text = |item: &'a Value| item[field].as_str().expect("a text");
    items.map(text).collect()
}

/// "The owner shares a file or folder with other users, read-only or read-write; they find it in
/// their own drive, in the mount and in the API."
#[tokio::test]
async fn d1_what_is_shared_is_found_in_the_drive_and_in_the_api() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/Plans/2026/goals.txt", "goals")
        .await
        .must_be(201);
    store(&alice, "/note.txt", "note").await.must_be(201);
    ask(&bob, "GET", &by_path("", SHARED)).await.must_be(404);
    assert!(bob.names("/").await.is_empty());

    grant(&alice, "/Plans", "bob@example.org", "write").await;
    let made = grant(&alice, "/note.txt", "Bob", "read").await;
    assert_eq!(
        (&made["name"], &made["right"]),
        (&json!("Bob"), &json!("read"))
    );

    assert_eq!(bob.names("/").await, ["Shared with me"]);
    assert_eq!(bob.names(SHARED).await, ["Plans", "note.txt"]);
    assert_eq!(bob.get("/Shared with me/note.txt").await, "note");
    let shared = ask(&bob, "GET", "/shared").await.must_be(200).json();
    assert_eq!(all(&shared, "owner"), ["alice", "alice"]);
    assert_eq!(all(&shared, "right"), ["write", "read"]);
    let listed = file(&bob, SHARED).await;
    assert_eq!(
        all(&listed, "path"),
        ["/Shared with me/Plans", "/Shared with me/note.txt"]
    );
    assert_eq!(items(&listed)[0]["id"], items(&shared)[0]["file"]["id"]);

    // Reading is not writing.
    for (path, status) in [("/note.txt", 403), ("/Plans/new.txt", 201)] {
        let path = format!("{SHARED}{path}");
        store(&bob, &path, "bob's").await.must_be(status);
    }
    bob.put("/Shared with me/note.txt", "bob's")
        .await
        .must_be(403);
    assert_eq!(alice.get("/Plans/new.txt").await, "bob's");
    assert_eq!(alice.get("/note.txt").await, "note");
    // Others have nothing of it.
    let carol = world.add_user("carol", None).await;
    let carol = world.as_user(&carol);
    assert!(carol.names("/").await.is_empty());
    ask(&carol, "GET", &by_path("", "/Shared with me/Plans"))
        .await
        .must_be(404);
}

/// "The owner lists who has access with their number, changes and revokes it, one or all (P6)."
#[tokio::test]
async fn d2_access_is_listed_changed_and_taken_back() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/a/f.txt", "x").await.must_be(201);
    let bobs = grant(&alice, "/a", "bob", "read").await;
    grant(&alice, "/a", "nobody at all", "write").await;
    let inner = grant(&alice, "/a/f.txt", "carol", "read").await;
    let folder = id(&alice, "/a").await;
    let grants = format!("/files/{folder}/grants");
    let listed = ask(&alice, "GET", &grants).await.must_be(200).json();
    assert_eq!((&listed["count"], items(&listed).len()), (&json!(2), 2));
    // Made within a millisecond, either may come first.
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.join(", ")
    };
    assert_eq!(sorted(all(&listed, "name")), "bob, nobody at all");
    let first = ask(&alice, "GET", &format!("{grants}?limit=1"))
        .await
        .json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = format!("{grants}?limit=1&cursor={cursor}");
    let rest = ask(&alice, "GET", &rest).await.must_be(200).json();
    let both = [all(&first, "name"), all(&rest, "name")].concat();
    assert_eq!(sorted(both), "bob, nobody at all");
    assert_eq!(rest["next_cursor"], Value::Null);
    // What is shared above counts below.
    let below = ask(&alice, "GET", &by_path("/grants", "/a/f.txt"))
        .await
        .json();
    let inherited = |name: &str| {
        let of = items(&below).iter().find(|one| one["name"] == name);
        of.map(|one| one["inherited"].clone())
    };
    assert_eq!(inherited("bob"), Some(json!(true)));
    assert_eq!(inherited("nobody at all"), Some(json!(true)));
    assert_eq!(inherited("carol"), Some(json!(false)));
    assert_eq!(below["count"], 3);

    let one = format!("{grants}/{}", bobs["id"].as_str().unwrap());
    let target = "/Shared with me/a/g.txt";
    bob.put(target, "x").await.must_be(403);
    let changed = send(&alice, "PATCH", &one, json!({ "right": "write" })).await;
    assert_eq!(changed.must_be(200).json()["right"], "write");
    bob.put(target, "x").await.must_be(201);
    ask(&alice, "DELETE", &one).await.must_be(204);
    bob.put(target, "x").await.must_be_one_of(&[404, 409]);
    bob.get(target).await.must_be(404);
    assert!(bob.names("/").await.is_empty());
    ask(&alice, "DELETE", &one).await.must_be(404);

    grant(&alice, "/a", "bob", "write").await;
    let all_of_it = by_path("/grants", "/a");
    let revoked = ask(&alice, "DELETE", &all_of_it).await.must_be(200).json();
    assert_eq!(revoked["revoked"], 2);
    bob.get(target).await.must_be(404);
    let left = ask(&alice, "GET", "/shared?by=me")
        .await
        .must_be(200)
        .json();
    assert_eq!(all(&left, "id"), [inner["id"].as_str().unwrap()]);
    assert_eq!(items(&left)[0]["file"]["path"], "/a/f.txt");
}

/// "Only the owner deletes a shared file or the root of a shared folder (inside one shared
/// read-write a writer may); deleting ends all access for good."
#[tokio::test]
async fn d3_only_the_owner_takes_away_what_is_shared() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    for path in ["/a/in.txt", "/a/b/c.txt", "/f.txt"] {
        store(&alice, path, "x").await.must_be(201);
    }
    for path in ["/a", "/a/b", "/f.txt"] {
        grant(&alice, path, "bob", "write").await;
    }
    for path in ["/a", "/f.txt", "/b", "/a/b"] {
        let path = format!("{SHARED}{path}");
        bob.delete(&path).await.must_be(403);
        let by_path = by_path("", &path);
        let refused = ask(&bob, "DELETE", &by_path).await.must_be(403);
        assert_eq!(refused.json()["code"], "protected");
        bob.rename(&path, "/Shared with me/other")
            .await
            .must_be(403);
        bob.rename(&path, "/mine").await.must_be_one_of(&[403, 502]);
    }
    let folder = id(&alice, "/a").await;
    ask(&bob, "DELETE", &format!("/files/{folder}"))
        .await
        .must_be(403);
    bob.delete("/Shared with me/a/in.txt").await.must_be(204);
    alice.get("/a/in.txt").await.must_be(404);
    // What is gone is shared no more, also when something of its name comes.
    alice.delete("/a").await.must_be(204);
    store(&alice, "/a/b/c.txt", "again").await.must_be(201);
    assert_eq!(bob.names(SHARED).await, ["f.txt"]);
    for path in ["/Shared with me/a", "/Shared with me/b"] {
        bob.get(path).await.must_be(404);
    }
    // Moving is not deleting.
    alice.rename("/f.txt", "/a/g.txt").await.must_be(201);
    assert_eq!(bob.get("/Shared with me/f.txt").await, "x");
}

/// "List all files one has access to: own and shared", and B5: "download, inspect, delete and
/// share by path or by id, own and shared files".
#[tokio::test]
async fn d5_everything_one_has_access_to_is_listed_and_found() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&bob, "/own/report.txt", "x").await.must_be(201);
    store(&alice, "/in/sub/report.txt", "x").await.must_be(201);
    store(&alice, "/in/z.txt", "x").await.must_be(201);
    store(&alice, "/Report.txt", "x").await.must_be(201);
    store(&alice, "/secret/report.txt", "x").await.must_be(201);
    grant(&alice, "/in", "bob", "read").await;
    grant(&alice, "/Report.txt", "bob", "read").await;
    let expected = [
        "/own",
        "/own/report.txt",
        "/Shared with me/Report.txt",
        "/Shared with me/in",
        "/Shared with me/in/sub",
        "/Shared with me/in/sub/report.txt",
        "/Shared with me/in/z.txt",
    ];
    for limit in [1, 2, 3, 100] {
        let (mut told, mut cursor) = (Vec::new(), String::new());
        loop {
            let part = format!("/files?scope=all&limit={limit}{cursor}");
            let part = ask(&bob, "GET", &part).await.must_be(200).json();
            told.extend(all(&part, "path").into_iter().map(str::to_owned));
            assert!(items(&part).len() <= limit);
            match part["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(told, expected, "{limit} at a time");
    }
    let own = ask(&bob, "GET", "/files?recursive=true").await.json();
    assert_eq!(all(&own, "path"), expected[..2]);
    let inside = format!("{}&recursive=true", by_path("", SHARED));
    let inside = ask(&bob, "GET", &inside).await.must_be(200).json();
    assert_eq!(all(&inside, "path"), expected[2..]);
    let found = ask(&bob, "GET", "/search?q=report").await.json();
    let mut found = all(&found, "path");
    found.sort_unstable();
    assert_eq!(
        found,
        ["/Shared with me/Report.txt", expected[5], "/own/report.txt"]
    );
    // An own app password of one folder sees that folder and nothing else.
    let scanner =
        json!({ "name": "x", "path": "/own", "current_password": World::bob_user().password });
    let made = send(&bob, "POST", "/me/app-passwords", scanner)
        .await
        .must_be(201);
    let secret = made.json()["password"].as_str().unwrap().to_owned();
    let scanner = basic(&world.anonymous(), "bob", &secret);
    let seen = ask(&scanner, "GET", "/files?scope=all")
        .await
        .must_be(200)
        .json();
    assert_eq!(all(&seen, "path"), ["/report.txt"]);
    assert_eq!(scanner.names("/").await, ["report.txt"]);
}

/// B5: "download, inspect, delete and share by path or by id, own and shared files".
#[tokio::test]
async fn b5_shared_files_are_worked_with_by_path_and_by_id() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/in/sub/a.txt", "one").await.must_be(201);
    grant(&alice, "/in", "bob", "write").await;
    let path = "/Shared with me/in/sub/a.txt";
    let seen = file(&bob, path).await;
    assert_eq!(seen["path"], path);
    let by_id = format!("/files/{}", seen["id"].as_str().unwrap());
    assert_eq!(ask(&bob, "GET", &by_id).await.must_be(200).json(), seen);
    for address in [format!("{by_id}/content"), by_path("/content", path)] {
        let content = ask(&bob, "GET", &address).await.must_be(200);
        assert_eq!(
            (&*content.text(), content.header("content-type")),
            ("one", "text/plain; charset=utf-8")
        );
    }
    let zip = ask(&bob, "GET", &by_path("/zip", "/Shared with me/in")).await;
    assert!(
        zip.must_be(200)
            .header("content-disposition")
            .contains("\"in.zip\"")
    );

    let renamed = send(&bob, "PATCH", &by_id, json!({ "name": "b.txt" })).await;
    assert_eq!(
        renamed.must_be(200).json()["path"],
        "/Shared with me/in/sub/b.txt"
    );
    let up = json!({ "parent_id": id(&alice, "/in").await });
    let moved = send(&bob, "PATCH", &by_id, up).await.must_be(200).json();
    assert_eq!(moved["path"], "/Shared with me/in/b.txt");
    assert_eq!(alice.get("/in/b.txt").await, "one");
    let out = json!({ "path": "/b.txt" });
    let refused = send(&bob, "PATCH", &by_id, out.clone()).await.must_be(409);
    assert_eq!(refused.json()["code"], "over_border");
    let copied = send(&bob, "POST", &format!("{by_id}/copy"), out).await;
    assert_eq!(copied.must_be(201).json()["path"], "/b.txt");
    let back = json!({ "path": "/Shared with me/in/c.txt" });
    let copied = send(&bob, "POST", &by_path("/copy", "/b.txt"), back).await;
    assert_eq!(
        copied.must_be(201).json()["path"],
        "/Shared with me/in/c.txt"
    );
    let usage =
        |who: Dav| async move { ask(&who, "GET", "/me/usage").await.json()["used_bytes"].clone() };
    assert_eq!(
        (usage(alice.clone()).await, usage(bob.clone()).await),
        (json!(6), json!(3))
    );

    let made = send(
        &bob,
        "POST",
        "/dirs",
        json!({ "path": "/Shared with me/in/new" }),
    )
    .await;
    assert_eq!(made.must_be(201).json()["path"], "/Shared with me/in/new");
    let form = bob
        .request_at("POST", &format!("/api/v1/files?dir={}", encode_path("/Shared with me/in/new")))
        .header("Content-Type", "multipart/form-data; boundary=x")
        .body("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\nf\r\n--x--\r\n");
    let stored = form.send().await.must_be(201).json();
    assert_eq!(all(&stored, "path"), ["/Shared with me/in/new/f.txt"]);
    let removed = ask(&bob, "DELETE", &by_id).await.must_be(200).json();
    assert_eq!(removed["path"], "/Shared with me/in/b.txt");
    ask(&bob, "GET", &by_id).await.must_be(404);
    // Sharing on is its owner's alone; so is the folder of what is shared nobody's to change.
    let grants = by_path("/grants", "/Shared with me/in");
    let on = json!({ "name": "carol", "right": "read" });
    send(&bob, "POST", &grants, on).await.must_be(403);
    ask(&bob, "GET", &grants).await.must_be(403);
    for path in [SHARED, "/Shared with me/new"] {
        send(&bob, "POST", "/dirs", json!({ "path": path }))
            .await
            .must_be(403);
        store(&bob, path, "x").await.must_be(403);
        store(&alice, path, "x").await.must_be(403);
    }
}
