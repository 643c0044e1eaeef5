//! Requests that are wrong: 4xx with a body that says what is wrong, and nothing changes.

use std::time::Duration;

use harness::{Answer, World};

use crate::phrase::{authorization, by_hand};

#[track_caller]
fn explains(answer: Answer, expected: &[u16]) {
    let answer = answer.must_be_one_of(expected);
    assert!(!answer.body.is_empty(), "says nothing\n{answer:?}");
}

#[tokio::test]
async fn wrong_header_values_are_explained() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for (method, name, value, expected) in [
        ("PROPFIND", "Depth", "7", 400),
        ("COPY", "Destination", "", 400),
        ("COPY", "Destination", "no path", 400),
        ("MOVE", "Destination", "/elsewhere/x", 502),
        ("COPY", "Overwrite", "X", 400),
        ("PUT", "If", "((", 400),
        ("PUT", "Content-Range", "nonsense", 400),
        ("PUT", "OC-Checksum", "SHA1:zz", 400),
        ("PUT", "X-OC-Mtime", "yesterday", 400),
        ("PUT", "Repr-Digest", "sha-256=nonsense", 400),
        ("UNLOCK", "Lock-Token", "", 400),
    ] {
        let asked = alice.request(method, "/a.txt").header(name, value);
        let asked = match method {
            "COPY" | "MOVE" if name != "Destination" => asked.header("Destination", "/dav/b.txt"),
            "PUT" => asked.body("changed"),
            _ => asked,
        };
        explains(asked.send().await, &[expected]);
    }
    assert_eq!(alice.get("/a.txt").await, "a");
    assert_eq!(alice.names("/").await, ["a.txt"]);
}

#[tokio::test]
async fn wrong_dates_are_passed_over() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for date in [
        "yesterday",
        "",
        "Sat, 99 Feb 2001 99:99:99 GMT",
        "2001-02-03",
    ] {
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            let asked = alice.request("GET", "/a.txt").header(name, date);
            asked.send().await.must_be(200);
        }
    }
    let set = "<D:getlastmodified>yesterday</D:getlastmodified>";
    let patched = alice.proppatch("/a.txt", set).await.multistatus();
    assert!([403, 409].contains(&patched.only().status_of("{DAV:}getlastmodified")));
}

#[tokio::test]
async fn names_that_cannot_be_are_explained() {
    let world = World::start().await;
    for target in [
        "/dav/a%00b",
        "/dav/%FF",
        "/dav/a%2Fb",
        "/dav/%zz",
        "/dav/a%07b",
    ] {
        explains(by_hand(&world, "PUT", target, &[], b"x").await, &[400]);
    }
    let long = format!("/dav/{}", "n".repeat(256));
    explains(
        by_hand(&world, "PUT", &long, &[], b"x").await,
        &[400, 403, 414],
    );
}

#[tokio::test]
async fn refusals_carry_the_condition_that_failed() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    explains(alice.get("/missing").await, &[404]);
    explains(alice.put("/missing/a.txt", "a").await, &[409]);
    explains(alice.mkcol("/a.txt").await, &[405]);
    explains(alice.put_if_match("/a.txt", "x", "\"other\"").await, &[412]);
    explains(alice.propfind("/", "infinity").await, &[403]);
    explains(alice.rename("/a.txt", "/a.txt").await, &[403]);
    for answer in [
        alice.get("/missing").await,
        alice.put("/missing/a.txt", "a").await,
    ] {
        let text = answer.text();
        for secret in ["sqlite", "rusqlite", "SELECT", "panicked", ".rs:", "/tmp/"] {
            assert!(!text.contains(secret), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let world = World::start().await;
    world
        .alice()
        .put("/victim.txt", "still here")
        .await
        .must_be(201);
    let start = format!(
        "PUT /dav/a.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n",
        authorization()
    );
    let smuggled = format!(
        "DELETE /dav/victim.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\r\n",
        authorization()
    );
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: 5, 5, 6\r\n\r\nhello",
        "Content-Length: 99999999999999999999999\r\n\r\nhello",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "Content-Length : 5\r\n\r\nhello",
        "X-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
        "X-Null: a\0b\r\nContent-Length: 5\r\n\r\nhello",
        "X-Return: a\rb\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let mut wire = world.wire().await;
        wire.send(format!("{start}{framing}{smuggled}")).await;
        if let Some(answer) = wire.answer().await {
            assert!(
                (400..502).contains(&answer.status()),
                "{framing:?}: {answer:?}"
            );
        }
        assert!(
            wire.closed_within(Duration::from_secs(30)).await,
            "{framing:?}: left open"
        );
    }
    let alice = world.alice();
    assert_eq!(alice.get("/victim.txt").await, "still here");
    assert_eq!(alice.names("/").await, ["victim.txt"]);
}

#[tokio::test]
async fn what_is_not_http_gets_an_end() {
    let world = World::start().await;
    for line in [
        "nonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET /dav/ HTTP/9.9\r\n\r\n",
        "GET /dav/ HTTP/1.1\r\n\r\n",
        "GET /dav/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET dav HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n",
    ] {
        let mut wire = world.wire().await;
        wire.send(line).await;
        wire.finish().await;
        if let Some(answer) = wire.answer().await {
            assert!(
                (400..=505).contains(&answer.status()),
                "{line:?}: {answer:?}"
            );
        }
    }
    world.alice().propfind("/", "0").await.must_be(207);
}

#[tokio::test]
async fn secrets_and_control_characters_do_not_reach_the_log() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let agent = "evil\u{1b}[31m\"}{\"";
    alice
        .request("GET", "/a.txt")
        .header("User-Agent", "x\u{9}y")
        .send()
        .await
        .must_be(200);
    by_hand(
        &world,
        "GET",
        "/dav/a%0A%1B%22.txt",
        &[("X-Agent", agent)],
        b"",
    )
    .await;
    let password = World::alice_user().password;
    let encoded = authorization();
    let encoded = encoded.trim_start_matches("Basic ");
    let log = world.log();
    assert!(
        !log.contains(&password) && !log.contains(encoded),
        "a password is logged"
    );
    assert!(!log.contains('\u{1b}'), "a control character is logged");
    for line in log.lines().filter(|line| line.contains("\"method\"")) {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
}
