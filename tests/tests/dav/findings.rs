//! What dav-server gets wrong on its own (`docs/decisions/0001`), each by its effect on a user.
//!
//! The engine is only one part of the server, so each of these must hold whatever part answers.

use std::time::Duration;

use harness::{World, noise};

use crate::phrase::{authorization, lock_token};

/// 1: six kilobytes of nested XML overflow a recursive parser and abort the process.
#[tokio::test]
async fn nested_xml_does_not_kill_the_daemon() {
    let world = World::start().await;
    let pid = world.daemon().pid();
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let nested = format!("{}{}", "<a>".repeat(2_000), "</a>".repeat(2_000));
    for (method, body) in [
        ("PROPFIND", nested.clone()),
        ("PROPPATCH", nested.clone()),
        ("LOCK", nested.clone()),
        ("REPORT", nested.clone()),
        (
            "PROPPATCH",
            format!(
                "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop>{nested}</D:prop></D:set>\
                 </D:propertyupdate>"
            ),
        ),
    ] {
        let refused = alice.request(method, "/a.txt").body(body).send().await;
        refused.must_be_one_of(&[400, 413]);
    }
    assert_eq!(alice.get("/a.txt").await, "a");
    assert_eq!(world.daemon().pid(), pid);
}

/// 2: MOVE or COPY onto an ancestor of the source removes the destination, source included.
#[tokio::test]
async fn moving_onto_an_ancestor_destroys_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/a").await.must_be(201);
    alice.mkcol("/a/b").await.must_be(201);
    alice.put("/a/b/file.txt", "kept").await.must_be(201);
    alice.rename("/a/b", "/a").await.must_be_one_of(&[403, 409]);
    alice
        .copy("/a/b/file.txt", "/a")
        .await
        .must_be_one_of(&[403, 409]);
    alice.copy("/a/b", "/a").await.must_be_one_of(&[403, 409]);
    assert_eq!(alice.get("/a/b/file.txt").await, "kept");
}

/// 3: an overwriting COPY deletes its target first and loses it when the copy then fails.
#[tokio::test]
async fn a_copy_that_fails_keeps_its_target() {
    let world = World::start().await;
    let carol = world.add_user("carol", Some(100_000)).await;
    let carol = world.as_user(&carol);
    carol
        .put("/source.bin", noise(1, 60_000))
        .await
        .must_be(201);
    carol.put("/target.txt", "kept").await.must_be(201);
    carol.copy("/source.bin", "/target.txt").await.must_be(507);
    assert_eq!(carol.get("/target.txt").await, "kept");
    carol.mkcol("/folder").await.must_be(201);
    carol
        .rename("/source.bin", "/folder/source.bin")
        .await
        .must_be(201);
    carol.copy("/folder", "/target.txt").await.must_be(507);
    assert_eq!(carol.get("/target.txt").await, "kept");
    assert_eq!(carol.names("/").await, ["folder", "target.txt"]);
}

/// 4: a connection that breaks during PUT leaves the received prefix as the file.
#[tokio::test]
async fn a_cut_connection_leaves_the_old_content() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.bin", noise(1, 100_000)).await.must_be(201);
    let mut wire = world.wire().await;
    wire.send_head(&[
        "PUT /dav/a.bin HTTP/1.1",
        "Host: localhost",
        &format!("Authorization: {}", authorization()),
        "Content-Length: 100000",
    ])
    .await;
    wire.send(noise(2, 4096)).await;
    wire.finish().await;
    let answer = wire.answer().await;
    assert!(answer.is_none_or(|answer| !answer.succeeded()));
    assert!(
        alice.get("/a.bin").await == noise(1, 100_000),
        "the old content is gone"
    );
}

/// 5: the length is compared only after a short body has been stored.
#[tokio::test]
async fn a_short_body_is_refused_and_not_stored() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "old content").await.must_be(201);
    let put = alice
        .request("PUT", "/a.txt")
        .header("X-Expected-Entity-Length", "100");
    put.chunked("short").send().await.must_be(400);
    assert_eq!(alice.get("/a.txt").await, "old content");
    let put = alice
        .request("PUT", "/new.txt")
        .header("X-Expected-Entity-Length", "100");
    put.chunked("short").send().await.must_be(400);
    alice.head("/new.txt").await.must_be(404);
}

