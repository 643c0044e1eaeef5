//! What others share, in the drive of its receiver.

use std::time::Duration;

use harness::{Dav, World, until};
use serde_json::json;

use crate::phrase::lock_token;

const SHARED: &str = "/Shared with me";

async fn share(owner: &Dav, path: &str, name: &str, right: &str) {
    let target = format!("/api/v1/files/grants?path={}", harness::encode_path(path));
    let body = json!({ "name": name, "right": right });
    let made = owner.request_at("POST", &target).json(&body).send().await;
    made.must_be_one_of(&[200, 201]);
}

/// "Correct quota of the owner, locks and `ETags` shared": a whole session of a receiver.
#[tokio::test]
async fn a_receiver_works_in_what_is_shared_as_in_the_own_drive() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.mkcol("/Team").await.must_be(201);
    alice.put("/Team/a.txt", "one").await.must_be(201);
    share(&alice, "/Team", "bob", "write").await;
    let team = "/Shared with me/Team";

    let listed = bob.propfind(team, "1").await.must_be(207).multistatus();
    let base = "/dav/Shared%20with%20me/Team/";
    assert_eq!(listed.hrefs(), [base, &*format!("{base}a.txt")]);
    assert_eq!(listed.response("/Team/").dav("displayname"), Some("Team"));
    // The same through the aliases.
    for alias in ["/remote.php/webdav", "/remote.php/dav/files/bob"] {
        let target = format!("{alias}/Shared%20with%20me/Team/");
        let asked = bob.request_at("PROPFIND", &target).header("Depth", "1");
        let listed = asked.send().await.must_be(207).multistatus();
        assert_eq!(listed.hrefs(), [&*target, &*format!("{target}a.txt")]);
    }
    let file = format!("{team}/a.txt");
    assert_eq!(
        bob.head(&file).await.etag(),
        alice.head("/Team/a.txt").await.etag()
    );
    let written = bob.put(&file, "two").await.must_be(204);
    assert_eq!(alice.head("/Team/a.txt").await.etag(), written.etag());
    assert_eq!(alice.get("/Team/a.txt").await, "two");
    bob.mkcol(&format!("{team}/sub")).await.must_be(201);
    bob.put(&format!("{team}/sub/b.txt"), "b")
        .await
        .must_be(201);
    bob.rename(&format!("{team}/sub/b.txt"), &format!("{team}/c.txt"))
        .await
        .must_be(201);
    bob.copy(&format!("{team}/c.txt"), &format!("{team}/sub/d.txt"))
        .await
        .must_be(201);
    bob.proppatch(&file, "<x xmlns='u:'>1</x>")
        .await
        .must_be(207);
    let ranged = bob.request("GET", &file).header("Range", "bytes=1-");
    assert_eq!(ranged.send().await.must_be(206), "wo");
    assert_eq!(alice.names("/Team").await, ["a.txt", "c.txt", "sub"]);

    // The room is the owner's.
    let quota = "<D:quota-used-bytes/><D:quota-available-bytes/>";
    let theirs = bob
        .propfind_of(team, "0", quota)
        .await
        .must_be(207)
        .multistatus();
    let own = alice
        .propfind_of("/", "0", quota)
        .await
        .must_be(207)
        .multistatus();
    for name in ["quota-used-bytes", "quota-available-bytes"] {
        assert_eq!(theirs.only().dav(name), own.only().dav(name));
    }
    assert_eq!(own.only().dav("quota-used-bytes"), Some("5"));

    // Something of the owner's that is not shared is not there, whatever the path says.
    alice.put("/secret.txt", "secret").await.must_be(201);
    for path in [
        "/Shared with me/secret.txt",
        "/Shared with me/Team/../../secret.txt",
    ] {
        bob.get(path).await.must_be_one_of(&[400, 404]);
    }
    assert_eq!(bob.names("/").await, ["Shared with me"]);
    alice.rename("/Team", "/Crew").await.must_be(201);
    assert_eq!(bob.get(&file).await, "two");
}

