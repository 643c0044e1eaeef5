//! Sharing: who has access to what, and who finds what where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::{Answer, Dav, World, encode_path, until};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, bearer, by_path, send, store, tokens};

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
    assert_eq!(all(&listed, "name"), ["bob", "nobody at all"]);
    let first = ask(&alice, "GET", &format!("{grants}?limit=1"))
        .await
        .json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = format!("{grants}?limit=1&cursor={cursor}");
    let rest = ask(&alice, "GET", &rest).await.must_be(200).json();
    assert_eq!(
        (all(&rest, "name"), &rest["next_cursor"]),
        (vec!["nobody at all"], &Value::Null)
    );
    // What is shared above counts below.
    let below = ask(&alice, "GET", &by_path("/grants", "/a/f.txt"))
        .await
        .json();
    let inherited: Vec<&Value> = items(&below).iter().map(|one| &one["inherited"]).collect();
    assert_eq!(inherited, [&json!(true), &json!(true), &json!(false)]);
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

/// P2: "who exists is secret: granting to an unknown name answers like granting to a known one".
#[tokio::test]
async fn a6_a_name_that_nobody_has_is_answered_like_one_that_somebody_has() {
    let world = World::start().await;
    let alice = world.alice();
    store(&alice, "/a.txt", "x").await.must_be(201);
    let file = format!("/files/{}", id(&alice, "/a.txt").await);
    // Whether anything is shared with alice herself is asked once, and remembered.
    ask(&alice, "GET", &file).await.must_be(200);
    let address = format!("{file}/grants");
    let seen = |answer: &Answer, name: &str, id: &str| {
        let mut names: Vec<&str> = answer
            .headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        names.sort_unstable();
        let body = answer.text().replace(name, "NAME").replace(id, "ID");
        let at = body.find("created_at").unwrap_or(body.len());
        format!("{} {names:?} {}", answer.status(), &body[..at])
    };
    let mut answers = BTreeSet::new();
    let names = [
        "bob",
        "eve",
        "root",
        "bob@example.org",
        "eve@example.org",
        "alice",
    ];
    for name in names {
        let new = json!({ "name": name, "right": "read" });
        let made = send(&alice, "POST", &address, new).await.must_be(201);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let again = json!({ "name": name, "right": "write" });
        let again = send(&alice, "POST", &address, again).await.must_be(200);
        let one = format!("{address}/{id}");
        let changed = send(&alice, "PATCH", &one, json!({ "right": "read" })).await;
        let told = [&made, &again, &changed].map(|answer| seen(answer, name, &id));
        ask(&alice, "DELETE", &one).await.must_be(204);
        answers.insert(told);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let lines = || {
        let all = world.requests().into_iter();
        all.filter(|line| line.route.contains("/grants"))
            .collect::<Vec<_>>()
    };
    let expected = names.len() * 4;
    until("all are logged", Duration::from_secs(10), || async {
        lines().len() == expected
    })
    .await;
    let mut statements = BTreeMap::<_, BTreeSet<u64>>::new();
    for line in lines() {
        let alike = statements.entry((line.method, line.status)).or_default();
        alike.insert(line.statements);
    }
    for (asked, counts) in statements {
        assert_eq!(counts.len(), 1, "{asked:?}: {counts:?}");
    }
}

/// "Revoking ends running access at the next request", on a connection that stays open.
#[tokio::test]
async fn revocation_is_seen_by_the_next_request_of_an_open_connection() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let (alice, bob) = (
        world.alice(),
        bearer(&anyone, &tokens(&anyone, &World::bob_user()).await),
    );
    store(&alice, "/a/f.txt", "x").await.must_be(201);
    let target = "/Shared with me/a/f.txt";
    for _ in 0..3 {
        let made = grant(&alice, "/a", "bob", "write").await;
        bob.get(target).await.must_be(200);
        let file = file(&bob, target).await;
        let by_id = format!("/files/{}", file["id"].as_str().unwrap());
        ask(&bob, "GET", &by_id).await.must_be(200);
        let one = format!("/files/grants/{}?path=/a", made["id"].as_str().unwrap());
        ask(&alice, "DELETE", &one).await.must_be(204);
        bob.get(target).await.must_be(404);
        ask(&bob, "GET", &by_id).await.must_be(404);
        ask(&bob, "GET", &format!("{by_id}/content"))
            .await
            .must_be(404);
        let there = ask(&bob, "PATCH", &by_id).await;
        there.must_be_one_of(&[404, 415]);
        assert!(bob.names("/").await.is_empty());
        assert!(items(&ask(&bob, "GET", "/shared").await.json()).is_empty());
    }
}

