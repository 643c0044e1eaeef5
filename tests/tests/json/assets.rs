//! The catalogue of assets.

mod authors;
mod downloads;
mod finding;

use harness::{Answer, Dav, World, noise, sha256_hex};
use serde_json::{Value, json};

use crate::phrase::{ask, send};

/// The smallest image there is, followed by bytes that do not matter.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0pixels";

async fn named(who: &Dav, public_name: &str) {
    let body = json!({ "public_name": public_name });
    send(who, "PUT", "/me/author", body).await.must_be(200);
}

async fn draft(who: &Dav, body: Value) -> String {
    let made = send(who, "POST", "/assets", body).await.must_be(201).json();
    made["id"].as_str().expect("an id").to_owned()
}

async fn put_file(who: &Dav, id: &str, name: &str, content: impl Into<bytes::Bytes>) -> Answer {
    let target = format!("/api/v1/assets/{id}/files/{name}");
    who.request_at("PUT", &target).body(content).send().await
}

async fn add_image(who: &Dav, id: &str, content: &[u8]) -> Answer {
    let target = format!("/api/v1/assets/{id}/images");
    who.request_at("POST", &target)
        .body(content.to_vec())
        .send()
        .await
}

async fn post(who: &Dav, id: &str) -> Answer {
    ask(who, "POST", &format!("/assets/{id}/publish")).await
}

/// An asset of one file, posted.
async fn posted(who: &Dav, body: Value, content: impl Into<bytes::Bytes>) -> String {
    let id = draft(who, body).await;
    put_file(who, &id, "model.bin", content).await.must_be(201);
    post(who, &id).await.must_be(200);
    id
}

async fn show(who: &Dav, id: &str) -> Value {
    ask(who, "GET", &format!("/assets/{id}"))
        .await
        .must_be(200)
        .json()
}

/// Where a link of an answer leads, for somebody without an account.
async fn follow(world: &World, url: &Value) -> Answer {
    let url = url.as_str().expect("a link");
    world.anonymous().request_at("GET", url).send().await
}

async fn used(who: &Dav) -> Value {
    let usage = ask(who, "GET", "/me/usage").await.must_be(200).json();
    assert_eq!(usage["used_bytes"], usage["asset_bytes"]);
    usage["used_bytes"].clone()
}

async fn assert_sound(world: &World) {
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

/// "Publish an asset: …; drafts are seen by their authors only."
#[tokio::test]
async fn c1_an_asset_is_published_with_all_that_belongs_to_it() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    let body = json!({
        "name": "Wooden chair",
        "description": "Oak, four legs.",
        "kind": "3d",
        "engine_versions": [">=4.2, <5.1", "5.3"],
        "tags": ["Furniture", "Low Poly"],
    });
    let refused = send(&alice, "POST", "/assets", body.clone()).await;
    assert_eq!(
        refused.must_be(422).json()["code"],
        "invalid_fields",
        "no public name"
    );
    named(&alice, "Pine Studio").await;
    let made = send(&alice, "POST", "/assets", body).await.must_be(201);
    let (location, id) = (
        made.header("location").to_owned(),
        made.json()["id"].clone(),
    );
    let id = id.as_str().expect("an id");
    assert_eq!(location, format!("/api/v1/assets/{id}"));
    assert_eq!(made.json()["posted_at"], Value::Null);

    let model = noise(100, 5 << 20);
    put_file(&alice, id, "chair.glb", model.clone())
        .await
        .must_be(201);
    put_file(&alice, id, "read%20me.txt", "hello")
        .await
        .must_be(201);
    let image = add_image(&alice, id, PNG).await.must_be(201);
    for stranger in [&anyone, &world.bob()] {
        for path in ["", "/download", "/files/chair.glb"] {
            ask(stranger, "GET", &format!("/assets/{id}{path}"))
                .await
                .must_be(404);
        }
        let hidden = stranger
            .request_at("GET", image.header("location"))
            .send()
            .await;
        hidden.must_be(404);
    }
    assert_eq!(
        ask(&anyone, "GET", "/assets").await.must_be(200).json()["items"],
        json!([])
    );
    let own = ask(&alice, "GET", "/me/assets").await.must_be(200).json();
    assert_eq!(own["items"][0]["id"], id);

    let asset = post(&alice, id).await.must_be(200).json();
    assert!(asset["posted_at"].is_string());
    assert_eq!(show(&anyone, id).await, asset);
    for (field, expected) in [
        ("authors", json!(["Pine Studio"])),
        ("name", json!("Wooden chair")),
        ("description", json!("Oak, four legs.")),
        ("kind", json!("3d")),
        ("engine_versions", json!([">=4.2, <5.1", "5.3"])),
        ("tags", json!(["furniture", "low-poly"])),
        ("size_bytes", json!(model.len() + 5)),
        ("downloads", json!(0)),
    ] {
        assert_eq!(asset[field], expected, "{field}");
    }
    assert_eq!(asset["files"][0]["sha256"], sha256_hex(&model).as_str());
    assert!(follow(&world, &asset["files"][0]["url"]).await == model);
    assert_eq!(
        follow(&world, &asset["files"][1]["url"])
            .await
            .must_be(200)
            .text(),
        "hello"
    );
    let shown = follow(&world, &asset["images"][0]["url"])
        .await
        .must_be(200);
    assert_eq!(shown.header("content-type"), "image/png");
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    assert!(
        shown
            .header("content-security-policy")
            .starts_with("sandbox")
    );
    assert_eq!(asset["images"][0]["width"], 3);
    assert!(shown == PNG.to_vec());
    assert_eq!(used(&alice).await, model.len() + 5 + PNG.len());
    assert_sound(&world).await;
}

