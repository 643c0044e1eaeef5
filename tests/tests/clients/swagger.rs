//! Swagger UI in Chromium, as an author of scripts meets the API first.

use std::path::Path;
use std::time::Duration;

use harness::{Program, Steps, World, client_dir};

use crate::local::reported;

/// E6: Swagger UI over the document. Requests are tried from the page, by cookie and by password;
/// nothing is asked of another server, and the page's policy forbids nothing that it needs.
#[tokio::test]
async fn e6_requests_are_tried_from_the_page() {
    let world = World::start().await;
    let alice = World::alice_user();
    let screenshot = world.scratch().join("swagger.png");
    // A module finds its packages beside itself.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node/swagger.mjs");
    let script = client_dir()
        .join("node")
        .join(format!("swagger-{}.mjs", std::process::id()));
    std::fs::copy(source, &script).expect("./test has made this folder");
    let output = Program::new("node")
        .arg(&script)
        .args([world.address(), &alice.name, &alice.password])
        .arg(&screenshot)
        .deadline(Duration::from_mins(2))
        .run()
        .await;
    std::fs::remove_file(script).expect("our own file can be removed");
    let mut steps = Steps::new("swagger");
    reported(&mut steps, &output);
    steps.check("takes a picture", screenshot.exists(), "there is none");
    steps.finish();
}
