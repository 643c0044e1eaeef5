//! Links with a password.

use harness::{Setup, World, until};
use serde_json::json;

use super::{
    PATIENCE, assert_is_plain_page, assert_keeps_secret, browse, get, link_path, make,
    post_password,
};
use crate::phrase::{ask, basic, send, store};

/// "Password (Argon2id, rate-limited)": by a form and a cookie for people, by Basic for programs.
#[tokio::test]
async fn d8_a_password_is_asked_of_people_and_programs() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    store(&alice, "/private name.txt", "one").await.must_be(201);
    let new = json!({ "path": "/private name.txt", "password": "open sesame" });
    let (link, url) = make(&alice, new).await;
    let (_, other) = make(
        &alice,
        json!({ "path": "/private name.txt", "password": "open sesame" }),
    )
    .await;
    assert!(!link.to_string().contains("sesame"), "{link}");

    let closed = get(&anyone, &url).await.must_be(401);
    assert!(
        closed.header("www-authenticate").starts_with("Basic "),
        "{closed:?}"
    );
    assert_keeps_secret(&closed);
    let page = browse(&anyone, &url).await.must_be(200);
    assert_eq!(page.header("www-authenticate"), "");
    let page = page.text();
    assert!(
        page.contains("type=\"password\"") && !page.contains("private name"),
        "{page}"
    );
    anyone.request_at("HEAD", &url).send().await.must_be(401);

    for name in ["", "anybody", "alice"] {
        let with = basic(&anyone, name, "open sesame");
        let opened = get(&with, &url).await.must_be(200);
        assert_eq!(opened.header("cache-control"), "private, no-store");
        assert!(opened == "one");
    }
    get(&basic(&anyone, "alice", "wrong"), &url)
        .await
        .must_be(401);
    // The owner's password is another one.
    get(&world.alice(), &url).await.must_be(401);

    let wrong = post_password(&anyone, &url, "wrong").await.must_be(403);
    assert_is_plain_page(&wrong);
    let right = post_password(&anyone, &url, "open sesame")
        .await
        .must_be(303);
    assert_eq!(right.header("location"), url);
    let cookie = right.header("set-cookie").to_owned();
    let pair = cookie.split(';').next().unwrap().to_owned();
    for attribute in [
        "HttpOnly",
        "SameSite=Strict",
        &format!("Path={url}"),
        "Max-Age=",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("sesame"), "{cookie}");
    let with_cookie = async |target: &str| {
        let request = anyone.request_at("GET", target).header("Cookie", &pair);
        request.send().await
    };
    assert!(with_cookie(&url).await.must_be(200) == "one");
    with_cookie(&other).await.must_be(401);
    let forged = format!("{pair}x");
    let forged = anyone.request_at("GET", &url).header("Cookie", &forged);
    forged.send().await.must_be(401);

    // The next request sees a new password.
    let change = json!({ "password": "another one" });
    send(&alice, "PATCH", &link_path(&link), change)
        .await
        .must_be(200);
    with_cookie(&url).await.must_be(401);
    get(&basic(&anyone, "", "open sesame"), &url)
        .await
        .must_be(401);
    get(&basic(&anyone, "", "another one"), &url)
        .await
        .must_be(200);
}

#[tokio::test]
async fn d8_guessing_a_links_password_is_slowed_down() {
    let world = World::start().await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    store(&alice, "/a.txt", "one").await.must_be(201);
    let (_, url) = make(
        &alice,
        json!({ "path": "/a.txt", "password": "open sesame" }),
    )
    .await;
    let right = post_password(&anyone, &url, "open sesame")
        .await
        .must_be(303);
    let pass = right
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let mut slowed = None;
    for guess in 0..30 {
        let answer = get(&basic(&anyone, "", &format!("guess {guess}")), &url).await;
        if answer.must_be_one_of(&[401, 429]).status() == 429 {
            slowed = Some(guess);
            break;
        }
    }
    assert!(slowed.is_some_and(|guess| guess <= 20), "{slowed:?}");
    let page = post_password(&anyone, &url, "another guess")
        .await
        .must_be(429);
    assert_is_plain_page(&page);
    assert!(!page.header("retry-after").is_empty(), "{page:?}");
    // Whoever has proved it before is not kept out.
    let inside = anyone.request_at("GET", &url).header("Cookie", &pass);
    inside.send().await.must_be(200);
}

/// "Never log link paths": the secret stands in no line, also of what fails.
#[tokio::test]
async fn d8_the_log_does_not_know_tokens_or_passwords() {
    let world = Setup::default()
        .env("COFFER_LOG_FILTER", "debug")
        .start()
        .await;
    let (alice, anyone) = (world.alice(), world.anonymous());
    store(&alice, "/folder/a.txt", "one").await.must_be(201);
    let new = json!({ "path": "/folder", "password": "open sesame", "downloads_most": 3 });
    let (link, url) = make(&alice, new).await;
    let open = basic(&anyone, "", "open sesame");
    get(&open, &format!("{url}/a.txt")).await.must_be(200);
    get(&open, &format!("{url}/none.txt")).await.must_be(404);
    get(&anyone, &url).await.must_be(401);
    browse(&anyone, &url).await.must_be(200);
    post_password(&anyone, &url, "a wrong one")
        .await
        .must_be(403);
    ask(&alice, "DELETE", &link_path(&link)).await.must_be(204);
    get(&anyone, &url).await.must_be(404);
    let shown = || {
        world
            .requests()
            .into_iter()
            .filter(|line| line.route.starts_with("/s/"))
    };
    until("the requests are logged", PATIENCE, || async {
        shown().count() >= 6
    })
    .await;
    let user = format!("link {}", link["id"].as_str().unwrap());
    assert!(shown().any(|line| line.route == "/s/{token}/{*path}" && line.user == user));
    let log = world.log();
    for secret in [link["token"].as_str().unwrap(), "sesame", "a wrong one"] {
        assert!(!log.contains(secret), "{secret}");
    }
}
