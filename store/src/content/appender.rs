//! Takes bytes in that go on where an earlier request has ended, and end where a later one goes on.
//!
//! Chunks get their names as they are cut, some at a time. What came after the last of them is given
//! back as it is, to be handed in again: where a chunk ends follows from its own bytes alone. With it
//! goes the state of the hash of all before. So nothing is read twice but those few bytes, and the
//! content is cut as if it had come at once.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::hash::Extra;
use super::pool::{Held, MemoryPool, Seat};
use super::stage::{Stage, Staged};
use super::writer::{Publishing, Step, Worker, broken};
use super::{Announce, ContentBody, Error};
use crate::blob::Blobs;
use crate::chunk::{Cutter, Piece};
use crate::digest::{Digest, Hasher};
use crate::manifest::ChunkRef;

/// After each of so many bytes, chunks get their names: what a crash loses of a request at most,
/// together with one chunk and what is being published.
const CUT_BYTES: u64 = 16 << 20;

/// Where a content goes on.
pub(crate) struct Start {
    /// State of the hash of all chunks so far; none at the beginning.
    pub hash: Option<Hasher>,
    /// What came after them.
    pub tail: Bytes,
    /// Bytes of those chunks.
    pub kept_bytes: u64,
    /// Length of the whole content, which must never be exceeded.
    pub size_bytes: u64,
    /// Content up to this many bytes is given back instead of being written.
    pub small_limit: usize,
}

/// Chunks that are durable under their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// In order, after those before.
    pub chunks: Vec<ChunkRef>,
    /// State of the hash after the last of them, if there are any.
    pub hash: Option<Vec<u8>>,
}

/// What a request has brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Chunks that were not given out before.
    pub kept: Kept,
    /// What comes after them: of a whole content, all of it if it is small, else nothing.
    pub tail: Vec<u8>,
    /// Digest of the content, if it is whole.
    pub sha256: Option<Digest>,
}

/// Takes in the bytes of one request.
///
/// After an error, or a call that was given up half way, it can only be dropped.
pub(crate) struct Appender {
    seat: Arc<Seat>,
    announce: Announce,
    small_limit: usize,
    pending: Step,
    work: Worker<Work, Vec<Cut>>,
    publishing: Option<(Option<Publishing>, Kept)>,
    kept: Kept,
    /// False while a call is under way, so that one which was given up is noticed.
    sound: bool,
}

/// Chunks of which some have no name yet.
struct Cut {
    kept: Kept,
    staged: Option<Staged>,
}

/// All that looks at the bytes. Blocking.
struct Work {
    whole: Hasher,
    /// Absent where the content is one blob.
    cutter: Option<Cutter>,
    stage: Stage,
    extra: Option<Extra>,
    /// The hash at the end of the last chunk.
    at_cut: Option<Hasher>,
    /// Bytes of the chunks that were cut since the last [`Cut`].
    cut_bytes: u64,
}

impl Kept {
    /// Bytes of the chunks.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len_bytes).sum()
    }

    /// Adds what follows.
    pub(crate) fn extend(&mut self, more: Self) {
        self.chunks.extend(more.chunks);
        self.hash = more.hash.or(self.hash.take());
    }
}

impl Appender {
    /// Goes on with a content; `extra` is fed what comes now.
    pub(crate) async fn new(
        blobs: Blobs,
        pool: &MemoryPool,
        start: Start,
        extra: Option<Extra>,
        announce: Announce,
    ) -> Self {
        let seat = Arc::new(pool.join());
        let most_bytes = u64::from(blobs.cutting().max_bytes);
        let is_one_blob = start.kept_bytes == 0 && start.size_bytes <= most_bytes;
        let mut work = Work {
            at_cut: start.hash.clone(),
            whole: start.hash.unwrap_or_default(),
            cutter: (!is_one_blob).then(|| Cutter::new(blobs.cutting())),
            stage: Stage::new(blobs, is_one_blob.then_some(most_bytes)),
            extra: None,
            cut_bytes: 0,
        };
        let again = seat.run(move || {
            let cuts = work.take(vec![start.tail])?;
            work.extra = extra;
            Ok((work, cuts))
        });
        Self {
            work: Worker::Busy(again.await),
            seat,
            announce,
            small_limit: start.small_limit,
            pending: Step::default(),
            publishing: None,
            kept: Kept::default(),
            sound: true,
        }
    }

