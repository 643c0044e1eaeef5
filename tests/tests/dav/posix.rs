//! What a mounted drive keeps beside the content: attributes and extended attributes.

use harness::{Answer, Dav, World};

const WORDS: &str = "mode=100640 uid=7 gid=8 mtime=1700000000.123456789";
const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const NAME: &str = "{urn:coffer:posix}attributes";

fn element(words: &str) -> String {
    format!("<p:attributes xmlns:p=\"urn:coffer:posix\">{words}</p:attributes>")
}

async fn attributes(dav: &Dav, path: &str) -> Option<String> {
    let asked = dav.propfind_of(path, "0", &element("")).await;
    let asked = asked.multistatus();
    let found = asked.only().property(NAME).filter(|p| p.status == 200);
    found.map(|property| property.text.clone())
}

async fn modified(dav: &Dav, path: &str) -> String {
    let found = dav.propfind(path, "0").await.multistatus();
    let time = found.only().dav("getlastmodified");
    time.expect("everything has a time").to_owned()
}

async fn put(dav: &Dav, path: &str, content: &'static str, words: &str) -> Answer {
    let request = dav.request("PUT", path).header("Coffer-Attributes", words);
    request.body(content).send().await
}

/// A report of what changed since a token: the hrefs, and the next token.
async fn changes(dav: &Dav, token: &str) -> (Vec<String>, String) {
    let body = format!(
        "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token>\
         <D:sync-level>infinite</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
    );
    let answer = dav.request("REPORT", "/").xml(&body).send().await;
    let text = answer.text();
    let next = text.rsplit_once("<D:sync-token>");
    let next = next.and_then(|(_, rest)| rest.split_once('<'));
    let next = next.expect("a report has a token").0.to_owned();
    let report = answer.multistatus();
    let hrefs = report.hrefs().into_iter().map(str::to_owned).collect();
    (hrefs, next)
}

#[tokio::test]
async fn attributes_come_with_the_content_and_stay_without() {
    let world = World::start().await;
    let alice = world.alice();
    let made = put(&alice, "/a", "one", WORDS).await.must_be(201);
    assert_eq!(attributes(&alice, "/a").await.as_deref(), Some(WORDS));
    assert_eq!(modified(&alice, "/a").await, MODIFIED);
    assert_eq!(alice.head("/a").await.header("last-modified"), MODIFIED);

    // Whoever knows nothing of them keeps them, and the file has the time of its new content.
    alice.put("/a", "two").await.must_be(204);
    assert_eq!(attributes(&alice, "/a").await.as_deref(), Some(WORDS));
    assert_ne!(modified(&alice, "/a").await, MODIFIED);

    let part = alice.request("PATCH", "/a");
    let part = part
        .header("Content-Type", "application/x-sabredav-partialupdate")
        .header("X-Update-Range", "bytes=0-2")
        .header("Coffer-Attributes", "mode=100600 mtime=-1.5");
    part.body("six").send().await.must_be(204);
    let words = attributes(&alice, "/a").await;
    assert_eq!(words.as_deref(), Some("mode=100600 mtime=-1.5"));
    assert_eq!(
        modified(&alice, "/a").await,
        "Wed, 31 Dec 1969 23:59:58 GMT"
    );
    assert_eq!(alice.get("/a").await, "six");
    assert_ne!(made.etag(), alice.head("/a").await.etag());

    let folder = alice.request("MKCOL", "/d");
    let folder = folder.header("Coffer-Attributes", "mode=40700 mtime=1700000000");
    folder.send().await.must_be(201);
    let words = attributes(&alice, "/d/").await;
    assert_eq!(words.as_deref(), Some("mode=40700 mtime=1700000000"));
    assert_eq!(modified(&alice, "/d/").await, MODIFIED);

    let (named, all) = (alice.propfind("/", "1").await, element(""));
    assert!(
        !named.text().contains("mode="),
        "allprop does not tell them"
    );
    let listed = alice.propfind_of("/", "1", &all).await.multistatus();
    assert_eq!(listed.response("/d/").status_of(NAME), 200);
    assert_eq!(listed.response("/a").status_of(NAME), 200);
    assert_eq!(listed.response("/dav/").status_of(NAME), 404);
    let classes = alice.options("/").await;
    assert!(classes.header("dav").contains("coffer-attributes"));
}

