//! The PyPI packages `webdav4` (with `fsspec`, as DVC uses it) and `webdavclient3`.

use std::path::Path;
use std::time::Duration;

use harness::{Program, Setup, Steps, World, client_dir};

use crate::local::{Local, Scale, reported, same};

#[tokio::test]
async fn a_session_of_webdav4_over_http() {
    session(&World::start().await, "webdav4_session.py", Scale::FULL).await;
}

#[tokio::test]
async fn a_session_of_webdav4_over_tls() {
    let world = Setup::default().tls().start().await;
    session(&world, "webdav4_session.py", Scale::SMALL).await;
}

#[tokio::test]
async fn a_session_of_webdavclient3_over_http() {
    session(
        &World::start().await,
        "webdavclient3_session.py",
        Scale::FULL,
    )
    .await;
}

#[tokio::test]
async fn a_session_of_webdavclient3_over_tls() {
    let world = Setup::default().tls().start().await;
    session(&world, "webdavclient3_session.py", Scale::SMALL).await;
}

async fn session(world: &World, script: &str, scale: Scale) {
    let local = Local::new(world, scale);
    let alice = World::alice_user();
    let mut steps = Steps::new(script);
    let output = Program::new(client_dir().join("venv/bin/python"))
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("clients/python")
                .join(script),
        )
        .args([&world.drive_url(), &alice.name, &alice.password])
        .args([local.tree(), local.path("got")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONWARNINGS", "ignore")
        .deadline(Duration::from_mins(4))
        .run()
        .await;
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
