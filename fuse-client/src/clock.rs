//! The time, from one place.

/// Nanoseconds since 1970.
#[cfg(not(test))]
pub fn now_ns() -> i64 {
    use rustix::time::{ClockId, clock_gettime};

    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec)
}

/// Nanoseconds since 1970. In tests it is the runtime's time that passes, so that they can let hours
/// pass in no time.
#[cfg(test)]
pub fn now_ns() -> i64 {
    use std::sync::OnceLock;

    use rustix::time::{ClockId, clock_gettime};

    static START: OnceLock<(std::time::Instant, i64)> = OnceLock::new();
    let (start, start_ns) = START.get_or_init(|| {
        let now = clock_gettime(ClockId::Realtime);
        let now_ns = now.tv_sec * 1_000_000_000 + now.tv_nsec;
        (std::time::Instant::now(), now_ns)
    });
    let passed = tokio::time::Instant::now().into_std() - *start;
    start_ns + i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    now_ns() / 1_000_000
}
