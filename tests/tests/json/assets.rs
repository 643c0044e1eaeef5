//! The catalogue of assets.

use std::time::Duration;

use harness::{Answer, Dav, User, World, noise, sha256_hex, until};
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

/// "Search: text over name and description, filters on kind, engine version, tag, author, size,
/// date; sorting by downloads, date, name; paging; no account needed."
#[tokio::test]
async fn c2_assets_are_found_by_words_and_filters_in_order() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    named(&alice, "Pine Studio").await;
    named(&bob, "Böb's Works").await;
    let mut dates = Vec::new();
    for (who, name, description, kind, engine, tags, size) in [
        (
            &alice,
            "Chair",
            "made of oak",
            "3d",
            "4.2",
            json!(["wood", "seat"]),
            10,
        ),
        (
            &alice,
            "armchair",
            "leather",
            "3d",
            ">=5",
            json!(["seat"]),
            30,
        ),
        (
            &bob,
            "Oak tiles",
            "seamless, für Böden",
            "2d",
            "*",
            json!(["wood"]),
            20,
        ),
    ] {
        let body = json!({
            "name": name, "description": description, "kind": kind,
            "engine_versions": [engine], "tags": tags,
        });
        let id = posted(who, body, vec![b'x'; size]).await;
        dates.push(
            show(who, &id).await["posted_at"]
                .as_str()
                .expect("a date")
                .to_owned(),
        );
    }
    for (query, expected) in [
        ("", &["Oak tiles", "armchair", "Chair"][..]),
        ("?q=oak", &["Oak tiles", "Chair"]),
        ("?q=OAK&sort=name", &["Chair", "Oak tiles"]),
        ("?q=oak+cha", &["Chair"]),
        ("?q=boden", &["Oak tiles"]),
        ("?q=nothing", &[]),
        ("?kind=3d&sort=name", &["armchair", "Chair"]),
        ("?engine_version=5.3", &["Oak tiles", "armchair"]),
        ("?tag=wood&tag=seat", &["Chair"]),
        ("?author=B%C3%B6b%27s%20works", &["Oak tiles"]),
        ("?min_bytes=11&max_bytes=20", &["Oak tiles"]),
        ("?sort=date&order=asc", &["Chair", "armchair", "Oak tiles"]),
        ("?sort=name&order=desc", &["Oak tiles", "Chair", "armchair"]),
    ] {
        assert_eq!(found(&world, query).await, expected, "{query}");
    }
    let after = format!("?posted_after={}&posted_before={}", dates[1], dates[2]);
    assert_eq!(found(&world, &after).await, ["armchair"]);

    let mut parts = Vec::new();
    let mut query = "?sort=name&limit=1".to_owned();
    loop {
        let part = ask(&world.anonymous(), "GET", &format!("/assets{query}")).await;
        let part = part.must_be(200).json();
        parts.push(part["items"][0]["name"].clone());
        let Some(next) = part["next_cursor"].as_str() else {
            break;
        };
        query = format!("?sort=name&limit=1&cursor={next}");
        let other = format!("/assets?sort=date&cursor={next}");
        let other = ask(&world.anonymous(), "GET", &other).await;
        assert_eq!(other.must_be(400).json()["code"], "invalid_query");
    }
    assert_eq!(parts, ["armchair", "Chair", "Oak tiles"]);
    for (query, status, code) in [
        ("?q=!", 422, "invalid_fields"),
        ("?kind=4d", 422, "invalid_fields"),
        ("?engine_version=x", 422, "invalid_fields"),
        ("?sort=size", 400, "invalid_query"),
        ("?order=up", 400, "invalid_query"),
        ("?min_bytes=-1", 400, "invalid_query"),
        ("?posted_after=today", 400, "invalid_query"),
        ("?limit=0", 400, "invalid_query"),
        ("?q=a&q=b", 400, "invalid_query"),
        ("?colour=red", 400, "invalid_query"),
        ("?cursor=AAAA", 400, "invalid_query"),
    ] {
        let refused = ask(&world.anonymous(), "GET", &format!("/assets{query}")).await;
        assert_eq!(refused.must_be(status).json()["code"], code, "{query}");
    }
}

/// Show 7: however much there is, a search takes the same statements.
#[tokio::test]
async fn c2_a_search_takes_as_many_statements_in_a_large_catalogue_as_in_a_small_one() {
    let world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    let add = async |count: usize| {
        for number in 0..count {
            let body = json!({ "name": format!("Chair {number}"), "kind": "3d", "tags": ["wood"] });
            posted(&alice, body, "x").await;
        }
    };
    let query = "/assets?q=cha&kind=3d&engine_version=5&tag=wood&author=pine+studio&sort=downloads";
    add(2).await;
    ask(&world.anonymous(), "GET", query).await.must_be(200);
    add(40).await;
    let many = ask(&world.anonymous(), "GET", query)
        .await
        .must_be(200)
        .json();
    assert_eq!(many["items"].as_array().map(Vec::len), Some(42));
    until(
        "both searches are logged",
        Duration::from_secs(10),
        || async { searches(&world).len() == 2 },
    )
    .await;
    let statements = searches(&world);
    assert_eq!(statements[0], statements[1]);
    assert!(statements[0] <= 8, "{statements:?}");
}

