//! Who is asking: the challenge, what is refused, and when.

use std::time::Duration;

use harness::{Credential, Wire, World};

use crate::phrase::authorization;

const METHODS: [&str; 10] = [
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
];

#[tokio::test]
async fn without_a_credential_every_method_gets_one_basic_challenge() {
    let world = World::start().await;
    world.alice().put("/a.txt", "a").await.must_be(201);
    for method in METHODS {
        for path in ["/a.txt", "/missing.txt", "/"] {
            let asked = world.anonymous().request(method, path);
            let refused = asked
                .header("Destination", "/dav/b.txt")
                .send()
                .await
                .must_be(401);
            let challenges: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
            assert_eq!(challenges.len(), 1, "{refused:?}");
            let challenge = refused.header("www-authenticate");
            assert!(challenge.starts_with("Basic realm=\""), "{challenge}");
            assert!(challenge.contains("charset=\"UTF-8\""), "{challenge}");
        }
    }
    assert_eq!(world.alice().names("/").await, ["a.txt"]);
}

#[tokio::test]
async fn a_missing_path_is_not_told_from_an_existing_one_without_a_credential() {
    let world = World::start().await;
    world.alice().put("/a.txt", "a").await.must_be(201);
    for method in METHODS {
        let there = world.anonymous().request(method, "/a.txt").send().await;
        let missing = world.anonymous().request(method, "/b.txt").send().await;
        assert_eq!(there.status(), missing.status(), "{method}");
        assert_eq!(there.body, missing.body, "{method}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_refused_alike() {
    let world = World::start().await;
    let right = World::alice_user().password;
    let passwords = [
        String::new(),
        right[..right.len() - 1].to_owned(),
        format!("{right}\0"),
        format!("{right} "),
        format!(" {right}"),
        right.to_uppercase(),
    ];
    let attempt = async |user: &str, password: &str| {
        let credential = Credential::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        world.anonymous().with(credential).propfind("/", "0").await
    };
    let refused = attempt("alice", "wrong").await.must_be(401);
    for password in &passwords {
        // Repeated failures may be slowed down, but none may succeed.
        attempt("alice", password).await.must_be_one_of(&[401, 429]);
    }
    let unknown = attempt("nobody-of-that-name", "wrong")
        .await
        .must_be_one_of(&[401, 429]);
    if unknown.status() == refused.status() {
        assert_eq!(unknown.body, refused.body);
        assert_eq!(
            unknown.header("www-authenticate"),
            refused.header("www-authenticate")
        );
    }
}

#[tokio::test]
async fn malformed_credentials_are_refused() {
    let world = World::start().await;
    let long = "A".repeat(30_000);
    for value in [
        "Basic",
        "Basic !!!!",
        "Basic YWxpY2U=",
        "Basic Og==",
        "Bearer",
        "Bearer a.b.c",
        "Digest username=\"alice\"",
        "Negotiate abcdef",
        &format!("Basic {long}"),
    ] {
        let asked = world
            .anonymous()
            .request("PROPFIND", "/")
            .header("Authorization", value);
        asked.send().await.must_be_one_of(&[400, 401, 431]);
    }
    let twice = world.alice().request("PROPFIND", "/");
    let bob = World::bob_user();
    let twice = twice.header("Authorization", &Wire::basic(&bob.name, &bob.password));
    twice.send().await.must_be_one_of(&[400, 401]);
}

#[tokio::test]
async fn a_credential_in_the_query_counts_for_nothing() {
    let world = World::start().await;
    let alice = World::alice_user();
    let login = serde_json::json!({ "login": alice.name, "password": alice.password });
    let token = world
        .anonymous()
        .request_at("POST", "/api/v1/auth/login")
        .json(&login);
    let token = token.send().await.must_be(200).json();
    let token = token["access_token"].as_str().unwrap();
    let bearer = world.anonymous().with(Credential::Bearer(token.to_owned()));
    bearer.propfind("/", "0").await.must_be(207);
    for name in ["auth", "access_token", "token"] {
        let target = format!("/dav/?{name}={token}");
        world
            .anonymous()
            .request_at("PROPFIND", &target)
            .send()
            .await
            .must_be(401);
    }
}

#[tokio::test]
async fn headers_that_a_proxy_would_set_are_not_believed() {
    let world = World::start().await;
    for name in [
        "X-Forwarded-User",
        "X-Remote-User",
        "Remote-User",
        "X-WebAuth-User",
    ] {
        let asked = world
            .anonymous()
            .request("PROPFIND", "/")
            .header(name, "alice");
        asked.send().await.must_be(401);
    }
    world.alice().put("/a.txt", "a").await.must_be(201);
    let asked = world
        .alice()
        .request("GET", "/a.txt")
        .header("X-HTTP-Method-Override", "DELETE");
    assert_eq!(asked.send().await, "a");
    world.alice().head("/a.txt").await.must_be(200);
}

#[tokio::test]
async fn the_password_is_checked_before_a_body_is_asked_for() {
    let world = World::start().await;
    for authorization in ["", "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n"] {
        for length in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
            let mut wire = world.wire().await;
            let head = format!(
                "PUT /dav/a.bin HTTP/1.1\r\nHost: localhost\r\n{authorization}{length}\r\n\
                 Expect: 100-continue\r\n\r\n"
            );
            wire.send(head).await;
            wire.answer().await.unwrap().must_be(401);
        }
    }
}

#[tokio::test]
async fn continue_is_sent_only_when_the_write_may_go_on() {
    let world = World::start().await;
    let authorization = format!("Authorization: {}", authorization());
    let head = |path: &str, more: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\nContent-Length: 5\r\n\
             Expect: 100-continue\r\n{more}\r\n"
        )
    };
    let mut wire = world.wire().await;
    wire.send(head("/dav/a.txt", "")).await;
    wire.answer().await.unwrap().must_be(100);
    wire.send("hello").await;
    wire.answer().await.unwrap().must_be(201);
    for (path, more, status) in [
        ("/dav/a.txt", "If-None-Match: *\r\n", 412),
        ("/dav/missing/a.txt", "", 409),
        ("/dav/", "", 405),
    ] {
        let mut wire = world.wire().await;
        wire.send(head(path, more)).await;
        wire.answer().await.unwrap().must_be(status);
    }
    assert_eq!(world.alice().get("/a.txt").await, "hello");
}

