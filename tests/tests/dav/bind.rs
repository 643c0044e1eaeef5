//! Files with several names (RFC 5842).

use harness::{Answer, Dav, World};
use serde_json::json;

async fn bind(dav: &Dav, file: &str, folder: &str, name: &str) -> Answer {
    let href = dav.url(file);
    let body = format!(
        "<D:bind xmlns:D=\"DAV:\"><D:segment>{name}</D:segment><D:href>{href}</D:href></D:bind>"
    );
    dav.request("BIND", folder).xml(&body).send().await
}

async fn links(dav: &Dav, path: &str) -> String {
    let asked = "<p:links xmlns:p=\"urn:coffer:posix\"/>";
    let found = dav.propfind_of(path, "0", asked).await.multistatus();
    let links = found.only().property("{urn:coffer:posix}links");
    links.expect("a file tells how many").text.clone()
}

/// A report of what changed since a token: the hrefs, and the next token.
async fn changes(dav: &Dav, token: &str) -> (Vec<String>, String) {
    let body = format!(
        "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token>\
         <D:sync-level>infinite</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
    );
    let report = dav.request("REPORT", "/").xml(&body).send().await;
    let report = report.multistatus();
    let mut hrefs: Vec<String> = report.hrefs().into_iter().map(str::to_owned).collect();
    hrefs.sort();
    (hrefs, report.sync_token)
}

