//! git over HTTP without a git server: `git push` speaks WebDAV then (`git http-push`).

use std::path::Path;

use harness::{Output, Program, Setup, Steps, World, noise};

use crate::local::{Local, Scale, same_locally, upload};

#[tokio::test]
async fn a_session_over_http() {
    session(&World::start().await).await;
}

#[tokio::test]
async fn a_session_over_tls() {
    session(&Setup::default().tls().start().await).await;
}

async fn git(steps: &mut Steps, folder: &Path, arguments: &[&str]) -> Output {
    let output = Program::new("git")
        .args(arguments)
        .dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_SSL_NO_VERIFY", "true")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Alice")
        .env("GIT_AUTHOR_EMAIL", "alice@example.org")
        .env("GIT_COMMITTER_NAME", "Alice")
        .env("GIT_COMMITTER_EMAIL", "alice@example.org")
        .run()
        .await;
    steps.check(&arguments.join(" "), output.succeeded(), &output);
    output
}

async fn session(world: &World) {
    let local = Local::new(world, Scale::SMALL);
    let dav = world.alice();
    let alice = World::alice_user();
    let mut steps = Steps::new("git");

    let bare = local.path("bare.git");
    git(
        &mut steps,
        &local.path(""),
        &["init", "--bare", "-b", "main", "bare.git"],
    )
    .await;
    git(&mut steps, &bare, &["update-server-info"]).await;
    upload(&dav, &bare, "/project.git").await;

    // git finds no way to ask for a password here, so the URL carries it.
    let login = format!("://{}:{}@", alice.name, alice.password);
    let url = format!("{}project.git", world.drive_url().replace("://", &login));
    git(&mut steps, &local.path(""), &["clone", &url, "work"]).await;
    let work = local.path("work");
    git(&mut steps, &work, &["checkout", "-B", "main"]).await;
    std::fs::write(work.join("read me.txt"), "first").expect("our own folder can be written");
    std::fs::write(work.join("noise.bin"), noise(4, 500_000)).expect("our own folder");
    git(&mut steps, &work, &["add", "."]).await;
    git(&mut steps, &work, &["commit", "-m", "first"]).await;
    git(&mut steps, &work, &["push", "origin", "main"]).await;

    git(&mut steps, &work, &["checkout", "-b", "topic/umlauts"]).await;
    std::fs::write(work.join("gr\u{fc}n.txt"), "green").expect("our own folder can be written");
    git(&mut steps, &work, &["add", "."]).await;
    git(&mut steps, &work, &["commit", "-m", "second"]).await;
    git(&mut steps, &work, &["push", "origin", "topic/umlauts"]).await;

    git(
        &mut steps,
        &local.path(""),
        &["clone", "-b", "topic/umlauts", &url, "other"],
    )
    .await;
    let other = local.path("other");
    if !other.exists() {
        // What was pushed did not arrive; the steps above say why.
        return steps.finish();
    }
    std::fs::write(other.join("read me.txt"), "third").expect("our own folder can be written");
    git(&mut steps, &other, &["commit", "-a", "-m", "third"]).await;
    git(&mut steps, &other, &["push", "origin", "topic/umlauts"]).await;
    git(
        &mut steps,
        &work,
        &["pull", "--ff-only", "origin", "topic/umlauts"],
    )
    .await;
    for clone in [&work, &other] {
        git(&mut steps, clone, &["fsck", "--full"]).await;
        std::fs::remove_dir_all(clone.join(".git")).expect("our own folder can be removed");
    }
    same_locally(&mut steps, "both clones are alike", &work, &other);

    // The daemon must not repeat the password that git puts into Destination.
    steps.check(
        "no secret is logged",
        !world.log().contains(&alice.password),
        "it is",
    );
    steps.finish();
}
