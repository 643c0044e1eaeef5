//! macOS Finder, that is `webdavfs_agent`: the requests its published sources send.

use std::time::Duration;

use harness::{Answer, Dav, World};

use crate::phrase::{EXCLUSIVE, authorization, lock_token};

const AGENT: (&str, &str) = (
    "User-Agent",
    "WebDAVFS/3.0.0 (03008000) Darwin/24.5.0 (arm64)",
);

async fn send(alice: &Dav, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    alice
        .request(method, path)
        .headers(&[AGENT])
        .headers(headers)
        .send()
        .await
}

/// The whole of saving one file; `._name` is saved just so.
async fn save(alice: &Dav, path: &str, content: Vec<u8>) {
    let length = content.len().to_string();
    let created = alice
        .request("PUT", path)
        .headers(&[AGENT])
        .body("")
        .send()
        .await
        .must_be(201);
    assert!(!created.header("date").is_empty(), "{created:?}");
    assert!(!created.etag().is_empty(), "{created:?}");
    send(alice, "PROPFIND", path, &[("Depth", "0")])
        .await
        .must_be(207);
    let lock = alice
        .request("LOCK", path)
        .headers(&[AGENT, ("Depth", "0"), ("Timeout", "Second-600")])
        .xml(EXCLUSIVE)
        .send()
        .await
        .must_be(200);
    // The agent reads the token from the body.
    let token = lock_token(&lock);
    assert!(lock.text().contains(&token), "{lock:?}");
    let held = format!("(<{token}>)");
    let put = alice
        .request("PUT", path)
        .headers(&[AGENT, ("If", &held), ("X-Expected-Entity-Length", &length)])
        .chunked(content)
        .send()
        .await
        .must_be(204);
    assert!(
        !put.etag().is_empty() && !put.header("last-modified").is_empty(),
        "{put:?}"
    );
    let refresh = [("If", &*held), ("Timeout", "Second-600")];
    let refreshed = send(alice, "LOCK", path, &refresh).await.must_be(200);
    assert!(refreshed.text().contains(&token), "{refreshed:?}");
    let unlock = [("Lock-Token", &*format!("<{token}>"))];
    send(alice, "UNLOCK", path, &unlock).await.must_be(204);
}

#[tokio::test]
async fn mounting_finds_a_writable_volume() {
    let world = World::start().await;
    let alice = world.alice();
    let options = send(&alice, "OPTIONS", "/", &[]).await.must_be(200);
    assert!(options.header("dav").contains('2'), "{options:?}");
    assert!(!options.header("server").starts_with("Microsoft-IIS/"));
    let root = send(&alice, "PROPFIND", "/", &[("Depth", "0")])
        .await
        .multistatus();
    assert!(root.only().is_collection());
    for name in [
        "._.",
        ".DS_Store",
        ".hidden",
        ".Spotlight-V100",
        ".metadata_never_index",
    ] {
        let probe = send(&alice, "PROPFIND", &format!("/{name}"), &[("Depth", "0")]).await;
        probe.must_be(404);
    }
    let asked = "<D:getlastmodified/><D:getcontentlength/><D:creationdate/><D:resourcetype/>\
        <A:appledoubleheader xmlns:A=\"http://www.apple.com/webdav_fs/props/\"/>";
    let listed = alice.propfind_of("/", "1", asked).await.multistatus();
    let name = "{http://www.apple.com/webdav_fs/props/}appledoubleheader";
    assert_eq!(listed.only().status_of(name), 404);
}

#[tokio::test]
async fn free_space_comes_as_both_numbers_or_none_and_their_sum_fits() {
    let world = World::start().await;
    let asked = "<D:quota-available-bytes/><D:quota-used-bytes/>";
    let found = world
        .alice()
        .propfind_of("/", "0", asked)
        .await
        .multistatus();
    let number = |name: &str| {
        found
            .only()
            .dav(name)
            .map(|text| text.parse::<i64>().unwrap())
    };
    let available = number("quota-available-bytes");
    let used = number("quota-used-bytes");
    assert!(available.unwrap().checked_add(used.unwrap()).is_some());
}

#[tokio::test]
async fn a_saved_file_and_its_double_arrive_whole() {
    let world = World::start().await;
    let alice = world.alice();
    let content = harness::noise(7, 300_000);
    save(&alice, "/Bild.jpg", content.clone()).await;
    save(&alice, "/._Bild.jpg", b"resource fork".to_vec()).await;
    assert_eq!(alice.get("/Bild.jpg").await, content);
    assert_eq!(alice.get("/._Bild.jpg").await, "resource fork");
    assert_eq!(alice.names("/").await, ["._Bild.jpg", "Bild.jpg"]);
}

#[tokio::test]
async fn renaming_needs_no_overwrite_header() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/old.txt", "new content").await.must_be(201);
    alice.put("/taken.txt", "old content").await.must_be(201);
    let destination = alice.url("/taken.txt");
    let moved = send(&alice, "MOVE", "/old.txt", &[("Destination", &destination)]).await;
    let moved = moved.must_be(204);
    assert!(!moved.header("date").is_empty(), "{moved:?}");
    assert_eq!(alice.get("/taken.txt").await, "new content");
    assert_eq!(alice.names("/").await, ["taken.txt"]);
}

#[tokio::test]
async fn an_empty_folder_lists_itself_alone_and_can_be_removed() {
    let world = World::start().await;
    let alice = world.alice();
    let made = send(&alice, "MKCOL", "/folder/", &[]).await.must_be(201);
    assert!(!made.header("date").is_empty(), "{made:?}");
    let listed = send(&alice, "PROPFIND", "/folder/", &[("Depth", "1")])
        .await
        .multistatus();
    assert_eq!(listed.only().href, "/dav/folder/");
    send(&alice, "DELETE", "/folder/", &[]).await.must_be(204);
}

#[tokio::test]
async fn a_decomposed_name_is_given_back_as_it_came() {
    let world = World::start().await;
    let alice = world.alice();
    let decomposed = "/U\u{308}ber.txt";
    save(&alice, decomposed, b"umlaut".to_vec()).await;
    assert_eq!(alice.names("/").await, ["U\u{308}ber.txt"]);
    assert_eq!(alice.get("/\u{dc}ber.txt").await, "umlaut");
}

#[tokio::test]
async fn conditional_reads_by_date_work() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    let date = alice.get("/a.txt").await.header("last-modified").to_owned();
    let unchanged = send(&alice, "GET", "/a.txt", &[("If-Modified-Since", &date)]).await;
    unchanged.must_be(304);
    let part = [("Range", "bytes=4-"), ("If-Range", &*date)];
    let part = send(&alice, "GET", "/a.txt", &part).await.must_be(206);
    assert_eq!(part, "456789");
}

#[tokio::test]
async fn an_upload_may_pause_and_its_answer_comes_at_once() {
    let world = World::start().await;
    let mut wire = world.wire().await;
    let head = [
        "PUT /dav/slow.bin HTTP/1.1",
        "Host: localhost",
        &format!("Authorization: {}", authorization()),
        "Transfer-Encoding: chunked",
        "X-Expected-Entity-Length: 8",
    ];
    wire.send_head(&head).await;
    wire.send("4\r\nabcd\r\n").await;
    // A write waits for the disk of the other side; the server must not close on it meanwhile.
    assert!(!wire.closed_within(Duration::from_secs(3)).await);
    wire.send("4\r\nefgh\r\n0\r\n\r\n").await;
    wire.answer().await.unwrap().must_be(201);
    assert_eq!(world.alice().get("/slow.bin").await, "abcdefgh");
}
