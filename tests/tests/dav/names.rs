//! Names: kept as they came, escaped once on the way out, decoded once on the way in.

use harness::{SPECIAL_NAMES, World, encode_path};

use crate::phrase::by_hand;

#[tokio::test]
async fn every_name_comes_back_as_it_went_in() {
    let world = World::start().await;
    let alice = world.alice();
    for name in SPECIAL_NAMES {
        alice.put(&format!("/{name}"), name).await.must_be(201);
        alice.mkcol(&format!("/folder {name}")).await.must_be(201);
        alice
            .put(&format!("/folder {name}/{name}"), name)
            .await
            .must_be(201);
    }
    let listed = alice.names("/").await;
    for name in SPECIAL_NAMES {
        assert!(
            listed.iter().any(|other| other == name),
            "{name}: {listed:?}"
        );
        assert_eq!(alice.names(&format!("/folder {name}")).await, [name]);
    }
    // What is listed is asked for as it stands.
    for response in alice.propfind("/", "1").await.multistatus().responses {
        let status = if response.is_collection() { 207 } else { 200 };
        let method = if status == 207 { "PROPFIND" } else { "GET" };
        let asked = by_hand(&world, method, &response.href, &[("Depth", "0")], b"").await;
        asked.must_be(status);
    }
}

#[tokio::test]
async fn hrefs_hold_nothing_that_a_strict_client_stumbles_over() {
    let world = World::start().await;
    let alice = world.alice();
    for name in SPECIAL_NAMES {
        alice.put(&format!("/{name}"), name).await.must_be(201);
    }
    let listing = alice.propfind("/", "1").await.multistatus();
    for href in listing.hrefs() {
        assert!(href.starts_with("/dav/") && !href.contains("//"), "{href}");
        let strange = |c: char| !c.is_ascii_graphic() || "\"<>#?\\^`{|}".contains(c);
        assert!(!href.contains(strange), "{href}");
    }
}

#[tokio::test]
async fn composed_and_decomposed_spellings_are_one_name() {
    let world = World::start().await;
    let alice = world.alice();
    let (composed, decomposed) = ("/\u{e4}.txt", "/a\u{308}.txt");
    alice.put(decomposed, "first").await.must_be(201);
    alice.put(composed, "second").await.must_be(204);
    for spelling in [composed, decomposed] {
        assert_eq!(alice.get(spelling).await, "second");
    }
    assert_eq!(alice.names("/").await, ["a\u{308}.txt"]);
    alice.mkcol("/\u{e4}").await.must_be(201);
    alice.mkcol("/a\u{308}").await.must_be(405);
    alice.put("/a\u{308}/b.txt", "b").await.must_be(201);
    alice.delete(composed).await.must_be(204);
    alice.head(decomposed).await.must_be(404);
}

#[tokio::test]
async fn case_tells_names_apart() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "lower").await.must_be(201);
    alice.put("/A.txt", "upper").await.must_be(201);
    alice.rename("/a.txt", "/B.txt").await.must_be(201);
    alice.rename("/B.txt", "/b.txt").await.must_be(201);
    assert_eq!(alice.names("/").await, ["A.txt", "b.txt"]);
}

#[tokio::test]
async fn escapes_are_decoded_once() {
    let world = World::start().await;
    let alice = world.alice();
    let put = by_hand(&world, "PUT", "/dav/a%2541.txt", &[], b"x").await;
    put.must_be(201);
    assert_eq!(alice.names("/").await, ["a%41.txt"]);
    by_hand(&world, "GET", "/dav/aA.txt", &[], b"")
        .await
        .must_be(404);
    by_hand(&world, "GET", "/dav/%61%2541%2Etxt", &[], b"")
        .await
        .must_be(200);
    by_hand(&world, "GET", "/dav/a%2541.txt?query=1", &[], b"")
        .await
        .must_be(200);
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let world = World::start().await;
    let alice = world.alice();
    for target in [
        "/dav/a%00b",
        "/dav/%00",
        "/dav/a%01b",
        "/dav/a%0Ab",
        "/dav/a%0D%0Ab",
        "/dav/a%7Fb",
        "/dav/a%2Fb",
        "/dav/%FF",
        "/dav/%C3",
        "/dav/%ED%A0%80",
        "/dav/%C0%AE%C0%AE",
        "/dav/%zz",
        "/dav/%4",
        "/dav/%",
    ] {
        for method in ["PUT", "MKCOL", "PROPFIND", "GET", "LOCK", "DELETE"] {
            let refused = by_hand(&world, method, target, &[("Depth", "0")], b"").await;
            refused.must_be(400);
        }
        let moved = alice
            .request("MOVE", "/missing")
            .header("Destination", target)
            .send()
            .await;
        moved.must_be_one_of(&[400, 404]);
    }
    assert!(alice.names("/").await.is_empty());
}

#[tokio::test]
async fn dots_do_not_climb_out_of_the_drive() {
    let world = World::start().await;
    let alice = world.alice();
    for target in [
        "/dav/../etc/passwd",
        "/dav/%2e%2e/x",
        "/dav/a/../../x",
        "/dav/..",
        "/dav/.%2e/.%2e/.%2e/etc/passwd",
        "/dav/./x",
        "/dav/x/.",
        "/dav//etc/passwd",
        "/dav/..%2f..%2fetc%2fpasswd",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let refused = by_hand(&world, method, target, &[], b"").await;
            refused.must_be_one_of(&[400, 403, 404, 405, 409]);
        }
    }
    assert!(alice.names("/").await.is_empty());
    for name in ["...", "..a", ".a", "a..", "..\\..\\x"] {
        alice.put(&format!("/{name}"), name).await.must_be(201);
        assert_eq!(alice.get(&format!("/{name}")).await, name);
    }
}

#[tokio::test]
async fn a_raw_fragment_in_a_target_is_refused() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    for target in ["/dav/folder/#x", "/dav/folder#x", "/dav/#"] {
        by_hand(&world, "DELETE", target, &[], b"")
            .await
            .must_be(400);
    }
    alice.head("/folder").await.must_be(200);
}

#[tokio::test]
async fn an_absolute_target_is_the_same_as_its_path() {
    let world = World::start().await;
    world.alice().put("/a b.txt", "a").await.must_be(201);
    for target in [
        "http://localhost/dav/a%20b.txt",
        "http://drive.example.org:81/dav/a%20b.txt",
    ] {
        let got = by_hand(&world, "GET", target, &[], b"").await;
        assert_eq!(got, "a");
    }
    assert_eq!(encode_path("/a b.txt"), "/a%20b.txt");
}
