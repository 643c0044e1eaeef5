//! OPTIONS: what the server says it can do.

use harness::World;

#[tokio::test]
async fn options_names_the_classes_and_every_method() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice.mkcol("/folder").await.must_be(201);
    for path in ["/", "/a.txt", "/folder", "/folder/", "/missing"] {
        let found = alice.options(path).await.must_be(200);
        assert!(found.body.is_empty(), "{found:?}");
        let classes: Vec<&str> = found.header("dav").split(',').map(str::trim).collect();
        for class in ["1", "2", "3", "sync-collection", "sabredav-partialupdate"] {
            assert!(classes.contains(&class), "{class}: {found:?}");
        }
        assert_eq!(found.header("ms-author-via"), "DAV");
        assert!(found.header("allow").contains("OPTIONS"), "{found:?}");
    }
}

#[tokio::test]
async fn allow_lists_what_each_resource_takes() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice.mkcol("/folder").await.must_be(201);
    let everything = [
        "OPTIONS",
        "GET",
        "HEAD",
        "DELETE",
        "PROPFIND",
        "PROPPATCH",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
    ];
    for (path, more) in [
        ("/a.txt", "PUT"),
        ("/a.txt", "PATCH"),
        ("/folder", "REPORT"),
        // What may be made in it, which some clients look for here.
        ("/folder", "PUT"),
        ("/folder", "MKCOL"),
    ] {
        let found = alice.options(path).await.must_be(200);
        let allowed: Vec<&str> = found.header("allow").split(',').map(str::trim).collect();
        for method in everything.into_iter().chain([more]) {
            assert!(allowed.contains(&method), "{path} {method}: {found:?}");
        }
    }
    let missing = alice.options("/missing").await.must_be(200);
    for method in ["PUT", "MKCOL", "LOCK"] {
        assert!(missing.header("allow").contains(method), "{missing:?}");
    }
}

#[tokio::test]
async fn options_at_the_root_needs_no_credential() {
    let world = World::start().await;
    let found = world
        .anonymous()
        .request_at("OPTIONS", "/")
        .send()
        .await
        .must_be(200);
    assert!(found.header("dav").contains("1, 2"), "{found:?}");
}

#[tokio::test]
async fn the_root_is_a_folder_that_holds_the_drive() {
    let world = World::start().await;
    let root = world
        .alice()
        .request_at("PROPFIND", "/")
        .header("Depth", "1")
        .send()
        .await;
    let root = root.multistatus();
    assert!(root.response("/").is_collection());
    assert!(root.hrefs().contains(&"/dav/"), "{:?}", root.hrefs());
    world
        .alice()
        .request_at("MKCOL", "/other")
        .send()
        .await
        .must_be_one_of(&[403, 404, 405]);
}

#[tokio::test]
async fn methods_nobody_knows_are_refused() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for method in ["TRACE", "BREW", "POST", "SEARCH", "ACL", "UNBIND", "REBIND"] {
        let refused = alice.request(method, "/a.txt").send().await;
        let refused = refused.must_be_one_of(&[405, 501]);
        assert!(
            refused.status() == 501 || !refused.header("allow").is_empty(),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn the_aliases_of_other_servers_lead_to_the_same_drive() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for prefix in ["/remote.php/webdav", "/remote.php/dav/files/alice"] {
        let target = format!("{prefix}/a.txt");
        assert_eq!(alice.request_at("GET", &target).send().await, "a");
        let listed = alice.request_at("PROPFIND", &format!("{prefix}/"));
        let listed = listed.header("Depth", "1").send().await.multistatus();
        // A client that has asked here compares the hrefs with what it has asked for.
        assert!(
            listed.hrefs().contains(&target.as_str()),
            "{:?}",
            listed.hrefs()
        );
    }
}
