//! Keeping the local state and the server alike.
//!
//! - [`plan`]: what one request brings a name closer to what it is here.
//! - [`push`]: sends these, several at once; [`content`]: the bytes of files; [`book`] writes down what
//!   was done.
//! - [`burst`]: programs that are changing many files go first.
//! - [`unheard`]: what became of requests whose answers got lost.
//! - [`conflict`]: what to do when somebody else was first; [`whose`]: whether it was somebody else.
//! - [`listen`]: when to ask what others did; [`asking`]: the questions; [`pull`]: what was answered comes
//!   here; [`supersede`]: to files that are open; [`first`]: the first answer is worth waiting for.
//! - [`net`]: noticing that the server is out of reach, and that it is back.

mod asking;
mod book;
mod burst;
mod conflict;
mod content;
mod first;
mod listen;
mod net;
mod plan;
mod pull;
mod push;
mod supersede;
#[cfg(test)]
mod tests;
mod unheard;
mod whose;

pub(crate) use self::burst::Burst;
pub(crate) use self::first::FirstReport;
pub(crate) use self::unheard::Unheard;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use crate::fs::Ino;
use crate::fs::shared::lock;
use crate::state::Name;

/// A name or node that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Name(Name),
    Node(Ino),
}

/// How far a request reaches beyond what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Not at all.
    Itself,
    /// To the names in a folder: of them there are to be none.
    Inside(Ino),
    /// It changes the paths of others, and is alone.
    All,
}

/// Requests under way. What was read from the server before one of our own changes was answered must
/// not be believed about what that change was about.
#[derive(Default)]
pub(crate) struct Flight {
    keys: HashSet<Key>,
    /// Requests.
    count: usize,
    alone: bool,
    /// How many of them are about names in a folder.
    inside: HashMap<Ino, usize>,
    /// Folders in which nothing is to begin.
    closed: HashSet<Ino>,
    tick: u64,
    /// When a change was answered last, while anybody is reading.
    answered: HashMap<Key, u64>,
    readers: usize,
    /// Names told to be gone while a request about them was under way.
    gone_meanwhile: HashSet<Name>,
    /// So often a folder was found to have been moved by another, or removed, or may have been.
    moved: u64,
    /// Folders where something read could not be believed: to be listed again.
    pub(crate) relist: HashSet<Ino>,
}

impl Flight {
    /// Begins a change, if it does not get in the way of another.
    fn begin(&mut self, keys: &[Key], reach: Reach) -> bool {
        let meets_another = keys.iter().any(|key| {
            let in_closed = matches!(key, Key::Name((folder, _)) if self.closed.contains(folder));
            in_closed || self.keys.contains(key)
        });
        let reaches_another = match reach {
            Reach::Itself => false,
            Reach::Inside(folder) => self.inside.contains_key(&folder),
            Reach::All => self.count > 0,
        };
        if self.alone || meets_another || reaches_another {
            return false;
        }
        for key in keys {
            if let Key::Name((folder, _)) = key {
                *self.inside.entry(*folder).or_default() += 1;
            }
        }
        self.keys.extend(keys.iter().cloned());
        self.count += 1;
        match reach {
            Reach::Itself => {}
            Reach::Inside(folder) => drop(self.closed.insert(folder)),
            Reach::All => self.alone = true,
        }
        true
    }

    /// Whether nothing can begin before what is under way has ended.
    fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether a change of this is under way.
    fn is_busy(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    /// A change has ended; the names of it that were told to be gone meanwhile.
    fn end(&mut self, keys: &[Key]) -> Vec<Name> {
        let mut gone = Vec::new();
        self.tick += 1;
        self.count -= 1;
        self.alone = false;
        for key in keys {
            self.keys.remove(key);
            match key {
                Key::Name(name) => {
                    if let Entry::Occupied(mut names) = self.inside.entry(name.0) {
                        *names.get_mut() -= 1;
                        if *names.get() == 0 {
                            names.remove();
                        }
                    }
                    gone.extend(self.gone_meanwhile.take(name));
                }
                Key::Node(ino) => drop(self.closed.remove(ino)),
            }
            if self.readers > 0 {
                self.answered.insert(key.clone(), self.tick);
            }
        }
        gone
    }

    /// It was told that a name is gone. Until a request about it has been answered no listing tells
    /// more, as what it makes is not known to be there yet: the folder is listed again after that.
    /// `false`: none is under way.
    fn told_gone(&mut self, name: &Name) -> bool {
        let is_busy = self.is_busy(&Key::Name(name.clone()));
        if is_busy {
            self.gone_meanwhile.insert(name.clone());
        }
        is_busy
    }

    /// Whether a folder is to be listed again after a request that is under way.
    fn was_told_gone_in(&self, folder: Ino) -> bool {
        self.gone_meanwhile.iter().any(|name| name.0 == folder)
    }

    /// Whether what was read since `tick` holds for this.
    fn holds(&self, key: &Key, tick: u64) -> bool {
        !self.keys.contains(key) && self.answered.get(key).is_none_or(|at| *at <= tick)
    }
}

/// A request that reads, and the moment from which on what it reads holds.
struct Reading<'a> {
    flight: &'a Mutex<Flight>,
    tick: u64,
}

impl<'a> Reading<'a> {
    fn begin(flight: &'a Mutex<Flight>) -> Self {
        let mut all = lock(flight);
        all.readers += 1;
        let tick = all.tick;
        drop(all);
        Self { flight, tick }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut flight = lock(self.flight);
        flight.readers -= 1;
        if flight.readers == 0 {
            flight.answered.clear();
        }
    }
}
