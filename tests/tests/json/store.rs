//! Contents published by their hash.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use harness::{Answer, Dav, World, noise, sha256_hex, until};
use serde_json::{Value, json};

use crate::phrase::{ask, send};

async fn publish(who: &Dav, content: impl Into<Bytes>) -> Answer {
    let request = who.request_at("POST", "/api/v1/store");
    request.body(content).send().await
}

fn at(sha256: &str) -> String {
    format!("/store/{sha256}")
}

async fn usage(who: &Dav) -> Value {
    ask(who, "GET", "/me/usage").await.must_be(200).json()
}

/// A form of parts: head and content of each.
async fn publish_form(who: &Dav, parts: &[(&str, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(b"--limit\r\nContent-Disposition: form-data; ");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--limit--\r\n");
    let request = who.request_at("POST", "/api/v1/store");
    let request = request.header("Content-Type", "multipart/form-data; boundary=limit");
    request.body(body).send().await
}

/// Asserts that a content lies in the store as one file that `sha256sum` calls by its own name.
fn assert_is_one_file(world: &World, sha256: &str, size_bytes: usize) {
    let file = world
        .data_dir()
        .join("store")
        .join(&sha256[..2])
        .join(sha256);
    let found = file.metadata().expect("the file is there");
    assert_eq!(found.len(), size_bytes as u64);
    let sum = Command::new("sha256sum").arg(&file).output();
    let sum = sum.expect("every system has sha256sum");
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    assert_eq!(sum.split(' ').next(), Some(sha256));
}

/// "Upload to the store returns the content's hash; on the local disk it lies, as one file whatever
/// its size, at `store/ab/abcdef…`."
#[tokio::test]
async fn e1_a_published_content_is_one_file_named_by_its_hash() {
    let world = World::start().await;
    let alice = world.alice();
    let mut charged = 0;
    for size in [0, 1, 1 << 20, 20 << 20] {
        let content = noise(50, size);
        let sha256 = sha256_hex(&content);
        let answer = publish(&alice, content.clone()).await.must_be(201);
        let made = answer.json();
        assert_eq!(made["sha256"], sha256.as_str());
        assert_eq!(made["size_bytes"], size);
        assert!(made["published_at"].is_string(), "{made}");
        assert_eq!(answer.header("location"), format!("/api/v1/store/{sha256}"));
        assert_eq!(answer.etag(), format!("\"{sha256}\""));
        assert_is_one_file(&world, &sha256, size);

        // Again, without a length: what was there stays as it is.
        let request = alice.request_at("POST", "/api/v1/store");
        let again = request.chunked(content.clone()).send().await.must_be(200);
        assert_eq!(again.json(), made);
        assert!(ask(&world.anonymous(), "GET", &at(&sha256)).await == content);
        charged += size;
        let usage = usage(&alice).await;
        assert_eq!(usage["used_bytes"], charged);
        assert_eq!(usage["published_bytes"], charged);
    }
    let usage = usage(&alice).await;
    assert_eq!(
        (&usage["publications"], &usage["files"]),
        (&json!(4), &json!(0))
    );
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

/// Also where a private file already has the bytes: in a row, as a blob, in chunks.
#[tokio::test]
async fn e1_what_is_in_a_drive_already_is_published_as_one_file_too() {
    let world = World::start().await;
    let alice = world.alice();
    for size in [100, 1 << 20, 9 << 20] {
        let content = noise(51, size);
        let sha256 = sha256_hex(&content);
        world
            .bob()
            .put("/mine.bin", content.clone())
            .await
            .must_be_one_of(&[201, 204]);
        publish(&alice, content.clone()).await.must_be(201);
        assert_is_one_file(&world, &sha256, size);
        ask(&alice, "DELETE", &at(&sha256)).await.must_be(204);
        assert!(world.bob().get("/mine.bin").await == content);
    }
}

#[tokio::test]
async fn e1_a_form_publishes_its_one_file() {
    let world = World::start().await;
    let alice = world.alice();
    let content = noise(52, 300_000);
    let file = "name=\"file\"; filename=\"a.bin\"";
    let made = publish_form(&alice, &[(file, &content[..])]).await;
    let made = made.must_be(201).json();
    assert_eq!(made["sha256"], sha256_hex(&content).as_str());
    assert!(ask(&world.anonymous(), "GET", &at(&sha256_hex(&content))).await == content);

    let (other, more): (&[u8], &[u8]) = (b"another file", b"and one more");
    let refused: [&[(&str, &[u8])]; 3] = [
        &[],
        &[("name=\"field\"", other)],
        &[(file, other), (file, more)],
    ];
    for parts in refused {
        let refused = publish_form(&alice, parts).await;
        assert_eq!(refused.must_be(422).json()["code"], "invalid_fields");
    }
    ask(&alice, "GET", &at(&sha256_hex(other)))
        .await
        .must_be(404);
    assert_eq!(usage(&alice).await["publications"], 1);
}

#[tokio::test]
async fn e1_what_cannot_be_published_leaves_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    publish(&world.anonymous(), "x").await.must_be(401);
    let cases: [(&str, &str, u16, &str); 5] = [
        (
            "Repr-Digest",
            "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
            400,
            "content_mismatch",
        ),
        (
            "Content-Digest",
            "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
            400,
            "content_mismatch",
        ),
        ("Repr-Digest", "sha-256=nonsense", 400, "bad_request"),
        ("Content-Range", "bytes 0-0/2", 400, "bad_request"),
        ("Content-Encoding", "gzip", 415, "unsupported_media_type"),
    ];
    for (name, value, status, code) in cases {
        let request = alice
            .request_at("POST", "/api/v1/store")
            .header(name, value);
        let refused = request.body("refused").send().await.must_be(status);
        assert_eq!(refused.json()["code"], code, "{name}");
    }
    ask(&alice, "GET", &at(&sha256_hex(b"refused")))
        .await
        .must_be(404);

    // P3: room is reserved first, where the length is known and where it is not.
    let dave = world.add_user("dave", Some(1_000_000)).await;
    let dave = world.as_user(&dave);
    for chunked in [false, true] {
        let request = dave.request_at("POST", "/api/v1/store");
        let content = noise(53, 1_000_001);
        let request = if chunked {
            request.chunked(content)
        } else {
            request.body(content)
        };
        let refused = request.send().await.must_be(507);
        assert_eq!(refused.json()["code"], "quota_exceeded");
    }
    let deadline = Duration::from_secs(10);
    until("the room is given back", deadline, || async {
        usage(&dave).await["reserved_bytes"] == 0
    })
    .await;
    publish(&dave, noise(53, 1_000_000)).await.must_be(201);
    dave.put("/a.txt", "a").await.must_be(507);
    publish(&dave, "a").await.must_be(507);
}

#[tokio::test]
async fn e1_ones_own_publications_are_listed_in_parts() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    publish(&bob, "bob's").await.must_be(201);
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(
            publish(&alice, format!("number {n}"))
                .await
                .must_be(201)
                .json(),
        );
    }
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let part = ask(&alice, "GET", &format!("/store?limit=2{cursor}")).await;
        let part = part.must_be(200).json();
        listed.extend(part["items"].as_array().unwrap().iter().cloned());
        let Some(next) = part["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let by_hash = |items: &mut Vec<Value>| items.sort_by_key(|item| item["sha256"].to_string());
    by_hash(&mut listed);
    by_hash(&mut made);
    assert_eq!(listed, made);
    for bad in ["cursor=x", "limit=x", "nonsense=1"] {
        let refused = ask(&alice, "GET", &format!("/store?{bad}")).await;
        assert_eq!(
            refused.must_be(400).json()["code"],
            "invalid_query",
            "{bad}"
        );
    }
    ask(&world.anonymous(), "GET", "/store").await.must_be(401);
}

/// "Delete by hash: only one's own; others' references and their content stay."
#[tokio::test]
async fn e2_only_ones_own_publication_is_deleted() {
    let world = World::start().await;
    let (alice, bob, anyone) = (world.alice(), world.bob(), world.anonymous());
    let content = noise(54, 200_000);
    let path = at(&sha256_hex(&content));
    bob.put("/mine.bin", content.clone()).await.must_be(201);
    publish(&alice, content.clone()).await.must_be(201);
    ask(&anyone, "DELETE", &path).await.must_be(401);
    // His file does not make it his publication.
    ask(&bob, "DELETE", &path).await.must_be(404);
    let unknown = at(&sha256_hex(b"nobody has this"));
    ask(&bob, "DELETE", &unknown).await.must_be(404);

    publish(&bob, content.clone()).await.must_be(201);
    ask(&alice, "DELETE", &path).await.must_be(204);
    ask(&alice, "DELETE", &path).await.must_be(404);
    assert_eq!(usage(&alice).await["used_bytes"], 0);
    assert!(ask(&anyone, "GET", &path).await == content);

    ask(&bob, "DELETE", &path).await.must_be(204);
    ask(&anyone, "GET", &path).await.must_be(404);
    assert!(bob.get("/mine.bin").await == content);
    assert_eq!(usage(&bob).await["used_bytes"], 200_000);
    ask(&bob, "DELETE", "/store/nonsense").await.must_be(404);
}

#[tokio::test]
async fn e2_a_removed_account_takes_along_what_it_published() {
    let world = World::start().await;
    let (alice, bob, anyone) = (world.alice(), world.bob(), world.anonymous());
    for content in ["hers", "both"] {
        publish(&alice, content).await.must_be(201);
    }
    publish(&bob, "both").await.must_be(201);
    let proof = json!({ "password": World::alice_user().password });
    send(&alice, "DELETE", "/me", proof).await.must_be(204);
    ask(&anyone, "GET", &at(&sha256_hex(b"hers")))
        .await
        .must_be(404);
    assert_eq!(ask(&anyone, "GET", &at(&sha256_hex(b"both"))).await, "both");
    let checked = world.cli(&["check"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

/// "Download by hash by anyone, for contents published through this store."
#[tokio::test]
async fn e3_anyone_downloads_by_hash() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let content = noise(55, 5_000_000);
    let sha256 = sha256_hex(&content);
    publish(&world.alice(), content.clone()).await.must_be(201);
    let target = format!("/api/v1{}", at(&sha256));
    let get = |headers: &[(&str, &str)]| anyone.request_at("GET", &target).headers(headers).send();

    let whole = get(&[("Want-Repr-Digest", "sha-256=1")]).await.must_be(200);
    assert!(whole.body == content);
    let head = anyone.request_at("HEAD", &target).send().await.must_be(200);
    for answer in [&whole, &head] {
        for (name, value) in [
            ("etag", format!("\"{sha256}\"")),
            ("content-type", "application/octet-stream".to_owned()),
            ("content-length", "5000000".to_owned()),
            ("accept-ranges", "bytes".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("cross-origin-resource-policy", "same-origin".to_owned()),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert!(
            answer
                .header("content-disposition")
                .starts_with("attachment")
        );
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("sandbox")
        );
    }
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));

    let part = get(&[("Range", "bytes=4194303-4194305")])
        .await
        .must_be(206);
    assert!(part.body == content[4_194_303..=4_194_305]);
    assert_eq!(
        part.header("content-range"),
        "bytes 4194303-4194305/5000000"
    );
    let parts = get(&[("Range", "bytes=0-1,-1")]).await.must_be(206);
    assert!(
        parts
            .header("content-type")
            .starts_with("multipart/byteranges")
    );
    let beyond = get(&[("Range", "bytes=5000000-")]).await.must_be(416);
    assert_eq!(beyond.header("content-range"), "bytes */5000000");
    assert_eq!(beyond.json()["code"], "range_not_satisfiable");

    let etag = whole.etag();
    let known = get(&[("If-None-Match", &etag)]).await.must_be(304);
    assert_eq!(known.etag(), etag);
    get(&[("If-None-Match", "\"other\"")]).await.must_be(200);
    get(&[("If-Match", &etag)]).await.must_be(200);
    get(&[("If-Match", "\"other\"")]).await.must_be(412);
    let resumed = [("Range", "bytes=1-1"), ("If-Range", etag.as_str())];
    get(&resumed).await.must_be(206);
    ask(&anyone, "GET", "/store/nonsense").await.must_be(404);
}

/// P2: "only contents published there answer by hash; a private file with the same bytes is 404 in
/// the same time" (and with the same statements; time is for the benchmark).
#[tokio::test]
async fn e3_a_private_file_cannot_be_told_from_nothing() {
    let world = World::start().await;
    let (alice, bob, anyone) = (world.alice(), world.bob(), world.anonymous());
    // From here on both have shown their passwords.
    usage(&bob).await;
    let mut asked = 0;
    for size in [100, 100_000, 5_000_000] {
        let content = noise(56, size);
        alice
            .put("/private.bin", content.clone())
            .await
            .must_be_one_of(&[201, 204]);
        let theirs = at(&sha256_hex(&content));
        let nobodys = at(&sha256_hex(b"nobody has this"));
        for method in ["GET", "DELETE"] {
            for who in [&anyone, &bob, &alice] {
                let there = ask(who, method, &theirs).await;
                let missing = ask(who, method, &nobodys).await;
                assert_eq!(seen(&there), seen(&missing), "{method} of {size}");
                there.must_be_one_of(&[401, 404]);
                asked += 2;
            }
        }
    }
    let lines = || {
        let all = world.requests().into_iter();
        let mine = all.filter(|request| request.route.ends_with("/store/{sha256}"));
        mine.collect::<Vec<_>>()
    };
    let deadline = Duration::from_secs(10);
    until("all are logged", deadline, || async {
        lines().len() == asked
    })
    .await;
    let mut statements = BTreeMap::<_, BTreeSet<u64>>::new();
    for line in lines() {
        let alike = statements.entry((line.method, line.user)).or_default();
        alike.insert(line.statements);
    }
    for (asked, counts) in statements {
        assert_eq!(counts.len(), 1, "{asked:?}: {counts:?}");
    }
    // Publishing content that others hold is answered and charged like any other.
    let content = noise(56, 100_000);
    publish(&bob, content).await.must_be(201);
    publish(&bob, noise(57, 100_000)).await.must_be(201);
    assert_eq!(usage(&bob).await["used_bytes"], 200_000);
}

/// What must not differ between what is another's and what is not there.
fn seen(answer: &Answer) -> (u16, String, Vec<String>) {
    let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status(), answer.text(), names)
}

/// A scanner's key sees one folder; the store is no place in it.
#[tokio::test]
async fn an_app_password_of_one_folder_publishes_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/scans").await.must_be(201);
    let key = async |more: Value| {
        let mut body = json!({ "name": "key", "current_password": World::alice_user().password });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = send(&alice, "POST", "/me/app-passwords", body)
            .await
            .must_be(201)
            .json();
        crate::phrase::basic(&alice, "alice", made["password"].as_str().unwrap())
    };
    let path = at(&sha256_hex(b"published"));
    publish(&key(json!({})).await, "published")
        .await
        .must_be(201);
    let confined = key(json!({ "path": "/scans" })).await;
    let reader = key(json!({ "read_only": true })).await;
    for who in [&confined, &reader] {
        publish(who, "more").await.must_be(403);
        ask(who, "DELETE", &path).await.must_be(403);
    }
    ask(&confined, "GET", "/store").await.must_be(403);
    ask(&reader, "GET", "/store").await.must_be(200);
}