#[tokio::test]
async fn owner_and_writer_respect_each_others_locks() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.mkcol("/Team").await.must_be(201);
    alice.put("/Team/a.txt", "one").await.must_be(201);
    alice.put("/single.txt", "one").await.must_be(201);
    share(&alice, "/Team", "bob", "write").await;
    share(&alice, "/single.txt", "bob", "write").await;
    for (theirs, mine) in [
        ("/Team/a.txt", "/Shared with me/Team/a.txt"),
        ("/single.txt", "/Shared with me/single.txt"),
    ] {
        let locked = alice.lock(theirs).await.must_be(200);
        let token = lock_token(&locked);
        bob.put(mine, "bob's").await.must_be(423);
        let with = bob
            .request("PUT", mine)
            .header("If", &format!("(<{token}>)"));
        with.body("bob's").send().await.must_be(423);
        bob.lock(mine).await.must_be(423);
        bob.unlock(mine, &token).await.must_be(409);
        alice.unlock(theirs, &token).await.must_be(204);

        let token = lock_token(&bob.lock(mine).await.must_be(200));
        alice.put(theirs, "alice's").await.must_be(423);
        let tagged = format!("<{}> (<{token}>)", bob.url(mine));
        for condition in [format!("(<{token}>)"), tagged] {
            let with = bob.request("PUT", mine).header("If", &condition);
            with.body("bob's").send().await.must_be(204);
        }
        bob.unlock(mine, &token).await.must_be(204);
        alice.put(theirs, "alice's").await.must_be(204);
    }
    // A lock does not outlive the right to write.
    let token = lock_token(&bob.lock("/Shared with me/Team/a.txt").await.must_be(200));
    alice.put("/Team/a.txt", "x").await.must_be(423);
    share(&alice, "/Team", "bob", "read").await;
    alice.put("/Team/a.txt", "x").await.must_be(204);
    bob.unlock("/Shared with me/Team/a.txt", &token)
        .await
        .must_be(403);
    bob.lock("/Shared with me/Team/a.txt").await.must_be(403);
}

/// "COPY over borders charges the target's owner; MOVE over borders 502."
#[tokio::test]
async fn copies_cross_borders_and_moves_do_not() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let carol = world.add_user("carol", Some(100)).await;
    let carol = world.as_user(&carol);
    for (owner, folder) in [(&alice, "/a"), (&carol, "/c")] {
        owner.mkcol(folder).await.must_be(201);
        share(owner, folder, "bob", "write").await;
    }
    alice.put("/a/f.txt", "x".repeat(80)).await.must_be(201);
    bob.put("/own.txt", "y".repeat(60)).await.must_be(201);
    let (a, c) = ("/Shared with me/a", "/Shared with me/c");
    let from = format!("{a}/f.txt");
    bob.copy(&from, "/copy.txt").await.must_be(201);
    bob.copy("/own.txt", &format!("{a}/own.txt"))
        .await
        .must_be(201);
    bob.copy(&from, &format!("{c}/f.txt")).await.must_be(201);
    bob.copy(&from, &format!("{c}/g.txt")).await.must_be(507);
    bob.copy(a, &format!("{c}/tree")).await.must_be(507);
    bob.copy(a, "/tree").await.must_be(201);
    assert_eq!(bob.names("/tree").await, ["f.txt", "own.txt"]);
    bob.copy(&from, "/copy.txt").await.must_be(204);
    let kept = bob
        .request("COPY", &from)
        .header("Destination", "/dav/copy.txt");
    kept.header("Overwrite", "F").send().await.must_be(412);
    for (from, to) in [
        (from.as_str(), "/moved.txt"),
        ("/own.txt", "/Shared with me/a/moved.txt"),
        (&from, "/Shared with me/c/moved.txt"),
    ] {
        bob.rename(from, to).await.must_be(502);
        bob.head(from).await.must_be(200);
    }
    for to in [SHARED, "/Shared with me/new", a] {
        bob.copy("/own.txt", to).await.must_be(403);
        bob.rename("/own.txt", to).await.must_be_one_of(&[403, 502]);
    }
    bob.copy("/own.txt", "/Shared with me/none/x")
        .await
        .must_be(409);
    let used = async |who: &Dav| {
        let asked = who.propfind_of("/", "0", "<D:quota-used-bytes/>").await;
        let answer = asked.must_be(207).multistatus();
        answer.only().dav("quota-used-bytes").unwrap().to_owned()
    };
    assert_eq!(used(&alice).await, "140");
    assert_eq!(used(&bob).await, "280");
    assert_eq!(used(&carol).await, "80");
}

