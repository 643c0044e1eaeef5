//! What uploads hold while they are under way, and what they leave.

use std::time::Duration;

use bytes::Bytes;

use super::{get, path, put, user};
use crate::chunk::tests::noise;
use crate::testing::{each_engine, each_engine_with};
use crate::upload::Complete;
use crate::{Caller, Condition, Error, PatchStart, Store, Upload, UploadOptions};

fn of_size(size_bytes: Option<u64>) -> UploadOptions {
    UploadOptions {
        size_bytes,
        ..UploadOptions::default()
    }
}

async fn begin(store: &Store, caller: &Caller, at: &str, size_bytes: u64) -> Result<Upload, Error> {
    store
        .begin_upload(
            caller,
            &path(at),
            of_size(Some(size_bytes)),
            Condition::default(),
        )
        .await
}

async fn patch(
    store: &Store,
    caller: &Caller,
    offset: u64,
    size_bytes: Option<u64>,
) -> Result<Upload, Error> {
    let start = PatchStart::At(offset);
    let none = Condition::default();
    store
        .begin_patch(caller, &path("/file"), start, of_size(size_bytes), none)
        .await
}

/// An upload that has come to where only the commit is missing.
async fn complete(store: &Store, caller: &Caller, at: &str, data: &[u8]) -> Complete {
    let mut upload = begin(store, caller, at, data.len() as u64).await.unwrap();
    upload.write(Bytes::copy_from_slice(data)).await.unwrap();
    upload.complete().await.unwrap()
}

fn blobs(store: &Store) -> usize {
    store.blobs().list().unwrap().count()
}

async fn reserved_bytes(store: &Store, caller: &Caller) -> u64 {
    store.usage(caller).await.unwrap().reserved_bytes
}

async fn until_no_blob_is_left(store: &Store) {
    let removed = async {
        while blobs(store) > 0 {
            store.remove_abandoned().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), removed)
        .await
        .expect("blobs of nobody stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_lives_as_long_as_its_upload_and_its_daemon() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 10_000_000).await;
        let mut upload = begin(store, &alice, "/a", 9_000_000).await.unwrap();
        for _ in 0..4 {
            clock.advance_ms(25_000);
            store.extend_reservations().await.unwrap();
            assert_eq!(store.expire_reservations().await.unwrap(), 0);
        }
        let other = begin(store, &alice, "/b", 9_000_000).await;
        assert!(matches!(other, Err(Error::QuotaExceeded { .. })));
        // A daemon that stands still loses it, and only then.
        clock.advance_ms(31_000);
        assert_eq!(store.expire_reservations().await.unwrap(), 1);
        assert_eq!(reserved_bytes(store, &alice).await, 0);
        upload.write(vec![1; 9_000_000].into()).await.unwrap();
        let complete = upload.complete().await.unwrap();
        complete.commit(None).await.unwrap();
        assert_eq!(
            store.check_references().await.unwrap(),
            Vec::<String>::new()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_unknown_length_reserves_anew_what_it_lost() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let options = of_size(None);
        let mut upload = store
            .begin_upload(&alice, &path("/a"), options, Condition::default())
            .await
            .unwrap();
        let frame = Bytes::from(vec![1; 3 << 20]);
        upload.write(frame.clone()).await.unwrap();
        clock.advance_ms(31_000);
        assert_eq!(store.expire_reservations().await.unwrap(), 1);
        for _ in 0..3 {
            upload.write(frame.clone()).await.unwrap();
        }
        assert!(reserved_bytes(store, &alice).await >= 9 << 20);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_ends_without_a_commit_leaves_no_blob() {
    let day = |options: &mut crate::Options| options.sweep_grace = Duration::from_hours(24);
    each_engine_with(day, async |store, _| {
        let alice = user(store, "alice", 1 << 40).await;
        let mut upload = begin(store, &alice, "/a", 1 << 30).await.unwrap();
        for n in 0.. {
            // So many that some have their names already.
            upload.write(noise(70 + n, 4 << 20).into()).await.unwrap();
            if blobs(store) > 0 {
                break;
            }
        }
        drop(upload);
        until_no_blob_is_left(store).await;
        drop(complete(store, &alice, "/a", &noise(69, 3 << 20)).await);
        until_no_blob_is_left(store).await;
        let checked = store.check(true, |_| ()).await.unwrap();
        assert_eq!(checked.faults, Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upload_leaves_stays_when_somebody_else_needs_it() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(71, 6 << 20);
        put(store, &alice, "/old", &data[..5 << 20]).await.unwrap();
        let first = complete(store, &alice, "/a", &data).await;
        let second = complete(store, &alice, "/b", &data).await;
        drop(first);
        store.remove_abandoned().await.unwrap();
        second.commit(None).await.unwrap();
        drop(complete(store, &alice, "/c", &data).await);
        clock.advance_ms(1000);
        store.remove_abandoned().await.unwrap();
        assert_eq!(get(store, &alice, "/b").await.unwrap(), data);
        assert_eq!(get(store, &alice, "/old").await.unwrap(), data[..5 << 20]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_take_longer_than_the_grace_period() {
    let hour = |options: &mut crate::Options| options.sweep_grace = Duration::from_hours(1);
    each_engine_with(hour, async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(72, 6 << 20);
        let slow = complete(store, &alice, "/slow", &data).await;
        for _ in 0..3 {
            clock.advance_ms(40 * 60_000);
            store.extend_reservations().await.unwrap();
            store.sweep(false).await.unwrap();
        }
        slow.commit(None).await.unwrap();
        assert_eq!(get(store, &alice, "/slow").await.unwrap(), data);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranged_write_is_refused_when_there_is_no_room_for_it() {
    let vast = |options: &mut crate::Options| options.capacity_bytes = Some(1 << 61);
    each_engine_with(vast, async |store, _| {
        let alice = user(store, "alice", 1 << 61).await;
        put(store, &alice, "/file", b"0123456789").await.unwrap();
        for size_bytes in [1 << 60, u64::MAX - 6] {
            let refused = patch(store, &alice, 10, Some(size_bytes)).await;
            assert!(matches!(refused.map(drop), Err(Error::DiskFull)));
        }
        assert_eq!(reserved_bytes(store, &alice).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zeros_before_a_ranged_write_are_reserved_too() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        put(store, &alice, "/file", b"0123456789").await.unwrap();
        let mut upload = patch(store, &alice, 2 << 20, None).await.unwrap();
        upload.write(vec![1; 2 << 20].into()).await.unwrap();
        assert!(reserved_bytes(store, &alice).await >= (4 << 20) - 10);
        let complete = upload.complete().await.unwrap();
        complete.commit(None).await.unwrap();
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.used_bytes, usage.reserved_bytes), (4 << 20, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_finds_no_room_lets_the_store_be_swept() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 61).await;
        put(store, &alice, "/a", &noise(73, 100_000)).await.unwrap();
        store
            .delete(&alice, &path("/a"), Condition::default())
            .await
            .unwrap();
        store.sweep_if_short().await.unwrap();
        assert_eq!(blobs(store), 1);
        let refused = begin(store, &alice, "/b", 1 << 60).await;
        assert!(matches!(refused.map(drop), Err(Error::DiskFull)));
        store.sweep_if_short().await.unwrap();
        assert_eq!(blobs(store), 0);
    })
    .await;
}
