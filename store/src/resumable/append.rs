//! One request that brings bytes.
//!
//! A task of its own takes them in: a client that goes away takes its request along, but what it has
//! sent is to be kept.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::running::Turn;
use super::{Resumable, rows};
use crate::access;
use crate::caller::Caller;
use crate::content::{Appender, Kept, Start};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::id::UploadId;
use crate::pin::Pinned;
use crate::store::Store;
use crate::upload::{DISK_CHECK_BYTES, ExtraHash, UploadPlace};

/// Frames that are under way to the task.
const FRAMES: usize = 8;

/// What a request wants besides.
#[derive(Default)]
pub struct AppendOptions {
    /// Another hash to feed with the bytes of this request.
    pub extra: Option<ExtraHash>,
    /// Asked when all of them were fed to it: `false` discards them. With this, nothing is kept of a
    /// request that breaks off.
    pub check: Option<Box<dyn FnOnce() -> bool + Send>>,
}

/// A request that brings bytes. Dropped, it has broken off: what has come is kept.
pub struct Appending {
    frames: mpsc::Sender<Message>,
    task: JoinHandle<Result<Resumable>>,
    left_bytes: u64,
}

enum Message {
    Frame(Bytes),
    /// The request ends as it should.
    End,
}

/// How a request came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    BrokenOff,
    /// Somebody asked how far the upload is.
    Displaced,
}

impl Store {
    /// Goes on with an upload at `offset_bytes`, which must be where it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OffsetMismatch`], [`Error::UploadBusy`] while another request
    /// brings bytes, [`Error::Forbidden`] for a credential that only reads or a right that is less
    /// now, [`Error::DiskFull`],
    /// [`Error::Limit`] when too many uploads are under way.
    pub async fn append(
        &self,
        caller: &Caller,
        id: UploadId,
        offset_bytes: u64,
        options: AppendOptions,
    ) -> Result<Appending> {
        access::require_write(caller)?;
        let found = self.resumable(caller, id).await?.ok_or(Error::NotFound)?;
        let into = found.caller(caller)?;
        let turn = Turn::take(self, id).await.ok_or(Error::UploadBusy)?;
        let place = self.upload_place(caller)?;
        self.require_room(0)?;
        let (user, now_ms, expires_at) = (caller.user, self.world().now_ms(), self.upload_expiry());
        let begun = self
            .db()
            .write(move |tx| {
                // Whoever takes a right back ends the uploads that came by it, so the drive need not
                // be held.
                access::recheck(tx, &into, now_ms)?;
                if let Some(begun) = rows::begin(tx, user, id, offset_bytes, now_ms, expires_at)? {
                    return Ok(begun);
                }
                let found = rows::find(tx, user, id, now_ms)?.ok_or(Error::NotFound)?;
                Err(Error::OffsetMismatch {
                    offset_bytes: found.offset_bytes,
                })
            })
            .await?;
        let rows::Begun {
            upload,
            number,
            hash,
            tail,
        } = begun;
        let hash = hash.map(|saved| Hasher::load(&saved).ok_or(Error::malformed("hash state")));
        let start = Start {
            hash: hash.transpose()?,
            kept_bytes: upload.offset_bytes - tail.len() as u64,
            tail: tail.into(),
            size_bytes: upload.size_bytes,
            small_limit: self.options().small_limit_bytes,
        };
        let pinned = Pinned::new(self);
        let (blobs, announce) = (self.blobs().clone(), pinned.announce());
        let appender = Appender::new(blobs, self.pool(), start, options.extra, announce).await;
        let (frames, received) = mpsc::channel(FRAMES);
        let left_bytes = upload.size_bytes - upload.offset_bytes;
        let session = Session {
            store: self.clone(),
            began_at_bytes: upload.offset_bytes,
            upload,
            number,
            check: options.check,
            pinned,
            turn,
            _place: place,
        };
        let task = tokio::spawn(session.run(appender, received));
        Ok(Appending {
            frames,
            task,
            left_bytes,
        })
    }
}

