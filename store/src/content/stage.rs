//! The second half of an upload's work: hash each chunk and write it down, still without a name.

use std::collections::HashSet;

use bytes::Bytes;

use super::pool::Seat;
use super::{Announce, ContentBody, Error};
use crate::blob::{Batch, BlobFile, Blobs};
use crate::chunk::Piece;
use crate::digest::{Digest, Hasher};
use crate::manifest::ChunkRef;

/// Blobs are given their names after so many bytes: a long upload then neither needs its space
/// twice nor ends with a long sync.
const BATCH_BYTES: u64 = 64 << 20;

/// Writes the blobs of one content. Blocking.
pub(super) struct Stage {
    blobs: Blobs,
    /// While all of the content may be one blob: where it would be cut otherwise.
    head: Option<Vec<u64>>,
    /// How long that one blob may become.
    most_head_bytes: u64,
    current: Current,
    batch: Option<Staged>,
    full: Option<Staged>,
    /// What this content has staged; a chunk that repeats is written down once.
    seen: HashSet<Digest>,
    chunks: Vec<ChunkRef>,
}

/// The blob being written.
#[derive(Default)]
struct Current {
    hasher: Hasher,
    len_bytes: u64,
}

/// Blobs that wait for their names.
pub(super) struct Staged {
    batch: Box<dyn Batch>,
    blobs: Vec<ChunkRef>,
    size_bytes: u64,
}

impl Stage {
    /// Content that turns out no longer than `most_head_bytes` becomes one blob instead of chunks.
    pub(super) fn new(blobs: Blobs, most_head_bytes: Option<u64>) -> Self {
        Self {
            blobs,
            head: most_head_bytes.map(|_| Vec::new()),
            most_head_bytes: most_head_bytes.unwrap_or(0),
            current: Current::default(),
            batch: None,
            full: None,
            seen: HashSet::new(),
            chunks: Vec::new(),
        }
    }

