//! Any history of calls, faults and kills against what POSIX says.
//!
//! The short form tries the same histories every time, so that a change is told by what it breaks; the
//! long form, `PROPTEST_CASES=10000 cargo test -p coffer --lib model::`, others every time. What
//! failed once is kept in `proptest-regressions` and tried first.

mod action;
mod machine;
mod reference;
mod shared;
mod vfs;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use self::machine::Machine;
use crate::drive::memory::MemoryDrive;
use crate::fs::Options;

/// How many histories a test tries.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok();
    Config {
        rng_seed: match &cases {
            Some(_) => RngSeed::Random,
            None => RngSeed::Fixed(4),
        },
        cases: cases.map_or(256, |text| text.parse().unwrap()),
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
