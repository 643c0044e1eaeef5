//! Writing a file.

use harness::{Setup, World, noise, sha256_hex};

use crate::phrase::authorization;

#[tokio::test]
async fn a_file_is_written_with_a_length_or_without() {
    let world = World::start().await;
    let alice = world.alice();
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000, 5_000_000];
    for (number, size) in sizes.into_iter().enumerate() {
        let content = noise(number as u64, size);
        alice
            .put("/length.bin", content.clone())
            .await
            .must_be_one_of(&[201, 204]);
        assert!(
            alice.get("/length.bin").await == content,
            "{size} bytes with a length"
        );
        let chunked = alice
            .request("PUT", "/chunked.bin")
            .chunked(content.clone())
            .send()
            .await;
        chunked.must_be_one_of(&[201, 204]);
        assert!(
            alice.get("/chunked.bin").await == content,
            "{size} bytes without"
        );
    }
}

#[tokio::test]
async fn the_answer_tells_tag_and_date() {
    let world = World::start().await;
    let alice = world.alice();
    for status in [201, 204] {
        let put = alice
            .put("/a.txt", format!("content {status}"))
            .await
            .must_be(status);
        let head = alice.head("/a.txt").await.must_be(200);
        assert_eq!(put.etag(), head.etag());
        assert_eq!(put.header("last-modified"), head.header("last-modified"));
        assert!(!put.header("date").is_empty());
        assert!(put.body.is_empty(), "{put:?}");
    }
}

#[tokio::test]
async fn a_part_is_never_stored_as_the_whole() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    // RFC 9110 §14.5: a server that does not take Content-Range on PUT answers 400.
    let part = alice
        .request("PUT", "/a.txt")
        .header("Content-Range", "bytes 2-3/10")
        .body("xy");
    let part = part.send().await;
    let expected = if part.succeeded() {
        "01xy456789"
    } else {
        "0123456789"
    };
    assert_eq!(alice.get("/a.txt").await, expected);
    let part = alice
        .request("PUT", "/new.txt")
        .header("Content-Range", "bytes 5-6/7")
        .body("xy");
    part.send().await;
    let made = alice.get("/new.txt").await;
    assert!(made.status() == 404 || made.body.len() == 7, "{made:?}");
}

#[tokio::test]
async fn a_broken_upload_changes_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    let old = noise(1, 1_000_000);
    alice.put("/a.bin", old.clone()).await.must_be(201);
    let blobs = world.blobs();
    let start = "Host: localhost\r\nAuthorization: ";
    for (path, sent) in [("a.bin", 16), ("a.bin", 700_000), ("new.bin", 700_000)] {
        for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
            let mut wire = world.wire().await;
            let authorization = authorization();
            let head = format!("PUT /dav/{path} HTTP/1.1\r\n{start}{authorization}\r\n{framing}");
            wire.send(format!("{head}\r\n\r\n")).await;
            if framing.contains("chunked") {
                wire.send(format!("{sent:x}\r\n")).await;
            }
            wire.send(noise(2, sent)).await;
            drop(wire);
        }
    }
    assert!(alice.get("/a.bin").await == old, "the old content is gone");
    assert_eq!(alice.names("/").await, ["a.bin"]);
    alice.put("/a.bin", old.clone()).await.must_be(204);
    assert_eq!(world.blobs(), blobs);
}

#[tokio::test]
async fn a_file_needs_a_parent_and_is_no_folder() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/missing/a.txt", "a").await.must_be(409);
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder", "a").await.must_be(405);
    alice.put("/folder/", "a").await.must_be(405);
    alice.put("/", "a").await.must_be(405);
    alice.put("/a.txt", "a").await.must_be(201);
    alice
        .put("/a.txt/b.txt", "b")
        .await
        .must_be_one_of(&[403, 404, 405, 409]);
    alice
        .mkcol("/a.txt/b")
        .await
        .must_be_one_of(&[403, 404, 405, 409]);
    assert_eq!(alice.get("/a.txt").await, "a");
}

#[tokio::test]
async fn more_than_the_quota_is_refused_before_the_body_is_sent() {
    let world = World::start().await;
    let carol = world.add_user("carol", Some(100_000)).await;
    let carol_dav = world.as_user(&carol);
    carol_dav
        .put("/fits.bin", noise(1, 60_000))
        .await
        .must_be(201);
    let mut wire = world.wire().await;
    wire.send_head(&[
        "PUT /dav/big.bin HTTP/1.1",
        "Host: localhost",
        &format!(
            "Authorization: {}",
            harness::Wire::basic(&carol.name, &carol.password)
        ),
        "Content-Length: 60000",
        "Expect: 100-continue",
    ])
    .await;
    let refused = wire.answer().await.unwrap().must_be(507);
    assert!(refused.names_condition("quota-not-exceeded"), "{refused:?}");
    let chunked = carol_dav
        .request("PUT", "/big.bin")
        .chunked(noise(2, 60_000));
    if let Ok(refused) = chunked.try_send().await {
        refused.must_be(507);
    }
    assert_eq!(carol_dav.names("/").await, ["fits.bin"]);
    carol_dav
        .put("/fits too.bin", noise(3, 40_000))
        .await
        .must_be(201);
    carol_dav.put("/one more.bin", "x").await.must_be(507);
    carol_dav.put("/fits.bin", noise(4, 10)).await.must_be(204);
    carol_dav.put("/one more.bin", "x").await.must_be(201);
}

