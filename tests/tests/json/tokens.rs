//! Log-ins and their tokens.

use harness::{Credential, World};
use serde_json::json;

use crate::phrase::{ask, bearer, login, send, tokens};

/// "An endpoint verifies a JWT and says who it is and when it ends; a valid one is exchanged
/// for a fresh one."
#[tokio::test]
async fn a2_a_token_says_who_it_is_and_is_exchanged_for_a_fresh_one() {
    let world = World::start().await;
    let (alice, anyone) = (World::alice_user(), world.anonymous());
    let first = login(&anyone, "ALICE@example.org", &alice.password)
        .await
        .must_be(200)
        .json();
    let session = ask(&bearer(&anyone, &first), "GET", "/auth/session").await;
    let session = session.must_be(200).json();
    assert_eq!(
        (&session["username"], &session["access"]),
        (&json!("alice"), &json!("user"))
    );
    assert!(session["expires_at"].as_str() > session["issued_at"].as_str());

    let body = json!({ "refresh_token": first["refresh_token"] });
    let second = send(&anyone, "POST", "/auth/refresh", body.clone())
        .await
        .must_be(200)
        .json();
    assert_ne!(second["access_token"], first["access_token"]);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    ask(&bearer(&anyone, &second), "GET", "/me")
        .await
        .must_be(200);
    // The spent one coming again means that it was copied: the log-in ends.
    send(&anyone, "POST", "/auth/refresh", body)
        .await
        .must_be(401);
    ask(&bearer(&anyone, &second), "GET", "/me")
        .await
        .must_be(401);
}

/// "Others can read but not forge them."
#[tokio::test]
async fn a2_a_token_that_was_changed_is_nothing() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let tokens = tokens(&anyone, &World::alice_user()).await;
    let token = tokens["access_token"].as_str().unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    for forged in [
        format!("{message}."),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        format!("{message}x.{signature}"),
        ".".repeat(5000),
        refresh_token.to_owned(),
    ] {
        let forger = anyone.with(Credential::Bearer(forged));
        ask(&forger, "GET", "/auth/session")
            .await
            .must_be_one_of(&[401, 431]);
        forger.propfind("/", "0").await.must_be_one_of(&[401, 431]);
    }
    bearer(&anyone, &tokens)
        .propfind("/", "0")
        .await
        .must_be(207);
}

/// "The token is accepted in a cookie or in the Authorization header."
#[tokio::test]
async fn d7_a_cookie_counts_unless_another_site_sends_it() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let alice = World::alice_user();
    let body = json!({ "login": alice.name, "password": alice.password });
    let answer = send(&anyone, "POST", "/auth/login", body.clone())
        .await
        .must_be(200);
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let with = async |method: &str, target: &str, more: &[(&str, &str)]| {
        let asked = anyone.request_at(method, target).header("Cookie", pair);
        asked.headers(more).send().await
    };
    let own = anyone.address().to_owned();
    with("GET", "/api/v1/me", &[]).await.must_be(200);
    with("MKCOL", "/dav/a", &[("Origin", &own)])
        .await
        .must_be(201);
    with("MKCOL", "/dav/b", &[("Sec-Fetch-Site", "same-origin")])
        .await
        .must_be(201);
    for foreign in [
        ("Origin", "https://example.com"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        with("DELETE", "/dav/a", &[foreign]).await.must_be(403);
        with("POST", "/api/v1/auth/logout", &[foreign])
            .await
            .must_be(403);
    }
    with("GET", "/dav/a", &[]).await.must_be(200);

    let mut declined = body;
    declined["cookie"] = json!(false);
    let answer = send(&anyone, "POST", "/auth/login", declined)
        .await
        .must_be(200);
    assert!(answer.headers.get("set-cookie").is_none());

    let forgets = with("POST", "/api/v1/auth/logout", &[]).await.must_be(204);
    assert!(forgets.header("set-cookie").contains("Max-Age=0"));
    with("GET", "/api/v1/me", &[]).await.must_be(401);
}

