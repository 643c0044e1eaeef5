//! What the log and the answers say of what was done, and of what could not be.

use std::path::Path;
use std::time::Duration;

use harness::{Answer, Setup, World, noise, until};
use serde_json::json;

use crate::phrase::{ask, basic, store};

/// A request that cannot be done, and what it must be answered.
struct Failure {
    request: harness::Request,
    status: u16,
    code: &'static str,
}

fn failures(world: &World) -> Vec<Failure> {
    let (alice, anyone) = (world.alice(), world.anonymous());
    let wrong = basic(&anyone, "alice", "not her password");
    let at = |method: &str, path: &str| alice.request_at(method, &format!("/api/v1{path}"));
    let json = |method: &str, path: &str, body| at(method, path).json(&body);
    let text = |method: &str, path: &str, kind: &str, body: &'static str| {
        at(method, path).header("Content-Type", kind).body(body)
    };
    let content = "/files/content?path=/a.txt";
    let cases = [
        (anyone.request_at("GET", "/api/v1/me"), 401, "unauthorized"),
        (
            wrong.request_at("GET", "/api/v1/me"),
            401,
            "wrong_credentials",
        ),
        (at("GET", "/users"), 403, "forbidden"),
        (at("GET", "/nothing/here"), 404, "not_found"),
        (at("GET", "/files?path=/nothing"), 404, "not_found"),
        (at("GET", "/files/not-an-id"), 404, "not_found"),
        (at("PUT", "/me"), 405, "method_not_allowed"),
        (at("GET", "/files?limit=many"), 400, "invalid_query"),
        (at("GET", "/files?cursor=%25"), 400, "invalid_query"),
        (at("GET", "/search"), 400, "invalid_query"),
        (
            json("PATCH", "/files?path=/a.txt", json!({ "x": 1 })),
            422,
            "invalid_fields",
        ),
        (
            json("POST", "/dirs", json!({ "path": "/a/../b" })),
            422,
            "invalid_name",
        ),
        (
            json("POST", "/dirs", json!({ "path": "/d" })),
            409,
            "already_exists",
        ),
        (
            json("POST", "/dirs", json!({ "path": "/no/d" })),
            409,
            "parent_missing",
        ),
        (
            json(
                "POST",
                "/users",
                json!({ "username": "bob", "password": "long enough" }),
            ),
            409,
            "name_taken",
        ),
        (
            text("POST", "/dirs", "application/json", "{"),
            400,
            "invalid_json",
        ),
        (
            text("POST", "/dirs", "text/plain", "{}"),
            415,
            "unsupported_media_type",
        ),
        (at("GET", "/files/content?path=/d"), 409, "is_folder"),
        (at("GET", "/files/zip?path=/a.txt"), 409, "not_folder"),
        (at("DELETE", "/files?path=/"), 403, "protected"),
        (
            at("GET", content).header("Range", "bytes=99-"),
            416,
            "range_not_satisfiable",
        ),
        (
            at("GET", content).header("If-Match", "\"other\""),
            412,
            "precondition_failed",
        ),
        (
            at("PUT", content)
                .header(
                    "Content-Digest",
                    "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:",
                )
                .body("x"),
            400,
            "content_mismatch",
        ),
        (
            at("PUT", "/files/content?path=/b.bin").body(noise(1, 200_000)),
            507,
            "quota_exceeded",
        ),
    ];
    let failure = |(request, status, code)| Failure {
        request,
        status,
        code,
    };
    cases.into_iter().map(failure).collect()
}

/// "Every exceptional situation has a defined answer": a problem document with a code that
/// `docs/API.md` explains, for this status.
fn assert_is_defined(answer: &Answer, status: u16, code: &str, documented: &str) {
    let problem = answer.clone().must_be(status).json();
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(status), &json!(code))
    );
    for text in ["title", "detail"] {
        assert!(
            problem[text].as_str().is_some_and(|text| !text.is_empty()),
            "{problem}"
        );
    }
    let row = documented.lines().find(|line| {
        line.starts_with(&format!("| {status} |")) && line.contains(&format!("`{code}`"))
    });
    assert!(row.is_some(), "docs/API.md has no row for {status} {code}");
}

/// "Every action is logged; every exceptional situation has a defined answer."
#[tokio::test]
async fn b8_every_action_is_logged_and_every_failure_defined() {
    let setup = Setup::default().env("COFFER_ACCOUNTS_DEFAULT_QUOTA", "100KB");
    let world = setup.start().await;
    let alice = world.alice();
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md");
    let documented = std::fs::read_to_string(documented).expect("our own documents");
    store(&alice, "/a.txt", "one").await.must_be(201);
    alice.mkcol("/d").await.must_be(201);
    ask(&alice, "GET", "/files").await.must_be(200);
    ask(&alice, "DELETE", "/files?path=/d").await.must_be(200);
    alice.mkcol("/d").await.must_be(201);
    let done = [
        ("PUT", 201),
        ("MKCOL", 201),
        ("GET", 200),
        ("DELETE", 200),
        ("MKCOL", 201),
    ];
    let mut ids = Vec::new();
    for Failure {
        request,
        status,
        code,
    } in failures(&world)
    {
        let answer = request.send().await;
        assert_is_defined(&answer, status, code, &documented);
        ids.push((answer.header("x-request-id").to_owned(), status));
    }
    let asked = done.len() + ids.len();
    until("all is logged", Duration::from_secs(30), || async {
        world.requests().len() >= asked
    })
    .await;
    let lines = world.requests();
    assert_eq!(lines.len(), asked, "one line for each request");
    for (line, expected) in lines.iter().zip(done) {
        assert_eq!((line.method.as_str(), line.status), expected);
        assert_eq!(line.user, "alice");
        assert!(
            !line.route.is_empty() && !line.route.contains("a.txt"),
            "{line:?}"
        );
    }
    for (id, status) in ids {
        let line = lines.iter().find(|line| line.id == id);
        let line = line.unwrap_or_else(|| panic!("no line with the id {id:?}"));
        assert_eq!(line.status, u64::from(status), "{line:?}");
    }
    assert_eq!(lines[0].bytes_in, 3);
    // Nothing that a user has named or said is in it.
    for secret in [World::alice_user().password.as_str(), "a.txt"] {
        assert!(!world.log().contains(secret), "{secret} is in the log");
    }
}
