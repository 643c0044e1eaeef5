//! Limits, each at the limit and one past it.

use harness::{Answer, Dav, Setup, World, noise};

use crate::phrase::{EXCLUSIVE, authorization, by_hand};

async fn propfind(alice: &Dav, body: String) -> Answer {
    alice
        .request("PROPFIND", "/")
        .header("Depth", "0")
        .body(body)
        .send()
        .await
}

/// A PROPFIND body around `inside`.
fn asking(inside: &str) -> String {
    format!("<propfind xmlns=\"DAV:\"><prop>{inside}</prop></propfind>")
}

#[tokio::test]
async fn an_xml_body_has_64_kib() {
    let world = World::start().await;
    let alice = world.alice();
    let padded = |length: usize| {
        let body = asking("<resourcetype/>");
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    propfind(&alice, padded(64 * 1024)).await.must_be(207);
    propfind(&alice, padded(64 * 1024 + 1)).await.must_be(413);
    let chunked = alice.request("PROPFIND", "/").header("Depth", "0");
    chunked
        .chunked(padded(64 * 1024 + 1))
        .send()
        .await
        .must_be(413);
}

#[tokio::test]
async fn an_xml_body_is_32_elements_deep() {
    let world = World::start().await;
    let alice = world.alice();
    let deep = |depth: usize| {
        let inner = depth - 2;
        asking(&format!("{}{}", "<a>".repeat(inner), "</a>".repeat(inner)))
    };
    propfind(&alice, deep(32)).await.must_be(207);
    propfind(&alice, deep(33)).await.must_be_one_of(&[400, 413]);
}

#[tokio::test]
async fn an_xml_body_has_256_elements() {
    let world = World::start().await;
    let alice = world.alice();
    let wide = |count: usize| {
        let names: Vec<String> = (0..count - 2)
            .map(|number| format!("<p{number}/>"))
            .collect();
        let names = names.concat();
        asking(&names)
    };
    propfind(&alice, wide(256)).await.must_be(207);
    propfind(&alice, wide(257))
        .await
        .must_be_one_of(&[400, 413]);
}

#[tokio::test]
async fn a_property_has_32_kib_and_all_of_a_node_1_mib() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let set = async |number: usize, length: usize| {
        let value = "v".repeat(length);
        let property = format!("<x:p{number} xmlns:x=\"urn:x\">{value}</x:p{number}>");
        let patched = alice.proppatch("/a.txt", &property).await;
        match patched.status() {
            207 => patched
                .multistatus()
                .only()
                .status_of(&format!("{{urn:x}}p{number}")),
            status => status,
        }
    };
    // What is measured may include the property's own element.
    assert_eq!(set(0, 32 * 1024 - 200).await, 200);
    assert!([403, 413, 507].contains(&set(1, 32 * 1024 + 1).await));
    let mut stored = 32 * 1024 - 200;
    let mut refused = 0;
    for number in 2..40 {
        let status = set(number, 32_000).await;
        if status == 200 {
            stored += 32_000;
        } else {
            assert!([403, 507].contains(&status), "{status}");
            refused += 1;
        }
    }
    assert!(refused > 0, "all {stored} bytes were taken");
    assert!((900_000..=1024 * 1024).contains(&stored), "{stored}");
    alice.propfind("/a.txt", "0").await.must_be(207);
}

#[tokio::test]
async fn a_name_has_255_bytes() {
    let world = World::start().await;
    let alice = world.alice();
    let long = "n".repeat(255);
    alice.put(&format!("/{long}"), "x").await.must_be(201);
    alice.mkcol(&format!("/{}d", &long[1..])).await.must_be(201);
    alice
        .put(&format!("/{long}n"), "x")
        .await
        .must_be_one_of(&[400, 403, 414]);
    alice
        .mkcol(&format!("/{long}n"))
        .await
        .must_be_one_of(&[400, 403, 414]);
    alice
        .rename(&format!("/{long}"), &format!("/{long}n"))
        .await
        .must_be_one_of(&[400, 403, 414]);
    // Bytes, not letters.
    let umlauts = "\u{e4}".repeat(127);
    alice.put(&format!("/{umlauts}x"), "x").await.must_be(201);
    alice
        .put(&format!("/{umlauts}xx"), "x")
        .await
        .must_be_one_of(&[400, 403, 414]);
    assert_eq!(alice.get(&format!("/{long}")).await, "x");
}

