//! Sending what is different here, several requests at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::content::COPY;
use super::plan::{Step, plan_name};
use super::{Key, Reach};
use crate::clock::now_ms;
use crate::drive::{Drive, DrivePath, Error};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::fs::{Course, Ino};
use crate::state::{Db, Name, Node, Sending, Work};

/// Requests at once, and uploads at once of what takes longer than a request.
const REQUESTS: usize = 24;
const UPLOADS: usize = 8;
/// An upload up to this many bytes is as good as a request.
const SMALL: u64 = 256 << 10;
/// Rows looked at whenever a request has ended, and those of them that may wait for another upload's
/// end: with thousands to send, all of them would be planned again for each. The first are those
/// under way, and what takes their place; more only while there is room for more than these.
const DUE: [usize; 2] = [REQUESTS + 8, 128];
const WAITING: u32 = 16;
/// What becomes due one by one is begun together, in ms.
const GATHER: i64 = 20;
/// What is waiting for somebody to act is tried again after this, in ms.
const BLOCKED: i64 = 300_000;
/// The longest pause, in ms, after what may be over at any time.
const LONGEST: i64 = 30_000;
/// A folder's attributes wait for its names; the last of them tells, this is for what does not.
const AFTER_NAMES: i64 = 10_000;
/// After so many failures it is shown as blocked.
const TRIES: u32 = 6;
/// The same, of those the server could not be asked properly.
const TRIES_BUSY: u32 = 4;
/// After this it is looked whether there is anything to do, though nobody said so.
const REST: Duration = Duration::from_secs(30);

/// What came of a look at work that is due.
#[derive(Default)]
struct Looked {
    /// Nodes that wait for the names in them.
    postponed: usize,
    /// Uploads that wait for another's end.
    waiting: u32,
    /// What was begun goes alone.
    alone: bool,
}

impl<D: Drive> Shared<D> {
    /// Sends for as long as the mount lasts.
    pub(crate) async fn run_push(self: Arc<Self>) {
        let mut running = JoinSet::new();
        loop {
            let wait = match self.start_due(&mut running) {
                Ok(wait) => wait,
                Err(fault) => {
                    tracing::error!(%fault, "what is to be sent cannot be read");
                    Duration::from_secs(5)
                }
            };
            tokio::select! {
                () = self.push.notified() => {}
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(wait) => {}
            }
            // What has ended at the same time is planned after at once.
            while running.try_join_next().is_some() {}
        }
    }

    /// Starts what can be started; how long there is nothing else to do.
    fn start_due(self: &Arc<Self>, running: &mut JoinSet<()>) -> Result<Duration, Fault> {
        let db = lock(&self.db);
        let rest = self.start_in_order(&db, running);
        // Said while the state is locked: who changes it afterwards compares with this.
        let at = match &rest {
            Ok(Some(rest)) => now_ms().saturating_add(millis(*rest)),
            // After an error it is not tried again for each call of a program, either.
            Ok(None) | Err(_) => i64::MIN,
        };
        self.push_at.store(at, Ordering::SeqCst);
        Ok(rest?.unwrap_or(REST))
    }

    /// As [`Self::start_due`]; `None` when nothing could begin, whatever becomes due, before something
    /// happens that tells so itself: a request ends, or the server is back.
    fn start_in_order(
        self: &Arc<Self>,
        db: &Db,
        running: &mut JoinSet<()>,
    ) -> Result<Option<Duration>, Fault> {
        if !self.online.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.break_off(db)?;
        let is_full = |running: &JoinSet<()>| running.len() >= REQUESTS;
        if is_full(running) || lock(&self.flight).is_alone() {
            return Ok(None);
        }
        let now = now_ms();
        let unheard = self.unheard(db)?;
        let rest = self.start_asking(&unheard, running, now);
        let mut looked = Looked::default();
        let burst_end = self.burst.end_ms(now);
        // What somebody waits for is due at 0.
        let until = if burst_end.is_some() { 0 } else { now };
        for most in DUE {
            let due = db.due_work(until, most, None)?;
            let all = due.len() < most;
            looked = self.start_these(db, due, &unheard, running, now)?;
            if looked.alone || running.len() >= REQUESTS {
                return Ok(None);
            }
            if all || looked.waiting >= WAITING {
                break;
            }
        }
        if looked.waiting >= WAITING {
            // Small ones do not wait behind the large ones that wait for each other.
            let small = db.due_work(until, DUE[1], Some(SMALL))?;
            looked = self.start_these(db, small, &unheard, running, now)?;
            if looked.alone || running.len() >= REQUESTS {
                return Ok(None);
            }
        }
        if looked.postponed == DUE[1] {
            // There may be others behind them.
            return Ok(Some(Duration::ZERO));
        }
        let next = db.next_due(until)?.map_or(rest, |due| {
            let due = due.max(burst_end.unwrap_or(due));
            Duration::from_millis((due - now).max(GATHER).cast_unsigned())
        });
        Ok(Some(next.min(rest)))
    }

