use proptest::prelude::*;

use super::*;
use crate::chunk::tests::noise;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn content_does_not_depend_on_how_it_came(
        seed: u64,
        (cutting, len) in prop_oneof![
            (Just(TINY), 0usize..300),
            (Just(TINY), 0usize..5_000),
            (Just(MEDIUM), 0usize..2_000_000),
        ],
        splits in proptest::collection::vec(any::<usize>(), 0..12),
        promised: bool,
    ) {
        let data = noise(seed, len);
        let one_blob = cutting.max_bytes as usize;
        runtime().block_on(async {
            // The smallest pool, for many small steps.
            let rig = Rig::with(cutting, 1 << 20);
            let mut writer = rig.writer(promised.then_some(len as u64)).await;
            for frame in frames(&data, &splits) {
                writer.write(frame).await.unwrap();
            }
            let content = writer.finish().await.unwrap();
            assert_eq!(content.size_bytes, len as u64);
            assert_eq!(content.sha256, Some(Digest::of(&data)));
            match &content.body {
                ContentBody::Empty => assert_eq!(len, 0),
                ContentBody::Small(small) => {
                    assert!((1..=SMALL).contains(&len));
                    assert_eq!(small, &data);
                }
                ContentBody::Blob(blob) => {
                    assert!((SMALL + 1..=one_blob).contains(&len));
                    assert_eq!((blob.digest, blob.len_bytes), (Digest::of(&data), len as u64));
                }
                ContentBody::Chunks(_) => assert!(len > one_blob),
            }
            assert_eq!(rig.read(&content).await, data);
            assert_eq!(rig.store(&data).await, content);
            let mut announced = rig.announced.lock().unwrap().clone();
            announced.sort_unstable_by_key(|blob| blob.digest);
            announced.dedup();
            let expected: Vec<_> =
                announced.iter().map(|blob| (blob.digest, blob.len_bytes)).collect();
            assert_eq!(crate::blob::conformance::listed(&rig.blobs), expected);
            assert!(chunks(&content).iter().all(|chunk| announced.contains(chunk)));
            rig.assert_nothing_is_left().await;
        });
    }
}

