//! Working on a drive that is mounted by the real `coffer mount` from a real `cofferd`.
//!
//! `./test` runs short forms. The long ones, against release builds and with their figures printed:
//!
//! ```text
//! cargo build --release -p cofferd -p coffer
//! export COFFER_TEST_BIN_DIR=target/release
//! COFFER_FSX_CALLS=1000000  cargo test -p coffer-tests --test mount -- --nocapture fsx::
//! COFFER_KILLS=200          cargo test -p coffer-tests --test mount -- --nocapture kills::
//! COFFER_GIT_FILES=5000     cargo test -p coffer-tests --test mount -- --nocapture applications::
//! COFFER_CHANGED_FILE_MIB=1024 cargo test -p coffer-tests --test mount -- --nocapture traffic::
//! COFFER_ROUNDS=500         cargo test -p coffer-tests --test mount -- --nocapture shared::
//! PROPTEST_CASES=10000      cargo test -p coffer --lib model::
//! ```
//!
//! The last compares the file system, without a kernel and with a server in memory, with what POSIX says.
//!
//! `COFFER_SEED` repeats the random choices of a run; each prints its seed. Mounting needs
//! `/dev/fuse`; passthrough and pjdfstest need root.

#![expect(
    clippy::unwrap_used,
    clippy::doc_markdown,
    reason = "what the tests set up ends them where it fails; they quote the manual as it is"
)]

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use harness::{Output, Program};

mod applications;
mod drive;
mod elsewhere;
mod fsx;
mod guarantees;
mod identical;
mod kills;
mod links;
mod network;
mod posix;
mod shared;
mod starting;
mod traffic;
mod tree;

/// A number that the environment may raise for a long run.
fn scale(variable: &str, short: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return short;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable} is {text}, not a number"))
}

/// The seed of this run, printed so that it can be repeated.
fn seed() -> u64 {
    let seed = std::env::var("COFFER_SEED").map_or_else(
        |_| RandomState::new().hash_one(std::process::id()),
        |text| text.parse().expect("COFFER_SEED is a number"),
    );
    eprintln!("COFFER_SEED={seed}");
    seed
}

/// Runs a script of bash in `folder`; each of its commands must succeed.
async fn shell(folder: &Path, script: &str) -> Output {
    Program::new("bash")
        .args(["-c", &format!("set -euo pipefail\n{script}")])
        .dir(folder)
        .deadline(Duration::from_mins(30))
        .run()
        .await
        .success()
}

/// Waits for work that blocks its thread, without blocking the test's own tasks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
