//! Conditional requests: entity tags, dates, `If` (RFC 9110 §13, RFC 4918 §10.4).

use harness::{Answer, Dav, World, noise};

#[tokio::test]
async fn the_tag_is_strong_and_the_same_everywhere() {
    let world = World::start().await;
    let alice = world.alice();
    for (path, size) in [("/small.bin", 100), ("/large.bin", 6_000_000)] {
        let put = alice.put(path, noise(1, size)).await.must_be(201);
        let tag = put.etag();
        assert!(
            tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2,
            "{tag}"
        );
        assert_eq!(alice.head(path).await.etag(), tag);
        assert_eq!(alice.get(path).await.etag(), tag);
        let found = alice.propfind(path, "0").await.multistatus();
        assert_eq!(found.only().dav("getetag"), Some(tag.as_str()));
    }
}

#[tokio::test]
async fn the_tag_changes_with_the_bytes_even_at_the_same_size_and_second() {
    let world = World::start().await;
    let alice = world.alice();
    let mut tags: Vec<String> = Vec::new();
    for content in ["aaa", "bbb", "ccc"] {
        tags.push(alice.put("/a.txt", content).await.etag());
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "{tags:?}");
    assert_eq!(alice.put("/a.txt", "ccc").await.etag(), tags[2]);
}

#[tokio::test]
async fn dates_stay_while_nothing_changes() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/a.txt", "a").await.must_be(201);
    let dates = async || -> Vec<Option<String>> {
        let listing = alice.propfind("/folder", "1").await.multistatus();
        let dates = listing
            .responses
            .iter()
            .map(|response| response.dav("getlastmodified"));
        dates.map(|date| date.map(str::to_owned)).collect()
    };
    let first = dates().await;
    assert!(first.iter().all(Option::is_some), "{first:?}");
    // The next second of the clock must not show in them.
    let start = alice.head("/").await.header("date").to_owned();
    harness::until(
        "a second passes",
        std::time::Duration::from_secs(10),
        || async { alice.head("/").await.header("date") != start },
    )
    .await;
    assert_eq!(dates().await, first);
}

#[tokio::test]
async fn put_with_a_stale_etag_changes_nothing() {
    let world = World::start().await;
    let alice = world.alice();
    let first = alice.put("/a.txt", "one").await.must_be(201);
    let second = alice.put("/a.txt", "two").await.must_be(204);
    alice
        .put_if_match("/a.txt", "three", &first.etag())
        .await
        .must_be(412);
    assert_eq!(alice.get("/a.txt").await, "two");
    alice
        .put_if_match("/a.txt", "three", &second.etag())
        .await
        .must_be(204);
    alice
        .put_if_match("/missing.txt", "x", "*")
        .await
        .must_be(412);
    alice
        .put_if_match("/missing.txt", "x", &first.etag())
        .await
        .must_be(412);
    // RFC 9110 §13.1.1: If-Match compares strongly.
    let weak = format!("W/{}", alice.head("/a.txt").await.etag());
    alice
        .put_if_match("/a.txt", "four", &weak)
        .await
        .must_be(412);
    let list = format!("\"x\", {}, \"y\"", alice.head("/a.txt").await.etag());
    alice
        .put_if_match("/a.txt", "four", &list)
        .await
        .must_be(204);
}

#[tokio::test]
async fn of_many_writers_with_the_same_tag_exactly_one_wins() {
    let world = World::start().await;
    let alice = world.alice();
    for round in 0..5 {
        let tag = alice.put("/a.txt", format!("round {round}")).await.etag();
        let contents: Vec<String> = (0..16).map(|writer| format!("{round} {writer}")).collect();
        let writes = contents
            .iter()
            .map(|text| alice.put_if_match("/a.txt", text, &tag));
        let answers = futures_util::future::join_all(writes).await;
        let won: Vec<usize> = (0..16).filter(|at| answers[*at].succeeded()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|answer| answer.succeeded() || answer.status() == 412)
        );
        assert_eq!(alice.get("/a.txt").await, &*contents[won[0]]);
    }
}

