use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::chunk::tests::noise;
use crate::content::Splice;

async fn splice(rig: &Rig, old: &Content, offset: u64, frames: Vec<Bytes>) -> Content {
    let len = frames.iter().map(|frame| frame.len() as u64).sum();
    let (blobs, announce) = (rig.blobs.clone(), rig.announce());
    let (body, size_bytes) = (old.body.clone(), old.size_bytes);
    let new = Splice::new(
        blobs,
        &rig.pool,
        body,
        size_bytes,
        None,
        Some(len),
        SMALL,
        announce,
    );
    let mut splice = new.await;
    splice.seek(offset);
    for frame in frames {
        splice.write(frame).await.unwrap();
    }
    splice.finish().await.unwrap()
}

/// What a ranged write means.
fn model(data: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if new.is_empty() {
        return;
    }
    data.resize(data.len().max(offset + new.len()), 0);
    data[offset..offset + new.len()].copy_from_slice(new);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn ranged_writes_are_those_of_a_plain_file(
        len in prop_oneof![0usize..300, 0usize..3_000, 0usize..30_000],
        writes in proptest::collection::vec(
            (0usize..40_000, prop_oneof![0usize..10, 0usize..600, 0usize..20_000], any::<usize>()),
            1..6,
        ),
    ) {
        let mut data = noise(30, len);
        runtime().block_on(async {
            let rig = Rig::new();
            let mut content = rig.store(&data).await;
            for (offset, len, split) in writes {
                let new = noise(31 + offset as u64, len);
                content = splice(&rig, &content, offset as u64, frames(&new, &[split])).await;
                model(&mut data, offset, &new);
                assert_eq!(content.size_bytes, data.len() as u64);
                assert_eq!(content.sha256, Some(Digest::of(&data)));
                assert_eq!(rig.read(&content).await, data);
                let fits = match &content.body {
                    ContentBody::Empty => data.is_empty(),
                    ContentBody::Small(_) => data.len() <= SMALL,
                    ContentBody::Blob(_) => data.len() <= TINY.max_bytes as usize,
                    ContentBody::Chunks(_) => data.len() > TINY.max_bytes as usize,
                };
                assert!(fits, "{} bytes as {:?}", data.len(), content.body);
            }
            rig.assert_nothing_is_left().await;
        });
    }
}

#[tokio::test]
async fn chunks_that_are_not_touched_are_kept() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let data = noise(40, 70 << 20);
    let old = rig.store(&data).await;
    rig.announced.lock().unwrap().clear();
    let new = splice(
        &rig,
        &old,
        30 << 20,
        vec![Bytes::from_static(b"a few bytes")],
    )
    .await;
    let announced = rig.announced.lock().unwrap().clone();
    let rewritten: u64 = announced.iter().map(|blob| blob.len_bytes).sum();
    assert!(rewritten <= 8 << 20, "{rewritten} bytes were written again");
    let added = chunks(&new)
        .iter()
        .filter(|chunk| !chunks(&old).contains(chunk))
        .count();
    assert!(added > 0 && announced.len() >= added);
    // Too long to be hashed for a few bytes.
    assert_eq!(new.sha256, None);
    assert_eq!(new.size_bytes, old.size_bytes);
}

#[tokio::test]
async fn content_that_grows_in_small_steps_is_not_left_in_small_chunks() {
    let rig = Rig::new();
    let mut data = noise(41, 2_000);
    let mut content = rig.store(&data).await;
    for step in 0..200 {
        let new = noise(42 + step, 50);
        content = splice(&rig, &content, data.len() as u64, vec![new.clone().into()]).await;
        data.extend_from_slice(&new);
    }
    assert_eq!(rig.read(&content).await, data);
    assert_eq!(content, rig.store(&data).await);
}

#[tokio::test]
async fn a_damaged_chunk_is_not_written_into_new_ones() {
    let rig = Rig::new();
    let data = noise(43, 20_000);
    let old = rig.store(&data).await;
    let first = chunks(&old)[0];
    let zeros = vec![0; usize::try_from(first.len_bytes).unwrap()];
    std::fs::write(rig.path(&first), zeros).unwrap();
    let (blobs, announce) = (rig.blobs.clone(), rig.announce());
    let new = Splice::new(
        blobs,
        &rig.pool,
        old.body,
        20_000,
        None,
        Some(1),
        SMALL,
        announce,
    );
    let mut splice = new.await;
    splice.seek(5);
    let written = splice.write(Bytes::from_static(b"x")).await;
    assert!(matches!(written, Err(Error::Corrupt { digest }) if digest == first.digest));
}

