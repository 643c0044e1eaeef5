//! P2: no request by one user reveals or touches anything of another's.

use harness::{Answer, Dav, World};

use crate::phrase::{EXCLUSIVE, lock_token};

const METHODS: [&str; 14] = [
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "PATCH",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "REPORT",
];

async fn send(dav: &Dav, method: &str, target: &str) -> Answer {
    let asked = dav.request_at(method, target).header("Depth", "0");
    let asked = match method {
        "COPY" | "MOVE" => asked.header("Destination", "/dav/taken.txt"),
        "UNLOCK" => asked.header(
            "Lock-Token",
            "<urn:uuid:00000000-0000-0000-0000-000000000000>",
        ),
        "PATCH" => asked
            .header("Content-Type", "application/x-sabredav-partialupdate")
            .header("X-Update-Range", "append"),
        _ => asked,
    };
    let asked = match method {
        "PUT" | "PATCH" => asked.body("from bob"),
        "LOCK" => asked.xml(EXCLUSIVE),
        "PROPPATCH" => asked.xml(
            "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><D:displayname>x</D:displayname>\
             </D:prop></D:set></D:propertyupdate>",
        ),
        "REPORT" => asked.xml(
            "<D:sync-collection xmlns:D='DAV:'><D:sync-token/><D:sync-level>1</D:sync-level>\
             <D:prop/></D:sync-collection>",
        ),
        _ => asked,
    };
    asked.send().await
}

/// What must not differ between what is another's and what is not there.
fn seen(answer: &Answer, target: &str) -> (u16, String, Vec<String>) {
    let body = String::from_utf8_lossy(&answer.body).replace(target, "TARGET");
    let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status(), body, names)
}

#[tokio::test]
async fn the_same_path_is_another_file_for_another_user() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.put("/a.txt", "alice's").await.must_be(201);
    bob.get("/a.txt").await.must_be(404);
    bob.put("/a.txt", "bob's").await.must_be(201);
    assert_eq!(alice.get("/a.txt").await, "alice's");
    bob.delete("/a.txt").await.must_be(204);
    assert_eq!(alice.get("/a.txt").await, "alice's");
    assert!(bob.names("/").await.is_empty());
}

#[tokio::test]
async fn no_method_reaches_into_another_users_drive() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    alice.mkcol("/folder").await.must_be(201);
    alice.put("/folder/secret.txt", "secret").await.must_be(201);
    let before = alice.propfind("/folder", "1").await.text();
    for path in ["", "/", "/folder", "/folder/secret.txt", "/new.txt"] {
        for method in METHODS {
            let theirs = format!("/remote.php/dav/files/alice{path}");
            let nobodys = format!("/remote.php/dav/files/nobody{path}");
            let there = send(&bob, method, &theirs).await;
            let missing = send(&bob, method, &nobodys).await;
            assert_eq!(
                seen(&there, &theirs),
                seen(&missing, &nobodys),
                "{method} {path} tells alice from nobody"
            );
            if method != "OPTIONS" {
                assert!((400..500).contains(&there.status()), "{there:?}");
            }
            assert!(
                !there.body.windows(6).any(|window| window == b"secret"),
                "{there:?}"
            );
        }
        for method in ["COPY", "MOVE"] {
            bob.put("/mine.txt", "bob's")
                .await
                .must_be_one_of(&[201, 204]);
            let asked = bob.request(method, "/mine.txt");
            let to = format!("/remote.php/dav/files/alice{path}");
            asked
                .header("Destination", &to)
                .send()
                .await
                .must_be_one_of(&[403, 404, 409, 502]);
            bob.head("/mine.txt").await.must_be(200);
        }
    }
    assert_eq!(alice.propfind("/folder", "1").await.text(), before);
    assert_eq!(alice.names("/").await, ["folder"]);
    assert_eq!(bob.names("/").await, ["mine.txt"]);
}

#[tokio::test]
async fn a_lock_token_of_another_user_opens_nothing() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let hers = lock_token(&alice.lock("/a.txt").await.must_be(201));
    let his = lock_token(&bob.lock("/a.txt").await.must_be(201));
    bob.unlock("/a.txt", &hers)
        .await
        .must_be_one_of(&[403, 409]);
    let put = bob
        .request("PUT", "/a.txt")
        .header("If", &format!("(<{hers}>)"))
        .body("x");
    put.send().await.must_be_one_of(&[412, 423]);
    let refresh = bob
        .request("LOCK", "/a.txt")
        .header("If", &format!("(<{hers}>)"));
    refresh.send().await.must_be(412);
    alice.put("/a.txt", "x").await.must_be(423);
    bob.put("/a.txt", "x").await.must_be(423);
    assert!(
        !bob.propfind_of("/a.txt", "0", "<D:lockdiscovery/>")
            .await
            .text()
            .contains(&hers)
    );
    alice.unlock("/a.txt", &hers).await.must_be(204);
    bob.unlock("/a.txt", &his).await.must_be(204);
}

#[tokio::test]
async fn known_content_is_answered_and_charged_like_new_content() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let content = harness::noise(11, 2_000_000);
    alice.put("/known.bin", content.clone()).await.must_be(201);
    let known = bob.put("/known.bin", content.clone()).await.must_be(201);
    let fresh = bob
        .put("/fresh.bin", harness::noise(12, 2_000_000))
        .await
        .must_be(201);
    let names = |answer: &Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&known), names(&fresh));
    let used = bob
        .propfind_of("/", "0", "<D:quota-used-bytes/>")
        .await
        .multistatus();
    assert_eq!(used.only().dav("quota-used-bytes"), Some("4000000"));
    // Deleting one's copy leaves the other's.
    alice.delete("/known.bin").await.must_be(204);
    assert!(bob.get("/known.bin").await == content);
    // A digest alone gives nothing: the bytes must come.
    let digest = format!("\"{}\"", harness::sha256_hex(&content));
    let claim = alice
        .request("PUT", "/claimed.bin")
        .header("If-None-Match", &digest);
    let claim = claim.header(
        "OC-Checksum",
        &format!("SHA256:{}", harness::sha256_hex(&content)),
    );
    claim.body("").send().await.must_be(400);
    alice.head("/claimed.bin").await.must_be(404);
}

#[tokio::test]
async fn free_space_of_one_user_does_not_move_with_another() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let asked = "<D:quota-available-bytes/><D:quota-used-bytes/>";
    let before = bob.propfind_of("/", "0", asked).await.text();
    alice
        .put("/a.bin", harness::noise(13, 1_000_000))
        .await
        .must_be(201);
    assert_eq!(bob.propfind_of("/", "0", asked).await.text(), before);
}

#[tokio::test]
async fn the_json_door_shows_a_user_only_to_himself() {
    let world = World::start().await;
    let me = world
        .alice()
        .request_at("GET", "/api/v1/me")
        .send()
        .await
        .must_be(200)
        .json();
    assert_eq!(me["username"], "alice");
    let users = world.bob().request_at("GET", "/api/v1/users").send().await;
    users.must_be_one_of(&[403, 404]);
    let id = me["id"].as_str().unwrap();
    let user = world
        .bob()
        .request_at("GET", &format!("/api/v1/users/{id}"))
        .send()
        .await;
    user.must_be(404);
    world
        .anonymous()
        .request_at("GET", "/api/v1/me")
        .send()
        .await
        .must_be(401);
}
