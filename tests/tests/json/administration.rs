//! What administrators do, and nobody else.

use harness::World;
use serde_json::json;

use crate::phrase::{ask, basic, bearer, login, send, tokens};

#[tokio::test]
async fn administrators_see_and_change_accounts() {
    let world = World::start().await;
    let (root, alice) = (world.as_user(&World::admin_user()), world.alice());
    let first = ask(&root, "GET", "/users?limit=2")
        .await
        .must_be(200)
        .json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = ask(&root, "GET", &format!("/users?limit=2&cursor={cursor}")).await;
    let rest = rest.must_be(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert!(rest["next_cursor"].is_null());

    let me = ask(&alice, "GET", "/me").await.must_be(200).json();
    let path = format!("/users/{}", me["id"].as_str().unwrap());
    assert_eq!(ask(&root, "GET", &path).await.must_be(200).json(), me);
    let changed = send(&root, "PATCH", &path, json!({ "quota_bytes": 4 })).await;
    assert_eq!(changed.must_be(200).json()["usage"]["limit_bytes"], 4);
    alice.put("/a.txt", "12345").await.must_be(507);
    alice.put("/a.txt", "1234").await.must_be(201);

    ask(&root, "DELETE", &path).await.must_be(204);
    alice.get("/a.txt").await.must_be(401);
    ask(&root, "GET", &path).await.must_be(404);
}

/// "A user can neither see what others store nor learn who the others are."
#[tokio::test]
async fn a6_users_administer_nobody() {
    let world = World::start().await;
    let bob = world.bob();
    let id = ask(&world.alice(), "GET", "/me").await.must_be(200).json()["id"].clone();
    let alice = format!("/users/{}", id.as_str().unwrap());
    let nobody = "/users/01890000-0000-7000-8000-000000000000";
    for (method, body) in [("GET", json!({})), ("PATCH", json!({ "quota_bytes": 1 }))] {
        let there = send(&bob, method, &alice, body.clone()).await.must_be(404);
        let missing = send(&bob, method, nobody, body).await.must_be(404);
        assert_eq!(there.body, missing.body);
    }
    ask(&bob, "DELETE", &alice).await.must_be(404);
    ask(&bob, "GET", "/users").await.must_be_one_of(&[403, 404]);
    ask(&world.alice(), "GET", "/me").await.must_be(200);
    ask(&world.anonymous(), "GET", "/users").await.must_be(401);
}

/// What proves who somebody is takes more than a session that may have been stolen.
#[tokio::test]
async fn administrators_change_their_own_password_as_everybody_does() {
    let world = World::start().await;
    let admin = World::admin_user();
    let root = world.as_user(&admin);
    let me = ask(&root, "GET", "/me").await.must_be(200).json();
    let path = format!("/users/{}", me["id"].as_str().unwrap());
    for change in [
        json!({ "password": "a new password" }),
        json!({ "email": "thief@example.org" }),
        json!({ "email": null }),
    ] {
        send(&root, "PATCH", &path, change).await.must_be(422);
    }
    assert_eq!(ask(&root, "GET", "/me").await.must_be(200).json(), me);
    let proven = json!({ "current_password": admin.password, "password": "a new password" });
    send(&root, "PATCH", "/me", proven).await.must_be(200);
}

#[tokio::test]
async fn a_path_that_is_no_text_names_nothing() {
    let world = World::start().await;
    let root = world.as_user(&World::admin_user());
    for path in ["/users/%FF", "/me/logins/%FF", "/me/app-passwords/%C3"] {
        let answer = ask(&root, "DELETE", path).await.must_be(404);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["code"], "not_found");
    }
}

/// P6: "the next request sees it".
#[tokio::test]
async fn a_disabled_account_is_out_at_once() {
    let world = World::start().await;
    let (root, anyone) = (world.as_user(&World::admin_user()), world.anonymous());
    let alice = World::alice_user();
    let token = bearer(&anyone, &tokens(&anyone, &alice).await);
    let drive = world.alice();
    drive.propfind("/", "0").await.must_be(207);
    let me = ask(&token, "GET", "/me").await.must_be(200).json();
    let path = format!("/users/{}", me["id"].as_str().unwrap());

    send(&root, "PATCH", &path, json!({ "disabled": true }))
        .await
        .must_be(200);
    ask(&token, "GET", "/me").await.must_be(401);
    drive.propfind("/", "0").await.must_be(401);
    login(&anyone, "alice", &alice.password).await.must_be(401);
    send(&root, "PATCH", &path, json!({ "disabled": false }))
        .await
        .must_be(200);
    drive.propfind("/", "0").await.must_be(207);
    ask(&token, "GET", "/me").await.must_be(401);
}

/// "The last administrator cannot be removed."
#[tokio::test]
async fn a10_the_last_administrator_stays() {
    let world = World::start().await;
    let admin = World::admin_user();
    let root = world.as_user(&admin);
    let me = ask(&root, "GET", "/me").await.must_be(200).json();
    assert_eq!(me["access"], "administrator");
    let path = format!("/users/{}", me["id"].as_str().unwrap());
    ask(&root, "DELETE", &path).await.must_be(409);
    send(&root, "PATCH", &path, json!({ "access": "user" }))
        .await
        .must_be(409);
    send(&root, "PATCH", &path, json!({ "disabled": true }))
        .await
        .must_be(409);
    send(
        &root,
        "DELETE",
        "/me",
        json!({ "password": admin.password }),
    )
    .await
    .must_be(409);

    let second = json!({
        "username": "second", "password": "second has a password", "access": "administrator",
    });
    send(&root, "POST", "/users", second).await.must_be(201);
    send(&root, "PATCH", &path, json!({ "access": "user" }))
        .await
        .must_be(200);
    // Rights are those of now.
    ask(&root, "GET", "/users").await.must_be(403);
    let second = basic(&world.anonymous(), "second", "second has a password");
    ask(&second, "GET", "/users").await.must_be(200);
}