#[tokio::test]
async fn small_content_touches_no_disk_and_is_not_copied() {
    let rig = Rig::new();
    let frame = Bytes::from(vec![7; SMALL]);
    let mut writer = rig.writer(None).await;
    writer.write(frame.clone()).await.unwrap();
    let ContentBody::Small(kept) = writer.finish().await.unwrap().body else {
        panic!("not small")
    };
    assert_eq!(kept.as_ptr(), frame.as_ptr());
    assert_eq!(rig.faults.batches.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn one_blob_holds_whatever_it_is_given() {
    for len in [0, 1, SMALL, 1_500, 300_000] {
        for promised in [Some(len as u64), None] {
            // The smallest pool, for many small steps.
            let rig = Rig::with(TINY, 1 << 20);
            let data = noise(9, len);
            let (blobs, announce) = (rig.blobs.clone(), rig.announce());
            let mut writer = ContentWriter::one_blob(blobs, &rig.pool, promised, announce).await;
            for frame in data.chunks(700) {
                writer.write(Bytes::copy_from_slice(frame)).await.unwrap();
            }
            let content = writer.finish().await.unwrap();
            let blob = crate::blob::conformance::chunk(&data);
            assert_eq!(content.body, ContentBody::Blob(blob));
            assert_eq!(*rig.announced.lock().unwrap(), [blob]);
            assert_eq!(std::fs::read(rig.path(&blob)).unwrap(), data);
            assert_eq!(rig.read(&content).await, data);
            rig.assert_nothing_is_left().await;
        }
    }
}

#[tokio::test]
async fn an_edit_in_the_middle_of_a_large_content_stores_little() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let mut data = noise(3, 200 << 20);
    rig.store(&data).await;
    let before = rig.stored_bytes();
    assert_eq!(before, 200 << 20);
    data[100 << 20..101 << 20].copy_from_slice(&noise(4, 1 << 20));
    let edited = rig.store(&data).await;
    assert_eq!(edited.sha256, Some(Digest::of(&data)));
    let added = rig.stored_bytes() - before;
    assert!(added < 8 << 20, "{added} bytes were stored again");
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_chunk_that_repeats_is_written_once() {
    let rig = Rig::new();
    let data = vec![0; 300_000];
    let content = rig.store(&data).await;
    assert_eq!(chunks(&content).len(), 293);
    assert_eq!(rig.stored_bytes(), 1024 + 300_000 % 1024);
    assert_eq!(rig.announced.lock().unwrap().len(), 2);
    assert_eq!(rig.read(&content).await, data);
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_uploads_at_the_same_time_both_succeed() {
    let rig = Rig::new();
    let data = noise(5, 150_000);
    let (one, two, three) = tokio::join!(
        rig.store(&data),
        rig.store(&data),
        rig.store(&data[..90_000])
    );
    assert_eq!(one, two);
    assert_eq!(rig.read(&one).await, data);
    assert_eq!(rig.read(&three).await, data[..90_000]);
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_writer_dropped_at_any_point_leaves_nothing_that_was_not_announced() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let data = noise(6, 68 << 20);
    // Up to 64 MiB nothing has a name, after that the announcer knows what has one.
    for (expected, counts) in [
        (None, 0..24),
        (Some(1 << 30), 0..24),
        (Some(1 << 30), 67..68),
    ] {
        assert_eq!(rig.stored_bytes(), 0);
        for count in counts {
            let mut writer = rig.writer(expected).await;
            for frame in frames(&data[..count << 20], &[]) {
                writer.write(frame).await.unwrap();
            }
            drop(writer);
        }
        rig.assert_nothing_is_left().await;
    }
    let announced = rig.announced.lock().unwrap().clone();
    for (digest, _) in crate::blob::conformance::listed(&rig.blobs) {
        assert!(announced.iter().any(|blob| blob.digest == digest));
    }
}

#[tokio::test]
async fn nothing_has_a_name_before_it_was_announced() {
    let rig = Rig::new();
    let data = noise(7, 100_000);
    let blobs = rig.blobs.clone();
    let announce: Announce = Arc::new(move |announced| {
        assert!(
            announced
                .iter()
                .all(|blob| blobs.open_cached(blob).is_none())
        );
        assert_eq!(blobs.list().unwrap().count(), 0);
        Box::pin(async { Ok(()) })
    });
    let mut writer = ContentWriter::new(rig.blobs.clone(), &rig.pool, None, SMALL, announce)
        .await
        .unwrap();
    writer.write(data.into()).await.unwrap();
    assert!(!chunks(&writer.finish().await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_refused_announcement_stores_nothing() {
    let rig = Rig::new();
    let refuse: Announce =
        Arc::new(|_| Box::pin(async { Err(Error::Announce("the database is gone".into())) }));
    let mut writer = ContentWriter::new(rig.blobs.clone(), &rig.pool, None, SMALL, refuse)
        .await
        .unwrap();
    writer.write(noise(8, 50_000).into()).await.unwrap();
    assert!(matches!(writer.finish().await, Err(Error::Announce(_))));
    rig.assert_nothing_is_left().await;
    assert_eq!(rig.stored_bytes(), 0);
}

#[tokio::test]
async fn a_full_disk_ends_the_upload_and_leaves_nothing() {
    let rig = Rig::new();
    for free_bytes in [0, 50, 5_000, 90_000] {
        rig.faults.free_bytes.store(free_bytes, Ordering::Relaxed);
        let mut writer = rig.writer(None).await;
        let mut outcome = Ok(());
        for frame in frames(&noise(9, 4 << 20), &[1 << 20, 2 << 20, 3 << 20]) {
            outcome = outcome.and(writer.write(frame).await);
        }
        let outcome = match outcome {
            Ok(()) => writer.finish().await.map(drop),
            Err(error) => {
                drop(writer);
                Err(error)
            }
        };
        assert!(matches!(outcome, Err(Error::DiskFull)), "{outcome:?}");
        rig.assert_nothing_is_left().await;
        assert_eq!(rig.stored_bytes(), 0);
    }
}

#[tokio::test]
async fn a_failed_sync_is_not_tried_again() {
    let rig = Rig::new();
    rig.faults.fail_syncs.store(true, Ordering::Relaxed);
    let mut writer = rig.writer(None).await;
    writer.write(noise(10, 20_000).into()).await.unwrap();
    assert!(matches!(writer.finish().await, Err(Error::Io { .. })));
    assert_eq!(rig.faults.syncs.load(Ordering::Relaxed), 1);
    rig.assert_nothing_is_left().await;
    assert_eq!(rig.stored_bytes(), 0);
}

#[tokio::test]
async fn a_length_that_was_promised_is_kept_or_nothing_is() {
    let rig = Rig::new();
    for len in [1, SMALL, 500, 5_000] {
        let data = Bytes::from(noise(11, len));
        for expected in [len as u64 - 1, len as u64 + 1] {
            let mut writer = rig.writer(Some(expected)).await;
            let outcome = match writer.write(data.clone()).await {
                Ok(()) => writer.finish().await.map(drop),
                Err(error) => Err(error),
            };
            assert!(
                matches!(outcome, Err(Error::LengthMismatch { .. })),
                "{outcome:?}"
            );
        }
    }
    assert_eq!(rig.stored_bytes(), 0);
}

#[tokio::test]
async fn a_write_that_was_given_up_spoils_the_content() {
    let rig = Rig::with(TINY, 1 << 20);
    let mut hog = rig.writer(Some(64 << 20)).await;
    hog.write(noise(12, 20_000).into()).await.unwrap();
    let mut writer = rig.writer(None).await;
    let frame = Bytes::from(noise(12, 64 << 20));
    let given_up = {
        let write = std::pin::pin!(writer.write(frame));
        futures_poll_once(write).await
    };
    assert!(given_up, "64 MiB were taken in one poll");
    assert!(writer.write(Bytes::from_static(b"more")).await.is_err());
    assert!(writer.finish().await.is_err());
}

/// Polls once and says whether the future is still under way.
async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn an_extra_hash_sees_every_byte_in_order() {
    let rig = Rig::new();
    for len in [0, 50, 500, 150_000] {
        let data = noise(13, len);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let extra = Box::new(move |bytes: &[u8]| sink.lock().unwrap().extend_from_slice(bytes));
        let mut writer = rig.writer(None).await.with_extra(extra);
        for frame in frames(&data, &[7, 77, 777]) {
            writer.write(frame).await.unwrap();
        }
        writer.finish().await.unwrap();
        let seen = Arc::into_inner(seen).expect("the hook is dropped before finish returns");
        assert_eq!(seen.into_inner().unwrap(), data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_wait_for_memory_but_never_for_each_other() {
    let rig = Arc::new(Rig::with(Cutting::LOCAL, 1 << 20));
    let data = Bytes::from(noise(14, 5 << 20));
    let uploads: Vec<_> = (0..40)
        .map(|n| {
            let (rig, data) = (Arc::clone(&rig), data.slice(n..));
            tokio::spawn(async move {
                let mut writer = rig.writer(None).await;
                for start in (0..data.len()).step_by(100_000) {
                    writer
                        .write(data.slice(start..data.len().min(start + 100_000)))
                        .await
                        .unwrap();
                }
                assert_eq!(
                    writer.finish().await.unwrap().sha256,
                    Some(Digest::of(&data))
                );
            })
        })
        .collect();
    for upload in uploads {
        upload.await.unwrap();
    }
    assert_eq!(rig.pool.free_bytes(), 1 << 20);
}

#[tokio::test]
async fn idle_uploads_do_not_hold_all_memory() {
    let rig = Rig::with(MEDIUM, 16 << 20);
    let mut idle = Vec::new();
    for _ in 0..64 {
        let mut writer = rig.writer(None).await;
        writer.write(vec![0; 3 << 20].into()).await.unwrap();
        writer.write(vec![0; 100_000].into()).await.unwrap();
        idle.push(writer);
    }
    let data = noise(15, 200_000);
    assert_eq!(rig.store(&data).await.sha256, Some(Digest::of(&data)));
}
