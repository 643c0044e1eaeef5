//! Which blobs were found to hold the right bytes, and when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::digest::Digest;

/// How long a blob is trusted after its bytes were checked.
const TRUSTED_FOR: Duration = Duration::from_hours(24);
const SHARDS: usize = 16;
/// A million blobs altogether, some 60 MB.
const MAX_PER_SHARD: usize = (1 << 20) / SHARDS;

/// When a blob that is read is checked against its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerifyReads {
    /// At its first read by this process, and again after a day.
    #[default]
    Daily,
    /// At every read.
    Always,
    /// Never; only lengths are checked.
    Off,
}

/// Remembers which blobs need no check at their next read.
pub(crate) struct Verified {
    verify: VerifyReads,
    shards: [Mutex<HashMap<Digest, Instant>>; SHARDS],
    turns: Mutex<HashMap<Digest, Weak<Turn>>>,
}

/// Held while a long blob is checked.
pub(super) type Turn = tokio::sync::Mutex<()>;

impl Verified {
    pub(crate) fn new(verify: VerifyReads) -> Self {
        Self {
            verify,
            shards: Default::default(),
            turns: Mutex::default(),
        }
    }

    /// Whether the blob may be given out unchecked.
    pub(super) fn is_trusted(&self, digest: &Digest) -> bool {
        self.is_trusted_at(digest, Instant::now())
    }

    /// The blob was checked just now.
    pub(super) fn mark(&self, digest: Digest) {
        self.mark_at(digest, Instant::now());
    }

    /// What those share who want the same blob checked: one reads it, the others find that done.
    pub(super) fn turn(&self, digest: Digest) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&digest).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        turns.insert(digest, Arc::downgrade(&turn));
        turn
    }

    fn is_trusted_at(&self, digest: &Digest, now: Instant) -> bool {
        match self.verify {
            VerifyReads::Off => true,
            VerifyReads::Always => false,
            VerifyReads::Daily => {
                let shard = self
                    .shard(digest)
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                shard
                    .get(digest)
                    .is_some_and(|checked| now.duration_since(*checked) < TRUSTED_FOR)
            }
        }
    }

    fn mark_at(&self, digest: Digest, now: Instant) {
        if self.verify != VerifyReads::Daily {
            return;
        }
        let mut shard = self
            .shard(&digest)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MAX_PER_SHARD {
            shard.retain(|_, checked| now.duration_since(*checked) < TRUSTED_FOR);
            if shard.len() >= MAX_PER_SHARD {
                // To forget costs a check; an order of use would cost more.
                shard.clear();
            }
        }
        shard.insert(digest, now);
    }

    fn shard(&self, digest: &Digest) -> &Mutex<HashMap<Digest, Instant>> {
        &self.shards[usize::from(digest.as_bytes()[0]) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checked_blob_is_trusted_for_a_day() {
        let verified = Verified::new(VerifyReads::Daily);
        let (digest, now) = (Digest::of(b"a"), Instant::now());
        assert!(!verified.is_trusted_at(&digest, now));
        verified.mark_at(digest, now);
        assert!(verified.is_trusted_at(&digest, now));
        assert!(verified.is_trusted_at(&digest, now + Duration::from_hours(23)));
        assert!(!verified.is_trusted_at(&digest, now + Duration::from_hours(24)));
    }

    #[test]
    fn always_and_off_remember_nothing() {
        let digest = Digest::of(b"a");
        for (verify, trusted) in [(VerifyReads::Always, false), (VerifyReads::Off, true)] {
            let verified = Verified::new(verify);
            verified.mark(digest);
            assert_eq!(verified.is_trusted(&digest), trusted);
        }
    }

    #[test]
    fn those_who_want_the_same_share_a_turn_while_there_is_one() {
        let verified = Verified::new(VerifyReads::Daily);
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let turn = verified.turn(one);
        assert!(Arc::ptr_eq(&turn, &verified.turn(one)));
        assert!(!Arc::ptr_eq(&turn, &verified.turn(other)));
        drop(turn);
        verified.turn(other);
        assert_eq!(verified.turns.lock().unwrap().len(), 1);
    }

    #[test]
    fn memory_stays_bounded_and_the_newest_is_known() {
        let verified = Verified::new(VerifyReads::Daily);
        for n in 0..2 * MAX_PER_SHARD as u64 {
            let mut bytes = [0; 32];
            bytes[8..16].copy_from_slice(&n.to_be_bytes());
            verified.mark(Digest::from(bytes));
            assert!(verified.is_trusted(&Digest::from(bytes)));
        }
        assert!(verified.shards[0].lock().unwrap().len() <= MAX_PER_SHARD);
    }
}