    /// Starts what can be started of this work.
    fn start_these(
        self: &Arc<Self>,
        db: &Db,
        due: Vec<Work>,
        unheard: &[Sending],
        running: &mut JoinSet<()>,
        now: i64,
    ) -> Result<Looked, Fault> {
        let mut looked = Looked::default();
        for work in due {
            if running.len() >= REQUESTS || looked.waiting >= WAITING {
                break;
            }
            let key = match work.node() {
                Some(ino) => Key::Node(ino),
                None => Key::Name((work.parent, work.name.clone())),
            };
            // A plan takes several statements, and what is under way stands first.
            if lock(&self.flight).is_busy(&key) {
                continue;
            }
            let step = self.plan(db, &work)?;
            if step == Step::Nothing {
                looked.postponed += usize::from(work.node().is_some());
                continue;
            }
            if let Step::Remove { at, .. } | Step::Move { from: at, .. } = &step
                && let Some(until) = lock(&self.unheard).taken_until(at, now)
            {
                db.change(|db| Ok(db.mark_name(work.parent, &work.name, until)?))?;
                continue;
            }
            let (keys, reach, upload) = Self::about(db, &step)?;
            if let Some((ino, _)) = upload
                && work.due > 0
                && let Some(quiet) = self.quiet_at(ino)
                && quiet > now
            {
                db.change(|db| Ok(db.mark_all(ino, quiet)?))?;
                continue;
            }
            if !unheard.is_empty() && self.depends(db, unheard, &keys, reach)? {
                continue;
            }
            if upload.is_some_and(|(_, size_bytes)| size_bytes > SMALL)
                && self.large_uploads() >= UPLOADS
            {
                looked.waiting += 1;
                continue;
            }
            if !lock(&self.flight).begin(&keys, reach) {
                continue;
            }
            let upload = upload
                .map(|(ino, size_bytes)| self.show_upload(db, ino, size_bytes))
                .transpose()?;
            running.spawn(Arc::clone(self).carry_out(work, step, keys, upload));
            if reach == Reach::All {
                looked.alone = true;
                break;
            }
        }
        Ok(looked)
    }

    fn large_uploads(&self) -> usize {
        let uploading = lock(&self.uploading);
        let large = |course: &&Course| course.size_bytes > SMALL;
        uploading.values().filter(large).count()
    }

    /// Makes the upload of a file seen in `status`; how it is told that nobody wants it any more.
    fn show_upload(&self, db: &Db, ino: Ino, size_bytes: u64) -> Result<(Ino, Arc<Notify>), Fault> {
        let path = db.local_path(ino)?;
        let unwanted = Arc::new(Notify::new());
        let course = Course {
            path: path.map_or(String::new(), |path| path.to_string()),
            progress: Arc::default(),
            size_bytes,
            unwanted: Arc::clone(&unwanted),
        };
        lock(&self.uploading).insert(ino, course);
        Ok((ino, unwanted))
    }

    /// Makes one request, from what was begun for it to what is to be done next.
    async fn carry_out(
        self: Arc<Self>,
        work: Work,
        step: Step,
        keys: Vec<Key>,
        upload: Option<(Ino, Arc<Notify>)>,
    ) {
        let moved = lock(&self.flight).moved;
        let broken_off = async {
            match &upload {
                Some((ino, unwanted)) => {
                    unwanted.notified().await;
                    *ino
                }
                None => std::future::pending().await,
            }
        };
        let done = tokio::select! {
            done = Box::pin(self.perform(&step)) => done,
            // As after a crash, it is asked what became of it.
            ino = broken_off => self.cannot_arrive(ino).and(Err(Errno::STALE.into())),
        };
        if let Err(fault) = done
            && let Err(fault) = self.put_off(&work, &fault)
        {
            tracing::error!(%fault, "what is to be sent cannot be written down");
        }
        if let Some((ino, _)) = upload {
            lock(&self.uploading).remove(&ino);
        }
        self.look_after_moves(&keys, moved);
        self.end(&keys);
        self.progress.send_modify(|count| *count += 1);
        self.ask_after_changes();
    }

    /// A request has ended. Not while it is looked what to begin: what became of it would not be asked
    /// first.
    fn end(&self, keys: &[Key]) {
        let db = lock(&self.db);
        let mut flight = lock(&self.flight);
        for (folder, name) in flight.end(keys) {
            // Nothing is known to be there after it was removed.
            if !matches!(db.synced(folder, &name), Ok(None)) {
                flight.relist.insert(folder);
            }
        }
    }

