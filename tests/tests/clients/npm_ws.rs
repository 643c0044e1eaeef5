//! The npm package `ws`, the usual WebSocket client of node.

use std::path::Path;
use std::time::Duration;

use harness::{Program, Setup, Steps, World, client_dir};

use crate::local::reported;

#[tokio::test]
async fn live_notices_over_http() {
    session(&World::start().await).await;
}

#[tokio::test]
async fn live_notices_over_tls() {
    session(&Setup::default().tls().start().await).await;
}

async fn session(world: &World) {
    let alice = World::alice_user();
    let mut steps = Steps::new("npm ws");
    // A module finds its packages beside itself.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node/events.mjs");
    let port = world.address().rsplit(':').next().unwrap_or_default();
    let script = client_dir()
        .join("node")
        .join(format!("events-{}-{port}.mjs", std::process::id()));
    std::fs::copy(source, &script).expect("./test has made this folder");
    let output = Program::new("node")
        .arg(&script)
        .args([&world.drive_url(), &alice.name, &alice.password])
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .deadline(Duration::from_mins(1))
        .run()
        .await;
    std::fs::remove_file(script).expect("our own file can be removed");
    reported(&mut steps, &output);
    steps.finish();
}
