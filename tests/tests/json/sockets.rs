//! Live notices (A9) as sockets: who may open one, what may not be said, and how they end.

use std::time::Duration;

use harness::{Credential, Dav, Setup, Socket, Wire, World};
use serde_json::{Value, json};

use crate::events::{EVENTS, Heard, alice, line_of, open};
use crate::phrase::{ask, tokens};

async fn refused(world: &World, lines: &[String]) -> (u16, Value) {
    refused_at(world, EVENTS, lines).await
}

async fn refused_at(world: &World, target: &str, lines: &[String]) -> (u16, Value) {
    match Socket::open(world.address(), target, lines).await {
        Ok(_) => panic!("it was opened by {lines:?}"),
        Err(answer) => (answer.status(), answer.json()["code"].clone()),
    }
}

#[tokio::test]
async fn a9_every_credential_opens_it_and_no_other_site() {
    let world = World::start().await;
    let host = world.address().strip_prefix("http://").expect("plain HTTP");
    let tokens = tokens(&world.anonymous(), &World::alice_user()).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let cookie = format!("Cookie: coffer_token={token}");
    let offered = format!("Sec-WebSocket-Protocol: coffer.v1, bearer.{token}");
    let header = format!("Authorization: Bearer {token}");
    let (ours, theirs) = (
        "Origin: http://localhost".to_owned(),
        "Origin: http://evil.example".to_owned(),
    );
    for lines in [
        vec![alice()],
        vec![header.clone()],
        vec![header.clone(), ours.clone()],
        vec![offered.clone()],
        vec![offered.clone(), ours.clone()],
        vec![cookie.clone(), ours.clone()],
        vec![
            cookie.clone(),
            ours.clone(),
            "Sec-Fetch-Site: same-origin".into(),
        ],
    ] {
        let opened = Socket::open(world.address(), EVENTS, &lines).await;
        let mut socket = opened.unwrap_or_else(|answer| panic!("{lines:?}: {answer:?}"));
        assert_eq!(socket.next().await.expect("a message")["type"], "ready");
    }
    for lines in [
        vec![cookie.clone()],
        vec![cookie.clone(), theirs.clone()],
        vec![cookie.clone(), "Origin: null".into()],
        vec![
            cookie.clone(),
            ours.clone(),
            "Sec-Fetch-Site: cross-site".into(),
        ],
        vec![
            cookie.clone(),
            format!("Origin: http://{host}.evil.example"),
        ],
        vec![alice(), theirs.clone()],
        vec![header.clone(), theirs.clone()],
        vec![offered.clone(), theirs.clone()],
    ] {
        let answer = refused(&world, &lines).await;
        assert_eq!(answer, (403, json!("cross_site")), "{lines:?}");
    }
    for lines in [
        vec![],
        vec![ours.clone()],
        vec![header.clone(), offered.clone()],
        vec![format!("{header}x")],
        vec!["Sec-WebSocket-Protocol: coffer.v1, bearer.x.y.z".into()],
        vec![line_of(&Credential::Basic {
            user: "alice".into(),
            password: "wrong".into(),
        })],
    ] {
        assert_eq!(refused(&world, &lines).await.0, 401, "{lines:?}");
    }
    for name in ["token", "access_token", "authorization"] {
        let target = format!("{EVENTS}?{name}={token}");
        assert_eq!(refused_at(&world, &target, &[]).await.0, 401, "{name}");
        let answer = refused_at(&world, &target, std::slice::from_ref(&header)).await;
        assert_eq!(answer, (400, json!("invalid_query")), "{name}");
    }
}