#[tokio::test]
async fn c1_an_author_goes_by_a_name_that_tells_nothing_of_the_account() {
    let world = World::start().await;
    let alice = world.alice();
    let name = |public_name: &str| json!({ "public_name": public_name });
    for own in ["alice", "ALICE", "alice@example.org"] {
        let refused = send(&alice, "PUT", "/me/author", name(own))
            .await
            .must_be(422)
            .json();
        assert_eq!(refused["code"], "invalid_fields", "{own}");
    }
    // Whether somebody else is called so is not said.
    named(&alice, "bob").await;
    named(&alice, "nobody").await;
    let taken = send(&world.bob(), "PUT", "/me/author", name("Nobody")).await;
    assert_eq!(taken.must_be(409).json()["code"], "already_exists");
    let shown = ask(&alice, "GET", "/me/author").await.must_be(200).json();
    assert_eq!(shown, name("nobody"));
    let mine = ask(&world.bob(), "GET", "/me/author")
        .await
        .must_be(200)
        .json();
    assert_eq!(mine["public_name"], Value::Null);
    // Nor can the account take the name later.
    let change =
        json!({ "email": "Nobody@example.org", "current_password": World::alice_user().password });
    named(&alice, "nobody@example.org").await;
    let refused = send(&alice, "PATCH", "/me", change)
        .await
        .must_be(422)
        .json();
    assert_eq!(refused["code"], "invalid_fields");
}

#[tokio::test]
async fn c1_what_is_no_asset_is_refused() {
    let world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    for body in [
        json!({ "name": "", "kind": "3d" }),
        json!({ "name": "x", "kind": "4d" }),
        json!({ "name": "x" }),
        json!({ "name": "x", "kind": "2d", "downloads": 7 }),
        json!({ "name": "x", "kind": "2d", "engine_versions": ["five"] }),
        json!({ "name": "x", "kind": "2d", "tags": ["?"] }),
        json!({ "name": "x", "kind": "2d", "description": "x".repeat(65_537) }),
    ] {
        let refused = send(&alice, "POST", "/assets", body.clone())
            .await
            .must_be(422);
        assert_eq!(refused.json()["code"], "invalid_fields", "{body}");
    }
    let id = draft(&alice, json!({ "name": "x", "kind": "2d" })).await;
    assert_eq!(
        post(&alice, &id).await.must_be(422).json()["code"],
        "invalid_fields"
    );
    for wrong in [&b"<svg/>"[..], b"", b"GIF89a"] {
        let refused = add_image(&alice, &id, wrong).await.must_be(422).json();
        assert_eq!(refused["code"], "invalid_fields");
    }
    let long = add_image(&alice, &id, &vec![0; (10 << 20) + 1]).await;
    assert_eq!(long.must_be(422).json()["code"], "limit_exceeded");
    put_file(&alice, &id, &"x".repeat(256), "x")
        .await
        .must_be(422);
    let request = alice.request_at("PUT", &format!("/api/v1/assets/{id}/files/x"));
    let request = request.header(
        "Repr-Digest",
        "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
    );
    let refused = request.body("x").send().await.must_be(400).json();
    assert_eq!(refused["code"], "content_mismatch");
    let dave = world.add_user("dave", Some(1000)).await;
    let dave = world.as_user(&dave);
    named(&dave, "Dave's").await;
    let small = draft(&dave, json!({ "name": "x", "kind": "2d" })).await;
    let refused = put_file(&dave, &small, "x", noise(101, 1001))
        .await
        .must_be(507);
    assert_eq!(refused.json()["code"], "quota_exceeded");
    assert_sound(&world).await;
}

async fn found(world: &World, query: &str) -> Vec<String> {
    let answer = ask(&world.anonymous(), "GET", &format!("/assets{query}")).await;
    let items = answer.must_be(200).json()["items"].clone();
    let items = items.as_array().expect("a list").clone();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}
