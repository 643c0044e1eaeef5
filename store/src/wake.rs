//! Who is to hear of what a commit changed: whoever watches here at once, other daemons by way of
//! the database.
//!
//! Nothing is kept for a watcher but that something happened: what it was stands in the journal,
//! which it reads when it gets to it. So a slow one costs no memory, and one that was woken for
//! nothing finds nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::cache::Effect;
use crate::caller::Caller;
use crate::drive::Usage;
use crate::id::{DriveId, LoginId, UserId};

/// Wakes that wait to be told to other daemons, at most.
const MOST_UNTOLD: usize = 10_000;
/// Wakes in one message: PostgreSQL takes less than 8,000 bytes.
const IN_ONE_MESSAGE: usize = 200;

/// What may concern somebody who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wake {
    /// The drive's history or its numbers went on.
    Drive(DriveId),
    /// The account's credentials changed.
    Account(UserId),
    /// The log-in ended.
    Login(LoginId),
    /// Something came or went that others share with the account.
    Shares(UserId),
    /// Too much happened to say what.
    Everything,
}

impl Wake {
    fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Drive(id) => Some(Self::Drive(*id)),
            Effect::Account(id) => Some(Self::Account(*id)),
            Effect::Login(id) => Some(Self::Login(*id)),
            Effect::Shares(id) => Some(Self::Shares(*id)),
            // Whatever adds to the journal writes the drive's numbers too.
            Effect::Path(..) | Effect::Tree(_) => None,
        }
    }

    /// Reads what `Display` writes.
    fn read(text: &str) -> Option<Self> {
        let mut signs = text.chars();
        let kind = signs.next()?;
        let id = signs.as_str();
        match kind {
            'd' => id.parse().ok().map(Self::Drive),
            'a' => id.parse().ok().map(Self::Account),
            'l' => id.parse().ok().map(Self::Login),
            's' => id.parse().ok().map(Self::Shares),
            '*' if id.is_empty() => Some(Self::Everything),
            _ => None,
        }
    }

    /// What daemons tell each other.
    pub fn messages(wakes: &[Self]) -> Vec<String> {
        wakes
            .chunks(IN_ONE_MESSAGE)
            .map(|part| part.iter().map(Self::to_string).collect::<Vec<_>>())
            .map(|part| part.join(" "))
            .collect()
    }

    /// What a message of another daemon says. One that is not understood comes from a newer
    /// program: anything may have happened.
    pub fn in_message(text: &str) -> Vec<Self> {
        text.split(' ')
            .map(|word| Self::read(word).unwrap_or(Self::Everything))
            .collect()
    }
}

impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drive(id) => write!(f, "d{id}"),
            Self::Account(id) => write!(f, "a{id}"),
            Self::Login(id) => write!(f, "l{id}"),
            Self::Shares(id) => write!(f, "s{id}"),
            Self::Everything => f.write_str("*"),
        }
    }
}

/// Somebody who watches a drive.
pub(crate) struct Watcher {
    pub caller: Caller,
    /// The drive's history or its numbers went on.
    pub news: Notify,
    /// The credential may have ended.
    pub doubt: Notify,
    /// Something came or went that others share with the caller.
    pub shares: Notify,
    /// The history of a drive went on in which something is shared with the caller.
    pub inside: Notify,
    seen: Mutex<Option<(i64, Usage)>>,
    /// Drives in which something is shared with the caller, each with the change up to which it
    /// was read.
    followed: Mutex<HashMap<DriveId, i64>>,
}

impl Watcher {
    pub fn new(caller: &Caller) -> Arc<Self> {
        Arc::new(Self {
            caller: caller.clone(),
            news: Notify::new(),
            doubt: Notify::new(),
            shares: Notify::new(),
            inside: Notify::new(),
            seen: Mutex::default(),
            followed: Mutex::default(),
        })
    }

    /// Notes what was last read of the drive: its newest change and its usage.
    pub fn saw(&self, number: i64, usage: Usage) {
        *self.seen.lock().expect("no panic while held") = Some((number, usage));
    }

