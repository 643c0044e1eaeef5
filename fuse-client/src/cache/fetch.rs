//! Getting absent blocks from the server.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::{BLOCK, Blocks, Open, touched};
use crate::clock::now_ms;
use crate::drive::{Drive, DrivePath, ETag, Error};
use crate::errno::Fault;
use crate::fs::Ino;
use crate::fs::shared::{Shared, lock};

/// At most this much is fetched for one read.
const MOST: u64 = 16 * BLOCK;
/// Requests at once for one file.
const PARALLEL: u64 = 4;

/// How a file has been read lately.
#[derive(Default)]
pub(crate) struct ReadAhead {
    /// Where the last fetch ended.
    end: u64,
    /// How much to fetch next.
    window: u64,
}

impl ReadAhead {
    /// The range to fetch for one that is asked for: more and more of it while it goes on in order.
    fn extend(&mut self, wanted: &Range<u64>) -> u64 {
        let in_order = wanted.start <= self.end && self.end <= wanted.end;
        self.window = if in_order {
            (self.window * 2).clamp(BLOCK, MOST)
        } else {
            BLOCK
        };
        self.end = wanted.end.max(wanted.start + self.window);
        self.end
    }
}

impl<D: Drive> Shared<D> {
    /// Makes sure that a range of the content is here.
    pub(crate) async fn hydrate(&self, open: &Arc<Open>, range: Range<u64>) -> Result<(), Fault> {
        let mut at = range.start;
        let mut attempts = 0;
        loop {
            let absent = {
                let inner = lock(&open.inner);
                (at..range.end.min(inner.size))
                    .step_by(1 << 20)
                    .chain(range.end.min(inner.size).checked_sub(1))
                    .find(|at| inner.absent(&(*at..at + 1)))
            };
            let Some(start) = absent else { return Ok(()) };
            at = start.max(range.start);
            let mut ahead = open.fetch.lock().await;
            let end = ahead.extend(&(at..range.end.min(at + MOST)));
            match self.fetch(open, at..end).await {
                Ok(()) => attempts = 0,
                // Another version by now: what is known of it is asked for, and then that is read.
                Err(Fault::Drive(Error::Conflict { .. } | Error::NotFound { .. }))
                    if attempts < 3 =>
                {
                    attempts += 1;
                    self.refresh(open.ino).await?;
                    at = range.start;
                }
                Err(Fault::Drive(Error::Busy { .. } | Error::BadAnswer { .. })) if attempts < 2 => {
                    attempts += 1;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Fetches the absent blocks of a range, several parts at once.
    async fn fetch(&self, open: &Arc<Open>, range: Range<u64>) -> Result<(), Fault> {
        let (file, path, etag, size, sha256, parts, generation) = {
            let db = lock(&self.db);
            let Some(node) = db.node(open.ino)? else {
                return Err(Errno::STALE.into());
            };
            let path = db.remote_path(open.ino)?.ok_or(Errno::STALE)?;
            let inner = lock(&open.inner);
            let base = node.base_size;
            let mut missing = Blocks::none();
            let end = range.end.min(inner.size);
            for block in touched(&(range.start..end)) {
                if !inner.present.has(block) {
                    missing.add(block..block + 1);
                }
            }
            let parts = split(&missing.ranges(inner.size.min(base)), base);
            // What lies past the end of the server's version was made by growing: zeros.
            drop(db);
            let file = Arc::clone(&inner.file);
            let generation = inner.generation;
            (
                file,
                path,
                node.etag(),
                base,
                node.sha256,
                parts,
                generation,
            )
        };
        let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
        {
            let db = lock(&self.db);
            self.make_room(&db, total)?;
        }
        let whole = parts.first() == Some(&(0..size));
        let fetched = join_all(parts.iter().map(|part| {
            let sha256 = sha256.as_deref().filter(|_| whole);
            self.fetch_part(&path, etag.as_ref(), part.clone(), &file, sha256)
        }))
        .await;
        let mut here = Vec::new();
        let mut fault = None;
        for (part, result) in parts.into_iter().zip(fetched) {
            match result {
                Ok(()) => here.push(part),
                Err(error) => fault = Some(error),
            }
        }
        self.book_fetched(
            open,
            &here,
            &range,
            generation,
            etag.as_ref(),
            fault.is_none(),
        )?;
        fault.map_or(Ok(()), Err)
    }

    /// Now the bytes are in the file, the map may say so.
    fn book_fetched(
        &self,
        open: &Arc<Open>,
        parts: &[Range<u64>],
        range: &Range<u64>,
        generation: i64,
        etag: Option<&ETag>,
        complete: bool,
    ) -> Result<(), Fault> {
        let db = lock(&self.db);
        db.change(|db| {
            let Some(mut node) = db.node(open.ino)? else {
                return Ok(());
            };
            let mut inner = lock(&open.inner);
            if inner.generation != generation || node.etag().as_ref() != etag {
                return Ok(());
            }
            for part in parts {
                inner.present.add(touched(part));
            }
            if complete {
                // Whatever of the range lies past the server's end is zeros, and so here.
                let end = range.end.min(inner.size);
                inner.present.add(touched(&(range.start.min(end)..end)));
            }
            let size = inner.size;
            inner.present.simplify(size);
            inner.filled();
            let before = node.cached;
            inner.overlay(&mut node);
            node.used_at = now_ms();
            self.count_cached(before, node.cached);
            db.save(&node)?;
            Ok(())
        })
    }

    pub(crate) async fn fetch_part(
        &self,
        path: &DrivePath,
        etag: Option<&ETag>,
        part: Range<u64>,
        file: &File,
        sha256: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let _permit = self.downloads.acquire().await.map_err(|_| Errno::NODEV)?;
        let mut stream = self.ask(self.drive.read(path, etag, part.clone())).await?;
        let mut at = part.start;
        let mut digest = sha256.map(|_| Sha256::new());
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.inspect_err(|error| {
                if let Error::Unreachable { .. } = error {
                    self.net.notify_one();
                }
            })?;
            if at + bytes.len() as u64 > part.end {
                return Err(bad(path, "more bytes than asked for"));
            }
            file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
            if let Some(digest) = &mut digest {
                digest.update(&bytes);
            }
        }
        if at != part.end {
            return Err(bad(path, "fewer bytes than asked for"));
        }
        if let (Some(digest), Some(sha256)) = (digest, sha256)
            && digest.finalize().as_slice() != sha256
        {
            return Err(bad(path, "the bytes do not have the digest"));
        }
        Ok(())
    }

    /// Before the server forgets the content of a file: whoever has it open goes on reading it.
    pub(crate) async fn keep_for_readers(&self, ino: Ino) -> Result<(), Fault> {
        let Some(open) = self.opened(ino) else {
            return Ok(());
        };
        if lock(&open.inner).handles == 0 {
            return Ok(());
        }
        match self.hydrate_all(&open).await {
            // Too late.
            Err(
                Fault::Rule(Errno::STALE)
                | Fault::Drive(Error::Conflict { .. } | Error::NotFound { .. }),
            ) => Ok(()),
            kept => kept,
        }
    }

    /// Makes sure that all of the content is here.
    pub(crate) async fn hydrate_all(&self, open: &Arc<Open>) -> Result<(), Fault> {
        let size = lock(&open.inner).size;
        let mut at = 0;
        while at < size {
            let end = (at + MOST).min(size);
            self.hydrate(open, at..end).await?;
            at = end;
        }
        Ok(())
    }
}

fn bad(path: &DrivePath, reason: &str) -> Fault {
    Fault::Drive(Error::BadAnswer {
        path: path.clone(),
        reason: reason.to_owned(),
    })
}

/// Ranges cut to a few parts of about the same length, none shorter than a block.
fn split(ranges: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let length = total.div_ceil(PARALLEL).next_multiple_of(BLOCK).max(BLOCK);
    let mut parts = Vec::new();
    for range in ranges {
        let mut at = range.start;
        while at < range.end.min(size) {
            let end = (at + length).min(range.end);
            parts.push(at..end);
            at = end;
        }
    }
    parts
}
