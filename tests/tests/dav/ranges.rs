//! PATCH with several ranges (`multipart/byteranges`).

use std::ops::Range;

use harness::{Answer, Dav, World, noise};

/// A body that writes these ranges of `data`, which is the file as it is to be.
fn ranges(data: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut body = Vec::new();
    for range in ranges {
        let (first, last, length) = (range.start, range.end - 1, data.len());
        body.extend(
            format!("--cut\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n").bytes(),
        );
        body.extend_from_slice(&data[range.clone()]);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--cut--\r\n");
    body
}

fn only_length(size_bytes: usize) -> Vec<u8> {
    format!("--cut\r\nContent-Range: bytes */{size_bytes}\r\n\r\n\r\n--cut--\r\n").into_bytes()
}

fn request(dav: &Dav, path: &str, body: Vec<u8>) -> harness::Request {
    let request = dav.request("PATCH", path);
    let request = request.header("Content-Type", "multipart/byteranges; boundary=cut");
    request.body(body)
}

async fn patch(dav: &Dav, path: &str, etag: &str, body: Vec<u8>) -> Answer {
    request(dav, path, body)
        .header("If-Match", etag)
        .send()
        .await
}

#[tokio::test]
async fn several_ranges_and_the_length_change_in_one_step() {
    let world = World::start().await;
    let alice = world.alice();
    for size in [0, 1_000, 300_000, 12_000_000] {
        let mut data = noise(1, size);
        let mut tag = alice.put("/a", data.clone()).await.etag();
        for (round, length) in [size, size + 700, size / 2, size + 5_000_000]
            .into_iter()
            .enumerate()
        {
            data.resize(length, 0);
            let mut parts = Vec::new();
            for at in [0, length / 3, length / 3 + 9, length.saturating_sub(8)] {
                let range = at..(at + 8).min(length);
                let begins_after = parts
                    .last()
                    .is_none_or(|last: &Range<usize>| last.end <= at);
                if begins_after && !range.is_empty() {
                    data[range.clone()].copy_from_slice(&noise(round as u64, range.len()));
                    parts.push(range);
                }
            }
            let body = if parts.is_empty() {
                only_length(length)
            } else {
                ranges(&data, &parts)
            };
            let answer = patch(&alice, "/a", &tag, body).await.must_be(204);
            tag = answer.etag();
            assert_eq!(alice.head("/a").await.etag(), tag);
            let content = alice.get("/a").await;
            assert_eq!(content.header("content-length"), length.to_string());
            assert!(content.body == data, "{size} bytes, round {round}");
        }
    }
    for path in ["/", "/a"] {
        let options = alice.options(path).await;
        let accepted = "multipart/byteranges, application/x-sabredav-partialupdate";
        assert_eq!(options.header("accept-patch"), accepted);
    }
}

#[tokio::test]
async fn the_length_alone_cuts_off_or_adds_zeros() {
    let world = World::start().await;
    let alice = world.alice();
    for size in [10, 9_000_000] {
        let data = noise(2, size);
        let tag = alice.put("/a", data.clone()).await.etag();
        let cut = patch(&alice, "/a", &tag, only_length(size - 3))
            .await
            .must_be(204);
        assert!(alice.get("/a").await.body == data[..size - 3]);
        let longer = patch(&alice, "/a", &cut.etag(), only_length(size))
            .await
            .must_be(204);
        let content = alice.get("/a").await;
        assert!(content.body[..size - 3] == data[..size - 3]);
        assert_eq!(content.body[size - 3..], [0; 3]);
        let empty = patch(&alice, "/a", &longer.etag(), only_length(0))
            .await
            .must_be(204);
        assert_eq!(alice.get("/a").await, "");
        let long = patch(&alice, "/a", &empty.etag(), only_length(65 << 20)).await;
        long.must_be(416);
        assert_eq!(alice.head("/a").await.etag(), empty.etag());
    }
}

#[tokio::test]
async fn a_stale_tag_or_a_bad_body_changes_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    let old = alice.put("/a", "0123456789").await.etag();
    let tag = alice.put("/a", "abcdefghij").await.etag();
    let good = ranges(b"ABcdefGHij", &[0..2, 6..8]);
    patch(&alice, "/a", &old, good.clone()).await.must_be(412);
    let text = |body: &str| body.as_bytes().to_vec();
    let cut = good[..good.len() - 9].to_vec();
    for bad in [
        Vec::new(),
        text("--cut--\r\n"),
        text("--cut\r\n\r\nx\r\n--cut--\r\n"),
        ranges(b"ABcdefGHij", &[6..8, 0..2]),
        ranges(b"ABcdefGHij", &[0..3, 2..4]),
        cut,
        text("--cut\r\nContent-Range: bytes 0-1/10\r\n\r\nABC\r\n--cut--\r\n"),
        text("--cut\r\nContent-Range: bytes 9-10/10\r\n\r\nAB\r\n--cut--\r\n"),
    ] {
        patch(&alice, "/a", &tag, bad).await.must_be(400);
        assert_eq!(alice.get("/a").await, "abcdefghij");
    }
    let wrong = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    let wrong = request(&alice, "/a", good.clone()).header("Content-Digest", wrong);
    wrong.send().await.must_be(400);
    let other = request(&alice, "/a", good.clone()).header("Coffer-Attributes", "nothing");
    other.send().await.must_be(400);
    assert_eq!(alice.head("/a").await.etag(), tag);
    alice.mkcol("/d").await.must_be(201);
    request(&alice, "/d", good.clone())
        .send()
        .await
        .must_be(405);
    request(&alice, "/none", good.clone())
        .send()
        .await
        .must_be(404);
    patch(&alice, "/a", &tag, good).await.must_be(204);
    assert_eq!(alice.get("/a").await, "ABcdefGHij");
}

#[tokio::test]
async fn ranges_come_with_attributes_and_within_the_quota() {
    let world = World::start().await;
    let alice = world.alice();
    let tag = alice.put("/a", "0123456789").await.etag();
    let body = ranges(b"01xx456yyy", &[2..4, 7..10]);
    let set = request(&alice, "/a", body).header("If-Match", &tag);
    let set = set.header("Coffer-Attributes", "mode=100600 mtime=1700000000.5");
    set.send().await.must_be(204);
    assert_eq!(alice.get("/a").await, "01xx456yyy");
    let modified = alice.head("/a").await;
    let modified = modified.header("last-modified");
    assert_eq!(modified, "Tue, 14 Nov 2023 22:13:20 GMT");
}

#[tokio::test]
async fn of_two_that_patch_the_same_version_one_wins() {
    let world = World::start().await;
    let (alice, other) = (world.alice(), world.alice());
    let mut tag = alice.put("/a", vec![b'0'; 100]).await.etag();
    for round in 0..10 {
        let body = |byte: u8| ranges(&[byte; 100], &[0..10, 50..60]);
        let (one, two) = tokio::join!(
            patch(&alice, "/a", &tag, body(b'a' + round)),
            patch(&other, "/a", &tag, body(b'A' + round)),
        );
        let won: Vec<&Answer> = [&one, &two]
            .into_iter()
            .filter(|a| a.status() == 204)
            .collect();
        assert_eq!(won.len(), 1, "{one:?} {two:?}");
        assert!(
            [one.status(), two.status()].contains(&412),
            "{one:?} {two:?}"
        );
        tag = won[0].etag();
        let content = alice.get("/a").await.body;
        assert_eq!(content[0], content[59], "never a mixture");
    }
}
