//! Takes bytes in.
//!
//! Three things go on at once: the network fills a step, the step before it is hashed and cut, and
//! the chunks of the one before that are hashed and written. Blocking jobs are short and start only
//! when there is something to do, so an upload that stalls holds no thread, and a writer that is
//! dropped leaves nothing running and, once its last job has ended, nothing in `incoming`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::hash::{Extra, Hash};
use super::pool::{Held, Job, MemoryPool, Seat};
use super::stage::{Stage, Staged};
use super::{Announce, Content, ContentBody, Error};
use crate::blob::Blobs;
use crate::chunk::{Cutter, Piece};
use crate::digest::Hasher;

/// Takes in the bytes of one content.
///
/// After an error, or a call that was given up half way, it can only be dropped.
pub(crate) struct ContentWriter {
    seat: Arc<Seat>,
    announce: Announce,
    expected_bytes: Option<u64>,
    small_limit: usize,
    form: Form,
    size_bytes: u64,
    pending: Step,
    hash: Worker<Hash, Pieces>,
    stage: Worker<Stage, ()>,
    publishing: Option<Publishing>,
    /// Bytes are on their way to disk, so this content is not small.
    advanced: bool,
    /// False while a call is under way, so that one which was given up is noticed.
    sound: bool,
}

/// What a writer makes of its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A content of its own.
    Whole,
    /// The middle of another content: always chunks, and nobody asks for its digest.
    Middle,
    /// One blob whatever the length, also where there are few bytes or none.
    OneBlob,
}

/// Frames that are worked on together.
#[derive(Default)]
pub(super) struct Step {
    pub(super) frames: Vec<Bytes>,
    pub(super) bytes: usize,
    pub(super) held: Option<Held>,
}

/// A step after it was hashed and cut, with its memory.
type Pieces = (Vec<Piece>, Option<Held>);

impl ContentWriter {
    /// Begins a content; waits until there is memory for a small one.
    ///
    /// `expected_bytes` is a promise: [`ContentWriter::finish`] fails when it is not kept. Content up
    /// to `small_limit` bytes stays in memory.
    pub(crate) async fn new(
        blobs: Blobs,
        pool: &MemoryPool,
        expected_bytes: Option<u64>,
        small_limit: usize,
        announce: Announce,
    ) -> Result<Self, Error> {
        let form = Form::Whole;
        Ok(Self::with_form(blobs, pool, expected_bytes, small_limit, announce, form).await)
    }

    /// As [`ContentWriter::new`], for content that becomes one blob whatever its length.
    pub(crate) async fn one_blob(
        blobs: Blobs,
        pool: &MemoryPool,
        expected_bytes: Option<u64>,
        announce: Announce,
    ) -> Self {
        Self::with_form(blobs, pool, expected_bytes, 0, announce, Form::OneBlob).await
    }

    pub(super) async fn with_form(
        blobs: Blobs,
        pool: &MemoryPool,
        expected_bytes: Option<u64>,
        small_limit: usize,
        announce: Announce,
        form: Form,
    ) -> Self {
        let small_limit = if form == Form::Whole { small_limit } else { 0 };
        let seat = Arc::new(pool.join());
        let likely = expected_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let held = match likely.unwrap_or(usize::MAX).min(small_limit) {
            0 => None,
            bytes => Some(seat.take(bytes).await),
        };
        // How long one blob may become, if the content may be one, and whether it will be.
        let (most_head_bytes, one_blob) = match form {
            Form::Whole => {
                let most_bytes = u64::from(blobs.cutting().max_bytes);
                let fits = expected_bytes.map(|bytes| bytes <= most_bytes);
                (
                    (fits != Some(false)).then_some(most_bytes),
                    fits == Some(true),
                )
            }
            Form::Middle => (None, false),
            Form::OneBlob => (Some(u64::MAX), true),
        };
        let hash = Hash {
            whole: (form != Form::Middle).then(Hasher::default),
            cutter: (!one_blob).then(|| Cutter::new(blobs.cutting())),
            extra: None,
        };
        Self {
            seat,
            announce,
            expected_bytes,
            small_limit,
            form,
            size_bytes: 0,
            pending: Step {
                held,
                ..Step::default()
            },
            hash: Worker::Idle(hash),
            stage: Worker::Idle(Stage::new(blobs, most_head_bytes)),
            publishing: None,
            advanced: false,
            sound: true,
        }
    }

