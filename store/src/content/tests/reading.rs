use proptest::prelude::*;

use super::*;
use crate::chunk::tests::noise;

fn damage(rig: &Rig, blob: &ChunkRef, change: impl FnOnce(&mut Vec<u8>)) {
    let path = rig.path(blob);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_range_is_those_bytes(
        len in prop_oneof![0usize..300, 0usize..3_000, 0usize..50_000],
        ranges in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..8),
    ) {
        let data = noise(20, len);
        runtime().block_on(async {
            let rig = Rig::new();
            let content = rig.store(&data).await;
            for verify in [VerifyReads::Daily, VerifyReads::Always, VerifyReads::Off] {
                let verified = Arc::new(Verified::new(verify));
                for (a, b) in &ranges {
                    let (a, b) = (a % (len as u64 + 1), b % (len as u64 + 1));
                    let range = a.min(b)..a.max(b);
                    let reader = ContentReader::new(
                        rig.blobs.clone(), content.body.clone(), range.clone(), Arc::clone(&verified),
                    );
                    let (read, error) = drain(reader).await;
                    assert!(error.is_none());
                    let start = usize::try_from(range.start).unwrap();
                    assert_eq!(read, data[start..usize::try_from(range.end).unwrap()]);
                }
            }
        });
    }
}

#[tokio::test]
async fn frames_of_large_content_have_a_bounded_length() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let data = noise(21, 9 << 20);
    let content = rig.store(&data).await;
    let verified = Arc::new(Verified::new(VerifyReads::Daily));
    for _ in 0..2 {
        let mut reader = rig.reader(&content, &verified);
        let mut at = 0;
        while let Some(frame) = reader.next().await {
            let frame = frame.unwrap();
            assert!(frame.len() <= 256 << 10);
            assert_eq!(frame, data[at..at + frame.len()]);
            at += frame.len();
        }
        assert_eq!(at, data.len());
    }
}

#[tokio::test]
async fn no_byte_of_a_damaged_blob_leaves() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 3] = [
        |bytes| bytes[0] ^= 1,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.push(0),
    ];
    for damaged in damages {
        let rig = Rig::new();
        let data = noise(22, 20_000);
        let content = rig.store(&data).await;
        let third = chunks(&content)[2];
        damage(&rig, &third, damaged);
        let verified = Arc::new(Verified::new(VerifyReads::Daily));
        let (read, error) = drain(rig.reader(&content, &verified)).await;
        let good: u64 = chunks(&content)[..2]
            .iter()
            .map(|chunk| chunk.len_bytes)
            .sum();
        assert_eq!(read, data[..usize::try_from(good).unwrap()]);
        assert!(matches!(error, Some(Error::Corrupt { digest }) if digest == third.digest));
    }
}

#[tokio::test]
async fn a_missing_blob_is_an_error_even_when_it_was_trusted() {
    let rig = Rig::new();
    let content = rig.store(&noise(23, 20_000)).await;
    let last = *chunks(&content).last().unwrap();
    let verified = Arc::new(Verified::new(VerifyReads::Daily));
    assert!(drain(rig.reader(&content, &verified)).await.1.is_none());
    assert!(rig.blobs.remove(&last.digest).unwrap());
    let (read, error) = drain(rig.reader(&content, &verified)).await;
    assert_eq!(read.len() as u64, 20_000 - last.len_bytes);
    assert!(matches!(error, Some(Error::Corrupt { digest }) if digest == last.digest));
}

#[tokio::test]
async fn wrong_bytes_are_kept_apart_and_a_new_upload_repairs() {
    let rig = Rig::new();
    let data = noise(24, 20_000);
    let content = rig.store(&data).await;
    let first = chunks(&content)[0];
    damage(&rig, &first, |bytes| bytes.reverse());
    let verified = Arc::new(Verified::new(VerifyReads::Daily));
    assert!(drain(rig.reader(&content, &verified)).await.1.is_some());
    assert!(
        rig.folder
            .path()
            .join("quarantine")
            .join(first.digest.to_string())
            .is_file()
    );
    assert_eq!(rig.store(&data).await, content);
    assert_eq!(drain(rig.reader(&content, &verified)).await.0, data);
}

#[tokio::test]
async fn every_read_is_checked_when_so_configured() {
    let rig = Rig::new();
    let content = rig.store(&noise(25, 600)).await;
    let verified = Arc::new(Verified::new(VerifyReads::Always));
    assert!(drain(rig.reader(&content, &verified)).await.1.is_none());
    damage(&rig, &chunks(&content)[0], |bytes| bytes.reverse());
    let (read, error) = drain(rig.reader(&content, &verified)).await;
    assert!(read.is_empty());
    assert!(matches!(error, Some(Error::Corrupt { .. })));
}

/// A long content as one blob, as it is published.
async fn publish(rig: &Rig, data: &[u8]) -> Content {
    let (blobs, announce) = (rig.blobs.clone(), rig.announce());
    let mut writer = ContentWriter::one_blob(blobs, &rig.pool, None, announce).await;
    for frame in data.chunks(1 << 20) {
        writer.write(Bytes::copy_from_slice(frame)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

#[tokio::test]
async fn a_long_blob_is_checked_while_it_is_sent() {
    let rig = Rig::with(Cutting::LOCAL, MemoryPool::BYTES);
    let data = noise(27, 5 << 20);
    let content = publish(&rig, &data).await;
    let ContentBody::Blob(blob) = content.body else {
        panic!("{content:?}");
    };
    let verified = Arc::new(Verified::new(VerifyReads::Daily));
    let (read, error) = drain(rig.reader(&content, &verified)).await;
    assert!(read == data && error.is_none());
    assert!(verified.is_trusted(&blob.digest));

    damage(&rig, &blob, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let verified = Arc::new(Verified::new(VerifyReads::Daily));
    let range = 1..content.size_bytes;
    let part = ContentReader::new(
        rig.blobs.clone(),
        content.body.clone(),
        range,
        Arc::clone(&verified),
    );
    let mut whole = rig.reader(&content, &verified);
    let first = whole.next().await.unwrap().unwrap();
    let (read, error) = drain(part).await;
    assert!(read.is_empty(), "of a part nothing leaves unchecked");
    assert!(matches!(error, Some(Error::Corrupt { digest }) if digest == blob.digest));
    let (rest, error) = drain(whole).await;
    assert!(first.len() + rest.len() < data.len());
    assert!(matches!(error, Some(Error::Corrupt { digest }) if digest == blob.digest));
    assert!(!verified.is_trusted(&blob.digest));
    assert_eq!(publish(&rig, &data).await, content);
    assert!(drain(rig.reader(&content, &verified)).await.0 == data);
}

#[tokio::test]
async fn a_range_beyond_the_content_is_an_error_not_a_short_body() {
    let rig = Rig::new();
    let content = rig.store(&noise(26, 5_000)).await;
    let verified = Arc::new(Verified::new(VerifyReads::Daily));
    let body = content.body.clone();
    let reader = ContentReader::new(rig.blobs.clone(), body, 4_000..5_001, verified);
    let (read, error) = drain(reader).await;
    assert_eq!(read.len(), 1_000);
    assert!(error.is_some());
}
