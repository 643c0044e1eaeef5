//! Uploads that several requests bring, in the words of tus 1.0.

mod course;
mod shared;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use harness::{Answer, Dav, Request, Setup, Wire, World, noise, sha256_hex, until};
use serde_json::{Value, json};

use crate::phrase::{ask, by_path, send};

const MIB: usize = 1 << 20;
const OCTETS: (&str, &str) = ("Content-Type", "application/offset+octet-stream");
const PATIENCE: Duration = Duration::from_secs(30);

fn tus(who: &Dav, method: &str, target: &str) -> Request {
    who.request_at(method, target)
        .header("Tus-Resumable", "1.0.0")
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(key, value)| format!("{key} {}", STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

fn beginning(who: &Dav, path: &str, length: usize) -> Request {
    tus(who, "POST", "/api/v1/uploads")
        .header("Upload-Length", &length.to_string())
        .header("Upload-Metadata", &metadata(&[("path", path)]))
}

/// Begins an upload; its address.
async fn begin(who: &Dav, path: &str, length: usize) -> String {
    let begun = beginning(who, path, length).send().await.must_be(201);
    begun.header("location").to_owned()
}

/// Begins an upload of three bytes; its id.
pub async fn begin_small(who: &Dav, name: &str) -> String {
    let at = begin(who, &format!("/{name}"), 3).await;
    at.rsplit('/').next().expect("an id").to_owned()
}

async fn append(who: &Dav, at: &str, offset: usize, bytes: impl Into<Bytes>) -> Answer {
    tus(who, "PATCH", at)
        .headers(&[OCTETS, ("Upload-Offset", &offset.to_string())])
        .body(bytes)
        .send()
        .await
}

async fn head(who: &Dav, at: &str) -> Answer {
    tus(who, "HEAD", at).send().await
}

async fn offset(who: &Dav, at: &str) -> usize {
    let answer = head(who, at).await.must_be(204);
    answer.header("upload-offset").parse().expect("a number")
}

async fn show(who: &Dav, at: &str) -> Value {
    let path = at.strip_prefix("/api/v1").expect("an address of the API");
    ask(who, "GET", path).await.must_be(200).json()
}

/// Used and reserved bytes.
async fn charged(who: &Dav) -> (u64, u64) {
    let usage = ask(who, "GET", "/me/usage").await.must_be(200).json();
    let number = |name: &str| usage[name].as_u64().expect("a number");
    (number("used_bytes"), number("reserved_bytes"))
}

/// Begins a PATCH by hand, and sends the first of its bytes.
async fn begin_by_hand(world: &World, at: &str, from: usize, length: usize, sent: &[u8]) -> Wire {
    let alice = World::alice_user();
    let mut wire = world.wire().await;
    let lines = [
        format!("PATCH {at} HTTP/1.1"),
        "Host: localhost".to_owned(),
        format!(
            "Authorization: {}",
            Wire::basic(&alice.name, &alice.password)
        ),
        "Tus-Resumable: 1.0.0".to_owned(),
        format!("{}: {}", OCTETS.0, OCTETS.1),
        format!("Upload-Offset: {from}"),
        format!("Content-Length: {length}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert!(wire.send_head(&lines).await);
    assert!(wire.send(sent).await);
    wire
}

async fn assert_sound(world: &World) {
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

/// "Upload to a full path: missing directories are created, an existing file is replaced and keeps
/// its id." And an upload goes on after a restart.
#[tokio::test]
async fn b4_resumable_upload_becomes_the_file_that_a_put_would_have_made() {
    let mut world = Setup::default()
        .env("COFFER_VERSIONS_MOST", "0")
        .start()
        .await;
    for size in [1, 10_000, 100_000, 5 * MIB + 1, 21 * MIB] {
        let content = noise(200, size);
        let alice = world.alice();
        alice
            .put("/whole.bin", content.clone())
            .await
            .must_be_one_of(&[201, 204]);
        let before = world.blobs();
        let at = begin(&alice, "/new/folder/parts.bin", size).await;
        let half = size / 2;
        let first = append(&alice, &at, 0, content[..half].to_vec()).await;
        assert_eq!(first.must_be(204).header("upload-offset"), half.to_string());
        alice
            .get("/new/folder/parts.bin")
            .await
            .must_be_one_of(&[404, 200]);
        world.restart().await;
        let alice = world.alice();
        assert_eq!(offset(&alice, &at).await, half);
        assert_eq!(show(&alice, &at).await["state"], "receiving");
        let last = append(&alice, &at, half, content[half..].to_vec()).await;
        let last = last.must_be(204);
        assert_eq!(last.header("upload-offset"), size.to_string());
        assert_eq!(last.etag(), format!("\"{}\"", sha256_hex(&content)));
        let stored = ask(&alice, "GET", &by_path("", "/new/folder/parts.bin")).await;
        let stored = stored.must_be(200).json();
        assert_eq!(stored["id"], last.header("coffer-file-id"));
        assert_eq!(stored["etag"], last.etag());
        assert!(alice.get("/new/folder/parts.bin").await == content);
        assert_eq!(world.blobs(), before, "the very same chunks");
        let upload = show(&alice, &at).await;
        assert_eq!(upload["state"], "stored");
        assert_eq!(upload["file"]["id"], stored["id"]);
        assert_eq!(charged(&alice).await, (2 * size as u64, 0));
        // Whoever missed the last answer learns it now.
        let told = head(&alice, &at).await.must_be(204);
        assert_eq!(told.header("coffer-file-id"), last.header("coffer-file-id"));
    }
    assert_sound(&world).await;
}

#[tokio::test]
async fn b4_resumable_upload_speaks_tus() {
    let world = World::start().await;
    let (alice, bob, anyone) = (world.alice(), world.bob(), world.anonymous());
    let at = begin(&alice, "/a", 10).await;
    for target in ["/api/v1/uploads", &at] {
        let able = anyone
            .request_at("OPTIONS", target)
            .send()
            .await
            .must_be(204);
        assert_eq!(able.header("tus-version"), "1.0.0");
        assert_eq!(able.header("tus-resumable"), "1.0.0");
        assert_eq!(
            able.header("tus-extension"),
            "checksum,creation,creation-with-upload,expiration,termination"
        );
        assert_eq!(able.header("tus-checksum-algorithm"), "sha1,sha256,md5");
        assert!(!able.header("tus-max-size").is_empty());
    }
    let told = head(&alice, &at).await.must_be(204);
    assert_eq!(told.header("upload-offset"), "0");
    assert_eq!(told.header("upload-length"), "10");
    assert_eq!(told.header("upload-metadata"), metadata(&[("path", "/a")]));
    assert_eq!(told.header("cache-control"), "no-store");
    assert_eq!(told.header("tus-resumable"), "1.0.0");
    assert!(told.header("upload-expires").ends_with(" GMT"));

    for version in [None, Some("0.2.2")] {
        for (method, target) in [("POST", "/api/v1/uploads"), ("PATCH", &at), ("HEAD", &at)] {
            let request = alice.request_at(method, target);
            let request = match version {
                Some(version) => request.header("Tus-Resumable", version),
                None => request,
            };
            let refused = request.send().await.must_be(412);
            assert_eq!(refused.header("tus-version"), "1.0.0");
        }
    }
    for (name, value, status, code) in [
        ("Content-Type", "text/plain", 415, "unsupported_media_type"),
        ("Upload-Offset", "1", 409, "offset_mismatch"),
        ("Upload-Offset", "-1", 400, "bad_request"),
        ("Upload-Checksum", "crc32 AAAA", 400, "bad_request"),
    ] {
        let mut fields = vec![OCTETS, ("Upload-Offset", "0")];
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        let request = tus(&alice, "PATCH", &at).headers(&fields);
        let refused = request.body("x").send().await.must_be(status);
        assert_eq!(refused.json()["code"], code, "{name}: {value}");
    }
    append(&alice, &at, 0, "12345678901").await.must_be(400);
    for (name, value, status) in [
        ("Upload-Length", "", 400),
        ("Upload-Length", "ten", 400),
        ("Upload-Length", "9007199254740993", 413),
        ("Upload-Defer-Length", "1", 400),
        ("Upload-Metadata", "path !", 400),
        ("Upload-Metadata", "path", 409),
        ("Upload-Metadata", "filetype dGV4dA==", 422),
        ("Upload-Metadata", "filename", 422),
        ("Upload-Metadata", &metadata(&[("path", "/b/")]), 409),
    ] {
        let request = tus(&alice, "POST", "/api/v1/uploads").header(name, value);
        let request = match name {
            "Upload-Metadata" => request.header("Upload-Length", "1"),
            "Upload-Defer-Length" => request,
            _ => request.header("Upload-Metadata", &metadata(&[("path", "/b")])),
        };
        request.send().await.must_be(status);
    }
    // Nobody else's.
    for who in [&bob, &anyone] {
        let status = if who.address() == bob.address() {
            &[404, 401][..]
        } else {
            &[401]
        };
        head(who, &at).await.must_be_one_of(status);
        append(who, &at, 0, "x").await.must_be_one_of(status);
        tus(who, "DELETE", &at).send().await.must_be_one_of(status);
        let path = at.strip_prefix("/api/v1").unwrap();
        ask(who, "GET", path).await.must_be_one_of(status);
        send(who, "POST", &format!("{path}/commit"), json!({}))
            .await
            .must_be_one_of(status);
    }
    assert_eq!(
        ask(&bob, "GET", "/uploads").await.json()["items"],
        json!([])
    );
    head(&alice, "/api/v1/uploads/nonsense").await.must_be(404);

    // For clients that can only POST.
    let at = begin(&alice, "/c", 3).await;
    let overridden =
        |method: &'static str| tus(&alice, "POST", &at).header("X-HTTP-Method-Override", method);
    let request = overridden("PATCH").headers(&[OCTETS, ("Upload-Offset", "0")]);
    request.body("ab").send().await.must_be(204);
    let told = overridden("HEAD").send().await.must_be(204);
    assert_eq!(told.header("upload-offset"), "2");
    overridden("PUT").send().await.must_be(400);
    overridden("DELETE").send().await.must_be(204);
    head(&alice, &at).await.must_be(404);
}

#[tokio::test]
async fn b4_resumable_upload_brings_bytes_with_its_creation() {
    let world = World::start().await;
    let alice = world.alice();
    let content = noise(201, 3 * MIB);
    let request = beginning(&alice, "/a.bin", content.len()).headers(&[OCTETS]);
    let begun = request
        .body(content[..MIB].to_vec())
        .send()
        .await
        .must_be(201);
    assert_eq!(begun.header("upload-offset"), MIB.to_string());
    let at = begun.header("location").to_owned();
    append(&alice, &at, MIB, content[MIB..].to_vec())
        .await
        .must_be(204);
    assert!(alice.get("/a.bin").await == content);

    let request = beginning(&alice, "/b.bin", content.len()).headers(&[OCTETS]);
    let whole = request.body(content.clone()).send().await.must_be(201);
    assert_eq!(whole.etag(), format!("\"{}\"", sha256_hex(&content)));
    assert!(alice.get("/b.bin").await == content);
    let empty = beginning(&alice, "/empty", 0).send().await.must_be(201);
    assert!(!empty.header("coffer-file-id").is_empty());
    assert!(alice.get("/empty").await == Vec::new());

    // By the name of the local file, in a folder by its id.
    alice.mkcol("/docs").await.must_be(201);
    let folder = ask(&alice, "GET", "/files?path=/docs").await.json()["folder"]["id"].clone();
    let words = metadata(&[
        ("filename", "w\u{f6}rter.txt"),
        ("dir", folder.as_str().unwrap()),
        ("modified_at", "2001-02-03T04:05:06Z"),
        ("sha256", &sha256_hex(b"words")),
        ("filetype", "text/plain"),
    ]);
    alice.rename("/docs", "/papers").await.must_be(201);
    let request = tus(&alice, "POST", "/api/v1/uploads").headers(&[
        OCTETS,
        ("Upload-Length", "5"),
        ("Upload-Metadata", &words),
    ]);
    request.body("words").send().await.must_be(201);
    let file = ask(&alice, "GET", &by_path("", "/papers/w\u{f6}rter.txt")).await;
    assert_eq!(
        file.must_be(200).json()["modified_at"],
        "2001-02-03T04:05:06.000Z"
    );
}

#[tokio::test]
async fn b4_resumable_upload_takes_bytes_from_one_request_at_a_time() {
    let world = World::start().await;
    let alice = world.alice();
    let content = noise(203, 5 * MIB);
    let at = begin(&alice, "/a.bin", content.len()).await;
    let begun = show(&alice, &at).await["expires_at"].clone();
    let wire = begin_by_hand(&world, &at, 0, content.len(), &content[..3 * MIB]).await;
    // Which makes it wait for another day.
    until("the first has its turn", PATIENCE, || async {
        show(&alice, &at).await["expires_at"] != begun
    })
    .await;
    let busy = append(&alice, &at, 0, content.clone()).await.must_be(423);
    assert_eq!(busy.json()["code"], "upload_busy");
    // Who asks how far it is has given up on the first.
    let kept = offset(&alice, &at).await;
    assert!(kept <= 3 * MIB);
    let last = append(&alice, &at, kept, content[kept..].to_vec()).await;
    assert_eq!(
        last.must_be(204).etag(),
        format!("\"{}\"", sha256_hex(&content))
    );
    drop(wire);
    assert!(alice.get("/a.bin").await == content);
}

#[tokio::test]
async fn b4_resumable_upload_keeps_no_bytes_with_a_wrong_checksum() {
    let world = World::start().await;
    let alice = world.alice();
    let at = begin(&alice, "/a.txt", 10).await;
    let checked = |offset: &'static str, checksum: &str, bytes: &'static str| {
        let fields = [
            OCTETS,
            ("Upload-Offset", offset),
            ("Upload-Checksum", checksum),
        ];
        tus(&alice, "PATCH", &at)
            .headers(&fields)
            .body(bytes)
            .send()
    };
    let sha1 = "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    let wrong = checked("0", sha1, "hullo").await.must_be(460);
    assert_eq!(wrong.json()["code"], "checksum_mismatch");
    assert_eq!(offset(&alice, &at).await, 0);
    checked("0", sha1, "hello").await.must_be(204);
    let md5 = "md5 XUFAKrxLKna5cZ2REBfFkg==";
    checked("5", md5, "HELLO").await.must_be(460);
    checked("5", md5, "hello").await.must_be(204);
    assert_eq!(alice.get("/a.txt").await, "hellohello");

    // Of the whole, promised when it began.
    let words = metadata(&[("path", "/b.txt"), ("sha256", &sha256_hex(b"right"))]);
    let request = tus(&alice, "POST", "/api/v1/uploads")
        .headers(&[("Upload-Length", "5"), ("Upload-Metadata", &words)]);
    let begun = request.send().await.must_be(201);
    let at = begun.header("location");
    let wrong = append(&alice, at, 0, "wrong").await.must_be(400);
    assert_eq!(wrong.json()["code"], "content_mismatch");
    alice.get("/b.txt").await.must_be(404);
    tus(&alice, "DELETE", at).send().await.must_be(204);
}
