//! The socket that takes commands outlives a shortage.

use std::time::Duration;

use harness::{Program, World, until};

/// Lets the daemon have descriptors with numbers below `most`.
async fn limit_descriptors(world: &World, most: &str) {
    let output = Program::new("prlimit")
        .args(["--pid", &world.daemon().pid().to_string()])
        .arg(format!("--nofile={most}:"))
        .run()
        .await;
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[tokio::test]
async fn commands_are_taken_again_when_there_are_descriptors_again() {
    let world = World::start().await;
    // What is open stays open.
    limit_descriptors(&world, "1").await;
    let command = world.cli(&["user", "list"], "");
    let relief = async {
        until("the shortage is felt", Duration::from_mins(1), async || {
            world.log().contains("a command cannot be taken")
        })
        .await;
        limit_descriptors(&world, "1024").await;
    };
    let (output, ()) = tokio::join!(command, relief);
    assert!(output.status.success(), "{output:?}");
}
