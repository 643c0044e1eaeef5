//! What uploads survive, wait for and end with.

use harness::{Dav, Setup, World, noise, sha256_hex, until};
use serde_json::{Value, json};

use super::{
    MIB, PATIENCE, append, assert_sound, begin, begin_by_hand, beginning, charged, head, metadata,
    offset, show, tus,
};
use crate::phrase::{ask, basic, send};

#[tokio::test]
async fn b4_resumable_upload_survives_kills_and_broken_connections() {
    let mut world = World::start().await;
    let content = noise(202, 90 * MIB);
    let at = begin(&world.alice(), "/a.bin", content.len()).await;
    append(&world.alice(), &at, 0, content[..1000].to_vec())
        .await
        .must_be(204);
    // Between two requests: what was acknowledged is there.
    world.kill().await;
    world.revive().await;
    assert_eq!(offset(&world.alice(), &at).await, 1000);

    // A connection that breaks leaves all that has come.
    let sent = 7_654_321;
    let left = content.len() - 1000;
    let mut wire = begin_by_hand(&world, &at, 1000, left, &content[1000..sent]).await;
    wire.finish().await;
    drop(wire);
    until("what has come is kept", PATIENCE, || async {
        show(&world.alice(), &at).await["offset_bytes"] == sent
    })
    .await;
    assert_eq!(offset(&world.alice(), &at).await, sent);

    // Inside of a request: what was written down on the way is there.
    let left = content.len() - sent;
    let until_here = 80 * MIB;
    let wire = begin_by_hand(&world, &at, sent, left, &content[sent..until_here]).await;
    until("something is kept", PATIENCE, || async {
        show(&world.alice(), &at).await["offset_bytes"].as_u64() > Some(sent as u64)
    })
    .await;
    world.kill().await;
    drop(wire);
    world.revive().await;
    let alice = world.alice();
    let kept = offset(&alice, &at).await;
    assert!(kept > sent && kept <= until_here, "{kept}");
    assert_eq!(charged(&alice).await, (0, content.len() as u64));
    let last = append(&alice, &at, kept, content[kept..].to_vec()).await;
    assert_eq!(
        last.must_be(204).etag(),
        format!("\"{}\"", sha256_hex(&content))
    );
    assert!(alice.get("/a.bin").await == content);
    assert_eq!(charged(&alice).await, (content.len() as u64, 0));
    assert_sound(&world).await;
}

/// P3: "reserved before the first byte is accepted and settled with the write".
#[tokio::test]
async fn b4_resumable_upload_reserves_its_room() {
    let mut world = Setup::default()
        .env("COFFER_LIMITS_UPLOADS_PER_USER", "3")
        .start()
        .await;
    let carol = world.add_user("carol", Some(1_000_000)).await;
    let client = world.as_user(&carol);
    let at = begin(&client, "/a", 600_000).await;
    assert_eq!(charged(&client).await, (0, 600_000));
    let refused = beginning(&client, "/b", 400_001).send().await.must_be(507);
    assert_eq!(refused.json()["code"], "quota_exceeded");
    let exact = begin(&client, "/b", 400_000).await;
    client.put("/c", noise(204, 100_000)).await.must_be(507);
    // A restart drops what was promised to uploads of one request, and nothing of this.
    world.kill().await;
    world.revive().await;
    let client = world.as_user(&carol);
    assert_eq!(charged(&client).await, (0, 1_000_000));
    tus(&client, "DELETE", &exact).send().await.must_be(204);
    head(&client, &exact).await.must_be(404);
    assert_eq!(charged(&client).await, (0, 600_000));
    append(&client, &at, 0, noise(205, 600_000))
        .await
        .must_be(204);
    assert_eq!(charged(&client).await, (600_000, 0));
    // What is replaced is paid for.
    let again = begin(&client, "/a", 1_000_000).await;
    assert_eq!(charged(&client).await, (600_000, 400_000));
    append(&client, &again, 0, noise(206, 500_000))
        .await
        .must_be(204);
    tus(&client, "DELETE", &again).send().await.must_be(204);
    assert_eq!(charged(&client).await, (600_000, 0));

    for n in 0..3 {
        begin(&client, &format!("/small/{n}"), 1).await;
    }
    world.restart().await;
    let client = world.as_user(&carol);
    let refused = beginning(&client, "/small/more", 1)
        .send()
        .await
        .must_be(429);
    assert_eq!(refused.json()["code"], "limit_exceeded");
    assert_sound(&world).await;
}

