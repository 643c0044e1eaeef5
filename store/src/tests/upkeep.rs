//! What the background work keeps in order, and how much it does at a time.

use super::*;
use crate::db::Tx;
use crate::id::{DriveId, ReservationId};
use crate::node::Body;
use crate::reference;

#[tokio::test]
async fn a_lock_that_expired_is_counted_out_with_the_node_it_was_on() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        let none = Condition::default;
        for at in ["/gone", "/moved", "/replaced"] {
            let folder = path(at);
            store.make_folder(&alice, &folder, none()).await.unwrap();
            let new = NewLock {
                token: format!("coffer-lock:{at}"),
                is_exclusive: true,
                is_deep: true,
                owner_xml: None,
                timeout_s: 5,
            };
            store.lock(&alice, &folder, new, none()).await.unwrap();
        }
        clock.advance_ms(6_000);
        store.delete(&alice, &path("/gone"), none()).await.unwrap();
        let (from, to) = (path("/moved"), path("/replaced"));
        store
            .move_tree(&alice, &from, &to, REPLACE, none())
            .await
            .unwrap();
        while store.purge_trash().await.unwrap() {}
        assert_eq!(
            store.check_references().await.unwrap(),
            Vec::<String>::new()
        );
    })
    .await;
}

fn count_files(tx: &mut Tx<'_>) -> crate::Result<Option<i64>> {
    tx.first("SELECT COUNT(*) FROM node WHERE kind = 2", args![], |row| {
        row.get(0)
    })
}

#[tokio::test]
async fn a_step_of_the_purge_takes_few_large_files() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        let folder = path("/d");
        store
            .make_folder(&alice, &folder, Condition::default())
            .await
            .unwrap();
        for name in ["a", "b", "c"] {
            put(store, &alice, &format!("/d/{name}"), b"x")
                .await
                .unwrap();
        }
        store
            .delete(&alice, &folder, Condition::default())
            .await
            .unwrap();
        let swell = |tx: &mut Tx<'_>| {
            tx.execute(
                "UPDATE node SET size_bytes = $1 WHERE kind = 2",
                args![50_000_000_000_u64],
            )
        };
        store.db().write(swell).await.unwrap();
        assert!(store.purge_trash().await.unwrap());
        assert_eq!(store.db().read(count_files).await.unwrap(), Some(2));
        while store.purge_trash().await.unwrap() {}
        assert_eq!(store.db().read(count_files).await.unwrap(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_damaged_file_does_not_keep_others_from_being_hashed() {
    each_engine(async |store, clock| {
        let alice = user(store, "alice", 1 << 30).await;
        for (seed, at) in [(1, "/damaged"), (2, "/sound")] {
            let content = crate::chunk::tests::noise(seed, 5_000_000);
            put(store, &alice, at, &content).await.unwrap();
            // Ids are in the order of their milliseconds.
            clock.advance_ms(1);
        }
        let forget = |tx: &mut Tx<'_>| tx.execute("UPDATE node SET sha256 = NULL", args![]);
        store.db().write(forget).await.unwrap();
        let node = async |at| {
            let found = store.find(&alice, &path(at)).await.unwrap();
            found.unwrap().node.clone()
        };
        let (damaged, sound) = (node("/damaged").await, node("/sound").await);
        let Some(Body::Manifest(manifest)) = damaged.content().map(|content| content.body) else {
            panic!("a large file has a manifest");
        };
        let chunks = store
            .db()
            .read(move |tx| reference::rows::find_manifest(tx, manifest))
            .await
            .unwrap()
            .unwrap();
        store.blobs().remove(&chunks[0].digest).unwrap();

        let first = store.hash_pending(None).await.unwrap();
        assert_eq!(first, Some(damaged.id));
        let second = store.hash_pending(first).await.unwrap();
        assert_eq!(second, Some(sound.id));
        assert_eq!(store.hash_pending(second).await.unwrap(), None);
        let content = get(store, &alice, "/sound").await.unwrap();
        let sha256 = node("/sound").await.content().unwrap().sha256;
        assert_eq!(sha256, Some(crate::Digest::of(&content)));
    })
    .await;
}

#[tokio::test]
async fn a_drive_that_is_gone_holds_up_no_background_work() {
    each_engine(async |store, _| {
        let gone = DriveId::new(store.world());
        assert_eq!(store.forget_changes(gone, 1).await.unwrap(), 0);
        assert_eq!(store.purge_locks_of(gone, 1).await.unwrap(), 0);
        let reservation = ReservationId::new(store.world());
        store.release(gone, reservation).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_and_its_content_are_read_together() {
    each_engine(async |store, _| {
        let alice = user(store, "alice", 1 << 30).await;
        for size in [0, 10, 100_000, 5_000_000] {
            let content = crate::chunk::tests::noise(3, size);
            put(store, &alice, "/file", &content).await.unwrap();
            let counter = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
            let at = path("/file");
            let opened = store.open_file(&alice, &at);
            let opened = crate::count_statements(counter.clone(), opened).await;
            assert!(opened.unwrap().is_some());
            // Between two statements an overwrite could take the content away.
            assert_eq!(counter.load(std::sync::atomic::Ordering::Relaxed), 1);
            assert_eq!(get(store, &alice, "/file").await.unwrap(), content);
        }
    })
    .await;
}
