//! litmus 0.13, the protocol's own compliance suite.

use std::time::Duration;

use harness::{Program, Setup, Steps, World};

#[tokio::test]
async fn every_suite_passes_without_a_warning_over_http() {
    every_suite_passes(&World::start().await).await;
}

#[tokio::test]
async fn every_suite_passes_without_a_warning_over_tls() {
    every_suite_passes(&Setup::default().tls().start().await).await;
}

async fn every_suite_passes(world: &World) {
    let alice = World::alice_user();
    let output = Program::new("litmus")
        .args([
            "--keep-going",
            &world.drive_url(),
            &alice.name,
            &alice.password,
        ])
        // It writes its debug.log and child.log where it runs.
        .dir(world.scratch())
        .deadline(Duration::from_mins(3))
        .run()
        .await;
    let mut steps = Steps::new("litmus");
    for suite in ["basic", "copymove", "props", "locks", "http"] {
        let summary = format!("summary for `{suite}'");
        let passed = output
            .stdout
            .lines()
            .any(|line| line.contains(&summary) && line.contains(" 0 failed"));
        steps.check(suite, passed, "did not pass");
    }
    for line in output.stdout.lines() {
        // litmus speaks to TLS through a library that cannot do what `expect100` needs.
        let skipped = line.contains("SKIPPED") && !line.contains("expect100");
        let bad = line.contains("FAIL") || line.contains("WARNING") || skipped;
        steps.check(line, !bad, "not a pass");
    }
    steps.check("exit", output.succeeded(), &output.stderr);
    steps.finish();
}