    /// What was not asked while requests of ours were under way is asked after the last of them.
    fn ask_after_changes(&self) {
        let flight = lock(&self.flight);
        let put_off = flight.count == 0 && self.pulling.load(Ordering::SeqCst);
        if put_off || !flight.relist.is_empty() {
            self.pull.notify_one();
        }
    }

    /// Ends uploads of what has no name any more: the line may be busy with it for hours. One that is
    /// all on its way may arrive in any case, and ends by itself.
    fn break_off(&self, db: &Db) -> Result<(), Fault> {
        if !db.forget_names_taken() {
            return Ok(());
        }
        for (ino, course) in lock(&self.uploading).iter() {
            if db.has_entry(*ino)? {
                continue;
            }
            if course.progress.give_up(course.size_bytes) {
                course.unwanted.notify_one();
            } else {
                // A server that takes no parts after all is sent the whole file next.
                db.remember_names_taken();
            }
        }
        Ok(())
    }

    /// When a large file that is being written may be sent though nobody asks for it: it cannot be
    /// copied first, so that what is written meanwhile makes all of it to be sent again.
    fn quiet_at(&self, ino: Ino) -> Option<i64> {
        let open = self.opened(ino)?;
        let mut inner = lock(&open.inner);
        inner.look();
        let rest = i64::try_from(self.options.open_upload_interval.as_millis()).ok()?;
        (inner.writers > 0 && inner.size > COPY).then(|| inner.ctime / 1_000_000 + rest)
    }

    /// Starts to ask what became of requests; when to do so again.
    fn start_asking(
        self: &Arc<Self>,
        unheard: &[Sending],
        running: &mut JoinSet<()>,
        now_ms: i64,
    ) -> Duration {
        let mut rest = REST;
        for sending in unheard {
            let pause = lock(&self.unheard).due_ms(sending) - now_ms;
            if pause > 0 {
                rest = rest.min(Duration::from_millis(pause.cast_unsigned()));
                continue;
            }
            let keys = sending.keys();
            // The paths of what lies in a folder depend on the answer.
            let reach = if sending.is_folder() {
                Reach::All
            } else {
                Reach::Itself
            };
            if running.len() >= REQUESTS || !lock(&self.flight).begin(&keys, reach) {
                continue;
            }
            let (shared, sending) = (Arc::clone(self), sending.clone());
            running.spawn(async move {
                let moved = lock(&shared.flight).moved;
                Box::pin(shared.ask_about(&sending)).await;
                shared.look_after_moves(&keys, moved);
                shared.end(&keys);
                shared.progress.send_modify(|count| *count += 1);
                shared.push.notify_one();
                shared.ask_after_changes();
            });
        }
        rest
    }

    /// The next request for a row of work; what needs none is crossed off.
    fn plan(&self, db: &Db, work: &Work) -> Result<Step, Fault> {
        let step = match work.node() {
            // Each name that is still to be sent would change the folder's time again.
            Some(ino) if db.has_work_in(ino)? => {
                db.change(|db| Ok(db.mark_node(ino, now_ms() + AFTER_NAMES)?))?;
                return Ok(Step::Nothing);
            }
            Some(ino) => {
                let there = ino == crate::fs::ROOT
                    || !(db.synced_of(ino)?.is_empty() || db.entries_of(ino)?.is_empty());
                if there {
                    Step::Update { ino }
                } else {
                    Step::Nothing
                }
            }
            None => plan_name(db, work.parent, &work.name)?,
        };
        if step == Step::Nothing {
            match work.node() {
                Some(ino) => db.change(|db| Ok(db.mark_node(ino, work_later())?))?,
                None if db.entry(work.parent, &work.name)?
                    == db.synced(work.parent, &work.name)? =>
                {
                    db.change(|db| Ok(db.mark_name(work.parent, &work.name, 0)?))?;
                }
                // Whoever waits for progress asks for the next plan: one that waits is no progress.
                None => return Ok(step),
            }
            self.progress.send_modify(|count| *count += 1);
        }
        Ok(step)
    }

