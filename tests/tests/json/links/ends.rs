//! How links end, and that what leads nowhere says nothing.

use harness::{World, until};
use serde_json::json;

use super::{PATIENCE, assert_keeps_secret, browse, get, link_path, make};
use crate::phrase::{ask, send, store};

/// "Expiry", and: unknown, expired, revoked and used up are one answer, by the same statements.
#[tokio::test]
async fn d8_a_link_that_leads_nowhere_does_not_tell_why() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    store(&alice, "/a.txt", "one").await.must_be(201);
    let now = send(&alice, "POST", "/links", json!({ "path": "/a.txt" }))
        .await
        .must_be(201);
    let now = now.json()["created_at"].as_str().unwrap().to_owned();
    // The database's own clock would do as well: the end is two seconds from now.
    let soon = later(&now, 2);
    let (_, expired) = make(&alice, json!({ "path": "/a.txt", "expires_at": soon })).await;
    get(&anyone, &expired).await.must_be(200);
    let (link, revoked) = make(&alice, json!({ "path": "/a.txt" })).await;
    ask(&alice, "DELETE", &link_path(&link)).await.must_be(204);
    let (_, used_up) = make(&alice, json!({ "path": "/a.txt", "downloads_most": 1 })).await;
    get(&anyone, &used_up).await.must_be(200);
    until("the link has expired", PATIENCE, || async {
        get(&anyone, &expired).await.status() == 404
    })
    .await;
    let unknown = format!("/s/{}", "a".repeat(32));
    let before = world.requests().len();
    let (mut bodies, mut pages) = (Vec::new(), Vec::new());
    let nowhere = [&unknown, &expired, &revoked, &used_up];
    for url in nowhere {
        let answer = get(&anyone, url).await.must_be(404);
        assert_keeps_secret(&answer);
        bodies.push(answer.body);
        pages.push(browse(&anyone, url).await.must_be(404).body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert!(pages.iter().all(|page| *page == pages[0]));
    until("the requests are logged", PATIENCE, || async {
        world.requests().len() >= before + 2 * nowhere.len()
    })
    .await;
    for request in &world.requests()[before..] {
        assert_eq!(
            (request.statements, request.user.as_str()),
            (1, ""),
            "{request:?}"
        );
    }
}

/// An instant some seconds after another, both in the API's form.
fn later(instant: &str, seconds: u32) -> String {
    let output = std::process::Command::new("date")
        .args([
            "-u",
            "-d",
            &format!("{instant} + {seconds} seconds"),
            "+%Y-%m-%dT%H:%M:%S.%3NZ",
        ])
        .output()
        .expect("every system has date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// P6: "the next request sees it, on every daemon"; "deleting ends all access for good".
#[tokio::test]
async fn d8_links_end_with_what_they_lead_to_and_with_their_owner() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    let root = world.as_user(&World::admin_user());
    store(&alice, "/docs/sub/a.txt", "one").await.must_be(201);
    let (_, file) = make(&alice, json!({ "path": "/docs/sub/a.txt" })).await;
    let (_, folder) = make(&alice, json!({ "path": "/docs/sub" })).await;
    get(&anyone, &file).await.must_be(200);
    alice.delete("/docs").await.must_be(204);
    get(&anyone, &file).await.must_be(404);
    get(&anyone, &folder).await.must_be(404);
    // The same name again is something else.
    store(&alice, "/docs/sub/a.txt", "two").await.must_be(201);
    get(&anyone, &file).await.must_be(404);

    let (_, link) = make(&alice, json!({ "path": "/docs" })).await;
    let me = ask(&alice, "GET", "/me").await.must_be(200).json();
    let account = format!("/users/{}", me["id"].as_str().unwrap());
    for disabled in [true, false] {
        let change = json!({ "disabled": disabled });
        send(&root, "PATCH", &account, change).await.must_be(200);
        get(&anyone, &link).await.must_be(404);
    }
    let (_, link) = make(&alice, json!({ "path": "/docs" })).await;
    get(&anyone, &link).await.must_be(200);
    ask(&root, "DELETE", &account).await.must_be(204);
    get(&anyone, &link).await.must_be(404);
}

/// Whoever tries tokens has to wait, and learns nothing meanwhile.
#[tokio::test]
async fn d8_an_address_that_tries_tokens_has_to_wait() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    store(&alice, "/a.txt", "one").await.must_be(201);
    let (_, url) = make(&alice, json!({ "path": "/a.txt" })).await;
    let mut tries = 0;
    loop {
        let token = format!("{tries:032}");
        let answer = get(&anyone, &format!("/s/{token}")).await;
        if answer.must_be_one_of(&[404, 429]).status() == 429 {
            break;
        }
        tries += 1;
        assert!(tries <= 600, "nothing stops it");
    }
    let right = get(&anyone, &url).await.must_be(429);
    assert!(!right.header("retry-after").is_empty(), "{right:?}");
    // The owner is not kept from anything else.
    ask(&alice, "GET", "/links").await.must_be(200);
}
