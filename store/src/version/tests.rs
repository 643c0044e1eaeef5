use std::time::Duration;

use bytes::Bytes;

use super::Version;
use crate::chunk::tests::noise;
use crate::store::{Options, VersionOptions};
use crate::testing::{each_engine_with, purge_to_none};
use crate::tests::{get, path, put, user};
use crate::{Caller, Condition, Error, PatchStart, Store, Target, UploadOptions};

/// Minutes as a test clock counts.
const MINUTE: i64 = 60_000;
const LIMIT: u64 = 1 << 30;

fn kept(options: &mut Options) {
    options.versions = VersionOptions::default();
}

async fn versions(store: &Store, caller: &Caller, at: &str) -> Vec<Version> {
    let file: Target = path(at).into();
    store.versions(caller, &file, None, 100).await.unwrap()
}

fn sizes(versions: &[Version]) -> Vec<u64> {
    versions.iter().map(|version| version.size_bytes).collect()
}

async fn content(store: &Store, caller: &Caller, at: &str, version: &Version) -> Vec<u8> {
    let file: Target = path(at).into();
    let opened = store.open_version(caller, &file, version.id).await;
    let (located, stored) = opened.unwrap();
    assert_eq!(located.node.etag(), version.etag());
    let mut download = store.download(&stored, 0..located.node.size_bytes);
    let mut content = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| download.poll_next(cx)).await {
        content.extend_from_slice(&frame.unwrap());
    }
    content
}

/// Bytes in use, in versions, and free below the limit.
async fn usage(store: &Store, caller: &Caller) -> (u64, u64, u64) {
    let usage = store.usage(caller).await.unwrap();
    (usage.used_bytes, usage.versions_bytes, usage.free_bytes())
}

