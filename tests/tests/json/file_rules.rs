//! What every door to files asks: whose they are, whether there is room, conditions and locks.

use std::time::Duration;

use harness::{Answer, Dav, World, noise, until};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, by_path, send, store};

/// An id that nobody has.
const NOBODYS: &str = "01890000-0000-7000-8000-000000000000";

fn id(file: &Value) -> String {
    file["id"].as_str().expect("an id").to_owned()
}

/// Everything that can be asked of an id.
async fn all_of(who: &Dav, id: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (method, path) in [
        ("GET", format!("/files/{id}")),
        ("GET", format!("/files?id={id}")),
        ("GET", format!("/files?recursive=true&id={id}")),
        ("GET", format!("/files/{id}/content")),
        ("HEAD", format!("/files/{id}/content")),
        ("GET", format!("/files/{id}/zip")),
        ("DELETE", format!("/files/{id}")),
    ] {
        answers.push(ask(who, method, &path).await);
    }
    for (method, path, body) in [
        ("PATCH", format!("/files/{id}"), json!({ "name": "mine" })),
        ("PATCH", format!("/files/{id}"), json!({ "path": "/mine" })),
        (
            "POST",
            format!("/files/{id}/copy"),
            json!({ "path": "/mine" }),
        ),
    ] {
        answers.push(send(who, method, &path, body).await);
    }
    answers
}

/// "A user can neither see what others store nor learn who the others are" (P2).
#[tokio::test]
async fn a6_the_id_of_anothers_file_is_worth_what_no_id_is() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let file = store(&alice, "/f/a.txt", "secret")
        .await
        .must_be(201)
        .json();
    let list = ask(&alice, "GET", "/files").await.must_be(200).json();
    let folder = id(&list["items"][0]);
    let root = id(&list["folder"]);
    let own = store(&bob, "/b.txt", "b").await.must_be(201).json();
    let nobodys = all_of(&bob, NOBODYS).await;
    assert!(nobodys.iter().all(|answer| answer.status() == 404));
    for other in [id(&file), folder.clone(), root, "no-id".to_owned()] {
        for (answer, expected) in all_of(&bob, &other).await.iter().zip(&nobodys) {
            assert_eq!(answer.status(), 404, "{answer:?}");
            assert_eq!(answer.body, expected.body, "{answer:?}");
        }
    }
    // Nor can anything be put there.
    for parent in [folder.as_str(), NOBODYS, "no-id"] {
        let into = json!({ "parent_id": parent });
        let own = format!("/files/{}", id(&own));
        let moved = send(&bob, "PATCH", &own, into.clone()).await.must_be(409);
        assert_eq!(moved.json()["code"], "parent_missing");
        let copied = send(&bob, "POST", &format!("{own}/copy"), into).await;
        assert_eq!(copied.must_be(409).json()["code"], "parent_missing");
    }
    ask(&bob, "GET", &by_path("", "/f/a.txt"))
        .await
        .must_be(404);
    ask(&bob, "GET", &by_path("/content", "/f/a.txt"))
        .await
        .must_be(404);
    for (method, path) in [
        ("GET", "/files"),
        ("GET", "/files/content?path=/f/a.txt"),
        ("DELETE", "/files?path=/f"),
        ("POST", "/files?dir=/"),
        ("PUT", "/files/content?path=/x"),
        ("GET", "/files/zip?path=/"),
    ] {
        ask(&world.anonymous(), method, path).await.must_be(401);
    }
    assert_eq!(alice.get("/f/a.txt").await, "secret");
    assert_eq!(bob.names("/").await, ["b.txt"]);
}

/// An app password for a folder sees ids only below it, and one for reading changes nothing.
#[tokio::test]
async fn an_app_password_bounds_ids_as_it_bounds_paths() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    let inside = store(&alice, "/scans/in.txt", "in").await.must_be(201);
    let inside = id(&inside.json());
    let outside = store(&alice, "/out.txt", "out").await.must_be(201);
    let outside = id(&outside.json());
    let confined = async |read_only: bool| {
        let new = json!({
            "name": "scanner", "path": "/scans", "read_only": read_only,
            "current_password": World::alice_user().password,
        });
        let made = send(&alice, "POST", "/me/app-passwords", new).await;
        let made = made.must_be(201).json();
        basic(&anyone, "alice", made["password"].as_str().unwrap())
    };
    let scanner = confined(false).await;
    let seen = ask(&scanner, "GET", &format!("/files/{inside}")).await;
    assert_eq!(seen.must_be(200).json()["path"], "/in.txt");
    assert!(
        all_of(&scanner, &outside)
            .await
            .iter()
            .all(|answer| answer.status() == 404)
    );
    let list = ask(&scanner, "GET", "/files?recursive=true").await;
    let list = list.must_be(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["folder"]["path"], "/");

    let reader = confined(true).await;
    let content = ask(&reader, "GET", &format!("/files/{inside}/content")).await;
    assert_eq!(content, "in");
    store(&reader, "/new.txt", "x").await.must_be(403);
    ask(&reader, "DELETE", &format!("/files/{inside}"))
        .await
        .must_be(403);
    let change = json!({ "name": "other" });
    send(&reader, "PATCH", &format!("/files/{inside}"), change)
        .await
        .must_be(403);
}

