//! Writing to the content of files: what will differ is marked first, and only then do bytes change.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;

use super::shared::{Shared, lock};
use crate::cache::{BLOCK, Inner, Open, touched};
use crate::clock::{now_ms, now_ns};
use crate::drive::Drive;
use crate::errno::Fault;
use crate::state::{Content, Db};

impl<D: Drive> Shared<D> {
    /// Commits that blocks (or all that there is) will differ, before the first byte does.
    pub(super) fn begin_writing(
        &self,
        db: &Db,
        open: &Open,
        inner: &mut Inner,
        blocks: Option<Range<u64>>,
    ) -> Result<(), Fault> {
        if self.is_lost(db, open.ino)? {
            // Gone, and not all of it is here: it cannot be made again.
            return Err(Errno::STALE.into());
        }
        let before = inner.before();
        let done = self.mark_writing(db, open, inner, blocks);
        if done.is_err() {
            inner.put_back(before);
        }
        done
    }

    fn mark_writing(
        &self,
        db: &Db,
        open: &Open,
        inner: &mut Inner,
        blocks: Option<Range<u64>>,
    ) -> Result<(), Fault> {
        let mut node = db.node(open.ino)?.ok_or(Errno::STALE)?;
        let was_open = inner.content == Content::Open;
        inner.content = Content::Open;
        if let Some(blocks) = blocks {
            self.make_room(db, (blocks.end - blocks.start) * BLOCK)?;
            inner.dirty.add(blocks.clone());
            inner.present.add(blocks);
        }
        inner.version += 1;
        let before = node.cached;
        let passthrough = inner.passthrough.take();
        inner.overlay(&mut node);
        inner.passthrough = passthrough;
        db.change(|db| {
            db.save_content(&node)?;
            if !was_open {
                db.mark_all(open.ino, self.late())?;
            }
            Ok(())
        })?;
        self.count_cached(before, node.cached);
        Ok(())
    }

    /// Puts what is true of an open file into its row.
    pub(crate) fn persist(&self, db: &Db, open: &Open, due_ms: Option<i64>) -> Result<(), Fault> {
        let mut inner = lock(&open.inner);
        inner.look();
        if !inner.changed && due_ms.is_none() {
            return Ok(());
        }
        db.change(|db| {
            let Some(mut node) = db.node(open.ino)? else {
                return Ok(());
            };
            let before = node.cached;
            inner.overlay(&mut node);
            node.used_at = now_ms();
            self.count_cached(before, node.cached);
            db.save_content(&node)?;
            if let Some(due_ms) = due_ms {
                db.mark_all(open.ino, due_ms)?;
            }
            Ok(())
        })?;
        inner.changed = false;
        self.keep_bounds(db);
        Ok(())
    }

    pub(super) async fn write_at(
        &self,
        open: &Arc<Open>,
        offset: u64,
        append: bool,
        data: &[u8],
    ) -> Result<(), Fault> {
        loop {
            let need = {
                let mut inner = lock(&open.inner);
                inner.look();
                let at = if append { inner.size } else { offset };
                match ready(&inner, at, data.len() as u64) {
                    Ready::Yes => {
                        self.take_growth(&inner, at, data)?;
                        return put_bytes(&mut inner, at, data);
                    }
                    need => need,
                }
            };
            let mut settled = None;
            match need {
                Ready::Yes => {}
                Ready::Fetch(range) => self.hydrate(open, range).await?,
                Ready::Mark(blocks) => settled = open.settle(&blocks).await?,
            }
            // A fetch that is under way must not write over what is written now.
            let _fetching = open.fetch.lock().await;
            let db = lock(&self.db);
            let mut inner = lock(&open.inner);
            let at = if append { inner.size } else { offset };
            let ready = ready(&inner, at, data.len() as u64);
            match &ready {
                Ready::Fetch(_) => continue,
                Ready::Mark(blocks) if settled != Some(inner.version) && !inner.rests(blocks) => {
                    continue;
                }
                Ready::Yes | Ready::Mark(_) => {}
            }
            // What is refused must not leave anything behind the end.
            self.take_growth(&inner, at, data)?;
            match ready {
                Ready::Fetch(_) | Ready::Yes => {}
                Ready::Mark(blocks) => {
                    // Into blocks that are not here the bytes go first: what was there is on the
                    // server only, and must not be taken for zeros after a crash.
                    for block in blocks.clone().filter(|block| !inner.present.has(*block)) {
                        let start = (block * BLOCK).max(at);
                        let end = ((block + 1) * BLOCK).min(at + data.len() as u64);
                        if start < end {
                            let part = within(start - at)..within(end - at);
                            inner.file.write_all_at(&data[part], start)?;
                        }
                    }
                    self.begin_writing(&db, open, &mut inner, Some(blocks))?;
                }
            }
            return put_bytes(&mut inner, at, data);
        }
    }

    fn take_growth(&self, inner: &Inner, at: u64, data: &[u8]) -> Result<(), Fault> {
        let growth = (at + data.len() as u64).saturating_sub(inner.size);
        if growth == 0 {
            return Ok(());
        }
        self.take_space(growth)
    }
}

/// Writes into blocks that are marked.
fn put_bytes(inner: &mut Inner, at: u64, data: &[u8]) -> Result<(), Fault> {
    let end = at + data.len() as u64;
    if let Err(error) = inner.file.write_all_at(data, at) {
        if end > inner.size {
            // Where the file grows later, there are to be zeros.
            inner.file.set_len(inner.size)?;
        }
        return Err(error.into());
    }
    let first = at.min(inner.size);
    inner.present.add(touched(&(first..end)));
    inner.size = inner.size.max(end);
    inner.touch(now_ns());
    Ok(())
}

/// An offset into bytes that are in memory.
fn within(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Whether bytes can be written at once.
enum Ready {
    Yes,
    /// These bytes have to be here first.
    Fetch(Range<u64>),
    /// These blocks have to be marked first.
    Mark(Range<u64>),
}

fn ready(inner: &Inner, at: u64, length: u64) -> Ready {
    // A write past the end makes what lies between zeros, and these differ from the server as well.
    let range = at.min(inner.size)..at + length;
    let blocks = touched(&range);
    for edge in [range.start, range.end] {
        let block = edge / BLOCK;
        let start = block * BLOCK;
        let covered = range.start <= start && range.end >= (start + BLOCK).min(inner.size);
        if !edge.is_multiple_of(BLOCK) && !covered && inner.absent(&(start..start + BLOCK)) {
            return Ready::Fetch(start..(start + BLOCK).min(inner.size));
        }
    }
    let marked = inner.content == Content::Open
        && inner.dirty.has_all(blocks.clone())
        && (inner.present.is_all() || inner.present.has_all(blocks.clone()));
    if marked {
        Ready::Yes
    } else {
        Ready::Mark(blocks)
    }
}
