use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{Publication, Publishing};
use crate::chunk::tests::noise;
use crate::testing::{each_engine, each_engine_with};
use crate::tests::{get, put, user};
use crate::{Actor, Caller, Digest, Error, Store};

async fn begin(store: &Store, caller: &Caller, data: &[u8]) -> Publishing {
    let size_bytes = Some(data.len() as u64);
    let mut publishing = store.publish(caller, size_bytes).await.unwrap();
    for frame in data.chunks(300_000) {
        let frame = Bytes::copy_from_slice(frame);
        publishing.write(frame).await.unwrap();
    }
    publishing
}

async fn publish(store: &Store, caller: &Caller, data: &[u8]) -> (Publication, bool) {
    let publishing = begin(store, caller, data).await;
    publishing.commit(Some(Digest::of(data))).await.unwrap()
}

/// What anyone gets by the digest of these bytes.
async fn published(store: &Store, data: &[u8]) -> Option<Vec<u8>> {
    let found = store.published(Digest::of(data)).await.unwrap()?;
    let mut download = store.download(&found.stored, 0..found.size_bytes);
    let mut content = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| download.poll_next(cx)).await {
        content.extend_from_slice(&frame.unwrap());
    }
    Some(content)
}

/// The length of the file that is named by the digest of these bytes.
fn file_bytes(store: &Store, data: &[u8]) -> Option<u64> {
    let digest = Digest::of(data);
    let mut listed = store.blobs().list().unwrap().map(Result::unwrap);
    let found = listed.find(|(name, _)| *name == digest);
    found.map(|(_, size_bytes)| size_bytes)
}

async fn assert_sound(store: &Store) {
    let checked = store.check(true, |_| ()).await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_one_file_whatever_its_size() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let mut charged = 0;
        for size in [0, 1, 16 << 10, 1 << 20, (4 << 20) + 1, 20 << 20] {
            let data = noise(80, size);
            let (publication, is_new) = publish(store, &alice, &data).await;
            assert!(is_new);
            assert_eq!(publication.digest, Digest::of(&data));
            assert_eq!(publication.size_bytes, size as u64);
            assert_eq!(file_bytes(store, &data), Some(size as u64));
            assert!(published(store, &data).await == Some(data));
            charged += size as u64;
            let usage = store.usage(&alice).await.unwrap();
            assert_eq!((usage.used_bytes, usage.reserved_bytes), (charged, 0));
            assert_eq!(usage.published_bytes, charged);
        }
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.publications, usage.files), (6, 0));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_changes_nothing_and_needs_no_more_room() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 2_500_000).await;
        let data = noise(81, 1_000_000);
        let (first, _) = publish(store, &alice, &data).await;
        clock.advance_ms(1000);
        assert_eq!(publish(store, &alice, &data).await, (first, false));
        let usage = store.usage(&alice).await.unwrap();
        assert_eq!((usage.used_bytes, usage.reserved_bytes), (1_000_000, 0));
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_file_answers_to_no_digest_and_costs_the_same_statement() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for size in [100, 100_000, 5_000_000] {
            let data = noise(82, size);
            put(store, &alice, "/private", &data).await.unwrap();
            for digest in [Digest::of(&data), Digest::of(b"nobody has these bytes")] {
                let counter = Arc::new(AtomicU64::new(0));
                let found = store.published(digest);
                let found = crate::count_statements(counter.clone(), found).await;
                assert!(found.unwrap().is_none());
                assert_eq!(counter.load(Ordering::Relaxed), 1);
            }
        }
    })
    .await;
}

