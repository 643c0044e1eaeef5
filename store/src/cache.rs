//! What a warm request reads instead of the database.
//!
//! Entries carry the generation of what they were read under; a commit raises
//! generations before it is acknowledged, so an entry that survives is exact.
//! Only a process that is the data's only writer may use it (`Db::is_exclusive`).

use std::hash::{BuildHasher, RandomState};
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
}

const STRIPES: usize = 4096;

/// Counters that say whether what was read before is still true.
pub(crate) struct Generations {
    hasher: RandomState,
    stripes: Box<[AtomicU64]>,
}

/// The generations something was read under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([u64; 2]);

impl Generations {
    pub fn new() -> Arc<Self> {
        let stripes = (0..STRIPES).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            hasher: RandomState::new(),
            stripes,
        })
    }

    /// Take it before reading what is to be cached.
    pub fn of_path(&self, drive: DriveId, path: &str) -> Stamp {
        Stamp([self.get(&("tree", drive)), self.get(&("path", drive, path))])
    }

    pub fn of_drive(&self, drive: DriveId) -> Stamp {
        Stamp([self.get(&("drive", drive)), 0])
    }

    /// Whether a tree of the drive came, went or moved.
    pub fn of_trees(&self, drive: DriveId) -> Stamp {
        Stamp([self.get(&("tree", drive)), 0])
    }

    pub fn of_account(&self, user: UserId) -> Stamp {
        Stamp([self.get(&("account", user)), 0])
    }

    pub fn of_login(&self, user: UserId, login: LoginId) -> Stamp {
        Stamp([self.get(&("account", user)), self.get(&("login", login))])
    }

    /// Called with what a commit changed, before it is acknowledged.
    pub fn raise(&self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Path(drive, path) => self.bump(&("path", *drive, path.as_str())),
                Effect::Tree(drive) => self.bump(&("tree", *drive)),
                Effect::Drive(drive) => self.bump(&("drive", *drive)),
                Effect::Account(user) => self.bump(&("account", *user)),
                Effect::Login(login) => self.bump(&("login", *login)),
            }
        }
    }

    fn stripe(&self, key: &impl std::hash::Hash) -> &AtomicU64 {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % STRIPES as u64).expect("less than the stripes");
        &self.stripes[index]
    }

    fn get(&self, key: &impl std::hash::Hash) -> u64 {
        self.stripe(key).load(Ordering::Acquire)
    }

    fn bump(&self, key: &impl std::hash::Hash) {
        self.stripe(key).fetch_add(1, Ordering::AcqRel);
    }
}