fn searches(world: &World) -> Vec<u64> {
    let requests = world.requests().into_iter();
    let searches = requests.filter(|one| one.method == "GET" && one.route == "/api/v1/assets");
    searches.map(|one| one.statements).collect()
}

async fn until_downloads(world: &World, id: &str, expected: u64) {
    until(
        "the downloads are counted",
        Duration::from_secs(20),
        || async { show(&world.anonymous(), id).await["downloads"] == expected },
    )
    .await;
}

/// "Anyone downloads an asset without an account; downloads are counted."
#[tokio::test]
async fn c3_each_download_that_came_to_its_end_counts_once() {
    let mut world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    let content = noise(102, 40 << 20);
    let id = posted(
        &alice,
        json!({ "name": "Chair", "kind": "3d" }),
        content.clone(),
    )
    .await;
    let target = format!("/api/v1/assets/{id}/download");
    let anyone = world.anonymous();
    let got = anyone.request_at("GET", &target).send().await.must_be(200);
    assert!(got.header("content-disposition").contains("model.bin"));
    assert!(got == content);
    // None of these is a whole download, or comes to the last byte.
    anyone.request_at("HEAD", &target).send().await.must_be(200);
    let known = anyone
        .request_at("GET", &target)
        .header("If-None-Match", &got.etag());
    known.send().await.must_be(304);
    let first = anyone
        .request_at("GET", &target)
        .header("Range", "bytes=0-99");
    first.send().await.must_be(206);
    for _ in 0..3 {
        // Far more than what lies between us can hold.
        let mut broken = anyone.request_at("GET", &target).stream().await;
        assert!(broken.chunk().await.expect("bytes come").is_some());
        drop(broken);
    }
    let refused = anyone
        .request_at("GET", &target)
        .header("Range", "bytes=99999999-");
    assert_eq!(
        refused.send().await.must_be(416).json()["code"],
        "range_not_satisfiable"
    );
    // The rest of one that was begun is one.
    let rest = anyone
        .request_at("GET", &target)
        .header("Range", "bytes=1000000-");
    rest.send().await.must_be(206);
    let file = format!("/api/v1/assets/{id}/files/model.bin");
    anyone.request_at("GET", &file).send().await.must_be(200);
    until_downloads(&world, &id, 3).await;

    let small = posted(&alice, json!({ "name": "Stool", "kind": "3d" }), "stool").await;
    let target = format!("/api/v1/assets/{small}/download");
    let downloads = (0..100).map(|_| async {
        anyone.request_at("GET", &target).send().await.must_be(200);
    });
    futures_util::future::join_all(downloads).await;
    // Stopped in good order, none is forgotten.
    world.restart().await;
    assert_eq!(show(&world.anonymous(), &small).await["downloads"], 100);
    assert_eq!(show(&world.anonymous(), &id).await["downloads"], 3);
    assert_eq!(found(&world, "?sort=downloads").await, ["Stool", "Chair"]);
}

#[tokio::test]
async fn c3_several_files_come_as_one_archive() {
    let world = World::start().await;
    let alice = world.alice();
    named(&alice, "Pine Studio").await;
    let id = draft(&alice, json!({ "name": "Set", "kind": "2d" })).await;
    ask(&alice, "GET", &format!("/assets/{id}/download"))
        .await
        .must_be(404);
    let large = noise(103, 6 << 20);
    put_file(&alice, &id, "a.txt", "one").await.must_be(201);
    put_file(&alice, &id, "b.bin", large.clone())
        .await
        .must_be(201);
    put_file(&alice, &id, "empty", "").await.must_be(201);
    post(&alice, &id).await.must_be(200);
    let target = format!("/api/v1/assets/{id}/download");
    let answer = world
        .anonymous()
        .request_at("GET", &target)
        .send()
        .await
        .must_be(200);
    assert_eq!(answer.header("content-type"), "application/zip");
    assert!(answer.header("content-disposition").contains("Set.zip"));
    let file = world.scratch().join("set.zip");
    std::fs::write(&file, &answer.body).expect("our own folder can be written");
    let listed = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-t"])
        .arg(&file)
        .output()
        .expect("python is there");
    assert!(listed.status.success(), "{listed:?}");
    let unpacked = world.scratch().join("set");
    let unpack = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&file, &unpacked])
        .status();
    assert!(unpack.expect("python is there").success());
    assert_eq!(
        std::fs::read(unpacked.join("b.bin")).expect("it is there"),
        large
    );
    assert_eq!(
        std::fs::read(unpacked.join("a.txt")).expect("it is there"),
        b"one"
    );
    assert_eq!(
        std::fs::read(unpacked.join("empty")).expect("it is there"),
        b""
    );
    until_downloads(&world, &id, 1).await;
}

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
