//! schemathesis: requests made from the daemon's own document, good ones and bad ones, one by one
//! and in chains along the links, and every answer compared with what the document says.
//!
//! `COFFER_SCHEMATHESIS_EXAMPLES=1000` makes a long run of it, each time with other requests
//! (`COFFER_SCHEMATHESIS_SEED`).

use std::path::Path;
use std::time::Duration;

use harness::{Engine, Program, Setup, User, World, client_dir};

/// Requests of each kind for each operation, unless the environment says.
const EXAMPLES: &str = "10";

#[tokio::test]
async fn a_user_meets_what_the_document_says_on_sqlite() {
    every_check(Engine::Sqlite, World::alice_user()).await;
}

#[tokio::test]
async fn a_user_meets_what_the_document_says_on_postgresql() {
    every_check(Engine::Postgres, World::alice_user()).await;
}

#[tokio::test]
async fn an_administrator_meets_what_the_document_says_on_sqlite() {
    every_check(Engine::Sqlite, World::admin_user()).await;
}

#[tokio::test]
async fn an_administrator_meets_what_the_document_says_on_postgresql() {
    every_check(Engine::Postgres, World::admin_user()).await;
}

async fn every_check(engine: Engine, user: User) {
    let setup = Setup::default().engine(engine);
    // The hooks give each request a network of its own.
    let setup = setup.env("COFFER_LISTEN_TRUSTED_PROXIES", "127.0.0.1");
    let world = setup.start().await;
    let me = world.as_user(&user).request_at("GET", "/api/v1/me");
    let me = me.send().await.must_be(200).json();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python");
    let examples = std::env::var("COFFER_SCHEMATHESIS_EXAMPLES");
    let examples = examples.unwrap_or_else(|_| EXAMPLES.to_owned());
    let seed = std::env::var("COFFER_SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".to_owned());
    let hours: u64 = if examples == EXAMPLES { 0 } else { 12 };
    let output = Program::new(client_dir().join("venv/bin/st"))
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/api/openapi.json", world.address()))
        .args(["--no-color", "--warnings", "off"])
        .args(["--max-examples", &examples, "--seed", &seed])
        .dir(world.scratch())
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("COFFER_USER", &user.name)
        .env("COFFER_PASSWORD", &user.password)
        .env("COFFER_USER_ID", me["id"].as_str().expect("an id"))
        .deadline(Duration::from_mins(5 + hours * 60))
        .run()
        .await;
    assert!(output.succeeded(), "{}\n{}", output.stdout, output.stderr);
    let errors = world.log();
    let errors = errors.lines().filter(|line| line.contains("\"ERROR\""));
    let errors: Vec<_> = errors.collect();
    assert!(errors.is_empty(), "the log tells of errors: {errors:#?}");
}
