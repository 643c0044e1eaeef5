//! Content in and out of a real folder, with faults put between.

mod appending;
mod reading;
mod splicing;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::{
    Announce, Content, ContentBody, ContentReader, ContentWriter, Error, MemoryPool, Verified,
    VerifyReads,
};
use crate::blob::local::LocalBlobs;
use crate::blob::{Batch, BlobFile, BlobStore, Blobs};
use crate::chunk::Cutting;
use crate::chunk::tests::TINY;
use crate::digest::Digest;
use crate::manifest::ChunkRef;

const SMALL: usize = 100;
/// Chunks that are small, but fewer than bytes in a step.
const MEDIUM: Cutting = Cutting {
    min_bytes: 4 << 10,
    average_bytes: 16 << 10,
    max_bytes: 64 << 10,
};

/// A folder for blobs, and what an upload needs.
struct Rig {
    folder: TempDir,
    blobs: Blobs,
    faults: Arc<Faults>,
    pool: MemoryPool,
    pool_bytes: usize,
    announced: Arc<Mutex<Vec<ChunkRef>>>,
}

/// What goes wrong, and how often something was asked for.
struct Faults {
    cutting: Cutting,
    free_bytes: AtomicU64,
    fail_syncs: AtomicBool,
    syncs: AtomicUsize,
    batches: AtomicUsize,
}

impl Rig {
    fn new() -> Self {
        Self::with(TINY, MemoryPool::BYTES)
    }

    fn with(cutting: Cutting, pool_bytes: usize) -> Self {
        // Many tiny files, and nothing here is about the disk.
        let memory = Path::new("/dev/shm");
        let folder = match cutting {
            TINY | MEDIUM if memory.is_dir() => TempDir::new_in(memory).unwrap(),
            _ => TempDir::new().unwrap(),
        };
        let local = LocalBlobs::open(folder.path(), folder.path()).unwrap();
        let faults = Arc::new(Faults {
            cutting,
            free_bytes: AtomicU64::new(u64::MAX),
            fail_syncs: AtomicBool::new(false),
            syncs: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
        });
        let blobs = Blobs::new(Faulty {
            local,
            faults: Arc::clone(&faults),
        });
        let announced = Arc::default();
        Self {
            folder,
            blobs,
            faults,
            pool: MemoryPool::new(pool_bytes),
            pool_bytes,
            announced,
        }
    }

    /// Records what is announced.
    fn announce(&self) -> Announce {
        let announced = Arc::clone(&self.announced);
        Arc::new(move |blobs| {
            announced.lock().unwrap().extend(blobs);
            Box::pin(async { Ok(()) })
        })
    }

    async fn writer(&self, expected_bytes: Option<u64>) -> ContentWriter {
        let (blobs, announce) = (self.blobs.clone(), self.announce());
        ContentWriter::new(blobs, &self.pool, expected_bytes, SMALL, announce)
            .await
            .unwrap()
    }

    async fn store(&self, data: &[u8]) -> Content {
        let mut writer = self.writer(Some(data.len() as u64)).await;
        writer.write(Bytes::copy_from_slice(data)).await.unwrap();
        writer.finish().await.unwrap()
    }

    fn reader(&self, content: &Content, verified: &Arc<Verified>) -> ContentReader {
        let range = 0..content.size_bytes;
        let verified = Arc::clone(verified);
        ContentReader::new(self.blobs.clone(), content.body.clone(), range, verified)
    }

    async fn read(&self, content: &Content) -> Vec<u8> {
        let verified = Arc::new(Verified::new(VerifyReads::Daily));
        let (data, error) = drain(self.reader(content, &verified)).await;
        assert!(error.is_none(), "{error:?}");
        data
    }

    fn incoming(&self) -> usize {
        self.folder
            .path()
            .join("incoming")
            .read_dir()
            .unwrap()
            .count()
    }

    fn path(&self, blob: &ChunkRef) -> PathBuf {
        let name = blob.digest.to_string();
        self.folder.path().join("store").join(&name[..2]).join(name)
    }

