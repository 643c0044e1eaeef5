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
        offset,
        Some(len),
        SMALL,
        announce,
    )
    .await;
    let mut splice = new.unwrap();
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
        5,
        Some(1),
        SMALL,
        announce,
    )
    .await
    .map(drop);
    assert!(matches!(new, Err(Error::Corrupt { digest }) if digest == first.digest));
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
            9_000,
            Some(promised),
            SMALL,
            announce,
        );
        let mut splice = new.await.unwrap();
        let outcome = match splice.write(Bytes::from_static(b"12345")).await {
            Ok(()) => splice.finish().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(Error::LengthMismatch { .. })));
    }
    assert_eq!(rig.stored_bytes(), before);
}