#[tokio::test]
async fn a_path_has_4096_bytes_and_256_levels() {
    let world = World::start().await;
    let alice = world.alice();
    // 15 folders of 255 bytes and the slashes before them make 3,840.
    let folder = "f".repeat(255);
    let mut path = String::new();
    for _ in 0..15 {
        path = format!("{path}/{folder}");
        alice.mkcol(&path).await.must_be(201);
    }
    let rest = 4096 - path.len() - 1;
    alice
        .put(&format!("{path}/{}", "n".repeat(rest - 1)), "x")
        .await
        .must_be(201);
    alice
        .put(&format!("{path}/{}x", "n".repeat(rest)), "x")
        .await
        .must_be_one_of(&[400, 403, 414]);

    let mut path = String::new();
    for _ in 0..255 {
        path.push_str("/d");
        alice.mkcol(&path).await.must_be(201);
    }
    alice.put(&format!("{path}/file"), "x").await.must_be(201);
    alice.mkcol(&format!("{path}/d")).await.must_be(201);
    alice
        .put(&format!("{path}/d/file"), "x")
        .await
        .must_be_one_of(&[400, 403, 409, 414]);
    // Neither may a subtree be moved or copied below that.
    alice.mkcol("/tree").await.must_be(201);
    alice.mkcol("/tree/sub").await.must_be(201);
    for method in ["COPY", "MOVE"] {
        let to = format!("/dav{path}/tree");
        let asked = alice.request(method, "/tree").header("Destination", &to);
        asked.send().await.must_be_one_of(&[400, 403, 409, 414]);
    }
    alice.head("/tree/sub").await.must_be(200);
}

#[tokio::test]
async fn a_request_target_that_is_too_long_is_414() {
    let world = World::start().await;
    let target = format!("/dav/{}", "x/".repeat(12_000));
    let refused = by_hand(&world, "GET", &target, &[], b"").await;
    refused.must_be_one_of(&[400, 414, 431]);
    let target = format!("/dav/{}", "x".repeat(70_000));
    let refused = by_hand(&world, "GET", &target, &[], b"").await;
    refused.must_be_one_of(&[400, 414, 431]);
}

#[tokio::test]
async fn a_head_has_32_kib() {
    let world = World::start().await;
    let head = |length: usize| {
        let start = format!(
            "OPTIONS /dav/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n",
            authorization()
        );
        let rest = length - start.len() - "X-Padding: \r\n\r\n".len();
        format!("{start}X-Padding: {}\r\n\r\n", "p".repeat(rest))
    };
    let mut wire = world.wire().await;
    wire.send(head(32 * 1024)).await;
    wire.answer().await.unwrap().must_be(200);
    let mut wire = world.wire().await;
    wire.send(head(32 * 1024 + 1)).await;
    wire.answer().await.unwrap().must_be_one_of(&[400, 431]);
    let mut wire = world.wire().await;
    let many: Vec<String> = (0..10_000)
        .map(|number| format!("X-{number}: x\r\n"))
        .collect();
    let many = many.concat();
    wire.send(format!(
        "OPTIONS / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"
    ))
    .await;
    if let Some(refused) = wire.answer().await {
        refused.must_be_one_of(&[400, 431]);
    }
}

#[tokio::test]
async fn a_request_names_16_ranges() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.bin", noise(1, 10_000)).await.must_be(201);
    let ranges = |count: usize| {
        let list: Vec<String> = (0..count)
            .map(|at| format!("{}-{}", at * 10, at * 10))
            .collect();
        format!("bytes={}", list.join(","))
    };
    let get = async |range: &str| {
        alice
            .request("GET", "/a.bin")
            .header("Range", range)
            .send()
            .await
    };
    let answer = get(&ranges(16)).await.must_be(206);
    assert!(
        answer
            .header("content-type")
            .starts_with("multipart/byteranges"),
        "{answer:?}"
    );
    for range in [
        ranges(17),
        ranges(500),
        format!("bytes=0-{}", ",0-".repeat(600)),
    ] {
        let answer = get(&range).await.must_be_one_of(&[200, 400, 416]);
        assert!(answer.body.len() <= 10_000, "{} bytes", answer.body.len());
    }
}

