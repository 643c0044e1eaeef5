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
use crate::state::AGAIN;

/// While requests of ours are under way, most of what is told is what they have done, and what is read
/// may not be believed yet: so long is the pause between two questions what has changed, and between
/// two of what is in folders.
const CHANGES: Duration = Duration::from_millis(100);
const FOLDERS: Duration = Duration::from_millis(500);
/// A long listing is not asked for again before so many times as long as it took: each time that a
/// file in a large folder is saved may be a reason to list it.
const REST: u32 = 4;

/// Something to ask for, when it is wanted.
struct Question {
    wanted: bool,
    asked: Option<Instant>,
    took: Duration,
    pause: Duration,
}

impl Question {
    fn new(wanted: bool, pause: Duration) -> Self {
        Self {
            wanted,
            asked: None,
            took: Duration::ZERO,
            pause,
        }
    }

    /// Before this it is not asked, while requests of ours are under way or not; `None`: at any time.
    fn due(&self, busy: bool) -> Option<Instant> {
        let rest = self.took * REST;
        let pause = if busy { rest.max(self.pause) } else { rest };
        self.asked.map(|asked| asked + pause)
    }

    fn is_due(&self, busy: bool) -> bool {
        self.wanted && self.due(busy).is_none_or(|due| due <= Instant::now())
    }
}

impl<D: Drive> Shared<D> {
    /// Listens and asks for as long as the mount lasts.
    pub(crate) async fn run_pull(self: Arc<Self>) {
        let mut notices = self.drive.watch();
        let mut listening = self.can.notices;
        let mut changes = Question::new(self.can.changes, CHANGES);
        let mut folders = Question::new(false, FOLDERS);
        // After a failure nothing is asked before this.
        let mut rest: Option<Instant> = None;
        loop {
            let busy = lock(&self.flight).count > 0;
            let (changes_due, folders_due) = (changes.is_due(busy), folders.is_due(busy));
            let rested = rest.is_none_or(|until| until <= Instant::now());
            if (changes_due || folders_due) && rested {
                self.pulling.store(true, Ordering::SeqCst);
                let began = Instant::now();
                let done = self.catch_up(changes_due, folders_due).await;
                self.pulling.store(false, Ordering::SeqCst);
                self.first_report.end();
                for (question, asked) in [(&mut changes, changes_due), (&mut folders, folders_due)]
                {
                    if asked {
                        question.asked = Some(Instant::now());
                    }
                }
                if folders_due {
                    folders.took = began.elapsed();
                }
                match done {
                    Ok(()) => {
                        changes.wanted &= !changes_due;
                        rest = None;
                        self.pull_failures.store(0, Ordering::SeqCst);
                        folders.wanted = !lock(&self.flight).relist.is_empty();
                    }
                    Err(fault) => {
                        self.live.store(false, Ordering::SeqCst);
                        *lock(&self.last_error) = Some(fault.to_string());
                        let failures = self.pull_failures.fetch_add(1, Ordering::SeqCst);
                        rest = Some(Instant::now() + Duration::from_secs(1 << failures.min(5)));
                        folders.wanted = true;
                    }
                }
                self.progress.send_modify(|count| *count += 1);
                if (changes.wanted || folders.wanted) && rest.is_none() {
                    continue;
                }
            }
            // Whoever waits for what others did waits for what is only put off as well.
            let put_off = changes.wanted && rest.is_none();
            self.pulling.store(put_off, Ordering::SeqCst);
            let wanted = [&changes, &folders].into_iter().filter(|it| it.wanted);
            let next = wanted.filter_map(|it| rest.max(it.due(busy))).min();
            let rested = async {
                match next {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                notice = notices.next(), if listening => match notice {
                    Some(Notice::Connected) => {
                        self.told_live.store(true, Ordering::SeqCst);
                        self.come_back();
                        (changes.wanted, rest) = (true, None);
                    }
                    Some(Notice::Changed) => changes.wanted = true,
                    Some(Notice::ChangedAt(places)) => {
                        folders.wanted = true;
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
                    folders.wanted = true;
                    if self.asked.swap(false, Ordering::SeqCst) {
                        changes.wanted |= self.can.changes;
                        (changes.asked, folders.asked, rest) = (None, None, None);
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

    async fn catch_up(&self, changes: bool, folders: bool) -> Result<(), Fault> {
        if changes && self.can.changes {
            Box::pin(self.pull_changes()).await?;
            if self.told_live.load(Ordering::SeqCst) {
                self.live.store(true, Ordering::SeqCst);
            }
        }
        if !folders {
            return Ok(());
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
                Err(Fault::Drive(
                    error @ (Error::Unreachable { .. } | Error::Busy { .. } | Error::LoginRefused),
                )) => {
                    again.push(ino);
                    lock(&self.flight).relist.extend(again);
                    return Err(error.into());
                }
                Err(fault) => {
                    tracing::debug!(ino, %fault, "not listed again");
                    self.list_when_opened(ino)?;
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// What nobody tells of a folder is asked for by whoever opens it.
    fn list_when_opened(&self, folder: Ino) -> Result<(), Fault> {
        let db = lock(&self.db);
        match db.node(folder)? {
            Some(mut node) if node.is_doubtful() => {
                node.listed_at = AGAIN;
                db.change(|db| Ok(db.save(&node)?))
            }
            _ => Ok(()),
        }
    }
}