#[tokio::test]
async fn the_folder_of_shares_can_be_looked_at_and_nothing_else() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    for method in ["PROPFIND", "GET", "HEAD"] {
        bob.request(method, SHARED).send().await.must_be(404);
    }
    bob.mkcol(SHARED).await.must_be(403);
    bob.put(SHARED, "x").await.must_be(403);
    alice.put("/a.txt", "x").await.must_be(201);
    bob.put("/own.txt", "x").await.must_be(201);
    bob.rename("/own.txt", SHARED).await.must_be(403);
    share(&alice, "/a.txt", "bob", "read").await;

    let root = bob.propfind("/", "1").await.must_be(207).multistatus();
    assert_eq!(
        root.hrefs(),
        ["/dav/", "/dav/Shared%20with%20me/", "/dav/own.txt"]
    );
    assert!(root.response("/Shared%20with%20me/").is_collection());
    let listed = bob.propfind(SHARED, "1").await.must_be(207).multistatus();
    let tag = listed.response("me/").dav("getetag").unwrap().to_owned();
    assert_eq!(root.response("me/").dav("getetag"), Some(&*tag));
    assert_eq!(listed.response("a.txt").dav("getcontentlength"), Some("1"));
    assert!(
        bob.get(SHARED)
            .await
            .must_be(200)
            .text()
            .contains(">a.txt<")
    );
    assert!(
        bob.get("/")
            .await
            .must_be(200)
            .text()
            .contains("Shared%20with%20me/")
    );
    for method in ["PUT", "MKCOL", "DELETE", "LOCK", "PROPPATCH"] {
        bob.request(method, SHARED).send().await.must_be(403);
    }
    for (method, path) in [
        ("COPY", "/x"),
        ("MOVE", "/x"),
        ("MOVE", "/Shared with me/x"),
    ] {
        let to = bob.url(path);
        let asked = bob.request(method, SHARED).header("Destination", &to);
        asked.send().await.must_be(403);
    }
    bob.mkcol("/Shared with me/new").await.must_be(403);
    bob.put("/Shared with me/new/x", "x").await.must_be(409);
    bob.request("BREW", SHARED).send().await.must_be(501);
    // A single shared file says what can be done with it.
    let options = bob.options("/Shared with me/a.txt").await.must_be(200);
    assert!(!options.header("allow").contains("DELETE"), "{options:?}");
    let permissions = "<o:permissions xmlns:o='http://owncloud.org/ns'/>";
    let asked = bob
        .propfind_of("/Shared with me/a.txt", "0", permissions)
        .await;
    assert!(asked.must_be(207).text().contains(">G<"));
    share(&alice, "/a.txt", "bob@example.org", "write").await;
    let changed = bob.propfind(SHARED, "0").await.must_be(207).multistatus();
    assert_ne!(changed.only().dav("getetag"), Some(&*tag));
    assert_eq!(bob.names(SHARED).await, ["a.txt"]);
}

const SYNC: &str = "<D:sync-collection xmlns:D='DAV:'><D:sync-token>TOKEN</D:sync-token>\
     <D:sync-level>infinite</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>";

#[tokio::test]
async fn a_share_is_synchronised_and_tells_nothing_of_what_lies_beside_it() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    for folder in ["/a", "/a/in", "/beside"] {
        alice.mkcol(folder).await.must_be(201);
    }
    share(&alice, "/a/in", "bob", "read").await;
    let sync = async |token: &str| {
        let asked = bob
            .request("REPORT", "/Shared with me/in")
            .header("Depth", "0");
        asked.xml(&SYNC.replace("TOKEN", token)).send().await
    };
    let first = sync("").await.must_be(207).multistatus();
    assert!(first.responses.is_empty());
    alice.put("/a/in/f.txt", "x").await.must_be(201);
    alice.put("/beside/g.txt", "x").await.must_be(201);
    let second = sync(&first.sync_token).await.must_be(207).multistatus();
    assert_eq!(second.hrefs(), ["/dav/Shared%20with%20me/in/f.txt"]);
    alice.delete("/a/in/f.txt").await.must_be(204);
    let third = sync(&second.sync_token).await.must_be(207).multistatus();
    assert_eq!(third.only().status, Some(404));
    // Where it lies now, its history has another beginning.
    alice.put("/a/in/h.txt", "x").await.must_be(201);
    alice.rename("/a", "/b").await.must_be(201);
    let moved = sync(&third.sync_token).await.must_be(403);
    assert!(moved.names_condition("valid-sync-token"));
    let again = sync("").await.must_be(207).multistatus();
    assert_eq!(again.hrefs(), ["/dav/Shared%20with%20me/in/h.txt"]);
}

/// Nobody with whom nothing is shared pays for it.
#[tokio::test]
async fn shares_cost_those_nothing_who_have_none() {
    let world = World::start().await;
    let bob = world.bob();
    bob.mkcol("/a").await.must_be(201);
    bob.put("/a/f.txt", "x").await.must_be(201);
    let ask = async || {
        bob.propfind("/", "1").await.must_be(207);
        bob.propfind("/a", "1").await.must_be(207);
        bob.get("/a/f.txt").await.must_be(200);
    };
    ask().await;
    ask().await;
    ask().await;
    let deadline = Duration::from_secs(10);
    until("all are logged", deadline, || async {
        world.requests().len() >= 11
    })
    .await;
    let statements: Vec<u64> = world
        .requests()
        .iter()
        .map(|line| line.statements)
        .collect();
    let warm = &statements[statements.len() - 3..];
    if world.postgres().is_none() {
        assert_eq!(warm, [0, 0, 0], "{statements:?}");
    } else {
        // There one statement asks whether there are any, for the root alone.
        assert_eq!(warm[0], warm[1] + 1, "{statements:?}");
    }
}
