//! What shares do not tell, and do not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::{Answer, World, until};
use serde_json::json;

use super::{SHARED, all, file, grant, id, items};
use crate::phrase::{ask, basic, bearer, by_path, send, store, tokens};

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