async fn assert_sound(store: &Store) {
    let checked = store.check(true, |_| ()).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_overwritten_is_kept_whatever_its_size() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        let contents = [vec![1; 10], noise(90, 100_000), noise(91, 6_000_000)];
        for content in &contents {
            put(store, &alice, "/a", content).await.unwrap();
            clock.advance_ms(11 * MINUTE);
        }
        put(store, &alice, "/a", b"last").await.unwrap();
        let found = versions(store, &alice, "/a").await;
        assert_eq!(sizes(&found), [6_000_000, 100_000, 10]);
        for (version, expected) in found.iter().rev().zip(&contents) {
            assert_eq!(&content(store, &alice, "/a", version).await, expected);
        }
        let kept_bytes = 6_100_010;
        let expected = (kept_bytes + 4, kept_bytes, LIMIT - 4);
        assert_eq!(usage(store, &alice).await, expected);
        assert_sound(store).await;
        // The sweep leaves what they refer to.
        store.sweep(false).await.unwrap();
        assert_eq!(content(store, &alice, "/a", &found[0]).await, contents[2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_version_is_made_too_soon_or_of_nothing() {
    each_engine_with(kept, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        let overwrite = async |content: &[u8]| {
            put(store, &alice, "/a", content).await.unwrap();
            sizes(&versions(store, &alice, "/a").await)
        };
        assert!(overwrite(b"").await.is_empty());
        assert!(overwrite(b"1").await.is_empty(), "nothing is no version");
        assert!(overwrite(b"1").await.is_empty(), "the same is none");
        assert_eq!(overwrite(b"22").await, [1]);
        clock.advance_ms(10 * MINUTE - 1);
        assert_eq!(overwrite(b"333").await, [1]);
        clock.advance_ms(1);
        assert_eq!(overwrite(b"4444").await, [3, 1]);
        clock.advance_ms(10 * MINUTE);
        let upload = store
            .begin_patch(
                &alice,
                &path("/a"),
                PatchStart::Append,
                UploadOptions::default(),
                Condition::default(),
            )
            .await;
        let mut upload = upload.unwrap();
        upload.write(Bytes::from_static(b"55")).await.unwrap();
        let complete = upload.complete().await.unwrap();
        complete.commit(None).await.unwrap();
        assert_eq!(get(store, &alice, "/a").await.unwrap(), b"444455");
        assert_eq!(sizes(&versions(store, &alice, "/a").await), [3, 1]);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_go_by_number_and_by_age() {
    let few = |options: &mut Options| {
        options.versions = VersionOptions {
            retention: Duration::from_hours(1),
            most: 3,
            interval: Duration::ZERO,
        };
    };
    each_engine_with(few, async |store, clock| {
        let alice = user(store, "alice", LIMIT).await;
        for (seed, size) in [100, 200, 300, 400, 500, 600].into_iter().enumerate() {
            put(store, &alice, "/a", &noise(seed as u64, size))
                .await
                .unwrap();
            clock.advance_ms(10 * MINUTE);
        }
        let found = versions(store, &alice, "/a").await;
        assert_eq!(sizes(&found), [500, 400, 300]);
        assert_eq!(found[0].expires_at, found[0].replaced_at + 60 * MINUTE);
        assert_eq!(usage(store, &alice).await, (1800, 1200, LIMIT - 600));
        clock.advance_ms(45 * MINUTE);
        assert_eq!(store.expire_kept().await.unwrap(), 1);
        assert_eq!(sizes(&versions(store, &alice, "/a").await), [500]);
        assert_eq!(usage(store, &alice).await, (1100, 500, LIMIT - 600));
        assert_eq!(store.expire_kept().await.unwrap(), 0);
        assert_sound(store).await;
        purge_to_none(store, "version WHERE is_kept = 0").await;
        assert_eq!(store.sweep(false).await.unwrap().blobs, 4);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_restored_and_what_it_replaces_becomes_one() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", 30).await;
        let file: Target = path("/a").into();
        put(store, &alice, "/a", &[1; 10]).await.unwrap();
        let first = store.find(&alice, &path("/a")).await.unwrap().unwrap();
        put(store, &alice, "/a", &[2; 20]).await.unwrap();
        let cursor = store.change_cursor(&alice).await.unwrap();
        let [old] = &versions(store, &alice, "/a").await[..] else {
            panic!("one version");
        };
        let none = Condition::default;
        let restored = store.restore_version(&alice, &file, old.id, none()).await;
        let restored = restored.unwrap().node;
        assert_eq!(restored.id, first.node.id);
        assert_eq!(restored.etag(), first.node.etag());
        assert_eq!(get(store, &alice, "/a").await.unwrap(), [1; 10]);
        let found = versions(store, &alice, "/a").await;
        assert_eq!(sizes(&found), [20], "however young the last one is");
        assert_eq!(usage(store, &alice).await, (30, 20, 20));
        let changes = store.changes(&alice, &path("/"), cursor, 10).await.unwrap();
        assert_eq!(changes.items.len(), 1);
        assert_sound(store).await;
        let again = store.restore_version(&alice, &file, old.id, none()).await;
        assert!(matches!(again, Err(Error::NotFound)));
        let refused = Condition {
            check: Some(std::sync::Arc::new(|_, _| false)),
            ..none()
        };
        let refused = store
            .restore_version(&alice, &file, found[0].id, refused)
            .await;
        assert!(matches!(refused, Err(Error::PreconditionFailed)));
        store
            .remove_version(&alice, &file, found[0].id)
            .await
            .unwrap();
        assert_eq!(usage(store, &alice).await, (10, 0, 20));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_give_way_to_what_needs_their_room() {
    let each = |options: &mut Options| {
        options.versions.interval = Duration::ZERO;
        options.versions.most = 20;
    };
    each_engine_with(each, async |store, clock| {
        let alice = user(store, "alice", 1_000_000).await;
        for number in 0..10 {
            put(store, &alice, "/a", &noise(number, 100_000))
                .await
                .unwrap();
            clock.advance_ms(1);
        }
        assert_eq!(usage(store, &alice).await, (1_000_000, 900_000, 900_000));
        // One of them goes for each 100,000 bytes, begun or whole.
        put(store, &alice, "/b", &noise(20, 100_001)).await.unwrap();
        assert_eq!(usage(store, &alice).await, (900_001, 700_000, 799_999));
        let options = UploadOptions {
            size_bytes: Some(799_999),
            ..UploadOptions::default()
        };
        let upload = store
            .begin_upload(&alice, &path("/c"), options, Condition::default())
            .await
            .unwrap();
        assert_eq!(usage(store, &alice).await, (200_001, 0, 0));
        drop(upload);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while store.usage(&alice).await.unwrap().reserved_bytes != 0 {
            assert!(tokio::time::Instant::now() < deadline, "the reservation stays");
            tokio::task::yield_now().await;
        }
        // What is full of itself can be overwritten, without a version.
        put(store, &alice, "/a", &noise(21, 899_999)).await.unwrap();
        put(store, &alice, "/a", &noise(22, 899_999)).await.unwrap();
        assert_eq!(usage(store, &alice).await, (1_000_000, 0, 0));
        let refused = put(store, &alice, "/d", &noise(23, 20_000)).await;
        let free_bytes = 0;
        assert!(
            matches!(refused, Err(Error::QuotaExceeded { free_bytes: free, .. }) if free == free_bytes)
        );
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test]
async fn who_sees_only_a_folder_sees_no_versions() {
    each_engine_with(kept, async |store, _| {
        let alice = user(store, "alice", LIMIT).await;
        put(store, &alice, "/a", b"1").await.unwrap();
        put(store, &alice, "/a", b"2").await.unwrap();
        let id = versions(store, &alice, "/a").await[0].id;
        let file: Target = path("/a").into();
        let none = Condition::default;
        let confined = Caller {
            whole_drive: false,
            ..alice.clone()
        };
        let list = store.versions(&confined, &file, None, 1).await;
        assert!(matches!(list, Err(Error::Forbidden)));
        let opened = store.open_version(&confined, &file, id).await;
        assert!(matches!(opened.map(drop), Err(Error::Forbidden)));
        let reader = Caller {
            read_only: true,
            ..alice.clone()
        };
        assert_eq!(versions(store, &reader, "/a").await.len(), 1);
        let restored = store.restore_version(&reader, &file, id, none()).await;
        assert!(matches!(restored, Err(Error::Forbidden)));
        let removed = store.remove_version(&reader, &file, id).await;
        assert!(matches!(removed, Err(Error::Forbidden)));
        let bob = user(store, "bob", LIMIT).await;
        put(store, &bob, "/a", b"3").await.unwrap();
        let other = store.open_version(&bob, &file, id).await;
        assert!(matches!(other.map(drop), Err(Error::NotFound)));
    })
    .await;
}