    fn stored_bytes(&self) -> u64 {
        self.blobs
            .list()
            .unwrap()
            .map(|listed| listed.unwrap().1)
            .sum()
    }

    /// Jobs of a dropped writer end on their own; then nothing is left of it.
    async fn assert_nothing_is_left(&self) {
        let clean = async {
            while self.incoming() > 0 || self.pool.free_bytes() < self.pool_bytes {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), clean)
            .await
            .expect("something is left");
    }
}

/// Reads to the end, or to the error.
async fn drain(mut reader: ContentReader) -> (Vec<u8>, Option<Error>) {
    let mut data = Vec::new();
    while let Some(frame) = reader.next().await {
        match frame {
            Ok(frame) => {
                assert!(!frame.is_empty());
                data.extend_from_slice(&frame);
            }
            Err(error) => {
                assert!(reader.next().await.is_none());
                return (data, Some(error));
            }
        }
    }
    (data, None)
}

fn chunks(content: &Content) -> &[ChunkRef] {
    match &content.body {
        ContentBody::Chunks(chunks) => chunks,
        ContentBody::Blob(blob) => std::slice::from_ref(blob),
        ContentBody::Empty | ContentBody::Small(_) => &[],
    }
}

/// The bytes, cut at these places.
fn frames(data: &[u8], splits: &[usize]) -> Vec<Bytes> {
    let all = Bytes::copy_from_slice(data);
    let mut splits: Vec<_> = splits
        .iter()
        .map(|split| split % (data.len() + 1))
        .collect();
    splits.extend([0, data.len()]);
    splits.sort_unstable();
    splits
        .windows(2)
        .map(|pair| all.slice(pair[0]..pair[1]))
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

struct Faulty {
    local: LocalBlobs,
    faults: Arc<Faults>,
}

impl BlobStore for Faulty {
    fn cutting(&self) -> Cutting {
        self.faults.cutting
    }
    fn stage(&self) -> Result<Box<dyn Batch>, Error> {
        self.faults.batches.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(FaultyBatch {
            batch: self.local.stage()?,
            faults: Arc::clone(&self.faults),
        }))
    }
    fn open(&self, blob: &ChunkRef) -> Result<Box<dyn BlobFile>, Error> {
        self.local.open(blob)
    }
    fn open_cached(&self, blob: &ChunkRef) -> Option<Box<dyn BlobFile>> {
        self.local.open_cached(blob)
    }
    fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        self.local.remove(digest)
    }
    fn quarantine(&self, digest: &Digest, wrong: &dyn BlobFile) -> Result<(), Error> {
        self.local.quarantine(digest, wrong)
    }
    fn list(&self) -> Result<Box<dyn Iterator<Item = Result<(Digest, u64), Error>> + Send>, Error> {
        self.local.list()
    }
    fn free_bytes(&self) -> Result<u64, Error> {
        self.local.free_bytes()
    }
    fn ping(&self) -> Result<(), Error> {
        self.local.ping()
    }
}

struct FaultyBatch {
    batch: Box<dyn Batch>,
    faults: Arc<Faults>,
}

impl Batch for FaultyBatch {
    fn append(&mut self, parts: &[Bytes]) -> Result<(), Error> {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let free = &self.faults.free_bytes;
        let taken = |left: u64| left.checked_sub(bytes);
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .map_err(|_| Error::DiskFull)?;
        self.batch.append(parts)
    }
    fn seal(&mut self, blob: ChunkRef) -> Result<(), Error> {
        self.batch.seal(blob)
    }
    fn take_back(&mut self) -> Result<Box<dyn BlobFile>, Error> {
        self.batch.take_back()
    }
    fn sync(&mut self) -> Result<(), Error> {
        self.faults.syncs.fetch_add(1, Ordering::Relaxed);
        if self.faults.fail_syncs.load(Ordering::Relaxed) {
            return Err(Error::io("sync a blob")(std::io::Error::from_raw_os_error(
                5,
            )));
        }
        self.batch.sync()
    }
    fn publish(self: Box<Self>) -> Result<(), Error> {
        self.batch.publish()
    }
}
