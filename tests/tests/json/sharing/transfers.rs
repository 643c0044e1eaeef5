//! What is given away (D4).

use std::collections::BTreeSet;

use harness::{Dav, World};
use serde_json::{Value, json};

use super::{all, grant, id, items};
use crate::phrase::{ask, by_path, send, store};

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
