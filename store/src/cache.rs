//! What a warm request reads instead of the database.
//!
//! Entries carry the generation of what they were read under; a commit raises
//! generations before it is acknowledged, so an entry that survives is exact.
//! Only a process that is the data's only writer may use it (`Db::is_exclusive`).

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::{DriveId, LoginId, UserId};

/// What a commit changed.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// The node at this path (NFC, from the drive's root, "" for the root) or its membership.
    Path(DriveId, String),
    /// A whole tree of the drive came, went or moved.
    Tree(DriveId),
    /// Usage, limits or locks of the drive.
    Drive(DriveId),
    /// An account's names, credentials or rights.
    Account(UserId),
    /// A log-in ended.
    Login(LoginId),
    /// Something came or went that others share with the account.
    Shares(UserId),
}

/// Counters that say whether what was read before is still true.
///
/// Things share counters by hash; each kind has its own, since a write raises those of paths and
/// drives: one shared with an account would cost all its requests a password hash.
pub(crate) struct Generations {
    paths: Stripes,
    members: Stripes,
    trees: Stripes,
    drives: Stripes,
    accounts: Stripes,
    logins: Stripes,
    shares: Stripes,
}

/// The generations something was read under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([u64; 2]);

impl Generations {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            // Half a megabyte, so that a write makes others forget little.
            paths: Stripes::new(1 << 16),
            members: Stripes::new(1 << 14),
            trees: Stripes::new(1 << 12),
            drives: Stripes::new(1 << 12),
            accounts: Stripes::new(1 << 12),
            logins: Stripes::new(1 << 12),
            shares: Stripes::new(1 << 12),
        })
    }

    /// Take it before reading what is to be cached.
    pub fn of_path(&self, drive: DriveId, path: &str) -> Stamp {
        Stamp([self.trees.get(&drive), self.paths.get(&(drive, path))])
    }

    /// Of the members of the folder at this path: of which there are, and of what they are.
    pub fn of_members(&self, drive: DriveId, path: &str) -> Stamp {
        Stamp([self.trees.get(&drive), self.members.get(&(drive, path))])
    }

    pub fn of_drive(&self, drive: DriveId) -> Stamp {
        Stamp([self.drives.get(&drive), 0])
    }

    /// Whether a tree of the drive came, went or moved.
    pub fn of_trees(&self, drive: DriveId) -> Stamp {
        Stamp([self.trees.get(&drive), 0])
    }

    pub fn of_account(&self, user: UserId) -> Stamp {
        Stamp([self.accounts.get(&user), 0])
    }

    pub fn of_shares(&self, user: UserId) -> Stamp {
        Stamp([self.shares.get(&user), 0])
    }

    pub fn of_login(&self, user: UserId, login: LoginId) -> Stamp {
        Stamp([self.accounts.get(&user), self.logins.get(&login)])
    }

    /// Called with what a commit changed, before it is acknowledged.
    pub fn raise(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Path(drive, path) => {
                    self.paths.bump(&(*drive, path.as_str()));
                    // What is at the path is shown where its folder is listed.
                    if let Some((folder, _)) = path.rsplit_once('/') {
                        self.members.bump(&(*drive, folder));
                    }
                    self.members.bump(&(*drive, path.as_str()));
                }
                Effect::Tree(drive) => self.trees.bump(drive),
                Effect::Drive(drive) => self.drives.bump(drive),
                Effect::Account(user) => self.accounts.bump(user),
                Effect::Login(login) => self.logins.bump(login),
                Effect::Shares(user) => self.shares.bump(user),
            }
        }
    }
}

struct Stripes {
    hasher: RandomState,
    counters: Box<[AtomicU64]>,
}

impl Stripes {
    fn new(count: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            counters: (0..count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn counter(&self, key: &impl Hash) -> &AtomicU64 {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % self.counters.len() as u64);
        &self.counters[index.expect("less than the counters")]
    }

    fn get(&self, key: &impl Hash) -> u64 {
        self.counter(key).load(Ordering::Acquire)
    }

    fn bump(&self, key: &impl Hash) {
        self.counter(key).fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::World;

    #[test]
    fn a_change_shows_in_the_list_that_it_stands_in_and_in_its_own() {
        let drive = DriveId::new(&World::default());
        let generations = Generations::new();
        for (path, lists) in [
            ("/a/b", ["/a", "/a/b"]),
            ("/file", ["", "/file"]),
            ("", ["", ""]),
        ] {
            let before = lists.map(|path| generations.of_members(drive, path));
            generations.raise(&[Effect::Path(drive, path.to_owned())]);
            let after = lists.map(|path| generations.of_members(drive, path));
            assert!(before.iter().zip(&after).all(|(a, b)| a != b), "{path}");
        }
        let before = generations.of_members(drive, "/c");
        generations.raise(&[Effect::Tree(drive)]);
        assert_ne!(generations.of_members(drive, "/c"), before);
    }

    #[test]
    fn writes_make_nobody_log_in_again() {
        let world = World::default();
        let (user, drive) = (UserId::new(&world), DriveId::new(&world));
        let generations = Generations::new();
        let (account, trees) = (generations.of_account(user), generations.of_trees(drive));
        for number in 0..100_000 {
            generations.raise(&[
                Effect::Path(drive, format!("/{number}")),
                Effect::Drive(drive),
            ]);
        }
        assert_eq!(generations.of_account(user), account);
        assert_eq!(generations.of_trees(drive), trees);
    }
}
