//! `Depth`, and folders with and without a trailing slash.

use harness::World;

#[tokio::test]
async fn without_a_depth_a_file_lists_itself_and_a_folder_its_members() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    let find = async |path: &str| alice.request("PROPFIND", path).send().await.multistatus();
    assert_eq!(find("/folder/a.txt").await.hrefs(), ["/dav/folder/a.txt"]);
    assert_eq!(
        find("/folder").await.hrefs(),
        ["/dav/folder/", "/dav/folder/a.txt"]
    );
}

#[tokio::test]
async fn depth_one_on_a_file_lists_the_file() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let found = alice.propfind("/a.txt", "1").await.multistatus();
    assert_eq!(found.only().href, "/dav/a.txt");
    assert_eq!(found.only().dav("getcontentlength"), Some("1"));
}

#[tokio::test]
async fn an_infinite_depth_is_refused_by_its_name() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    for depth in ["infinity", "Infinity"] {
        let refused = alice.propfind("/", depth).await.must_be(403);
        assert!(
            refused.names_condition("propfind-finite-depth"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_depth_that_is_none_is_refused() {
    let world = World::start().await;
    for depth in ["2", "-1", "one", "", "0,1", "1, infinity"] {
        world.alice().propfind("/", depth).await.must_be(400);
    }
}

#[tokio::test]
async fn folders_answer_with_and_without_a_slash_and_never_redirect() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    for path in ["/folder", "/folder/"] {
        alice.get(path).await.must_be(200);
        alice.head(path).await.must_be(200);
        alice.options(path).await.must_be(200);
        let found = alice.propfind(path, "0").await.multistatus();
        assert_eq!(found.only().href, "/dav/folder/");
        assert!(found.only().is_collection());
    }
    alice.mkcol("/with/").await.must_be(201);
    alice.copy("/with/", "/copy").await.must_be(201);
    alice.rename("/copy", "/moved/").await.must_be(201);
    alice.delete("/moved").await.must_be(204);
    assert_eq!(alice.names("/").await, ["folder", "with"]);
    for target in ["/dav", "/dav/"] {
        let found = alice
            .request_at("PROPFIND", target)
            .header("Depth", "0")
            .send()
            .await;
        assert_eq!(found.multistatus().only().href, "/dav/");
    }
}

#[tokio::test]
async fn a_folder_is_copied_alone_or_with_all_that_is_in_it() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    let copy = async |to: &str, depth: &str| {
        let copy = alice
            .request("COPY", "/folder")
            .header("Destination", &alice.url(to));
        copy.header("Depth", depth).send().await
    };
    copy("/shallow", "0").await.must_be(201);
    assert!(alice.names("/shallow").await.is_empty());
    copy("/deep", "infinity").await.must_be(201);
    assert_eq!(alice.get("/deep/a.txt").await, "a");
    copy("/wrong", "1").await.must_be(400);
    // RFC 4918 §9.9.2 and §9.6.1: MOVE and DELETE of a folder are always deep.
    let shallow = alice
        .request("DELETE", "/deep")
        .header("Depth", "0")
        .send()
        .await;
    shallow.must_be(400);
    let shallow = alice
        .request("MOVE", "/deep")
        .header("Destination", &alice.url("/other"));
    shallow.header("Depth", "0").send().await.must_be(400);
    assert_eq!(alice.get("/deep/a.txt").await, "a");
}
