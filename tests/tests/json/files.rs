//! Files and folders, by path and by id.

use harness::{World, noise, sha256_hex};
use serde_json::{Value, json};

use crate::phrase::{ask, bearer, by_path, send, store, tokens};

/// The paths in a list.
fn paths(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["path"].as_str().expect("a path"))
        .collect()
}

fn id(file: &Value) -> &str {
    file["id"].as_str().expect("an id")
}

/// "Upload and remove by item id with the JWT; both answers carry the `id`."
#[tokio::test]
async fn a3_what_is_stored_and_removed_is_named_by_its_id() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let alice = bearer(&anyone, &tokens(&anyone, &World::alice_user()).await);
    let stored = store(&alice, "/a.txt", "one").await.must_be(201);
    let file = stored.json();
    let address = format!("/files/{}", id(&file));
    assert_eq!(stored.header("location"), format!("/api/v1{address}"));
    let removed = ask(&alice, "DELETE", &address).await.must_be(200).json();
    assert_eq!(removed, file);
    ask(&alice, "GET", &address).await.must_be(404);
    ask(&alice, "DELETE", &address).await.must_be(404);
    alice.get("/a.txt").await.must_be(404);
}

/// "List files: `id`, `name`, `created_at`, `path` (and `size_bytes`, `sha256`, `modified_at`)."
#[tokio::test]
async fn b3_a_list_tells_what_there_is_to_know() {
    let world = World::start().await;
    let alice = world.alice();
    let stored = store(&alice, "/docs/a b.txt", "one").await.must_be(201);
    let stored = stored.json();
    let list = ask(&alice, "GET", &by_path("", "/docs")).await.must_be(200);
    let list = list.json();
    assert_eq!(list["items"], json!([stored]));
    assert_eq!(list["next_cursor"], Value::Null);
    assert_eq!(stored["name"], "a b.txt");
    assert_eq!(stored["path"], "/docs/a b.txt");
    assert_eq!(stored["kind"], "file");
    assert_eq!(stored["size_bytes"], 3);
    assert_eq!(stored["sha256"], sha256_hex(b"one"));
    assert_eq!(stored["etag"], alice.head("/docs/a b.txt").await.etag());
    assert!(stored["created_at"].is_string() && stored["modified_at"].is_string());
    let folder = &list["folder"];
    assert_eq!(
        (&folder["kind"], &folder["path"]),
        (&json!("folder"), &json!("/docs"))
    );
    assert_eq!(folder["sha256"], Value::Null);

    let by_id = ask(&alice, "GET", &format!("/files?id={}", id(folder))).await;
    assert_eq!(by_id.must_be(200).json(), list);
    let same = ask(&alice, "GET", &format!("/files/{}", id(folder))).await;
    assert_eq!(&same.must_be(200).json(), folder);
    // Of a file a path tells what it is.
    let same = ask(&alice, "GET", &by_path("", "/docs/a b.txt")).await;
    assert_eq!(same.must_be(200).json(), stored);
}

/// "With paging."
#[tokio::test]
async fn b3_a_list_comes_in_parts_that_miss_and_repeat_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    let mut expected = Vec::new();
    for folder in ["a", "a-b", "b", "b/c", "b/c/d"] {
        expected.push(format!("/{folder}"));
        for file in ["1.txt", "\u{e4}.txt"] {
            let path = format!("/{folder}/{file}");
            store(&alice, &path, "x").await.must_be(201);
            expected.push(path);
        }
    }
    let order = |path: &String| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    expected.sort_by_key(order);
    for limit in [1, 2, 3, 7, 100] {
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let query = format!("/files?recursive=true&limit={limit}{next}");
            let list = ask(&alice, "GET", &query).await.must_be(200).json();
            let part = paths(&list);
            assert!(!part.is_empty() && part.len() <= limit, "{list}");
            found.extend(part.into_iter().map(str::to_owned));
            match list["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{limit} at a time");
    }
    let top = ask(&alice, "GET", "/files?limit=2")
        .await
        .must_be(200)
        .json();
    assert_eq!(paths(&top), ["/a", "/a-b"]);
    // Where the last one of a part is gone, what followed it still follows.
    let cursor = top["next_cursor"].as_str().unwrap().to_owned();
    alice.delete("/a-b").await.must_be(204);
    let rest = ask(&alice, "GET", &format!("/files?cursor={cursor}")).await;
    assert_eq!(paths(&rest.must_be(200).json()), ["/b"]);
    let below = ask(
        &alice,
        "GET",
        &format!("{}&recursive=true", by_path("", "/b/c")),
    )
    .await;
    let below = below.must_be(200).json();
    assert_eq!(paths(&below)[..2], ["/b/c/1.txt", "/b/c/d"]);
}

