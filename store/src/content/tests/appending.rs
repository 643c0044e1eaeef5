use proptest::prelude::*;

use super::*;
use crate::chunk::tests::noise;
use crate::content::appender::Ended;
use crate::content::{Appender, Kept, Start};
use crate::digest::Hasher;

/// What a caller keeps of a content between two requests.
#[derive(Default)]
struct Row {
    kept: Kept,
    tail: Vec<u8>,
    sha256: Option<Digest>,
}

impl Rig {
    /// One request, given up unless it brings the end.
    async fn append(&self, row: &mut Row, size: usize, frames: Vec<Bytes>) {
        let start = Start {
            hash: row
                .kept
                .hash
                .as_deref()
                .map(|hash| Hasher::load(hash).unwrap()),
            tail: std::mem::take(&mut row.tail).into(),
            kept_bytes: row.kept.size_bytes(),
            size_bytes: size as u64,
            small_limit: SMALL,
        };
        let mut offset = start.kept_bytes + start.tail.len() as u64;
        let (blobs, announce) = (self.blobs.clone(), self.announce());
        let mut appender = Appender::new(blobs, &self.pool, start, None, announce).await;
        for frame in frames {
            offset += frame.len() as u64;
            appender.write(frame).await.unwrap();
            if let Some(kept) = appender.take_kept() {
                row.kept.extend(kept);
            }
        }
        let Ended { kept, tail, sha256 } = appender.end(offset == size as u64).await.unwrap();
        row.kept.extend(kept);
        (row.tail, row.sha256) = (tail, sha256);
        assert_eq!(row.kept.size_bytes() + row.tail.len() as u64, offset);
    }
}

impl Row {
    /// The body that a caller makes of it at the end.
    fn body(&self) -> ContentBody {
        match (&self.kept.chunks[..], &self.tail[..]) {
            ([], []) => ContentBody::Empty,
            ([], small) => ContentBody::Small(Bytes::copy_from_slice(small)),
            ([blob], []) => ContentBody::Blob(*blob),
            (chunks, []) => ContentBody::Chunks(chunks.to_vec()),
            _ => panic!("chunks and a tail"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn content_does_not_depend_on_how_many_requests_brought_it(
        seed: u64,
        (cutting, len) in prop_oneof![
            (Just(TINY), 0usize..300),
            (Just(TINY), 0usize..5_000),
            (Just(MEDIUM), 0usize..2_000_000),
        ],
        flat in 0usize..3_000,
        requests in proptest::collection::vec(any::<usize>(), 0..8),
        splits in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        let mut data = noise(seed, len);
        data.resize(len + flat, 7);
        runtime().block_on(async {
            // The smallest pool, for many small steps.
            let rig = Rig::with(cutting, 1 << 20);
            let mut row = Row::default();
            for request in frames(&data, &requests) {
                // With what is whole nobody goes on, be it with nothing.
                if row.sha256.is_some() {
                    break;
                }
                rig.append(&mut row, data.len(), frames(&request, &splits)).await;
            }
            let whole = rig.store(&data).await;
            assert_eq!(row.sha256, whole.sha256);
            assert_eq!(row.body(), whole.body);
            assert_eq!(rig.read(&whole).await, data);
            rig.assert_nothing_is_left().await;
        });
    }
}

/// A request that is never ended has still brought what got its names on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_is_kept_on_the_way() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let data = noise(30, 80 << 20);
    let start = Start {
        hash: None,
        tail: Bytes::new(),
        kept_bytes: 0,
        size_bytes: data.len() as u64 + 1,
        small_limit: SMALL,
    };
    let (blobs, announce) = (rig.blobs.clone(), rig.announce());
    let mut appender = Appender::new(blobs, &rig.pool, start, None, announce).await;
    let mut row = Row::default();
    for frame in data.chunks(1 << 20) {
        appender.write(Bytes::copy_from_slice(frame)).await.unwrap();
        if let Some(kept) = appender.take_kept() {
            row.kept.extend(kept);
        }
    }
    drop(appender);
    let kept = usize::try_from(row.kept.size_bytes()).unwrap();
    assert!(kept >= 32 << 20, "{kept}");
    for chunk in &row.kept.chunks {
        assert_eq!(
            std::fs::metadata(rig.path(chunk)).unwrap().len(),
            chunk.len_bytes
        );
    }
    rig.assert_nothing_is_left().await;
    rig.append(
        &mut row,
        data.len(),
        vec![Bytes::copy_from_slice(&data[kept..])],
    )
    .await;
    assert_eq!(row.sha256, Some(Digest::of(&data)));
    assert_eq!(row.body(), rig.store(&data).await.body);
}

#[tokio::test]
async fn what_comes_again_is_not_shown_to_the_extra_hash() {
    let rig = Rig::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    let start = Start {
        hash: None,
        tail: Bytes::from_static(b"before "),
        kept_bytes: 0,
        size_bytes: 100,
        small_limit: SMALL,
    };
    let extra = Box::new(move |bytes: &[u8]| shown.lock().unwrap().extend_from_slice(bytes));
    let (blobs, announce) = (rig.blobs.clone(), rig.announce());
    let mut appender = Appender::new(blobs, &rig.pool, start, Some(extra), announce).await;
    appender.write(Bytes::from_static(b"now")).await.unwrap();
    let ended = appender.end(false).await.unwrap();
    assert_eq!(ended.tail, b"before now");
    assert_eq!(*seen.lock().unwrap(), b"now");
}

#[tokio::test]
async fn a_request_whose_bytes_cannot_be_kept_fails() {
    let rig = Rig::new();
    let start = Start {
        hash: None,
        tail: Bytes::new(),
        kept_bytes: 0,
        size_bytes: 10_000,
        small_limit: SMALL,
    };
    rig.faults.free_bytes.store(2_000, Ordering::Relaxed);
    let (blobs, announce) = (rig.blobs.clone(), rig.announce());
    let mut appender = Appender::new(blobs, &rig.pool, start, None, announce).await;
    appender.write(noise(31, 9_000).into()).await.unwrap();
    let ended = appender.end(false).await;
    assert!(matches!(ended, Err(Error::DiskFull)), "{ended:?}");
    rig.assert_nothing_is_left().await;
}