#[tokio::test]
async fn the_operator_sets_other_limits() {
    let world = Setup::default()
        .env("COFFER_LIMITS_XML_BODY_BYTES", "2KiB")
        .env("COFFER_LIMITS_XML_DEPTH", "40")
        .env("COFFER_LIMITS_XML_ELEMENTS", "64")
        .env("COFFER_LIMITS_RANGES", "2")
        .env("COFFER_LIMITS_LOCK_MAX_AGE", "2h")
        .start()
        .await;
    let alice = world.alice();
    let nested = |depth: usize| asking(&("<a>".repeat(depth - 2) + &"</a>".repeat(depth - 2)));
    let many = |count: usize| asking(&"<a/>".repeat(count - 2));
    let long = |bytes: usize| {
        let body = asking("<a/>");
        " ".repeat(bytes - body.len()) + &body
    };
    for (allowed, refused, status) in [
        (nested(40), nested(41), 400),
        (many(64), many(65), 400),
        (long(2048), long(2049), 413),
    ] {
        propfind(&alice, allowed).await.must_be(207);
        propfind(&alice, refused).await.must_be(status);
    }
    alice.put("/a.txt", "0123456789").await.must_be(201);
    for (ranges, status) in [("bytes=0-1,4-5", 206), ("bytes=0-1,4-5,8-9", 200)] {
        let get = alice.request("GET", "/a.txt").header("Range", ranges);
        get.send().await.must_be(status);
    }
    let lock = alice
        .request("LOCK", "/a.txt")
        .header("Timeout", "Infinite");
    let lock = lock.xml(EXCLUSIVE).send().await.must_be(200);
    assert!(lock.text().contains("Second-7200"), "{}", lock.text());
}

#[tokio::test]
async fn a_user_holds_a_thousand_locks() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/locks").await.must_be(201);
    for number in 0..1000 {
        let path = format!("/locks/{number}");
        let lock = alice
            .request("LOCK", &path)
            .header("Timeout", "Infinite")
            .xml(EXCLUSIVE);
        lock.send().await.must_be(201);
    }
    let refused = alice.lock("/locks/1000").await;
    refused.must_be(507);
    // Others are not touched by it.
    world.bob().lock("/a.txt").await.must_be(201);
}

#[tokio::test]
async fn a_resource_is_under_sixteen_locks_at_most() {
    const SHARED: &str = "<lockinfo xmlns='DAV:'><lockscope><shared/></lockscope>\
        <locktype><write/></locktype></lockinfo>";
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/a").await.must_be(201);
    alice.mkcol("/a/b").await.must_be(201);
    let lock = async |path: &str| alice.request("LOCK", path).xml(SHARED).send().await;
    for _ in 0..8 {
        lock("/a/b").await.must_be(200);
    }
    for _ in 0..8 {
        lock("/a").await.must_be(200);
    }
    for path in ["/a/b", "/a", "/"] {
        lock(path).await.must_be(507);
    }
    lock("/c.txt").await.must_be(201);
    let lock = async |owner_bytes: usize| {
        let body = EXCLUSIVE.replace("Office", &"x".repeat(owner_bytes));
        alice.request("LOCK", "/d.txt").xml(&body).send().await
    };
    lock(1024).await.must_be(413);
    lock(900).await.must_be(201);
}

#[tokio::test]
async fn a_user_has_64_uploads_at_once() {
    let world = World::start().await;
    let start = |number: usize| {
        format!(
            "PUT /dav/{number}.bin HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\
             Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n",
            authorization()
        )
    };
    let mut open = Vec::new();
    for number in 0..64 {
        let mut wire = world.wire().await;
        wire.send(start(number)).await;
        wire.answer().await.unwrap().must_be(100);
        open.push(wire);
    }
    let mut late = world.wire().await;
    late.send(start(64)).await;
    late.answer().await.unwrap().must_be_one_of(&[429, 503]);
    let content = noise(1, 100_000);
    for wire in &mut open {
        wire.send(&content).await;
        wire.answer().await.unwrap().must_be(201);
    }
    world.alice().put("/64.bin", content).await.must_be(201);
}
