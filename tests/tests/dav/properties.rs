//! PROPFIND and PROPPATCH (RFC 4918 §9.1, §9.2).

use harness::{Dav, Multistatus, World, noise, sha256_hex};

async fn propfind(alice: &Dav, path: &str, depth: &str, inside: &str) -> Multistatus {
    let body = format!("<D:propfind xmlns:D=\"DAV:\">{inside}</D:propfind>");
    let asked = alice
        .request("PROPFIND", path)
        .header("Depth", depth)
        .xml(&body);
    asked.send().await.multistatus()
}

async fn update(alice: &Dav, path: &str, inside: &str) -> Multistatus {
    let body = format!("<D:propertyupdate xmlns:D=\"DAV:\">{inside}</D:propertyupdate>");
    alice
        .request("PROPPATCH", path)
        .xml(&body)
        .send()
        .await
        .multistatus()
}

#[tokio::test]
async fn a_file_tells_its_live_properties() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "0123456789").await.must_be(201);
    let found = alice.propfind("/a.txt", "0").await.multistatus();
    let found = found.only();
    assert_eq!(found.dav("getcontentlength"), Some("10"));
    assert!(
        found
            .dav("getcontenttype")
            .unwrap()
            .starts_with("text/plain")
    );
    assert!(found.dav("getlastmodified").unwrap().ends_with(" GMT"));
    assert!(found.dav("creationdate").unwrap().ends_with('Z'));
    assert!(found.dav("getetag").unwrap().starts_with('"'));
    assert!(!found.is_collection());
    let head = alice.head("/a.txt").await;
    assert_eq!(
        found.dav("getlastmodified"),
        Some(head.header("last-modified"))
    );
}

#[tokio::test]
async fn an_unknown_property_is_404_beside_the_known_ones() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let asked = "<D:prop><D:getcontentlength/><x:none xmlns:x=\"urn:x\"/></D:prop>";
    let found = propfind(&alice, "/a.txt", "0", asked).await;
    assert_eq!(found.only().dav("getcontentlength"), Some("1"));
    assert_eq!(found.only().status_of("{urn:x}none"), 404);
    let asked = "<D:prop><x:none xmlns:x=\"urn:x\"/><none xmlns=\"\"/></D:prop>";
    let found = propfind(&alice, "/a.txt", "0", asked).await;
    assert_eq!(found.only().status_of("{urn:x}none"), 404);
    assert_eq!(found.only().status_of("{}none"), 404);
}

#[tokio::test]
async fn propname_gives_names_and_no_values() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice
        .proppatch("/a.txt", "<x:n xmlns:x=\"urn:x\">value</x:n>")
        .await
        .must_be(207);
    let found = propfind(&alice, "/a.txt", "0", "<D:propname/>").await;
    for name in ["{DAV:}getetag", "{DAV:}resourcetype", "{urn:x}n"] {
        let property = found
            .only()
            .property(name)
            .unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert_eq!(
            (property.status, property.text.as_str()),
            (200, ""),
            "{name}"
        );
    }
    let mut names: Vec<&str> = found
        .only()
        .properties
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "a name comes twice");
}

#[tokio::test]
async fn allprop_includes_what_is_asked_for_besides() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let asked = "<D:allprop/><D:include><D:quota-used-bytes/><D:supportedlock/></D:include>";
    let found = propfind(&alice, "/a.txt", "0", asked).await;
    assert!(found.only().dav("supportedlock").is_some());
    assert!(
        found.only().property("{DAV:}quota-used-bytes").is_some(),
        "{found:?}"
    );
    assert!(found.only().dav("getetag").is_some());
}

