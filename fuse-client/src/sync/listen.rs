//! When to ask what others did: when it is told, when somebody wants to know, and again after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::drive::{Drive, Error, Notice};
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::{Shared, lock};

impl<D: Drive> Shared<D> {
    /// Listens and asks for as long as the mount lasts.
    pub(crate) async fn run_pull(self: Arc<Self>) {
        let mut notices = self.drive.watch();
        let mut listening = self.can.notices;
        let mut wanted = self.can.changes;
        let mut again = false;
        // After a failure nothing is asked before this.
        let mut rest: Option<Instant> = None;
        loop {
            if (wanted || again) && rest.is_none_or(|until| until <= Instant::now()) {
                self.pulling.store(true, Ordering::SeqCst);
                let done = self.catch_up(wanted).await;
                self.pulling.store(false, Ordering::SeqCst);
                match done {
                    Ok(()) => {
                        wanted = false;
                        rest = None;
                        self.pull_failures.store(0, Ordering::SeqCst);
                        // What is being changed by us is looked at when that has been answered.
                        let flight = lock(&self.flight);
                        again = !flight.relist.is_empty() && flight.count == 0;
                    }
                    Err(fault) => {
                        self.live.store(false, Ordering::SeqCst);
                        *lock(&self.last_error) = Some(fault.to_string());
                        let failures = self.pull_failures.fetch_add(1, Ordering::SeqCst);
                        rest = Some(Instant::now() + Duration::from_secs(1 << failures.min(5)));
                        again = true;
                    }
                }
                self.progress.send_modify(|count| *count += 1);
                if (wanted || again) && rest.is_none() {
                    continue;
                }
            }
            let rested = async {
                match rest {
                    Some(until) if wanted || again => tokio::time::sleep_until(until).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                notice = notices.next(), if listening => match notice {
                    Some(Notice::Connected) => {
                        self.told_live.store(true, Ordering::SeqCst);
                        self.come_back();
                        (wanted, rest) = (true, None);
                    }
                    Some(Notice::Changed) => wanted = true,
                    Some(Notice::ChangedAt(places)) => {
                        again = true;
                        if let Err(fault) = self.look_at(&places) {
                            tracing::debug!(%fault, "not listed again");
                        }
                    }
                    Some(Notice::Space) => self.net.notify_one(),
                    Some(Notice::Lost) => {
                        self.told_live.store(false, Ordering::SeqCst);
                        self.live.store(false, Ordering::SeqCst);
                        self.net.notify_one();
                    }
                    None => listening = false,
                },
                () = self.pull.notified() => {
                    again = true;
                    if self.asked.swap(false, Ordering::SeqCst) {
                        wanted |= self.can.changes;
                        rest = None;
                        if listening && !self.told_live.load(Ordering::SeqCst) {
                            // The server is back: it may be listened to again at once.
                            notices = self.drive.watch();
                        }
                    }
                }
                () = rested => {}
            }
        }
    }

    async fn catch_up(&self, changes: bool) -> Result<(), Fault> {
        if changes && self.can.changes {
            Box::pin(self.pull_changes()).await?;
            if self.told_live.load(Ordering::SeqCst) {
                self.live.store(true, Ordering::SeqCst);
            }
        }
        let mut again: Vec<Ino> = lock(&self.flight).relist.drain().collect();
        while let Some(ino) = again.pop() {
            let there = lock(&self.db).node(ino)?;
            let asked = match there {
                Some(node) if node.is_folder() => Box::pin(self.list_folder(ino)).await,
                Some(_) => self.refresh(ino).await,
                None => Ok(()),
            };
            match asked {
                Err(Fault::Drive(error @ (Error::Unreachable { .. } | Error::Busy { .. }))) => {
                    again.push(ino);
                    lock(&self.flight).relist.extend(again);
                    return Err(error.into());
                }
                Err(fault) => tracing::debug!(ino, %fault, "not listed again"),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}
