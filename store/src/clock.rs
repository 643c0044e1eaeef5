//! Where time and randomness come from, so that tests can choose both.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time. The store asks nothing else for it.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since 1970-01-01 UTC.
    fn now_ns(&self) -> i64;

    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64 {
        self.now_ns() / 1_000_000
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that asks the machine"
        )]
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// Fills buffers with unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills `buffer`. An implementation that cannot must abort, never fall back
    /// to something guessable.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
pub struct SystemRandom(ring::rand::SystemRandom);

impl Default for SystemRandom {
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        use ring::rand::SecureRandom as _;
        self.0
            .fill(buffer)
            .expect("the operating system gives random bytes");
    }
}

/// Clock and randomness together, handed to whoever makes ids or looks at the time.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub random: Arc<dyn Random>,
}

impl World {
    /// `N` unpredictable bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom::default()),
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
