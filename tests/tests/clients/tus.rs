//! The npm package `tus-js-client`, behind Uppy and many other uploaders.

use std::path::Path;
use std::time::Duration;

use harness::{Program, Setup, Steps, World, client_dir};

use crate::local::{Local, Scale, reported};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, 40_000_000).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, 3_000_000).await;
}

async fn session(world: &World, big_bytes: usize) {
    let scale = Scale {
        big_bytes,
        ..Scale::SMALL
    };
    let local = Local::new(world, scale);
    let alice = World::alice_user();
    let mut steps = Steps::new("tus-js-client");
    // A module finds its packages beside itself.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node/tus.mjs");
    let script = client_dir()
        .join("node")
        .join(format!("tus-{}.mjs", std::process::id()));
    std::fs::copy(source, &script).expect("./test has made this folder");
    let output = Program::new("node")
        .arg(&script)
        .args([world.address(), &alice.name, &alice.password])
        .arg(local.tree())
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .deadline(Duration::from_mins(3))
        .run()
        .await;
    std::fs::remove_file(script).expect("our own file can be removed");
    reported(&mut steps, &output);
    let checked = world.cli(&["check", "--contents"], "").await;
    steps.check("check", checked.status.success(), checked);
    steps.finish();
}
