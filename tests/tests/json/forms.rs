//! `multipart/form-data`: what browsers and `curl -F` send.

use std::time::Duration;

use harness::{Answer, Dav, Setup, Wire, World, noise, sha256_hex};
use serde_json::json;

use crate::phrase::{ask, by_path, store};

const BOUNDARY: &str = "------------------------d74496d66958873e";

/// A form of files, as curl writes it.
fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    form
}

async fn post(who: &Dav, dir: &str, form: Vec<u8>) -> Answer {
    let target = format!("/api/v1{}", by_path("", dir).replace("path=", "dir="));
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = who.request_at("POST", &target);
    let request = request.header("Content-Type", &content_type);
    request.chunked(form).send().await
}

/// "Upload to a directory: the name comes from the upload."
#[tokio::test]
async fn b4_the_files_of_a_form_are_stored_under_their_names() {
    let world = World::start().await;
    let alice = world.alice();
    let old = store(&alice, "/in/old.txt", "old")
        .await
        .must_be(201)
        .json();
    let large = noise(1, 5_000_000);
    let files: [(&str, &[u8]); 4] = [
        ("old.txt", b"new"),
        ("gr\u{fc}\u{df}e 1.txt", b"\r\n--\r\n"),
        ("empty", b""),
        ("large.bin", &large),
    ];
    // Longer than what JSON may be.
    let stored = post(&alice, "/in/", form(&files)).await.must_be(201).json();
    let items = stored["items"].as_array().unwrap();
    assert_eq!(items.len(), files.len());
    for (item, (name, content)) in items.iter().zip(files) {
        assert_eq!(item["path"], format!("/in/{name}"));
        assert_eq!(item["sha256"], sha256_hex(content));
        assert!(alice.get(&format!("/in/{name}")).await == content.to_vec());
    }
    assert_eq!(items[0]["id"], old["id"]);
    // The folder is made as well.
    post(&alice, "/made/here", form(&files[..1]))
        .await
        .must_be(201);
    assert_eq!(alice.names("/made/here").await, ["old.txt"]);
}

#[tokio::test]
async fn a_form_that_is_none_stores_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    for name in ["", ".", "..", "../up.txt", "a/b.txt", "a\u{1}b"] {
        let refused = post(&alice, "/in", form(&[(name, b"x")])).await;
        assert_eq!(
            refused.must_be(422).json()["code"],
            "invalid_name",
            "{name}"
        );
    }
    post(&alice, "/in", form(&[])).await.must_be(422);
    let nameless = form(&[("a", b"x")]);
    let nameless = String::from_utf8(nameless).unwrap();
    let nameless = nameless.replace("; filename=\"a\"", "");
    post(&alice, "/in", nameless.into()).await.must_be(422);
    let mut broken = form(&[("a", b"x")]);
    broken.truncate(broken.len() - 10);
    post(&alice, "/in", broken).await.must_be(400);
    let target = "/api/v1/files?dir=/in";
    let json = alice.request_at("POST", target).json(&json!({}));
    json.send().await.must_be(415);
    assert!(alice.names("/").await.is_empty());
}

#[tokio::test]
async fn the_files_before_one_that_is_refused_stay_and_are_counted() {
    let world = World::start().await;
    let alice = world.alice();
    store(&alice, "/in/folder/a", "x").await.must_be(201);
    let files: [(&str, &[u8]); 3] = [("one", b"1"), ("folder", b"2"), ("three", b"3")];
    let refused = post(&alice, "/in", form(&files)).await.must_be(409).json();
    assert_eq!(refused["code"], "is_folder");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("folder") && detail.ends_with(": 1"),
        "{detail}"
    );
    assert_eq!(alice.names("/in").await, ["folder", "one"]);
}

/// A client that goes quiet is told why it is given up, by every door alike.
#[tokio::test]
async fn an_upload_that_stalls_is_408_and_leaves_nothing() {
    let setup = Setup::default().env("COFFER_SERVER_STALL_TIMEOUT", "1s");
    let world = setup.start().await;
    let alice = World::alice_user();
    let authorization = Wire::basic(&alice.name, &alice.password);
    let stalled = async |method: &str, target: &str, kind: &str| {
        let mut wire = world.wire().await;
        let head = [
            &format!("{method} {target} HTTP/1.1"),
            "Host: localhost",
            &format!("Authorization: {authorization}"),
            &format!("Content-Type: {kind}"),
            "Content-Length: 50000",
        ];
        assert!(wire.send_head(&head).await);
        assert!(wire.send("--limit\r\nsome of it").await);
        let answer = wire.answer().await.expect("an answer").must_be(408);
        assert_eq!(answer.json()["code"], "request_timeout");
        assert_eq!(answer.header("connection"), "close");
        assert!(wire.closed_within(Duration::from_secs(30)).await);
    };
    let (form, bytes) = ("multipart/form-data; boundary=limit", "text/plain");
    tokio::join!(
        stalled("PUT", "/dav/a.txt", bytes),
        stalled("PUT", "/api/v1/files/content?path=/a.txt", bytes),
        stalled("POST", "/api/v1/files?dir=/", form),
        stalled("POST", "/api/v1/store", bytes),
        stalled("POST", "/api/v1/store", form),
        stalled("POST", "/api/v1/dirs", "application/json"),
        stalled("PROPFIND", "/dav/", "application/xml"),
    );
    assert!(world.alice().names("/").await.is_empty());
    let usage = ask(&world.alice(), "GET", "/me/usage").await.must_be(200);
    assert_eq!(usage.json()["used_bytes"], 0);
}