    /// What a step is about, how far it reaches, and what content it sends.
    #[expect(
        clippy::type_complexity,
        reason = "three answers to one look at a step"
    )]
    fn about(db: &Db, step: &Step) -> Result<(Vec<Key>, Reach, Option<(Ino, u64)>), Fault> {
        let size =
            |ino: Ino| -> Result<u64, Fault> { Ok(db.node(ino)?.map_or(0, |node| node.size)) };
        let name = |name: &Name| Key::Name(name.clone());
        Ok(match step {
            Step::Nothing => (Vec::new(), Reach::Itself, None),
            Step::MakeFolder { at, ino } => (vec![name(at), Key::Node(*ino)], Reach::Itself, None),
            Step::Put { at, ino, replaces } => {
                let mut keys = vec![name(at), Key::Node(*ino)];
                keys.extend(replaces.map(Key::Node));
                (keys, Reach::Itself, Some((*ino, size(*ino)?)))
            }
            Step::Move {
                from,
                to,
                ino,
                replaces,
            } => {
                let mut keys = vec![name(from), name(to), Key::Node(*ino)];
                keys.extend(replaces.map(Key::Node));
                let folder = db.node(*ino)?.is_some_and(|node| node.is_folder());
                let reach = if folder { Reach::All } else { Reach::Itself };
                (keys, reach, None)
            }
            Step::Bind { existing, at, ino } => (
                vec![name(existing), name(at), Key::Node(*ino)],
                Reach::Itself,
                None,
            ),
            Step::Remove { at, ino, folder } => {
                let reach = if *folder {
                    Reach::Inside(*ino)
                } else {
                    Reach::Itself
                };
                (vec![name(at), Key::Node(*ino)], reach, None)
            }
            Step::Update { ino } => {
                let content = db.node(*ino)?.filter(Node::is_changed);
                let upload = content.map(|node| (*ino, node.size));
                (vec![Key::Node(*ino)], Reach::Itself, upload)
            }
        })
    }

    async fn perform(&self, step: &Step) -> Result<(), Fault> {
        match step {
            Step::Nothing => Ok(()),
            Step::MakeFolder { at, ino } => self.make_remote_folder(at, *ino).await,
            Step::Put { at, ino, replaces } => self.put(at, *ino, *replaces).await,
            Step::Move {
                from,
                to,
                ino,
                replaces,
            } => self.move_remote(from, to, *ino, *replaces).await,
            Step::Bind { existing, at, ino } => self.bind(existing, at, *ino).await,
            Step::Remove { at, ino, folder } => self.remove(at, *ino, *folder).await,
            Step::Update { ino } => self.update_remote(*ino).await,
        }
    }

    pub(super) fn path_of(&self, at: &Name) -> Result<DrivePath, Fault> {
        let db = lock(&self.db);
        Ok(db.remote_name(at.0, &at.1)?.ok_or(Errno::STALE)?)
    }

    /// It did not work: when to try again, and whether somebody has to act.
    fn put_off(&self, work: &Work, fault: &Fault) -> Result<(), Fault> {
        let pause = 500_i64 << work.attempts.min(9);
        let (pause, blocked) = match fault {
            // The breaker and its probes look after the network. A server that answers others, and
            // this never, is not to be asked every other second.
            Fault::Drive(Error::Unreachable { .. }) if work.attempts >= TRIES => {
                (LONGEST, Some("unreachable".to_owned()))
            }
            Fault::Drive(Error::Unreachable { .. }) => (pause.min(2_000), None),
            Fault::Drive(Error::Busy { retry_after, .. }) => {
                let asked = retry_after.map_or(0, |s| i64::try_from(s).unwrap_or(3_600) * 1_000);
                let lasting = work.attempts >= TRIES_BUSY;
                (
                    pause.min(LONGEST).max(asked),
                    lasting.then(|| "busy".to_owned()),
                )
            }
            Fault::Drive(Error::LoginRefused) => (BLOCKED, Some("login".to_owned())),
            Fault::Drive(Error::Forbidden { .. }) => (BLOCKED, Some("permission".to_owned())),
            Fault::Drive(Error::NoSpace { .. }) => (BLOCKED, Some("quota".to_owned())),
            Fault::Drive(Error::Locked { .. }) => (10_000, Some("locked".to_owned())),
            Fault::Rule(Errno::NODATA) => (BLOCKED, Some("incomplete".to_owned())),
            Fault::Drive(Error::Unsupported) => (BLOCKED, Some("unsupported".to_owned())),
            // What it was about has changed meanwhile: planned anew.
            Fault::Rule(Errno::STALE) => (pause.min(1_000), None),
            other => {
                let lasting = (work.attempts >= TRIES).then(|| other.to_string());
                (pause.min(LONGEST), lasting)
            }
        };
        tracing::warn!(name = work.name, %fault, pause_ms = pause, "not sent for now");
        *lock(&self.last_error) = Some(fault.to_string());
        let db = lock(&self.db);
        db.change(|db| {
            let due = now_ms() + pause;
            Ok(db.work_failed(work, due, &fault.to_string(), blocked.as_deref())?)
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// For what is looked at again in any case.
fn work_later() -> i64 {
    now_ms() + 1_000
}
