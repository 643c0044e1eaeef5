//! Reading: ranges, folders, and what a browser must not make of a user's file.

use harness::{Answer, Dav, World, noise};

async fn range(alice: &Dav, path: &str, range: &str) -> Answer {
    alice
        .request("GET", path)
        .header("Range", range)
        .send()
        .await
}

#[tokio::test]
async fn ranges_of_every_form_are_answered() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    for (asked, part, told) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
        ("bytes=-100", "0123456789", "bytes 0-9/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
    ] {
        let got = range(&alice, "/a.txt", asked).await.must_be(206);
        assert_eq!(got, part, "{asked}");
        assert_eq!(got.header("content-range"), told);
        assert_eq!(got.header("content-length"), part.len().to_string());
    }
    for asked in ["bytes=10-", "bytes=100-200", "bytes=-0"] {
        let got = range(&alice, "/a.txt", asked).await.must_be(416);
        assert_eq!(got.header("content-range"), "bytes */10");
    }
    // RFC 9110 §14.2: what is not a valid range is ignored.
    for asked in [
        "bytes=5-2",
        "bytes=a-b",
        "lines=0-3",
        "bytes",
        "bytes=18446744073709551616-",
    ] {
        range(&alice, "/a.txt", asked)
            .await
            .must_be_one_of(&[200, 416]);
    }
    alice.put("/empty.txt", "").await.must_be(201);
    range(&alice, "/empty.txt", "bytes=0-")
        .await
        .must_be_one_of(&[200, 416]);
    alice.get("/a.txt").await.must_be(200);
    assert_eq!(alice.head("/a.txt").await.header("accept-ranges"), "bytes");
}

#[tokio::test]
async fn a_range_may_lie_anywhere_in_a_large_file() {
    let world = World::start().await;
    let alice = world.alice();
    let content = noise(3, 9_000_000);
    alice.put("/large.bin", content.clone()).await.must_be(201);
    for (from, to) in [
        (0, 0),
        (16_383, 16_385),
        (1_000_000, 1_300_000),
        (4_194_303, 4_194_305),
        (3_000_000, 8_000_000),
        (8_999_999, 8_999_999),
    ] {
        let got = range(&alice, "/large.bin", &format!("bytes={from}-{to}"))
            .await
            .must_be(206);
        assert!(got.body == content[from..=to], "bytes {from}-{to}");
    }
}

#[tokio::test]
async fn several_ranges_come_as_one_multipart_answer() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    let got = range(&alice, "/a.txt", "bytes=0-1,4-5,-1")
        .await
        .must_be(206);
    let kind = got.header("content-type").to_owned();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap_or_default();
    assert!(!boundary.is_empty(), "{got:?}");
    let boundary = boundary.trim_matches('"');
    let text = got.text();
    assert_eq!(
        text.matches(&format!("--{boundary}\r\n")).count(),
        3,
        "{text}"
    );
    assert!(
        text.trim_end().ends_with(&format!("--{boundary}--")),
        "{text}"
    );
    for part in ["bytes 0-1/10\r\n", "bytes 4-5/10\r\n", "bytes 9-9/10\r\n"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(got.header("content-length"), got.body.len().to_string());
    // One range that cannot be met does not spoil the others.
    range(&alice, "/a.txt", "bytes=0-1,100-").await.must_be(206);
}

#[tokio::test]
async fn if_range_takes_a_tag_or_a_date() {
    let world = World::start().await;
    let alice = world.alice();
    let tag = alice.put("/a.txt", "0123456789").await.etag();
    let date = alice
        .head("/a.txt")
        .await
        .header("last-modified")
        .to_owned();
    for (value, status) in [
        (tag.as_str(), 206),
        (date.as_str(), 206),
        ("\"other\"", 200),
        ("Sat, 03 Feb 2001 04:05:06 GMT", 200),
        (&format!("W/{tag}"), 200),
    ] {
        let asked = alice.request("GET", "/a.txt").header("Range", "bytes=2-3");
        asked.header("If-Range", value).send().await.must_be(status);
    }
}

