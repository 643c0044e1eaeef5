//! Links as their owner has them, and nobody else.

use std::collections::BTreeSet;

use harness::World;
use serde_json::{Value, json};

use super::{get, link_path, make};
use crate::phrase::{ask, basic, send, store};
use crate::things::text;

#[tokio::test]
async fn d8_an_owner_lists_links_in_parts_and_by_file() {
    let world = World::start().await;
    let alice = world.alice();
    store(&alice, "/a.txt", "one").await.must_be(201);
    store(&alice, "/b.txt", "two").await.must_be(201);
    let (first, _) = make(&alice, json!({ "path": "/a.txt" })).await;
    let file_id = first["file_id"].as_str().unwrap();
    let (second, _) = make(&alice, json!({ "file_id": file_id, "label": "second" })).await;
    let (third, _) = make(&alice, json!({ "path": "/b.txt" })).await;

    let part = ask(&alice, "GET", "/links?limit=2")
        .await
        .must_be(200)
        .json();
    // Those made within one millisecond stand in any order.
    let ids = |list: &Value| -> BTreeSet<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].to_string()).collect()
    };
    let of_all = |links: &[&Value]| -> BTreeSet<String> {
        links.iter().map(|link| link["id"].to_string()).collect()
    };
    assert_eq!(ids(&part).len(), 2);
    let cursor = part["next_cursor"].as_str().unwrap();
    let rest = ask(&alice, "GET", &format!("/links?cursor={cursor}")).await;
    let rest = rest.must_be(200).json();
    assert!(rest["next_cursor"].is_null());
    let all = &ids(&part) | &ids(&rest);
    assert_eq!(all, of_all(&[&first, &second, &third]));
    for of in [format!("file_id={file_id}"), "path=/a.txt".to_owned()] {
        let of = ask(&alice, "GET", &format!("/links?{of}"))
            .await
            .must_be(200)
            .json();
        assert_eq!(ids(&of), of_all(&[&first, &second]));
        let text = of.to_string();
        assert!(!text.contains("token") && !text.contains("url"), "{text}");
    }
}

#[tokio::test]
async fn d8_nobody_but_the_owner_in_person_has_to_do_with_a_link() {
    let world = World::start().await;
    let (alice, bob, anyone) = (world.alice(), world.bob(), world.anonymous());
    store(&alice, "/a.txt", "one").await.must_be(201);
    let (first, _) = make(&alice, json!({ "path": "/a.txt" })).await;
    let file_id = text(&first["file_id"]);
    // Others do not learn that there is such a link, or such a file.
    let missing = "/links/01890000-0000-7000-8000-000000000000";
    for (method, body) in [
        ("GET", json!({})),
        ("PATCH", json!({ "label": "x" })),
        ("DELETE", json!({})),
    ] {
        let there = send(&bob, method, &link_path(&first), body.clone()).await;
        let nothing = send(&bob, method, missing, body).await.must_be(404);
        assert_eq!(there.must_be(404).body, nothing.body);
    }
    send(&bob, "POST", "/links", json!({ "file_id": file_id }))
        .await
        .must_be(404);
    ask(&bob, "GET", &format!("/links?file_id={file_id}"))
        .await
        .must_be(404);
    let of_bob = ask(&bob, "GET", "/links").await.must_be(200).json();
    assert_eq!(of_bob["items"], json!([]));
    ask(&anyone, "GET", "/links").await.must_be(401);
    // Nor does an app password make one that outlives it.
    let new = json!({ "name": "tool", "current_password": World::alice_user().password });
    let tool = send(&alice, "POST", "/me/app-passwords", new)
        .await
        .must_be(201)
        .json();
    let tool = basic(&anyone, "alice", tool["password"].as_str().unwrap());
    send(&tool, "POST", "/links", json!({ "path": "/a.txt" }))
        .await
        .must_be(403);
}

#[tokio::test]
async fn d8_what_cannot_be_a_link_is_refused() {
    let world = World::start().await;
    let alice = world.alice();
    store(&alice, "/a.txt", "one").await.must_be(201);
    for (new, status, code) in [
        (json!({}), 422, "invalid_fields"),
        (json!({ "path": "/" }), 422, "invalid_fields"),
        (json!({ "path": "/none" }), 404, "not_found"),
        (
            json!({ "path": "/a.txt", "kind": "write" }),
            422,
            "invalid_fields",
        ),
        (
            json!({ "path": "/a.txt", "kind": "upload" }),
            409,
            "not_folder",
        ),
        (
            json!({ "path": "/a.txt", "downloads_most": 0 }),
            422,
            "invalid_fields",
        ),
        (
            json!({ "path": "/a.txt", "expires_at": "2020-01-01T00:00:00Z" }),
            422,
            "invalid_fields",
        ),
        (
            json!({ "path": "/a.txt", "password": "12345" }),
            422,
            "invalid_fields",
        ),
        (
            json!({ "path": "/a.txt", "token": "mine" }),
            422,
            "invalid_fields",
        ),
    ] {
        let refused = send(&alice, "POST", "/links", new.clone())
            .await
            .must_be(status);
        assert_eq!(refused.json()["code"], code, "{new}");
    }
}

#[tokio::test]
async fn d8_a_changed_or_revoked_link_is_so_at_once() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    store(&alice, "/a.txt", "one").await.must_be(201);
    let (first, url) = make(&alice, json!({ "path": "/a.txt" })).await;
    let change = json!({ "label": "new", "downloads_most": 5, "password": "a password" });
    let changed = send(&alice, "PATCH", &link_path(&first), change)
        .await
        .must_be(200)
        .json();
    assert_eq!(
        (&changed["label"], &changed["downloads_most"]),
        (&json!("new"), &json!(5))
    );
    assert_eq!(changed["has_password"], true);
    get(&anyone, &url).await.must_be(401);
    let change = json!({ "downloads_most": null, "password": null });
    let changed = send(&alice, "PATCH", &link_path(&first), change)
        .await
        .must_be(200)
        .json();
    assert_eq!(
        (&changed["downloads_most"], &changed["has_password"]),
        (&Value::Null, &json!(false))
    );
    get(&anyone, &url).await.must_be(200);

    ask(&alice, "DELETE", &link_path(&first)).await.must_be(204);
    get(&anyone, &url).await.must_be(404);
    ask(&alice, "DELETE", &link_path(&first)).await.must_be(404);

    let root = world.as_user(&World::admin_user());
    for action in ["link.add", "link.change", "link.revoke"] {
        let lines = ask(&root, "GET", &format!("/admin/audit?action={action}")).await;
        let lines = lines.must_be(200).json();
        let subjects: Vec<&Value> = lines["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| &line["subject"])
            .collect();
        assert!(subjects.contains(&&first["id"]), "{lines}");
        assert!(!lines.to_string().contains("a.txt"), "{lines}");
    }
}