    /// Whether this is what was last read of the drive.
    pub fn has_seen(&self, number: i64, usage: Usage) -> bool {
        *self.seen.lock().expect("no panic while held") == Some((number, usage))
    }

    /// Drives of others that it is woken for, each with the change up to which it was read.
    pub fn followed(&self) -> MutexGuard<'_, HashMap<DriveId, i64>> {
        self.followed.lock().expect("no panic while held")
    }
}

/// All who watch in this process, and what other processes have yet to be told.
pub(crate) struct Wakes {
    watchers: Mutex<Watchers>,
    untold: Option<Untold>,
}

#[derive(Default)]
struct Watchers {
    by_drive: HashMap<DriveId, Vec<Arc<Watcher>>>,
    /// By the drives of others.
    by_followed: HashMap<DriveId, Vec<Arc<Watcher>>>,
    by_account: HashMap<UserId, Vec<Arc<Watcher>>>,
    by_login: HashMap<LoginId, Vec<Arc<Watcher>>>,
}

#[derive(Default)]
struct Untold {
    wakes: Mutex<HashSet<Wake>>,
    filled: Notify,
}

impl Wakes {
    /// `is_shared` tells whether other processes may use the same database.
    pub fn new(is_shared: bool) -> Self {
        Self {
            watchers: Mutex::default(),
            untold: is_shared.then(Untold::default),
        }
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().expect("no panic while held")
    }

    /// Begins to wake `watcher`. What it reads after this call, and what it is woken for, leave
    /// out nothing.
    pub fn add(&self, watcher: &Arc<Watcher>) {
        let (caller, mut watchers) = (&watcher.caller, self.watchers());
        insert(&mut watchers.by_drive, caller.drive, watcher);
        insert(&mut watchers.by_account, caller.user, watcher);
        if let Some(login) = caller.login {
            insert(&mut watchers.by_login, login, watcher);
        }
    }

    pub fn remove(&self, watcher: &Arc<Watcher>) {
        let (caller, mut watchers) = (&watcher.caller, self.watchers());
        remove(&mut watchers.by_drive, &caller.drive, watcher);
        remove(&mut watchers.by_account, &caller.user, watcher);
        if let Some(login) = caller.login {
            remove(&mut watchers.by_login, &login, watcher);
        }
        for drive in watcher.followed().keys() {
            remove(&mut watchers.by_followed, drive, watcher);
        }
    }

    /// Wakes `watcher` from now on for these drives of others, too, and for no others any more. It
    /// is woken at once where it was not for one of them: what happened there meanwhile was not
    /// heard.
    pub fn follow(&self, watcher: &Arc<Watcher>, drives: HashMap<DriveId, i64>) {
        let mut watchers = self.watchers();
        let mut followed = watcher.followed();
        for gone in followed.keys().filter(|id| !drives.contains_key(id)) {
            remove(&mut watchers.by_followed, gone, watcher);
        }
        for new in drives.keys().filter(|id| !followed.contains_key(id)) {
            insert(&mut watchers.by_followed, *new, watcher);
            watcher.inside.notify_one();
        }
        *followed = drives;
    }

    /// All who watch.
    pub fn all(&self) -> Vec<Arc<Watcher>> {
        let watchers = self.watchers();
        watchers.by_account.values().flatten().cloned().collect()
    }

    /// Called with what a commit changed.
    pub fn committed(&self, effects: &[Effect]) {
        for wake in effects.iter().filter_map(Wake::of) {
            self.wake(wake);
            if let Some(untold) = &self.untold {
                untold.put(wake);
            }
        }
    }