#[tokio::test]
async fn fewer_or_more_bytes_than_promised_change_nothing() {
    let rig = Rig::new();
    let old = rig.store(&noise(44, 20_000)).await;
    let before = rig.stored_bytes();
    for promised in [4, 6] {
        let (blobs, announce, body) = (rig.blobs.clone(), rig.announce(), old.body.clone());
        let new = Splice::new(
            blobs,
            &rig.pool,
            body,
            20_000,
            None,
            Some(promised),
            SMALL,
            announce,
        );
        let mut splice = new.await;
        splice.seek(9_000);
        let outcome = match splice.write(Bytes::from_static(b"12345")).await {
            Ok(()) => splice.finish().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(Error::LengthMismatch { .. })));
    }
    assert_eq!(rig.stored_bytes(), before);
}

/// Writes ranges of `data`, ascending, and sets the length.
async fn patch(rig: &Rig, old: &Content, data: &[u8], ranges: &[Range<usize>]) -> Content {
    let new = Splice::new(
        rig.blobs.clone(),
        &rig.pool,
        old.body.clone(),
        old.size_bytes,
        Some(data.len() as u64),
        None,
        SMALL,
        rig.announce(),
    );
    let mut splice = new.await;
    for range in ranges {
        splice.seek(range.start as u64);
        for frame in frames(&data[range.clone()], &[range.len() / 3]) {
            splice.write(frame).await.unwrap();
        }
    }
    splice.finish().await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn many_ranges_and_a_length_are_those_of_a_plain_file(
        len in prop_oneof![0usize..300, 900usize..3_000, 0usize..40_000],
        lengths in proptest::collection::vec(
            (any::<bool>(), prop_oneof![0usize..300, 900usize..3_000, 0usize..50_000]), 1..4),
        writes in proptest::collection::vec(
            (prop_oneof![0usize..3, 0usize..500, 0usize..9_000],
             prop_oneof![1usize..10, 1usize..600, 1usize..9_000]),
            0..9,
        ),
    ) {
        let mut data = noise(50, len);
        runtime().block_on(async {
            let rig = Rig::new();
            let mut content = rig.store(&data).await;
            for (round, (keeps, length)) in lengths.into_iter().enumerate() {
                data.resize(if keeps { data.len() } else { length }, 0);
                let (mut at, mut ranges) = (0, Vec::new());
                for (gap, len) in &writes {
                    let range = at + gap..(at + gap + len).min(data.len());
                    if range.start >= range.end {
                        break;
                    }
                    let new = noise(51 + (round + range.start) as u64, range.len());
                    data[range.clone()].copy_from_slice(&new);
                    at = range.end;
                    ranges.push(range);
                }
                content = patch(&rig, &content, &data, &ranges).await;
                assert_eq!(content.size_bytes, data.len() as u64);
                assert_eq!(content.sha256, Some(Digest::of(&data)));
                assert_eq!(rig.read(&content).await, data);
                let fits = match &content.body {
                    ContentBody::Empty => data.is_empty(),
                    ContentBody::Small(_) => data.len() <= SMALL,
                    ContentBody::Blob(_) => data.len() <= TINY.max_bytes as usize,
                    ContentBody::Chunks(_) => data.len() > TINY.max_bytes as usize,
                };
                assert!(fits, "{} bytes as {:?}", data.len(), content.body);
            }
            rig.assert_nothing_is_left().await;
        });
    }
}

#[tokio::test]
async fn between_ranges_that_lie_apart_chunks_are_kept() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let mut data = noise(60, 70 << 20);
    let old = rig.store(&data).await;
    rig.announced.lock().unwrap().clear();
    let ranges = [1 << 20, 30 << 20, (30 << 20) + 9, 60 << 20].map(|at| at..at + 7);
    for range in &ranges {
        data[range.clone()].copy_from_slice(b"changed");
    }
    data.truncate(69 << 20);
    let new = patch(&rig, &old, &data, &ranges).await;
    let announced = rig.announced.lock().unwrap().clone();
    let rewritten: u64 = announced.iter().map(|blob| blob.len_bytes).sum();
    assert!(
        rewritten <= 32 << 20,
        "{rewritten} bytes were written again"
    );
    let kept = chunks(&new)
        .iter()
        .filter(|chunk| chunks(&old).contains(chunk));
    assert!(kept.count() > chunks(&new).len() / 2);
    assert_eq!(rig.read(&new).await, data);
}

#[tokio::test]
async fn bytes_beyond_the_length_are_refused() {
    let rig = Rig::new();
    let old = rig.store(&noise(61, 20_000)).await;
    for length in [100, 20_000, 30_000] {
        let new = Splice::new(
            rig.blobs.clone(),
            &rig.pool,
            old.body.clone(),
            20_000,
            Some(length),
            None,
            SMALL,
            rig.announce(),
        );
        let mut splice = new.await;
        splice.seek(length - 1);
        let written = splice.write(Bytes::from_static(b"12")).await;
        assert!(matches!(written, Err(Error::LengthMismatch { .. })));
    }
}