#[tokio::test]
async fn all_users_together_stay_within_the_capacity() {
    let world = Setup::default().capacity_bytes(100_000).start().await;
    world
        .alice()
        .put("/a.bin", noise(1, 60_000))
        .await
        .must_be(201);
    world
        .bob()
        .put("/b.bin", noise(2, 60_000))
        .await
        .must_be(507);
    world
        .bob()
        .put("/b.bin", noise(3, 40_000))
        .await
        .must_be(201);
    world.alice().delete("/a.bin").await.must_be(204);
    world
        .bob()
        .put("/c.bin", noise(4, 60_000))
        .await
        .must_be(201);
}

#[tokio::test]
async fn the_times_that_a_client_sends_are_kept() {
    let world = World::start().await;
    let alice = world.alice();
    let put = alice
        .request("PUT", "/a.txt")
        .header("X-OC-Mtime", "981173106")
        .body("a");
    assert_eq!(
        put.send().await.must_be(201).header("x-oc-mtime"),
        "accepted"
    );
    let head = alice.head("/a.txt").await;
    assert_eq!(
        head.header("last-modified"),
        "Sat, 03 Feb 2001 04:05:06 GMT"
    );
    alice.put("/a.txt", "b").await.must_be(204);
    assert_ne!(
        alice.head("/a.txt").await.header("last-modified"),
        head.header("last-modified")
    );
}

#[tokio::test]
async fn a_checksum_that_does_not_match_stores_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "old").await.must_be(201);
    let sha1 = "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d";
    let sha256 = ":ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    let wrong = ":47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    for (name, value) in [
        (
            "OC-Checksum",
            "SHA1:da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
        ),
        ("OC-Checksum", format!("SHA256:{}", sha256_hex(b"other"))),
        ("Content-Digest", format!("sha-256={wrong}")),
        ("Repr-Digest", format!("sha-256={wrong}")),
    ] {
        let put = alice
            .request("PUT", "/a.txt")
            .header(name, &value)
            .body("abc");
        put.send().await.must_be(400);
        assert_eq!(alice.get("/a.txt").await, "old");
    }
    for (name, value) in [
        ("OC-Checksum", sha1.to_owned()),
        ("Content-Digest", format!("sha-256={sha256}")),
        ("Repr-Digest", format!("sha-256={sha256}")),
    ] {
        let put = alice
            .request("PUT", "/a.txt")
            .header(name, &value)
            .body("abc");
        put.send().await.must_be(204);
    }
}

#[tokio::test]
async fn an_upload_shorter_or_longer_than_announced_stores_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "old").await.must_be(201);
    for announced in ["4", "6"] {
        let put = alice
            .request("PUT", "/a.txt")
            .header("X-Expected-Entity-Length", announced);
        put.chunked("12345").send().await.must_be(400);
        assert_eq!(alice.get("/a.txt").await, "old");
    }
    let put = alice
        .request("PUT", "/a.txt")
        .header("X-Expected-Entity-Length", "5");
    put.chunked("12345").send().await.must_be(204);
}

#[tokio::test]
async fn a_patch_writes_a_range_and_can_append() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    let patch = async |range: &str, body: &str| {
        alice
            .request("PATCH", "/a.txt")
            .header("Content-Type", "application/x-sabredav-partialupdate")
            .header("X-Update-Range", range)
            .body(body.to_owned())
            .send()
            .await
    };
    for (range, body, whole) in [
        ("bytes=2-4", "abc", "01abc56789"),
        ("bytes=8-", "XYZ", "01abc567XYZ"),
        ("bytes=-2", "zz", "01abc567Xzz"),
        ("append", "!", "01abc567Xzz!"),
    ] {
        let patched = patch(range, body).await.must_be_one_of(&[200, 204]);
        assert_eq!(alice.get("/a.txt").await, whole);
        assert_eq!(patched.etag(), alice.head("/a.txt").await.etag());
    }
    // The range must be as long as the body.
    patch("bytes=2-4", "too long")
        .await
        .must_be_one_of(&[400, 416]);
    patch("nonsense", "xx").await.must_be_one_of(&[400, 416]);
    let plain = alice
        .request("PATCH", "/a.txt")
        .header("X-Update-Range", "append")
        .body("x");
    plain.send().await.must_be(415);
    assert_eq!(alice.get("/a.txt").await, "01abc567Xzz!");
    // As in a local file, what lies between the old end and the range is zeros.
    patch("bytes=14-15", "??").await.must_be_one_of(&[200, 204]);
    assert_eq!(alice.get("/a.txt").await, "01abc567Xzz!\0\0??");
}

#[tokio::test]
async fn equal_content_is_stored_once_and_charged_to_each() {
    let world = World::start().await;
    let content = noise(9, 3_000_000);
    let first = world
        .alice()
        .put("/a.bin", content.clone())
        .await
        .must_be(201);
    let blobs = world.blobs();
    let second = world
        .bob()
        .put("/other name.bin", content.clone())
        .await
        .must_be(201);
    assert_eq!(world.blobs(), blobs);
    assert_eq!(first.etag(), second.etag());
    assert_eq!(first.etag(), format!("\"{}\"", sha256_hex(&content)));
    for dav in [world.alice(), world.bob()] {
        let used = dav
            .propfind_of("/", "0", "<D:quota-used-bytes/>")
            .await
            .multistatus();
        assert_eq!(used.only().dav("quota-used-bytes"), Some("3000000"));
    }
    for (name, _) in &blobs {
        let path = world.data_dir().join("store").join(&name[..2]).join(name);
        assert_eq!(&sha256_hex(&std::fs::read(path).unwrap()), name);
    }
}
