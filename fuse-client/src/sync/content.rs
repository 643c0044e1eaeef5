//! Sending the content of a file, whole or the parts that differ, and its attributes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::book;
use super::unheard::Intent;
use crate::cache::{BLOCK, Open, content_path};
use crate::drive::{Condition, Drive, DrivePath, Error, Source, Stored};
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::{Shared, lock};
use crate::state::{ATTRIBUTES, Name, Node, Sending, Sent, XATTRS, decode_xattrs};

/// Up to this the digest of what is sent is known beforehand.
pub(super) const DIGEST: u64 = 16 << 20;
/// Up to this a file that is being written is copied before it is sent.
pub(super) const COPY: u64 = 256 << 20;

/// What is to be sent of a node.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) node: Node,
    pub(crate) file: Arc<File>,
    pub(crate) open: Option<Arc<Open>>,
    pub(crate) sha256: Option<Vec<u8>>,
}

impl Job {
    /// What was fetched since the look at it has gone into its file: `ESTALE` when it has got another
    /// one meanwhile, and there would be zeros for what was not here.
    fn is_of(&self, open: &Open) -> Result<(), Fault> {
        if lock(&open.inner).generation != self.node.generation {
            return Err(Errno::STALE.into());
        }
        Ok(())
    }
}

impl<D: Drive> Shared<D> {
    /// All the bytes of one request about a node, counted on their way.
    fn sources(&self, job: &Job, ranges: Vec<Range<u64>>) -> Vec<Source> {
        let mut progress = Arc::default();
        if let Some(course) = lock(&self.uploading).get_mut(&job.node.ino) {
            course.size_bytes = ranges.iter().map(|range| range.end - range.start).sum();
            progress = Arc::clone(&course.progress);
        }
        // Known of all of it, or of nothing.
        let sha256 = job
            .sha256
            .as_deref()
            .and_then(|sha256| sha256.try_into().ok());
        let source = |range| Source {
            file: Arc::clone(&job.file),
            range,
            sha256,
            progress: Arc::clone(&progress),
        };
        ranges.into_iter().map(source).collect()
    }

    fn source(&self, job: &Job, range: Range<u64>) -> Source {
        self.sources(job, vec![range]).remove(0)
    }

    /// Before a look at a file that the kernel writes by itself: stores into mapped pages change its
    /// time only when the page was clean, and are not noticed otherwise.
    async fn write_out(&self, ino: Ino) -> Result<(), Fault> {
        let file = self.opened(ino).and_then(|open| {
            let inner = lock(&open.inner);
            let is_written = inner.passthrough.is_some() && inner.writers > 0;
            is_written.then(|| Arc::clone(&inner.file))
        });
        let Some(file) = file else { return Ok(()) };
        let written = tokio::task::spawn_blocking(move || file.sync_data()).await;
        Ok(written.map_err(|error| Fault::Local(std::io::Error::other(error)))??)
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

    pub(super) async fn put(
        &self,
        at: &Name,
        ino: Ino,
        replaces: Option<Ino>,
    ) -> Result<(), Fault> {
        let path = self.path_of(at)?;
        self.write_out(ino).await?;
        let mut job = self.prepare(ino)?;
        if let Some(open) = &job.open {
            if job.node.etag.is_some() {
                self.hydrate_all(open).await?;
            } else if lock(&open.inner).absent(&(0..job.node.size)) {
                // Removed there before all of it was here.
                return Err(Errno::NODATA.into());
            }
            job.is_of(open)?;
        }
        let condition = match replaces {
            None if self.can.strong_etags => Condition::Absent,
            None => match self.ask(self.drive.stat(&path)).await {
                Err(Error::NotFound { .. }) => Condition::Absent,
                Err(error) => return Err(error.into()),
                Ok(_) => return self.resolve_put(at, &job, replaces).await,
            },
            Some(old) => match self.unchanged(&path, old).await? {
                // Names that others gave are not to have what is new.
                Some(Condition::Unchanged(etag)) if self.can.bind => Condition::Alone(etag),
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

    pub(super) async fn update_remote(&self, ino: Ino) -> Result<(), Fault> {
        let (path, at) = {
            let db = lock(&self.db);
            let path = db.remote_path(ino)?.ok_or(Errno::STALE)?;
            let at = db.synced_of(ino)?.into_iter().next();
            // Nothing but attributes is sent of the root, which has no name.
            (path, at.unwrap_or_default())
        };
        self.write_out(ino).await?;
        let mut job = self.prepare(ino)?;
        if !job.node.is_changed() {
            if job.node.attributes_dirty == 0 {
                let db = lock(&self.db);
                return db.change(|db| Ok(db.mark_node(ino, 0)?));
            }
            return self.send_attributes(&path, &at, &job.node).await;
        }
        let dirty = crate::cache::Blocks(job.node.dirty.clone());
        let parts = dirty.ranges(job.node.size);
        let bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
        if self.can.patch
            && !dirty.is_all()
            && bytes * 2 < job.node.size.max(job.node.base_size)
            && let Some(etag) = job.node.etag()
        {
            // The copy has nothing but these: whatever else is sent, or compared, is of the whole.
            let mut frozen = job.clone();
            self.freeze(&mut frozen, &parts).await?;
            job.sha256.clone_from(&frozen.sha256);
            let parts = self.sources(&frozen, parts);
            let attributes = job.node.attributes();
            let size = job.node.size;
            let intent = self.intend_content(&job, &at)?;
            let sending = self.drive.patch(&path, &parts, size, &etag, &attributes);
            return match self.send(intent, sending).await {
                Ok(stored) => self.stored(None, &job, None, &path, stored).await,
                Err(Error::Conflict { .. } | Error::NotFound { .. }) => {
                    self.resolve_update(&path, &at, &job).await
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
                    return self.resolve_update(path, at, &job).await;
                }
                hydrated => hydrated?,
            }
            job.is_of(open)?;
        }
        let Some(condition) = self.unchanged(path, job.node.ino).await? else {
            return self.resolve_update(path, at, &job).await;
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
                self.resolve_update(path, at, &job).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn send_attributes(&self, path: &DrivePath, at: &Name, node: &Node) -> Result<(), Fault> {
        let xattrs =
            (node.attributes_dirty & XATTRS != 0).then(|| decode_xattrs(node.xattrs.as_deref()));
        let attributes = node.attributes();
        let setting = self
            .drive
            .set_attributes(path, &attributes, xattrs.as_ref());
        match self.ask(setting).await {
            // A server that cannot keep them leaves them to this machine.
            Ok(()) | Err(Error::Unsupported) => self.book_attributes(node, ATTRIBUTES | XATTRS),
            Err(Error::NotFound { .. }) => self.gone_there(at, node.ino),
            Err(error) => Err(error.into()),
        }
    }
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