#[tokio::test]
async fn proppatch_sets_and_removes_attributes_without_touching_the_entity_tag() {
    let world = World::start().await;
    let alice = world.alice();
    let made = alice.put("/a", "one").await.must_be(201);
    let (_, token) = changes(&alice, "").await;
    let set = alice.proppatch("/a", &element(WORDS)).await.multistatus();
    assert_eq!(set.only().status_of(NAME), 200);
    assert_eq!(attributes(&alice, "/a").await.as_deref(), Some(WORDS));
    assert_eq!(modified(&alice, "/a").await, MODIFIED);
    assert_eq!(alice.head("/a").await.etag(), made.etag());
    let (hrefs, token) = changes(&alice, &token).await;
    assert_eq!(hrefs, ["/dav/a"]);

    let remove = format!(
        "<D:propertyupdate xmlns:D=\"DAV:\"><D:remove><D:prop>{}</D:prop></D:remove>\
         </D:propertyupdate>",
        element("")
    );
    let removed = alice.request("PROPPATCH", "/a").xml(&remove).send().await;
    assert_eq!(removed.multistatus().only().status_of(NAME), 200);
    assert_eq!(attributes(&alice, "/a").await, None);
    assert_eq!(modified(&alice, "/a").await, MODIFIED);
    let (hrefs, token) = changes(&alice, &token).await;
    assert_eq!(hrefs, ["/dav/a"]);

    alice.mkcol("/d").await.must_be(201);
    let (_, token) = changes(&alice, &token).await;
    let set = alice.proppatch("/d/", &element("mode=40755")).await;
    assert_eq!(set.multistatus().only().status_of(NAME), 200);
    assert_eq!(changes(&alice, &token).await.0, ["/dav/d/"]);
}

#[tokio::test]
async fn copies_have_the_attributes_and_moves_keep_them() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/d").await.must_be(201);
    let set = alice.proppatch("/d/", &element("mode=40711")).await;
    assert_eq!(set.multistatus().only().status_of(NAME), 200);
    put(&alice, "/d/a", "one", WORDS).await.must_be(201);
    alice.copy("/d", "/e").await.must_be(201);
    alice.rename("/d", "/f").await.must_be(201);
    for (path, words) in [
        ("/e/", "mode=40711"),
        ("/e/a", WORDS),
        ("/f/", "mode=40711"),
        ("/f/a", WORDS),
    ] {
        assert_eq!(
            attributes(&alice, path).await.as_deref(),
            Some(words),
            "{path}"
        );
    }
    assert_eq!(modified(&alice, "/e/a").await, MODIFIED);
    let other = alice.proppatch("/e/a", &element("mode=100777")).await;
    assert_eq!(other.multistatus().only().status_of(NAME), 200);
    assert_eq!(attributes(&alice, "/f/a").await.as_deref(), Some(WORDS));
}

#[tokio::test]
async fn texts_that_are_no_attributes_are_refused_and_change_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    put(&alice, "/a", "one", WORDS).await.must_be(201);
    let long = format!("target={}", "x".repeat(6 << 10));
    for bad in [
        "mode",
        "mode=1  uid=2",
        "mode=1 mode=2",
        "mtime=today",
        &long,
    ] {
        let refused = put(&alice, "/a", "two", bad).await.must_be(400);
        assert!(refused.text().contains("attributes"), "{refused:?}");
        put(&alice, "/b", "two", bad).await.must_be(400);
        let folder = alice
            .request("MKCOL", "/d")
            .header("Coffer-Attributes", bad);
        folder.send().await.must_be(400);
        let set = alice.proppatch("/a", &element(bad)).await;
        assert!(set.text().contains("key=value"), "{set:?}");
        assert_eq!(set.multistatus().only().status_of(NAME), 409);
    }
    assert_eq!(alice.get("/a").await, "one");
    assert_eq!(attributes(&alice, "/a").await.as_deref(), Some(WORDS));
    assert_eq!(alice.names("/").await, ["a"]);
}

#[tokio::test]
async fn extended_attributes_are_a_dead_property() {
    let world = World::start().await;
    let alice = world.alice();
    put(&alice, "/a", "one", WORDS).await.must_be(201);
    let value = "<p:xattrs xmlns:p=\"urn:coffer:posix\">user.a=YQ==</p:xattrs>";
    let set = alice.proppatch("/a", value).await.multistatus();
    assert_eq!(set.only().status_of("{urn:coffer:posix}xattrs"), 200);
    alice.put("/a", "two").await.must_be(204);
    alice.copy("/a", "/b").await.must_be(201);
    alice.rename("/a", "/c").await.must_be(201);
    for path in ["/b", "/c"] {
        let asked = "<p:xattrs xmlns:p=\"urn:coffer:posix\"/>";
        let found = alice.propfind_of(path, "0", asked).await.multistatus();
        let found = found.only().property("{urn:coffer:posix}xattrs").unwrap();
        assert_eq!((found.status, found.text.as_str()), (200, "user.a=YQ=="));
    }
}