/// 6 (its half that shows from outside): a listing is whole, or it is an error.
#[tokio::test]
async fn a_listing_is_never_short() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/many").await.must_be(201);
    for number in 0..300 {
        alice
            .put(&format!("/many/{number:03}"), "x")
            .await
            .must_be(201);
    }
    // Entries that come and go meanwhile must not hide those that stay.
    let churn = async {
        for number in 0..100 {
            let path = format!("/many/passing {number}");
            alice.put(&path, "x").await.must_be(201);
            alice.delete(&path).await.must_be(204);
        }
    };
    let list = async {
        for _ in 0..20 {
            let names = alice.names("/many").await;
            let stayed = names
                .iter()
                .filter(|name| !name.starts_with("passing"))
                .count();
            assert_eq!(stayed, 300);
        }
    };
    tokio::join!(churn, list);
}

/// 7: a file whose bytes are gone is padded with zeros.
#[tokio::test]
async fn a_damaged_file_is_an_error_and_never_zeros() {
    let mut world = World::start().await;
    let content = noise(1, 200_000);
    world
        .alice()
        .put("/a.bin", content.clone())
        .await
        .must_be(201);
    let blobs = world.blobs();
    let (name, _) = blobs
        .first()
        .expect("this content is too long to lie in a row");
    let path = world.data_dir().join("store").join(&name[..2]).join(name);
    // The daemon must not know the bytes from before.
    world.restart().await;
    let mut damaged = content.clone();
    damaged[150_000] ^= 1;
    let versions: [&[u8]; 3] = [&content[..100_000], &damaged, b""];
    for version in versions {
        std::fs::write(&path, version).unwrap();
        world.restart().await;
        match world.alice().request("GET", "/a.bin").try_send().await {
            Ok(answer) => assert!(!answer.succeeded(), "{} bytes came", answer.body.len()),
            Err(broken) => assert!(!broken.is_connect(), "{broken:?}"),
        }
        // It may have been set aside.
        std::fs::write(&path, &content).unwrap();
    }
}

/// 8: `getetag` is written without its quotes, so it does not match when it is sent back.
#[tokio::test]
async fn a_listed_etag_can_be_sent_back() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "one").await.must_be(201);
    let found = alice.propfind("/a.txt", "0").await.multistatus();
    let tag = found.only().dav("getetag").unwrap();
    alice.put_if_match("/a.txt", "two", tag).await.must_be(204);
}

/// 9: unknown properties vanish from the answer.
#[tokio::test]
async fn every_property_asked_for_is_answered() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let found = alice
        .propfind_of("/a.txt", "0", "<x:n xmlns:x=\"urn:x\"/>")
        .await
        .multistatus();
    assert_eq!(found.only().status_of("{urn:x}n"), 404);
}

/// 10: without `Depth` a file's PROPFIND comes back empty.
#[tokio::test]
async fn a_propfind_without_a_depth_is_never_empty() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let found = alice
        .request("PROPFIND", "/a.txt")
        .send()
        .await
        .multistatus();
    assert_eq!(found.only().dav("getcontentlength"), Some("1"));
    let found = alice.request("PROPFIND", "/").send().await.multistatus();
    assert_eq!(found.hrefs(), ["/dav/", "/dav/a.txt"]);
}

/// 11: a header of litmus opens unlimited recursion to everybody.
#[tokio::test]
async fn no_header_opens_an_infinite_depth() {
    let world = World::start().await;
    let asked = world
        .alice()
        .request("PROPFIND", "/")
        .header("Depth", "infinity");
    let refused = asked
        .header("X-Litmus", "props: 1")
        .send()
        .await
        .must_be(403);
    assert!(
        refused.names_condition("propfind-finite-depth"),
        "{refused:?}"
    );
}