/// "Never exceeded" (P3); what does not fit leaves nothing, no folder either.
#[tokio::test]
async fn a4_what_does_not_fit_is_507_and_leaves_nothing() {
    let world = World::start().await;
    let carol = world.add_user("carol", Some(100_000)).await;
    let carol = world.as_user(&carol);
    for content in [noise(1, 100_001), noise(2, 3_000_000)] {
        let target = format!("/api/v1{}", by_path("/content", "/a/b/c.bin"));
        for request in [
            carol.request_at("PUT", &target).body(content.clone()),
            carol.request_at("PUT", &target).chunked(content),
        ] {
            let refused = request.send().await.must_be(507);
            assert_eq!(refused.json()["code"], "quota_exceeded");
        }
    }
    assert!(carol.names("/").await.is_empty());
    let reserved = async || {
        let usage = ask(&carol, "GET", "/me/usage").await.must_be(200).json();
        usage["reserved_bytes"].as_u64().unwrap()
    };
    let minute = Duration::from_mins(1);
    until("nothing stays reserved", minute, || async {
        reserved().await == 0
    })
    .await;
    store(&carol, "/a.bin", noise(3, 60_000)).await.must_be(201);
    let copy = by_path("/copy", "/a.bin");
    let copied = send(&carol, "POST", &copy, json!({ "name": "b.bin" })).await;
    copied.must_be(507);
    // What is replaced makes room.
    store(&carol, "/a.bin", noise(4, 90_000)).await.must_be(200);
    let usage = ask(&carol, "GET", "/me/usage").await.must_be(200).json();
    assert_eq!(usage["used_bytes"], 90_000);
}

/// "`ETag`/`If-Match` on everything mutable."
#[tokio::test]
async fn a_change_that_expects_another_state_is_412() {
    let world = World::start().await;
    let alice = world.alice();
    let old = store(&alice, "/a.txt", "one").await.must_be(201).json();
    let now = store(&alice, "/a.txt", "two").await.must_be(200).json();
    let address = format!("/api/v1/files/{}", id(&now));
    let content = format!("/api/v1{}", by_path("/content", "/a.txt"));
    let (old, etag) = (old["etag"].as_str().unwrap(), now["etag"].as_str().unwrap());
    let requests = |field: &str, value: &str| {
        let change = json!({ "name": "b.txt" });
        let copy = json!({ "name": "c.txt" });
        [
            alice.request_at("PUT", &content).body("three"),
            alice.request_at("PATCH", &address).json(&change),
            alice
                .request_at("POST", &format!("{address}/copy"))
                .json(&copy),
            alice.request_at("DELETE", &address),
        ]
        .map(|request| request.header(field, value))
    };
    for (field, value) in [
        ("If-Match", old),
        ("If-None-Match", "*"),
        ("If-None-Match", etag),
    ] {
        for request in requests(field, value) {
            let refused = request.send().await.must_be(412).json();
            assert_eq!(refused["code"], "precondition_failed");
        }
    }
    assert_eq!(alice.get("/a.txt").await, "two");
    let fresh = alice.request_at("PUT", "/api/v1/files/content?path=/x/new.txt");
    let fresh = fresh.header("If-None-Match", "*").body("new");
    fresh.send().await.must_be(201);
    for (request, status) in requests("If-Match", etag)
        .into_iter()
        .skip(1)
        .zip([200, 201, 200])
    {
        request.send().await.must_be(status);
    }
}

