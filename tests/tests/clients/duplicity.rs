//! duplicity, which has a WebDAV of its own.

use std::time::Duration;

use harness::{Output, Program, Setup, Steps, World};

use crate::local::{Local, Scale, certificate, same_locally};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await, "webdav", Scale::FULL).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(
        &Setup::default().tls().start().await,
        "webdavs",
        Scale::SMALL,
    )
    .await;
}

async fn duplicity(local: &Local, steps: &mut Steps, arguments: &[&str]) -> Output {
    let output = Program::new("duplicity")
        .args(arguments)
        .args([
            "--no-encryption",
            "--ssl-cacert-file",
            "certificate.pem",
            "--num-retries",
            "1",
        ])
        .args(["--archive-dir", "archive"])
        .env("HOME", local.path(""))
        .env("FTP_PASSWORD", World::alice_user().password)
        .dir(local.path(""))
        .deadline(Duration::from_mins(3))
        .run()
        .await;
    steps.check(arguments[0], output.succeeded(), &output);
    output
}

async fn session(world: &World, scheme: &str, scale: Scale) {
    let local = Local::new(world, scale);
    let mut steps = Steps::new("duplicity");
    local.file("certificate.pem", b"");
    if scheme == "webdavs" {
        certificate(world, &local.path("certificate.pem")).await;
    }
    let drive = world.drive_url();
    let (_, rest) = drive.split_once("://").expect("a URL has a scheme");
    let url = format!(
        "{scheme}://{}@{rest}backup/of%20it",
        World::alice_user().name
    );

    duplicity(&local, &mut steps, &["full", "tree", &url]).await;
    std::fs::write(local.tree().join("later.txt"), "later").expect("our own folder");
    duplicity(&local, &mut steps, &["incremental", "tree", &url]).await;
    duplicity(
        &local,
        &mut steps,
        &["verify", "--compare-data", &url, "tree"],
    )
    .await;
    // Without its local archive it must read everything back from the drive.
    std::fs::remove_dir_all(local.path("archive")).expect("duplicity has made its archive");
    duplicity(&local, &mut steps, &["restore", &url, "restored"]).await;
    same_locally(
        &mut steps,
        "all is restored",
        &local.tree(),
        &local.path("restored"),
    );
    let status = duplicity(&local, &mut steps, &["collection-status", &url]).await;
    let sets = status.stdout.contains("Number of contained backup sets: 2");
    steps.check("two backup sets", sets, &status);
    duplicity(&local, &mut steps, &["full", "tree", &url]).await;
    duplicity(
        &local,
        &mut steps,
        &["remove-all-but-n-full", "1", "--force", &url],
    )
    .await;
    let status = duplicity(&local, &mut steps, &["collection-status", &url]).await;
    let sets = status.stdout.contains("Number of contained backup sets: 1");
    steps.check("one backup set", sets, &status);
    steps.finish();
}
