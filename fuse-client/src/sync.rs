//! Keeping the local state and the server alike.
//!
//! - [`plan`]: what one request brings a name closer to what it is here.
//! - [`push`]: sends these, several at once; [`content`]: the bytes of files; [`book`] writes down what
//!   was done.
//! - [`unheard`]: what became of requests whose answers got lost.
//! - [`conflict`]: what to do when somebody else was first.
//! - [`listen`]: when to ask what others did; [`asking`]: the questions; [`pull`]: what was answered comes
//!   here; [`supersede`]: to files that are open.
//! - [`net`]: noticing that the server is out of reach, and that it is back.

mod asking;
mod book;
mod conflict;
mod content;
mod listen;
mod net;
mod plan;
mod pull;
mod push;
mod supersede;
#[cfg(test)]
mod tests;
mod unheard;

pub(crate) use self::unheard::Unheard;

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

/// Requests under way. What was read from the server before one of our own changes was answered must
/// not be believed about what that change was about.
#[derive(Default)]
pub(crate) struct Flight {
    keys: HashSet<Key>,
    /// Requests; one that changes the paths of others is alone.
    count: usize,
    alone: bool,
    tick: u64,
    /// When a change was answered last, while anybody is reading.
    answered: HashMap<Key, u64>,
    readers: usize,
    /// Folders where something read could not be believed: to be listed again.
    pub(crate) relist: HashSet<Ino>,
}

impl Flight {
    /// Begins a change, if it does not get in the way of another.
    fn begin(&mut self, keys: &[Key], alone: bool) -> bool {
        if self.alone || (alone && self.count > 0) || keys.iter().any(|key| self.keys.contains(key))
        {
            return false;
        }
        self.keys.extend(keys.iter().cloned());
        self.count += 1;
        self.alone = alone;
        true
    }

    /// Whether a change of this is under way.
    fn is_busy(&self, key: &Key) -> bool {
        self.keys.contains(key)
    }

    fn end(&mut self, keys: &[Key]) {
        self.tick += 1;
        self.count -= 1;
        self.alone = false;
        for key in keys {
            self.keys.remove(key);
            if self.readers > 0 {
                self.answered.insert(key.clone(), self.tick);
            }
        }
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