/// "`Repr-Digest`" is compared before anything is changed.
#[tokio::test]
async fn a_content_that_is_not_the_announced_one_is_refused() {
    let world = World::start().await;
    let alice = world.alice();
    // Of no bytes.
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let put = |content: &'static str, field: &str, value: &str| {
        let request = alice.request_at("PUT", "/api/v1/files/content?path=/new/a.txt");
        request.header(field, value).body(content).send()
    };
    let refused = put("x", "Repr-Digest", digest).await.must_be(400);
    assert_eq!(refused.json()["code"], "content_mismatch");
    put("x", "Repr-Digest", "sha-256=:AAAA:").await.must_be(400);
    put("x", "Content-Encoding", "gzip").await.must_be(415);
    put("x", "Content-Range", "bytes 0-0/2").await.must_be(400);
    assert!(alice.names("/").await.is_empty());
    put("", "Repr-Digest", digest).await.must_be(201);
}

/// P4: "whichever door the request came through".
#[tokio::test]
async fn a_webdav_lock_holds_here_too() {
    let world = World::start().await;
    let alice = world.alice();
    let file = store(&alice, "/d/a.txt", "one").await.must_be(201).json();
    let locked = alice.lock("/d/a.txt").await.must_be(200);
    let token = locked.header("lock-token").to_owned();
    let address = format!("/api/v1/files/{}", id(&file));
    let requests = || {
        [
            alice
                .request_at("PUT", "/api/v1/files/content?path=/d/a.txt")
                .body("two"),
            alice
                .request_at("PATCH", &address)
                .json(&json!({ "modified_at": "2020-01-01T00:00:00Z" })),
            alice.request_at("DELETE", &address),
        ]
    };
    for request in requests() {
        let refused = request.send().await.must_be(423);
        assert_eq!(refused.json()["code"], "locked");
    }
    ask(&alice, "DELETE", &by_path("", "/d")).await.must_be(423);
    for request in requests() {
        let holding = request.header("If", &format!("({token})"));
        holding.send().await.must_be(200);
    }
    // The lock of a folder is on what comes into it, on the way to a file as well.
    let locked = alice.lock("/d").await.must_be(200);
    store(&alice, "/d/new/b.txt", "x").await.must_be(423);
    send(
        &alice,
        "POST",
        "/dirs",
        json!({ "path": "/d/new/c", "parents": true }),
    )
    .await
    .must_be(423);
    let target = format!("/api/v1{}", by_path("/content", "/d/new/b.txt"));
    let holding = alice.request_at("PUT", &target).body("x");
    let token = format!("</dav/d> ({})", locked.header("lock-token"));
    holding.header("If", &token).send().await.must_be(201);
}

#[tokio::test]
async fn what_is_malformed_is_told_by_its_name() {
    let world = World::start().await;
    let alice = world.alice();
    let file = store(&alice, "/a.txt", "one").await.must_be(201).json();
    let address = format!("/files/{}", id(&file));
    for (query, status, code) in [
        ("?path=/&limit=x", 400, "invalid_query"),
        ("?path=/&recursive=perhaps", 400, "invalid_query"),
        ("?path=/&cursor=%25", 400, "invalid_query"),
        ("?path=/&cursor=Li4", 400, "invalid_query"),
        ("?path=/&offset=1", 400, "invalid_query"),
        ("?path=/a/../b", 422, "invalid_name"),
        ("?path=/a%00b", 422, "invalid_name"),
        ("?path=/none", 404, "not_found"),
        ("?path=/a.txt/b", 404, "not_found"),
    ] {
        let answer = ask(&alice, "GET", &format!("/files{query}")).await;
        let answer = answer.must_be(status).json();
        assert_eq!(answer["code"], code, "{query}");
    }
    for (change, status) in [
        (json!({ "owner": "bob" }), 422),
        (json!({ "name": "a/b" }), 422),
        (json!({ "name": "" }), 422),
        (json!({ "name": "b", "path": "/b" }), 422),
        (json!({ "modified_at": "yesterday" }), 422),
        (json!({ "modified_at": "9999-01-01T00:00:00Z" }), 422),
    ] {
        let refused = send(&alice, "PATCH", &address, change).await;
        refused.must_be(status);
    }
    let both = ask(&alice, "GET", &format!("/files?path=/&id={}", id(&file))).await;
    both.must_be(400);
    ask(&alice, "PUT", "/files/content").await.must_be(400);
    ask(&alice, "DELETE", "/files").await.must_be(400);
    for (limit, status) in [(0, 400), (1, 200), (1000, 200), (1001, 400)] {
        let query = format!("/files?limit={limit}");
        ask(&alice, "GET", &query).await.must_be(status);
    }
}