/// 12: locks are granted for ever.
#[tokio::test]
async fn a_lock_is_never_granted_for_ever() {
    let world = World::start().await;
    for timeout in ["Infinite", "Second-5, Infinite", "Second-4294967295"] {
        let lock = world
            .alice()
            .request("LOCK", "/a.txt")
            .header("Timeout", timeout);
        let lock = lock
            .xml(crate::phrase::EXCLUSIVE)
            .send()
            .await
            .must_be_one_of(&[200, 201]);
        assert!(!lock.text().contains("Infinite"), "{lock:?}");
        world
            .alice()
            .unlock("/a.txt", &lock_token(&lock))
            .await
            .must_be(204);
    }
}

/// 12 and 2 of the clients' faults: a lock that has ended holds nobody up, and its token is dead.
#[tokio::test]
async fn a_lock_ends_when_its_time_is_over() {
    let world = World::start().await;
    let alice = world.alice();
    let lock = alice
        .request("LOCK", "/a.txt")
        .header("Timeout", "Second-1");
    let lock = lock.xml(crate::phrase::EXCLUSIVE).send().await.must_be(201);
    let token = lock_token(&lock);
    if lock.text().contains("Second-1<") {
        harness::until("the lock ends", Duration::from_secs(30), || async {
            alice.put("/a.txt", "free").await.status() == 204
        })
        .await;
        let put = alice
            .request("PUT", "/a.txt")
            .header("If", &format!("(<{token}>)"));
        put.body("x").send().await.must_be(412);
    }
}

/// 13: whoever reads a token in `lockdiscovery` can unlock; a folder's own lock guards nothing.
#[tokio::test]
async fn a_locked_folder_takes_no_new_members() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    let token = lock_token(&alice.lock("/folder").await.must_be(200));
    alice.put("/folder/new.txt", "x").await.must_be(423);
    world.bob().mkcol("/folder").await.must_be(201);
    world
        .bob()
        .unlock("/folder", &token)
        .await
        .must_be_one_of(&[403, 409]);
    alice.put("/folder/new.txt", "x").await.must_be(423);
}

/// 14: LOCK of a new name leaves a file that was never finished.
#[tokio::test]
async fn a_locked_new_name_is_an_empty_file_to_everyone() {
    let mut world = World::start().await;
    lock_token(&world.alice().lock("/new.txt").await.must_be(201));
    world.restart().await;
    let made = world.alice().get("/new.txt").await.must_be(200);
    assert!(made.body.is_empty());
    assert_eq!(world.alice().names("/").await, ["new.txt"]);
}

/// 15: DELETE of the root empties the drive, and `/davish` is taken for `/dav`.
#[tokio::test]
async fn the_root_cannot_be_deleted_and_the_prefix_ends_at_a_segment() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for target in ["/dav", "/dav/", "/dav/.", "/dav//"] {
        let refused = alice.request_at("DELETE", target).send().await;
        assert!(!refused.succeeded(), "{refused:?}");
    }
    alice
        .request_at("GET", "/davish/a.txt")
        .send()
        .await
        .must_be(404);
    let moved = alice
        .request("MOVE", "/a.txt")
        .header("Destination", "/davish/x");
    moved.send().await.must_be(502);
    assert_eq!(alice.get("/a.txt").await, "a");
}

/// 16: two writers with the same `If-Match` both win.
#[tokio::test]
async fn a_slow_writer_does_not_undo_a_quick_one() {
    let world = World::start().await;
    let alice = world.alice();
    let tag = alice.put("/a.txt", "first").await.etag();
    let mut slow = world.wire().await;
    slow.send_head(&[
        "PUT /dav/a.txt HTTP/1.1",
        "Host: localhost",
        &format!("Authorization: {}", authorization()),
        &format!("If-Match: {tag}"),
        "Content-Length: 4",
        "Expect: 100-continue",
    ])
    .await;
    // Its condition held when it was looked at first; the quick one comes in between.
    slow.answer().await.unwrap().must_be(100);
    alice
        .put_if_match("/a.txt", "quick", &tag)
        .await
        .must_be(204);
    slow.send("slow").await;
    slow.answer().await.unwrap().must_be(412);
    assert_eq!(alice.get("/a.txt").await, "quick");
}

