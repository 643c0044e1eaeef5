//! What authors may do, and what becomes of assets without them (C4).

use harness::{Dav, User, World, noise};
use serde_json::json;

use super::{assert_sound, draft, follow, found, named, posted, put_file, show, used};
use crate::phrase::{ask, send};

/// "Only its authors edit or withdraw an asset."
#[tokio::test]
async fn c4_only_authors_edit_or_withdraw() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    named(&alice, "Pine Studio").await;
    named(&bob, "Oak Works").await;
    let id = posted(&alice, json!({ "name": "Chair", "kind": "3d" }), "model").await;
    let hidden = draft(&alice, json!({ "name": "Draft", "kind": "3d" })).await;
    let at = |id: &str, rest: &str| format!("/assets/{id}{rest}");
    for (asset, status) in [(&id, 403), (&hidden, 404)] {
        for (method, rest, body) in [
            ("PATCH", "", json!({ "name": "Mine" })),
            ("POST", "/authors", json!({ "public_name": "Oak Works" })),
        ] {
            send(&bob, method, &at(asset, rest), body.clone())
                .await
                .must_be(status);
            send(&world.anonymous(), method, &at(asset, rest), body)
                .await
                .must_be(401);
        }
        for (method, rest) in [
            ("DELETE", ""),
            ("POST", "/publish"),
            ("PUT", "/files/x"),
            ("POST", "/images"),
            ("DELETE", "/files/model.bin"),
        ] {
            ask(&bob, method, &at(asset, rest)).await.must_be(status);
            ask(&world.anonymous(), method, &at(asset, rest))
                .await
                .must_be(401);
        }
        ask(&bob, "POST", &at(asset, "/authors/accept"))
            .await
            .must_be(404);
        ask(&bob, "DELETE", &at(asset, "/authors/Pine%20Studio"))
            .await
            .must_be(404);
    }

    // The answer is the same whoever is asked.
    for name in ["oak works", "nobody"] {
        let body = json!({ "public_name": name });
        let asked = send(&alice, "POST", &at(&id, "/authors"), body).await;
        assert_eq!(asked.must_be(202).json()["authors"], json!(["Pine Studio"]));
    }
    assert_eq!(
        show(&alice, &id).await["offers"],
        json!(["oak works", "nobody"])
    );
    assert_eq!(show(&bob, &id).await["offers"], json!([]));
    let offers = ask(&bob, "GET", "/me/author/offers")
        .await
        .must_be(200)
        .json();
    assert_eq!(offers["items"][0]["asset_id"], id.as_str());
    let joined = ask(&bob, "POST", &at(&id, "/authors/accept"))
        .await
        .must_be(200);
    assert_eq!(
        joined.json()["authors"],
        json!(["Pine Studio", "Oak Works"])
    );
    ask(&alice, "DELETE", &at(&id, "/authors/nobody"))
        .await
        .must_be(204);

    // Two authors who change it at once: one of them is told.
    let etag = ask(&alice, "GET", &at(&id, "")).await.etag();
    let change = async |who: &Dav, name: &str| {
        let request = who.request_at("PATCH", &format!("/api/v1/assets/{id}"));
        let request = request.header("If-Match", &etag);
        request.json(&json!({ "name": name })).send().await
    };
    change(&bob, "Stool").await.must_be(200);
    assert_eq!(
        change(&alice, "Bench").await.must_be(412).json()["code"],
        "precondition_failed"
    );
    assert_eq!(found(&world, "?q=stool").await, ["Stool"]);
    assert_eq!(found(&world, "?q=chair").await, Vec::<String>::new());
    put_file(&bob, &id, "more.bin", noise(104, 1000))
        .await
        .must_be(201);
    assert_eq!(used(&bob).await, 1000);
    ask(&bob, "DELETE", &at(&id, "/authors/oak%20works"))
        .await
        .must_be(204);
    assert_eq!(
        (used(&bob).await, used(&alice).await),
        (json!(0), json!(1005))
    );
    ask(&bob, "DELETE", &at(&id, "")).await.must_be(403);
    ask(&alice, "DELETE", &at(&id, "")).await.must_be(204);
    ask(&world.anonymous(), "GET", &at(&id, ""))
        .await
        .must_be(404);
    ask(&world.anonymous(), "GET", &at(&id, "/download"))
        .await
        .must_be(404);
    assert_eq!(used(&alice).await, 0);
    assert_sound(&world).await;
}

/// "Delete an account: …; assets of a sole author are withdrawn, others stay with the co-authors."
#[tokio::test]
async fn a11_assets_go_with_their_last_author() {
    let world = World::start().await;
    let carol = world.add_user("carol", None).await;
    let (who, bob) = (world.as_user(&carol), world.bob());
    named(&who, "Pine Studio").await;
    named(&bob, "Oak Works").await;
    let alone = posted(
        &who,
        json!({ "name": "Alone", "kind": "3d" }),
        noise(105, 5000),
    )
    .await;
    let both = posted(
        &who,
        json!({ "name": "Both", "kind": "3d" }),
        noise(106, 7000),
    )
    .await;
    let offer = json!({ "public_name": "Oak Works" });
    send(&who, "POST", &format!("/assets/{both}/authors"), offer)
        .await
        .must_be(202);
    ask(&bob, "POST", &format!("/assets/{both}/authors/accept"))
        .await
        .must_be(200);
    remove(&who, &carol).await;
    ask(&world.anonymous(), "GET", &format!("/assets/{alone}"))
        .await
        .must_be(404);
    let left = show(&world.anonymous(), &both).await;
    assert_eq!(
        (&left["authors"], &left["size_bytes"]),
        (&json!(["Oak Works"]), &json!(7000))
    );
    assert!(follow(&world, &left["download_url"]).await == noise(106, 7000));
    assert_eq!(used(&bob).await, 7000);
    assert_eq!(found(&world, "").await, ["Both"]);
    assert_sound(&world).await;
}

async fn remove(who: &Dav, user: &User) {
    let body = json!({ "password": user.password });
    send(who, "DELETE", "/me", body).await.must_be(204);
}