#[tokio::test]
async fn a9_what_is_no_websocket_is_told_so() {
    let world = World::start().await;
    let plain = ask(&world.alice(), "GET", "/events").await.must_be(426);
    assert_eq!(plain.header("upgrade"), "websocket");
    assert_eq!(plain.header("sec-websocket-version"), "13");
    assert_eq!(plain.json()["code"], "upgrade_required");
    ask(&world.anonymous(), "GET", "/events").await.must_be(401);
    ask(&world.alice(), "POST", "/events").await.must_be(405);
    let head = Socket::head(EVENTS);
    for (line, instead, status) in [
        (2, "Connection: close", 426),
        (3, "Upgrade: h2c", 426),
        (4, "Sec-WebSocket-Version: 8", 426),
        (5, "Sec-WebSocket-Key: short", 400),
        (5, "X-No: key", 400),
        (0, "GET /api/v1/events HTTP/1.0", 426),
        (0, "HEAD /api/v1/events HTTP/1.1", 426),
    ] {
        let mut head = head.clone();
        instead.clone_into(&mut head[line]);
        head.push(alice());
        let lines: Vec<&str> = head.iter().map(String::as_str).collect();
        let mut wire = world.wire().await;
        wire.send_head(&lines).await;
        let answer = if instead.starts_with("HEAD") {
            wire.answer_to_head().await
        } else {
            wire.answer().await
        };
        answer.expect("an answer").must_be(status);
    }
    for since in ["", "7", "AAAA", "%00", "x".repeat(5000).as_str()] {
        let target = format!("{EVENTS}?since={since}");
        let answer = refused_at(&world, &target, &[alice()]).await;
        assert_eq!(answer, (400, json!("invalid_query")), "{since}");
    }
}

/// A frame with these first two bytes, a mask of zeros and this content.
fn frame(first: u8, length: u8, content: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | length], &[0; 4][..], content].concat()
}