    /// Wakes those here whom it concerns.
    pub fn wake(&self, wake: Wake) {
        let watchers = self.watchers();
        match wake {
            Wake::Drive(id) => {
                for watcher in watchers.by_drive.get(&id).into_iter().flatten() {
                    watcher.news.notify_one();
                }
                for watcher in watchers.by_followed.get(&id).into_iter().flatten() {
                    watcher.inside.notify_one();
                }
            }
            Wake::Account(id) => {
                for watcher in watchers.by_account.get(&id).into_iter().flatten() {
                    watcher.doubt.notify_one();
                }
            }
            Wake::Login(id) => {
                for watcher in watchers.by_login.get(&id).into_iter().flatten() {
                    watcher.doubt.notify_one();
                }
            }
            Wake::Shares(id) => {
                for watcher in watchers.by_account.get(&id).into_iter().flatten() {
                    watcher.shares.notify_one();
                }
            }
            Wake::Everything => {
                for watcher in watchers.by_account.values().flatten() {
                    watcher.news.notify_one();
                    watcher.doubt.notify_one();
                    watcher.shares.notify_one();
                    watcher.inside.notify_one();
                }
            }
        }
    }

    /// Takes what other processes have yet to be told.
    pub fn take_untold(&self) -> Vec<Wake> {
        let untold = self.untold.as_ref();
        untold.map(Untold::take).unwrap_or_default()
    }

    /// Waits for something that other processes have to be told. Takes nothing unless it returns.
    pub async fn next_untold(&self) -> Vec<Wake> {
        let Some(untold) = &self.untold else {
            return std::future::pending().await;
        };
        loop {
            let wakes = untold.take();
            if !wakes.is_empty() {
                return wakes;
            }
            untold.filled.notified().await;
        }
    }

    /// Gives back what could not be told.
    pub fn put_back(&self, wakes: &[Wake]) {
        if let Some(untold) = &self.untold {
            for wake in wakes {
                untold.put(*wake);
            }
        }
    }
}

impl Untold {
    fn lock(&self) -> MutexGuard<'_, HashSet<Wake>> {
        self.wakes.lock().expect("no panic while held")
    }

    fn put(&self, wake: Wake) {
        let mut wakes = self.lock();
        if wakes.len() >= MOST_UNTOLD {
            wakes.clear();
            wakes.insert(Wake::Everything);
        } else {
            wakes.insert(wake);
        }
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<Wake> {
        self.lock().drain().collect()
    }
}

fn insert<K: Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Watcher>>>, key: K, watcher: &Arc<Watcher>) {
    map.entry(key).or_default().push(Arc::clone(watcher));
}

fn remove<K: Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Watcher>>>, key: &K, watcher: &Arc<Watcher>) {
    if let Some(watchers) = map.get_mut(key) {
        watchers.retain(|other| !Arc::ptr_eq(other, watcher));
        if watchers.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::World;

    #[test]
    fn daemons_understand_each_other() {
        let world = World::default();
        let mut wakes: Vec<Wake> = (0..500)
            .map(|_| Wake::Drive(DriveId::new(&world)))
            .collect();
        wakes.push(Wake::Account(UserId::new(&world)));
        wakes.push(Wake::Login(LoginId::new(&world)));
        wakes.push(Wake::Shares(UserId::new(&world)));
        wakes.push(Wake::Everything);
        let messages = Wake::messages(&wakes);
        assert_eq!(messages.len(), 3);
        assert!(messages.iter().all(|message| message.len() < 8000));
        let read: Vec<Wake> = messages
            .iter()
            .flat_map(|message| Wake::in_message(message))
            .collect();
        assert_eq!(read, wakes);
    }

    #[test]
    fn what_is_not_understood_may_be_anything() {
        for text in ["", "d", "x1", "*1", "d01a1", "a b"] {
            let read = Wake::in_message(text);
            assert!(read.iter().all(|wake| *wake == Wake::Everything), "{text}");
        }
    }

    #[test]
    fn what_others_have_to_be_told_does_not_grow_without_end() {
        let (wakes, world) = (Wakes::new(true), World::default());
        for _ in 0..MOST_UNTOLD + 10 {
            wakes.committed(&[Effect::Drive(DriveId::new(&world))]);
        }
        let untold = wakes.take_untold();
        assert_eq!(untold.len(), 10);
        assert!(untold.contains(&Wake::Everything));
        assert_eq!(Wakes::new(false).take_untold(), []);
    }
}