#[tokio::test]
async fn dead_properties_are_kept_word_for_word() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice.mkcol("/folder").await.must_be(201);
    for path in ["/a.txt", "/folder"] {
        let set = "<D:set><D:prop><x:a xmlns:x=\"urn:x\">  a &lt;b&gt; &amp; ]]&gt; \u{1f980} </x:a>\
            <b xmlns=\"urn:y\"><c d=\"e\">f</c><g/></b><plain xmlns=\"\">h</plain></D:prop></D:set>";
        let patched = update(&alice, path, set).await;
        for name in ["{urn:x}a", "{urn:y}b", "{}plain"] {
            assert_eq!(patched.only().status_of(name), 200, "{patched:?}");
        }
        let found = alice.propfind(path, "0").await;
        let listed = found.multistatus();
        let listed = listed.only();
        assert_eq!(
            listed.property("{urn:x}a").unwrap().text,
            "a <b> & ]]> \u{1f980}"
        );
        assert_eq!(
            listed.property("{urn:y}b").unwrap().elements,
            ["{urn:y}c", "{urn:y}g"]
        );
        assert_eq!(listed.property("{}plain").unwrap().text, "h");
        assert!(found.text().contains("d=\"e\""), "{found:?}");
        let removed = update(
            &alice,
            path,
            "<D:remove><D:prop><x:a xmlns:x=\"urn:x\"/><x:none xmlns:x=\"urn:x\"/></D:prop></D:remove>",
        )
        .await;
        // RFC 4918 §14.23: removing what is not there is no error.
        assert_eq!(removed.only().status_of("{urn:x}none"), 200);
        let listed = alice.propfind(path, "0").await.multistatus();
        assert!(listed.only().property("{urn:x}a").is_none());
    }
}

#[tokio::test]
async fn a_dead_property_outlives_a_new_content_and_a_restart() {
    let mut world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice
        .proppatch("/a.txt", "<x:n xmlns:x=\"urn:x\">kept</x:n>")
        .await
        .must_be(207);
    alice.put("/a.txt", "b").await.must_be(204);
    world.restart().await;
    let found = world.alice().propfind("/a.txt", "0").await.multistatus();
    assert_eq!(found.only().property("{urn:x}n").unwrap().text, "kept");
    world.alice().delete("/a.txt").await.must_be(204);
    world.alice().put("/a.txt", "new").await.must_be(201);
    let found = world.alice().propfind("/a.txt", "0").await.multistatus();
    assert!(found.only().property("{urn:x}n").is_none());
}

#[tokio::test]
async fn an_update_is_made_wholly_or_not_at_all() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for name in [
        "getetag",
        "getcontentlength",
        "resourcetype",
        "lockdiscovery",
        "supportedlock",
        "quota-used-bytes",
        "quota-available-bytes",
        "sync-token",
    ] {
        let set = format!(
            "<D:set><D:prop><x:n xmlns:x=\"urn:x\">1</x:n><D:{name}>x</D:{name}></D:prop></D:set>"
        );
        let patched = update(&alice, "/a.txt", &set).await;
        // RFC 4918 §9.2.1: 403 for the protected one, 424 for what falls with it.
        assert_eq!(
            patched.only().status_of(&format!("{{DAV:}}{name}")),
            403,
            "{patched:?}"
        );
        assert_eq!(patched.only().status_of("{urn:x}n"), 424, "{patched:?}");
    }
    let found = alice.propfind("/a.txt", "0").await.multistatus();
    assert!(found.only().property("{urn:x}n").is_none());
    assert_eq!(found.only().dav("getcontentlength"), Some("1"));
}

#[tokio::test]
async fn instructions_are_followed_in_their_order() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    let value = |value: &str| {
        format!("<D:set><D:prop><x:n xmlns:x=\"urn:x\">{value}</x:n></D:prop></D:set>")
    };
    let remove = "<D:remove><D:prop><x:n xmlns:x=\"urn:x\"/></D:prop></D:remove>";
    update(
        &alice,
        "/a.txt",
        &format!("{}{remove}{}", value("1"), value("2")),
    )
    .await;
    let found = alice.propfind("/a.txt", "0").await.multistatus();
    assert_eq!(found.only().property("{urn:x}n").unwrap().text, "2");
    update(&alice, "/a.txt", &format!("{}{remove}", value("3"))).await;
    let found = alice.propfind("/a.txt", "0").await.multistatus();
    assert!(found.only().property("{urn:x}n").is_none());
}

