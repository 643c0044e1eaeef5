//! Uploads into what another shares.

use harness::{World, noise, until};
use serde_json::json;

use super::{
    MIB, OCTETS, PATIENCE, append, assert_sound, begin, beginning, charged, head, metadata, offset,
    show, tus,
};
use crate::phrase::{ask, by_path, send, store};

/// D1: "the owner shares a file or folder …, read-write", and it is charged to the owner (P3).
#[tokio::test]
async fn b4_resumable_upload_goes_into_what_another_shares() {
    let mut world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    for path in ["/Team/a.txt", "/note.txt", "/read/a.txt", "/other/a.txt"] {
        store(&alice, path, "x").await.must_be(201);
    }
    for (path, right) in [
        ("/Team", "write"),
        ("/note.txt", "write"),
        ("/read", "read"),
        ("/other", "write"),
    ] {
        let body = json!({ "name": "bob", "right": right });
        let made = send(&alice, "POST", &by_path("/grants", path), body).await;
        made.must_be(201);
    }
    let content = noise(209, 3 * MIB);
    let length = content.len();
    let at = begin(&bob, "/Shared with me/Team/new/film.bin", length).await;
    assert_eq!(charged(&alice).await, (4, length as u64));
    assert_eq!(charged(&bob).await, (0, 0));
    append(&bob, &at, 0, content[..MIB].to_vec())
        .await
        .must_be(204);
    // The drive's owner has no part in it.
    head(&alice, &at).await.must_be(404);
    world.restart().await;
    let (alice, bob) = (world.alice(), world.bob());
    assert_eq!(offset(&bob, &at).await, MIB);
    let last = append(&bob, &at, MIB, content[MIB..].to_vec()).await;
    last.must_be(204);
    assert!(alice.get("/Team/new/film.bin").await == content);
    assert_eq!(charged(&alice).await, (4 + length as u64, 0));
    assert_eq!(charged(&bob).await, (0, 0));

    // By the id of a folder, and over a file that is shared by itself.
    let folder = ask(&bob, "GET", &by_path("", "/Shared with me/Team")).await;
    let folder = folder.must_be(200).json()["folder"]["id"].clone();
    let words = metadata(&[("filename", "x"), ("dir", folder.as_str().unwrap())]);
    let request = tus(&bob, "POST", "/api/v1/uploads").headers(&[
        ("Upload-Length", "3"),
        ("Upload-Metadata", &words),
        OCTETS,
    ]);
    request.body("abc").send().await.must_be(201);
    assert_eq!(alice.get("/Team/x").await, "abc");
    let at = begin(&bob, "/Shared with me/note.txt", 3).await;
    assert_eq!(show(&bob, &at).await["name"], "note.txt");
    append(&bob, &at, 0, "new").await.must_be(204);
    assert_eq!(alice.get("/note.txt").await, "new");

    for (path, code) in [
        ("/Shared with me/read/b", "forbidden"),
        ("/Shared with me/new", "protected"),
        ("/Shared with me", "protected"),
    ] {
        let refused = beginning(&bob, path, 3).send().await.must_be(403);
        assert_eq!(refused.json()["code"], code, "{path}");
    }

    // What stands in the way there does so for all, and the bytes can go elsewhere in that drive.
    let at = begin(&bob, "/Shared with me/Team/b.txt", 3).await;
    alice.lock("/Team").await.must_be(200);
    append(&bob, &at, 0, "abc").await.must_be(423);
    let commit = format!("{}/commit", at.strip_prefix("/api/v1").unwrap());
    let refused = send(&bob, "POST", &commit, json!({ "path": "/mine.txt" })).await;
    assert_eq!(refused.must_be(409).json()["code"], "over_border");
    let other = json!({ "path": "/Shared with me/other/b.txt" });
    send(&bob, "POST", &commit, other).await.must_be(200);
    assert_eq!(alice.get("/other/b.txt").await, "abc");
    assert_sound(&world).await;
}

/// P6: "Revoking … ends access at the next request."
#[tokio::test]
async fn b4_resumable_upload_ends_with_the_right_it_came_by() {
    let world = World::start().await;
    let (alice, bob) = (world.alice(), world.bob());
    store(&alice, "/Team/a.txt", "x").await.must_be(201);
    let body = json!({ "name": "bob", "right": "write" });
    let grants = by_path("/grants", "/Team");
    send(&alice, "POST", &grants, body).await.must_be(201);
    let at = begin(&bob, "/Shared with me/Team/b.bin", 6 * MIB).await;
    append(&bob, &at, 0, noise(210, 5 * MIB)).await.must_be(204);
    assert_eq!(charged(&alice).await, (1, 6 << 20));
    ask(&alice, "DELETE", &grants).await.must_be(200);
    append(&bob, &at, 5 * MIB, noise(211, MIB))
        .await
        .must_be(404);
    head(&bob, &at).await.must_be(404);
    let root = world.as_user(&World::admin_user());
    ask(&root, "POST", "/admin/jobs/purge-uploads/run")
        .await
        .must_be(202);
    until("its room is given back", PATIENCE, || async {
        charged(&alice).await == (1, 0)
    })
    .await;
    assert_eq!(alice.names("/Team").await, ["a.txt"]);
    assert_sound(&world).await;
}