#[tokio::test]
async fn a9_what_clients_may_not_say_ends_it() {
    let world = World::start().await;
    let long = |length: u16| [&[0x81, 0xFE][..], &length.to_be_bytes(), &[0; 4]].concat();
    let huge = [&[0x81, 0xFF][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    // 100 fragments of 125 bytes are longer than any message may be.
    let mut fragments = frame(0x01, 125, &[b'x'; 125]);
    for _ in 0..100 {
        fragments.extend(frame(0x00, 125, &[b'x'; 125]));
    }
    for (what, bytes, code) in [
        ("a text", frame(0x81, 5, b"hello"), 1003),
        ("bytes", frame(0x82, 5, b"hello"), 1003),
        ("no mask", b"\x81\x05hello".to_vec(), 1002),
        ("a reserved bit", frame(0xC1, 5, b"hello"), 1002),
        ("an unknown kind", frame(0x83, 0, b""), 1002),
        ("a continuation of nothing", frame(0x80, 5, b"hello"), 1002),
        ("a ping in parts", frame(0x09, 0, b""), 1002),
        (
            "a long ping",
            [&[0x89, 0xFE, 0x00, 0x7E, 0, 0, 0, 0][..], &[0; 126]].concat(),
            1002,
        ),
        ("no UTF-8", frame(0x81, 2, b"\xC3\x28"), 1007),
        ("4097 bytes", [long(4097), vec![b'x'; 4097]].concat(), 1009),
        ("the promise of much", huge, 1009),
        ("many fragments", fragments, 1009),
    ] {
        let mut socket = open(world.address(), None, &alice()).await;
        socket.send_raw(&bytes).await;
        assert_eq!(socket.end().await, Some(code), "{what}");
    }
    // Pings may be sent, and are answered.
    let mut socket = open(world.address(), None, &alice()).await;
    socket.next_of("quota").await;
    let mut pinged = frame(0x89, 2, b"hi");
    pinged.extend(frame(0x88, 2, &1000u16.to_be_bytes()));
    socket.send_raw(&pinged).await;
    assert_eq!(socket.end().await, Some(1000));
    assert_eq!(socket.pongs, [b"hi"]);
    world.alice().put("/a.txt", "still well").await.must_be(201);
}

#[tokio::test]
async fn a9_sockets_are_counted() {
    let world = Setup::default()
        .env("COFFER_LIMITS_SOCKETS_PER_USER", "2")
        .env("COFFER_LIMITS_SOCKETS", "3")
        .start()
        .await;
    let bob = line_of(&World::bob_user().credential());
    let first = open(world.address(), None, &alice()).await;
    let second = open(world.address(), None, &alice()).await;
    let limit = (429, json!("limit_exceeded"));
    assert_eq!(refused(&world, &[alice()]).await, limit);
    let third = open(world.address(), None, &bob).await;
    let full = (503, json!("unavailable"));
    assert_eq!(refused(&world, std::slice::from_ref(&bob)).await, full);
    // One that is closed, and one that is only gone, give their places back.
    first.close().await;
    drop(second);
    let patience = Duration::from_secs(30);
    harness::until("both places are free", patience, async || {
        let lines = [alice()];
        let one = Socket::open(world.address(), EVENTS, &lines).await;
        let other = Socket::open(world.address(), EVENTS, &lines).await;
        one.is_ok() && other.is_ok()
    })
    .await;
    drop(third);
}

/// Connections that became sockets are still connections, with their limit.
#[tokio::test]
async fn a9_sockets_are_connections_too() {
    let world = Setup::default()
        .env("COFFER_SERVER_CONNECTIONS_PER_ADDRESS", "3")
        .start()
        .await;
    let socket = open(world.address(), None, &alice()).await;
    let second = open(world.address(), None, &alice()).await;
    let third = open(world.address(), None, &alice()).await;
    let mut wire = world.wire().await;
    assert!(wire.closed_within(Duration::from_secs(30)).await);
    drop((second, third));
    let patience = Duration::from_secs(30);
    harness::until("there is room again", patience, async || {
        let mut wire = world.wire().await;
        wire.send_head(&["GET /healthz HTTP/1.1", "Host: a"]).await;
        wire.answer()
            .await
            .is_some_and(|answer| answer.status() == 200)
    })
    .await;
    drop(socket);
}

#[tokio::test]
async fn a9_the_end_of_the_server_ends_them_in_good_order() {
    let mut world = World::start().await;
    let mut socket = open(world.address(), None, &alice()).await;
    let mut heard = Heard::default();
    heard.note(&socket.next().await.expect("a first message"));
    // Panics unless it ends well, though nobody closes this one.
    let silent = open(world.address(), None, &alice()).await;
    world.restart().await;
    assert_eq!(socket.next_of("ended").await["reason"], "server_stopping");
    assert_eq!(socket.end().await, Some(1001));
    drop(silent);
    world.alice().put("/a.txt", "x").await.must_be(201);
    let mut socket = open(world.address(), Some(&heard.cursor), &alice()).await;
    heard.listen(&mut socket, 1).await;
}

/// A client that reads nothing costs bounded memory, and is given up in the end.
#[tokio::test]
async fn a9_who_takes_nothing_is_closed_and_costs_nothing() {
    const CHANGES: usize = 2000;
    let world = Setup::default()
        .env("COFFER_SERVER_STALL_TIMEOUT", "5s")
        .env("COFFER_LIMITS_SOCKETS_PER_USER", "2")
        .start()
        .await;
    let dav = world.alice();
    // Long names make long notices.
    let mut folder = String::new();
    for _ in 0..14 {
        folder = format!("{folder}/{}", "x".repeat(250));
        dav.request("MKCOL", &folder).send().await.must_be(201);
    }
    let (narrow, lines) = (Wire::connect_narrow(world.address()).await, [alice()]);
    let silent = Socket::open_on(narrow, EVENTS, &lines)
        .await
        .expect("it opens");
    let mut reader = open(world.address(), None, &alice()).await;
    let mut heard = Heard::default();
    world.daemon().forget_peak();
    let before = world.daemon().resident_bytes();
    let write = async |dav: Dav, writer: usize| {
        for number in 0..CHANGES / 8 {
            let path = format!("{folder}/{writer}-{}", number % 4);
            dav.put(&path, format!("{number}"))
                .await
                .must_be_one_of(&[201, 204]);
        }
    };
    let writers = (0..8).map(|writer| write(dav.clone(), writer));
    let (_, ()) = tokio::join!(
        futures_util::future::join_all(writers),
        heard.listen(&mut reader, CHANGES),
    );
    let grown = world.daemon().peak_bytes().saturating_sub(before);
    eprintln!(
        "{CHANGES} changes, {} MB of notices: {} MB more memory",
        CHANGES * 3600 / 1_000_000,
        grown >> 20
    );
    assert!(grown < 64 << 20, "{grown} bytes more");
    // It is given up, although nobody closes it: its place is free again.
    harness::until("its place is free", Duration::from_mins(1), async || {
        let opened = Socket::open(world.address(), EVENTS, &lines).await;
        opened.is_ok()
    })
    .await;
    drop(silent);
}
