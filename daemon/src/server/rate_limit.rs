//! How many accounts one address may register, and how many links that lead nowhere it may ask for.
//!
//! Guessing passwords is slowed down in the store, where all daemons count together; this keeps
//! one address from filling a daemon with accounts, and from trying tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use store::World;

const WINDOW_MS: i64 = 3_600_000;
/// Addresses counted before old ones are looked for.
const TIDY_AT: usize = 10_000;

/// Counts by address, within an hour.
pub struct RateLimit {
    most: u32,
    world: World,
    counts: Mutex<HashMap<IpAddr, Count>>,
}

struct Count {
    since_ms: i64,
    number: u32,
}

impl Count {
    fn ends_ms(&self) -> i64 {
        self.since_ms + WINDOW_MS
    }

    fn left_s(&self, now_ms: i64) -> u64 {
        let left_ms = u64::try_from(self.ends_ms() - now_ms).unwrap_or(0);
        left_ms.div_ceil(1000).max(1)
    }
}

impl RateLimit {
    /// Allows `most` within an hour.
    pub fn new(most: u32, world: World) -> Self {
        Self {
            most,
            world,
            counts: Mutex::default(),
        }
    }

    /// The seconds until the address has something left, if it has nothing now.
    pub fn wait(&self, address: IpAddr) -> Option<u64> {
        let now = self.world.now_ms();
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&store::network(address))?;
        (count.number >= self.most && count.ends_ms() > now).then(|| count.left_s(now))
    }

    /// Takes one of what the address may have.
    ///
    /// # Errors
    /// The seconds until there is one again.
    pub fn take(&self, address: IpAddr) -> Result<(), u64> {
        let now = self.world.now_ms();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= TIDY_AT {
            counts.retain(|_, count| now - count.since_ms < WINDOW_MS);
        }
        let count = counts.entry(store::network(address)).or_insert(Count {
            since_ms: now,
            number: 0,
        });
        if now - count.since_ms >= WINDOW_MS {
            *count = Count {
                since_ms: now,
                number: 0,
            };
        }
        if count.number >= self.most {
            return Err(count.left_s(now));
        }
        count.number += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_share() {
        let limit = RateLimit::new(2, World::default());
        let take = |text: &str| limit.take(text.parse().unwrap());
        assert!(take("192.0.2.1").is_ok());
        assert!(take("192.0.2.1").is_ok());
        assert!(take("192.0.2.1").is_err_and(|seconds| seconds <= 3600));
        assert!(take("::ffff:192.0.2.1").is_err());
        assert!(take("192.0.2.2").is_ok());
        let wait = |text: &str| limit.wait(text.parse().unwrap());
        assert!(wait("192.0.2.1").is_some_and(|seconds| seconds <= 3600));
        assert_eq!((wait("192.0.2.2"), wait("192.0.2.3")), (None, None));
    }
}
