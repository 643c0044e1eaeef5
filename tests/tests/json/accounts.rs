//! Making, using and ending one's own account.

use harness::{Setup, World};
use serde_json::{Value, json};

use crate::phrase::{ask, basic, bearer, login, send, tokens};

fn carol() -> Value {
    json!({ "username": "carol", "email": "carol@example.org", "password": "carol has a password" })
}

/// "The answer carries `id`, `username`, `email`, `created_at` and the tokens of a log-in."
#[tokio::test]
async fn a1_registering_makes_an_account_and_logs_in() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let made = send(&anyone, "POST", "/users", carol())
        .await
        .must_be(201)
        .json();
    assert_eq!(made["username"], "carol");
    assert_eq!(made["email"], "carol@example.org");
    assert!(made["id"].is_string() && made["created_at"].is_string());
    assert_eq!(made["token_type"], "Bearer");
    let me = ask(&bearer(&anyone, &made), "GET", "/me")
        .await
        .must_be(200)
        .json();
    assert_eq!((&me["id"], &me["access"]), (&made["id"], &json!("user")));
    // Its space is there at once (A7).
    let drive = basic(&anyone, "CAROL@example.org", "carol has a password");
    drive.put("/a.txt", "a").await.must_be(201);
}

/// "A taken name and a taken e-mail give one and the same answer."
#[tokio::test]
async fn a1_a_taken_name_and_a_taken_address_are_answered_alike() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let mut answers = Vec::new();
    for (username, email) in [
        ("Alice", "new@example.org"),
        ("new", "ALICE@example.org"),
        ("alice@example.org", "new@example.org"),
    ] {
        let body = json!({ "username": username, "email": email, "password": "long enough" });
        answers.push(send(&anyone, "POST", "/users", body).await.must_be(409));
    }
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
}

#[tokio::test]
async fn names_that_pass_for_others_and_fields_that_do_not_exist_are_refused() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let with = |name: &str, value: Value| {
        let mut body = carol();
        body[name] = value;
        body
    };
    for (field, value) in [
        ("username", json!("../alice")),
        ("username", json!("al\u{200b}ice")),
        ("username", json!("\u{430}lice")),
        ("username", json!("")),
        ("email", json!("nowhere")),
        ("password", json!("short")),
        ("password", json!("x".repeat(2000))),
        ("role", json!("administrator")),
        ("id", json!("0")),
    ] {
        let body = with(field, value);
        send(&anyone, "POST", "/users", body)
            .await
            .must_be_one_of(&[400, 422]);
    }
    for (field, value) in [
        ("access", json!("administrator")),
        ("quota_bytes", json!(1)),
    ] {
        send(&anyone, "POST", "/users", with(field, value))
            .await
            .must_be(403);
    }
    send(&anyone, "POST", "/users", carol()).await.must_be(201);
}

/// "Registration is open (default), by invitation or closed."
#[tokio::test]
async fn e5_registration_can_ask_for_an_invitation() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_REGISTRATION", "invitation");
    let world = setup.start().await;
    let (anyone, root) = (world.anonymous(), world.as_user(&World::admin_user()));
    send(&anyone, "POST", "/users", carol()).await.must_be(403);
    ask(&world.alice(), "POST", "/invitations")
        .await
        .must_be(403);
    let invitation = ask(&root, "POST", "/invitations").await.must_be(201).json();
    let mut body = carol();
    body["invitation"] = invitation["code"].clone();
    send(&anyone, "POST", "/users", body.clone())
        .await
        .must_be(201);
    body["username"] = json!("dave");
    body["email"] = json!("dave@example.org");
    send(&anyone, "POST", "/users", body).await.must_be(403);
}

#[tokio::test]
async fn e5_registration_can_be_closed() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_REGISTRATION", "closed");
    let world = setup.start().await;
    send(&world.anonymous(), "POST", "/users", carol())
        .await
        .must_be(403);
    let root = world.as_user(&World::admin_user());
    let made = send(&root, "POST", "/users", carol())
        .await
        .must_be(201)
        .json();
    assert!(made.get("access_token").is_none());
}

/// "Usage per user: `used_bytes`, `reserved_bytes`, `limit_bytes`, `free_bytes`, `files`."
#[tokio::test]
async fn b6_usage_is_what_was_stored() {
    let world = World::start().await;
    let alice = world.alice();
    alice.put("/a.txt", "12345").await.must_be(201);
    alice.put("/b.txt", "12345").await.must_be(201);
    let usage = ask(&alice, "GET", "/me/usage").await.must_be(200).json();
    let expected = json!({
        "used_bytes": 10, "reserved_bytes": 0, "limit_bytes": 50_000_000_000_u64,
        "free_bytes": 49_999_999_990_u64, "files": 2, "live_bytes": 10,
        "publications": 0, "published_bytes": 0, "asset_bytes": 0,
        "versions": 0, "versions_bytes": 0, "trashed": 0, "trash_bytes": 0,
    });
    assert_eq!(usage, expected);
}

