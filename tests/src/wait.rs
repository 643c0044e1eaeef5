//! Waiting for a condition with a deadline, in place of sleeping and hoping.

use std::future::Future;
use std::time::{Duration, Instant};

/// Polls `condition` until it holds; panics with `what` once `deadline` has passed.
pub async fn until<F, Fut>(what: &str, deadline: Duration, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    assert!(
        within(deadline, &mut condition).await,
        "still not so after {deadline:?}: {what}"
    );
}

/// Polls `condition` until it holds and tells whether it did before `deadline` had passed.
pub async fn within<F, Fut>(deadline: Duration, mut condition: F) -> bool
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(2);
    loop {
        if condition().await {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
