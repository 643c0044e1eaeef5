//! How many downloads a link gives, whatever breaks and however many ask.

use harness::{Dav, Engine, Setup, Wire, World, noise, until, within};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    BROWSER, PATIENCE, assert_is_plain_page, browse, done, get, link_path, make, post_password,
};
use crate::phrase::{ask, send, store};

/// Gets the content, again and again while all downloads that are left are under way; whether it
/// came, or the link came to its end.
async fn race(who: Dav, url: String, content: Vec<u8>) -> bool {
    loop {
        let answer = get(&who, &url).await.must_be_one_of(&[200, 404, 429]);
        match answer.status() {
            200 => {
                assert!(answer == content);
                return true;
            }
            404 => return false,
            _ => assert!(!answer.header("retry-after").is_empty(), "{answer:?}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn completed(clients: &[Dav], url: &str, content: &[u8], tries: usize) -> usize {
    let mut racing = JoinSet::new();
    for n in 0..tries {
        let client = clients[n % clients.len()].clone();
        racing.spawn(race(client, url.to_owned(), content.to_vec()));
    }
    let outcomes = racing.join_all().await;
    outcomes.into_iter().filter(|came| *came).count()
}

/// "A link with limit 10 gives exactly 10 of 100 parallel downloads."
#[tokio::test(flavor = "multi_thread")]
async fn d8_of_a_hundred_parallel_downloads_a_limit_of_ten_lets_exactly_ten_through() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    for (size, name) in [
        (300_000, "/large.bin"),
        (100, "/small.bin"),
        (0, "/empty.bin"),
    ] {
        let content = noise(9, size);
        store(&alice, name, content.clone()).await.must_be(201);
        let (link, url) = make(&alice, json!({ "path": name, "downloads_most": 10 })).await;
        let came = completed(std::slice::from_ref(&anyone), &url, &content, 100).await;
        assert_eq!(came, 10, "{name}");
        assert_eq!(done(&alice, &link).await, 10);
        get(&anyone, &url).await.must_be(404);
        let more = json!({ "downloads_most": 11 });
        send(&alice, "PATCH", &link_path(&link), more)
            .await
            .must_be(200);
        get(&anyone, &url).await.must_be(200);
        get(&anyone, &url).await.must_be(404);
    }
    // An archive has no length that is known before.
    store(&alice, "/folder/a.bin", noise(10, 100_000))
        .await
        .must_be(201);
    let (link, url) = make(&alice, json!({ "path": "/folder", "downloads_most": 2 })).await;
    for left in [true, true, false] {
        let status = get(&anyone, &format!("{url}?download=zip")).await.status();
        assert_eq!(status, if left { 200 } else { 404 });
    }
    assert_eq!(done(&alice, &link).await, 2);
}

/// What breaks off does not count, what is under way is not given out twice, and a part of a limited
/// content cannot be had beside the count.
#[tokio::test(flavor = "multi_thread")]
async fn d8_only_completed_downloads_count() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    let content = noise(11, 30_000_000);
    store(&alice, "/long.bin", content.clone())
        .await
        .must_be(201);
    let (link, url) = make(&alice, json!({ "path": "/long.bin", "downloads_most": 1 })).await;
    let head = anyone.request_at("HEAD", &url).send().await.must_be(200);
    assert_eq!(head.header("accept-ranges"), "none");
    browse(&anyone, &url).await.must_be(200);

    let mut slow = Wire::connect_narrow(anyone.address()).await;
    slow.send_head(&[&format!("GET {url} HTTP/1.1"), "Host: coffer"])
        .await;
    slow.first_bytes().await;
    let waiting = get(&anyone, &url).await.must_be(429);
    assert_eq!(waiting.json()["code"], "limit_exceeded");
    let page = anyone.request_at("GET", &format!("{url}?download=file"));
    let page = page.header("Accept", BROWSER).send().await.must_be(429);
    assert_is_plain_page(&page);
    assert_eq!(done(&alice, &link).await, 0);
    drop(slow);
    until(
        "the broken download gives its slot back",
        PATIENCE,
        || async {
            let part = anyone.request_at("GET", &url).header("Range", "bytes=0-9");
            match part.send().await.must_be_one_of(&[200, 429]) {
                whole if whole.status() == 200 => {
                    assert!(whole == content, "a limited content comes whole");
                    true
                }
                _ => false,
            }
        },
    )
    .await;
    assert_eq!(done(&alice, &link).await, 1);
    get(&anyone, &url).await.must_be(404);
}

/// What a daemon that was killed had under way counts as broken off.
#[tokio::test(flavor = "multi_thread")]
async fn d8_a_killed_daemon_gives_its_downloads_back() {
    let mut world = World::start().await;
    let alice = world.alice();
    store(&alice, "/long.bin", noise(12, 30_000_000))
        .await
        .must_be(201);
    let (_, url) = make(&alice, json!({ "path": "/long.bin", "downloads_most": 1 })).await;
    let mut slow = Wire::connect_narrow(world.address()).await;
    slow.send_head(&[&format!("GET {url} HTTP/1.1"), "Host: coffer"])
        .await;
    slow.first_bytes().await;
    get(&world.anonymous(), &url).await.must_be(429);
    world.kill().await;
    world.revive().await;
    let anyone = world.anonymous();
    let back = within(PATIENCE, || async {
        get(&anyone, &url).await.status() == 200
    })
    .await;
    assert!(back, "the slot came back");
    get(&anyone, &url).await.must_be(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_two_daemons_keep_one_limit() {
    let folder = |prefix| {
        let made = tempfile::Builder::new().prefix(prefix).tempdir();
        made.expect("a temporary folder can be made")
    };
    let (blobs, own) = (folder("coffer-blobs-"), folder("coffer-second-"));
    let world = Setup::default()
        .engine(Engine::Postgres)
        .env("COFFER_BLOBS_PATH", blobs.path().display().to_string())
        .start()
        .await;
    let second = world.second_daemon(own.path()).await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    let clients = [anyone.clone(), anyone.at(second.address())];
    let content = noise(13, 200_000);
    store(&alice, "/a.bin", content.clone()).await.must_be(201);
    let (link, url) = make(&alice, json!({ "path": "/a.bin", "downloads_most": 10 })).await;
    assert_eq!(completed(&clients, &url, &content, 60).await, 10);
    assert_eq!(done(&alice, &link).await, 10);
    // A password proved to one is proved to the other, and a revocation holds for both.
    let new = json!({ "path": "/a.bin", "password": "open sesame" });
    let (link, url) = make(&alice, new).await;
    let right = post_password(&clients[0], &url, "open sesame")
        .await
        .must_be(303);
    let pass = right
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let with_pass = async |status| {
        for client in &clients {
            let request = client.request_at("GET", &url).header("Cookie", &pass);
            request.send().await.must_be(status);
        }
    };
    with_pass(200).await;
    ask(&alice, "DELETE", &link_path(&link)).await.must_be(204);
    with_pass(404).await;
}