/// "`ping`: response time of every dependency (database, blob store)."
#[tokio::test]
async fn b1_ping_tells_how_fast_everything_below_answers() {
    let world = World::start().await;
    let ping = ask(&world.alice(), "GET", "/ping")
        .await
        .must_be(200)
        .json();
    assert!(ping["database_ms"].is_f64() && ping["blob_store_ms"].is_f64());
    ask(&world.anonymous(), "GET", "/ping").await.must_be(401);
}

/// P6: "the next request sees it", by every door.
#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_what_came_from_it() {
    let world = World::start().await;
    let (alice, anyone) = (World::alice_user(), world.anonymous());
    let mine = tokens(&anyone, &alice).await;
    let other = tokens(&anyone, &alice).await;
    let drive = world.alice();
    drive.propfind("/", "0").await.must_be(207);

    let me = bearer(&anyone, &mine);
    let change = |current: &str| json!({ "current_password": current, "password": "a new one" });
    send(&me, "PATCH", "/me", change("not it"))
        .await
        .must_be(403);
    send(&me, "PATCH", "/me", json!({ "password": "a new one" }))
        .await
        .must_be(422);
    let greedy = json!({ "current_password": alice.password, "access": "administrator" });
    send(&me, "PATCH", "/me", greedy).await.must_be(422);
    send(&me, "PATCH", "/me", change(&alice.password))
        .await
        .must_be(200);

    ask(&me, "GET", "/me").await.must_be(200);
    ask(&bearer(&anyone, &other), "GET", "/me")
        .await
        .must_be(401);
    drive.propfind("/", "0").await.must_be(401);
    login(&anyone, "alice", &alice.password).await.must_be(401);
    login(&anyone, "alice@example.org", "a new one")
        .await
        .must_be(200);
    basic(&anyone, "alice", "a new one")
        .propfind("/", "0")
        .await
        .must_be(207);
}

/// "Delete an account, by oneself (password asked): files, log-ins, app passwords go at once."
#[tokio::test]
async fn a11_an_account_ends_with_everything_in_it() {
    let world = World::start().await;
    let (alice, anyone) = (World::alice_user(), world.anonymous());
    let drive = world.alice();
    drive.put("/a.txt", "a").await.must_be(201);
    let mine = tokens(&anyone, &alice).await;
    let me = bearer(&anyone, &mine);
    let phone = json!({ "name": "phone", "current_password": alice.password });
    let made = send(&me, "POST", "/me/app-passwords", phone).await;
    let secret = made.must_be(201).json()["password"]
        .as_str()
        .unwrap()
        .to_owned();

    send(&me, "DELETE", "/me", json!({ "password": "not it" }))
        .await
        .must_be(403);
    let proof = json!({ "password": alice.password });
    send(&me, "DELETE", "/me", proof).await.must_be(204);

    ask(&me, "GET", "/me").await.must_be(401);
    drive.get("/a.txt").await.must_be(401);
    basic(&anyone, "alice", &secret)
        .get("/a.txt")
        .await
        .must_be(401);
    let spent = json!({ "refresh_token": mine["refresh_token"] });
    send(&anyone, "POST", "/auth/refresh", spent)
        .await
        .must_be(401);
    // Whoever takes the name next finds nothing of hers.
    let body = json!({ "username": "alice", "password": "somebody else" });
    send(&anyone, "POST", "/users", body).await.must_be(201);
    let heir = basic(&anyone, "alice", "somebody else");
    assert!(heir.names("/").await.is_empty());
}

