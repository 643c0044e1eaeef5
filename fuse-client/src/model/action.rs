//! What is done to a mount, in any order.

use proptest::prelude::*;
use proptest::sample::select;

use super::reference::Path;
use crate::drive::memory::Fault;

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Action {
    Create {
        path: Path,
        mode: u32,
        exclusive: bool,
        slot: usize,
    },
    Open {
        path: Path,
        truncate: bool,
        slot: usize,
    },
    Write {
        slot: usize,
        offset: usize,
        length: usize,
    },
    Append {
        slot: usize,
        length: usize,
    },
    Read {
        slot: usize,
    },
    Close {
        slot: usize,
    },
    Fsync {
        slot: usize,
    },
    Truncate {
        path: Path,
        size: usize,
    },
    Chmod {
        path: Path,
        mode: u32,
    },
    SetXattr {
        path: Path,
        value: u8,
    },
    MakeFolder {
        path: Path,
        mode: u32,
    },
    RemoveFolder {
        path: Path,
    },
    Unlink {
        path: Path,
    },
    Symlink {
        path: Path,
    },
    Link {
        existing: Path,
        new: Path,
    },
    Rename {
        from: Path,
        to: Path,
        no_replace: bool,
        exchange: bool,
    },
    /// What editors do: another name is written and renamed over this one.
    Replace {
        path: Path,
        length: usize,
    },
    /// Time passes.
    Pause {
        millis: u64,
    },
    Settle,
    /// The network goes or comes.
    Online(bool),
    /// So many calls of a thousand go wrong, or none any more.
    Faults {
        seed: u64,
        of_thousand: u64,
    },
    /// Most calls take a while.
    Slow {
        seed: u64,
    },
    /// The process is killed after so many turns of its tasks.
    Kill {
        turns: usize,
    },
    /// The process is killed in the middle of an action, if that is not done after so many turns.
    KillDuring {
        action: Box<Action>,
        turns: usize,
    },
}

/// Faults that lose nothing but time.
pub const HARMLESS: [Fault; 10] = [
    Fault::UnreachableBefore,
    Fault::UnreachableAfter,
    Fault::Silent { done: false },
    Fault::Silent { done: true },
    Fault::Busy,
    Fault::NoSpace,
    Fault::Cut,
    Fault::Short,
    Fault::SlowBefore,
    Fault::SlowAfter,
];

/// What makes a call last while others begin and end.
pub const SLOW: [Fault; 2] = [Fault::SlowBefore, Fault::SlowAfter];

const NAMES: [&str; 4] = ["a", "b", "c.txt", "ö d"];
/// About a block of the cache, whose length is 1 MiB, and short of it.
const OFFSETS: [usize; 6] = [0, 3, 5_000, (1 << 20) - 7, 1 << 20, (2 << 20) + 9];
const LENGTHS: [usize; 4] = [1, 20, 6_000, 70_000];
const MODES: [u32; 4] = [0o644, 0o600, 0o755, 0o444];

/// A path of one to three names.
pub fn path() -> impl Strategy<Value = Path> {
    prop_oneof![
        3 => prop::collection::vec(select(&NAMES[..]), 1),
        3 => prop::collection::vec(select(&NAMES[..]), 2),
        1 => prop::collection::vec(select(&NAMES[..]), 3),
    ]
}

fn slot() -> std::ops::Range<usize> {
    0..super::machine::SLOTS
}

/// Actions of programs.
fn program() -> BoxedStrategy<Action> {
    let mode = || select(&MODES[..]);
    let length = || select(&LENGTHS[..]);
    let offset = || select(&OFFSETS[..]);
    prop_oneof![
        8 => (path(), mode(), any::<bool>(), slot())
            .prop_map(|(path, mode, exclusive, slot)| Action::Create { path, mode, exclusive, slot }),
        5 => (path(), prop::bool::weighted(0.3), slot())
            .prop_map(|(path, truncate, slot)| Action::Open { path, truncate, slot }),
        10 => (slot(), offset(), length())
            .prop_map(|(slot, offset, length)| Action::Write { slot, offset, length }),
        4 => (slot(), length()).prop_map(|(slot, length)| Action::Append { slot, length }),
        5 => slot().prop_map(|slot| Action::Read { slot }),
        6 => slot().prop_map(|slot| Action::Close { slot }),
        3 => slot().prop_map(|slot| Action::Fsync { slot }),
        3 => (path(), offset()).prop_map(|(path, size)| Action::Truncate { path, size }),
        3 => (path(), mode()).prop_map(|(path, mode)| Action::Chmod { path, mode }),
        2 => (path(), any::<u8>()).prop_map(|(path, value)| Action::SetXattr { path, value }),
        7 => (path(), mode()).prop_map(|(path, mode)| Action::MakeFolder {
            path,
            mode: mode | 0o700,
        }),
        2 => path().prop_map(|path| Action::RemoveFolder { path }),
        5 => path().prop_map(|path| Action::Unlink { path }),
        2 => path().prop_map(|path| Action::Symlink { path }),
        3 => (path(), path()).prop_map(|(existing, new)| Action::Link { existing, new }),
        8 => (path(), path(), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
            |(from, to, no_replace, exchange)| Action::Rename {
                from,
                to,
                no_replace: no_replace && !exchange,
                exchange,
            }
        ),
        4 => (path(), length()).prop_map(|(path, length)| Action::Replace { path, length }),
    ]
    .boxed()
}

/// Actions of programs and of fate.
fn any_action() -> impl Strategy<Value = Action> {
    let millis = select(&[1_u64, 100, 700, 6_000, 40_000, 400_000][..]);
    prop_oneof![
        24 => program(),
        4 => millis.prop_map(|millis| Action::Pause { millis }),
        1 => Just(Action::Settle),
        1 => any::<bool>().prop_map(Action::Online),
        1 => (any::<u64>(), select(&[0_u64, 100, 300, 1000][..]))
            .prop_map(|(seed, of_thousand)| Action::Faults { seed, of_thousand }),
        1 => any::<u64>().prop_map(|seed| Action::Slow { seed }),
        1 => (0_usize..200).prop_map(|turns| Action::Kill { turns }),
        1 => (program(), 0_usize..12).prop_map(|(action, turns)| Action::KillDuring {
            action: Box::new(action),
            turns,
        }),
    ]
}

/// A whole history.
pub fn history() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(any_action(), 1..60)
}
