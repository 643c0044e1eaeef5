//! `Destination` and `Overwrite` of COPY and MOVE.

use harness::{Answer, Dav, World};

async fn send(alice: &Dav, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    alice.request(method, path).headers(headers).send().await
}

#[tokio::test]
async fn only_the_path_of_a_destination_counts() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let here = world.address().trim_start_matches("http://").to_owned();
    for (number, prefix) in [
        String::new(),
        world.address().to_owned(),
        "https://drive.example.org".to_owned(),
        "http://drive.example.org:8443".to_owned(),
        format!("http://alice:secret@{here}"),
        "HTTP://[::1]:80".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let destination = format!("{prefix}/dav/copy%20{number}.txt");
        send(&alice, "COPY", "/a.txt", &[("Destination", &destination)])
            .await
            .must_be(201);
        assert_eq!(alice.get(&format!("/copy {number}.txt")).await, "a");
    }
    assert!(
        !world.log().contains("alice:secret"),
        "a password is logged"
    );
}

#[tokio::test]
async fn a_destination_outside_the_drive_is_refused() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for destination in [
        "/davish/x.txt",
        "/",
        "/api/v1/x",
        "http://example.org/other/x.txt",
    ] {
        let refused = send(&alice, "MOVE", "/a.txt", &[("Destination", destination)]).await;
        refused.must_be(502);
    }
    for destination in [
        "",
        "a.txt",
        "http://",
        "/dav/%zz",
        "/dav/%00",
        "/dav/a%2Fb",
        "?",
        "#",
    ] {
        let refused = send(&alice, "MOVE", "/a.txt", &[("Destination", destination)]).await;
        refused.must_be_one_of(&[400, 502]);
    }
    for destination in [
        "/dav/../api/x",
        "/dav/..",
        "/dav/%2e%2e/x",
        "/dav/x/../../y",
    ] {
        let refused = send(&alice, "MOVE", "/a.txt", &[("Destination", destination)]).await;
        refused.must_be_one_of(&[400, 403, 502]);
    }
    send(&alice, "MOVE", "/a.txt", &[]).await.must_be(400);
    assert_eq!(alice.names("/").await, ["a.txt"]);
}

#[tokio::test]
async fn overwriting_is_the_default_and_can_be_forbidden() {
    let world = World::start().await;
    let alice = world.alice();
    for method in ["COPY", "MOVE"] {
        alice.put("/a.txt", "new").await;
        alice.put("/b.txt", "old").await;
        let to = alice.url("/b.txt");
        let refused = [("Destination", &*to), ("Overwrite", "F")];
        send(&alice, method, "/a.txt", &refused).await.must_be(412);
        assert_eq!(alice.get("/b.txt").await, "old");
        let wrong = [("Destination", &*to), ("Overwrite", "maybe")];
        send(&alice, method, "/a.txt", &wrong).await.must_be(400);
        send(&alice, method, "/a.txt", &[("Destination", &to)])
            .await
            .must_be(204);
        assert_eq!(alice.get("/b.txt").await, "new");
        let fresh = alice.url(&format!("/{method}.txt"));
        let forbidden = [("Destination", &*fresh), ("Overwrite", "F")];
        send(&alice, method, "/b.txt", &forbidden)
            .await
            .must_be(201);
        assert_eq!(alice.get(&format!("/{method}.txt")).await, "new");
    }
}

#[tokio::test]
async fn a_target_needs_a_parent_and_a_source_must_be_there() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for method in ["COPY", "MOVE"] {
        let orphan = alice.url("/missing/b.txt");
        send(&alice, method, "/a.txt", &[("Destination", &orphan)])
            .await
            .must_be(409);
        let to = alice.url("/b.txt");
        send(&alice, method, "/missing.txt", &[("Destination", &to)])
            .await
            .must_be(404);
        let below_a_file = alice.url("/a.txt/b.txt");
        let refused = send(&alice, method, "/a.txt", &[("Destination", &below_a_file)]).await;
        refused.must_be_one_of(&[403, 409]);
    }
    assert_eq!(alice.names("/").await, ["a.txt"]);
}

#[tokio::test]
async fn nothing_goes_onto_itself_or_into_itself() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/a").await.must_be(201);
    alice.mkcol("/a/b").await.must_be(201);
    alice.put("/a/b/c.txt", "c").await.must_be(201);
    for method in ["COPY", "MOVE"] {
        for (from, to) in [
            ("/a", "/a"),
            ("/a", "/a/"),
            ("/a/b/c.txt", "/a/b/c.txt"),
            ("/a", "/a/b/new"),
            ("/a", "/a/b"),
            ("/a/b", "/a"),
            ("/a/b/c.txt", "/a"),
            ("/", "/a/new"),
            ("/a", "/"),
            ("/", "/"),
        ] {
            let to = alice.url(to);
            let refused = send(&alice, method, from, &[("Destination", &to)]).await;
            refused.must_be_one_of(&[403, 405, 409, 412, 502]);
            assert_eq!(
                alice.get("/a/b/c.txt").await,
                "c",
                "after {method} {from} to {to}"
            );
        }
    }
    assert_eq!(alice.names("/").await, ["a"]);
    assert_eq!(alice.names("/a").await, ["b"]);
}

#[tokio::test]
async fn a_file_replaces_a_folder_and_a_folder_a_file() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/old.txt", "old").await.must_be(201);
    alice.put("/a.txt", "a").await.must_be(201);
    alice.rename("/a.txt", "/folder").await.must_be(204);
    assert_eq!(alice.get("/folder").await, "a");
    alice.mkcol("/other").await.must_be(201);
    alice.put("/other/b.txt", "b").await.must_be(201);
    alice.copy("/other", "/folder").await.must_be(204);
    assert_eq!(alice.get("/folder/b.txt").await, "b");
    assert_eq!(alice.names("/folder").await, ["b.txt"]);
}

#[tokio::test]
async fn a_whole_folder_moves_and_copies_with_its_properties() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/a").await.must_be(201);
    alice.mkcol("/a/b").await.must_be(201);
    alice.put("/a/b/c.txt", "c").await.must_be(201);
    let colour = "<x:colour xmlns:x=\"urn:x\">blue</x:colour>";
    alice.proppatch("/a/b/c.txt", colour).await.must_be(207);
    alice.copy("/a", "/copy").await.must_be(201);
    alice.rename("/a", "/moved").await.must_be(201);
    for path in ["/copy/b/c.txt", "/moved/b/c.txt"] {
        assert_eq!(alice.get(path).await, "c");
        let found = alice.propfind(path, "0").await.multistatus();
        assert_eq!(found.only().property("{urn:x}colour").unwrap().text, "blue");
    }
    // The copy is a file of its own.
    alice.put("/copy/b/c.txt", "changed").await.must_be(204);
    assert_eq!(alice.get("/moved/b/c.txt").await, "c");
    alice.head("/a").await.must_be(404);
}

#[tokio::test]
async fn the_drive_itself_is_neither_deleted_nor_moved() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for target in ["/dav", "/dav/", "/"] {
        let refused = alice.request_at("DELETE", target).send().await;
        refused.must_be_one_of(&[403, 405]);
        let refused = alice
            .request_at("MOVE", target)
            .header("Destination", "/dav/x");
        refused.send().await.must_be_one_of(&[403, 405, 409]);
    }
    alice.mkcol("/").await.must_be(405);
    assert_eq!(alice.names("/").await, ["a.txt"]);
}