#[tokio::test]
async fn of_many_creators_exactly_one_wins() {
    let world = World::start().await;
    let alice = world.alice();
    for round in 0..5 {
        let path = format!("/new {round}.txt");
        let creates = (0..16).map(|writer| {
            let create = alice.request("PUT", &path).header("If-None-Match", "*");
            create.body(format!("{writer}")).send()
        });
        let answers = futures_util::future::join_all(creates).await;
        let won = answers
            .iter()
            .filter(|answer| answer.status() == 201)
            .count();
        let lost = answers
            .iter()
            .filter(|answer| answer.status() == 412)
            .count();
        assert_eq!((won, lost), (1, 15), "{answers:?}");
        let folder = format!("/folder {round}");
        let made = futures_util::future::join_all((0..8).map(|_| alice.mkcol(&folder))).await;
        let made = made.iter().filter(|answer| answer.status() == 201).count();
        assert_eq!(made, 1);
    }
}

#[tokio::test]
async fn reads_are_answered_304_by_tag_and_by_date() {
    let world = World::start().await;
    let alice = world.alice();
    let tag = alice.put("/a.txt", "a").await.must_be(201).etag();
    let date = alice
        .head("/a.txt")
        .await
        .header("last-modified")
        .to_owned();
    let get = async |headers: &[(&str, &str)]| {
        alice.request("GET", "/a.txt").headers(headers).send().await
    };
    // RFC 9110 §13.1.2: If-None-Match compares weakly, so a proxy's W/ does no harm.
    for value in [&tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
        let unchanged = get(&[("If-None-Match", value)]).await.must_be(304);
        assert_eq!(unchanged.etag(), tag);
    }
    get(&[("If-None-Match", "\"other\"")]).await.must_be(200);
    get(&[("If-Modified-Since", &date)]).await.must_be(304);
    get(&[("If-Modified-Since", "Sat, 03 Feb 2001 04:05:06 GMT")])
        .await
        .must_be(200);
    get(&[("If-Modified-Since", "not a date")])
        .await
        .must_be(200);
    get(&[("If-Unmodified-Since", "Sat, 03 Feb 2001 04:05:06 GMT")])
        .await
        .must_be(412);
    get(&[("If-Match", "\"other\"")]).await.must_be(412);
    // A tag counts for more than a date.
    let both = [
        ("If-None-Match", "\"other\""),
        ("If-Modified-Since", &*date),
    ];
    get(&both).await.must_be(200);
}

#[tokio::test]
async fn conditions_guard_every_write() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "a").await.must_be(201);
    for (method, destination) in [
        ("DELETE", ""),
        ("MOVE", "/dav/b.txt"),
        ("COPY", "/dav/b.txt"),
        ("PROPPATCH", ""),
        ("LOCK", ""),
        ("PATCH", ""),
    ] {
        let asked = alice
            .request(method, "/a.txt")
            .header("If-Match", "\"other\"");
        let asked = asked
            .header("Destination", destination)
            .header("X-Update-Range", "append");
        let body = match method {
            "LOCK" => crate::phrase::EXCLUSIVE,
            "PROPPATCH" => {
                "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><D:displayname>x</D:displayname>\
                 </D:prop></D:set></D:propertyupdate>"
            }
            _ => "",
        };
        let asked = if method == "PATCH" {
            asked
                .header("Content-Type", "application/x-sabredav-partialupdate")
                .body("x")
        } else if body.is_empty() {
            asked
        } else {
            asked.xml(body)
        };
        asked.send().await.must_be(412);
    }
    assert_eq!(alice.get("/a.txt").await, "a");
    assert_eq!(alice.names("/").await, ["a.txt"]);
}

#[tokio::test]
async fn the_if_header_reads_tags_negation_and_lists() {
    let world = World::start().await;
    let alice = world.alice();
    let tag = alice.put("/a.txt", "a").await.must_be(201).etag();
    let mkcol = async |condition: &str| {
        alice
            .request("PROPPATCH", "/a.txt")
            .header("If", condition)
            .xml(
                "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><x:n xmlns:x='urn:x'>1</x:n>\
             </D:prop></D:set></D:propertyupdate>",
            )
            .send()
            .await
    };
    for (condition, status) in [
        (format!("([{tag}])"), 207),
        ("([\"other\"])".to_owned(), 412),
        (format!("(Not [{tag}])"), 412),
        ("(Not [\"other\"])".to_owned(), 207),
        (format!("([\"other\"]) ([{tag}])"), 207),
        (format!("([\"other\"] [{tag}])"), 412),
        ("(<DAV:no-lock>)".to_owned(), 412),
        ("(Not <DAV:no-lock>)".to_owned(), 207),
        (format!("</dav/a.txt> ([{tag}])"), 207),
        ("</dav/missing.txt> ([\"x\"])".to_owned(), 412),
        ("(".to_owned(), 400),
        ("nonsense".to_owned(), 400),
        ("()".to_owned(), 400),
    ] {
        mkcol(&condition).await.must_be(status);
    }
}