async fn must_be_sound(world: &World) {
    let checked = world.cli(&["check"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

/// "What is written to a file by one of its names shows at once under all, and each is told as changed."
#[tokio::test]
async fn what_is_written_by_one_name_is_told_of_all() {
    let mut world = World::start().await;
    let alice = world.alice();
    let class = alice.options("/").await.header("dav").to_owned();
    assert!(class.split(", ").any(|class| class == "bind"), "{class}");
    alice.mkcol("/d").await.must_be(201);
    alice.put("/a", "one").await.must_be(201);
    bind(&alice, "/a", "/d", "b").await.must_be(201);
    let (_, token) = changes(&alice, "").await;
    alice.put("/d/b", "two").await.must_be(204);
    let (told, _) = changes(&alice, &token).await;
    assert_eq!(told, ["/dav/a", "/dav/d/b"]);
    for path in ["/a", "/d/b"] {
        assert_eq!(alice.get(path).await, "two");
        assert_eq!(links(&alice, path).await, "2");
    }
    // It survives, and is one file.
    world.kill().await;
    world.revive().await;
    let alice = world.alice();
    assert_eq!(alice.get("/a").await.etag(), alice.get("/d/b").await.etag());
    assert_eq!(links(&alice, "/a").await, "2");
    must_be_sound(&world).await;
}

/// "Where the file has another number of names, nothing is written and the answer is 412."
#[tokio::test]
async fn who_writes_may_demand_that_a_file_has_one_name() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a", "one").await.must_be(201);
    let write = async |method: &str, path: &str, links: &str| {
        let asked = alice.request(method, path).header("Coffer-Links", links);
        let asked = match method {
            "PATCH" => asked
                .header("Content-Type", "application/x-sabredav-partialupdate")
                .header("X-Update-Range", "append"),
            _ => asked,
        };
        asked.body("two").send().await
    };
    write("PUT", "/a", "1").await.must_be(204);
    write("PUT", "/new", "1").await.must_be(201);
    bind(&alice, "/a", "/", "b").await.must_be(201);
    for method in ["PUT", "PATCH"] {
        write(method, "/a", "1").await.must_be(412);
        write(method, "/a", "one").await.must_be(400);
        write(method, "/a", "+1").await.must_be(400);
    }
    let at = "/api/v1/files/content?path=/b";
    let asked = alice.request_at("PUT", at).header("Coffer-Links", "1");
    asked.body("three").send().await.must_be(412);
    assert_eq!(alice.get("/b").await, "two");
    write("PUT", "/a", "2").await.must_be(204);
    alice.delete("/a").await.must_be(204);
    write("PUT", "/b", "1").await.must_be(204);
    must_be_sound(&world).await;
}

/// "lockdiscovery names those that lie above the path that was asked about, and those of the file
/// itself, with one of its names."
#[tokio::test]
async fn the_root_of_a_lock_on_a_file_is_none_of_a_folder() {
    let world = World::start().await;
    let alice = world.alice();
    for at in ["/d", "/d/sub"] {
        alice.mkcol(at).await.must_be(201);
    }
    alice.put("/d/x", "one").await.must_be(201);
    bind(&alice, "/d/x", "/", "z").await.must_be(201);
    let refresh = async |path: &str, token: &str| {
        let asked = alice.request("LOCK", path);
        let asked = asked.header("If", &format!("(<{token}>)"));
        asked.send().await.must_be(200).text().clone()
    };
    let token = alice
        .lock("/d/x")
        .await
        .must_be(200)
        .header("lock-token")
        .trim_matches(['<', '>'])
        .to_owned();
    for path in ["/d/x", "/z"] {
        let asked = "<D:lockdiscovery/>";
        let told = alice.propfind_of(path, "0", asked).await.text().clone();
        for told in [told, refresh(path, &token).await] {
            assert!(told.contains("<D:lockroot>"), "{told}");
            assert!(!told.contains("x/</D:href></D:lockroot>"), "{told}");
            assert!(!told.contains("z/</D:href></D:lockroot>"), "{told}");
        }
    }
    alice.unlock("/z", &token).await.must_be(204);
    // A lock of a folder is one of a folder, however short the path by which it is refreshed.
    alice.put("/d/sub/f", "one").await.must_be(201);
    bind(&alice, "/d/sub/f", "/", "f").await.must_be(201);
    let body = "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                <D:locktype><D:write/></D:locktype></D:lockinfo>";
    let deep = alice.request("LOCK", "/d/sub").xml(body).send().await;
    let token = deep
        .must_be(200)
        .header("lock-token")
        .trim_matches(['<', '>'])
        .to_owned();
    let told = refresh("/f", &token).await;
    assert!(told.contains("/dav/d/sub/</D:href></D:lockroot>"), "{told}");
}

/// "Each path as it was given": what an upload answers is the path that was written.
#[tokio::test]
async fn an_upload_answers_with_the_name_that_it_was_for() {
    let world = World::start().await;
    let alice = world.alice();
    for at in ["/a", "/d"] {
        alice.mkcol(at).await.must_be(201);
    }
    alice.put("/d/\u{e9}", "one").await.must_be(201);
    for (folder, name) in [("/", "z"), ("/a", "z")] {
        bind(&alice, "/d/\u{e9}", folder, name).await.must_be(201);
    }
    let at = "/api/v1/files/content?path=/d/e%CC%81";
    let answer = alice.request_at("PUT", at).body("two").send().await;
    assert_eq!(answer.must_be(200).json()["path"], json!("/d/\u{e9}"));
}

/// "A name that goes while the file has others is not in the trash: nothing is lost. With its last name
/// the file goes there."
#[tokio::test]
async fn only_the_last_name_takes_the_file_along() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/d").await.must_be(201);
    alice.put("/a", "one").await.must_be(201);
    bind(&alice, "/a", "/d", "b").await.must_be(201);
    alice.delete("/d").await.must_be(204);
    assert_eq!(alice.get("/a").await, "one");
    assert_eq!(links(&alice, "/a").await, "1");
    let trash = async || {
        let listed = alice.request_at("GET", "/api/v1/trash").send().await;
        listed.must_be(200).json()["items"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(trash().await, 1, "the folder, without the file");
    alice.delete("/a").await.must_be(204);
    assert_eq!(trash().await, 2);
    must_be_sound(&world).await;
}

/// "A copy of a folder has files of its own, each with the names that it has in the folder."
#[tokio::test]
async fn a_copied_folder_is_apart_from_the_first() {
    let world = World::start().await;
    let alice = world.alice();
    alice.mkcol("/d").await.must_be(201);
    alice.put("/d/a", "one").await.must_be(201);
    bind(&alice, "/d/a", "/d", "b").await.must_be(201);
    bind(&alice, "/d/a", "/", "c").await.must_be(201);
    alice.copy("/d", "/e").await.must_be(201);
    alice.put("/e/a", "copied").await.must_be(204);
    assert_eq!(alice.get("/e/b").await, "copied");
    assert_eq!(alice.get("/d/b").await, "one");
    assert_eq!(links(&alice, "/e/a").await, "2");
    assert_eq!(links(&alice, "/c").await, "3");
    // By its id a file is found, and deleted, by one name at a time.
    let found = alice
        .request_at("GET", "/api/v1/files?path=/c")
        .send()
        .await;
    let id = found.must_be(200).json()["id"].as_str().unwrap().to_owned();
    for left in [true, true, false] {
        let delete = alice.request_at("DELETE", &format!("/api/v1/files/{id}"));
        delete.send().await.must_be(200);
        let still = alice.request_at("GET", &format!("/api/v1/files/{id}"));
        let status = still.send().await.status();
        assert_eq!(status, if left { 200 } else { 404 });
    }
    must_be_sound(&world).await;
}

/// "Who was granted a folder reaches what has a name in it. They may remove that name, and give none: there
/// OPTIONS does not name `bind`."
#[tokio::test]
async fn receivers_of_a_share_give_no_names() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.mkcol("/Team").await.must_be(201);
    alice.put("/own", "one").await.must_be(201);
    bind(&alice, "/own", "/Team", "a").await.must_be(201);
    let grant = alice.request_at("POST", "/api/v1/files/grants?path=/Team");
    let grant = grant.json(&json!({ "name": "bob", "right": "write" }));
    grant.send().await.must_be(201);
    let team = "/Shared with me/Team";
    let options = bob.options(team).await;
    for field in ["dav", "allow"] {
        let words = options.header(field).to_ascii_lowercase();
        assert!(!words.contains("bind"), "{options:?}");
    }
    assert!(options.header("dav").contains("coffer-attributes"));
    let file = format!("{team}/a");
    // Of other places they hear nothing, not even that there are any.
    let counted = async |expected: &str| {
        assert_eq!(links(&bob, &file).await, expected);
        let asked = "<p:links xmlns:p=\"urn:coffer:posix\"/>";
        let told = bob.propfind_of(team, "1", asked).await.text().clone();
        let report = format!(
            "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token/><D:sync-level>infinite\
             </D:sync-level><D:prop>{asked}</D:prop></D:sync-collection>"
        );
        let report = bob.request("REPORT", team).xml(&report).send().await;
        for told in [told, report.must_be(207).text().clone()] {
            assert!(told.contains(&format!(">{expected}</p:links>")), "{told}");
        }
        assert_eq!(links(&bob, "/Shared with me/own").await, "1");
    };
    let grant = alice.request_at("POST", "/api/v1/files/grants?path=/own");
    let grant = grant.json(&json!({ "name": "bob", "right": "read" }));
    grant.send().await.must_be(201);
    counted("1").await;
    assert_eq!(links(&alice, "/own").await, "2");
    bind(&alice, "/own", "/Team", "second").await.must_be(201);
    counted("2").await;
    alice.delete("/Team/second").await.must_be(204);
    bind(&bob, &file, team, "b").await.must_be(403);
    bind(&bob, &file, "/", "b").await.must_be(403);
    bob.put("/mine", "mine").await.must_be(201);
    bind(&bob, "/mine", team, "b").await.must_be(403);
    // What is there by another name is what alice has, for as long as it is there.
    bob.put(&file, "of bob").await.must_be(204);
    assert_eq!(alice.get("/own").await, "of bob");
    bob.delete(&file).await.must_be(204);
    assert_eq!(alice.get("/own").await, "of bob");
    assert_eq!(links(&alice, "/own").await, "1");
    must_be_sound(&world).await;
}