impl Appending {
    /// Takes the next bytes; waits while the disk is slower than the client.
    ///
    /// # Errors
    /// [`Error::ContentMismatch`] for more than the upload has left, [`Error::UploadBusy`] when this
    /// was ended by another request; [`Error::DiskFull`], [`Error::Io`], …
    pub async fn write(&mut self, frame: Bytes) -> Result<()> {
        let len = frame.len() as u64;
        if len > self.left_bytes {
            return Err(Error::ContentMismatch("length"));
        }
        self.left_bytes -= len;
        if self.frames.send(Message::Frame(frame)).await.is_ok() {
            return Ok(());
        }
        match (&mut self.task).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(Error::UploadBusy),
        }
    }

    /// Ends the request: all that it has brought is durable when this returns.
    ///
    /// # Errors
    /// As [`Self::write`]; [`Error::ContentMismatch`] when the check failed.
    pub async fn finish(self) -> Result<Resumable> {
        let Self { frames, task, .. } = self;
        // If the task does not take it, it has an error to tell.
        let _ = frames.send(Message::End).await;
        drop(frames);
        outcome(task).await
    }

    /// The request broke off: what has come of it is kept.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn break_off(self) -> Result<Resumable> {
        drop(self.frames);
        outcome(self.task).await
    }
}

async fn outcome(task: JoinHandle<Result<Resumable>>) -> Result<Resumable> {
    // A task that is gone was shut down with the daemon.
    task.await.unwrap_or(Err(Error::Busy))
}

/// What the task of a request works with.
struct Session {
    store: Store,
    upload: Resumable,
    began_at_bytes: u64,
    number: i64,
    check: Option<Box<dyn FnOnce() -> bool + Send>>,
    pinned: Arc<Pinned>,
    turn: Turn,
    _place: UploadPlace,
}

impl Session {
    async fn run(
        mut self,
        mut appender: Appender,
        mut frames: mpsc::Receiver<Message>,
    ) -> Result<Resumable> {
        let mut held = Kept::default();
        let mut received_bytes = 0;
        let mut broken = End::BrokenOff;
        let end = loop {
            let message = tokio::select! {
                () = self.turn.must_end(), if broken == End::BrokenOff => {
                    // What is under way already is taken.
                    frames.close();
                    broken = End::Displaced;
                    continue;
                }
                message = frames.recv() => message,
            };
            match message {
                Some(Message::Frame(frame)) => {
                    let checks = received_bytes / DISK_CHECK_BYTES;
                    received_bytes += frame.len() as u64;
                    appender.write(frame).await?;
                    if received_bytes / DISK_CHECK_BYTES > checks {
                        self.store.require_room(0)?;
                    }
                }
                Some(Message::End) => break End::Whole,
                None => break broken,
            }
            match appender.take_kept() {
                Some(kept) if self.check.is_some() => held.extend(kept),
                Some(kept) => self.keep(kept, Vec::new(), None).await?,
                None => {}
            }
        };
        self.turn.is_ending();
        // Nobody sends into a request that has been given up.
        drop(frames);
        if self.check.is_none() || end == End::Whole {
            let is_whole = self.began_at_bytes + received_bytes == self.upload.size_bytes;
            self.end(appender, held, is_whole).await?;
        }
        match end {
            End::Whole | End::BrokenOff => Ok(self.upload),
            End::Displaced => Err(Error::UploadBusy),
        }
    }

    async fn end(&mut self, appender: Appender, mut held: Kept, is_whole: bool) -> Result<()> {
        let ended = appender.end(is_whole).await?;
        if self.check.take().is_some_and(|check| !check()) {
            return Err(Error::ContentMismatch("checksum"));
        }
        held.extend(ended.kept);
        self.keep(held, ended.tail, ended.sha256).await?;
        self.pinned.referred_to();
        Ok(())
    }

    /// Writes down how far the upload has come.
    async fn keep(&mut self, kept: Kept, tail: Vec<u8>, sha256: Option<Digest>) -> Result<()> {
        let brought = self
            .pinned
            .brought(kept.chunks.iter().map(|chunk| chunk.digest));
        let (id, number) = (self.upload.id, self.number);
        let (now_ms, expires_at) = (self.store.world().now_ms(), self.store.upload_expiry());
        let offset_bytes = self
            .store
            .db()
            .write(move |tx| {
                let progress = rows::Progress {
                    kept: &kept,
                    brought: &brought,
                    tail: &tail,
                    sha256,
                    expires_at,
                };
                rows::advance(tx, id, number, &progress, now_ms)?.ok_or(Error::UploadBusy)
            })
            .await?;
        self.upload.offset_bytes = offset_bytes;
        self.upload.sha256 = sha256;
        self.upload.expires_at = expires_at;
        Ok(())
    }
}