#[tokio::test]
async fn a_refused_body_is_never_taken_for_the_next_request() {
    let world = World::start().await;
    world
        .alice()
        .put("/victim.txt", "still here")
        .await
        .must_be(201);
    let smuggled = format!(
        "DELETE /dav/victim.txt HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\
         Content-Length: 0\r\n\r\n",
        authorization()
    );
    let length = smuggled.len();
    for framing in [
        format!("Content-Length: {length}\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\n"),
    ] {
        let mut wire = world.wire().await;
        wire.send(format!(
            "PUT /dav/a.txt HTTP/1.1\r\nHost: localhost\r\n{framing}"
        ))
        .await;
        wire.answer().await.unwrap().must_be(401);
        // Either the body is read away and the connection serves on, or it is closed.
        wire.send("OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        if let Some(next) = wire.answer().await {
            next.must_be(200);
        }
    }
    assert_eq!(world.alice().get("/victim.txt").await, "still here");
}

#[tokio::test]
async fn a_refused_upload_leaves_the_connection_or_says_that_it_ends() {
    let world = World::start().await;
    for length in [10, 1_000, 50_000, 200_000] {
        for _ in 0..5 {
            let mut wire = world.wire().await;
            let head = "PUT /dav/a.txt HTTP/1.1\r\nHost: localhost";
            wire.send(format!("{head}\r\nContent-Length: {length}\r\n\r\n"))
                .await;
            // Python's http.client sends head and body apart.
            wire.send(vec![b'x'; length]).await;
            let refused = wire.answer().await.expect("a refusal comes").must_be(401);
            if refused.header("connection") == "close" {
                continue;
            }
            wire.send_head(&[
                "PROPFIND /dav/ HTTP/1.1",
                "Host: localhost",
                "Depth: 0",
                &format!("Authorization: {}", authorization()),
            ])
            .await;
            let next = wire.answer().await;
            assert!(next.is_some(), "closed unannounced after {length} bytes");
        }
    }
}

#[tokio::test]
async fn a_password_changed_on_the_command_line_ends_the_old_one_at_once() {
    let world = World::start().await;
    let alice = world.alice();
    alice.propfind("/", "0").await.must_be(207);
    let arguments = ["user", "set", "alice", "--password-stdin"];
    let output = world.cli(&arguments, "another long password").await;
    assert!(output.status.success(), "{output:?}");
    alice.propfind("/", "0").await.must_be(401);
    let credential = Credential::Basic {
        user: "alice".to_owned(),
        password: "another long password".to_owned(),
    };
    harness::until(
        "the new password works",
        Duration::from_secs(10),
        || async {
            alice
                .with(credential.clone())
                .propfind("/", "0")
                .await
                .status()
                == 207
        },
    )
    .await;
}