/// "Upload to a full path: missing directories are created, an existing file is replaced and
/// keeps its id."
#[tokio::test]
async fn b4_a_path_is_made_and_a_file_that_is_replaced_keeps_its_id() {
    let world = World::start().await;
    let alice = world.alice();
    let first = store(&alice, "/a/b/c.txt", "one").await.must_be(201).json();
    assert_eq!(alice.names("/a").await, ["b"]);
    let second = store(&alice, "/a/b/c.txt", "second").await.must_be(200);
    assert_eq!(second.etag(), second.json()["etag"]);
    let second = second.json();
    assert_eq!(
        (id(&first), &second["size_bytes"]),
        (id(&second), &json!(6))
    );
    assert_ne!(first["etag"], second["etag"]);
    // Of every size, with a length and without.
    for (number, size) in [0, 16 * 1024 + 1, 5_000_000].into_iter().enumerate() {
        let content = noise(number as u64, size);
        let stored = store(&alice, "/sized", content.clone()).await;
        let stored = stored.must_be_one_of(&[200, 201]).json();
        assert_eq!(stored["sha256"], sha256_hex(&content));
        let target = format!("/api/v1{}", by_path("/content", "/chunked"));
        let request = alice.request_at("PUT", &target).chunked(content.clone());
        let stored = request.send().await.must_be_one_of(&[200, 201]).json();
        assert_eq!(stored["sha256"], sha256_hex(&content));
        assert!(alice.get("/chunked").await == content, "{size} bytes");
    }
    store(&alice, "/a/b/c.txt/d", "x").await.must_be(409);
    store(&alice, "/a", "x").await.must_be(409);
    store(&alice, "/new/", "x").await.must_be(409);
    alice.propfind("/new", "0").await.must_be(404);
}

/// A file is written by its id wherever it is, and nothing is made where it was.
#[tokio::test]
async fn b4_a_file_is_written_by_its_id() {
    let world = World::start().await;
    let alice = world.alice();
    let made = store(&alice, "/a.txt", "one").await.must_be(201).json();
    let target = format!("/api/v1/files/{}/content", id(&made));
    let put = |content: &'static str| alice.request_at("PUT", &target).body(content);
    send(
        &alice,
        "PATCH",
        &format!("/files/{}", id(&made)),
        json!({ "name": "b.txt" }),
    )
    .await
    .must_be(200);
    let written = put("two").send().await.must_be(200);
    let shown = written.json();
    assert_eq!(
        (&shown["id"], &shown["path"]),
        (&made["id"], &json!("/b.txt"))
    );
    assert_eq!(written.etag(), alice.head("/b.txt").await.etag());
    assert_eq!(alice.get("/b.txt").await, "two");
    let stale = made["etag"].as_str().expect("a tag");
    put("no")
        .header("If-Match", stale)
        .send()
        .await
        .must_be(412);
    let fresh = written.etag();
    put("three")
        .header("If-Match", &fresh)
        .send()
        .await
        .must_be(200);
    let digest = format!("sha-256=:{}:", "A".repeat(43) + "=");
    put("no")
        .header("Repr-Digest", &digest)
        .send()
        .await
        .must_be(400);
    let bob = world.bob().request_at("PUT", &target).body("no");
    bob.send().await.must_be(404);
    // Moved while the content comes: neither what is there now nor what was is touched.
    let mut wire = world.wire().await;
    let user = World::alice_user();
    let basic = harness::Wire::basic(&user.name, &user.password);
    wire.send_head(&[
        &format!("PUT {target} HTTP/1.1"),
        "Host: localhost",
        &format!("Authorization: {basic}"),
        "Content-Length: 200000",
        "Expect: 100-continue",
    ])
    .await;
    wire.answer().await.expect("an answer").must_be(100);
    wire.send(vec![b'x'; 100_000]).await;
    send(
        &alice,
        "PATCH",
        &format!("/files/{}", id(&made)),
        json!({ "name": "c.txt" }),
    )
    .await
    .must_be(200);
    store(&alice, "/b.txt", "another").await.must_be(201);
    wire.send(vec![b'x'; 100_000]).await;
    wire.answer().await.expect("an answer").must_be(412);
    assert_eq!(alice.get("/b.txt").await, "another");
    assert_eq!(alice.get("/c.txt").await, "three");
    ask(&alice, "DELETE", &format!("/files/{}", id(&made)))
        .await
        .must_be(200);
    put("no").send().await.must_be(404);
}