    /// Also feeds all bytes, in order, to `extra`, which is dropped before `finish` returns.
    pub(crate) fn with_extra(mut self, extra: Extra) -> Self {
        if let Worker::Idle(hash) = &mut self.hash {
            hash.extra = Some(extra);
        }
        self
    }

    /// Takes the next bytes; returns when there is room for more.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when more bytes come than were promised; [`Error::DiskFull`],
    /// [`Error::Announce`] and [`Error::Io`] when bytes that came earlier could not be kept.
    pub(crate) async fn write(&mut self, mut frame: Bytes) -> Result<(), Error> {
        self.begin_call()?;
        let size_bytes = self.size_bytes + frame.len() as u64;
        if self
            .expected_bytes
            .is_some_and(|expected| size_bytes > expected)
        {
            return Err(self.mismatch(size_bytes));
        }
        while !frame.is_empty() {
            // More than the small limit, so that small content is never on its way already.
            let step = self
                .seat
                .step_bytes()
                .max(self.small_limit.saturating_add(1));
            let room = step.saturating_sub(self.pending.bytes);
            let part = frame.split_to(frame.len().min(room));
            if !part.is_empty() {
                self.hold(part.len()).await?;
                self.pending.bytes += part.len();
                self.pending.frames.push(part);
            }
            if self.pending.bytes >= step {
                self.advance(false).await?;
            }
        }
        self.size_bytes = size_bytes;
        self.sound = true;
        Ok(())
    }

    /// Has a chunk end after the bytes that came so far.
    ///
    /// # Errors
    /// As [`ContentWriter::write`].
    pub(super) async fn cut(&mut self) -> Result<(), Error> {
        self.begin_call()?;
        self.advance(true).await?;
        self.sound = true;
        Ok(())
    }

    /// Ends the content. All its blobs are durable under their names when this returns.
    ///
    /// # Errors
    /// As [`ContentWriter::write`].
    pub(crate) async fn finish(mut self) -> Result<Content, Error> {
        self.begin_call()?;
        let size_bytes = self.size_bytes;
        if self
            .expected_bytes
            .is_some_and(|expected| size_bytes != expected)
        {
            return Err(self.mismatch(size_bytes));
        }
        let (mut hash, hashed) = self.hash.take().await?;
        let Step { frames, held, .. } = std::mem::take(&mut self.pending);
        let is_small = !self.advanced && size_bytes <= self.small_limit as u64;
        if is_small && self.form != Form::OneBlob {
            return Ok(small(hash, frames));
        }
        if let Some(pieces) = hashed {
            self.write_down(pieces).await?;
        }
        self.publish_full().await?;
        let (mut stage, _) = self.stage.take().await?;
        let last = self.seat.run(move || {
            let mut pieces = hash.take(frames);
            let sha256 = hash.finish(&mut pieces);
            stage.take(pieces)?;
            drop(held);
            Ok((sha256, stage.finish(sha256)?))
        });
        let (sha256, (body, rest)) = last.await.wait().await?;
        if let Some(publishing) = self.publishing.take() {
            publishing.wait().await?;
        }
        for staged in rest {
            staged.publish(&self.seat, &self.announce).await?;
        }
        Ok(Content {
            sha256,
            size_bytes,
            body,
        })
    }