#[tokio::test]
async fn what_is_shared_can_be_given_back() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/a.txt", "x").await.must_be(201);
    let made = grant(&alice, "/a.txt", "bob", "read").await;
    let one = format!("/shared/{}", made["id"].as_str().unwrap());
    ask(&alice, "DELETE", &one).await.must_be(404);
    ask(&bob, "DELETE", &one).await.must_be(204);
    ask(&bob, "DELETE", &one).await.must_be(404);
    assert!(bob.names("/").await.is_empty());
    // Its owner is not told, and may share it again.
    let listed = ask(&alice, "GET", &by_path("/grants", "/a.txt"))
        .await
        .json();
    assert_eq!(listed["count"], 1);
    grant(&alice, "/a.txt", "bob", "read").await;
    assert_eq!(bob.names(SHARED).await, ["a.txt"]);
}

#[tokio::test]
async fn an_app_password_gains_no_more_by_shares_than_it_has() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/a/f.txt", "x").await.must_be(201);
    grant(&alice, "/a", "bob", "write").await;
    let password = World::bob_user().password;
    let new = json!({ "name": "reader", "read_only": true, "current_password": password });
    let made = send(&bob, "POST", "/me/app-passwords", new)
        .await
        .must_be(201);
    let secret = made.json()["password"].as_str().unwrap().to_owned();
    let reader = basic(&world.anonymous(), "bob", &secret);
    assert_eq!(reader.get("/Shared with me/a/f.txt").await, "x");
    reader
        .put("/Shared with me/a/f.txt", "y")
        .await
        .must_be(403);
    store(&reader, "/Shared with me/a/f.txt", "y")
        .await
        .must_be(403);
    let shared = ask(&reader, "GET", "/shared").await.must_be(200).json();
    assert_eq!(all(&shared, "right"), ["read"]);
    let one = items(&shared)[0]["id"].as_str().unwrap();
    ask(&reader, "DELETE", &format!("/shared/{one}"))
        .await
        .must_be(403);
    let new = json!({ "name": "carol", "right": "read" });
    store(&bob, "/own.txt", "x").await.must_be(201);
    send(&reader, "POST", &by_path("/grants", "/own.txt"), new)
        .await
        .must_be(403);
}

#[tokio::test]
async fn questions_about_grants_that_make_no_sense_say_why() {
    let world = World::start().await;
    let alice = world.alice();
    store(&alice, "/a.txt", "x").await.must_be(201);
    let grants = by_path("/grants", "/a.txt");
    for (body, status) in [
        (json!({ "name": "bob" }), 422),
        (json!({ "name": "bob", "right": "own" }), 422),
        (json!({ "name": "", "right": "read" }), 422),
        (json!({ "name": "a/b", "right": "read" }), 422),
        (json!({ "name": "bob", "right": "read", "x": 1 }), 422),
    ] {
        send(&alice, "POST", &grants, body).await.must_be(status);
    }
    let good = json!({ "name": "bob", "right": "read" });
    let root = send(&alice, "POST", &by_path("/grants", "/"), good.clone()).await;
    assert_eq!(root.must_be(403).json()["code"], "protected");
    send(&alice, "POST", &by_path("/grants", "/none"), good.clone())
        .await
        .must_be(404);
    send(&alice, "POST", "/files/nonsense/grants", good.clone())
        .await
        .must_be(404);
    send(&alice, "POST", "/files/grants", good.clone())
        .await
        .must_be(400);
    ask(&alice, "GET", &format!("{grants}&cursor=x"))
        .await
        .must_be(400);
    ask(&alice, "GET", "/shared?by=nobody").await.must_be(400);
    ask(&alice, "GET", "/files?scope=all&path=/")
        .await
        .must_be(400);
    ask(&alice, "DELETE", "/files/grants/nonsense?path=/a.txt")
        .await
        .must_be(404);
    // Another's file cannot be told from none.
    let theirs = id(&alice, "/a.txt").await;
    let nobodys = "01890000-0000-7000-8000-000000000000";
    let bob = world.bob();
    for method in ["GET", "DELETE"] {
        let [there, missing] = [theirs.as_str(), nobodys].map(|id| format!("/files/{id}/grants"));
        let there = ask(&bob, method, &there).await.must_be(404);
        let missing = ask(&bob, method, &missing).await.must_be(404);
        assert_eq!(there.body, missing.body);
    }
}