/// MOVE over something that must still have this tag.
async fn move_over(dav: &Dav, from: &str, to: &str, tag: &str) -> Answer {
    let request = dav.request("MOVE", from);
    let request = request.header("Destination", &dav.url(to));
    let condition = format!("<{}> ([{tag}])", dav.url(to));
    request.header("If", &condition).send().await
}

async fn tag_of(dav: &Dav, path: &str) -> String {
    let found = dav.propfind(path, "0").await.multistatus();
    let tag = found.only().dav("getetag");
    tag.expect("everything has a tag").to_owned()
}

#[tokio::test]
async fn an_empty_folder_goes_only_while_it_is_the_one_that_was_seen() {
    let world = World::start().await;
    let (alice, other) = (world.alice(), world.alice());
    alice.mkcol("/d").await.must_be(201);
    let tag = tag_of(&alice, "/d/").await;
    other.put("/d/a", "kept").await.must_be(201);
    let delete = |tag: String| {
        alice
            .request("DELETE", "/d/")
            .header("If-Match", &tag)
            .send()
    };
    delete(tag).await.must_be(412);
    alice.mkcol("/from").await.must_be(201);
    alice.put("/from/b", "moved").await.must_be(201);
    // Nor does it come back to the tag it had when it was empty.
    other.delete("/d/a").await.must_be(204);
    let tag = tag_of(&alice, "/d/").await;
    other.put("/d/a", "kept").await.must_be(201);
    move_over(&alice, "/from/", "/d/", &tag).await.must_be(412);
    assert_eq!(alice.get("/d/a").await, "kept");
    assert_eq!(alice.get("/from/b").await, "moved");
    other.delete("/d/a").await.must_be(204);
    other.put("/d/a", "kept").await.must_be(201);
    other.delete("/d/a").await.must_be(204);
    move_over(&alice, "/from/", "/d/", &tag).await.must_be(412);
    let tag = tag_of(&alice, "/d/").await;
    move_over(&alice, "/from/", "/d/", &tag).await.must_be(204);
    assert_eq!(alice.get("/d/b").await, "moved");
    alice.delete("/d/b").await.must_be(204);
    let tag = tag_of(&alice, "/d/").await;
    delete(tag).await.must_be(204);
}

#[tokio::test]
async fn who_removes_an_empty_folder_and_who_adds_to_it_cannot_both_succeed() {
    let world = World::start().await;
    let (alice, other) = (world.alice(), world.alice());
    for round in 0..20 {
        let (folder, file) = (format!("/d{round}/"), format!("/d{round}/a"));
        let from = format!("/from{round}/");
        for path in [&folder, &from] {
            alice.mkcol(path).await.must_be(201);
        }
        let tag = tag_of(&alice, &folder).await;
        let remove = async {
            if round % 2 == 0 {
                let request = alice.request("DELETE", &folder);
                request.header("If-Match", &tag).send().await
            } else {
                move_over(&alice, &from, &folder, &tag).await
            }
        };
        let (removed, added) = tokio::join!(remove, other.put(&file, "kept"));
        let removed = removed.must_be_one_of(&[204, 412]);
        let added = added.must_be_one_of(&[201, 409]);
        // What was moved there is a folder to add to, too.
        let is_lost = removed.status() == 204 && round % 2 == 0;
        assert_eq!(
            added.status(),
            if is_lost { 409 } else { 201 },
            "{removed:?}"
        );
        if !is_lost {
            assert_eq!(alice.get(&file).await, "kept");
        }
    }
}

#[tokio::test]
async fn the_sync_token_of_a_folder_is_a_state_token() {
    let world = World::start().await;
    let (alice, other) = (world.alice(), world.alice());
    alice.mkcol("/d").await.must_be(201);
    let token = async || {
        let asked = alice.propfind_of("/d/", "0", "<D:sync-token/>").await;
        let found = asked.multistatus();
        format!(
            "<{}> (<{}>)",
            alice.url("/d/"),
            found.only().dav("sync-token").unwrap()
        )
    };
    let seen = token().await;
    other.put("/d/a", "kept").await.must_be(201);
    let delete = |seen: String| alice.request("DELETE", "/d/").header("If", &seen).send();
    delete(seen).await.must_be(412);
    assert_eq!(alice.get("/d/a").await, "kept");
    let found = alice.request("PROPFIND", "/d/").header("Depth", "0");
    found.header("If", &token().await).send().await.must_be(207);
    delete(token().await).await.must_be(204);
}