/// P6: "Log-out: the next request sees it", and only that log-in.
#[tokio::test]
async fn logging_out_ends_a_token_at_once() {
    let world = World::start().await;
    let (anyone, alice) = (world.anonymous(), World::alice_user());
    let one = bearer(&anyone, &tokens(&anyone, &alice).await);
    let other = tokens(&anyone, &alice).await;
    let two = bearer(&anyone, &other);
    one.propfind("/", "0").await.must_be(207);
    ask(&one, "POST", "/auth/logout").await.must_be(204);
    one.propfind("/", "0").await.must_be(401);
    ask(&two, "GET", "/me").await.must_be(200);

    let logins = ask(&two, "GET", "/me/logins").await.must_be(200).json();
    let [login] = logins["items"].as_array().unwrap().as_slice() else {
        panic!("{logins}");
    };
    assert_eq!(login["current"], true);
    let path = format!("/me/logins/{}", login["id"].as_str().unwrap());
    ask(&world.bob(), "DELETE", &path).await.must_be(404);
    ask(&two, "DELETE", &path).await.must_be(204);
    ask(&two, "GET", "/me").await.must_be(401);
    let spent = json!({ "refresh_token": other["refresh_token"] });
    send(&anyone, "POST", "/auth/refresh", spent)
        .await
        .must_be(401);
}

/// Clients send the access token they have with everything.
#[tokio::test]
async fn logging_out_by_the_refresh_token_needs_no_living_access_token() {
    let world = World::start().await;
    let (anyone, alice) = (world.anonymous(), World::alice_user());
    let ended = tokens(&anyone, &alice).await;
    let ended_token = bearer(&anyone, &ended);
    ask(&ended_token, "POST", "/auth/logout").await.must_be(204);
    ask(&ended_token, "POST", "/auth/logout").await.must_be(401);
    ask(&anyone, "POST", "/auth/logout").await.must_be(401);
    ask(&world.alice(), "POST", "/auth/logout")
        .await
        .must_be(400);
    let living = tokens(&anyone, &alice).await;
    let body = json!({ "refresh_token": living["refresh_token"] });
    send(&ended_token, "POST", "/auth/logout", body)
        .await
        .must_be(204);
    ask(&bearer(&anyone, &living), "GET", "/me")
        .await
        .must_be(401);
}

#[tokio::test]
async fn tokens_outlive_a_restart() {
    let mut world = World::start().await;
    let tokens = tokens(&world.anonymous(), &World::alice_user()).await;
    ask(&bearer(&world.anonymous(), &tokens), "GET", "/me")
        .await
        .must_be(200);
    world.restart().await;
    ask(&bearer(&world.anonymous(), &tokens), "GET", "/me")
        .await
        .must_be(200);
}

#[tokio::test]
async fn guessing_is_slowed_down_for_one_name_by_every_door() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let mut slowed = None;
    for guess in 0..40 {
        let answer = login(&anyone, "alice", &format!("guess number {guess}")).await;
        if answer.must_be_one_of(&[401, 429]).status() == 429 {
            slowed = Some(login(&anyone, "alice", "one more guess").await);
            break;
        }
    }
    let slowed = slowed
        .expect("forty wrong passwords are too many")
        .must_be(429);
    assert!(slowed.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_are_answered_alike() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let known = login(&anyone, "alice", "wrong password").await.must_be(401);
    let unknown = login(&anyone, "nobody-of-that-name", "wrong password")
        .await
        .must_be(401);
    assert_eq!(known.body, unknown.body);
    for body in [
        json!({ "login": "alice" }),
        json!({ "login": 1, "password": "x" }),
        json!({ "login": "alice", "password": "x", "user": "bob" }),
    ] {
        send(&anyone, "POST", "/auth/login", body)
            .await
            .must_be(422);
    }
}
