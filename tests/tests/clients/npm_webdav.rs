//! The npm package `webdav`, behind many web and desktop applications.

use std::path::Path;
use std::time::Duration;

use harness::{Program, Setup, Steps, World, client_dir};

use crate::local::{Local, Scale, reported, same};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, Scale::SMALL).await;
}

async fn session(world: &World, scale: Scale) {
    let local = Local::new(world, scale);
    let alice = World::alice_user();
    let mut steps = Steps::new("npm webdav");
    // A module finds its packages beside itself.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node/session.mjs");
    let script = client_dir()
        .join("node")
        .join(format!("session-{}.mjs", std::process::id()));
    std::fs::copy(source, &script).expect("./test has made this folder");
    let output = Program::new("node")
        .arg(&script)
        .args([&world.drive_url(), &alice.name, &alice.password])
        .arg(local.tree())
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .deadline(Duration::from_mins(3))
        .run()
        .await;
    std::fs::remove_file(script).expect("our own file can be removed");
    reported(&mut steps, &output);
    same(
        &mut steps,
        "all is as uploaded",
        &world.alice(),
        &local.tree(),
        "/tree",
    )
    .await;
    steps.finish();
}