    /// Takes the next bytes; returns when there is room for more.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Announce`] and [`Error::Io`] when bytes that came earlier could
    /// not be kept.
    pub(crate) async fn write(&mut self, mut frame: Bytes) -> Result<(), Error> {
        self.begin_call()?;
        while !frame.is_empty() {
            let step = self.seat.step_bytes();
            let room = step.saturating_sub(self.pending.bytes);
            let part = frame.split_to(frame.len().min(room));
            if !part.is_empty() {
                self.hold(part.len()).await?;
                self.pending.bytes += part.len();
                self.pending.frames.push(part);
            }
            if self.pending.bytes >= step {
                self.advance().await?;
            }
        }
        self.sound = true;
        Ok(())
    }

    /// What has become durable since the last call.
    pub(crate) fn take_kept(&mut self) -> Option<Kept> {
        let kept = std::mem::take(&mut self.kept);
        (!kept.chunks.is_empty()).then_some(kept)
    }

    /// Ends the request; with `is_whole` the content too. All its chunks are durable then.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) async fn end(mut self, is_whole: bool) -> Result<Ended, Error> {
        self.begin_call()?;
        let (mut work, cuts) = self.work.take().await?;
        self.publish(cuts).await?;
        let Step { frames, held, .. } = std::mem::take(&mut self.pending);
        let small_limit = self.small_limit;
        let last = self.seat.run(move || {
            let mut cuts = work.take(frames)?;
            drop(held);
            let (cut, tail, sha256) = if is_whole {
                work.finish(small_limit, &mut cuts)?
            } else {
                work.suspend()?
            };
            cuts.push(cut);
            Ok((cuts, tail, sha256))
        });
        let (cuts, tail, sha256) = last.await.wait().await?;
        self.publish(Some(cuts)).await?;
        self.published().await?;
        Ok(Ended {
            kept: std::mem::take(&mut self.kept),
            tail,
            sha256,
        })
    }

    fn begin_call(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.sound, false) {
            Ok(())
        } else {
            Err(broken())
        }
    }

    /// Takes memory for so many more pending bytes.
    async fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        let held = self.pending.held.as_ref().map_or(0, Held::num_permits);
        let needed = (self.pending.bytes + bytes).saturating_sub(held);
        if needed == 0 {
            return Ok(());
        }
        let more = if let Some(more) = self.seat.try_take(needed) {
            more
        } else {
            // Whoever waits holds nothing.
            self.drain().await?;
            self.seat.take(bytes).await
        };
        match &mut self.pending.held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Sends the pending step on its way, and what was cut before to its names.
    async fn advance(&mut self) -> Result<(), Error> {
        let (mut work, cuts) = self.work.take().await?;
        let Step { frames, held, .. } = std::mem::take(&mut self.pending);
        let job = self.seat.run(move || {
            let cuts = work.take(frames)?;
            drop(held);
            Ok((work, cuts))
        });
        self.work = Worker::Busy(job.await);
        self.publish(cuts).await
    }

    /// Brings everything that is held in memory to disk.
    async fn drain(&mut self) -> Result<(), Error> {
        if self.pending.bytes > 0 {
            self.advance().await?;
        }
        self.pending.held = None;
        let (work, cuts) = self.work.take().await?;
        self.work = Worker::Idle(work);
        self.publish(cuts).await
    }

    /// Starts to give chunks their names, after those before have theirs.
    async fn publish(&mut self, cuts: Option<Vec<Cut>>) -> Result<(), Error> {
        for Cut { kept, staged } in cuts.into_iter().flatten() {
            self.published().await?;
            let staged = staged.map(|staged| Publishing::start(staged, &self.seat, &self.announce));
            self.publishing = Some((staged, kept));
        }
        Ok(())
    }

    async fn published(&mut self) -> Result<(), Error> {
        if let Some((publishing, kept)) = self.publishing.take() {
            if let Some(publishing) = publishing {
                publishing.wait().await?;
            }
            self.kept.extend(kept);
        }
        Ok(())
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        // Removing files blocks; where there is no runtime any more, that is no harm.
        if let Worker::Idle(work) = std::mem::replace(&mut self.work, Worker::Lost)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(work));
        }
    }
}

