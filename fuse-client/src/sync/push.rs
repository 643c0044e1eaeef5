//! Sending what is different here, several requests at once.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::Key;
use super::book;
use super::plan::{Step, plan_name};
use super::unheard::Intent;
use crate::cache::{BLOCK, Open, content_path};
use crate::clock::now_ms;
use crate::drive::{Condition, Drive, DrivePath, Error, Source, Stored};
use crate::errno::Fault;
use crate::fs::shared::{Shared, lock};
use crate::fs::{Course, Ino};
use crate::state::{ATTRIBUTES, Db, Name, Node, Sending, Sent, Work, XATTRS, decode_xattrs};

/// Uploads at once, and requests at once.
const UPLOADS: usize = 8;
const REQUESTS: usize = 24;
/// Rows looked at whenever a request has ended, and those of them that may wait for another upload's
/// end: with thousands to send, all of them would be planned again for each.
const DUE: u32 = 128;
const WAITING: u32 = 16;
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
/// Up to this the digest of what is sent is known beforehand.
pub(super) const DIGEST: u64 = 16 << 20;
/// Up to this a file that is being written is copied before it is sent.
const COPY: u64 = 256 << 20;

/// What is to be sent of a node.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) node: Node,
    pub(crate) file: Arc<File>,
    pub(crate) open: Option<Arc<Open>>,
    pub(crate) sha256: Option<Vec<u8>>,
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
        }
    }

    /// Starts what can be started; how long there is nothing else to do.
    fn start_due(self: &Arc<Self>, running: &mut JoinSet<()>) -> Result<Duration, Fault> {
        if !self.online.load(Ordering::Relaxed) {
            return Ok(REST);
        }
        let db = lock(&self.db);
        let now = now_ms();
        let unheard = self.unheard(&db)?;
        let rest = self.start_asking(&unheard, running, now);
        self.break_off(&db)?;
        let mut waiting = 0;
        let due = db.due_work(now, DUE)?;
        let mut postponed = 0;
        for work in due {
            if running.len() >= REQUESTS || waiting >= WAITING {
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
            let step = self.plan(&db, &work)?;
            if step == Step::Nothing {
                postponed += u32::from(work.node().is_some());
                continue;
            }
            let uploads = lock(&self.uploading).len();
            let (keys, alone, upload) = Self::about(&db, &step)?;
            if let Some((ino, _)) = upload
                && work.due > 0
                && let Some(quiet) = self.quiet_at(ino)
                && quiet > now
            {
                db.change(|db| Ok(db.mark_all(ino, quiet)?))?;
                continue;
            }
            if !unheard.is_empty() && self.depends(&db, &unheard, &keys, alone)? {
                continue;
            }
            if upload.is_some() && uploads >= UPLOADS {
                waiting += 1;
                continue;
            }
            if !lock(&self.flight).begin(&keys, alone) {
                continue;
            }
            if let Some((ino, size_bytes)) = upload {
                let path = db
                    .local_path(ino)?
                    .map_or(String::new(), |path| path.to_string());
                let course = Course {
                    path,
                    sent_bytes: Arc::default(),
                    size_bytes,
                    unwanted: Arc::default(),
                };
                lock(&self.uploading).insert(ino, course);
            }
            let shared = Arc::clone(self);
            let unwanted = upload.and_then(|(ino, _)| {
                let courses = lock(&self.uploading);
                courses.get(&ino).map(|course| Arc::clone(&course.unwanted))
            });
            running.spawn(async move {
                let broken_off = async {
                    match unwanted {
                        Some(unwanted) => unwanted.notified().await,
                        None => std::future::pending().await,
                    }
                };
                let done = tokio::select! {
                    done = Box::pin(shared.perform(&step)) => done,
                    // As after a crash, it is asked what became of it.
                    () = broken_off => Err(Errno::STALE.into()),
                };
                if let Err(fault) = done
                    && let Err(fault) = shared.put_off(&work, &fault)
                {
                    tracing::error!(%fault, "what is to be sent cannot be written down");
                }
                if let Some((ino, _)) = upload {
                    lock(&shared.uploading).remove(&ino);
                }
                lock(&shared.flight).end(&keys);
                shared.progress.send_modify(|count| *count += 1);
                if !lock(&shared.flight).relist.is_empty() {
                    shared.pull.notify_one();
                }
            });
        }
        if postponed == DUE {
            // There may be others behind them.
            return Ok(Duration::ZERO);
        }
        let next = db.next_due(now)?.map_or(rest, |due| {
            Duration::from_millis((due - now).cast_unsigned().max(1))
        });
        Ok(next.min(rest))
    }

    /// Ends uploads of what has no name any more: the line may be busy with it for hours. One that is
    /// all on its way may arrive in any case, and ends by itself.
    fn break_off(&self, db: &Db) -> Result<(), Fault> {
        for (ino, course) in lock(&self.uploading).iter() {
            let sent_bytes = course.sent_bytes.load(Ordering::Relaxed);
            if sent_bytes < course.size_bytes && db.entries_of(*ino)?.is_empty() {
                course.unwanted.notify_one();
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

    /// Bytes of a node to be sent, counted on their way.
    fn source(&self, job: &Job, range: Range<u64>) -> Source {
        let course = lock(&self.uploading);
        let sent_bytes = course.get(&job.node.ino);
        Source {
            file: Arc::clone(&job.file),
            range,
            sent_bytes: sent_bytes
                .map_or_else(Arc::default, |course| Arc::clone(&course.sent_bytes)),
        }
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
            let alone = sending.is_folder();
            if running.len() >= REQUESTS || !lock(&self.flight).begin(&keys, alone) {
                continue;
            }
            let (shared, sending) = (Arc::clone(self), sending.clone());
            running.spawn(async move {
                Box::pin(shared.ask_about(&sending)).await;
                lock(&shared.flight).end(&keys);
                shared.progress.send_modify(|count| *count += 1);
                shared.push.notify_one();
                if !lock(&shared.flight).relist.is_empty() {
                    shared.pull.notify_one();
                }
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
                None => {}
            }
            self.progress.send_modify(|count| *count += 1);
        }
        Ok(step)
    }

    /// What a step is about, whether it must be alone, and what content it sends.
    #[expect(
        clippy::type_complexity,
        reason = "three answers to one look at a step"
    )]
    fn about(db: &Db, step: &Step) -> Result<(Vec<Key>, bool, Option<(Ino, u64)>), Fault> {
        let size =
            |ino: Ino| -> Result<u64, Fault> { Ok(db.node(ino)?.map_or(0, |node| node.size)) };
        let name = |name: &Name| Key::Name(name.clone());
        Ok(match step {
            Step::Nothing => (Vec::new(), false, None),
            Step::MakeFolder { at, ino } => (vec![name(at), Key::Node(*ino)], false, None),
            Step::Put { at, ino, replaces } => {
                let mut keys = vec![name(at), Key::Node(*ino)];
                keys.extend(replaces.map(Key::Node));
                (keys, false, Some((*ino, size(*ino)?)))
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
                (keys, folder, None)
            }
            Step::Bind { existing, at, ino } => {
                (vec![name(existing), name(at), Key::Node(*ino)], false, None)
            }
            Step::Remove { at, ino, folder } => (vec![name(at), Key::Node(*ino)], *folder, None),
            Step::Update { ino } => {
                let content = db.node(*ino)?.filter(Node::is_changed);
                let upload = content.map(|node| (*ino, node.size));
                (vec![Key::Node(*ino)], false, upload)
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

    /// Takes a look at a node that is to be sent.
    fn prepare(&self, ino: Ino) -> Result<Job, Fault> {
        let db = lock(&self.db);
        let raw = db.node(ino)?.ok_or(Errno::STALE)?;
        if !raw.is_file() {
            return Ok(Job {
                node: raw,
                file: Arc::new(File::open("/dev/null")?),
                open: None,
                sha256: None,
            });
        }
        let open = self.use_content(&raw)?;
        self.persist(&db, &open, None)?;
        let node = self.node(&db, ino)?;
        let file = File::open(content_path(&self.options.cache, ino, node.generation))?;
        Ok(Job {
            node,
            file: Arc::new(file),
            open: Some(open),
            sha256: None,
        })
    }

    /// Puts an unchanging copy of ranges of the content in place of the file, if it is being written.
    async fn freeze(&self, job: &mut Job, ranges: &[Range<u64>]) -> Result<(), Fault> {
        let written = job
            .open
            .as_ref()
            .is_some_and(|open| lock(&open.inner).writers > 0);
        let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let digest = ranges.len() == 1 && ranges[0] == (0..job.node.size) && total <= DIGEST;
        let copy = written && total <= COPY;
        if !copy && !digest {
            return Ok(());
        }
        let from = Arc::clone(&job.file);
        let ranges = ranges.to_vec();
        let cache = self.options.cache.clone();
        let (file, sha256) = tokio::task::spawn_blocking(move || -> Result<_, Fault> {
            let to = copy.then(|| unnamed(&cache)).transpose()?;
            let mut sha256 = Sha256::new();
            for range in ranges {
                let mut at = range.start;
                while at < range.end {
                    let length = usize::try_from((range.end - at).min(BLOCK)).unwrap_or(0);
                    let mut bytes = vec![0; length];
                    from.read_exact_at(&mut bytes, at)?;
                    if digest {
                        sha256.update(&bytes);
                    }
                    if let Some(to) = &to {
                        to.write_all_at(&bytes, at)?;
                    }
                    at += length as u64;
                }
            }
            let digest = digest.then(|| sha256.finalize().to_vec());
            Ok((to.map_or(from, Arc::new), digest))
        })
        .await
        .map_err(|error| Fault::Local(std::io::Error::other(error)))??;
        job.file = file;
        job.sha256 = sha256;
        Ok(())
    }

    async fn put(&self, at: &Name, ino: Ino, replaces: Option<Ino>) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        let mut job = self.prepare(ino)?;
        if let Some(open) = &job.open
            && job.node.etag.is_some()
        {
            self.hydrate_all(open).await?;
        }
        let condition = match replaces {
            None if self.can.strong_etags => Condition::Absent,
            None => match self.ask(self.drive.stat(&path)).await {
                Err(Error::NotFound { .. }) => Condition::Absent,
                Err(error) => return Err(error.into()),
                Ok(_) => return self.resolve_put(at, &job, replaces).await,
            },
            Some(old) => match self.unchanged(&path, old).await? {
                Some(condition) => condition,
                None => return self.resolve_put(at, &job, replaces).await,
            },
        };
        if let Some(old) = replaces {
            self.keep_for_readers(old).await?;
        }
        let size = if job.open.is_some() { job.node.size } else { 0 };
        let whole = 0..size;
        self.freeze(&mut job, std::slice::from_ref(&whole)).await?;
        let source = self.source(&job, whole);
        let attributes = job.node.attributes();
        let intent = self.intend_content(&job, at)?;
        let sending = self.drive.write(&path, source, &condition, &attributes);
        match self.send(intent, sending).await {
            Ok(stored) => self.stored(Some(at), &job, replaces, &path, stored).await,
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => {
                self.resolve_put(at, &job, replaces).await
            }
            Err(Error::NoParent { .. }) => self.check_folder(at.0).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The condition that what is at a path is still what is known of a node; `None` when it is not.
    async fn unchanged(&self, path: &DrivePath, old: Ino) -> Result<Option<Condition>, Fault> {
        let known = lock(&self.db).node(old)?.ok_or(Errno::STALE)?;
        if let Some(etag) = known.etag() {
            return Ok(Some(Condition::Unchanged(etag)));
        }
        match self.ask(self.drive.stat(path)).await {
            Ok(listed) if listed.etag.is_none() && listed.size_bytes == known.base_size => {
                Ok(Some(Condition::Any))
            }
            Ok(_) | Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what the server said of what it stored, asking for what it did not say.
    async fn stored(
        &self,
        at: Option<&Name>,
        job: &Job,
        replaces: Option<Ino>,
        path: &DrivePath,
        mut stored: Stored,
    ) -> Result<(), Fault> {
        if stored.etag.is_none()
            && self.can.strong_etags
            && let Ok(listed) = self.ask(self.drive.stat(path)).await
            && listed.size_bytes == job.node.size
        {
            stored.etag = listed.etag;
            stored.id = stored.id.or(listed.id);
        }
        let sent = book::Sent {
            at: at.cloned(),
            replaces,
            stored,
        };
        self.book_sent(job, &sent)
    }

    fn intend_content(&self, job: &Job, at: &Name) -> Result<Intent, Fault> {
        self.intend(Sending {
            sha256: job.sha256.clone(),
            ..Sending::of(&job.node, at, Sent::Content)
        })
    }

    async fn update_remote(&self, ino: Ino) -> Result<(), Fault> {
        let (path, at) = {
            let db = lock(&self.db);
            let path = db.remote_path(ino)?.ok_or(Errno::STALE)?;
            let at = db.synced_of(ino)?.into_iter().next();
            // Nothing but attributes is sent of the root, which has no name.
            (path, at.unwrap_or_default())
        };
        let mut job = self.prepare(ino)?;
        if !job.node.is_changed() {
            if job.node.attributes_dirty == 0 {
                let db = lock(&self.db);
                return db.change(|db| Ok(db.mark_node(ino, 0)?));
            }
            return self.send_attributes(&path, &job.node).await;
        }
        let dirty = crate::cache::Blocks(job.node.dirty.clone());
        let parts = dirty.ranges(job.node.size);
        let bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
        if self.can.patch
            && !dirty.is_all()
            && bytes * 2 < job.node.size.max(job.node.base_size)
            && let Some(etag) = job.node.etag()
        {
            self.freeze(&mut job, &parts).await?;
            if let Some(course) = lock(&self.uploading).get_mut(&ino) {
                course.size_bytes = bytes;
            }
            let parts: Vec<Source> = parts
                .into_iter()
                .map(|range| self.source(&job, range))
                .collect();
            let attributes = job.node.attributes();
            let size = job.node.size;
            let intent = self.intend_content(&job, &at)?;
            let sending = self.drive.patch(&path, &parts, size, &etag, &attributes);
            return match self.send(intent, sending).await {
                Ok(stored) => self.stored(None, &job, None, &path, stored).await,
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {
                    self.resolve_update(&path, &job).await
                }
                Err(Error::Unsupported) => self.put_again(&path, &at, job).await,
                Err(error) => Err(error.into()),
            };
        }
        self.put_again(&path, &at, job).await
    }

    /// PUT over the version that is known.
    async fn put_again(&self, path: &DrivePath, at: &Name, mut job: Job) -> Result<(), Fault> {
        if let Some(open) = &job.open {
            match self.hydrate_all(open).await {
                Err(Fault::Drive(Error::Conflict { .. } | Error::NotFound { .. })) => {
                    return self.resolve_update(path, &job).await;
                }
                hydrated => hydrated?,
            }
        }
        let Some(condition) = self.unchanged(path, job.node.ino).await? else {
            return self.resolve_update(path, &job).await;
        };
        let whole = 0..job.node.size;
        self.freeze(&mut job, std::slice::from_ref(&whole)).await?;
        let source = self.source(&job, whole);
        let attributes = job.node.attributes();
        let intent = self.intend_content(&job, at)?;
        let sending = self.drive.write(path, source, &condition, &attributes);
        match self.send(intent, sending).await {
            Ok(stored) => self.stored(None, &job, None, path, stored).await,
            Err(Error::Conflict { .. } | Error::NotFound { .. } | Error::NoParent { .. }) => {
                self.resolve_update(path, &job).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn send_attributes(&self, path: &DrivePath, node: &Node) -> Result<(), Fault> {
        let xattrs =
            (node.attributes_dirty & XATTRS != 0).then(|| decode_xattrs(node.xattrs.as_deref()));
        let attributes = node.attributes();
        let setting = self
            .drive
            .set_attributes(path, &attributes, xattrs.as_ref());
        match self.ask(setting).await {
            // A server that cannot keep them leaves them to this machine.
            Ok(()) | Err(Error::Unsupported) => self.book_attributes(node, ATTRIBUTES | XATTRS),
            Err(Error::NotFound { .. }) => self.gone_there(node.ino),
            Err(error) => Err(error.into()),
        }
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

/// For what is looked at again in any case.
fn work_later() -> i64 {
    now_ms() + 1_000
}

/// A file without a name in the cache's folder.
fn unnamed(cache: &std::path::Path) -> Result<File, Fault> {
    // Several are made at once, and none may get another's.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = cache.join("content").join(format!("sending.{number}"));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
