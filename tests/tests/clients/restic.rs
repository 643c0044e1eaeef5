//! restic, which reaches WebDAV through rclone.

use std::time::Duration;

use harness::{Output, Program, Setup, Steps, World};

use crate::local::{Local, Scale, same_locally};
use crate::rclone::with_remote;

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await, Scale::SMALL).await;
}

async fn restic(world: &World, local: &Local, steps: &mut Steps, arguments: &[&str]) -> Output {
    let program = with_remote(Program::new("restic"), world, "other").await;
    let output = program
        .env("RESTIC_REPOSITORY", "rclone:drive:backup")
        .env("RESTIC_PASSWORD", "a repository password")
        .env("RESTIC_CACHE_DIR", local.path("restic-cache"))
        .args(arguments)
        .dir(local.path(""))
        .deadline(Duration::from_mins(3))
        .run()
        .await;
    steps.check(&arguments.join(" "), output.succeeded(), &output);
    output
}

async fn session(world: &World, scale: Scale) {
    let local = Local::new(world, scale);
    let mut steps = Steps::new("restic");
    restic(world, &local, &mut steps, &["init"]).await;
    restic(world, &local, &mut steps, &["backup", "tree"]).await;
    std::fs::write(local.tree().join("later.txt"), "later").expect("our own folder");
    restic(world, &local, &mut steps, &["backup", "tree"]).await;
    let listed = restic(world, &local, &mut steps, &["snapshots", "--compact"]).await;
    steps.check(
        "two snapshots",
        listed.stdout.contains("2 snapshots"),
        &listed,
    );
    restic(world, &local, &mut steps, &["check", "--read-data"]).await;
    let restore = ["restore", "latest", "--target", "restored"];
    restic(world, &local, &mut steps, &restore).await;
    same_locally(
        &mut steps,
        "all is restored",
        &local.tree(),
        &local.path("restored/tree"),
    );
    let forget = ["forget", "--keep-last", "1", "--prune"];
    restic(world, &local, &mut steps, &forget).await;
    restic(world, &local, &mut steps, &["check"]).await;
    steps.finish();
}
