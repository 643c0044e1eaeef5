//! Joplin, Zotero, KeePass, Cyberduck and their like: applications that keep their data in a drive.

use harness::World;

#[tokio::test]
async fn joplin_synchronises_although_its_entity_tags_are_not_valid() {
    let world = World::start().await;
    let alice = world.alice();
    let send = |method: &str, path: &str| {
        alice
            .request(method, path)
            .header("If-None-Match", "JoplinIgnore-12345")
    };
    send("MKCOL", "/joplin").send().await.must_be(201);
    send("MKCOL", "/joplin").send().await.must_be(405);
    for folder in [".sync", ".resource", ".lock", "locks", "temp"] {
        send("MKCOL", &format!("/joplin/{folder}/"))
            .send()
            .await
            .must_be(201);
    }
    let note = "/joplin/0123456789abcdef0123456789abcdef.md";
    send("PUT", note).body("note").send().await.must_be(201);
    send("PUT", note).body("edited").send().await.must_be(204);
    assert_eq!(send("GET", note).send().await, "edited");
    let listed = send("PROPFIND", "/joplin")
        .header("Depth", "1")
        .send()
        .await
        .multistatus();
    assert_eq!(listed.responses.len(), 7);
    assert!(
        listed.hrefs().iter().all(|href| !href.contains("//")),
        "{:?}",
        listed.hrefs()
    );
    send("DELETE", note).send().await.must_be(204);
    send("DELETE", note).send().await.must_be(404);
}

#[tokio::test]
async fn zotero_verifies_its_server() {
    let world = World::start().await;
    let alice = world.alice();
    assert!(
        alice
            .options("/")
            .await
            .must_be(200)
            .header("dav")
            .contains('1')
    );
    alice.mkcol("/zotero").await.must_be(201);
    alice.propfind("/zotero/", "0").await.must_be(207);
    alice.get("/zotero/nonexistent.prop").await.must_be(404);
    alice
        .put("/zotero/zotero-test-file.prop", "1")
        .await
        .must_be(201);
    assert_eq!(alice.get("/zotero/zotero-test-file.prop").await, "1");
    alice
        .delete("/zotero/zotero-test-file.prop")
        .await
        .must_be(204);
}

#[tokio::test]
async fn keepass_saves_by_moving_over_the_old_database() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/pass.kdbx", "old").await.must_be(201);
    let before = alice.head("/pass.kdbx").await.must_be(200);
    assert!(!before.header("last-modified").is_empty());
    alice.put("/pass.kdbx.tmp", "new").await.must_be(201);
    // Behind a proxy the client names the public host.
    let rename = alice.request("MOVE", "/pass.kdbx.tmp");
    let rename = rename.header("Destination", "https://drive.example.org/dav/pass.kdbx");
    rename.header("Overwrite", "T").send().await.must_be(204);
    assert_eq!(alice.get("/pass.kdbx").await, "new");
    assert_ne!(alice.head("/pass.kdbx").await.etag(), before.etag());
    assert_eq!(alice.names("/").await, ["pass.kdbx"]);
}

#[tokio::test]
async fn a_reader_never_finds_a_gap_while_a_file_is_moved_over_another() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/pass.kdbx", "content 0").await.must_be(201);
    let writer = async {
        for round in 1..=50 {
            alice
                .put("/pass.tmp", format!("content {round}"))
                .await
                .must_be(201);
            alice.rename("/pass.tmp", "/pass.kdbx").await.must_be(204);
        }
    };
    let reader = async {
        for _ in 0..200 {
            let read = alice.get("/pass.kdbx").await.must_be(200);
            assert!(read.text().starts_with("content "), "{read:?}");
        }
    };
    tokio::join!(writer, reader);
}

#[tokio::test]
async fn cyberduck_keeps_its_own_time_property() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.head("/folder/").await.must_be(200);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    let time = "<s:lastmodified xmlns:s=\"SAR:\">2001-02-03T04:05:06Z</s:lastmodified>";
    let patched = alice.proppatch("/folder/a.txt", time).await.multistatus();
    assert_eq!(patched.only().status_of("{SAR:}lastmodified"), 200);
    let asked = "<D:allprop/>";
    let body = format!("<D:propfind xmlns:D=\"DAV:\">{asked}</D:propfind>");
    let listed = alice
        .request("PROPFIND", "/folder/")
        .header("Depth", "1")
        .xml(&body);
    let listed = listed.send().await.multistatus();
    let kept = listed
        .response("a.txt")
        .property("{SAR:}lastmodified")
        .unwrap();
    assert_eq!(kept.text, "2001-02-03T04:05:06Z");
}

#[tokio::test]
async fn a_folder_made_with_a_body_is_refused_as_unsupported() {
    let world = World::start().await;
    let alice = world.alice();
    // RFC 4918 §9.3: a server that does not know the body's type answers 415.
    let made = alice
        .request("MKCOL", "/a")
        .header("Content-Type", "text/plain")
        .body("x");
    made.send().await.must_be(415);
    alice.head("/a").await.must_be(404);
}

#[tokio::test]
async fn total_commander_may_leave_reserved_characters_bare() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a+b (1)!,'@$&=;.txt", "bare").await.must_be(201);
    let bare = "/dav/a+b%20(1)!,'@$&=;.txt";
    assert_eq!(alice.request_at("GET", bare).send().await, "bare");
    let escaped = "/dav/%61%2Bb%20%281%29%21%2C%27%40%24%26%3D%3B.txt";
    assert_eq!(alice.request_at("GET", escaped).send().await, "bare");
}
