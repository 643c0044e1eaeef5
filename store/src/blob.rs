//! Where blobs are kept.
//!
//! A blob is immutable, named by its SHA-256, and trusted once it has its name: whoever finds a name
//! may refer to it without writing the bytes again. So a backend gives a name only to bytes that
//! already are on stable storage.

#[cfg(test)]
pub(crate) mod conformance;
pub(crate) mod local;

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::Cutting;
use crate::content::{Error, Frame};
use crate::digest::{Digest, Hasher};
use crate::manifest::ChunkRef;

/// A handle to the place where blobs are kept.
#[derive(Clone)]
pub(crate) struct Blobs(Arc<dyn BlobStore>);

impl Blobs {
    pub(crate) fn new(store: impl BlobStore) -> Self {
        Self(Arc::new(store))
    }
}

impl Deref for Blobs {
    type Target = dyn BlobStore;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// A place for blobs.
///
/// All methods may block, except [`BlobStore::open_cached`] and [`BlobFile::read_cached`], so they
/// are called on blocking threads. None of them knows who refers to a blob.
pub(crate) trait BlobStore: Send + Sync + 'static {
    /// How content for this place is cut.
    fn cutting(&self) -> Cutting {
        Cutting::LOCAL
    }

    /// Begins a batch of new blobs.
    fn stage(&self) -> Result<Box<dyn Batch>, Error>;

    /// Opens a blob and checks its length, not its bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is missing or has another length.
    fn open(&self, blob: &ChunkRef) -> Result<Box<dyn BlobFile>, Error>;

    /// As [`BlobStore::open`], but `None` when that would have to wait, or failed.
    fn open_cached(&self, _blob: &ChunkRef) -> Option<Box<dyn BlobFile>> {
        None
    }

    /// Removes a blob and says whether there was one. The removal may be undone by a crash.
    fn remove(&self, digest: &Digest) -> Result<bool, Error>;

    /// Takes a blob whose bytes are wrong out of use, but keeps it for inspection, beside all that
    /// are kept already. `wrong` is what was read: what has the name by now stays if it is another.
    fn quarantine(&self, digest: &Digest, wrong: &dyn BlobFile) -> Result<(), Error>;

    /// All blobs with their lengths in bytes, in no order. What comes or goes meanwhile may be missed.
    #[expect(
        clippy::type_complexity,
        reason = "an iterator of pairs, in a trait object"
    )]
    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<(Digest, u64), Error>> + Send>, Error>;

    /// Bytes that can still be stored.
    fn free_bytes(&self) -> Result<u64, Error>;

    /// Writes, syncs and reads something tiny.
    fn ping(&self) -> Result<(), Error>;
}

impl dyn BlobStore {
    /// Reads a whole short blob and checks its digest. A blob with wrong bytes is quarantined.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is missing or wrong.
    pub(crate) fn read_all(&self, blob: &ChunkRef) -> Result<Bytes, Error> {
        let len_bytes = usize::try_from(blob.len_bytes).expect("what is read at once is short");
        let mut data = Vec::with_capacity(len_bytes);
        self.read_through(blob, |piece| data.extend_from_slice(piece))?;
        Ok(data.into())
    }

    /// Shows all bytes of a blob in order, and returns it, open, when its digest was right. What was
    /// seen is to be forgotten otherwise. A blob with wrong bytes is quarantined.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is missing or wrong.
    pub(crate) fn read_through(
        &self,
        blob: &ChunkRef,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Box<dyn BlobFile>, Error> {
        let file = self.open(blob)?;
        file.will_be_read();
        let mut hasher = Hasher::default();
        let mut frame = Frame::for_bytes(blob.len_bytes);
        let mut at = 0;
        while at < blob.len_bytes {
            let piece = frame.buffer();
            let left = usize::try_from(blob.len_bytes - at).unwrap_or(usize::MAX);
            let len = piece.len().min(left);
            let piece = &mut piece[..len];
            file.read_exact_at(piece, at, blob)?;
            hasher.update(piece);
            see(piece);
            at += len as u64;
        }
        if hasher.finish() == blob.digest {
            return Ok(file);
        }
        Err(self.wrong(&blob.digest, &*file))
    }

    /// Puts a blob aside that was found to hold other bytes than its name says; the error to end
    /// the reading with.
    pub(crate) fn wrong(&self, digest: &Digest, file: &dyn BlobFile) -> Error {
        tracing::error!(
            blob.digest = %digest,
            "blob holds other bytes than its name says; it is moved to the quarantine",
        );
        match self.quarantine(digest, file) {
            Ok(()) => Error::Corrupt { digest: *digest },
            Err(error) => error,
        }
    }
}

/// Blobs that are written but have no name yet. Dropped before [`Batch::publish`], they are gone.
///
/// One blob is written at a time: [`Batch::append`] begins or continues it, [`Batch::seal`] ends it.
/// After an error the batch is only good for being dropped; in particular a failed sync is not tried
/// again, because the system may have forgotten the bytes it could not write.
pub(crate) trait Batch: Send {
    /// Adds bytes to the blob being written.
    fn append(&mut self, parts: &[Bytes]) -> Result<(), Error>;

    /// Ends the blob being written, whose digest and length the caller has computed.
    fn seal(&mut self, blob: ChunkRef) -> Result<(), Error>;

    /// Forgets the blob being written and gives back its bytes to read.
    fn take_back(&mut self) -> Result<Box<dyn BlobFile>, Error>;

    /// Makes the bytes of all sealed blobs durable.
    fn sync(&mut self) -> Result<(), Error>;

    /// Gives all sealed blobs their names and returns when these are durable. Syncs first if need be.
    ///
    /// A blob that has the name already is replaced: these bytes are known to be right, and nobody
    /// may have read the others for long.
    fn publish(self: Box<Self>) -> Result<(), Error>;
}

/// An open blob. It stays readable when it is removed.
pub(crate) trait BlobFile: Send + Sync {
    /// Reads at least one byte at `offset`, or none at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error>;

    /// As [`BlobFile::read_at`], but `None` when that would have to wait.
    fn read_cached(&self, _buffer: &mut [u8], _offset: u64) -> Result<Option<usize>, Error> {
        Ok(None)
    }

    /// Tells this apart from what gets the same name later.
    fn identity(&self) -> Result<(u64, u64), Error>;

    /// Says that all of the blob is about to be read.
    fn will_be_read(&self) {}
}

impl dyn BlobFile {
    /// Fills the whole buffer from `offset`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when `blob`, which this is, ends too early.
    pub(crate) fn read_exact_at(
        &self,
        mut buffer: &mut [u8],
        mut offset: u64,
        blob: &ChunkRef,
    ) -> Result<(), Error> {
        while !buffer.is_empty() {
            let read = self.read_at(buffer, offset)?;
            if read == 0 {
                tracing::error!(blob.digest = %blob.digest, "blob became shorter while it was read");
                return Err(Error::Corrupt {
                    digest: blob.digest,
                });
            }
            buffer = &mut buffer[read..];
            offset += read as u64;
        }
        Ok(())
    }
}
