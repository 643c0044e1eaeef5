//! Many files changed in a row: an archive unpacked, a tree copied.
//!
//! What is sent meanwhile takes the processor and the disk from the program that is at it, and is often
//! changed once more. So what nobody waits for is sent after the last of them, or from a moment on that
//! is soon enough when there is no end of them.

use std::sync::atomic::{AtomicI64, Ordering};

/// So long after a change there may be another of the same kind, in ms.
const PAUSE: i64 = 100;
/// So long it is waited for the end, in ms.
const LONGEST: i64 = 3_000;

/// Changes in a row that nobody waits for, of which there was none yet. Times in ms.
#[derive(Default)]
pub(crate) struct Burst {
    began: AtomicI64,
    last: AtomicI64,
}

impl Burst {
    /// There was a change.
    pub(crate) fn goes_on(&self, now_ms: i64) {
        let last = self.last.swap(now_ms, Ordering::Relaxed);
        if now_ms - last > PAUSE {
            self.began.store(now_ms, Ordering::Relaxed);
        }
    }

    /// When it ends, if nothing more comes; `None` when there is none to wait for.
    pub(super) fn end_ms(&self, now_ms: i64) -> Option<i64> {
        let began = self.began.load(Ordering::Relaxed);
        let end = self.last.load(Ordering::Relaxed) + PAUSE;
        (now_ms < end.min(began + LONGEST)).then_some(end.min(began + LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::{Burst, LONGEST, PAUSE};

    #[test]
    fn it_ends_with_a_pause_or_when_it_has_lasted_long() {
        let burst = Burst::default();
        assert_eq!(burst.end_ms(10_000), None);
        burst.goes_on(10_000);
        assert_eq!(burst.end_ms(10_000), Some(10_000 + PAUSE));
        assert_eq!(burst.end_ms(10_000 + PAUSE), None);
        let mut now = 20_000;
        while now < 20_000 + LONGEST {
            burst.goes_on(now);
            assert!(burst.end_ms(now).is_some_and(|end| end > now));
            now += PAUSE;
        }
        burst.goes_on(now);
        assert_eq!(burst.end_ms(now), None);
        burst.goes_on(now + 2 * PAUSE);
        assert!(burst.end_ms(now + 2 * PAUSE).is_some());
    }
}