    fn begin_call(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.sound, false) {
            Ok(())
        } else {
            Err(broken())
        }
    }

    fn mismatch(&self, got_bytes: u64) -> Error {
        let expected_bytes = self.expected_bytes.unwrap_or(got_bytes);
        Error::LengthMismatch {
            expected_bytes,
            got_bytes,
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

    /// Sends the pending step on its way, and the one before it further. A chunk may be cut after it.
    async fn advance(&mut self, cuts: bool) -> Result<(), Error> {
        let (mut hash, hashed) = self.hash.take().await?;
        self.advanced = true;
        let Step { frames, held, .. } = std::mem::take(&mut self.pending);
        let job = self.seat.run(move || {
            let mut pieces = hash.take(frames);
            if cuts {
                hash.cut(&mut pieces);
            }
            Ok((hash, (pieces, held)))
        });
        self.hash = Worker::Busy(job.await);
        match hashed {
            Some(pieces) => self.write_down(pieces).await,
            None => Ok(()),
        }
    }

    async fn write_down(&mut self, (pieces, held): Pieces) -> Result<(), Error> {
        self.publish_full().await?;
        let (mut stage, _) = self.stage.take().await?;
        let job = self.seat.run(move || {
            stage.take(pieces)?;
            drop(held);
            Ok((stage, ()))
        });
        self.stage = Worker::Busy(job.await);
        Ok(())
    }

    /// Waits until the stage is idle and starts to publish what it has completed. One batch is
    /// published while the next one fills; the disk may be slower than the network.
    async fn publish_full(&mut self) -> Result<(), Error> {
        let (mut stage, _) = self.stage.take().await?;
        let full = stage.take_full();
        self.stage = Worker::Idle(stage);
        let Some(staged) = full else { return Ok(()) };
        if let Some(publishing) = self.publishing.take() {
            publishing.wait().await?;
        }
        self.publishing = Some(Publishing::start(staged, &self.seat, &self.announce));
        Ok(())
    }

    /// Brings everything that is held in memory to disk.
    async fn drain(&mut self) -> Result<(), Error> {
        if self.pending.bytes > 0 {
            self.advance(false).await?;
        }
        self.pending.held = None;
        let (hash, hashed) = self.hash.take().await?;
        self.hash = Worker::Idle(hash);
        if let Some(pieces) = hashed {
            self.write_down(pieces).await?;
        }
        self.publish_full().await
    }
}

impl Drop for ContentWriter {
    fn drop(&mut self) {
        // Removing files blocks; where there is no runtime any more, that is no harm.
        if let Worker::Idle(stage) = std::mem::replace(&mut self.stage, Worker::Lost)
            && !stage.is_empty()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(stage));
        }
    }
}

fn small(mut hash: Hash, frames: Vec<Bytes>) -> Content {
    let data = match <[Bytes; 1]>::try_from(frames) {
        Ok([frame]) => frame,
        Err(frames) => frames
            .iter()
            .fold(BytesMut::new(), |mut all, frame| {
                all.extend_from_slice(frame);
                all
            })
            .freeze(),
    };
    hash.digest(&data);
    let size_bytes = data.len() as u64;
    let sha256 = hash.finish(&mut Vec::new());
    let body = if data.is_empty() {
        ContentBody::Empty
    } else {
        ContentBody::Small(data)
    };
    Content {
        sha256,
        size_bytes,
        body,
    }
}

pub(super) fn broken() -> Error {
    Error::io("go on with a content after an error")(std::io::ErrorKind::BrokenPipe.into())
}

/// A state that is either here or with its blocking job.
pub(super) enum Worker<S, O> {
    Idle(S),
    Busy(Job<(S, O)>),
    Lost,
}

impl<S, O> Worker<S, O> {
    /// Waits for the job under way, and takes the state and what the job made.
    pub(super) async fn take(&mut self) -> Result<(S, Option<O>), Error> {
        match std::mem::replace(self, Self::Lost) {
            Self::Idle(state) => Ok((state, None)),
            Self::Busy(job) => job.wait().await.map(|(state, made)| (state, Some(made))),
            Self::Lost => Err(broken()),
        }
    }
}

/// A batch that is being published, and no longer when this is dropped.
pub(super) struct Publishing(JoinHandle<Result<(), Error>>);

impl Publishing {
    pub(super) fn start(staged: Staged, seat: &Arc<Seat>, announce: &Announce) -> Self {
        let (seat, announce) = (Arc::clone(seat), Arc::clone(announce));
        Self(tokio::spawn(async move {
            staged.publish(&seat, &announce).await
        }))
    }

    pub(super) async fn wait(mut self) -> Result<(), Error> {
        (&mut self.0).await.map_err(Error::job)?
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.0.abort();
    }
}