/// `SEMANTICS.md`: clients set times, so only the very same time is an unchanged file.
#[tokio::test]
async fn a_file_with_an_older_time_is_not_taken_for_the_one_before() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "new").await.must_be(201);
    let date = alice
        .head("/a.txt")
        .await
        .header("last-modified")
        .to_owned();
    let since = async || {
        let asked = alice.request("GET", "/a.txt");
        asked.header("If-Modified-Since", &date).send().await
    };
    since().await.must_be(304);
    let restored = alice
        .request("PUT", "/a.txt")
        .header("X-OC-Mtime", "981173106");
    restored.body("old").send().await.must_be(204);
    assert_eq!(since().await.must_be(200), "old");
}

#[tokio::test]
async fn head_tells_what_get_would_and_sends_no_body() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a b.txt", "0123456789").await.must_be(201);
    let (get, head) = (alice.get("/a b.txt").await, alice.head("/a b.txt").await);
    assert!(head.body.is_empty());
    let compared = [
        "content-length",
        "content-type",
        "etag",
        "last-modified",
        "accept-ranges",
    ];
    for name in compared {
        assert_eq!(get.header(name), head.header(name), "{name}");
        assert!(!head.header(name).is_empty(), "{name}");
    }
    alice.get("/missing.txt").await.must_be(404);
    alice.head("/missing.txt").await.must_be(404);
}

#[tokio::test]
async fn a_folder_is_a_small_page_with_its_members() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice
        .put("/folder/<script>alert(1)<!--.txt", "a")
        .await
        .must_be(201);
    alice
        .put("/folder/plain & \"simple\".txt", "a")
        .await
        .must_be(201);
    for path in ["/folder", "/folder/"] {
        alice.head(path).await.must_be(200);
        let page = alice.get(path).await.must_be(200);
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{page:?}"
        );
        let text = page.text();
        assert!(!text.contains("<script>alert"), "{text}");
        assert!(text.contains("plain%20"), "{text}");
    }
}

#[tokio::test]
async fn a_users_file_never_runs_in_our_origin() {
    let world = World::start().await;
    let alice = world.alice();
    for name in [
        "a.html",
        "a.svg",
        "a.xml",
        "a.xhtml",
        "a.pdf",
        "a.js",
        "a.txt",
        "a",
        "a.html.txt",
    ] {
        let path = format!("/{name}");
        alice
            .put(&path, "<script>alert(1)</script>")
            .await
            .must_be(201);
        for got in [alice.get(&path).await, alice.head(&path).await] {
            assert_eq!(got.header("x-content-type-options"), "nosniff", "{name}");
            assert!(
                got.header("content-security-policy").contains("sandbox"),
                "{got:?}"
            );
        }
    }
    for name in ["a.html", "a.svg", "a.xml", "a.xhtml"] {
        let got = alice.get(&format!("/{name}")).await;
        assert!(
            got.header("content-disposition").starts_with("attachment"),
            "{got:?}"
        );
    }
}

#[tokio::test]
async fn the_media_type_is_ours_and_not_the_uploaders() {
    let world = World::start().await;
    let alice = world.alice();
    let put = alice
        .request("PUT", "/note.txt")
        .header("Content-Type", "text/html")
        .body("x");
    put.send().await.must_be(201);
    let got = alice.get("/note.txt").await;
    assert!(
        got.header("content-type").starts_with("text/plain"),
        "{got:?}"
    );
    for (name, kind) in [("a.png", "image/png"), ("a.pdf", "application/pdf")] {
        alice.put(&format!("/{name}"), "x").await.must_be(201);
        let got = alice.get(&format!("/{name}")).await;
        assert!(got.header("content-type").starts_with(kind), "{got:?}");
    }
    alice.put("/unknown.zzz", "x").await.must_be(201);
    let got = alice.get("/unknown.zzz").await;
    assert_eq!(got.header("content-type"), "application/octet-stream");
}

#[tokio::test]
async fn a_digest_is_told_when_it_is_wanted() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "abc").await.must_be(201);
    let got = alice
        .request("GET", "/a.txt")
        .header("Want-Repr-Digest", "sha-256=1")
        .send()
        .await;
    let digest = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    assert_eq!(got.must_be(200).header("repr-digest"), digest);
}

#[tokio::test]
async fn private_content_is_not_for_shared_caches() {
    let world = World::start().await;
    world.alice().put("/a.txt", "a").await.must_be(201);
    let got = world.alice().get("/a.txt").await;
    let control = got.header("cache-control");
    assert!(
        control.contains("private") || control.contains("no-store"),
        "{got:?}"
    );
    assert!(
        !got.header("server").contains(|c: char| c.is_ascii_digit()),
        "{got:?}"
    );
}