/// "Blobs with no other reference are swept", whoever ends the account.
#[tokio::test]
async fn a11_the_bytes_of_an_account_that_ended_go_and_those_of_others_stay() {
    let setup = Setup::default().env("COFFER_BLOBS_SWEEP_GRACE", "1ms");
    let world = setup.start().await;
    let (alice, bob) = (world.alice(), world.bob());
    let (hers, common) = (harness::noise(71, 100_000), harness::noise(72, 100_000));
    alice.put("/hers.bin", hers.clone()).await.must_be(201);
    alice.put("/common.bin", common.clone()).await.must_be(201);
    bob.put("/common.bin", common.clone()).await.must_be(201);
    let lock = alice.lock("/common.bin").await.must_be(200);
    assert!(!lock.header("lock-token").is_empty());
    assert_eq!(world.blobs().len(), 2);
    let me = ask(&alice, "GET", "/me").await.must_be(200).json();
    let root = world.as_user(&World::admin_user());
    let path = format!("/users/{}", me["id"].as_str().unwrap());
    ask(&root, "DELETE", &path).await.must_be(204);
    ask(&alice, "GET", "/me").await.must_be(401);
    alice.propfind("/", "0").await.must_be(401);
    let left = vec![(harness::sha256_hex(&common), 100_000)];
    let minute = std::time::Duration::from_mins(1);
    harness::until("only what bob has is left", minute, async || {
        ask(&root, "POST", "/admin/jobs/sweep/run")
            .await
            .must_be(202);
        world.blobs() == left
    })
    .await;
    assert_eq!(bob.get("/common.bin").await, common);
    assert_eq!(world.query("SELECT COUNT(*) FROM dav_lock"), "0");
    let usage = ask(&root, "GET", "/admin/usage").await.must_be(200).json();
    assert_eq!(usage["capacity"]["used_bytes"], 100_000);
    let checked = world.cli(&["check", "--contents"], "").await;
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn an_app_password_allows_what_it_says_and_no_more() {
    let world = World::start().await;
    let (drive, anyone) = (world.alice(), world.anonymous());
    drive.mkcol("/scans").await.must_be(201);
    drive.put("/scans/in.txt", "in").await.must_be(201);
    drive.put("/out.txt", "out").await.must_be(201);
    let make = async |mut body: Value| {
        body["current_password"] = json!(World::alice_user().password);
        let made = send(&drive, "POST", "/me/app-passwords", body)
            .await
            .must_be(201)
            .json();
        let secret = made["password"].as_str().unwrap().to_owned();
        (made, basic(&anyone, "alice", &secret), secret)
    };
    let reading = json!({ "name": "scanner", "path": "/scans", "read_only": true });
    let (made, scanner, secret) = make(reading).await;
    assert_eq!(
        (&made["path"], &made["read_only"]),
        (&json!("/scans"), &json!(true))
    );
    assert_eq!(scanner.names("/").await, ["in.txt"]);
    scanner.get("/out.txt").await.must_be(404);
    scanner.put("/in.txt", "new").await.must_be(403);
    // It is a device's key: nothing of the account is its business.
    send(
        &scanner,
        "POST",
        "/me/app-passwords",
        json!({ "name": "more", "current_password": World::alice_user().password }),
    )
    .await
    .must_be(403);
    ask(&scanner, "GET", "/me/logins").await.must_be(403);
    login(&anyone, "alice", &secret).await.must_be(401);
    basic(&anyone, "bob", &secret)
        .get("/in.txt")
        .await
        .must_be(401);

    let (_, writer, _) = make(json!({ "name": "writer", "path": "/scans" })).await;
    writer.put("/new.txt", "new").await.must_be(201);
    assert_eq!(drive.get("/scans/new.txt").await, "new");

    let list = ask(&drive, "GET", "/me/app-passwords")
        .await
        .must_be(200)
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let path = format!("/me/app-passwords/{}", made["id"].as_str().unwrap());
    ask(&world.bob(), "DELETE", &path).await.must_be(404);
    ask(&drive, "DELETE", &path).await.must_be(204);
    scanner.get("/in.txt").await.must_be(401);
    writer.get("/in.txt").await.must_be(200);
}

/// A log-in ends some day, an app password need not: who has got hold of one cannot make the other.
#[tokio::test]
async fn an_app_password_needs_the_current_password() {
    let world = World::start().await;
    let (anyone, alice) = (world.anonymous(), World::alice_user());
    let stolen = bearer(&anyone, &tokens(&anyone, &alice).await);
    let new = |current: &str| json!({ "name": "mine", "current_password": current });
    send(
        &stolen,
        "POST",
        "/me/app-passwords",
        json!({ "name": "mine" }),
    )
    .await
    .must_be(422);
    let wrong = send(&stolen, "POST", "/me/app-passwords", new("not it")).await;
    assert_eq!(wrong.must_be(403).json()["code"], "wrong_credentials");
    let list = ask(&stolen, "GET", "/me/app-passwords").await.must_be(200);
    assert_eq!(list.json()["items"], json!([]));
    send(&stolen, "POST", "/me/app-passwords", new(&alice.password))
        .await
        .must_be(201);
}

/// Browsers send a cookie along whatever has become of the log-in behind it.
#[tokio::test]
async fn a_cookie_that_has_ended_keeps_nobody_from_registering() {
    let world = World::start().await;
    let anyone = world.anonymous();
    let old = tokens(&anyone, &World::alice_user()).await;
    ask(&bearer(&anyone, &old), "POST", "/auth/logout")
        .await
        .must_be(204);
    let cookie = format!("coffer_token={}", old["access_token"].as_str().unwrap());
    let register = anyone.request_at("POST", "/api/v1/users");
    let register = register.header("Cookie", &cookie).json(&carol());
    register.send().await.must_be(201);
    // What a program says on purpose is not overlooked.
    let body = json!({ "username": "dave", "password": "long enough" });
    send(&bearer(&anyone, &old), "POST", "/users", body)
        .await
        .must_be(401);
}