    /// Whether nothing was written that would have to be removed.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_none() && self.full.is_none()
    }

    /// Writes the next pieces.
    pub(super) fn take(&mut self, pieces: Vec<Piece>) -> Result<(), Error> {
        let mut data = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Data(bytes) => data.push(bytes),
                Piece::End => {
                    self.append(&data)?;
                    data.clear();
                    self.end()?;
                }
            }
        }
        self.append(&data)
    }

    /// A batch that is large enough to be published, once after each [`Stage::take`].
    pub(super) fn take_full(&mut self) -> Option<Staged> {
        self.full.take()
    }

    /// What was cut since the last call, in order, and those of its blobs that have no name yet. To
    /// be called only between two blobs.
    pub(super) fn take_cut(&mut self) -> (Vec<ChunkRef>, Option<Staged>) {
        debug_assert_eq!(self.current.len_bytes, 0, "a blob is being written");
        debug_assert!(self.full.is_none(), "so many bytes are never left uncut");
        let staged = self.batch.take().filter(|staged| !staged.blobs.is_empty());
        (std::mem::take(&mut self.chunks), staged)
    }

    /// Length of the blob that is being written.
    pub(super) fn open_bytes(&self) -> u64 {
        self.current.len_bytes
    }

    /// Takes back the bytes of the blob that is being written.
    pub(super) fn take_open(&mut self) -> Result<Vec<u8>, Error> {
        let len_bytes = std::mem::take(&mut self.current).len_bytes;
        if len_bytes == 0 {
            return Ok(Vec::new());
        }
        let file = self.batch()?.take_back()?;
        read(&*file, 0, len_bytes)
    }

    /// Ends the content with this digest and returns it, and what is not published yet.
    pub(super) fn finish(
        mut self,
        whole: Option<Digest>,
    ) -> Result<(ContentBody, Vec<Staged>), Error> {
        let body = match (self.head.take(), whole) {
            (Some(_), Some(digest)) => {
                let blob = ChunkRef {
                    digest,
                    len_bytes: self.current.len_bytes,
                };
                // No bytes at all are a blob too, where one is asked for whatever the length.
                self.batch()?.append(&[])?;
                self.seal(blob)?;
                ContentBody::Blob(blob)
            }
            _ => ContentBody::Chunks(self.chunks),
        };
        let rest = self.full.into_iter().chain(self.batch);
        Ok((
            body,
            rest.filter(|staged| !staged.blobs.is_empty()).collect(),
        ))
    }

    /// Adds to the blob being written.
    pub(super) fn append(&mut self, data: &[Bytes]) -> Result<(), Error> {
        let added: u64 = data.iter().map(|bytes| bytes.len() as u64).sum();
        if added == 0 {
            return Ok(());
        }
        if self.head.is_some() && self.current.len_bytes + added > self.most_head_bytes {
            self.cut_head()?;
        }
        if self.head.is_none() {
            for bytes in data {
                self.current.hasher.update(bytes);
            }
        }
        self.batch()?.append(data)?;
        self.current.len_bytes += added;
        Ok(())
    }

    /// Ends the blob being written.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if let Some(ends) = &mut self.head {
            ends.push(self.current.len_bytes);
            return Ok(());
        }
        let digest = self.current.hasher.finish();
        let blob = ChunkRef {
            digest,
            len_bytes: self.current.len_bytes,
        };
        self.chunks.push(blob);
        if self.seen.insert(digest) {
            self.seal(blob)?;
        } else {
            self.batch()?.take_back()?;
            self.current.len_bytes = 0;
        }
        Ok(())
    }

    fn seal(&mut self, blob: ChunkRef) -> Result<(), Error> {
        self.batch()?.seal(blob)?;
        self.current.len_bytes = 0;
        if let Some(staged) = &mut self.batch {
            staged.blobs.push(blob);
            staged.size_bytes += blob.len_bytes;
            if staged.size_bytes >= BATCH_BYTES {
                debug_assert!(self.full.is_none(), "one step fills no two batches");
                self.full = self.batch.take();
            }
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<&mut dyn Batch, Error> {
        let staged = match &mut self.batch {
            Some(staged) => staged,
            none => none.insert(Staged {
                batch: self.blobs.stage()?,
                blobs: Vec::new(),
                size_bytes: 0,
            }),
        };
        Ok(&mut *staged.batch)
    }

    /// The content is too long for one blob: what was written as such is written again as chunks.
    /// Only content of unknown length comes here, and at most 4 MiB of it.
    fn cut_head(&mut self) -> Result<(), Error> {
        let ends = self.head.take().unwrap_or_default();
        let whole = std::mem::take(&mut self.current).len_bytes;
        let head = self.batch()?.take_back()?;
        let mut at = 0;
        for end in ends {
            self.copy(&*head, at, end)?;
            self.end()?;
            at = end;
        }
        self.copy(&*head, at, whole)
    }

    fn copy(&mut self, from: &dyn BlobFile, start: u64, end: u64) -> Result<(), Error> {
        if start == end {
            return Ok(());
        }
        let data = read(from, start, end)?;
        self.append(&[data.into()])
    }
}

fn read(from: &dyn BlobFile, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(end - start).expect("a chunk is short");
    let mut data = vec![0; len];
    let mut at = 0;
    while at < data.len() {
        match from.read_at(&mut data[at..], start + at as u64)? {
            0 => {
                let short = std::io::ErrorKind::UnexpectedEof.into();
                return Err(Error::io("read back what was written")(short));
            }
            read => at += read,
        }
    }
    Ok(data)
}

impl Staged {
    /// Makes the blobs durable, announces them, and then gives them their names.
    pub(super) async fn publish(self, seat: &Seat, announce: &Announce) -> Result<(), Error> {
        let Self {
            mut batch, blobs, ..
        } = self;
        // The announcement is itself a durable write; the two need not wait for each other.
        let syncing = seat.run(move || batch.sync().map(|()| batch)).await;
        announce(blobs).await?;
        let batch = syncing.wait().await?;
        // The job runs to its end even if nobody waits for it. As long as it does, the caller's
        // announcement is not let go: it must not be taken back before the names are there.
        let announce = Announce::clone(announce);
        let naming = seat.run(move || {
            let named = batch.publish();
            drop(announce);
            named
        });
        naming.await.wait().await
    }
}