/// "Ownership is offered to another user (the same answer for every name typed) and moves with
/// versions and quota in one transaction when they accept; lack of room is told to them alone; the
/// former owner keeps read-write unless declined."
#[tokio::test]
async fn d4_what_is_offered_and_accepted_is_anothers() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let carol = world.add_user("carol", Some(10)).await;
    let carol = world.as_user(&carol);
    store(&alice, "/in/Plans/goals.txt", "what we want")
        .await
        .must_be(201);
    grant(&alice, "/in/Plans", "carol", "read").await;
    let folder = id(&alice, "/in/Plans").await;
    let offer = async |to: &str| {
        let address = format!("/files/{folder}/transfer");
        let made = send(&alice, "POST", &address, json!({ "to": to })).await;
        made.must_be(202).json()
    };
    let mut told = BTreeSet::new();
    for to in ["bob", "nobody", "carol"] {
        let mut offered = offer(to).await;
        for field in ["id", "to", "created_at"] {
            offered[field] = Value::Null;
        }
        told.insert(offered.to_string());
    }
    assert_eq!(told.len(), 1, "{told:?}");
    let incoming = async |who: &Dav| {
        let list = ask(who, "GET", "/transfers").await.must_be(200).json();
        let of_me = |one: &&Value| one["direction"] == "incoming";
        items(&list).iter().find(of_me).cloned()
    };
    let outgoing = ask(&alice, "GET", "/transfers").await.must_be(200).json();
    assert_eq!(all(&outgoing, "to"), ["bob", "nobody", "carol"]);
    let to_carol = incoming(&carol).await.expect("an offer");
    assert_eq!(
        (&to_carol["from"], &to_carol["name"]),
        (&json!("alice"), &json!("Plans"))
    );
    let accept = |one: &Value| format!("/transfers/{}/accept", one["id"].as_str().unwrap());
    let full = ask(&carol, "POST", &accept(&to_carol)).await.must_be(507);
    assert_eq!(full.json()["code"], "quota_exceeded");
    assert_eq!(incoming(&carol).await, Some(to_carol.clone()));
    let again = ask(&alice, "GET", "/transfers").await.must_be(200).json();
    assert_eq!(again, outgoing, "lack of room is told to them alone");

    let to_bob = incoming(&bob).await.expect("an offer");
    ask(&alice, "POST", &accept(&to_bob)).await.must_be(404);
    let accepted = ask(&bob, "POST", &accept(&to_bob))
        .await
        .must_be(200)
        .json();
    assert_eq!(
        (&accepted["path"], &accepted["id"]),
        (&json!("/Plans"), &json!(folder))
    );
    let goals = bob.get("/Plans/goals.txt").await;
    assert_eq!(goals, "what we want");
    alice.get("/in/Plans").await.must_be(404);
    // Nothing is offered any more; who could read still can, the former owner writes.
    assert!(incoming(&carol).await.is_none());
    assert_eq!(
        carol.get("/Shared with me/Plans/goals.txt").await,
        "what we want"
    );
    alice
        .put("/Shared with me/Plans/new.txt", "x")
        .await
        .must_be(201);
    let used = async |who: &Dav| {
        let usage = ask(who, "GET", "/me/usage").await.must_be(200).json();
        usage["used_bytes"].as_u64().unwrap()
    };
    assert_eq!((used(&alice).await, used(&bob).await), (0, 13));
    let grants = ask(&bob, "GET", &by_path("/grants", "/Plans"))
        .await
        .must_be(200)
        .json();
    assert_eq!(all(&grants, "name"), ["carol", "alice"]);
}

/// "The former owner keeps read-write unless declined"; who declines an offer does so unseen.
#[tokio::test]
async fn d4_what_is_declined_is_not_done() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let carol = world.add_user("carol", None).await;
    let carol = world.as_user(&carol);
    let accept = |one: &Value| format!("/transfers/{}/accept", one["id"].as_str().unwrap());
    for (offered, accepted) in [(false, true), (true, false)] {
        store(&alice, "/f.txt", "x").await.must_be(201);
        let body = json!({ "to": "bob@example.org", "keep_access": offered });
        let made = send(&alice, "POST", &by_path("/transfer", "/f.txt"), body).await;
        let made = made.must_be(202).json();
        let answer = json!({ "keep_access": accepted });
        send(&bob, "POST", &accept(&made), answer)
            .await
            .must_be(200);
        alice.get("/Shared with me/f.txt").await.must_be(404);
    }
    assert_eq!(bob.names("/").await, ["f (2).txt", "f.txt"]);
    store(&alice, "/g.txt", "x").await.must_be(201);
    let made = send(
        &alice,
        "POST",
        &by_path("/transfer", "/g.txt"),
        json!({ "to": "bob" }),
    )
    .await;
    let made = made.must_be(202).json();
    let one = format!("/transfers/{}", made["id"].as_str().unwrap());
    ask(&carol, "DELETE", &one).await.must_be(404);
    ask(&bob, "DELETE", &one).await.must_be(204);
    ask(&bob, "POST", &accept(&made)).await.must_be(404);
    let left = ask(&alice, "GET", "/transfers").await.json();
    assert_eq!(all(&left, "id"), [made["id"].as_str().unwrap()]);
    ask(&alice, "DELETE", &one).await.must_be(204);
    ask(&alice, "DELETE", &one).await.must_be(404);
}