/// "Download, inspect, delete by path or by id."
#[tokio::test]
async fn b5_a_file_is_read_by_path_and_by_id() {
    let world = World::start().await;
    let alice = world.alice();
    for (size, name) in [(10, "/small.txt"), (5_000_000, "/large.txt")] {
        let content = noise(size, usize::try_from(size).unwrap());
        let file = store(&alice, name, content.clone()).await.must_be(201);
        let file = file.json();
        let by_id = format!("/files/{}/content", id(&file));
        for address in [by_path("/content", name), by_id] {
            let whole = ask(&alice, "GET", &address).await.must_be(200);
            assert!(whole == content, "{address}");
            assert_eq!(whole.etag(), file["etag"]);
            assert_eq!(whole.header("content-type"), "text/plain; charset=utf-8");
            let head = ask(&alice, "HEAD", &address).await.must_be(200);
            assert_eq!(head.header("content-length"), size.to_string());
            assert_eq!((head.etag(), head.body.len()), (whole.etag(), 0));

            let target = format!("/api/v1{address}");
            let with = |name: &str, value: &str| {
                let request = alice.request_at("GET", &target).header(name, value);
                request.send()
            };
            let part = with("Range", "bytes=2-4").await.must_be(206);
            assert_eq!(part.body, content[2..5]);
            assert_eq!(part.header("content-range"), format!("bytes 2-4/{size}"));
            let outside = with("Range", "bytes=6000000-").await.must_be(416);
            assert_eq!(outside.json()["code"], "range_not_satisfiable");
            assert_eq!(outside.header("content-range"), format!("bytes */{size}"));
            with("If-None-Match", &whole.etag()).await.must_be(304);
            with("If-Match", "\"other\"").await.must_be(412);
        }
    }
    let folder = ask(&alice, "GET", &by_path("/content", "/")).await;
    assert_eq!(folder.must_be(409).json()["code"], "is_folder");
}

