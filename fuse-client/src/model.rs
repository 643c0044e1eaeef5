//! Any history of calls, faults and kills against what POSIX says.
//!
//! `PROPTEST_CASES=10000 cargo test -p coffer --lib model::` runs more of them than the usual; what
//! failed once is kept in `proptest-regressions` and tried first.

mod action;
mod machine;
mod reference;
mod shared;
mod vfs;

use proptest::prelude::*;
use proptest::test_runner::Config;

use self::machine::Machine;
use crate::drive::memory::MemoryDrive;
use crate::fs::Options;

/// How many histories a test tries.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: cases.map_or(64, |text| text.parse().unwrap()),
        max_shrink_iters: 1000,
        max_shrink_time: 60_000,
        ..Config::default()
    }
}

/// A folder for caches, in memory where there is such a place: what is tested is not the disk.
fn caches() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).unwrap();
    }
    tempfile::tempdir().unwrap()
}

fn alone(drive: MemoryDrive, small: bool, history: &[action::Action]) {
    let caches = caches();
    let options = |name: &str| Options {
        host: "here".to_owned(),
        ..Options::new(caches.path().join(name))
    };
    let mut machine = Machine::begin(drive, options("first"), small);
    for action in history {
        machine.step(action);
    }
    machine.end(options("second"));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn alone_on_a_drive_that_can_everything(small: bool, history in action::history()) {
        alone(MemoryDrive::extended(), small, &history);
    }

    #[test]
    fn alone_on_a_plain_drive(small: bool, history in action::history()) {
        alone(MemoryDrive::plain(), small, &history);
    }
}