/// The same bytes may be in a row, in chunks and in a file that is published.
#[tokio::test(flavor = "multi_thread")]
async fn files_and_publications_of_the_same_bytes_outlive_each_other() {
    each_engine(async |store, _| {
        let (alice, bob) = (
            user(store, "alice", 1 << 30).await,
            user(store, "bob", 1 << 30).await,
        );
        for size in [100, 100_000, 5_000_000] {
            let data = noise(83, size);
            let digest = Digest::of(&data);
            put(store, &bob, "/file", &data).await.unwrap();
            publish(store, &alice, &data).await;
            put(store, &bob, "/later", &data).await.unwrap();
            assert_sound(store).await;
            assert!(published(store, &data).await == Some(data.clone()));

            store.withdraw(&alice, digest).await.unwrap();
            store.sweep(false).await.unwrap();
            assert!(published(store, &data).await.is_none());
            assert!(get(store, &bob, "/file").await == Some(data.clone()));
            assert_sound(store).await;

            publish(store, &alice, &data).await;
            for at in ["/file", "/later"] {
                let none = crate::Condition::default();
                let at = crate::Path::parse(at).unwrap();
                store.delete(&bob, &at, none).await.unwrap();
            }
            store.sweep(false).await.unwrap();
            assert!(published(store, &data).await == Some(data.clone()));
            assert_sound(store).await;
            store.withdraw(&alice, digest).await.unwrap();
            store.sweep(false).await.unwrap();
            assert_eq!(file_bytes(store, &data), None);
        }
        assert_eq!(store.usage(&alice).await.unwrap().used_bytes, 0);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_ones_own_publication_is_withdrawn() {
    each_engine(async |store, _| {
        let (alice, bob) = (
            user(store, "alice", 1 << 30).await,
            user(store, "bob", 1 << 30).await,
        );
        let data = noise(84, 50_000);
        let digest = Digest::of(&data);
        publish(store, &alice, &data).await;
        let refused = store.withdraw(&bob, digest).await;
        assert!(matches!(refused, Err(Error::NotFound)));
        publish(store, &bob, &data).await;
        store.withdraw(&alice, digest).await.unwrap();
        store.sweep(false).await.unwrap();
        assert!(published(store, &data).await == Some(data.clone()));
        let again = store.withdraw(&alice, digest).await;
        assert!(matches!(again, Err(Error::NotFound)));
        assert_eq!(store.publications(&alice, None, 10).await.unwrap(), []);
        store.withdraw(&bob, digest).await.unwrap();
        assert!(published(store, &data).await.is_none());
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_in_parts_the_newest_first() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let mut made = Vec::new();
        for n in 0..7u8 {
            made.push(publish(store, &alice, &[n; 10]).await.0);
            // Some at the same time.
            clock.advance_ms(i64::from(n % 2));
        }
        made.sort_by_key(|made| std::cmp::Reverse((made.published_at, made.digest)));
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let part = store.publications(&alice, after, 2).await.unwrap();
            let Some(last) = part.last() else { break };
            after = Some((last.published_at, last.digest));
            listed.extend(part);
        }
        assert_eq!(listed, made);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_reserved_before_bytes_flow_and_given_back_when_they_stop() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1_000_000).await;
        let refused = store.publish(&alice, Some(1_000_001)).await.map(drop);
        assert!(matches!(refused, Err(Error::QuotaExceeded { .. })));

        let running = store.publish(&alice, Some(600_000)).await.unwrap();
        let second = store.publish(&alice, Some(600_000)).await.map(drop);
        assert!(matches!(second, Err(Error::QuotaExceeded { .. })));
        drop(running);

        let mut unknown = store.publish(&alice, None).await.unwrap();
        let frame = Bytes::from(noise(85, 600_000));
        // The first one's room may still be on its way back.
        loop {
            match unknown.write(frame.clone()).await {
                Ok(()) => break,
                Err(Error::QuotaExceeded { .. }) => {
                    unknown = store.publish(&alice, None).await.unwrap();
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let over = unknown.write(frame).await;
        assert!(matches!(over, Err(Error::QuotaExceeded { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_expected_are_not_published() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let data = noise(86, 200_000);
        let wrong = begin(store, &alice, &data).await;
        let refused = wrong.commit(Some(Digest::of(b"other"))).await;
        assert!(matches!(refused, Err(Error::ContentMismatch("digest"))));
        let mut short = store.publish(&alice, Some(10)).await.unwrap();
        short.write(Bytes::from_static(b"123")).await.unwrap();
        let refused = short.commit(None).await;
        assert!(matches!(refused, Err(Error::ContentMismatch("length"))));
        assert!(published(store, &data).await.is_none());
        let gone = async {
            while file_bytes(store, &data).is_some() {
                store.remove_abandoned().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), gone)
            .await
            .expect("what nobody published stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_read_only_or_see_one_folder_publish_nothing() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let digest = publish(store, &alice, b"published").await.0.digest;
        let reader = Caller {
            read_only: true,
            ..alice.clone()
        };
        let confined = Caller {
            whole_drive: false,
            ..alice.clone()
        };
        for caller in [&reader, &confined] {
            let refused = store.publish(caller, Some(1)).await.map(drop);
            assert!(matches!(refused, Err(Error::Forbidden)));
            let refused = store.withdraw(caller, digest).await;
            assert!(matches!(refused, Err(Error::Forbidden)));
        }
        assert_eq!(
            store.publications(&reader, None, 10).await.unwrap().len(),
            1
        );
        let refused = store.publications(&confined, None, 10).await;
        assert!(matches!(refused, Err(Error::Forbidden)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_counted_whatever_their_length() {
    let few = |options: &mut crate::Options| options.limits.drive_nodes = 2;
    each_engine_with(few, async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for data in [b"a", b"b"] {
            publish(store, &alice, data).await;
        }
        let third = begin(store, &alice, b"c").await.commit(None).await;
        assert!(matches!(third, Err(Error::Limit { limit: 2, .. })));
        assert_eq!(store.usage(&alice).await.unwrap().publications, 2);
        assert_sound(store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_along_what_it_has_published() {
    each_engine(async |store, _| {
        let (alice, bob) = (
            user(store, "alice", 1 << 30).await,
            user(store, "bob", 1 << 30).await,
        );
        let (hers, both) = (noise(87, 100_000), noise(88, 100_000));
        for data in [&hers, &both] {
            publish(store, &alice, data).await;
        }
        publish(store, &bob, &both).await;
        store
            .user_remove(
                Actor::Console,
                alice.user,
                crate::TagCondition::default(),
                None,
            )
            .await
            .unwrap();
        assert!(published(store, &hers).await.is_none());
        assert!(published(store, &both).await == Some(both.clone()));
        assert_sound(store).await;
        store.sweep(false).await.unwrap();
        assert_eq!(file_bytes(store, &hers), None);
        assert!(published(store, &both).await == Some(both.clone()));
        assert_sound(store).await;
    })
    .await;
}

/// "Nothing of the account works."
#[tokio::test(flavor = "multi_thread")]
async fn what_a_disabled_account_has_published_is_not_given_out() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        publish(store, &alice, b"published").await;
        for disabled in [true, false] {
            let change = crate::UserChange {
                disabled: Some(disabled),
                ..crate::UserChange::default()
            };
            let actor = Actor::Console;
            store
                .user_set(actor, alice.user, change, None)
                .await
                .unwrap();
            let found = published(store, b"published").await;
            assert_eq!(found.is_none(), disabled);
        }
    })
    .await;
}