#[tokio::test]
async fn modification_times_can_be_set() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    alice.mkcol("/folder").await.must_be(201);
    for path in ["/a.txt", "/folder"] {
        for (property, value) in [
            ("D:getlastmodified", "Sat, 03 Feb 2001 04:05:06 GMT"),
            ("Z:Win32LastModifiedTime", "Sun, 04 Feb 2001 04:05:06 GMT"),
        ] {
            let set = format!(
                "<D:set><D:prop><{property} xmlns:Z=\"urn:schemas-microsoft-com:\">{value}\
                 </{property}></D:prop></D:set>"
            );
            let patched = update(&alice, path, &set).await;
            assert!(
                patched.only().properties.iter().all(|p| p.status == 200),
                "{patched:?}"
            );
            let found = alice.propfind(path, "0").await.multistatus();
            assert_eq!(
                found.only().dav("getlastmodified"),
                Some(value),
                "{path} {property}"
            );
        }
    }
    assert_eq!(alice.get("/a.txt").await, "a");
}

#[tokio::test]
async fn checksums_and_ids_are_told_when_asked_for() {
    let world = World::start().await;
    let alice = world.alice();
    let content = noise(4, 50_000);
    alice.put("/a.bin", content.clone()).await.must_be(201);
    let asked = "<D:prop xmlns:oc=\"http://owncloud.org/ns\"><oc:checksums/><oc:id/><oc:size/>\
        <oc:permissions/></D:prop>";
    let found = propfind(&alice, "/a.bin", "0", asked).await;
    let oc = |name: &str| {
        let name = format!("{{http://owncloud.org/ns}}{name}");
        let property = found
            .only()
            .property(&name)
            .filter(|property| property.status == 200);
        property
            .unwrap_or_else(|| panic!("{name}: {found:?}"))
            .text
            .clone()
    };
    let checksums = oc("checksums").to_lowercase();
    assert!(
        checksums.contains(&format!("sha256:{}", sha256_hex(&content))),
        "{checksums}"
    );
    assert_eq!(oc("size"), "50000");
    let id = oc("id");
    assert!(!id.is_empty() && !oc("permissions").is_empty());
    alice.rename("/a.bin", "/b.bin").await.must_be(201);
    let found = propfind(&alice, "/b.bin", "0", asked).await;
    let kept = found.only().property("{http://owncloud.org/ns}id").unwrap();
    assert_eq!(kept.text, id);
}

async fn checksums(dav: &Dav, path: &str) -> String {
    let asked = "<D:prop xmlns:oc=\"http://owncloud.org/ns\"><oc:checksums/></D:prop>";
    let found = propfind(dav, path, "0", asked).await;
    let property = found
        .only()
        .property("{http://owncloud.org/ns}checksums")
        .filter(|property| property.status == 200);
    property
        .unwrap_or_else(|| panic!("{path}: {found:?}"))
        .text
        .clone()
}

#[tokio::test]
async fn checksums_stay_with_the_content_whose_sender_wanted_them() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let of_abc = "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d \
        MD5:900150983cd24fb0d6963f7d28e17f72 ADLER32:024d0127";
    let sha256 = format!("SHA256:{}", sha256_hex(b"abc"));
    let all = format!("{of_abc} {sha256}");
    let sha1 = of_abc.split_once(' ').unwrap().0;

    alice.mkcol("/f").await.must_be(201);
    let put = alice.request("PUT", "/f/a").body("abc");
    let put = put.header("OC-Checksum", "MD5:900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(put.send().await.must_be(201).header("oc-checksum"), sha1);
    assert_eq!(checksums(&alice, "/f/a").await, all);
    for answer in [alice.get("/f/a").await, alice.head("/f/a").await] {
        assert_eq!(answer.header("oc-checksum"), sha1);
    }
    // Nobody learns that the same bytes were sent before.
    for dav in [&alice, &bob] {
        dav.put("/same", "abc").await.must_be(201);
        assert_eq!(checksums(dav, "/same").await, sha256);
    }

    alice.copy("/f", "/g").await.must_be(201);
    alice.copy("/g/a", "/b").await.must_be(201);
    alice.rename("/b", "/c").await.must_be(201);
    alice.put("/c", "abc").await.must_be(204);
    for path in ["/f/a", "/g/a", "/c"] {
        assert_eq!(checksums(&alice, path).await, all, "{path}");
    }

    let part = alice.request("PUT", "/g/a").body("d");
    let part = part.header("Content-Range", "bytes 1-1/*").send().await;
    assert_eq!(part.must_be(204).header("oc-checksum"), "");
    let changed = format!("SHA256:{}", sha256_hex(b"adc"));
    assert_eq!(checksums(&alice, "/g/a").await, changed);
    alice.put("/c", "other").await.must_be(204);
    let changed = format!("SHA256:{}", sha256_hex(b"other"));
    assert_eq!(checksums(&alice, "/c").await, changed);

    alice.put("/empty", "").await.must_be(201);
    let empty = checksums(&alice, "/empty").await;
    assert!(
        empty.starts_with("SHA1:da39a3ee5e6b4b0d3255bfef95601890afd80709 MD5:d41d8cd98f00b204"),
        "{empty}"
    );
}

