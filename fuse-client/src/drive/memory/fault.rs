//! What goes wrong with a call, by a script or by chance.

use std::collections::VecDeque;

use crate::drive::{DrivePath, Error};

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Stat,
    List,
    Changes,
    Read,
    Write,
    Patch,
    MakeFolder,
    Rename,
    Bind,
    RemoveFile,
    RemoveFolder,
    SetAttributes,
    Space,
}

impl Verb {
    /// Whether it changes the drive.
    pub fn is_change(self) -> bool {
        !matches!(
            self,
            Self::Stat | Self::List | Self::Changes | Self::Read | Self::Space
        )
    }
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request never arrives.
    UnreachableBefore,
    /// The server does it, and its answer is lost.
    UnreachableAfter,
    /// As the two before, once the deadline of a call has passed.
    Silent {
        /// Whether the server does it.
        done: bool,
    },
    /// 503.
    Busy,
    /// 507, whatever the quota says.
    NoSpace,
    /// 403.
    Forbidden,
    /// 423.
    Locked,
    /// 501.
    Unsupported,
    /// 401.
    LoginRefused,
    /// A second client writes another content to the same path just before.
    Overtaken,
    /// A body ends early, by an error.
    Cut,
    /// A body ends early, as if it were whole.
    Short,
    /// A body of the right length with wrong bytes in it.
    Corrupt,
    /// The call takes a while to reach the server.
    SlowBefore,
    /// The server does it, and its answer takes a while.
    SlowAfter,
    /// The call waits for [`super::MemoryDrive::release`] before it reaches the server.
    HeldBefore,
    /// The server does it, and the answer waits for [`super::MemoryDrive::release`].
    HeldAfter,
    /// The connection breaks, and the server does it at [`super::MemoryDrive::arrive`]: what makes or
    /// replaces something.
    Late,
}

impl Fault {
    /// The answer in place of doing it, where that is what the fault comes to.
    pub(super) fn refusal(self, path: &DrivePath) -> Option<Error> {
        let path = path.clone();
        Some(match self {
            Self::UnreachableBefore => unreachable(),
            Self::Busy => Error::Busy {
                path,
                status: 503,
                retry_after: None,
            },
            Self::NoSpace => Error::NoSpace { path },
            Self::Forbidden => Error::Forbidden { path },
            Self::Locked => Error::Locked { path },
            Self::Unsupported => Error::Unsupported,
            Self::LoginRefused => Error::LoginRefused,
            _ => return None,
        })
    }
}

pub(super) fn unreachable() -> Error {
    Error::Unreachable {
        reason: "connection reset".to_owned(),
    }
}

/// Chooses the fault of each call.
#[derive(Debug, Default)]
pub(super) struct Faults {
    script: VecDeque<(Option<Verb>, Fault)>,
    chance: Option<Chance>,
}

#[derive(Debug)]
struct Chance {
    dice: Dice,
    of_thousand: u64,
    choice: Vec<Fault>,
}

impl Faults {
    /// The next call of `verb` (of any, when `None`) gets `fault`.
    pub fn script(&mut self, verb: Option<Verb>, fault: Fault) {
        self.script.push_back((verb, fault));
    }

    /// From now on so many calls of a thousand get one of `choice`.
    pub fn seed(&mut self, seed: u64, of_thousand: u64, choice: &[Fault]) {
        self.chance = Some(Chance {
            dice: Dice(seed),
            of_thousand,
            choice: choice.to_vec(),
        });
    }

    /// Nothing goes wrong any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The fault of a call that begins now.
    pub fn next(&mut self, verb: Verb) -> Option<Fault> {
        let concerns = |(wanted, _): &(Option<Verb>, Fault)| wanted.is_none_or(|it| it == verb);
        if let Some(position) = self.script.iter().position(concerns) {
            return self.script.remove(position).map(|(_, fault)| fault);
        }
        let chance = self.chance.as_mut()?;
        if chance.choice.is_empty() || chance.dice.below(1000) >= chance.of_thousand {
            return None;
        }
        let choice = chance.dice.below(chance.choice.len() as u64);
        Some(chance.choice[usize::try_from(choice).unwrap()])
    }
}

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number smaller than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}
