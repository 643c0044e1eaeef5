//! What happens when things go wrong, race, or grow large.
//!
//! `./test` runs short forms. The long ones, against release builds and with their figures printed:
//!
//! ```text
//! cargo build --release -p cofferd
//! export COFFER_TEST_BIN_DIR=target/release COFFER_TEST_ENGINE=sqlite     # or postgres
//! COFFER_CRASH_CYCLES=50     cargo test -p coffer-tests --test faults -- --nocapture crash::
//! COFFER_COUNTED_OPERATIONS=2000 cargo test -p coffer-tests --test faults -- --nocapture counters::
//! COFFER_MODEL_OPERATIONS=50000 cargo test -p coffer-tests --test faults -- --nocapture model::
//! COFFER_TREE_FILES=100000   cargo test -p coffer-tests --test faults -- --nocapture big_tree::
//! COFFER_LISTING_FILES=100000 cargo test -p coffer-tests --test faults -- --nocapture listing::
//! COFFER_LARGE_FILE_MIB=5120 COFFER_STORE_MIB=1024 \
//!     cargo test -p coffer-tests --test faults -- --nocapture large_file::
//! COFFER_TUS_MIB=2048 COFFER_TUS_INTERRUPTIONS=20 \
//!     cargo test -p coffer-tests --test faults -- --nocapture tus::
//! ```
//!
//! `COFFER_SEED` repeats a run of the random tests; each prints its seed.

use std::hash::{BuildHasher, RandomState};

mod archive;
mod basic_auth;
mod big_tree;
mod control;
mod counters;
mod crash;
mod damage;
mod database_gone;
mod dedup;
mod disk_full;
mod drive;
mod foreseen;
mod large_file;
mod listing;
mod model;
mod operation;
mod quota;
mod replica;
mod start;
mod tree;
mod tus;

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
