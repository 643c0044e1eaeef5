//! Daemons on one database wake each other's watchers.
//!
//! After a commit, not with it, and for many commits at once: so a mutation costs no statement
//! more, and whatever gets lost (a daemon that dies in between, a connection that breaks) is found
//! by looking.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::db::Channel;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::wake::Wake;

/// The least time between two messages of ours.
const PACE: Duration = Duration::from_millis(20);
/// While others cannot be heard, how often is looked for what they did.
const DEAF_PERIOD: Duration = Duration::from_millis(500);
/// How often a silent connection is tried, and how long it may take to answer.
const CHECK_PERIOD: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);

impl Store {
    /// Tells the other daemons on this database what is committed here, and wakes watchers here
    /// for what they commit. Returns only where there can be no others; to be dropped to end it.
    pub async fn relay_wakes(&self) {
        if self.db().is_exclusive() {
            return;
        }
        let mut was_deaf = false;
        loop {
            match self.db().channel().await {
                Ok(Some(channel)) => {
                    if was_deaf {
                        tracing::info!("other daemons are heard again");
                    }
                    let Err(error) = self.relay(channel).await else {
                        return;
                    };
                    tracing::warn!(%error, "other daemons are not heard; their work is looked for");
                }
                Ok(None) => return,
                Err(error) if !was_deaf => {
                    tracing::warn!(%error, "other daemons are not heard; their work is looked for");
                }
                Err(_) => {}
            }
            was_deaf = true;
            sleep(DEAF_PERIOD).await;
            self.look_for_news().await;
        }
    }

    /// Relays over `channel` until it breaks.
    async fn relay(&self, mut channel: Channel) -> Result<()> {
        let wakes = self.wakes();
        // What happened before we heard.
        self.look_for_news().await;
        let mut may_say_at = Instant::now();
        let mut checks = interval(CHECK_PERIOD);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = channel.hear() => match heard? {
                    Some(message) => {
                        for wake in Wake::in_message(&message) {
                            wakes.wake(wake);
                        }
                    }
                    None => return Err(Error::Unusable("the connection was lost".into())),
                },
                untold = async {
                    sleep_until(may_say_at).await;
                    wakes.next_untold().await
                } => {
                    let said = say(&mut channel, &Wake::messages(&untold)).await;
                    if said.is_err() {
                        wakes.put_back(&untold);
                    }
                    said?;
                    may_say_at = Instant::now() + PACE;
                }
                _ = checks.tick() => say(&mut channel, &[]).await?,
            }
        }
    }

    async fn look_for_news(&self) {
        if let Err(error) = self.look_after_watchers().await {
            tracing::debug!(%error, "what other daemons did cannot be looked for");
        }
    }

    /// Tells other daemons what this one, or this command, did last.
    pub(crate) async fn send_last_wakes(&self) {
        let untold = self.wakes().take_untold();
        if untold.is_empty() {
            return;
        }
        let messages = Wake::messages(&untold);
        match timeout(PATIENCE, self.db().say(&messages)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "other daemons are not told"),
            Err(_) => tracing::debug!("other daemons are not told in time"),
        }
    }
}

async fn say(channel: &mut Channel, messages: &[String]) -> Result<()> {
    timeout(PATIENCE, channel.say(messages))
        .await
        .map_err(|_| Error::Busy)?
}