#[tokio::test]
async fn b4_resumable_upload_waits_while_something_stands_in_the_way() {
    let world = World::start().await;
    let alice = world.alice();
    let content = noise(207, 2 * MIB);
    let only_new = beginning(&alice, "/a.bin", content.len()).header("If-None-Match", "*");
    let at = only_new
        .send()
        .await
        .must_be(201)
        .header("location")
        .to_owned();
    alice.put("/a.bin", "first").await.must_be(201);
    let last = append(&alice, &at, 0, content.clone()).await.must_be(412);
    assert_eq!(last.json()["code"], "precondition_failed");
    let upload = show(&alice, &at).await;
    assert_eq!(upload["state"], "complete");
    assert_eq!(upload["problem"]["code"], "precondition_failed");
    assert_eq!(alice.get("/a.bin").await, "first");
    assert_eq!(charged(&alice).await, (5, content.len() as u64));
    // A client that only asks how far it is does not take it for done.
    head(&alice, &at).await.must_be(412);
    alice.delete("/a.bin").await.must_be(204);
    let told = head(&alice, &at).await.must_be(204);
    assert!(!told.header("coffer-file-id").is_empty());
    assert!(alice.get("/a.bin").await == content);

    // A lock whose token comes with the last request.
    let lock = alice.lock("/a.bin").await.must_be(200);
    let token = lock.header("lock-token").to_owned();
    beginning(&alice, "/a.bin", 3).send().await.must_be(423);
    let holder = beginning(&alice, "/a.bin", 3).header("If", &format!("({token})"));
    let at = holder
        .send()
        .await
        .must_be(201)
        .header("location")
        .to_owned();
    append(&alice, &at, 0, "new").await.must_be(423);
    let path = at.strip_prefix("/api/v1").unwrap();
    let commit = format!("{path}/commit");
    ask(&alice, "POST", &commit).await.must_be(423);
    let request = alice.request_at("POST", &format!("/api/v1{commit}"));
    let done = request.header("If", &format!("({token})")).send().await;
    assert_eq!(done.must_be(200).json()["state"], "stored");
    assert_eq!(alice.get("/a.bin").await, "new");

    // The folder is gone: the bytes can go elsewhere.
    alice.mkcol("/f").await.must_be(201);
    let folder = ask(&alice, "GET", "/files?path=/f").await.json()["folder"]["id"].clone();
    let words = metadata(&[("filename", "x"), ("dir", folder.as_str().unwrap())]);
    let request = tus(&alice, "POST", "/api/v1/uploads")
        .headers(&[("Upload-Length", "3"), ("Upload-Metadata", &words)]);
    let at = request
        .send()
        .await
        .must_be(201)
        .header("location")
        .to_owned();
    alice.delete("/f").await.must_be(204);
    let refused = append(&alice, &at, 0, "abc").await.must_be(409);
    assert_eq!(refused.json()["code"], "parent_missing");
    let path = format!("{}/commit", at.strip_prefix("/api/v1").unwrap());
    let done = send(&alice, "POST", &path, json!({"path": "/saved/x"})).await;
    assert_eq!(done.must_be(200).json()["file"]["created"], true);
    assert_eq!(alice.get("/saved/x").await, "abc");
    send(&alice, "POST", &path, json!({"nonsense": 1}))
        .await
        .must_be(422);
}

#[tokio::test]
async fn b4_resumable_upload_expires() {
    let world = Setup::default()
        .env("COFFER_LIMITS_UPLOAD_MAX_AGE", "2s")
        .start()
        .await;
    let alice = world.alice();
    let at = begin(&alice, "/a", 6 * MIB).await;
    append(&alice, &at, 0, noise(208, 5 * MIB))
        .await
        .must_be(204);
    until("it has expired", PATIENCE, || async {
        show_status(&alice, &at).await == 404
    })
    .await;
    let root = world.as_user(&World::admin_user());
    ask(&root, "POST", "/admin/jobs/purge-uploads/run")
        .await
        .must_be(202);
    until("its room is given back", PATIENCE, || async {
        charged(&alice).await == (0, 0)
    })
    .await;
    head(&alice, &at).await.must_be(404);
    append(&alice, &at, 5 * MIB, "x").await.must_be(404);
    assert_eq!(
        ask(&alice, "GET", "/uploads").await.json()["items"],
        json!([])
    );
    assert_sound(&world).await;
}

async fn show_status(who: &Dav, at: &str) -> u16 {
    let path = at.strip_prefix("/api/v1").expect("an address of the API");
    ask(who, "GET", path).await.status()
}

#[tokio::test]
async fn b4_resumable_upload_is_listed_and_goes_with_its_account() {
    let world = World::start().await;
    let alice = world.alice();
    let mut begun = Vec::new();
    for n in 0..3 {
        begun.push(begin(&alice, &format!("/dir/{n}.bin"), 1000 + n).await);
    }
    let first = ask(&alice, "GET", "/uploads?limit=2")
        .await
        .must_be(200)
        .json();
    let cursor = first["next_cursor"].as_str().expect("another part");
    let rest = ask(&alice, "GET", &format!("/uploads?cursor={cursor}")).await;
    let rest = rest.must_be(200).json();
    let items = |page: &Value| page["items"].as_array().unwrap().clone();
    let all = [items(&first), items(&rest)].concat();
    let names: Vec<_> = all
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["0.bin", "1.bin", "2.bin"]);
    assert_eq!(all[1]["size_bytes"], 1001);

    // A key of one folder, and one that only reads.
    alice.mkcol("/scans").await.must_be(201);
    let key = async |more: Value| {
        let mut body = json!({"name": "key", "current_password": World::alice_user().password});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = send(&alice, "POST", "/me/app-passwords", body).await;
        let made = made.must_be(201).json();
        basic(&alice, "alice", made["password"].as_str().unwrap())
    };
    let scanner = key(json!({"path": "/scans"})).await;
    let scan = begin(&scanner, "/scan.bin", 4).await;
    head(&scanner, &begun[0]).await.must_be(404);
    append(&scanner, &scan, 0, "scan").await.must_be(204);
    assert_eq!(alice.get("/scans/scan.bin").await, "scan");
    let reader = key(json!({"read_only": true})).await;
    beginning(&reader, "/r", 1).send().await.must_be(403);
    append(&reader, &begun[0], 0, "x").await.must_be(403);
    tus(&reader, "DELETE", &begun[0]).send().await.must_be(403);

    append(&alice, &begun[0], 0, vec![1; 500])
        .await
        .must_be(204);
    let proof = json!({"password": World::alice_user().password});
    send(&alice, "DELETE", "/me", proof).await.must_be(204);
    head(&alice, &begun[0]).await.must_be(401);
    let root = world.as_user(&World::admin_user());
    let jobs = "/admin/jobs/purge-uploads/run";
    ask(&root, "POST", jobs).await.must_be(202);
    assert_sound(&world).await;
}
