//! Links for uploads.

use harness::{World, noise};
use serde_json::json;

use super::{BROWSER, assert_is_plain_page, browse, get, make, post_form};
use crate::phrase::{ask, store};

/// "Upload-only": nothing is seen, nothing is replaced, and the owner pays.
#[tokio::test]
async fn d8_a_link_for_uploads_takes_files_and_shows_nothing() {
    let world = World::start().await;
    let eve = world.add_user("carol", Some(100_000)).await;
    let (carol, anyone) = (world.as_user(&eve), world.anonymous());
    store(&carol, "/in/plan.txt", "the owner's")
        .await
        .must_be(201);
    let (_, url) = make(&carol, json!({ "path": "/in", "kind": "upload" })).await;

    let page = browse(&anyone, &url).await.must_be(200).text();
    assert!(
        page.contains("type=\"file\" multiple") && !page.contains("plan"),
        "{page}"
    );
    for target in [
        format!("{url}/plan.txt"),
        format!("{url}/none.txt"),
        format!("{url}?download=zip"),
    ] {
        let seen = get(&anyone, &target).await;
        assert!(!seen.text().contains("owner's"), "{seen:?}");
    }
    let there = get(&anyone, &format!("{url}/plan.txt")).await.must_be(404);
    assert_eq!(
        there.body,
        get(&anyone, &format!("{url}/none.txt"))
            .await
            .must_be(404)
            .body
    );

    let put = async |name: &str, content: &str| {
        let request = anyone.request_at("PUT", &format!("{url}/{name}"));
        request
            .header("If-None-Match", "*")
            .body(content.to_owned())
            .send()
            .await
    };
    for content in ["first", "second"] {
        let stored = put("plan.txt", content).await.must_be(201);
        assert_eq!((stored.header("location"), stored.header("etag")), ("", ""));
        let stored = stored.json();
        assert_eq!(
            (&stored["name"], &stored["size_bytes"]),
            (&json!("plan.txt"), &json!(content.len()))
        );
    }
    assert!(carol.get("/in/plan.txt").await == "the owner's");
    assert!(carol.get("/in/plan (2).txt").await == "first");
    assert!(carol.get("/in/plan (3).txt").await == "second");
    put("sub/plan.txt", "x").await.must_be(404);
    put("a%0Ab", "x").await.must_be_one_of(&[404, 422]);

    let files: [(&str, &[u8]); 2] = [("plan.txt", b"third"), ("new.txt", b"4")];
    let page = post_form(&anyone, &url, BROWSER, &files).await.must_be(201);
    assert_is_plain_page(&page);
    let page = page.text();
    assert!(
        page.contains("plan.txt") && page.contains("new.txt") && !page.contains("(4)"),
        "{page}"
    );
    assert!(carol.get("/in/plan (4).txt").await == "third");
    assert!(carol.get("/in/new.txt").await == "4");
    let stored = post_form(&anyone, &url, "*/*", &[("x.txt", b"5")])
        .await
        .must_be(201)
        .json();
    assert_eq!(stored["items"][0]["name"], "x.txt");
    // A browser without a chosen file sends one without a name.
    let none = post_form(&anyone, &url, BROWSER, &[("", b"")])
        .await
        .must_be(422);
    assert_is_plain_page(&none);
    post_form(&anyone, &url, "*/*", &[("../up.txt", b"x")])
        .await
        .must_be(422);

    // How much room there is stays the owner's business.
    let long = anyone
        .request_at("PUT", &format!("{url}/long"))
        .body(noise(3, 200_000));
    let refused = long.send().await.must_be(507).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(!detail.chars().any(|c| c.is_ascii_digit()), "{detail}");
    let usage = ask(&carol, "GET", "/me/usage").await.must_be(200).json();
    let sizes = ["the owner's", "first", "second", "third", "4", "5"].map(str::len);
    assert_eq!(usage["used_bytes"], sizes.iter().sum::<usize>());
    // The owner's locks hold.
    let lock = carol.lock("/in").await;
    lock.must_be_one_of(&[200, 201]);
    put("locked.txt", "x").await.must_be(423);
}