/// 17: free space below the root counts one file's size only.
#[tokio::test]
async fn free_space_is_the_drives_everywhere() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/a.bin", noise(1, 1000)).await.must_be(201);
    alice
        .put("/folder/b.bin", noise(2, 2000))
        .await
        .must_be(201);
    for path in ["/", "/folder", "/folder/"] {
        let found = alice
            .propfind_of(path, "0", "<D:quota-used-bytes/>")
            .await
            .multistatus();
        assert_eq!(found.only().dav("quota-used-bytes"), Some("3000"), "{path}");
    }
}

/// 18: dead properties come twice, and with values when only names were asked for.
#[tokio::test]
async fn a_dead_property_is_listed_once_and_only_when_asked_for() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice
        .proppatch("/a.txt", "<x:n xmlns:x=\"urn:x\">value</x:n>")
        .await
        .must_be(207);
    let count = async |names: &str| {
        let found = alice.propfind_of("/a.txt", "0", names).await.multistatus();
        found
            .only()
            .properties
            .iter()
            .filter(|property| property.name == "{urn:x}n")
            .count()
    };
    assert_eq!(count("<x:n xmlns:x=\"urn:x\"/>").await, 1);
    assert_eq!(count("<D:getetag/>").await, 0);
}

/// 19: one unsatisfiable range fails all, and hundreds amplify a small file.
#[tokio::test]
async fn many_ranges_do_not_blow_a_small_file_up() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    let get = async |range: String| {
        alice
            .request("GET", "/a.txt")
            .header("Range", &range)
            .send()
            .await
    };
    let many = get(format!("bytes=0-9{}", ",0-9".repeat(499))).await;
    assert!(many.body.len() <= 1000, "{} bytes", many.body.len());
    get("bytes=0-1,50-60".to_owned()).await.must_be(206);
    let first = get("bytes=0-1,4-5".to_owned()).await.must_be(206);
    let second = get("bytes=0-1,4-5".to_owned()).await.must_be(206);
    assert_ne!(
        first.header("content-type"),
        "multipart/byteranges; boundary=BOUNDARY"
    );
    assert!(!first.header("content-length").is_empty() && !second.body.is_empty());
}

/// 20: errors say nothing.
#[tokio::test]
async fn errors_name_the_condition_that_failed() {
    let world = World::start().await;
    let carol = world.add_user("carol", Some(10)).await;
    let carol = world.as_user(&carol);
    let full = carol.put("/a.bin", noise(1, 100)).await.must_be(507);
    assert!(full.names_condition("quota-not-exceeded"), "{full:?}");
    lock_token(&carol.lock("/b.txt").await.must_be(201));
    let locked = carol.put("/b.txt", "x").await.must_be(423);
    assert!(locked.names_condition("lock-token-submitted"), "{locked:?}");
    let locked = carol.lock("/b.txt").await.must_be(423);
    assert!(locked.names_condition("no-conflicting-lock"), "{locked:?}");
}

/// 21: most refusals close the connection.
#[tokio::test]
async fn a_refusal_keeps_the_connection() {
    let world = World::start().await;
    let mut wire = world.wire().await;
    let authorization = authorization();
    for (line, status) in [
        ("GET /dav/missing HTTP/1.1", 404),
        ("PUT /dav/missing/a.txt HTTP/1.1", 409),
        ("MKCOL /dav/ HTTP/1.1", 405),
        ("DELETE /dav/missing HTTP/1.1", 404),
        ("PROPFIND /dav/ HTTP/1.1", 207),
    ] {
        let login = format!("Authorization: {authorization}");
        wire.send_head(&[line, "Host: localhost", &login, "Content-Length: 0"])
            .await;
        let answer = wire.answer().await;
        let answer = answer.unwrap_or_else(|| panic!("closed before {line}"));
        assert_ne!(answer.header("connection"), "close", "{line}");
        answer.must_be(status);
    }
}

/// 22: a user's HTML is served to run in our origin.
#[tokio::test]
async fn uploaded_html_is_not_run() {
    let world = World::start().await;
    let alice = world.alice();
    alice
        .put("/evil.html", "<script>alert(1)</script>")
        .await
        .must_be(201);
    let got = alice.get("/evil.html").await.must_be(200);
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert!(
        got.header("content-disposition").starts_with("attachment"),
        "{got:?}"
    );
    assert!(
        got.header("content-security-policy").contains("sandbox"),
        "{got:?}"
    );
}
