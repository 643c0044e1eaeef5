//! Finding files and folders by name.

use std::time::Duration;

use harness::{Dav, World, encode_path, sha256_hex, until};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, send};

async fn search(who: &Dav, text: &str) -> Vec<Value> {
    let path = format!("/search?q={}", encode_path(text));
    let found = ask(who, "GET", &path).await.must_be(200).json();
    assert!(found["next_cursor"].is_null(), "{found}");
    found["items"].as_array().expect("a list").clone()
}

async fn paths(who: &Dav, text: &str) -> Vec<String> {
    let found = search(who, text).await;
    let path = |hit: &Value| hit["path"].as_str().expect("a path").to_owned();
    found.iter().map(path).collect()
}

/// "GET /search: own files by name."
#[tokio::test]
async fn names_are_found_wherever_they_are_and_however_they_are_written() {
    let world = World::start().await;
    let alice = world.alice();
    for folder in ["/Plans", "/Plans/2026"] {
        alice.mkcol(folder).await.must_be(201);
    }
    let name = "/Plans/2026/U\u{308}bersicht.txt";
    alice.put(name, "what is to come").await.must_be(201);
    alice.put("/plan%.txt", "a").await.must_be(201);

    let found = search(&alice, "\u{dc}BERSICHT").await;
    let [hit] = found.as_slice() else {
        panic!("{found:?}")
    };
    let head = alice.head(name).await.must_be(200);
    assert_eq!(hit["path"], name);
    assert_eq!(hit["name"], "U\u{308}bersicht.txt");
    assert_eq!(
        (&hit["kind"], &hit["size_bytes"]),
        (&json!("file"), &json!(15))
    );
    assert_eq!(hit["sha256"], sha256_hex(b"what is to come"));
    assert_eq!(hit["etag"], head.etag());
    assert!(hit["created_at"].is_string() && hit["modified_at"].is_string());

    assert_eq!(paths(&alice, "pLAN").await, ["/plan%.txt", "/Plans"]);
    assert_eq!(search(&alice, "plans").await[0]["kind"], "folder");
    assert_eq!(paths(&alice, "%").await, ["/plan%.txt"]);
    assert!(paths(&alice, "2027").await.is_empty());
    // What is gone is not found any more.
    alice.rename("/Plans", "/Done").await.must_be(201);
    assert_eq!(
        paths(&alice, "bersicht").await,
        [name.replace("Plans", "Done")]
    );
    alice.delete("/Done").await.must_be(204);
    assert!(paths(&alice, "bersicht").await.is_empty());
}

/// P2: what belongs to others does not exist.
#[tokio::test]
async fn a6_nobody_finds_what_belongs_to_others() {
    let world = World::start().await;
    let before = ask(&world.bob(), "GET", "/search?q=secret")
        .await
        .must_be(200);
    world.alice().put("/secret.txt", "a").await.must_be(201);
    let after = ask(&world.bob(), "GET", "/search?q=secret")
        .await
        .must_be(200);
    assert_eq!(before.body, after.body);
    assert_eq!(paths(&world.alice(), "secret").await, ["/secret.txt"]);
}

#[tokio::test]
async fn an_app_password_finds_what_is_in_its_folder() {
    let world = World::start().await;
    let alice = world.alice();
    for folder in ["/scans", "/scans/old"] {
        alice.mkcol(folder).await.must_be(201);
    }
    for file in ["/note.txt", "/scans/old/Note.txt"] {
        alice.put(file, "a").await.must_be(201);
    }
    let mut new = json!({ "name": "scanner", "path": "/scans", "read_only": true });
    new["current_password"] = json!(World::alice_user().password);
    let made = send(&alice, "POST", "/me/app-passwords", new).await;
    let secret = made.must_be(201).json()["password"].clone();
    let scanner = basic(&world.anonymous(), "alice", secret.as_str().unwrap());
    assert_eq!(paths(&scanner, "note").await, ["/old/Note.txt"]);
    assert!(paths(&scanner, "scans").await.is_empty());
    alice.delete("/scans").await.must_be(204);
    ask(&scanner, "GET", "/search?q=note").await.must_be(401);
}

#[tokio::test]
async fn a_long_list_comes_in_parts_at_the_same_cost_for_each() {
    let world = World::start().await;
    let alice = world.alice();
    for number in 0..7 {
        let folder = format!("/folder {number}");
        alice.mkcol(&folder).await.must_be(201);
        alice.put(&format!("{folder}/Same"), "a").await.must_be(201);
    }
    let whole = paths(&alice, "same").await;
    assert_eq!(whole.len(), 7);
    let (mut parts, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/search?q=same&limit=3{cursor}");
        let part = ask(&alice, "GET", &path).await.must_be(200).json();
        for hit in part["items"].as_array().unwrap() {
            parts.push(hit["path"].as_str().unwrap().to_owned());
        }
        match part["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(parts, whole);
    let searches = || {
        let requests = world.requests().into_iter();
        let searches = requests.filter(|request| request.route == "/api/v1/search");
        searches
            .map(|request| request.statements)
            .collect::<Vec<_>>()
    };
    until("all are in the log", Duration::from_secs(10), || async {
        searches().len() == 4
    })
    .await;
    let counts = searches();
    assert!(counts.iter().all(|count| *count == counts[1]), "{counts:?}");
    assert!(counts[1] <= 2, "{counts:?}");
}

#[tokio::test]
async fn questions_that_cannot_be_answered_say_why() {
    let world = World::start().await;
    let alice = world.alice();
    let long = format!("q={}", "x".repeat(256));
    for (query, status) in [
        ("", 400),
        ("limit=1", 400),
        ("q=", 422),
        (&*long, 422),
        ("q=a&cursor=AAAA", 400),
        ("q=a&cursor=!", 400),
        ("q=a&limit=-1", 400),
        ("q=a&path=/", 400),
        ("q=a&q=b", 400),
    ] {
        let answer = ask(&alice, "GET", &format!("/search?{query}")).await;
        assert_eq!(
            answer.must_be(status).header("content-type"),
            "application/problem+json"
        );
    }
    ask(&world.anonymous(), "GET", "/search?q=a")
        .await
        .must_be(401);
    ask(&alice, "POST", "/search?q=a").await.must_be(405);
}