/// "Metadata, rename, move."
#[tokio::test]
async fn b5_a_file_is_renamed_moved_and_dated_in_one_step() {
    let world = World::start().await;
    let alice = world.alice();
    let made = send(&alice, "POST", "/dirs", json!({ "path": "/to" })).await;
    let folder = made.must_be(201).json();
    let file = store(&alice, "/a.txt", "one").await.must_be(201).json();
    let address = format!("/files/{}", id(&file));
    let change = json!({
        "name": "\u{fc}.txt", "parent_id": folder["id"], "modified_at": "2020-02-03T04:05:06.5Z",
    });
    let moved = send(&alice, "PATCH", &address, change).await.must_be(200);
    let moved = moved.json();
    assert_eq!(moved["path"], "/to/\u{fc}.txt");
    assert_eq!(moved["modified_at"], "2020-02-03T04:05:06.500Z");
    for field in ["id", "etag", "created_at", "sha256"] {
        assert_eq!(moved[field], file[field], "{field}");
    }
    assert_eq!(
        ask(&alice, "GET", &address).await.must_be(200).json(),
        moved
    );
    assert_eq!(alice.names("/").await, ["to"]);
    // By path, with the other spelling of the same name.
    let spelled = by_path("", "/to/u\u{308}.txt");
    let back = send(&alice, "PATCH", &spelled, json!({ "path": "/b.txt" })).await;
    let back = back.must_be(200).json();
    assert_eq!((id(&back), &back["path"]), (id(&file), &json!("/b.txt")));

    store(&alice, "/c.txt", "two").await.must_be(201);
    let onto = |replace: bool| json!({ "name": "c.txt", "replace": replace });
    let taken = send(&alice, "PATCH", &address, onto(false)).await;
    assert_eq!(taken.must_be(409).json()["code"], "already_exists");
    send(&alice, "PATCH", &address, onto(true))
        .await
        .must_be(200);
    assert_eq!(alice.get("/c.txt").await, "one");
    // Nothing to change is no change.
    send(&alice, "PATCH", &address, json!({}))
        .await
        .must_be(200);
    let missing = json!({ "path": "/no/where.txt" });
    let missing = send(&alice, "PATCH", &address, missing).await.must_be(409);
    assert_eq!(missing.json()["code"], "parent_missing");
    let below = json!({ "path": "/to/below" });
    let below = send(&alice, "PATCH", &by_path("", "/to"), below).await;
    assert_eq!(below.must_be(403).json()["code"], "overlap");
}

/// "Copy" of a file and of a whole folder; no byte is sent.
#[tokio::test]
async fn b5_copies_are_others_with_the_same_content() {
    let world = World::start().await;
    let alice = world.alice();
    let file = store(&alice, "/from/a.txt", "one").await.must_be(201);
    let file = file.json();
    let copy = format!("/files/{}/copy", id(&file));
    let copied = send(&alice, "POST", &copy, json!({ "name": "b.txt" })).await;
    let copied = copied.must_be(201).json();
    assert_eq!(copied["path"], "/from/b.txt");
    assert_ne!(id(&copied), id(&file));
    assert_eq!(copied["etag"], file["etag"]);
    let again = json!({ "path": "/from/b.txt", "replace": true });
    send(&alice, "POST", &copy, again).await.must_be(200);
    let tree = by_path("/copy", "/from");
    let to = json!({ "path": "/to" });
    send(&alice, "POST", &tree, to.clone()).await.must_be(201);
    assert_eq!(alice.names("/to").await, ["a.txt", "b.txt"]);
    let taken = send(&alice, "POST", &tree, to).await.must_be(409);
    assert_eq!(taken.json()["code"], "already_exists");
    send(&alice, "POST", &copy, json!({})).await.must_be(422);
}

#[tokio::test]
async fn folders_are_made_one_or_all_on_the_way() {
    let world = World::start().await;
    let alice = world.alice();
    let make = |path: &str, parents: bool| {
        let body = json!({ "path": path, "parents": parents });
        let alice = alice.clone();
        async move { send(&alice, "POST", "/dirs", body).await }
    };
    let missing = make("/a/b/c", false).await.must_be(409);
    assert_eq!(missing.json()["code"], "parent_missing");
    let made = make("/a/b/c", true).await.must_be(201).json();
    assert_eq!(
        (&made["kind"], &made["path"]),
        (&json!("folder"), &json!("/a/b/c"))
    );
    assert_eq!(make("/a/b/c", true).await.must_be(200).json(), made);
    let taken = make("/a/b/c", false).await.must_be(409).json();
    assert_eq!(taken["code"], "already_exists");
    store(&alice, "/a/f", "x").await.must_be(201);
    make("/a/f", true).await.must_be(409);
    make("/a/f/g", true).await.must_be(409);
    // A folder goes with all it holds.
    ask(&alice, "DELETE", &by_path("", "/a")).await.must_be(200);
    assert!(alice.names("/").await.is_empty());
    ask(&alice, "DELETE", &by_path("", "/")).await.must_be(403);
}