impl Work {
    /// Takes the next frames; what is to get its names now.
    fn take(&mut self, frames: Vec<Bytes>) -> Result<Vec<Cut>, Error> {
        let mut pieces = Vec::with_capacity(frames.len() + 2);
        for frame in frames {
            if let Some(extra) = &mut self.extra {
                extra(&frame);
            }
            match &mut self.cutter {
                Some(cutter) => cutter.push(frame, &mut pieces),
                None => pieces.push(Piece::Data(frame)),
            }
        }
        self.put(pieces)
    }

    fn put(&mut self, pieces: Vec<Piece>) -> Result<Vec<Cut>, Error> {
        let (mut cuts, mut data) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Data(bytes) => {
                    self.whole.update(&bytes);
                    data.push(bytes);
                }
                Piece::End => {
                    self.stage.append(&data)?;
                    data.clear();
                    self.cut_bytes += self.stage.open_bytes();
                    self.stage.end()?;
                    self.at_cut = Some(self.whole.clone());
                    if self.cut_bytes >= CUT_BYTES {
                        cuts.push(self.cut());
                    }
                }
            }
        }
        self.stage.append(&data)?;
        Ok(cuts)
    }

    /// All chunks since the last time.
    fn cut(&mut self) -> Cut {
        let (chunks, staged) = self.stage.take_cut();
        self.cut_bytes = 0;
        let hash = self.at_cut.as_ref().filter(|_| !chunks.is_empty());
        let kept = Kept {
            hash: hash.map(Hasher::save),
            chunks,
        };
        Cut { kept, staged }
    }

    /// The request ends, the content does not.
    fn suspend(mut self) -> Result<(Cut, Vec<u8>, Option<Digest>), Error> {
        let mut pieces = Vec::new();
        if let Some(cutter) = &mut self.cutter {
            cutter.finish(&mut pieces);
        }
        for piece in pieces {
            if let Piece::Data(bytes) = piece {
                self.stage.append(&[bytes])?;
            }
        }
        let tail = self.stage.take_open()?;
        Ok((self.cut(), tail, None))
    }

    /// The content ends.
    fn finish(
        mut self,
        small_limit: usize,
        cuts: &mut Vec<Cut>,
    ) -> Result<(Cut, Vec<u8>, Option<Digest>), Error> {
        if let Some(cutter) = &mut self.cutter {
            let mut pieces = Vec::new();
            cutter.finish(&mut pieces);
            cuts.extend(self.put(pieces)?);
            return Ok((self.cut(), Vec::new(), Some(self.whole.finish())));
        }
        let sha256 = self.whole.finish();
        if self.stage.open_bytes() <= small_limit as u64 {
            let tail = self.stage.take_open()?;
            return Ok((self.cut(), tail, Some(sha256)));
        }
        let (body, staged) = self.stage.finish(Some(sha256))?;
        let ContentBody::Blob(blob) = body else {
            unreachable!("without cuts there is one blob");
        };
        let kept = Kept {
            chunks: vec![blob],
            hash: None,
        };
        let staged = staged.into_iter().next();
        Ok((Cut { kept, staged }, Vec::new(), Some(sha256)))
    }
}