#[tokio::test]
async fn checksums_of_long_content_are_kept_too() {
    let world = World::start().await;
    let alice = world.alice();
    for (path, bytes) in [("/blob", 100_000), ("/chunks", 9_000_000)] {
        let content = noise(9, bytes);
        let sha256 = format!("SHA256:{}", sha256_hex(&content));
        let put = alice.request("PUT", path).header("OC-Checksum", &sha256);
        put.body(content).send().await.must_be(201);
        let kept = checksums(&alice, path).await;
        let names: Vec<_> = kept
            .split(' ')
            .map(|one| one.split_once(':').unwrap().0)
            .collect();
        assert_eq!(names, ["SHA1", "MD5", "ADLER32", "SHA256"], "{path}");
        assert!(kept.ends_with(&sha256), "{path}: {kept}");
    }
}

#[tokio::test]
async fn a_listing_of_many_entries_costs_few_statements() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/many").await.must_be(201);
    for number in 0..200 {
        alice
            .put(&format!("/many/{number}"), "x")
            .await
            .must_be(201);
    }
    let listed = alice.propfind("/many", "1").await.multistatus();
    assert_eq!(listed.responses.len(), 201);
    let logged = async || {
        let found = world
            .requests()
            .into_iter()
            .rfind(|request| request.method == "PROPFIND");
        found.filter(|request| request.bytes_out > 1000)
    };
    harness::until(
        "the request is logged",
        std::time::Duration::from_secs(10),
        || async { logged().await.is_some() },
    )
    .await;
    let logged = logged().await.unwrap();
    assert!(logged.statements <= 4, "{logged:?}");
    assert_eq!(logged.user, "alice");
    assert_eq!(logged.status, 207);
}

#[tokio::test]
async fn a_missing_path_is_404() {
    let world = World::start().await;
    let alice = world.alice();
    for method in ["PROPFIND", "GET", "HEAD", "DELETE", "UNLOCK"] {
        let asked = alice
            .request(method, "/missing/file")
            .header("Lock-Token", "<urn:x>");
        asked.send().await.must_be_one_of(&[404, 409]);
    }
    alice
        .proppatch("/missing", "<x:n xmlns:x=\"urn:x\">1</x:n>")
        .await
        .must_be(404);
}

#[tokio::test]
async fn changes_are_reported_since_a_token() {
    let world = World::start().await;
    let alice = world.alice();
    let report = async |token: &str| {
        let body = format!(
            "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token>\
             <D:sync-level>infinite</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
        );
        alice
            .request("REPORT", "/")
            .header("Depth", "0")
            .xml(&body)
            .send()
            .await
    };
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    alice.put("/b.txt", "b").await.must_be(201);
    let first = report("").await.multistatus();
    assert!(
        first.hrefs().contains(&"/dav/folder/a.txt"),
        "{:?}",
        first.hrefs()
    );
    assert!(!first.sync_token.is_empty());
    let nothing = report(&first.sync_token).await.multistatus();
    assert!(nothing.responses.is_empty(), "{:?}", nothing.hrefs());
    alice.delete("/b.txt").await.must_be(204);
    alice.put("/folder/c.txt", "c").await.must_be(201);
    let second = report(&first.sync_token).await.multistatus();
    assert_eq!(second.response("/b.txt").status, Some(404));
    assert!(second.response("/folder/c.txt").dav("getetag").is_some());
    assert!(
        !second.hrefs().contains(&"/dav/folder/a.txt"),
        "{:?}",
        second.hrefs()
    );
    // RFC 6578 §3.2: a token that is none fails the precondition valid-sync-token.
    let refused = report("urn:x:not-a-token").await.must_be(403);
    assert!(refused.names_condition("valid-sync-token"), "{refused:?}");
}
